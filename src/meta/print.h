// Tables for `kubectl get` (meta.k8s.io/v1 Table): the columns of a resource and the cells of an
// object, as upstream's server prints them. Everything is made in the arena that is given.
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "codec/json.h"
#include "meta/resources.h"

// How many rows and what with each of them, includeObject in TableOptions.
enum kn_table_include { KN_TABLE_METADATA, KN_TABLE_OBJECT, KN_TABLE_NONE };
struct kn_status kn_table_include_parse(struct kn_sv text, enum kn_table_include *ret);

// A Table without rows: kind, apiVersion (version: "v1" or "v1beta1"), metadata {}, columns, rows
// []. NULL when the arena is full.
struct kn_json *kn_print_table(struct kn_arena *a, const struct kn_resource *r,
                               struct kn_sv version);
// A row: {cells, object, conditions where upstream has them (Completed pods)}. The object is in the
// resource's version; strings of the row are views into it or lie in the arena.
struct kn_json *kn_print_row(struct kn_arena *a, const struct kn_resource *r,
                             const struct kn_json *obj, enum kn_table_include include,
                             struct kn_time now);
// Only the cells, an array in the order of the columns.
struct kn_json *kn_print_cells(struct kn_arena *a, const struct kn_resource *r,
                               const struct kn_json *obj, struct kn_time now);

// "5s", "3m20s", "4h", "12d", as kubectl writes ages. seconds < 0: "<invalid>" beyond -1.
struct kn_sv kn_print_duration(struct kn_arena *a, int64_t seconds);

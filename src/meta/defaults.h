// Defaulting: fills in what the writer left out, exactly as upstream's defaulting functions do for
// each version (they differ: extensions/v1beta1 defaults a selector from the template, apps/v1 does
// not). Constant defaults come from the tables, the others are functions of types.
// The object must have been decoded (decode.h). Idempotent. In place, in the tree's arena.
#pragma once
#include "base/arena.h"
#include "codec/json.h"
#include "meta/schema.h"

// Fails only when the arena is full (KN_TOO_LARGE).
struct kn_status kn_default(struct kn_arena *a, const struct kn_type *type, struct kn_json *obj);

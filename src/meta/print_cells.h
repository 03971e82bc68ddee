// Cells that are code: each a function from the object to a value in the arena. Private to
// print*.c.
#pragma once
#include "base/clock.h"
#include "codec/json.h"
#include "meta/print.h"
#include "meta/print_list.h"

struct kn_print {
    struct kn_arena *arena;
    const struct kn_json *obj;
    struct kn_time now;
    bool wide;
};

typedef struct kn_json *kn_print_fn(const struct kn_print *p);

#define KN_PRINT_DECLARE(name) kn_print_fn kn_print_##name;
KN_PRINT_CELLS(KN_PRINT_DECLARE)

// A cell of text: the view is borrowed.
struct kn_json *kn_print_text(const struct kn_print *p, struct kn_sv text);
struct kn_json *kn_print_textf(const struct kn_print *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
// What was gathered in a buffer; `otherwise` when that is nothing.
struct kn_json *kn_print_buf(const struct kn_print *p, const struct kn_buf *b,
                             const char *otherwise);
// How long ago a time was ("<unknown>" for no time).
struct kn_sv kn_print_since(const struct kn_print *p, const struct kn_json *time);

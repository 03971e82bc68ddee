// Growing text with a mandatory maximum. Every buffer says how large it may become; what would
// make it larger is dropped and remembered (sticky), so that a caller may append without checking
// and look once at the end. The bytes are always followed by a NUL.
// A buffer belongs to one thread at a time.
#pragma once
#include <stdarg.h>

#include "base/mem.h"
#include "base/status.h"
#include "base/sv.h"

struct kn_buf {
    char *ptr; // NULL until the first byte
    size_t len, cap, max;
    bool failed;
};

#define KN_BUF(maximum) ((struct kn_buf){.max = (maximum)})

void kn_buf_init(struct kn_buf *b, size_t max);
void kn_buf_done(struct kn_buf *b); // frees; the buffer is empty and usable again
void kn_buf_clear(struct kn_buf *b); // keeps the memory, forgets the failure

void kn_buf_add(struct kn_buf *b, struct kn_sv text);
void kn_buf_addc(struct kn_buf *b, const char *text);
void kn_buf_addf(struct kn_buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void kn_buf_vaddf(struct kn_buf *b, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
void kn_buf_add_i64(struct kn_buf *b, int64_t n);
// Room for n more bytes at .ptr + .len, without changing len; false (and sticky) if too large.
bool kn_buf_room_slow(struct kn_buf *b, size_t n);
// Removes the first n bytes.
void kn_buf_drop(struct kn_buf *b, size_t n);
// Takes the bytes out (free() them); the buffer is empty. NULL if nothing was ever added.
char *kn_buf_take(struct kn_buf *b, size_t *ret_len);

static inline bool kn_buf_room(struct kn_buf *b, size_t n)
{
    return b->cap - b->len > n || kn_buf_room_slow(b, n);
}

static inline void kn_buf_add_byte(struct kn_buf *b, char c)
{
    if (kn_buf_room(b, 1)) {
        b->ptr[b->len++] = c;
        b->ptr[b->len] = '\0';
    }
}

static inline struct kn_sv kn_buf_sv(const struct kn_buf *b)
{
    return kn_sv(b->ptr, b->len);
}

static inline const char *kn_buf_cstr(const struct kn_buf *b)
{
    return b->ptr ? b->ptr : "";
}

// KN_TOO_LARGE naming the limit if something was dropped, OK otherwise.
struct kn_status kn_buf_status(const struct kn_buf *b, const char *what);

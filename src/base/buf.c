#include "base/buf.h"

void kn_buf_init(struct kn_buf *b, size_t max)
{
    *b = KN_BUF(max);
}

void kn_buf_done(struct kn_buf *b)
{
    free(b->ptr);
    *b = KN_BUF(b->max);
}

void kn_buf_clear(struct kn_buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->ptr)
        b->ptr[0] = '\0';
}

bool kn_buf_room_slow(struct kn_buf *b, size_t n)
{
    if (b->failed || n > b->max - b->len) {
        b->failed = true;
        return false;
    }
    size_t want = b->len + n + 1;
    size_t cap = b->cap ? b->cap + b->cap / 2 : 128;
    if (cap < want)
        cap = want;
    if (cap - 1 > b->max)
        cap = b->max + 1; // the quick path looks at cap only
    char *p = realloc(b->ptr, cap);
    if (!p) {
        b->failed = true;
        return false;
    }
    b->ptr = p;
    b->cap = cap;
    return true;
}

void kn_buf_add(struct kn_buf *b, struct kn_sv text)
{
    if (!kn_buf_room(b, text.len))
        return;
    if (text.len)
        memcpy(b->ptr + b->len, text.ptr, text.len);
    b->len += text.len;
    b->ptr[b->len] = '\0';
}

void kn_buf_addc(struct kn_buf *b, const char *text)
{
    kn_buf_add(b, kn_sv_c(text));
}

void kn_buf_vaddf(struct kn_buf *b, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    kn_assert(n >= 0);
    if (kn_buf_room(b, (size_t)n)) {
        vsnprintf(b->ptr + b->len, (size_t)n + 1, format, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void kn_buf_addf(struct kn_buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    kn_buf_vaddf(b, format, args);
    va_end(args);
}

void kn_buf_add_i64(struct kn_buf *b, int64_t n)
{
    char text[24];
    char *p = text + sizeof text;
    uint64_t u = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    do {
        *--p = (char)('0' + u % 10);
        u /= 10;
    } while (u);
    if (n < 0)
        *--p = '-';
    kn_buf_add(b, kn_sv(p, (size_t)(text + sizeof text - p)));
}

void kn_buf_drop(struct kn_buf *b, size_t n)
{
    kn_assert(n <= b->len);
    if (n == 0)
        return;
    b->len -= n;
    memmove(b->ptr, b->ptr + n, b->len + 1);
}

char *kn_buf_take(struct kn_buf *b, size_t *ret_len)
{
    char *p = b->ptr;
    if (ret_len)
        *ret_len = b->len;
    *b = KN_BUF(b->max);
    return p;
}

struct kn_status kn_buf_status(const struct kn_buf *b, const char *what)
{
    if (!b->failed)
        return KN_STATUS_OK;
    return kn_error(KN_TOO_LARGE, "%s is larger than the limit of %zu bytes", what, b->max);
}

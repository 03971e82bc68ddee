#include "base/sv.h"

#include "base/mem.h"

int kn_sv_cmp(struct kn_sv a, struct kn_sv b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n ? memcmp(a.ptr, b.ptr, n) : 0;
    if (c != 0)
        return c;
    return a.len < b.len ? -1 : a.len > b.len;
}

static inline unsigned char lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

bool kn_sv_ieq(struct kn_sv a, struct kn_sv b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower((unsigned char)a.ptr[i]) != lower((unsigned char)b.ptr[i]))
            return false;
    return true;
}

ptrdiff_t kn_sv_find(struct kn_sv a, char c)
{
    const char *p = a.len ? memchr(a.ptr, c, a.len) : NULL;
    return p ? p - a.ptr : -1;
}

ptrdiff_t kn_sv_rfind(struct kn_sv a, char c)
{
    const char *p = a.len ? memrchr(a.ptr, c, a.len) : NULL;
    return p ? p - a.ptr : -1;
}

ptrdiff_t kn_sv_search(struct kn_sv a, struct kn_sv needle)
{
    if (needle.len == 0)
        return 0;
    const char *p = a.len ? memmem(a.ptr, a.len, needle.ptr, needle.len) : NULL;
    return p ? p - a.ptr : -1;
}

struct kn_sv kn_sv_cut(struct kn_sv *rest, char sep)
{
    ptrdiff_t i = kn_sv_find(*rest, sep);
    struct kn_sv head = *rest;
    if (i < 0) {
        *rest = KN_SV_NULL;
        return head;
    }
    head.len = (size_t)i;
    *rest = kn_sv(rest->ptr + i + 1, rest->len - (size_t)i - 1);
    return head;
}

static inline bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct kn_sv kn_sv_trim(struct kn_sv a)
{
    while (a.len && is_space(a.ptr[0])) {
        a.ptr++;
        a.len--;
    }
    while (a.len && is_space(a.ptr[a.len - 1]))
        a.len--;
    return a;
}

char *kn_sv_dup(struct kn_sv a)
{
    char *s = kn_alloc(a.len + 1);
    if (a.len)
        memcpy(s, a.ptr, a.len);
    s[a.len] = '\0';
    return s;
}

// String views: a pointer and a length, the form in which text crosses every interface here.
// A view owns nothing; it lives as long as the bytes behind it. `ptr` may be NULL only when
// `len` is 0. Views are not NUL-terminated: use kn_sv_dup where libc wants a C string.
// Any thread.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct kn_sv {
    const char *ptr;
    size_t len;
};

#define KN_SV(literal) ((struct kn_sv){"" literal, sizeof(literal) - 1})
#define KN_SV_NULL ((struct kn_sv){NULL, 0})
// For printf: printf("%.*s", KN_SV_ARG(v))
#define KN_SV_ARG(v) (int)(v).len, (v).len ? (v).ptr : ""

static inline struct kn_sv kn_sv(const char *ptr, size_t len)
{
    return (struct kn_sv){ptr, len};
}

// View of a C string; NULL gives the empty view.
static inline struct kn_sv kn_sv_c(const char *s)
{
    return (struct kn_sv){s, s ? strlen(s) : 0};
}

static inline bool kn_sv_eq(struct kn_sv a, struct kn_sv b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool kn_sv_is(struct kn_sv a, const char *s)
{
    return kn_sv_eq(a, kn_sv_c(s));
}

static inline bool kn_sv_starts(struct kn_sv a, struct kn_sv prefix)
{
    return a.len >= prefix.len && (prefix.len == 0 || memcmp(a.ptr, prefix.ptr, prefix.len) == 0);
}

static inline bool kn_sv_ends(struct kn_sv a, struct kn_sv suffix)
{
    return a.len >= suffix.len &&
           (suffix.len == 0 || memcmp(a.ptr + a.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

// From `from` (clamped) to the end.
static inline struct kn_sv kn_sv_from(struct kn_sv a, size_t from)
{
    return from >= a.len ? (struct kn_sv){a.ptr + a.len, 0}
                         : (struct kn_sv){a.ptr + from, a.len - from};
}

static inline struct kn_sv kn_sv_first(struct kn_sv a, size_t n)
{
    return (struct kn_sv){a.ptr, n < a.len ? n : a.len};
}

// Byte order, like memcmp; a prefix sorts before the longer text.
int kn_sv_cmp(struct kn_sv a, struct kn_sv b);
// ASCII letters without regard to case (header names, media types).
bool kn_sv_ieq(struct kn_sv a, struct kn_sv b);
// Index of the first `c`, or -1.
ptrdiff_t kn_sv_find(struct kn_sv a, char c);
ptrdiff_t kn_sv_rfind(struct kn_sv a, char c);
// Index of the first `needle`, or -1. The empty needle is found at 0.
ptrdiff_t kn_sv_search(struct kn_sv a, struct kn_sv needle);
// Cuts *rest at the first `sep`: returns what is before it and leaves in *rest what follows it.
// Without a separator returns everything and leaves the empty view with ptr == NULL, so that
//     for (part = kn_sv_cut(&rest, ','); ...; rest.ptr != NULL)
// sees an empty last part too.
struct kn_sv kn_sv_cut(struct kn_sv *rest, char sep);
// Without spaces, tabs, CR and LF at both ends.
struct kn_sv kn_sv_trim(struct kn_sv a);
// A NUL-terminated copy on the heap; the caller frees it with free().
char *kn_sv_dup(struct kn_sv a);

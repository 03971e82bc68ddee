// Heap memory for sizes that we choose ourselves: it never returns NULL, it aborts when the
// machine has no memory left. Sizes that come from input go through an arena or a kn_buf, which
// have limits and fail with a status. Any thread.
#pragma once
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void *kn_alloc(size_t size) __attribute__((malloc, alloc_size(1), returns_nonnull));
void *kn_calloc(size_t count, size_t size)
    __attribute__((malloc, alloc_size(1, 2), returns_nonnull));
// Frees nothing on overflow of count * size: it aborts.
void *kn_realloc(void *ptr, size_t count, size_t size);

#define KN_NEW(type) ((type *)kn_calloc(1, sizeof(type)))

// Programming errors, compiled in always. Never for input.
#define kn_assert(cond) ((cond) ? (void)0 : kn_assert_failed(#cond, __FILE__, __LINE__, __func__))
void kn_assert_failed(const char *cond, const char *file, int line, const char *func)
    __attribute__((noreturn, cold));

// KN_CLEANUP(fn): calls fn(&variable) when the variable leaves its scope.
#define KN_CLEANUP(fn) __attribute__((cleanup(fn)))
static inline void kn_cleanup_free(void *pp)
{
    free(*(void **)pp);
}
static inline void kn_cleanup_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
static inline void kn_cleanup_file(FILE **f)
{
    if (*f)
        fclose(*f);
}

#define KN_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define KN_CONTAINER_OF(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

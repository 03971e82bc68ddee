#include "base/mem.h"

#include <stdint.h>

static void no_memory(size_t size)
{
    fprintf(stderr, "knarr: out of memory (%zu bytes)\n", size);
    abort();
}

void *kn_alloc(size_t size)
{
    void *p = malloc(size ? size : 1);
    if (!p)
        no_memory(size);
    return p;
}

void *kn_calloc(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size ? size : 1);
    if (!p)
        no_memory(count * size);
    return p;
}

void *kn_realloc(void *ptr, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        no_memory(SIZE_MAX);
    void *p = realloc(ptr, total ? total : 1);
    if (!p)
        no_memory(total);
    return p;
}

void kn_assert_failed(const char *cond, const char *file, int line, const char *func)
{
    fprintf(stderr, "knarr: %s:%d: %s: assertion failed: %s\n", file, line, func, cond);
    abort();
}

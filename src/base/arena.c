#include "base/arena.h"

#include <stdarg.h>

#define BLOCK_MAX (64u << 10)

struct block {
    struct block *next;
    size_t size;
};

// The arena's own header lies at the start of its first block.
struct kn_arena {
    struct block *blocks;
    char *pos, *end;
    size_t next_size;
    size_t used, limit; // sums of what callers asked for
    size_t heap;
    bool failed;
};

struct kn_arena *kn_arena_new(size_t first, size_t limit)
{
    if (first == 0)
        first = 1024;
    size_t head = sizeof(struct block) + sizeof(struct kn_arena);
    struct block *b = kn_alloc(head + first);
    struct kn_arena *a = (struct kn_arena *)(b + 1);
    b->next = NULL;
    b->size = head + first;
    *a = (struct kn_arena){.blocks = b,
                           .pos = (char *)(a + 1),
                           .end = (char *)b + b->size,
                           .next_size = first < BLOCK_MAX / 2 ? first * 2 : BLOCK_MAX,
                           .limit = limit,
                           .heap = b->size};
    return a;
}

void kn_arena_set_step(struct kn_arena *a, size_t size)
{
    a->next_size = size < BLOCK_MAX ? size : BLOCK_MAX;
}

void kn_arena_free(struct kn_arena *a)
{
    if (!a)
        return;
    struct block *b = a->blocks;
    while (b) {
        struct block *next = b->next; // one of them holds the arena itself: only b is read
        free(b);
        b = next;
    }
}

static void *grow(struct kn_arena *a, size_t size)
{
    size_t want = size > a->next_size / 4 ? size : a->next_size;
    struct block *b = malloc(sizeof *b + want);
    if (!b) {
        a->failed = true;
        return NULL;
    }
    b->size = sizeof *b + want;
    a->heap += b->size;
    if (want == size && size != a->next_size) {
        // A large piece gets a block of its own; the current block stays the one that is filled.
        b->next = a->blocks->next;
        a->blocks->next = b;
        return b + 1;
    }
    b->next = a->blocks;
    a->blocks = b;
    a->pos = (char *)(b + 1) + size;
    a->end = (char *)b + b->size;
    if (a->next_size < BLOCK_MAX)
        a->next_size *= 2;
    return b + 1;
}

static void *take(struct kn_arena *a, size_t size, size_t align)
{
    if (size > a->limit - a->used) {
        a->failed = true;
        return NULL;
    }
    a->used += size;
    char *p = (char *)(((uintptr_t)a->pos + align - 1) & ~(align - 1));
    if (p <= a->end && (size_t)(a->end - p) >= size) {
        a->pos = p + size;
        return p;
    }
    return grow(a, size);
}

void *kn_arena_alloc(struct kn_arena *a, size_t size)
{
    return take(a, size, 8);
}

void *kn_arena_calloc(struct kn_arena *a, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) {
        a->failed = true;
        return NULL;
    }
    void *p = take(a, total, 8);
    if (p)
        memset(p, 0, total);
    return p;
}

char *kn_arena_bytes(struct kn_arena *a, size_t size)
{
    return take(a, size, 1);
}

struct kn_sv kn_arena_dup(struct kn_arena *a, struct kn_sv text)
{
    char *p = take(a, text.len + 1, 1);
    if (!p)
        return KN_SV_NULL;
    if (text.len)
        memcpy(p, text.ptr, text.len);
    p[text.len] = '\0';
    return kn_sv(p, text.len);
}

struct kn_sv kn_arena_printf(struct kn_arena *a, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    kn_assert(n >= 0);
    char *p = take(a, (size_t)n + 1, 1);
    if (p)
        vsnprintf(p, (size_t)n + 1, format, again);
    va_end(again);
    return p ? kn_sv(p, (size_t)n) : KN_SV_NULL;
}

bool kn_arena_failed(const struct kn_arena *a)
{
    return a->failed;
}

size_t kn_arena_size(const struct kn_arena *a)
{
    return a->heap;
}

struct kn_status kn_arena_error(const struct kn_arena *a, const char *what)
{
    return kn_error(KN_TOO_LARGE, "%s needs more than the limit of %zu bytes", what, a->limit);
}

// Arenas: memory that is freed in one piece, born with a limit. One per request, per reconcile,
// per parse, per sealed object. Nothing in an arena outlives it; nothing in it is freed alone.
// An arena belongs to one thread at a time.
#pragma once
#include "base/mem.h"
#include "base/status.h"
#include "base/sv.h"

struct kn_arena;

// `first` is how many bytes the first block holds (0: a default of 1 KiB); later blocks double up
// to 64 KiB. `limit` is the largest sum of all allocations; beyond it allocation fails.
struct kn_arena *kn_arena_new(size_t first, size_t limit);
// Size of the next block, in place of twice the first: for arenas that live long and are nearly
// filled by their first block.
void kn_arena_set_step(struct kn_arena *a, size_t size);
void kn_arena_free(struct kn_arena *a); // NULL is allowed
static inline void kn_arena_cleanup(struct kn_arena **a)
{
    kn_arena_free(*a);
}

// Aligned for any type, not cleared. NULL when the limit is reached: the arena then remembers
// it (kn_arena_failed), so that a caller may check once at the end where that is safe.
void *kn_arena_alloc(struct kn_arena *a, size_t size);
void *kn_arena_calloc(struct kn_arena *a, size_t count, size_t size);
// Not aligned: for text.
char *kn_arena_bytes(struct kn_arena *a, size_t size);
// Copies, so that the view lives as long as the arena. {NULL, 0} if the limit is reached and the
// view was not empty. A NUL follows the bytes, so that .ptr is a C string too.
struct kn_sv kn_arena_dup(struct kn_arena *a, struct kn_sv text);
struct kn_sv kn_arena_printf(struct kn_arena *a, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool kn_arena_failed(const struct kn_arena *a);
// Bytes taken from the heap so far, blocks and headers included.
size_t kn_arena_size(const struct kn_arena *a);
// KN_TOO_LARGE, naming the limit and what was being made.
struct kn_status kn_arena_error(const struct kn_arena *a, const char *what);

#define KN_ARENA_NEW(arena, type) ((type *)kn_arena_calloc(arena, 1, sizeof(type)))

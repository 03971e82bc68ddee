#include "base/arena.h"

#include "lib/ktest.h"

KTEST(gives_aligned_memory_that_does_not_overlap)
{
    struct kn_arena *a = kn_arena_new(64, 1 << 22);
    unsigned char *parts[600];
    size_t sizes[600];
    for (size_t i = 0; i < 600; i++) {
        sizes[i] = i % 7 == 0 ? 5000 : i % 50 + 1;
        parts[i] = kn_arena_alloc(a, sizes[i]);
        ktest_true(parts[i] && (uintptr_t)parts[i] % 8 == 0);
        memset(parts[i], (int)(i & 255), sizes[i]);
        kn_arena_dup(a, KN_SV("text")); // moves the position off its alignment
    }
    for (size_t i = 0; i < 600; i++)
        for (size_t j = 0; j < sizes[i]; j++)
            ktest_eq_int(parts[i][j], i & 255);
    kn_arena_free(a);
}

KTEST(fails_at_its_limit_and_remembers_it)
{
    struct kn_arena *a = kn_arena_new(0, 100);
    ktest_true(kn_arena_alloc(a, 60) != NULL);
    ktest_true(!kn_arena_failed(a));
    ktest_true(kn_arena_alloc(a, 41) == NULL);
    ktest_true(kn_arena_failed(a));
    ktest_true(kn_arena_alloc(a, 40) != NULL);
    ktest_true(kn_arena_calloc(a, SIZE_MAX / 2, 3) == NULL);
    ktest_true(kn_arena_dup(a, KN_SV("x")).ptr == NULL);
    ktest_fails(kn_arena_error(a, "the list"), TOO_LARGE,
                "the list needs more than the limit of 100");
    kn_arena_free(a);
}

KTEST(formats_and_copies_text_with_a_nul_behind_it)
{
    struct kn_arena *a = kn_arena_new(0, 1000);
    struct kn_sv t = kn_arena_printf(a, "%s-%d", "web", 7);
    ktest_eq_sv(t, "web-7");
    ktest_eq_int(t.ptr[t.len], 0);
    ktest_eq_sv(kn_arena_dup(a, KN_SV("")), "");
    kn_arena_free(a);
}

KTEST_MAIN(KTEST_CASE(gives_aligned_memory_that_does_not_overlap),
           KTEST_CASE(fails_at_its_limit_and_remembers_it),
           KTEST_CASE(formats_and_copies_text_with_a_nul_behind_it))

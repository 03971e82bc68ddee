// Growing arrays of one type: struct { T *ptr; size_t len, cap; }. Declare with KN_VEC(T).
// For sizes that we choose; input goes through arenas. One thread at a time.
#pragma once
#include "base/mem.h"

#define KN_VEC(type)                                                                               \
    struct {                                                                                       \
        type *ptr;                                                                                 \
        size_t len, cap;                                                                           \
    }

#define KN_VEC_PUSH(v, ...)                                                                        \
    do {                                                                                           \
        if ((v)->len == (v)->cap) {                                                                \
            (v)->cap = (v)->cap ? (v)->cap * 2 : 8;                                                \
            (v)->ptr = kn_realloc((v)->ptr, (v)->cap, sizeof *(v)->ptr);                           \
        }                                                                                          \
        (v)->ptr[(v)->len++] = (__VA_ARGS__);                                                      \
    } while (0)

// Removes element i by moving the last one into its place.
#define KN_VEC_SWAP_OUT(v, i) ((v)->ptr[i] = (v)->ptr[--(v)->len])

#define KN_VEC_DONE(v)                                                                             \
    do {                                                                                           \
        free((v)->ptr);                                                                            \
        (v)->ptr = NULL;                                                                           \
        (v)->len = (v)->cap = 0;                                                                   \
    } while (0)

// An ordered set of pointers: a B-tree. The order is the caller's comparison; equal elements occur
// once. Lookups, insertions and removals are O(log n); walking in order touches memory in runs.
// One thread at a time, or many readers under the caller's lock.
#pragma once
#include "base/mem.h"

struct kn_tree_node;

struct kn_tree {
    struct kn_tree_node *root; // NULL when empty
    size_t len;
    // < 0, 0, > 0 as `key` sorts before, at or after `element`. The key is what lookups give, and
    // for insertions the element itself goes through key_of.
    int (*compare)(const void *key, const void *element);
    const void *(*key_of)(const void *element);
};

void kn_tree_init(struct kn_tree *t, int (*compare)(const void *key, const void *element),
                  const void *(*key_of)(const void *element));
void kn_tree_done(struct kn_tree *t); // the elements are the caller's
void *kn_tree_get(const struct kn_tree *t, const void *key);
// Returns the element that it replaces, or NULL.
void *kn_tree_put(struct kn_tree *t, void *element);
void *kn_tree_take(struct kn_tree *t, const void *key); // removes; NULL if absent
// Calls visit for every element at or after `from` (NULL: all), in order, until it returns false.
// The tree must not change meanwhile. Returns false if visit did.
int kn_tree_walk(const struct kn_tree *t, const void *from, int (*visit)(void *element, void *arg),
                 void *arg);
// The first element at or after `from` (NULL: the first of all), or NULL.
void *kn_tree_first(const struct kn_tree *t, const void *from);

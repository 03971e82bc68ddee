// A hash map from text to a pointer. Open addressing, keyed by a per-process random seed, so that
// a stranger who chooses keys cannot choose collisions. Keys are views that the caller keeps alive
// for as long as they are in the map (usually they lie in the value). One thread at a time.
#pragma once
#include "base/mem.h"
#include "base/sv.h"

struct kn_map_slot {
    struct kn_sv key;
    void *value; // NULL: free slot
    uint32_t hash;
};

struct kn_map {
    struct kn_map_slot *slots;
    uint32_t cap; // power of two, or 0
    uint32_t len;
};

void kn_map_init(struct kn_map *m);
void kn_map_done(struct kn_map *m); // the values are the caller's
void *kn_map_get(const struct kn_map *m, struct kn_sv key); // NULL if absent
// Stores value (not NULL) and returns the one that was there before, or NULL. When there was one,
// the slot's key is replaced too.
void *kn_map_put(struct kn_map *m, struct kn_sv key, void *value);
void *kn_map_take(struct kn_map *m, struct kn_sv key); // removes; NULL if absent
// Iteration in no order: for (it = 0; (v = kn_map_next(m, &it, &key)); ) ... Do not change the map.
void *kn_map_next(const struct kn_map *m, size_t *it, struct kn_sv *ret_key);

// The seeded hash itself, for those who build other tables.
uint64_t kn_hash(const void *bytes, size_t len);

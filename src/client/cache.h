// The objects of one resource, in order, as the newest revision has them: the watch cache of the
// API server and the cache of a remote informer are both one of these.
//
// Readers take references under a lock that is held for as long as the walk takes; the one writer
// (the store's observer, or the informer's thread) changes it and tells the subscribers, in order,
// in its own thread. Lock rank: leaf (nothing is called under it but visit functions, which must
// not call back into the cache).
#pragma once
#include "meta/obj.h"

enum kn_event_type { KN_EVENT_ADDED, KN_EVENT_MODIFIED, KN_EVENT_DELETED, KN_EVENT_BOOKMARK };

struct kn_cache;

struct kn_cache *kn_cache_new(void);
void kn_cache_free(struct kn_cache *c);

// -- the writer --
// Puts obj (a reference is taken) in the place of the one with the same namespace and name.
void kn_cache_put(struct kn_cache *c, const struct kn_obj *obj);
// Removes; `last` is the object as it was deleted (its rev is that of the deletion).
void kn_cache_remove(struct kn_cache *c, const struct kn_obj *last);
// Replaces everything by a fresh list (a re-list after a gap): subscribers see the differences.
void kn_cache_replace(struct kn_cache *c, const struct kn_obj *const *objs, size_t len,
                      int64_t rev);
// The revision that the cache has seen (bookmarks raise it without an object).
void kn_cache_set_rev(struct kn_cache *c, int64_t rev);

// -- readers, any thread --
int64_t kn_cache_rev(const struct kn_cache *c);
size_t kn_cache_len(const struct kn_cache *c);
// A new reference, or NULL.
const struct kn_obj *kn_cache_get(struct kn_cache *c, struct kn_sv ns, struct kn_sv name);
// Visits, in order of namespace and name, the objects of one namespace (ns.ptr NULL: of all)
// after `after_ns/after_name` (both empty: from the start) until visit returns false. The objects
// are borrowed during the call: take references to keep them. Returns the revision of what was
// seen.
int64_t kn_cache_list(struct kn_cache *c, struct kn_sv ns, struct kn_sv after_ns,
                      struct kn_sv after_name, bool (*visit)(void *arg, const struct kn_obj *obj),
                      void *arg);

// -- indexes --
// A function that gives the values under which an object is found: it calls emit for each. Adding
// the same function again gives the same index. Returns the index's number.
typedef void kn_index_emit(void *ctx, struct kn_sv value);
unsigned kn_cache_add_index(struct kn_cache *c, void (*values)(const struct kn_obj *obj,
                                                               kn_index_emit *emit, void *ctx));
void kn_cache_by_index(struct kn_cache *c, unsigned index, struct kn_sv value,
                       bool (*visit)(void *arg, const struct kn_obj *obj), void *arg);

// -- subscribers --
// handler is called in the writer's thread, after the change can be read, and must be quick: it
// typically puts a key into a queue. old is NULL for ADDED. With `replay`, ADDED is called for
// every object that is there, before the function returns, without a gap or an overlap.
typedef void kn_cache_handler(void *arg, enum kn_event_type type, const struct kn_obj *obj,
                              const struct kn_obj *old);
void kn_cache_subscribe(struct kn_cache *c, kn_cache_handler *handler, void *arg, bool replay);
void kn_cache_unsubscribe(struct kn_cache *c, kn_cache_handler *handler, void *arg);

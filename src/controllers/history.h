// Revisions of a template (apps/v1 ControllerRevision), as daemon sets and stateful sets keep them
// for kubectl rollout history and undo; and what else the two have in common.
#pragma once
#include "controllers/common.h"

struct kn_history {
    struct kn_env *env;
    struct kn_arena *arena;
    const struct kn_obj *owner;
    kn_objs revisions;             // owned by `owner`, in the order of their numbers; references
    const struct kn_obj *current;  // of the owner's present template; borrowed
};

// Finds the revision of the present template, and makes it (or gives it the next number) when it is
// not the newest. cache: of controllerrevisions, with kn_index_controller_uid as `index`. labels:
// of a new revision; the hash is put under hash_label.
struct kn_status kn_history_sync(struct kn_history *h, struct kn_cache *cache, unsigned index,
                                 const struct kn_json *labels, const char *hash_label);
// Deletes what is too much: revisions that `live` (names, NULL-terminated views with len 0) does
// not use.
struct kn_status kn_history_trim(struct kn_history *h, int64_t limit,
                                 bool (*live)(void *arg, const struct kn_obj *r), void *arg);
void kn_history_done(struct kn_history *h);
int64_t kn_revision_number(const struct kn_obj *revision);

// Ten letters that stand for a text.
struct kn_sv kn_short_hash(struct kn_arena *a, struct kn_sv text, int64_t salt);

// A pod of a template: its labels, annotations, finalizers and spec, owned by `owner`.
struct kn_json *kn_pod_of_template(struct kn_arena *a, const struct kn_json *template,
                                   const struct kn_obj *owner);

// The pods of an owner, whatever their phase, into *out (references): those that it owns and that
// match, and those that match and have no owner, which are adopted; what does not match is
// released.
struct kn_status kn_claim_pods(struct kn_env *env, struct kn_cache *pods, unsigned by_owner,
                               const struct kn_obj *owner, const struct kn_selector *selector,
                               kn_objs *out);

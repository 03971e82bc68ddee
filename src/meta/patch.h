// Patches of JSON trees: JSON patch (RFC 6902), JSON merge patch (RFC 7396), strategic merge patch
// (by the tables of meta/schema.h). Each edits `target` in place, in the arena; the patch is only
// read, and its strings are borrowed. One thread.
#pragma once
#include "base/arena.h"
#include "codec/json.h"
#include "meta/schema.h"

// KN_INVALID naming the operation that failed (a failed test, a path that does not exist),
// KN_BAD_REQUEST for a patch that is none, KN_TOO_LARGE for one whose paths cost too much to walk.
// target may be replaced as a whole.
struct kn_status kn_patch_json(struct kn_arena *a, struct kn_json *target,
                               const struct kn_json *patch);
struct kn_status kn_patch_merge(struct kn_arena *a, struct kn_json *target,
                                const struct kn_json *patch);
// With all directives: $patch (replace, delete, merge), $deleteFromPrimitiveList/...,
// $setElementOrder/..., $retainKeys. Fields that the type does not know merge as JSON does.
struct kn_status kn_patch_strategic(struct kn_arena *a, const struct kn_type *type,
                                    struct kn_json *target, const struct kn_json *patch);

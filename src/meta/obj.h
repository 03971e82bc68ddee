// Sealed objects: API objects that never change again. One block of memory holds the text, the
// tree whose strings are views into that text, and the metadata that everybody asks for, decoded
// once. Counted references (atomic), shared between the watch cache, controllers and responses.
//
// To change one: kn_json_copy_shallow_text into an arena, edit, and write the result through the
// API; never cast the const away. Any thread.
#pragma once
#include "base/buf.h"
#include "codec/json.h"

struct kn_obj {
    _Atomic uint32_t refs;
    struct kn_arena *arena;
    struct kn_sv text; // compact JSON of the whole object, resourceVersion included
    const struct kn_json *root;
    const struct kn_json *metadata; // never NULL
    struct kn_sv api_version, kind, ns, name, uid;
    const struct kn_json *labels; // NULL if there are none
    int64_t rev;                  // resourceVersion; 0 if it has none
    int64_t generation;
    bool deleting; // deletionTimestamp is set
};

#define KN_OBJ_MAX (3u << 20) // bytes of text, as in upstream's default request limit

// From JSON text (copied). KN_SYNTAX, KN_TOO_LARGE; KN_INVALID if it has no metadata object.
struct kn_status kn_obj_parse(struct kn_sv text, const struct kn_obj **ret);
// From a tree (encoded, then parsed: nothing of the tree is kept).
struct kn_status kn_obj_seal(const struct kn_json *root, const struct kn_obj **ret);

const struct kn_obj *kn_obj_ref(const struct kn_obj *o);
void kn_obj_unref(const struct kn_obj *o); // NULL is allowed
static inline void kn_obj_cleanup(const struct kn_obj **o)
{
    kn_obj_unref(*o);
}
// "ns/name", or "name" where there is no namespace, written to out (at most 320 bytes + NUL).
#define KN_OBJ_KEY_TEXT 324
void kn_obj_key_text(const struct kn_obj *o, char *out);

// -- as it lies in a store ---------------------------------------------------------------------
// The stored form is the text without resourceVersion, since the store gives the revision.

// Appends the stored form of a tree. Removes resourceVersion and managedFields' place is kept.
struct kn_status kn_obj_encode_stored(struct kn_json *root, struct kn_buf *out);
struct kn_status kn_obj_from_stored(struct kn_sv value, int64_t rev, const struct kn_obj **ret);

// -- often asked -------------------------------------------------------------------------------

struct kn_sv kn_obj_label(const struct kn_obj *o, struct kn_sv name);      // empty if absent
struct kn_sv kn_obj_annotation(const struct kn_obj *o, struct kn_sv name); // empty if absent
// The owner reference with controller: true, or NULL.
const struct kn_json *kn_obj_controller(const struct kn_obj *o);
struct kn_time;
bool kn_obj_created(const struct kn_obj *o, struct kn_time *ret);

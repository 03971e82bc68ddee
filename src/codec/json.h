// JSON values: a compact tree in an arena (RFC 8259).
//
// A value is 24 bytes. Children hang in a ring, in their order; the parent points at the last.
// Member names that a schema knows are atoms (codec/atoms.h, generated): small integers, compared
// as such, and a misspelt KN_K_... does not compile. Other names are text before the value.
// Strings are views into the text that was parsed (or into the arena, where they had escapes), so
// the text must live as long as the tree. int64 is kept exactly, and so is the text of every other
// number. A tree belongs to the thread that builds it; when nobody changes it any more, any thread
// may read it.
//
// Reading functions take NULL for "absent" and answer with the empty value, so that a chain needs
// one check at its end. Building functions answer NULL when the arena's limit is reached, and take
// NULL too: check kn_arena_failed once when done.
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "codec/atoms.h"

enum kn_json_type {
    KN_JSON_NULL,
    KN_JSON_BOOL,
    KN_JSON_INT,    // fits int64_t and was written without '.', 'e'
    KN_JSON_NUMBER, // any other number, as its text
    KN_JSON_STRING,
    KN_JSON_ARRAY,
    KN_JSON_OBJECT,
};

struct kn_json {
    uint32_t key;  // atom; KN_K_NONE: not a member; KN_K_TEXT: the name lies before the value
    uint32_t tag;  // type in the low 4 bits; above it the length or the number of children
    union {
        int64_t i; // bool, int
        const char *str;
        struct kn_json *last; // of the children's ring; NULL when there are none
    } u;
    struct kn_json *next; // ring of siblings; NULL while not in a container
};

#define KN_JSON_MAX_LEN ((1u << 28) - 1) // of a string, or children of a container

// -- parsing ---------------------------------------------------------------------------------

struct kn_json_options {
    unsigned max_depth; // 0: 128 levels
    // Called for a member name that an object has already, with its path ("spec.ports[1].name").
    // The last one wins, as everywhere in Kubernetes. NULL: nobody asks.
    void (*duplicate)(void *arg, struct kn_sv path);
    void *arg;
};

// One value and nothing but spaces after it. KN_SYNTAX names line and column and what was
// expected; KN_TOO_LARGE when the arena's limit or the depth is reached.
struct kn_status kn_json_parse(struct kn_arena *a, struct kn_sv text,
                               const struct kn_json_options *options, struct kn_json **ret);

// -- reading ---------------------------------------------------------------------------------

static inline enum kn_json_type kn_json_type(const struct kn_json *v)
{
    return v ? (enum kn_json_type)(v->tag & 15) : KN_JSON_NULL;
}
static inline uint32_t kn_json_len(const struct kn_json *v) // characters, or children
{
    return v ? v->tag >> 4 : 0;
}
static inline bool kn_json_is_null(const struct kn_json *v) // absent counts as null
{
    return kn_json_type(v) == KN_JSON_NULL;
}
static inline bool kn_json_is_object(const struct kn_json *v)
{
    return kn_json_type(v) == KN_JSON_OBJECT;
}
static inline bool kn_json_is_array(const struct kn_json *v)
{
    return kn_json_type(v) == KN_JSON_ARRAY;
}
static inline bool kn_json_is_string(const struct kn_json *v)
{
    return kn_json_type(v) == KN_JSON_STRING;
}
const char *kn_json_type_name(enum kn_json_type t); // "object", "string", ...

// The string, or the text of a KN_JSON_NUMBER; the empty view for anything else.
static inline struct kn_sv kn_json_str(const struct kn_json *v)
{
    enum kn_json_type t = kn_json_type(v);
    return t == KN_JSON_STRING || t == KN_JSON_NUMBER ? kn_sv(v->u.str, v->tag >> 4) : KN_SV_NULL;
}
static inline int64_t kn_json_int(const struct kn_json *v, int64_t otherwise)
{
    return kn_json_type(v) == KN_JSON_INT ? v->u.i : otherwise;
}
static inline bool kn_json_bool(const struct kn_json *v, bool otherwise)
{
    return kn_json_type(v) == KN_JSON_BOOL ? v->u.i != 0 : otherwise;
}
bool kn_json_double(const struct kn_json *v, double *ret); // false if it is no number

// Children in order: for (c = kn_json_first(v); c; c = kn_json_next(v, c)). Works for arrays and
// objects; NULL for everything else.
static inline struct kn_json *kn_json_first(const struct kn_json *v)
{
    return v && (v->tag & 15) >= KN_JSON_ARRAY && v->u.last ? v->u.last->next : NULL;
}
static inline struct kn_json *kn_json_next(const struct kn_json *parent,
                                           const struct kn_json *child)
{
    return child == parent->u.last ? NULL : child->next;
}
#define KN_JSON_EACH(child, parent)                                                                \
    for (child = kn_json_first(parent); child; child = kn_json_next(parent, child))

// The name of a member; empty for array elements.
struct kn_sv kn_json_key(const struct kn_json *member);
// A member by atom or by name; NULL if it is absent or v is no object.
struct kn_json *kn_json_get(const struct kn_json *v, enum kn_atom key);
struct kn_json *kn_json_get_sv(const struct kn_json *v, struct kn_sv name);
struct kn_json *kn_json_item(const struct kn_json *array, uint32_t index); // O(index)
// KN_JSON_AT(pod, KN_K_spec, KN_K_nodeName): members one below the other.
struct kn_json *kn_json_at(const struct kn_json *v, const enum kn_atom *path, size_t len);
#define KN_JSON_AT(v, ...)                                                                         \
    kn_json_at(v, (const enum kn_atom[]){__VA_ARGS__},                                             \
               sizeof((const enum kn_atom[]){__VA_ARGS__}) / sizeof(enum kn_atom))
#define KN_JSON_STR_AT(v, ...) kn_json_str(KN_JSON_AT(v, __VA_ARGS__))

// Same value: the order of members does not matter, that of elements does. 1 and 1.0 differ.
bool kn_json_equal(const struct kn_json *a, const struct kn_json *b);

// -- building --------------------------------------------------------------------------------
// Strings and names are borrowed unless the function says that it copies: they must live as long as
// the arena. A value is *moved* into its container; go on with the pointer that is returned.
// Members that exist are replaced in place, so pointers to other members stay good.

struct kn_json *kn_json_new_null(struct kn_arena *a);
struct kn_json *kn_json_new_bool(struct kn_arena *a, bool b);
struct kn_json *kn_json_new_int(struct kn_arena *a, int64_t i);
struct kn_json *kn_json_new_number(struct kn_arena *a, struct kn_sv text); // must be valid JSON
struct kn_json *kn_json_new_str(struct kn_arena *a, struct kn_sv text);
struct kn_json *kn_json_new_array(struct kn_arena *a);
struct kn_json *kn_json_new_object(struct kn_arena *a);

struct kn_json *kn_json_set(struct kn_arena *a, struct kn_json *object, enum kn_atom key,
                            struct kn_json *value);
// The name may be any text (copied if it is no atom).
struct kn_json *kn_json_set_sv(struct kn_arena *a, struct kn_json *object, struct kn_sv name,
                               struct kn_json *value);
struct kn_json *kn_json_append(struct kn_json *array, struct kn_json *value);
struct kn_json *kn_json_prepend(struct kn_json *array, struct kn_json *value);
// Before the element that has this index now; at the end, if it is the length. O(index).
struct kn_json *kn_json_insert(struct kn_json *array, uint32_t index, struct kn_json *value);

struct kn_json *kn_json_set_str(struct kn_arena *a, struct kn_json *object, enum kn_atom key,
                                struct kn_sv text);
struct kn_json *kn_json_set_int(struct kn_arena *a, struct kn_json *object, enum kn_atom key,
                                int64_t i);
struct kn_json *kn_json_set_bool(struct kn_arena *a, struct kn_json *object, enum kn_atom key,
                                 bool b);
// The member, made as an empty object (array) if it is absent or null.
struct kn_json *kn_json_ensure_object(struct kn_arena *a, struct kn_json *object, enum kn_atom key);
struct kn_json *kn_json_ensure_array(struct kn_arena *a, struct kn_json *object, enum kn_atom key);

// Replaces what a value is, keeping its place and its name. `from` is moved (do not use it again).
void kn_json_assign(struct kn_json *to, struct kn_json *from);
// All return whether there was something to remove.
bool kn_json_remove(struct kn_json *object, enum kn_atom key);
bool kn_json_remove_sv(struct kn_json *object, struct kn_sv name);
bool kn_json_remove_child(struct kn_json *parent, struct kn_json *child);
void kn_json_clear(struct kn_json *container);
// Renames a member (by atom) in place.
bool kn_json_rename(struct kn_json *object, enum kn_atom from, enum kn_atom to);

// A deep copy, strings and names included: it needs nothing of the original.
struct kn_json *kn_json_copy(struct kn_arena *a, const struct kn_json *v);
// A deep copy whose strings are still views into the original's text.
struct kn_json *kn_json_copy_shallow_text(struct kn_arena *a, const struct kn_json *v);

// -- writing ---------------------------------------------------------------------------------

// Compact. Escapes what RFC 8259 demands and, as Kubernetes does, <, >, &, U+2028 and U+2029.
void kn_json_encode(struct kn_buf *out, const struct kn_json *v);
// Indented by `indent` spaces a level, as kubectl prints.
void kn_json_encode_pretty(struct kn_buf *out, const struct kn_json *v, unsigned indent);
// Text as a JSON string, quotes included. Bytes that are no UTF-8 become U+FFFD.
void kn_json_encode_str(struct kn_buf *out, struct kn_sv text);

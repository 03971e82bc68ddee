// The types of the API as tables: one const description of every object and every field, made by
// tools/gen_schema.py from schema/*.types. One engine each decodes, defaults, converts, patches,
// applies, prints and publishes from them; nothing in this tree knows a type in another way.
//
// Tables are immutable; any thread may read them. A type made at run time (a custom resource) has
// tables of the same form, so nothing here may be compared by address with a built-in's tables.
#pragma once
#include "base/sv.h"
#include "codec/atoms.h"

enum kn_kind { // what a value is: in JSON / on the wire
    KN_KIND_STRING,
    KN_KIND_BOOL,
    KN_KIND_INT32,
    KN_KIND_INT64,
    KN_KIND_DOUBLE,
    KN_KIND_BYTES,         // base64 / bytes
    KN_KIND_OBJECT,        // object / message
    KN_KIND_QUANTITY,      // string (number accepted) / message {1: text}
    KN_KIND_TIME,          // RFC 3339, seconds / message {1: seconds, 2: nanos}
    KN_KIND_MICROTIME,     // RFC 3339, microseconds / the same message
    KN_KIND_DURATION,      // Go duration text / message {1: nanoseconds}
    KN_KIND_INT_OR_STRING, // number or string / message {1: which, 2: number, 3: text}
    KN_KIND_RAW,           // any JSON / message {1: its bytes} (RawExtension, JSON, FieldsV1)
    KN_KIND_SCHEMA_OR_ARRAY, // the three unions of JSONSchemaProps; .type says JSONSchemaProps
    KN_KIND_SCHEMA_OR_BOOL,
    KN_KIND_SCHEMA_OR_STRINGS,
};

enum kn_shape { KN_SHAPE_SINGLE, KN_SHAPE_LIST, KN_SHAPE_MAP }; // maps have string keys

enum kn_field_flag {
    KN_FIELD_REQUIRED = 1 << 0,  // OpenAPI says required
    KN_FIELD_POINTER = 1 << 1,   // absent and zero are two things; else zero counts as absent
    KN_FIELD_ALWAYS = 1 << 2,    // written even when zero (no omitempty)
    KN_FIELD_OMITZERO = 1 << 3,  // a struct that is left out when it is zero
    KN_FIELD_INLINE = 1 << 4,    // its members are members of the parent; only the wire nests
    KN_FIELD_MERGE = 1 << 5,     // strategic merge patch: merge (lists: by kn_field_merge_key)
    KN_FIELD_RETAIN_KEYS = 1 << 6,
    KN_FIELD_REPLACE = 1 << 7,
    KN_FIELD_LIST_ATOMIC = 1 << 8, // server-side apply: list types; none of the three: atomic
    KN_FIELD_LIST_SET = 1 << 9,
    KN_FIELD_LIST_MAP = 1 << 10,   // by kn_field_list_keys
    KN_FIELD_ATOMIC = 1 << 11,     // an object or map that is owned as a whole
    KN_FIELD_EMBEDDED = 1 << 12,   // RAW that holds a whole API object (it is not checked)
    KN_FIELD_IMMUTABLE = 1 << 13,
    KN_FIELD_BARE_LIST = 1 << 14,  // wire: each element is a message {1: repeated string}
};

enum kn_type_flag {
    KN_TYPE_KIND = 1 << 0,      // has apiVersion and kind, can be a request body
    KN_TYPE_LIST = 1 << 1,      // a kind with ListMeta and items
    KN_TYPE_BARE = 1 << 2,      // JSON is the list of strings itself (ExtraValue, Verbs)
    KN_TYPE_ATOMIC = 1 << 3,
    KN_TYPE_DEFAULTED = 1 << 4, // there are defaults in it or below it
    KN_TYPE_OPEN = 1 << 5,      // members that are not known are kept (run-time types)
};

struct kn_field {
    uint16_t name;   // enum kn_atom, as in JSON; KN_K_NONE for an inlined message
    uint16_t number; // protobuf; 0: not on the wire (apiVersion, kind)
    uint16_t type;   // index of the kn_type for OBJECT kinds, else 0
    uint8_t kind;    // enum kn_kind (of the elements, for lists and maps)
    uint8_t shape;   // enum kn_shape
    uint32_t flags;  // enum kn_field_flag
    uint16_t extra;  // rarer facts: use the functions below
    uint16_t doc;
};

struct kn_type {
    uint32_t name;         // text offset: use kn_type_name
    uint16_t self;         // its own index
    uint16_t package;      // group, version and Go package
    uint16_t fields;       // first of its fields, which lie in the order of their numbers
    uint16_t field_count;
    uint16_t members;      // first of its members, in the order of their names
    uint16_t member_count;
    uint16_t flags;        // enum kn_type_flag
    uint16_t doc;
};

// -- types -----------------------------------------------------------------------------------

// A kind by its group ("" for core), version and name. The kinds of meta/v1 that exist in every
// group (DeleteOptions, ListOptions, Status, WatchEvent...) are found in each. NULL if unknown.
const struct kn_type *kn_type_find(struct kn_sv group, struct kn_sv version, struct kn_sv kind);
// By "<group>/<version>" or "<version>", as apiVersion is written.
const struct kn_type *kn_type_find_api(struct kn_sv api_version, struct kn_sv kind);
// Any type, kind or not, of the built-in tables: ("core", "v1", "PodSpec"), ("meta", "v1", ...).
const struct kn_type *kn_type_find_any(struct kn_sv group, struct kn_sv version, struct kn_sv name);

struct kn_sv kn_type_name(const struct kn_type *t);    // "PodSpec"
struct kn_sv kn_type_group(const struct kn_type *t);   // "" for core
struct kn_sv kn_type_version(const struct kn_type *t); // "v1"
struct kn_sv kn_type_package(const struct kn_type *t); // "io.k8s.api.core.v1", as in OpenAPI
struct kn_sv kn_type_doc(const struct kn_type *t);     // one line, or empty
// Built-in types as a sequence, for tools and tests. NULL beyond the last.
const struct kn_type *kn_type_at(size_t index);

// -- fields ----------------------------------------------------------------------------------

// The member of that name, inlined ones included; NULL if there is none.
const struct kn_field *kn_type_field(const struct kn_type *t, enum kn_atom name);
// For names that are no atoms too (they never are members of built-in types).
const struct kn_field *kn_type_field_sv(const struct kn_type *t, struct kn_sv name);
// Members in the order of their names, inlined ones included: i from 0 to t->member_count - 1.
const struct kn_field *kn_type_member(const struct kn_type *t, size_t i);
// Fields as the wire has them, in the order of their numbers; inlined messages are one field.
const struct kn_field *kn_type_wire_field(const struct kn_type *t, size_t i);
const struct kn_field *kn_type_wire_find(const struct kn_type *t, uint32_t number);

// The type of an OBJECT field (of its elements, for lists and maps); NULL for other kinds.
const struct kn_type *kn_field_type(const struct kn_type *parent, const struct kn_field *f);
struct kn_sv kn_field_name(const struct kn_type *parent, const struct kn_field *f);
struct kn_sv kn_field_doc(const struct kn_type *parent, const struct kn_field *f);
// The name of the Go type of a named scalar ("Protocol", "UID"), or empty.
struct kn_sv kn_field_type_name(const struct kn_type *parent, const struct kn_field *f);
// Strategic merge patch: the key of a merging list of objects, KN_K_NONE if there is none.
enum kn_atom kn_field_merge_key(const struct kn_type *parent, const struct kn_field *f);
// Server-side apply: the keys of a list map. *ret_len is 0 when it is none.
const uint16_t *kn_field_list_keys(const struct kn_type *parent, const struct kn_field *f,
                                   size_t *ret_len);
// The i-th allowed value; false beyond the last. Fields without a list of values have none.
bool kn_field_enum(const struct kn_type *parent, const struct kn_field *f, size_t i,
                   struct kn_sv *ret);
// A constant default, as JSON text; empty if there is none.
struct kn_sv kn_field_default(const struct kn_type *parent, const struct kn_field *f);

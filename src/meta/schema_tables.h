// The form of the tables behind schema.h: between schema.c and what tools/gen_schema.py writes.
// Types lie right behind the head of their schema, and each knows its index, so that from a type
// the rest of its tables is found without a pointer in it.
#pragma once
#include "meta/schema.h"

struct kn_extra { // what few fields have
    uint32_t scalar;         // text: name of the Go type
    uint32_t fallback;       // text: constant default as JSON
    uint16_t values;         // lists: 2 * value_count halves (low, high) of text offsets
    uint16_t value_count;
    uint16_t keys;           // lists: key_count atoms
    uint16_t key_count;
    uint16_t merge_key;      // atom
};

struct kn_package {
    uint32_t name, tag, group, version; // text; tag: "core", "apps"
    uint16_t first, count;              // types, in the order of their names
};

struct kn_schema {
    const struct kn_field *fields;
    const uint16_t *members;
    const uint16_t *lists;
    const uint32_t *docs;
    const struct kn_extra *extras;
    const struct kn_package *packages;
    const char *text;
    uint16_t type_count, package_count;
};

#ifndef KN_SCHEMA_TYPES
#include "meta/types.h"
#define KN_SCHEMA_TYPES KN_T_COUNT
#endif

struct kn_schema_builtin {
    struct kn_schema head;
    struct kn_type types[KN_SCHEMA_TYPES];
};
_Static_assert(offsetof(struct kn_schema_builtin, types) == sizeof(struct kn_schema),
               "types lie right behind the head");

extern const struct kn_schema_builtin kn_schema_builtin;

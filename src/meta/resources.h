// What is served: one row a resource, from schema/resources.txt and schema/printers.txt
// (generated). All resources of the API level are rows; `served` says which answer. A custom
// resource makes rows of the same form at run time. Rows are immutable; any thread may read them.
#pragma once
#include "meta/schema.h"

enum kn_verb {
    KN_VERB_CREATE = 1 << 0,
    KN_VERB_DELETE = 1 << 1,
    KN_VERB_DELETECOLLECTION = 1 << 2,
    KN_VERB_GET = 1 << 3,
    KN_VERB_LIST = 1 << 4,
    KN_VERB_PATCH = 1 << 5,
    KN_VERB_UPDATE = 1 << 6,
    KN_VERB_WATCH = 1 << 7,
};
const char *kn_verb_name(enum kn_verb verb);

struct kn_subresource {
    struct kn_sv name;                 // "status", "scale", "log"
    struct kn_sv group, version, kind; // of what it takes and returns; group and version are empty
                                       // when they are the resource's own
    const struct kn_type *type;        // NULL for streams without a body type
    uint32_t verbs;                    // enum kn_verb
};

struct kn_column { // of `kubectl get`
    struct kn_sv name;   // "Ready"
    struct kn_sv type;   // "string", "integer", "date", "boolean"
    struct kn_sv format; // "name" for the first, else empty
    uint8_t priority;    // 1: only with -o wide
    bool number;         // the cell is a number, though `type` says string
    struct kn_sv cell;   // how it is computed: a path (".spec.nodeName"), or a function's name
    struct kn_sv doc;
};

struct kn_resource {
    struct kn_sv group, version; // group "" is core
    struct kn_sv plural, singular, kind;
    const struct kn_type *type;
    const struct kn_resource *hub; // the row that is stored; itself in most cases
    uint32_t verbs;                // enum kn_verb
    bool namespaced;
    bool served;
    bool no_store; // reviews, bindings: answered, never stored
    const struct kn_sv *short_names, *categories;
    const struct kn_subresource *subresources;
    const struct kn_column *columns; // none: name and age
    const struct kn_sv *selectable;  // paths for field selectors beside metadata.name/namespace
    uint8_t short_name_count, category_count, subresource_count, column_count, selectable_count;
    const char *deprecated; // the sentence of the Warning header, or NULL
};

// Built-in rows: in order of group, version and plural; NULL beyond the last.
const struct kn_resource *kn_resource_at(size_t index);
// By path: NULL if there is no such row. Look at ->served.
const struct kn_resource *kn_resource_find(struct kn_sv group, struct kn_sv version,
                                           struct kn_sv plural);
const struct kn_resource *kn_resource_find_kind(struct kn_sv group, struct kn_sv version,
                                                struct kn_sv kind);
const struct kn_resource *kn_resource_find_api(struct kn_sv api_version, struct kn_sv kind);
const struct kn_subresource *kn_resource_sub(const struct kn_resource *r, struct kn_sv name);
// "apps/v1", "v1": writes at most 128 bytes into out and returns the view.
struct kn_sv kn_resource_api_version(const struct kn_resource *r, char out[128]);
// The first part of its key in the store: "/registry/apps/deployments/" ("core" for the core
// group) of the hub. Returns the view in out.
struct kn_sv kn_resource_prefix(const struct kn_resource *r, char out[256]);

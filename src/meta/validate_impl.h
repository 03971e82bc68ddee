// What the files of the validator share: how a problem is added, the checks that many kinds need,
// and the function of each kind. Only validate*.c include this.
//
// A check takes the value as the tree has it (NULL: absent) and the path as a chain on the stack.
// Decoding has made sure of JSON types, so none is checked again.
#pragma once
#include "codec/json.h"
#include "meta/names.h"
#include "meta/validate.h"

// Members by name, as the tables of fields are read: TEXT(spec, nodeName). SUB extends a path.
#define GET(v, name) kn_json_get((v), KN_K_##name)
#define TEXT(v, name) kn_json_str(GET(v, name))
#define NUMBER(v, name) kn_json_int(GET(v, name), 0)
#define FLAG(v, name) kn_json_bool(GET(v, name), false)
#define SUB(path, name) KN_PATH(path, #name)

// -- adding -----------------------------------------------------------------------------------

// The value as Go prints it in a message: text quoted, numbers and truth bare, the rest as JSON.
struct kn_sv kn_check_show(struct kn_problems *p, const struct kn_json *v);
// "Invalid value: <v>: <detail>"
void kn_check_invalid(struct kn_problems *p, const struct kn_path *path, const struct kn_json *v,
                      const char *detail, ...) __attribute__((format(printf, 4, 5)));
void kn_check_invalid_text(struct kn_problems *p, const struct kn_path *path, struct kn_sv text,
                           const char *detail, ...) __attribute__((format(printf, 4, 5)));
void kn_check_invalid_int(struct kn_problems *p, const struct kn_path *path, int64_t n,
                          const char *detail, ...) __attribute__((format(printf, 4, 5)));
void kn_check_required(struct kn_problems *p, const struct kn_path *path, const char *detail);
void kn_check_forbidden(struct kn_problems *p, const struct kn_path *path, const char *detail);
void kn_check_duplicate(struct kn_problems *p, const struct kn_path *path, struct kn_sv text);
void kn_check_too_long(struct kn_problems *p, const struct kn_path *path, int max);
// "Unsupported value: "x": supported values: "a", "b"". NULL ends the list.
void kn_check_unsupported(struct kn_problems *p, const struct kn_path *path, struct kn_sv text,
                          const char *const *supported);

// -- values -----------------------------------------------------------------------------------

// One of the rules of meta/names.h.
typedef struct kn_sv kn_name_rule(struct kn_arena *a, struct kn_sv text);

// Invalid with the rule's sentence. True: it is valid.
bool kn_check_text(struct kn_problems *p, const struct kn_path *path, struct kn_sv text,
                   kn_name_rule *rule);
// Whether the text is one of the list; adds nothing.
bool kn_check_is_one_of(struct kn_sv text, const char *const *list);
// Unsupported unless it is one of the list. False: it was not.
bool kn_check_one_of(struct kn_problems *p, const struct kn_path *path, struct kn_sv text,
                     const char *const *list);
// Absent is fine.
void kn_check_not_negative(struct kn_problems *p, const struct kn_path *path,
                           const struct kn_json *v);
// Required with the detail where the text is empty. True: there is one.
bool kn_check_present(struct kn_problems *p, const struct kn_path *path, struct kn_sv text,
                      const char *detail);
void kn_check_immutable(struct kn_problems *p, const struct kn_path *path, const struct kn_json *v,
                        const struct kn_json *old);
// Both absent, or equal; an absent value and an empty object, list or text are the same.
bool kn_check_same(const struct kn_json *a, const struct kn_json *b);
// 1-65535: "must be between 1 and 65535, inclusive"
void kn_check_port(struct kn_problems *p, const struct kn_path *path, int64_t port);
// A number that is a port, or text that is a port's name.
void kn_check_port_number_or_name(struct kn_problems *p, const struct kn_path *path,
                                  const struct kn_json *v);
bool kn_check_is_ip(struct kn_sv text, bool *ret_v6); // without leading zeros, without zone
void kn_check_ip(struct kn_problems *p, const struct kn_path *path, struct kn_sv text);
void kn_check_cidr(struct kn_problems *p, const struct kn_path *path, struct kn_sv text);

// min to max: "must be between <min> and <max>, inclusive". Absent is fine.
void kn_check_range(struct kn_problems *p, const struct kn_path *path, const struct kn_json *v,
                    int64_t min, int64_t max);
// "Not found: "x"", with a detail that may be empty.
void kn_check_not_found(struct kn_problems *p, const struct kn_path *path, struct kn_sv text,
                        const char *detail);
void kn_check_too_many(struct kn_problems *p, const struct kn_path *path, size_t n, int max);
// The same, for lists whose elements are compared each with each. True: there are few enough.
bool kn_check_count(struct kn_problems *p, const struct kn_path *path, const struct kn_json *list,
                    int max);
// "must not contain '..'", once.
void kn_check_no_backsteps(struct kn_problems *p, const struct kn_path *path, struct kn_sv text);
// Relative and without "..".
void kn_check_descending_path(struct kn_problems *p, const struct kn_path *path, struct kn_sv text);
// That, and its first step does not begin with "..".
void kn_check_local_path(struct kn_problems *p, const struct kn_path *path, struct kn_sv text);
// File modes: "must be a number between 0 and 0777 (octal), both inclusive"
void kn_check_mode(struct kn_problems *p, const struct kn_path *path, const struct kn_json *v);

// -- names that were seen ---------------------------------------------------------------------

struct kn_names {
    struct kn_names_entry **buckets; // in the arena of the problems
    size_t cap, len;
};
// False, and nothing changes, if the name is there already.
bool kn_names_put(struct kn_problems *p, struct kn_names *names, struct kn_sv name,
                  const struct kn_json *value);
// The members of an object by name: looking one up in the tree is linear.
struct kn_names kn_names_of_map(struct kn_problems *p, const struct kn_json *map);
const struct kn_json *kn_names_get(const struct kn_names *names, struct kn_sv name);
bool kn_names_add(struct kn_problems *p, struct kn_names *names, struct kn_sv name);
bool kn_names_has(const struct kn_names *names, struct kn_sv name);

// -- metadata (validate_meta.c) ---------------------------------------------------------------

void kn_check_meta_create(struct kn_problems *p, const struct kn_path *path,
                          const struct kn_json *meta, bool namespaced, kn_name_rule *rule);
void kn_check_meta_update(struct kn_problems *p, const struct kn_path *path,
                          const struct kn_json *meta, const struct kn_json *old);
// A finalizer without a domain must be one that Kubernetes itself has.
bool kn_check_kube_finalizer(struct kn_problems *p, const struct kn_path *path, struct kn_sv name);
void kn_check_labels(struct kn_problems *p, const struct kn_path *path,
                     const struct kn_json *labels);
void kn_check_annotations(struct kn_problems *p, const struct kn_path *path,
                          const struct kn_json *annotations);
void kn_check_label_selector(struct kn_problems *p, const struct kn_path *path,
                             const struct kn_json *selector);

// -- pods -------------------------------------------------------------------------------------

#define KN_PAIRS_MAX 1000 // elements of a list that are compared each with each

// The pod that is being checked, for the checks that look at more than their own field.
struct kn_pod_check {
    const struct kn_json *spec;
    const struct kn_json *meta;      // NULL: a template
    const struct kn_json *templates; // volumeClaimTemplates of a StatefulSet, or NULL
    struct kn_names volumes;         // those without a problem, and the templates' (value NULL)
};

// The volume of that name, without problems of its own. NULL: none. *ret_claim: it is a claim (that
// may be used as a block device).
bool kn_check_find_volume(const struct kn_pod_check *pod, struct kn_sv name,
                          const struct kn_json **ret, bool *ret_claim);
void kn_check_volumes(struct kn_problems *p, const struct kn_path *path, struct kn_pod_check *pod);
void kn_check_mounts(struct kn_problems *p, const struct kn_path *path,
                     const struct kn_pod_check *pod, const struct kn_json *container);
void kn_check_field_ref(struct kn_problems *p, const struct kn_path *path,
                        const struct kn_json *ref, const char *const *allowed);
void kn_check_resource_ref(struct kn_problems *p, const struct kn_path *path,
                           const struct kn_json *ref, bool of_volume);
void kn_check_containers(struct kn_problems *p, const struct kn_path *spec_path,
                         const struct kn_pod_check *pod);
void kn_check_image_spaces(struct kn_problems *p, const struct kn_path *path,
                           const struct kn_json *containers);
void kn_check_requirements(struct kn_problems *p, const struct kn_path *path,
                           const struct kn_json *requirements, const struct kn_json *pod_claims);
// A resource's name as a container may ask for it.
bool kn_check_resource_name(struct kn_problems *p, const struct kn_path *path, struct kn_sv name);
void kn_check_quantity(struct kn_problems *p, const struct kn_path *path, struct kn_sv name,
                       const struct kn_json *v);
void kn_check_pod_security(struct kn_problems *p, const struct kn_path *spec_path,
                           const struct kn_json *spec);
void kn_check_container_security(struct kn_problems *p, const struct kn_path *path,
                                 const struct kn_json *sc, bool host_users);
// nodeSelector, affinity, tolerations, topologySpreadConstraints, schedulingGates, nodeName...
void kn_check_placement(struct kn_problems *p, const struct kn_path *spec_path,
                        const struct kn_pod_check *pod);
void kn_check_tolerations(struct kn_problems *p, const struct kn_path *path,
                          const struct kn_json *list);
void kn_check_node_selector(struct kn_problems *p, const struct kn_path *path,
                            const struct kn_json *selector);
void kn_check_taint_effect(struct kn_problems *p, const struct kn_path *path, struct kn_sv effect);
void kn_check_pod_spec(struct kn_problems *p, const struct kn_path *path, struct kn_pod_check *pod);
void kn_check_pod_template(struct kn_problems *p, const struct kn_path *path,
                           const struct kn_json *pod_template,
                           const struct kn_json *claim_templates);

// -- kinds ------------------------------------------------------------------------------------

// Everything of one object beside its metadata. old: NULL on create. sub: "" for the object itself.
typedef void kn_kind_check(struct kn_problems *p, const struct kn_json *obj,
                           const struct kn_json *old, struct kn_sv sub);

kn_kind_check kn_check_pod;
kn_kind_check kn_check_pod_template_object;
kn_kind_check kn_check_replication_controller;
kn_kind_check kn_check_deployment;
kn_kind_check kn_check_replica_set;
kn_kind_check kn_check_stateful_set;
kn_kind_check kn_check_daemon_set;
kn_kind_check kn_check_controller_revision;
kn_kind_check kn_check_service;
kn_kind_check kn_check_endpoints;
kn_kind_check kn_check_endpoint_slice;
kn_kind_check kn_check_role;
kn_kind_check kn_check_cluster_role;
kn_kind_check kn_check_role_binding;
kn_kind_check kn_check_cluster_role_binding;
kn_kind_check kn_check_lease;
kn_kind_check kn_check_config_map;
kn_kind_check kn_check_secret;
kn_kind_check kn_check_namespace;
kn_kind_check kn_check_node;
kn_kind_check kn_check_event;
kn_kind_check kn_check_resource_quota;
kn_kind_check kn_check_limit_range;
kn_kind_check kn_check_claim;
kn_kind_check kn_check_persistent_volume;

void kn_check_claim_spec(struct kn_problems *p, const struct kn_path *path,
                         const struct kn_json *spec);

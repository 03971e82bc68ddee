// What the files of the validator share: how a problem is added, the checks that many kinds need,
// and the function of each kind. Only validate*.c include this.
//
// A check takes the value as the tree has it (NULL: absent) and the path as a chain on the stack.
// Decoding has made sure of JSON types, so none is checked again.
#pragma once
#include "codec/json.h"
#include "meta/names.h"
#include "meta/validate.h"

// -- adding ----------------------------------------------------------------------------------------

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

// -- values ----------------------------------------------------------------------------------------

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

// -- metadata (validate_meta.c) --------------------------------------------------------------------

void kn_check_meta_create(struct kn_problems *p, const struct kn_path *path,
                          const struct kn_json *meta, bool namespaced, kn_name_rule *rule);
void kn_check_meta_update(struct kn_problems *p, const struct kn_path *path,
                          const struct kn_json *meta, const struct kn_json *old);
// A finalizer without a domain must be one that Kubernetes itself has.
bool kn_check_kube_finalizer(struct kn_problems *p, const struct kn_path *path, struct kn_sv name);
void kn_check_labels(struct kn_problems *p, const struct kn_path *path, const struct kn_json *labels);
void kn_check_annotations(struct kn_problems *p, const struct kn_path *path,
                          const struct kn_json *annotations);
void kn_check_label_selector(struct kn_problems *p, const struct kn_path *path,
                             const struct kn_json *selector);

// -- kinds -----------------------------------------------------------------------------------------

// Everything of one object beside its metadata. old: NULL on create. sub: "" for the object itself.
typedef void kn_kind_check(struct kn_problems *p, const struct kn_json *obj,
                           const struct kn_json *old, struct kn_sv sub);

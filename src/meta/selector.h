// Label and field selectors: parsed once, matched often. Upstream's grammar and messages
// (k8s.io/apimachinery labels.Parse and fields.ParseSelector). Immutable when parsed; any thread.
#pragma once
#include "base/arena.h"
#include "codec/json.h"

struct kn_resource;
struct kn_selector; // lives in the arena it was parsed into

// "a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1". The empty text selects everything.
// KN_BAD_REQUEST naming what is wrong.
struct kn_status kn_label_selector_parse(struct kn_arena *a, struct kn_sv text,
                                         struct kn_selector **ret);
// A metav1.LabelSelector object {matchLabels, matchExpressions}. NULL selects nothing; an empty
// object selects everything.
struct kn_status kn_label_selector_of(struct kn_arena *a, const struct kn_json *v,
                                      struct kn_selector **ret);
// A plain map of labels (the selector of a Service). NULL and empty select nothing.
struct kn_status kn_label_selector_of_map(struct kn_arena *a, const struct kn_json *map,
                                          struct kn_selector **ret);
// "spec.nodeName=x,status.phase!=Running" (also ==). Only metadata.name, metadata.namespace and the
// resource's selectable fields are allowed: `field label not supported: spec.foo`.
struct kn_status kn_field_selector_parse(struct kn_arena *a, struct kn_sv text,
                                         const struct kn_resource *r, struct kn_selector **ret);

// labels: the map, or NULL. A NULL selector matches everything.
bool kn_selector_matches_labels(const struct kn_selector *s, const struct kn_json *labels);
bool kn_selector_matches_fields(const struct kn_selector *s, const struct kn_json *obj);
bool kn_selector_is_empty(const struct kn_selector *s); // matches everything
// The value that a field selector demands (=) of metadata.name etc.; empty view if none.
struct kn_sv kn_selector_requires(const struct kn_selector *s, const char *field);

// Defaults that are code: one function a type, called on every object of that type after its
// constant defaults and before what is in it. Private to defaults*.c.
#pragma once
#include "codec/json.h"

typedef void kn_default_fn(struct kn_arena *a, struct kn_json *obj);

#define KN_DEFAULT_DECLARE(type) kn_default_fn kn_default_##type;

// Sets the member if it is absent.
void kn_default_str(struct kn_arena *a, struct kn_json *obj, enum kn_atom key, const char *text);
void kn_default_int(struct kn_arena *a, struct kn_json *obj, enum kn_atom key, int64_t i);
void kn_default_bool(struct kn_arena *a, struct kn_json *obj, enum kn_atom key, bool b);
// Copies members of `from` that `to` does not have.
void kn_default_missing(struct kn_arena *a, struct kn_json *to, const struct kn_json *from);
// Old workloads: selector and labels from the labels of the template.
void kn_default_labels_from_template(struct kn_arena *a, struct kn_json *obj, bool selector);

// The environment of a container, in the order in which the API says that it comes together.
#pragma once
#include "node/container_spec.h"

struct kn_env {
    struct kn_arena *a;
    struct kn_oci_pair *ptr;
    size_t len, cap;
};

struct kn_sv kn_env_get(void *env, struct kn_sv name); // ptr NULL: not set
void kn_env_set(void *env, struct kn_sv name, struct kn_sv value);
struct kn_status kn_env_fill(struct kn_env *env, const struct kn_container_spec *c);

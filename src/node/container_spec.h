// From a pod's container and its image to what the OCI runtime is told: command, environment, user,
// capabilities, limits, namespaces, mounts.
#pragma once
#include "node/oci_config.h"
#include "node/pod_sandbox.h"

struct kn_container_spec {
    const struct kn_node *node;
    const struct kn_sandbox *sandbox;
    const struct kn_obj *pod;
    const struct kn_json *container; // of the pod's spec
    const struct kn_image *image;
    const char *rootfs;              // mounted
    const char *cgroup;              // of the container, without a leading slash
    const char *termination_log;     // file of the machine
    const struct kn_oci_mount *mounts;
    size_t mounts_len;
};

// Fills *ret; everything lives in the arena. Failures are configuration errors of the container
// ("couldn't find key x in ConfigMap ns/name", "container has runAsNonRoot and image will run as
// root"): worth another try when the configuration has changed.
struct kn_status kn_container_spec(const struct kn_container_spec *c, struct kn_arena *a,
                                   struct kn_oci *ret);
// The value of a fieldRef for this pod; KN_INVALID for a path that is not supported.
struct kn_status kn_pod_field(const struct kn_node *n, const struct kn_sandbox *s,
                              const struct kn_obj *pod, struct kn_sv path, struct kn_arena *a,
                              struct kn_sv *ret);
// The value of a resourceFieldRef ("limits.cpu" with a divisor).
struct kn_status kn_pod_resource_field(const struct kn_node *n, const struct kn_obj *pod,
                                       const struct kn_json *container, const struct kn_json *ref,
                                       struct kn_arena *a, struct kn_sv *ret);
// Replaces $(NAME) by what lookup gives (ptr NULL: left as it is); $$ is one dollar sign.
struct kn_sv kn_expand(struct kn_arena *a, struct kn_sv text,
                       struct kn_sv (*lookup)(void *arg, struct kn_sv name), void *arg);

// A pod's volumes as folders of this machine. Files that come from the API (configMap, secret,
// downwardAPI, projected) are written by the atomic scheme that pods rely on: `name` is a link to
// `..data/name`, and `..data` is replaced in one step.
#pragma once
#include "node/oci_config.h"
#include "node/pod_sandbox.h"

// Makes every volume of the pod, or brings it up to date. Idempotent. KN_NOT_SUPPORTED names a
// kind of volume that this version cannot make; KN_NOT_FOUND what a volume refers to.
struct kn_status kn_volumes_make(const struct kn_node *n, const struct kn_sandbox *s,
                                 const struct kn_obj *pod);
// The mounts of a container. env_lookup resolves subPathExpr. Everything lives in the arena.
struct kn_status kn_volume_mounts(const struct kn_node *n, const struct kn_sandbox *s,
                                  const struct kn_obj *pod, const struct kn_json *container,
                                  struct kn_sv (*env_lookup)(void *arg, struct kn_sv name),
                                  void *arg, struct kn_arena *a, struct kn_oci_mount **ret,
                                  size_t *ret_len);
// Whether the name of a volume on disk that holds more than its sizeLimit was written to message,
// in a kubelet's words.
bool kn_volumes_over(const struct kn_sandbox *s, const struct kn_obj *pod, char *message,
                     size_t size);
// Whether a volume's content changes with the API, or has a limit (and kn_volumes_make and
// kn_volumes_over should be called again).
bool kn_volumes_live(const struct kn_obj *pod);

// -- files from the API ------------------------------------------------------------------------

struct kn_payload_file {
    struct kn_sv path, content;
    uint32_t mode;
};
// Makes `folder` hold exactly these files. gid: group of the files, or -1.
struct kn_status kn_payload_write(const char *folder, const struct kn_payload_file *files,
                                  size_t len, int64_t gid);

// The OCI runtime specification (config.json, 1.0) of one container, written from plain values.
// What the values are is decided elsewhere (container_spec.h); here they are only put in the
// runtime's words. Pure: any thread.
#pragma once
#include "base/buf.h"

enum kn_oci_propagation { KN_OCI_PRIVATE, KN_OCI_SLAVE, KN_OCI_SHARED };

struct kn_oci_mount {
    const char *source, *target;
    bool read_only;
    bool read_only_below; // recursively
    enum kn_oci_propagation propagation;
};

struct kn_oci_pair {
    struct kn_sv name, value;
};

// A namespace: made new, the machine's own, or joined by its file.
struct kn_oci_ns {
    enum { KN_OCI_NS_NEW, KN_OCI_NS_HOST, KN_OCI_NS_PATH } kind;
    const char *path;
};

enum kn_seccomp { KN_SECCOMP_UNCONFINED, KN_SECCOMP_DEFAULT, KN_SECCOMP_FILE };

#define KN_CAP_ALL ((UINT64_C(1) << 41) - 1)

struct kn_oci {
    const char *rootfs;
    bool read_only_root;
    const struct kn_sv *args, *env; // env: NAME=value
    size_t args_len, env_len;
    struct kn_sv cwd; // empty: /
    uint32_t uid, gid;
    const uint32_t *groups;
    size_t groups_len;
    uint64_t caps; // bit n: capability n of the kernel
    bool no_new_privileges, terminal, privileged, unmasked;
    const char *hostname; // only with a new UTS namespace
    struct kn_oci_ns net, ipc, uts, pid;
    const struct kn_oci_mount *mounts;
    size_t mounts_len;
    bool own_shm;            // a tmpfs of its own on /dev/shm
    const char *cgroup_path; // absolute in the hierarchy
    int64_t cpu_shares, cpu_quota_us, memory, pids; // 0: none
    int oom_score_adj;
    bool device_rules; // deny devices that are not listed
    enum kn_seccomp seccomp;
    struct kn_sv seccomp_json; // the profile's text, with KN_SECCOMP_FILE
    const struct kn_oci_pair *sysctls;
    size_t sysctls_len;
};

// The whole config.json.
void kn_oci_write(const struct kn_oci *o, struct kn_buf *out);
// Only the process object, as the runtime's exec wants it.
void kn_oci_write_process(const struct kn_oci *o, struct kn_buf *out);

// Bit number of "NET_ADMIN" or "CAP_NET_ADMIN"; -1 if there is no such capability.
int kn_cap_parse(struct kn_sv name);
// What a container has when nothing is said: the set that everybody's images were written for.
uint64_t kn_cap_default(void);

// What this cluster is on this machine, and where everything of it lies. Decided by `up`, kept in
// <data>/site.json, read by every other process.
#pragma once
#include <sys/types.h>

#include "base/arena.h"
#include "base/status.h"
#include "cluster/pki.h"

#define KN_SITE_PATH 4096

struct kn_site {
    char data[KN_SITE_PATH - 256]; // /var/lib/knarr
    char run[256];                 // /run/knarr: short, sockets lie below it
    char node_name[256];
    char host_ip[48];
    char service_cidr[48], pod_cidr[48], cluster_dns[48], domain[256];
    int64_t port, kubelet_port;
    uid_t uid; // of the server's user
    gid_t gid;
};

#define KN_SITE_DATA "/var/lib/knarr"
#define KN_SITE_RUN "/run/knarr"
#define KN_SITE_USER "knarr"

// Defaults for this machine: its name, its address towards the world.
struct kn_status kn_site_init(struct kn_site *s, const char *data, const char *run);
// KN_NOT_FOUND: there is no cluster in that folder.
struct kn_status kn_site_load(struct kn_site *s, const char *data);
struct kn_status kn_site_save(const struct kn_site *s);
// <data>/<below> and <run>/<below>, in the caller's buffer; returns it.
const char *kn_site_data(const struct kn_site *s, const char *below, char out[KN_SITE_PATH]);
const char *kn_site_run(const struct kn_site *s, const char *below, char out[KN_SITE_PATH]);
// Makes or renews the certificates for what this machine is now.
struct kn_status kn_site_pki(const struct kn_site *s, int *ret_renewed);
// This machine's own address (the one that faces the default route), as text.
void kn_site_own_address(char out[48]);
// The process whose pid a file of the run folder holds, if it lives and is ours; else 0.
pid_t kn_site_process(const struct kn_site *s, const char *name);

// Control groups, v1 and v2 behind one interface. Paths are relative to the root of each
// hierarchy ("knarr/kubepods/burstable/pod<uid>"); everything of ours lies below "knarr", so that a
// reset finds it. The view is read once and immutable: any thread.
#pragma once
#include "base/status.h"

#define KN_CGROUP_ROOT "knarr"

enum kn_cgroup_version { KN_CGROUP_V1 = 1, KN_CGROUP_V2 = 2 };

struct kn_cgroups;

// Looks at /sys/fs/cgroup as this process sees it (kn_space_enter comes before). KN_NOT_SUPPORTED
// if nothing usable is mounted there.
struct kn_status kn_cgroups_open(struct kn_cgroups **ret);
void kn_cgroups_free(struct kn_cgroups *c);
enum kn_cgroup_version kn_cgroups_version(const struct kn_cgroups *c);

struct kn_cgroup_limits {
    int64_t cpu_shares;   // v1 scale (1024 = one CPU); 0: leave
    int64_t cpu_quota_us; // in a period of 100 ms; 0: no limit
    int64_t memory;       // bytes; 0: no limit
    int64_t pids;         // 0: no limit
};
// Makes the group (and its parents) and writes the limits; what exists is only written.
struct kn_status kn_cgroup_make(const struct kn_cgroups *c, const char *path,
                                const struct kn_cgroup_limits *limits);
// SIGKILL to every process in it and below. Returns when the signals are sent.
void kn_cgroup_kill(const struct kn_cgroups *c, const char *path);
// Kills as kn_cgroup_kill does, until nobody lives in it and below. False: the deadline passed.
bool kn_cgroup_drain(const struct kn_cgroups *c, const char *path, int64_t deadline);
// Removes it and what is below, in all hierarchies. KN_CONFLICT while processes live in it.
struct kn_status kn_cgroup_remove(const struct kn_cgroups *c, const char *path);
bool kn_cgroup_exists(const struct kn_cgroups *c, const char *path);

struct kn_cgroup_stat {
    int64_t cpu_ns;      // since the group was made
    int64_t memory;      // bytes in use, page cache included
    int64_t working_set; // memory without inactive file pages: what the platform reports
    int64_t rss;
    int64_t pids;
    int64_t oom_kills;
};
// What cannot be read is 0.
void kn_cgroup_stat(const struct kn_cgroups *c, const char *path, struct kn_cgroup_stat *ret);
// The file of a group that has the line "oom_kill N". Written to out (size bytes).
void kn_cgroup_oom_file(const struct kn_cgroups *c, const char *path, char *out, size_t size);
// Calls visit with the name of every group directly below `path`.
void kn_cgroup_children(const struct kn_cgroups *c, const char *path,
                        void (*visit)(const char *name, void *arg), void *arg);
// cpu.weight of v2 for shares of v1 (the runtimes' common formula).
int64_t kn_cgroup_weight(int64_t shares);

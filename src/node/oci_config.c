#include "node/oci_config.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/mem.h"
#include "codec/json.h"
#include "node/seccomp_default.h"

static const char *const caps[41] = {
    "CHOWN",          "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER",        "FSETID",
    "KILL",           "SETGID",       "SETUID",          "SETPCAP",       "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN",    "NET_RAW",       "IPC_LOCK",
    "IPC_OWNER",      "SYS_MODULE",   "SYS_RAWIO",       "SYS_CHROOT",    "SYS_PTRACE",
    "SYS_PACCT",      "SYS_ADMIN",    "SYS_BOOT",        "SYS_NICE",      "SYS_RESOURCE",
    "SYS_TIME",       "SYS_TTY_CONFIG", "MKNOD",         "LEASE",         "AUDIT_WRITE",
    "AUDIT_CONTROL",  "SETFCAP",      "MAC_OVERRIDE",    "MAC_ADMIN",     "SYSLOG",
    "WAKE_ALARM",     "BLOCK_SUSPEND", "AUDIT_READ",     "PERFMON",       "BPF",
    "CHECKPOINT_RESTORE",
};

int kn_cap_parse(struct kn_sv name)
{
    if (kn_sv_starts(name, KN_SV("CAP_")))
        name = kn_sv_from(name, 4);
    for (size_t i = 0; i < KN_ARRAY_LEN(caps); i++)
        if (kn_sv_is(name, caps[i]))
            return (int)i;
    return -1;
}

uint64_t kn_cap_default(void)
{
    static const unsigned char set[] = {0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31};
    uint64_t bits = 0;
    for (size_t i = 0; i < sizeof set; i++)
        bits |= UINT64_C(1) << set[i];
    return bits;
}

static void add_str(struct kn_buf *out, const char *text)
{
    kn_json_encode_str(out, kn_sv_c(text));
}

static void add_list(struct kn_buf *out, const struct kn_sv *list, size_t len)
{
    kn_buf_add_byte(out, '[');
    for (size_t i = 0; i < len; i++) {
        if (i)
            kn_buf_add_byte(out, ',');
        kn_json_encode_str(out, list[i]);
    }
    kn_buf_add_byte(out, ']');
}

static void add_caps(struct kn_buf *out, const char *set, uint64_t bits)
{
    kn_buf_addf(out, "\"%s\":[", set);
    bool first = true;
    for (unsigned i = 0; i < KN_ARRAY_LEN(caps); i++)
        if (bits & (UINT64_C(1) << i)) {
            kn_buf_addf(out, "%s\"CAP_%s\"", first ? "" : ",", caps[i]);
            first = false;
        }
    kn_buf_add_byte(out, ']');
}

void kn_oci_write_process(const struct kn_oci *o, struct kn_buf *out)
{
    kn_buf_addf(out, "{\"terminal\":%s,\"user\":{\"uid\":%u,\"gid\":%u",
                o->terminal ? "true" : "false", (unsigned)o->uid, (unsigned)o->gid);
    if (o->groups_len) {
        kn_buf_addc(out, ",\"additionalGids\":[");
        for (size_t i = 0; i < o->groups_len; i++)
            kn_buf_addf(out, "%s%u", i ? "," : "", (unsigned)o->groups[i]);
        kn_buf_add_byte(out, ']');
    }
    kn_buf_addc(out, "},\"args\":");
    add_list(out, o->args, o->args_len);
    kn_buf_addc(out, ",\"env\":");
    add_list(out, o->env, o->env_len);
    kn_buf_addc(out, ",\"cwd\":");
    kn_json_encode_str(out, o->cwd.len ? o->cwd : KN_SV("/"));
    // A process that is not root has its capabilities only by the files that it executes.
    uint64_t held = o->uid == 0 || o->privileged ? o->caps : 0;
    kn_buf_addc(out, ",\"capabilities\":{");
    add_caps(out, "bounding", o->caps);
    kn_buf_add_byte(out, ',');
    add_caps(out, "effective", held);
    kn_buf_add_byte(out, ',');
    add_caps(out, "permitted", held);
    kn_buf_addf(out, "},\"noNewPrivileges\":%s,\"oomScoreAdj\":%d}",
                o->no_new_privileges ? "true" : "false", o->oom_score_adj);
}

static void add_mount(struct kn_buf *out, const char *target, const char *type, const char *source,
                      const char *options)
{
    if (out->len && out->ptr[out->len - 1] == '}')
        kn_buf_add_byte(out, ',');
    kn_buf_addc(out, "{\"destination\":");
    add_str(out, target);
    kn_buf_addc(out, ",\"type\":");
    add_str(out, type);
    kn_buf_addc(out, ",\"source\":");
    add_str(out, source);
    kn_buf_addf(out, ",\"options\":[%s]}", options);
}

static size_t depth_of(const char *path)
{
    size_t n = 0;
    for (; *path; path++)
        n += path[0] == '/' && path[1] && path[1] != '/';
    return n;
}

static void add_binds(const struct kn_oci *o, struct kn_buf *out)
{
    static const char *const propagation[] = {"rprivate", "rslave", "rshared"};
    // Outer mounts first, whatever the order in which they were named.
    size_t deepest = 0;
    for (size_t i = 0; i < o->mounts_len; i++)
        if (depth_of(o->mounts[i].target) > deepest)
            deepest = depth_of(o->mounts[i].target);
    for (size_t depth = 0; depth <= deepest; depth++)
        for (size_t i = 0; i < o->mounts_len; i++) {
            const struct kn_oci_mount *m = &o->mounts[i];
            char options[64];
            if (depth_of(m->target) != depth)
                continue;
            snprintf(options, sizeof options, "\"rbind\",\"%s\",\"%s\"",
                     propagation[m->propagation],
                     m->read_only_below ? "rro"
                     : m->read_only     ? "ro"
                                        : "rw");
            add_mount(out, m->target, "bind", m->source, options);
        }
}

static void add_mounts(const struct kn_oci *o, struct kn_buf *out)
{
    kn_buf_addc(out, ",\"mounts\":[");
    add_mount(out, "/proc", "proc", "proc", "\"nosuid\",\"noexec\",\"nodev\"");
    add_mount(out, "/dev", "tmpfs", "tmpfs",
              "\"nosuid\",\"strictatime\",\"mode=755\",\"size=65536k\"");
    add_mount(out, "/dev/pts", "devpts", "devpts",
              "\"nosuid\",\"noexec\",\"newinstance\",\"ptmxmode=0666\",\"mode=0620\",\"gid=5\"");
    if (o->own_shm)
        add_mount(out, "/dev/shm", "tmpfs", "shm",
                  "\"nosuid\",\"noexec\",\"nodev\",\"mode=1777\",\"size=65536k\"");
    add_mount(out, "/dev/mqueue", "mqueue", "mqueue", "\"nosuid\",\"noexec\",\"nodev\"");
    // sysfs can be mounted only by who owns the network namespace.
    const char *access = o->privileged ? "\"nosuid\",\"noexec\",\"nodev\",\"rw\""
                                       : "\"nosuid\",\"noexec\",\"nodev\",\"ro\"";
    add_mount(out, "/sys", "sysfs", "sysfs", access);
    add_mount(out, "/sys/fs/cgroup", "cgroup", "cgroup",
              o->privileged ? "\"nosuid\",\"noexec\",\"nodev\",\"relatime\",\"rw\""
                            : "\"nosuid\",\"noexec\",\"nodev\",\"relatime\",\"ro\"");
    add_binds(o, out);
    kn_buf_add_byte(out, ']');
}

static void add_namespace(struct kn_buf *out, const char *type, const struct kn_oci_ns *ns)
{
    if (ns && ns->kind == KN_OCI_NS_HOST)
        return;
    kn_buf_addf(out, ",{\"type\":\"%s\"", type);
    if (ns && ns->kind == KN_OCI_NS_PATH) {
        kn_buf_addc(out, ",\"path\":");
        add_str(out, ns->path);
    }
    kn_buf_add_byte(out, '}');
}

// Every device node of the machine, for privileged containers.
static void add_devices_below(struct kn_buf *out, const char *folder, int depth, bool *first)
{
    DIR *dir = depth > 3 ? NULL : opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char path[512];
        struct stat st;
        if (e->d_name[0] == '.' || strcmp(e->d_name, "pts") == 0 || strcmp(e->d_name, "shm") == 0 ||
            strcmp(e->d_name, "mqueue") == 0 || strcmp(e->d_name, "console") == 0 ||
            (size_t)snprintf(path, sizeof path, "%s/%s", folder, e->d_name) >= sizeof path ||
            lstat(path, &st) < 0)
            continue;
        if (S_ISDIR(st.st_mode))
            add_devices_below(out, path, depth + 1, first);
        if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
            continue;
        kn_buf_addc(out, *first ? "{\"path\":" : ",{\"path\":");
        *first = false;
        add_str(out, path);
        kn_buf_addf(
            out,
            ",\"type\":\"%s\",\"major\":%u,\"minor\":%u,\"fileMode\":%u,\"uid\":%u,\"gid\":%u}",
            S_ISCHR(st.st_mode) ? "c" : "b", major(st.st_rdev), minor(st.st_rdev),
            (unsigned)st.st_mode & 0777, (unsigned)st.st_uid, (unsigned)st.st_gid);
    }
    if (dir)
        closedir(dir);
}

static void add_resources(const struct kn_oci *o, struct kn_buf *out)
{
    kn_buf_addc(out, ",\"resources\":{\"devices\":[");
    if (o->device_rules)
        kn_buf_addf(out, "{\"allow\":%s,\"access\":\"rwm\"}", o->privileged ? "true" : "false");
    kn_buf_addc(out, "],\"cpu\":{");
    if (o->cpu_shares)
        kn_buf_addf(out, "\"shares\":%lld", (long long)o->cpu_shares);
    if (o->cpu_quota_us)
        kn_buf_addf(out, "%s\"quota\":%lld,\"period\":100000", o->cpu_shares ? "," : "",
                    (long long)o->cpu_quota_us);
    kn_buf_addc(out, "}");
    if (o->memory)
        kn_buf_addf(out, ",\"memory\":{\"limit\":%lld}", (long long)o->memory);
    if (o->pids)
        kn_buf_addf(out, ",\"pids\":{\"limit\":%lld}", (long long)o->pids);
    kn_buf_add_byte(out, '}');
}

static void add_paths(struct kn_buf *out, const char *name, const char *const *paths)
{
    kn_buf_addf(out, ",\"%s\":[", name);
    for (size_t i = 0; paths[i]; i++)
        kn_buf_addf(out, "%s\"%s\"", i ? "," : "", paths[i]);
    kn_buf_add_byte(out, ']');
}

static void add_masks(struct kn_buf *out)
{
    static const char *const masked[] = {"/proc/asound",
                                         "/proc/acpi",
                                         "/proc/interrupts",
                                         "/proc/kcore",
                                         "/proc/keys",
                                         "/proc/latency_stats",
                                         "/proc/timer_list",
                                         "/proc/timer_stats",
                                         "/proc/sched_debug",
                                         "/proc/scsi",
                                         "/sys/firmware",
                                         "/sys/devices/virtual/powercap",
                                         NULL};
    static const char *const read_only[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                            "/proc/sysrq-trigger", NULL};
    add_paths(out, "maskedPaths", masked);
    add_paths(out, "readonlyPaths", read_only);
}

static void add_linux(const struct kn_oci *o, struct kn_buf *out)
{
    kn_buf_addc(out, ",\"linux\":{\"namespaces\":[{\"type\":\"mount\"}");
    add_namespace(out, "network", &o->net);
    add_namespace(out, "ipc", &o->ipc);
    add_namespace(out, "uts", &o->uts);
    add_namespace(out, "pid", &o->pid);
    kn_buf_addc(out, "],\"cgroupsPath\":");
    add_str(out, o->cgroup_path);
    add_resources(o, out);
    if (o->sysctls_len) {
        kn_buf_addc(out, ",\"sysctl\":{");
        for (size_t i = 0; i < o->sysctls_len; i++) {
            if (i)
                kn_buf_add_byte(out, ',');
            kn_json_encode_str(out, o->sysctls[i].name);
            kn_buf_add_byte(out, ':');
            kn_json_encode_str(out, o->sysctls[i].value);
        }
        kn_buf_add_byte(out, '}');
    }
    if (o->privileged) {
        bool first = true;
        kn_buf_addc(out, ",\"devices\":[");
        add_devices_below(out, "/dev", 0, &first);
        kn_buf_add_byte(out, ']');
    }
    if (!o->privileged && !o->unmasked)
        add_masks(out);
    if (o->seccomp == KN_SECCOMP_DEFAULT) {
        kn_buf_addc(out, ",\"seccomp\":");
        kn_seccomp_default_write(o->caps, out);
    } else if (o->seccomp == KN_SECCOMP_FILE) {
        kn_buf_addc(out, ",\"seccomp\":");
        kn_buf_add(out, o->seccomp_json);
    }
    kn_buf_add_byte(out, '}');
}

void kn_oci_write(const struct kn_oci *o, struct kn_buf *out)
{
    kn_buf_addc(out, "{\"ociVersion\":\"1.0.2\",\"process\":");
    kn_oci_write_process(o, out);
    kn_buf_addc(out, ",\"root\":{\"path\":");
    add_str(out, o->rootfs);
    kn_buf_addf(out, ",\"readonly\":%s}", o->read_only_root ? "true" : "false");
    if (o->hostname) {
        kn_buf_addc(out, ",\"hostname\":");
        add_str(out, o->hostname);
    }
    add_mounts(o, out);
    add_linux(o, out);
    kn_buf_add_byte(out, '}');
}

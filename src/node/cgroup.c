#include "node/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/syscall.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/num.h"

#define CGROUP2_MAGIC_NUMBER 0x63677270
#define TOP "/sys/fs/cgroup"

struct kn_cgroups {
    enum kn_cgroup_version version;
    char *dirs[16]; // v1: the folder of each hierarchy
    size_t dirs_len;
    const char *memory, *cpu, *cpuacct, *pids; // of dirs; v2: TOP for each
};

static bool names_controller(const char *dir, const char *controller)
{
    struct kn_sv rest = kn_sv_c(dir);
    do {
        if (kn_sv_is(kn_sv_cut(&rest, ','), controller))
            return true;
    } while (rest.ptr);
    return false;
}

static void add_hierarchy(struct kn_cgroups *c, const char *name)
{
    char path[PATH_MAX];
    struct stat st;
    snprintf(path, sizeof path, TOP "/%s", name);
    if (c->dirs_len == KN_ARRAY_LEN(c->dirs) || lstat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return;
    snprintf(path, sizeof path, TOP "/%s/cgroup.procs", name);
    if (strcmp(name, "unified") == 0 || access(path, F_OK) < 0)
        return;
    char *dir = kn_alloc(strlen(name) + sizeof TOP + 1);
    snprintf(dir, strlen(name) + sizeof TOP + 1, TOP "/%s", name);
    c->dirs[c->dirs_len++] = dir;
    if (names_controller(name, "memory"))
        c->memory = dir;
    if (names_controller(name, "cpu"))
        c->cpu = dir;
    if (names_controller(name, "cpuacct"))
        c->cpuacct = dir;
    if (names_controller(name, "pids"))
        c->pids = dir;
}

struct kn_status kn_cgroups_open(struct kn_cgroups **ret)
{
    struct statfs st;
    if (statfs(TOP, &st) < 0)
        return kn_error_errno(errno, "look at " TOP);
    struct kn_cgroups *c = KN_NEW(struct kn_cgroups);
    if ((long)st.f_type == CGROUP2_MAGIC_NUMBER) {
        c->version = KN_CGROUP_V2;
        c->memory = c->cpu = c->cpuacct = c->pids = TOP;
        *ret = c;
        return KN_STATUS_OK;
    }
    c->version = KN_CGROUP_V1;
    DIR *dir = opendir(TOP);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (e->d_name[0] != '.')
            add_hierarchy(c, e->d_name);
    if (dir)
        closedir(dir);
    if (!c->memory || !c->cpu) {
        kn_cgroups_free(c);
        return kn_error(KN_NOT_SUPPORTED, TOP " has no memory and cpu controllers (neither cgroup "
                                              "v2 nor v1 is mounted there)");
    }
    *ret = c;
    return KN_STATUS_OK;
}

void kn_cgroups_free(struct kn_cgroups *c)
{
    for (size_t i = 0; c && i < c->dirs_len; i++)
        free(c->dirs[i]);
    free(c);
}

enum kn_cgroup_version kn_cgroups_version(const struct kn_cgroups *c)
{
    return c->version;
}

int64_t kn_cgroup_weight(int64_t shares)
{
    if (shares < 2)
        shares = 2;
    if (shares > 262144)
        shares = 262144;
    return 1 + ((shares - 2) * 9999) / 262142;
}

static struct kn_status write_file(const char *dir, const char *path, const char *file,
                                   const char *text)
{
    char name[PATH_MAX];
    snprintf(name, sizeof name, "%s/%s/%s", dir, path, file);
    KN_CLEANUP(kn_cleanup_fd) int fd = open(name, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return kn_error_errno(errno, "open %s", name);
    return kn_wrap(kn_fd_write_all(fd, kn_sv_c(text)), "%s", name);
}

static struct kn_status write_number(const char *dir, const char *path, const char *file, int64_t n)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)n);
    return write_file(dir, path, file, text);
}

static struct kn_status make_dir(const char *dir, const char *path)
{
    char name[PATH_MAX];
    snprintf(name, sizeof name, "%s/%s", dir, path);
    if (mkdir(name, 0755) == 0 || errno == EEXIST)
        return KN_STATUS_OK;
    return kn_dir_make(name, 0755);
}

// v2: a controller works in a group only if every group above hands it down.
static void hand_down(const char *path)
{
    static const char *const wanted[] = {"+cpu", "+memory", "+pids", "+cpuset", "+io"};
    char at[PATH_MAX] = "";
    size_t len = 0;
    struct kn_sv rest = kn_sv_c(path);
    do {
        for (size_t i = 0; i < KN_ARRAY_LEN(wanted); i++)
            KN_IGNORE(write_file(TOP, at, "cgroup.subtree_control", wanted[i]));
        struct kn_sv part = kn_sv_cut(&rest, '/');
        len += (size_t)snprintf(at + len, sizeof at - len, "/%.*s", KN_SV_ARG(part));
    } while (rest.ptr && len < sizeof at);
    for (size_t i = 0; i < KN_ARRAY_LEN(wanted); i++)
        KN_IGNORE(write_file(TOP, at, "cgroup.subtree_control", wanted[i]));
}

static struct kn_status make_v2(const char *path, const struct kn_cgroup_limits *l)
{
    char text[64];
    KN_TRY(make_dir(TOP, path));
    hand_down(path);
    if (l->cpu_shares)
        KN_TRY(write_number(TOP, path, "cpu.weight", kn_cgroup_weight(l->cpu_shares)));
    if (l->cpu_quota_us) {
        snprintf(text, sizeof text, "%lld 100000", (long long)l->cpu_quota_us);
        KN_TRY(write_file(TOP, path, "cpu.max", text));
    }
    if (l->memory)
        KN_TRY(write_number(TOP, path, "memory.max", l->memory));
    if (l->pids)
        KN_TRY(write_number(TOP, path, "pids.max", l->pids));
    return KN_STATUS_OK;
}

struct kn_status kn_cgroup_make(const struct kn_cgroups *c, const char *path,
                                const struct kn_cgroup_limits *l)
{
    if (c->version == KN_CGROUP_V2)
        return make_v2(path, l);
    KN_TRY(make_dir(c->memory, path));
    KN_TRY(make_dir(c->cpu, path));
    if (l->cpu_shares)
        KN_TRY(write_number(c->cpu, path, "cpu.shares", l->cpu_shares));
    if (l->cpu_quota_us)
        KN_TRY(write_number(c->cpu, path, "cpu.cfs_quota_us", l->cpu_quota_us));
    if (l->memory)
        KN_TRY(write_number(c->memory, path, "memory.limit_in_bytes", l->memory));
    if (l->pids && c->pids) {
        KN_TRY(make_dir(c->pids, path));
        KN_TRY(write_number(c->pids, path, "pids.max", l->pids));
    }
    return KN_STATUS_OK;
}

static void kill_below(const char *dir, int depth)
{
    char name[PATH_MAX];
    snprintf(name, sizeof name, "%s/cgroup.procs", dir);
    struct kn_buf procs = KN_BUF(1u << 20);
    KN_IGNORE(kn_file_read(name, 1u << 20, &procs));
    struct kn_sv rest = kn_buf_sv(&procs);
    while (rest.len) {
        int64_t pid;
        struct kn_status s = kn_num_parse(kn_sv_cut(&rest, '\n'), 2, INT_MAX, &pid);
        if (kn_ok(s))
            kill((pid_t)pid, SIGKILL);
        kn_status_done(&s);
    }
    kn_buf_done(&procs);
    DIR *d = depth > 8 ? NULL : opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_type == DT_DIR && e->d_name[0] != '.') {
            snprintf(name, sizeof name, "%s/%s", dir, e->d_name);
            kill_below(name, depth + 1);
        }
    if (d)
        closedir(d);
}

void kn_cgroup_kill(const struct kn_cgroups *c, const char *path)
{
    char name[PATH_MAX];
    if (c->version == KN_CGROUP_V2) {
        struct kn_status s = write_file(TOP, path, "cgroup.kill", "1");
        bool done = kn_ok(s);
        kn_status_done(&s);
        if (done)
            return;
    }
    snprintf(name, sizeof name, "%s/%s", c->memory, path);
    kill_below(name, 0);
}

// A process in the group or below, as a pidfd: -1 if there is none.
static int somebody_below(const char *dir, int depth)
{
    char name[PATH_MAX];
    int fd = -1;
    snprintf(name, sizeof name, "%s/cgroup.procs", dir);
    struct kn_buf procs = KN_BUF(1u << 20);
    KN_IGNORE(kn_file_read(name, 1u << 20, &procs));
    struct kn_sv rest = kn_buf_sv(&procs);
    while (rest.len && fd < 0) {
        int64_t pid;
        struct kn_status s = kn_num_parse(kn_sv_cut(&rest, '\n'), 2, INT_MAX, &pid);
        if (kn_ok(s))
            fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
        kn_status_done(&s);
    }
    kn_buf_done(&procs);
    DIR *d = depth > 8 || fd >= 0 ? NULL : opendir(dir);
    for (struct dirent *e; d && fd < 0 && (e = readdir(d));)
        if (e->d_type == DT_DIR && e->d_name[0] != '.') {
            snprintf(name, sizeof name, "%s/%s", dir, e->d_name);
            fd = somebody_below(name, depth + 1);
        }
    if (d)
        closedir(d);
    return fd;
}

bool kn_cgroup_drain(const struct kn_cgroups *c, const char *path, int64_t deadline)
{
    char name[PATH_MAX];
    snprintf(name, sizeof name, "%s/%s", c->memory, path);
    for (;;) {
        kn_cgroup_kill(c, path); // again, for what was forked meanwhile
        int fd = somebody_below(name, 0);
        if (fd < 0)
            return true;
        int64_t left = deadline - kn_mono();
        struct pollfd p = {fd, POLLIN, 0};
        if (left > 0)
            (void)poll(&p, 1, left < KN_SECOND * 1000 ? (int)(left / KN_MILLI) + 1 : 1000000);
        close(fd);
        if (left <= 0)
            return false;
    }
}

static struct kn_status remove_below(const char *dir, int depth)
{
    char name[PATH_MAX];
    if (rmdir(dir) == 0 || errno == ENOENT)
        return KN_STATUS_OK;
    DIR *d = depth > 8 ? NULL : opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_type == DT_DIR && e->d_name[0] != '.') {
            snprintf(name, sizeof name, "%s/%s", dir, e->d_name);
            KN_IGNORE(remove_below(name, depth + 1));
        }
    if (d)
        closedir(d);
    if (rmdir(dir) == 0 || errno == ENOENT)
        return KN_STATUS_OK;
    int err = errno;
    return err == EBUSY ? kn_error(KN_CONFLICT, "remove %s: processes live in it", dir)
                        : kn_error_errno(err, "remove %s", dir);
}

struct kn_status kn_cgroup_remove(const struct kn_cgroups *c, const char *path)
{
    char name[PATH_MAX];
    if (c->version == KN_CGROUP_V2) {
        snprintf(name, sizeof name, TOP "/%s", path);
        return remove_below(name, 0);
    }
    struct kn_status first = KN_STATUS_OK;
    for (size_t i = 0; i < c->dirs_len; i++) {
        snprintf(name, sizeof name, "%s/%s", c->dirs[i], path);
        struct kn_status s = remove_below(name, 0);
        if (kn_ok(first))
            first = s;
        else
            kn_status_done(&s);
    }
    return first;
}

bool kn_cgroup_exists(const struct kn_cgroups *c, const char *path)
{
    char name[PATH_MAX];
    snprintf(name, sizeof name, "%s/%s", c->memory, path);
    return access(name, F_OK) == 0;
}

// The number in a file, or after `key ` at the start of a line.
static int64_t read_number(const char *dir, const char *path, const char *file, const char *key)
{
    char name[PATH_MAX];
    if (!dir)
        return 0;
    snprintf(name, sizeof name, "%s/%s/%s", dir, path, file);
    struct kn_buf text = KN_BUF(65536);
    int64_t n = 0;
    struct kn_status s = kn_file_read(name, 65536, &text);
    struct kn_sv rest = kn_sv_trim(kn_buf_sv(&text));
    while (kn_ok(s) && rest.len) {
        struct kn_sv line = kn_sv_cut(&rest, '\n');
        struct kn_sv word = key ? kn_sv_cut(&line, ' ') : KN_SV_NULL;
        if (key && !kn_sv_is(word, key))
            continue;
        KN_IGNORE(kn_num_parse(kn_sv_trim(line), 0, INT64_MAX, &n));
        break;
    }
    kn_status_done(&s);
    kn_buf_done(&text);
    return n;
}

void kn_cgroup_stat(const struct kn_cgroups *c, const char *path, struct kn_cgroup_stat *ret)
{
    bool v2 = c->version == KN_CGROUP_V2;
    *ret = (struct kn_cgroup_stat){0};
    if (v2) {
        ret->cpu_ns = read_number(TOP, path, "cpu.stat", "usage_usec") * 1000;
        ret->memory = read_number(TOP, path, "memory.current", NULL);
        ret->rss = read_number(TOP, path, "memory.stat", "anon");
        ret->oom_kills = read_number(TOP, path, "memory.events", "oom_kill");
    } else {
        ret->cpu_ns = read_number(c->cpuacct, path, "cpuacct.usage", NULL);
        ret->memory = read_number(c->memory, path, "memory.usage_in_bytes", NULL);
        ret->rss = read_number(c->memory, path, "memory.stat", "total_rss");
        ret->oom_kills = read_number(c->memory, path, "memory.oom_control", "oom_kill");
    }
    int64_t inactive = read_number(c->memory, path, "memory.stat",
                                   v2 ? "inactive_file" : "total_inactive_file");
    ret->working_set = ret->memory > inactive ? ret->memory - inactive : 0;
    ret->pids = read_number(c->pids, path, "pids.current", NULL);
}

void kn_cgroup_oom_file(const struct kn_cgroups *c, const char *path, char *out, size_t size)
{
    snprintf(out, size, "%s/%s/%s", c->memory, path,
             c->version == KN_CGROUP_V2 ? "memory.events" : "memory.oom_control");
}

void kn_cgroup_children(const struct kn_cgroups *c, const char *path,
                        void (*visit)(const char *name, void *arg), void *arg)
{
    char name[PATH_MAX];
    snprintf(name, sizeof name, "%s/%s", c->memory, path);
    DIR *d = opendir(name);
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_type == DT_DIR && e->d_name[0] != '.')
            visit(e->d_name, arg);
    if (d)
        closedir(d);
}

#include "node/space.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/file.h"
#include "base/log.h"

#define NSFS_MAGIC_NUMBER 0x6e736673
#define CGROUP2_MAGIC_NUMBER 0x63677270

static struct kn_status do_mount(const char *what, const char *where, const char *type,
                                 unsigned long flags, const char *data)
{
    if (mount(what, where, type, flags, data) < 0)
        return kn_error_errno(errno, "mount %s on %s",
                              what   ? what
                              : type ? type
                                     : "(propagation)",
                              where);
    return KN_STATUS_OK;
}

static bool is_filesystem(const char *path, long magic)
{
    struct statfs st;
    return statfs(path, &st) == 0 && (long)st.f_type == magic;
}

static bool is_mount_point(const char *path)
{
    char up[PATH_MAX];
    struct stat a, b;
    snprintf(up, sizeof up, "%s/..", path);
    return stat(path, &a) == 0 && stat(up, &b) == 0 && a.st_dev != b.st_dev;
}

// Hierarchies that an OCI runtime needs; the fewer there are, the faster a container starts.
static bool is_wanted(const char *name)
{
    static const char *const wanted[] = {"memory", "cpu",     "cpuacct",     "pids",       "cpuset",
                                         "devices", "freezer", "cpu,cpuacct", "cpuacct,cpu"};
    for (size_t i = 0; i < KN_ARRAY_LEN(wanted); i++)
        if (strcmp(name, wanted[i]) == 0)
            return true;
    return false;
}

static struct kn_status show_one(const char *name, const char *view)
{
    char from[PATH_MAX], to[PATH_MAX], link[256];
    snprintf(from, sizeof from, "/sys/fs/cgroup/%s", name);
    snprintf(to, sizeof to, "%s/%s", view, name);
    ssize_t n = readlink(from, link, sizeof link - 1);
    if (n > 0) {
        link[n] = '\0';
        return symlink(link, to) < 0 ? kn_error_errno(errno, "link %s", to) : KN_STATUS_OK;
    }
    if (mkdir(to, 0755) < 0)
        return kn_error_errno(errno, "make the folder %s", to);
    return do_mount(from, to, NULL, MS_BIND, NULL);
}

// On a hybrid machine: an own /sys/fs/cgroup with nothing but v1 hierarchies.
static struct kn_status hide_unified(const char *run_dir)
{
    if (is_filesystem("/sys/fs/cgroup", CGROUP2_MAGIC_NUMBER) ||
        access("/sys/fs/cgroup/unified", F_OK) < 0)
        return KN_STATUS_OK;
    char view[PATH_MAX];
    snprintf(view, sizeof view, "%s/cgroup-view", run_dir);
    KN_TRY(kn_dir_make(view, 0755));
    KN_TRY(do_mount("cgroup-view", view, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755"));
    DIR *dir = opendir("/sys/fs/cgroup");
    if (!dir)
        return kn_error_errno(errno, "read /sys/fs/cgroup");
    struct kn_status s = KN_STATUS_OK;
    for (struct dirent *e; kn_ok(s) && (e = readdir(dir));)
        if (is_wanted(e->d_name))
            s = show_one(e->d_name, view);
    closedir(dir);
    KN_TRY(s);
    KN_TRY(do_mount(NULL, "/sys/fs/cgroup", NULL, MS_PRIVATE, NULL));
    KN_TRY(do_mount(view, "/sys/fs/cgroup", NULL, MS_MOVE, NULL));
    rmdir(view);
    return KN_STATUS_OK;
}

static void favour_dynamic_cgroups(const char *run_dir)
{
    if (is_filesystem("/sys/fs/cgroup", CGROUP2_MAGIC_NUMBER))
        return; // clone3 puts processes into v2 cgroups without a wait
    char dir[PATH_MAX];
    snprintf(dir, sizeof dir, "%s/dynmods", run_dir);
    if (mkdir(dir, 0700) == 0 || errno == EEXIST) {
        if (mount("cgroup", dir, "cgroup", 0, "none,name=knarr-dynmods,favordynmods") == 0)
            umount2(dir, MNT_DETACH);
        else
            kn_debug(
                "favordynmods is not known to this kernel: containers start about 10 ms later");
        rmdir(dir);
    }
}

static struct kn_status furnish(const struct kn_space_config *c)
{
    char node[PATH_MAX];
    snprintf(node, sizeof node, "%s/node", c->run_dir);
    KN_TRY(kn_dir_make(node, 0711));
    if (!is_mount_point(node))
        KN_TRY(do_mount("knarr-node", node, "tmpfs", MS_NOSUID | MS_NODEV, "mode=711,size=10%"));
    KN_TRY(hide_unified(c->run_dir));
    if (!c->slow_cgroups)
        favour_dynamic_cgroups(c->run_dir);
    return KN_STATUS_OK;
}

// The folder of the pin must be a private mount, or the kernel refuses to hold the namespace.
static struct kn_status prepare_pin(const char *folder, const char *pin)
{
    KN_TRY(kn_dir_make(folder, 0700));
    if (!is_mount_point(folder)) {
        KN_TRY(do_mount("knarr-ns", folder, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                        "mode=700,size=64k"));
        KN_TRY(do_mount(NULL, folder, NULL, MS_PRIVATE, NULL));
    }
    int fd = open(pin, O_CREAT | O_RDONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        return kn_error_errno(errno, "make %s", pin);
    close(fd);
    return KN_STATUS_OK;
}

static struct kn_status enter_fd(int fd, const char *pin)
{
    if (setns(fd, CLONE_NEWNS) < 0)
        return kn_error_errno(errno, "enter the mount namespace %s", pin);
    return KN_STATUS_OK;
}

static void pin_path(const char *run_dir, char folder[PATH_MAX], char pin[PATH_MAX])
{
    snprintf(folder, PATH_MAX, "%.*s/ns", PATH_MAX - 16, run_dir);
    snprintf(pin, PATH_MAX, "%.*s/ns/mnt", PATH_MAX - 16, run_dir);
}

struct kn_status kn_space_join(const char *run_dir)
{
    char folder[PATH_MAX], pin[PATH_MAX];
    pin_path(run_dir, folder, pin);
    if (!is_filesystem(pin, NSFS_MAGIC_NUMBER))
        return kn_error(KN_NOT_FOUND, "there is no mount namespace at %s", pin);
    KN_CLEANUP(kn_cleanup_fd) int fd = open(pin, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return kn_error_errno(errno, "open %s", pin);
    return enter_fd(fd, pin);
}

// One attempt from the machine's own namespace, in which it ends when it fails. ret_older: the new
// namespace could not be pinned since the kernel takes it for older than the machine's.
static struct kn_status make_space(const struct kn_space_config *c, int host, const char *folder,
                                   const char *pin, bool *ret_older)
{
    char self[64];
    *ret_older = false;
    if (unshare(CLONE_NEWNS) < 0)
        return kn_error_errno(errno, "make a mount namespace");
    KN_CLEANUP(kn_cleanup_fd) int mine = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (mine < 0)
        return kn_error_errno(errno, "open the mount namespace");
    KN_TRY(do_mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL));
    // The copy of the pin's folder that came along would keep the pin's mount busy.
    umount2(folder, MNT_DETACH);
    KN_TRY(furnish(c));
    // Only what is complete is pinned: an agent that dies here leaves nothing behind.
    KN_TRY(enter_fd(host, "of the machine"));
    snprintf(self, sizeof self, "/proc/self/fd/%d", mine);
    if (mount(self, pin, NULL, MS_BIND, NULL) < 0) {
        *ret_older = errno == EINVAL;
        return kn_error_errno(errno, "mount %s on %s", self, pin);
    }
    return enter_fd(mine, pin);
}

// Entering a mount namespace puts a process at its root: one in a chroot is then outside, among
// paths of another system.
static struct kn_status refuse_chroot(int host)
{
    struct stat before, after;
    if (stat("/", &before) < 0)
        return kn_error_errno(errno, "look at /");
    KN_TRY(enter_fd(host, "of the machine"));
    if (stat("/", &after) < 0)
        return kn_error_errno(errno, "look at /");
    if (before.st_dev == after.st_dev && before.st_ino == after.st_ino)
        return KN_STATUS_OK;
    return kn_error(
        KN_NOT_SUPPORTED,
        "this system runs in a chroot, and containers need a root of their own: start it "
        "with pivot_root, as `systemd-nspawn -D FOLDER` does, in place of chroot");
}

struct kn_status kn_space_enter(const struct kn_space_config *c)
{
    if (c->in_private)
        return furnish(c);
    struct kn_status joined = kn_space_join(c->run_dir);
    if (joined.code != KN_NOT_FOUND)
        return joined;
    kn_status_done(&joined);
    char folder[PATH_MAX], pin[PATH_MAX];
    pin_path(c->run_dir, folder, pin);
    KN_TRY(prepare_pin(folder, pin));
    KN_CLEANUP(kn_cleanup_fd) int host = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (host < 0)
        return kn_error_errno(errno, "open the mount namespace of the machine");
    KN_TRY(refuse_chroot(host));
    // A mount holds only a namespace younger than its own. Linux hands out the numbers that it
    // tells the age by in batches, one a CPU: where "the machine" is itself in a namespace (a
    // container), a new one may look older on one CPU and younger on the next.
    bool older;
    struct kn_status s = make_space(c, host, folder, pin, &older);
    cpu_set_t before, one;
    if (kn_ok(s) || !older || sched_getaffinity(0, sizeof before, &before) < 0)
        return s;
    for (int cpu = 0; cpu < CPU_SETSIZE && !kn_ok(s) && older; cpu++) {
        if (!CPU_ISSET(cpu, &before))
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        sched_setaffinity(0, sizeof one, &one);
        kn_status_done(&s);
        s = make_space(c, host, folder, pin, &older);
    }
    sched_setaffinity(0, sizeof before, &before);
    return s;
}

struct kn_status kn_space_remove(const char *run_dir)
{
    char folder[PATH_MAX], pin[PATH_MAX];
    pin_path(run_dir, folder, pin);
    if (is_filesystem(pin, NSFS_MAGIC_NUMBER) && umount2(pin, MNT_DETACH) < 0)
        return kn_error_errno(errno, "unmount %s", pin);
    if (is_mount_point(folder) && umount2(folder, MNT_DETACH) < 0)
        return kn_error_errno(errno, "unmount %s", folder);
    rmdir(folder);
    return KN_STATUS_OK;
}

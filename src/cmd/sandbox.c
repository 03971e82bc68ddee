#include "cmd/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"

static struct kn_status bind(const char *path, const char *at, unsigned long flags)
{
    if (mount(path, at, NULL, MS_BIND, NULL) < 0 ||
        mount(NULL, at, NULL, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | MS_NOEXEC | flags,
              NULL) < 0)
        return kn_error_errno(errno, "show %s to the server", path);
    return KN_STATUS_OK;
}

// A new root: a small tmpfs with the data folder, /dev/null and /dev/urandom.
static struct kn_status change_root(const char *data, const char *root)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return kn_error_errno(errno, "make a mount namespace");
    KN_TRY(kn_dir_make(root, 0755));
    if (mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=64k") < 0)
        return kn_error_errno(errno, "mount the server's root");
    char at[4096];
    snprintf(at, sizeof at, "%s%s", root, data);
    KN_TRY(kn_dir_make(at, 0755));
    KN_TRY(bind(data, at, 0));
    snprintf(at, sizeof at, "%s/dev", root);
    KN_TRY(kn_dir_make(at, 0755));
    static const char *const devices[] = {"/dev/null", "/dev/urandom"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(at, sizeof at, "%s%s", root, devices[i]);
        int fd = open(at, O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
        if (fd < 0 || mount(devices[i], at, NULL, MS_BIND, NULL) < 0)
            return kn_error_errno(errno, "show %s to the server", devices[i]);
        close(fd);
    }
    // The old root is put over the new one and taken away: nothing of it stays reachable.
    if (chdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 ||
        chdir("/") < 0 ||
        mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NOEXEC, NULL) < 0)
        return kn_error_errno(errno, "change to the server's root");
    return KN_STATUS_OK;
}

static struct kn_status drop_user(uid_t uid, gid_t gid)
{
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
        prctl(PR_CAPBSET_DROP, cap);
    if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
        return kn_error_errno(errno, "become the server's user");
    if (uid == 0 || setuid(0) == 0)
        return kn_error(KN_FORBIDDEN, "the server must not run as root");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return kn_error_errno(errno, "give up new privileges");
    return KN_STATUS_OK;
}

// What a server of files and sockets never does. Everything else is allowed: a list of what is
// allowed would break with the next libc, and what matters here is that no other program can be
// started and no kernel surface beyond files, sockets and threads can be reached.
static struct kn_status filter(void)
{
    // clang-format off
    static const char *const calls[] = {
        "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "mount", "umount2",
        "pivot_root", "chroot", "unshare", "setns", "kexec_load", "kexec_file_load", "init_module",
        "finit_module", "delete_module", "bpf", "perf_event_open", "keyctl", "add_key",
        "request_key", "userfaultfd", "open_by_handle_at", "name_to_handle_at", "reboot", "swapon",
        "swapoff", "settimeofday", "clock_settime", "adjtimex", "sethostname", "setdomainname",
        "quotactl", "io_uring_setup", "io_uring_enter", "io_uring_register", "fsopen", "fsmount",
        "move_mount", "open_tree", "mknod", "mknodat", "acct", "personality", "fork", "vfork"};
    // clang-format on
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    int err = ctx ? 0 : -ENOMEM;
    for (size_t i = 0; err == 0 && i < sizeof calls / sizeof calls[0]; i++) {
        int nr = seccomp_syscall_resolve_name(calls[i]);
        if (nr != __NR_SCMP_ERROR)
            err = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), nr, 0);
    }
    if (err == 0)
        err = seccomp_load(ctx);
    if (ctx)
        seccomp_release(ctx);
    return err ? kn_error_errno(-err, "load the list of system calls") : KN_STATUS_OK;
}

struct kn_status kn_sandbox_enter(uid_t uid, gid_t gid, const char *data, const char *root)
{
    KN_TRY(change_root(data, root));
    KN_TRY(drop_user(uid, gid));
    return filter();
}

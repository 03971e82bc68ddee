#include "node/seccomp_default.h"

#include <linux/capability.h>

#include "base/mem.h"

static const char *const allowed[] = {
    "_llseek", "_newselect", "accept", "accept4", "access", "adjtimex", "alarm", "arch_prctl",
    "bind", "brk", "cachestat", "capget", "capset", "chdir", "chmod", "chown", "chown32",
    "clock_getres", "clock_gettime", "clock_gettime64", "clock_nanosleep",
    "clock_nanosleep_time64", "close", "close_range", "connect", "copy_file_range", "creat",
    "dup", "dup2", "dup3", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old",
    "epoll_pwait", "epoll_pwait2", "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2",
    "execve", "execveat", "exit", "exit_group", "faccessat", "faccessat2", "fadvise64",
    "fallocate", "fanotify_mark", "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown",
    "fchown32", "fchownat", "fcntl", "fcntl64", "fdatasync", "fgetxattr", "flistxattr", "flock",
    "fork", "fremovexattr", "fsetxattr", "fstat", "fstat64", "fstatat64", "fstatfs", "fstatfs64",
    "fsync", "ftruncate", "ftruncate64", "futex", "futex_requeue", "futex_time64", "futex_wait",
    "futex_waitv", "futex_wake", "futimesat", "get_robust_list", "get_thread_area", "getcpu",
    "getcwd", "getdents", "getdents64", "getegid", "getegid32", "geteuid", "geteuid32", "getgid",
    "getgid32", "getgroups", "getgroups32", "getitimer", "getpeername", "getpgid", "getpgrp",
    "getpid", "getppid", "getpriority", "getrandom", "getresgid", "getresgid32", "getresuid",
    "getresuid32", "getrlimit", "getrusage", "getsid", "getsockname", "getsockopt", "gettid",
    "gettimeofday", "getuid", "getuid32", "getxattr", "getxattrat", "inotify_add_watch",
    "inotify_init", "inotify_init1", "inotify_rm_watch", "io_cancel", "io_destroy",
    "io_getevents", "io_pgetevents", "io_setup", "io_submit", "ioctl", "ioprio_get", "ioprio_set",
    "kill", "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "lchown",
    "lchown32", "lgetxattr", "link", "linkat", "listen", "listmount", "listxattr", "listxattrat",
    "llistxattr", "lremovexattr", "lseek", "lsetxattr", "lstat", "lstat64", "madvise",
    "map_shadow_stack", "membarrier", "memfd_create", "memfd_secret", "mincore", "mkdir",
    "mkdirat", "mknod", "mknodat", "mlock", "mlock2", "mlockall", "mmap", "mmap2", "modify_ldt",
    "mprotect", "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedsend",
    "mq_unlink", "mremap", "mseal", "msgctl", "msgget", "msgrcv", "msgsnd", "msync", "munlock",
    "munlockall", "munmap", "name_to_handle_at", "nanosleep", "newfstatat", "open", "openat",
    "openat2", "pause", "pidfd_open", "pidfd_send_signal", "pipe", "pipe2", "pkey_alloc",
    "pkey_free", "pkey_mprotect", "poll", "ppoll", "ppoll_time64", "prctl", "pread64", "preadv",
    "preadv2", "prlimit64", "process_mrelease", "pselect6", "pselect6_time64", "ptrace",
    "pwrite64", "pwritev", "pwritev2", "read", "readahead", "readlink", "readlinkat", "readv",
    "recv", "recvfrom", "recvmmsg", "recvmsg", "remap_file_pages", "removexattr", "removexattrat",
    "rename", "renameat", "renameat2", "restart_syscall", "rmdir", "rseq", "rt_sigaction",
    "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend",
    "rt_sigtimedwait", "rt_tgsigqueueinfo", "sched_get_priority_max", "sched_get_priority_min",
    "sched_getaffinity", "sched_getattr", "sched_getparam", "sched_getscheduler",
    "sched_rr_get_interval", "sched_setaffinity", "sched_setattr", "sched_setparam",
    "sched_setscheduler", "sched_yield", "seccomp", "select", "semctl", "semget", "semop",
    "semtimedop", "send", "sendfile", "sendmmsg", "sendmsg", "sendto", "set_robust_list",
    "set_thread_area", "set_tid_address", "setfsgid", "setfsgid32", "setfsuid", "setfsuid32",
    "setgid", "setgid32", "setgroups", "setgroups32", "setitimer", "setpgid", "setpriority",
    "setregid", "setregid32", "setresgid", "setresgid32", "setresuid", "setresuid32", "setreuid",
    "setreuid32", "setrlimit", "setsid", "setsockopt", "setuid", "setuid32", "setxattr",
    "setxattrat", "shmat", "shmctl", "shmdt", "shmget", "shutdown", "sigaltstack", "signalfd",
    "signalfd4", "sigreturn", "socket", "socketcall", "socketpair", "splice", "stat", "stat64",
    "statfs", "statfs64", "statmount", "statx", "symlink", "symlinkat", "sync", "sync_file_range",
    "syncfs", "sysinfo", "tee", "tgkill", "time", "timer_create", "timer_delete",
    "timer_getoverrun", "timer_gettime", "timer_settime", "timerfd_create", "timerfd_gettime",
    "timerfd_settime", "times", "tkill", "truncate", "truncate64", "ugetrlimit", "umask", "uname",
    "unlink", "unlinkat", "utime", "utimensat", "utimes", "vfork", "vmsplice", "wait4", "waitid",
    "waitpid", "write", "writev",
};

struct with_cap {
    int cap;
    const char *names; // as JSON
};

static const struct with_cap with_caps[] = {
    {CAP_DAC_READ_SEARCH, "\"open_by_handle_at\""},
    {CAP_SYS_ADMIN,
     "\"bpf\",\"clone\",\"clone3\",\"fanotify_init\",\"fsconfig\",\"fsmount\",\"fsopen\","
     "\"fspick\","
     "\"lookup_dcookie\",\"mount\",\"mount_setattr\",\"move_mount\",\"open_tree\","
     "\"perf_event_open\","
     "\"quotactl\",\"quotactl_fd\",\"setdomainname\",\"sethostname\",\"setns\",\"syslog\","
     "\"umount\","
     "\"umount2\",\"unshare\""},
    {CAP_SYS_BOOT, "\"reboot\""},
    {CAP_SYS_CHROOT, "\"chroot\""},
    {CAP_SYS_MODULE, "\"delete_module\",\"init_module\",\"finit_module\""},
    {CAP_SYS_PACCT, "\"acct\""},
    {CAP_SYS_PTRACE,
     "\"kcmp\",\"pidfd_getfd\",\"process_madvise\",\"process_vm_readv\",\"process_vm_writev\""},
    {CAP_SYS_RAWIO, "\"iopl\",\"ioperm\""},
    {CAP_SYS_TIME, "\"settimeofday\",\"stime\",\"clock_settime\",\"clock_adjtime\""},
    {CAP_SYS_TTY_CONFIG, "\"vhangup\""},
    {CAP_SYS_NICE,
     "\"get_mempolicy\",\"mbind\",\"set_mempolicy\",\"migrate_pages\",\"move_pages\""},
    {CAP_SYSLOG, "\"syslog\""},
    {CAP_BPF, "\"bpf\""},
    {CAP_PERFMON, "\"perf_event_open\""},
};

static void allow_if(struct kn_buf *out, const char *name, unsigned index, uint64_t value,
                     const char *op)
{
    kn_buf_addf(
        out,
        ",{\"names\":[\"%s\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":%u,\"value\":"
        "%llu,\"valueTwo\":0,\"op\":\"%s\"}]}",
        name, index, (unsigned long long)value, op);
}

void kn_seccomp_default_write(uint64_t caps, struct kn_buf *out)
{
    kn_buf_addc(out,
                "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":1,\"architectures\":["
#if defined(__x86_64__)
                "\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_X86\",\"SCMP_ARCH_X32\""
#elif defined(__aarch64__)
                "\"SCMP_ARCH_AARCH64\",\"SCMP_ARCH_ARM\""
#endif
                "],\"syscalls\":[{\"names\":[");
    for (size_t i = 0; i < KN_ARRAY_LEN(allowed); i++)
        kn_buf_addf(out, "%s\"%s\"", i ? "," : "", allowed[i]);
    kn_buf_addc(out, "],\"action\":\"SCMP_ACT_ALLOW\"}");
    static const uint64_t personalities[] = {0, 8, 131072, 131080, 4294967295};
    for (size_t i = 0; i < KN_ARRAY_LEN(personalities); i++)
        allow_if(out, "personality", 0, personalities[i], "SCMP_CMP_EQ");
    if (!(caps & (UINT64_C(1) << CAP_SYS_ADMIN))) {
        // No new namespaces: the flags are CLONE_NEWNS to CLONE_NEWNET and CLONE_NEWTIME.
        kn_buf_addc(out,
                    ",{\"names\":[\"clone\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,"
                    "\"value\":2114060288,\"valueTwo\":0,\"op\":\"SCMP_CMP_MASKED_EQ\"}]}"
                    ",{\"names\":[\"clone3\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":38}");
    }
    for (size_t i = 0; i < KN_ARRAY_LEN(with_caps); i++)
        if (caps & (UINT64_C(1) << with_caps[i].cap))
            kn_buf_addf(out, ",{\"names\":[%s],\"action\":\"SCMP_ACT_ALLOW\"}", with_caps[i].names);
    kn_buf_addc(out, "]}");
}

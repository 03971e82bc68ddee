#include "node/testing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/log.h"
#include "node/image_build.h"
#include "node/shim_client.h"
#include "node/space.h"

static struct kn_testing *current;
static pid_t owner;

// Shims outlive the process that started them; those of a failed test must not.
void kn_testing_kill_shims(void)
{
    DIR *d = opendir("/proc");
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[300], exe[160];
        snprintf(path, sizeof path, "/proc/%s/exe", e->d_name);
        ssize_t n =
            e->d_name[0] >= '1' && e->d_name[0] <= '9' ? readlink(path, exe, sizeof exe - 1) : -1;
        if (n <= 0)
            continue;
        exe[n] = '\0';
        if (current->shim[0] && strcmp(exe, current->shim) == 0)
            kill((pid_t)strtol(e->d_name, NULL, 10), SIGKILL);
    }
    if (d)
        closedir(d);
}

// Pods of tests have this process's number in their uid.
static void kill_mine(const char *name, void *arg)
{
    char mine[64], path[512];
    snprintf(mine, sizeof mine, "pod0000-%d-", (int)owner);
    snprintf(path, sizeof path, "%s/%s", (const char *)arg, name);
    if (strncmp(name, mine, strlen(mine)) == 0)
        kn_cgroup_kill(current->cgroups, path);
}

static void end_pods(void)
{
    static const char *const classes[] = {"", "/burstable", "/besteffort"};
    for (size_t i = 0; i < KN_ARRAY_LEN(classes); i++) {
        char path[256];
        snprintf(path, sizeof path, KN_CGROUP_ROOT "/kubepods%s", classes[i]);
        kn_cgroup_children(current->cgroups, path, kill_mine, path);
    }
}

static void end(void)
{
    if (!current || getpid() != owner)
        return;
    // Containers and shims that are still there were orphaned by a failed test.
    if (current->cgroups) {
        end_pods();
        kn_testing_kill_shims();
        struct kn_status s;
        int64_t deadline = kn_mono() + 5 * KN_SECOND;
        for (;;) {
            kn_cgroup_drain(current->cgroups, KN_CGROUP_ROOT, deadline);
            s = kn_cgroup_remove(current->cgroups, KN_CGROUP_ROOT);
            if (kn_ok(s) || kn_mono() > deadline)
                break;
            kn_status_done(&s);
            sched_yield();
        }
        kn_log_status(KN_LOG_WARN, s, "clean up the groups");
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
    }
    kn_log_status(KN_LOG_WARN, kn_dir_remove(current->data), "clean up");
    umount2(current->run, MNT_DETACH);
    rmdir(current->run);
}

bool kn_testing_begin(struct kn_testing *t)
{
    if (geteuid() != 0) {
        printf("SKIP: running containers needs root\n");
        return false;
    }
    memset(t, 0, sizeof *t);
    snprintf(t->run, sizeof t->run, "/tmp/knr.XXXXXX");
    snprintf(t->data, sizeof t->data, "/tmp/knd.XXXXXX");
    if (!mkdtemp(t->run) || !mkdtemp(t->data))
        return false;
    // Nothing that is mounted here is seen outside, and it goes with the process.
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("test", t->run, "tmpfs", 0, "mode=755") < 0) {
        printf("SKIP: no mount namespace can be made: %s\n", strerror(errno));
        return false;
    }
    current = t;
    owner = getpid();
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    atexit(end);
    struct kn_space_config space = {.run_dir = t->run, .in_private = true, .slow_cgroups = true};
    char path[128];
    t->arena = kn_arena_new(0, 64u << 20);
    struct kn_status s = kn_space_enter(&space);
    if (kn_ok(s))
        s = kn_cgroups_open(&t->cgroups);
    snprintf(path, sizeof path, "%s/node/crun", t->run);
    if (kn_ok(s))
        s = kn_runtime_crun(path, &t->runtime);
    snprintf(path, sizeof path, "%s/images", t->data);
    if (kn_ok(s))
        s = kn_images_open(path, &t->images);
    snprintf(path, sizeof path, "%s/node", t->run);
    if (kn_ok(s))
        s = kn_shim_install(path, t->shim, sizeof t->shim);
    if (!kn_ok(s)) {
        printf("SKIP: %s\n", kn_status_text(&s));
        kn_status_done(&s);
        return false;
    }
    return true;
}

bool kn_testing_busybox(struct kn_testing *t)
{
    static const char recipe[] = "tag busybox\n"
                                 "folder 0755 /bin /etc /proc /sys /dev /root /run\n"
                                 "folder 1777 /tmp\n"
                                 "file 0755 busybox /bin/busybox\n"
                                 "applets /bin/busybox /bin\n"
                                 "text /etc/passwd root:x:0:0:root:/root:/bin/sh\n"
                                 "text /etc/passwd web:x:33:34:web:/srv:/bin/false\n"
                                 "text /etc/group root:x:0:\n"
                                 "text /etc/group web:x:34:\n"
                                 "text /etc/group more:x:35:web\n"
                                 "env PATH=/bin:/sbin\n"
                                 "cmd [\"sh\"]\n";
    char folder[96], path[128];
    struct kn_buf program = KN_BUF(16u << 20);
    snprintf(folder, sizeof folder, "%s/recipe", t->data);
    snprintf(path, sizeof path, "%s/recipe", folder);
    struct kn_status s = kn_dir_make(folder, 0700);
    if (kn_ok(s))
        s = kn_file_write(path, kn_sv(recipe, sizeof recipe - 1), 0644, false);
    if (kn_ok(s))
        s = kn_file_read("/bin/busybox", 8u << 20, &program);
    snprintf(path, sizeof path, "%s/busybox", folder);
    if (kn_ok(s))
        s = kn_file_write(path, kn_buf_sv(&program), 0755, false);
    kn_buf_done(&program);
    struct kn_image_build b = {.folder = folder, .cache = folder};
    if (kn_ok(s))
        s = kn_image_build(t->images, &b, t->arena, NULL);
    if (!kn_ok(s))
        printf("SKIP: %s\n", kn_status_text(&s));
    bool good = kn_ok(s);
    kn_status_done(&s);
    return good;
}

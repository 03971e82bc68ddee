// The suite of the runtime and its shim: real containers.
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "base/file.h"
#include "node/oci_config.h"
#include "node/shim_client.h"
#include "node/testing.h"
#include "tests/lib/ktest.h"

static struct kn_testing t;
static bool usable;
static int count;

struct box {
    char id[32], folder[96], bundle[128], root[160], log[160];
    struct kn_shim *shim;
    struct shim_container info;
};

static void box_open(struct box *b)
{
    struct kn_image image;
    struct kn_sv lower;
    char upper[256], work[256], options[4600];
    memset(b, 0, sizeof *b);
    snprintf(b->id, sizeof b->id, "knt%d-%d", (int)getpid(), ++count);
    snprintf(b->folder, sizeof b->folder, "%s/node/p%d", t.run, count);
    snprintf(b->bundle, sizeof b->bundle, "%s/c", b->folder);
    snprintf(b->root, sizeof b->root, "%s/rootfs", b->bundle);
    snprintf(b->log, sizeof b->log, "%s/log", b->folder);
    snprintf(upper, sizeof upper, "%s/up", b->bundle);
    snprintf(work, sizeof work, "%s/work", b->bundle);
    ktest_ok(kn_dir_make(b->root, 0755));
    ktest_ok(kn_dir_make(upper, 0755));
    ktest_ok(kn_dir_make(work, 0755));
    ktest_ok(kn_images_get(t.images, KN_SV("busybox"), t.arena, &image));
    ktest_ok(kn_images_unpack(t.images, &image, t.arena, &lower));
    snprintf(options, sizeof options, "lowerdir=%.*s,upperdir=%s,workdir=%s,index=off",
             KN_SV_ARG(lower), upper, work);
    ktest_eq_int(mount("overlay", b->root, "overlay", 0, options), 0);
    ktest_ok(kn_shim_spawn(t.shim, b->folder));
    ktest_ok(kn_shim_connect(b->folder, &b->shim));
    ktest_ok(kn_shim_subscribe(b->shim));
}

static void base_config(struct box *b, struct kn_oci *o, const struct kn_sv *args, size_t len)
{
    static const struct kn_sv env[] = {{"PATH=/bin", 9}};
    *o = (struct kn_oci){.rootfs = b->root, .args = args, .args_len = len, .env = env, .env_len = 1,
                         .caps = kn_cap_default(), .hostname = "box", .own_shm = true};
    o->net.kind = KN_OCI_NS_NEW;
    o->cgroup_path = kn_arena_printf(t.arena, "/" KN_CGROUP_ROOT "/test/%s", b->id).ptr;
    o->oom_score_adj = 1000;
    o->device_rules = kn_cgroups_version(t.cgroups) == KN_CGROUP_V1;
}

static struct kn_status box_start(struct box *b, const struct kn_oci *o, uint32_t flags)
{
    char path[160], oom[256];
    struct kn_buf config = KN_BUF(1u << 20);
    struct kn_runtime_args args;
    kn_oci_write(o, &config);
    snprintf(path, sizeof path, "%s/config.json", b->bundle);
    struct kn_status s = kn_file_write(path, kn_buf_sv(&config), 0600, false);
    kn_buf_done(&config);
    KN_TRY(s);
    kn_cgroup_oom_file(t.cgroups, o->cgroup_path + 1, oom, sizeof oom);
    t.runtime->ops->start(t.runtime, b->id, b->bundle, (flags & SHIM_TTY) != 0, t.arena, &args);
    struct kn_shim_start r = {.id = b->id, .bundle = b->bundle, .log = b->log, .oom_file = oom,
                              .log_max = 4096, .log_files = 3, .flags = flags, .args = &args};
    return kn_shim_start(b->shim, &r, kn_mono() + 10 * KN_SECOND, &b->info);
}

static void box_wait(struct box *b)
{
    struct kn_shim_news n;
    ktest_ok(kn_shim_next(b->shim, kn_mono() + 10 * KN_SECOND, &n));
    ktest_eq_int(n.op, SHIM_EXITED);
    ktest_eq_str(n.container.id, b->id);
    b->info = n.container;
}

static void box_close(struct box *b)
{
    ktest_ok(t.runtime->ops->remove(t.runtime, b->id, true));
    ktest_ok(kn_shim_quit(b->shim));
    kn_shim_free(b->shim);
    ktest_eq_int(umount2(b->root, 0), 0);
}

static const char *log_of(struct box *b)
{
    static char text[65536];
    struct kn_buf buf = KN_BUF(60000);
    ktest_ok(kn_file_read(b->log, 50000, &buf));
    snprintf(text, sizeof text, "%s", kn_buf_cstr(&buf));
    kn_buf_done(&buf);
    return text;
}

#define RUN(b, script)                                                                             \
    struct box b;                                                                                  \
    struct kn_oci o;                                                                               \
    const struct kn_sv args[] = {KN_SV("sh"), KN_SV("-c"), KN_SV(script)};                         \
    if (!usable)                                                                                   \
        skip();                                                                                    \
    box_open(&b);                                                                                  \
    base_config(&b, &o, args, 3)

KTEST(runs_a_container_and_keeps_its_log_and_exit_code)
{
    RUN(b, "echo hello; echo problem >&2; printf half; exit 3");
    ktest_ok(box_start(&b, &o, 0));
    ktest_true(b.info.pid > 0);
    box_wait(&b);
    ktest_eq_int(b.info.code, 3);
    ktest_eq_int(b.info.oom, 0);
    ktest_true(b.info.finished >= b.info.started);
    const char *log = log_of(&b);
    ktest_true(strstr(log, " stdout F hello\n"));
    ktest_true(strstr(log, " stderr F problem\n"));
    ktest_true(strstr(log, " stdout P half\n"));
    struct shim_container from_file;
    ktest_ok(kn_shim_read_exit(b.bundle, &from_file));
    ktest_eq_int(from_file.code, 3);
    box_close(&b);
}

KTEST(says_in_the_runtimes_words_why_a_container_does_not_start)
{
    struct box b;
    struct kn_oci o;
    const struct kn_sv args[] = {KN_SV("no-such-program")};
    if (!usable)
        skip();
    box_open(&b);
    base_config(&b, &o, args, 1);
    ktest_fails(box_start(&b, &o, 0), IO, "executable file `no-such-program` not found");
    box_close(&b);
}

KTEST(sees_a_container_that_was_killed_for_memory)
{
    RUN(b, "x=a; while true; do x=$x$x; done");
    o.memory = 16 << 20;
    ktest_ok(box_start(&b, &o, 0));
    box_wait(&b);
    ktest_eq_int(b.info.code, 137);
    ktest_eq_int(b.info.oom, 1);
    box_close(&b);
}

KTEST(passes_signals_on)
{
    RUN(b, "trap 'exit 7' TERM; while true; do sleep 0.01; done");
    ktest_ok(box_start(&b, &o, 0));
    ktest_ok(kn_shim_signal(b.shim, b.id, SIGTERM));
    // The trap may not be set yet, so that nothing happens: a first process ignores what it does
    // not handle.
    struct kn_shim_news n;
    struct kn_status s;
    while ((s = kn_shim_next(b.shim, kn_mono() + 50 * KN_MILLI, &n)).code == KN_TIMEOUT) {
        kn_status_done(&s);
        ktest_ok(kn_shim_signal(b.shim, b.id, SIGTERM));
    }
    ktest_ok(s);
    ktest_eq_int(n.container.code, 7);
    box_close(&b);
}

KTEST(a_new_agent_finds_what_ran_and_what_ended_meanwhile)
{
    RUN(b, "read x; exit 5");
    ktest_ok(box_start(&b, &o, SHIM_STDIN | SHIM_STDIN_ONCE));
    int in[2], out[2];
    ktest_eq_int(pipe(in), 0);
    ktest_eq_int(pipe(out), 0);
    ktest_ok(kn_shim_attach(b.shim, b.id, in[0], out[1], -1));
    kn_shim_free(b.shim); // the agent is gone
    ktest_eq_int(write(in[1], "x\n", 2), 2);
    close(in[1]);
    char byte;
    ktest_eq_int(read(out[0], &byte, 1), 0); // the container's end closes the streams
    close(out[0]);
    ktest_ok(kn_shim_connect(b.folder, &b.shim));
    // The streams end when the process does, a moment before the shim has reaped it.
    struct shim_container from_file;
    int64_t reaped_by = kn_mono() + 5 * KN_SECOND;
    struct kn_status s;
    while ((s = kn_shim_read_exit(b.bundle, &from_file)).code != KN_OK && kn_mono() < reaped_by) {
        kn_status_done(&s);
        struct kn_shim_news n;
        KN_IGNORE(kn_shim_next(b.shim, kn_mono() + 20 * KN_MILLI, &n));
    }
    ktest_ok(s);
    ktest_eq_int(from_file.code, 5);
    box_close(&b);
}

// Until the log has these words.
static void wait_log(struct box *b, const char *words)
{
    char folder[PATH_MAX], news[4096];
    snprintf(folder, sizeof folder, "%s", b->log);
    *strrchr(folder, '/') = '\0';
    int fd = inotify_init1(IN_CLOEXEC);
    ktest_true(inotify_add_watch(fd, folder, IN_CREATE | IN_MODIFY) >= 0);
    while (!kn_file_exists(b->log) || !strstr(log_of(b), words))
        ktest_true(read(fd, news, sizeof news) > 0);
    close(fd);
}

KTEST(a_late_client_of_stdin_once_sees_the_output_from_the_start)
{
    RUN(b, "echo early; read x; echo got $x");
    ktest_ok(box_start(&b, &o, SHIM_STDIN | SHIM_STDIN_ONCE));
    wait_log(&b, "early");
    int in[2], out[2];
    ktest_eq_int(pipe(in), 0);
    ktest_eq_int(pipe(out), 0);
    ktest_ok(kn_shim_attach(b.shim, b.id, in[0], out[1], -1));
    ktest_eq_int(write(in[1], "it\n", 3), 3);
    char text[64];
    size_t len = 0;
    for (ssize_t n; (n = read(out[0], text + len, sizeof text - len)) > 0;)
        len += (size_t)n;
    ktest_eq_sv(kn_sv(text, len), "early\ngot it\n");
    close(in[1]);
    close(out[0]);
    box_wait(&b);
    box_close(&b);
}

KTEST(the_processes_of_a_group_are_gone_when_it_is_drained)
{
    RUN(b, "trap '' TERM; (while :; do sleep 1000; done) & (while :; do sleep 1000; done)");
    const char *group = o.cgroup_path + 1;
    ktest_ok(box_start(&b, &o, 0));
    ktest_true(kn_cgroup_exists(t.cgroups, group));
    ktest_true(kn_cgroup_drain(t.cgroups, group, kn_mono() + 10 * KN_SECOND));
    ktest_true(kn_cgroup_drain(t.cgroups, group, kn_mono())); // of an empty one: at once
    char procs[PATH_MAX];
    struct kn_buf text = KN_BUF(4096);
    kn_cgroup_oom_file(t.cgroups, group, procs, sizeof procs);
    snprintf(strrchr(procs, '/'), 16, "/cgroup.procs");
    ktest_ok(kn_file_read(procs, 4096, &text));
    ktest_eq_sv(kn_buf_sv(&text), "");
    kn_buf_done(&text);
    box_wait(&b);
    ktest_eq_int(b.info.code, 137);
    box_close(&b);
}

KTEST(executes_a_second_process)
{
    RUN(b, "sleep 100");
    ktest_ok(box_start(&b, &o, 0));
    const struct kn_sv words[] = {KN_SV("sh"), KN_SV("-c"), KN_SV("cat; exit 9")};
    struct kn_buf json = KN_BUF(65536);
    char path[160];
    o.args = words;
    kn_oci_write_process(&o, &json);
    snprintf(path, sizeof path, "%s/e1.json", b.bundle);
    ktest_ok(kn_file_write(path, kn_buf_sv(&json), 0600, false));
    kn_buf_done(&json);
    struct kn_runtime_exec e = {.id = b.id, .exec_id = "e1", .folder = b.bundle};
    struct kn_runtime_args args_of_exec;
    t.runtime->ops->exec(t.runtime, &e, t.arena, &args_of_exec);
    int in[2], out[2];
    ktest_eq_int(pipe2(in, O_CLOEXEC), 0);
    ktest_eq_int(pipe2(out, O_CLOEXEC), 0);
    struct kn_shim_exec r = {.exec_id = "e1", .folder = b.bundle, .in = in[0], .out = out[1],
                             .err = out[1], .args = &args_of_exec};
    uint32_t tag;
    ktest_ok(kn_shim_exec(b.shim, &r, kn_mono() + 10 * KN_SECOND, NULL, &tag));
    close(in[0]);
    close(out[1]);
    ktest_eq_int(write(in[1], "ping", 4), 4);
    close(in[1]);
    char text[16];
    ktest_eq_int(read(out[0], text, sizeof text), 4);
    close(out[0]);
    struct kn_shim_news n;
    ktest_ok(kn_shim_next(b.shim, kn_mono() + 10 * KN_SECOND, &n));
    ktest_eq_int(n.tag, tag);
    ktest_eq_int(n.container.code, 9);
    ktest_ok(kn_shim_signal(b.shim, b.id, SIGKILL));
    box_wait(&b);
    ktest_eq_int(b.info.code, 137);
    box_close(&b);
}

KTEST(gives_a_container_a_terminal)
{
    RUN(b, "stty size; tty >/dev/null && echo yes");
    o.terminal = true;
    ktest_ok(box_start(&b, &o, SHIM_TTY | SHIM_STDIN));
    box_wait(&b);
    ktest_eq_int(b.info.code, 0);
    ktest_true(strstr(log_of(&b), "yes"));
    box_close(&b);
}

KTEST(rotates_a_log_that_grows)
{
    RUN(b,
        "i=0; while [ $i -lt 300 ]; do echo line $i 0123456789012345678901234567890123456789; "
        "i=$((i+1)); done");
    ktest_ok(box_start(&b, &o, 0));
    box_wait(&b);
    char path[200];
    for (int i = 1; i < 3; i++) {
        snprintf(path, sizeof path, "%s.%d", b.log, i);
        ktest_true(kn_file_exists(path));
    }
    snprintf(path, sizeof path, "%s.3", b.log);
    ktest_true(!kn_file_exists(path));
    ktest_true(strstr(log_of(&b), "line 299 "));
    box_close(&b);
}

KTEST(applies_user_capabilities_and_a_read_only_root)
{
    RUN(b, "id; grep CapBnd /proc/self/status; touch /x 2>&1; grep Seccomp: /proc/self/status; "
           "unshare -m true 2>&1");
    o.uid = 33;
    o.gid = 34;
    static const uint32_t groups[] = {35, 2000};
    o.groups = groups;
    o.groups_len = 2;
    o.read_only_root = true;
    o.caps = 1u << 10;
    o.seccomp = KN_SECCOMP_DEFAULT;
    ktest_ok(box_start(&b, &o, 0));
    box_wait(&b);
    const char *log = log_of(&b);
    ktest_true(strstr(log, "uid=33(web) gid=34(web) groups=35(more),2000"));
    ktest_true(strstr(log, "CapBnd:\t0000000000000400"));
    ktest_true(strstr(log, "Read-only file system"));
    ktest_true(strstr(log, "Seccomp:\t2"));
    ktest_true(strstr(log, "Operation not permitted"));
    box_close(&b);
}

int main(void)
{
    usable = kn_testing_begin(&t) && kn_testing_busybox(&t);
    const struct CMUnitTest all[] = {
        KTEST_CASE(runs_a_container_and_keeps_its_log_and_exit_code),
        KTEST_CASE(says_in_the_runtimes_words_why_a_container_does_not_start),
        KTEST_CASE(sees_a_container_that_was_killed_for_memory),
        KTEST_CASE(passes_signals_on),
        KTEST_CASE(a_new_agent_finds_what_ran_and_what_ended_meanwhile),
        KTEST_CASE(a_late_client_of_stdin_once_sees_the_output_from_the_start),
        KTEST_CASE(executes_a_second_process),
        KTEST_CASE(the_processes_of_a_group_are_gone_when_it_is_drained),
        KTEST_CASE(gives_a_container_a_terminal),
        KTEST_CASE(rotates_a_log_that_grows),
        KTEST_CASE(applies_user_capabilities_and_a_read_only_root),
    };
    return cmocka_run_group_tests_name("runtime", all, NULL, NULL);
}

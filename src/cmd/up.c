// `knarr up`: makes the cluster if there is none, starts it, waits until it works, and gives the
// user a kubeconfig context.
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/process.h"
#include "cluster/kubeconfig.h"
#include "cmd/admin.h"
#include "cmd/choices.h"
#include "cmd/lifecycle.h"
#include "cmd/options.h"
#include "cmd/say.h"
#include "cmd/site.h"
#include "cmd/verbs.h"

#define START_PATIENCE (60 * KN_SECOND)

static const struct kn_verb_help help_text = {
    .usage = "up [flags]",
    .summary = "Starts the cluster on this machine; makes one if there is none.",
    .details =
        "Two processes are started and kept alive: the server (API server, controllers,\n"
        "scheduler; unprivileged) and the agent (node, network, DNS; root). The context `knarr`\n"
        "is written into your kubeconfig. Running it again is harmless.",
    .examples = "  knarr up\n  knarr up --port 7443 --pod-cidr 10.60.0.0/24\n",
};

// -- the server's user ----------------------------------------------------------------------------

static struct kn_status ensure_user(struct kn_site *s)
{
    struct passwd *p = getpwnam(KN_SITE_USER);
    if (!p) {
        bool has_group = getgrnam(KN_SITE_USER) != NULL; // left by somebody: used
        const char *const argv[] = {"useradd",
                                    "--system",
                                    has_group ? "--gid=" KN_SITE_USER : "--user-group",
                                    "--no-create-home",
                                    "--home-dir",
                                    "/nonexistent",
                                    "--shell",
                                    "/usr/sbin/nologin",
                                    KN_SITE_USER,
                                    NULL};
        KN_TRY(kn_wrap(kn_process_run(argv, KN_SV_NULL, NULL, kn_mono() + 20 * KN_SECOND),
                       "make the user %s", KN_SITE_USER));
        p = getpwnam(KN_SITE_USER);
    }
    if (!p)
        return kn_error(KN_INTERNAL, "the user %s was made and cannot be found", KN_SITE_USER);
    s->uid = p->pw_uid;
    s->gid = p->pw_gid;
    return KN_STATUS_OK;
}

// -- starting -------------------------------------------------------------------------------------

static struct kn_status start_supervisor(const struct kn_site *s, int *ret_progress)
{
    char program[KN_SITE_PATH], log_path[KN_SITE_PATH];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    int fds[2];
    if (n < 0 || pipe2(fds, O_CLOEXEC) < 0)
        return kn_error_errno(errno, "start the supervisor");
    program[n] = '\0';
    KN_TRY(kn_dir_make(kn_site_data(s, "log", log_path), 0750));
    int log = open(kn_site_data(s, "log/supervisor.log", log_path),
                   O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    const char *const argv[] = {program, "supervise", "--data", s->data, "--progress", NULL};
    struct kn_spawn spawn = {.argv = argv,
                             .cwd = "/",
                             .in = -1,
                             .out = log,
                             .err = log,
                             .keep = &fds[1],
                             .keep_len = 1,
                             .new_session = true};
    pid_t pid;
    struct kn_status st = kn_process_spawn(&spawn, &pid);
    if (log >= 0)
        close(log);
    close(fds[1]);
    if (kn_ok(st))
        *ret_progress = fds[0];
    else
        close(fds[0]);
    return st;
}

static struct kn_status start_by_systemd(const struct kn_site *s)
{
    char program[KN_SITE_PATH];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n < 0)
        return kn_error_errno(errno, "find this program");
    program[n] = '\0';
    struct kn_buf unit = KN_BUF(16u << 10);
    kn_buf_addf(
        &unit,
        "[Unit]\nDescription=knarr, the on-premises Kubernetes platform\n"
        "After=network-online.target\nWants=network-online.target\n\n"
        "[Service]\nType=notify\nNotifyAccess=main\nExecStart=%s supervise --data %s\n"
        "KillMode=mixed\nDelegate=yes\nRestart=always\nLimitNOFILE=1048576\nTasksMax=infinity\n\n"
        "[Install]\nWantedBy=multi-user.target\n",
        program, s->data);
    struct kn_status st = kn_file_write(KN_UNIT_PATH, kn_buf_sv(&unit), 0644, true);
    kn_buf_done(&unit);
    KN_TRY(st);
    const char *const reload[] = {"systemctl", "daemon-reload", NULL};
    const char *const enable[] = {"systemctl", "enable", "--now", "knarr.service", NULL};
    KN_TRY(kn_process_run(reload, KN_SV_NULL, NULL, kn_mono() + START_PATIENCE));
    return kn_process_run(enable, KN_SV_NULL, NULL, kn_mono() + START_PATIENCE);
}

static struct kn_status last_words(const struct kn_site *s, const char *verb)
{
    char path[KN_SITE_PATH], name[64];
    snprintf(name, sizeof name, "log/%s.log", verb);
    struct kn_buf text = KN_BUF(16u << 20);
    KN_IGNORE(kn_file_read(kn_site_data(s, name, path), 16u << 20, &text));
    struct kn_sv rest = kn_sv_trim(kn_buf_sv(&text));
    ptrdiff_t line = kn_sv_rfind(rest, '\n');
    struct kn_status st =
        kn_error(KN_INTERNAL, "the %s does not stay up; its log (%s) ends with: %.*s", verb, path,
                 KN_SV_ARG(kn_sv_from(rest, (size_t)(line + 1))));
    kn_buf_done(&text);
    return st;
}

// Reads the supervisor's lines until both are ready.
static struct kn_status follow(const struct kn_site *s, int fd, int64_t deadline)
{
    struct kn_buf line = KN_BUF(4096);
    bool server = false, agent = false;
    int ended = 0;
    struct kn_status st = KN_STATUS_OK;
    kn_say_begin("starting the API server");
    while (kn_ok(st) && !(server && agent)) {
        struct pollfd p = {fd, POLLIN, 0};
        int64_t left = deadline - kn_mono();
        char c;
        if (left <= 0 || poll(&p, 1, (int)(left / KN_MILLI) + 1) == 0) {
            st = last_words(s, server ? "agent" : "server");
            break;
        }
        ssize_t n = read(fd, &c, 1);
        if (n <= 0) {
            st = last_words(s, "supervisor");
            break;
        }
        if (c != '\n') {
            kn_buf_add_byte(&line, c);
            continue;
        }
        const char *text = kn_buf_cstr(&line);
        if (strcmp(text, "ready server") == 0) {
            server = true;
            kn_say_done();
            kn_say_begin("starting the node");
        } else if (strcmp(text, "ready agent") == 0) {
            agent = true;
        } else if (strncmp(text, "failed ", 7) == 0) {
            st = kn_error(KN_INTERNAL, "%s", text + 7);
        } else if (strncmp(text, "ended ", 6) == 0 && ++ended == 3) {
            st = last_words(s, text + 6);
        }
        kn_buf_clear(&line);
    }
    kn_buf_done(&line);
    return st;
}

static struct kn_status add_context(const struct kn_site *s, const char *path)
{
    char folder[KN_SITE_PATH], server[64];
    kn_site_data(s, "pki", folder);
    struct kn_buf ca = KN_BUF(64u << 10), cert = KN_BUF(64u << 10), key = KN_BUF(64u << 10);
    snprintf(server, sizeof server, "https://127.0.0.1:%d", (int)s->port);
    struct kn_status st = kn_lifecycle_admin_pem(s, &ca, &cert, &key);
    struct kn_kubeconfig k = {"knarr", server, kn_buf_sv(&ca), kn_buf_sv(&cert), kn_buf_sv(&key)};
    if (kn_ok(st))
        st = kn_kubeconfig_add(path, &k);
    if (key.ptr)
        explicit_bzero(key.ptr, key.len);
    kn_buf_done(&ca);
    kn_buf_done(&cert);
    kn_buf_done(&key);
    return st;
}

static struct kn_status prepare(struct kn_site *s, bool fresh)
{
    char path[KN_SITE_PATH];
    KN_TRY(kn_dir_make(s->data, 0755));
    KN_TRY(kn_dir_make(s->run, 0755));
    KN_TRY(ensure_user(s));
    KN_TRY(kn_dir_make(kn_site_data(s, "log", path), 0750));
    KN_TRY(kn_site_save(s));
    int renewed;
    if (fresh)
        kn_say_begin("making the cluster's keys and certificates");
    KN_TRY(kn_site_pki(s, &renewed));
    if (fresh)
        kn_say_done();
    return KN_STATUS_OK;
}

// Mounts are made private below it; in a plain chroot it is a folder like any other.
static struct kn_status check_root(void)
{
    struct statx x;
    if (statx(AT_FDCWD, "/", 0, 0, &x) == 0 && x.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT &&
        !(x.stx_attributes & STATX_ATTR_MOUNT_ROOT))
        return kn_error(
            KN_NOT_SUPPORTED,
            "the root folder of this system is no mount point, as in a plain chroot, and "
            "containers need one: before `chroot DIR`, run `mount --bind DIR DIR`");
    return KN_STATUS_OK;
}

static struct kn_status start_and_wait(struct kn_site *s, int64_t deadline)
{
    if (kn_file_exists("/run/systemd/system")) {
        kn_say_begin("starting knarr.service");
        KN_TRY(start_by_systemd(s));
    } else {
        int progress;
        KN_TRY(start_supervisor(s, &progress));
        struct kn_status st = follow(s, progress, deadline);
        close(progress);
        KN_TRY(st);
    }
    struct kn_http_client *c;
    KN_TRY(kn_admin_open(s, &c));
    struct kn_status st = kn_admin_wait_node(c, s->node_name, deadline);
    kn_http_client_free(c);
    if (kn_ok(st))
        kn_say_done();
    return kn_wrap(st, "wait for the node to be ready");
}

// What does not come up is stopped again: nothing is left that tries for ever.
static struct kn_status bring_up(struct kn_site *s, bool fresh)
{
    KN_TRY(check_root());
    KN_TRY(prepare(s, fresh));
    struct kn_status st = start_and_wait(s, kn_mono() + START_PATIENCE);
    if (!kn_ok(st))
        KN_IGNORE(kn_lifecycle_stop(s));
    return st;
}

int kn_verb_up(int argc, char **argv)
{
    const char *data = KN_SITE_DATA, *run = KN_SITE_RUN, *kubeconfig = NULL;
    struct kn_choices choices = {.port = KN_CHOICE_NONE};
    bool help;
    const struct kn_option options[] = {
        {"port", 0, KN_OPTION_NUMBER, &choices.port, "PORT", "of the API server (default 6443)"},
        {"node-name", 0, KN_OPTION_TEXT, &choices.node_name, "NAME",
         "of this node (default: the host name)"},
        {"pod-cidr", 0, KN_OPTION_TEXT, &choices.pod_cidr, "CIDR",
         "addresses of pods (default 10.244.0.0/24)"},
        {"service-cidr", 0, KN_OPTION_TEXT, &choices.service_cidr, "CIDR",
         "addresses of services (default 10.96.0.0/16)"},
        {"kubeconfig", 0, KN_OPTION_TEXT, &kubeconfig, "FILE",
         "where the context goes (default $KUBECONFIG or ~/.kube/config)"},
        {"data", 0, KN_OPTION_TEXT, &data, "FOLDER",
         "the cluster's data (default " KN_SITE_DATA ")"},
        {"run", 0, KN_OPTION_TEXT, &run, "FOLDER", "sockets and pids (default " KN_SITE_RUN ")"},
    };
    struct kn_status st = kn_options_parse_args(options, KN_ARRAY_LEN(options), &argc, argv, &help);
    if (kn_ok(st) && argc)
        st = kn_error(KN_BAD_REQUEST, "\"%s\" is not understood; see --help", argv[0]);
    if (!kn_ok(st))
        return kn_say_failed(st, "up");
    if (help) {
        kn_options_help(stdout, &help_text, options, KN_ARRAY_LEN(options));
        return 0;
    }
    if (geteuid() != 0)
        return kn_say_failed(kn_error(KN_FORBIDDEN,
                                      "namespaces, mounts and rules need root: try `sudo "
                                      "knarr up`"),
                             "up");
    struct kn_site *s = KN_NEW(struct kn_site);
    st = kn_site_load(s, data);
    bool fresh = st.code == KN_NOT_FOUND;
    if (fresh) {
        kn_status_done(&st);
        st = kn_site_init(s, data, run);
    }
    if (kn_ok(st) && !fresh && kn_choices_any(&choices))
        st = kn_error(KN_CONFLICT,
                      "there is a cluster already; these flags can be given only when it is "
                      "made (`knarr reset` takes it away)");
    if (kn_ok(st) && fresh)
        st = kn_choices_apply(&choices, s);
    char file[KN_SITE_PATH];
    kn_lifecycle_kubeconfig_path(kubeconfig, file);
    if (kn_ok(st) && kn_site_process(s, "supervisor")) {
        printf("knarr is running already on this machine; `knarr status` shows how it is.\n");
        st = add_context(s, file);
        free(s);
        return kn_ok(st) ? 0 : kn_say_failed(st, "write %s", file);
    }
    if (kn_ok(st)) {
        printf("%s\n", fresh ? "Making a cluster on this machine" : "Starting the cluster");
        int64_t begun = kn_mono();
        st = bring_up(s, fresh);
        double took = (double)(kn_mono() - begun) / (double)KN_SECOND;
        if (kn_ok(st)) {
            printf("The cluster is up (%.2f s).", took);
            st = kn_wrap(add_context(s, file), "it has no context for kubectl yet: write %s", file);
            printf("%s\n", kn_ok(st) ? " kubectl uses it by the context `knarr`." : "");
        }
    }
    free(s);
    return kn_ok(st) ? 0 : kn_say_failed(st, "up");
}

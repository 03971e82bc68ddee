// `knarr down`, `knarr reset`.
#include "cmd/lifecycle.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"
#include "cluster/kubeconfig.h"
#include "cmd/options.h"
#include "cmd/say.h"
#include "cmd/verbs.h"
#include "cmd/wiring.h"
#include "node/agent.h"
#include "node/space.h"

#define STOP_PATIENCE (20 * KN_SECOND)

static struct kn_status read_pem(const char *folder, const char *name, struct kn_buf *out)
{
    char path[KN_SITE_PATH];
    snprintf(path, sizeof path, "%.3900s/%s", folder, name);
    return kn_file_read(path, 64u << 10, out);
}

struct kn_status kn_lifecycle_admin_pem(const struct kn_site *s, struct kn_buf *ca,
                                        struct kn_buf *cert, struct kn_buf *key)
{
    char folder[KN_SITE_PATH];
    kn_site_data(s, "pki", folder);
    KN_TRY(read_pem(folder, "ca.crt", ca));
    KN_TRY(read_pem(folder, "admin.crt", cert));
    return read_pem(folder, "admin.key", key);
}

void kn_lifecycle_kubeconfig_path(const char *given, char out[KN_SITE_PATH])
{
    struct kn_sv env = kn_sv_c(getenv("KUBECONFIG")), first = kn_sv_cut(&env, ':');
    const char *home = getenv("HOME");
    if (given)
        snprintf(out, KN_SITE_PATH, "%s", given);
    else if (first.len)
        snprintf(out, KN_SITE_PATH, "%.*s", KN_SV_ARG(first));
    else
        snprintf(out, KN_SITE_PATH, "%s/.kube/config", home && home[0] ? home : "/root");
}

// Waits for a process that is not our child.
static bool wait_gone(pid_t pid, int64_t deadline)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        return errno == ESRCH;
    struct pollfd p = {fd, POLLIN, 0};
    int64_t left = deadline - kn_mono();
    int n = poll(&p, 1, left < 0 ? 0 : (int)(left / KN_MILLI));
    close(fd);
    return n > 0;
}

// Until init has reaped it too; of that nobody can be told, so it is looked for a moment.
static void wait_reaped(pid_t pid)
{
    struct timespec step = {0, 5 * KN_MILLI};
    for (int i = 0; i < 1000 && kill(pid, 0) == 0; i++)
        nanosleep(&step, NULL);
}

// For a reset: the server and the agent end, the supervisor stays and reaps what the reset ends.
static void pause_supervisor(const struct kn_site *s)
{
    pid_t supervisor = kn_site_process(s, "supervisor");
    pid_t server = kn_site_process(s, "server"), agent = kn_site_process(s, "agent");
    if (!supervisor)
        return;
    kill(supervisor, SIGUSR1);
    int64_t deadline = kn_mono() + STOP_PATIENCE;
    if (server)
        wait_gone(server, deadline);
    if (agent)
        wait_gone(agent, deadline);
}

struct kn_status kn_lifecycle_stop(const struct kn_site *s)
{
    if (kn_file_exists(KN_UNIT_PATH) && kn_file_exists("/run/systemd/system")) {
        const char *const stop[] = {"systemctl", "stop", "knarr.service", NULL};
        KN_TRY(kn_process_run(stop, KN_SV_NULL, NULL, kn_mono() + 60 * KN_SECOND));
    }
    static const char *const names[] = {"supervisor", "agent", "server"};
    for (size_t i = 0; i < KN_ARRAY_LEN(names); i++) {
        pid_t pid = kn_site_process(s, names[i]);
        if (pid == 0)
            continue;
        kill(pid, SIGTERM);
        if (!wait_gone(pid, kn_mono() + STOP_PATIENCE)) {
            kill(pid, SIGKILL);
            if (!wait_gone(pid, kn_mono() + STOP_PATIENCE))
                return kn_error(KN_TIMEOUT, "the %s (process %d) does not end", names[i], (int)pid);
        }
        wait_reaped(pid);
    }
    return KN_STATUS_OK;
}

int kn_lifecycle_need_root(const char *verb)
{
    if (geteuid() == 0)
        return 0;
    return kn_say_failed(kn_error(KN_FORBIDDEN, "this needs root: try `sudo knarr %s`", verb), "%s",
                         verb);
}

int kn_verb_down(int argc, char **argv)
{
    const char *data = KN_SITE_DATA;
    bool help;
    const struct kn_option options[] = {
        {"data", 0, KN_OPTION_TEXT, &data, "FOLDER",
         "the cluster's data (default " KN_SITE_DATA ")"},
    };
    const struct kn_verb_help text = {.usage = "down [flags]",
                                      .summary =
                                          "Stops knarr. Pods and services go on; `knarr up` takes "
                                          "them over again.",
                                      .examples = "  knarr down\n"};
    struct kn_status st = kn_options_parse_args(options, 1, &argc, argv, &help);
    if (!kn_ok(st))
        return kn_say_failed(st, "down");
    if (help) {
        kn_options_help(stdout, &text, options, 1);
        return 0;
    }
    if (kn_lifecycle_need_root("down"))
        return 1;
    struct kn_site *s = KN_NEW(struct kn_site);
    st = kn_site_load(s, data);
    if (st.code == KN_NOT_FOUND) {
        kn_status_done(&st);
        printf("There is no cluster in %s.\n", data);
    } else if (kn_ok(st) && !kn_site_process(s, "supervisor") && !kn_site_process(s, "server") &&
               !kn_site_process(s, "agent")) {
        printf("knarr does not run on this machine.\n");
    } else if (kn_ok(st)) {
        kn_say_begin("stopping knarr");
        st = kn_lifecycle_stop(s);
        if (kn_ok(st))
            kn_say_done();
    }
    free(s);
    return kn_ok(st) ? 0 : kn_say_failed(st, "down");
}

// -- reset ----------------------------------------------------------------------------------------

// Ends the pods. Entering their mount namespace cannot be undone, so a child does it.
static struct kn_status end_pods(const struct kn_site *s)
{
    pid_t pid = fork(); // no thread exists in this process
    if (pid < 0)
        return kn_error_errno(errno, "start a process");
    if (pid == 0) {
        char data[KN_SITE_PATH];
        struct kn_status st = kn_space_join(s->run);
        if (st.code == KN_NOT_FOUND) {
            kn_status_done(&st);
            _exit(0);
        }
        if (kn_ok(st))
            st = kn_agent_clean(s->run, kn_site_data(s, "node", data));
        if (!kn_ok(st))
            fprintf(stderr, "\nknarr: end the pods: %s\n", kn_status_text(&st));
        _exit(kn_ok(st) ? 0 : 1);
    }
    int code;
    KN_TRY(kn_process_wait(pid, &code));
    return code ? kn_error(KN_INTERNAL, "not every pod could be ended") : KN_STATUS_OK;
}

static void keep_first(struct kn_status *first, struct kn_status s)
{
    if (kn_ok(*first))
        *first = s;
    else
        kn_status_done(&s);
}

// Everything is tried, whatever fails before it; the first failure is the answer.
static struct kn_status remove_all(const struct kn_site *s, const char *kubeconfig)
{
    struct kn_status first = KN_STATUS_OK;
    char file[KN_SITE_PATH];
    kn_say_begin("stopping knarr");
    pause_supervisor(s);
    kn_say_done();
    kn_say_begin("ending pods");
    keep_first(&first, end_pods(s));
    keep_first(&first, kn_lifecycle_stop(s));
    keep_first(&first, kn_space_remove(s->run));
    kn_say_done();
    kn_say_begin("removing network, files and the context");
    keep_first(&first, kn_wiring_reset_network(s));
    if (kn_file_exists(KN_UNIT_PATH)) {
        const char *const disable[] = {"systemctl", "disable", "knarr.service", NULL};
        keep_first(&first, kn_process_run(disable, KN_SV_NULL, NULL, kn_mono() + 60 * KN_SECOND));
        unlink(KN_UNIT_PATH);
    }
    kn_lifecycle_kubeconfig_path(kubeconfig, file);
    keep_first(&first, kn_kubeconfig_remove(file, "knarr"));
    keep_first(&first, kn_dir_remove(s->run));
    keep_first(&first, kn_dir_remove(s->data));
    const char *const user[] = {"userdel", KN_SITE_USER, NULL};
    KN_IGNORE(kn_process_run(user, KN_SV_NULL, NULL, kn_mono() + 20 * KN_SECOND));
    kn_say_done();
    return first;
}

int kn_verb_reset(int argc, char **argv)
{
    const char *data = KN_SITE_DATA, *kubeconfig = NULL;
    bool help, yes = false;
    const struct kn_option options[] = {
        {"yes", 'y', KN_OPTION_SWITCH, &yes, NULL, "do not ask"},
        {"kubeconfig", 0, KN_OPTION_TEXT, &kubeconfig, "FILE", "where the context is"},
        {"data", 0, KN_OPTION_TEXT, &data, "FOLDER",
         "the cluster's data (default " KN_SITE_DATA ")"},
    };
    const struct kn_verb_help text = {.usage = "reset [flags]",
                                      .summary = "Takes the cluster away: pods, volumes on this "
                                                 "machine, images, network, data, context.",
                                      .examples = "  knarr reset\n  knarr reset --yes\n"};
    struct kn_status st = kn_options_parse_args(options, KN_ARRAY_LEN(options), &argc, argv, &help);
    if (!kn_ok(st))
        return kn_say_failed(st, "reset");
    if (help) {
        kn_options_help(stdout, &text, options, KN_ARRAY_LEN(options));
        return 0;
    }
    if (kn_lifecycle_need_root("reset"))
        return 1;
    struct kn_site *s = KN_NEW(struct kn_site);
    st = kn_site_load(s, data);
    if (st.code == KN_NOT_FOUND) {
        kn_status_done(&st);
        free(s);
        printf("There is no cluster in %s.\n", data);
        return 0;
    }
    if (kn_ok(st) && !yes) {
        char answer[16] = "";
        printf("Every pod, all data in %s and all images will be gone. Go on? [y/N] ", s->data);
        fflush(stdout);
        if (!fgets(answer, sizeof answer, stdin) || (answer[0] != 'y' && answer[0] != 'Y')) {
            free(s);
            printf("Nothing was changed.\n");
            return 1;
        }
    }
    if (kn_ok(st))
        st = remove_all(s, kubeconfig);
    free(s);
    return kn_ok(st) ? 0 : kn_say_failed(st, "reset");
}

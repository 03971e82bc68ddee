// Pods from start to end: real containers, the API played by the test.
#include <sys/socket.h>
#include <netinet/in.h>
#include <errno.h>
#include <arpa/inet.h>
#include <signal.h>

#include "base/file.h"
#include "base/thread.h"
#include "node/pod_worker.h"
#include "node/testing.h"
#include "node/upkeep.h"
#include "tests/lib/ktest.h"

static struct kn_testing t;
static struct kn_node node;
static bool usable;
static char log_dir[96];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static char status_text[16384], events[16384];
static bool finished, done;
static bool same_uid; // the next object is the last pod again
static int deletion_grace = 1; // seconds, of pods that are deleted

static struct kn_status fake_get(void *arg, enum kn_node_kind kind, struct kn_sv ns, struct kn_sv name,
                                 const struct kn_obj **ret)
{
    (void)arg;
    (void)ns;
    if (kind == KN_NODE_CONFIG_MAP && kn_sv_is(name, "config"))
        return kn_obj_parse(KN_SV("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"config\"},"
                                  "\"data\":{\"key\":\"value of the key\"}}"), ret);
    return kn_error(KN_NOT_FOUND, "%s \"%.*s\" not found", kind == KN_NODE_SECRET ? "secret" : "configmap", KN_SV_ARG(name));
}

static struct kn_status fake_status(void *arg, const struct kn_obj *pod, const struct kn_json *status)
{
    struct kn_buf b = KN_BUF(16000);
    (void)arg;
    (void)pod;
    kn_json_encode(&b, status);
    KN_LOCKED(&lock) {
        snprintf(status_text, sizeof status_text, "%s", kn_buf_cstr(&b));
        pthread_cond_broadcast(&changed);
    }
    kn_buf_done(&b);
    return KN_STATUS_OK;
}

static struct kn_status fake_finish(void *arg, const struct kn_obj *pod)
{
    (void)arg;
    (void)pod;
    KN_LOCKED(&lock)
        finished = true;
    return KN_STATUS_OK;
}

static void fake_event(void *arg, const struct kn_obj *pod, struct kn_sv path, const char *type, const char *reason,
                       const char *message)
{
    (void)arg;
    (void)pod;
    (void)path;
    KN_LOCKED(&lock) {
        size_t n = strlen(events);
        snprintf(events + n, sizeof events - n, "%s %s %s\n", type, reason, message);
        pthread_cond_broadcast(&changed);
    }
}

// A registry that never gives the image "slow" and has no other.
static void wake_all(void *arg)
{
    (void)arg;
    KN_LOCKED(&lock)
        pthread_cond_broadcast(&changed);
}

static struct kn_status fake_pull(void *arg, const struct kn_obj *pod, struct kn_sv image, struct kn_cancel *cancel)
{
    struct kn_cancel_hook hook;
    (void)arg;
    (void)pod;
    if (!kn_sv_is(image, "slow"))
        return kn_error(KN_NOT_FOUND, "not found");
    kn_cancel_add(cancel, &hook, wake_all, NULL);
    KN_LOCKED(&lock)
        while (!kn_cancel_is(cancel))
            kn_cond_wait(&changed, &lock, KN_FOREVER);
    kn_cancel_remove(cancel, &hook);
    return kn_error(KN_CANCELLED, "the pull was cancelled");
}

static void on_done(void *arg, struct kn_pod_worker *w)
{
    (void)arg;
    (void)w;
    KN_LOCKED(&lock) {
        done = true;
        pthread_cond_broadcast(&changed);
    }
}

static bool until(bool (*holds)(const char *part), const char *part)
{
    int64_t deadline = kn_mono() + 20 * KN_SECOND;
    bool good = true;
    KN_LOCKED(&lock)
        while (good && !holds(part))
            good = kn_cond_wait(&changed, &lock, deadline);
    if (!good)
        print_error("never came: %s\nstatus: %s\nevents:\n%s\n", part ? part : "the end", status_text, events);
    return good;
}

static bool status_has(const char *part)
{
    return strstr(status_text, part) != NULL;
}

static bool events_have(const char *part)
{
    return strstr(events, part) != NULL;
}

static bool is_done(const char *part)
{
    (void)part;
    return done;
}

static const struct kn_obj *pod_of(const char *spec, bool deleting)
{
    static int count;
    static char uid[64];
    char text[8192], deletion[128];
    const struct kn_obj *pod;
    if (!deleting && !same_uid) {
        snprintf(uid, sizeof uid, "0000-%d-%d", (int)getpid(), ++count);
        KN_LOCKED(&lock) {
            status_text[0] = events[0] = '\0';
            finished = done = false;
        }
    }
    snprintf(deletion, sizeof deletion,
             ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\",\"deletionGracePeriodSeconds\":%d", deletion_grace);
    snprintf(text, sizeof text,
             "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"namespace\":\"default\",\"uid\":\"%s\","
             "\"labels\":{\"app\":\"x\"}%s},\"spec\":%s}",
             uid, deleting ? deletion : "", spec);
    ktest_ok(kn_obj_parse(kn_sv_c(text), &pod));
    return pod;
}

static struct kn_pod_worker *start(const char *spec)
{
    struct kn_pod_worker *w;
    const struct kn_obj *pod = pod_of(spec, false);
    ktest_ok(kn_pod_worker_start(&node, pod, on_done, NULL, &w));
    kn_obj_unref(pod);
    return w;
}

static void delete_within(struct kn_pod_worker *w, const char *spec, int grace)
{
    deletion_grace = grace;
    const struct kn_obj *pod = pod_of(spec, true);
    kn_pod_worker_update(w, pod);
    kn_obj_unref(pod);
}

static void is_over(struct kn_pod_worker *w)
{
    ktest_true(until(is_done, NULL));
    ktest_true(finished);
    kn_pod_worker_stop(w);
}

static void end(struct kn_pod_worker *w, const char *spec)
{
    delete_within(w, spec, 1);
    is_over(w);
}

#define IMAGE "\"image\":\"busybox\""

static const char *logs_of(struct kn_pod_worker *w)
{
    static char text[8192];
    struct kn_pod_container c;
    char path[700];
    struct kn_buf b = KN_BUF(16384);
    ktest_ok(kn_pod_worker_container(w, KN_SV("c"), &c));
    snprintf(path, sizeof path, "%s/%d.log", c.log, c.restarts);
    ktest_ok(kn_file_read(path, 8000, &b));
    snprintf(text, sizeof text, "%s", kn_buf_cstr(&b));
    kn_buf_done(&b);
    return text;
}

KTEST(runs_a_pod_to_its_end)
{
    static const char spec[] =
        "{\"restartPolicy\":\"Never\",\"volumes\":[{\"name\":\"v\",\"configMap\":{\"name\":\"config\"}},{\"name\":\"e\",\"emptyDir\":{}}],"
        "\"containers\":[{\"name\":\"c\"," IMAGE ",\"command\":[\"sh\",\"-c\",\"echo $A $B; cat /v/key; echo; cat /etc/hostname; echo x >/e/f; echo why >/dev/termination-log; exit 4\"],"
        "\"env\":[{\"name\":\"A\",\"value\":\"a\"},{\"name\":\"B\",\"value\":\"$(A)-b\"}],"
        "\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/v\"},{\"name\":\"e\",\"mountPath\":\"/e\"}]}]}";
    if (!usable)
        skip();
    struct kn_pod_worker *w = start(spec);
    ktest_true(until(status_has, "\"phase\":\"Failed\""));
    ktest_true(status_has("\"exitCode\":4,\"reason\":\"Error\",\"message\":\"why\\n\""));
    const char *log = logs_of(w);
    ktest_true(strstr(log, "F a a-b\n"));
    ktest_true(strstr(log, "value of the key"));
    ktest_true(strstr(log, "F p\n"));
    ktest_true(strstr(events, "Normal Pulled Container image \"busybox\" already present on machine"));
    ktest_true(strstr(events, "Normal Started Started container c"));
    end(w, spec);
}

KTEST(restarts_what_ends_and_remembers_how_it_ended)
{
    static const char spec[] = "{\"terminationGracePeriodSeconds\":1,\"volumes\":[{\"name\":\"e\",\"emptyDir\":{}}],\"containers\":[{\"name\":\"c\"," IMAGE
                               ",\"command\":[\"sh\",\"-c\",\"test -e /e/once && exec sleep 100; touch /e/once; exit 2\"],"
                               "\"volumeMounts\":[{\"name\":\"e\",\"mountPath\":\"/e\"}]}]}";
    if (!usable)
        skip();
    struct kn_pod_worker *w = start(spec);
    ktest_true(until(status_has, "\"restartCount\":1"));
    ktest_true(until(status_has, "\"lastState\":{\"terminated\":{\"exitCode\":2"));
    ktest_true(until(status_has, "\"type\":\"Ready\",\"status\":\"True\""));
    end(w, spec);
    ktest_true(strstr(events, "Normal Killing Stopping container c"));
}

KTEST(a_new_agent_touches_nothing_that_runs)
{
    static const char spec[] = "{\"terminationGracePeriodSeconds\":1,\"containers\":[{\"name\":\"c\"," IMAGE
                               ",\"command\":[\"sleep\",\"100\"]}]}";
    struct kn_pod_container before, after;
    struct kn_pod_worker *w;
    if (!usable)
        skip();
    w = start(spec);
    ktest_true(until(status_has, "\"phase\":\"Running\""));
    ktest_ok(kn_pod_worker_container(w, KN_SV("c"), &before));
    const struct kn_obj *pod = kn_pod_worker_pod(w);
    kn_pod_worker_stop(w);
    KN_LOCKED(&lock)
        status_text[0] = '\0';
    ktest_ok(kn_pod_worker_start(&node, pod, on_done, NULL, &w));
    kn_obj_unref(pod);
    ktest_true(until(status_has, "\"phase\":\"Running\""));
    ktest_ok(kn_pod_worker_container(w, KN_SV("c"), &after));
    if (strcmp(before.id, after.id) != 0)
        print_error("events:\n%s", events);
    ktest_eq_str(before.id, after.id);
    ktest_eq_int(after.restarts, 0);
    end(w, spec);
}

KTEST(a_host_port_that_a_process_holds_is_told_of)
{
    static const struct {
        int type;
        const char *protocol;
        bool held;
    } cases[] = {{SOCK_STREAM, "TCP", true}, {SOCK_DGRAM, "UDP", true}, {SOCK_STREAM, "UDP", false}};
    if (!usable)
        skip();
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof at;
        char spec[512], want[256];
        int fd = socket(AF_INET, cases[i].type | SOCK_CLOEXEC, 0);
        ktest_eq_int(bind(fd, (void *)&at, sizeof at), 0);
        ktest_eq_int(cases[i].type == SOCK_STREAM ? listen(fd, 1) : 0, 0);
        ktest_eq_int(getsockname(fd, (void *)&at, &len), 0);
        snprintf(spec, sizeof spec, "{\"restartPolicy\":\"Never\",\"containers\":[{\"name\":\"c\"," IMAGE
                 ",\"command\":[\"true\"],\"ports\":[{\"containerPort\":80,\"hostPort\":%u,\"protocol\":\"%s\"}]}]}",
                 ntohs(at.sin_port), cases[i].protocol);
        snprintf(want, sizeof want, "Warning HostPortConflict the node's port %u/%s is in use by %.15s (%d): ",
                 ntohs(at.sin_port), cases[i].protocol, program_invocation_short_name, getpid());
        struct kn_pod_worker *w = start(spec);
        ktest_true(until(status_has, "\"phase\":\"Succeeded\""));
        ktest_eq_int(events_have(want), cases[i].held);
        ktest_eq_int(events_have("HostPortConflict"), cases[i].held);
        end(w, spec);
        close(fd);
    }
}

KTEST(a_volume_on_disk_that_grows_beyond_its_limit_ends_the_pod)
{
    static const char spec[] =
        "{\"terminationGracePeriodSeconds\":300,\"volumes\":[{\"name\":\"small\",\"emptyDir\":{\"sizeLimit\":\"100Mi\"}},"
        "{\"name\":\"e\",\"emptyDir\":{\"sizeLimit\":\"1Mi\"}},"
        "{\"name\":\"m\",\"emptyDir\":{\"medium\":\"Memory\",\"sizeLimit\":\"1Mi\"}}],"
        "\"initContainers\":[{\"name\":\"i\"," IMAGE ",\"command\":[\"sh\",\"-c\",\"mkdir -p /e/a/b; "
        "ln -s / /e/root; head -c %d /dev/zero > /e/a/b/c; test $(df -k /m | tail -1 | tr -s ' ' | cut -d' ' -f2) = 1024\"],"
        "\"volumeMounts\":[{\"name\":\"e\",\"mountPath\":\"/e\"},{\"name\":\"m\",\"mountPath\":\"/m\"}]}],"
        "\"containers\":[{\"name\":\"c\"," IMAGE ",\"command\":[\"sh\",\"-c\",\"trap : TERM; while :; do sleep 1; done\"]}]}";
    static const int bytes[] = {500000, 2000000};
    if (!usable)
        skip();
    for (size_t i = 0; i < 2; i++) {
        char text[2048];
        snprintf(text, sizeof text, spec, bytes[i]);
        struct kn_pod_worker *w = start(text);
        ktest_true(until(status_has, "\"phase\":\"Running\""));
        // a new agent looks at once; one that runs, with every refresh
        const struct kn_obj *pod = kn_pod_worker_pod(w);
        kn_pod_worker_stop(w);
        KN_LOCKED(&lock)
            status_text[0] = '\0';
        ktest_ok(kn_pod_worker_start(&node, pod, on_done, NULL, &w));
        kn_obj_unref(pod);
        ktest_true(until(status_has, i ? "\"phase\":\"Failed\"" : "\"phase\":\"Running\""));
        ktest_eq_int(status_has("\"reason\":\"Evicted\",\"message\":\"Usage of EmptyDir volume \\\"e\\\" exceeds the limit \\\"1Mi\\\".\"") ||
                     status_has("\"message\":\"Usage of EmptyDir volume \\\"e\\\" exceeds the limit \\\"1Mi\\\".\",\"reason\":\"Evicted\""), (int)i);
        ktest_eq_int(events_have("Warning Evicted Usage of EmptyDir volume \"e\" exceeds the limit \"1Mi\"."), (int)i);
        snprintf(text, sizeof text, spec, bytes[i]);
        end(w, text);
    }
}

// "status" after the spec: what an agent wrote before the machine was switched off.
#define STATUS(id, count, state)                                                                   \
    ",\"status\":{\"phase\":\"Running\",\"containerStatuses\":[{\"name\":\"c\",\"containerID\":\"crun://" id     \
    "\",\"restartCount\":" count "," state "}]}"
#define AN_ID "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

KTEST(a_machine_that_was_off_counts_as_one_restart)
{
    static const char spec[] = "{\"terminationGracePeriodSeconds\":1,\"containers\":[{\"name\":\"c\"," IMAGE
                               ",\"command\":[\"sleep\",\"100\"]}]}" STATUS(AN_ID, "3", "\"state\":{\"running\":{}}");
    if (!usable)
        skip();
    struct kn_pod_worker *w = start(spec);
    ktest_true(until(status_has, "\"type\":\"Ready\",\"status\":\"True\""));
    ktest_true(status_has("\"restartCount\":4"));
    ktest_true(status_has("\"lastState\":{\"terminated\":{\"exitCode\":137,\"reason\":\"ContainerStatusUnknown\""));
    end(w, spec);
}

KTEST(what_had_ended_before_the_machine_was_off_stays_ended)
{
    static const char spec[] = "{\"restartPolicy\":\"OnFailure\",\"containers\":[{\"name\":\"c\"," IMAGE ",\"command\":[\"false\"]}]}" STATUS(
        AN_ID, "0", "\"state\":{\"terminated\":{\"exitCode\":0,\"message\":\"bye\",\"finishedAt\":\"2026-01-01T00:00:00Z\"}}");
    if (!usable)
        skip();
    struct kn_pod_worker *w = start(spec);
    ktest_true(until(status_has, "\"phase\":\"Succeeded\""));
    ktest_true(status_has("\"message\":\"bye\""));
    ktest_true(strstr(events, "Started") == NULL);
    end(w, spec);
}

KTEST(a_container_id_that_is_none_is_not_trusted)
{
    static const char spec[] = "{\"terminationGracePeriodSeconds\":1,\"containers\":[{\"name\":\"c\"," IMAGE
                               ",\"command\":[\"sleep\",\"100\"]}]}" STATUS("../../../etc", "3", "\"state\":{\"running\":{}}");
    if (!usable)
        skip();
    struct kn_pod_worker *w = start(spec);
    ktest_true(until(status_has, "\"type\":\"Ready\",\"status\":\"True\""));
    ktest_true(status_has("\"restartCount\":0"));
    end(w, spec);
}

KTEST(init_containers_run_first_and_a_failed_one_fails_the_pod)
{
    static const char spec[] = "{\"restartPolicy\":\"Never\",\"initContainers\":[{\"name\":\"i\"," IMAGE ",\"command\":[\"false\"]}],"
                               "\"containers\":[{\"name\":\"c\"," IMAGE ",\"command\":[\"true\"]}]}";
    if (!usable)
        skip();
    struct kn_pod_worker *w = start(spec);
    ktest_true(until(status_has, "\"phase\":\"Failed\""));
    ktest_true(status_has("\"reason\":\"PodInitializing\""));
    end(w, spec);
}

KTEST(says_why_a_container_waits)
{
    static const struct {
        const char *container, *want;
    } cases[] = {
        {"\"image\":\"no/such/image\"", "\"waiting\":{\"reason\":\"ErrImagePull\""},
        {"\"image\":\"Bad Name\"", "\"waiting\":{\"reason\":\"InvalidImageName\""},
        {"\"image\":\"absent\",\"imagePullPolicy\":\"Never\"", "\"waiting\":{\"reason\":\"ErrImageNeverPull\""},
        {IMAGE ",\"command\":[\"no-such-program\"]",
         "\"waiting\":{\"reason\":\"CreateContainerError\",\"message\":\"container create failed: executable file `no-such-program` not found"},
        {IMAGE ",\"env\":[{\"name\":\"X\",\"valueFrom\":{\"configMapKeyRef\":{\"name\":\"config\",\"key\":\"absent\"}}}]",
         "\"waiting\":{\"reason\":\"CreateContainerConfigError\",\"message\":\"couldn't find key absent in ConfigMap default/config\""},
        {IMAGE ",\"securityContext\":{\"runAsNonRoot\":true}", "container has runAsNonRoot and image will run as root"},
    };
    char spec[1024];
    if (!usable)
        skip();
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        snprintf(spec, sizeof spec, "{\"containers\":[{\"name\":\"c\",%s}]}", cases[i].container);
        struct kn_pod_worker *w = start(spec);
        ktest_true(until(status_has, cases[i].want));
        end(w, spec);
    }
}

KTEST(a_readiness_probe_decides_who_is_ready)
{
    static const char spec[] = "{\"terminationGracePeriodSeconds\":1,\"containers\":[{\"name\":\"c\"," IMAGE ",\"command\":[\"sh\",\"-c\",\"sleep 1; touch /ok; sleep 100\"],"
                               "\"readinessProbe\":{\"exec\":{\"command\":[\"sh\",\"-c\",\"dd if=/dev/zero bs=1000 count=1000 2>/dev/null && test -e /ok\"]},\"periodSeconds\":1}}]}";
    if (!usable)
        skip();
    struct kn_pod_worker *w = start(spec);
    ktest_true(until(status_has, "\"phase\":\"Running\""));
    ktest_true(until(status_has, "\"type\":\"Ready\",\"status\":\"True\""));
    ktest_true(strstr(events, "Warning Unhealthy Readiness probe failed"));
    end(w, spec);
}

#define SHARED "\"volumeMounts\":[{\"name\":\"e\",\"mountPath\":\"/e\"}]"
#define EMPTY_DIR "\"volumes\":[{\"name\":\"e\",\"emptyDir\":{}}]"
#define RUN(words) "\"exec\":{\"command\":[\"sh\",\"-c\",\"" words "\"]}"
#define MEET(mine, other) RUN("touch /e/" mine "; until test -e /e/" other "; do sleep 0.05; done")
// Ends on SIGTERM.
#define SLEEPS "\"command\":[\"sh\",\"-c\",\"trap 'exit 0' TERM; while :; do sleep 0.1; done\"]"

KTEST(pre_stop_hooks_of_containers_run_beside_one_another)
{
    static const char spec[] = "{" EMPTY_DIR ",\"containers\":["
                               "{\"name\":\"c\"," IMAGE "," SLEEPS "," SHARED ",\"lifecycle\":{\"preStop\":{" MEET("a", "b") "}}},"
                               "{\"name\":\"d\"," IMAGE "," SLEEPS "," SHARED ",\"lifecycle\":{\"preStop\":{" MEET("b", "a") "}}}]}";
    if (!usable)
        skip();
    struct kn_pod_worker *w = start(spec);
    ktest_true(until(status_has, "\"type\":\"Ready\",\"status\":\"True\""));
    delete_within(w, spec, 15);
    is_over(w);
    ktest_true(strstr(events, "FailedPreStopHook") == NULL);
    ktest_true(strstr(status_text, "\"exitCode\":137") == NULL);
}

KTEST(a_shorter_grace_is_heard_during_a_hook)
{
    static const char spec[] = "{\"containers\":[{\"name\":\"c\"," IMAGE "," SLEEPS
                               ",\"lifecycle\":{\"preStop\":{" RUN("sleep 1000") "}}}]}";
    if (!usable)
        skip();
    for (int grace = 0; grace < 2; grace++) {
        struct kn_pod_worker *w = start(spec);
        ktest_true(until(status_has, "\"type\":\"Ready\",\"status\":\"True\""));
        delete_within(w, spec, 1000);
        ktest_true(until(events_have, "Normal Killing Stopping container c"));
        delete_within(w, spec, grace);
        is_over(w);
        ktest_true(events_have("FailedPreStopHook"));
        // After a hook that took all there is left of the grace period is what a signal needs.
        ktest_true(status_has(grace ? "\"exitCode\":0" : "\"exitCode\":137"));
    }
}

KTEST(probes_go_on_during_a_post_start_hook_and_what_follows_waits_for_it)
{
    static const char spec[] =
        "{\"terminationGracePeriodSeconds\":1," EMPTY_DIR ",\"containers\":["
        "{\"name\":\"c\"," IMAGE "," SLEEPS "," SHARED ",\"lifecycle\":{\"postStart\":{" RUN(
            "until test -e /e/probed; do sleep 0.05; done; touch /e/begun") "}},"
        "\"readinessProbe\":{" RUN("touch /e/probed") ",\"periodSeconds\":1}},"
        "{\"name\":\"d\"," IMAGE ",\"command\":[\"sh\",\"-c\",\"test -e /e/begun && exec sleep 100\"]," SHARED "}]}";
    if (!usable)
        skip();
    struct kn_pod_worker *w = start(spec);
    ktest_true(until(status_has, "\"type\":\"Ready\",\"status\":\"True\""));
    ktest_true(strstr(status_text, "\"restartCount\":1") == NULL);
    end(w, spec);
}

KTEST(probes_of_two_containers_do_not_wait_for_one_another)
{
    static const char spec[] =
        "{\"terminationGracePeriodSeconds\":1," EMPTY_DIR ",\"containers\":["
        "{\"name\":\"c\"," IMAGE "," SLEEPS "," SHARED ",\"readinessProbe\":{" MEET("a", "b") ",\"timeoutSeconds\":15}},"
        "{\"name\":\"d\"," IMAGE "," SLEEPS "," SHARED ",\"readinessProbe\":{" MEET("b", "a") ",\"timeoutSeconds\":15}}]}";
    if (!usable)
        skip();
    struct kn_pod_worker *w = start(spec);
    ktest_true(until(status_has, "\"type\":\"Ready\",\"status\":\"True\""));
    ktest_true(strstr(events, "Unhealthy") == NULL);
    end(w, spec);
}

KTEST(a_failed_post_start_hook_ends_the_container)
{
    static const char spec[] = "{\"restartPolicy\":\"Never\",\"containers\":[{\"name\":\"c\"," IMAGE "," SLEEPS
                               ",\"lifecycle\":{\"postStart\":{" RUN("echo no; exit 1") "}}}]}";
    if (!usable)
        skip();
    struct kn_pod_worker *w = start(spec);
    ktest_true(until(status_has, "\"phase\":\"Succeeded\"")); // it obeys the signal
    ktest_true(events_have("Warning FailedPostStartHook PostStartHook failed: no"));
    end(w, spec);
}

KTEST(a_failed_liveness_probe_restarts_the_container)
{
    static const char spec[] = "{\"terminationGracePeriodSeconds\":1," EMPTY_DIR ",\"containers\":[{\"name\":\"c\"," IMAGE
                               ",\"command\":[\"sh\",\"-c\",\"trap '' TERM; touch /e/x$$; while :; do sleep 0.1; done\"]," SHARED
                               ",\"lifecycle\":{\"preStop\":{" RUN("touch /e/stopped") "}},"
                               "\"livenessProbe\":{" RUN("test -e /e/stopped") ",\"periodSeconds\":1,\"failureThreshold\":1}}]}";
    if (!usable)
        skip();
    struct kn_pod_worker *w = start(spec);
    ktest_true(until(status_has, "\"restartCount\":1"));
    ktest_true(events_have("Normal Killing Container c failed liveness probe, will be restarted"));
    ktest_true(until(status_has, "\"type\":\"Ready\",\"status\":\"True\""));
    ktest_true(status_has("\"restartCount\":1"));
    end(w, spec);
}

KTEST(a_pod_goes_on_and_is_deleted_while_an_image_comes)
{
    static const char spec[] = "{\"containers\":[{\"name\":\"c\"," IMAGE "," SLEEPS ",\"readinessProbe\":{" RUN("true") "}},"
                               "{\"name\":\"d\",\"image\":\"slow\"}]}";
    if (!usable)
        skip();
    struct kn_pod_worker *w = start(spec);
    ktest_true(until(events_have, "Normal Pulling Pulling image \"slow\""));
    ktest_true(until(status_has, "\"name\":\"c\",\"ready\":true"));
    ktest_true(status_has("\"phase\":\"Pending\""));
    end(w, spec);
    w = start(spec); // and when the agent stops
    ktest_true(until(events_have, "Normal Pulling Pulling image \"slow\""));
    const struct kn_obj *pod = kn_pod_worker_pod(w);
    kn_pod_worker_stop(w);
    ktest_ok(kn_pod_worker_start(&node, pod, on_done, NULL, &w));
    kn_obj_unref(pod);
    end(w, spec);
}

KTEST(a_pod_ends_at_its_deadline_whatever_its_restart_policy)
{
    static const char spec[] = "{\"activeDeadlineSeconds\":1,\"containers\":[{\"name\":\"c\"," IMAGE "," SLEEPS "}]}";
    if (!usable)
        skip();
    struct kn_pod_worker *w = start(spec);
    ktest_true(until(status_has, "\"phase\":\"Running\""));
    ktest_true(until(status_has, "\"phase\":\"Failed\""));
    ktest_true(status_has("\"reason\":\"DeadlineExceeded\",\"message\":\"Pod was active on the node longer than the specified deadline\""));
    ktest_true(events_have("Normal DeadlineExceeded "));
    ktest_true(status_has("\"restartCount\":0"));
    end(w, spec);
}

KTEST(a_readiness_gate_keeps_a_pod_from_being_ready)
{
    static const char spec[] = "{\"terminationGracePeriodSeconds\":1,\"readinessGates\":[{\"conditionType\":\"x/y\"}],"
                               "\"containers\":[{\"name\":\"c\"," IMAGE "," SLEEPS "}]}";
    static const char passed[] = "{\"terminationGracePeriodSeconds\":1,\"readinessGates\":[{\"conditionType\":\"x/y\"}],"
                                 "\"containers\":[{\"name\":\"c\"," IMAGE "," SLEEPS "}]},"
                                 "\"status\":{\"conditions\":[{\"type\":\"x/y\",\"status\":\"True\"}]}";
    if (!usable)
        skip();
    struct kn_pod_worker *w = start(spec);
    ktest_true(until(status_has, "\"type\":\"ContainersReady\",\"status\":\"True\""));
    ktest_true(status_has("\"reason\":\"ReadinessGatesNotReady\",\"message\":\"corresponding condition of pod readiness gate \\\"x/y\\\" does not exist.\""));
    // the same pod with the condition that somebody else has written
    same_uid = true;
    const struct kn_obj *pod = pod_of(passed, false);
    same_uid = false;
    kn_pod_worker_update(w, pod);
    kn_obj_unref(pod);
    ktest_true(until(status_has, "\"type\":\"Ready\",\"status\":\"True\""));
    end(w, spec);
}

KTEST(what_this_node_cannot_do_is_refused_by_name)
{
    static const struct {
        const char *field, *want;
    } cases[] = {
        {"\"hostUsers\":false", "FailedCreatePodSandBox Failed to create pod sandbox: hostUsers: false is not supported yet"},
        {"\"runtimeClassName\":\"kata\"", "runtimeClassName (\"kata\") is not supported yet"},
        {"\"shareProcessNamespace\":true", "shareProcessNamespace is not supported yet"},
        {"\"setHostnameAsFQDN\":true,\"hostname\":\"a2345678901234567890123456789012345678901234567890\",\"subdomain\":\"sub\"",
         "(64 characters is the max, 77 characters requested)"},
        {"\"securityContext\":{\"appArmorProfile\":{\"type\":\"RuntimeDefault\"}}", "AppArmor"},
    };
    char spec[1024];
    if (!usable)
        skip();
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        snprintf(spec, sizeof spec, "{%s,\"containers\":[{\"name\":\"c\"," IMAGE "}]}", cases[i].field);
        struct kn_pod_worker *w = start(spec);
        ktest_true(until(events_have, cases[i].want));
        end(w, spec);
        ktest_true(!events_have("Started"));
    }
}

KTEST(a_pod_may_have_its_whole_name_as_host_name)
{
    static const char spec[] = "{\"restartPolicy\":\"Never\",\"setHostnameAsFQDN\":true,\"subdomain\":\"sub\",\"containers\":[{\"name\":\"c\"," IMAGE
                               ",\"command\":[\"sh\",\"-c\",\"hostname; cat /etc/hostname; grep sub /etc/hosts\"]}]}";
    if (!usable)
        skip();
    struct kn_pod_worker *w = start(spec);
    ktest_true(until(status_has, "\"phase\":\"Succeeded\""));
    const char *log = strstr(logs_of(w), "F p.sub.default.svc.knarr.test\n");
    ktest_true(log && strstr(log + 1, "F p.sub.default.svc.knarr.test\n"));
    ktest_true(strstr(log, "\tp.sub.default.svc.knarr.test\t") != NULL);
    end(w, spec);
}

KTEST(a_shim_that_was_killed_counts_as_the_end_of_its_containers)
{
    static const struct {
        const char *policy, *want;
    } cases[] = {{"Always", "\"restartCount\":1"}, {"Never", "\"phase\":\"Failed\""}};
    char spec[512];
    if (!usable)
        skip();
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        snprintf(spec, sizeof spec, "{\"restartPolicy\":\"%s\",\"containers\":[{\"name\":\"c\"," IMAGE "," SLEEPS "}]}", cases[i].policy);
        struct kn_pod_worker *w = start(spec);
        ktest_true(until(status_has, "\"type\":\"Ready\",\"status\":\"True\""));
        kn_testing_kill_shims();
        ktest_true(until(status_has, cases[i].want));
        ktest_true(status_has("\"terminated\":{\"exitCode\":137"));
        ktest_true(events_have("Warning SandboxChanged "));
        if (i == 0)
            ktest_true(until(status_has, "\"type\":\"Ready\",\"status\":\"True\""));
        end(w, spec);
    }
}

KTEST(bytes_of_an_image_stay_while_a_container_stands_on_them)
{
    static const char spec[] = "{\"terminationGracePeriodSeconds\":1,\"containers\":[{\"name\":\"c\"," IMAGE ",\"command\":[\"sleep\",\"100\"]}]}";
    int64_t freed = -1;
    if (!usable)
        skip();
    struct kn_pod_worker *w = start(spec);
    ktest_true(until(status_has, "\"phase\":\"Running\""));
    ktest_ok(kn_images_remove(t.images, KN_SV("busybox")));
    ktest_ok(kn_node_collect_images(&node, &freed));
    ktest_eq_int(freed, 0);
    end(w, spec);
    ktest_ok(kn_node_collect_images(&node, &freed));
    ktest_true(freed > 100000);
    ktest_true(kn_testing_busybox(&t)); // the tests after this one want it
}

int main(void)
{
    usable = kn_testing_begin(&t) && kn_testing_busybox(&t);
    kn_cond_init(&changed);
    snprintf(log_dir, sizeof log_dir, "%s/logs", t.data);
    node = (struct kn_node){.name = "n1", .run_dir = t.run, .data_dir = t.data, .log_dir = log_dir,
                            .host_ip = KN_SV("192.0.2.1"), .cluster_domain = KN_SV("knarr.test"), .shim = t.shim,
                            .memory_capacity = INT64_C(8) << 30, .cgroups = t.cgroups, .runtime = t.runtime,
                            .images = t.images,
                            .api = {.get = fake_get, .put_status = fake_status, .finish = fake_finish, .event = fake_event, .pull = fake_pull}};
    const struct CMUnitTest all[] = {
        KTEST_CASE(runs_a_pod_to_its_end),
        KTEST_CASE(restarts_what_ends_and_remembers_how_it_ended),
        KTEST_CASE(a_new_agent_touches_nothing_that_runs),
        KTEST_CASE(a_host_port_that_a_process_holds_is_told_of),
        KTEST_CASE(a_volume_on_disk_that_grows_beyond_its_limit_ends_the_pod),
        KTEST_CASE(init_containers_run_first_and_a_failed_one_fails_the_pod),
        KTEST_CASE(says_why_a_container_waits),
        KTEST_CASE(a_machine_that_was_off_counts_as_one_restart),
        KTEST_CASE(what_had_ended_before_the_machine_was_off_stays_ended),
        KTEST_CASE(a_container_id_that_is_none_is_not_trusted),
        KTEST_CASE(a_readiness_probe_decides_who_is_ready),
        KTEST_CASE(pre_stop_hooks_of_containers_run_beside_one_another),
        KTEST_CASE(a_shorter_grace_is_heard_during_a_hook),
        KTEST_CASE(probes_go_on_during_a_post_start_hook_and_what_follows_waits_for_it),
        KTEST_CASE(probes_of_two_containers_do_not_wait_for_one_another),
        KTEST_CASE(a_failed_post_start_hook_ends_the_container),
        KTEST_CASE(a_pod_goes_on_and_is_deleted_while_an_image_comes),
        KTEST_CASE(a_pod_ends_at_its_deadline_whatever_its_restart_policy),
        KTEST_CASE(a_readiness_gate_keeps_a_pod_from_being_ready),
        KTEST_CASE(what_this_node_cannot_do_is_refused_by_name),
        KTEST_CASE(a_pod_may_have_its_whole_name_as_host_name),
        KTEST_CASE(a_shim_that_was_killed_counts_as_the_end_of_its_containers),
        KTEST_CASE(a_failed_liveness_probe_restarts_the_container),
        KTEST_CASE(bytes_of_an_image_stay_while_a_container_stands_on_them),
    };
    return cmocka_run_group_tests_name("pod_worker", all, NULL, NULL);
}

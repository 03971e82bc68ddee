#include "node/pod_worker_impl.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "base/file.h"
#include "base/log.h"
#include "node/volume.h"

// Of what volumes are made of: tokens age, and a node may read a ConfigMap or Secret by its name
// alone, so that changes are asked for, as often as a kubelet does.
#define EVICTED "Evicted"
#define EVICTION_GRACE 1 // seconds: what takes too much room may not go on taking it
#define VOLUME_REFRESH (60 * KN_SECOND)

// -- slots -----------------------------------------------------------------------------------

static void bind_slots(struct kn_pod_worker *w)
{
    static const enum kn_atom lists[] = {KN_K_initContainers, KN_K_containers};
    const struct kn_json *spec = kn_json_get(w->pod->root, KN_K_spec), *c;
    size_t n = 0, want = kn_json_len(kn_json_get(spec, lists[0])) +
                         kn_json_len(kn_json_get(spec, lists[1]));
    if (!w->slots)
        w->slots = kn_calloc(want + 1, sizeof *w->slots);
    if (!w->polled)
        w->polled = kn_calloc(2 + want * SLOT_ACTIONS * KN_ACTION_FDS, sizeof *w->polled);
    for (size_t k = 0; k < 2; k++)
        KN_JSON_EACH(c, kn_json_get(spec, lists[k])) {
            if (w->slots_len && n == w->slots_len)
                break; // the list of containers of a pod never changes
            struct slot *s = &w->slots[n++];
            s->spec = c;
            s->init = k == 0;
            s->sidecar =
                s->init && kn_sv_is(kn_json_str(kn_json_get(c, KN_K_restartPolicy)), "Always");
            snprintf(s->name, sizeof s->name, "%.*s",
                     KN_SV_ARG(kn_json_str(kn_json_get(c, KN_K_name))));
        }
    w->slots_len = n;
}

static bool any_running(const struct kn_pod_worker *w)
{
    for (size_t i = 0; i < w->slots_len; i++)
        if (w->slots[i].state == SLOT_RUNNING)
            return true;
    return false;
}

// -- bringing up -----------------------------------------------------------------------------

static int64_t retry_later(struct kn_pod_worker *w)
{
    w->retry_after = w->retry_after ? w->retry_after * 2 : 500 * KN_MILLI;
    if (w->retry_after > 60 * KN_SECOND)
        w->retry_after = 60 * KN_SECOND;
    w->retry_at = kn_mono() + w->retry_after;
    return w->retry_at;
}

static bool prepare(struct kn_pod_worker *w, int64_t *ret_next)
{
    if (w->retry_at > kn_mono()) {
        *ret_next = w->retry_at;
        return false;
    }
    if (!w->sandbox_ready) {
        struct kn_status s = kn_pod_supported(w->pod);
        if (kn_ok(s))
            s = kn_sandbox_make(&w->sandbox, w->n, w->pod);
        if (!kn_ok(s)) {
            kn_worker_event(w, NULL, "Warning", "FailedCreatePodSandBox",
                            "Failed to create pod sandbox: %s", kn_status_text(&s));
            kn_status_done(&s);
            *ret_next = retry_later(w);
            return false;
        }
        w->sandbox_ready = true;
        kn_pod_host_ports(w);
    }
    if (!w->volumes_ready || (w->refresh_at && w->refresh_at <= kn_mono())) {
        struct kn_status s = kn_volumes_make(w->n, &w->sandbox, w->pod);
        w->refresh_at = kn_volumes_live(w->pod) ? kn_mono() + VOLUME_REFRESH : 0;
        if (!kn_ok(s)) {
            kn_worker_event(w, NULL, "Warning", "FailedMount", "%s", kn_status_text(&s));
            bool was = w->volumes_ready;
            kn_status_done(&s);
            if (!was) {
                *ret_next = retry_later(w);
                return false;
            }
        }
        w->volumes_ready = true;
        char over[512];
        if (kn_volumes_over(&w->sandbox, w->pod, over, sizeof over)) {
            kn_worker_fail(w, EVICTED, over);
            *ret_next = kn_mono(); // what is being stopped is watched
            return false;
        }
    }
    w->retry_after = 0;
    return true;
}

// Starts it if it is time; tells when to look again.
static int64_t start_slot(struct kn_pod_worker *w, struct slot *s)
{
    if (s->pull && !kn_pod_pull_over(s->pull))
        return KN_FOREVER; // it wakes us
    if (s->next_start > kn_mono())
        return s->next_start;
    struct kn_status st = kn_slot_start(w, s);
    if (kn_ok(st) && s->pull)
        return KN_FOREVER;
    if (kn_ok(st)) {
        s->next_start = 0;
        kn_slot_post_start(w, s);
        return kn_mono();
    }
    kn_status_done(&st);
    int64_t wait = s->backoff ? s->backoff : 10 * KN_SECOND;
    s->backoff = wait * 2 > 300 * KN_SECOND ? 300 * KN_SECOND : wait * 2;
    s->next_start = kn_mono() + wait;
    return s->next_start;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

// Its hooks and probes.
static int64_t watch_running(struct kn_pod_worker *w, struct slot *s)
{
    int64_t hooks = kn_slot_hooks(w, s);
    return earlier(hooks, kn_slot_probe(w, s));
}

static bool all_apps_ended(const struct kn_pod_worker *w)
{
    for (size_t i = 0; i < w->slots_len; i++) {
        const struct slot *s = &w->slots[i];
        if (!s->init && (s->state != SLOT_ENDED || kn_slot_restarts(w, s)))
            return false;
    }
    return true;
}

static int64_t step_failed(struct kn_pod_worker *w)
{
    int64_t next = KN_FOREVER;
    for (size_t i = 0; i < w->slots_len; i++)
        if (w->slots[i].state == SLOT_RUNNING)
            next = earlier(next, watch_running(w, &w->slots[i]));
    return next;
}

static int64_t step_up(struct kn_pod_worker *w)
{
    int64_t next = KN_FOREVER, limit = kn_pod_limits(w);
    if (w->failed)
        return step_failed(w);
    if (!prepare(w, &next))
        return earlier(next, limit);
    next = earlier(limit, w->refresh_at ? w->refresh_at : KN_FOREVER);
    bool over = all_apps_ended(w), hold = false; // hold: what comes after it must not start yet
    for (size_t i = 0; i < w->slots_len; i++) {
        struct slot *s = &w->slots[i];
        if (s->state == SLOT_RUNNING) {
            if (over && s->sidecar && !s->stop.on)
                kn_slot_stop(w, s, kn_worker_grace(w), "The pod's containers have ended");
            next = earlier(next, watch_running(w, s));
            hold = hold || s->starting || (s->init && !(s->sidecar && s->started));
        } else if (hold || w->failed_init) {
            continue;
        } else if (s->state == SLOT_NEW || (!over && kn_slot_restarts(w, s))) {
            next = earlier(next, start_slot(w, s));
            hold = s->init || s->starting || s->pull;
        } else if (s->init && !s->sidecar && s->info.code != 0) {
            w->failed_init = true;
        }
    }
    return next;
}

// -- taking down -----------------------------------------------------------------------------

// Sidecars serve the others: they are stopped after them, the last one first.
static bool may_stop(const struct kn_pod_worker *w, size_t i)
{
    if (!w->slots[i].sidecar)
        return true;
    for (size_t k = i + 1; k < w->slots_len; k++)
        if (w->slots[k].state == SLOT_RUNNING)
            return false;
    return true;
}

static void stop_slots(struct kn_pod_worker *w, int64_t grace)
{
    char why[128];
    for (size_t i = w->slots_len; i-- > 0;) {
        struct slot *s = &w->slots[i];
        snprintf(why, sizeof why, "Stopping container %s", s->name);
        if (s->state == SLOT_RUNNING && (grace == 0 || may_stop(w, i)))
            kn_slot_stop(w, s, grace, why);
    }
}

void kn_worker_fail(struct kn_pod_worker *w, const char *reason, const char *message)
{
    w->failed = true;
    snprintf(w->pod_reason, sizeof w->pod_reason, "%s", reason);
    snprintf(w->pod_message, sizeof w->pod_message, "%s", message);
    bool evicted = strcmp(reason, EVICTED) == 0;
    kn_worker_event(w, NULL, evicted ? "Warning" : "Normal", reason, "%s", message);
    for (size_t i = 0; i < w->slots_len; i++) {
        kn_pod_pull_cancel(w->slots[i].pull);
        if (w->slots[i].state == SLOT_RUNNING)
            kn_slot_stop(w, &w->slots[i], evicted ? EVICTION_GRACE : kn_worker_grace(w), message);
    }
}

static void begin_termination(struct kn_pod_worker *w, int64_t grace)
{
    int64_t at = kn_later(kn_mono(), grace);
    if (!w->terminating || at < w->kill_at)
        w->kill_at = at;
    w->terminating = true;
    for (size_t i = 0; i < w->slots_len; i++)
        kn_pod_pull_cancel(w->slots[i].pull);
    w->forced = w->forced || grace == 0;
    stop_slots(w, grace);
}

// Seconds that are left of the grace period, for those that had to wait for others.
static int64_t grace_left(const struct kn_pod_worker *w)
{
    int64_t left = (w->kill_at - kn_mono()) / KN_SECOND;
    return w->forced ? 0 : left < 2 ? 2 : left;
}

static int64_t step_down(struct kn_pod_worker *w)
{
    int64_t next = KN_FOREVER;
    if (any_running(w)) {
        for (size_t i = w->slots_len; i-- > 0;)
            if (w->slots[i].state == SLOT_RUNNING && !w->slots[i].stop.on) {
                stop_slots(w, grace_left(w));
                break;
            }
        for (size_t i = 0; i < w->slots_len; i++)
            if (w->slots[i].state == SLOT_RUNNING)
                next = earlier(next, watch_running(w, &w->slots[i]));
        return next;
    }
    if (w->removed)
        return KN_FOREVER;
    for (size_t i = 0; i < w->slots_len; i++)
        kn_slot_forget(w, &w->slots[i]);
    struct kn_status s = kn_sandbox_remove(&w->sandbox, w->n, w->pod);
    if (!kn_ok(s)) {
        kn_worker_event(w, NULL, "Warning", "FailedKillPod", "error killing pod: %s",
                        kn_status_text(&s));
        kn_status_done(&s);
        return retry_later(w);
    }
    w->sandbox_ready = false;
    w->removed = true;
    return KN_FOREVER;
}

// -- the loop --------------------------------------------------------------------------------

static void take_messages(struct kn_pod_worker *w, bool *ret_gone, bool *ret_stop)
{
    const struct kn_obj *next = NULL;
    pthread_mutex_lock(&w->lock);
    next = w->next;
    w->next = NULL;
    *ret_gone = w->gone;
    *ret_stop = w->stop;
    if (next) {
        const struct kn_obj *old = w->pod;
        w->pod = next;
        bind_slots(w);
        kn_obj_unref(old);
    }
    pthread_mutex_unlock(&w->lock);
    if (w->pod->deleting || *ret_gone)
        begin_termination(w, *ret_gone ? 0 : kn_worker_grace(w));
}

static void shim_died(struct kn_pod_worker *w)
{
    kn_warn("the shim of pod %.*s/%.*s is gone: its containers are ended", KN_SV_ARG(w->pod->ns),
            KN_SV_ARG(w->pod->name));
    kn_worker_event(w, NULL, "Warning", "SandboxChanged",
                    "The parent of the pod's containers is gone: they are ended, "
                    "and started again as their restart policy says");
    kn_shim_free(w->sandbox.shim);
    w->sandbox.shim = NULL;
    w->sandbox_ready = false;
    kn_cgroup_kill(w->n->cgroups, w->sandbox.cgroup);
    for (size_t i = 0; i < w->slots_len; i++) {
        struct slot *s = &w->slots[i];
        if (s->state != SLOT_RUNNING)
            continue;
        struct shim_container lost = {.ended = 1,
                                      .code = 137,
                                      .signal = SIGKILL,
                                      .started = s->info.started,
                                      .finished = kn_now().ns};
        KN_IGNORE(kn_shim_read_exit(s->bundle, &lost));
        kn_slot_ended(w, s, &lost);
    }
}

static void take_news(struct kn_pod_worker *w)
{
    struct kn_shim_news news;
    struct kn_status s = KN_STATUS_OK;
    while (w->sandbox.shim && kn_ok(s = kn_shim_next(w->sandbox.shim, kn_mono() - 1, &news)))
        for (size_t i = 0; i < w->slots_len && news.op == SHIM_EXITED && news.tag == 0; i++)
            if (w->slots[i].state == SLOT_RUNNING && strcmp(w->slots[i].id, news.container.id) == 0)
                kn_slot_ended(w, &w->slots[i], &news.container);
    if (s.code == KN_CLOSED)
        shim_died(w);
    kn_status_done(&s);
}

static void wait_for_more(struct kn_pod_worker *w, int64_t deadline)
{
    struct pollfd *p = w->polled;
    struct timespec t, *timeout = NULL;
    nfds_t n = 2;
    p[0] = (struct pollfd){w->wake, POLLIN, 0};
    p[1] = (struct pollfd){w->sandbox.shim ? kn_shim_fd(w->sandbox.shim) : -1, POLLIN, 0};
    for (size_t i = 0; i < w->slots_len; i++) {
        const struct slot *s = &w->slots[i];
        struct kn_action *const all[SLOT_ACTIONS] = {s->hook, s->asked[0], s->asked[1],
                                                     s->asked[2]};
        for (size_t k = 0; k < SLOT_ACTIONS; k++)
            if (all[k]) {
                kn_action_poll(all[k], p + n);
                n += KN_ACTION_FDS;
            }
    }
    if (deadline != KN_FOREVER) {
        int64_t left = deadline - kn_mono();
        left = left < 0 ? 0 : left;
        t = (struct timespec){left / KN_SECOND, left % KN_SECOND};
        timeout = &t;
    }
    ppoll(p, n, timeout, NULL);
    if (p[0].revents) {
        eventfd_t count;
        eventfd_read(w->wake, &count);
    }
}

static void recover(struct kn_pod_worker *w)
{
    struct kn_sv started = KN_JSON_STR_AT(w->pod->root, KN_K_status, KN_K_startTime);
    w->start_time = kn_now();
    if (started.len)
        KN_IGNORE(kn_time_parse(started, &w->start_time));
    if (!kn_sandbox_exists(&w->sandbox)) {
        kn_slot_remember(w);
        return;
    }
    struct kn_sv phase = KN_JSON_STR_AT(w->pod->root, KN_K_status, KN_K_phase);
    struct kn_sv reason = KN_JSON_STR_AT(w->pod->root, KN_K_status, KN_K_reason);
    if (kn_sv_is(phase, "Failed") && reason.len) { // a former agent ended it
        w->failed = true;
        snprintf(w->pod_reason, sizeof w->pod_reason, "%.*s", KN_SV_ARG(reason));
        snprintf(w->pod_message, sizeof w->pod_message, "%.*s",
                 KN_SV_ARG(KN_JSON_STR_AT(w->pod->root, KN_K_status, KN_K_message)));
    }
    struct kn_status s = kn_sandbox_make(&w->sandbox, w->n, w->pod);
    w->sandbox_ready = kn_ok(s);
    if (kn_ok(s))
        kn_slot_recover(w);
    w->volumes_ready = any_running(w);
    w->refresh_at = w->volumes_ready && kn_volumes_live(w->pod) ? kn_mono() : 0;
    kn_log_status(KN_LOG_WARN, s, "find pod %.*s again", KN_SV_ARG(w->pod->name));
}

// A pod that had ended before this agent knew it is not started again.
static bool ended_before(const struct kn_pod_worker *w)
{
    struct kn_sv phase = KN_JSON_STR_AT(w->pod->root, KN_K_status, KN_K_phase);
    return !kn_sandbox_exists(&w->sandbox) &&
           (kn_sv_is(phase, "Succeeded") || kn_sv_is(phase, "Failed"));
}

static void end_pulls(struct kn_pod_worker *w)
{
    for (size_t i = 0; i < w->slots_len; i++) {
        struct slot *s = &w->slots[i];
        kn_pod_pull_cancel(s->pull);
        if (s->pull)
            KN_IGNORE(kn_pod_pull_end(s->pull, NULL));
        s->pull = NULL;
    }
}

static void *run(void *arg)
{
    struct kn_pod_worker *w = arg;
    bool gone = false, stop = false, finished = false;
    int64_t report_at = 0, report_after = 0;
    bool idle = ended_before(w);
    if (!idle)
        recover(w);
    for (;;) {
        take_messages(w, &gone, &stop);
        if (stop)
            break;
        take_news(w);
        int64_t next = w->terminating ? step_down(w) : idle ? KN_FOREVER : step_up(w);
        if (!gone && !(idle && !w->terminating) && report_at <= kn_mono()) {
            struct kn_status s = kn_worker_report(w);
            if (s.code == KN_NOT_FOUND)
                kn_status_done(&s);
            report_after = kn_ok(s)       ? 0
                           : report_after ? earlier(report_after * 2, 30 * KN_SECOND)
                                          : 200 * KN_MILLI;
            report_at = report_after ? kn_mono() + report_after : 0;
            kn_log_status(KN_LOG_WARN, s, "write the status of pod %.*s/%.*s",
                          KN_SV_ARG(w->pod->ns), KN_SV_ARG(w->pod->name));
        }
        if (report_at)
            next = earlier(next, report_at);
        if (w->removed && !finished && !report_at) {
            struct kn_status s =
                gone || !w->n->api.finish ? KN_STATUS_OK : w->n->api.finish(w->n->api.arg, w->pod);
            finished = kn_ok(s) || s.code == KN_NOT_FOUND;
            kn_status_done(&s);
            if (!finished)
                next = earlier(next, retry_later(w));
        }
        if (finished)
            break;
        wait_for_more(w, next);
    }
    end_pulls(w);
    if (finished && w->done)
        w->done(w->arg, w);
    return NULL;
}

// -- from other threads ----------------------------------------------------------------------

struct kn_status kn_pod_worker_start(const struct kn_node *n, const struct kn_obj *pod,
                                     void (*done)(void *arg, struct kn_pod_worker *w), void *arg,
                                     struct kn_pod_worker **ret)
{
    // The uid becomes part of paths: it must be what the API makes of it.
    for (size_t i = 0; i < pod->uid.len; i++)
        if (!strchr("0123456789abcdefABCDEF-", pod->uid.ptr[i]) || pod->uid.len > 63)
            return kn_error(KN_INVALID, "the uid of pod %.*s is malformed", KN_SV_ARG(pod->name));
    if (pod->uid.len == 0 || pod->name.len > 253 || kn_sv_find(pod->name, '/') >= 0 ||
        kn_sv_find(pod->ns, '/') >= 0)
        return kn_error(KN_INVALID, "the pod's name or uid is malformed");
    struct kn_pod_worker *w = KN_NEW(struct kn_pod_worker);
    w->n = n;
    w->pod = kn_obj_ref(pod);
    w->done = done;
    w->arg = arg;
    w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&w->lock, NULL);
    kn_sandbox_init(&w->sandbox, n, pod);
    bind_slots(w);
    *ret = w;
    struct kn_status s = kn_thread_start(&w->thread, "pod", 0, run, w);
    if (!kn_ok(s)) {
        w->thread = 0;
        kn_pod_worker_stop(w);
        *ret = NULL;
    }
    return s;
}

static void wake(struct kn_pod_worker *w)
{
    eventfd_write(w->wake, 1);
}

void kn_pod_worker_update(struct kn_pod_worker *w, const struct kn_obj *pod)
{
    KN_LOCKED(&w->lock) {
        kn_obj_unref(w->next);
        w->next = kn_obj_ref(pod);
    }
    wake(w);
}

void kn_pod_worker_gone(struct kn_pod_worker *w)
{
    KN_LOCKED(&w->lock)
        w->gone = true;
    wake(w);
}

void kn_pod_worker_stop(struct kn_pod_worker *w)
{
    KN_LOCKED(&w->lock)
        w->stop = true;
    wake(w);
    if (w->thread)
        kn_thread_join(w->thread);
    for (size_t i = 0; i < w->slots_len; i++)
        kn_slot_cancel(&w->slots[i]);
    kn_shim_free(w->sandbox.shim);
    kn_obj_unref(w->pod);
    kn_obj_unref(w->next);
    free(w->slots);
    free(w->polled);
    free(w->sent);
    close(w->wake);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

const struct kn_obj *kn_pod_worker_pod(struct kn_pod_worker *w)
{
    const struct kn_obj *pod = NULL;
    KN_LOCKED(&w->lock)
        pod = kn_obj_ref(w->pod);
    return pod;
}

struct kn_status kn_pod_worker_container(struct kn_pod_worker *w, struct kn_sv name,
                                         struct kn_pod_container *ret)
{
    bool found = false;
    KN_LOCKED(&w->lock) {
        for (size_t i = 0; i < w->slots_len && !found; i++) {
            const struct slot *s = &w->slots[i];
            if (name.len ? !kn_sv_is(name, s->name) : s->init)
                continue;
            found = true;
            snprintf(ret->name, sizeof ret->name, "%s", s->name);
            snprintf(ret->reason, sizeof ret->reason, "%s",
                     s->reason[0]                   ? s->reason
                     : !s->init && w->slots[0].init ? "PodInitializing"
                                                    : "ContainerCreating");
            snprintf(ret->id, sizeof ret->id, "%s", s->id);
            snprintf(ret->run, sizeof ret->run, "%s", w->sandbox.run);
            snprintf(ret->bundle, sizeof ret->bundle, "%s", s->bundle);
            snprintf(ret->log, sizeof ret->log, "%s/%s", w->sandbox.log, s->name);
            ret->running = s->state == SLOT_RUNNING;
            ret->tty = kn_json_bool(kn_json_get(s->spec, KN_K_tty), false);
            ret->stdin_open = kn_json_bool(kn_json_get(s->spec, KN_K_stdin), false);
            ret->restarts = s->restarts;
        }
    }
        return found ? KN_STATUS_OK
                     : kn_error(KN_NOT_FOUND, "container %.*s not found in pod %.*s",
                                KN_SV_ARG(name), KN_SV_ARG(w->pod->name));
}

// The ends of a container's life: its postStart hook, and how it is stopped, with its preStop hook
// first. Each container for itself, in steps of the pod's loop.
#include <signal.h>

#include "node/pod_worker_impl.h"

// What a container has after a preStop hook that took all of the grace period.
#define GRACE_LEAST (2 * KN_SECOND)

int64_t kn_worker_grace(const struct kn_pod_worker *w)
{
    int64_t spec =
        kn_json_int(KN_JSON_AT(w->pod->root, KN_K_spec, KN_K_terminationGracePeriodSeconds), 30);
    int64_t grace =
        kn_json_int(kn_json_get(w->pod->metadata, KN_K_deletionGracePeriodSeconds), spec);
    return grace < 0 ? 0 : grace;
}

static int stop_signal(struct kn_pod_worker *w, const struct slot *s)
{
    static const struct {
        const char *name;
        int number;
    } known[] = {{"TERM", SIGTERM}, {"QUIT", SIGQUIT}, {"INT", SIGINT},     {"HUP", SIGHUP},
                 {"KILL", SIGKILL}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2},   {"WINCH", SIGWINCH}};
    KN_CLEANUP(kn_arena_cleanup) struct kn_arena *a = kn_arena_new(0, 16u << 20);
    struct kn_image image;
    struct kn_sv name = KN_JSON_STR_AT(s->spec, KN_K_lifecycle, KN_K_stopSignal);
    if (!name.len) {
        struct kn_status st = kn_images_get(w->n->images, kn_sv_c(s->image), a, &image);
        if (kn_ok(st))
            name = kn_json_str(kn_json_get(image.config, KN_K_StopSignal));
        kn_status_done(&st);
    }
    if (kn_sv_starts(name, KN_SV("SIG")))
        name = kn_sv_from(name, 3);
    for (size_t i = 0; i < KN_ARRAY_LEN(known); i++)
        if (kn_sv_is(name, known[i].name))
            return known[i].number;
    return SIGTERM;
}

static void send_signal(struct kn_pod_worker *w, struct slot *s, int signo)
{
    KN_IGNORE(kn_shim_signal(w->sandbox.shim, s->id, signo)); // it may have ended a moment ago
}

static void drop_hook(struct slot *s)
{
    kn_action_free(s->hook);
    s->hook = NULL;
    s->starting = false;
}

static void pre_stop_failed(struct kn_pod_worker *w, struct slot *s, const char *why)
{
    kn_worker_event(w, s, "Warning", "FailedPreStopHook", "PreStopHook failed: %s", why);
}

void kn_slot_stop(struct kn_pod_worker *w, struct slot *s, int64_t grace, const char *why)
{
    grace = grace < 0 ? 0 : grace;
    int64_t at = kn_later(kn_mono(), grace);
    if (s->stop.on) { // told again: the grace may only become shorter
        if (!s->stop.forced && at < s->stop.kill_at)
            s->stop.kill_at = at;
        s->stop.forced = s->stop.forced || grace == 0;
        return;
    }
    kn_worker_event(w, s, "Normal", "Killing", "%s", why);
    drop_hook(s);
    s->stop.on = true;
    s->stop.forced = grace == 0;
    s->stop.kill_at = at;
    const struct kn_json *hook = KN_JSON_AT(s->spec, KN_K_lifecycle, KN_K_preStop);
    if (hook && grace > 0) {
        struct kn_status st = kn_action_start(w, s, hook, KN_FOREVER, &s->hook);
        bool begun = kn_ok(st);
        if (!begun)
            pre_stop_failed(w, s, kn_status_text(&st));
        kn_status_done(&st);
        if (begun)
            return;
    }
    if (grace > 0)
        send_signal(w, s, stop_signal(w, s));
}

static void post_start_failed(struct kn_pod_worker *w, struct slot *s, struct kn_status st)
{
    kn_worker_event(w, s, "Warning", "FailedPostStartHook", "PostStartHook failed: %s",
                    kn_status_text(&st));
    kn_status_done(&st);
    kn_slot_stop(w, s, kn_worker_grace(w), "FailedPostStartHook");
}

void kn_slot_post_start(struct kn_pod_worker *w, struct slot *s)
{
    const struct kn_json *hook = KN_JSON_AT(s->spec, KN_K_lifecycle, KN_K_postStart);
    struct kn_status st = hook ? kn_action_start(w, s, hook, KN_FOREVER, &s->hook) : KN_STATUS_OK;
    s->starting = hook && kn_ok(st);
    if (!kn_ok(st))
        post_start_failed(w, s, st);
}

static void hook_over(struct kn_pod_worker *w, struct slot *s, struct kn_status st)
{
    drop_hook(s);
    if (!s->stop.on) {
        if (!kn_ok(st))
            post_start_failed(w, s, st);
        return;
    }
    if (!kn_ok(st))
        pre_stop_failed(w, s, kn_status_text(&st));
    kn_status_done(&st);
    send_signal(w, s, stop_signal(w, s));
}

static void time_is_up(struct kn_pod_worker *w, struct slot *s)
{
    bool in_hook = s->hook != NULL;
    drop_hook(s);
    if (in_hook)
        pre_stop_failed(w, s, "the grace period is over");
    if (in_hook && !s->stop.forced) {
        send_signal(w, s, stop_signal(w, s));
        s->stop.kill_at = kn_mono() + GRACE_LEAST;
        return;
    }
    if (s->stop.killed && w->terminating) // something in the pod keeps it
        kn_cgroup_kill(w->n->cgroups, w->sandbox.cgroup);
    s->stop.killed = true;
    send_signal(w, s, SIGKILL);
    s->stop.kill_at = kn_mono() + KN_SECOND;
}

int64_t kn_slot_hooks(struct kn_pod_worker *w, struct slot *s)
{
    struct kn_status st;
    if (s->hook && kn_action_step(s->hook, &st))
        hook_over(w, s, st);
    if (s->stop.on && s->stop.kill_at <= kn_mono())
        time_is_up(w, s);
    int64_t next = s->hook ? kn_action_next(s->hook) : KN_FOREVER;
    return s->stop.on && s->stop.kill_at < next ? s->stop.kill_at : next;
}

void kn_slot_cancel(struct slot *s)
{
    drop_hook(s);
    for (size_t i = 0; i < KN_ARRAY_LEN(s->asked); i++) {
        kn_action_free(s->asked[i]);
        s->asked[i] = NULL;
    }
    memset(&s->stop, 0, sizeof s->stop);
}

// Startup, liveness and readiness probes: when they are asked, and what their answers mean.
#include "node/pod_worker_impl.h"

enum { STARTUP, LIVENESS, READINESS };

static const enum kn_atom probe_keys[] = {KN_K_startupProbe, KN_K_livenessProbe,
                                          KN_K_readinessProbe};
static const char *const probe_names[] = {"Startup", "Liveness", "Readiness"};

void kn_slot_probes_begin(struct slot *s)
{
    for (int i = 0; i < 3; i++) {
        const struct kn_json *p = kn_json_get(s->spec, probe_keys[i]);
        int64_t delay = kn_json_int(kn_json_get(p, KN_K_initialDelaySeconds), 0);
        s->probes[i].at = p ? kn_later(kn_mono(), delay) : 0;
        s->probes[i].good = s->probes[i].bad = 0;
    }
    s->started = s->probes[STARTUP].at == 0;
    s->ready = s->started && s->probes[READINESS].at == 0;
}

static void verdict(struct kn_pod_worker *w, struct slot *s, int i, const struct kn_json *p,
                    bool good)
{
    int need_bad = (int)kn_json_int(kn_json_get(p, KN_K_failureThreshold), 3);
    int need_good = (int)kn_json_int(kn_json_get(p, KN_K_successThreshold), 1);
    s->probes[i].good = good ? s->probes[i].good + 1 : 0;
    s->probes[i].bad = good ? 0 : s->probes[i].bad + 1;
    if (i == READINESS) {
        if (s->probes[i].good >= need_good)
            s->ready = true;
        else if (s->probes[i].bad >= need_bad)
            s->ready = false;
        return;
    }
    if (i == STARTUP && s->probes[i].good >= need_good) {
        s->started = true;
        s->probes[i].at = 0;
        s->ready = s->probes[READINESS].at == 0;
    }
    if (s->probes[i].bad != need_bad)
        return;
    char why[192];
    snprintf(why, sizeof why, "Container %s failed %s probe, will be restarted", s->name,
             i == STARTUP ? "startup" : "liveness");
    s->probes[i].at = 0;
    s->ready = false;
    int64_t grace =
        kn_json_int(kn_json_get(p, KN_K_terminationGracePeriodSeconds), kn_worker_grace(w));
    kn_slot_stop(w, s, grace, why);
}

static void outcome(struct kn_pod_worker *w, struct slot *s, int i, struct kn_status st)
{
    if (!kn_ok(st))
        kn_worker_event(w, s, "Warning", "Unhealthy", "%s probe failed: %s", probe_names[i],
                        kn_status_text(&st));
    verdict(w, s, i, kn_json_get(s->spec, probe_keys[i]), kn_ok(st));
    kn_status_done(&st);
}

static void ask(struct kn_pod_worker *w, struct slot *s, int i, const struct kn_json *p)
{
    int64_t timeout = kn_json_int(kn_json_get(p, KN_K_timeoutSeconds), 1);
    struct kn_status st = kn_action_start(w, s, p, kn_later(kn_mono(), timeout), &s->asked[i]);
    s->probes[i].at = kn_later(kn_mono(), kn_json_int(kn_json_get(p, KN_K_periodSeconds), 10));
    if (!kn_ok(st))
        outcome(w, s, i, st);
}

static bool is_asked(const struct slot *s, int i)
{
    if (s->probes[i].at == 0 || (s->stop.on && i != READINESS))
        return false;
    return i == STARTUP || s->started;
}

int64_t kn_slot_probe(struct kn_pod_worker *w, struct slot *s)
{
    int64_t next = KN_FOREVER;
    for (int i = 0; i < 3; i++) {
        const struct kn_json *p = kn_json_get(s->spec, probe_keys[i]);
        struct kn_status st;
        if (s->asked[i] && (!p || !is_asked(s, i) || kn_action_step(s->asked[i], &st))) {
            bool over = p && is_asked(s, i);
            kn_action_free(s->asked[i]);
            s->asked[i] = NULL;
            if (over)
                outcome(w, s, i, st);
        }
        if (!p || !is_asked(s, i))
            continue;
        if (!s->asked[i] && s->probes[i].at <= kn_mono())
            ask(w, s, i, p);
        int64_t at = s->asked[i] ? kn_action_next(s->asked[i]) : s->probes[i].at;
        if (is_asked(s, i) && at < next)
            next = at;
    }
    return next;
}

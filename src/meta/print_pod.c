// The cells of pods: what state a pod is in is a story of its own.
#include "base/mem.h"
#include "meta/print_cells.h"

struct pod {
    struct kn_json *status; // the cell
    int64_t ready, total, restarts;
    struct kn_sv last_restart; // times as text compare like times
};

static const struct kn_json *container_named(const struct kn_json *list, struct kn_sv name)
{
    const struct kn_json *c;
    KN_JSON_EACH (c, list)
        if (kn_sv_eq(kn_json_str(kn_json_get(c, KN_K_name)), name))
            return c;
    return NULL;
}

static bool is_sidecar(const struct kn_json *container)
{
    return kn_sv_is(kn_json_str(kn_json_get(container, KN_K_restartPolicy)), "Always");
}

static bool has_condition(const struct kn_json *status, const char *type)
{
    const struct kn_json *c;
    KN_JSON_EACH (c, kn_json_get(status, KN_K_conditions))
        if (kn_sv_is(kn_json_str(kn_json_get(c, KN_K_type)), type))
            return kn_sv_is(kn_json_str(kn_json_get(c, KN_K_status)), "True");
    return false;
}

static void count_restart(struct pod *pod, const struct kn_json *container)
{
    pod->restarts += kn_json_int(kn_json_get(container, KN_K_restartCount), 0);
    struct kn_sv at = KN_JSON_STR_AT(container, KN_K_lastState, KN_K_terminated, KN_K_finishedAt);
    if (kn_sv_cmp(at, pod->last_restart) > 0)
        pod->last_restart = at;
}

// "Error", "Signal:9", "ExitCode:1", with a prefix.
static struct kn_json *ending(const struct kn_print *p, const char *prefix,
                              const struct kn_json *terminated)
{
    struct kn_sv reason = kn_json_str(kn_json_get(terminated, KN_K_reason));
    int64_t signal = kn_json_int(kn_json_get(terminated, KN_K_signal), 0);
    if (reason.len)
        return kn_print_textf(p, "%s%.*s", prefix, KN_SV_ARG(reason));
    if (signal)
        return kn_print_textf(p, "%sSignal:%lld", prefix, (long long)signal);
    return kn_print_textf(p, "%sExitCode:%lld", prefix,
                          (long long)kn_json_int(kn_json_get(terminated, KN_K_exitCode), 0));
}

// What the first init container that has not ended says; NULL if all have.
static struct kn_json *init_state(const struct kn_print *p, struct pod *pod, struct pod *sidecars)
{
    const struct kn_json *spec = KN_JSON_AT(p->obj, KN_K_spec, KN_K_initContainers), *c;
    int index = 0;
    KN_JSON_EACH (c, KN_JSON_AT(p->obj, KN_K_status, KN_K_initContainerStatuses)) {
        const struct kn_json *terminated = KN_JSON_AT(c, KN_K_state, KN_K_terminated);
        struct kn_sv waiting = KN_JSON_STR_AT(c, KN_K_state, KN_K_waiting, KN_K_reason);
        bool sidecar = is_sidecar(container_named(spec, kn_json_str(kn_json_get(c, KN_K_name))));
        count_restart(pod, c);
        if (sidecar)
            count_restart(sidecars, c);
        if (terminated && kn_json_int(kn_json_get(terminated, KN_K_exitCode), 0) == 0) {
            index++;
            continue;
        }
        if (sidecar && kn_json_bool(kn_json_get(c, KN_K_started), false)) {
            pod->ready += kn_json_bool(kn_json_get(c, KN_K_ready), false);
            index++;
            continue;
        }
        if (terminated)
            return ending(p, "Init:", terminated);
        if (waiting.len && !kn_sv_is(waiting, "PodInitializing"))
            return kn_print_textf(p, "Init:%.*s", KN_SV_ARG(waiting));
        return kn_print_textf(p, "Init:%d/%u", index, kn_json_len(spec));
    }
    return NULL;
}

static void main_state(const struct kn_print *p, struct pod *pod)
{
    const struct kn_json *status = kn_json_get(p->obj, KN_K_status), *c;
    const struct kn_json *list = kn_json_get(status, KN_K_containerStatuses);
    struct kn_json *error = NULL, *first = NULL, *first_error = NULL;
    bool running = false;
    // upstream goes from the last to the first and lets the first win: so does this, forwards
    KN_JSON_EACH (c, list) {
        const struct kn_json *state = kn_json_get(c, KN_K_state);
        const struct kn_json *terminated = kn_json_get(state, KN_K_terminated);
        struct kn_sv waiting = KN_JSON_STR_AT(state, KN_K_waiting, KN_K_reason);
        count_restart(pod, c);
        if (waiting.len) {
            first = first ? first : kn_print_text(p, waiting);
        } else if (terminated) {
            error = ending(p, "", terminated);
            first = first ? first : error;
            if (!first_error && kn_json_int(kn_json_get(terminated, KN_K_exitCode), 0) != 0)
                first_error = error;
        } else if (kn_json_bool(kn_json_get(c, KN_K_ready), false) &&
                   kn_json_get(state, KN_K_running)) {
            running = true;
            pod->ready++;
        }
    }
    if (first)
        pod->status = first;
    if (!kn_sv_is(kn_json_str(pod->status), "Completed"))
        return;
    if (running && has_condition(status, "Ready"))
        pod->status = kn_print_text(p, KN_SV("Running"));
    else if (first_error)
        pod->status = first_error;
    else if (running)
        pod->status = kn_print_text(p, KN_SV("NotReady"));
}

static struct pod look(const struct kn_print *p)
{
    const struct kn_json *spec = kn_json_get(p->obj, KN_K_spec), *c;
    const struct kn_json *status = kn_json_get(p->obj, KN_K_status);
    struct kn_sv phase = kn_json_str(kn_json_get(status, KN_K_phase));
    struct kn_sv reason = kn_json_str(kn_json_get(status, KN_K_reason));
    struct pod pod = {.total = kn_json_len(kn_json_get(spec, KN_K_containers))}, sidecars = {0};
    pod.status = kn_print_text(p, reason.len ? reason : phase);
    KN_JSON_EACH (c, kn_json_get(status, KN_K_conditions))
        if (kn_sv_is(kn_json_str(kn_json_get(c, KN_K_reason)), "SchedulingGated"))
            pod.status = kn_print_text(p, KN_SV("SchedulingGated"));
    KN_JSON_EACH (c, kn_json_get(spec, KN_K_initContainers))
        pod.total += is_sidecar(c);
    struct kn_json *init = init_state(p, &pod, &sidecars);
    if (init)
        pod.status = init;
    if (!init || has_condition(status, "Initialized")) {
        pod.restarts = sidecars.restarts;
        pod.last_restart = sidecars.last_restart;
        main_state(p, &pod);
    }
    bool ended = kn_sv_is(phase, "Succeeded") || kn_sv_is(phase, "Failed");
    if (KN_JSON_AT(p->obj, KN_K_metadata, KN_K_deletionTimestamp)) {
        if (kn_sv_is(reason, "NodeLost"))
            pod.status = kn_print_text(p, KN_SV("Unknown"));
        else if (!ended)
            pod.status = kn_print_text(p, KN_SV("Terminating"));
    }
    return pod;
}

struct kn_json *kn_print_pod_ready(const struct kn_print *p)
{
    struct pod pod = look(p);
    return kn_print_textf(p, "%lld/%lld", (long long)pod.ready, (long long)pod.total);
}

struct kn_json *kn_print_pod_status(const struct kn_print *p)
{
    return look(p).status;
}

struct kn_json *kn_print_pod_restarts(const struct kn_print *p)
{
    struct pod pod = look(p);
    if (pod.restarts == 0 || pod.last_restart.len == 0)
        return kn_print_textf(p, "%lld", (long long)pod.restarts);
    struct kn_sv ago = kn_print_since(p, kn_json_new_str(p->arena, pod.last_restart));
    return kn_print_textf(p, "%lld (%.*s ago)", (long long)pod.restarts, KN_SV_ARG(ago));
}

struct kn_json *kn_print_pod_ip(const struct kn_print *p)
{
    struct kn_sv ip = kn_json_str(
        kn_json_get(kn_json_item(KN_JSON_AT(p->obj, KN_K_status, KN_K_podIPs), 0), KN_K_ip));
    return kn_print_text(p, ip.len ? ip : KN_SV("<none>"));
}

struct kn_json *kn_print_pod_gates(const struct kn_print *p)
{
    const struct kn_json *gates = KN_JSON_AT(p->obj, KN_K_spec, KN_K_readinessGates), *g;
    int open = 0;
    if (kn_json_len(gates) == 0)
        return kn_print_text(p, KN_SV("<none>"));
    KN_JSON_EACH (g, gates) {
        struct kn_sv type = kn_json_str(kn_json_get(g, KN_K_conditionType));
        open += type.ptr && has_condition(kn_json_get(p->obj, KN_K_status),
                                          kn_arena_dup(p->arena, type).ptr);
    }
    return kn_print_textf(p, "%d/%u", open, kn_json_len(gates));
}

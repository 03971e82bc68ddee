// A pod's status, as a kubelet writes it.
#include "node/pod_worker_impl.h"

bool kn_slot_restarts(const struct kn_pod_worker *w, const struct slot *s)
{
    struct kn_sv policy = KN_JSON_STR_AT(w->pod->root, KN_K_spec, KN_K_restartPolicy);
    if (w->terminating || w->failed || w->failed_init)
        return false;
    if (s->sidecar)
        return true;
    if (s->init)
        return s->info.code != 0 && !kn_sv_is(policy, "Never");
    return !policy.len || kn_sv_is(policy, "Always") ||
           (kn_sv_is(policy, "OnFailure") && s->info.code != 0);
}

static void set_time(struct kn_arena *a, struct kn_json *o, enum kn_atom key, int64_t ns)
{
    char text[KN_TIME_TEXT];
    if (ns <= 0)
        return;
    kn_time_format((struct kn_time){ns}, KN_TIME_SECONDS, text);
    kn_json_set_str(a, o, key, kn_arena_dup(a, kn_sv_c(text)));
}

static struct kn_sv container_id(const struct kn_pod_worker *w, struct kn_arena *a, const char *id)
{
    return kn_arena_printf(a, "%s://%s", w->n->runtime->ops->name, id);
}

static void set_terminated(const struct kn_pod_worker *w, struct kn_arena *a, struct kn_json *state,
                           const struct shim_container *c, const char *id, const char *message)
{
    struct kn_json *t = kn_json_ensure_object(a, state, KN_K_terminated);
    kn_json_set_int(a, t, KN_K_exitCode, c->code);
    kn_json_set_str(a, t, KN_K_reason,
                    kn_sv_c(c->oom            ? "OOMKilled"
                            : c->started == 0 ? "ContainerStatusUnknown"
                            : c->code == 0    ? "Completed"
                                              : "Error"));
    if (message[0])
        kn_json_set_str(a, t, KN_K_message, kn_sv_c(message));
    set_time(a, t, KN_K_startedAt, c->started);
    set_time(a, t, KN_K_finishedAt, c->finished);
    kn_json_set_str(a, t, KN_K_containerID, container_id(w, a, id));
}

static void set_waiting(struct kn_arena *a, struct kn_json *state, const char *reason,
                        const char *message)
{
    struct kn_json *wait = kn_json_ensure_object(a, state, KN_K_waiting);
    kn_json_set_str(a, wait, KN_K_reason, kn_sv_c(reason));
    if (message[0])
        kn_json_set_str(a, wait, KN_K_message, kn_arena_dup(a, kn_sv_c(message)));
}

static struct kn_json *container_status(const struct kn_pod_worker *w, struct kn_arena *a,
                                        struct slot *s)
{
    struct kn_json *c = kn_json_new_object(a), *state = kn_json_ensure_object(a, c, KN_K_state);
    struct kn_json *last = kn_json_ensure_object(a, c, KN_K_lastState);
    struct kn_sv spec_image = kn_json_str(kn_json_get(s->spec, KN_K_image));
    bool restarts = s->state == SLOT_ENDED && kn_slot_restarts(w, s);
    if (s->state == SLOT_RUNNING && s->starting && !s->has_last) {
        set_waiting(a, state, "ContainerCreating", "");
    } else if (s->state == SLOT_RUNNING) {
        set_time(a, kn_json_ensure_object(a, state, KN_K_running), KN_K_startedAt, s->info.started);
    } else if (restarts) {
        char why[256];
        snprintf(why, sizeof why,
                 "back-off %llds restarting failed container=%s pod=%.*s_%.*s(%.*s)",
                 (long long)(s->backoff > 10 * KN_SECOND ? s->backoff / 2 / KN_SECOND : 10),
                 s->name, KN_SV_ARG(w->pod->name), KN_SV_ARG(w->pod->ns), KN_SV_ARG(w->pod->uid));
        set_waiting(a, state, s->reason[0] ? s->reason : "CrashLoopBackOff",
                    s->reason[0] ? s->why : why);
        set_terminated(w, a, last, &s->info, s->id, s->message);
    } else if (s->state == SLOT_ENDED) {
        set_terminated(w, a, state, &s->info, s->id, s->message);
    } else {
        bool init = w->slots_len && w->slots[0].init && !s->init;
        set_waiting(a, state,
                    s->reason[0] ? s->reason
                    : init       ? "PodInitializing"
                                 : "ContainerCreating",
                    s->why);
    }
    if (s->has_last && !restarts)
        set_terminated(w, a, last, &s->last, s->last_id, s->last_message);
    kn_json_set_str(a, c, KN_K_name, kn_sv_c(s->name));
    bool done = s->init && !s->sidecar && s->state == SLOT_ENDED && s->info.code == 0;
    kn_json_set_bool(
        a, c, KN_K_ready,
        done || (s->state == SLOT_RUNNING && s->ready && !s->starting && (!s->init || s->sidecar)));
    kn_json_set_bool(a, c, KN_K_started, s->state == SLOT_RUNNING && s->started);
    kn_json_set_int(a, c, KN_K_restartCount, s->restarts);
    kn_json_set_str(a, c, KN_K_image, s->image[0] ? kn_sv_c(s->image) : spec_image);
    kn_json_set_str(a, c, KN_K_imageID, kn_sv_c(s->image_id));
    if (s->id[0])
        kn_json_set_str(a, c, KN_K_containerID, container_id(w, a, s->id));
    return c;
}

static const char *phase_of(const struct kn_pod_worker *w)
{
    size_t running = 0, waiting = 0, good = 0, bad = 0, apps = 0;
    for (size_t i = 0; i < w->slots_len; i++) {
        const struct slot *s = &w->slots[i];
        if (s->init) {
            if (s->state == SLOT_ENDED && s->info.code != 0 && !kn_slot_restarts(w, s) &&
                !s->sidecar && !w->terminating)
                return "Failed";
            continue;
        }
        apps++;
        bool starting = s->state == SLOT_RUNNING && s->starting && !s->has_last;
        if (!starting &&
            (s->state == SLOT_RUNNING || (s->state == SLOT_ENDED && kn_slot_restarts(w, s))))
            running++;
        else if (s->state == SLOT_NEW || starting)
            waiting++;
        else if (s->info.code == 0)
            good++;
        else
            bad++;
    }
    if (w->failed_init || (w->failed && !running))
        return "Failed";
    if (waiting && !w->failed)
        return w->terminating && !running && !good && !bad && w->removed ? "Failed" : "Pending";
    if (running)
        return "Running";
    return bad ? "Failed" : good == apps ? "Succeeded" : "Pending";
}

static void condition(struct kn_pod_worker *w, struct kn_arena *a, struct kn_json *list, int i,
                      const char *type, bool good, const char *reason, const char *message)
{
    char status = good ? 'T' : 'F';
    if (w->conditions[i].status != status) {
        w->conditions[i].status = status;
        kn_time_format(kn_now(), KN_TIME_SECONDS, w->conditions[i].since);
    }
    struct kn_json *c = kn_json_append(list, kn_json_new_object(a));
    kn_json_set_str(a, c, KN_K_type, kn_sv_c(type));
    kn_json_set_str(a, c, KN_K_status, kn_sv_c(good ? "True" : "False"));
    kn_json_set_int(a, c, KN_K_observedGeneration, w->pod->generation);
    kn_json_set(a, c, KN_K_lastProbeTime, kn_json_new_null(a));
    kn_json_set_str(a, c, KN_K_lastTransitionTime, kn_sv_c(w->conditions[i].since));
    if (reason)
        kn_json_set_str(a, c, KN_K_reason, kn_sv_c(reason));
    if (message)
        kn_json_set_str(a, c, KN_K_message, kn_arena_dup(a, kn_sv_c(message)));
}

// Whether the conditions that the pod's readiness gates name are true; why not.
static bool gates_passed(const struct kn_pod_worker *w, char *why, size_t size)
{
    const struct kn_json *gate, *c;
    size_t n = 0;
    why[0] = '\0';
    KN_JSON_EACH(gate, KN_JSON_AT(w->pod->root, KN_K_spec, KN_K_readinessGates)) {
        struct kn_sv type = kn_json_str(kn_json_get(gate, KN_K_conditionType)), status = KN_SV_NULL;
        KN_JSON_EACH(c, KN_JSON_AT(w->pod->root, KN_K_status, KN_K_conditions))
            if (kn_sv_eq(kn_json_str(kn_json_get(c, KN_K_type)), type))
                status = kn_json_str(kn_json_get(c, KN_K_status));
        if (kn_sv_is(status, "True") || n >= size - 1)
            continue;
        const char *comma = n ? ", " : "";
        n +=
            (size_t)(status.len
                         ? snprintf(
                               why + n, size - n,
                               "%sthe status of pod readiness gate \"%.*s\" is not \"True\", but "
                               "%.*s",
                               comma, KN_SV_ARG(type), KN_SV_ARG(status))
                         : snprintf(
                               why + n, size - n,
                               "%scorresponding condition of pod readiness gate \"%.*s\" does not "
                               "exist.",
                               comma, KN_SV_ARG(type)));
    }
    return n == 0;
}

static void conditions(struct kn_pod_worker *w, struct kn_arena *a, struct kn_json *status,
                       const char *phase)
{
    struct kn_json *list = kn_json_ensure_array(a, status, KN_K_conditions);
    struct kn_buf unready = KN_BUF(4096), uninit = KN_BUF(4096);
    bool initialized = true, ready = true;
    const struct kn_json *old;
    for (size_t i = 0; i < w->slots_len; i++) {
        const struct slot *s = &w->slots[i];
        bool good = s->init ? (s->sidecar ? s->started || s->state == SLOT_ENDED
                                          : s->state == SLOT_ENDED && s->info.code == 0)
                            : s->state == SLOT_RUNNING && s->ready && !s->starting;
        if (good)
            continue;
        struct kn_buf *b = s->init ? &uninit : &unready;
        kn_buf_addf(b, "%s%s", b->len ? " " : "", s->name);
        *(s->init ? &initialized : &ready) = false;
    }
    const char *done = strcmp(phase, "Succeeded") == 0 ? "PodCompleted"
                       : strcmp(phase, "Failed") == 0  ? "PodFailed"
                                                       : NULL;
    char text[4200], text2[4200];
    snprintf(text, sizeof text, "containers with unready status: [%s]", kn_buf_cstr(&unready));
    snprintf(text2, sizeof text2, "containers with incomplete status: [%s]", kn_buf_cstr(&uninit));
    ready = ready && initialized && !done;
    char gates[4200];
    bool passed = gates_passed(w, gates, sizeof gates);
    condition(w, a, list, 0, "PodReadyToStartContainers", w->sandbox_ready && !done, NULL, NULL);
    condition(w, a, list, 1, "Initialized", initialized,
              initialized ? (done && !strcmp(done, "PodCompleted") ? done : NULL)
                          : "ContainersNotInitialized",
              initialized ? NULL : text2);
    condition(w, a, list, 2, "Ready", ready && passed,
              !ready   ? (done ? done : "ContainersNotReady")
              : passed ? NULL
                       : "ReadinessGatesNotReady",
              !ready   ? (done ? NULL : text)
              : passed ? NULL
                       : gates);
    condition(w, a, list, 3, "ContainersReady", ready,
              ready  ? NULL
              : done ? done
                     : "ContainersNotReady",
              ready || done ? NULL : text);
    // What others have written about the pod stays.
    KN_JSON_EACH(old, KN_JSON_AT(w->pod->root, KN_K_status, KN_K_conditions)) {
        struct kn_sv type = kn_json_str(kn_json_get(old, KN_K_type));
        if (!kn_sv_is(type, "PodReadyToStartContainers") && !kn_sv_is(type, "Initialized") &&
            !kn_sv_is(type, "Ready") && !kn_sv_is(type, "ContainersReady"))
            kn_json_append(list, kn_json_copy(a, old));
    }
    kn_buf_done(&unready);
    kn_buf_done(&uninit);
}

static void addresses(struct kn_pod_worker *w, struct kn_arena *a, struct kn_json *status)
{
    struct kn_sv ips[2] = {w->n->host_ip, kn_sv_c(w->sandbox.ip)};
    static const enum kn_atom one[2] = {KN_K_hostIP, KN_K_podIP},
                              many[2] = {KN_K_hostIPs, KN_K_podIPs};
    for (int i = 0; i < 2; i++)
        if (ips[i].len) {
            kn_json_set_str(a, status, one[i], ips[i]);
            struct kn_json *o =
                kn_json_append(kn_json_ensure_array(a, status, many[i]), kn_json_new_object(a));
            kn_json_set_str(a, o, KN_K_ip, ips[i]);
        }
}

struct kn_status kn_worker_report(struct kn_pod_worker *w)
{
    KN_CLEANUP(kn_arena_cleanup) struct kn_arena *a = kn_arena_new(8192, 16u << 20);
    struct kn_json *status = kn_json_new_object(a);
    const char *phase = phase_of(w);
    kn_json_set_int(a, status, KN_K_observedGeneration, w->pod->generation);
    kn_json_set_str(a, status, KN_K_phase, kn_sv_c(phase));
    conditions(w, a, status, phase);
    if (w->pod_reason[0]) {
        kn_json_set_str(a, status, KN_K_reason, kn_sv_c(w->pod_reason));
        kn_json_set_str(a, status, KN_K_message, kn_sv_c(w->pod_message));
    }
    addresses(w, a, status);
    set_time(a, status, KN_K_startTime, w->start_time.ns);
    for (size_t i = 0; i < w->slots_len; i++)
        kn_json_append(kn_json_ensure_array(a, status,
                                            w->slots[i].init ? KN_K_initContainerStatuses
                                                             : KN_K_containerStatuses),
                       container_status(w, a, &w->slots[i]));
    kn_json_set_str(a, status, KN_K_qosClass,
                    kn_sv_c(kn_qos_name(kn_pod_qos(kn_json_get(w->pod->root, KN_K_spec)))));
    if (kn_arena_failed(a))
        return kn_arena_error(a, "a pod's status");
    struct kn_buf text = KN_BUF(4u << 20);
    kn_json_encode(&text, status);
    if (w->sent && strcmp(w->sent, kn_buf_cstr(&text)) == 0) {
        kn_buf_done(&text);
        return KN_STATUS_OK;
    }
    struct kn_status st =
        w->n->api.put_status ? w->n->api.put_status(w->n->api.arg, w->pod, status) : KN_STATUS_OK;
    if (kn_ok(st)) {
        free(w->sent);
        w->sent = kn_buf_take(&text, NULL);
    }
    kn_buf_done(&text);
    return st;
}

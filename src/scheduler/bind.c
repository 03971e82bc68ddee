#include "scheduler/bind.h"

#include "base/log.h"
#include "client/events.h"

#define MAX_THREADS 32

struct job {
    struct kn_list link;
    const struct kn_obj *pod; // a reference
    char *node;               // NULL: it is unschedulable
    const char *reason;
    char *message;
    bool event;
};

struct kn_binder {
    struct kn_client *client;
    const struct kn_resource *pods;
    struct kn_recorder *recorder;
    struct kn_queue jobs;
    pthread_t threads[MAX_THREADS];
    unsigned started;
    void (*failed)(void *arg, const struct kn_obj *pod);
    void *arg;
};

static struct kn_json *binding_of(struct kn_arena *a, const struct job *j)
{
    struct kn_json *o = kn_json_new_object(a);
    kn_json_set_str(a, o, KN_K_apiVersion, KN_SV("v1"));
    kn_json_set_str(a, o, KN_K_kind, KN_SV("Binding"));
    struct kn_json *m = kn_json_ensure_object(a, o, KN_K_metadata);
    kn_json_set_str(a, m, KN_K_name, j->pod->name);
    kn_json_set_str(a, m, KN_K_namespace, j->pod->ns);
    kn_json_set_str(a, m, KN_K_uid, j->pod->uid);
    struct kn_json *t = kn_json_ensure_object(a, o, KN_K_target);
    kn_json_set_str(a, t, KN_K_kind, KN_SV("Node"));
    kn_json_set_str(a, t, KN_K_name, kn_sv_c(j->node));
    return o;
}

static void bind_pod(struct kn_binder *b, const struct job *j, struct kn_arena *a)
{
    const struct kn_obj *pod = j->pod;
    struct kn_status s =
        kn_client_create(b->client, b->pods, pod->ns, pod->name, "binding", binding_of(a, j), NULL);
    if (kn_ok(s)) {
        kn_event(b->recorder, pod, "Normal", "Scheduled", "Successfully assigned %.*s/%.*s to %s",
                 KN_SV_ARG(pod->ns), KN_SV_ARG(pod->name), j->node);
        return;
    }
    if (s.code != KN_NOT_FOUND && s.code != KN_CONFLICT)
        kn_event(b->recorder, pod, "Warning", "FailedScheduling", "binding rejected: %s",
                 kn_status_text(&s));
    bool gone = s.code == KN_NOT_FOUND;
    kn_log_status(gone || s.code == KN_CONFLICT ? KN_LOG_DEBUG : KN_LOG_WARN, s,
                  "bind %.*s/%.*s to %s", KN_SV_ARG(pod->ns), KN_SV_ARG(pod->name), j->node);
    if (!gone)
        b->failed(b->arg, pod);
}

static const struct kn_json *condition(const struct kn_obj *pod)
{
    const struct kn_json *list = KN_JSON_AT(pod->root, KN_K_status, KN_K_conditions), *c;
    KN_JSON_EACH(c, list)
    if (kn_sv_is(kn_json_str(kn_json_get(c, KN_K_type)), "PodScheduled"))
        return c;
    return NULL;
}

// The revision in the patch keeps it from overtaking a binding.
static struct kn_sv condition_patch(struct kn_arena *a, const struct job *j,
                                    const struct kn_json *old)
{
    char now[KN_TIME_TEXT];
    kn_time_format(kn_now(), KN_TIME_SECONDS, now);
    struct kn_sv since = kn_json_str(kn_json_get(old, KN_K_lastTransitionTime));
    if (!kn_sv_is(kn_json_str(kn_json_get(old, KN_K_status)), "False") || since.len == 0)
        since = kn_arena_dup(a, kn_sv_c(now));
    struct kn_buf text = KN_BUF(64 << 10);
    kn_buf_addf(
        &text,
        "{\"metadata\":{\"resourceVersion\":\"%lld\"},\"status\":{\"conditions\":[{\"type\":"
        "\"PodScheduled\",\"status\":\"False\",\"reason\":\"%s\",\"lastProbeTime\":null,"
        "\"lastTransitionTime\":\"%.*s\",\"message\":",
        (long long)j->pod->rev, j->reason, KN_SV_ARG(since));
    kn_json_encode_str(&text, kn_sv_c(j->message));
    if (j->pod->generation)
        kn_buf_addf(&text, ",\"observedGeneration\":%lld", (long long)j->pod->generation);
    kn_buf_addc(&text, "}]}}");
    struct kn_sv r = kn_arena_dup(a, kn_buf_sv(&text));
    kn_buf_done(&text);
    return r;
}

static void tell(struct kn_binder *b, const struct job *j, struct kn_arena *a)
{
    if (j->event)
        kn_event(b->recorder, j->pod, "Warning", "FailedScheduling", "%s", j->message);
    const struct kn_json *old = condition(j->pod);
    if (kn_sv_is(kn_json_str(kn_json_get(old, KN_K_status)), "False") &&
        kn_sv_is(kn_json_str(kn_json_get(old, KN_K_reason)), j->reason) &&
        kn_sv_is(kn_json_str(kn_json_get(old, KN_K_message)), j->message))
        return;
    struct kn_status s = kn_client_patch(b->client, b->pods, j->pod->ns, j->pod->name, "status",
                                         KN_PATCH_STRATEGIC, condition_patch(a, j, old), NULL);
    bool expected = s.code == KN_NOT_FOUND || s.code == KN_CONFLICT;
    kn_log_status(expected ? KN_LOG_DEBUG : KN_LOG_WARN, s, "tell why %.*s/%.*s has no node",
                  KN_SV_ARG(j->pod->ns), KN_SV_ARG(j->pod->name));
}

static void *run(void *arg)
{
    struct kn_binder *b = arg;
    for (struct kn_list *l; (l = kn_queue_take(&b->jobs, KN_FOREVER));) {
        struct job *j = KN_CONTAINER_OF(l, struct job, link);
        struct kn_arena *a = kn_arena_new(2048, 1 << 20);
        if (j->node)
            bind_pod(b, j, a);
        else
            tell(b, j, a);
        kn_arena_free(a);
        kn_obj_unref(j->pod);
        free(j->node);
        free(j->message);
        free(j);
    }
    return NULL;
}

struct kn_status kn_binder_start(struct kn_client *client, const char *component, unsigned threads,
                                 void (*failed)(void *arg, const struct kn_obj *pod), void *arg,
                                 struct kn_binder **ret)
{
    struct kn_binder *b = KN_NEW(struct kn_binder);
    b->client = client;
    b->pods = kn_resource_find(KN_SV(""), KN_SV("v1"), KN_SV("pods"));
    b->failed = failed;
    b->arg = arg;
    kn_queue_init(&b->jobs);
    struct kn_status s = kn_recorder_start(client, component, KN_SV_NULL, &b->recorder);
    for (; kn_ok(s) && b->started < threads && b->started < MAX_THREADS; b->started++)
        s = kn_thread_start(&b->threads[b->started], "bind", 0, run, b);
    if (!kn_ok(s)) {
        kn_binder_stop(b);
        return s;
    }
    *ret = b;
    return KN_STATUS_OK;
}

void kn_binder_stop(struct kn_binder *b)
{
    if (!b)
        return;
    kn_queue_close(&b->jobs);
    for (unsigned i = 0; i < b->started; i++)
        kn_thread_join(b->threads[i]);
    kn_recorder_stop(b->recorder);
    kn_queue_done(&b->jobs);
    free(b);
}

static void put(struct kn_binder *b, struct job *j)
{
    bool open = kn_queue_put(&b->jobs, &j->link);
    kn_assert(open); // the scheduler's thread has ended before
}

void kn_binder_bind(struct kn_binder *b, const struct kn_obj *pod, struct kn_sv node)
{
    struct job *j = KN_NEW(struct job);
    j->pod = kn_obj_ref(pod);
    j->node = kn_sv_dup(node);
    put(b, j);
}

void kn_binder_unschedulable(struct kn_binder *b, const struct kn_obj *pod, const char *reason,
                             struct kn_sv message, bool event)
{
    struct job *j = KN_NEW(struct job);
    j->pod = kn_obj_ref(pod);
    j->reason = reason;
    j->message = kn_sv_dup(message);
    j->event = event;
    put(b, j);
}

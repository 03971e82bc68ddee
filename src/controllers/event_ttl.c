// Events are kept for an hour. One key stands for all of them: it comes when the oldest is due.
#include "controllers/common.h"

#define KEEP (3600 * KN_SECOND)
#define AT_LEAST (10 * KN_SECOND) // between two sweeps: what is due soon goes together

struct ctx {
    struct kn_env *env;
    struct kn_cache *events;
    struct kn_controller *controller;
};

struct sweep {
    int64_t now, next; // wall nanoseconds
    kn_objs due;
};

static int64_t time_of(const struct kn_json *v)
{
    struct kn_time t = {0};
    if (kn_json_str(v).len)
        KN_IGNORE(kn_time_parse(kn_json_str(v), &t));
    return t.ns;
}

static int64_t last_seen(const struct kn_obj *event)
{
    const struct kn_json *times[] = {kn_json_get(event->root, KN_K_lastTimestamp),
                                     kn_json_get(event->root, KN_K_eventTime),
                                     KN_JSON_AT(event->root, KN_K_series, KN_K_lastObservedTime),
                                     kn_json_get(event->metadata, KN_K_creationTimestamp)};
    int64_t latest = 0;
    for (size_t i = 0; i < KN_ARRAY_LEN(times); i++)
        latest = time_of(times[i]) > latest ? time_of(times[i]) : latest;
    return latest;
}

static bool look(void *arg, const struct kn_obj *event)
{
    struct sweep *s = arg;
    int64_t end = last_seen(event) + KEEP;
    if (end <= s->now)
        kn_objs_collect(&s->due, event);
    else if (end < s->next)
        s->next = end;
    return true;
}

static struct kn_status reconcile(void *arg, struct kn_sv key, int64_t *ret_after)
{
    (void)key;
    struct ctx *c = arg;
    struct sweep sweep = {.now = kn_now().ns, .next = INT64_MAX};
    struct kn_status s = KN_STATUS_OK;
    kn_cache_list(c->events, KN_SV_NULL, KN_SV_NULL, KN_SV_NULL, look, &sweep);
    for (size_t i = 0; i < sweep.due.len && kn_ok(s); i++) {
        const struct kn_obj *o = sweep.due.ptr[i];
        // an event that was counted up meanwhile stays
        s = kn_client_delete(c->env->client, kn_core("events"), o->ns, o->name,
                             &(struct kn_delete_options){.rev = o->rev, .grace_seconds = -1});
        if (s.code == KN_NOT_FOUND || s.code == KN_CONFLICT)
            kn_status_done(&s);
    }
    kn_objs_done(&sweep.due);
    if (sweep.next != INT64_MAX) {
        int64_t after = sweep.next - sweep.now;
        *ret_after = after < AT_LEAST ? AT_LEAST : after;
    }
    return s;
}

static void on_event(void *arg, enum kn_event_type type, const struct kn_obj *o,
                     const struct kn_obj *old)
{
    (void)o;
    (void)old;
    struct ctx *c = arg;
    if (type == KN_EVENT_ADDED) // the earliest time counts, so that this is nothing when one is set
        kn_controller_add_after(c->controller, KN_SV("all"), KEEP);
}

struct kn_status kn_event_ttl_start(struct kn_env *env, struct kn_controller **ret)
{
    static struct ctx c;
    c.env = env;
    KN_TRY(kn_env_cache(env, kn_core("events"), &c.events));
    c.controller = *ret = kn_controller_new(
        &(struct kn_controller_spec){.name = "event-ttl", .reconcile = reconcile, .ctx = &c});
    kn_env_subscribe(env, c.events, on_event, &c, false);
    kn_controller_add(c.controller, KN_SV("all"));
    return kn_controller_start(c.controller);
}

// The scheduler's thread: hears of what changed, and places one pod after the other.
#include "scheduler/scheduler.h"

#include "base/log.h"
#include "scheduler/bind.h"
#include "scheduler/sched_impl.h"

enum message_kind { POD, NODE, OTHER, BIND_FAILED };

struct message {
    struct kn_list link;
    enum message_kind kind;
    enum kn_event_type type;
    uint32_t events;          // of OTHER
    const struct kn_obj *obj; // a reference
};

struct subscription {
    struct kn_cache *cache;
    kn_cache_handler *handler;
};

struct kn_scheduler {
    char *name;
    struct kn_sched state; // of the thread
    struct kn_queue inbox;
    struct kn_binder *binder;
    pthread_t thread;
    bool running;
    struct subscription subscriptions[5];
    size_t subscription_count;
    _Atomic uint64_t scheduled, unschedulable, bind_failures;
    _Atomic size_t nodes, active, backing_off, waiting;
};

// -- from other threads ---------------------------------------------------------------------------

static void post(struct kn_scheduler *s, enum message_kind kind, enum kn_event_type type,
                 uint32_t events, const struct kn_obj *obj)
{
    struct message *m = KN_NEW(struct message);
    *m = (struct message){.kind = kind, .type = type, .events = events, .obj = kn_obj_ref(obj)};
    if (!kn_queue_put(&s->inbox, &m->link)) {
        kn_obj_unref(obj);
        free(m);
    }
}

static void on_pod(void *arg, enum kn_event_type type, const struct kn_obj *obj,
                   const struct kn_obj *old)
{
    (void)old;
    post(arg, POD, type, 0, obj);
}

static void on_node(void *arg, enum kn_event_type type, const struct kn_obj *obj,
                    const struct kn_obj *old)
{
    (void)old;
    post(arg, NODE, type, 0, obj);
}

static void on_volume(void *arg, enum kn_event_type type, const struct kn_obj *obj,
                      const struct kn_obj *old)
{
    (void)old;
    post(arg, OTHER, type, KN_SCHED_VOLUME_CHANGED, obj);
}

static void on_namespace(void *arg, enum kn_event_type type, const struct kn_obj *obj,
                         const struct kn_obj *old)
{
    if (!old || !kn_json_equal(old->labels, obj->labels)) // selectors of namespaces look at them
        post(arg, OTHER, type, KN_SCHED_POD_PLACED, obj);
}

static void on_bind_failed(void *arg, const struct kn_obj *pod)
{
    post(arg, BIND_FAILED, KN_EVENT_MODIFIED, 0, pod);
}

// -- pods -----------------------------------------------------------------------------------------

static void drop_pod(struct kn_scheduler *s, struct kn_sched_pod *p)
{
    bool placed = p->node != NULL;
    kn_sched_queue_remove(&s->state, p);
    kn_sched_displace(&s->state, p);
    kn_map_take(&s->state.pods, p->obj->uid);
    kn_sched_pod_free(p);
    if (placed)
        kn_sched_queue_event(&s->state, KN_SCHED_POD_GONE);
}

// Parses the pod anew, and places it on the node (empty: on none).
static void reparse(struct kn_scheduler *s, struct kn_sched_pod *p, const struct kn_obj *obj,
                    struct kn_sv node)
{
    char *name = kn_sv_dup(node); // a node without an object goes with its last pod
    const struct kn_obj *old = kn_obj_ref(p->obj); // the map's key lies in it
    kn_sched_displace(&s->state, p);
    kn_sched_pod_parse(p, obj);
    kn_map_put(&s->state.pods, obj->uid, p);
    kn_obj_unref(old);
    if (*name) {
        kn_sched_queue_remove(&s->state, p);
        kn_sched_place(&s->state, p, kn_sched_node_of(&s->state, kn_sv_c(name)));
    }
    free(name);
}

static bool same_wishes(const struct kn_obj *a, const struct kn_obj *b)
{
    return kn_json_equal(kn_json_get(a->root, KN_K_spec), kn_json_get(b->root, KN_K_spec)) &&
           kn_json_equal(a->labels, b->labels);
}

static void set_bound(struct kn_scheduler *s, struct kn_sched_pod *p, const struct kn_obj *obj,
                      struct kn_sv node_name)
{
    bool news = !p->node || !kn_json_equal(p->obj->labels, obj->labels);
    reparse(s, p, obj, node_name);
    p->assumed = false;
    if (news)
        kn_sched_queue_event(&s->state, KN_SCHED_POD_PLACED);
}

static void set_unbound(struct kn_scheduler *s, struct kn_sched_pod *p, const struct kn_obj *obj,
                        bool fresh)
{
    bool same = !fresh && same_wishes(p->obj, obj);
    if (p->assumed) { // its binding is under way
        reparse(s, p, obj, kn_sv_c(p->node->name));
        return;
    }
    const struct kn_json *gates = KN_JSON_AT(obj->root, KN_K_spec, KN_K_schedulingGates);
    reparse(s, p, obj, KN_SV_NULL);
    if (obj->deleting || kn_json_len(gates)) {
        kn_sched_queue_remove(&s->state, p);
        if (!obj->deleting)
            kn_binder_unschedulable(
                s->binder, obj, "SchedulingGated",
                KN_SV("Scheduling is blocked due to non-empty scheduling gates"), false);
    } else if (!same || p->place == KN_SCHED_NOWHERE) {
        kn_sched_queue_add(&s->state, p);
    }
}

static void pod_changed(struct kn_scheduler *s, const struct message *m)
{
    const struct kn_obj *obj = m->obj;
    struct kn_sched_pod *p = kn_map_get(&s->state.pods, obj->uid);
    struct kn_sv node = KN_JSON_STR_AT(obj->root, KN_K_spec, KN_K_nodeName);
    struct kn_sv phase = KN_JSON_STR_AT(obj->root, KN_K_status, KN_K_phase);
    struct kn_sv who = KN_JSON_STR_AT(obj->root, KN_K_spec, KN_K_schedulerName);
    bool over =
        m->type == KN_EVENT_DELETED || kn_sv_is(phase, "Succeeded") || kn_sv_is(phase, "Failed");
    bool ours = node.len || kn_sv_is(who, s->name) || who.len == 0;
    if (over || !ours) {
        if (p)
            drop_pod(s, p);
        return;
    }
    bool fresh = !p;
    if (fresh) {
        p = kn_sched_pod_new(obj);
        kn_map_put(&s->state.pods, obj->uid, p);
    }
    if (node.len)
        set_bound(s, p, obj, node);
    else
        set_unbound(s, p, obj, fresh);
}

// The pod may have changed, gone or been bound since.
static void bind_failed(struct kn_scheduler *s, const struct kn_obj *obj)
{
    struct kn_sched_pod *p = kn_map_get(&s->state.pods, obj->uid);
    s->bind_failures++;
    if (!p || !p->assumed)
        return;
    p->assumed = false;
    kn_sched_displace(&s->state, p);
    if (!p->obj->deleting)
        kn_sched_queue_back(&s->state, p, true);
    kn_sched_queue_event(&s->state, KN_SCHED_POD_GONE);
}

// -- the thread -----------------------------------------------------------------------------------

static void handle(struct kn_scheduler *s, struct kn_list *l)
{
    struct message *m = KN_CONTAINER_OF(l, struct message, link);
    switch (m->kind) {
    case POD:
        if (m->type != KN_EVENT_BOOKMARK)
            pod_changed(s, m);
        break;
    case NODE:
        if (m->type == KN_EVENT_DELETED)
            kn_sched_node_gone(&s->state, m->obj->name);
        else if (m->type != KN_EVENT_BOOKMARK && kn_sched_node_set(&s->state, m->obj))
            kn_sched_queue_event(&s->state, KN_SCHED_NODE_CHANGED);
        break;
    case OTHER:
        kn_sched_queue_event(&s->state, m->events);
        break;
    case BIND_FAILED:
        bind_failed(s, m->obj);
        break;
    }
    kn_obj_unref(m->obj);
    free(m);
}

static void schedule(struct kn_scheduler *s, struct kn_sched_pod *p)
{
    struct kn_sched_cycle c;
    kn_sched_cycle_init(&c, &s->state, p);
    struct kn_sched_node *n = kn_sched_find(&c);
    if (n) {
        kn_sched_place(&s->state, p, n);
        p->assumed = true;
        s->scheduled++;
        kn_binder_bind(s->binder, p->obj, kn_sv_c(n->name));
        kn_sched_queue_event(&s->state, KN_SCHED_POD_PLACED);
    } else {
        struct kn_buf why = KN_BUF(16 << 10);
        kn_sched_explain(&c, &why);
        p->rejected = c.rejected;
        s->unschedulable++;
        kn_binder_unschedulable(s->binder, p->obj, "Unschedulable", kn_buf_sv(&why), true);
        kn_sched_queue_back(&s->state, p, false);
        kn_buf_done(&why);
    }
    kn_sched_cycle_done(&c);
}

static void publish(struct kn_scheduler *s)
{
    s->nodes = s->state.known.len;
    s->active = s->state.active.len;
    s->backing_off = s->state.backoff.len;
    s->waiting = s->state.waiting_len;
}

static void *run(void *arg)
{
    struct kn_scheduler *s = arg;
    while (!s->inbox.closed) {
        struct kn_list *l;
        // without its lock: what comes just now is seen in the next turn, or when there is nothing
        // to do
        while (s->inbox.len && (l = kn_queue_take(&s->inbox, 0)))
            handle(s, l);
        int64_t next = kn_sched_queue_tick(&s->state, kn_mono());
        struct kn_sched_pod *p = kn_sched_queue_take(&s->state);
        if (p) {
            schedule(s, p);
            continue;
        }
        publish(s);
        l = kn_queue_take(&s->inbox, next);
        if (l)
            handle(s, l);
    }
    return NULL;
}

// -- start and stop -------------------------------------------------------------------------------

static struct kn_status follow(struct kn_scheduler *s, struct kn_client *client, const char *plural,
                               int64_t deadline, kn_cache_handler *handler, struct kn_cache **ret)
{
    struct kn_cache *cache;
    KN_TRY(kn_client_cache(client, kn_resource_find(KN_SV(""), KN_SV("v1"), kn_sv_c(plural)), NULL,
                           deadline, &cache));
    if (ret)
        *ret = cache;
    s->subscriptions[s->subscription_count++] = (struct subscription){cache, handler};
    return KN_STATUS_OK;
}

static struct kn_status open_caches(struct kn_scheduler *s, const struct kn_scheduler_config *c)
{
    int64_t deadline = c->deadline ? c->deadline : kn_mono() + 30 * KN_SECOND;
    KN_TRY(follow(s, c->client, "nodes", deadline, on_node, NULL)); // before the pods, so that at
    KN_TRY(follow(s, c->client, "namespaces", deadline, on_namespace, &s->state.namespaces));
    KN_TRY(follow(s, c->client, "persistentvolumeclaims", deadline, on_volume, &s->state.claims));
    KN_TRY(follow(s, c->client, "persistentvolumes", deadline, on_volume, &s->state.volumes));
    KN_TRY(
        follow(s, c->client, "pods", deadline, on_pod, NULL)); // the start no pod is without nodes
    for (size_t i = 0; i < s->subscription_count; i++)
        kn_cache_subscribe(s->subscriptions[i].cache, s->subscriptions[i].handler, s, true);
    return KN_STATUS_OK;
}

struct kn_status kn_scheduler_start(const struct kn_scheduler_config *config,
                                    struct kn_scheduler **ret)
{
    struct kn_scheduler *s = KN_NEW(struct kn_scheduler);
    s->name = strdup(config->name ? config->name : "default-scheduler");
    kn_list_init(&s->state.waiting);
    kn_map_init(&s->state.nodes);
    kn_map_init(&s->state.pods);
    kn_map_init(&s->state.owners);
    kn_queue_init(&s->inbox);
    struct kn_status st =
        kn_binder_start(config->client, s->name, config->binders ? config->binders : 8,
                        on_bind_failed, s, &s->binder);
    if (kn_ok(st))
        st = open_caches(s, config);
    if (kn_ok(st))
        st = kn_thread_start(&s->thread, "scheduler", 0, run, s);
    s->running = kn_ok(st);
    if (!kn_ok(st)) {
        kn_scheduler_stop(s);
        return kn_wrap(st, "start the scheduler");
    }
    *ret = s;
    return KN_STATUS_OK;
}

void kn_scheduler_stop(struct kn_scheduler *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->subscription_count; i++)
        kn_cache_unsubscribe(s->subscriptions[i].cache, s->subscriptions[i].handler, s);
    kn_queue_close(&s->inbox);
    if (s->running)
        kn_thread_join(s->thread);
    kn_binder_stop(s->binder);
    for (struct kn_list *l; (l = kn_queue_take(&s->inbox, 0));) {
        struct message *m = KN_CONTAINER_OF(l, struct message, link);
        kn_obj_unref(m->obj);
        free(m);
    }
    kn_queue_done(&s->inbox);
    kn_sched_done(&s->state);
    free(s->name);
    free(s);
}

void kn_scheduler_get_stats(struct kn_scheduler *s, struct kn_scheduler_stats *ret)
{
    *ret = (struct kn_scheduler_stats){.scheduled = s->scheduled,
                                       .unschedulable = s->unschedulable,
                                       .bind_failures = s->bind_failures,
                                       .nodes = s->nodes,
                                       .active = s->active,
                                       .backing_off = s->backing_off,
                                       .waiting = s->waiting};
}

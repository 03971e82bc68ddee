// Endpoints and EndpointSlices of services with a selector: which pods, at which ports, how ready.
#include <stdlib.h>

#include "controllers/common.h"

#define SLICE_MAX 100
#define MANAGER "endpointslice-controller.k8s.io"

struct ctx {
    struct kn_env *env;
    struct kn_cache *services, *pods, *endpoints, *slices;
    unsigned by_service;
    struct kn_controller *controller;
};

struct work {
    struct ctx *c;
    struct kn_arena *arena;
    const struct kn_obj *service;
    struct kn_selector *selector;
    kn_objs pods;
    bool all_ready; // publishNotReadyAddresses
};

static void index_service(const struct kn_obj *slice, kn_index_emit *emit, void *ctx)
{
    struct kn_sv service = kn_obj_label(slice, KN_SV("kubernetes.io/service-name"));
    char key[KN_OBJ_KEY_TEXT];
    int n = snprintf(key, sizeof key, "%.*s/%.*s", KN_SV_ARG(slice->ns), KN_SV_ARG(service));
    if (service.len && n > 0 && (size_t)n < sizeof key)
        emit(ctx, kn_sv(key, (size_t)n));
}

// -- pods -----------------------------------------------------------------------------------------

static bool take_pod(void *arg, const struct kn_obj *pod)
{
    struct work *w = arg;
    struct kn_sv phase = KN_JSON_STR_AT(pod->root, KN_K_status, KN_K_phase);
    if (KN_JSON_STR_AT(pod->root, KN_K_status, KN_K_podIP).len && !kn_sv_is(phase, "Failed") &&
        !kn_sv_is(phase, "Succeeded") && kn_selector_matches_labels(w->selector, pod->labels))
        KN_VEC_PUSH(&w->pods, kn_obj_ref(pod));
    return true;
}

// The number that a service's target port means in this pod; 0: it has none of that name.
static int64_t target_port(const struct kn_obj *pod, const struct kn_json *port)
{
    const struct kn_json *target = kn_json_get(port, KN_K_targetPort), *c, *p;
    struct kn_sv name = kn_json_str(target),
                 protocol = kn_json_str(kn_json_get(port, KN_K_protocol));
    if (name.len == 0) {
        int64_t n = kn_json_int(target, 0);
        return n ? n : kn_json_int(kn_json_get(port, KN_K_port), 0);
    }
    KN_JSON_EACH(c, KN_JSON_AT(pod->root, KN_K_spec, KN_K_containers))
    KN_JSON_EACH(p, kn_json_get(c, KN_K_ports))
    {
        struct kn_sv proto = kn_json_str(kn_json_get(p, KN_K_protocol));
        if (kn_sv_eq(kn_json_str(kn_json_get(p, KN_K_name)), name) &&
            (proto.len == 0 || protocol.len == 0 || kn_sv_eq(proto, protocol)))
            return kn_json_int(kn_json_get(p, KN_K_containerPort), 0);
    }
    return 0;
}

// The ports of a service as they are in this pod.
static struct kn_json *ports_of(struct work *w, const struct kn_obj *pod)
{
    struct kn_arena *a = w->arena;
    struct kn_json *list = kn_json_new_array(a);
    const struct kn_json *p;
    KN_JSON_EACH(p, KN_JSON_AT(w->service->root, KN_K_spec, KN_K_ports))
    {
        int64_t n = target_port(pod, p);
        if (n == 0)
            continue;
        struct kn_json *o = kn_json_append(list, kn_json_new_object(a));
        kn_json_set_str(a, o, KN_K_name, kn_json_str(kn_json_get(p, KN_K_name)));
        kn_json_set_int(a, o, KN_K_port, n);
        struct kn_sv protocol = kn_json_str(kn_json_get(p, KN_K_protocol));
        kn_json_set_str(a, o, KN_K_protocol, protocol.len ? protocol : KN_SV("TCP"));
        struct kn_sv app = kn_json_str(kn_json_get(p, KN_K_appProtocol));
        if (app.len)
            kn_json_set_str(a, o, KN_K_appProtocol, app);
    }
    return list;
}

static bool is_ready(const struct work *w, const struct kn_obj *pod)
{
    return w->all_ready || (kn_pod_ready(pod) && !pod->deleting);
}

static struct kn_json *target_ref(struct kn_arena *a, const struct kn_obj *pod)
{
    struct kn_json *ref = kn_json_new_object(a);
    kn_json_set_str(a, ref, KN_K_kind, KN_SV("Pod"));
    kn_json_set_str(a, ref, KN_K_namespace, pod->ns);
    kn_json_set_str(a, ref, KN_K_name, pod->name);
    kn_json_set_str(a, ref, KN_K_uid, pod->uid);
    return ref;
}

// A pod's own name in DNS: if it says so and the service is its subdomain.
static struct kn_sv hostname(const struct work *w, const struct kn_obj *pod)
{
    struct kn_sv sub = KN_JSON_STR_AT(pod->root, KN_K_spec, KN_K_subdomain);
    return kn_sv_eq(sub, w->service->name) ? KN_JSON_STR_AT(pod->root, KN_K_spec, KN_K_hostname)
                                           : KN_SV_NULL;
}

// -- groups of pods with the same ports -----------------------------------------------------------

struct group {
    struct kn_json *ports;
    KN_VEC(const struct kn_obj *) pods;
};

typedef KN_VEC(struct group) groups;

static void group_pods(struct work *w, groups *g)
{
    for (size_t i = 0; i < w->pods.len; i++) {
        struct kn_json *ports = ports_of(w, w->pods.ptr[i]);
        size_t at = 0;
        while (at < g->len && !kn_json_equal(g->ptr[at].ports, ports))
            at++;
        if (at == g->len)
            KN_VEC_PUSH(g, (struct group){.ports = ports});
        KN_VEC_PUSH(&g->ptr[at].pods, w->pods.ptr[i]);
    }
}

static void groups_done(groups *g)
{
    for (size_t i = 0; i < g->len; i++)
        KN_VEC_DONE(&g->ptr[i].pods);
    KN_VEC_DONE(g);
}

// -- Endpoints ------------------------------------------------------------------------------------

static struct kn_json *core_ports(struct kn_arena *a, const struct kn_json *ports)
{
    struct kn_json *list = kn_json_copy(a, ports), *p;
    KN_JSON_EACH(p, list)
    if (kn_json_str(kn_json_get(p, KN_K_name)).len == 0)
        kn_json_remove(p, KN_K_name);
    return list;
}

static struct kn_json *subsets_of(struct work *w, const groups *g)
{
    struct kn_arena *a = w->arena;
    struct kn_json *list = kn_json_new_array(a);
    for (size_t i = 0; i < g->len; i++) {
        struct kn_json *subset = kn_json_append(list, kn_json_new_object(a));
        for (size_t n = 0; n < g->ptr[i].pods.len; n++) {
            const struct kn_obj *pod = g->ptr[i].pods.ptr[n];
            bool ready = is_ready(w, pod);
            struct kn_json *into = kn_json_ensure_array(
                a, subset, ready ? KN_K_addresses : KN_K_notReadyAddresses);
            struct kn_json *e = kn_json_append(into, kn_json_new_object(a));
            kn_json_set_str(a, e, KN_K_ip, KN_JSON_STR_AT(pod->root, KN_K_status, KN_K_podIP));
            if (hostname(w, pod).len)
                kn_json_set_str(a, e, KN_K_hostname, hostname(w, pod));
            kn_json_set_str(a, e, KN_K_nodeName,
                            KN_JSON_STR_AT(pod->root, KN_K_spec, KN_K_nodeName));
            kn_json_set(a, e, KN_K_targetRef, target_ref(a, pod));
        }
        if (kn_json_len(g->ptr[i].ports))
            kn_json_set(a, subset, KN_K_ports, core_ports(a, g->ptr[i].ports));
    }
    return list;
}

static struct kn_status write_endpoints(struct work *w, const groups *g)
{
    struct kn_arena *a = w->arena;
    const struct kn_obj *old = kn_cache_get(w->c->endpoints, w->service->ns, w->service->name);
    struct kn_json *o = old ? kn_json_copy(a, old->root) : kn_json_new_object(a);
    struct kn_json *m = kn_json_ensure_object(a, o, KN_K_metadata);
    kn_json_set_str(a, m, KN_K_name, w->service->name);
    struct kn_json *labels = kn_json_set(a, m, KN_K_labels, kn_json_new_object(a));
    const struct kn_json *l;
    KN_JSON_EACH(l, w->service->labels)
    kn_json_set_sv(a, labels, kn_json_key(l), kn_json_copy(a, l));
    if (kn_sv_is(KN_JSON_STR_AT(w->service->root, KN_K_spec, KN_K_clusterIP), "None"))
        kn_json_set_sv(a, labels, KN_SV("service.kubernetes.io/headless"),
                       kn_json_new_str(a, KN_SV("")));
    kn_json_set_sv(a, labels, KN_SV("endpoints.kubernetes.io/managed-by"),
                   kn_json_new_str(a, KN_SV("endpoint-controller")));
    struct kn_json *subsets = subsets_of(w, g);
    if (kn_json_len(subsets))
        kn_json_set(a, o, KN_K_subsets, subsets);
    else
        kn_json_remove(o, KN_K_subsets);
    struct kn_status s = KN_STATUS_OK;
    if (!old)
        s = kn_client_create(w->c->env->client, kn_core("endpoints"), w->service->ns, KN_SV_NULL,
                             NULL, o, NULL);
    else if (!kn_json_equal(o, old->root))
        s = kn_client_update(w->c->env->client, kn_core("endpoints"), w->service->ns,
                             w->service->name, NULL, o, NULL);
    kn_obj_unref(old);
    return s;
}

// -- EndpointSlices -------------------------------------------------------------------------------

static struct kn_json *endpoint_of(struct work *w, const struct kn_obj *pod)
{
    struct kn_arena *a = w->arena;
    struct kn_json *e = kn_json_new_object(a);
    struct kn_json *addresses = kn_json_ensure_array(a, e, KN_K_addresses);
    kn_json_append(addresses,
                   kn_json_new_str(a, KN_JSON_STR_AT(pod->root, KN_K_status, KN_K_podIP)));
    struct kn_json *c = kn_json_ensure_object(a, e, KN_K_conditions);
    bool serving = w->all_ready || kn_pod_ready(pod);
    kn_json_set_bool(a, c, KN_K_ready, is_ready(w, pod));
    kn_json_set_bool(a, c, KN_K_serving, serving);
    kn_json_set_bool(a, c, KN_K_terminating, pod->deleting);
    if (hostname(w, pod).len)
        kn_json_set_str(a, e, KN_K_hostname, hostname(w, pod));
    kn_json_set(a, e, KN_K_targetRef, target_ref(a, pod));
    kn_json_set_str(a, e, KN_K_nodeName, KN_JSON_STR_AT(pod->root, KN_K_spec, KN_K_nodeName));
    return e;
}

static struct kn_json *slice_of(struct work *w, const struct group *g, size_t from)
{
    struct kn_arena *a = w->arena;
    struct kn_json *o = kn_json_new_object(a);
    struct kn_json *m = kn_json_ensure_object(a, o, KN_K_metadata);
    kn_json_set_str(a, m, KN_K_generateName,
                    kn_arena_printf(a, "%.*s-", KN_SV_ARG(w->service->name)));
    struct kn_json *labels = kn_json_ensure_object(a, m, KN_K_labels);
    const struct kn_json *l;
    KN_JSON_EACH(l, w->service->labels)
    kn_json_set_sv(a, labels, kn_json_key(l), kn_json_copy(a, l));
    kn_json_set_sv(a, labels, KN_SV("endpointslice.kubernetes.io/managed-by"),
                   kn_json_new_str(a, KN_SV(MANAGER)));
    kn_json_set_sv(a, labels, KN_SV("kubernetes.io/service-name"),
                   kn_json_new_str(a, w->service->name));
    if (kn_sv_is(KN_JSON_STR_AT(w->service->root, KN_K_spec, KN_K_clusterIP), "None"))
        kn_json_set_sv(a, labels, KN_SV("service.kubernetes.io/headless"),
                       kn_json_new_str(a, KN_SV("")));
    kn_own(a, m, w->service);
    kn_json_set_str(a, o, KN_K_addressType, KN_SV("IPv4"));
    struct kn_json *list = kn_json_set(a, o, KN_K_endpoints, kn_json_new_array(a));
    for (size_t i = from; g && i < g->pods.len && i < from + SLICE_MAX; i++)
        kn_json_append(list, endpoint_of(w, g->pods.ptr[i]));
    kn_json_set(a, o, KN_K_ports, g ? kn_json_copy(a, g->ports) : kn_json_new_array(a));
    return o;
}

// Gives what is wanted to a slice that is there.
static struct kn_status replace_slice(struct work *w, const struct kn_obj *old,
                                      const struct kn_json *want)
{
    struct kn_arena *a = w->arena;
    struct kn_json *o = kn_json_copy(a, old->root);
    kn_json_set(a, o, KN_K_endpoints, kn_json_copy(a, kn_json_get(want, KN_K_endpoints)));
    kn_json_set(a, o, KN_K_ports, kn_json_copy(a, kn_json_get(want, KN_K_ports)));
    kn_json_set(a, kn_json_get(o, KN_K_metadata), KN_K_labels,
                kn_json_copy(a, KN_JSON_AT(want, KN_K_metadata, KN_K_labels)));
    if (kn_json_equal(o, old->root))
        return KN_STATUS_OK;
    return kn_client_update(w->c->env->second, kn_of("discovery.k8s.io", "endpointslices"), old->ns,
                            old->name, NULL, o, NULL);
}

static struct kn_status write_slices(struct work *w, const groups *g)
{
    char key[KN_OBJ_KEY_TEXT];
    kn_obj_key_text(w->service, key);
    kn_objs all = {0}, there = {0};
    kn_cache_by_index(w->c->slices, w->c->by_service, kn_sv_c(key), kn_objs_collect, &all);
    for (size_t i = 0; i < all.len; i++)
        if (kn_sv_is(kn_obj_label(all.ptr[i], KN_SV("endpointslice.kubernetes.io/managed-by")),
                     MANAGER) &&
            kn_owned_by(all.ptr[i], w->service))
            KN_VEC_PUSH(&there, kn_obj_ref(all.ptr[i]));
    kn_objs_done(&all);
    const struct kn_resource *r = kn_of("discovery.k8s.io", "endpointslices");
    struct kn_status s = KN_STATUS_OK;
    size_t used = 0;
    for (size_t i = 0; i < (g->len ? g->len : 1) && kn_ok(s); i++) {
        const struct group *one = g->len ? &g->ptr[i] : NULL; // no pods: one empty slice
        size_t n = one ? one->pods.len : 1;
        for (size_t from = 0; from < n && kn_ok(s); from += SLICE_MAX) {
            struct kn_json *want = slice_of(w, one, from);
            s = used < there.len ? replace_slice(w, there.ptr[used], want)
                                 : kn_client_create(w->c->env->second, r, w->service->ns,
                                                    KN_SV_NULL, NULL, want, NULL);
            used++;
        }
    }
    for (; used < there.len && kn_ok(s); used++) {
        s = kn_client_delete(w->c->env->second, r, there.ptr[used]->ns, there.ptr[used]->name,
                             KN_DELETE_DEFAULT);
        if (s.code == KN_NOT_FOUND)
            kn_status_done(&s);
    }
    kn_objs_done(&there);
    return s;
}

// -- the controller -------------------------------------------------------------------------------

static struct kn_status remove_endpoints(struct ctx *c, struct kn_sv ns, struct kn_sv name)
{
    const struct kn_obj *e = kn_cache_get(c->endpoints, ns, name);
    bool ours = e && kn_sv_is(kn_obj_label(e, KN_SV("endpoints.kubernetes.io/managed-by")),
                              "endpoint-controller");
    kn_obj_unref(e);
    if (!ours)
        return KN_STATUS_OK;
    struct kn_status s =
        kn_client_delete(c->env->client, kn_core("endpoints"), ns, name, KN_DELETE_DEFAULT);
    if (s.code == KN_NOT_FOUND)
        kn_status_done(&s);
    return s;
}

static struct kn_status sync_service(struct work *w)
{
    const struct kn_json *spec = kn_json_get(w->service->root, KN_K_spec);
    const struct kn_json *selector = kn_json_get(spec, KN_K_selector);
    if (kn_json_len(selector) == 0 ||
        kn_sv_is(kn_json_str(kn_json_get(spec, KN_K_type)), "ExternalName"))
        return KN_STATUS_OK; // whose endpoints are somebody else's matter
    KN_TRY(kn_label_selector_of_map(w->arena, selector, &w->selector));
    w->all_ready = kn_json_bool(kn_json_get(spec, KN_K_publishNotReadyAddresses), false);
    kn_cache_list(w->c->pods, w->service->ns, KN_SV_NULL, KN_SV_NULL, take_pod, w);
    groups g = {0};
    group_pods(w, &g);
    struct kn_status s = write_endpoints(w, &g);
    if (kn_ok(s))
        s = write_slices(w, &g);
    groups_done(&g);
    return s;
}

static struct kn_status reconcile(void *arg, struct kn_sv key, int64_t *ret_after)
{
    (void)ret_after;
    struct work w = {.c = arg};
    struct kn_sv ns, name;
    kn_key_split(key, &ns, &name);
    w.service = kn_cache_get(w.c->services, ns, name);
    if (!w.service)
        return remove_endpoints(w.c, ns, name); // slices go with their owner
    w.arena = kn_arena_new(16384, 256u << 20);
    struct kn_status s = w.service->deleting ? KN_STATUS_OK : sync_service(&w);
    kn_objs_done(&w.pods);
    kn_obj_unref(w.service);
    kn_arena_free(w.arena);
    return s;
}

struct select_ctx {
    struct ctx *c;
    const struct kn_obj *pod, *old;
};

static bool map_selects(const struct kn_json *selector, const struct kn_json *labels)
{
    const struct kn_json *m;
    if (kn_json_len(selector) == 0)
        return false;
    KN_JSON_EACH(m, selector)
    {
        const struct kn_json *v = kn_json_get_sv(labels, kn_json_key(m));
        if (!v || !kn_sv_eq(kn_json_str(v), kn_json_str(m)))
            return false;
    }
    return true;
}

static bool add_if_selects(void *arg, const struct kn_obj *service)
{
    struct select_ctx *s = arg;
    const struct kn_json *selector = KN_JSON_AT(service->root, KN_K_spec, KN_K_selector);
    if (map_selects(selector, s->pod->labels) || (s->old && map_selects(selector, s->old->labels)))
        kn_controller_add_obj(s->c->controller, service->ns, service->name);
    return true;
}

// Most changes of a pod do not matter here.
static bool same_to_services(const struct kn_obj *a, const struct kn_obj *b)
{
    return kn_pod_ready(a) == kn_pod_ready(b) && a->deleting == b->deleting &&
           kn_json_equal(a->labels, b->labels) &&
           kn_sv_eq(KN_JSON_STR_AT(a->root, KN_K_status, KN_K_podIP),
                    KN_JSON_STR_AT(b->root, KN_K_status, KN_K_podIP)) &&
           kn_sv_eq(KN_JSON_STR_AT(a->root, KN_K_status, KN_K_phase),
                    KN_JSON_STR_AT(b->root, KN_K_status, KN_K_phase)) &&
           kn_json_equal(kn_json_get(a->root, KN_K_spec), kn_json_get(b->root, KN_K_spec));
}

static void on_pod(void *arg, enum kn_event_type type, const struct kn_obj *pod,
                   const struct kn_obj *old)
{
    struct select_ctx s = {arg, pod, old};
    if (type == KN_EVENT_MODIFIED && old && same_to_services(pod, old))
        return;
    kn_cache_list(s.c->services, pod->ns, KN_SV_NULL, KN_SV_NULL, add_if_selects, &s);
}

// Somebody else changed or deleted what is ours.
static void on_slice(void *arg, enum kn_event_type type, const struct kn_obj *slice,
                     const struct kn_obj *old)
{
    (void)old;
    struct ctx *c = arg;
    struct kn_sv service = kn_obj_label(slice, KN_SV("kubernetes.io/service-name"));
    if (service.len && type != KN_EVENT_ADDED)
        kn_controller_add_obj(c->controller, slice->ns, service);
}

static void on_endpoints(void *arg, enum kn_event_type type, const struct kn_obj *e,
                         const struct kn_obj *old)
{
    (void)old;
    struct ctx *c = arg;
    if (type != KN_EVENT_ADDED)
        kn_controller_add_obj(c->controller, e->ns, e->name);
}

struct kn_status kn_endpoints_start(struct kn_env *env, struct kn_controller **ret)
{
    static struct ctx c;
    c.env = env;
    KN_TRY(kn_env_cache(env, kn_core("services"), &c.services));
    KN_TRY(kn_env_cache(env, kn_core("pods"), &c.pods));
    KN_TRY(kn_env_cache(env, kn_core("endpoints"), &c.endpoints));
    KN_TRY(kn_env_cache(env, kn_of("discovery.k8s.io", "endpointslices"), &c.slices));
    c.by_service = kn_cache_add_index(c.slices, index_service);
    c.controller = *ret = kn_controller_new(
        &(struct kn_controller_spec){.name = "endpoints", .reconcile = reconcile, .ctx = &c});
    kn_env_subscribe(env, c.pods, on_pod, &c, false);
    kn_env_subscribe(env, c.slices, on_slice, &c, false);
    kn_env_subscribe(env, c.endpoints, on_endpoints, &c, false);
    kn_env_subscribe(env, c.services, kn_controller_on_object, c.controller, true);
    return kn_controller_start(c.controller);
}

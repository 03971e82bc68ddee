// What a kind does with an object before it is validated: status, generation, addresses, ports.
#include "apiserver/alloc.h"
#include "apiserver/internal.h"
#include "codec/base64.h"
#include "meta/validate.h"

static bool is(const struct kn_request *r, const char *group, const char *plural)
{
    const struct kn_resource *hub = r->resource->hub;
    return kn_sv_is(hub->plural, plural) && kn_sv_is(hub->group, group);
}

// Kinds that count the changes of what is wanted of them.
static bool has_generation(const struct kn_resource *hub)
{
    static const char *const plurals[] = {"deployments",
                                          "replicasets",
                                          "daemonsets",
                                          "statefulsets",
                                          "pods",
                                          "replicationcontrollers",
                                          "podtemplates",
                                          "endpointslices",
                                          "jobs",
                                          "cronjobs",
                                          "networkpolicies",
                                          "poddisruptionbudgets",
                                          "ingresses",
                                          "horizontalpodautoscalers",
                                          "customresourcedefinitions",
                                          "certificatesigningrequests"};
    for (size_t i = 0; i < KN_ARRAY_LEN(plurals); i++)
        if (kn_sv_is(hub->plural, plurals[i]))
            return true;
    return false;
}

static bool has_status(const struct kn_resource *hub)
{
    return kn_resource_sub(hub, KN_SV("status")) != NULL;
}

// An empty status, with the members that Go always writes (`replicas: 0`).
static struct kn_json *new_status(struct kn_request *r, struct kn_json *obj)
{
    struct kn_json *status = kn_json_set(r->arena, obj, KN_K_status, kn_json_new_object(r->arena));
    const struct kn_type *type = r->resource->hub->type;
    const struct kn_field *f = kn_type_field(type, KN_K_status);
    if (f && status)
        KN_IGNORE(kn_decode(r->arena, kn_field_type(type, f), status, NULL)); // nothing to refuse
    return status;
}

// -- pods -----------------------------------------------------------------------------------------

static bool is_zero(struct kn_sv quantity)
{
    return quantity.len == 0 || kn_sv_is(quantity, "0");
}

// Guaranteed: every container limits cpu and memory and requests as much; BestEffort: none asks for
// anything; Burstable: the rest.
static const char *qos_class(const struct kn_json *spec)
{
    static const enum kn_atom lists[] = {KN_K_containers, KN_K_initContainers};
    static const enum kn_atom what[] = {KN_K_cpu, KN_K_memory};
    bool any = false, all = true;
    for (size_t l = 0; l < KN_ARRAY_LEN(lists); l++) {
        const struct kn_json *c;
        KN_JSON_EACH(c, kn_json_get(spec, lists[l]))
        for (size_t i = 0; i < KN_ARRAY_LEN(what); i++) {
            struct kn_sv request = KN_JSON_STR_AT(c, KN_K_resources, KN_K_requests, what[i]);
            struct kn_sv limit = KN_JSON_STR_AT(c, KN_K_resources, KN_K_limits, what[i]);
            any = any || !is_zero(request) || !is_zero(limit);
            all = all && !is_zero(limit) && (is_zero(request) || kn_sv_eq(request, limit));
        }
    }
    return !any ? "BestEffort" : all ? "Guaranteed" : "Burstable";
}

static void new_pod(struct kn_request *r, struct kn_json *obj)
{
    struct kn_arena *a = r->arena;
    struct kn_json *status = new_status(r, obj);
    kn_json_set_str(a, status, KN_K_phase, KN_SV("Pending"));
    kn_json_set_str(a, status, KN_K_qosClass, kn_sv_c(qos_class(kn_json_get(obj, KN_K_spec))));
}

// -- services -------------------------------------------------------------------------------------

static bool wants_ip(const struct kn_json *spec)
{
    return !kn_sv_is(kn_json_str(kn_json_get(spec, KN_K_type)), "ExternalName");
}

static bool wants_ports(const struct kn_json *spec)
{
    struct kn_sv type = kn_json_str(kn_json_get(spec, KN_K_type));
    if (kn_sv_is(type, "LoadBalancer"))
        return kn_json_bool(kn_json_get(spec, KN_K_allocateLoadBalancerNodePorts), true);
    return kn_sv_is(type, "NodePort");
}

static struct kn_sv service_ip(const struct kn_json *spec)
{
    struct kn_sv ip = kn_json_str(kn_json_get(spec, KN_K_clusterIP));
    if (ip.len == 0)
        ip = kn_json_str(kn_json_first(kn_json_get(spec, KN_K_clusterIPs)));
    return kn_sv_is(ip, "None") ? KN_SV_NULL : ip;
}

static struct kn_status refuse(struct kn_request *r, struct kn_status why, const char *field,
                               struct kn_sv value)
{
    struct kn_problems p;
    kn_problems_init(&p, r->arena);
    kn_problem_add(&p, KN_PROBLEM_INVALID, KN_PATH_SV(NULL, kn_sv_c(field)),
                   kn_problem_quote(r->arena, value), "%s", kn_status_text(&why));
    kn_status_done(&why);
    return kn_problems_status(&p, KN_SV(""), KN_SV("Service"), r->name);
}

static struct kn_status refuse_ip_change(struct kn_request *r, struct kn_sv given)
{
    struct kn_problems p;
    kn_problems_init(&p, r->arena);
    struct kn_sv quoted = kn_problem_quote(r->arena, given);
    kn_problem_add(&p, KN_PROBLEM_INVALID, KN_PATH_SV(NULL, KN_SV("spec.clusterIPs[0]")),
                   kn_arena_printf(r->arena, "[%.*s]", KN_SV_ARG(quoted)),
                   "may not change once set");
    return kn_problems_status(&p, KN_SV(""), KN_SV("Service"), r->name);
}

static bool old_has_port(const struct kn_json *old_spec, int64_t port)
{
    const struct kn_json *p;
    KN_JSON_EACH(p, kn_json_get(old_spec, KN_K_ports))
    if (kn_json_int(kn_json_get(p, KN_K_nodePort), 0) == port)
        return true;
    return kn_json_int(kn_json_get(old_spec, KN_K_healthCheckNodePort), 0) == port;
}

// The node port of an earlier port of the same service and number, for another protocol.
static bool shared_port(const struct kn_json *ports, const struct kn_json *at, int64_t port)
{
    const struct kn_json *p;
    KN_JSON_EACH(p, ports)
    {
        if (p == at)
            return false;
        if (kn_json_int(kn_json_get(p, KN_K_nodePort), 0) == port)
            return true;
    }
    return false;
}

static struct kn_status allocate_ports(struct kn_request *r, struct kn_json *spec,
                                       const struct kn_json *old)
{
    struct kn_json *ports = kn_json_get(spec, KN_K_ports), *p;
    int i = 0;
    KN_JSON_EACH(p, ports)
    {
        int64_t port = kn_json_int(kn_json_get(p, KN_K_nodePort), 0);
        char field[64];
        snprintf(field, sizeof field, "spec.ports[%d].nodePort", i++);
        if (!wants_ports(spec) && port == 0)
            continue;
        if (port == 0) {
            int fresh;
            struct kn_status s = kn_alloc_port(r->server->alloc, &fresh);
            if (!kn_ok(s))
                return refuse(r, s, field, KN_SV("0"));
            kn_json_set_int(r->arena, p, KN_K_nodePort, fresh);
        } else if (!old_has_port(old, port) && !shared_port(ports, p, port)) {
            struct kn_status s = kn_alloc_take_port(r->server->alloc, port);
            if (kn_ok(s))
                continue;
            struct kn_problems list;
            kn_problems_init(&list, r->arena);
            kn_problem_add(&list, KN_PROBLEM_INVALID, KN_PATH_SV(NULL, kn_sv_c(field)),
                           kn_arena_printf(r->arena, "%lld", (long long)port), "%s",
                           kn_status_text(&s));
            kn_status_done(&s);
            // not ours: who undoes must not give it back
            kn_json_set_int(r->arena, p, KN_K_nodePort, 0);
            return kn_problems_status(&list, KN_SV(""), KN_SV("Service"), r->name);
        }
    }
    return KN_STATUS_OK;
}

static void set_ip(struct kn_request *r, struct kn_json *spec, struct kn_sv ip)
{
    kn_json_set_str(r->arena, spec, KN_K_clusterIP, ip);
    struct kn_json *list =
        kn_json_set(r->arena, spec, KN_K_clusterIPs, kn_json_new_array(r->arena));
    kn_json_append(list, kn_json_new_str(r->arena, ip));
}

static void set_families(struct kn_request *r, struct kn_json *spec)
{
    if (kn_json_len(kn_json_get(spec, KN_K_ipFamilies)) == 0) {
        struct kn_json *f =
            kn_json_set(r->arena, spec, KN_K_ipFamilies, kn_json_new_array(r->arena));
        kn_json_append(f, kn_json_new_str(r->arena, KN_SV("IPv4")));
    }
    if (!kn_json_get(spec, KN_K_ipFamilyPolicy)) // "" is refused by validation
        kn_json_set_str(r->arena, spec, KN_K_ipFamilyPolicy, KN_SV("SingleStack"));
}

// Addresses that contradict each other are refused before any is taken: an undo could not tell
// which of them are ours.
static struct kn_status refuse_contradiction(struct kn_request *r, const struct kn_json *obj,
                                             const struct kn_json *old)
{
    const struct kn_json *spec = kn_json_get(obj, KN_K_spec);
    const struct kn_json *list = kn_json_get(spec, KN_K_clusterIPs);
    const struct kn_json *list_before = kn_json_get(kn_json_get(old, KN_K_spec), KN_K_clusterIPs);
    struct kn_sv ip = kn_json_str(kn_json_get(spec, KN_K_clusterIP));
    if (kn_json_len(list) == 0 || (list_before && kn_json_equal(list, list_before)))
        return KN_STATUS_OK; // only clusterIP was changed
    if (kn_json_len(list) == 1 && kn_sv_eq(kn_json_str(kn_json_first(list)), ip))
        return KN_STATUS_OK;
    struct kn_problems p;
    kn_problems_init(&p, r->arena);
    kn_validate(r->resource->hub, NULL, obj, old, &p);
    return kn_problems_status(&p, KN_SV(""), KN_SV("Service"), r->name);
}

static bool same_member(const struct kn_json *a, const struct kn_json *b, enum kn_atom key)
{
    const struct kn_json *x = kn_json_get(a, key), *y = kn_json_get(b, key);
    return x && y && kn_json_equal(x, y);
}

static bool same_node_ports(const struct kn_json *spec, const struct kn_json *old)
{
    const struct kn_json *p;
    KN_JSON_EACH(p, kn_json_get(spec, KN_K_ports))
    {
        int64_t port = kn_json_int(kn_json_get(p, KN_K_nodePort), 0);
        if (port && !old_has_port(old, port))
            return false;
    }
    return true;
}

// With another type goes what only the old one has, if it is as it was: who changes the type alone
// need not name all of that.
static void drop_with_type(struct kn_json *spec, const struct kn_json *old)
{
    static const enum kn_atom of_balancers[] = {
        KN_K_allocateLoadBalancerNodePorts, KN_K_loadBalancerClass, KN_K_loadBalancerSourceRanges};
    if (!old || same_member(spec, old, KN_K_type))
        return;
    bool balancer = kn_sv_is(kn_json_str(kn_json_get(spec, KN_K_type)), "LoadBalancer");
    for (size_t i = 0; i < KN_ARRAY_LEN(of_balancers) && !balancer; i++)
        if (same_member(spec, old, of_balancers[i]))
            kn_json_remove(spec, of_balancers[i]);
    if (!wants_ports(spec) && same_member(spec, old, KN_K_externalTrafficPolicy))
        kn_json_remove(spec, KN_K_externalTrafficPolicy);
    if (!wants_ports(spec) && same_member(spec, old, KN_K_healthCheckNodePort))
        kn_json_remove(spec, KN_K_healthCheckNodePort);
    static const enum kn_atom of_addresses[] = {KN_K_clusterIP, KN_K_clusterIPs, KN_K_ipFamilies,
                                                KN_K_ipFamilyPolicy, KN_K_internalTrafficPolicy};
    for (size_t i = 0; i < KN_ARRAY_LEN(of_addresses) && !wants_ip(spec); i++)
        if (same_member(spec, old, of_addresses[i]))
            kn_json_remove(spec, of_addresses[i]);
    struct kn_json *p;
    if (!wants_ports(spec) && same_node_ports(spec, old))
        for (p = kn_json_first(kn_json_get(spec, KN_K_ports)); p;
             p = kn_json_next(kn_json_get(spec, KN_K_ports), p))
            kn_json_remove(p, KN_K_nodePort);
}

static struct kn_status allocate_for(struct kn_request *r, struct kn_json *obj,
                                     const struct kn_json *old)
{
    const struct kn_json *old_spec = kn_json_get(old, KN_K_spec);
    struct kn_json *spec = kn_json_ensure_object(r->arena, obj, KN_K_spec);
    drop_with_type(spec, old_spec);
    if (!wants_ip(spec))
        return KN_STATUS_OK;
    set_families(r, spec);
    KN_TRY(refuse_contradiction(r, obj, old));
    struct kn_sv given = kn_json_str(kn_json_get(spec, KN_K_clusterIP));
    struct kn_sv old_ip = service_ip(old_spec);
    bool headless = kn_sv_is(kn_json_str(kn_json_get(old_spec, KN_K_clusterIP)), "None");
    if (kn_sv_is(given, "None") || (given.len == 0 && headless)) {
        set_ip(r, spec, KN_SV("None"));
    } else if (given.len == 0) {
        struct kn_sv ip = old_ip;
        char fresh[16];
        if (ip.len == 0) {
            struct kn_status s = kn_alloc_ip(r->server->alloc, fresh);
            if (!kn_ok(s))
                return refuse(r, s, "spec.clusterIPs", KN_SV(""));
            ip = kn_sv_c(fresh);
        }
        set_ip(r, spec, kn_arena_dup(r->arena, ip));
    } else if (!kn_sv_eq(given, old_ip)) {
        if (old_ip.len) // refused here: undoing would give back an address of another service
            return refuse_ip_change(r, given);
        struct kn_status s = kn_alloc_take_ip(r->server->alloc, given);
        if (!kn_ok(s)) {
            kn_json_remove(spec, KN_K_clusterIP); // not ours to give back
            kn_json_remove(spec, KN_K_clusterIPs);
            return refuse(r, s, "spec.clusterIPs", given);
        }
        set_ip(r, spec, given);
    }
    struct kn_status s = allocate_ports(r, spec, old_spec);
    if (!kn_ok(s))
        kn_prepare_undo(r, obj, NULL);
    return s;
}

// The request of a create has no name: what is refused is called as the object is.
static struct kn_status allocate_service(struct kn_request *r, struct kn_json *obj,
                                         const struct kn_json *old)
{
    struct kn_sv asked = r->name;
    r->name = KN_JSON_STR_AT(obj, KN_K_metadata, KN_K_name);
    struct kn_status s = allocate_for(r, obj, old);
    r->name = asked;
    return s;
}

// Gives back what `obj` has and `old` has not.
static void give_back(struct kn_apiserver *s, const struct kn_json *spec, const struct kn_json *old)
{
    struct kn_sv ip = service_ip(spec);
    if (ip.len && !kn_sv_eq(ip, service_ip(old)))
        kn_alloc_drop_ip(s->alloc, ip);
    const struct kn_json *p;
    KN_JSON_EACH(p, kn_json_get(spec, KN_K_ports))
    {
        int64_t port = kn_json_int(kn_json_get(p, KN_K_nodePort), 0);
        if (port && !old_has_port(old, port))
            kn_alloc_drop_port(s->alloc, port);
    }
}

void kn_prepare_undo(struct kn_request *r, const struct kn_json *obj, const struct kn_obj *old)
{
    if (is(r, "", "services") && r->subresource.len == 0)
        give_back(r->server, kn_json_get(obj, KN_K_spec),
                  old ? kn_json_get(old->root, KN_K_spec) : NULL);
}

// A handler of the services' cache: what is deleted, or no longer used after a change, is free.
void kn_prepare_service_changed(void *server, enum kn_event_type type, const struct kn_obj *obj,
                                const struct kn_obj *old)
{
    if (type == KN_EVENT_DELETED)
        give_back(server, kn_json_get(old->root, KN_K_spec), NULL);
    else if (old)
        give_back(server, kn_json_get(old->root, KN_K_spec), kn_json_get(obj->root, KN_K_spec));
}

static bool take_one(void *arg, const struct kn_obj *service)
{
    struct kn_apiserver *s = arg;
    const struct kn_json *spec = kn_json_get(service->root, KN_K_spec), *p;
    struct kn_sv ip = service_ip(spec);
    if (ip.len)
        KN_IGNORE(kn_alloc_take_ip(s->alloc, ip)); // of an earlier range: not ours to count
    KN_JSON_EACH(p, kn_json_get(spec, KN_K_ports))
    {
        int64_t port = kn_json_int(kn_json_get(p, KN_K_nodePort), 0);
        if (port)
            KN_IGNORE(kn_alloc_take_port(s->alloc, port));
    }
    return true;
}

struct kn_status kn_prepare_open(struct kn_apiserver *s)
{
    KN_TRY(kn_alloc_new(kn_sv_c(s->config.service_cidr), &s->alloc));
    struct kn_cache *services = kn_core_cache(s, "services");
    kn_cache_list(services, KN_SV_NULL, KN_SV_NULL, KN_SV_NULL, take_one, s);
    kn_cache_subscribe(services, kn_prepare_service_changed, s, false);
    return KN_STATUS_OK;
}

// -- secrets, namespaces --------------------------------------------------------------------------

static void merge_string_data(struct kn_request *r, struct kn_json *obj)
{
    struct kn_json *plain = kn_json_get(obj, KN_K_stringData), *m;
    if (!plain)
        return;
    struct kn_json *data = kn_json_ensure_object(r->arena, obj, KN_K_data);
    KN_JSON_EACH(m, plain)
    {
        struct kn_buf text = KN_BUF(KN_OBJ_MAX);
        kn_base64_encode(&text, kn_json_str(m), KN_BASE64_STD);
        kn_json_set_sv(r->arena, data, kn_json_key(m),
                       kn_json_new_str(r->arena, kn_arena_dup(r->arena, kn_buf_sv(&text))));
        kn_buf_done(&text);
    }
    kn_json_remove(obj, KN_K_stringData);
}

static void new_namespace(struct kn_request *r, struct kn_json *obj)
{
    struct kn_arena *a = r->arena;
    struct kn_json *spec = kn_json_ensure_object(a, obj, KN_K_spec);
    struct kn_json *f = kn_json_ensure_array(a, spec, KN_K_finalizers), *v;
    bool has = false;
    KN_JSON_EACH(v, f)
    has = has || kn_sv_is(kn_json_str(v), "kubernetes");
    if (!has)
        kn_json_append(f, kn_json_new_str(a, KN_SV("kubernetes")));
    kn_json_set_str(a, new_status(r, obj), KN_K_phase, KN_SV("Active"));
}

static void label_namespace(struct kn_request *r, struct kn_json *obj)
{
    struct kn_json *m = kn_json_get(obj, KN_K_metadata);
    struct kn_json *labels = kn_json_ensure_object(r->arena, m, KN_K_labels);
    kn_json_set_sv(r->arena, labels, KN_SV("kubernetes.io/metadata.name"),
                   kn_json_new_str(r->arena, kn_json_str(kn_json_get(m, KN_K_name))));
}

static void begin_volume(struct kn_request *r, struct kn_json *status)
{
    bool volume = is(r, "", "persistentvolumes");
    char now[KN_TIME_TEXT];
    if (!volume && !is(r, "", "persistentvolumeclaims"))
        return;
    kn_json_set_str(r->arena, status, KN_K_phase, KN_SV("Pending"));
    kn_time_format(kn_now(), KN_TIME_SECONDS, now);
    if (volume)
        kn_json_set_str(r->arena, status, KN_K_lastPhaseTransitionTime,
                        kn_arena_dup(r->arena, kn_sv_c(now)));
}

// -- all kinds ------------------------------------------------------------------------------------

struct kn_status kn_prepare_create(struct kn_request *r, struct kn_json *obj)
{
    struct kn_arena *a = r->arena;
    const struct kn_resource *hub = r->resource->hub;
    if (is(r, "", "pods"))
        new_pod(r, obj);
    else if (is(r, "", "namespaces"))
        new_namespace(r, obj);
    else if (has_status(hub) && !is(r, "", "nodes"))
        begin_volume(r, new_status(r, obj));
    struct kn_json *m = kn_json_get(obj, KN_K_metadata);
    if (has_generation(hub))
        kn_json_set_int(a, m, KN_K_generation, 1);
    else
        kn_json_remove(m, KN_K_generation);
    if (is(r, "", "secrets"))
        merge_string_data(r, obj);
    if (is(r, "", "namespaces"))
        label_namespace(r, obj);
    if (is(r, "", "services"))
        return allocate_service(r, obj, NULL);
    return KN_STATUS_OK;
}

static void take_old(struct kn_request *r, struct kn_json *obj, const struct kn_obj *old,
                     enum kn_atom key)
{
    const struct kn_json *v = kn_json_get(old->root, key);
    if (v)
        kn_json_set(r->arena, obj, key, kn_json_copy_shallow_text(r->arena, v));
    else
        kn_json_remove(obj, key);
}

// Everything but status (and, for pods and nodes, labels and annotations) stays as it was.
static void only_status(struct kn_request *r, struct kn_json *obj, const struct kn_obj *old)
{
    struct kn_json *status = kn_json_get(obj, KN_K_status), *m = kn_json_get(obj, KN_K_metadata);
    if (status)
        status = kn_json_copy_shallow_text(r->arena, status);
    if (!is(r, "", "pods") && !is(r, "", "nodes"))
        take_old(r, obj, old, KN_K_metadata);
    else
        m = kn_json_copy_shallow_text(r->arena, m);
    const struct kn_json *member;
    KN_JSON_EACH(member, old->root)
    if (member->key != KN_K_metadata)
        take_old(r, obj, old, (enum kn_atom)member->key);
    if (status)
        kn_json_set(r->arena, obj, KN_K_status, status);
    else
        kn_json_remove(obj, KN_K_status);
}

static bool same_wish(const struct kn_json *obj, const struct kn_json *old)
{
    const struct kn_json *m;
    KN_JSON_EACH(m, obj)
    if (m->key != KN_K_metadata && m->key != KN_K_status &&
        !kn_json_equal(m, kn_json_get(old, (enum kn_atom)m->key)))
        return false;
    KN_JSON_EACH(m, old)
    if (m->key != KN_K_metadata && m->key != KN_K_status && !kn_json_get(obj, (enum kn_atom)m->key))
        return false;
    return true;
}

struct kn_status kn_prepare_update(struct kn_request *r, struct kn_json *obj,
                                   const struct kn_obj *old)
{
    if (kn_sv_is(r->subresource, "status")) {
        only_status(r, obj, old);
        return KN_STATUS_OK;
    }
    if (r->subresource.len)
        return KN_STATUS_OK;
    if (has_status(r->resource->hub))
        take_old(r, obj, old, KN_K_status);
    if (is(r, "", "secrets"))
        merge_string_data(r, obj);
    if (is(r, "", "namespaces")) {
        label_namespace(r, obj);
        take_old(r, obj, old, KN_K_spec); // changed by the finalize subresource alone
    }
    struct kn_status s = KN_STATUS_OK;
    if (is(r, "", "services"))
        s = allocate_service(r, obj, old->root);
    if (has_generation(r->resource->hub) && !same_wish(obj, old->root))
        kn_json_set_int(r->arena, kn_json_get(obj, KN_K_metadata), KN_K_generation,
                        old->generation + 1);
    return s;
}

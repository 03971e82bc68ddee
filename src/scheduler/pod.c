// What a pod asks for, parsed once from its object.
#include "codec/quantity.h"
#include "scheduler/sched_impl.h"

#define ARENA_LIMIT ((size_t)4 << 20)
#define DEFAULT_CPU 100                        // of a container that asks for none, in scores
#define DEFAULT_MEMORY (INT64_C(200) << 20)

// -- resources ------------------------------------------------------------------------------------

struct sums {
    struct kn_arena *arena;
    KN_VEC(struct kn_res_item) items; // cpu and memory among them
};

static int64_t amount(struct kn_sv name, const struct kn_json *v)
{
    struct kn_sv text = kn_json_str(v);
    if (kn_json_type(v) == KN_JSON_INT)
        return kn_sv_is(name, "cpu") ? kn_json_int(v, 0) * 1000 : kn_json_int(v, 0);
    return kn_sv_is(name, "cpu") ? kn_quantity_milli_of(text) : kn_quantity_value_of(text);
}

static int64_t *slot(struct sums *s, struct kn_sv name)
{
    for (size_t i = 0; i < s->items.len; i++)
        if (kn_sv_eq(s->items.ptr[i].name, name))
            return &s->items.ptr[i].value;
    KN_VEC_PUSH(&s->items, (struct kn_res_item){.name = name});
    return &s->items.ptr[s->items.len - 1].value;
}

static void add_list(struct sums *s, const struct kn_json *list)
{
    const struct kn_json *m;
    KN_JSON_EACH(m, list)
    *slot(s, kn_json_key(m)) += amount(kn_json_key(m), m);
}

static void add_sums(struct sums *to, const struct sums *from)
{
    for (size_t i = 0; i < from->items.len; i++)
        *slot(to, from->items.ptr[i].name) += from->items.ptr[i].value;
}

static void max_sums(struct sums *to, const struct sums *from)
{
    for (size_t i = 0; i < from->items.len; i++) {
        int64_t *v = slot(to, from->items.ptr[i].name);
        if (from->items.ptr[i].value > *v)
            *v = from->items.ptr[i].value;
    }
}

static struct kn_res to_res(struct kn_arena *a, const struct sums *s)
{
    struct kn_res r = {0};
    struct kn_res_item *items = kn_arena_calloc(a, s->items.len + 1, sizeof *items);
    for (size_t i = 0; i < s->items.len; i++) {
        const struct kn_res_item *it = &s->items.ptr[i];
        if (kn_sv_is(it->name, "cpu"))
            r.cpu = it->value;
        else if (kn_sv_is(it->name, "memory"))
            r.memory = it->value;
        else if (kn_sv_is(it->name, "ephemeral-storage"))
            r.ephemeral = it->value;
        else if (items && !kn_sv_is(it->name, "pods") && it->value > 0)
            items[r.items_len++] = (struct kn_res_item){kn_arena_dup(a, it->name), it->value};
    }
    r.items = items;
    return r;
}

struct kn_res kn_sched_resources(struct kn_arena *a, const struct kn_json *list)
{
    struct sums s = {.arena = a};
    add_list(&s, list);
    struct kn_res r = to_res(a, &s);
    KN_VEC_DONE(&s.items);
    return r;
}

static const struct kn_json *requests(const struct kn_json *container)
{
    return KN_JSON_AT(container, KN_K_resources, KN_K_requests);
}

static bool is_sidecar(const struct kn_json *init)
{
    return kn_sv_is(kn_json_str(kn_json_get(init, KN_K_restartPolicy)), "Always");
}

// A pod needs what its containers and sidecars need together, or what any step of its
// initialization needs beside the sidecars that run by then, whichever is more; and its overhead.
static void sum_pod(struct sums *total, const struct kn_json *spec)
{
    struct sums sidecars = {.arena = total->arena}, step = {.arena = total->arena},
                init = {.arena = total->arena};
    const struct kn_json *c;
    KN_JSON_EACH(c, kn_json_get(spec, KN_K_containers))
    add_list(total, requests(c));
    KN_JSON_EACH(c, kn_json_get(spec, KN_K_initContainers))
    {
        step.items.len = 0;
        add_list(&step, requests(c));
        if (is_sidecar(c)) {
            add_sums(&sidecars, &step);
            max_sums(&init, &sidecars);
        } else {
            add_sums(&step, &sidecars);
            max_sums(&init, &step);
        }
    }
    add_sums(total, &sidecars);
    max_sums(total, &init);
    const struct kn_json *pod = KN_JSON_AT(spec, KN_K_resources, KN_K_requests), *m;
    KN_JSON_EACH(m, pod) // what is said for the pod as a whole replaces the sum
    *slot(total, kn_json_key(m)) = amount(kn_json_key(m), m);
    add_list(total, kn_json_get(spec, KN_K_overhead));
    KN_VEC_DONE(&sidecars.items);
    KN_VEC_DONE(&step.items);
    KN_VEC_DONE(&init.items);
}

static void sum_nonzero(struct kn_sched_pod *p, const struct kn_json *spec)
{
    const struct kn_json *c;
    p->nonzero_cpu = p->req.cpu;
    p->nonzero_memory = p->req.memory;
    KN_JSON_EACH(c, kn_json_get(spec, KN_K_containers))
    {
        const struct kn_json *r = requests(c);
        if (!kn_json_get(r, KN_K_cpu))
            p->nonzero_cpu += DEFAULT_CPU;
        if (!kn_json_get(r, KN_K_memory))
            p->nonzero_memory += DEFAULT_MEMORY;
    }
}

static void parse_ports(struct kn_sched_pod *p, const struct kn_json *spec)
{
    const struct kn_json *c, *port;
    KN_VEC(struct kn_sched_port) ports = {0};
    KN_JSON_EACH(c, kn_json_get(spec, KN_K_containers))
    KN_JSON_EACH(port, kn_json_get(c, KN_K_ports))
    {
        int64_t n = kn_json_int(kn_json_get(port, KN_K_hostPort), 0);
        struct kn_sv protocol = kn_json_str(kn_json_get(port, KN_K_protocol));
        if (n > 0)
            KN_VEC_PUSH(&ports,
                        (struct kn_sched_port){.ip = kn_json_str(kn_json_get(port, KN_K_hostIP)),
                                               .protocol = protocol.len ? protocol : KN_SV("TCP"),
                                               .port = n});
    }
    struct kn_sched_port *copy = NULL;
    if (ports.len && (copy = kn_arena_alloc(p->arena, ports.len * sizeof *copy)))
        memcpy(copy, ports.ptr, ports.len * sizeof *copy);
    p->ports = copy;
    p->ports_len = copy ? ports.len : 0;
    KN_VEC_DONE(&ports);
}

// -- terms ----------------------------------------------------------------------------------------

// A selector with the values that matchLabelKeys take from the pod itself.
static struct kn_selector *selector_of(struct kn_sched_pod *p, const struct kn_json *term)
{
    struct kn_arena *a = p->arena;
    const struct kn_json *v = kn_json_get(term, KN_K_labelSelector), *k;
    struct kn_selector *s = NULL;
    const struct kn_json *keys = kn_json_get(term, KN_K_matchLabelKeys);
    if (v && kn_json_len(keys)) {
        struct kn_json *copy = kn_json_copy_shallow_text(a, v);
        struct kn_json *labels = kn_json_ensure_object(a, copy, KN_K_matchLabels);
        KN_JSON_EACH(k, keys)
        {
            const struct kn_json *value = kn_json_get_sv(p->obj->labels, kn_json_str(k));
            if (value)
                kn_json_set_sv(a, labels, kn_json_str(k), kn_json_new_str(a, kn_json_str(value)));
        }
        v = copy;
    }
    if (!v)
        return NULL;
    struct kn_status st = kn_label_selector_of(a, v, &s);
    kn_status_done(&st); // it was validated when the pod was made
    return s;
}

static struct kn_sched_term pod_term(struct kn_sched_pod *p, const struct kn_json *t,
                                     int64_t weight)
{
    struct kn_sched_term r = {.selector = selector_of(p, t),
                              .topology_key = kn_json_str(kn_json_get(t, KN_K_topologyKey)),
                              .weight = weight};
    const struct kn_json *names = kn_json_get(t, KN_K_namespaces);
    const struct kn_json *sel = kn_json_get(t, KN_K_namespaceSelector);
    r.names = kn_json_len(names) ? names : NULL;
    if (sel)
        KN_IGNORE(kn_label_selector_of(p->arena, sel, &r.namespaces));
    r.own_namespace = !r.names && !sel;
    return r;
}

static void parse_pod_affinity(struct kn_sched_pod *p, const struct kn_json *v,
                               kn_sched_terms *required, kn_sched_terms *preferred)
{
    const struct kn_json *t;
    KN_JSON_EACH(t, kn_json_get(v, KN_K_requiredDuringSchedulingIgnoredDuringExecution))
    KN_VEC_PUSH(required, pod_term(p, t, 1));
    KN_JSON_EACH(t, kn_json_get(v, KN_K_preferredDuringSchedulingIgnoredDuringExecution))
    KN_VEC_PUSH(preferred, pod_term(p, kn_json_get(t, KN_K_podAffinityTerm),
                                    kn_json_int(kn_json_get(t, KN_K_weight), 0)));
}

static void parse_spread(struct kn_sched_pod *p, const struct kn_json *spec)
{
    const struct kn_json *t;
    KN_JSON_EACH(t, kn_json_get(spec, KN_K_topologySpreadConstraints))
    KN_VEC_PUSH(
        &p->spread,
        (struct kn_sched_term){
            .selector = selector_of(p, t),
            .own_namespace = true,
            .topology_key = kn_json_str(kn_json_get(t, KN_K_topologyKey)),
            .max_skew = kn_json_int(kn_json_get(t, KN_K_maxSkew), 1),
            .min_domains = kn_json_int(kn_json_get(t, KN_K_minDomains), 1),
            .hard =
                !kn_sv_is(kn_json_str(kn_json_get(t, KN_K_whenUnsatisfiable)), "ScheduleAnyway"),
            .honor_affinity =
                !kn_sv_is(kn_json_str(kn_json_get(t, KN_K_nodeAffinityPolicy)), "Ignore"),
            .honor_taints = kn_sv_is(kn_json_str(kn_json_get(t, KN_K_nodeTaintsPolicy)), "Honor"),
        });
}

static bool in_namespaces(struct kn_sched *s, const struct kn_sched_term *t, struct kn_sv own_ns,
                          struct kn_sv ns)
{
    const struct kn_json *n;
    if (t->own_namespace)
        return kn_sv_eq(own_ns, ns);
    KN_JSON_EACH(n, t->names)
    if (kn_sv_eq(kn_json_str(n), ns))
        return true;
    if (!t->namespaces)
        return false;
    if (kn_selector_is_empty(t->namespaces))
        return true;
    const struct kn_obj *o = s->namespaces ? kn_cache_get(s->namespaces, KN_SV_NULL, ns) : NULL;
    bool in = o && kn_selector_matches_labels(t->namespaces, o->labels);
    kn_obj_unref(o);
    return in;
}

bool kn_sched_term_matches(struct kn_sched *s, const struct kn_sched_term *t, struct kn_sv own_ns,
                           const struct kn_obj *pod)
{
    return t->selector && kn_selector_matches_labels(t->selector, pod->labels) &&
           in_namespaces(s, t, own_ns, pod->ns);
}

// -- the pod --------------------------------------------------------------------------------------

static void forget(struct kn_sched_pod *p)
{
    KN_VEC_DONE(&p->affinity);
    KN_VEC_DONE(&p->anti_affinity);
    KN_VEC_DONE(&p->prefer_affinity);
    KN_VEC_DONE(&p->prefer_anti);
    KN_VEC_DONE(&p->spread);
    kn_arena_free(p->arena);
    p->arena = NULL;
    kn_obj_unref(p->obj);
    p->obj = NULL;
}

void kn_sched_pod_parse(struct kn_sched_pod *p, const struct kn_obj *obj)
{
    kn_obj_ref(obj);
    forget(p);
    p->obj = obj;
    p->arena = kn_arena_new(256, ARENA_LIMIT);
    const struct kn_json *spec = kn_json_get(obj->root, KN_K_spec);
    struct kn_sv phase = KN_JSON_STR_AT(obj->root, KN_K_status, KN_K_phase);
    p->finished = kn_sv_is(phase, "Succeeded") || kn_sv_is(phase, "Failed");
    p->priority = (int32_t)kn_json_int(kn_json_get(spec, KN_K_priority), 0);
    struct sums total = {.arena = p->arena};
    sum_pod(&total, spec);
    p->req = to_res(p->arena, &total);
    KN_VEC_DONE(&total.items);
    sum_nonzero(p, spec);
    parse_ports(p, spec);
    const struct kn_json *affinity = kn_json_get(spec, KN_K_affinity);
    parse_pod_affinity(p, kn_json_get(affinity, KN_K_podAffinity), &p->affinity,
                       &p->prefer_affinity);
    parse_pod_affinity(p, kn_json_get(affinity, KN_K_podAntiAffinity), &p->anti_affinity,
                       &p->prefer_anti);
    parse_spread(p, spec);
    p->owner = kn_json_str(kn_json_get(kn_obj_controller(obj), KN_K_uid));
}

struct kn_sched_pod *kn_sched_pod_new(const struct kn_obj *obj)
{
    struct kn_sched_pod *p = KN_NEW(struct kn_sched_pod);
    kn_list_init(&p->link);
    kn_sched_pod_parse(p, obj);
    return p;
}

void kn_sched_pod_free(struct kn_sched_pod *p)
{
    forget(p);
    free(p);
}

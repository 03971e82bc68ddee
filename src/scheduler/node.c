// Nodes and what is requested of them, kept as pods come and go.
#include <stdlib.h>

#include "codec/quantity.h"
#include "scheduler/sched_impl.h"

#define ARENA_LIMIT ((size_t)1 << 20)

struct kn_sched_node *kn_sched_node_of(struct kn_sched *s, struct kn_sv name)
{
    struct kn_sched_node *n = kn_map_get(&s->nodes, name);
    if (n)
        return n;
    n = KN_NEW(struct kn_sched_node);
    n->name = kn_sv_dup(name);
    kn_list_init(&n->pods);
    kn_map_put(&s->nodes, kn_sv(n->name, name.len), n);
    return n;
}

static void node_free(struct kn_sched *s, struct kn_sched_node *n)
{
    kn_map_take(&s->nodes, kn_sv_c(n->name));
    for (size_t i = 0; i < n->extended.len; i++)
        free((char *)(uintptr_t)n->extended.ptr[i].name.ptr);
    KN_VEC_DONE(&n->extended);
    kn_arena_free(n->arena);
    kn_obj_unref(n->obj);
    free(n->images);
    free(n->name);
    free(n);
}

// -- what is read often ---------------------------------------------------------------------------

static uint32_t zone_number(struct kn_sched *s, struct kn_sv zone)
{
    if (zone.len == 0)
        return 0;
    uintptr_t n = (uintptr_t)kn_map_get(&s->zones, zone);
    if (n == 0) {
        n = ++s->zones_len;
        kn_map_put(&s->zones, kn_sv(kn_sv_dup(zone), zone.len), (void *)n);
    }
    return (uint32_t)n;
}

static int by_hash(const void *a, const void *b)
{
    const struct kn_sched_image *x = a, *y = b;
    return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static void read_images(struct kn_sched_node *n, const struct kn_json *images)
{
    const struct kn_json *i, *name;
    KN_VEC(struct kn_sched_image) all = {0};
    KN_JSON_EACH(i, images)
    {
        int64_t bytes = kn_json_int(kn_json_get(i, KN_K_sizeBytes), 0);
        const struct kn_json *names = kn_json_get(i, KN_K_names);
        KN_JSON_EACH(name, names)
        {
            struct kn_sv text = kn_json_str(name);
            KN_VEC_PUSH(&all, (struct kn_sched_image){kn_hash(text.ptr, text.len), bytes});
        }
    }
    if (all.len)
        qsort(all.ptr, all.len, sizeof all.ptr[0], by_hash);
    free(n->images);
    n->images = all.ptr;
    n->images_len = all.len;
}

static void read_often(struct kn_sched *s, struct kn_sched_node *n, const struct kn_obj *before)
{
    const struct kn_json *spec = kn_json_get(n->obj->root, KN_K_spec);
    const struct kn_json *taints = kn_json_get(spec, KN_K_taints);
    n->taints = kn_json_len(taints) ? taints : NULL;
    n->unschedulable = kn_json_bool(kn_json_get(spec, KN_K_unschedulable), false);
    n->zone = zone_number(s, kn_obj_label(n->obj, KN_SV("topology.kubernetes.io/zone")));
    n->has_hostname = kn_obj_label(n->obj, KN_SV("kubernetes.io/hostname")).len > 0;
    const struct kn_json *images = KN_JSON_AT(n->obj->root, KN_K_status, KN_K_images);
    if (!before ||
        !kn_json_equal(images, KN_JSON_AT(before->root, KN_K_status, KN_K_images)))
        read_images(n, images);
}

static bool differs(const struct kn_obj *a, const struct kn_obj *b)
{
    const struct kn_json *sa = kn_json_get(a->root, KN_K_spec),
                         *sb = kn_json_get(b->root, KN_K_spec);
    return !kn_json_equal(sa, sb) || !kn_json_equal(a->labels, b->labels) ||
           !kn_json_equal(KN_JSON_AT(a->root, KN_K_status, KN_K_allocatable),
                          KN_JSON_AT(b->root, KN_K_status, KN_K_allocatable));
}

bool kn_sched_node_set(struct kn_sched *s, const struct kn_obj *obj)
{
    struct kn_sched_node *n = kn_sched_node_of(s, obj->name);
    bool changed = !n->obj || differs(n->obj, obj);
    if (!n->obj) {
        n->index = s->known.len;
        KN_VEC_PUSH(&s->known, n);
    }
    const struct kn_obj *before = n->obj;
    n->obj = kn_obj_ref(obj);
    read_often(s, n, before);
    kn_obj_unref(before);
    if (!changed)
        return false;
    kn_arena_free(n->arena);
    n->arena = kn_arena_new(256, ARENA_LIMIT);
    const struct kn_json *list = KN_JSON_AT(obj->root, KN_K_status, KN_K_allocatable);
    if (!list)
        list = KN_JSON_AT(obj->root, KN_K_status, KN_K_capacity);
    n->allocatable = kn_sched_resources(n->arena, list);
    const struct kn_json *pods = kn_json_get_sv(list, KN_SV("pods"));
    n->max_pods = kn_json_type(pods) == KN_JSON_INT ? kn_json_int(pods, 0)
                                                     : kn_quantity_value_of(kn_json_str(pods));
    return true;
}

void kn_sched_node_gone(struct kn_sched *s, struct kn_sv name)
{
    struct kn_sched_node *n = kn_map_get(&s->nodes, name);
    if (!n || !n->obj)
        return;
    struct kn_sched_node *last = s->known.ptr[s->known.len - 1];
    last->index = n->index;
    s->known.ptr[n->index] = last;
    s->known.len--;
    kn_obj_unref(n->obj);
    n->obj = NULL;
    if (kn_list_empty(&n->pods))
        node_free(s, n);
}

// -- accounting -----------------------------------------------------------------------------------

static void count_extended(struct kn_sched_node *n, const struct kn_res_item *it, int sign)
{
    for (size_t i = 0; i < n->extended.len; i++)
        if (kn_sv_eq(n->extended.ptr[i].name, it->name)) {
            n->extended.ptr[i].value += sign * it->value;
            return;
        }
    struct kn_sv name = kn_sv(kn_sv_dup(it->name), it->name.len);
    KN_VEC_PUSH(&n->extended, (struct kn_res_item){name, sign * it->value});
}

static void count(struct kn_sched_node *n, const struct kn_sched_pod *p, int sign)
{
    n->pod_count += sign;
    n->requested.cpu += sign * p->req.cpu;
    n->requested.memory += sign * p->req.memory;
    n->requested.ephemeral += sign * p->req.ephemeral;
    for (size_t i = 0; i < p->req.items_len; i++)
        count_extended(n, &p->req.items[i], sign);
    n->requested.items = n->extended.ptr;
    n->requested.items_len = n->extended.len;
    n->nonzero_cpu += sign * p->nonzero_cpu;
    n->nonzero_memory += sign * p->nonzero_memory;
    n->port_pods += (size_t)(p->ports_len ? sign : 0);
}

static struct kn_sched_owner *owner_of(struct kn_sched *s, struct kn_sv uid)
{
    struct kn_sched_owner *o = kn_map_get(&s->owners, uid);
    if (!o) {
        o = KN_NEW(struct kn_sched_owner);
        o->uid = kn_sv_dup(uid);
        kn_map_put(&s->owners, kn_sv(o->uid, uid.len), o);
    }
    return o;
}

#define TAKE_OUT(vec, pod)                                                                         \
    do {                                                                                           \
        for (size_t i_ = 0; i_ < (vec)->len; i_++)                                                 \
            if ((vec)->ptr[i_] == (pod)) {                                                         \
                KN_VEC_SWAP_OUT(vec, i_);                                                          \
                break;                                                                             \
            }                                                                                      \
    } while (0)

void kn_sched_place(struct kn_sched *s, struct kn_sched_pod *p, struct kn_sched_node *n)
{
    kn_assert(!p->node);
    p->node = n;
    p->place = KN_SCHED_ON_NODE;
    kn_list_append(&n->pods, &p->link);
    count(n, p, 1);
    if (p->owner.len)
        KN_VEC_PUSH(&owner_of(s, p->owner)->pods, p);
    if (p->anti_affinity.len)
        KN_VEC_PUSH(&s->anti_pods, p);
    if (p->affinity.len || p->prefer_affinity.len || p->prefer_anti.len)
        KN_VEC_PUSH(&s->prefer_pods, p);
}

void kn_sched_displace(struct kn_sched *s, struct kn_sched_pod *p)
{
    struct kn_sched_node *n = p->node;
    if (!n)
        return;
    p->node = NULL;
    p->place = KN_SCHED_NOWHERE;
    kn_list_remove(&p->link);
    count(n, p, -1);
    struct kn_sched_owner *o = p->owner.len ? kn_map_get(&s->owners, p->owner) : NULL;
    if (o) {
        TAKE_OUT(&o->pods, p);
        if (o->pods.len == 0) {
            kn_map_take(&s->owners, p->owner);
            KN_VEC_DONE(&o->pods);
            free(o->uid);
            free(o);
        }
    }
    TAKE_OUT(&s->anti_pods, p);
    TAKE_OUT(&s->prefer_pods, p);
    if (!n->obj && kn_list_empty(&n->pods))
        node_free(s, n);
}

void kn_sched_done(struct kn_sched *s)
{
    size_t it = 0;
    for (struct kn_sched_pod *p; (p = kn_map_next(&s->pods, &it, NULL));) {
        kn_sched_displace(s, p);
        kn_sched_pod_free(p);
    }
    kn_map_done(&s->pods);
    while (s->known.len) {
        struct kn_sched_node *n = s->known.ptr[s->known.len - 1];
        kn_sched_node_gone(s, kn_sv_c(n->name));
    }
    kn_map_done(&s->nodes);
    kn_map_done(&s->owners);
    struct kn_sv zone;
    it = 0;
    while (kn_map_next(&s->zones, &it, &zone))
        free((char *)(uintptr_t)zone.ptr);
    kn_map_done(&s->zones);
    KN_VEC_DONE(&s->known);
    KN_VEC_DONE(&s->anti_pods);
    KN_VEC_DONE(&s->prefer_pods);
    KN_VEC_DONE(&s->active);
    KN_VEC_DONE(&s->backoff);
}

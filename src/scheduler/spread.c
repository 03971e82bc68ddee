// PodTopologySpread: pods that belong together, evenly over the domains of a topology. Pods that
// say nothing are spread softly over hosts and zones, together with the other pods of their
// controller.
#include "scheduler/sched_impl.h"

#include <math.h>

struct domain {
    int64_t pods;
};

struct constraint {
    const struct kn_sched_term *term; // NULL: one of the two defaults
    struct kn_sv key;
    int64_t max_skew;
    struct kn_map domains; // by value
    int64_t least;
    bool self; // the pod counts itself
    double weight;
};

struct spread {
    struct constraint *all;
    size_t len;
    bool defaults;
};

static bool eligible(struct kn_sched_cycle *c, const struct constraint *k,
                     const struct kn_sched_node *n)
{
    if (!kn_sched_has_label(n, k->key))
        return false;
    if (!k->term)
        return true;
    if (k->term->honor_affinity &&
        !kn_node_matches(n->obj, kn_json_get(c->pod->obj->root, KN_K_spec)))
        return false;
    const struct kn_json *t;
    if (k->term->honor_taints)
        KN_JSON_EACH(t, KN_JSON_AT(n->obj->root, KN_K_spec, KN_K_taints))
    if (!kn_sv_is(kn_json_str(kn_json_get(t, KN_K_effect)), "PreferNoSchedule") &&
        !kn_sched_tolerates(c->pod->obj, t))
        return false;
    return true;
}

static struct domain *domain_of(struct kn_sched_cycle *c, struct constraint *k,
                                const struct kn_sched_node *n, bool make)
{
    struct kn_sv value = kn_sched_label(n, k->key);
    struct domain *d = kn_map_get(&k->domains, value);
    if (!d && make && (d = KN_ARENA_NEW(c->arena, struct domain)))
        kn_map_put(&k->domains, value, d); // the label lies in the node's object, which stays
    return d;
}

static bool counts(struct kn_sched_cycle *c, const struct constraint *k,
                   const struct kn_sched_pod *other)
{
    return !other->obj->deleting &&
           kn_sched_term_matches(c->sched, k->term, c->pod->obj->ns, other->obj);
}

// All pods are looked at for what the pod says itself.
static void count_all(struct kn_sched_cycle *c, struct constraint *k)
{
    struct kn_sched *s = c->sched;
    for (size_t i = 0; i < s->known.len; i++) {
        struct kn_sched_node *n = s->known.ptr[i];
        struct kn_sched_pod *other;
        struct domain *d = eligible(c, k, n) ? domain_of(c, k, n, true) : NULL;
        if (d)
            KN_LIST_EACH(&n->pods, other, struct kn_sched_pod, link)
        d->pods += counts(c, k, other);
    }
    k->least = INT64_MAX;
    size_t it = 0;
    for (struct domain *d; (d = kn_map_next(&k->domains, &it, NULL));)
        k->least = d->pods < k->least ? d->pods : k->least;
    if (k->least == INT64_MAX || (k->term->hard && (int64_t)k->domains.len < k->term->min_domains))
        k->least = 0;
}

// Only the pods of the same controller are, for the defaults.
static void count_siblings(struct kn_sched_cycle *c, struct constraint *k)
{
    const struct kn_sched_owner *o = kn_map_get(&c->sched->owners, c->pod->owner);
    for (size_t i = 0; o && i < o->pods.len; i++) {
        const struct kn_sched_pod *other = o->pods.ptr[i];
        if (!other->node->obj || other->obj->deleting || !kn_sched_has_label(other->node, k->key))
            continue;
        struct domain *d = domain_of(c, k, other->node, true);
        if (d)
            d->pods++;
    }
}

static void done(void *arg)
{
    struct spread *st = arg;
    for (size_t i = 0; i < st->len; i++)
        kn_map_done(&st->all[i].domains);
}

static void add_default(struct spread *st, const char *key, int64_t max_skew, double weight)
{
    struct constraint *k = &st->all[st->len++];
    k->key = kn_sv_c(key);
    k->max_skew = max_skew;
    k->weight = weight;
    kn_map_init(&k->domains);
}

enum kn_sched_prepare kn_sched_spread_prepare(struct kn_sched_cycle *c, void **state)
{
    struct kn_sched_pod *p = c->pod;
    size_t nodes = c->sched->known.len;
    bool defaults = p->spread.len == 0;
    if (defaults && (p->owner.len == 0 || nodes < 2))
        return KN_SCHED_SKIP;
    struct spread *st = KN_ARENA_NEW(c->arena, struct spread);
    st->defaults = defaults;
    st->all = kn_arena_calloc(c->arena, defaults ? 2 : p->spread.len, sizeof *st->all);
    if (defaults) {
        add_default(st, "kubernetes.io/hostname", 3, log((double)nodes + 2));
        add_default(st, "topology.kubernetes.io/zone", 5, log(3 + 2));
        for (size_t i = 0; i < st->len; i++)
            count_siblings(c, &st->all[i]);
    }
    for (size_t i = 0; i < p->spread.len; i++) {
        struct constraint *k = &st->all[st->len++];
        k->term = &p->spread.ptr[i];
        k->key = k->term->topology_key;
        k->max_skew = k->term->max_skew;
        k->self = kn_sched_term_matches(c->sched, k->term, p->obj->ns, p->obj);
        kn_map_init(&k->domains);
        count_all(c, k);
        k->weight = log((double)k->domains.len + 2);
    }
    c->end[c->end_len++] = (struct kn_sched_end){done, st};
    *state = st;
    return KN_SCHED_GO;
}

bool kn_sched_spread_filter(struct kn_sched_cycle *c, void *state, struct kn_sched_node *n)
{
    struct spread *st = state;
    for (size_t i = 0; !st->defaults && i < st->len; i++) {
        struct constraint *k = &st->all[i];
        if (!k->term->hard)
            continue;
        if (!kn_sched_has_label(n, k->key))
            return kn_sched_reject(c, true,
                                   KN_SV("node(s) didn't match pod topology spread constraints "
                                         "(missing required label)"));
        const struct domain *d = domain_of(c, k, n, false);
        if ((d ? d->pods : 0) + k->self - k->least > k->max_skew)
            return kn_sched_reject(c, false,
                                   KN_SV("node(s) didn't match pod topology spread constraints"));
    }
    return true;
}

// How crowded the node's domains are: fewer is better (see normalize).
int64_t kn_sched_spread_score(struct kn_sched_cycle *c, void *state, struct kn_sched_node *n)
{
    struct spread *st = state;
    double sum = 0;
    for (size_t i = 0; i < st->len; i++) {
        struct constraint *k = &st->all[i];
        if (k->term && k->term->hard)
            continue;
        if (!kn_sched_has_label(n, k->key)) {
            if (!st->defaults)
                return -1; // has no place in the topology
            continue;
        }
        const struct domain *d = domain_of(c, k, n, false);
        sum += (double)(d ? d->pods : 0) * k->weight + (double)(k->max_skew - 1);
    }
    return (int64_t)(sum + 0.5);
}

void kn_sched_spread_normalize(struct kn_sched_cycle *c, void *state, int64_t *scores, size_t len)
{
    (void)c;
    (void)state;
    int64_t least = INT64_MAX, most = 0;
    for (size_t i = 0; i < len; i++)
        if (scores[i] >= 0) {
            least = scores[i] < least ? scores[i] : least;
            most = scores[i] > most ? scores[i] : most;
        }
    for (size_t i = 0; i < len; i++) {
        if (scores[i] < 0)
            scores[i] = 0;
        else
            scores[i] = most ? 100 * (most + least - scores[i]) / most : 100;
    }
}

// PodTopologySpread: pods that belong together, evenly over the domains of a topology. Pods that
// say nothing are spread softly over hosts and zones, together with the other pods of their
// controller.
#include "scheduler/sched_impl.h"

#include <math.h>

struct domain {
    int64_t pods;
};

struct constraint {
    const struct kn_sched_term *term;
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
    // what the pod does not say itself: over hosts, and over zones
    bool defaults;
    int64_t *by_zone; // pods of the same controller, by the number of the zone
    double host_weight, zone_weight;
};

#define HOST_SKEW 3
#define ZONE_SKEW 5

static bool eligible(struct kn_sched_cycle *c, const struct constraint *k,
                     const struct kn_sched_node *n)
{
    if (!kn_sched_has_label(n, k->key))
        return false;
    if (k->term->honor_affinity &&
        !kn_node_matches(n->obj, kn_json_get(c->pod->obj->root, KN_K_spec)))
        return false;
    const struct kn_json *t;
    if (k->term->honor_taints)
        KN_JSON_EACH(t, n->taints)
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
static void count_siblings(struct kn_sched_cycle *c, struct spread *st)
{
    const struct kn_sched_owner *o = kn_map_get(&c->sched->owners, c->pod->owner);
    for (size_t i = 0; o && i < o->pods.len; i++) {
        struct kn_sched_node *n = o->pods.ptr[i]->node;
        if (!n->obj || o->pods.ptr[i]->obj->deleting)
            continue;
        if (n->sibling_stamp != c->sched->attempt) {
            n->sibling_stamp = c->sched->attempt;
            n->siblings = 0;
        }
        n->siblings++;
        st->by_zone[n->zone]++;
    }
}

static void done(void *arg)
{
    struct spread *st = arg;
    for (size_t i = 0; i < st->len; i++)
        kn_map_done(&st->all[i].domains);
}

static enum kn_sched_prepare prepare_defaults(struct kn_sched_cycle *c, struct spread *st)
{
    st->defaults = true;
    st->by_zone = kn_arena_calloc(c->arena, c->sched->zones_len + 1, sizeof *st->by_zone);
    if (!st->by_zone)
        return KN_SCHED_SKIP;
    st->host_weight = log((double)c->sched->known.len + 2);
    st->zone_weight = log((double)c->sched->zones_len + 2);
    count_siblings(c, st);
    return KN_SCHED_GO;
}

enum kn_sched_prepare kn_sched_spread_prepare(struct kn_sched_cycle *c, void **state)
{
    struct kn_sched_pod *p = c->pod;
    if (p->spread.len == 0 && (p->owner.len == 0 || c->sched->known.len < 2))
        return KN_SCHED_SKIP;
    struct spread *st = KN_ARENA_NEW(c->arena, struct spread);
    *state = st;
    if (p->spread.len == 0)
        return prepare_defaults(c, st);
    st->all = kn_arena_calloc(c->arena, p->spread.len, sizeof *st->all);
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
    return KN_SCHED_GO;
}

bool kn_sched_spread_filter(struct kn_sched_cycle *c, void *state, struct kn_sched_node *n)
{
    struct spread *st = state;
    for (size_t i = 0; i < st->len; i++) {
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
    if (st->defaults) {
        if (n->has_hostname && n->sibling_stamp == c->sched->attempt)
            sum += (double)n->siblings * st->host_weight;
        if (n->has_hostname)
            sum += HOST_SKEW - 1;
        if (n->zone)
            sum += (double)st->by_zone[n->zone] * st->zone_weight + ZONE_SKEW - 1;
    }
    for (size_t i = 0; i < st->len; i++) {
        struct constraint *k = &st->all[i];
        if (k->term->hard)
            continue;
        if (!kn_sched_has_label(n, k->key))
            return -1; // has no place in the topology
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

// InterPodAffinity: near to, or far from, other pods, in domains of a topology.
#include "scheduler/sched_impl.h"

#define HARD_WEIGHT 1 // of another pod's required affinity to this one, when scoring

// Counts by (topology key, value), in the attempt's arena.
struct domain {
    int64_t count;
};

struct interpod {
    struct kn_map near, far;   // pods that match our terms: number by term and domain
    struct kn_map forbidden;   // domains in which a pod lives that keeps this one away
    struct kn_map scores;
    bool
        lonely; // no pod matches our affinity anywhere, and we match it ourselves: anywhere is near
};

static struct domain *domain_of(struct kn_arena *a, struct kn_map *m, size_t term, struct kn_sv key,
                                struct kn_sv value, bool make)
{
    char text[640];
    int n = snprintf(text, sizeof text, "%zu %.*s=%.*s", term, KN_SV_ARG(key), KN_SV_ARG(value));
    struct kn_sv name = kn_sv(text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
    struct domain *d = kn_map_get(m, name);
    if (!d && make && (d = KN_ARENA_NEW(a, struct domain)))
        kn_map_put(m, kn_arena_dup(a, name), d);
    return d;
}

static void count(struct kn_sched_cycle *c, struct kn_map *m, size_t term, struct kn_sv key,
                  const struct kn_sched_node *n, int64_t by)
{
    if (!n->obj || !kn_sched_has_label(n, key))
        return;
    struct domain *d = domain_of(c->arena, m, term, key, kn_sched_label(n, key), true);
    if (d)
        d->count += by;
}

static int64_t counted(struct kn_sched_cycle *c, struct kn_map *m, size_t term, struct kn_sv key,
                       const struct kn_sched_node *n)
{
    struct domain *d = domain_of(c->arena, m, term, key, kn_sched_label(n, key), false);
    return d ? d->count : 0;
}

// A pod counts for affinity only if it matches all terms.
static bool matches_all(struct kn_sched_cycle *c, const kn_sched_terms *terms,
                        const struct kn_obj *pod)
{
    for (size_t i = 0; i < terms->len; i++)
        if (!kn_sched_term_matches(c->sched, &terms->ptr[i], c->pod->obj->ns, pod))
            return false;
    return terms->len > 0;
}

static void look_at(struct kn_sched_cycle *c, struct interpod *st, const struct kn_sched_pod *other,
                    const struct kn_sched_node *n)
{
    const struct kn_sched_pod *p = c->pod;
    struct kn_sv ns = p->obj->ns;
    if (matches_all(c, &p->affinity, other->obj))
        for (size_t i = 0; i < p->affinity.len; i++)
            count(c, &st->near, i, p->affinity.ptr[i].topology_key, n, 1);
    for (size_t i = 0; i < p->anti_affinity.len; i++)
        if (kn_sched_term_matches(c->sched, &p->anti_affinity.ptr[i], ns, other->obj))
            count(c, &st->far, i, p->anti_affinity.ptr[i].topology_key, n, 1);
    for (size_t i = 0; i < p->prefer_affinity.len; i++)
        if (kn_sched_term_matches(c->sched, &p->prefer_affinity.ptr[i], ns, other->obj))
            count(c, &st->scores, 0, p->prefer_affinity.ptr[i].topology_key, n,
                  p->prefer_affinity.ptr[i].weight);
    for (size_t i = 0; i < p->prefer_anti.len; i++)
        if (kn_sched_term_matches(c->sched, &p->prefer_anti.ptr[i], ns, other->obj))
            count(c, &st->scores, 0, p->prefer_anti.ptr[i].topology_key, n,
                  -p->prefer_anti.ptr[i].weight);
}

static void add_weights(struct kn_sched_cycle *c, struct interpod *st,
                        const struct kn_sched_pod *other, const kn_sched_terms *terms, int64_t sign)
{
    for (size_t i = 0; i < terms->len; i++)
        if (kn_sched_term_matches(c->sched, &terms->ptr[i], other->obj->ns, c->pod->obj))
            count(c, &st->scores, 0, terms->ptr[i].topology_key, other->node,
                  sign * terms->ptr[i].weight);
}

static void ask_others(struct kn_sched_cycle *c, struct interpod *st)
{
    struct kn_sched *s = c->sched;
    for (size_t i = 0; i < s->anti_pods.len; i++) {
        const struct kn_sched_pod *other = s->anti_pods.ptr[i];
        for (size_t k = 0; k < other->anti_affinity.len; k++)
            if (kn_sched_term_matches(s, &other->anti_affinity.ptr[k], other->obj->ns, c->pod->obj))
                count(c, &st->forbidden, 0, other->anti_affinity.ptr[k].topology_key, other->node,
                      1);
    }
    for (size_t i = 0; i < s->prefer_pods.len; i++) {
        const struct kn_sched_pod *other = s->prefer_pods.ptr[i];
        add_weights(c, st, other, &other->affinity, HARD_WEIGHT);
        add_weights(c, st, other, &other->prefer_affinity, 1);
        add_weights(c, st, other, &other->prefer_anti, -1);
    }
}

static void done(void *arg)
{
    struct interpod *st = arg;
    kn_map_done(&st->near);
    kn_map_done(&st->far);
    kn_map_done(&st->forbidden);
    kn_map_done(&st->scores);
}

enum kn_sched_prepare kn_sched_interpod_prepare(struct kn_sched_cycle *c, void **state)
{
    const struct kn_sched_pod *p = c->pod;
    struct kn_sched *s = c->sched;
    bool own =
        p->affinity.len || p->anti_affinity.len || p->prefer_affinity.len || p->prefer_anti.len;
    if (!own && s->anti_pods.len == 0 && s->prefer_pods.len == 0)
        return KN_SCHED_SKIP;
    struct interpod *st = KN_ARENA_NEW(c->arena, struct interpod);
    kn_map_init(&st->near);
    kn_map_init(&st->far);
    kn_map_init(&st->forbidden);
    kn_map_init(&st->scores);
    if (own)
        for (size_t i = 0; i < s->known.len; i++) {
            struct kn_sched_pod *other;
            KN_LIST_EACH(&s->known.ptr[i]->pods, other, struct kn_sched_pod, link)
            look_at(c, st, other, s->known.ptr[i]);
        }
    ask_others(c, st);
    st->lonely = st->near.len == 0 && matches_all(c, &p->affinity, p->obj);
    *state = st;
    c->end[c->end_len++] = (struct kn_sched_end){done, st};
    return KN_SCHED_GO;
}

static bool kept_away(struct kn_sched_cycle *c, struct interpod *st, const struct kn_sched_node *n)
{
    const struct kn_json *label;
    if (st->forbidden.len == 0)
        return false;
    KN_JSON_EACH(label, n->obj->labels)
    if (counted(c, &st->forbidden, 0, kn_json_key(label), n) > 0)
        return true;
    return false;
}

bool kn_sched_interpod_filter(struct kn_sched_cycle *c, void *state, struct kn_sched_node *n)
{
    struct interpod *st = state;
    const struct kn_sched_pod *p = c->pod;
    for (size_t i = 0; i < p->affinity.len; i++) {
        struct kn_sv key = p->affinity.ptr[i].topology_key;
        if (!kn_sched_has_label(n, key) || (!st->lonely && counted(c, &st->near, i, key, n) <= 0))
            return kn_sched_reject(c, true, KN_SV("node(s) didn't match pod affinity rules"));
    }
    for (size_t i = 0; i < p->anti_affinity.len; i++) {
        struct kn_sv key = p->anti_affinity.ptr[i].topology_key;
        if (kn_sched_has_label(n, key) && counted(c, &st->far, i, key, n) > 0)
            return kn_sched_reject(c, false, KN_SV("node(s) didn't match pod anti-affinity rules"));
    }
    if (kept_away(c, st, n))
        return kn_sched_reject(c, false,
                               KN_SV("node(s) didn't satisfy existing pods anti-affinity rules"));
    return true;
}

int64_t kn_sched_interpod_score(struct kn_sched_cycle *c, void *state, struct kn_sched_node *n)
{
    struct interpod *st = state;
    int64_t sum = 0;
    const struct kn_json *label;
    if (st->scores.len)
        KN_JSON_EACH(label, n->obj->labels)
    sum += counted(c, &st->scores, 0, kn_json_key(label), n);
    return sum;
}

void kn_sched_interpod_normalize(struct kn_sched_cycle *c, void *state, int64_t *scores, size_t len)
{
    (void)c;
    (void)state;
    int64_t least = INT64_MAX, most = INT64_MIN;
    for (size_t i = 0; i < len; i++) {
        least = scores[i] < least ? scores[i] : least;
        most = scores[i] > most ? scores[i] : most;
    }
    for (size_t i = 0; i < len; i++)
        scores[i] = most > least ? 100 * (scores[i] - least) / (most - least) : 0;
}

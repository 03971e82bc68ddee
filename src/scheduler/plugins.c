// The table of plugins, the simple ones among them, and the search for a node.
#include "scheduler/sched_impl.h"

// -- filters --------------------------------------------------------------------------------------

bool kn_sched_reject(struct kn_sched_cycle *c, bool unresolvable, struct kn_sv why)
{
    c->node_unresolvable = c->node_unresolvable || unresolvable;
    for (size_t i = 0; i < c->reasons.len; i++)
        if (kn_sv_eq(c->reasons.ptr[i].text, why)) {
            c->reasons.ptr[i].count++;
            return false;
        }
    KN_VEC_PUSH(&c->reasons, (struct kn_sched_reason){kn_arena_dup(c->arena, why), 1});
    return false;
}

static bool unschedulable_filter(struct kn_sched_cycle *c, void *state, struct kn_sched_node *n)
{
    (void)state;
    if (!n->unschedulable)
        return true;
    struct kn_json *taint = kn_json_new_object(c->arena);
    kn_json_set_str(c->arena, taint, KN_K_key, KN_SV("node.kubernetes.io/unschedulable"));
    kn_json_set_str(c->arena, taint, KN_K_effect, KN_SV("NoSchedule"));
    return kn_sched_tolerates(c->pod->obj, taint) ||
           kn_sched_reject(c, true, KN_SV("node(s) were unschedulable"));
}

static enum kn_sched_prepare name_prepare(struct kn_sched_cycle *c, void **state)
{
    (void)state;
    return KN_JSON_STR_AT(c->pod->obj->root, KN_K_spec, KN_K_nodeName).len ? KN_SCHED_GO
                                                                           : KN_SCHED_SKIP;
}

static bool name_filter(struct kn_sched_cycle *c, void *state, struct kn_sched_node *n)
{
    (void)state;
    return kn_sv_eq(KN_JSON_STR_AT(c->pod->obj->root, KN_K_spec, KN_K_nodeName), n->obj->name) ||
           kn_sched_reject(c, true, KN_SV("node(s) didn't match the requested node name"));
}

static bool taint_filter(struct kn_sched_cycle *c, void *state, struct kn_sched_node *n)
{
    (void)state;
    const struct kn_json *t;
    KN_JSON_EACH(t, n->taints)
    {
        struct kn_sv effect = kn_json_str(kn_json_get(t, KN_K_effect));
        if (!kn_sv_is(effect, "PreferNoSchedule") && !kn_sched_tolerates(c->pod->obj, t))
            return kn_sched_reject(c, true, KN_SV("node(s) had untolerated taint(s)"));
    }
    return true;
}

static int64_t taint_score(struct kn_sched_cycle *c, void *state, struct kn_sched_node *n)
{
    (void)state;
    int64_t count = 0;
    const struct kn_json *t;
    KN_JSON_EACH(t, n->taints)
    count += kn_sv_is(kn_json_str(kn_json_get(t, KN_K_effect)), "PreferNoSchedule") &&
             !kn_sched_tolerates(c->pod->obj, t);
    return count;
}

static void taint_normalize(struct kn_sched_cycle *c, void *state, int64_t *scores, size_t len)
{
    (void)c;
    (void)state;
    kn_sched_normalize(scores, len, true);
}

static enum kn_sched_prepare affinity_prepare(struct kn_sched_cycle *c, void **state)
{
    (void)state;
    const struct kn_json *spec = kn_json_get(c->pod->obj->root, KN_K_spec);
    return kn_json_len(kn_json_get(spec, KN_K_nodeSelector)) ||
                   KN_JSON_AT(spec, KN_K_affinity, KN_K_nodeAffinity)
               ? KN_SCHED_GO
               : KN_SCHED_SKIP;
}

static bool affinity_filter(struct kn_sched_cycle *c, void *state, struct kn_sched_node *n)
{
    (void)state;
    return kn_node_matches(n->obj, kn_json_get(c->pod->obj->root, KN_K_spec)) ||
           kn_sched_reject(c, true, KN_SV("node(s) didn't match Pod's node affinity/selector"));
}

static int64_t affinity_score(struct kn_sched_cycle *c, void *state, struct kn_sched_node *n)
{
    (void)state;
    int64_t sum = 0;
    const struct kn_json *t;
    KN_JSON_EACH(t, KN_JSON_AT(c->pod->obj->root, KN_K_spec, KN_K_affinity, KN_K_nodeAffinity,
                               KN_K_preferredDuringSchedulingIgnoredDuringExecution))
    if (kn_node_term_matches(n->obj, kn_json_get(t, KN_K_preference)))
        sum += kn_json_int(kn_json_get(t, KN_K_weight), 0);
    return sum;
}

static void affinity_normalize(struct kn_sched_cycle *c, void *state, int64_t *scores, size_t len)
{
    (void)c;
    (void)state;
    kn_sched_normalize(scores, len, false);
}

static enum kn_sched_prepare ports_prepare(struct kn_sched_cycle *c, void **state)
{
    (void)state;
    return c->pod->ports_len ? KN_SCHED_GO : KN_SCHED_SKIP;
}

static bool any_address(struct kn_sv ip)
{
    return ip.len == 0 || kn_sv_is(ip, "0.0.0.0") || kn_sv_is(ip, "::");
}

static bool ports_clash(const struct kn_sched_port *a, const struct kn_sched_port *b)
{
    return a->port == b->port && kn_sv_eq(a->protocol, b->protocol) &&
           (any_address(a->ip) || any_address(b->ip) || kn_sv_eq(a->ip, b->ip));
}

static bool ports_filter(struct kn_sched_cycle *c, void *state, struct kn_sched_node *n)
{
    (void)state;
    struct kn_sched_pod *p;
    if (n->port_pods == 0)
        return true;
    KN_LIST_EACH(&n->pods, p, struct kn_sched_pod, link)
    for (size_t i = 0; i < p->ports_len; i++)
        for (size_t j = 0; j < c->pod->ports_len; j++)
            if (ports_clash(&p->ports[i], &c->pod->ports[j]))
                return kn_sched_reject(
                    c, false, KN_SV("node(s) didn't have free ports for the requested pod ports"));
    return true;
}

// -- resources ------------------------------------------------------------------------------------

static int64_t item(const struct kn_res *r, struct kn_sv name)
{
    for (size_t i = 0; i < r->items_len; i++)
        if (kn_sv_eq(r->items[i].name, name))
            return r->items[i].value;
    return 0;
}

static bool enough(struct kn_sched_cycle *c, const char *name, int64_t want, int64_t all,
                   int64_t used)
{
    if (want == 0 || want <= all - used)
        return true;
    return kn_sched_reject(c, want > all, kn_arena_printf(c->arena, "Insufficient %s", name));
}

static bool fit_filter(struct kn_sched_cycle *c, void *state, struct kn_sched_node *n)
{
    (void)state;
    const struct kn_res *want = &c->pod->req, *all = &n->allocatable, *used = &n->requested;
    bool fits = true;
    if (n->pod_count + 1 > n->max_pods)
        fits = kn_sched_reject(c, false, KN_SV("Too many pods"));
    fits &= enough(c, "cpu", want->cpu, all->cpu, used->cpu);
    fits &= enough(c, "memory", want->memory, all->memory, used->memory);
    fits &= enough(c, "ephemeral-storage", want->ephemeral, all->ephemeral, used->ephemeral);
    for (size_t i = 0; i < want->items_len; i++)
        fits &= enough(c, want->items[i].name.ptr, want->items[i].value,
                       item(all, want->items[i].name), item(used, want->items[i].name));
    return fits;
}

static int64_t least_allocated(int64_t used, int64_t all)
{
    return all <= 0 || used > all ? 0 : (all - used) * 100 / all;
}

static int64_t fit_score(struct kn_sched_cycle *c, void *state, struct kn_sched_node *n)
{
    (void)state;
    return (least_allocated(n->nonzero_cpu + c->pod->nonzero_cpu, n->allocatable.cpu) +
            least_allocated(n->nonzero_memory + c->pod->nonzero_memory, n->allocatable.memory)) /
           2;
}

static double share(int64_t used, int64_t all)
{
    double f = all > 0 ? (double)used / (double)all : 1;
    return f > 1 ? 1 : f;
}

static int64_t balanced_score(struct kn_sched_cycle *c, void *state, struct kn_sched_node *n)
{
    (void)state;
    double cpu = share(n->requested.cpu + c->pod->req.cpu, n->allocatable.cpu);
    double memory = share(n->requested.memory + c->pod->req.memory, n->allocatable.memory);
    double deviation = cpu > memory ? (cpu - memory) / 2 : (memory - cpu) / 2; // of two values
    return (int64_t)((1 - deviation) * 100);
}

static enum kn_sched_prepare balanced_prepare(struct kn_sched_cycle *c, void **state)
{
    (void)state; // a pod that asks for nothing balances nothing
    return c->pod->req.cpu || c->pod->req.memory ? KN_SCHED_GO : KN_SCHED_SKIP;
}

// -- images ---------------------------------------------------------------------------------------

#define MIB ((int64_t)1 << 20)

struct wanted_images {
    size_t containers, len;
    uint64_t hashes[]; // of the names of the pod's images, as nodes may list them
};

static int64_t image_bytes(const struct kn_sched_node *n, uint64_t hash)
{
    size_t from = 0, to = n->images_len;
    while (from < to) {
        size_t mid = (from + to) / 2;
        if (n->images[mid].hash < hash)
            from = mid + 1;
        else
            to = mid;
    }
    return from < n->images_len && n->images[from].hash == hash ? n->images[from].bytes : 0;
}

static int64_t image_score(struct kn_sched_cycle *c, void *state, struct kn_sched_node *n)
{
    (void)c;
    const struct wanted_images *w = state;
    int64_t sum = 0, least = 23 * MIB,
            most = 1000 * MIB * (int64_t)(w->containers ? w->containers : 1);
    for (size_t i = 0; n->images_len && i < w->len; i++)
        sum += image_bytes(n, w->hashes[i]);
    sum = sum < least ? least : sum > most ? most : sum;
    return 100 * (sum - least) / (most - least);
}

static enum kn_sched_prepare image_prepare(struct kn_sched_cycle *c, void **state)
{
    const struct kn_json *containers = KN_JSON_AT(c->pod->obj->root, KN_K_spec, KN_K_containers),
                         *k;
    if (c->sched->known.len < 2) // there is nothing to compare
        return KN_SCHED_SKIP;
    size_t count = kn_json_len(containers);
    struct wanted_images *w = kn_arena_calloc(c->arena, 1, sizeof *w + count * sizeof w->hashes[0]);
    if (!w)
        return KN_SCHED_SKIP;
    w->containers = count;
    KN_JSON_EACH(k, containers)
    {
        struct kn_sv image = kn_json_str(kn_json_get(k, KN_K_image));
        ptrdiff_t slash = kn_sv_rfind(image, '/');
        if (kn_sv_find(kn_sv_from(image, (size_t)(slash + 1)), ':') < 0)
            image = kn_arena_printf(c->arena, "%.*s:latest", KN_SV_ARG(image));
        w->hashes[w->len++] = kn_hash(image.ptr, image.len);
    }
    *state = w;
    return KN_SCHED_GO;
}

// -- the table ------------------------------------------------------------------------------------

const struct kn_sched_plugin kn_sched_plugins[] = {
    {.name = "NodeUnschedulable",
     .helped_by = KN_SCHED_NODE_CHANGED,
     .filter = unschedulable_filter},
    {.name = "NodeName",
     .helped_by = KN_SCHED_NODE_CHANGED,
     .prepare = name_prepare,
     .filter = name_filter},
    {.name = "TaintToleration",
     .helped_by = KN_SCHED_NODE_CHANGED,
     .weight = 3,
     .filter = taint_filter,
     .score = taint_score,
     .normalize = taint_normalize},
    {.name = "NodeAffinity",
     .helped_by = KN_SCHED_NODE_CHANGED,
     .weight = 2,
     .prepare = affinity_prepare,
     .filter = affinity_filter,
     .score = affinity_score,
     .normalize = affinity_normalize},
    {.name = "NodePorts",
     .helped_by = KN_SCHED_NODE_CHANGED | KN_SCHED_POD_GONE,
     .prepare = ports_prepare,
     .filter = ports_filter},
    {.name = "NodeResourcesFit",
     .helped_by = KN_SCHED_NODE_CHANGED | KN_SCHED_POD_GONE,
     .weight = 1,
     .filter = fit_filter,
     .score = fit_score},
    {.name = "VolumeBinding",
     .helped_by = KN_SCHED_NODE_CHANGED | KN_SCHED_VOLUME_CHANGED,
     .prepare = kn_sched_volumes_prepare,
     .filter = kn_sched_volumes_filter},
    {.name = "PodTopologySpread",
     .helped_by = KN_SCHED_NODE_CHANGED | KN_SCHED_POD_GONE | KN_SCHED_POD_PLACED,
     .weight = 2,
     .prepare = kn_sched_spread_prepare,
     .filter = kn_sched_spread_filter,
     .score = kn_sched_spread_score,
     .normalize = kn_sched_spread_normalize},
    {.name = "InterPodAffinity",
     .helped_by = KN_SCHED_NODE_CHANGED | KN_SCHED_POD_GONE | KN_SCHED_POD_PLACED,
     .weight = 2,
     .prepare = kn_sched_interpod_prepare,
     .filter = kn_sched_interpod_filter,
     .score = kn_sched_interpod_score,
     .normalize = kn_sched_interpod_normalize},
    {.name = "NodeResourcesBalancedAllocation",
     .weight = 1,
     .prepare = balanced_prepare,
     .score = balanced_score},
    {.name = "ImageLocality", .weight = 1, .prepare = image_prepare, .score = image_score},
    {.name = NULL},
};

void kn_sched_normalize(int64_t *scores, size_t len, bool reverse)
{
    int64_t most = 0;
    for (size_t i = 0; i < len; i++)
        most = scores[i] > most ? scores[i] : most;
    for (size_t i = 0; i < len; i++) {
        int64_t v = most ? scores[i] * 100 / most : 0;
        scores[i] = reverse ? 100 - v : v;
    }
}

// -- the search -----------------------------------------------------------------------------------

static bool prepare(struct kn_sched_cycle *c, uint32_t *active)
{
    *active = 0;
    for (size_t i = 0; kn_sched_plugins[i].name; i++) {
        const struct kn_sched_plugin *p = &kn_sched_plugins[i];
        enum kn_sched_prepare r = p->prepare ? p->prepare(c, &c->state[i]) : KN_SCHED_GO;
        if (r == KN_SCHED_VETO) {
            c->rejected |= UINT64_C(1) << i;
            return false;
        }
        if (r == KN_SCHED_GO)
            *active |= 1u << i;
    }
    return true;
}

static bool fits(struct kn_sched_cycle *c, uint32_t active, struct kn_sched_node *n)
{
    c->node_unresolvable = false;
    for (size_t i = 0; kn_sched_plugins[i].name; i++) {
        const struct kn_sched_plugin *p = &kn_sched_plugins[i];
        if (!(active >> i & 1) || !p->filter || p->filter(c, c->state[i], n))
            continue;
        c->rejected |= UINT64_C(1) << i;
        if (c->node_unresolvable)
            c->unresolvable++;
        else
            c->resolvable++;
        return false;
    }
    return true;
}

// With many nodes it is not worth to look at all of them: a share that shrinks with their number,
// and never below 100 nodes, is compared.
static size_t enough_nodes(size_t all)
{
    if (all <= 100)
        return all;
    size_t percent = all / 125 < 45 ? 50 - all / 125 : 5;
    size_t n = all * percent / 100;
    return n < 100 ? 100 : n;
}

static void add_scores(struct kn_sched_cycle *c, uint32_t active, struct kn_sched_node **nodes,
                       size_t len, int64_t *total, int64_t *one)
{
    for (size_t i = 0; kn_sched_plugins[i].name; i++) {
        const struct kn_sched_plugin *p = &kn_sched_plugins[i];
        if (!(active >> i & 1) || !p->score)
            continue;
        for (size_t k = 0; k < len; k++)
            one[k] = p->score(c, c->state[i], nodes[k]);
        if (p->normalize)
            p->normalize(c, c->state[i], one, len);
        for (size_t k = 0; k < len; k++)
            total[k] += p->weight * one[k];
    }
}

void kn_sched_cycle_init(struct kn_sched_cycle *c, struct kn_sched *s, struct kn_sched_pod *p)
{
    *c = (struct kn_sched_cycle){
        .sched = s, .pod = p, .arena = kn_arena_new(1024, (size_t)256 << 20)};
}

void kn_sched_cycle_done(struct kn_sched_cycle *c)
{
    for (size_t i = 0; i < c->end_len; i++)
        c->end[i].end(c->end[i].state);
    KN_VEC_DONE(&c->reasons);
    kn_arena_free(c->arena);
}

struct kn_sched_node *kn_sched_find(struct kn_sched_cycle *c)
{
    struct kn_sched *s = c->sched;
    uint32_t active;
    s->attempt++;
    size_t all = s->known.len, want = enough_nodes(all), len = 0, looked = 0;
    if (!prepare(c, &active) || all == 0)
        return NULL;
    struct kn_sched_node **nodes = kn_calloc(want, sizeof *nodes);
    for (; looked < all && len < want; looked++) {
        struct kn_sched_node *n = s->known.ptr[(s->next_start + looked) % all];
        if (fits(c, active, n))
            nodes[len++] = n;
    }
    s->next_start = (s->next_start + looked) % all;
    struct kn_sched_node *best = len ? nodes[0] : NULL;
    if (len > 1) {
        int64_t *scores = kn_calloc(2 * len, sizeof *scores);
        size_t at = 0;
        add_scores(c, active, nodes, len, scores, scores + len);
        for (size_t k = 1; k < len; k++)
            if (scores[k] > scores[at])
                at = k;
        best = nodes[at];
        free(scores);
    }
    free(nodes);
    return best;
}

// -- why not --------------------------------------------------------------------------------------

static int compare_text(const void *a, const void *b)
{
    return kn_sv_cmp(*(const struct kn_sv *)a, *(const struct kn_sv *)b);
}

static void add_sorted(struct kn_buf *out, struct kn_sv *lines, size_t len)
{
    qsort(lines, len, sizeof *lines, compare_text);
    for (size_t i = 0; i < len; i++)
        kn_buf_addf(out, "%s%.*s", i ? ", " : "", KN_SV_ARG(lines[i]));
}

static void explain_preemption(struct kn_sched_cycle *c, struct kn_buf *out)
{
    struct kn_sv lines[2];
    size_t len = 0;
    if (kn_sv_is(KN_JSON_STR_AT(c->pod->obj->root, KN_K_spec, KN_K_preemptionPolicy), "Never")) {
        kn_buf_addc(out, " preemption: not eligible due to preemptionPolicy=Never.");
        return;
    }
    size_t no_help = c->veto.len ? c->sched->known.len : c->unresolvable;
    if (c->resolvable && !c->veto.len)
        lines[len++] = kn_arena_printf(
            c->arena, "%zu No preemption victims found for incoming pod", c->resolvable);
    if (no_help)
        lines[len++] =
            kn_arena_printf(c->arena, "%zu Preemption is not helpful for scheduling", no_help);
    kn_buf_addf(out, " preemption: 0/%zu nodes are available: ", c->sched->known.len);
    add_sorted(out, lines, len);
    kn_buf_add_byte(out, '.');
}

void kn_sched_explain(struct kn_sched_cycle *c, struct kn_buf *out)
{
    size_t all = c->sched->known.len;
    if (all == 0) {
        kn_buf_addc(out, "no nodes available to schedule pods");
        return;
    }
    kn_buf_addf(out, "0/%zu nodes are available: ", all);
    if (c->veto.len) {
        kn_buf_add(out, c->veto);
    } else {
        struct kn_sv *lines = kn_arena_calloc(c->arena, c->reasons.len + 1, sizeof *lines);
        for (size_t i = 0; i < c->reasons.len; i++)
            lines[i] = kn_arena_printf(c->arena, "%zu %.*s", c->reasons.ptr[i].count,
                                       KN_SV_ARG(c->reasons.ptr[i].text));
        add_sorted(out, lines, c->reasons.len);
    }
    kn_buf_add_byte(out, '.');
    explain_preemption(c, out);
}

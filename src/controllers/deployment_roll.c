// Moving replicas from old sets to the new one.
#include "base/map.h"
#include "base/num.h"
#include "controllers/deployment.h"

// -- the new set ----------------------------------------------------------------------------------

// Equal but for the label that the hash itself adds.
static bool same_template(struct kn_arena *a, const struct kn_json *set_template,
                          const struct kn_json *template)
{
    struct kn_json *copy = kn_json_copy_shallow_text(a, set_template);
    struct kn_json *labels = KN_JSON_AT(copy, KN_K_metadata, KN_K_labels);
    kn_json_remove_sv(labels, KN_SV(KN_HASH));
    struct kn_json *want = kn_json_copy_shallow_text(a, template);
    kn_json_remove_sv(KN_JSON_AT(want, KN_K_metadata, KN_K_labels), KN_SV(KN_HASH));
    return kn_json_equal(copy, want);
}

static int64_t revision_of(const struct kn_obj *set)
{
    int64_t n = 0;
    struct kn_sv text = kn_meta_text(set->root, KN_K_annotations, KN_REVISION);
    if (text.len)
        KN_IGNORE(kn_num_parse(text, 0, INT64_MAX, &n));
    return n;
}

static int64_t last_revision(const struct kn_rollout *r)
{
    int64_t last = 0;
    for (size_t i = 0; i < r->sets.len; i++) {
        int64_t n = r->sets.ptr[i] == r->newest ? 0 : revision_of(r->sets.ptr[i]);
        last = n > last ? n : last;
    }
    return last;
}

// FNV-1a of the template's text (and the number of collisions met), in letters that make no words.
static struct kn_sv template_hash(struct kn_rollout *r, const struct kn_json *template)
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    struct kn_buf text = KN_BUF(KN_OBJ_MAX);
    kn_json_encode(&text, template);
    kn_buf_add_i64(&text, kn_json_int(KN_JSON_AT(r->d->root, KN_K_status, KN_K_collisionCount), 0));
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < text.len; i++)
        h = (h ^ (unsigned char)text.ptr[i]) * 1099511628211u;
    kn_buf_done(&text);
    char out[11] = {0};
    for (int i = 0; i < 10; i++, h /= sizeof letters - 1)
        out[i] = letters[h % (sizeof letters - 1)];
    return kn_arena_dup(r->arena, kn_sv_c(out));
}

// The deployment's annotations, but for what belongs to one object alone.
static void copy_annotations(struct kn_rollout *r, struct kn_json *set)
{
    static const char *const own[] = {"kubectl.kubernetes.io/last-applied-configuration",
                                      KN_REVISION,
                                      KN_HISTORY,
                                      KN_DESIRED,
                                      KN_MAX,
                                      "deprecated.deployment.rollback.to"};
    const struct kn_json *m;
    KN_JSON_EACH(m, kn_json_get(r->d->metadata, KN_K_annotations))
    {
        bool skip = false;
        for (size_t i = 0; i < KN_ARRAY_LEN(own); i++)
            skip = skip || kn_sv_is(kn_json_key(m), own[i]);
        if (!skip)
            kn_annotate(r->arena, set, kn_arena_dup(r->arena, kn_json_key(m)).ptr, kn_json_str(m));
    }
}

static struct kn_sv number(struct kn_arena *a, int64_t n)
{
    return kn_arena_printf(a, "%lld", (long long)n);
}

static void tell_limits(struct kn_rollout *r, struct kn_json *set)
{
    kn_annotate(r->arena, set, KN_DESIRED, number(r->arena, r->replicas));
    kn_annotate(r->arena, set, KN_MAX, number(r->arena, r->replicas + r->surge));
}

static int64_t total_wanted(const struct kn_rollout *r)
{
    int64_t n = 0;
    for (size_t i = 0; i < r->sets.len; i++)
        n += kn_set_wanted(r->sets.ptr[i]);
    return n;
}

// What is there or will be: a set that was told to have fewer has its pods until it says otherwise.
static int64_t total_present(const struct kn_rollout *r)
{
    int64_t n = 0;
    for (size_t i = 0; i < r->sets.len; i++) {
        int64_t wanted = kn_set_wanted(r->sets.ptr[i]);
        int64_t there = kn_set_status(r->sets.ptr[i], KN_K_replicas);
        n += there > wanted ? there : wanted;
    }
    return n;
}

// How many the new set may have now: the surge bounds the sum.
static int64_t new_set_replicas(const struct kn_rollout *r)
{
    int64_t now = r->newest ? kn_set_wanted(r->newest) : 0;
    int64_t room = r->replicas + r->surge - total_present(r);
    if (room <= 0)
        return now;
    int64_t missing = r->replicas - now;
    return now + (room < missing ? room : missing);
}

static struct kn_status create_set(struct kn_rollout *r)
{
    struct kn_arena *a = r->arena;
    const struct kn_json *spec = kn_json_get(r->d->root, KN_K_spec);
    struct kn_json *template = kn_json_copy_shallow_text(a, kn_json_get(spec, KN_K_template));
    struct kn_sv hash = template_hash(r, template);
    struct kn_json *tm = kn_json_ensure_object(a, template, KN_K_metadata);
    struct kn_json *labels = kn_json_ensure_object(a, tm, KN_K_labels);
    kn_json_set_sv(a, labels, KN_SV(KN_HASH), kn_json_new_str(a, hash));
    struct kn_json *selector = kn_json_copy_shallow_text(a, kn_json_get(spec, KN_K_selector));
    kn_json_set_sv(a, kn_json_ensure_object(a, selector, KN_K_matchLabels), KN_SV(KN_HASH),
                   kn_json_new_str(a, hash));
    struct kn_json *set = kn_json_new_object(a);
    struct kn_json *m = kn_json_ensure_object(a, set, KN_K_metadata);
    kn_json_set_str(a, m, KN_K_name,
                    kn_arena_printf(a, "%.*s-%.*s", KN_SV_ARG(r->d->name), KN_SV_ARG(hash)));
    kn_json_set(a, m, KN_K_labels, kn_json_copy_shallow_text(a, labels));
    kn_own(a, m, r->d);
    copy_annotations(r, set);
    kn_annotate(a, set, KN_REVISION, number(a, last_revision(r) + 1));
    tell_limits(r, set);
    struct kn_json *s = kn_json_ensure_object(a, set, KN_K_spec);
    int64_t count = new_set_replicas(r);
    kn_json_set_int(a, s, KN_K_replicas, count);
    const struct kn_json *min_ready = kn_json_get(spec, KN_K_minReadySeconds);
    if (min_ready)
        kn_json_set(a, s, KN_K_minReadySeconds, kn_json_copy_shallow_text(a, min_ready));
    kn_json_set(a, s, KN_K_selector, selector);
    kn_json_set(a, s, KN_K_template, template);
    const struct kn_obj *made = NULL;
    struct kn_status st = kn_client_create(r->c->env->client, kn_apps("replicasets"), r->d->ns,
                                           KN_SV_NULL, NULL, set, &made);
    if (!kn_ok(st))
        return st;
    KN_VEC_PUSH(&r->sets, made);
    r->newest = made;
    r->created_new = true;
    if (count)
        kn_event(r->c->env->recorder, r->d, "Normal", "ScalingReplicaSet",
                 "Scaled up replica set %.*s from 0 to %lld", KN_SV_ARG(made->name),
                 (long long)count);
    return KN_STATUS_OK;
}

// Replaces the set in our list by what the server answered.
static void renew(struct kn_rollout *r, const struct kn_obj *old, const struct kn_obj *fresh)
{
    for (size_t i = 0; i < r->sets.len; i++)
        if (r->sets.ptr[i] == old)
            r->sets.ptr[i] = fresh;
    if (r->newest == old)
        r->newest = fresh;
    kn_obj_unref(old);
}

static struct kn_status update_set(struct kn_rollout *r, const struct kn_obj *set,
                                   struct kn_json *o)
{
    if (kn_json_equal(o, set->root))
        return KN_STATUS_OK;
    const struct kn_obj *fresh = NULL;
    KN_TRY(kn_client_update(r->c->env->client, kn_apps("replicasets"), set->ns, set->name, NULL, o,
                            &fresh));
    renew(r, set, fresh);
    return KN_STATUS_OK;
}

// An old set whose template is wanted again gets the next revision, and remembers its former one.
static struct kn_status refresh_newest(struct kn_rollout *r)
{
    struct kn_json *o = kn_json_copy_shallow_text(r->arena, r->newest->root);
    int64_t now = revision_of(r->newest), wanted = last_revision(r) + 1;
    if (now < wanted) {
        if (now) {
            struct kn_sv before = kn_meta_text(o, KN_K_annotations, KN_HISTORY);
            kn_annotate(r->arena, o, KN_HISTORY,
                        kn_arena_printf(r->arena, "%.*s%s%lld", KN_SV_ARG(before),
                                        before.len ? "," : "", (long long)now));
        }
        kn_annotate(r->arena, o, KN_REVISION, number(r->arena, wanted));
    }
    copy_annotations(r, o);
    const struct kn_json *min_ready = KN_JSON_AT(r->d->root, KN_K_spec, KN_K_minReadySeconds);
    if (min_ready)
        kn_json_set(r->arena, kn_json_get(o, KN_K_spec), KN_K_minReadySeconds,
                    kn_json_copy_shallow_text(r->arena, min_ready));
    return update_set(r, r->newest, o);
}

struct kn_status kn_rollout_new_set(struct kn_rollout *r, bool create)
{
    const struct kn_json *template = KN_JSON_AT(r->d->root, KN_K_spec, KN_K_template);
    for (size_t i = 0; i < r->sets.len && !r->newest; i++)
        if (same_template(r->arena, KN_JSON_AT(r->sets.ptr[i]->root, KN_K_spec, KN_K_template),
                          template))
            r->newest = r->sets.ptr[i];
    if (r->newest)
        return r->d->deleting ? KN_STATUS_OK : refresh_newest(r);
    return create ? create_set(r) : KN_STATUS_OK;
}

// -- scaling --------------------------------------------------------------------------------------

static struct kn_status scale(struct kn_rollout *r, const struct kn_obj *set, int64_t to)
{
    int64_t from = kn_set_wanted(set);
    struct kn_json *o = kn_json_copy_shallow_text(r->arena, set->root);
    tell_limits(r, o);
    kn_json_set_int(r->arena, kn_json_ensure_object(r->arena, o, KN_K_spec), KN_K_replicas, to);
    struct kn_sv name = kn_arena_dup(r->arena, set->name);
    KN_TRY(update_set(r, set, o));
    if (from != to)
        kn_event(r->c->env->recorder, r->d, "Normal", "ScalingReplicaSet",
                 "Scaled %s replica set %.*s from %lld to %lld", to > from ? "up" : "down",
                 KN_SV_ARG(name), (long long)from, (long long)to);
    return KN_STATUS_OK;
}

static size_t active_sets(const struct kn_rollout *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->sets.len; i++)
        n += kn_set_wanted(r->sets.ptr[i]) > 0;
    return n;
}

// Several sets have pods in the middle of a roll-out: each gets its share of the change, the last
// one what rounding leaves.
static struct kn_status scale_in_proportion(struct kn_rollout *r)
{
    int64_t total = total_wanted(r), allowed = r->replicas ? r->replicas + r->surge : 0;
    int64_t change = allowed - total, left = change;
    for (size_t i = r->sets.len; i-- > 0;) {
        const struct kn_obj *set = r->sets.ptr[i];
        int64_t now = kn_set_wanted(set);
        if (now == 0)
            continue;
        bool last = true;
        for (size_t j = 0; j < i; j++)
            last = last && kn_set_wanted(r->sets.ptr[j]) == 0;
        int64_t part = last ? left : change * now / total;
        if (now + part < 0)
            part = -now;
        left -= part;
        KN_TRY(scale(r, set, now + part)); // also a set that stays as it is learns the new limits
    }
    return KN_STATUS_OK;
}

struct kn_status kn_rollout_scale_only(struct kn_rollout *r)
{
    if (active_sets(r) > 1)
        return scale_in_proportion(r);
    for (size_t i = 0; i < r->sets.len; i++) {
        const struct kn_obj *set = r->sets.ptr[i];
        bool only = kn_set_wanted(set) > 0 || (active_sets(r) == 0 && set == r->newest);
        if (only)
            return scale(r, set, r->replicas);
    }
    return KN_STATUS_OK;
}

// -- rolling --------------------------------------------------------------------------------------

// Takes old replicas away: first those that are not available anyway, then as many as may be
// missed.
static struct kn_status scale_down_old(struct kn_rollout *r)
{
    int64_t min_available = r->replicas - r->unavailable;
    int64_t new_unavailable =
        kn_set_wanted(r->newest) - kn_set_status(r->newest, KN_K_availableReplicas);
    int64_t room = total_wanted(r) - min_available - (new_unavailable > 0 ? new_unavailable : 0);
    for (size_t i = 0; i < r->sets.len && room > 0; i++) { // the unhealthy
        const struct kn_obj *set = r->sets.ptr[i];
        if (set == r->newest)
            continue;
        int64_t sick = kn_set_wanted(set) - kn_set_status(set, KN_K_availableReplicas);
        int64_t n = sick < room ? sick : room;
        if (n > 0) {
            int64_t wanted = kn_set_wanted(set);
            KN_TRY(scale(r, set, wanted - n));
            room -= n;
        }
    }
    int64_t available = 0;
    for (size_t i = 0; i < r->sets.len; i++)
        available += kn_set_status(r->sets.ptr[i], KN_K_availableReplicas);
    int64_t spare = available - min_available;
    if (spare > room) // what a set says it has may be older than what it was told to have
        spare = room;
    for (size_t i = 0; i < r->sets.len && spare > 0; i++) { // the oldest first
        const struct kn_obj *set = r->sets.ptr[i];
        int64_t wanted = kn_set_wanted(set);
        if (set == r->newest || wanted == 0)
            continue;
        int64_t n = wanted < spare ? wanted : spare;
        KN_TRY(scale(r, set, wanted - n));
        spare -= n;
    }
    return KN_STATUS_OK;
}

struct kn_status kn_rollout_rolling(struct kn_rollout *r)
{
    KN_TRY(kn_rollout_new_set(r, true));
    int64_t now = kn_set_wanted(r->newest);
    int64_t to = now > r->replicas ? r->replicas : new_set_replicas(r);
    if (now != to)
        return scale(r, r->newest, to);
    return scale_down_old(r);
}

struct pod_count {
    int64_t n;
};

static bool count_living(void *arg, const struct kn_obj *pod)
{
    struct kn_sv phase = KN_JSON_STR_AT(pod->root, KN_K_status, KN_K_phase);
    if (!kn_sv_is(phase, "Succeeded") && !kn_sv_is(phase, "Failed"))
        ((struct pod_count *)arg)->n++;
    return true;
}

struct kn_status kn_rollout_recreate(struct kn_rollout *r)
{
    KN_TRY(kn_rollout_new_set(r, false));
    bool scaled = false;
    for (size_t i = 0; i < r->sets.len; i++)
        if (r->sets.ptr[i] != r->newest && kn_set_wanted(r->sets.ptr[i]) > 0) {
            KN_TRY(scale(r, r->sets.ptr[i], 0));
            scaled = true;
        }
    if (scaled)
        return KN_STATUS_OK;
    struct pod_count living = {0};
    for (size_t i = 0; i < r->sets.len; i++)
        if (r->sets.ptr[i] != r->newest)
            kn_cache_by_index(r->c->pods, r->c->pods_by_owner, r->sets.ptr[i]->uid, count_living,
                              &living);
    if (living.n)
        return KN_STATUS_OK; // the last pod's end wakes us
    KN_TRY(kn_rollout_new_set(r, true));
    return kn_set_wanted(r->newest) == r->replicas ? KN_STATUS_OK
                                                   : scale(r, r->newest, r->replicas);
}

// -- history --------------------------------------------------------------------------------------

struct kn_status kn_rollout_clean_up(struct kn_rollout *r)
{
    int64_t keep = kn_json_int(KN_JSON_AT(r->d->root, KN_K_spec, KN_K_revisionHistoryLimit), 10);
    int64_t old = 0;
    for (size_t i = 0; i < r->sets.len; i++)
        old += r->sets.ptr[i] != r->newest;
    for (size_t i = 0; i < r->sets.len && old > keep; i++) {
        const struct kn_obj *set = r->sets.ptr[i];
        if (set == r->newest)
            continue;
        old--;
        if (kn_set_wanted(set) || kn_set_status(set, KN_K_replicas) || set->deleting)
            continue;
        struct kn_status s = kn_client_delete(r->c->env->client, kn_apps("replicasets"), set->ns,
                                              set->name, KN_DELETE_DEFAULT);
        if (s.code == KN_NOT_FOUND)
            kn_status_done(&s);
        KN_TRY(s);
    }
    return KN_STATUS_OK;
}

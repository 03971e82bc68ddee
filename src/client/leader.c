#include "client/leader.h"

#include "base/log.h"
#include "base/thread.h"

#define ARENA ((size_t)1 << 20)

struct kn_leader {
    struct kn_leader_spec spec;
    char *ns, *name, *identity;
    const struct kn_resource *resource;
    pthread_t thread;
    pthread_mutex_t lock; // of `stopping`; leaf
    pthread_cond_t changed;
    bool stopping;
    _Atomic bool held;
    // of the thread
    int64_t seen_rev;  // of the object, as last observed
    int64_t seen_at;   // kn_mono of that
    int64_t renewed;   // kn_mono of the last success
};

static struct kn_sv now_text(struct kn_arena *a)
{
    char text[KN_TIME_TEXT];
    kn_time_format(kn_now(), KN_TIME_MICROS, text);
    return kn_arena_dup(a, kn_sv_c(text));
}

// Writes us (holder true) or nobody into the spec of a lease.
static void fill(struct kn_leader *l, struct kn_arena *a, struct kn_json *root, bool holder)
{
    struct kn_json *spec = kn_json_ensure_object(a, root, KN_K_spec);
    struct kn_sv before = kn_json_str(kn_json_get(spec, KN_K_holderIdentity));
    int64_t transitions = kn_json_int(kn_json_get(spec, KN_K_leaseTransitions), 0);
    struct kn_sv now = now_text(a);
    if (holder && !kn_sv_is(before, l->identity)) {
        kn_json_set_str(a, spec, KN_K_acquireTime, now);
        // the first holder is no transition
        kn_json_set_int(a, spec, KN_K_leaseTransitions,
                        kn_json_get(spec, KN_K_leaseTransitions) ? transitions + 1 : 0);
    }
    int64_t seconds = (l->spec.duration + KN_SECOND - 1) / KN_SECOND;
    kn_json_set_str(a, spec, KN_K_holderIdentity, kn_sv_c(holder ? l->identity : ""));
    kn_json_set_int(a, spec, KN_K_leaseDurationSeconds, holder ? seconds : 1);
    kn_json_set_str(a, spec, KN_K_renewTime, now);
}

static struct kn_status make_new(struct kn_leader *l, struct kn_arena *a)
{
    struct kn_json *root = kn_json_new_object(a);
    kn_json_set_str(a, root, KN_K_apiVersion, KN_SV("coordination.k8s.io/v1"));
    kn_json_set_str(a, root, KN_K_kind, KN_SV("Lease"));
    struct kn_json *m = kn_json_ensure_object(a, root, KN_K_metadata);
    kn_json_set_str(a, m, KN_K_name, kn_sv_c(l->name));
    kn_json_set_str(a, m, KN_K_namespace, kn_sv_c(l->ns));
    fill(l, a, root, true);
    return kn_client_create(l->spec.client, l->resource, kn_sv_c(l->ns), KN_SV_NULL, NULL, root,
                            NULL);
}

// One attempt to take or to renew. *ret_held: whether the lease is ours after it. An error says
// that it is not known.
static struct kn_status attempt(struct kn_leader *l, struct kn_arena *a, bool *ret_held)
{
    const struct kn_obj *o KN_CLEANUP(kn_obj_cleanup) = NULL;
    *ret_held = false;
    struct kn_status s =
        kn_client_get(l->spec.client, l->resource, kn_sv_c(l->ns), kn_sv_c(l->name), &o);
    if (s.code == KN_NOT_FOUND) {
        kn_status_done(&s);
        KN_TRY(make_new(l, a));
        *ret_held = true;
        return KN_STATUS_OK;
    }
    KN_TRY(s);
    struct kn_sv holder = KN_JSON_STR_AT(o->root, KN_K_spec, KN_K_holderIdentity);
    int64_t now = kn_mono();
    if (o->rev != l->seen_rev) {
        l->seen_rev = o->rev;
        l->seen_at = now;
    }
    if (holder.len && !kn_sv_is(holder, l->identity) && now < l->seen_at + l->spec.duration)
        return KN_STATUS_OK;
    struct kn_json *root = kn_json_copy_shallow_text(a, o->root);
    fill(l, a, root, true);
    if (kn_arena_failed(a))
        return kn_arena_error(a, "a lease");
    KN_TRY(kn_client_update(l->spec.client, l->resource, kn_sv_c(l->ns), kn_sv_c(l->name), NULL,
                            root,
                            NULL)); // its resourceVersion lets one candidate win
    *ret_held = true;
    return KN_STATUS_OK;
}

static void give_up(struct kn_leader *l)
{
    struct kn_arena *a = kn_arena_new(0, ARENA);
    const struct kn_obj *o = NULL;
    struct kn_status s =
        kn_client_get(l->spec.client, l->resource, kn_sv_c(l->ns), kn_sv_c(l->name), &o);
    if (kn_ok(s) &&
        kn_sv_is(KN_JSON_STR_AT(o->root, KN_K_spec, KN_K_holderIdentity), l->identity)) {
        struct kn_json *root = kn_json_copy_shallow_text(a, o->root);
        fill(l, a, root, false);
        s = kn_client_update(l->spec.client, l->resource, kn_sv_c(l->ns), kn_sv_c(l->name), NULL,
                             root, NULL);
    }
    kn_log_status(KN_LOG_DEBUG, s, "give up the lease %s/%s", l->ns, l->name);
    kn_obj_unref(o);
    kn_arena_free(a);
}

static void set_held(struct kn_leader *l, bool held)
{
    if (l->held == held)
        return;
    l->held = held;
    kn_info("lease %s/%s: %s %s the leader", l->ns, l->name, l->identity, held ? "is" : "is not");
    void (*tell)(void *arg) = held ? l->spec.started : l->spec.lost;
    if (tell)
        tell(l->spec.arg);
}

static bool pause_until(struct kn_leader *l, int64_t deadline)
{
    bool go_on;
    pthread_mutex_lock(&l->lock);
    while (!l->stopping && kn_cond_wait(&l->changed, &l->lock, deadline))
        ;
    go_on = !l->stopping;
    pthread_mutex_unlock(&l->lock);
    return go_on;
}

static void *run(void *arg)
{
    struct kn_leader *l = arg;
    do {
        struct kn_arena *a = kn_arena_new(0, ARENA);
        bool held;
        int64_t begun = kn_mono();
        struct kn_status s = attempt(l, a, &held);
        kn_arena_free(a);
        bool known = kn_ok(s);
        kn_log_status(s.code == KN_CONFLICT || s.code == KN_ALREADY_EXISTS ? KN_LOG_DEBUG
                                                                           : KN_LOG_WARN,
                      s, "lease %s/%s", l->ns, l->name);
        if (known && held)
            l->renewed = begun;
        if (known)
            set_held(l, held);
        else if (l->held && kn_mono() >= l->renewed + l->spec.renew_within)
            set_held(l, false); // nobody can say any more that it is ours
    } while (pause_until(l, kn_mono() + l->spec.retry));
    bool held = l->held;
    set_held(l, false);
    if (held)
        give_up(l);
    return NULL;
}

static void lease_free(struct kn_leader *l)
{
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->lock);
    free(l->ns);
    free(l->name);
    free(l->identity);
    free(l);
}

struct kn_status kn_leader_start(const struct kn_leader_spec *spec, struct kn_leader **ret)
{
    struct kn_leader *l = KN_NEW(struct kn_leader);
    l->spec = *spec;
    l->spec.duration = spec->duration ? spec->duration : 15 * KN_SECOND;
    l->spec.renew_within = spec->renew_within ? spec->renew_within : 10 * KN_SECOND;
    l->spec.retry = spec->retry ? spec->retry : 2 * KN_SECOND;
    l->ns = kn_sv_dup(kn_sv_c(spec->ns));
    l->name = kn_sv_dup(kn_sv_c(spec->name));
    l->identity = kn_sv_dup(kn_sv_c(spec->identity));
    l->resource =
        kn_resource_find(KN_SV("coordination.k8s.io"), KN_SV("v1"), KN_SV("leases"));
    pthread_mutex_init(&l->lock, NULL);
    kn_cond_init(&l->changed);
    struct kn_status s = kn_thread_start(&l->thread, "leader", 0, run, l);
    if (!kn_ok(s)) {
        lease_free(l);
        return s;
    }
    *ret = l;
    return KN_STATUS_OK;
}

void kn_leader_stop(struct kn_leader *l)
{
    if (!l)
        return;
    KN_LOCKED(&l->lock)
    {
        l->stopping = true;
        pthread_cond_broadcast(&l->changed);
    }
    kn_thread_join(l->thread);
    lease_free(l);
}

bool kn_leader_is_held(const struct kn_leader *l)
{
    return l->held;
}

// Volumes that a pod claims: the claims must be there and bound, and their volumes within reach.
#include "scheduler/sched_impl.h"


static const struct kn_json *claim_of(const struct kn_json *volume)
{
    return KN_JSON_AT(volume, KN_K_persistentVolumeClaim, KN_K_claimName);
}

static enum kn_sched_prepare veto(struct kn_sched_cycle *c, struct kn_sv why)
{
    c->veto = why;
    return KN_SCHED_VETO;
}

// A claim that waits for its first consumer would be bound by this plugin; nothing provisions such
// volumes yet, so it says that the claim is unbound.
static enum kn_sched_prepare check_claim(struct kn_sched_cycle *c, struct kn_sv name)
{
    const struct kn_obj *claim KN_CLEANUP(kn_obj_cleanup) =
        c->sched->claims ? kn_cache_get(c->sched->claims, c->pod->obj->ns, name) : NULL;
    if (!claim)
        return veto(c, kn_arena_printf(c->arena, "persistentvolumeclaim \"%.*s\" not found",
                                       KN_SV_ARG(name)));
    if (claim->deleting)
        return veto(c, kn_arena_printf(c->arena, "persistentvolumeclaim \"%.*s\" is being deleted",
                                       KN_SV_ARG(name)));
    if (KN_JSON_STR_AT(claim->root, KN_K_spec, KN_K_volumeName).len == 0 ||
        !kn_sv_is(KN_JSON_STR_AT(claim->root, KN_K_status, KN_K_phase), "Bound"))
        return veto(c, KN_SV("pod has unbound immediate PersistentVolumeClaims"));
    return KN_SCHED_GO;
}

static struct kn_sv claim_name(struct kn_sched_cycle *c, const struct kn_json *volume)
{
    struct kn_sv name = kn_json_str(claim_of(volume));
    if (!name.len && kn_json_get(volume, KN_K_ephemeral))
        name = kn_arena_printf(c->arena, "%.*s-%.*s", KN_SV_ARG(c->pod->obj->name),
                               KN_SV_ARG(kn_json_str(kn_json_get(volume, KN_K_name))));
    return name;
}

enum kn_sched_prepare kn_sched_volumes_prepare(struct kn_sched_cycle *c, void **state)
{
    (void)state;
    enum kn_sched_prepare r = KN_SCHED_SKIP;
    const struct kn_json *v;
    KN_JSON_EACH(v, KN_JSON_AT(c->pod->obj->root, KN_K_spec, KN_K_volumes))
    {
        struct kn_sv name = claim_name(c, v);
        if (name.len && (r = check_claim(c, name)) == KN_SCHED_VETO)
            break;
    }
    return r;
}

// A volume that only some nodes reach says so itself.
static bool reaches(struct kn_sched_cycle *c, struct kn_sv claim_text,
                    const struct kn_sched_node *n)
{
    const struct kn_obj *claim KN_CLEANUP(kn_obj_cleanup) =
        kn_cache_get(c->sched->claims, c->pod->obj->ns, claim_text);
    const struct kn_obj *volume KN_CLEANUP(kn_obj_cleanup) =
        claim && c->sched->volumes
            ? kn_cache_get(c->sched->volumes, KN_SV_NULL,
                           KN_JSON_STR_AT(claim->root, KN_K_spec, KN_K_volumeName))
            : NULL;
    const struct kn_json *required =
        volume ? KN_JSON_AT(volume->root, KN_K_spec, KN_K_nodeAffinity, KN_K_required) : NULL, *t;
    if (!required)
        return true;
    KN_JSON_EACH(t, kn_json_get(required, KN_K_nodeSelectorTerms))
    if (kn_node_term_matches(n->obj, t))
        return true;
    return false;
}

bool kn_sched_volumes_filter(struct kn_sched_cycle *c, void *state, struct kn_sched_node *n)
{
    (void)state;
    const struct kn_json *v;
    KN_JSON_EACH(v, KN_JSON_AT(c->pod->obj->root, KN_K_spec, KN_K_volumes))
    {
        struct kn_sv name = claim_name(c, v);
        if (name.len && !reaches(c, name, n))
            return kn_sched_reject(c, true,
                                   KN_SV("node(s) didn't match PersistentVolume's node affinity"));
    }
    return true;
}

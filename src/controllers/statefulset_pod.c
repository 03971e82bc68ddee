// The pod of an ordinal: its name, its labels, its claims.
#include "controllers/statefulset.h"

static struct kn_sv text_of(struct kn_arena *a, int64_t n)
{
    return kn_arena_printf(a, "%lld", (long long)n);
}

static struct kn_sv claim_name(struct kn_ss_work *w, const struct kn_json *claim, int64_t ordinal)
{
    return kn_arena_printf(w->arena, "%.*s-%.*s-%lld",
                           KN_SV_ARG(KN_JSON_STR_AT(claim, KN_K_metadata, KN_K_name)),
                           KN_SV_ARG(w->set->name), (long long)ordinal);
}

static const struct kn_json *claims_of(const struct kn_ss_work *w)
{
    return KN_JSON_AT(w->set->root, KN_K_spec, KN_K_volumeClaimTemplates);
}

// Which template: pods below the partition keep the current one.
static const struct kn_obj *revision_for(const struct kn_ss_work *w, int64_t ordinal)
{
    return ordinal < w->start + w->partition ? w->current : w->history.current;
}

static void mount_claims(struct kn_ss_work *w, struct kn_json *spec, int64_t ordinal)
{
    struct kn_arena *a = w->arena;
    const struct kn_json *claims = claims_of(w), *claim;
    KN_JSON_EACH(claim, claims)
    {
        struct kn_sv name = KN_JSON_STR_AT(claim, KN_K_metadata, KN_K_name);
        struct kn_json *volumes = kn_json_ensure_array(a, spec, KN_K_volumes), *v, *found = NULL;
        KN_JSON_EACH(v, volumes)
        if (kn_sv_eq(kn_json_str(kn_json_get(v, KN_K_name)), name))
            found = v;
        if (!found)
            found = kn_json_append(volumes, kn_json_new_object(a));
        kn_json_clear(found);
        kn_json_set_str(a, found, KN_K_name, name);
        kn_json_set_str(a, kn_json_ensure_object(a, found, KN_K_persistentVolumeClaim),
                        KN_K_claimName, claim_name(w, claim, ordinal));
    }
}

static struct kn_json *pod_of(struct kn_ss_work *w, int64_t ordinal)
{
    struct kn_arena *a = w->arena;
    const struct kn_obj *revision = revision_for(w, ordinal);
    const struct kn_json *template =
        KN_JSON_AT(revision->root, KN_K_data, KN_K_spec, KN_K_template);
    struct kn_json *pod = kn_pod_of_template(a, template, w->set);
    struct kn_json *m = kn_json_get(pod, KN_K_metadata), *spec = kn_json_get(pod, KN_K_spec);
    struct kn_sv name =
        kn_arena_printf(a, "%.*s-%lld", KN_SV_ARG(w->set->name), (long long)ordinal);
    kn_json_set_str(a, m, KN_K_name, name);
    struct kn_json *labels = kn_json_ensure_object(a, m, KN_K_labels);
    kn_json_set_sv(a, labels, KN_SV("statefulset.kubernetes.io/pod-name"),
                   kn_json_new_str(a, name));
    kn_json_set_sv(a, labels, KN_SV("apps.kubernetes.io/pod-index"),
                   kn_json_new_str(a, text_of(a, ordinal)));
    kn_json_set_sv(a, labels, KN_SV(KN_SS_HASH), kn_json_new_str(a, revision->name));
    kn_json_set_str(a, spec, KN_K_hostname, name);
    struct kn_sv service = KN_JSON_STR_AT(w->set->root, KN_K_spec, KN_K_serviceName);
    if (service.len)
        kn_json_set_str(a, spec, KN_K_subdomain, service);
    mount_claims(w, spec, ordinal);
    return pod;
}

static struct kn_status create_claims(struct kn_ss_work *w, int64_t ordinal)
{
    struct kn_arena *a = w->arena;
    const struct kn_json *claims = claims_of(w), *claim;
    const struct kn_json *spec = kn_json_get(w->set->root, KN_K_spec);
    const struct kn_json *labels = KN_JSON_AT(spec, KN_K_selector, KN_K_matchLabels), *l;
    bool owned =
        kn_sv_is(KN_JSON_STR_AT(spec, KN_K_persistentVolumeClaimRetentionPolicy, KN_K_whenDeleted),
                 "Delete");
    KN_JSON_EACH(claim, claims)
    {
        struct kn_sv name = claim_name(w, claim, ordinal);
        const struct kn_obj *there = kn_cache_get(w->c->claims, w->set->ns, name);
        kn_obj_unref(there);
        if (there)
            continue;
        struct kn_json *o = kn_json_copy_shallow_text(a, claim);
        struct kn_json *m = kn_json_ensure_object(a, o, KN_K_metadata);
        kn_json_set_str(a, m, KN_K_name, name);
        kn_json_remove(m, KN_K_namespace);
        KN_JSON_EACH(l, labels)
        kn_json_set_sv(a, kn_json_ensure_object(a, m, KN_K_labels), kn_json_key(l),
                       kn_json_copy_shallow_text(a, l));
        if (owned)
            kn_own(a, m, w->set);
        struct kn_status s = kn_client_create(w->c->env->client, kn_core("persistentvolumeclaims"),
                                              w->set->ns, KN_SV_NULL, NULL, o, NULL);
        if (s.code == KN_ALREADY_EXISTS)
            kn_status_done(&s);
        KN_TRY(kn_wrap(s, "claim %.*s", KN_SV_ARG(name)));
    }
    return KN_STATUS_OK;
}

struct kn_status kn_ss_create(struct kn_ss_work *w, int64_t ordinal)
{
    struct kn_recorder *rec = w->c->env->recorder;
    struct kn_status s = create_claims(w, ordinal);
    if (kn_ok(s))
        s = kn_client_create(w->c->env->client, kn_core("pods"), w->set->ns, KN_SV_NULL, NULL,
                             pod_of(w, ordinal), NULL);
    if (kn_ok(s))
        kn_event(rec, w->set, "Normal", "SuccessfulCreate",
                 "create Pod %.*s-%lld in StatefulSet %.*s successful", KN_SV_ARG(w->set->name),
                 (long long)ordinal, KN_SV_ARG(w->set->name));
    else
        kn_event(rec, w->set, "Warning", "FailedCreate",
                 "create Pod %.*s-%lld in StatefulSet %.*s failed error: %s",
                 KN_SV_ARG(w->set->name), (long long)ordinal, KN_SV_ARG(w->set->name),
                 kn_status_text(&s));
    return s;
}

struct kn_status kn_ss_delete(struct kn_ss_work *w, const struct kn_obj *pod)
{
    struct kn_delete_options o = {.uid = pod->uid, .grace_seconds = -1};
    struct kn_status s =
        kn_client_delete(w->c->env->client, kn_core("pods"), pod->ns, pod->name, &o);
    if (kn_ok(s))
        kn_event(w->c->env->recorder, w->set, "Normal", "SuccessfulDelete",
                 "delete Pod %.*s in StatefulSet %.*s successful", KN_SV_ARG(pod->name),
                 KN_SV_ARG(w->set->name));
    if (s.code == KN_NOT_FOUND)
        kn_status_done(&s);
    return s;
}

#include "controllers/history.h"

#include <stdlib.h>

struct kn_sv kn_short_hash(struct kn_arena *a, struct kn_sv text, int64_t salt)
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789"; // that make no words
    uint64_t h = 14695981039346656037u ^ (uint64_t)salt;        // FNV-1a
    for (size_t i = 0; i < text.len; i++)
        h = (h ^ (unsigned char)text.ptr[i]) * 1099511628211u;
    char out[11] = {0};
    for (int i = 0; i < 10; i++, h /= sizeof letters - 1)
        out[i] = letters[h % (sizeof letters - 1)];
    return kn_arena_dup(a, kn_sv_c(out));
}

// -- revisions ------------------------------------------------------------------------------------

int64_t kn_revision_number(const struct kn_obj *r)
{
    return kn_json_int(kn_json_get(r->root, KN_K_revision), 0);
}

static int by_number(const void *a, const void *b)
{
    int64_t x = kn_revision_number(*(const struct kn_obj *const *)a);
    int64_t y = kn_revision_number(*(const struct kn_obj *const *)b);
    return x < y ? -1 : x > y;
}

// {"spec":{"template":{..., "$patch":"replace"}}}: a strategic merge patch that brings the template
// back.
static struct kn_json *data_of(struct kn_history *h)
{
    struct kn_arena *a = h->arena;
    struct kn_json *template =
        kn_json_copy_shallow_text(a, KN_JSON_AT(h->owner->root, KN_K_spec, KN_K_template));
    kn_json_set_sv(a, template, KN_SV("$patch"), kn_json_new_str(a, KN_SV("replace")));
    struct kn_json *data = kn_json_new_object(a);
    kn_json_set(a, kn_json_ensure_object(a, data, KN_K_spec), KN_K_template, template);
    return data;
}

static struct kn_status create(struct kn_history *h, struct kn_json *data, int64_t number,
                               const struct kn_json *labels, const char *hash_label)
{
    struct kn_arena *a = h->arena;
    struct kn_buf text = KN_BUF(KN_OBJ_MAX);
    kn_json_encode(&text, data);
    int64_t salt = kn_json_int(KN_JSON_AT(h->owner->root, KN_K_status, KN_K_collisionCount), 0);
    struct kn_sv hash = kn_short_hash(a, kn_buf_sv(&text), salt);
    kn_buf_done(&text);
    struct kn_json *o = kn_json_new_object(a);
    struct kn_json *m = kn_json_ensure_object(a, o, KN_K_metadata);
    kn_json_set_str(a, m, KN_K_name,
                    kn_arena_printf(a, "%.*s-%.*s", KN_SV_ARG(h->owner->name), KN_SV_ARG(hash)));
    struct kn_json *l = labels ? kn_json_copy_shallow_text(a, labels) : kn_json_new_object(a);
    kn_json_set_sv(a, l, kn_sv_c(hash_label), kn_json_new_str(a, hash));
    kn_json_set(a, m, KN_K_labels, l);
    kn_own(a, m, h->owner);
    kn_json_set(a, o, KN_K_data, data);
    kn_json_set_int(a, o, KN_K_revision, number);
    const struct kn_obj *made = NULL;
    KN_TRY(kn_client_create(h->env->client, kn_apps("controllerrevisions"), h->owner->ns,
                            KN_SV_NULL, NULL, o, &made));
    KN_VEC_PUSH(&h->revisions, made);
    h->current = made;
    return KN_STATUS_OK;
}

// An old template that is wanted again is the newest revision.
static struct kn_status renumber(struct kn_history *h, size_t i, int64_t number)
{
    const struct kn_obj *old = h->revisions.ptr[i], *fresh = NULL;
    struct kn_json *o = kn_json_copy_shallow_text(h->arena, old->root);
    kn_json_set_int(h->arena, o, KN_K_revision, number);
    KN_TRY(kn_client_update(h->env->client, kn_apps("controllerrevisions"), old->ns, old->name,
                            NULL, o, &fresh));
    kn_obj_unref(old);
    memmove(&h->revisions.ptr[i], &h->revisions.ptr[i + 1],
            (h->revisions.len - i - 1) * sizeof h->revisions.ptr[0]);
    h->current = h->revisions.ptr[h->revisions.len - 1] = fresh;
    return KN_STATUS_OK;
}

struct kn_status kn_history_sync(struct kn_history *h, struct kn_cache *cache, unsigned index,
                                 const struct kn_json *labels, const char *hash_label)
{
    struct kn_json *data = data_of(h);
    kn_cache_by_index(cache, index, h->owner->uid, kn_objs_collect, &h->revisions);
    if (h->revisions.len)
        qsort(h->revisions.ptr, h->revisions.len, sizeof h->revisions.ptr[0], by_number);
    int64_t last =
        h->revisions.len ? kn_revision_number(h->revisions.ptr[h->revisions.len - 1]) : 0;
    for (size_t i = h->revisions.len; i-- > 0;) {
        if (!kn_json_equal(kn_json_get(h->revisions.ptr[i]->root, KN_K_data), data))
            continue;
        h->current = h->revisions.ptr[i];
        return i + 1 == h->revisions.len ? KN_STATUS_OK : renumber(h, i, last + 1);
    }
    if (h->owner->deleting)
        return KN_STATUS_OK;
    return create(h, data, last + 1, labels, hash_label);
}

struct kn_status kn_history_trim(struct kn_history *h, int64_t limit,
                                 bool (*live)(void *arg, const struct kn_obj *r), void *arg)
{
    int64_t unused = 0;
    for (size_t i = 0; i < h->revisions.len; i++)
        unused += h->revisions.ptr[i] != h->current && !live(arg, h->revisions.ptr[i]);
    for (size_t i = 0; i < h->revisions.len && unused > limit; i++) {
        const struct kn_obj *r = h->revisions.ptr[i];
        if (r == h->current || live(arg, r))
            continue;
        unused--;
        struct kn_status s = kn_client_delete(h->env->client, kn_apps("controllerrevisions"), r->ns,
                                              r->name, KN_DELETE_DEFAULT);
        if (s.code == KN_NOT_FOUND)
            kn_status_done(&s);
        KN_TRY(s);
    }
    return KN_STATUS_OK;
}

void kn_history_done(struct kn_history *h)
{
    kn_objs_done(&h->revisions);
}

// -- pods -----------------------------------------------------------------------------------------

struct kn_json *kn_pod_of_template(struct kn_arena *a, const struct kn_json *template,
                                   const struct kn_obj *owner)
{
    struct kn_json *pod = kn_json_new_object(a);
    struct kn_json *m = kn_json_ensure_object(a, pod, KN_K_metadata);
    static const enum kn_atom kept[] = {KN_K_labels, KN_K_annotations, KN_K_finalizers};
    for (size_t i = 0; i < KN_ARRAY_LEN(kept); i++) {
        const struct kn_json *v = KN_JSON_AT(template, KN_K_metadata, kept[i]);
        if (v)
            kn_json_set(a, m, kept[i], kn_json_copy_shallow_text(a, v));
    }
    kn_own(a, m, owner);
    kn_json_set(a, pod, KN_K_spec, kn_json_copy_shallow_text(a, kn_json_get(template, KN_K_spec)));
    return pod;
}

static struct kn_status patch_owner(struct kn_env *env, const struct kn_obj *pod,
                                    const struct kn_obj *owner, bool adopt)
{
    struct kn_buf patch = KN_BUF(4096);
    kn_buf_addf(&patch, "{\"metadata\":{\"uid\":\"%.*s\",\"ownerReferences\":[{",
                KN_SV_ARG(pod->uid));
    if (adopt)
        kn_buf_addf(
            &patch,
            "\"apiVersion\":\"%.*s\",\"kind\":\"%.*s\",\"name\":\"%.*s\",\"controller\":true,"
            "\"blockOwnerDeletion\":true",
            KN_SV_ARG(owner->api_version), KN_SV_ARG(owner->kind), KN_SV_ARG(owner->name));
    else
        kn_buf_addc(&patch, "\"$patch\":\"delete\"");
    kn_buf_addf(&patch, ",\"uid\":\"%.*s\"}]}}", KN_SV_ARG(owner->uid));
    struct kn_status s = kn_client_patch(env->client, kn_core("pods"), pod->ns, pod->name, NULL,
                                         KN_PATCH_STRATEGIC, kn_buf_sv(&patch), NULL);
    kn_buf_done(&patch);
    if (s.code == KN_NOT_FOUND)
        kn_status_done(&s);
    return s;
}

struct kn_status kn_claim_pods(struct kn_env *env, struct kn_cache *pods, unsigned by_owner,
                               const struct kn_obj *owner, const struct kn_selector *selector,
                               kn_objs *out)
{
    kn_objs owned = {0}, orphans = {0};
    char nobody[KN_OBJ_KEY_TEXT];
    struct kn_status s = KN_STATUS_OK;
    kn_cache_by_index(pods, by_owner, owner->uid, kn_objs_collect, &owned);
    if (!owner->deleting)
        kn_cache_by_index(pods, by_owner, kn_index_nobody(owner->ns, nobody), kn_objs_collect,
                          &orphans);
    for (size_t i = 0; i < owned.len && kn_ok(s); i++) {
        if (kn_selector_matches_labels(selector, owned.ptr[i]->labels))
            kn_objs_collect(out, owned.ptr[i]);
        else if (!owner->deleting && !owned.ptr[i]->deleting)
            s = patch_owner(env, owned.ptr[i], owner, false);
    }
    for (size_t i = 0; i < orphans.len && kn_ok(s); i++) {
        if (!kn_pod_active(orphans.ptr[i]) ||
            !kn_selector_matches_labels(selector, orphans.ptr[i]->labels))
            continue;
        s = patch_owner(env, orphans.ptr[i], owner, true);
        if (kn_ok(s))
            kn_objs_collect(out, orphans.ptr[i]);
    }
    kn_objs_done(&owned);
    kn_objs_done(&orphans);
    return s;
}

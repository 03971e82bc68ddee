// The garbage collector: what is owned goes when its last owner is gone; what is deleted in the
// foreground goes after what it owns; orphans lose their owner.
//
// There is no graph: an index in every cache finds what an object owns, and the caches say whether
// an owner is there. Keys: "group/plural/ns/name" of an object to look at; "!uid" of one that is
// gone.
#include "controllers/common.h"

#define WORKERS 4
#define FOREGROUND "foregroundDeletion"
#define ORPHAN "orphan"

struct ctx;

struct kind { // one resource that can own or be owned
    struct ctx *c;
    const struct kn_resource *resource;
    struct kn_cache *cache;
    unsigned by_owner;
};

struct ctx {
    struct kn_env *env;
    KN_VEC(struct kind) kinds;
    struct kn_controller *controller;
};

struct dependent {
    struct kind *kind;
    const struct kn_obj *obj; // a reference
};

typedef KN_VEC(struct dependent) dependents;

#define KEY_MAX 700

static void add_key(struct ctx *c, const struct kn_resource *r, struct kn_sv ns, struct kn_sv name)
{
    char key[KEY_MAX];
    int n = snprintf(key, sizeof key, "%.*s/%.*s/%.*s/%.*s", KN_SV_ARG(r->group),
                     KN_SV_ARG(r->plural), KN_SV_ARG(ns), KN_SV_ARG(name));
    if (n > 0 && (size_t)n < sizeof key)
        kn_controller_add(c->controller, kn_sv(key, (size_t)n));
}

static struct kind *kind_of(struct ctx *c, struct kn_sv group, struct kn_sv plural)
{
    for (size_t i = 0; i < c->kinds.len; i++)
        if (kn_sv_eq(c->kinds.ptr[i].resource->plural, plural) &&
            kn_sv_eq(c->kinds.ptr[i].resource->group, group))
            return &c->kinds.ptr[i];
    return NULL;
}

// -- references -----------------------------------------------------------------------------------

static struct kind *kind_of_ref(struct ctx *c, const struct kn_json *ref)
{
    const struct kn_resource *r = kn_resource_find_api(
        kn_json_str(kn_json_get(ref, KN_K_apiVersion)), kn_json_str(kn_json_get(ref, KN_K_kind)));
    return r ? kind_of(c, r->hub->group, r->hub->plural) : NULL;
}

static void index_owners(const struct kn_obj *o, kn_index_emit *emit, void *ctx)
{
    const struct kn_json *refs = kn_json_get(o->metadata, KN_K_ownerReferences), *r;
    KN_JSON_EACH(r, refs)
    emit(ctx, kn_json_str(kn_json_get(r, KN_K_uid)));
}

struct find {
    struct kind *kind;
    dependents *out;
};

static bool take_dependent(void *arg, const struct kn_obj *o)
{
    struct find *f = arg;
    KN_VEC_PUSH(f->out, (struct dependent){f->kind, kn_obj_ref(o)});
    return true;
}

static void find_dependents(struct ctx *c, struct kn_sv uid, dependents *out)
{
    for (size_t i = 0; i < c->kinds.len; i++) {
        struct find f = {&c->kinds.ptr[i], out};
        kn_cache_by_index(f.kind->cache, f.kind->by_owner, uid, take_dependent, &f);
    }
}

static void dependents_done(dependents *d)
{
    for (size_t i = 0; i < d->len; i++)
        kn_obj_unref(d->ptr[i].obj);
    KN_VEC_DONE(d);
}

static bool has_finalizer(const struct kn_obj *o, const char *name)
{
    const struct kn_json *list = kn_json_get(o->metadata, KN_K_finalizers), *f;
    KN_JSON_EACH(f, list)
    if (kn_sv_is(kn_json_str(f), name))
        return true;
    return false;
}

static const struct kn_json *ref_to(const struct kn_obj *o, struct kn_sv uid)
{
    const struct kn_json *refs = kn_json_get(o->metadata, KN_K_ownerReferences), *r;
    KN_JSON_EACH(r, refs)
    if (kn_sv_eq(kn_json_str(kn_json_get(r, KN_K_uid)), uid))
        return r;
    return NULL;
}

// -- writes ---------------------------------------------------------------------------------------

static struct kn_status remove_finalizer(struct ctx *c, struct kind *k, const struct kn_obj *o,
                                         const char *name)
{
    struct kn_arena *a = kn_arena_new(8192, 64u << 20);
    struct kn_json *root = kn_json_copy_shallow_text(a, o->root), *f, *found = NULL;
    struct kn_json *list = KN_JSON_AT(root, KN_K_metadata, KN_K_finalizers);
    KN_JSON_EACH(f, list)
    if (kn_sv_is(kn_json_str(f), name))
        found = f;
    struct kn_status s = KN_STATUS_OK;
    if (found && kn_json_remove_child(list, found)) {
        if (kn_json_len(list) == 0)
            kn_json_remove(kn_json_get(root, KN_K_metadata), KN_K_finalizers);
        s = kn_client_update(c->env->client, k->resource, o->ns, o->name, NULL, root, NULL);
    }
    kn_arena_free(a);
    if (s.code == KN_NOT_FOUND)
        kn_status_done(&s);
    return s;
}

// Takes references out of an object; the uid in the patch keeps it from another of the same name.
static struct kn_status remove_refs(struct ctx *c, struct kind *k, const struct kn_obj *o,
                                    const struct kn_sv *uids, size_t len)
{
    struct kn_buf patch = KN_BUF(1 << 20);
    kn_buf_addf(&patch, "{\"metadata\":{\"uid\":\"%.*s\",\"ownerReferences\":[", KN_SV_ARG(o->uid));
    for (size_t i = 0; i < len; i++)
        kn_buf_addf(&patch, "%s{\"$patch\":\"delete\",\"uid\":\"%.*s\"}", i ? "," : "",
                    KN_SV_ARG(uids[i]));
    kn_buf_addc(&patch, "]}}");
    struct kn_status s = kn_client_patch(c->env->client, k->resource, o->ns, o->name, NULL,
                                         KN_PATCH_STRATEGIC, kn_buf_sv(&patch), NULL);
    kn_buf_done(&patch);
    if (s.code == KN_NOT_FOUND)
        kn_status_done(&s);
    return s;
}

static struct kn_status delete_object(struct ctx *c, struct kind *k, const struct kn_obj *o,
                                      const char *how)
{
    // the revision too: an owner that was added meanwhile must be seen first
    struct kn_delete_options options = {
        .uid = o->uid, .rev = o->rev, .grace_seconds = -1, .propagation = how};
    struct kn_status s = kn_client_delete(c->env->client, k->resource, o->ns, o->name, &options);
    if (s.code == KN_NOT_FOUND)
        kn_status_done(&s);
    return s;
}

// -- what is being deleted ------------------------------------------------------------------------

static struct kn_status orphan_dependents(struct ctx *c, struct kind *k, const struct kn_obj *o)
{
    dependents d = {0};
    struct kn_status s = KN_STATUS_OK;
    find_dependents(c, o->uid, &d);
    for (size_t i = 0; i < d.len && kn_ok(s); i++)
        s = remove_refs(c, d.ptr[i].kind, d.ptr[i].obj, &o->uid, 1);
    dependents_done(&d);
    return kn_ok(s) ? remove_finalizer(c, k, o, ORPHAN) : s;
}

// Goes when nothing that blocks it is left; until then its dependents are looked at.
static struct kn_status foreground(struct ctx *c, struct kind *k, const struct kn_obj *o)
{
    dependents d = {0};
    bool blocked = false;
    find_dependents(c, o->uid, &d);
    for (size_t i = 0; i < d.len; i++) {
        const struct kn_json *ref = ref_to(d.ptr[i].obj, o->uid);
        if (!kn_json_bool(kn_json_get(ref, KN_K_blockOwnerDeletion), false))
            continue;
        blocked = true;
        if (!d.ptr[i].obj->deleting)
            add_key(c, d.ptr[i].kind->resource, d.ptr[i].obj->ns, d.ptr[i].obj->name);
    }
    dependents_done(&d);
    return blocked ? KN_STATUS_OK : remove_finalizer(c, k, o, FOREGROUND);
}

// -- what is owned --------------------------------------------------------------------------------

enum owner { SOLID, DANGLING, WAITING };

static struct kn_status look_up(struct ctx *c, const struct kn_obj *o, const struct kn_json *ref,
                                enum owner *ret)
{
    struct kind *k = kind_of_ref(c, ref);
    struct kn_sv name = kn_json_str(kn_json_get(ref, KN_K_name)),
                 uid = kn_json_str(kn_json_get(ref, KN_K_uid));
    *ret = SOLID;
    if (!k || (k->resource->namespaced && o->ns.len == 0))
        return KN_STATUS_OK; // of a kind that is not served, or that cannot own it: not for us to
                             // judge
    struct kn_sv ns = k->resource->namespaced ? o->ns : KN_SV_NULL;
    const struct kn_obj *owner = kn_cache_get(k->cache, ns, name);
    if (owner && !kn_sv_eq(owner->uid, uid)) {
        kn_obj_unref(owner);
        owner = NULL;
    }
    if (!owner) { // the cache may be behind: ask
        struct kn_status s = kn_client_get(c->env->client, k->resource, ns, name, &owner);
        if (s.code == KN_NOT_FOUND || (kn_ok(s) && !kn_sv_eq(owner->uid, uid))) {
            *ret = DANGLING;
            if (kn_ok(s))
                kn_obj_unref(owner);
            kn_status_done(&s);
            return KN_STATUS_OK;
        }
        KN_TRY(s);
    }
    if (owner->deleting && has_finalizer(owner, FOREGROUND))
        *ret = WAITING;
    kn_obj_unref(owner);
    return KN_STATUS_OK;
}

static bool owns_something(struct ctx *c, struct kn_sv uid)
{
    dependents d = {0};
    find_dependents(c, uid, &d);
    bool any = d.len > 0;
    dependents_done(&d);
    return any;
}

#define MAX_REFS 64

static struct kn_status check_owners(struct ctx *c, struct kind *k, const struct kn_obj *o)
{
    const struct kn_json *refs = kn_json_get(o->metadata, KN_K_ownerReferences), *r;
    struct kn_sv absent[MAX_REFS];
    size_t absent_len = 0, solid = 0, waiting = 0, dangling = 0;
    KN_JSON_EACH(r, refs)
    {
        enum owner state;
        KN_TRY(look_up(c, o, r, &state));
        solid += state == SOLID;
        waiting += state == WAITING;
        dangling += state == DANGLING;
        if (state != SOLID && absent_len < MAX_REFS)
            absent[absent_len++] = kn_json_str(kn_json_get(r, KN_K_uid));
    }
    if (solid)
        return absent_len ? remove_refs(c, k, o, absent, absent_len) : KN_STATUS_OK;
    if (waiting && owns_something(c, o->uid))
        return delete_object(c, k, o, "Foreground");
    if (waiting || dangling)
        return delete_object(c, k, o,
                             has_finalizer(o, ORPHAN)       ? "Orphan"
                             : has_finalizer(o, FOREGROUND) ? "Foreground"
                                                            : "Background");
    return KN_STATUS_OK;
}

// -- keys -----------------------------------------------------------------------------------------

static void add_dependents(struct ctx *c, struct kn_sv uid)
{
    dependents d = {0};
    find_dependents(c, uid, &d);
    for (size_t i = 0; i < d.len; i++)
        add_key(c, d.ptr[i].kind->resource, d.ptr[i].obj->ns, d.ptr[i].obj->name);
    dependents_done(&d);
}

static struct kn_status reconcile(void *arg, struct kn_sv key, int64_t *ret_after)
{
    (void)ret_after;
    struct ctx *c = arg;
    if (key.ptr[0] == '!') {
        add_dependents(c, kn_sv_from(key, 1));
        return KN_STATUS_OK;
    }
    struct kn_sv rest = key, group = kn_sv_cut(&rest, '/'), plural = kn_sv_cut(&rest, '/');
    struct kn_sv ns = kn_sv_cut(&rest, '/');
    struct kind *k = kind_of(c, group, plural);
    const struct kn_obj *o = k ? kn_cache_get(k->cache, ns.len ? ns : KN_SV_NULL, rest) : NULL;
    if (!o)
        return KN_STATUS_OK;
    struct kn_status s = KN_STATUS_OK;
    if (o->deleting && has_finalizer(o, ORPHAN))
        s = orphan_dependents(c, k, o);
    else if (o->deleting && has_finalizer(o, FOREGROUND))
        s = foreground(c, k, o);
    else if (!o->deleting)
        s = check_owners(c, k, o);
    kn_obj_unref(o);
    return s;
}

static void add_owners(struct kind *k, const struct kn_obj *o)
{
    const struct kn_json *refs = kn_json_get(o->metadata, KN_K_ownerReferences), *r;
    KN_JSON_EACH(r, refs)
    {
        struct kind *owner = kind_of_ref(k->c, r);
        if (owner)
            add_key(k->c, owner->resource, owner->resource->namespaced ? o->ns : KN_SV_NULL,
                    kn_json_str(kn_json_get(r, KN_K_name)));
    }
}

static void on_object(void *arg, enum kn_event_type type, const struct kn_obj *o,
                      const struct kn_obj *old)
{
    struct kind *k = arg;
    char gone[80];
    const struct kn_json *refs = kn_json_get(o->metadata, KN_K_ownerReferences);
    switch (type) {
    case KN_EVENT_DELETED:
        snprintf(gone, sizeof gone, "!%.*s", KN_SV_ARG(kn_sv_first(o->uid, 70)));
        kn_controller_add(k->c->controller, kn_sv_c(gone));
        add_owners(k, o); // who may wait for it
        break;
    case KN_EVENT_ADDED:
        if (refs || o->deleting)
            add_key(k->c, k->resource, o->ns, o->name);
        break;
    case KN_EVENT_MODIFIED: {
        bool same = kn_json_equal(refs, kn_json_get(old->metadata, KN_K_ownerReferences));
        if (!same)
            add_owners(k, old);
        if (!same || (o->deleting &&
                      (!old->deleting || has_finalizer(o, ORPHAN) || has_finalizer(o, FOREGROUND))))
            add_key(k->c, k->resource, o->ns, o->name);
        break;
    }
    case KN_EVENT_BOOKMARK:
        break;
    }
}

static struct kn_status find_kinds(struct ctx *c)
{
    const struct kn_resource *r;
    for (size_t i = 0; (r = kn_resource_at(i)); i++) {
        if (!r->served || r->hub != r || r->no_store || !(r->verbs & KN_VERB_LIST) ||
            !(r->verbs & KN_VERB_DELETE) || kn_sv_is(r->plural, "events"))
            continue;
        struct kind k = {.c = c, .resource = r};
        KN_TRY(kn_env_cache(c->env, r, &k.cache));
        k.by_owner = kn_cache_add_index(k.cache, index_owners);
        KN_VEC_PUSH(&c->kinds, k);
    }
    return KN_STATUS_OK;
}

struct kn_status kn_garbage_start(struct kn_env *env, struct kn_controller **ret)
{
    static struct ctx c;
    c.env = env;
    c.kinds.len = 0;
    KN_TRY(find_kinds(&c));
    c.controller = *ret = kn_controller_new(&(struct kn_controller_spec){
        .name = "garbage", .reconcile = reconcile, .ctx = &c, .workers = WORKERS});
    for (size_t i = 0; i < c.kinds.len; i++)
        kn_env_subscribe(env, c.kinds.ptr[i].cache, on_object, &c.kinds.ptr[i], true);
    return kn_controller_start(c.controller);
}

// A namespace that is being deleted is emptied, pods first, and then let go.
#include "base/thread.h"
#include "controllers/common.h"

struct ctx;

struct content { // one resource that lives in namespaces
    struct ctx *c;
    const struct kn_resource *resource;
    struct kn_cache *cache;
};

struct ctx {
    struct kn_env *env;
    struct kn_cache *namespaces;
    KN_VEC(struct content) contents;
    size_t pods; // their place in contents
    struct kn_controller *controller;
};

struct work {
    struct ctx *c;
    struct kn_arena *arena;
    const struct kn_obj *ns;
    struct kn_buf remaining, finalizers, failures; // sentences for the conditions
};

// -- content --------------------------------------------------------------------------------------

static void note_finalizers(struct work *w, const kn_objs *objs)
{
    size_t held = 0;
    struct kn_sv name = KN_SV_NULL;
    for (size_t i = 0; i < objs->len; i++) {
        const struct kn_json *f =
            kn_json_first(kn_json_get(objs->ptr[i]->metadata, KN_K_finalizers));
        if (f) {
            held++;
            name = kn_json_str(f);
        }
    }
    if (held)
        kn_buf_addf(&w->finalizers, "%s%.*s in %zu resource instances",
                    w->finalizers.len ? ", " : "", KN_SV_ARG(name), held);
}

struct emptying {
    struct work *w;
    const struct kn_resource *resource;
    kn_objs objs;
    pthread_mutex_t lock; // of w->failures
};

static void delete_one(void *ctx, size_t i)
{
    struct emptying *e = ctx;
    const struct kn_obj *o = e->objs.ptr[i];
    struct kn_delete_options options = {
        .uid = o->uid, .grace_seconds = -1, .propagation = "Background"};
    if (o->deleting)
        return;
    struct kn_status s =
        kn_client_delete(e->w->c->env->client, e->resource, o->ns, o->name, &options);
    if (!kn_ok(s) && s.code != KN_NOT_FOUND) { // whatever it is, it is tried again
        KN_LOCKED(&e->lock)
        kn_buf_addf(&e->w->failures, "%sunexpected error deleting %.*s: %s",
                    e->w->failures.len ? ", " : "", KN_SV_ARG(e->resource->plural),
                    kn_status_text(&s));
    }
    kn_status_done(&s);
}

// Deletes what is there of one resource. Returns how many objects remain.
static size_t empty_out(struct work *w, const struct content *k)
{
    const struct kn_resource *r = k->resource;
    struct emptying e = {.w = w, .resource = r};
    pthread_mutex_init(&e.lock, NULL);
    kn_cache_list(k->cache, w->ns->name, KN_SV_NULL, KN_SV_NULL, kn_objs_collect, &e.objs);
    kn_fan_run(w->c->env->fan, e.objs.len, delete_one, &e);
    kn_objs_done(&e.objs);
    kn_cache_list(k->cache, w->ns->name, KN_SV_NULL, KN_SV_NULL, kn_objs_collect, &e.objs);
    size_t left = e.objs.len;
    if (left)
        kn_buf_addf(&w->remaining, "%s%.*s%s%.*s has %zu resource instances",
                    w->remaining.len ? ", " : "", KN_SV_ARG(r->plural), r->group.len ? "." : "",
                    KN_SV_ARG(r->group), left);
    note_finalizers(w, &e.objs);
    kn_objs_done(&e.objs);
    pthread_mutex_destroy(&e.lock);
    return left;
}

static size_t empty_all(struct work *w)
{
    struct ctx *c = w->c;
    size_t left = empty_out(w, &c->contents.ptr[c->pods]);
    if (left) // what pods use goes when they have ended
        return left;
    for (size_t i = 0; i < c->contents.len; i++)
        if (i != c->pods)
            left += empty_out(w, &c->contents.ptr[i]);
    return left;
}

// -- the namespace --------------------------------------------------------------------------------

static bool set(struct work *w, struct kn_json *conditions, const char *type, bool on,
                const char *reason_on, const char *reason_off, const char *prefix,
                const struct kn_buf *detail, const char *off)
{
    struct kn_sv message =
        on ? kn_arena_printf(w->arena, "%s%s", prefix, kn_buf_cstr(detail)) : kn_sv_c(off);
    return kn_condition_set(w->arena, conditions, type, on ? "True" : "False",
                            on ? reason_on : reason_off, message, false);
}

static struct kn_status write_conditions(struct work *w, size_t left)
{
    struct kn_arena *a = w->arena;
    struct kn_json *root = kn_json_copy_shallow_text(a, w->ns->root);
    struct kn_json *conditions =
        kn_json_ensure_array(a, kn_json_ensure_object(a, root, KN_K_status), KN_K_conditions);
    bool changed = false;
    changed |=
        set(w, conditions, "NamespaceDeletionDiscoveryFailure", false, "", "ResourcesDiscovered",
            "", &w->failures, "All resources successfully discovered");
    changed |=
        set(w, conditions, "NamespaceDeletionGroupVersionParsingFailure", false, "",
            "ParsedGroupVersions", "", &w->failures, "All legacy kube types successfully parsed");
    changed |= set(w, conditions, "NamespaceDeletionContentFailure", w->failures.len > 0,
                   "ContentDeletionFailed", "ContentDeleted", "", &w->failures,
                   "All content successfully deleted, may be waiting on finalization");
    changed |= set(w, conditions, "NamespaceContentRemaining", left > 0, "SomeResourcesRemain",
                   "ContentRemoved", "Some resources are remaining: ", &w->remaining,
                   "All content successfully removed");
    changed |= set(w, conditions, "NamespaceFinalizersRemaining", w->finalizers.len > 0,
                   "SomeFinalizersRemain", "ContentHasNoFinalizers",
                   "Some content in the namespace has finalizers remaining: ", &w->finalizers,
                   "All content-preserving finalizers finished");
    if (!changed)
        return KN_STATUS_OK;
    if (kn_arena_failed(a))
        return kn_arena_error(a, "a namespace");
    return kn_client_update(w->c->env->client, kn_core("namespaces"), KN_SV_NULL, w->ns->name,
                            "status", root, NULL);
}

static struct kn_status let_go(struct work *w)
{
    struct kn_json *root = kn_json_copy_shallow_text(w->arena, w->ns->root);
    struct kn_json *list = KN_JSON_AT(root, KN_K_spec, KN_K_finalizers), *f, *own = NULL;
    KN_JSON_EACH(f, list)
    if (kn_sv_is(kn_json_str(f), "kubernetes"))
        own = f;
    if (!own)
        return KN_STATUS_OK; // others hold it
    kn_json_remove_child(list, own);
    return kn_client_update(w->c->env->client, kn_core("namespaces"), KN_SV_NULL, w->ns->name,
                            "finalize", root, NULL);
}

static struct kn_status reconcile(void *arg, struct kn_sv key, int64_t *ret_after)
{
    (void)ret_after;
    struct work w = {.c = arg,
                     .remaining = KN_BUF(64 << 10),
                     .finalizers = KN_BUF(64 << 10),
                     .failures = KN_BUF(64 << 10)};
    w.ns = kn_cache_get(w.c->namespaces, KN_SV_NULL, key);
    struct kn_status s = KN_STATUS_OK;
    if (w.ns && w.ns->deleting && kn_json_len(KN_JSON_AT(w.ns->root, KN_K_spec, KN_K_finalizers))) {
        w.arena = kn_arena_new(4096, 16u << 20);
        size_t left = empty_all(&w);
        // what is let go at once needs no conditions; what remains says what it waits for
        s = left || w.failures.len ? write_conditions(&w, left) : let_go(&w);
        if (kn_ok(s) && w.failures.len)
            s = kn_error(KN_INTERNAL, "%s", kn_buf_cstr(&w.failures));
        kn_arena_free(w.arena);
    }
    kn_buf_done(&w.remaining);
    kn_buf_done(&w.finalizers);
    kn_buf_done(&w.failures);
    kn_obj_unref(w.ns);
    return s;
}

// -- events ---------------------------------------------------------------------------------------

static bool is_terminating(struct ctx *c, struct kn_sv name)
{
    const struct kn_obj *ns = kn_cache_get(c->namespaces, KN_SV_NULL, name);
    bool r = ns && ns->deleting;
    kn_obj_unref(ns);
    return r;
}

static void on_content(void *arg, enum kn_event_type type, const struct kn_obj *o,
                       const struct kn_obj *old)
{
    (void)old;
    const struct content *k = arg;
    if ((type == KN_EVENT_DELETED || type == KN_EVENT_ADDED) && is_terminating(k->c, o->ns))
        kn_controller_add(k->c->controller, o->ns);
}

static void on_namespace(void *arg, enum kn_event_type type, const struct kn_obj *o,
                         const struct kn_obj *old)
{
    (void)old;
    struct ctx *c = arg;
    if (type != KN_EVENT_DELETED && o->deleting)
        kn_controller_add(c->controller, o->name);
}

static struct kn_status find_contents(struct ctx *c)
{
    const struct kn_resource *r;
    for (size_t i = 0; (r = kn_resource_at(i)); i++) {
        if (!r->served || r->hub != r || !r->namespaced || r->no_store ||
            !(r->verbs & KN_VERB_LIST) || !(r->verbs & KN_VERB_DELETE))
            continue;
        struct content k = {.c = c, .resource = r};
        KN_TRY(kn_env_cache(c->env, r, &k.cache));
        if (r->group.len == 0 && kn_sv_is(r->plural, "pods"))
            c->pods = c->contents.len;
        KN_VEC_PUSH(&c->contents, k);
    }
    return KN_STATUS_OK;
}

struct kn_status kn_namespace_start(struct kn_env *env, struct kn_controller **ret)
{
    static struct ctx c;
    c.env = env;
    c.contents.len = 0;
    KN_TRY(kn_env_cache(env, kn_core("namespaces"), &c.namespaces));
    KN_TRY(find_contents(&c));
    c.controller = *ret = kn_controller_new(
        &(struct kn_controller_spec){.name = "namespace", .reconcile = reconcile, .ctx = &c});
    for (size_t i = 0; i < c.contents.len; i++)
        kn_env_subscribe(env, c.contents.ptr[i].cache, on_content, &c.contents.ptr[i], false);
    kn_env_subscribe(env, c.namespaces, on_namespace, &c, true);
    return kn_controller_start(c.controller);
}

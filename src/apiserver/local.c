// The client of the same process: requests without a socket, a copy or a second cache.
#include "apiserver/internal.h"
#include "apiserver/apiserver.h"

#define ARENA_LIMIT ((size_t)256 << 20)
#define GROUPS_MAX 8

struct local_client {
    struct kn_client base;
    struct kn_apiserver *server;
    struct kn_user user;
    char *name;
    struct kn_sv groups[GROUPS_MAX];
    char *group_texts[GROUPS_MAX];
};

struct call {
    struct kn_request r;
    struct kn_answer answer;
};

static struct kn_status begin(struct call *c, struct kn_client *client,
                              const struct kn_resource *res, struct kn_sv ns, struct kn_sv name,
                              const char *subresource, enum kn_action action, const char *verb)
{
    struct local_client *l = (struct local_client *)client;
    kn_answer_init(&c->answer);
    c->r = (struct kn_request){.server = l->server,
                               .arena = kn_arena_new(2048, ARENA_LIMIT),
                               .user = &l->user,
                               .answer = &c->answer,
                               .action = action,
                               .verb = verb,
                               .method = KN_SV("LOCAL"),
                               .group = res->group,
                               .version = res->version,
                               .plural = res->plural,
                               .ns = ns,
                               .name = name,
                               .resource = res};
    struct kn_request *r = &c->r;
    r->options.grace_seconds = -1;
    r->options.orphan_dependents = -1;
    r->options.validation = KN_FIELDS_IGNORE;
    if (!res->served)
        return kn_error(KN_NOT_FOUND, "the server could not find the requested resource");
    if (subresource) {
        r->subresource = kn_sv_c(subresource);
        r->sub = kn_resource_sub(res, r->subresource);
        if (!r->sub)
            return kn_error(KN_NOT_FOUND, "the server could not find the requested resource");
    }
    r->rest = kn_rest_find(l->server, res->hub);
    struct kn_attributes q = {.user = r->user,
                              .verb = verb,
                              .is_resource = true,
                              .ns = ns,
                              .group = r->group,
                              .version = r->version,
                              .resource = r->plural,
                              .subresource = r->subresource,
                              .name = name};
    return kn_authorize(l->server, r->arena, &q);
}

static void end(struct call *c)
{
    kn_answer_done(&c->answer);
    kn_arena_free(c->r.arena);
}

// Runs the request and hands out the object, in the version that was asked for.
static struct kn_status finish(struct call *c, const struct kn_obj **ret)
{
    struct kn_request *r = &c->r;
    kn_request_run(r);
    struct kn_status s = c->answer.error;
    c->answer.error = KN_STATUS_OK;
    if (kn_ok(s) && ret) {
        struct kn_json *tree = c->answer.tree;
        if (c->answer.obj && r->resource->hub == r->resource) {
            *ret = c->answer.obj;
            c->answer.obj = NULL;
        } else {
            if (c->answer.obj)
                s = kn_answer_tree(r, c->answer.obj, &tree);
            if (kn_ok(s))
                s = kn_obj_seal(tree, ret);
        }
    }
    end(c);
    return s;
}

static struct kn_status give_up(struct call *c, struct kn_status s)
{
    end(c);
    return s;
}

static void close_client(struct kn_client *client)
{
    struct local_client *l = (struct local_client *)client;
    for (size_t i = 0; i < GROUPS_MAX; i++)
        free(l->group_texts[i]);
    free(l->name);
    free(l);
}

static struct kn_status get(struct kn_client *client, const struct kn_resource *res,
                            struct kn_sv ns, struct kn_sv name, const struct kn_obj **ret)
{
    struct call c;
    struct kn_status s = begin(&c, client, res, ns, name, NULL, KN_ACT_GET, "get");
    return kn_ok(s) ? finish(&c, ret) : give_up(&c, s);
}

static struct kn_status list(struct kn_client *client, const struct kn_resource *res,
                             const struct kn_list_options *o, struct kn_obj_list *ret)
{
    struct call c;
    struct kn_status s =
        begin(&c, client, res, o ? o->ns : KN_SV_NULL, KN_SV_NULL, NULL, KN_ACT_LIST, "list");
    if (!kn_ok(s))
        return give_up(&c, s);
    if (o) {
        c.r.options.label_selector = o->label_selector;
        c.r.options.field_selector = o->field_selector;
    }
    kn_request_run(&c.r);
    s = c.answer.error;
    c.answer.error = KN_STATUS_OK;
    *ret = (struct kn_obj_list){0};
    if (kn_ok(s)) { // the references move over
        ret->items = c.answer.list.ptr;
        ret->len = c.answer.list.len;
        ret->rev = c.answer.rev;
        c.answer.list.ptr = NULL;
        c.answer.list.len = c.answer.list.cap = 0;
    }
    end(&c);
    return s;
}

static struct kn_status create(struct kn_client *client, const struct kn_resource *res,
                               struct kn_sv ns, struct kn_sv name, const char *subresource,
                               const struct kn_json *body, const struct kn_obj **ret)
{
    struct call c;
    struct kn_status s = begin(&c, client, res, ns, name, subresource, KN_ACT_CREATE, "create");
    c.r.body_tree = body;
    return kn_ok(s) ? finish(&c, ret) : give_up(&c, s);
}

static struct kn_status update(struct kn_client *client, const struct kn_resource *res,
                               struct kn_sv ns, struct kn_sv name, const char *subresource,
                               const struct kn_json *body, const struct kn_obj **ret)
{
    struct call c;
    struct kn_status s = begin(&c, client, res, ns, name, subresource, KN_ACT_UPDATE, "update");
    c.r.body_tree = body;
    return kn_ok(s) ? finish(&c, ret) : give_up(&c, s);
}

static struct kn_status patch(struct kn_client *client, const struct kn_resource *res,
                              struct kn_sv ns, struct kn_sv name, const char *subresource,
                              enum kn_patch_type type, struct kn_sv text, const struct kn_obj **ret)
{
    static const char *const types[] = {
        "application/json-patch+json", "application/merge-patch+json",
        "application/strategic-merge-patch+json", "application/apply-patch+yaml"};
    struct call c;
    struct kn_status s = begin(&c, client, res, ns, name, subresource, KN_ACT_PATCH, "patch");
    c.r.body = text;
    c.r.content_type = kn_sv_c(types[type]);
    return kn_ok(s) ? finish(&c, ret) : give_up(&c, s);
}

static struct kn_status remove_one(struct kn_client *client, const struct kn_resource *res,
                                   struct kn_sv ns, struct kn_sv name,
                                   const struct kn_delete_options *o)
{
    struct call c;
    struct kn_status s = begin(&c, client, res, ns, name, NULL, KN_ACT_DELETE, "delete");
    if (!kn_ok(s))
        return give_up(&c, s);
    c.r.options.grace_seconds = o ? o->grace_seconds : -1;
    if (o && o->propagation)
        c.r.options.propagation = kn_sv_c(o->propagation);
    if (o) {
        c.r.options.precondition_uid = o->uid;
        if (o->rev)
            c.r.options.precondition_rev = kn_arena_printf(c.r.arena, "%lld", (long long)o->rev);
    }
    return finish(&c, NULL);
}

static struct kn_status cache(struct kn_client *client, const struct kn_resource *res,
                              const struct kn_list_options *o, int64_t deadline,
                              struct kn_cache **ret)
{
    (void)deadline;
    if (o && (o->ns.ptr || o->label_selector.len || o->field_selector.len))
        return kn_error(KN_INVALID, "a cache in the server's own process holds all objects of a "
                                    "resource: select when reading it");
    struct call c;
    struct kn_status s = begin(&c, client, res, KN_SV_NULL, KN_SV_NULL, NULL, KN_ACT_LIST, "list");
    if (kn_ok(s) && (!c.r.rest || res->hub != res))
        s = kn_error(KN_INVALID, "%.*s of version %.*s is not what is stored",
                     KN_SV_ARG(res->plural), KN_SV_ARG(res->version));
    if (kn_ok(s))
        *ret = c.r.rest->cache;
    end(&c);
    return s;
}

static const struct kn_client_ops ops = {close_client, get,    list,       create,
                                         update,       patch,  remove_one, cache};

struct kn_status kn_apiserver_local(struct kn_apiserver *s, const char *user,
                                    const char *const *groups, struct kn_client **ret)
{
    struct local_client *l = KN_NEW(struct local_client);
    l->base.ops = &ops;
    l->server = s;
    l->name = kn_sv_dup(kn_sv_c(user));
    size_t n = 0;
    for (; groups && groups[n] && n < GROUPS_MAX - 1; n++)
        l->groups[n] = kn_sv_c(l->group_texts[n] = kn_sv_dup(kn_sv_c(groups[n])));
    l->groups[n++] = KN_SV("system:authenticated");
    l->user = (struct kn_user){.name = kn_sv_c(l->name), .groups = l->groups, .group_count = n};
    *ret = &l->base;
    return KN_STATUS_OK;
}

// From a method, a path and a query to what is asked: upstream's RequestInfo.
#include "apiserver/internal.h"
#include "base/num.h"

static struct kn_sv next_part(struct kn_sv *rest)
{
    while (rest->len && rest->ptr[0] == '/')
        *rest = kn_sv_from(*rest, 1);
    struct kn_sv part = kn_sv_cut(rest, '/');
    if (!rest->ptr)
        *rest = KN_SV("");
    return part;
}

static struct kn_status decoded(struct kn_request *r, struct kn_sv *part)
{
    return kn_url_decode(r->arena, *part, false, part);
}

static void other_path(struct kn_request *r)
{
    r->action = KN_ACT_OTHER;
    char *lower = kn_arena_bytes(r->arena, r->method.len + 1);
    r->verb = lower ? lower : "";
    for (size_t i = 0; lower && i <= r->method.len; i++)
        lower[i] = i == r->method.len ? '\0' : (char)(r->method.ptr[i] | 0x20);
}

static bool is_connect(struct kn_sv sub)
{
    static const char *const names[] = {"exec", "attach", "portforward", "proxy", "log"};
    for (size_t i = 0; i < KN_ARRAY_LEN(names); i++)
        if (kn_sv_is(sub, names[i]))
            return true;
    return false;
}

static struct kn_status set_action(struct kn_request *r)
{
    struct kn_sv m = r->method;
    bool one = r->name.len > 0;
    if (is_connect(r->subresource)) {
        r->action = KN_ACT_CONNECT;
        r->verb = kn_sv_is(m, "GET") || kn_sv_is(m, "HEAD") ? "get"
                  : kn_sv_is(m, "POST")                     ? "create"
                  : kn_sv_is(m, "PUT")                      ? "update"
                  : kn_sv_is(m, "PATCH")                    ? "patch"
                                                            : "delete";
    } else if (kn_sv_is(m, "GET") || kn_sv_is(m, "HEAD")) {
        r->action = one ? KN_ACT_GET : KN_ACT_LIST;
        r->verb = one ? "get" : "list";
    } else if (kn_sv_is(m, "POST")) {
        r->action = KN_ACT_CREATE;
        r->verb = "create";
    } else if (kn_sv_is(m, "PUT")) {
        r->action = KN_ACT_UPDATE;
        r->verb = "update";
    } else if (kn_sv_is(m, "PATCH")) {
        r->action = KN_ACT_PATCH;
        r->verb = "patch";
    } else if (kn_sv_is(m, "DELETE")) {
        r->action = one ? KN_ACT_DELETE : KN_ACT_DELETECOLLECTION;
        r->verb = one ? "delete" : "deletecollection";
    } else {
        return kn_error(KN_METHOD_NOT_ALLOWED, "the method %.*s is not allowed on %.*s",
                        KN_SV_ARG(m), KN_SV_ARG(r->path));
    }
    return KN_STATUS_OK;
}

static struct kn_status no_such_resource(void)
{
    return kn_error(KN_NOT_FOUND, "the server could not find the requested resource");
}

// /namespaces/<ns>/<plural>/<name>/<sub>/..., or without the first two.
static struct kn_status route_resource(struct kn_request *r, struct kn_sv rest)
{
    struct kn_sv part = next_part(&rest);
    if (kn_sv_is(part, "watch")) { // the old form of ?watch=true
        r->options.bookmarks = false;
        r->action = KN_ACT_WATCH;
        part = next_part(&rest);
    }
    bool old_watch = r->action == KN_ACT_WATCH;
    if (kn_sv_is(part, "namespaces") && rest.len) {
        struct kn_sv ns = next_part(&rest);
        struct kn_sv after = rest;
        struct kn_sv plural = next_part(&after);
        if (plural.len && !kn_sv_is(plural, "status") && !kn_sv_is(plural, "finalize")) {
            r->ns = ns;
            part = plural;
            rest = after;
        } else if (ns.len) {
            r->name = ns; // the namespace object itself
        }
    }
    r->plural = part;
    if (r->name.len == 0)
        r->name = next_part(&rest);
    r->subresource = next_part(&rest);
    r->subpath = rest;
    if (kn_sv_is(r->plural, "namespaces"))
        r->ns = r->name; // authorization looks at it so
    KN_TRY(decoded(r, &r->ns));
    KN_TRY(decoded(r, &r->name));
    KN_TRY(set_action(r)); // known even where the resource is not: it is asked who may know
    r->resource = kn_resource_find(r->group, r->version, r->plural);
    if (!r->resource || !r->resource->served)
        return no_such_resource();
    if (r->subresource.len && !(r->sub = kn_resource_sub(r->resource, r->subresource)))
        return no_such_resource();
    if (r->subpath.len && !kn_sv_is(r->subresource, "proxy"))
        return no_such_resource();
    if (kn_sv_is(r->plural, "namespaces") && r->group.len == 0)
        ;
    else if (r->resource->namespaced != (r->ns.len > 0) && (r->name.len || r->ns.len))
        return no_such_resource();
    r->rest = kn_rest_find(r->server, r->resource->hub);
    if (old_watch && r->action == KN_ACT_LIST) {
        r->action = KN_ACT_WATCH;
        r->verb = "watch";
    }
    return KN_STATUS_OK;
}

struct kn_status kn_route(struct kn_request *r)
{
    struct kn_sv rest = r->path;
    struct kn_sv first = next_part(&rest);
    if (kn_sv_is(first, "api")) {
        r->version = next_part(&rest);
    } else if (kn_sv_is(first, "apis")) {
        r->group = next_part(&rest);
        r->version = next_part(&rest);
    } else {
        other_path(r);
        return KN_STATUS_OK;
    }
    struct kn_sv probe = rest;
    if (next_part(&probe).len == 0) { // /api, /apis, /apis/g, /apis/g/v: discovery
        r->group = r->version = KN_SV_NULL;
        other_path(r);
        return KN_STATUS_OK;
    }
    KN_TRY(route_resource(r, rest));
    return kn_options_parse(r);
}

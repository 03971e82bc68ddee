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
    KN_TRY(set_action(r));
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

// -- options -------------------------------------------------------------------------------------

static struct kn_status bad_option(const char *name, struct kn_sv value, const char *what)
{
    return kn_error(KN_BAD_REQUEST, "the query parameter %s=%.*s is not valid: %s", name,
                    KN_SV_ARG(kn_sv_first(value, 100)), what);
}

static struct kn_status parse_bool(const char *name, struct kn_sv v, bool *ret)
{
    if (v.len == 0 || kn_sv_is(v, "true") || kn_sv_is(v, "1") || kn_sv_is(v, "True"))
        *ret = true;
    else if (kn_sv_is(v, "false") || kn_sv_is(v, "0") || kn_sv_is(v, "False"))
        *ret = false;
    else
        return bad_option(name, v, "it must be true or false");
    return KN_STATUS_OK;
}

static struct kn_status parse_int(const char *name, struct kn_sv v, int64_t *ret)
{
    struct kn_status s = kn_num_parse(v, INT64_MIN, INT64_MAX, ret);
    if (kn_ok(s))
        return s;
    kn_status_done(&s);
    return bad_option(name, v, "it must be a whole number");
}

static struct kn_status parse_grace(struct kn_sv v, int64_t *ret)
{
    KN_TRY(parse_int("gracePeriodSeconds", v, ret));
    if (*ret < 0)
        *ret = 1; // as upstream: soon, but not at once
    return KN_STATUS_OK;
}

static struct kn_status set_option(struct kn_request *r, struct kn_sv name, struct kn_sv v,
                                   bool *watch)
{
    struct kn_options *o = &r->options;
    static const struct {
        const char *name;
        size_t offset;
    } texts[] = {{"labelSelector", offsetof(struct kn_options, label_selector)},
                 {"fieldSelector", offsetof(struct kn_options, field_selector)},
                 {"continue", offsetof(struct kn_options, continue_token)},
                 {"resourceVersion", offsetof(struct kn_options, resource_version)},
                 {"resourceVersionMatch", offsetof(struct kn_options, version_match)},
                 {"fieldManager", offsetof(struct kn_options, field_manager)},
                 {"propagationPolicy", offsetof(struct kn_options, propagation)},
                 {"includeObject", offsetof(struct kn_options, table_include)}};
    for (size_t i = 0; i < KN_ARRAY_LEN(texts); i++)
        if (kn_sv_is(name, texts[i].name)) {
            *(struct kn_sv *)((char *)o + texts[i].offset) = v;
            return KN_STATUS_OK;
        }
    bool orphan;
    if (kn_sv_is(name, "watch"))
        return parse_bool("watch", v, watch);
    if (kn_sv_is(name, "limit"))
        return parse_int("limit", v, &o->limit);
    if (kn_sv_is(name, "timeoutSeconds"))
        return parse_int("timeoutSeconds", v, &o->timeout_seconds);
    if (kn_sv_is(name, "gracePeriodSeconds"))
        return parse_grace(v, &o->grace_seconds);
    if (kn_sv_is(name, "allowWatchBookmarks"))
        return parse_bool("allowWatchBookmarks", v, &o->bookmarks);
    if (kn_sv_is(name, "sendInitialEvents"))
        return parse_bool("sendInitialEvents", v, &o->send_initial);
    if (kn_sv_is(name, "force"))
        return parse_bool("force", v, &o->force);
    if (kn_sv_is(name, "pretty"))
        return parse_bool("pretty", v, &o->pretty);
    if (kn_sv_is(name, "fieldValidation"))
        return kn_field_validation_parse(v, &o->validation);
    if (kn_sv_is(name, "orphanDependents")) {
        KN_TRY(parse_bool("orphanDependents", v, &orphan));
        o->orphan_dependents = orphan;
    } else if (kn_sv_is(name, "dryRun")) {
        if (v.len && !kn_sv_is(v, "All"))
            return kn_error(KN_INVALID, "dryRun: Unsupported value: \"%.*s\": supported values: "
                                        "\"All\"", KN_SV_ARG(v));
        o->dry_run = v.len > 0;
    }
    return KN_STATUS_OK; // as upstream: parameters that are not known are not looked at
}

struct kn_status kn_options_parse(struct kn_request *r)
{
    r->options.grace_seconds = -1;
    r->options.orphan_dependents = -1;
    struct kn_sv rest = r->query, name, value;
    bool watch = r->action == KN_ACT_WATCH;
    while (kn_query_next(&rest, &name, &value)) {
        KN_TRY(kn_url_decode(r->arena, name, true, &name));
        KN_TRY(kn_url_decode(r->arena, value, true, &value));
        KN_TRY(set_option(r, name, value, &watch));
    }
    if (r->action == KN_ACT_GET && watch && r->sub == NULL) { // a watch of one object
        r->options.field_selector =
            kn_arena_printf(r->arena, "metadata.name=%.*s", KN_SV_ARG(r->name));
        r->action = KN_ACT_WATCH;
    } else if (r->action == KN_ACT_LIST && watch) {
        r->action = KN_ACT_WATCH;
    }
    if (r->action == KN_ACT_WATCH)
        r->verb = "watch";
    // As upstream: who selects one object by its name is asked about that object.
    static const char by_name[] = "metadata.name=";
    struct kn_sv fields = r->options.field_selector;
    if (r->name.len == 0 && kn_sv_starts(fields, kn_sv_c(by_name)) && kn_sv_find(fields, ',') < 0)
        r->name = kn_sv_from(fields, sizeof by_name - 1);
    return KN_STATUS_OK;
}

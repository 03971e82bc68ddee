// Query parameters: ListOptions, GetOptions and the options of writes, as upstream reads and checks
// them.
#include "apiserver/internal.h"
#include "base/num.h"

// As upstream reads them: whatever does not say no says yes.
static bool parse_bool(struct kn_sv v)
{
    return !kn_sv_ieq(v, KN_SV("false")) && !kn_sv_is(v, "0");
}

static struct kn_status parse_int(struct kn_sv v, int64_t *ret)
{
    if (kn_ok_done(kn_num_parse(v, INT64_MIN, INT64_MAX, ret)))
        return KN_STATUS_OK;
    return kn_error(KN_BAD_REQUEST, "strconv.ParseInt: parsing \"%.*s\": invalid syntax",
                    KN_SV_ARG(kn_sv_first(v, 100)));
}

static struct kn_status parse_grace(struct kn_sv v, int64_t *ret)
{
    KN_TRY(parse_int(v, ret));
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
    static const struct {
        const char *name;
        size_t offset;
    } bools[] = {{"allowWatchBookmarks", offsetof(struct kn_options, bookmarks)},
                 {"sendInitialEvents", offsetof(struct kn_options, send_initial)},
                 {"force", offsetof(struct kn_options, force)},
                 {"pretty", offsetof(struct kn_options, pretty)}};
    for (size_t i = 0; i < KN_ARRAY_LEN(texts); i++)
        if (kn_sv_is(name, texts[i].name)) {
            *(struct kn_sv *)((char *)o + texts[i].offset) = v;
            return KN_STATUS_OK;
        }
    for (size_t i = 0; i < KN_ARRAY_LEN(bools); i++)
        if (kn_sv_is(name, bools[i].name))
            *(bool *)((char *)o + bools[i].offset) = parse_bool(v);
    if (kn_sv_is(name, "sendInitialEvents"))
        o->has_send_initial = v.len > 0;
    if (kn_sv_is(name, "watch"))
        *watch = parse_bool(v);
    if (kn_sv_is(name, "limit"))
        return parse_int(v, &o->limit);
    if (kn_sv_is(name, "timeoutSeconds"))
        return parse_int(v, &o->timeout_seconds);
    if (kn_sv_is(name, "gracePeriodSeconds"))
        return parse_grace(v, &o->grace_seconds);
    if (kn_sv_is(name, "fieldValidation"))
        return kn_field_validation_parse(v, &o->validation);
    if (kn_sv_is(name, "orphanDependents"))
        o->orphan_dependents = parse_bool(v);
    if (kn_sv_is(name, "dryRun")) {
        if (v.len && !kn_sv_is(v, "All"))
            return kn_error(KN_INVALID,
                            "dryRun: Unsupported value: \"%.*s\": supported values: \"All\"",
                            KN_SV_ARG(v));
        o->dry_run = v.len > 0;
    }
    return KN_STATUS_OK; // as upstream: parameters that are not known are not looked at
}

// -- what goes together ---------------------------------------------------------------------------

struct kn_status kn_options_rev(const struct kn_request *r, int64_t *ret)
{
    struct kn_sv v = r->options.resource_version;
    *ret = 0;
    if (v.len == 0 || kn_ok_done(kn_num_parse(v, 0, INT64_MAX, ret)))
        return KN_STATUS_OK;
    return kn_error(KN_BAD_REQUEST,
                    "invalid resource version: resourceVersion: Invalid value: \"%.*s\": "
                    "strconv.ParseUint: parsing \"%.*s\": invalid syntax",
                    KN_SV_ARG(kn_sv_first(v, 100)), KN_SV_ARG(kn_sv_first(v, 100)));
}

static void forbid(struct kn_problems *p, const char *field, const char *why)
{
    kn_problem_add(p, KN_PROBLEM_FORBIDDEN, KN_PATH_SV(NULL, kn_sv_c(field)), KN_SV_NULL, "%s",
                   why);
}

static void unsupported(struct kn_problems *p, struct kn_sv match, const char *choices)
{
    kn_problem_add(p, KN_PROBLEM_NOT_SUPPORTED, KN_PATH(NULL, "resourceVersionMatch"),
                   kn_problem_quote(p->arena, match), "supported values: %s", choices);
}

static void check_list(const struct kn_options *o, struct kn_problems *p)
{
    struct kn_sv match = o->version_match;
    bool exact = kn_sv_is(match, "Exact");
    if (match.len && o->resource_version.len == 0)
        forbid(p, "resourceVersionMatch",
               "resourceVersionMatch is forbidden unless resourceVersion is provided");
    if (match.len && o->continue_token.len)
        forbid(p, "resourceVersionMatch",
               "resourceVersionMatch is forbidden when continue is provided");
    if (match.len && !exact && !kn_sv_is(match, "NotOlderThan"))
        unsupported(p, match, "\"Exact\", \"NotOlderThan\", \"\"");
    if (exact && kn_sv_is(o->resource_version, "0"))
        forbid(p, "resourceVersionMatch",
               "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
    if (o->has_send_initial)
        forbid(p, "sendInitialEvents", "sendInitialEvents is forbidden for list");
}

static void check_watch(const struct kn_options *o, struct kn_problems *p)
{
    struct kn_sv match = o->version_match;
    bool not_older = kn_sv_is(match, "NotOlderThan");
    if (o->has_send_initial && !not_older)
        forbid(p, "resourceVersionMatch",
               "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    if (o->has_send_initial && o->continue_token.len)
        forbid(p, "sendInitialEvents", "sendInitialEvents is forbidden when continue is provided");
    if (match.len && !o->has_send_initial)
        forbid(p, "resourceVersionMatch",
               "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
    if (match.len && !not_older)
        unsupported(p, match, "\"NotOlderThan\"");
    if (match.len && o->continue_token.len)
        forbid(p, "resourceVersionMatch",
               "resourceVersionMatch is forbidden when continue is provided");
}

struct kn_status kn_options_check(struct kn_request *r)
{
    struct kn_problems p;
    kn_problems_init(&p, r->arena);
    if (r->action == KN_ACT_WATCH)
        check_watch(&r->options, &p);
    else if (r->action == KN_ACT_LIST || r->action == KN_ACT_DELETECOLLECTION)
        check_list(&r->options, &p);
    return kn_problems_status(&p, KN_SV("meta.k8s.io"), KN_SV("ListOptions"), KN_SV(""));
}

// -- from the query -------------------------------------------------------------------------------

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

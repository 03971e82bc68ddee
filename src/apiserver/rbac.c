// Role-based access control: may this user do this? The answer is in the caches of the four RBAC
// resources; nothing is copied and nothing is precomputed.
#include "apiserver/internal.h"

struct caches {
    struct kn_cache *roles, *role_bindings, *cluster_roles, *cluster_role_bindings;
};

static struct kn_cache *cache_of(struct kn_apiserver *s, const char *plural)
{
    const struct kn_resource *r =
        kn_resource_find(KN_SV("rbac.authorization.k8s.io"), KN_SV("v1"), kn_sv_c(plural));
    return kn_rest_find(s, r)->cache;
}

// -- matching ------------------------------------------------------------------------------------

static bool list_has(const struct kn_json *list, struct kn_sv value)
{
    const struct kn_json *v;
    KN_JSON_EACH(v, list)
    {
        struct kn_sv s = kn_json_str(v);
        if (kn_sv_is(s, "*") || kn_sv_eq(s, value))
            return true;
    }
    return false;
}

static bool resources_have(const struct kn_json *list, struct kn_sv resource, struct kn_sv sub)
{
    const struct kn_json *v;
    KN_JSON_EACH(v, list)
    {
        struct kn_sv s = kn_json_str(v);
        if (kn_sv_is(s, "*"))
            return true;
        if (sub.len == 0) {
            if (kn_sv_eq(s, resource))
                return true;
            continue;
        }
        ptrdiff_t slash = kn_sv_find(s, '/');
        if (slash < 0)
            continue;
        struct kn_sv head = kn_sv_first(s, (size_t)slash);
        if (kn_sv_eq(kn_sv_from(s, (size_t)slash + 1), sub) &&
            (kn_sv_is(head, "*") || kn_sv_eq(head, resource)))
            return true;
    }
    return false;
}

static bool urls_have(const struct kn_json *list, struct kn_sv path)
{
    const struct kn_json *v;
    KN_JSON_EACH(v, list)
    {
        struct kn_sv s = kn_json_str(v);
        if (kn_sv_eq(s, path) || kn_sv_is(s, "*"))
            return true;
        if (s.len && s.ptr[s.len - 1] == '*' && kn_sv_starts(path, kn_sv_first(s, s.len - 1)))
            return true;
    }
    return false;
}

static bool rule_allows(const struct kn_json *rule, const struct kn_attributes *q)
{
    if (!list_has(kn_json_get(rule, KN_K_verbs), kn_sv_c(q->verb)))
        return false;
    if (!q->is_resource)
        return urls_have(kn_json_get(rule, KN_K_nonResourceURLs), q->path);
    if (!list_has(kn_json_get(rule, KN_K_apiGroups), q->group) ||
        !resources_have(kn_json_get(rule, KN_K_resources), q->resource, q->subresource))
        return false;
    const struct kn_json *names = kn_json_get(rule, KN_K_resourceNames), *v;
    if (kn_json_len(names) == 0)
        return true;
    KN_JSON_EACH(v, names)
    if (kn_sv_eq(kn_json_str(v), q->name))
        return true;
    return false;
}

bool kn_rbac_role_allows(const struct kn_json *role, const struct kn_attributes *q)
{
    const struct kn_json *rules = kn_json_get(role, KN_K_rules), *rule;
    KN_JSON_EACH(rule, rules)
    if (rule_allows(rule, q))
        return true;
    return false;
}

// Bindings are found by whom they bind: an index value is the binding's namespace, a letter for the
// kind of subject, and its name. A service account is a user of a certain name. A name that does
// not fit has no value, so it is bound to nothing.
#define SUBJECT_MAX 1024

static bool put(char *out, size_t *at, struct kn_sv part)
{
    if (part.len > SUBJECT_MAX - *at)
        return false;
    if (part.len)
        memcpy(out + *at, part.ptr, part.len);
    *at += part.len;
    return true;
}

// Copies names as they are: a NUL byte in one does not end it.
static struct kn_sv subject_key(char out[SUBJECT_MAX], struct kn_sv ns, const char *kind,
                                struct kn_sv name)
{
    size_t at = 0;
    return put(out, &at, ns) && put(out, &at, kn_sv_c(kind)) && put(out, &at, name)
               ? kn_sv(out, at)
               : KN_SV_NULL;
}

static void index_subjects(const struct kn_obj *binding, kn_index_emit *emit, void *ctx)
{
    const struct kn_json *subjects = kn_json_get(binding->root, KN_K_subjects), *s;
    KN_JSON_EACH(s, subjects)
    {
        struct kn_sv kind = kn_json_str(kn_json_get(s, KN_K_kind));
        struct kn_sv name = kn_json_str(kn_json_get(s, KN_K_name));
        char key[SUBJECT_MAX], account[SUBJECT_MAX];
        struct kn_sv value = KN_SV_NULL;
        if (kn_sv_is(kind, "User"))
            value = subject_key(key, binding->ns, "/U", name);
        else if (kn_sv_is(kind, "Group"))
            value = subject_key(key, binding->ns, "/G", name);
        else if (kn_sv_is(kind, "ServiceAccount")) {
            struct kn_sv where = kn_json_str(kn_json_get(s, KN_K_namespace));
            size_t at = 0;
            if (put(account, &at, kn_sv_c("system:serviceaccount:")) &&
                put(account, &at, where.len ? where : binding->ns) &&
                put(account, &at, kn_sv_c(":")) && put(account, &at, name))
                value = subject_key(key, binding->ns, "/U", kn_sv(account, at));
        }
        if (value.len)
            emit(ctx, value);
    }
}

// Calls visit with each role that is bound to the user (in the namespace, and in the cluster).
struct roles_walk {
    struct kn_apiserver *server;
    const struct kn_user *user;
    bool (*visit)(void *arg, const struct kn_json *role);
    void *arg;
    bool stopped;
};

static bool visit_binding(void *arg, const struct kn_obj *b)
{
    struct roles_walk *w = arg;
    const struct kn_json *ref = kn_json_get(b->root, KN_K_roleRef);
    struct kn_sv name = kn_json_str(kn_json_get(ref, KN_K_name));
    bool cluster = kn_sv_is(kn_json_str(kn_json_get(ref, KN_K_kind)), "ClusterRole");
    const struct kn_obj *role =
        cluster ? kn_cache_get(cache_of(w->server, "clusterroles"), KN_SV_NULL, name)
                : kn_cache_get(cache_of(w->server, "roles"), b->ns, name);
    if (role && !w->visit(w->arg, role->root))
        w->stopped = true;
    kn_obj_unref(role);
    return !w->stopped;
}

static void walk_bindings(struct roles_walk *w, struct kn_cache *cache, struct kn_sv ns)
{
    char key[SUBJECT_MAX];
    unsigned index = kn_cache_add_index(cache, index_subjects);
    kn_cache_by_index(cache, index, subject_key(key, ns, "/U", w->user->name), visit_binding, w);
    for (size_t i = 0; i < w->user->group_count && !w->stopped; i++)
        kn_cache_by_index(cache, index, subject_key(key, ns, "/G", w->user->groups[i]),
                          visit_binding, w);
}

static void walk_roles(struct roles_walk *w, struct kn_sv ns)
{
    walk_bindings(w, cache_of(w->server, "clusterrolebindings"), KN_SV_NULL);
    if (!w->stopped && ns.len)
        walk_bindings(w, cache_of(w->server, "rolebindings"), ns);
}

struct ask {
    const struct kn_attributes *q;
    bool allowed;
};

static bool ask_role(void *arg, const struct kn_json *role)
{
    struct ask *a = arg;
    a->allowed = kn_rbac_role_allows(role, a->q);
    return !a->allowed;
}

bool kn_rbac_allows(struct kn_apiserver *s, struct kn_arena *a, const struct kn_attributes *q)
{
    (void)a;
    struct ask ask = {q, false};
    struct roles_walk w = {.server = s, .user = q->user, .visit = ask_role, .arg = &ask};
    walk_roles(&w, q->ns);
    return ask.allowed;
}

// -- the rules of a user --------------------------------------------------------------------------

struct gather {
    struct kn_arena *arena;
    struct kn_json *resource_rules, *other_rules;
};

static bool gather_role(void *arg, const struct kn_json *role)
{
    struct gather *g = arg;
    const struct kn_json *rules = kn_json_get(role, KN_K_rules), *rule;
    KN_JSON_EACH(rule, rules)
    {
        bool urls = kn_json_len(kn_json_get(rule, KN_K_nonResourceURLs)) > 0;
        kn_json_append(urls ? g->other_rules : g->resource_rules, kn_json_copy(g->arena, rule));
    }
    return true;
}

void kn_rbac_rules(struct kn_apiserver *s, struct kn_arena *a, const struct kn_user *user,
                   struct kn_sv ns, struct kn_json *resource_rules, struct kn_json *other_rules)
{
    struct gather g = {a, resource_rules, other_rules};
    struct roles_walk w = {.server = s, .user = user, .visit = gather_role, .arg = &g};
    walk_roles(&w, ns);
}

// -- escalation -----------------------------------------------------------------------------------

// Does one rule of `have` cover one (verb, group, resource, name) of `want`?
static bool covered(const struct kn_json *have, const struct kn_attributes *q)
{
    const struct kn_json *rule;
    KN_JSON_EACH(rule, have)
    if (rule_allows(rule, q))
        return true;
    return false;
}

static struct kn_status lacking(struct kn_request *r, const struct kn_attributes *q)
{
    struct kn_sv what = kn_qualified_resource(r->arena, r);
    return kn_error(KN_FORBIDDEN,
                    "%.*s \"%.*s\" is forbidden: user \"%.*s\" (groups=[...]) is attempting to "
                    "grant RBAC permissions not currently held:\n{APIGroups:[\"%.*s\"], "
                    "Resources:[\"%.*s\"], Verbs:[\"%s\"]}",
                    KN_SV_ARG(what), KN_SV_ARG(r->name), KN_SV_ARG(r->user->name),
                    KN_SV_ARG(q->group), KN_SV_ARG(q->is_resource ? q->resource : q->path),
                    q->verb);
}

static const struct kn_json *or_one(struct kn_arena *a, const struct kn_json *list)
{
    if (kn_json_len(list))
        return list;
    struct kn_json *one = kn_json_new_array(a);
    kn_json_append(one, kn_json_new_str(a, KN_SV("")));
    return one;
}

static struct kn_status check_rule(struct kn_request *r, const struct kn_json *have,
                                   const struct kn_json *rule)
{
    struct kn_arena *a = r->arena;
    const struct kn_json *verb, *group, *resource, *name, *url;
    const struct kn_json *names = or_one(a, kn_json_get(rule, KN_K_resourceNames));
    KN_JSON_EACH(verb, kn_json_get(rule, KN_K_verbs))
    {
        struct kn_attributes q = {.user = r->user, .verb = kn_arena_dup(a, kn_json_str(verb)).ptr};
        KN_JSON_EACH(url, kn_json_get(rule, KN_K_nonResourceURLs))
        {
            q.path = kn_json_str(url);
            if (!covered(have, &q))
                return lacking(r, &q);
        }
        q.is_resource = true;
        KN_JSON_EACH(group, kn_json_get(rule, KN_K_apiGroups))
        KN_JSON_EACH(resource, kn_json_get(rule, KN_K_resources))
        KN_JSON_EACH(name, names)
        {
            struct kn_sv sub = kn_json_str(resource);
            q.group = kn_json_str(group);
            q.resource = kn_sv_cut(&sub, '/');
            q.subresource = sub;
            q.name = kn_json_str(name);
            if (!covered(have, &q))
                return lacking(r, &q);
        }
    }
    return KN_STATUS_OK;
}

// Who may set an aggregation rule gathers whatever others have: he must have everything already.
static struct kn_status check_aggregation(struct kn_request *r, const struct kn_json *have)
{
    struct kn_attributes all = {.user = r->user, .verb = "*", .is_resource = true,
                                .group = KN_SV("*"), .resource = KN_SV("*")};
    struct kn_attributes urls = {.user = r->user, .verb = "*", .path = KN_SV("*")};
    if (covered(have, &all) && covered(have, &urls))
        return KN_STATUS_OK;
    return kn_error(KN_FORBIDDEN,
                    "clusterroles.rbac.authorization.k8s.io \"%.*s\" is forbidden: must have "
                    "cluster-admin privileges to use the aggregationRule", KN_SV_ARG(r->name));
}

// What the user may do, as one list of rules.
static const struct kn_json *rules_held(struct kn_request *r)
{
    struct kn_json *have = kn_json_new_array(r->arena), *others = kn_json_new_array(r->arena), *o;
    kn_rbac_rules(r->server, r->arena, r->user, r->ns, have, others);
    while ((o = kn_json_first(others))) {
        kn_json_remove_child(others, o);
        kn_json_append(have, o);
    }
    return have;
}

struct kn_status kn_rbac_may_grant(struct kn_request *r, const struct kn_json *obj,
                                   const struct kn_obj *old)
{
    if (kn_user_in(r->user, "system:masters"))
        return KN_STATUS_OK;
    struct kn_arena *a = r->arena;
    const struct kn_json *ref = kn_json_get(obj, KN_K_roleRef), *rule;
    struct kn_attributes q = {.user = r->user,
                              .verb = ref ? "bind" : "escalate",
                              .is_resource = true,
                              .group = KN_SV("rbac.authorization.k8s.io"),
                              .ns = r->ns};
    const struct kn_obj *role = NULL;
    if (ref) {
        bool cluster = kn_sv_is(kn_json_str(kn_json_get(ref, KN_K_kind)), "ClusterRole");
        q.name = kn_json_str(kn_json_get(ref, KN_K_name));
        q.resource = cluster ? KN_SV("clusterroles") : KN_SV("roles");
        role =
            kn_cache_get(cache_of(r->server, q.resource.ptr), cluster ? KN_SV_NULL : r->ns, q.name);
    } else {
        q.resource = r->plural;
        q.name = r->name;
    }
    struct kn_status status = KN_STATUS_OK;
    if (!kn_rbac_allows(r->server, a, &q)) {
        const struct kn_json *have = rules_held(r);
        if (ref && !role)
            status = kn_error(KN_NOT_FOUND, "%.*s.rbac.authorization.k8s.io \"%.*s\" not found",
                              KN_SV_ARG(q.resource), KN_SV_ARG(q.name));
        KN_JSON_EACH(rule, kn_json_get(ref && role ? role->root : obj, KN_K_rules))
        if (kn_ok(status))
            status = check_rule(r, have, rule);
        if (kn_ok(status) && (kn_json_get(obj, KN_K_aggregationRule) ||
                              (old && kn_json_get(old->root, KN_K_aggregationRule))))
            status = check_aggregation(r, have);
    }
    kn_obj_unref(role);
    return status;
}

// -- the question ---------------------------------------------------------------------------------

static struct kn_status forbidden(struct kn_arena *a, const struct kn_attributes *q)
{
    struct kn_sv what = q->resource;
    if (q->subresource.len)
        what = kn_arena_printf(a, "%.*s/%.*s", KN_SV_ARG(q->resource), KN_SV_ARG(q->subresource));
    if (!q->is_resource)
        return kn_error(KN_FORBIDDEN, "forbidden: User \"%.*s\" cannot %s path \"%.*s\"",
                        KN_SV_ARG(q->user->name), q->verb, KN_SV_ARG(q->path));
    struct kn_sv full = q->group.len ? kn_arena_printf(a, "%.*s.%.*s", KN_SV_ARG(q->resource),
                                                       KN_SV_ARG(q->group))
                                     : q->resource;
    struct kn_sv named = q->name.len
                             ? kn_arena_printf(a, "%.*s \"%.*s\" is forbidden", KN_SV_ARG(full),
                                               KN_SV_ARG(q->name))
                             : kn_arena_printf(a, "%.*s is forbidden", KN_SV_ARG(full));
    struct kn_sv where = q->ns.len
                             ? kn_arena_printf(a, "in the namespace \"%.*s\"", KN_SV_ARG(q->ns))
                             : KN_SV("at the cluster scope");
    struct kn_status s = kn_error(
        KN_FORBIDDEN, "%.*s: User \"%.*s\" cannot %s resource \"%.*s\" in API group \"%.*s\" %.*s",
        KN_SV_ARG(named), KN_SV_ARG(q->user->name), q->verb, KN_SV_ARG(what), KN_SV_ARG(q->group),
        KN_SV_ARG(where));
    return kn_with_details(s, q->group, q->resource, q->name);
}

struct kn_status kn_authorize(struct kn_apiserver *s, struct kn_arena *a,
                              const struct kn_attributes *q)
{
    if (kn_user_in(q->user, "system:masters"))
        return KN_STATUS_OK;
    struct kn_status node = kn_node_authorize(s, q);
    if (node.code != KN_NOT_FOUND)
        return node;
    kn_status_done(&node);
    return kn_rbac_allows(s, a, q) ? KN_STATUS_OK : forbidden(a, q);
}

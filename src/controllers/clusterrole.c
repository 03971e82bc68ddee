// Cluster roles that are made of others: admin, edit, view and whatever has an aggregation rule.
#include "controllers/common.h"

struct ctx {
    struct kn_env *env;
    struct kn_cache *roles;
    struct kn_controller *controller;
};

struct union_of {
    struct kn_arena *arena;
    struct kn_sv self;
    struct kn_selector *selector;
    struct kn_json *rules;
    kn_objs taken; // what the rules' texts lie in
};

static bool has_rule(const struct kn_json *rules, const struct kn_json *rule)
{
    const struct kn_json *r;
    KN_JSON_EACH(r, rules)
    if (kn_json_equal(r, rule))
        return true;
    return false;
}

static bool take_rules(void *arg, const struct kn_obj *role)
{
    struct union_of *u = arg;
    const struct kn_json *rules = kn_json_get(role->root, KN_K_rules), *r;
    if (kn_sv_eq(role->name, u->self) || !kn_selector_matches_labels(u->selector, role->labels))
        return true;
    kn_objs_collect(&u->taken, role);
    KN_JSON_EACH(r, rules)
    if (!has_rule(u->rules, r))
        kn_json_append(u->rules, kn_json_copy_shallow_text(u->arena, r));
    return true;
}

static struct kn_status aggregate(struct ctx *c, struct union_of *u, const struct kn_obj *role)
{
    const struct kn_json *selectors =
        KN_JSON_AT(role->root, KN_K_aggregationRule, KN_K_clusterRoleSelectors), *s;
    u->self = role->name;
    u->rules = kn_json_new_array(u->arena);
    KN_JSON_EACH(s, selectors)
    {
        KN_TRY(kn_label_selector_of(u->arena, s, &u->selector));
        kn_cache_list(c->roles, KN_SV_NULL, KN_SV_NULL, KN_SV_NULL, take_rules, u);
    }
    const struct kn_json *now = kn_json_get(role->root, KN_K_rules);
    if (kn_json_equal(now, u->rules) || (kn_json_len(now) == 0 && kn_json_len(u->rules) == 0))
        return KN_STATUS_OK;
    struct kn_json *root = kn_json_copy_shallow_text(u->arena, role->root);
    kn_json_set(u->arena, root, KN_K_rules, u->rules);
    if (kn_arena_failed(u->arena))
        return kn_arena_error(u->arena, "a cluster role");
    return kn_client_update(c->env->client, kn_of("rbac.authorization.k8s.io", "clusterroles"),
                            KN_SV_NULL, role->name, NULL, root, NULL);
}

static struct kn_status reconcile(void *arg, struct kn_sv key, int64_t *ret_after)
{
    (void)ret_after;
    struct ctx *c = arg;
    const struct kn_obj *role = kn_cache_get(c->roles, KN_SV_NULL, key);
    struct kn_status s = KN_STATUS_OK;
    if (role && !role->deleting && kn_json_get(role->root, KN_K_aggregationRule)) {
        struct union_of u = {.arena = kn_arena_new(8192, 64u << 20)};
        s = aggregate(c, &u, role);
        kn_objs_done(&u.taken);
        kn_arena_free(u.arena);
    }
    kn_obj_unref(role);
    return s;
}

static bool add_aggregated(void *arg, const struct kn_obj *role)
{
    struct ctx *c = arg;
    if (kn_json_get(role->root, KN_K_aggregationRule))
        kn_controller_add(c->controller, role->name);
    return true;
}

// Which roles select this one is found out by asking all that aggregate: they are few.
static void on_role(void *arg, enum kn_event_type type, const struct kn_obj *o,
                    const struct kn_obj *old)
{
    struct ctx *c = arg;
    if (type == KN_EVENT_BOOKMARK)
        return;
    bool own = kn_json_get(o->root, KN_K_aggregationRule) != NULL;
    if (own)
        kn_controller_add(c->controller, o->name);
    bool labelled = kn_json_len(o->labels) || (old && kn_json_len(old->labels));
    if (labelled && !(own && !old)) // what aggregates may be aggregated itself
        kn_cache_list(c->roles, KN_SV_NULL, KN_SV_NULL, KN_SV_NULL, add_aggregated, c);
}

struct kn_status kn_clusterrole_start(struct kn_env *env, struct kn_controller **ret)
{
    static struct ctx c;
    c.env = env;
    KN_TRY(kn_env_cache(env, kn_of("rbac.authorization.k8s.io", "clusterroles"), &c.roles));
    c.controller = *ret = kn_controller_new(
        &(struct kn_controller_spec){.name = "clusterrole", .reconcile = reconcile, .ctx = &c});
    kn_env_subscribe(env, c.roles, on_role, &c, false);
    kn_cache_list(c.roles, KN_SV_NULL, KN_SV_NULL, KN_SV_NULL, add_aggregated, &c);
    return kn_controller_start(c.controller);
}

// The validator: metadata, then what the kind's function says, then what the tables say of values
// that no function has complained of.
#include "meta/validate_impl.h"

// -- kinds ------------------------------------------------------------------------------------

struct kind_row {
    const char *group, *kind;
    kn_name_rule *name;   // NULL: a DNS subdomain
    kn_kind_check *check; // NULL: the tables are all that is known
};

// Names of RBAC and of events are path segments, so that they may hold colons and capitals.
static const struct kind_row rows[] = {
    {"", "ConfigMap", NULL, kn_check_config_map},
    {"", "Endpoints", NULL, kn_check_endpoints},
    {"", "Event", kn_name_path_segment_problem, kn_check_event},
    {"", "LimitRange", NULL, kn_check_limit_range},
    {"", "Namespace", kn_name_dns_label_problem, kn_check_namespace},
    {"", "Node", NULL, kn_check_node},
    {"", "PersistentVolume", NULL, kn_check_persistent_volume},
    {"", "PersistentVolumeClaim", NULL, kn_check_claim},
    {"", "Pod", NULL, kn_check_pod},
    {"", "PodTemplate", NULL, kn_check_pod_template_object},
    {"", "ReplicationController", NULL, kn_check_replication_controller},
    {"", "ResourceQuota", NULL, kn_check_resource_quota},
    {"", "Secret", NULL, kn_check_secret},
    {"", "Service", kn_name_dns_label_problem, kn_check_service},
    {"apps", "ControllerRevision", NULL, kn_check_controller_revision},
    {"apps", "DaemonSet", NULL, kn_check_daemon_set},
    {"apps", "Deployment", NULL, kn_check_deployment},
    {"apps", "ReplicaSet", NULL, kn_check_replica_set},
    {"apps", "StatefulSet", kn_name_dns_label_problem, kn_check_stateful_set},
    {"coordination.k8s.io", "Lease", NULL, kn_check_lease},
    {"discovery.k8s.io", "EndpointSlice", NULL, kn_check_endpoint_slice},
    {"rbac.authorization.k8s.io", "ClusterRole", kn_name_path_segment_problem,
     kn_check_cluster_role},
    {"rbac.authorization.k8s.io", "ClusterRoleBinding", kn_name_path_segment_problem,
     kn_check_cluster_role_binding},
    {"rbac.authorization.k8s.io", "Role", kn_name_path_segment_problem, kn_check_role},
    {"rbac.authorization.k8s.io", "RoleBinding", kn_name_path_segment_problem,
     kn_check_role_binding},
};

static const struct kind_row *row_of(const struct kn_resource *r)
{
    for (size_t i = 0; i < KN_ARRAY_LEN(rows); i++)
        if (kn_sv_is(r->group, rows[i].group) && kn_sv_is(r->kind, rows[i].kind))
            return &rows[i];
    return NULL;
}

// -- the tables -------------------------------------------------------------------------------

// At the field, or at the object that holds it.
static bool has_problem_at(struct kn_problems *p, const struct kn_path *path)
{
    struct kn_sv text = kn_path_text(p->arena, path), parent = kn_path_text(p->arena, path->up);
    for (const struct kn_problem *q = p->first; q; q = q->next)
        if (kn_sv_eq(q->path, text) || (parent.len && kn_sv_eq(q->path, parent)))
            return true;
    return false;
}

// A function has complained of that word, perhaps under another field's name.
static bool is_refused(struct kn_problems *p, struct kn_sv shown)
{
    for (const struct kn_problem *q = p->first; q; q = q->next)
        if (q->type == KN_PROBLEM_NOT_SUPPORTED && kn_sv_eq(q->value, shown))
            return true;
    return false;
}

// A value that is not among those that its field enumerates. The empty text is a matter of what is
// required, which functions know.
static void check_enum(struct kn_problems *p, const struct kn_path *path,
                       const struct kn_type *type, const struct kn_field *f,
                       const struct kn_json *v)
{
    struct kn_sv allowed, text = kn_json_str(v);
    if (!text.len || !kn_field_enum(type, f, 0, &allowed))
        return;
    struct kn_buf b KN_CLEANUP(kn_buf_done) = KN_BUF(64 << 10);
    for (size_t i = 0; kn_field_enum(type, f, i, &allowed); i++) {
        if (kn_sv_eq(allowed, text))
            return;
        kn_buf_addf(&b, "%s\"%.*s\"", i ? ", " : "supported values: ", KN_SV_ARG(allowed));
    }
    struct kn_sv shown = kn_problem_quote(p->arena, text);
    if (!has_problem_at(p, path) && !is_refused(p, shown))
        kn_problem_add(p, KN_PROBLEM_NOT_SUPPORTED, path, shown, "%s", kn_buf_cstr(&b));
}

static void check_tables(struct kn_problems *p, const struct kn_path *path,
                         const struct kn_type *type, const struct kn_json *v,
                         const struct kn_json *old);

static void check_field(struct kn_problems *p, const struct kn_path *path,
                        const struct kn_type *type, const struct kn_field *f,
                        const struct kn_json *v, const struct kn_json *old)
{
    const struct kn_type *of = kn_field_type(type, f);
    if ((f->flags & KN_FIELD_IMMUTABLE) && old && !kn_check_same(v, old) &&
        !has_problem_at(p, path))
        kn_check_invalid(p, path, v, "field is immutable");
    if (f->shape == KN_SHAPE_SINGLE) {
        check_enum(p, path, type, f, v);
        if (of && f->kind == KN_KIND_OBJECT)
            check_tables(p, path, of, v, old);
        return;
    }
    const struct kn_json *e;
    int64_t i = 0;
    KN_JSON_EACH(e, v)
    {
        const struct kn_path *at =
            f->shape == KN_SHAPE_LIST ? KN_PATH_AT(path, i) : KN_PATH_KEY(path, kn_json_key(e));
        i++;
        check_enum(p, at, type, f, e);
        if (of && f->kind == KN_KIND_OBJECT)
            check_tables(p, at, of, e, NULL);
    }
}

static void check_tables(struct kn_problems *p, const struct kn_path *path,
                         const struct kn_type *type, const struct kn_json *v,
                         const struct kn_json *old)
{
    const struct kn_json *m;
    KN_JSON_EACH(m, v)
    {
        struct kn_sv name = kn_json_key(m);
        const struct kn_field *f = kn_type_field_sv(type, name);
        bool status = (type->flags & KN_TYPE_KIND) && kn_sv_is(name, "status"); // of a template
        if (f && !status)
            check_field(p, KN_PATH_SV(path, name), type, f, m, kn_json_get_sv(old, name));
    }
}

// What a status holds is the business of the controller that writes it.
static void check_body(struct kn_problems *p, const struct kn_type *type, const struct kn_json *obj,
                       const struct kn_json *old)
{
    const struct kn_json *m;
    KN_JSON_EACH(m, obj)
    {
        struct kn_sv name = kn_json_key(m);
        const struct kn_field *f = kn_type_field_sv(type, name);
        if (f && !kn_sv_is(name, "metadata") && !kn_sv_is(name, "status"))
            check_field(p, KN_PATH_SV(NULL, name), type, f, m, kn_json_get_sv(old, name));
    }
}

// -- entry ------------------------------------------------------------------------------------

void kn_validate(const struct kn_resource *hub, const char *subresource, const struct kn_json *obj,
                 const struct kn_json *old, struct kn_problems *p)
{
    const struct kind_row *row = row_of(hub);
    struct kn_sv sub = kn_sv_c(subresource);
    const struct kn_path *meta = KN_PATH(NULL, "metadata");
    if (hub->no_store) { // reviews and bindings have no name of their own to check
    } else if (old) {
        kn_check_meta_update(p, meta, kn_json_get(obj, KN_K_metadata),
                             kn_json_get(old, KN_K_metadata));
    } else {
        kn_check_meta_create(p, meta, kn_json_get(obj, KN_K_metadata), hub->namespaced,
                             row && row->name ? row->name : kn_name_dns_subdomain_problem);
    }
    if (row && row->check)
        row->check(p, obj, old, sub);
    if (sub.len == 0 && hub->type)
        check_body(p, hub->type, obj, old);
}

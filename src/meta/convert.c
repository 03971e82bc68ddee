#include "meta/convert.h"

#include "base/mem.h"
#include "base/num.h"

typedef void convert_fn(struct kn_arena *a, struct kn_json *obj);

// -- workloads of the old groups: what became an annotation ----------------------------------

#define ROLLBACK_TO KN_SV("deprecated.deployment.rollback.to")
#define TEMPLATE_GENERATION KN_SV("deprecated.daemonset.template.generation")

static void to_annotation(struct kn_arena *a, struct kn_json *obj, struct kn_sv name,
                          const struct kn_json *number)
{
    struct kn_json *metadata = kn_json_ensure_object(a, obj, KN_K_metadata);
    struct kn_json *annotations = kn_json_ensure_object(a, metadata, KN_K_annotations);
    struct kn_sv text = kn_arena_printf(a, "%lld", (long long)kn_json_int(number, 0));
    kn_json_set_sv(a, annotations, name, kn_json_new_str(a, text));
}

// Takes the annotation away; false if there is none or it is no number.
static bool from_annotation(struct kn_json *obj, struct kn_sv name, int64_t *ret)
{
    struct kn_json *metadata = kn_json_get(obj, KN_K_metadata);
    struct kn_json *annotations = kn_json_get(metadata, KN_K_annotations);
    const struct kn_json *v = kn_json_get_sv(annotations, name);
    if (!v)
        return false;
    struct kn_status s = kn_num_parse(kn_json_str(v), 0, INT64_MAX, ret);
    bool good = kn_ok(s);
    kn_status_done(&s);
    kn_json_remove_sv(annotations, name);
    if (kn_json_len(annotations) == 0)
        kn_json_remove(metadata, KN_K_annotations);
    return good;
}

static void deployment_to_v1(struct kn_arena *a, struct kn_json *obj)
{
    struct kn_json *spec = kn_json_get(obj, KN_K_spec);
    const struct kn_json *rollback = kn_json_get(spec, KN_K_rollbackTo);
    if (!rollback)
        return;
    to_annotation(a, obj, ROLLBACK_TO, kn_json_get(rollback, KN_K_revision));
    kn_json_remove(spec, KN_K_rollbackTo);
}

static void deployment_from_v1(struct kn_arena *a, struct kn_json *obj)
{
    int64_t revision;
    if (!from_annotation(obj, ROLLBACK_TO, &revision))
        return;
    struct kn_json *spec = kn_json_ensure_object(a, obj, KN_K_spec);
    struct kn_json *rollback = kn_json_ensure_object(a, spec, KN_K_rollbackTo);
    if (revision)
        kn_json_set_int(a, rollback, KN_K_revision, revision);
}

static void daemon_set_to_v1(struct kn_arena *a, struct kn_json *obj)
{
    struct kn_json *spec = kn_json_get(obj, KN_K_spec);
    const struct kn_json *generation = kn_json_get(spec, KN_K_templateGeneration);
    if (!generation)
        return;
    to_annotation(a, obj, TEMPLATE_GENERATION, generation);
    kn_json_remove(spec, KN_K_templateGeneration);
}

static void daemon_set_from_v1(struct kn_arena *a, struct kn_json *obj)
{
    int64_t generation;
    if (from_annotation(obj, TEMPLATE_GENERATION, &generation))
        kn_json_set_int(a, kn_json_ensure_object(a, obj, KN_K_spec), KN_K_templateGeneration,
                        generation);
}

// -- events ----------------------------------------------------------------------------------

static const struct {
    enum kn_atom events, core;
} event_names[] = {
    {KN_K_regarding, KN_K_involvedObject},
    {KN_K_note, KN_K_message},
    {KN_K_deprecatedSource, KN_K_source},
    {KN_K_deprecatedFirstTimestamp, KN_K_firstTimestamp},
    {KN_K_deprecatedLastTimestamp, KN_K_lastTimestamp},
    {KN_K_deprecatedCount, KN_K_count},
    {KN_K_reportingController, KN_K_reportingComponent},
};

static void event_to_core(struct kn_arena *a, struct kn_json *obj)
{
    for (size_t i = 0; i < KN_ARRAY_LEN(event_names); i++)
        kn_json_rename(obj, event_names[i].events, event_names[i].core);
    kn_json_ensure_object(a, obj, KN_K_involvedObject);
    kn_json_ensure_object(a, obj, KN_K_source);
}

static void event_from_core(struct kn_arena *a, struct kn_json *obj)
{
    (void)a;
    for (size_t i = 0; i < KN_ARRAY_LEN(event_names); i++)
        kn_json_rename(obj, event_names[i].core, event_names[i].events);
}

// -- the table -------------------------------------------------------------------------------

static const struct {
    const char *group, *version, *kind;
    convert_fn *to, *from;
} conversions[] = {
    {"extensions", "v1beta1", "Deployment", deployment_to_v1, deployment_from_v1},
    {"apps", "v1beta1", "Deployment", deployment_to_v1, deployment_from_v1},
    {"extensions", "v1beta1", "DaemonSet", daemon_set_to_v1, daemon_set_from_v1},
    {"events.k8s.io", "v1", "Event", event_to_core, event_from_core},
    {"events.k8s.io", "v1beta1", "Event", event_to_core, event_from_core},
};

// Versions whose form differs from their hub's and that nobody has written the conversion for.
static bool is_missing(const struct kn_resource *r)
{
    static const char *const groups[] = {"autoscaling", "admissionregistration.k8s.io",
                                         "apiextensions.k8s.io", "flowcontrol.apiserver.k8s.io",
                                         "resource.k8s.io", "discovery.k8s.io", "networking.k8s.io",
                                         "node.k8s.io", "certificates.k8s.io", "scheduling.k8s.io"};
    if (r->hub == r)
        return false;
    for (size_t i = 0; i < KN_ARRAY_LEN(groups); i++)
        if (kn_sv_is(r->group, groups[i]))
            return true;
    return kn_sv_is(r->group, "extensions") &&
           (kn_sv_is(r->kind, "Ingress") || kn_sv_is(r->kind, "NetworkPolicy"));
}

static int find(const struct kn_resource *r)
{
    for (size_t i = 0; i < KN_ARRAY_LEN(conversions); i++)
        if (kn_sv_is(r->group, conversions[i].group) &&
            kn_sv_is(r->version, conversions[i].version) && kn_sv_is(r->kind, conversions[i].kind))
            return (int)i;
    return -1;
}

bool kn_convert_needed(const struct kn_resource *r)
{
    return r->hub != r && find(r) >= 0;
}

static struct kn_status convert(struct kn_arena *a, const struct kn_resource *r,
                                struct kn_json *obj, bool to)
{
    char text[128];
    int i = find(r);
    if (r->hub == r)
        return KN_STATUS_OK;
    if (i < 0 && is_missing(r))
        return kn_error(KN_NOT_SUPPORTED, "conversion of %.*s between %.*s/%.*s and %.*s/%.*s",
                        KN_SV_ARG(r->kind), KN_SV_ARG(r->group), KN_SV_ARG(r->version),
                        KN_SV_ARG(r->hub->group), KN_SV_ARG(r->hub->version));
    if (i >= 0)
        (to ? conversions[i].to : conversions[i].from)(a, obj);
    struct kn_sv api_version = kn_resource_api_version(to ? r->hub : r, text);
    kn_json_set_str(a, obj, KN_K_apiVersion, kn_arena_dup(a, api_version));
    return kn_arena_failed(a) ? kn_arena_error(a, "the converted object") : KN_STATUS_OK;
}

struct kn_status kn_convert_to_hub(struct kn_arena *a, const struct kn_resource *r,
                                   struct kn_json *obj)
{
    return convert(a, r, obj, true);
}

struct kn_status kn_convert_from_hub(struct kn_arena *a, const struct kn_resource *r,
                                     struct kn_json *obj)
{
    return convert(a, r, obj, false);
}

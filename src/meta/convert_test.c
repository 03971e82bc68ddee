#include "meta/convert.h"

#include "base/mem.h"
#include "lib/ktest.h"

static const struct {
    const char *api_version, *kind, *old, *hub;
} cases[] = {
    {"extensions/v1beta1", "Deployment",
     "{'apiVersion':'extensions/v1beta1','metadata':{'name':'a'},'spec':{'replicas':1,'rollbackTo':"
     "{'revision':3}}}",
     "{'apiVersion':'apps/"
     "v1','metadata':{'name':'a','annotations':{'deprecated.deployment.rollback.to':'3'}},"
     "'spec':{'replicas':1}}"},
    {"apps/v1beta2", "Deployment", "{'apiVersion':'apps/v1beta2','spec':{}}",
     "{'apiVersion':'apps/v1','spec':{}}"},
    {"extensions/v1beta1", "DaemonSet",
     "{'apiVersion':'extensions/v1beta1','metadata':{},'spec':{'templateGeneration':2}}",
     "{'apiVersion':'apps/"
     "v1','metadata':{'annotations':{'deprecated.daemonset.template.generation':'2'}},"
     "'spec':{}}"},
    {"events.k8s.io/v1", "Event",
     "{'apiVersion':'events.k8s.io/v1','regarding':{'kind':'Pod'},'note':'n','deprecatedSource':{},"
     "'deprecatedCount':1,'reportingController':'c'}",
     "{'apiVersion':'v1','involvedObject':{'kind':'Pod'},'message':'n','source':{},'count':1,"
     "'reportingComponent':'c'}"},
};

static struct kn_json *parse(struct kn_arena *a, const char *text)
{
    struct kn_sv v = kn_arena_dup(a, kn_sv_c(text));
    struct kn_json *json;
    for (size_t i = 0; i < v.len; i++)
        if (v.ptr[i] == '\'')
            ((char *)(uintptr_t)v.ptr)[i] = '"';
    ktest_ok(kn_json_parse(a, v, NULL, &json));
    return json;
}

KTEST(goes_to_the_hub_and_back_without_loss)
{
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        struct kn_arena *a KN_CLEANUP(kn_arena_cleanup) = kn_arena_new(0, 1 << 20);
        const struct kn_resource *r =
            kn_resource_find_api(kn_sv_c(cases[i].api_version), kn_sv_c(cases[i].kind));
        struct kn_json *v = parse(a, cases[i].old);
        ktest_ok(kn_convert_to_hub(a, r, v));
        ktest_true(kn_json_equal(v, parse(a, cases[i].hub)));
        ktest_ok(kn_convert_from_hub(a, r, v));
        ktest_true(kn_json_equal(v, parse(a, cases[i].old)));
    }
}

KTEST(a_conversion_that_does_not_exist_says_so)
{
    struct kn_arena *a KN_CLEANUP(kn_arena_cleanup) = kn_arena_new(0, 1 << 20);
    const struct kn_resource *r =
        kn_resource_find_api(KN_SV("extensions/v1beta1"), KN_SV("Ingress"));
    ktest_fails(kn_convert_to_hub(a, r, parse(a, "{}")), NOT_SUPPORTED, "Ingress");
}

KTEST(every_served_row_can_be_converted)
{
    const struct kn_resource *r;
    for (size_t i = 0; (r = kn_resource_at(i)) != NULL; i++) {
        struct kn_arena *a KN_CLEANUP(kn_arena_cleanup) = kn_arena_new(0, 1 << 20);
        if (r->served)
            ktest_ok(kn_convert_to_hub(a, r, parse(a, "{'metadata':{}}")));
    }
}

KTEST_MAIN(KTEST_CASE(goes_to_the_hub_and_back_without_loss),
           KTEST_CASE(a_conversion_that_does_not_exist_says_so),
           KTEST_CASE(every_served_row_can_be_converted))

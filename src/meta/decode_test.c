#include "meta/decode.h"

#include "base/mem.h"
#include "lib/ktest.h"

#define ARENA(name) struct kn_arena *name KN_CLEANUP(kn_arena_cleanup) = kn_arena_new(0, 1 << 20)

static const struct kn_type *type(const char *api_version, const char *kind)
{
    const struct kn_type *t = kn_type_find_api(kn_sv_c(api_version), kn_sv_c(kind));
    ktest_true(t != NULL);
    return t;
}

// Bodies are written with ' for ".
static struct kn_sv body(struct kn_arena *a, const char *text)
{
    struct kn_sv v = kn_arena_dup(a, kn_sv_c(text));
    for (size_t i = 0; i < v.len; i++)
        if (v.ptr[i] == '\'')
            ((char *)(uintptr_t)v.ptr)[i] = '"';
    return v;
}

static void becomes(const char *api_version, const char *kind, const char *in, const char *out)
{
    ARENA(a);
    struct kn_json *v, *want;
    ktest_ok(kn_decode_body(a, type(api_version, kind), body(a, in), KN_FIELDS_STRICT, NULL, &v));
    ktest_ok(kn_json_parse(a, body(a, out), NULL, &want));
    if (kn_json_equal(v, want))
        return;
    struct kn_buf b KN_CLEANUP(kn_buf_done) = KN_BUF(1 << 20);
    kn_json_encode(&b, v);
    print_error("got  %s\nwant %.*s\n", kn_buf_cstr(&b), KN_SV_ARG(body(a, out)));
    ktest_true(false);
}

static void refused(const char *api_version, const char *kind, const char *in, const char *message)
{
    ARENA(a);
    struct kn_json *v;
    struct kn_sv want = body(a, message);
    ktest_fails(kn_decode_body(a, type(api_version, kind), body(a, in), KN_FIELDS_STRICT, NULL, &v),
                BAD_REQUEST, want.ptr);
}

KTEST(fills_in_what_go_always_writes_and_drops_what_it_never_writes)
{
    becomes("v1", "Namespace",
            "{'metadata':{'name':'a','labels':{},'generation':0,'creationTimestamp':null}}",
            "{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'a'},'spec':{},'status':{}}");
    becomes("v1", "ConfigMap",
            "{'metadata':{'name':'a'},'data':{'k':'','n':null},'immutable':false}",
            "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'a'},'data':{'k':'','n':''},"
            "'immutable':false}");
    becomes("v1", "Pod",
            "{'metadata':{'name':'a'},'spec':{'restartPolicy':'','hostNetwork':false,'priority':0,"
            "'containers':[{'name':'c','args':[]}]}}",
            "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'a'},'spec':{'priority':0,"
            "'containers':[{'name':'c','resources':{}}]},'status':{}}");
}

KTEST(brings_values_into_their_canonical_form)
{
    becomes("v1", "Pod",
            "{'spec':{'overhead':{'cpu':'0.5','memory':1024,'x':'1000m'},'containers':[]}}",
            "{'apiVersion':'v1','kind':'Pod','metadata':{},'spec':{'overhead':{'cpu':'500m',"
            "'memory':'1024','x':'1'},'containers':[]},'status':{}}");
    becomes("coordination.k8s.io/v1", "Lease",
            "{'metadata':{'creationTimestamp':'2020-01-01T01:00:00.5+01:00'},'spec':{'renewTime':"
            "'2020-01-01T00:00:00Z'}}",
            "{'apiVersion':'coordination.k8s.io/v1','kind':'Lease','metadata':{'creationTimestamp':"
            "'2020-01-01T00:00:00Z'},'spec':{'renewTime':'2020-01-01T00:00:00.000000Z'}}");
    becomes("v1", "Secret", "{'data':{'a':'Zm9v\\nYmFy'}}",
            "{'apiVersion':'v1','kind':'Secret','metadata':{},'data':{'a':'Zm9vYmFy'}}");
    becomes("v1", "Service", "{'spec':{'ports':[{'port':80},{'port':1,'targetPort':'web'}]}}",
            "{'apiVersion':'v1','kind':'Service','metadata':{},'spec':{'ports':[{'port':80,"
            "'targetPort':0},{'port':1,'targetPort':'web'}]},'status':{'loadBalancer':{}}}");
}

KTEST(wrong_types_read_as_upstream_writes_them)
{
    static const struct {
        const char *api_version, *kind, *in, *message;
    } cases[] = {
        {"apps/v1", "Deployment", "{'spec':{'replicas':'3'}}",
         "Deployment in version 'v1' cannot be handled as a Deployment: json: cannot unmarshal "
         "string "
         "into Go struct field DeploymentSpec.spec.replicas of type int32"},
        {"apps/v1", "Deployment", "{'spec':{'replicas':1.5}}",
         "cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type "
         "int32"},
        {"apps/v1", "Deployment", "{'spec':{'replicas':3000000000}}",
         "cannot unmarshal number 3000000000"},
        {"v1", "ConfigMap", "{'data':{'a':1}}",
         "cannot unmarshal number into Go struct field ConfigMap.data of type string"},
        {"v1", "Pod", "{'spec':{'containers':{}}}",
         "cannot unmarshal object into Go struct field PodSpec.spec.containers of type "
         "[]v1.Container"},
        {"v1", "Pod", "{'spec':{'containers':['x']}}",
         "cannot unmarshal string into Go struct field PodSpec.spec.containers of type "
         "v1.Container"},
        {"v1", "Pod", "{'spec':{'hostNetwork':'true'}}", "PodSpec.spec.hostNetwork of type bool"},
        {"v1", "Pod", "{'spec':[]}",
         "cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec"},
        {"v1", "Pod", "[]", "cannot unmarshal array into Go value of type v1.Pod"},
        {"v1", "Pod", "{'spec':{'overhead':{'cpu':'x'}}}",
         "quantities must match the regular expression"},
        {"v1", "Secret", "{'data':{'a':'!'}}", "illegal base64 data at input byte 0"},
        {"v1", "Pod", "{'metadata':{'creationTimestamp':'yesterday'}}", "parsing time 'yesterday'"},
        {"v1", "Pod", "{'kind':'Service','apiVersion':'v1'}",
         "Service in version 'v1' cannot be handled as a Pod"},
        {"apps/v1", "Deployment", "{'kind':'Deployment','apiVersion':'apps/v1beta1'}",
         "the API version in the data (apps/v1beta1) does not match the expected API version "
         "(apps/v1)"},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++)
        refused(cases[i].api_version, cases[i].kind, cases[i].in, cases[i].message);
}

KTEST(unknown_and_duplicate_fields_follow_the_mode)
{
    ARENA(a);
    struct kn_json *v;
    const struct kn_type *pod = type("v1", "Pod");
    struct kn_sv text =
        body(a, "{'spec':{'foo':1,'nodeName':'a','nodeName':'b','containers':[{'name':'x',"
                "'bar':{}}]}}");
    ktest_fails(kn_decode_body(a, pod, text, KN_FIELDS_STRICT, NULL, &v), BAD_REQUEST,
                "Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: ");
    struct kn_decode_report r;
    kn_decode_report_init(&r, a);
    ktest_ok(kn_decode_body(a, pod, text, KN_FIELDS_WARN, &r, &v));
    ktest_eq_int(r.len, 3);
    ktest_eq_sv(r.first->text, "duplicate field \"spec.nodeName\"");
    ktest_eq_sv(r.first->next->text, "unknown field \"spec.foo\"");
    ktest_eq_sv(r.last->text, "unknown field \"spec.containers[0].bar\"");
    ktest_true(kn_json_get_sv(KN_JSON_AT(v, KN_K_spec), KN_SV("foo")) == NULL);
    ktest_eq_sv(KN_JSON_STR_AT(v, KN_K_spec, KN_K_nodeName), "b");
    kn_decode_report_init(&r, a);
    ktest_ok(kn_decode_body(a, pod, text, KN_FIELDS_IGNORE, &r, &v));
    ktest_eq_int(r.len, 0);
}

KTEST(the_modes_have_upstreams_names)
{
    enum kn_field_validation mode;
    ktest_ok(kn_field_validation_parse(KN_SV(""), &mode));
    ktest_eq_int(mode, KN_FIELDS_WARN);
    ktest_ok(kn_field_validation_parse(KN_SV("Strict"), &mode));
    ktest_eq_int(mode, KN_FIELDS_STRICT);
    ktest_fails(kn_field_validation_parse(KN_SV("strict"), &mode), BAD_REQUEST,
                "Unsupported value");
}

KTEST(malformed_text_is_refused)
{
    ARENA(a);
    struct kn_json *v;
    ktest_fails(kn_decode_body(a, type("v1", "Pod"), KN_SV("{"), KN_FIELDS_WARN, NULL, &v), SYNTAX,
                "the object provided is unrecognized (must be of type Pod)");
}

KTEST(schemas_of_custom_resources_keep_their_unions)
{
    becomes(
        "apiextensions.k8s.io/v1", "CustomResourceDefinition",
        "{'spec':{'versions':[{'name':'v1','schema':{'openAPIV3Schema':{'properties':{'a':{'items':"
        "{'type':'string'},'additionalProperties':true,'enum':[null,1,'x'],'default':{'b':null}}}}}"
        "}]}}",
        "{'apiVersion':'apiextensions.k8s.io/"
        "v1','kind':'CustomResourceDefinition','metadata':{},'spec':{"
        "'group':'','scope':'','names':{'plural':'','kind':''},'versions':[{'name':'v1','served':"
        "false,"
        "'storage':false,'schema':{'openAPIV3Schema':{'properties':{'a':{'items':{'type':'string'},"
        "'additionalProperties':true,'enum':[null,1,'x'],'default':{'b':null}}}}}}]},"
        "'status':{'acceptedNames':{'plural':'','kind':''}}}");
}

KTEST_MAIN(KTEST_CASE(fills_in_what_go_always_writes_and_drops_what_it_never_writes),
           KTEST_CASE(brings_values_into_their_canonical_form),
           KTEST_CASE(wrong_types_read_as_upstream_writes_them),
           KTEST_CASE(unknown_and_duplicate_fields_follow_the_mode),
           KTEST_CASE(the_modes_have_upstreams_names), KTEST_CASE(malformed_text_is_refused),
           KTEST_CASE(schemas_of_custom_resources_keep_their_unions))

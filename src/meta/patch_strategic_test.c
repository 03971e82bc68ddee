#include "meta/patch.h"

#include "lib/ktest.h"

static struct kn_json *parse(struct kn_arena *a, const char *text)
{
    struct kn_json *v = NULL;
    ktest_ok(kn_json_parse(a, kn_sv_c(text), NULL, &v));
    return v;
}

// Samples are written with ' for ".
static struct kn_json *quoted(struct kn_arena *a, const char *text)
{
    char *copy = kn_sv_dup(kn_sv_c(text));
    for (char *p = copy; *p; p++)
        if (*p == '\'')
            *p = '"';
    struct kn_json *v = parse(a, kn_arena_dup(a, kn_sv_c(copy)).ptr);
    free(copy);
    return v;
}

struct sample {
    const char *target, *patch, *want; // want: NULL, it is refused with `part`
    const char *part;
};

static void run(const char *version, const char *kind, const struct sample *s, size_t n)
{
    const struct kn_type *type =
        kn_type_find_any(kn_sv_c(version[0] == 'a' ? "apps" : "core"), KN_SV("v1"), kn_sv_c(kind));
    ktest_true(type != NULL);
    for (size_t i = 0; i < n; i++, s++) {
        struct kn_arena *a = kn_arena_new(0, 1 << 20);
        struct kn_json *target = quoted(a, s->target), *patch = quoted(a, s->patch);
        const struct kn_json *patch_before = kn_json_copy(a, patch);
        struct kn_status status = kn_patch_strategic(a, type, target, patch);
        ktest_true(kn_json_equal(patch, patch_before));
        bool right = s->want ? kn_ok(status) && kn_json_equal(target, quoted(a, s->want))
                             : !kn_ok(status) && strstr(kn_status_text(&status), s->part);
        if (!right) {
            struct kn_buf out = KN_BUF(4096);
            kn_json_encode(&out, target);
            print_error("%s\n with %s\n gave %s %s\n", s->target, s->patch, kn_buf_cstr(&out),
                        kn_status_text(&status));
            fail();
        }
        kn_status_done(&status);
        kn_arena_free(a);
    }
}

#define RUN(version, kind, samples) run(version, kind, samples, KN_ARRAY_LEN(samples))

KTEST(merges_lists_of_a_pod_by_their_keys)
{
    static const struct sample samples[] = {
        // set image
        {"{'containers':[{'name':'a','image':'x:1','args':['q']},{'name':'b','image':'y'}]}",
         "{'containers':[{'name':'a','image':'x:2'}]}",
         "{'containers':[{'name':'a','image':'x:2','args':['q']},{'name':'b','image':'y'}]}", NULL},
        // a new element goes before those of which the patch does not speak
        {"{'containers':[{'name':'a'},{'name':'b'}]}", "{'containers':[{'name':'c'}]}",
         "{'containers':[{'name':'c'},{'name':'a'},{'name':'b'}]}", NULL},
        {"{'containers':[{'name':'a'},{'name':'b'}]}",
         "{'$setElementOrder/"
         "containers':[{'name':'a'},{'name':'b'},{'name':'c'}],'containers':[{'name':'c','image':'"
         "z'}]}",
         "{'containers':[{'name':'a'},{'name':'b'},{'name':'c','image':'z'}]}", NULL},
        {"{'containers':[{'name':'a'},{'name':'b'}]}",
         "{'$setElementOrder/containers':[{'name':'b'},{'name':'a'}]}",
         "{'containers':[{'name':'b'},{'name':'a'}]}", NULL},
        // an element that only the server has keeps its place among them
        {"{'containers':[{'name':'server'},{'name':'a'},{'name':'b'}]}",
         "{'$setElementOrder/"
         "containers':[{'name':'b'},{'name':'a'}],'containers':[{'name':'a','image':'i'}]}",
         "{'containers':[{'name':'server'},{'name':'b'},{'name':'a','image':'i'}]}", NULL},
        {"{'containers':[{'name':'a'},{'name':'b'},{'name':'c'}]}",
         "{'containers':[{'name':'b','$patch':'delete'}]}",
         "{'containers':[{'name':'a'},{'name':'c'}]}", NULL},
        {"{'containers':[{'name':'a'},{'name':'b'}]}",
         "{'containers':[{'$patch':'replace'},{'name':'x'}]}", "{'containers':[{'name':'x'}]}",
         NULL},
        {"{'containers':[{'name':'a','ports':[{'containerPort':80,'name':'http'},{'containerPort':"
         "81}]}]}",
         "{'containers':[{'name':'a','ports':[{'containerPort':80,'protocol':'UDP'}]}]}",
         "{'containers':[{'name':'a','ports':[{'containerPort':80,'name':'http','protocol':'UDP'},{"
         "'containerPort':81}]}]}",
         NULL},
        {"{'containers':[{'name':'a','env':[{'name':'X','value':'1'},{'name':'Y','value':'2'}]}]}",
         "{'containers':[{'name':'a','env':[{'name':'X','value':null,'valueFrom':{'fieldRef':{'"
         "fieldPath':'spec.nodeName'}}},"
         "{'name':'Y','$patch':'delete'}]}]}",
         "{'containers':[{'name':'a','env':[{'name':'X','valueFrom':{'fieldRef':{'fieldPath':'spec."
         "nodeName'}}}]}]}",
         NULL},
        {"{'volumes':[{'name':'v','emptyDir':{}},{'name':'w','emptyDir':{}}]}",
         "{'volumes':[{'name':'v','$retainKeys':['name','hostPath'],'hostPath':{'path':'/x'}}]}",
         "{'volumes':[{'name':'v','hostPath':{'path':'/x'}},{'name':'w','emptyDir':{}}]}", NULL},
        {"{'tolerations':[{'key':'a'}],'dnsPolicy':'Default'}", "{'tolerations':[{'key':'b'}]}",
         "{'tolerations':[{'key':'b'}],'dnsPolicy':'Default'}", NULL},
        {"{'containers':[{'name':'a','command':['x','y']}]}",
         "{'containers':[{'name':'a','command':['z']}]}",
         "{'containers':[{'name':'a','command':['z']}]}", NULL},
        {"{'containers':[{'name':'a','resources':{'limits':{'cpu':'1'}}}]}",
         "{'containers':[{'name':'a','resources':{'limits':{'memory':'1Gi'},'requests':{'cpu':'1'}}"
         "}]}",
         "{'containers':[{'name':'a','resources':{'limits':{'cpu':'1','memory':'1Gi'},'requests':{'"
         "cpu':'1'}}}]}",
         NULL},
        {"{'imagePullSecrets':[{'name':'a'}]}", "{'imagePullSecrets':[{'name':'b'}]}",
         "{'imagePullSecrets':[{'name':'b'},{'name':'a'}]}", NULL},
        {"{'nodeSelector':{'a':'1'},'securityContext':{'runAsUser':1}}",
         "{'nodeSelector':{'b':'2'},'securityContext':{'$patch':'replace','runAsGroup':2}}",
         "{'nodeSelector':{'a':'1','b':'2'},'securityContext':{'runAsGroup':2}}", NULL},
        {"{'securityContext':{'runAsUser':1},'nodeSelector':{'a':'1'}}",
         "{'securityContext':{'$patch':'delete'},'nodeSelector':null}", "{'securityContext':{}}",
         NULL},
        // values that are new come without directives and nulls
        {"{}",
         "{'containers':[{'name':'a','image':null,'$retainKeys':['name']},{'name':'b','$patch':'"
         "delete'}],"
         "'$setElementOrder/containers':[{'name':'a'}],'affinity':null}",
         "{'containers':[{'name':'a'}]}", NULL},
    };
    RUN("v1", "PodSpec", samples);
}

KTEST(merges_metadata_and_sets_of_plain_values)
{
    static const struct sample samples[] = {
        {"{'metadata':{'labels':{'a':'1','b':'2'}}}", "{'metadata':{'labels':{'a':null,'c':'3'}}}",
         "{'metadata':{'labels':{'b':'2','c':'3'}}}", NULL},
        {"{'metadata':{'name':'x'}}", "{'metadata':{'annotations':{'k':'v'}}}",
         "{'metadata':{'name':'x','annotations':{'k':'v'}}}", NULL},
        {"{'metadata':{'finalizers':['a','b']}}", "{'metadata':{'finalizers':['b','c']}}",
         "{'metadata':{'finalizers':['a','b','c']}}", NULL},
        {"{'metadata':{'finalizers':['a','b']}}",
         "{'metadata':{'$deleteFromPrimitiveList/finalizers':['a']}}",
         "{'metadata':{'finalizers':['b']}}", NULL},
        {"{'metadata':{'finalizers':['a','b']}}",
         "{'metadata':{'$deleteFromPrimitiveList/finalizers':['a'],'$setElementOrder/"
         "finalizers':['c','b'],'finalizers':['c']}}",
         "{'metadata':{'finalizers':['c','b']}}", NULL},
        {"{'metadata':{'ownerReferences':[{'uid':'1','name':'a'},{'uid':'2','name':'b'}]}}",
         "{'metadata':{'ownerReferences':[{'uid':'1','$patch':'delete'}]}}",
         "{'metadata':{'ownerReferences':[{'uid':'2','name':'b'}]}}", NULL},
        {"{'data':{'a':'1'}}", "{'data':{'b':'2'}}", "{'data':{'a':'1','b':'2'}}", NULL},
    };
    RUN("v1", "ConfigMap", samples);
}

KTEST(changes_what_kubectl_changes_in_a_deployment)
{
    static const struct sample samples[] = {
        {"{'spec':{'replicas':1,'strategy':{'type':'RollingUpdate','rollingUpdate':{'maxSurge':1}}}"
         "}",
         "{'spec':{'replicas':3,'strategy':{'$retainKeys':['type'],'type':'Recreate'}}}",
         "{'spec':{'replicas':3,'strategy':{'type':'Recreate'}}}", NULL},
        {"{'spec':{'template':{'spec':{'containers':[{'name':'nginx','image':'nginx:1'}]}}}}",
         "{'spec':{'template':{'metadata':{'annotations':{'kubectl.kubernetes.io/"
         "restartedAt':'t'}},"
         "'spec':{'$setElementOrder/"
         "containers':[{'name':'nginx'}],'containers':[{'name':'nginx','image':'nginx:2'}]}}}}",
         "{'spec':{'template':{'metadata':{'annotations':{'kubectl.kubernetes.io/"
         "restartedAt':'t'}},"
         "'spec':{'containers':[{'name':'nginx','image':'nginx:2'}]}}}}",
         NULL},
        {"{'spec':{'paused':true,'selector':{'matchLabels':{'a':'b'}}}}",
         "{'spec':{'paused':null}}", "{'spec':{'selector':{'matchLabels':{'a':'b'}}}}", NULL},
        {"{'status':{'conditions':[{'type':'Available','status':'True'}]}}",
         "{'status':{'conditions':[{'type':'Progressing','status':'True'},{'type':'Available','"
         "status':'False'}]}}",
         "{'status':{'conditions':[{'type':'Progressing','status':'True'},{'type':'Available','"
         "status':'False'}]}}",
         NULL},
        // what the type does not know merges as JSON does
        {"{'spec':{'odd':{'a':1,'l':[1]}}}", "{'spec':{'odd':{'b':2,'l':[2]}}}",
         "{'spec':{'odd':{'a':1,'b':2,'l':[2]}}}", NULL},
    };
    RUN("apps", "Deployment", samples);
}

KTEST(merges_the_ports_of_a_service_by_port)
{
    static const struct sample samples[] = {
        {"{'ports':[{'port':80,'name':'a'},{'port':81,'name':'b'}],'selector':{'x':'y'}}",
         "{'ports':[{'port':81,'nodePort':31001}]}",
         "{'ports':[{'port':80,'name':'a'},{'port':81,'name':'b','nodePort':31001}],'selector':{'x'"
         ":'y'}}",
         NULL},
    };
    RUN("v1", "ServiceSpec", samples);
}

KTEST(refuses_patches_that_are_none)
{
    static const struct sample samples[] = {
        {"{}", "[1]", NULL, "a strategic merge patch is a JSON object, not a array"},
        {"{'containers':[{'name':'a'}]}", "{'containers':[{'image':'x'}]}", NULL,
         "does not contain declared merge key: name"},
        {"{'containers':[{'name':'a'}]}", "{'containers':[{'$patch':'delete'}]}", NULL,
         "does not contain declared merge key: name"},
        {"{'containers':[{'name':'a'}]}", "{'containers':[{'name':'a','$patch':'fly'}]}", NULL,
         "unknown patch type: fly"},
        {"{'containers':[{'name':'a'}]}", "{'containers':[{'name':'a'},3]}", NULL,
         "the elements of containers are objects"},
        {"{'securityContext':{}}", "{'securityContext':{'$patch':'fly'}}", NULL,
         "unknown patch type: fly"},
        {"{'volumes':[{'name':'v'}]}",
         "{'volumes':[{'name':'v','$retainKeys':['name'],'hostPath':{}}]}", NULL,
         "invalid patch format of retainKeys"},
        {"{'volumes':[{'name':'v'}]}", "{'volumes':[{'name':'v','$retainKeys':3}]}", NULL,
         "invalid patch format of retainKeys"},
        {"{'containers':[{'name':'a'}]}",
         "{'$setElementOrder/containers':[{'name':'a'}],'containers':[{'name':'b'}]}", NULL,
         "doesn't match its $setElementOrder list"},
        {"{'containers':[{'name':'a'}]}", "{'$setElementOrder/containers':3}", NULL,
         "invalid patch format of setElementOrder list"},
        {"{}", "{'$deleteFromPrimitiveList/x':3}", NULL, "invalid patch format of primitive list"},
    };
    RUN("v1", "PodSpec", samples);
}

KTEST_MAIN(KTEST_CASE(merges_lists_of_a_pod_by_their_keys),
           KTEST_CASE(merges_metadata_and_sets_of_plain_values),
           KTEST_CASE(changes_what_kubectl_changes_in_a_deployment),
           KTEST_CASE(merges_the_ports_of_a_service_by_port),
           KTEST_CASE(refuses_patches_that_are_none))

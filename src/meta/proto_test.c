// With a folder as argument: every pair <group>.<version>.<kind>.json and .pb in it must be the
// same object, and encode to the same bytes. Without one: our own objects, there and back.
#include "meta/proto.h"

#include <dirent.h>

#include "base/file.h"
#include "base/mem.h"
#include "lib/ktest.h"
#include "meta/decode.h"

static const struct {
    const char *api_version, *kind, *text;
} cases[] = {
    {"v1", "Pod",
     "{'metadata':{'name':'a','labels':{'b':'1','a':'2'},'creationTimestamp':'2020-01-02T03:04:05Z'"
     "},'spec':"
     "{'containers':[{'name':'c','image':'i','ports':[{'containerPort':80}],'resources':{'limits':{"
     "'cpu':"
     "'1500m'}},'livenessProbe':{'httpGet':{'path':'/"
     "','port':'web'},'periodSeconds':3}}],'volumes':[{'name':"
     "'v','emptyDir':{}}],'terminationGracePeriodSeconds':0},'status':{'phase':'Running'}}"},
    {"v1", "Secret", "{'metadata':{'name':'s'},'data':{'k':'AAEC','e':''},'immutable':false}"},
    {"apps/v1", "Deployment",
     "{'spec':{'replicas':0,'selector':{},'template':{},'strategy':{'rollingUpdate':{'maxSurge':'"
     "25%',"
     "'maxUnavailable':1}}}}"},
    {"coordination.k8s.io/v1", "Lease", "{'spec':{'renewTime':'2020-01-02T03:04:05.678901Z'}}"},
    {"authentication.k8s.io/v1", "TokenReview",
     "{'spec':{},'status':{'user':{'extra':{'k':['a','b']}}}}"},
    {"apiextensions.k8s.io/v1", "CustomResourceDefinition",
     "{'spec':{'group':'g','names':{'plural':'p','kind':'K'},'scope':'Namespaced','versions':[{'"
     "name':'v1',"
     "'served':true,'storage':true,'schema':{'openAPIV3Schema':{'properties':{'a':{'items':{'type':"
     "'string'},"
     "'maximum':1.5,'additionalProperties':false,'default':{'x':[1]}}}}}}]}}"},
};

static struct kn_json *decoded(struct kn_arena *a, const struct kn_type *t, struct kn_sv text)
{
    struct kn_json *v;
    ktest_ok(kn_json_parse(a, text, NULL, &v));
    ktest_ok(kn_decode(a, t, v, NULL));
    return v;
}

static struct kn_sv quoted(struct kn_arena *a, const char *text)
{
    struct kn_sv v = kn_arena_dup(a, kn_sv_c(text));
    for (size_t i = 0; i < v.len; i++)
        if (v.ptr[i] == '\'')
            ((char *)(uintptr_t)v.ptr)[i] = '"';
    return v;
}

KTEST(objects_go_there_and_back)
{
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        struct kn_arena *a KN_CLEANUP(kn_arena_cleanup) = kn_arena_new(0, 1 << 20);
        struct kn_buf b KN_CLEANUP(kn_buf_done) = KN_BUF(1 << 20);
        const struct kn_type *t =
            kn_type_find_api(kn_sv_c(cases[i].api_version), kn_sv_c(cases[i].kind));
        struct kn_json *v = decoded(a, t, quoted(a, cases[i].text)), *again;
        kn_json_set_str(a, v, KN_K_apiVersion, kn_sv_c(cases[i].api_version));
        kn_json_set_str(a, v, KN_K_kind, kn_sv_c(cases[i].kind));
        ktest_ok(kn_proto_encode(&b, t, v));
        struct kn_proto_envelope e;
        ktest_ok(kn_proto_open(kn_buf_sv(&b), &e));
        ktest_eq_sv(e.kind, cases[i].kind);
        ktest_ok(kn_proto_decode(a, t, kn_buf_sv(&b), &again));
        if (!kn_json_equal(v, again)) {
            struct kn_buf text KN_CLEANUP(kn_buf_done) = KN_BUF(1 << 20);
            kn_json_encode(&text, again);
            kn_buf_addc(&text, "\n");
            kn_json_encode(&text, v);
            print_error("%s\n", kn_buf_cstr(&text));
            ktest_true(false);
        }
    }
}

KTEST(the_bytes_are_those_of_the_wire_format)
{
    struct kn_arena *a KN_CLEANUP(kn_arena_cleanup) = kn_arena_new(0, 1 << 20);
    struct kn_buf b KN_CLEANUP(kn_buf_done) = KN_BUF(1 << 20);
    const struct kn_type *t = kn_type_find_api(KN_SV("v1"), KN_SV("ConfigMap"));
    struct kn_json *v =
        decoded(a, t, quoted(a, "{'metadata':{'name':'n'},'data':{'b':'2','a':'1'}}"));
    static const char want[] =
        "k8s\0\n\x0f\n\x02v1\x12\tConfigMap\x12\x29\n\x15\n\x01n\x12\0\x1a\0\"\0*\x00"
        "2\x00"
        "8\0B\0";
    ktest_ok(kn_proto_encode(&b, t, v));
    ktest_true(kn_sv_starts(kn_buf_sv(&b), kn_sv(want, 21)));
    ktest_true(kn_sv_ends(kn_buf_sv(&b), kn_sv("\x12\x06\n\x01"
                                               "a\x12\x01"
                                               "1\x12\x06\n\x01"
                                               "b\x12\x01"
                                               "2\x1a\0\"\0",
                                               20)));
}

KTEST(bytes_that_are_no_object_are_refused)
{
    struct kn_arena *a KN_CLEANUP(kn_arena_cleanup) = kn_arena_new(0, 1 << 20);
    const struct kn_type *t = kn_type_find_api(KN_SV("v1"), KN_SV("Pod"));
    struct kn_json *v;
    ktest_fails(kn_proto_decode(a, t, KN_SV("{}"), &v), BAD_REQUEST, "prefix");
    ktest_fails(kn_proto_decode(a, t, KN_SV("k8s\0\x0a"), &v), BAD_REQUEST, "envelope");
    ktest_fails(kn_proto_decode_message(a, t, KN_SV("\x08\x01"), &v), BAD_REQUEST, "type Pod");
    ktest_fails(kn_proto_decode_message(a, t, KN_SV("\x0a\x7f"), &v), BAD_REQUEST, "type Pod");
}

static void read_pair(const char *folder, const char *name, const char *end, struct kn_buf *out)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%.*s%s", folder, (int)strlen(name) - 3, name, end);
    ktest_ok(kn_file_read(path, 16 << 20, out));
}

// Whether the pair is equal both ways; says what is not.
static bool pair(const char *folder, const char *name)
{
    struct kn_arena *a KN_CLEANUP(kn_arena_cleanup) = kn_arena_new(0, 64 << 20);
    struct kn_buf json KN_CLEANUP(kn_buf_done) = KN_BUF(16 << 20);
    struct kn_buf pb KN_CLEANUP(kn_buf_done) = KN_BUF(16 << 20);
    struct kn_buf out KN_CLEANUP(kn_buf_done) = KN_BUF(16 << 20);
    read_pair(folder, name, ".json", &json);
    read_pair(folder, name, ".pb", &pb);
    struct kn_json *raw, *v = NULL;
    ktest_ok(kn_json_parse(a, kn_buf_sv(&json), NULL, &raw));
    struct kn_sv api = kn_json_str(kn_json_get(raw, KN_K_apiVersion));
    const struct kn_type *t = kn_type_find_api(api, kn_json_str(kn_json_get(raw, KN_K_kind)));
    if (!t) {
        print_error("%s: no such type\n", name);
        return false;
    }
    struct kn_json *want = decoded(a, t, kn_buf_sv(&json));
    struct kn_status s = kn_proto_decode(a, t, kn_buf_sv(&pb), &v);
    bool same = kn_ok(s) && kn_json_equal(v, want);
    if (!same)
        print_error("%s: decoding: %s\n", name, kn_status_text(&s));
    kn_status_done(&s);
    s = kn_proto_encode(&out, t, want);
    bool bytes = kn_ok(s) && kn_sv_eq(kn_buf_sv(&out), kn_buf_sv(&pb));
    if (!bytes)
        print_error("%s: encoding: %s\n", name, kn_status_text(&s));
    kn_status_done(&s);
    return same && bytes;
}

static int pairs(const char *folder)
{
    int wrong = 0, all = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        if (!kn_sv_ends(kn_sv_c(e->d_name), KN_SV(".pb")))
            continue;
        all++;
        wrong += !pair(folder, e->d_name);
    }
    if (d)
        closedir(d);
    print_message("%d of %d pairs differ\n", wrong, all);
    return wrong || !all;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest all[] = {KTEST_CASE(objects_go_there_and_back),
                                     KTEST_CASE(the_bytes_are_those_of_the_wire_format),
                                     KTEST_CASE(bytes_that_are_no_object_are_refused)};
    return argc > 1 ? pairs(argv[1]) : cmocka_run_group_tests_name(__FILE__, all, NULL, NULL);
}

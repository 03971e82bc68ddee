#include "meta/obj.h"

#include "base/clock.h"
#include "lib/ktest.h"
#include "meta/names.h"
#include "meta/resources.h"
#include "meta/selector.h"

static const char pod_text[] =
    "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"p\",\"namespace\":\"ns\","
    "\"uid\":\"u\","
    "\"resourceVersion\":\"7\",\"creationTimestamp\":\"2026-11-24T07:42:52Z\",\"labels\":{\"app\":"
    "\"web\","
    "\"tier\":\"3\"},\"ownerReferences\":[{\"name\":\"a\"},{\"name\":\"b\",\"controller\":true}]},"
    "\"spec\":{\"nodeName\":\"n1\"},\"status\":{\"phase\":\"Running\"}}";

KTEST(decodes_metadata_once)
{
    const struct kn_obj *o;
    ktest_ok(kn_obj_parse(kn_sv_c(pod_text), &o));
    ktest_eq_sv(o->kind, "Pod");
    ktest_eq_sv(o->ns, "ns");
    ktest_eq_int(o->rev, 7);
    ktest_eq_sv(kn_obj_label(o, KN_SV("app")), "web");
    ktest_eq_sv(kn_obj_label(o, KN_SV("none")), "");
    ktest_eq_sv(kn_json_str(kn_json_get(kn_obj_controller(o), KN_K_name)), "b");
    struct kn_time t;
    ktest_true(kn_obj_created(o, &t));
    char key[KN_OBJ_KEY_TEXT];
    kn_obj_key_text(o, key);
    ktest_eq_str(key, "ns/p");
    kn_obj_unref(kn_obj_ref(o));
    kn_obj_unref(o);
    ktest_fails(kn_obj_parse(KN_SV("{}"), &o), INVALID, "no metadata");
    ktest_fails(kn_obj_parse(KN_SV("{"), &o), SYNTAX, NULL);
}

// A cache holds many small objects: what is beside text and tree must not be larger than they are.
KTEST(takes_little_more_than_its_text_and_its_tree)
{
    static const char text[] = "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{"
                               "\"resourceVersion\":\"100000\",\"generateName\":"
                               "\"small-\",\"labels\":{\"a\":\"b\"},\"name\":\"small-bcdfg\","
                               "\"namespace\":\"list\",\"uid\":\"00000000-0000-4000-8000-"
                               "000000000000\",\"creationTimestamp\":\"2026-11-24T07:42:52Z\"},"
                               "\"data\":{\"k\":\"vvvvvvvvvvvvvvvvvvvvvvvvvvvvvv\"}}";
    static const char *const texts[] = {pod_text, text};
    for (size_t i = 0; i < KN_ARRAY_LEN(texts); i++) {
        const struct kn_obj *o;
        ktest_ok(kn_obj_parse(kn_sv_c(texts[i]), &o));
        size_t taken = kn_arena_size(o->arena), len = strlen(texts[i]);
        if (taken > sizeof(struct kn_obj) + len + len * 3 / 2 + 300)
            print_error("%zu bytes for a text of %zu\n", taken, len);
        ktest_true(taken <= sizeof(struct kn_obj) + len + len * 3 / 2 + 300);
        kn_obj_unref(o);
    }
}

KTEST(comes_back_from_the_store_with_the_revision_that_it_got)
{
    struct kn_arena *a = kn_arena_new(0, 1 << 20);
    struct kn_json *tree;
    ktest_ok(kn_json_parse(a, kn_sv_c(pod_text), NULL, &tree));
    struct kn_buf stored = KN_BUF(1 << 20);
    ktest_ok(kn_obj_encode_stored(tree, &stored));
    ktest_true(kn_sv_search(kn_buf_sv(&stored), KN_SV("resourceVersion")) < 0);
    const struct kn_obj *o;
    ktest_ok(kn_obj_from_stored(kn_buf_sv(&stored), 123456, &o));
    ktest_eq_int(o->rev, 123456);
    ktest_eq_sv(o->name, "p");
    ktest_true(kn_json_equal(kn_json_get(o->root, KN_K_spec), kn_json_get(tree, KN_K_spec)));
    kn_obj_unref(o);
    ktest_fails(kn_obj_from_stored(KN_SV("\xff\xff\xff\xff{}"), 1, &o), INTERNAL, "damaged");
    kn_buf_done(&stored);
    kn_arena_free(a);
}

KTEST(label_selectors_select_as_upstream_does)
{
    static const struct {
        const char *text;
        bool matches;
    } cases[] = {
        {"", true},
        {"app=web", true},
        {"app==web,tier", true},
        {"app!=web", false},
        {"none!=x", true},
        {"app in (db,web)", true},
        {"app notin (db, web)", false},
        {"!app", false},
        {"!none", true},
        {"tier>2", true},
        {"tier<3", false},
        {"none>1", false},
    };
    const struct kn_obj *o;
    ktest_ok(kn_obj_parse(kn_sv_c(pod_text), &o));
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        struct kn_arena *a = kn_arena_new(0, 1 << 16);
        struct kn_selector *s;
        ktest_ok(kn_label_selector_parse(a, kn_sv_c(cases[i].text), &s));
        ktest_eq_int(kn_selector_matches_labels(s, o->labels), cases[i].matches);
        kn_arena_free(a);
    }
    static const char *const bad[] = {"a=b=c", "=x",  "a in b", "a in (b",
                                      "-a=b",  "a=_", "a!b",    "a>x"};
    for (size_t i = 0; i < KN_ARRAY_LEN(bad); i++) {
        struct kn_arena *a = kn_arena_new(0, 1 << 16);
        struct kn_selector *s;
        ktest_fails(kn_label_selector_parse(a, kn_sv_c(bad[i]), &s), BAD_REQUEST, NULL);
        kn_arena_free(a);
    }
    kn_obj_unref(o);
}

KTEST(field_selectors_know_which_fields_there_are)
{
    const struct kn_resource *pods = kn_resource_find(KN_SV(""), KN_SV("v1"), KN_SV("pods"));
    const struct kn_obj *o;
    ktest_ok(kn_obj_parse(kn_sv_c(pod_text), &o));
    struct kn_arena *a = kn_arena_new(0, 1 << 16);
    struct kn_selector *s;
    ktest_ok(kn_field_selector_parse(a, KN_SV("spec.nodeName=n1,status.phase!=Failed"), pods, &s));
    ktest_true(kn_selector_matches_fields(s, o->root));
    ktest_eq_sv(kn_selector_requires(s, "spec.nodeName"), "n1");
    ktest_ok(kn_field_selector_parse(a, KN_SV("metadata.name==q"), pods, &s));
    ktest_true(!kn_selector_matches_fields(s, o->root));
    ktest_fails(kn_field_selector_parse(a, KN_SV("spec.foo=x"), pods, &s), BAD_REQUEST,
                "field label not supported: spec.foo");
    ktest_fails(kn_field_selector_parse(a, KN_SV("nonsense"), pods, &s), BAD_REQUEST,
                "can't understand 'nonsense'");
    kn_arena_free(a);
    kn_obj_unref(o);
}

KTEST(names_are_refused_with_a_reason)
{
    struct kn_arena *a = kn_arena_new(0, 1 << 16);
    static const struct {
        struct kn_sv (*check)(struct kn_arena *, struct kn_sv);
        const char *good, *bad;
    } cases[] = {
        {kn_name_dns_label_problem, "my-name", "My-Name"},
        {kn_name_dns1035_label_problem, "web", "1web"},
        {kn_name_dns_subdomain_problem, "a.b-c.d", "a..b"},
        {kn_name_qualified_problem, "example.com/Name_1", "/x"},
        {kn_name_label_value_problem, "", "a b"},
        {kn_name_config_key_problem, "nginx.conf", "a/b"},
        {kn_name_path_segment_problem, "system:node", "a/b"},
        {kn_name_env_var_problem, "MY.VAR", "a=b"},
        {kn_name_port_name_problem, "http-port", "http--port"},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        ktest_eq_int(cases[i].check(a, kn_sv_c(cases[i].good)).len, 0);
        ktest_true(cases[i].check(a, kn_sv_c(cases[i].bad)).len > 0);
    }
    kn_arena_free(a);
}

KTEST_MAIN(KTEST_CASE(decodes_metadata_once),
           KTEST_CASE(takes_little_more_than_its_text_and_its_tree),
           KTEST_CASE(comes_back_from_the_store_with_the_revision_that_it_got),
           KTEST_CASE(label_selectors_select_as_upstream_does),
           KTEST_CASE(field_selectors_know_which_fields_there_are),
           KTEST_CASE(names_are_refused_with_a_reason))

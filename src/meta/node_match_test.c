#include "meta/node_match.h"

#include "lib/ktest.h"

static struct kn_arena *arena;

static struct kn_json *parse(const char *text)
{
    struct kn_json *v;
    ktest_ok(kn_json_parse(arena, kn_sv_c(text), NULL, &v));
    return v;
}

static const struct kn_obj *node(void)
{
    const struct kn_obj *o;
    ktest_ok(kn_obj_parse(
        KN_SV("{\"metadata\":{\"name\":\"n1\",\"labels\":{\"disk\":\"ssd\",\"cores\":\"8\","
              "\"empty\":\"\"}}}"),
        &o));
    return o;
}

KTEST(a_term_holds_when_all_its_expressions_hold)
{
    static const struct {
        const char *term;
        bool holds;
    } cases[] = {
        {"{}", false},
        {"{\"matchExpressions\":[{\"key\":\"disk\",\"operator\":\"In\",\"values\":[\"hdd\",\"ssd\"]"
         "}]}",
         true},
        {"{\"matchExpressions\":[{\"key\":\"disk\",\"operator\":\"NotIn\",\"values\":[\"ssd\"]}]}",
         false},
        {"{\"matchExpressions\":[{\"key\":\"none\",\"operator\":\"NotIn\",\"values\":[\"x\"]}]}",
         true},
        {"{\"matchExpressions\":[{\"key\":\"empty\",\"operator\":\"Exists\"}]}", true},
        {"{\"matchExpressions\":[{\"key\":\"empty\",\"operator\":\"DoesNotExist\"}]}", false},
        {"{\"matchExpressions\":[{\"key\":\"cores\",\"operator\":\"Gt\",\"values\":[\"7\"]}]}",
         true},
        {"{\"matchExpressions\":[{\"key\":\"cores\",\"operator\":\"Lt\",\"values\":[\"8\"]}]}",
         false},
        {"{\"matchExpressions\":[{\"key\":\"disk\",\"operator\":\"Gt\",\"values\":[\"1\"]}]}",
         false},
        {"{\"matchExpressions\":[{\"key\":\"disk\",\"operator\":\"Exists\"},{\"key\":\"none\","
         "\"operator\":"
         "\"Exists\"}]}",
         false},
        {"{\"matchFields\":[{\"key\":\"metadata.name\",\"operator\":\"In\",\"values\":[\"n1\"]}]}",
         true},
        {"{\"matchFields\":[{\"key\":\"metadata.name\",\"operator\":\"NotIn\",\"values\":[\"n1\"]}]"
         "}",
         false},
    };
    const struct kn_obj *n = node();
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++)
        ktest_eq_int(kn_node_term_matches(n, parse(cases[i].term)), cases[i].holds);
    kn_obj_unref(n);
}

KTEST(a_pod_names_its_nodes_by_selector_and_affinity)
{
#define TERMS(t)                                                                                   \
    "\"affinity\":{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":{"         \
    "\"nodeSelectorTerms\":[" t "]}}}"
#define SSD "{\"matchExpressions\":[{\"key\":\"disk\",\"operator\":\"In\",\"values\":[\"ssd\"]}]}"
#define HDD "{\"matchExpressions\":[{\"key\":\"disk\",\"operator\":\"In\",\"values\":[\"hdd\"]}]}"
    static const struct {
        const char *spec;
        bool matches;
    } cases[] = {
        {"{}", true},
        {"{\"nodeSelector\":{\"disk\":\"ssd\",\"cores\":\"8\"}}", true},
        {"{\"nodeSelector\":{\"disk\":\"ssd\",\"cores\":\"9\"}}", false},
        {"{\"nodeSelector\":{\"empty\":\"\"}}", true},
        {"{\"nodeSelector\":{\"none\":\"\"}}", false},
        {"{" TERMS(HDD "," SSD) "}", true},
        {"{" TERMS(HDD) "}", false},
        {"{\"nodeSelector\":{\"cores\":\"9\"}," TERMS(SSD) "}", false},
    };
    const struct kn_obj *n = node();
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++)
        ktest_eq_int(kn_node_matches(n, parse(cases[i].spec)), cases[i].matches);
    kn_obj_unref(n);
}

KTEST(a_toleration_stands_what_it_names)
{
    static const struct {
        const char *tolerations;
        bool stands;
    } cases[] = {
        {"[]", false},
        {"[{\"operator\":\"Exists\"}]", true},
        {"[{\"key\":\"k\",\"operator\":\"Exists\"}]", true},
        {"[{\"key\":\"k\",\"value\":\"v\"}]", true},
        {"[{\"key\":\"k\",\"operator\":\"Equal\",\"value\":\"w\"}]", false},
        {"[{\"key\":\"k\",\"value\":\"v\",\"effect\":\"NoExecute\"}]", false},
        {"[{\"key\":\"j\",\"operator\":\"Exists\"},{\"key\":\"k\",\"value\":\"v\",\"effect\":"
         "\"NoSchedule\"}]",
         true},
    };
    struct kn_json *taint = parse("{\"key\":\"k\",\"value\":\"v\",\"effect\":\"NoSchedule\"}");
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++)
        ktest_eq_int(kn_node_tolerated(parse(cases[i].tolerations), taint), cases[i].stands);
    ktest_true(!kn_node_tolerated(NULL, taint));
}

int main(void)
{
    arena = kn_arena_new(1 << 14, 1 << 20);
    const struct CMUnitTest tests[] = {
        KTEST_CASE(a_term_holds_when_all_its_expressions_hold),
        KTEST_CASE(a_pod_names_its_nodes_by_selector_and_affinity),
        KTEST_CASE(a_toleration_stands_what_it_names),
    };
    int failed = cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL);
    kn_arena_free(arena);
    return failed;
}

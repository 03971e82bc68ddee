#include "codec/json.h"

#include "lib/ktest.h"

static struct kn_json *parse(struct kn_arena *a, const char *text)
{
    struct kn_json *v = NULL;
    ktest_ok(kn_json_parse(a, kn_sv_c(text), NULL, &v));
    return v;
}

static void round_trip(const char *text, const char *want)
{
    struct kn_arena *a = kn_arena_new(0, 1 << 20);
    struct kn_buf out = KN_BUF(1 << 20);
    kn_json_encode(&out, parse(a, text));
    ktest_eq_sv(kn_buf_sv(&out), want);
    kn_buf_done(&out);
    kn_arena_free(a);
}

KTEST(writes_what_it_read)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"null", "null"},
        {" [ 1 , -2 , 9223372036854775807 , -9223372036854775808 ] ",
         "[1,-2,9223372036854775807,-9223372036854775808]"},
        {"[18446744073709551615, 1.0, 1e3, -0.5E-7]", "[18446744073709551615,1.0,1e3,-0.5E-7]"},
        {"{\"kind\":\"Pod\",\"no such field\":{\"a\":[]},\"metadata\":{}}",
         "{\"kind\":\"Pod\",\"no such field\":{\"a\":[]},\"metadata\":{}}"},
        {"\"\\u0041\\n\\\"\\\\\\/\\ud83d\\ude00\\ud800x\"",
         "\"A\\n\\\"\\\\/\xF0\x9F\x98\x80\xEF\xBF\xBDx\""},
        {"\"<a&b>\"", "\"\\u003ca\\u0026b\\u003e\""},
        {"[true,false,null,\"\"]", "[true,false,null,\"\"]"},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++)
        round_trip(cases[i].in, cases[i].out);
}

KTEST(says_where_the_text_is_wrong)
{
    static const struct {
        const char *in, *part;
    } cases[] = {
        {"", "line 1, column 1: the text ends where a value should follow"},
        {"{\"a\":1,\n \"b\" 2}", "line 2, column 6: found '2' where ':' should be"},
        {"[1,]", "column 4"},
        {"[01]", "begins with 0"},
        {"{\"a\":1}}", "the end of the text"},
        {"\"a\tb\"", "control characters"},
        {"\"\\x\"", "valid escapes"},
        {"\"abc", "the end of the string"},
        {"\"\xff\"", "valid UTF-8"},
        {"{a:1}", "member name in double quotes"},
        {"[1 2]", "',' or ']'"},
        {"tru", "a value"},
        {"-", "a digit"},
        {"1.", "a digit"},
        {"\"\\", "rest of the escape"},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        struct kn_arena *a = kn_arena_new(0, 1 << 20);
        struct kn_json *v;
        ktest_fails(kn_json_parse(a, kn_sv_c(cases[i].in), NULL, &v), SYNTAX, cases[i].part);
        kn_arena_free(a);
    }
}

KTEST(refuses_what_is_nested_too_deep_or_too_large)
{
    char deep[300];
    memset(deep, '[', sizeof deep);
    struct kn_arena *a = kn_arena_new(0, 1 << 20);
    struct kn_json *v;
    ktest_fails(kn_json_parse(a, kn_sv(deep, sizeof deep), NULL, &v), TOO_LARGE, "128 levels");
    kn_arena_free(a);
    for (size_t limit = 0; limit < 24 * 5; limit++) { // fail every allocation in turn
        a = kn_arena_new(0, limit);
        ktest_fails(kn_json_parse(a, KN_SV("[1,2,3,\"\\n\"]"), NULL, &v), TOO_LARGE, "limit");
        kn_arena_free(a);
    }
}

struct seen {
    char text[256];
};

static void note(void *arg, struct kn_sv path)
{
    struct seen *s = arg;
    size_t n = strlen(s->text);
    snprintf(s->text + n, sizeof s->text - n, "%.*s;", KN_SV_ARG(path));
}

KTEST(sees_duplicate_members_and_keeps_the_last)
{
    struct seen seen = {{0}};
    struct kn_json_options options = {.duplicate = note, .arg = &seen};
    struct kn_arena *a = kn_arena_new(0, 1 << 20);
    struct kn_json *v;
    const char *text =
        "{\"spec\":{\"x y\":1,\"x y\":2,\"ports\":[{},{\"name\":\"a\",\"name\":\"b\"}]}}";
    ktest_ok(kn_json_parse(a, kn_sv_c(text), &options, &v));
    ktest_eq_str(seen.text, "spec.x y;spec.ports[1].name;");
    struct kn_json *spec = kn_json_get(v, KN_K_spec);
    ktest_eq_int(kn_json_int(kn_json_get_sv(spec, KN_SV("x y")), 0), 2);
    ktest_eq_sv(KN_JSON_STR_AT(kn_json_item(kn_json_get(spec, KN_K_ports), 1), KN_K_name), "b");

    struct kn_buf big = KN_BUF(1 << 20); // beyond the members that are searched one by one
    kn_buf_addc(&big, "{\"k0\":0");
    for (int i = 1; i < 500; i++)
        kn_buf_addf(&big, ",\"k%d\":%d", i % 400, i);
    kn_buf_addc(&big, "}");
    memset(&seen, 0, sizeof seen);
    ktest_ok(kn_json_parse(a, kn_buf_sv(&big), &options, &v));
    ktest_eq_int(kn_json_len(v), 400);
    ktest_eq_int(kn_json_int(kn_json_get_sv(v, KN_SV("k7")), 0), 407);
    kn_buf_done(&big);
    kn_arena_free(a);
}

KTEST(builds_and_edits_without_losing_members)
{
    struct kn_arena *a = kn_arena_new(0, 1 << 20);
    struct kn_json *o = kn_json_new_object(a);
    struct kn_json *spec = kn_json_ensure_object(a, o, KN_K_spec);
    kn_json_set_str(a, o, KN_K_kind, KN_SV("Pod"));
    kn_json_set_int(a, spec, KN_K_replicas, 3);
    kn_json_set_sv(a, spec, KN_SV("my key"), kn_json_new_bool(a, true));
    kn_json_set_int(a, spec, KN_K_replicas, 4); // in place
    struct kn_json *list = kn_json_ensure_array(a, spec, KN_K_ports);
    struct kn_json *one = kn_json_append(list, kn_json_new_int(a, 1));
    kn_json_append(list, kn_json_new_int(a, 2));
    kn_json_prepend(list, kn_json_new_int(a, 0));
    struct kn_buf out = KN_BUF(4096);
    kn_json_encode(&out, o);
    ktest_eq_sv(kn_buf_sv(&out),
                "{\"spec\":{\"replicas\":4,\"my key\":true,\"ports\":[0,1,2]},\"kind\":\"Pod\"}");
    ktest_true(kn_json_remove_child(list, one));
    ktest_true(kn_json_remove_sv(spec, KN_SV("my key")));
    ktest_true(!kn_json_remove(spec, KN_K_kind));
    ktest_true(kn_json_rename(o, KN_K_kind, KN_K_type));
    kn_buf_clear(&out);
    kn_json_encode(&out, kn_json_copy(a, o));
    ktest_eq_sv(kn_buf_sv(&out), "{\"spec\":{\"replicas\":4,\"ports\":[0,2]},\"type\":\"Pod\"}");
    ktest_true(kn_json_remove(o, KN_K_spec) && kn_json_remove(o, KN_K_type));
    ktest_eq_int(kn_json_len(o), 0);
    kn_json_set_bool(a, o, KN_K_spec, false); // usable after it was emptied
    ktest_eq_int(kn_json_len(o), 1);
    kn_buf_done(&out);
    kn_arena_free(a);
}

KTEST(compares_values_and_not_their_order)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } cases[] = {
        {"{\"a\":1,\"name\":[1,2]}", "{\"name\":[1,2],\"a\":1}", true},
        {"[1,2]", "[2,1]", false},
        {"1", "1.0", false},
        {"{\"a\":1}", "{\"b\":1}", false},
        {"{}", "[]", false},
        {"\"x\"", "\"\\u0078\"", true},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        struct kn_arena *a = kn_arena_new(0, 1 << 20);
        ktest_eq_int(kn_json_equal(parse(a, cases[i].a), parse(a, cases[i].b)), cases[i].equal);
        kn_arena_free(a);
    }
}

KTEST_MAIN(KTEST_CASE(writes_what_it_read), KTEST_CASE(says_where_the_text_is_wrong),
           KTEST_CASE(refuses_what_is_nested_too_deep_or_too_large),
           KTEST_CASE(sees_duplicate_members_and_keeps_the_last),
           KTEST_CASE(builds_and_edits_without_losing_members),
           KTEST_CASE(compares_values_and_not_their_order))

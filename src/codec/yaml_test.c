#include "codec/yaml.h"

#include "lib/ktest.h"

KTEST(reads_yaml_as_kubernetes_does)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"a: 1\nb: yes\nc: 'yes'\nd: ~\ne: 1.5\nf: 0644\ng: \"0644\"\n",
         "{\"a\":1,\"b\":true,\"c\":\"yes\",\"d\":null,\"e\":1.5,\"f\":420,\"g\":\"0644\"}"},
        {"- x\n- [1, two, {three: 3}]\n", "[\"x\",[1,\"two\",{\"three\":3}]]"},
        {"base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\n",
         "{\"base\":{\"x\":1,\"y\":2},\"use\":{\"y\":3,\"x\":1}}"},
        {"text: |\n  two\n  lines\n", "{\"text\":\"two\\nlines\\n\"}"},
        {"{\"json\": [true, 12345678901234567890]}", "{\"json\":[true,12345678901234567890]}"},
        {"v: 1.2.3\nip: 10.0.0.1\nport: 80:80\nhex: 0x1F\nbig: 08\n",
         "{\"v\":\"1.2.3\",\"ip\":\"10.0.0.1\",\"port\":\"80:80\",\"hex\":31,\"big\":8}"},
        {"---\na: b\n", "{\"a\":\"b\"}"},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        struct kn_arena *a = kn_arena_new(0, 1 << 20);
        struct kn_json *v;
        ktest_ok(kn_yaml_parse(a, kn_sv_c(cases[i].in), &v));
        struct kn_buf out = KN_BUF(4096);
        kn_json_encode(&out, v);
        ktest_eq_str(kn_buf_cstr(&out), cases[i].out);
        kn_buf_done(&out);
        kn_arena_free(a);
    }
}

KTEST(says_where_the_text_is_wrong)
{
    static const struct {
        const char *in, *part;
    } cases[] = {
        {"a: [1", "line"},
        {"a: 1\na: 2\n", "line 2, column 1: the key \"a\" is there already"},
        {"a: *none\n", "alias without its anchor"},
        {"", "no document"},
        {"a: 1\n---\nb: 2\n", "another begins here"},
        {"? [x]\n: 1\n", "must be text"},
        {"\xff", "byte"},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        struct kn_arena *a = kn_arena_new(0, 1 << 20);
        struct kn_json *v;
        ktest_fails(kn_yaml_parse(a, kn_sv_c(cases[i].in), &v), SYNTAX, cases[i].part);
        kn_arena_free(a);
    }
}

KTEST(a_text_that_multiplies_itself_meets_the_limit)
{
    struct kn_buf text = KN_BUF(1 << 16);
    kn_buf_addc(&text, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 12; i++) {
        kn_buf_addf(&text, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++)
            kn_buf_addf(&text, "%s*a%d", j ? "," : "", i - 1);
        kn_buf_addc(&text, "]\n");
    }
    struct kn_arena *a = kn_arena_new(0, 1 << 20);
    struct kn_json *v;
    ktest_fails(kn_yaml_parse(a, kn_buf_sv(&text), &v), TOO_LARGE, "limit");
    kn_buf_done(&text);
    kn_arena_free(a);
}

KTEST_MAIN(KTEST_CASE(reads_yaml_as_kubernetes_does), KTEST_CASE(says_where_the_text_is_wrong),
           KTEST_CASE(a_text_that_multiplies_itself_meets_the_limit))

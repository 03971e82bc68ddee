#include "meta/patch.h"

#include "lib/ktest.h"

static struct kn_json *parse(struct kn_arena *a, const char *text)
{
    struct kn_json *v = NULL;
    ktest_ok(kn_json_parse(a, kn_sv_c(text), NULL, &v));
    return v;
}

typedef struct kn_status patcher(struct kn_arena *a, struct kn_json *target,
                                 const struct kn_json *patch);

struct sample {
    const char *target, *patch, *want; // want: NULL, it is refused with `part`
    const char *part;
};

static void run(patcher *patch, const struct sample *s)
{
    struct kn_arena *a = kn_arena_new(0, 1 << 20);
    struct kn_json *target = parse(a, s->target);
    struct kn_status status = patch(a, target, parse(a, s->patch));
    if (s->want) {
        ktest_ok(status);
        if (!kn_json_equal(target, parse(a, s->want))) {
            struct kn_buf out = KN_BUF(4096);
            kn_json_encode(&out, target);
            print_error("%s with %s gave %s\n", s->target, s->patch, kn_buf_cstr(&out));
            fail();
        }
    } else {
        ktest_true(!kn_ok(status) && strstr(kn_status_text(&status), s->part));
        kn_status_done(&status);
    }
    kn_arena_free(a);
}

KTEST(merges_as_rfc_7396_says)
{
    static const struct sample samples[] = {
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}", NULL},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}", NULL},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}", NULL},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}",
         NULL},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}", NULL},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}", NULL},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}", NULL},
        {"{}", "[1]", NULL, "a merge patch is a JSON object"},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(samples); i++)
        run(kn_patch_merge, &samples[i]);
}

KTEST(operates_as_rfc_6902_says)
{
    static const struct sample samples[] = {
        {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/b\",\"value\":2}]", "{\"a\":1,\"b\":2}", NULL},
        {"{\"l\":[1,3]}", "[{\"op\":\"add\",\"path\":\"/l/1\",\"value\":2}]", "{\"l\":[1,2,3]}",
         NULL},
        {"{\"l\":[1,2,4]}",
         "[{\"op\":\"add\",\"path\":\"/l/2\",\"value\":3},{\"op\":\"add\",\"path\":"
         "\"/l/4\",\"value\":5},{\"op\":\"remove\",\"path\":\"/l/3\"}]",
         "{\"l\":[1,2,3,5]}", NULL},
        {"{\"l\":[2]}", "[{\"op\":\"add\",\"path\":\"/l/0\",\"value\":1}]", "{\"l\":[1,2]}", NULL},
        {"{\"l\":[1]}", "[{\"op\":\"add\",\"path\":\"/l/-\",\"value\":2}]", "{\"l\":[1,2]}", NULL},
        {"{\"l\":[1,2]}", "[{\"op\":\"remove\",\"path\":\"/l/0\"}]", "{\"l\":[2]}", NULL},
        {"{\"a/b\":1,\"m~n\":2}",
         "[{\"op\":\"remove\",\"path\":\"/a~1b\"},{\"op\":\"replace\",\"path\":"
         "\"/m~0n\",\"value\":3}]",
         "{\"m~n\":3}", NULL},
        {"{\"a\":{\"x\":1}}", "[{\"op\":\"move\",\"from\":\"/a/x\",\"path\":\"/y\"}]",
         "{\"a\":{},\"y\":1}", NULL},
        {"{\"a\":1}", "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b\"}]", "{\"a\":1,\"b\":1}",
         NULL},
        {"{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":1}]", "{\"a\":1}", NULL},
        {"{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"\",\"value\":{\"b\":2}}]", "{\"b\":2}",
         NULL},
        {"{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":2}]", NULL,
         "testing value /a failed"},
        {"{}", "[{\"op\":\"replace\",\"path\":\"/a\",\"value\":2}]", NULL, "does not exist"},
        {"{}", "[{\"op\":\"add\",\"path\":\"/a/b\",\"value\":2}]", NULL, "does not exist"},
        {"{\"l\":[]}", "[{\"op\":\"add\",\"path\":\"/l/5\",\"value\":2}]", NULL,
         "5 is not between"},
        {"{}", "[{\"op\":\"fly\",\"path\":\"/a\",\"value\":2}]", NULL,
         "operation 0 of the JSON patch"},
        {"{}", "[{\"op\":\"remove\"}]", NULL, "it has no path"},
        {"{}", "{}", NULL, "a JSON patch is an array"},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(samples); i++)
        run(kn_patch_json, &samples[i]);
}

// 10,000 insertions into an array of 300,000.
static struct kn_status insert_many(const char *path, uint32_t *ret_len)
{
    struct kn_arena *a = kn_arena_new(0, 256u << 20);
    struct kn_json *target = kn_json_new_object(a), *patch = kn_json_new_array(a);
    struct kn_json *list = kn_json_set_sv(a, target, KN_SV("a"), kn_json_new_array(a));
    for (int i = 0; i < 300000; i++)
        kn_json_append(list, kn_json_new_int(a, i));
    for (int i = 0; i < 10000; i++) {
        struct kn_json *op = kn_json_append(patch, kn_json_new_object(a));
        kn_json_set_str(a, op, KN_K_op, KN_SV("add"));
        kn_json_set_str(a, op, KN_K_path, kn_sv_c(path));
        kn_json_set_int(a, op, KN_K_value, i);
    }
    struct kn_status s = kn_patch_json(a, target, patch);
    *ret_len = kn_json_len(list);
    kn_arena_free(a);
    return s;
}

KTEST(a_patch_does_not_walk_through_long_lists_for_ever)
{
    uint32_t len;
    ktest_ok(insert_many("/a/0", &len));
    ktest_eq_int(len, 310000);
    ktest_ok(insert_many("/a/-", &len));
    ktest_eq_int(len, 310000);
    ktest_fails(
        insert_many("/a/150000", &len), TOO_LARGE,
        "operation 66 of the JSON patch: the patch goes through more than 20000000 elements");
}

KTEST_MAIN(KTEST_CASE(a_patch_does_not_walk_through_long_lists_for_ever),
           KTEST_CASE(merges_as_rfc_7396_says), KTEST_CASE(operates_as_rfc_6902_says))

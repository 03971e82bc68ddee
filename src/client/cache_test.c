#include "client/cache.h"

#include "lib/ktest.h"

static const struct kn_obj *make(const char *ns, const char *name, const char *node, int rev)
{
    char text[512];
    snprintf(
        text, sizeof text,
        "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"%s\",\"uid\":\"%s-%s\",\"resourceVersion\":"
        "\"%d\"},\"spec\":{\"nodeName\":\"%s\"}}",
        name, ns, ns, name, rev, node);
    const struct kn_obj *o;
    ktest_ok(kn_obj_parse(kn_sv_c(text), &o));
    return o;
}

static void put(struct kn_cache *c, const char *ns, const char *name, const char *node, int rev)
{
    const struct kn_obj *o = make(ns, name, node, rev);
    kn_cache_put(c, o);
    kn_obj_unref(o);
}

static bool note(void *arg, const struct kn_obj *o)
{
    kn_buf_addf(arg, "%.*s/%.*s ", KN_SV_ARG(o->ns), KN_SV_ARG(o->name));
    return true;
}

static void note_event(void *arg, enum kn_event_type type, const struct kn_obj *obj,
                       const struct kn_obj *old)
{
    static const char *const names[] = {"+", "~", "-", "b"};
    kn_buf_addf(arg, "%s%.*s@%lld<%lld ", names[type], KN_SV_ARG(obj->name), (long long)obj->rev,
                old ? (long long)old->rev : 0LL);
}

static void node_of(const struct kn_obj *o, kn_index_emit *emit, void *ctx)
{
    emit(ctx, KN_JSON_STR_AT(o->root, KN_K_spec, KN_K_nodeName));
}

KTEST(lists_in_order_of_namespace_and_name)
{
    struct kn_cache *c = kn_cache_new();
    put(c, "b", "x", "n1", 1);
    put(c, "a", "z", "n1", 2);
    put(c, "a", "y", "n2", 3);
    struct kn_buf out = KN_BUF(4096);
    ktest_eq_int(kn_cache_list(c, KN_SV_NULL, KN_SV_NULL, KN_SV_NULL, note, &out), 3);
    ktest_eq_str(kn_buf_cstr(&out), "a/y a/z b/x ");
    kn_buf_clear(&out);
    kn_cache_list(c, KN_SV("a"), KN_SV("a"), KN_SV("y"), note, &out);
    ktest_eq_str(kn_buf_cstr(&out), "a/z ");
    const struct kn_obj *o = kn_cache_get(c, KN_SV("b"), KN_SV("x"));
    ktest_eq_int(o->rev, 1);
    kn_obj_unref(o);
    ktest_true(kn_cache_get(c, KN_SV("b"), KN_SV("y")) == NULL);
    kn_buf_done(&out);
    kn_cache_free(c);
}

KTEST(an_index_follows_changes)
{
    struct kn_cache *c = kn_cache_new();
    put(c, "a", "old", "n1", 1); // there before the index
    unsigned by_node = kn_cache_add_index(c, node_of);
    ktest_eq_int(kn_cache_add_index(c, node_of), by_node);
    put(c, "a", "p", "n1", 2);
    put(c, "a", "p", "n2", 3); // moves
    struct kn_buf out = KN_BUF(4096);
    kn_cache_by_index(c, by_node, KN_SV("n1"), note, &out);
    kn_cache_by_index(c, by_node, KN_SV("n2"), note, &out);
    ktest_eq_str(kn_buf_cstr(&out), "a/old a/p ");
    const struct kn_obj *last = make("a", "p", "n2", 4);
    kn_cache_remove(c, last);
    kn_obj_unref(last);
    kn_buf_clear(&out);
    kn_cache_by_index(c, by_node, KN_SV("n2"), note, &out);
    ktest_eq_str(kn_buf_cstr(&out), "");
    kn_buf_done(&out);
    kn_cache_free(c);
}

KTEST(subscribers_see_every_change_and_what_a_new_list_changes)
{
    struct kn_cache *c = kn_cache_new();
    struct kn_buf out = KN_BUF(4096);
    put(c, "a", "p", "n", 1);
    kn_cache_subscribe(c, note_event, &out, true);
    put(c, "a", "p", "n", 2);
    put(c, "a", "q", "n", 3);
    const struct kn_obj *list[] = {make("a", "q", "n", 3), make("a", "r", "n", 9)};
    kn_cache_replace(c, list, 2, 10);
    ktest_eq_str(kn_buf_cstr(&out), "+p@1<0 ~p@2<1 +q@3<0 -p@2<2 +r@9<0 ");
    ktest_eq_int(kn_cache_rev(c), 10);
    kn_cache_unsubscribe(c, note_event, &out);
    put(c, "a", "s", "n", 11);
    ktest_true(strstr(kn_buf_cstr(&out), "s@11") == NULL);
    kn_obj_unref(list[0]);
    kn_obj_unref(list[1]);
    kn_buf_done(&out);
    kn_cache_free(c);
}

KTEST_MAIN(KTEST_CASE(lists_in_order_of_namespace_and_name), KTEST_CASE(an_index_follows_changes),
           KTEST_CASE(subscribers_see_every_change_and_what_a_new_list_changes))

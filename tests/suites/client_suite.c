// The client contract, against a real API server: each test runs with the client in the server's
// process and with the one over HTTPS. Events and the leader lease, which stand on it, too.
#include "base/log.h"
#include "base/thread.h"
#include "client/controller.h"
#include "client/events.h"
#include "client/leader.h"
#include "lib/ktest.h"
#include "lib/test_api.h"

static struct test_api api;
static struct kn_client *clients[2]; // in process, over HTTPS
static struct kn_arena *arena;

#define NS KN_SV("default")

static const struct kn_resource *core(const char *plural)
{
    return kn_resource_find(KN_SV(""), KN_SV("v1"), kn_sv_c(plural));
}

static struct kn_json *parse(const char *text)
{
    struct kn_json *v;
    ktest_ok(kn_json_parse(arena, kn_sv_c(text), NULL, &v));
    return v;
}

static struct kn_json *map_named(const char *name, const char *value)
{
    return parse(
        kn_arena_printf(arena,
                        "{\"metadata\":{\"name\":\"%s\",\"labels\":{\"app\":\"%s\"}},\"data\":{"
                        "\"k\":\"%s\"}}",
                        name, value, value)
            .ptr);
}

static void delete_all(struct kn_client *c, const char *plural)
{
    struct kn_obj_list l;
    ktest_ok(kn_client_list(c, core(plural), &(struct kn_list_options){.ns = NS}, &l));
    for (size_t i = 0; i < l.len; i++)
        ktest_ok(kn_client_delete(c, core(plural), NS, l.items[i]->name, KN_DELETE_DEFAULT));
    kn_obj_list_done(&l);
}

static void reads_and_writes(struct kn_client *c)
{
    const struct kn_resource *r = core("configmaps");
    const struct kn_obj *o, *o2;
    ktest_fails(kn_client_get(c, r, NS, KN_SV("m"), &o), NOT_FOUND, "configmaps \"m\" not found");
    ktest_ok(kn_client_create(c, r, NS, KN_SV_NULL, NULL, map_named("m", "a"), &o));
    ktest_eq_sv(o->kind, "ConfigMap");
    ktest_eq_sv(o->name, "m");
    ktest_true(o->rev > 0 && o->uid.len > 0);
    ktest_fails(kn_client_create(c, r, NS, KN_SV_NULL, NULL, map_named("m", "a"), NULL),
                ALREADY_EXISTS, "configmaps \"m\" already exists");
    struct kn_json *root = kn_json_copy(arena, o->root);
    kn_json_set(arena, root, KN_K_data, parse("{\"k\":\"b\"}"));
    ktest_ok(kn_client_update(c, r, NS, KN_SV("m"), NULL, root, &o2));
    ktest_true(o2->rev > o->rev);
    kn_obj_unref(o2);
    ktest_fails(kn_client_update(c, r, NS, KN_SV("m"), NULL, root, NULL), CONFLICT,
                "the object has been modified");
    ktest_ok(kn_client_patch(c, r, NS, KN_SV("m"), NULL, KN_PATCH_MERGE,
                             KN_SV("{\"data\":{\"k\":null,\"l\":\"c\"}}"), &o2));
    ktest_true(!kn_json_get_sv(kn_json_get(o2->root, KN_K_data), KN_SV("k")));
    kn_obj_unref(o2);
    ktest_ok(kn_client_patch(c, r, NS, KN_SV("m"), NULL, KN_PATCH_JSON,
                             KN_SV("[{\"op\":\"replace\",\"path\":\"/data/l\",\"value\":\"d\"}]"),
                             &o2));
    ktest_eq_sv(kn_json_str(kn_json_get_sv(kn_json_get(o2->root, KN_K_data), KN_SV("l"))), "d");
    struct kn_delete_options wrong = {.uid = KN_SV("no-such"), .grace_seconds = -1};
    ktest_fails(kn_client_delete(c, r, NS, KN_SV("m"), &wrong), CONFLICT,
                "UID in the precondition");
    struct kn_delete_options stale = {.rev = o->rev, .grace_seconds = -1};
    ktest_fails(kn_client_delete(c, r, NS, KN_SV("m"), &stale), CONFLICT, NULL);
    ktest_ok(kn_client_delete(c, r, NS, KN_SV("m"), KN_DELETE_DEFAULT));
    ktest_fails(kn_client_delete(c, r, NS, KN_SV("m"), KN_DELETE_DEFAULT), NOT_FOUND, NULL);
    kn_obj_unref(o);
    kn_obj_unref(o2);
}

static void lists_with_selectors(struct kn_client *c)
{
    const struct kn_resource *r = core("configmaps");
    for (int i = 0; i < 5; i++)
        ktest_ok(kn_client_create(
            c, r, NS, KN_SV_NULL, NULL,
            map_named(kn_arena_printf(arena, "m%d", i).ptr, i % 2 ? "odd" : "even"), NULL));
    struct kn_obj_list l;
    ktest_ok(kn_client_list(
        c, r, &(struct kn_list_options){.ns = NS, .label_selector = KN_SV("app=odd")}, &l));
    ktest_eq_int(l.len, 2);
    ktest_eq_sv(l.items[0]->name, "m1");
    ktest_eq_sv(l.items[0]->kind, "ConfigMap");
    ktest_eq_sv(l.items[0]->api_version, "v1");
    ktest_true(l.rev >= l.items[1]->rev);
    kn_obj_list_done(&l);
    ktest_ok(kn_client_list(
        c, r, &(struct kn_list_options){.field_selector = KN_SV("metadata.name=m2")}, &l));
    ktest_eq_int(l.len, 1);
    kn_obj_list_done(&l);
    delete_all(c, "configmaps");
}

static void lists_more_than_one_page(struct kn_client *c)
{
    const struct kn_resource *r = core("configmaps");
    for (int i = 0; i < 1100; i++)
        ktest_ok(kn_client_create(clients[0], r, NS, KN_SV_NULL, NULL,
                                  map_named(kn_arena_printf(arena, "p%04d", i).ptr, "x"), NULL));
    struct kn_obj_list l;
    ktest_ok(kn_client_list(c, r, &(struct kn_list_options){.ns = NS}, &l));
    ktest_eq_int(l.len, 1100);
    ktest_eq_sv(l.items[1099]->name, "p1099");
    kn_obj_list_done(&l);
    delete_all(clients[0], "configmaps");
}

struct seen {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct kn_buf text;
    int count;
};

static void note(void *arg, enum kn_event_type type, const struct kn_obj *obj,
                 const struct kn_obj *old)
{
    struct seen *s = arg;
    (void)old;
    if (!kn_sv_starts(obj->name, KN_SV("w")))
        return;
    pthread_mutex_lock(&s->lock);
    kn_buf_addf(&s->text, "%c%.*s ", "+~-b"[type], KN_SV_ARG(obj->name));
    s->count++;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void wait_seen(struct seen *s, int count)
{
    int64_t deadline = kn_mono() + KTEST_PATIENCE;
    pthread_mutex_lock(&s->lock);
    while (s->count < count && kn_cond_wait(&s->changed, &s->lock, deadline))
        ;
    pthread_mutex_unlock(&s->lock);
    ktest_true(s->count >= count);
}

static void a_cache_follows_the_server(struct kn_client *c)
{
    const struct kn_resource *r = core("configmaps");
    struct kn_cache *cache, *again;
    ktest_ok(kn_client_create(c, r, NS, KN_SV_NULL, NULL, map_named("w0", "a"), NULL));
    ktest_ok(kn_client_cache(c, r, NULL, kn_mono() + KTEST_PATIENCE, &cache));
    ktest_ok(kn_client_cache(c, r, NULL, kn_mono() + KTEST_PATIENCE, &again));
    ktest_true(cache == again);
    struct seen s = {.text = KN_BUF(4096)};
    pthread_mutex_init(&s.lock, NULL);
    kn_cond_init(&s.changed);
    ktest_until(kn_cache_len(cache) >= 1);
    kn_cache_subscribe(cache, note, &s, true);
    ktest_ok(kn_client_create(c, r, NS, KN_SV_NULL, NULL, map_named("w1", "a"), NULL));
    ktest_ok(kn_client_patch(c, r, NS, KN_SV("w0"), NULL, KN_PATCH_MERGE,
                             KN_SV("{\"data\":{\"k\":\"z\"}}"), NULL));
    ktest_ok(kn_client_delete(c, r, NS, KN_SV("w1"), KN_DELETE_DEFAULT));
    wait_seen(&s, 4);
    ktest_eq_str(kn_buf_cstr(&s.text), "+w0 +w1 ~w0 -w1 ");
    const struct kn_obj *o = kn_cache_get(cache, NS, KN_SV("w0"));
    ktest_eq_sv(KN_JSON_STR_AT(o->root, KN_K_data, KN_K_NONE), "");
    ktest_eq_sv(o->kind, "ConfigMap");
    kn_obj_unref(o);
    kn_cache_unsubscribe(cache, note, &s);
    kn_buf_done(&s.text);
    delete_all(c, "configmaps");
}

static bool count_one(void *arg, const struct kn_obj *o)
{
    (void)o;
    ++*(int *)arg;
    return true;
}

static int count_in(struct kn_cache *cache, struct kn_sv ns)
{
    int n = 0;
    kn_cache_list(cache, ns, KN_SV_NULL, KN_SV_NULL, count_one, &n);
    return n;
}

static void a_cache_shows_what_its_client_wrote(struct kn_client *c)
{
    const struct kn_resource *r = core("configmaps");
    struct kn_cache *cache;
    ktest_ok(kn_client_cache(c, r, NULL, kn_mono() + KTEST_PATIENCE, &cache));
    for (int i = 0; i < 50; i++) {
        struct kn_sv name = kn_arena_printf(arena, "o%d", i);
        const struct kn_obj *made, *seen;
        ktest_ok(kn_client_create(c, r, NS, KN_SV_NULL, NULL, map_named(name.ptr, "a"), &made));
        ktest_true((seen = kn_cache_get(cache, NS, name)) && seen->rev >= made->rev);
        kn_obj_unref(seen);
        ktest_ok(kn_client_patch(c, r, NS, name, NULL, KN_PATCH_MERGE,
                                 KN_SV("{\"data\":{\"k\":\"new\"}}"), NULL));
        ktest_true((seen = kn_cache_get(cache, NS, name)) && seen->rev > made->rev);
        kn_obj_unref(seen);
        kn_obj_unref(made);
        ktest_ok(kn_client_delete(c, r, NS, name, KN_DELETE_DEFAULT));
    }
    delete_all(c, "configmaps");
    ktest_until(count_in(cache, NS) == 0);
}

static void records_events_and_counts_them(struct kn_client *c)
{
    const struct kn_obj *o;
    ktest_ok(
        kn_client_create(c, core("configmaps"), NS, KN_SV_NULL, NULL, map_named("e", "a"), &o));
    struct kn_recorder *rec;
    ktest_ok(kn_recorder_start(c, "tester", KN_SV("host1"), &rec));
    for (int i = 0; i < 3; i++)
        kn_event(rec, o, "Warning", "Broken", "it broke %s", "again");
    kn_event_at(rec, o, KN_SV("spec.x"), "Normal", "Fine", "it is fine");
    for (int i = 0; i < 60; i++) // what is above the burst is not written
        kn_event(rec, o, "Normal", "Loud", "%d", i);
    kn_recorder_stop(rec);
    struct kn_obj_list l;
    ktest_ok(kn_client_list(c, core("events"), &(struct kn_list_options){.ns = NS}, &l));
    const struct kn_json *broken = NULL, *fine = NULL;
    int loud = 0;
    for (size_t i = 0; i < l.len; i++) {
        struct kn_sv reason = kn_json_str(kn_json_get(l.items[i]->root, KN_K_reason));
        broken = kn_sv_is(reason, "Broken") ? l.items[i]->root : broken;
        fine = kn_sv_is(reason, "Fine") ? l.items[i]->root : fine;
        loud += kn_sv_is(reason, "Loud");
    }
    ktest_eq_int(kn_json_int(kn_json_get(broken, KN_K_count), 0), 3);
    ktest_eq_sv(kn_json_str(kn_json_get(broken, KN_K_message)), "it broke again");
    ktest_eq_sv(KN_JSON_STR_AT(broken, KN_K_involvedObject, KN_K_kind), "ConfigMap");
    ktest_eq_sv(KN_JSON_STR_AT(broken, KN_K_source, KN_K_host), "host1");
    ktest_eq_sv(KN_JSON_STR_AT(fine, KN_K_involvedObject, KN_K_fieldPath), "spec.x");
    ktest_eq_int(loud, 25 - 4);
    kn_obj_list_done(&l);
    kn_obj_unref(o);
    delete_all(c, "events");
    delete_all(c, "configmaps");
}

static void note_started(void *arg)
{
    ++*(_Atomic int *)arg;
}

static void note_lost(void *arg)
{
    --*(_Atomic int *)arg;
}

static void one_leads_and_another_takes_over(struct kn_client *c)
{
    _Atomic int leading = 0;
    struct kn_leader_spec spec = {.client = c,
                                  .ns = "kube-system",
                                  .name = "l",
                                  .identity = "a",
                                  .duration = 3600 * KN_SECOND,
                                  .retry = 5 * KN_MILLI,
                                  .started = note_started,
                                  .lost = note_lost,
                                  .arg = (void *)&leading};
    struct kn_leader *a, *b;
    ktest_ok(kn_leader_start(&spec, &a));
    ktest_until(kn_leader_is_held(a));
    spec.identity = "b";
    ktest_ok(kn_leader_start(&spec, &b));
    ktest_true(!kn_leader_is_held(b));
    kn_leader_stop(a); // gives it up: b need not wait for an hour
    ktest_until(kn_leader_is_held(b));
    ktest_until(leading == 1);
    kn_leader_stop(b);
    ktest_eq_int(leading, 0);
}

static void a_holder_that_is_silent_loses_its_lease(struct kn_client *c)
{
    const struct kn_resource *r =
        kn_resource_find(KN_SV("coordination.k8s.io"), KN_SV("v1"), KN_SV("leases"));
    struct kn_status s =
        kn_client_delete(c, r, KN_SV("kube-system"), KN_SV("dead"), KN_DELETE_DEFAULT);
    kn_status_done(&s);
    ktest_ok(kn_client_create(
        c, r, KN_SV("kube-system"), KN_SV_NULL, NULL,
        parse("{\"metadata\":{\"name\":\"dead\"},\"spec\":{\"holderIdentity\":\"gone\","
              "\"leaseDurationSeconds\":15}}"),
        NULL));
    struct kn_leader_spec spec = {.client = c, .ns = "kube-system", .name = "dead", .identity = "b",
                                  .duration = 30 * KN_MILLI, .retry = 5 * KN_MILLI};
    struct kn_leader *b;
    int64_t begun = kn_mono();
    ktest_ok(kn_leader_start(&spec, &b));
    ktest_until(kn_leader_is_held(b));
    ktest_true(kn_mono() - begun >= 30 * KN_MILLI);
    kn_leader_stop(b);
}

#define BOTH(test)                                                                                 \
    KTEST(test##_in_process)                                                                       \
    {                                                                                              \
        test(clients[0]);                                                                          \
    }                                                                                              \
    KTEST(test##_over_https)                                                                       \
    {                                                                                              \
        test(clients[1]);                                                                          \
    }
BOTH(reads_and_writes)
BOTH(lists_with_selectors)
BOTH(lists_more_than_one_page)
BOTH(a_cache_follows_the_server)
BOTH(a_cache_shows_what_its_client_wrote)
BOTH(records_events_and_counts_them)
BOTH(one_leads_and_another_takes_over)
BOTH(a_holder_that_is_silent_loses_its_lease)
#define CASES(test) KTEST_CASE(test##_in_process), KTEST_CASE(test##_over_https)

KTEST(a_cache_says_why_it_cannot_be_filled)
{
    struct kn_client *c;
    ktest_ok(test_api_remote(&api, "nobody", NULL, &c));
    struct kn_cache *cache;
    ktest_fails(kn_client_cache(c, core("secrets"), NULL, kn_mono() + 300 * KN_MILLI, &cache),
                TIMEOUT, "User \"nobody\" cannot list resource \"secrets\"");
    kn_client_close(c);
}

// While no server runs an object goes, and the history is forgotten: the watch cannot go on where
// it was, and the informer lists anew. The second time the history is there, and the watch goes on.
KTEST(a_cache_outlives_its_server)
{
    struct test_api first;
    struct kn_client *c;
    struct kn_cache *cache;
    ktest_ok(test_api_start(NULL, &first));
    ktest_ok(test_api_remote(&first, "admin", "system:masters", &c));
    ktest_ok(
        kn_client_create(c, core("configmaps"), NS, KN_SV_NULL, NULL, map_named("old", "a"), NULL));
    ktest_ok(kn_client_create(c, core("configmaps"), NS, KN_SV_NULL, NULL, map_named("old2", "a"),
                              NULL));
    ktest_ok(kn_client_cache(c, core("configmaps"), NULL, kn_mono() + KTEST_PATIENCE, &cache));
    ktest_until(kn_cache_len(cache) == 2);
    for (int round = 0; round < 2; round++) {
        test_api_stop_server(&first);
        struct kn_write w = {.change = KN_CHANGE_DELETE,
                             .key = round ? KN_SV("/registry/core/configmaps/default/old2")
                                          : KN_SV("/registry/core/configmaps/default/old"),
                             .expected = KN_STORE_ANY};
        ktest_ok(kn_store_write(first.store, &w));
        if (round == 0)
            ktest_ok(kn_store_compact(first.store, w.rev));
        ktest_ok(test_api_start_server(&first));
        ktest_until(kn_cache_len(cache) == (round ? 0 : 1));
    }
    ktest_ok(
        kn_client_create(c, core("configmaps"), NS, KN_SV_NULL, NULL, map_named("new", "a"), NULL));
    ktest_until(kn_cache_len(cache) == 1);
    kn_client_close(c);
    test_api_stop(&first);
}

int main(void)
{
    kn_log_init("test", KN_LOG_ERROR);
    arena = kn_arena_new(1 << 16, (size_t)64 << 20);
    struct kn_status s = test_api_start(NULL, &api);
    static const char *const masters[] = {"system:masters", NULL};
    if (kn_ok(s))
        s = kn_apiserver_local(api.server, "admin", masters, &clients[0]);
    if (kn_ok(s))
        s = test_api_remote(&api, "admin", "system:masters", &clients[1]);
    if (!kn_ok(s)) {
        fprintf(stderr, "%s\n", kn_status_text(&s));
        return 1;
    }
    const struct CMUnitTest tests[] = {
        CASES(reads_and_writes),
        CASES(lists_with_selectors),
        CASES(lists_more_than_one_page),
        CASES(a_cache_follows_the_server),
        CASES(a_cache_shows_what_its_client_wrote),
        CASES(records_events_and_counts_them),
        CASES(one_leads_and_another_takes_over),
        CASES(a_holder_that_is_silent_loses_its_lease),
        KTEST_CASE(a_cache_says_why_it_cannot_be_filled),
        KTEST_CASE(a_cache_outlives_its_server),
    };
    int failed = cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL);
    kn_client_close(clients[0]);
    kn_client_close(clients[1]);
    test_api_stop(&api);
    kn_arena_free(arena);
    return failed;
}

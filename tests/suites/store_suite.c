// The suite of the store contract, run against every implementation.
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/vec.h"
#include "lib/ktest.h"
#include "store/lmdb.h"
#include "store/memory.h"

struct fixture {
    const char *kind;
    char folder[64];
    struct kn_store *store;
};

static struct kn_status open_store(struct fixture *f)
{
    return strcmp(f->kind, "lmdb") == 0 ? kn_store_lmdb_open(f->folder, &f->store)
                                        : kn_store_memory_open(&f->store);
}

static int set_up(void **state)
{
    struct fixture *f = KN_NEW(struct fixture);
    f->kind = *state;
    strcpy(f->folder, "/tmp/knarr-store-XXXXXX");
    if (!mkdtemp(f->folder))
        return -1;
    struct kn_status s = open_store(f);
    *state = f;
    return kn_ok(s) ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    kn_store_close(f->store);
    KN_IGNORE(kn_dir_remove(f->folder));
    free(f);
    return 0;
}

#define SUITE(name) static void name(void **state)
#define STORE (((struct fixture *)*state)->store)

static struct kn_status put(struct kn_store *s, const char *key, const char *value,
                            int64_t expected, int64_t *rev)
{
    struct kn_write w = {.change = KN_CHANGE_PUT,
                         .key = kn_sv_c(key),
                         .value = kn_sv_c(value),
                         .expected = expected};
    struct kn_status status = kn_store_write(s, &w);
    *rev = w.rev;
    return status;
}

static struct kn_status del(struct kn_store *s, const char *key, int64_t expected, int64_t *rev)
{
    struct kn_write w = {.change = KN_CHANGE_DELETE, .key = kn_sv_c(key), .expected = expected};
    struct kn_status status = kn_store_write(s, &w);
    *rev = w.rev;
    return status;
}

static bool note_kv(void *arg, const struct kn_kv *kv)
{
    kn_buf_addf(arg, "%.*s=%.*s@%lld,%lld;", KN_SV_ARG(kv->key), KN_SV_ARG(kv->value),
                (long long)kv->create_rev, (long long)kv->mod_rev);
    return true;
}

static void range_is(struct kn_store *s, const char *from, const char *to, int64_t rev,
                     size_t limit, const char *want, bool want_more)
{
    struct kn_buf out = KN_BUF(1 << 16);
    bool more;
    ktest_ok(kn_store_range(s, kn_sv_c(from), kn_sv_c(to), rev, limit, note_kv, &out, NULL, &more));
    ktest_eq_str(kn_buf_cstr(&out), want);
    ktest_eq_int(more, want_more);
    kn_buf_done(&out);
}

SUITE(a_write_names_the_revision_that_it_expects)
{
    int64_t r1, r2, r;
    ktest_ok(put(STORE, "a", "1", 0, &r1));
    ktest_fails(put(STORE, "a", "2", 0, &r), CONFLICT, "revision 1");
    ktest_eq_int(r, r1);
    ktest_ok(put(STORE, "a", "2", r1, &r2));
    ktest_eq_int(r2, r1 + 1);
    ktest_fails(put(STORE, "a", "3", r1, &r), CONFLICT, NULL);
    ktest_fails(del(STORE, "a", r1, &r), CONFLICT, NULL);
    ktest_fails(del(STORE, "b", KN_STORE_ANY, &r), CONFLICT, NULL);
    ktest_ok(del(STORE, "a", r2, &r));
    ktest_eq_int(r, r2 + 1);
    struct kn_arena *a = kn_arena_new(0, 1 << 20);
    struct kn_kv kv;
    ktest_fails(kn_store_get(STORE, KN_SV("a"), a, &kv), NOT_FOUND, NULL);
    ktest_ok(put(STORE, "a", "4", 0, &r));
    ktest_ok(kn_store_get(STORE, KN_SV("a"), a, &kv));
    ktest_eq_sv(kv.value, "4");
    ktest_eq_int(kv.create_rev, r);
    kn_arena_free(a);
    char long_key[600];
    memset(long_key, 'k', sizeof long_key - 1);
    long_key[sizeof long_key - 1] = '\0';
    ktest_fails(put(STORE, long_key, "", 0, &r), INVALID, "480 bytes");
}

SUITE(reads_the_past_exactly)
{
    int64_t r;
    ktest_ok(put(STORE, "/a/1", "one", 0, &r));          // 1
    ktest_ok(put(STORE, "/a/2", "two", 0, &r));          // 2
    ktest_ok(put(STORE, "/b/1", "other", 0, &r));        // 3
    ktest_ok(put(STORE, "/a/1", "ONE", KN_STORE_ANY, &r)); // 4
    ktest_ok(del(STORE, "/a/2", KN_STORE_ANY, &r));      // 5
    ktest_ok(put(STORE, "/a/3", "three", 0, &r));        // 6
    ktest_ok(put(STORE, "/a/2", "again", 0, &r));        // 7
    range_is(STORE, "/a/", "/a0", 0, 0, "/a/1=ONE@1,4;/a/2=again@7,7;/a/3=three@6,6;", false);
    range_is(STORE, "/a/", "/a0", 2, 0, "/a/1=one@1,1;/a/2=two@2,2;", false);
    range_is(STORE, "/a/", "/a0", 3, 1, "/a/1=one@1,1;", true);
    range_is(STORE, "/a/", "/a0", 5, 0, "/a/1=ONE@1,4;", false);
    range_is(STORE, "/a/", "/a0", 6, 2, "/a/1=ONE@1,4;/a/3=three@6,6;", false);
    range_is(STORE, "", "", 0, 2, "/a/1=ONE@1,4;/a/2=again@7,7;", true);
    ktest_fails(kn_store_range(STORE, KN_SV("/"), KN_SV_NULL, 99, 0, note_kv, NULL, NULL, NULL),
                INVALID, "future");
    ktest_ok(kn_store_compact(STORE, 4));
    ktest_fails(kn_store_range(STORE, KN_SV("/"), KN_SV_NULL, 3, 0, note_kv, NULL, NULL, NULL),
                EXPIRED, "compacted");
    range_is(STORE, "/a/", "/a0", 4, 0, "/a/1=ONE@1,4;/a/2=two@2,2;", false);
}

static bool note_event(void *arg, const struct kn_store_event *e)
{
    kn_buf_addf(arg, "%s%lld %.*s=%.*s<%lld;", e->change == KN_CHANGE_PUT ? "+" : "-",
                (long long)e->rev, KN_SV_ARG(e->key), KN_SV_ARG(e->value), (long long)e->prev_rev);
    return true;
}

static void observe_event(void *arg, const struct kn_store_event *e)
{
    note_event(arg, e);
}

SUITE(tells_every_change_once_and_in_order)
{
    struct kn_buf seen = KN_BUF(1 << 16), again = KN_BUF(1 << 16);
    int64_t r;
    ktest_ok(kn_store_observe(STORE, observe_event, &seen));
    ktest_ok(put(STORE, "/x/1", "a", 0, &r));
    ktest_fails(put(STORE, "/x/1", "a", 0, &r), CONFLICT, NULL);
    ktest_ok(put(STORE, "/x/1", "b", 1, &r));
    ktest_ok(put(STORE, "/y/1", "c", 0, &r));
    ktest_ok(del(STORE, "/x/1", 2, &r));
    const char *want = "+1 /x/1=a<0;+2 /x/1=b<1;+3 /y/1=c<0;-4 /x/1=b<2;";
    ktest_eq_str(kn_buf_cstr(&seen), want);
    ktest_ok(kn_store_replay(STORE, KN_SV_NULL, KN_SV_NULL, 0, note_event, &again));
    ktest_eq_str(kn_buf_cstr(&again), want);
    kn_buf_clear(&again);
    ktest_ok(kn_store_replay(STORE, KN_SV("/x/"), KN_SV("/x0"), 1, note_event, &again));
    ktest_eq_str(kn_buf_cstr(&again), "+2 /x/1=b<1;-4 /x/1=b<2;");
    ktest_ok(kn_store_compact(STORE, 2));
    ktest_fails(kn_store_replay(STORE, KN_SV_NULL, KN_SV_NULL, 1, note_event, &again), EXPIRED,
                NULL);
    kn_buf_done(&seen);
    kn_buf_done(&again);
}

#define WRITERS 8
#define WRITES 200

struct counter {
    struct kn_store *store;
    int64_t wins;
};

static void *compete(void *arg)
{
    struct counter *c = arg;
    for (int i = 0; i < WRITES; i++) {
        int64_t rev, got;
        struct kn_status s = put(c->store, "shared", "x", KN_STORE_ANY, &rev);
        kn_assert(kn_ok(s));
        s = put(c->store, "shared", "y", rev, &got); // somebody else may have been faster
        c->wins += kn_ok(s);
        kn_status_done(&s);
    }
    return NULL;
}

struct order {
    int64_t last;
    int64_t count;
    bool broken;
};

static void check_order(void *arg, const struct kn_store_event *e)
{
    struct order *o = arg;
    o->broken = o->broken || e->rev != o->last + 1 || e->prev_rev != o->last;
    o->last = e->rev;
    o->count++;
}

SUITE(competing_writers_get_one_order_without_gaps)
{
    struct order order = {0};
    ktest_ok(kn_store_observe(STORE, check_order, &order));
    pthread_t threads[WRITERS];
    struct counter counters[WRITERS];
    int64_t wins = 0;
    for (int i = 0; i < WRITERS; i++) {
        counters[i] = (struct counter){STORE, 0};
        pthread_create(&threads[i], NULL, compete, &counters[i]);
    }
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
        wins += counters[i].wins;
    }
    ktest_true(!order.broken);
    ktest_eq_int(order.count, WRITERS * WRITES + wins);
}

SUITE(keeps_everything_when_it_is_opened_again)
{
    struct fixture *f = *state;
    int64_t r;
    ktest_ok(put(STORE, "k", "v1", 0, &r));
    ktest_ok(put(STORE, "k", "v2", 1, &r));
    struct kn_store *second;
    ktest_fails(kn_store_lmdb_open(f->folder, &second), CONFLICT, "in use by another process");
    kn_store_close(STORE);
    f->store = NULL;
    ktest_ok(open_store(f));
    range_is(STORE, "", "", 0, 0, "k=v2@1,2;", false);
    range_is(STORE, "", "", 1, 0, "k=v1@1,1;", false);
    ktest_ok(put(STORE, "k", "v3", 2, &r));
    ktest_eq_int(r, 3);
}

#define CASE_OF(kind, test) {kind ": " #test, test, set_up, tear_down, (void *)(uintptr_t)kind}
#define CASES(kind)                                                                                \
    CASE_OF(kind, a_write_names_the_revision_that_it_expects),                                     \
        CASE_OF(kind, reads_the_past_exactly),                                                     \
        CASE_OF(kind, tells_every_change_once_and_in_order),                                       \
        CASE_OF(kind, competing_writers_get_one_order_without_gaps)

int main(void)
{
    const struct CMUnitTest all[] = {
        CASES("memory"),
        CASES("lmdb"),
        CASE_OF("lmdb", keeps_everything_when_it_is_opened_again), // memory keeps nothing
    };
    return cmocka_run_group_tests_name("store", all, NULL, NULL);
}

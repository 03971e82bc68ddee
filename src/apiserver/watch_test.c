// Watches over HTTPS: nothing is lost, doubled or out of order, however far behind the reader is.
#include "apiserver/testing.h"

#define CM "/api/v1/namespaces/%s/configmaps"

struct watch {
    struct kn_arena *arena;
    struct kn_body *body;
    char buf[65536];
    size_t at, have;
    struct kn_buf line;
};

static void open_watch(struct watch *w, const char *ns, const char *query)
{
    char path[512];
    w->arena = kn_arena_new(0, 4u << 20);
    w->at = w->have = 0;
    w->line = KN_BUF(4u << 20);
    snprintf(path, sizeof path, CM "?watch=1&%s", ns, query);
    struct kn_http_client_req req = {.method = "GET", .url = kn_sv_c(path)};
    struct kn_http_client_resp head;
    ktest_ok(kn_http_open(at_admin, &req, w->arena, &head, &w->body));
    ktest_eq_int(head.status, 200);
}

static void close_watch(struct watch *w)
{
    kn_http_close(w->body);
    kn_buf_done(&w->line);
    kn_arena_free(w->arena);
}

// The next event, in `a`.
static struct kn_json *next(struct watch *w, struct kn_arena *a)
{
    kn_buf_clear(&w->line);
    for (;;) {
        if (w->at == w->have) {
            ktest_ok(
                kn_http_read(w->body, w->buf, sizeof w->buf, kn_mono() + KTEST_PATIENCE, &w->have));
            ktest_true(w->have > 0);
            w->at = 0;
        }
        const char *nl = memchr(w->buf + w->at, '\n', w->have - w->at);
        size_t n = nl ? (size_t)(nl - w->buf) - w->at : w->have - w->at;
        kn_buf_add(&w->line, kn_sv(w->buf + w->at, n));
        w->at += n + (nl != NULL);
        if (nl)
            break;
    }
    struct kn_json *event;
    ktest_ok(kn_json_parse(a, kn_arena_dup(a, kn_buf_sv(&w->line)), NULL, &event));
    return event;
}

// The next event is of this type and of the object with this number in its name.
static void expect_next(struct watch *w, const char *type, const char *name, int number)
{
    struct kn_arena *a = kn_arena_new(0, 8u << 20);
    struct kn_json *e = next(w, a);
    char want[64];
    snprintf(want, sizeof want, "%s-%04d", name, number);
    ktest_eq_sv(kn_json_str(kn_json_get(e, KN_K_type)), type);
    ktest_eq_sv(KN_JSON_STR_AT(e, KN_K_object, KN_K_metadata, KN_K_name), want);
    kn_arena_free(a);
}

static void namespace(const char *name)
{
    char body[128];
    snprintf(body, sizeof body, "{\"metadata\":{\"name\":\"%s\"}}", name);
    at_expect(at_admin, "POST", "/api/v1/namespaces", body, 201, NULL);
}

static void create(const char *ns, const char *name, int number, size_t size)
{
    char path[256];
    snprintf(path, sizeof path, CM, ns);
    struct kn_buf body = KN_BUF(2u << 20);
    kn_buf_addf(&body, "{\"metadata\":{\"name\":\"%s-%04d\"},\"data\":{\"x\":\"", name, number);
    for (size_t i = 0; i < size; i++)
        kn_buf_add_byte(&body, 'x');
    kn_buf_addf(&body, "\"}}%c", 0);
    at_expect(at_admin, "POST", path, body.ptr, 201, NULL);
    kn_buf_done(&body);
}

static void revision(const char *ns, char *out, size_t size)
{
    char path[256];
    snprintf(path, sizeof path, CM "?limit=1", ns);
    struct at_reply r = at_ask(at_admin, "GET", path, "", NULL, NULL);
    struct kn_sv rev = KN_JSON_STR_AT(r.body, KN_K_metadata, KN_K_resourceVersion);
    snprintf(out, size, "resourceVersion=%.*s", KN_SV_ARG(rev));
    kn_arena_free(r.arena);
}

// More than the recent events that are kept in memory, and more than one look into the history.
KTEST(an_old_revision_is_told_from_the_history_without_a_gap)
{
    enum { COUNT = 2300 };
    char since[64];
    struct watch w;
    namespace("old");
    revision("old", since, sizeof since);
    for (int i = 0; i < COUNT; i++)
        create("old", "c", i, 1);
    open_watch(&w, "old", since);
    create("old", "c", COUNT, 1); // while the history is read
    for (int i = 0; i <= COUNT; i++)
        expect_next(&w, "ADDED", "c", i);
    close_watch(&w);
}

// Nothing of this namespace lies between the watch and the recent events.
KTEST(a_history_of_others_tells_nothing_and_loses_nothing)
{
    char since[64];
    struct watch w;
    namespace("quiet");
    namespace("loud");
    revision("quiet", since, sizeof since);
    for (int i = 0; i < 400; i++)
        create("loud", "c", i, 1);
    open_watch(&w, "quiet", since);
    create("quiet", "c", 0, 1);
    expect_next(&w, "ADDED", "c", 0);
    close_watch(&w);
}

// What is there and what comes are more than any buffer takes; the reader looks only at the end.
KTEST(a_reader_who_is_slow_is_told_everything_later)
{
    enum { COUNT = 60, SIZE = 400000 };
    struct watch w;
    namespace("slow");
    for (int i = 0; i < COUNT; i++)
        create("slow", "c", i, SIZE);
    open_watch(&w, "slow", "");
    for (int i = 0; i < COUNT; i++)
        create("slow", "d", i, SIZE);
    for (int i = 0; i < COUNT; i++)
        expect_next(&w, "ADDED", "c", i);
    for (int i = 0; i < COUNT; i++)
        expect_next(&w, "ADDED", "d", i);
    close_watch(&w);
}

// Telling many watchers is held back while it is expensive: nothing is lost by that.
KTEST(many_watchers_are_each_told_every_change_in_order)
{
    enum { WATCHERS = 60, CHANGES = 50 };
    struct watch *all = kn_calloc(WATCHERS, sizeof *all);
    char since[64];
    namespace("many");
    revision("many", since, sizeof since);
    for (int i = 0; i < WATCHERS; i++)
        open_watch(&all[i], "many", since);
    for (int i = 0; i < CHANGES; i++)
        create("many", "c", i, 100);
    for (int i = 0; i < WATCHERS; i++) {
        for (int n = 0; n < CHANGES; n++)
            expect_next(&all[i], "ADDED", "c", n);
        close_watch(&all[i]);
    }
    free(all);
}

// Who goes away while a worker still reads the history for him harms nobody.
KTEST(readers_go_away_in_the_middle)
{
    struct watch w;
    char since[64], query[128];
    namespace("away");
    revision("away", since, sizeof since);
    for (int i = 0; i < 300; i++)
        create("away", "c", i, 2000);
    for (int i = 0; i < 50; i++) {
        snprintf(query, sizeof query, "%s%s", since, i % 2 ? "" : "&timeoutSeconds=1");
        open_watch(&w, "away", query);
        close_watch(&w);
    }
    open_watch(&w, "away", since);
    for (int i = 0; i < 300; i++)
        expect_next(&w, "ADDED", "c", i);
    close_watch(&w);
}

// A list of the past counts what it does not show.
KTEST(pages_of_the_past_count_what_is_left)
{
    char path[512];
    namespace("pages");
    for (int i = 0; i < 25; i++)
        create("pages", "c", i, 1);
    snprintf(path, sizeof path, CM "?limit=10", "pages");
    struct at_reply r = at_ask(at_admin, "GET", path, "", NULL, NULL);
    struct kn_sv token = KN_JSON_STR_AT(r.body, KN_K_metadata, KN_K_continue);
    create("pages", "d", 0, 1); // after the first page
    snprintf(path, sizeof path, CM "?limit=10&continue=%.*s", "pages", KN_SV_ARG(token));
    struct at_reply p = at_ask(at_admin, "GET", path, "", NULL, NULL);
    ktest_eq_int(kn_json_len(kn_json_get(p.body, KN_K_items)), 10);
    ktest_eq_int(kn_json_int(KN_JSON_AT(p.body, KN_K_metadata, KN_K_remainingItemCount), 0), 5);
    kn_arena_free(r.arena);
    kn_arena_free(p.arena);
}

AT_MAIN(KTEST_CASE(an_old_revision_is_told_from_the_history_without_a_gap),
        KTEST_CASE(a_history_of_others_tells_nothing_and_loses_nothing),
        KTEST_CASE(a_reader_who_is_slow_is_told_everything_later),
        KTEST_CASE(many_watchers_are_each_told_every_change_in_order),
        KTEST_CASE(readers_go_away_in_the_middle),
        KTEST_CASE(pages_of_the_past_count_what_is_left))

#include "apiserver/testing.h"

struct test_api at_api;
struct kn_http_client *at_admin;

static int set_up(void **state)
{
    (void)state;
    struct kn_status s = test_api_start(NULL, &at_api);
    if (kn_ok(s))
        s = test_api_client(&at_api, "admin", "system:masters", &at_admin);
    if (!kn_ok(s))
        print_error("%s\n", kn_status_text(&s));
    return kn_ok(s) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    kn_http_client_free(at_admin);
    test_api_stop(&at_api);
    return 0;
}

int at_main(const char *name, const struct CMUnitTest *tests, size_t len)
{
    return _cmocka_run_group_tests(name, tests, len, set_up, tear_down);
}

struct kn_http_client *at_client(const char *user, const char *group)
{
    struct kn_http_client *c;
    ktest_ok(test_api_client(&at_api, user, group, &c));
    return c;
}

struct at_reply at_ask(struct kn_http_client *c, const char *method, const char *path,
                       const char *type, const char *headers, const char *body)
{
    struct at_reply r = {.arena = kn_arena_new(0, 64u << 20)};
    struct kn_http_header list[16] = {{KN_SV("Content-Type"), kn_sv_c(type)},
                                      {KN_SV("Accept"), KN_SV("application/json")}};
    size_t n = 2;
    struct kn_sv rest = kn_sv_c(headers);
    while (rest.len && n < KN_ARRAY_LEN(list)) {
        struct kn_sv line = kn_sv_cut(&rest, '\n'), name = kn_sv_cut(&line, ':');
        list[n++] = (struct kn_http_header){name, kn_sv_trim(line)};
    }
    struct kn_http_client_req req = {.method = method,
                                     .url = kn_sv_c(path),
                                     .headers = list,
                                     .headers_len = n,
                                     .body = kn_sv_c(body),
                                     .deadline = kn_mono() + 20 * KN_SECOND};
    ktest_ok(kn_http_call(c, &req, 32u << 20, r.arena, &r.resp));
    r.status = r.resp.status;
    KN_IGNORE(kn_json_parse(r.arena, r.resp.body, NULL, &r.body));
    return r;
}

static void check(struct at_reply *r, const char *method, const char *path, int status,
                  const char *part)
{
    bool good = r->status == status && (!part || kn_sv_search(r->resp.body, kn_sv_c(part)) >= 0);
    if (!good)
        print_error("%s %s: %d, wanted %d with %s: %.*s\n", method, path, r->status, status,
                    part ? part : "", KN_SV_ARG(kn_sv_first(r->resp.body, 4000)));
    kn_arena_free(r->arena);
    ktest_true(good);
}

void at_expect(struct kn_http_client *c, const char *method, const char *path, const char *body,
               int status, const char *part)
{
    at_expect_type(c, method, path, "application/json", body, status, part);
}

void at_expect_type(struct kn_http_client *c, const char *method, const char *path,
                    const char *type, const char *body, int status, const char *part)
{
    struct at_reply r = at_ask(c, method, path, type, NULL, body);
    check(&r, method, path, status, part);
}

void at_expect_with(struct kn_http_client *c, const char *path, const char *headers, int status,
                    const char *part)
{
    struct at_reply r = at_ask(c, "GET", path, "application/json", headers, NULL);
    check(&r, "GET", path, status, part);
}

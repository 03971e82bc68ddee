// What the tests of the API server stand on: a real server on loopback with a store in memory, and
// short words for what a client asks. Only linked into tests.
#pragma once
#include "codec/json.h"
#include "lib/ktest.h"
#include "lib/test_api.h"

// Of the running test program; made by at_main. The admin is of system:masters.
extern struct test_api at_api;
extern struct kn_http_client *at_admin;

// Starts the server, runs the tests, stops it.
int at_main(const char *name, const struct CMUnitTest *tests, size_t len);
#define AT_MAIN(...)                                                                               \
    int main(void)                                                                                 \
    {                                                                                              \
        const struct CMUnitTest tests[] = {__VA_ARGS__};                                           \
        return at_main(__FILE__, tests, sizeof tests / sizeof tests[0]);                           \
    }

// A client with a certificate for this user (user NULL: none) and group (or NULL).
struct kn_http_client *at_client(const char *user, const char *group);

struct at_reply {
    struct kn_arena *arena; // the caller frees it
    int status;
    struct kn_json *body; // NULL if it is no JSON
    struct kn_http_client_resp resp;
};
// headers: NULL, or a line of "Name: value" for each header more.
struct at_reply at_ask(struct kn_http_client *c, const char *method, const char *path,
                       const char *type, const char *headers, const char *body);
// Fails the test, and shows what came, unless the answer has this status and this part (or NULL).
void at_expect(struct kn_http_client *c, const char *method, const char *path, const char *body,
               int status, const char *part);
// The same with a Content-Type.
void at_expect_type(struct kn_http_client *c, const char *method, const char *path,
                    const char *type, const char *body, int status, const char *part);
// The same for a GET with more headers.
void at_expect_with(struct kn_http_client *c, const char *path, const char *headers, int status,
                    const char *part);

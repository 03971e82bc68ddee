// What the tests of controllers stand on: a real API server with all controllers, and short words
// for what a user does. Nobody runs the pods: the tests stand in for the node agent. Only linked
// into tests.
#pragma once
#include "controllers/common.h"
#include "lib/ktest.h"

// Of the running test program; made by ct_main.
extern struct kn_client *ct_admin;
extern struct kn_arena *ct_arena;

// Starts everything, runs the tests, stops everything: with the controllers in the server's
// process, or, when the program is called with the argument `https`, with controllers that reach it
// that way.
int ct_main(int argc, char **argv, const char *name, const struct CMUnitTest *tests, size_t len);
#define CT_MAIN(...)                                                                               \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        const struct CMUnitTest tests[] = {__VA_ARGS__};                                           \
        return ct_main(argc, argv, __FILE__, tests, sizeof tests / sizeof tests[0]);               \
    }

struct kn_json *ct_parse(struct kn_sv text);
void ct_make(const struct kn_resource *r, const char *ns, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// A copy in the test's arena; NULL if it is not there.
const struct kn_json *ct_get(const struct kn_resource *r, const char *ns, const char *name);
// Waits until the controllers know of it. Over HTTPS they hear of each kind by a watch of its own,
// and of two kinds in any order.
void ct_settle(const struct kn_resource *r, const char *ns, const char *name);
size_t ct_count(const struct kn_resource *r, const char *ns, const char *selector);
void ct_patch(const struct kn_resource *r, const char *ns, const char *name, const char *sub,
              const char *text);
void ct_delete(const struct kn_resource *r, const char *ns, const char *name, const char *how);
void ct_namespace(const char *name); // waits until pods can be made in it
// What the agent says of pods that run and are ready: all of the namespace that are not yet.
void ct_run_pods(const char *ns);
void ct_bind_pods(const char *ns, const char *node);
int64_t ct_status(const struct kn_resource *r, const char *ns, const char *name, enum kn_atom what);
// The status is of the present generation.
bool ct_observed(const struct kn_resource *r, const char *ns, const char *name);

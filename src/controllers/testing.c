#include "controllers/testing.h"

#include "base/log.h"
#include "controllers/controllers.h"
#include "lib/test_api.h"

static struct test_api api;
static struct kn_client *reader; // of the controllers, when they are over HTTPS
struct kn_client *ct_admin;
struct kn_arena *ct_arena;

struct kn_json *ct_parse(struct kn_sv text)
{
    struct kn_json *v;
    ktest_ok(kn_json_parse(ct_arena, text, NULL, &v));
    return v;
}

void ct_make(const struct kn_resource *r, const char *ns, const char *format, ...)
{
    struct kn_buf text = KN_BUF(1 << 16);
    va_list args;
    va_start(args, format);
    kn_buf_vaddf(&text, format, args);
    va_end(args);
    ktest_ok(kn_client_create(ct_admin, r, kn_sv_c(ns), KN_SV_NULL, NULL,
                              ct_parse(kn_arena_dup(ct_arena, kn_buf_sv(&text))), NULL));
    kn_buf_done(&text);
}

// A copy in the test's ct_arena; NULL if it is not there.
const struct kn_json *ct_get(const struct kn_resource *r, const char *ns, const char *name)
{
    const struct kn_obj *o = NULL;
    struct kn_status s = kn_client_get(ct_admin, r, kn_sv_c(ns), kn_sv_c(name), &o);
    const struct kn_json *v = kn_ok(s) ? kn_json_copy(ct_arena, o->root) : NULL;
    kn_status_done(&s);
    kn_obj_unref(o);
    return v;
}

static bool is_in(struct kn_cache *cache, const char *ns, const char *name)
{
    const struct kn_obj *o = kn_cache_get(cache, kn_sv_c(ns), kn_sv_c(name));
    kn_obj_unref(o);
    return o != NULL;
}

void ct_settle(const struct kn_resource *r, const char *ns, const char *name)
{
    struct kn_cache *cache;
    if (!reader)
        return;
    ktest_ok(kn_client_cache(reader, r, NULL, kn_mono() + KTEST_PATIENCE, &cache));
    ktest_until(is_in(cache, ns, name));
}

size_t ct_count(const struct kn_resource *r, const char *ns, const char *selector)
{
    struct kn_obj_list l;
    ktest_ok(kn_client_list(
        ct_admin, r,
        &(struct kn_list_options){.ns = kn_sv_c(ns), .label_selector = kn_sv_c(selector)}, &l));
    size_t n = l.len;
    kn_obj_list_done(&l);
    return n;
}

void ct_patch(const struct kn_resource *r, const char *ns, const char *name, const char *sub,
              const char *text)
{
    ktest_ok(kn_client_patch(ct_admin, r, kn_sv_c(ns), kn_sv_c(name), sub, KN_PATCH_MERGE,
                             kn_sv_c(text), NULL));
}

void ct_delete(const struct kn_resource *r, const char *ns, const char *name, const char *how)
{
    ktest_ok(
        kn_client_delete(ct_admin, r, kn_sv_c(ns), kn_sv_c(name),
                         &(struct kn_delete_options){.grace_seconds = -1, .propagation = how}));
}

void ct_namespace(const char *name)
{
    ct_make(kn_core("namespaces"), "", "{\"metadata\":{\"name\":\"%s\"}}", name);
    ktest_until(ct_get(kn_core("serviceaccounts"), name, "default"));
}

// What the agent says of a pod that runs and is ready.
void ct_run_pods(const char *ns)
{
    struct kn_obj_list l;
    static int address;
    ktest_ok(kn_client_list(ct_admin, kn_core("pods"), &(struct kn_list_options){.ns = kn_sv_c(ns)},
                            &l));
    for (size_t i = 0; i < l.len; i++) {
        if (kn_pod_ready(l.items[i]) || l.items[i]->deleting)
            continue;
        struct kn_sv text = kn_arena_printf(
            ct_arena,
            "{\"status\":{\"phase\":\"Running\",\"podIP\":\"10.0.0.%d\",\"podIPs\":[{\"ip\":\"10.0."
            "0.%d\"}],"
            "\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\",\"lastTransitionTime\":"
            "\"2026-01-01T00:00:00Z\"}]}}",
            address % 250 + 1, address % 250 + 1);
        address++;
        struct kn_status s =
            kn_client_patch(ct_admin, kn_core("pods"), l.items[i]->ns, l.items[i]->name, "status",
                            KN_PATCH_MERGE, text, NULL);
        ktest_true(kn_ok(s) || s.code == KN_NOT_FOUND); // a roll may take it away meanwhile
        kn_status_done(&s);
    }
    kn_obj_list_done(&l);
}

void ct_bind_pods(const char *ns, const char *node)
{
    struct kn_obj_list l;
    ktest_ok(kn_client_list(ct_admin, kn_core("pods"), &(struct kn_list_options){.ns = kn_sv_c(ns)},
                            &l));
    struct kn_sv binding =
        kn_arena_printf(ct_arena, "{\"target\":{\"kind\":\"Node\",\"name\":\"%s\"}}", node);
    for (size_t i = 0; i < l.len; i++)
        ktest_ok(kn_client_create(ct_admin, kn_core("pods"), l.items[i]->ns, l.items[i]->name,
                                  "binding", ct_parse(binding), NULL));
    kn_obj_list_done(&l);
}

int64_t ct_status(const struct kn_resource *r, const char *ns, const char *name, enum kn_atom what)
{
    return kn_json_int(KN_JSON_AT(ct_get(r, ns, name), KN_K_status, what), 0);
}

bool ct_observed(const struct kn_resource *r, const char *ns, const char *name)
{
    const struct kn_json *o = ct_get(r, ns, name);
    return o && kn_json_int(KN_JSON_AT(o, KN_K_metadata, KN_K_generation), 0) ==
                    kn_json_int(KN_JSON_AT(o, KN_K_status, KN_K_observedGeneration), 0);
}

// The clients of the controllers: calls of the server in this process, or HTTPS.
static struct kn_status open_local(void *arg, const char *account, struct kn_client **ret)
{
    static const char *const groups[] = {"system:serviceaccounts",
                                         "system:serviceaccounts:kube-system", NULL};
    char user[256];
    (void)arg;
    snprintf(user, sizeof user, "system:serviceaccount:kube-system:%s", account ? account : "");
    return kn_apiserver_local(api.server, account ? user : "system:kube-controller-manager",
                              account ? groups : groups + 2, ret);
}

// A certificate's name is too short for some accounts: these may do everything.
static struct kn_status open_remote(void *arg, const char *account, struct kn_client **ret)
{
    (void)arg;
    KN_TRY(test_api_remote(&api, "controllers", "system:masters", ret));
    if (account)
        kn_remote_share(*ret, reader);
    else
        reader = *ret; // is opened first
    return KN_STATUS_OK;
}

static struct kn_status begin(bool remote, struct kn_controllers **ret)
{
    static const char *const masters[] = {"system:masters", NULL};
    struct kn_controllers_config config = {
        .open = remote ? open_remote : open_local, .ca_pem = KN_SV("the authority")};
    KN_TRY(test_api_start(NULL, &api));
    KN_TRY(kn_apiserver_local(api.server, "admin", masters, &ct_admin));
    return kn_controllers_start(&config, ret);
}

static int run(bool remote, const char *name, const struct CMUnitTest *tests, size_t len)
{
    struct kn_controllers *controllers = NULL;
    ct_arena = kn_arena_new(1 << 16, (size_t)1 << 30);
    struct kn_status s = begin(remote, &controllers);
    if (!kn_ok(s)) {
        fprintf(stderr, "%s\n", kn_status_text(&s));
        return 1;
    }
    int failed = _cmocka_run_group_tests(name, tests, len, NULL, NULL);
    kn_controllers_stop(controllers);
    kn_client_close(ct_admin);
    test_api_stop(&api);
    kn_arena_free(ct_arena);
    return failed;
}

int ct_main(int argc, char **argv, const char *name, const struct CMUnitTest *tests, size_t len)
{
    kn_log_init("test", KN_LOG_ERROR);
    return run(argc > 1 && strcmp(argv[1], "https") == 0, name, tests, len);
}

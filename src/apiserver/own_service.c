// The service `kubernetes` in `default`, by which pods find this server, and its endpoints: they
// are as the server's address demands, and become so again when somebody changes or deletes them.
#include "apiserver/alloc.h"
#include "apiserver/internal.h"
#include "client/controller.h"
#include "meta/patch.h"

struct kn_own_service {
    struct kn_apiserver *server;
    struct kn_client *client;
    struct kn_controller *controller; // one key
};

static const struct {
    const char *group, *plural;
} kinds[] = {{"", "services"}, {"", "endpoints"}, {"discovery.k8s.io", "endpointslices"}};

static const struct kn_resource *resource_of(size_t i)
{
    return kn_resource_find(kn_sv_c(kinds[i].group), KN_SV("v1"), kn_sv_c(kinds[i].plural));
}

// -- what they should be --------------------------------------------------------------------------

static void add_service(struct kn_apiserver *s, struct kn_buf *out)
{
    char ip[16];
    kn_alloc_first_ip(s->alloc, ip);
    kn_buf_addf(
        out,
        "{\"kind\":\"Service\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"kubernetes\","
        "\"namespace\":\"default\",\"labels\":{\"component\":\"apiserver\",\"provider\":"
        "\"kubernetes\"}},\"spec\":{\"ports\":[{\"name\":\"https\",\"protocol\":\"TCP\","
        "\"port\":443,"
        "\"targetPort\":%u}],\"clusterIP\":\"%s\",\"clusterIPs\":[\"%s\"],\"type\":\"ClusterIP\","
        "\"selector\":null,\"externalIPs\":null,\"sessionAffinity\":\"None\"}}",
        s->config.advertise_port, ip, ip);
}

static void add_endpoints(struct kn_apiserver *s, struct kn_buf *out)
{
    kn_buf_addf(
        out,
        "{\"kind\":\"Endpoints\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"kubernetes\","
        "\"namespace\":\"default\",\"labels\":{\"endpointslice.kubernetes.io/skip-mirror\":"
        "\"true\"}},\"subsets\":[{\"addresses\":[{\"ip\":\"%s\"}],\"ports\":[{\"name\":\"https\","
        "\"port\":%u,\"protocol\":\"TCP\"}]}]}",
        s->config.advertise_address, s->config.advertise_port);
}

static void add_slice(struct kn_apiserver *s, struct kn_buf *out)
{
    kn_buf_addf(
        out,
        "{\"kind\":\"EndpointSlice\",\"apiVersion\":\"discovery.k8s.io/v1\",\"metadata\":{\"name\":"
        "\"kubernetes\",\"namespace\":\"default\",\"labels\":{\"kubernetes.io/service-name\":"
        "\"kubernetes\"}},\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":[\"%s\"],"
        "\"conditions\":{\"ready\":true}}],\"ports\":[{\"name\":\"https\",\"port\":%u,\"protocol\":"
        "\"TCP\"}]}",
        s->config.advertise_address, s->config.advertise_port);
}

static struct kn_status wanted(struct kn_apiserver *s, size_t i, struct kn_arena *a,
                               struct kn_json **ret)
{
    static void (*const add[])(struct kn_apiserver *, struct kn_buf *) = {add_service,
                                                                          add_endpoints, add_slice};
    struct kn_buf text = KN_BUF(8192);
    add[i](s, &text);
    struct kn_sv own = kn_arena_dup(a, kn_buf_sv(&text));
    kn_buf_done(&text);
    return kn_json_parse(a, own, NULL, ret);
}

// -- making them so -------------------------------------------------------------------------------

// Only what is stated is put right: labels and annotations of others stay.
static struct kn_status repair(struct kn_own_service *o, size_t i, struct kn_arena *a,
                               const struct kn_obj *now)
{
    const struct kn_resource *r = resource_of(i);
    struct kn_sv ns = KN_SV("default"), name = KN_SV("kubernetes");
    struct kn_json *want;
    KN_TRY(wanted(o->server, i, a, &want));
    if (!now)
        return kn_client_create(o->client, r, ns, name, NULL, want, NULL);
    struct kn_sv ip = KN_JSON_STR_AT(want, KN_K_spec, KN_K_clusterIP);
    if (!kn_sv_eq(ip, KN_JSON_STR_AT(now->root, KN_K_spec, KN_K_clusterIP))) {
        // an address cannot be changed: the next event, the deletion's, makes it anew
        struct kn_delete_options options = {.grace_seconds = -1, .uid = now->uid};
        return kn_client_delete(o->client, r, ns, name, &options);
    }
    struct kn_json *obj = kn_json_copy_shallow_text(a, now->root);
    KN_TRY(kn_patch_merge(a, obj, want));
    if (kn_json_equal(obj, now->root))
        return KN_STATUS_OK;
    struct kn_status s = kn_client_update(o->client, r, ns, name, NULL, obj, NULL);
    if (s.code != KN_INVALID)
        return s;
    // something else in it contradicts what it must be: it is made anew by the deletion's event
    kn_status_done(&s);
    struct kn_delete_options options = {.grace_seconds = -1, .uid = now->uid};
    return kn_client_delete(o->client, r, ns, name, &options);
}

static struct kn_status reconcile(void *ctx, struct kn_sv key __attribute__((unused)),
                                  int64_t *ret_after __attribute__((unused)))
{
    struct kn_own_service *o = ctx;
    // a machine without a network: no pod reaches its loopback, and no endpoint may be there
    bool alone = kn_sv_starts(kn_sv_c(o->server->config.advertise_address), KN_SV("127."));
    struct kn_status s = KN_STATUS_OK;
    for (size_t i = 0; kn_ok(s) && i < (alone ? 1 : KN_ARRAY_LEN(kinds)); i++) {
        struct kn_arena *a = kn_arena_new(8192, 16u << 20);
        const struct kn_obj *now = kn_cache_get(kn_rest_find(o->server, resource_of(i))->cache,
                                                KN_SV("default"), KN_SV("kubernetes"));
        s = kn_wrap(repair(o, i, a, now), "%s kubernetes", kinds[i].plural);
        kn_obj_unref(now);
        kn_arena_free(a);
    }
    return s;
}

static void on_change(void *arg, enum kn_event_type type __attribute__((unused)),
                      const struct kn_obj *obj, const struct kn_obj *old __attribute__((unused)))
{
    struct kn_own_service *o = arg;
    if (kn_sv_is(obj->name, "kubernetes") && kn_sv_is(obj->ns, "default"))
        kn_controller_add(o->controller, KN_SV("kubernetes"));
}

struct kn_status kn_own_service_start(struct kn_apiserver *s)
{
    static const char *const groups[] = {"system:masters", NULL};
    struct kn_own_service *o = KN_NEW(struct kn_own_service);
    *o = (struct kn_own_service){.server = s};
    s->own_service = o;
    struct kn_controller_spec spec = {.name = "own-service", .reconcile = reconcile, .ctx = o};
    o->controller = kn_controller_new(&spec);
    for (size_t i = 0; i < KN_ARRAY_LEN(kinds); i++)
        kn_cache_subscribe(kn_rest_find(s, resource_of(i))->cache, on_change, o, false);
    KN_TRY(kn_apiserver_local(s, "system:apiserver", groups, &o->client));
    // What somebody has made of the service must not keep the server from starting: who could put
    // it right then?
    if (!kn_log_status(KN_LOG_ERROR, reconcile(o, KN_SV_NULL, NULL), "the service of this server"))
        kn_controller_add(o->controller, KN_SV("kubernetes"));
    return kn_controller_start(o->controller);
}

void kn_own_service_stop(struct kn_apiserver *s)
{
    struct kn_own_service *o = s->own_service;
    if (!o)
        return;
    for (size_t i = 0; i < KN_ARRAY_LEN(kinds); i++)
        kn_cache_unsubscribe(kn_rest_find(s, resource_of(i))->cache, on_change, o);
    kn_controller_stop(o->controller);
    kn_controller_free(o->controller);
    kn_client_close(o->client);
    free(o);
    s->own_service = NULL;
}

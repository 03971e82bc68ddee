// What a new cluster begins with: namespaces, roles and their bindings (schema/bootstrap.jsonl, built
// in), and the kubernetes service with its endpoints, which follow the server's own address.
#include "apiserver/alloc.h"
#include "apiserver/bootstrap_data.h"
#include "apiserver/internal.h"

struct boot {
    struct kn_client *client;
    struct kn_arena *arena;
};

static struct kn_status create_missing(struct boot *b, const struct kn_json *o)
{
    const struct kn_resource *r =
        kn_resource_find_api(kn_json_str(kn_json_get(o, KN_K_apiVersion)),
                             kn_json_str(kn_json_get(o, KN_K_kind)));
    struct kn_sv name = KN_JSON_STR_AT(o, KN_K_metadata, KN_K_name);
    struct kn_sv ns = KN_JSON_STR_AT(o, KN_K_metadata, KN_K_namespace);
    if (!r || !r->served)
        return KN_STATUS_OK; // of a group that is not served yet
    struct kn_status s = kn_client_get(b->client, r, ns, name, NULL);
    if (s.code == KN_NOT_FOUND) {
        kn_status_done(&s);
        s = kn_client_create(b->client, r, ns, name, NULL, o, NULL);
    }
    return kn_wrap(s, "%.*s %.*s", KN_SV_ARG(r->plural), KN_SV_ARG(name));
}

static struct kn_status create_defaults(struct boot *b)
{
    struct kn_sv rest = kn_sv((const char *)kn_bootstrap_data, kn_bootstrap_data_len);
    while (rest.len) {
        struct kn_sv line = kn_sv_cut(&rest, '\n');
        struct kn_json *o;
        if (line.len == 0)
            continue;
        KN_TRY(kn_json_parse(b->arena, line, NULL, &o));
        KN_TRY(create_missing(b, o));
    }
    return KN_STATUS_OK;
}

static struct kn_status parse_and(struct boot *b, struct kn_buf *text, struct kn_json **ret)
{
    struct kn_sv own = kn_arena_dup(b->arena, kn_buf_sv(text));
    kn_buf_done(text);
    return kn_json_parse(b->arena, own, NULL, ret);
}

// Makes the object what it should be, whatever it was.
static struct kn_status put(struct boot *b, const char *group, const char *version,
                            const char *plural, struct kn_json *o)
{
    const struct kn_resource *r =
        kn_resource_find(kn_sv_c(group), kn_sv_c(version), kn_sv_c(plural));
    struct kn_sv name = KN_JSON_STR_AT(o, KN_K_metadata, KN_K_name);
    struct kn_status s = kn_client_update(b->client, r, KN_SV("default"), name, NULL, o, NULL);
    if (s.code == KN_NOT_FOUND) {
        kn_status_done(&s);
        s = kn_client_create(b->client, r, KN_SV("default"), name, NULL, o, NULL);
    }
    return kn_wrap(s, "%s %.*s", plural, KN_SV_ARG(name));
}

static struct kn_status own_service(struct kn_apiserver *s, struct boot *b)
{
    char ip[16];
    kn_alloc_first_ip(s->alloc, ip);
    const struct kn_apiserver_config *c = &s->config;
    struct kn_buf text = KN_BUF(8192);
    kn_buf_addf(&text,
                "{\"kind\":\"Service\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"kubernetes\","
                "\"namespace\":\"default\",\"labels\":{\"component\":\"apiserver\",\"provider\":"
                "\"kubernetes\"}},\"spec\":{\"ports\":[{\"name\":\"https\",\"protocol\":\"TCP\",\"port\":443,"
                "\"targetPort\":%u}],\"clusterIP\":\"%s\",\"clusterIPs\":[\"%s\"],\"type\":\"ClusterIP\","
                "\"sessionAffinity\":\"None\"}}", c->advertise_port, ip, ip);
    struct kn_json *o;
    KN_TRY(parse_and(b, &text, &o));
    KN_TRY(put(b, "", "v1", "services", o));
    // a machine without a network: no pod reaches its loopback, and no endpoint may be there
    if (kn_sv_starts(kn_sv_c(c->advertise_address), KN_SV("127.")))
        return KN_STATUS_OK;
    kn_buf_addf(&text,
                "{\"kind\":\"Endpoints\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"kubernetes\","
                "\"namespace\":\"default\",\"labels\":{\"endpointslice.kubernetes.io/skip-mirror\":"
                "\"true\"}},\"subsets\":[{\"addresses\":[{\"ip\":\"%s\"}],\"ports\":[{\"name\":\"https\","
                "\"port\":%u,\"protocol\":\"TCP\"}]}]}", c->advertise_address, c->advertise_port);
    KN_TRY(parse_and(b, &text, &o));
    KN_TRY(put(b, "", "v1", "endpoints", o));
    kn_buf_addf(&text,
                "{\"kind\":\"EndpointSlice\",\"apiVersion\":\"discovery.k8s.io/v1\",\"metadata\":{\"name\":"
                "\"kubernetes\",\"namespace\":\"default\",\"labels\":{\"kubernetes.io/service-name\":"
                "\"kubernetes\"}},\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":[\"%s\"],"
                "\"conditions\":{\"ready\":true}}],\"ports\":[{\"name\":\"https\",\"port\":%u,\"protocol\":"
                "\"TCP\"}]}", c->advertise_address, c->advertise_port);
    KN_TRY(parse_and(b, &text, &o));
    return put(b, "discovery.k8s.io", "v1", "endpointslices", o);
}

struct kn_status kn_bootstrap(struct kn_apiserver *s)
{
    static const char *const groups[] = {"system:masters", NULL};
    struct boot b = {.arena = kn_arena_new(64u << 10, 64u << 20)};
    struct kn_status st = kn_apiserver_local(s, "system:apiserver", groups, &b.client);
    if (kn_ok(st))
        st = create_defaults(&b);
    if (kn_ok(st))
        st = own_service(s, &b);
    kn_client_close(b.client);
    kn_arena_free(b.arena);
    return kn_wrap(st, "write what a new cluster begins with");
}

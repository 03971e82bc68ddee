// What a new cluster begins with: namespaces, roles and their bindings (schema/bootstrap.jsonl,
// built in).
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

struct kn_status kn_bootstrap(struct kn_apiserver *s)
{
    static const char *const groups[] = {"system:masters", NULL};
    struct boot b = {.arena = kn_arena_new(64u << 10, 64u << 20)};
    struct kn_status st = kn_apiserver_local(s, "system:apiserver", groups, &b.client);
    if (kn_ok(st))
        st = create_defaults(&b);
    kn_client_close(b.client);
    kn_arena_free(b.arena);
    return kn_wrap(st, "write what a new cluster begins with");
}

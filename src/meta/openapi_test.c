#include "meta/openapi.h"

#include "base/mem.h"
#include "codec/json.h"
#include "codec/protobuf.h"
#include "lib/ktest.h"

static const struct kn_resource *list[200];

static size_t served(void)
{
    size_t n = 0;
    const struct kn_resource *r;
    for (size_t i = 0; (r = kn_resource_at(i)) != NULL; i++)
        if (r->served)
            list[n++] = r;
    return n;
}

static void check_refs(const struct kn_json *v, const struct kn_json *schemas, struct kn_sv prefix)
{
    const struct kn_json *c, *ref = kn_json_get_sv(v, KN_SV("$ref"));
    if (kn_json_is_string(ref)) {
        struct kn_sv name = kn_json_str(ref);
        ktest_true(kn_sv_starts(name, prefix));
        ktest_true(kn_json_get_sv(schemas, kn_sv_from(name, prefix.len)) != NULL);
    }
    KN_JSON_EACH (c, v)
        check_refs(c, schemas, prefix);
}

KTEST(version_2_is_json_whose_references_exist)
{
    struct kn_arena *a KN_CLEANUP(kn_arena_cleanup) = kn_arena_new(0, 64 << 20);
    struct kn_buf b KN_CLEANUP(kn_buf_done) = KN_BUF(16 << 20);
    struct kn_json *v;
    ktest_ok(kn_openapi_v2(&b, list, served()));
    ktest_ok(kn_json_parse(a, kn_buf_sv(&b), NULL, &v));
    const struct kn_json *definitions = kn_json_get(v, KN_K_definitions);
    check_refs(v, definitions, KN_SV("#/definitions/"));
    const struct kn_json *d = kn_json_get_sv(definitions, KN_SV("io.k8s.api.core.v1.PodSpec"));
    const struct kn_json *c = KN_JSON_AT(d, KN_K_properties, KN_K_containers);
    ktest_eq_sv(kn_json_str(kn_json_get_sv(c, KN_SV("x-kubernetes-patch-merge-key"))), "name");
    ktest_eq_sv(kn_json_str(kn_json_item(kn_json_get(d, KN_K_required), 0)), "containers");
    ktest_true(kn_json_get_sv(kn_json_get(v, KN_K_paths),
                              KN_SV("/apis/apps/v1/namespaces/{namespace}/deployments/{name}")) !=
               NULL);
    ktest_true(kn_json_get_sv(definitions, KN_SV("io.k8s.api.batch.v1.Job")) == NULL);
}

static size_t fields_of(struct kn_sv bytes, uint32_t number, struct kn_sv *ret_last)
{
    struct kn_pb_field f;
    bool bad = false;
    size_t n = 0;
    while (kn_pb_next(&bytes, &f, &bad))
        if (f.number == number) {
            n++;
            *ret_last = f.bytes;
        }
    ktest_true(!bad);
    return n;
}

KTEST(its_protobuf_has_every_definition_and_path)
{
    struct kn_arena *a KN_CLEANUP(kn_arena_cleanup) = kn_arena_new(0, 64 << 20);
    struct kn_buf json KN_CLEANUP(kn_buf_done) = KN_BUF(16 << 20);
    struct kn_buf pb KN_CLEANUP(kn_buf_done) = KN_BUF(16 << 20);
    struct kn_json *v;
    struct kn_sv part, last;
    ktest_ok(kn_openapi_v2(&json, list, served()));
    ktest_ok(kn_json_parse(a, kn_buf_sv(&json), NULL, &v));
    ktest_ok(kn_openapi_v2_proto(&pb, kn_buf_sv(&json)));
    ktest_eq_int(fields_of(kn_buf_sv(&pb), 9, &part), 1);
    ktest_eq_int(fields_of(part, 1, &last), kn_json_len(kn_json_get(v, KN_K_definitions)));
    ktest_eq_int(fields_of(kn_buf_sv(&pb), 8, &part), 1);
    ktest_eq_int(fields_of(part, 2, &last), kn_json_len(kn_json_get(v, KN_K_paths)));
}

KTEST(version_3_has_a_document_for_each_group_and_an_index)
{
    struct kn_arena *a KN_CLEANUP(kn_arena_cleanup) = kn_arena_new(0, 64 << 20);
    struct kn_buf b KN_CLEANUP(kn_buf_done) = KN_BUF(16 << 20);
    struct kn_json *v;
    ktest_ok(kn_openapi_v3(&b, KN_SV("apps"), KN_SV("v1"), list, served()));
    ktest_ok(kn_json_parse(a, kn_buf_sv(&b), NULL, &v));
    check_refs(v, kn_json_get_sv(kn_json_get_sv(v, KN_SV("components")), KN_SV("schemas")),
               KN_SV("#/components/schemas/"));
    kn_buf_clear(&b);
    ktest_fails(kn_openapi_v3(&b, KN_SV("batch"), KN_SV("v1"), list, served()), NOT_FOUND, NULL);
    kn_buf_clear(&b);
    ktest_ok(kn_openapi_v3_index(&b, list, served()));
    ktest_ok(kn_json_parse(a, kn_buf_sv(&b), NULL, &v));
    ktest_true(kn_json_get_sv(kn_json_get(v, KN_K_paths), KN_SV("api/v1")) != NULL);
    ktest_true(kn_json_get_sv(kn_json_get(v, KN_K_paths), KN_SV("apis/apps/v1")) != NULL);
}

KTEST_MAIN(KTEST_CASE(version_2_is_json_whose_references_exist),
           KTEST_CASE(its_protobuf_has_every_definition_and_path),
           KTEST_CASE(version_3_has_a_document_for_each_group_and_an_index))

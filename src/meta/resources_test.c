#include "meta/resources.h"

#include "base/mem.h"
#include "codec/json.h"
#include "lib/ktest.h"
#include "meta/discovery.h"

KTEST(rows_are_found_by_path_and_by_kind)
{
    char text[256];
    const struct kn_resource *r =
        kn_resource_find(KN_SV("apps"), KN_SV("v1"), KN_SV("deployments"));
    ktest_true(r && r->served && r->namespaced && r->hub == r);
    ktest_eq_sv(r->short_names[0], "deploy");
    ktest_eq_sv(kn_resource_api_version(r, text), "apps/v1");
    ktest_eq_sv(kn_resource_prefix(r, text), "/registry/apps/deployments/");
    ktest_eq_sv(kn_resource_sub(r, KN_SV("scale"))->group, "autoscaling");
    const struct kn_resource *old =
        kn_resource_find_api(KN_SV("extensions/v1beta1"), KN_SV("Deployment"));
    ktest_true(old && old->served && old->hub == r);
    r = kn_resource_find_api(KN_SV("v1"), KN_SV("Pod"));
    ktest_eq_sv(kn_resource_prefix(r, text), "/registry/core/pods/");
    ktest_true(r->column_count == 9 && r->selectable_count == 8);
    r = kn_resource_find_api(KN_SV("batch/v1"), KN_SV("Job"));
    ktest_true(r && !r->served);
}

KTEST(every_row_has_a_type_and_a_hub_that_is_its_own)
{
    const struct kn_resource *r;
    for (size_t i = 0; (r = kn_resource_at(i)) != NULL; i++) {
        ktest_true(r->type != NULL);
        ktest_true(kn_sv_eq(kn_type_name(r->type), r->kind));
        ktest_true(r->hub && r->hub->hub == r->hub);
        ktest_true(!r->served || r->hub->served);
        ktest_true(kn_resource_find(r->group, r->version, r->plural) == r);
    }
}

static size_t served(const struct kn_resource **out)
{
    size_t n = 0;
    const struct kn_resource *r;
    for (size_t i = 0; (r = kn_resource_at(i)) != NULL; i++)
        if (r->served)
            out[n++] = r;
    return n;
}

KTEST(discovery_documents_are_json_with_the_served_groups)
{
    const struct kn_resource *list[200];
    size_t n = served(list);
    struct kn_arena *a KN_CLEANUP(kn_arena_cleanup) = kn_arena_new(0, 1 << 22);
    struct kn_buf b KN_CLEANUP(kn_buf_done) = KN_BUF(1 << 20);
    struct kn_json *v;
    ktest_ok(kn_discovery_groups(&b, list, n));
    ktest_ok(kn_json_parse(a, kn_buf_sv(&b), NULL, &v));
    const struct kn_json *apps = kn_json_item(kn_json_get(v, KN_K_groups), 0);
    ktest_eq_sv(KN_JSON_STR_AT(apps, KN_K_preferredVersion, KN_K_groupVersion), "apps/v1");
    ktest_eq_int(kn_json_len(kn_json_get(apps, KN_K_versions)), 3);
    kn_buf_clear(&b);
    ktest_ok(kn_discovery_group(&b, KN_SV("apps"), list, n));
    kn_buf_clear(&b);
    ktest_ok(kn_discovery_resources(&b, KN_SV(""), KN_SV("v1"), list, n));
    ktest_ok(kn_json_parse(a, kn_buf_sv(&b), NULL, &v));
    ktest_true(kn_json_len(kn_json_get(v, KN_K_resources)) > 30);
    kn_buf_clear(&b);
    ktest_fails(kn_discovery_resources(&b, KN_SV("batch"), KN_SV("v1"), list, n), NOT_FOUND, NULL);
    for (int core = 0; core < 2; core++) {
        kn_buf_clear(&b);
        ktest_ok(kn_discovery_aggregated(&b, KN_SV("v2"), core, list, n));
        ktest_ok(kn_json_parse(a, kn_buf_sv(&b), NULL, &v));
        ktest_eq_int(kn_json_len(kn_json_get(v, KN_K_items)), core ? 1 : 8);
    }
    kn_buf_clear(&b);
    kn_discovery_core(&b, KN_SV("10.0.0.1:6443"));
    ktest_ok(kn_json_parse(a, kn_buf_sv(&b), NULL, &v));
}

KTEST_MAIN(KTEST_CASE(rows_are_found_by_path_and_by_kind),
           KTEST_CASE(every_row_has_a_type_and_a_hub_that_is_its_own),
           KTEST_CASE(discovery_documents_are_json_with_the_served_groups))

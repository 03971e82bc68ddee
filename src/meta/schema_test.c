#include "meta/schema.h"

#include "lib/ktest.h"
#include "meta/types.h"

static const struct kn_type *any(const char *group, const char *version, const char *name)
{
    const struct kn_type *t = kn_type_find_any(kn_sv_c(group), kn_sv_c(version), kn_sv_c(name));
    if (!t)
        print_error("no type %s/%s %s\n", group, version, name);
    ktest_true(t != NULL);
    return t;
}

KTEST(finds_kinds_by_group_version_and_name)
{
    const struct kn_type *t = kn_type_find_api(KN_SV("apps/v1"), KN_SV("Deployment"));
    ktest_true(t != NULL);
    ktest_eq_sv(kn_type_name(t), "Deployment");
    ktest_eq_sv(kn_type_group(t), "apps");
    ktest_eq_sv(kn_type_version(t), "v1");
    ktest_eq_sv(kn_type_package(t), "io.k8s.api.apps.v1");
    ktest_true(t == kn_type_at(KN_T_apps_v1_Deployment));
    ktest_true(kn_type_find_api(KN_SV("v1"), KN_SV("Pod")) == kn_type_at(KN_T_core_v1_Pod));
    ktest_true(kn_type_find_api(KN_SV("extensions/v1beta1"), KN_SV("Deployment")) != NULL);
    ktest_true(kn_type_find_api(KN_SV("v1"), KN_SV("PodSpec")) == NULL); // a type, but no kind
    ktest_true(kn_type_find_api(KN_SV("apps/v9"), KN_SV("Deployment")) == NULL);
}

KTEST(finds_the_common_kinds_in_every_group)
{
    const struct kn_type *options = any("meta", "v1", "DeleteOptions");
    ktest_true(kn_type_find_api(KN_SV("v1"), KN_SV("DeleteOptions")) == options);
    ktest_true(kn_type_find_api(KN_SV("apps/v1"), KN_SV("DeleteOptions")) == options);
    ktest_true(kn_type_find_api(KN_SV("v1"), KN_SV("Status")) == any("meta", "v1", "Status"));
}

KTEST(members_are_found_through_inlined_messages)
{
    const struct kn_type *volume = any("core", "v1", "Volume");
    const struct kn_field *f = kn_type_field(volume, KN_K_emptyDir);
    ktest_true(f != NULL);
    ktest_eq_int(f->kind, KN_KIND_OBJECT);
    ktest_eq_sv(kn_type_name(kn_field_type(volume, f)), "EmptyDirVolumeSource");
    ktest_true(kn_type_field(volume, KN_K_spec) == NULL);
    ktest_true(kn_type_field_sv(volume, KN_SV("nothing of the kind")) == NULL);
    const struct kn_field *wire = kn_type_wire_find(volume, 2);
    ktest_true(wire && (wire->flags & KN_FIELD_INLINE));
    const struct kn_type *pod = any("core", "v1", "Pod");
    ktest_true(kn_type_field(pod, KN_K_apiVersion) != NULL);
    ktest_true(kn_type_field(pod, KN_K_kind) != NULL);
}

KTEST(every_member_and_every_number_is_found_again)
{
    const struct kn_type *t;
    size_t types = 0;
    for (; (t = kn_type_at(types)) != NULL; types++) {
        for (size_t i = 0; i < t->member_count; i++) {
            const struct kn_field *f = kn_type_member(t, i);
            ktest_true(kn_type_field(t, (enum kn_atom)f->name) == f);
            ktest_true(i == 0 || kn_type_member(t, i - 1)->name < f->name);
        }
        for (size_t i = 0; i < t->field_count; i++) {
            const struct kn_field *f = kn_type_wire_field(t, i);
            if (f->number)
                ktest_true(kn_type_wire_find(t, f->number) == f);
        }
        ktest_true(kn_type_wire_find(t, 1000) == NULL);
    }
    ktest_eq_int(types, KN_T_COUNT);
    ktest_true(types > 1200);
}

KTEST(knows_what_patches_and_apply_need)
{
    const struct kn_type *spec = any("core", "v1", "PodSpec");
    const struct kn_field *f = kn_type_field(spec, KN_K_containers);
    ktest_true(f->flags & KN_FIELD_MERGE);
    ktest_true(f->flags & KN_FIELD_REQUIRED);
    ktest_true(f->flags & KN_FIELD_LIST_MAP);
    ktest_eq_int(kn_field_merge_key(spec, f), KN_K_name);
    f = kn_type_field(spec, KN_K_volumes);
    ktest_true(f->flags & KN_FIELD_RETAIN_KEYS);
    const struct kn_type *container = any("core", "v1", "Container");
    size_t n;
    const uint16_t *keys =
        kn_field_list_keys(container, kn_type_field(container, KN_K_ports), &n);
    ktest_eq_int(n, 2);
    ktest_eq_int(keys[0], KN_K_containerPort);
    ktest_eq_int(keys[1], KN_K_protocol);
    ktest_eq_int(kn_field_merge_key(container, kn_type_field(container, KN_K_ports)),
                 KN_K_containerPort);
}

KTEST(knows_values_and_defaults)
{
    const struct kn_type *port = any("core", "v1", "ContainerPort");
    const struct kn_field *f = kn_type_field(port, KN_K_protocol);
    struct kn_sv value;
    ktest_true(kn_field_enum(port, f, 0, &value));
    ktest_eq_sv(value, "SCTP");
    ktest_true(kn_field_enum(port, f, 2, &value));
    ktest_true(!kn_field_enum(port, f, 3, &value));
    ktest_eq_sv(kn_field_default(port, f), "\"TCP\"");
    ktest_eq_sv(kn_field_type_name(port, f), "Protocol");
    f = kn_type_field(any("apps", "v1", "DeploymentSpec"), KN_K_replicas);
    ktest_true(f->flags & KN_FIELD_POINTER);
    ktest_eq_int(f->kind, KN_KIND_INT32);
}

KTEST_MAIN(KTEST_CASE(finds_kinds_by_group_version_and_name),
           KTEST_CASE(finds_the_common_kinds_in_every_group),
           KTEST_CASE(members_are_found_through_inlined_messages),
           KTEST_CASE(every_member_and_every_number_is_found_again),
           KTEST_CASE(knows_what_patches_and_apply_need), KTEST_CASE(knows_values_and_defaults))

// ConfigMap, Secret, Namespace, Node, Event.
#include "meta/validate_impl.h"

#define DATA_MAX (1 << 20) // bytes of all values of a ConfigMap or Secret

// -- ConfigMap and Secret ---------------------------------------------------------------------

// Bytes that base64 text stands for.
static size_t decoded_len(struct kn_sv text)
{
    size_t pad = 0;
    while (pad < 2 && pad < text.len && text.ptr[text.len - 1 - pad] == '=')
        pad++;
    return text.len / 4 * 3 - (text.len ? pad : 0);
}

static void check_immutable_data(struct kn_problems *p, const struct kn_json *obj,
                                 const struct kn_json *old)
{
    static const char sentence[] = "field is immutable when `immutable` is set";
    static const enum kn_atom members[] = {KN_K_data, KN_K_binaryData};
    if (!FLAG(old, immutable))
        return;
    if (!FLAG(obj, immutable))
        kn_check_forbidden(p, KN_PATH(NULL, "immutable"), sentence);
    for (size_t i = 0; i < KN_ARRAY_LEN(members); i++)
        if (!kn_check_same(kn_json_get(obj, members[i]), kn_json_get(old, members[i])))
            kn_check_forbidden(p, KN_PATH_SV(NULL, kn_atom_name(members[i])), sentence);
}

void kn_check_config_map(struct kn_problems *p, const struct kn_json *obj,
                         const struct kn_json *old, struct kn_sv sub)
{
    const struct kn_json *m, *binary = GET(obj, binaryData);
    struct kn_names binary_keys = kn_names_of_map(p, binary);
    size_t size = 0;
    (void)sub;
    check_immutable_data(p, obj, old);
    KN_JSON_EACH(m, GET(obj, data))
    {
        struct kn_sv key = kn_json_key(m);
        const struct kn_path *at = KN_PATH_KEY(KN_PATH(NULL, "data"), key);
        kn_check_text(p, at, key, kn_name_config_key_problem);
        if (kn_names_has(&binary_keys, key))
            kn_check_invalid_text(p, at, key, "duplicate of key present in binaryData");
        size += kn_json_len(m);
    }
    KN_JSON_EACH(m, binary)
    {
        struct kn_sv key = kn_json_key(m);
        kn_check_text(p, KN_PATH_KEY(KN_PATH(NULL, "binaryData"), key), key,
                      kn_name_config_key_problem);
        size += decoded_len(kn_json_str(m));
    }
    if (size > DATA_MAX)
        kn_check_too_long(p, KN_PATH(NULL, ""), DATA_MAX);
}

// Keys that a type of secret must have.
static const struct {
    const char *type, *keys[2];
} secret_types[] = {
    {"kubernetes.io/dockercfg", {".dockercfg", NULL}},
    {"kubernetes.io/dockerconfigjson", {".dockerconfigjson", NULL}},
    {"kubernetes.io/ssh-auth", {"ssh-privatekey", NULL}},
    {"kubernetes.io/tls", {"tls.crt", "tls.key"}},
};

static void check_secret_keys(struct kn_problems *p, const struct kn_json *obj, struct kn_sv type)
{
    const struct kn_path *path = KN_PATH(NULL, "data");
    const struct kn_json *data = GET(obj, data);
    for (size_t i = 0; i < KN_ARRAY_LEN(secret_types); i++)
        for (size_t k = 0; kn_sv_is(type, secret_types[i].type) && k < 2; k++) {
            struct kn_sv key = kn_sv_c(secret_types[i].keys[k]);
            if (key.len && !kn_json_get_sv(data, key))
                kn_check_required(p, KN_PATH_KEY(path, key), "");
        }
    if (kn_sv_is(type, "kubernetes.io/basic-auth") && !kn_json_get_sv(data, KN_SV("username")) &&
        !kn_json_get_sv(data, KN_SV("password"))) {
        kn_check_required(p, KN_PATH_KEY(path, KN_SV("username")), "");
        kn_check_required(p, KN_PATH_KEY(path, KN_SV("password")), "");
    }
    struct kn_sv account = KN_SV("kubernetes.io/service-account.name");
    const struct kn_json *annotations = GET(GET(obj, metadata), annotations);
    if (kn_sv_is(type, "kubernetes.io/service-account-token") &&
        !kn_json_str(kn_json_get_sv(annotations, account)).len)
        kn_check_required(
            p, KN_PATH_KEY(KN_PATH(KN_PATH(NULL, "metadata"), "annotations"), account), "");
}

void kn_check_secret(struct kn_problems *p, const struct kn_json *obj, const struct kn_json *old,
                     struct kn_sv sub)
{
    const struct kn_path *path = KN_PATH(NULL, "data");
    const struct kn_json *m;
    size_t size = 0;
    (void)sub;
    if (old)
        kn_check_immutable(p, KN_PATH(NULL, "type"), GET(obj, type), GET(old, type));
    check_immutable_data(p, obj, old);
    KN_JSON_EACH(m, GET(obj, data))
    {
        kn_check_text(p, KN_PATH_KEY(path, kn_json_key(m)), kn_json_key(m),
                      kn_name_config_key_problem);
        size += decoded_len(kn_json_str(m));
    }
    if (size > DATA_MAX)
        kn_check_too_long(p, path, DATA_MAX);
    check_secret_keys(p, obj, TEXT(obj, type));
}

// -- Namespace --------------------------------------------------------------------------------

void kn_check_namespace(struct kn_problems *p, const struct kn_json *obj, const struct kn_json *old,
                        struct kn_sv sub)
{
    const struct kn_path *path = KN_PATH(KN_PATH(NULL, "spec"), "finalizers");
    const struct kn_json *f;
    struct kn_sv phase = TEXT(GET(obj, status), phase);
    bool going = !kn_json_is_null(GET(GET(obj, metadata), deletionTimestamp));
    int64_t i = 0;
    if (kn_sv_is(sub, "status")) {
        const char *must = going ? "Terminating" : "Active";
        if (!kn_sv_is(phase, must))
            kn_check_invalid_text(p, KN_PATH(KN_PATH(NULL, "status"), "Phase"), phase,
                                  "may only be '%s' if `deletionTimestamp` is %sempty", must,
                                  going ? "not " : "");
        return;
    }
    if (old && !kn_sv_is(sub, "finalize"))
        return;
    KN_JSON_EACH(f, GET(GET(obj, spec), finalizers))
    {
        const struct kn_path *at = old ? KN_PATH_AT(path, i) : path;
        kn_check_text(p, at, kn_json_str(f), kn_name_qualified_problem);
        kn_check_kube_finalizer(p, at, kn_json_str(f));
        i++;
    }
}

// -- Node -------------------------------------------------------------------------------------

static void check_taints(struct kn_problems *p, const struct kn_path *path,
                         const struct kn_json *list)
{
    struct kn_names seen = {0};
    const struct kn_json *t;
    int64_t i = 0;
    KN_JSON_EACH(t, list)
    {
        const struct kn_path *at = KN_PATH_AT(path, i++);
        struct kn_sv key = TEXT(t, key), effect = TEXT(t, effect);
        kn_check_text(p, SUB(at, key), key, kn_name_qualified_problem);
        kn_check_text(p, SUB(at, value), TEXT(t, value), kn_name_label_value_problem);
        if (kn_check_present(p, SUB(at, effect), effect, ""))
            kn_check_taint_effect(p, SUB(at, effect), effect);
        struct kn_sv both =
            kn_arena_printf(p->arena, "%.*s:%.*s", KN_SV_ARG(key), KN_SV_ARG(effect));
        if (!kn_names_add(p, &seen, both))
            kn_problem_add(p, KN_PROBLEM_DUPLICATE, at, kn_check_show(p, t), "%s",
                           "taints must be unique by key and effect pair");
    }
}

static void check_amounts(struct kn_problems *p, const struct kn_path *path,
                          const struct kn_json *map)
{
    const struct kn_json *m;
    KN_JSON_EACH(m, map)
    {
        kn_check_quantity(p, KN_PATH_SV(path, kn_json_key(m)), kn_json_key(m), m);
    }
}

static void check_addresses_differ(struct kn_problems *p, const struct kn_path *path,
                                   const struct kn_json *list)
{
    struct kn_names seen = {0};
    const struct kn_json *a;
    int64_t i = 0;
    KN_JSON_EACH(a, list)
    {
        struct kn_sv both = kn_arena_printf(p->arena, "%.*s %.*s", KN_SV_ARG(TEXT(a, type)),
                                            KN_SV_ARG(TEXT(a, address)));
        if (!kn_names_add(p, &seen, both))
            kn_problem_add(p, KN_PROBLEM_DUPLICATE, KN_PATH_AT(path, i), kn_check_show(p, a), "%s",
                           "");
        i++;
    }
}

static void check_node_kept(struct kn_problems *p, const struct kn_path *path,
                            const struct kn_json *spec, const struct kn_json *old)
{
    struct kn_sv provider = TEXT(old, providerID);
    if (kn_json_len(GET(old, podCIDRs)) && !kn_check_same(GET(spec, podCIDRs), GET(old, podCIDRs)))
        kn_check_forbidden(p, SUB(path, podCIDRs),
                           "node updates may not change podCIDR except from \"\" to valid");
    if (provider.len && !kn_sv_eq(provider, TEXT(spec, providerID)))
        kn_check_invalid(p, SUB(path, providerID), NULL,
                         TEXT(spec, providerID).len ? "field cannot be modified once set"
                                                    : "field cannot be cleared once set");
}

void kn_check_node(struct kn_problems *p, const struct kn_json *obj, const struct kn_json *old,
                   struct kn_sv sub)
{
    const struct kn_path *path = KN_PATH(NULL, "spec"), *status_path = KN_PATH(NULL, "status");
    const struct kn_json *spec = GET(obj, spec), *status = GET(obj, status), *cidr;
    int64_t i = 0;
    (void)sub;
    // upstream names the field as if taints were metadata
    check_taints(p, KN_PATH(KN_PATH(NULL, "metadata"), "taints"), GET(spec, taints));
    check_amounts(p, SUB(status_path, capacity), GET(status, capacity));
    check_amounts(p, SUB(status_path, allocatable), GET(status, allocatable));
    if (old) {
        check_addresses_differ(p, SUB(status_path, addresses), GET(status, addresses));
        check_node_kept(p, path, spec, GET(old, spec));
        return;
    }
    KN_JSON_EACH(cidr, GET(spec, podCIDRs))
    {
        kn_check_cidr(p, KN_PATH_AT(SUB(path, podCIDRs), i++), kn_json_str(cidr));
    }
}

// -- Event ------------------------------------------------------------------------------------

static void check_length(struct kn_problems *p, enum kn_atom name, struct kn_sv text, size_t max)
{
    if (text.len > max)
        kn_check_invalid_text(p, KN_PATH_SV(NULL, kn_atom_name(name)), KN_SV(""),
                              "can have at most %zu characters", max);
}

// Events of the new kind have eventTime and say who reports; the others are as they always were.
static void check_new_event(struct kn_problems *p, const struct kn_json *obj)
{
    struct kn_sv component = TEXT(obj, reportingComponent), instance = TEXT(obj, reportingInstance);
    kn_check_present(p, KN_PATH(NULL, "reportingComponent"), component, "");
    kn_check_text(p, KN_PATH(NULL, "reportingComponent"), component, kn_name_qualified_problem);
    kn_check_present(p, KN_PATH(NULL, "reportingInstance"), instance, "");
    check_length(p, KN_K_reportingInstance, instance, 128);
    kn_check_present(p, KN_PATH(NULL, "action"), TEXT(obj, action), "");
    check_length(p, KN_K_action, TEXT(obj, action), 128);
    kn_check_present(p, KN_PATH(NULL, "reason"), TEXT(obj, reason), "");
    check_length(p, KN_K_reason, TEXT(obj, reason), 128);
    check_length(p, KN_K_message, TEXT(obj, message), 1024);
}

void kn_check_event(struct kn_problems *p, const struct kn_json *obj, const struct kn_json *old,
                    struct kn_sv sub)
{
    const struct kn_path *path = KN_PATH(KN_PATH(NULL, "involvedObject"), "namespace");
    struct kn_sv ns = TEXT(GET(obj, metadata), namespace),
                 of = TEXT(GET(obj, involvedObject), namespace);
    bool timed = !kn_json_is_null(GET(obj, eventTime));
    // events of objects without a namespace lie in one of these
    bool common = kn_sv_is(ns, "default") || (timed && kn_sv_is(ns, "kube-system"));
    bool wrong = of.len == 0 ? !common : !timed && !kn_sv_eq(of, ns);
    (void)old;
    (void)sub;
    if (wrong)
        kn_check_invalid_text(p, path, of, "does not match event.namespace");
    if (timed)
        check_new_event(p, obj);
}

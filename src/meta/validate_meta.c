// Metadata: names by the kind's rule, labels, annotations, owners, finalizers, and what an update
// may not change. Selectors of labels, because their keys and values follow the same rules.
#include "meta/validate_impl.h"

#define ANNOTATIONS_MAX (256 << 10) // bytes of all keys and values

void kn_check_labels(struct kn_problems *p, const struct kn_path *path,
                     const struct kn_json *labels)
{
    const struct kn_json *m;
    KN_JSON_EACH(m, labels)
    {
        kn_check_text(p, path, kn_json_key(m), kn_name_qualified_problem);
        kn_check_text(p, path, kn_json_str(m), kn_name_label_value_problem);
    }
}

static struct kn_sv lower(struct kn_arena *a, struct kn_sv text)
{
    char *out = kn_arena_bytes(a, text.len);
    for (size_t i = 0; out && i < text.len; i++)
        out[i] = text.ptr[i] >= 'A' && text.ptr[i] <= 'Z' ? (char)(text.ptr[i] + 32) : text.ptr[i];
    return kn_sv(out, out ? text.len : 0);
}

void kn_check_annotations(struct kn_problems *p, const struct kn_path *path,
                          const struct kn_json *annotations)
{
    size_t size = 0;
    const struct kn_json *m;
    KN_JSON_EACH(m, annotations)
    {
        struct kn_sv key = kn_json_key(m);
        // the rule of qualified names, except that a prefix may have capitals
        struct kn_sv sentence = kn_name_qualified_problem(p->arena, lower(p->arena, key));
        if (sentence.len)
            kn_check_invalid_text(p, path, key, "%.*s", KN_SV_ARG(sentence));
        size += key.len + kn_json_str(m).len;
    }
    if (size > ANNOTATIONS_MAX)
        kn_check_too_long(p, path, ANNOTATIONS_MAX);
}

void kn_check_label_selector(struct kn_problems *p, const struct kn_path *path,
                             const struct kn_json *selector)
{
    static const char *const with[] = {"In", "NotIn", NULL}, *const without[] = {
                                                                 "Exists", "DoesNotExist", NULL};
    kn_check_labels(p, KN_PATH(path, "matchLabels"), kn_json_get(selector, KN_K_matchLabels));
    const struct kn_json *e, *v;
    int64_t i = 0;
    KN_JSON_EACH(e, kn_json_get(selector, KN_K_matchExpressions))
    {
        const struct kn_path *at = KN_PATH_AT(KN_PATH(path, "matchExpressions"), i++);
        const struct kn_json *values = kn_json_get(e, KN_K_values);
        struct kn_sv op = kn_json_str(kn_json_get(e, KN_K_operator));
        if (kn_check_is_one_of(op, with)) {
            if (!kn_json_len(values))
                kn_check_required(p, KN_PATH(at, "values"),
                                  "must be specified when `operator` is 'In' or 'NotIn'");
        } else if (kn_check_is_one_of(op, without)) {
            if (kn_json_len(values))
                kn_check_forbidden(
                    p, KN_PATH(at, "values"),
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        } else {
            kn_check_invalid_text(p, KN_PATH(at, "operator"), op, "not a valid selector operator");
        }
        kn_check_text(p, KN_PATH(at, "key"), kn_json_str(kn_json_get(e, KN_K_key)),
                      kn_name_qualified_problem);
        int64_t j = 0;
        KN_JSON_EACH(v, values)
        {
            kn_check_text(p, KN_PATH_AT(KN_PATH(at, "values"), j++), kn_json_str(v),
                          kn_name_label_value_problem);
        }
    }
}

// -- owners and finalizers --------------------------------------------------------------------

static bool is_group_version(struct kn_sv text)
{
    ptrdiff_t slash = kn_sv_find(text, '/');
    if (slash < 0)
        return text.len > 0;
    struct kn_sv version = kn_sv_from(text, (size_t)slash + 1);
    return version.len > 0 && kn_sv_find(version, '/') < 0;
}

static void check_owner(struct kn_problems *p, const struct kn_path *path, const struct kn_json *o)
{
    struct kn_sv version = kn_json_str(kn_json_get(o, KN_K_apiVersion));
    struct kn_sv kind = kn_json_str(kn_json_get(o, KN_K_kind));
    if (kn_check_present(p, KN_PATH(path, "apiVersion"), version, "must not be empty") &&
        !is_group_version(version))
        kn_check_invalid_text(p, KN_PATH(path, "apiVersion"), version,
                              "must be <group>/<version> or <version>");
    kn_check_present(p, KN_PATH(path, "kind"), kind, "must not be empty");
    kn_check_present(p, KN_PATH(path, "name"), kn_json_str(kn_json_get(o, KN_K_name)),
                     "must not be empty");
    kn_check_present(p, KN_PATH(path, "uid"), kn_json_str(kn_json_get(o, KN_K_uid)),
                     "must not be empty");
    if (kn_sv_is(version, "v1") && kn_sv_is(kind, "Event"))
        kn_check_invalid(p, path, o, "/v1, Kind=Event is disallowed from being an owner");
}

static void check_owners(struct kn_problems *p, const struct kn_path *path,
                         const struct kn_json *list)
{
    const struct kn_json *o, *first = NULL;
    int64_t i = 0;
    KN_JSON_EACH(o, list)
    {
        check_owner(p, KN_PATH_AT(path, i++), o);
        if (!kn_json_bool(kn_json_get(o, KN_K_controller), false))
            continue;
        if (first)
            kn_check_invalid(
                p, path, list,
                "Only one reference can have Controller set to true. Found \"true\" in "
                "references for %.*s/%.*s and %.*s/%.*s",
                KN_SV_ARG(kn_json_str(kn_json_get(first, KN_K_kind))),
                KN_SV_ARG(kn_json_str(kn_json_get(first, KN_K_name))),
                KN_SV_ARG(kn_json_str(kn_json_get(o, KN_K_kind))),
                KN_SV_ARG(kn_json_str(kn_json_get(o, KN_K_name))));
        else
            first = o;
    }
}

static bool has_text(const struct kn_json *list, struct kn_sv text)
{
    const struct kn_json *v;
    KN_JSON_EACH(v, list)
    {
        if (kn_sv_eq(kn_json_str(v), text))
            return true;
    }
    return false;
}

static void check_finalizers(struct kn_problems *p, const struct kn_path *path,
                             const struct kn_json *list)
{
    const struct kn_json *f;
    KN_JSON_EACH(f, list)
    {
        kn_check_text(p, path, kn_json_str(f), kn_name_qualified_problem);
    }
    if (has_text(list, KN_SV("orphan")) && has_text(list, KN_SV("foregroundDeletion")))
        kn_check_invalid(p, path, list,
                         "finalizer orphan and foregroundDeletion cannot be both set");
}

bool kn_check_kube_finalizer(struct kn_problems *p, const struct kn_path *path, struct kn_sv name)
{
    static const char *const standard[] = {"kubernetes", "orphan", "foregroundDeletion", NULL};
    bool known = kn_sv_find(name, '/') >= 0 || kn_check_is_one_of(name, standard);
    if (!known)
        kn_check_invalid_text(
            p, path, name, "name is neither a standard finalizer name nor is it fully qualified");
    return known;
}

static void check_new_finalizers(struct kn_problems *p, const struct kn_path *path,
                                 const struct kn_json *list, const struct kn_json *old)
{
    struct kn_buf b KN_CLEANUP(kn_buf_done) = KN_BUF(64 << 10);
    const struct kn_json *f;
    KN_JSON_EACH(f, list)
    {
        if (!has_text(old, kn_json_str(f)))
            kn_buf_addf(&b, "%s\"%.*s\"", b.len ? ", " : "", KN_SV_ARG(kn_json_str(f)));
    }
    if (b.len)
        kn_problem_add(p, KN_PROBLEM_FORBIDDEN, path, KN_SV_NULL,
                       "no new finalizers can be added if the object is being deleted, found new "
                       "finalizers []string{%s}",
                       kn_buf_cstr(&b));
}

// -- the whole --------------------------------------------------------------------------------

// A name that something will be appended to may end in a dash.
static struct kn_sv masked(struct kn_arena *a, struct kn_sv text)
{
    if (text.len < 2 || text.ptr[text.len - 1] != '-')
        return text;
    return kn_arena_printf(a, "%.*sa", KN_SV_ARG(kn_sv_first(text, text.len - 2)));
}

static void check_common(struct kn_problems *p, const struct kn_path *path,
                         const struct kn_json *meta)
{
    kn_check_not_negative(p, KN_PATH(path, "generation"), kn_json_get(meta, KN_K_generation));
    kn_check_labels(p, KN_PATH(path, "labels"), kn_json_get(meta, KN_K_labels));
    kn_check_annotations(p, KN_PATH(path, "annotations"), kn_json_get(meta, KN_K_annotations));
    check_owners(p, KN_PATH(path, "ownerReferences"), kn_json_get(meta, KN_K_ownerReferences));
}

static void check_kube_finalizers(struct kn_problems *p, const struct kn_path *path,
                                  const struct kn_json *list)
{
    const struct kn_json *f;
    int64_t i = 0;
    KN_JSON_EACH(f, list)
    {
        kn_check_kube_finalizer(p, KN_PATH_AT(path, i++), kn_json_str(f));
    }
}

static void check_namespace(struct kn_problems *p, const struct kn_path *path, struct kn_sv ns,
                            bool namespaced)
{
    if (!namespaced && ns.len)
        kn_check_forbidden(p, path, "not allowed on this type");
    else if (namespaced && kn_check_present(p, path, ns, ""))
        kn_check_text(p, path, ns, kn_name_dns_label_problem);
}

void kn_check_meta_create(struct kn_problems *p, const struct kn_path *path,
                          const struct kn_json *meta, bool namespaced, kn_name_rule *rule)
{
    struct kn_sv base = kn_json_str(kn_json_get(meta, KN_K_generateName));
    struct kn_sv name = kn_json_str(kn_json_get(meta, KN_K_name));
    if (base.len) {
        struct kn_sv sentence = rule(p->arena, masked(p->arena, base));
        if (sentence.len)
            kn_check_invalid_text(p, KN_PATH(path, "generateName"), base, "%.*s",
                                  KN_SV_ARG(sentence));
    }
    if (kn_check_present(p, KN_PATH(path, "name"), name, "name or generateName is required"))
        kn_check_text(p, KN_PATH(path, "name"), name, rule);
    check_namespace(p, KN_PATH(path, "namespace"), kn_json_str(kn_json_get(meta, KN_K_namespace)),
                    namespaced);
    check_common(p, path, meta);
    check_finalizers(p, KN_PATH(path, "finalizers"), kn_json_get(meta, KN_K_finalizers));
    check_kube_finalizers(p, KN_PATH(path, "finalizers"), kn_json_get(meta, KN_K_finalizers));
}

void kn_check_meta_update(struct kn_problems *p, const struct kn_path *path,
                          const struct kn_json *meta, const struct kn_json *old)
{
    static const enum kn_atom fixed[] = {KN_K_name,
                                         KN_K_namespace,
                                         KN_K_uid,
                                         KN_K_creationTimestamp,
                                         KN_K_deletionTimestamp,
                                         KN_K_deletionGracePeriodSeconds};
    if (!kn_json_is_null(kn_json_get(old, KN_K_deletionTimestamp)))
        check_new_finalizers(p, KN_PATH(path, "finalizers"), kn_json_get(meta, KN_K_finalizers),
                             kn_json_get(old, KN_K_finalizers));
    const struct kn_json *generation = kn_json_get(meta, KN_K_generation);
    if (kn_json_int(generation, 0) < kn_json_int(kn_json_get(old, KN_K_generation), 0))
        kn_check_invalid_int(p, KN_PATH(path, "generation"), kn_json_int(generation, 0),
                             "must not be decremented");
    for (size_t i = 0; i < KN_ARRAY_LEN(fixed); i++)
        kn_check_immutable(p, KN_PATH_SV(path, kn_atom_name(fixed[i])), kn_json_get(meta, fixed[i]),
                           kn_json_get(old, fixed[i]));
    check_common(p, path, meta);
    check_kube_finalizers(p, KN_PATH(path, "finalizers"), kn_json_get(meta, KN_K_finalizers));
}

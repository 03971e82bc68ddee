// PersistentVolume and PersistentVolumeClaim.
#include "meta/validate_impl.h"

#include "codec/quantity.h"

static const char *const modes[] = {"Block", "Filesystem", NULL};

static void check_access(struct kn_problems *p, const struct kn_path *path,
                         const struct kn_json *list, const char *absent)
{
    static const char *const known[] = {"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce",
                                        "ReadWriteOncePod", NULL};
    const struct kn_json *m;
    bool alone = false, others = false;
    if (!kn_json_len(list))
        kn_check_required(p, path, absent);
    KN_JSON_EACH(m, list)
    {
        struct kn_sv mode = kn_json_str(m);
        bool good = kn_check_one_of(p, path, mode, known), pod = kn_sv_is(mode, "ReadWriteOncePod");
        alone = alone || pod;
        others = others || (good && !pod);
    }
    if (alone && others)
        kn_check_forbidden(p, path, "may not use ReadWriteOncePod with other access modes");
}

static struct kn_quantity quantity_of(const struct kn_json *v)
{
    struct kn_quantity q = {0};
    KN_IGNORE(kn_quantity_parse(kn_json_str(v), &q)); // decoding has refused what is none
    return q;
}

static void check_size(struct kn_problems *p, const struct kn_path *path, const struct kn_json *v)
{
    if (!v)
        kn_check_required(p, path, "");
    else if (quantity_of(v).nano <= 0)
        kn_check_invalid(p, path, v, "must be greater than zero");
}

static void check_class(struct kn_problems *p, const struct kn_path *path,
                        const struct kn_json *spec)
{
    if (TEXT(spec, storageClassName).len)
        kn_check_text(p, SUB(path, storageClassName), TEXT(spec, storageClassName),
                      kn_name_dns_subdomain_problem);
    if (GET(spec, volumeMode))
        kn_check_one_of(p, SUB(path, volumeMode), TEXT(spec, volumeMode), modes);
}

// -- claims -----------------------------------------------------------------------------------

void kn_check_claim_spec(struct kn_problems *p, const struct kn_path *path,
                         const struct kn_json *spec)
{
    check_access(p, SUB(path, accessModes), GET(spec, accessModes),
                 "at least 1 access mode is required");
    kn_check_label_selector(p, SUB(path, selector), GET(spec, selector));
    check_size(p, KN_PATH_KEY(SUB(path, resources), KN_SV("storage")),
               GET(GET(GET(spec, resources), requests), storage));
    check_class(p, path, spec);
}

// Members of a claim that may change: what it asks for once it is bound, the volume while it has
// none.
static bool may_change(const struct kn_json *obj, const struct kn_json *old, struct kn_sv name)
{
    bool bound = kn_sv_is(TEXT(GET(obj, status), phase), "Bound");
    const struct kn_json *was = kn_json_get_sv(GET(old, spec), name);
    if (kn_sv_is(name, "volumeName") || kn_sv_is(name, "storageClassName"))
        return kn_json_is_null(was);
    if (kn_sv_is(name, "resources"))
        return bound &&
               kn_check_same(GET(GET(GET(obj, spec), resources), limits), GET(was, limits));
    return bound && kn_sv_is(name, "volumeAttributesClassName");
}

static bool changes(const struct kn_json *obj, const struct kn_json *old,
                    const struct kn_json *members)
{
    const struct kn_json *m;
    KN_JSON_EACH(m, members)
    {
        struct kn_sv name = kn_json_key(m);
        if (!kn_check_same(kn_json_get_sv(GET(obj, spec), name),
                           kn_json_get_sv(GET(old, spec), name)) &&
            !may_change(obj, old, name))
            return true;
    }
    return false;
}

static void check_claim_update(struct kn_problems *p, const struct kn_json *obj,
                               const struct kn_json *old)
{
    const struct kn_path *path = KN_PATH(NULL, "spec");
    const struct kn_json *size = GET(GET(GET(GET(obj, spec), resources), requests), storage);
    const struct kn_json *was = GET(GET(GET(GET(old, spec), resources), requests), storage);
    const struct kn_json *has = GET(GET(GET(old, status), capacity), storage);
    if (changes(obj, old, GET(obj, spec)) || changes(obj, old, GET(old, spec)))
        kn_check_forbidden(p, path,
                           "spec is immutable after creation except resources.requests and "
                           "volumeAttributesClassName for bound claims");
    if (kn_quantity_cmp(quantity_of(size), quantity_of(was)) < 0 &&
        kn_quantity_cmp(quantity_of(size), quantity_of(has)) <= 0)
        kn_check_forbidden(p, SUB(SUB(SUB(path, resources), requests), storage),
                           "field can not be less than status.capacity");
    kn_check_immutable(p, KN_PATH(NULL, "volumeMode"), GET(GET(obj, spec), volumeMode),
                       GET(GET(old, spec), volumeMode));
}

void kn_check_claim(struct kn_problems *p, const struct kn_json *obj, const struct kn_json *old,
                    struct kn_sv sub)
{
    if (sub.len)
        return;
    kn_check_claim_spec(p, KN_PATH(NULL, "spec"), GET(obj, spec));
    if (old)
        check_claim_update(p, obj, old);
}

// -- volumes ----------------------------------------------------------------------------------

static const enum kn_atom sources[] = {KN_K_hostPath,
                                       KN_K_gcePersistentDisk,
                                       KN_K_awsElasticBlockStore,
                                       KN_K_glusterfs,
                                       KN_K_flocker,
                                       KN_K_nfs,
                                       KN_K_rbd,
                                       KN_K_quobyte,
                                       KN_K_cephfs,
                                       KN_K_iscsi,
                                       KN_K_cinder,
                                       KN_K_fc,
                                       KN_K_flexVolume,
                                       KN_K_azureFile,
                                       KN_K_vsphereVolume,
                                       KN_K_photonPersistentDisk,
                                       KN_K_portworxVolume,
                                       KN_K_azureDisk,
                                       KN_K_scaleIO,
                                       KN_K_local,
                                       KN_K_storageos,
                                       KN_K_csi};

static void check_sources(struct kn_problems *p, const struct kn_path *path,
                          const struct kn_json *spec)
{
    unsigned n = 0;
    for (size_t i = 0; i < KN_ARRAY_LEN(sources); i++)
        if (kn_json_get(spec, sources[i]) && n++)
            kn_check_forbidden(p, KN_PATH_SV(path, kn_atom_name(sources[i])),
                               "may not specify more than 1 volume type");
    if (n == 0)
        kn_check_required(p, path, "must specify a volume type");
    const struct kn_json *host = GET(spec, hostPath), *local = GET(spec, local),
                         *csi = GET(spec, csi), *nfs = GET(spec, nfs);
    if (host && kn_check_present(p, SUB(SUB(path, hostPath), path), TEXT(host, path), ""))
        kn_check_no_backsteps(p, SUB(SUB(path, hostPath), path), TEXT(host, path));
    if (local && kn_check_present(p, SUB(SUB(path, local), path), TEXT(local, path), ""))
        kn_check_no_backsteps(p, SUB(SUB(path, local), path), TEXT(local, path));
    if (local && !GET(spec, nodeAffinity))
        kn_check_required(p, SUB(path, nodeAffinity), "Local volume requires node affinity");
    if (nfs) {
        kn_check_present(p, SUB(SUB(path, nfs), server), TEXT(nfs, server), "");
        kn_check_present(p, SUB(SUB(path, nfs), path), TEXT(nfs, path), "");
        if (!kn_sv_starts(TEXT(nfs, path), KN_SV("/")))
            kn_check_invalid_text(p, SUB(SUB(path, nfs), path), TEXT(nfs, path),
                                  "must be an absolute path");
    }
    if (csi) {
        kn_check_present(p, SUB(SUB(path, csi), driver), TEXT(csi, driver), "");
        kn_check_present(p, SUB(SUB(path, csi), volumeHandle), TEXT(csi, volumeHandle), "");
    }
}

static void check_capacity(struct kn_problems *p, const struct kn_path *path,
                           const struct kn_json *map)
{
    static const char *const only[] = {"storage", NULL};
    const struct kn_json *m;
    if (!kn_json_len(map))
        kn_check_required(p, path, "");
    if (!GET(map, storage) || kn_json_len(map) > 1)
        kn_problem_add(p, KN_PROBLEM_NOT_SUPPORTED, path, kn_check_show(p, map), "%s",
                       "supported values: \"storage\"");
    KN_JSON_EACH(m, map)
    {
        if (kn_check_is_one_of(kn_json_key(m), only))
            check_size(p, KN_PATH_KEY(path, kn_json_key(m)), m);
    }
}

static void add_requirements(struct kn_buf *b, const char *name, const struct kn_json *list)
{
    const struct kn_json *r;
    kn_buf_addf(b, "\"%s\":%s", name, list ? "[" : "null");
    KN_JSON_EACH(r, list)
    {
        kn_buf_addf(b, "%s{\"Key\":", r == kn_json_first(list) ? "" : ",");
        kn_json_encode_str(b, TEXT(r, key));
        kn_buf_addc(b, ",\"Operator\":");
        kn_json_encode_str(b, TEXT(r, operator));
        kn_buf_addc(b, ",\"Values\":");
        if (GET(r, values))
            kn_json_encode(b, GET(r, values));
        else
            kn_buf_addc(b, "null");
        kn_buf_addc(b, "}");
    }
    kn_buf_addc(b, list ? "]" : "");
}

// With the names of upstream's internal type, which its message shows.
static struct kn_sv show_affinity(struct kn_problems *p, const struct kn_json *affinity)
{
    struct kn_buf b KN_CLEANUP(kn_buf_done) = KN_BUF(64 << 10);
    const struct kn_json *required = GET(affinity, required), *term;
    const struct kn_json *terms = GET(required, nodeSelectorTerms);
    if (!affinity)
        return KN_SV("null");
    kn_buf_addf(&b, "{\"Required\":%s", required ? "{\"NodeSelectorTerms\":" : "null");
    kn_buf_addc(&b, !required ? "" : terms ? "[" : "null");
    KN_JSON_EACH(term, terms)
    {
        kn_buf_addc(&b, term == kn_json_first(terms) ? "{" : ",{");
        add_requirements(&b, "MatchExpressions", GET(term, matchExpressions));
        kn_buf_addc(&b, ",");
        add_requirements(&b, "MatchFields", GET(term, matchFields));
        kn_buf_addc(&b, "}");
    }
    kn_buf_addf(&b, "%s%s}", terms ? "]" : "", required ? "}" : "");
    return kn_arena_dup(p->arena, kn_buf_sv(&b));
}

static bool same_sources(const struct kn_json *spec, const struct kn_json *old)
{
    for (size_t i = 0; i < KN_ARRAY_LEN(sources); i++)
        if (!kn_check_same(kn_json_get(spec, sources[i]), kn_json_get(old, sources[i])))
            return false;
    return true;
}

void kn_check_persistent_volume(struct kn_problems *p, const struct kn_json *obj,
                                const struct kn_json *old, struct kn_sv sub)
{
    static const char *const reclaim[] = {"Delete", "Recycle", "Retain", NULL};
    const struct kn_path *path = KN_PATH(NULL, "spec");
    const struct kn_json *spec = GET(obj, spec), *affinity = GET(spec, nodeAffinity);
    if (sub.len)
        return;
    check_access(p, SUB(path, accessModes), GET(spec, accessModes), "");
    check_capacity(p, SUB(path, capacity), GET(spec, capacity));
    if (TEXT(spec, persistentVolumeReclaimPolicy).len)
        kn_check_one_of(p, SUB(path, persistentVolumeReclaimPolicy),
                        TEXT(spec, persistentVolumeReclaimPolicy), reclaim);
    if (affinity && !GET(affinity, required))
        kn_check_required(p, SUB(SUB(path, nodeAffinity), required),
                          "must specify required node constraints");
    else if (affinity)
        kn_check_node_selector(p, SUB(SUB(path, nodeAffinity), required), GET(affinity, required));
    check_sources(p, path, spec);
    check_class(p, path, spec);
    if (!old)
        return;
    if (!same_sources(spec, GET(old, spec)))
        kn_check_forbidden(p, KN_PATH(path, "persistentvolumesource"),
                           "spec.persistentvolumesource is immutable after creation");
    kn_check_immutable(p, KN_PATH(NULL, "volumeMode"), GET(spec, volumeMode),
                       GET(GET(old, spec), volumeMode));
    const struct kn_json *was = GET(GET(old, spec), nodeAffinity);
    if (was && !kn_check_same(affinity, was)) // upstream names no "spec" here
        kn_problem_add(p, KN_PROBLEM_INVALID, KN_PATH(NULL, "nodeAffinity"),
                       show_affinity(p, affinity), "%s",
                       "field is immutable, except for updating from beta label to GA");
}

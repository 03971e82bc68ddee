// Volumes of a pod, the mounts of its containers, and references to fields and resources.
#include "meta/validate_impl.h"

// -- references -------------------------------------------------------------------------------

// "metadata.labels['key']" in its two parts.
static bool split_subscript(struct kn_sv text, struct kn_sv *path, struct kn_sv *key)
{
    ptrdiff_t open = kn_sv_search(text, KN_SV("['"));
    if (open <= 0 || !kn_sv_ends(text, KN_SV("']")) || text.len < (size_t)open + 4)
        return false;
    *path = kn_sv_first(text, (size_t)open);
    *key = kn_sv(text.ptr + open + 2, text.len - (size_t)open - 4);
    return true;
}

static struct kn_sv label_key_of_any_case(struct kn_arena *a, struct kn_sv text)
{
    char *out = kn_arena_bytes(a, text.len);
    for (size_t i = 0; out && i < text.len; i++)
        out[i] = text.ptr[i] >= 'A' && text.ptr[i] <= 'Z' ? (char)(text.ptr[i] + 32) : text.ptr[i];
    return kn_sv(out, out ? text.len : 0);
}

static void check_subscript(struct kn_problems *p, const struct kn_path *path, struct kn_sv whole,
                            struct kn_sv field, struct kn_sv key)
{
    bool annotations = kn_sv_is(field, "metadata.annotations");
    if (!annotations && !kn_sv_is(field, "metadata.labels")) {
        kn_check_invalid_text(
            p, SUB(path, fieldPath), whole,
            "error converting fieldPath: field label does not support subscript: %.*s",
            KN_SV_ARG(whole));
        return;
    }
    kn_check_text(p, path, annotations ? label_key_of_any_case(p->arena, key) : key,
                  kn_name_qualified_problem);
}

void kn_check_field_ref(struct kn_problems *p, const struct kn_path *path,
                        const struct kn_json *ref, const char *const *allowed)
{
    static const char *const known[] = {"metadata.annotations",
                                        "metadata.labels",
                                        "metadata.name",
                                        "metadata.namespace",
                                        "metadata.uid",
                                        "spec.nodeName",
                                        "spec.host",
                                        "spec.restartPolicy",
                                        "spec.serviceAccountName",
                                        "spec.schedulerName",
                                        "status.phase",
                                        "status.hostIP",
                                        "status.hostIPs",
                                        "status.podIP",
                                        "status.podIPs",
                                        NULL};
    struct kn_sv text = TEXT(ref, fieldPath), version = TEXT(ref, apiVersion), field, key;
    const struct kn_path *at = SUB(path, fieldPath);
    if (!kn_check_present(p, SUB(path, apiVersion), version, "") ||
        !kn_check_present(p, at, text, ""))
        return;
    if (!kn_sv_is(version, "v1"))
        kn_check_invalid_text(p, at, text,
                              "error converting fieldPath: unsupported pod version: %.*s",
                              KN_SV_ARG(version));
    else if (split_subscript(text, &field, &key))
        check_subscript(p, path, text, field, key);
    else if (!kn_check_is_one_of(text, known))
        kn_check_invalid_text(p, at, text,
                              "error converting fieldPath: field label not supported: %.*s",
                              KN_SV_ARG(text));
    else if (!kn_sv_is(text, "spec.host"))
        kn_check_one_of(p, at, text, allowed);
}

static const char *divisor_problem(struct kn_sv resource, struct kn_sv divisor)
{
    static const char *const bytes[] = {"1",   "1k",  "1M",  "1G",  "1T",  "1P",  "1E",
                                        "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei", NULL};
    static const char *const cores[] = {"1m", "1", NULL};
#define ONLY                                                                                       \
    "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported " \
    "with the "
    if (!divisor.len || kn_sv_is(divisor, "0"))
        return NULL;
    if (kn_sv_ends(resource, KN_SV(".cpu")))
        return kn_check_is_one_of(divisor, cores)
                   ? NULL
                   : "only divisor's values 1m and 1 are supported with the cpu resource";
    if (kn_check_is_one_of(divisor, bytes))
        return NULL;
    return kn_sv_ends(resource, KN_SV(".memory"))              ? ONLY "memory resource"
           : kn_sv_ends(resource, KN_SV(".ephemeral-storage")) ? ONLY
               "local ephemeral storage resource"
           : kn_sv_search(resource, KN_SV(".hugepages-")) > 0 ? ONLY "hugepages resource"
                                                              : NULL;
#undef ONLY
}

void kn_check_resource_ref(struct kn_problems *p, const struct kn_path *path,
                           const struct kn_json *ref, bool of_volume)
{
    static const char *const known[] = {"limits.cpu",
                                        "limits.ephemeral-storage",
                                        "limits.memory",
                                        "requests.cpu",
                                        "requests.ephemeral-storage",
                                        "requests.memory",
                                        NULL};
    struct kn_sv resource = TEXT(ref, resource);
    if (of_volume && !TEXT(ref, containerName).len)
        kn_check_required(p, SUB(path, containerName), "");
    else if (kn_check_present(p, SUB(path, resource), resource, "") &&
             !kn_sv_starts(resource, KN_SV("requests.hugepages-")) &&
             !kn_sv_starts(resource, KN_SV("limits.hugepages-")))
        kn_check_one_of(p, SUB(path, resource), resource, known);
    const char *wrong = divisor_problem(resource, TEXT(ref, divisor));
    if (wrong)
        kn_check_invalid_text(p, SUB(path, divisor), resource, "%s", wrong);
}

// -- sources ----------------------------------------------------------------------------------

static void check_items(struct kn_problems *p, const struct kn_path *path,
                        const struct kn_json *items)
{
    const struct kn_json *item;
    int64_t i = 0;
    KN_JSON_EACH(item, items)
    {
        const struct kn_path *at = KN_PATH_AT(path, i++);
        kn_check_present(p, SUB(at, key), TEXT(item, key), "");
        kn_check_present(p, SUB(at, path), TEXT(item, path), "");
        kn_check_local_path(p, SUB(at, path), TEXT(item, path));
        kn_check_mode(p, SUB(at, mode), GET(item, mode));
    }
}

static void check_downward_file(struct kn_problems *p, const struct kn_path *path,
                                const struct kn_json *file)
{
    static const char *const fields[] = {"metadata.annotations", "metadata.labels", "metadata.name",
                                         "metadata.namespace",   "metadata.uid",    NULL};
    const struct kn_json *field = GET(file, fieldRef), *resource = GET(file, resourceFieldRef);
    kn_check_present(p, SUB(path, path), TEXT(file, path), "");
    kn_check_local_path(p, SUB(path, path), TEXT(file, path));
    if (field)
        kn_check_field_ref(p, SUB(path, fieldRef), field, fields);
    if (field && resource)
        kn_check_invalid_text(p, path, KN_SV("resource"),
                              "fieldRef and resourceFieldRef can not be specified simultaneously");
    else if (resource)
        kn_check_resource_ref(p, SUB(path, resourceFieldRef), resource, true);
    else if (!field)
        kn_check_required(p, path, "one of fieldRef and resourceFieldRef is required");
    kn_check_mode(p, SUB(path, mode), GET(file, mode));
}

static void check_host_path(struct kn_problems *p, const struct kn_path *path,
                            const struct kn_json *v)
{
    static const char *const types[] = {
        "",     "BlockDevice",  "CharDevice", "Directory", "DirectoryOrCreate",
        "File", "FileOrCreate", "Socket",     NULL};
    if (!kn_check_present(p, SUB(path, path), TEXT(v, path), ""))
        return;
    kn_check_no_backsteps(p, SUB(path, path), TEXT(v, path));
    if (GET(v, type))
        kn_check_one_of(p, SUB(path, type), TEXT(v, type), types);
}

static void check_secret(struct kn_problems *p, const struct kn_path *path, const struct kn_json *v)
{
    kn_check_present(p, SUB(path, secretName), TEXT(v, secretName), "");
    kn_check_mode(p, SUB(path, defaultMode), GET(v, defaultMode));
    check_items(p, SUB(path, items), GET(v, items));
}

static void check_config_map(struct kn_problems *p, const struct kn_path *path,
                             const struct kn_json *v)
{
    kn_check_present(p, SUB(path, name), TEXT(v, name), "");
    kn_check_mode(p, SUB(path, defaultMode), GET(v, defaultMode));
    check_items(p, SUB(path, items), GET(v, items));
}

static void check_downward(struct kn_problems *p, const struct kn_path *path,
                           const struct kn_json *v)
{
    const struct kn_json *file;
    kn_check_mode(p, SUB(path, defaultMode), GET(v, defaultMode));
    KN_JSON_EACH(file, GET(v, items))
    {
        check_downward_file(p, path, file); // upstream names the volume, not the item
    }
}

static void check_empty_dir(struct kn_problems *p, const struct kn_path *path,
                            const struct kn_json *v)
{
    if (kn_sv_starts(TEXT(v, sizeLimit), KN_SV("-")))
        kn_check_forbidden(p, SUB(path, sizeLimit),
                           "SizeLimit field must be a valid resource quantity");
}

static void check_claim(struct kn_problems *p, const struct kn_path *path, const struct kn_json *v)
{
    kn_check_present(p, SUB(path, claimName), TEXT(v, claimName), "");
}

static void check_nfs(struct kn_problems *p, const struct kn_path *path, const struct kn_json *v)
{
    struct kn_sv folder = TEXT(v, path);
    kn_check_present(p, SUB(path, server), TEXT(v, server), "");
    kn_check_present(p, SUB(path, path), folder, "");
    if (!kn_sv_starts(folder, KN_SV("/")))
        kn_check_invalid_text(p, SUB(path, path), folder, "must be an absolute path");
}

static void check_csi(struct kn_problems *p, const struct kn_path *path, const struct kn_json *v)
{
    kn_check_present(p, SUB(path, driver), TEXT(v, driver), "");
    if (GET(v, nodePublishSecretRef))
        kn_check_present(p, SUB(SUB(path, nodePublishSecretRef), name),
                         TEXT(GET(v, nodePublishSecretRef), name), "");
}

static void check_ephemeral_claim(struct kn_problems *p, const struct kn_path *path,
                                  const struct kn_json *v)
{
    if (!GET(v, volumeClaimTemplate))
        kn_check_required(p, SUB(path, volumeClaimTemplate), "");
}

// -- projected --------------------------------------------------------------------------------

static void check_paths_differ(struct kn_problems *p, const struct kn_path *path,
                               struct kn_names *paths, const struct kn_json *items,
                               struct kn_sv name)
{
    const struct kn_json *item;
    KN_JSON_EACH(item, items)
    {
        struct kn_sv file = TEXT(item, path);
        if (file.len && !kn_names_add(p, paths, file))
            kn_check_invalid_text(p, path, name.ptr ? name : file, "conflicting duplicate paths");
    }
}

static void check_token(struct kn_problems *p, const struct kn_path *volume,
                        const struct kn_path *path, const struct kn_json *token)
{
    const struct kn_json *seconds = GET(token, expirationSeconds);
    if (!seconds)
        kn_check_required(p, SUB(path, expirationSeconds), "");
    else if (kn_json_int(seconds, 0) < 600)
        kn_check_invalid(p, SUB(path, expirationSeconds), seconds,
                         "may not specify a duration less than 10 minutes");
    else if (kn_json_int(seconds, 0) > 1LL << 32)
        kn_check_invalid(p, SUB(path, expirationSeconds), seconds,
                         "may not specify a duration larger than 2^32 seconds");
    if (kn_check_present(p, SUB(volume, path), TEXT(token, path), ""))
        kn_check_local_path(p, SUB(volume, path), TEXT(token, path));
}

static void check_source(struct kn_problems *p, const struct kn_path *volume,
                         const struct kn_path *at, const struct kn_json *source,
                         struct kn_names *paths)
{
    const struct kn_json *v, *file;
    unsigned n = 0;
    if ((v = GET(source, secret)) && ++n) {
        kn_check_present(p, SUB(SUB(at, secret), name), TEXT(v, name), "");
        check_items(p, SUB(SUB(at, secret), items), GET(v, items));
        check_paths_differ(p, volume, paths, GET(v, items), TEXT(v, name));
    }
    if ((v = GET(source, configMap)) && ++n) {
        kn_check_present(p, SUB(SUB(at, configMap), name), TEXT(v, name), "");
        check_items(p, SUB(SUB(at, configMap), items), GET(v, items));
        check_paths_differ(p, volume, paths, GET(v, items), TEXT(v, name));
    }
    if ((v = GET(source, downwardAPI)) && ++n) {
        KN_JSON_EACH(file, GET(v, items))
        {
            check_downward_file(p, SUB(at, downwardAPI), file);
        }
        check_paths_differ(p, volume, paths, GET(v, items), KN_SV_NULL);
    }
    if ((v = GET(source, serviceAccountToken)) && ++n)
        check_token(p, volume, SUB(at, serviceAccountToken), v);
    if ((v = GET(source, clusterTrustBundle)) && ++n)
        kn_check_present(p, SUB(SUB(at, clusterTrustBundle), path), TEXT(v, path), "");
    if (n > 1) // none is fine
        kn_check_forbidden(p, at, "may not specify more than 1 volume type per source");
}

static void check_projected(struct kn_problems *p, const struct kn_path *path,
                            const struct kn_json *v)
{
    struct kn_names paths = {0};
    const struct kn_json *source;
    int64_t i = 0;
    kn_check_mode(p, SUB(path, defaultMode), GET(v, defaultMode));
    KN_JSON_EACH(source, GET(v, sources))
    {
        check_source(p, path, KN_PATH_AT(SUB(path, sources), i++), source, &paths);
    }
}

// -- volumes ----------------------------------------------------------------------------------

static const struct {
    enum kn_atom name;
    void (*check)(struct kn_problems *p, const struct kn_path *path, const struct kn_json *v);
} sources[] = {
    {KN_K_emptyDir, check_empty_dir},
    {KN_K_hostPath, check_host_path},
    {KN_K_gitRepo, NULL},
    {KN_K_gcePersistentDisk, NULL},
    {KN_K_awsElasticBlockStore, NULL},
    {KN_K_secret, check_secret},
    {KN_K_nfs, check_nfs},
    {KN_K_iscsi, NULL},
    {KN_K_glusterfs, NULL},
    {KN_K_flocker, NULL},
    {KN_K_persistentVolumeClaim, check_claim},
    {KN_K_rbd, NULL},
    {KN_K_cinder, NULL},
    {KN_K_cephfs, NULL},
    {KN_K_quobyte, NULL},
    {KN_K_downwardAPI, check_downward},
    {KN_K_fc, NULL},
    {KN_K_flexVolume, NULL},
    {KN_K_configMap, check_config_map},
    {KN_K_azureFile, NULL},
    {KN_K_vsphereVolume, NULL},
    {KN_K_photonPersistentDisk, NULL},
    {KN_K_portworxVolume, NULL},
    {KN_K_azureDisk, NULL},
    {KN_K_storageos, NULL},
    {KN_K_projected, check_projected},
    {KN_K_scaleIO, NULL},
    {KN_K_csi, check_csi},
    {KN_K_ephemeral, check_ephemeral_claim},
    {KN_K_image, NULL},
};

static void check_volume(struct kn_problems *p, const struct kn_path *at,
                         const struct kn_json *volume, struct kn_names *names)
{
    struct kn_sv name = TEXT(volume, name);
    size_t before = p->len;
    unsigned n = 0;
    for (size_t i = 0; i < KN_ARRAY_LEN(sources); i++) {
        const struct kn_json *v = kn_json_get(volume, sources[i].name);
        if (!v)
            continue;
        const struct kn_path *path = KN_PATH_SV(at, kn_atom_name(sources[i].name));
        if (n++)
            kn_check_forbidden(p, path, "may not specify more than 1 volume type");
        else if (sources[i].check)
            sources[i].check(p, path, v);
    }
    if (n == 0)
        kn_check_required(p, at, "must specify a volume type");
    if (kn_check_present(p, SUB(at, name), name, ""))
        kn_check_text(p, SUB(at, name), name, kn_name_dns_label_problem);
    if (kn_names_has(names, name))
        kn_check_duplicate(p, SUB(at, name), name);
    else if (p->len == before)
        kn_names_add(p, names, name);
}

void kn_check_volumes(struct kn_problems *p, const struct kn_path *path, struct kn_pod_check *pod)
{
    const struct kn_json *list = GET(pod->spec, volumes), *volume, *t;
    struct kn_names names = {0};
    int64_t i = 0;
    KN_JSON_EACH(t, pod->templates) // they replace volumes of the same name
    {
        kn_names_add(p, &pod->volumes, TEXT(GET(t, metadata), name));
    }
    KN_JSON_EACH(volume, list)
    {
        size_t before = p->len;
        check_volume(p, KN_PATH_AT(path, i++), volume, &names);
        if (p->len == before)
            kn_names_put(p, &pod->volumes, TEXT(volume, name), volume);
    }
}

bool kn_check_find_volume(const struct kn_pod_check *pod, struct kn_sv name,
                          const struct kn_json **ret, bool *ret_claim)
{
    *ret = kn_names_get(&pod->volumes, name);
    *ret_claim = !*ret || GET(*ret, persistentVolumeClaim) || GET(*ret, ephemeral);
    return kn_names_has(&pod->volumes, name);
}

// -- mounts -----------------------------------------------------------------------------------

// The texts that the elements of a list have as a member.
static struct kn_names texts_of(struct kn_problems *p, const struct kn_json *list,
                                enum kn_atom member)
{
    struct kn_names names = {0};
    const struct kn_json *v;
    KN_JSON_EACH(v, list)
    {
        kn_names_add(p, &names, kn_json_str(kn_json_get(v, member)));
    }
    return names;
}

static void check_propagation(struct kn_problems *p, const struct kn_path *path,
                              const struct kn_json *mount, bool privileged)
{
    static const char *const modes[] = {"Bidirectional", "HostToContainer", "None", NULL};
    struct kn_sv mode = TEXT(mount, mountPropagation), deep = TEXT(mount, recursiveReadOnly);
    if (GET(mount, mountPropagation))
        kn_check_one_of(p, SUB(path, mountPropagation), mode, modes);
    if (kn_sv_is(mode, "Bidirectional") && !privileged)
        kn_check_forbidden(
            p, SUB(path, mountPropagation),
            "Bidirectional mount propagation is available only to privileged containers");
    if (!kn_sv_is(deep, "Enabled") && !kn_sv_is(deep, "IfPossible"))
        return;
    if (!FLAG(mount, readOnly))
        kn_check_forbidden(p, SUB(path, recursiveReadOnly),
                           "may only be specified when readOnly is true");
    if (mode.len && !kn_sv_is(mode, "None"))
        kn_check_forbidden(p, SUB(path, recursiveReadOnly),
                           "may only be specified when mountPropagation is None or not specified");
}

static void check_mount_list(struct kn_problems *p, const struct kn_path *path,
                             const struct kn_pod_check *pod, const struct kn_json *c)
{
    const struct kn_json *m, *found;
    bool claim, privileged = FLAG(GET(c, securityContext), privileged);
    struct kn_names points = {0}, devices = texts_of(p, GET(c, volumeDevices), KN_K_name),
                    device_paths = texts_of(p, GET(c, volumeDevices), KN_K_devicePath);
    int64_t i = 0;
    KN_JSON_EACH(m, GET(c, volumeMounts))
    {
        const struct kn_path *at = KN_PATH_AT(path, i++);
        struct kn_sv name = TEXT(m, name), point = TEXT(m, mountPath);
        kn_check_present(p, SUB(at, name), name, "");
        if (!kn_check_find_volume(pod, name, &found, &claim))
            kn_check_not_found(p, SUB(at, name), name, "");
        kn_check_present(p, SUB(at, mountPath), point, "");
        if (!kn_names_add(p, &points, point))
            kn_check_invalid_text(p, SUB(at, mountPath), point, "must be unique");
        if (kn_names_has(&devices, name))
            kn_check_invalid_text(p, SUB(at, name), name,
                                  "must not already exist in volumeDevices");
        if (kn_names_has(&device_paths, point))
            kn_check_invalid_text(p, SUB(at, mountPath), point,
                                  "must not already exist as a path in volumeDevices");
        // from here on upstream names the list, not the element
        if (TEXT(m, subPath).len)
            kn_check_descending_path(p, SUB(path, subPath), TEXT(m, subPath));
        if (TEXT(m, subPathExpr).len && TEXT(m, subPath).len)
            kn_check_invalid_text(p, SUB(at, subPathExpr), TEXT(m, subPathExpr),
                                  "subPathExpr and subPath are mutually exclusive");
        if (TEXT(m, subPathExpr).len)
            kn_check_descending_path(p, SUB(path, subPathExpr), TEXT(m, subPathExpr));
        check_propagation(p, path, m, privileged);
    }
}

static void check_device_list(struct kn_problems *p, const struct kn_path *path,
                              const struct kn_pod_check *pod, const struct kn_json *c)
{
    const struct kn_json *d, *volume;
    struct kn_names names = {0}, paths = {0}, mounts = texts_of(p, GET(c, volumeMounts), KN_K_name),
                    points = texts_of(p, GET(c, volumeMounts), KN_K_mountPath);
    int64_t i = 0;
    KN_JSON_EACH(d, GET(c, volumeDevices))
    {
        const struct kn_path *at = KN_PATH_AT(path, i++);
        struct kn_sv name = TEXT(d, name), device = TEXT(d, devicePath);
        bool claim = false, found = kn_check_find_volume(pod, name, &volume, &claim);
        kn_check_present(p, SUB(at, name), name, "");
        if (!kn_names_add(p, &names, name))
            kn_check_invalid_text(p, SUB(at, name), name, "must be unique");
        if (found && !claim)
            kn_check_invalid_text(p, SUB(at, name), name,
                                  "can only use volume source type of PersistentVolumeClaim or "
                                  "Ephemeral for block mode");
        if (!found)
            kn_check_not_found(p, SUB(at, name), name, "");
        kn_check_present(p, SUB(at, devicePath), device, "");
        if (!kn_names_add(p, &paths, device))
            kn_check_invalid_text(p, SUB(at, devicePath), device, "must be unique");
        if (kn_names_has(&mounts, name))
            kn_check_invalid_text(p, SUB(at, name), name, "must not already exist in volumeMounts");
        if (kn_names_has(&points, device))
            kn_check_invalid_text(p, SUB(at, devicePath), device,
                                  "must not already exist as a path in volumeMounts");
    }
}

void kn_check_mounts(struct kn_problems *p, const struct kn_path *path,
                     const struct kn_pod_check *pod, const struct kn_json *container)
{
    check_mount_list(p, SUB(path, volumeMounts), pod, container);
    check_device_list(p, SUB(path, volumeDevices), pod, container);
}

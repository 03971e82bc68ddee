// Security contexts of pods and containers.
#include "meta/validate_impl.h"

#define ID_MAX 2147483647 // of users and groups
#define SYSCTL_MAX 253

static void check_seccomp(struct kn_problems *p, const struct kn_path *path,
                          const struct kn_json *v)
{
    static const char *const types[] = {"Localhost", "RuntimeDefault", "Unconfined", NULL};
    const struct kn_json *local = GET(v, localhostProfile);
    if (!v)
        return;
    kn_check_one_of(p, SUB(path, type), TEXT(v, type), types);
    if (!kn_sv_is(TEXT(v, type), "Localhost")) {
        if (local)
            kn_check_invalid(p, SUB(path, localhostProfile), v,
                             "can only be set when seccomp type is Localhost");
    } else if (!local) {
        kn_check_required(p, SUB(path, localhostProfile),
                          "must be set when seccomp type is Localhost");
    } else {
        kn_check_descending_path(p, SUB(path, localhostProfile), kn_json_str(local));
    }
}

static void check_apparmor(struct kn_problems *p, const struct kn_path *path,
                           const struct kn_json *v)
{
    static const char *const types[] = {"Localhost", "RuntimeDefault", "Unconfined", NULL};
    const struct kn_json *local = GET(v, localhostProfile);
    struct kn_sv name = kn_json_str(local), type = TEXT(v, type);
    const struct kn_path *at = SUB(path, localhostProfile);
    if (!v)
        return;
    if (!kn_check_present(p, SUB(path, type), type,
                          "type is required when appArmorProfile is set") ||
        !kn_check_one_of(p, SUB(path, type), type, types))
        return;
    if (!kn_sv_is(type, "Localhost")) {
        if (local)
            kn_check_invalid(p, at, local, "can only be set when AppArmor type is Localhost");
    } else if (kn_sv_trim(name).len != name.len) {
        kn_check_invalid_text(p, at, name, "must not be padded with whitespace");
    } else if (kn_check_present(p, at, name, "must be set when AppArmor type is Localhost") &&
               name.len > 4095) {
        kn_check_too_long(p, at, 4095);
    }
}

// Segments of a-z, 0-9, '-', '_', joined by '.' or '/'.
static bool is_sysctl(struct kn_sv t)
{
    bool word = false; // the last character may end a segment
    for (size_t i = 0; i < t.len; i++) {
        char c = t.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        bool inner = (c == '-' || c == '_') && i > 0 && t.ptr[i - 1] != '.' && t.ptr[i - 1] != '/';
        bool joint = (c == '.' || c == '/') && word;
        if (!plain && !inner && !joint)
            return false;
        word = plain;
    }
    return word && t.len <= SYSCTL_MAX;
}

static bool of_network(struct kn_sv name)
{
    return kn_sv_starts(name, KN_SV("net.")) || kn_sv_starts(name, KN_SV("net/"));
}

static bool of_ipc(struct kn_sv name)
{
    return kn_sv_starts(name, KN_SV("kernel.shm")) || kn_sv_starts(name, KN_SV("kernel.msg")) ||
           kn_sv_starts(name, KN_SV("fs.mqueue.")) || kn_sv_is(name, "kernel.sem");
}

static void check_sysctls(struct kn_problems *p, const struct kn_path *path,
                          const struct kn_json *list, const struct kn_json *spec)
{
    struct kn_names names = {0};
    const struct kn_json *v;
    int64_t i = 0;
    KN_JSON_EACH(v, list)
    {
        const struct kn_path *at = SUB(KN_PATH_AT(path, i), name);
        struct kn_sv name = TEXT(v, name);
        i++;
        if (!kn_check_present(p, at, name, ""))
            continue;
        if (!is_sysctl(name))
            kn_check_invalid_text(
                p, at, name,
                "must have at most %d characters and match regex "
                "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
                SYSCTL_MAX);
        else if (!kn_names_add(p, &names, name))
            kn_check_duplicate(p, at, name);
        if (FLAG(spec, hostNetwork) && of_network(name))
            kn_check_invalid_text(p, at, name, "may not be specified when 'hostNetwork' is true");
        else if (FLAG(spec, hostIPC) && of_ipc(name))
            kn_check_invalid_text(p, at, name, "may not be specified when 'hostIPC' is true");
    }
}

void kn_check_pod_security(struct kn_problems *p, const struct kn_path *spec_path,
                           const struct kn_json *spec)
{
    static const char *const changes[] = {"Always", "OnRootMismatch", NULL};
    const struct kn_path *path = SUB(spec_path, securityContext);
    const struct kn_json *sc = GET(spec, securityContext), *group;
    int64_t i = 0;
    kn_check_range(p, SUB(path, fsGroup), GET(sc, fsGroup), 0, ID_MAX);
    kn_check_range(p, SUB(path, runAsUser), GET(sc, runAsUser), 0, ID_MAX);
    kn_check_range(p, SUB(path, runAsGroup), GET(sc, runAsGroup), 0, ID_MAX);
    KN_JSON_EACH(group, GET(sc, supplementalGroups))
    {
        kn_check_range(p, KN_PATH_AT(SUB(path, supplementalGroups), i++), group, 0, ID_MAX);
    }
    check_sysctls(p, SUB(path, sysctls), GET(sc, sysctls), spec);
    if (GET(sc, fsGroupChangePolicy))
        kn_check_one_of(p, SUB(path, fsGroupChangePolicy), TEXT(sc, fsGroupChangePolicy), changes);
    check_seccomp(p, SUB(path, seccompProfile), GET(sc, seccompProfile));
    check_apparmor(p, SUB(path, appArmorProfile), GET(sc, appArmorProfile));
}

static void check_escalation(struct kn_problems *p, const struct kn_path *path,
                             const struct kn_json *sc)
{
    const struct kn_json *cap;
    if (kn_json_bool(GET(sc, allowPrivilegeEscalation), true))
        return;
    if (FLAG(sc, privileged))
        kn_check_invalid(p, path, sc,
                         "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
    KN_JSON_EACH(cap, GET(GET(sc, capabilities), add))
    {
        if (kn_sv_is(kn_json_str(cap), "CAP_SYS_ADMIN"))
            kn_check_invalid(
                p, path, sc,
                "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` "
                "CAP_SYS_ADMIN");
    }
}

void kn_check_container_security(struct kn_problems *p, const struct kn_path *path,
                                 const struct kn_json *sc, bool host_users)
{
    static const char *const mounts[] = {"Default", "Unmasked", NULL};
    struct kn_sv proc = TEXT(sc, procMount);
    kn_check_range(p, SUB(path, runAsUser), GET(sc, runAsUser), 0, ID_MAX);
    kn_check_range(p, SUB(path, runAsGroup), GET(sc, runAsGroup), 0, ID_MAX);
    if (GET(sc, procMount))
        kn_check_one_of(p, SUB(path, procMount), proc, mounts);
    if (host_users && kn_sv_is(proc, "Unmasked"))
        kn_check_invalid_text(p, SUB(path, procMount), proc,
                              "`hostUsers` must be false to use `Unmasked`");
    check_seccomp(p, SUB(path, seccompProfile), GET(sc, seccompProfile));
    check_escalation(p, path, sc);
    check_apparmor(p, SUB(path, appArmorProfile), GET(sc, appArmorProfile));
}

#include "node/container_spec.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

#include "base/num.h"
#include "codec/quantity.h"
#include "node/container_env.h"

#define GROUPS_MAX 256

struct user {
    uint32_t uid, gid;
    bool known_gid;
    struct kn_sv name; // "" when the image names a number
    uint32_t groups[GROUPS_MAX];
    size_t groups_len;
};

// A file of the image, resolved inside of it: its links cannot lead to files of the machine.
static void read_inside(const char *rootfs, const char *path, struct kn_buf *out)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_IN_ROOT};
    KN_CLEANUP(kn_cleanup_fd) int root = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
    KN_CLEANUP(kn_cleanup_fd)
    int fd = root < 0 ? -1 : (int)syscall(SYS_openat2, root, path, &how, sizeof how);
    char chunk[4096];
    for (ssize_t n; fd >= 0 && !out->failed && (n = read(fd, chunk, sizeof chunk)) > 0;)
        kn_buf_add(out, kn_sv(chunk, (size_t)n));
}

static struct kn_sv field(struct kn_sv line, int index)
{
    for (; index > 0; index--)
        kn_sv_cut(&line, ':');
    return kn_sv_cut(&line, ':');
}

static bool number(struct kn_sv text, uint32_t *ret)
{
    int64_t n;
    struct kn_status s = kn_num_parse(text, 0, UINT32_MAX, &n);
    bool good = kn_ok(s);
    kn_status_done(&s);
    if (good)
        *ret = (uint32_t)n;
    return good;
}

// The line of /etc/passwd or /etc/group whose name (or number) this is.
static struct kn_sv find_line(struct kn_sv text, struct kn_sv name, const uint32_t *id)
{
    uint32_t n;
    while (text.len) {
        struct kn_sv line = kn_sv_trim(kn_sv_cut(&text, '\n'));
        if (id ? number(field(line, 2), &n) && n == *id : kn_sv_eq(field(line, 0), name))
            return line;
    }
    return KN_SV_NULL;
}

static void add_group(struct user *u, uint32_t gid)
{
    for (size_t i = 0; i < u->groups_len; i++)
        if (u->groups[i] == gid)
            return;
    if (u->groups_len < GROUPS_MAX)
        u->groups[u->groups_len++] = gid;
}

static void groups_of(struct user *u, struct kn_sv groups, struct kn_sv name)
{
    while (groups.len && name.len) {
        struct kn_sv line = kn_sv_trim(kn_sv_cut(&groups, '\n'));
        struct kn_sv members = field(line, 3);
        uint32_t gid;
        while (members.len)
            if (kn_sv_eq(kn_sv_cut(&members, ','), name) && number(field(line, 2), &gid))
                add_group(u, gid);
    }
}

static const struct kn_json *security(const struct kn_container_spec *c, enum kn_atom key)
{
    const struct kn_json *v = KN_JSON_AT(c->container, KN_K_securityContext, key);
    return v ? v : KN_JSON_AT(c->pod->root, KN_K_spec, KN_K_securityContext, key);
}

static struct kn_status image_user(const struct kn_container_spec *c, struct user *u,
                                   struct kn_sv passwd, struct kn_sv groups)
{
    struct kn_sv text = kn_json_str(kn_json_get(c->image->config, KN_K_User)), group = text;
    struct kn_sv name = kn_sv_cut(&group, ':');
    if (name.len && !number(name, &u->uid)) {
        struct kn_sv line = find_line(passwd, name, NULL);
        if (!line.len || !number(field(line, 2), &u->uid))
            return kn_error(KN_INVALID,
                            "unable to find user %.*s: no matching entries in passwd file",
                            KN_SV_ARG(name));
    }
    if (group.len && !number(group, &u->gid)) {
        struct kn_sv line = find_line(groups, group, NULL);
        if (!line.len || !number(field(line, 2), &u->gid))
            return kn_error(KN_INVALID,
                            "unable to find group %.*s: no matching entries in group file",
                            KN_SV_ARG(group));
    }
    u->known_gid = group.len > 0;
    return KN_STATUS_OK;
}

static struct kn_status resolve_user(const struct kn_container_spec *c, struct user *u)
{
    struct kn_buf passwd = KN_BUF(1u << 20), groups = KN_BUF(1u << 20);
    const struct kn_json *as_user = security(c, KN_K_runAsUser),
                         *as_group = security(c, KN_K_runAsGroup), *g;
    const struct kn_json *pod = KN_JSON_AT(c->pod->root, KN_K_spec, KN_K_securityContext);
    read_inside(c->rootfs, "etc/passwd", &passwd);
    read_inside(c->rootfs, "etc/group", &groups);
    struct kn_status s = KN_STATUS_OK;
    if (as_user)
        u->uid = (uint32_t)kn_json_int(as_user, 0);
    else
        s = image_user(c, u, kn_buf_sv(&passwd), kn_buf_sv(&groups));
    struct kn_sv line = find_line(kn_buf_sv(&passwd), KN_SV_NULL, &u->uid);
    if (!u->known_gid && line.len)
        number(field(line, 3), &u->gid);
    if (as_group)
        u->gid = (uint32_t)kn_json_int(as_group, 0);
    if (!kn_sv_is(kn_json_str(kn_json_get(pod, KN_K_supplementalGroupsPolicy)), "Strict"))
        groups_of(u, kn_buf_sv(&groups), field(line, 0));
    kn_buf_done(&passwd);
    kn_buf_done(&groups);
    KN_JSON_EACH(g, kn_json_get(pod, KN_K_supplementalGroups))
        add_group(u, (uint32_t)kn_json_int(g, 0));
    if (kn_json_get(pod, KN_K_fsGroup))
        add_group(u, (uint32_t)kn_json_int(kn_json_get(pod, KN_K_fsGroup), 0));
    if (kn_ok(s) && u->uid == 0 && kn_json_bool(security(c, KN_K_runAsNonRoot), false))
        s = kn_error(KN_INVALID, as_user ? "container's runAsUser breaks non-root policy"
                                         : "container has runAsNonRoot and image will run as root");
    return s;
}

static struct kn_status capabilities(const struct kn_container_spec *c, uint64_t *ret)
{
    const struct kn_json *caps = KN_JSON_AT(c->container, KN_K_securityContext, KN_K_capabilities),
                         *v;
    uint64_t bits = kn_cap_default(), add = 0;
    KN_JSON_EACH(v, kn_json_get(caps, KN_K_drop)) {
        int n = kn_cap_parse(kn_json_str(v));
        if (kn_sv_is(kn_json_str(v), "ALL"))
            bits = 0;
        else if (n >= 0)
            bits &= ~(UINT64_C(1) << n);
    }
    KN_JSON_EACH(v, kn_json_get(caps, KN_K_add)) {
        int n = kn_cap_parse(kn_json_str(v));
        if (kn_sv_is(kn_json_str(v), "ALL"))
            add = KN_CAP_ALL;
        else if (n < 0)
            return kn_error(KN_INVALID, "unknown capability \"%.*s\" to add",
                            KN_SV_ARG(kn_json_str(v)));
        else
            add |= UINT64_C(1) << n;
    }
    *ret = bits | add;
    return KN_STATUS_OK;
}

static void limits(const struct kn_container_spec *c, struct kn_oci *o)
{
    const struct kn_json *r = kn_json_get(c->container, KN_K_resources);
    const struct kn_json *lim = kn_json_get(r, KN_K_limits), *req = kn_json_get(r, KN_K_requests);
    struct kn_sv cpu_limit = kn_json_str(kn_json_get_sv(lim, KN_SV("cpu")));
    struct kn_sv cpu = kn_json_str(kn_json_get_sv(req, KN_SV("cpu")));
    int64_t milli = kn_quantity_milli_of(cpu.len ? cpu : cpu_limit);
    o->cpu_shares = milli * 1024 / 1000 < 2 ? 2 : milli * 1024 / 1000;
    int64_t quota = kn_quantity_milli_of(cpu_limit) * 100;
    o->cpu_quota_us = quota && quota < 1000 ? 1000 : quota;
    o->memory = kn_quantity_value_of(kn_json_str(kn_json_get_sv(lim, KN_SV("memory"))));
    int64_t asked = kn_quantity_value_of(kn_json_str(kn_json_get_sv(req, KN_SV("memory"))));
    switch (kn_pod_qos(kn_json_get(c->pod->root, KN_K_spec))) {
    case KN_QOS_GUARANTEED:
        o->oom_score_adj = c->node->can_lower_oom ? -997 : 0;
        break;
    case KN_QOS_BEST_EFFORT:
        o->oom_score_adj = 1000;
        break;
    case KN_QOS_BURSTABLE:
        o->oom_score_adj =
            (int)(1000 - 1000 * asked / (c->node->memory_capacity ? c->node->memory_capacity : 1));
        o->oom_score_adj = o->oom_score_adj < 2     ? 2
                           : o->oom_score_adj > 999 ? 999
                                                    : o->oom_score_adj;
        break;
    }
}

static void namespaces(const struct kn_container_spec *c, struct kn_arena *a, struct kn_oci *o)
{
    const struct kn_json *spec = kn_json_get(c->pod->root, KN_K_spec);
    struct kn_oci_ns host = {.kind = KN_OCI_NS_HOST};
    const char *run = c->sandbox->run;
    bool host_net = c->sandbox->host_network;
    o->net =
        host_net ? host : (struct kn_oci_ns){KN_OCI_NS_PATH, kn_arena_printf(a, "%s/net", run).ptr};
    o->uts =
        host_net ? host : (struct kn_oci_ns){KN_OCI_NS_PATH, kn_arena_printf(a, "%s/uts", run).ptr};
    o->ipc = kn_json_bool(kn_json_get(spec, KN_K_hostIPC), false)
                 ? host
                 : (struct kn_oci_ns){KN_OCI_NS_PATH, kn_arena_printf(a, "%s/ipc", run).ptr};
    if (kn_json_bool(kn_json_get(spec, KN_K_hostPID), false))
        o->pid = host;
}

static void command(const struct kn_container_spec *c, struct kn_env *env, struct kn_arena *a,
                    struct kn_oci *o)
{
    const struct kn_json *cmd = kn_json_get(c->container, KN_K_command),
                         *args = kn_json_get(c->container, KN_K_args);
    const struct kn_json *first = cmd, *second = args, *v;
    if (!kn_json_len(cmd)) {
        first = kn_json_get(c->image->config, KN_K_Entrypoint);
        if (!kn_json_len(args))
            second = kn_json_get(c->image->config, KN_K_Cmd);
    }
    struct kn_sv *list =
        kn_arena_calloc(a, kn_json_len(first) + kn_json_len(second) + 1, sizeof *list);
    size_t n = 0;
    if (list) {
        KN_JSON_EACH(v, first)
            list[n++] =
                first == cmd ? kn_expand(a, kn_json_str(v), kn_env_get, env) : kn_json_str(v);
        KN_JSON_EACH(v, second)
            list[n++] =
                second == args ? kn_expand(a, kn_json_str(v), kn_env_get, env) : kn_json_str(v);
    }
    o->args = list;
    o->args_len = n;
}

static struct kn_status seccomp(const struct kn_container_spec *c, struct kn_oci *o)
{
    struct kn_sv type = kn_json_str(kn_json_get(security(c, KN_K_seccompProfile), KN_K_type));
    o->seccomp = KN_SECCOMP_UNCONFINED;
    if (o->privileged || !type.len || kn_sv_is(type, "Unconfined"))
        return KN_STATUS_OK;
    if (!kn_sv_is(type, "RuntimeDefault"))
        return kn_error(
            KN_NOT_SUPPORTED,
            "seccompProfile.type %.*s is not supported: use RuntimeDefault or Unconfined",
            KN_SV_ARG(type));
    o->seccomp = KN_SECCOMP_DEFAULT;
    return KN_STATUS_OK;
}

static void sysctls(const struct kn_container_spec *c, struct kn_arena *a, struct kn_oci *o)
{
    const struct kn_json *list = KN_JSON_AT(c->pod->root, KN_K_spec, KN_K_securityContext,
                                            KN_K_sysctls),
                         *v;
    struct kn_oci_pair *out = kn_arena_calloc(a, kn_json_len(list) + 1, sizeof *out);
    KN_JSON_EACH(v, out ? list : NULL)
        out[o->sysctls_len++] = (struct kn_oci_pair){kn_json_str(kn_json_get(v, KN_K_name)),
                                                     kn_json_str(kn_json_get(v, KN_K_value))};
    o->sysctls = out;
}

static void standard_mounts(const struct kn_container_spec *c, struct kn_arena *a, struct kn_oci *o)
{
    static const struct {
        const char *file, *target;
    } files[] = {{"hosts", "/etc/hosts"},
                 {"resolv.conf", "/etc/resolv.conf"},
                 {"hostname", "/etc/hostname"}};
    struct kn_oci_mount *m = kn_arena_calloc(a, c->mounts_len + 4, sizeof *m);
    if (!m)
        return;
    if (c->mounts_len)
        memcpy(m, c->mounts, c->mounts_len * sizeof *m);
    size_t n = c->mounts_len;
    struct kn_sv path = kn_json_str(kn_json_get(c->container, KN_K_terminationMessagePath));
    m[n++] = (struct kn_oci_mount){.source = c->termination_log,
                                   .target = path.len ? kn_arena_dup(a, path).ptr
                                                      : "/dev/termination-log"};
    for (size_t i = 0; i < KN_ARRAY_LEN(files); i++) {
        bool taken = false;
        for (size_t k = 0; k < c->mounts_len; k++)
            taken = taken || strcmp(c->mounts[k].target, files[i].target) == 0;
        if (!taken)
            m[n++] = (struct kn_oci_mount){
                .source = kn_arena_printf(a, "%s/%s", c->sandbox->run, files[i].file).ptr,
                .target = files[i].target};
    }
    o->mounts = m;
    o->mounts_len = n;
}

struct kn_status kn_container_spec(const struct kn_container_spec *c, struct kn_arena *a,
                                   struct kn_oci *o)
{
    const struct kn_json *sc = kn_json_get(c->container, KN_K_securityContext);
    struct user *u = kn_arena_calloc(a, 1, sizeof *u);
    struct kn_env env = {.a = a};
    if (!u)
        return kn_arena_error(a, "a container's configuration");
    *o = (struct kn_oci){.rootfs = c->rootfs};
    KN_TRY(kn_env_fill(&env, c));
    KN_TRY(resolve_user(c, u));
    if (u->uid == 0 && !kn_env_get(&env, KN_SV("HOME")).ptr)
        kn_env_set(&env, KN_SV("HOME"), KN_SV("/root"));
    command(c, &env, a, o);
    if (!o->args_len)
        return kn_error(KN_INVALID, "no command specified");
    struct kn_sv *list = kn_arena_calloc(a, env.len + 1, sizeof *list);
    for (size_t i = 0; list && i < env.len; i++)
        list[i] = kn_arena_printf(a, "%.*s=%.*s", KN_SV_ARG(env.ptr[i].name),
                                  KN_SV_ARG(env.ptr[i].value));
    o->env = list;
    o->env_len = env.len;
    o->cwd = kn_json_str(kn_json_get(c->container, KN_K_workingDir));
    if (!o->cwd.len)
        o->cwd = kn_json_str(kn_json_get(c->image->config, KN_K_WorkingDir));
    o->uid = u->uid;
    o->gid = u->gid;
    o->groups = u->groups;
    o->groups_len = u->groups_len;
    o->privileged = kn_json_bool(kn_json_get(sc, KN_K_privileged), false);
    o->read_only_root = kn_json_bool(kn_json_get(sc, KN_K_readOnlyRootFilesystem), false);
    o->no_new_privileges = !kn_json_bool(kn_json_get(sc, KN_K_allowPrivilegeEscalation), true);
    o->unmasked = kn_sv_is(kn_json_str(kn_json_get(sc, KN_K_procMount)), "Unmasked");
    o->terminal = kn_json_bool(kn_json_get(c->container, KN_K_tty), false);
    o->own_shm = true;
    KN_TRY(capabilities(c, &o->caps));
    if (o->privileged)
        o->caps = KN_CAP_ALL & ~(c->node->can_lower_oom ? 0 : UINT64_C(1) << 24);
    limits(c, o);
    namespaces(c, a, o);
    KN_TRY(seccomp(c, o));
    sysctls(c, a, o);
    standard_mounts(c, a, o);
    o->cgroup_path = kn_arena_printf(a, "/%s", c->cgroup).ptr;
    o->device_rules =
        kn_cgroups_version(c->node->cgroups) == KN_CGROUP_V1 || c->node->can_lower_oom;
    return kn_arena_failed(a) ? kn_arena_error(a, "a container's configuration") : KN_STATUS_OK;
}

#include "node/agent.h"

#include <dirent.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/num.h"
#include "base/thread.h"
#include "client/events.h"
#include "node/image_pull.h"
#include "node/pod_sandbox.h"
#include "node/service_env.h"
#include "node/shim_client.h"
#include "node/upkeep.h"

#define LEASE_SECONDS 40
#define LEASE_EVERY (10 * KN_SECOND)
#define STATUS_EVERY (300 * KN_SECOND)
#define START_DEADLINE (60 * KN_SECOND)
// For the processes of all pods that a former agent left: they were sent SIGKILL.
#define LEFT_DEADLINE (5 * KN_SECOND)

// Of one worker. The agent's lock; `worker` is joined by the agent's thread alone.
struct entry {
    struct kn_list link;
    struct kn_agent *agent;
    struct kn_pod_worker *worker;
    const struct kn_obj *pod; // whose worker could not be started yet; NULL
    char uid[64], key[KN_OBJ_KEY_TEXT];
    bool done;
};

struct kn_agent {
    struct kn_agent_config c;
    struct kn_node node;
    char shim[256];
    struct kn_recorder *recorder;
    struct kn_puller *puller;
    struct kn_cache *pods, *nodes; // of this node alone
    const struct kn_resource *r_nodes, *r_pods, *r_leases, *r_maps, *r_secrets, *r_accounts;
    struct kn_pressure pressure; // as it was told last; of the agent's thread
    pthread_t thread;
    pthread_mutex_t lock; // entries, stop, lost. Leaf but for the workers' own
    pthread_cond_t changed;
    struct kn_list entries;
    bool stop, lost; // lost: somebody deleted the node object while the node lives
};

// -- what workers ask ------------------------------------------------------------------------

static struct kn_status api_get(void *arg, enum kn_node_kind kind, struct kn_sv ns,
                                struct kn_sv name, const struct kn_obj **ret)
{
    struct kn_agent *a = arg;
    bool secret = kind == KN_NODE_SECRET;
    struct kn_status s =
        kn_client_get(a->c.client, secret ? a->r_secrets : a->r_maps, ns, name, ret);
    if (s.code != KN_NOT_FOUND)
        return s;
    kn_status_done(&s); // in a kubelet's words, which name the kind
    return kn_error(KN_NOT_FOUND, "%s \"%.*s\" not found", secret ? "secret" : "configmap",
                    KN_SV_ARG(name));
}

static struct kn_status api_token(void *arg, const struct kn_obj *pod, struct kn_sv audience,
                                  int64_t seconds, struct kn_arena *arena, struct kn_sv *ret)
{
    struct kn_agent *a = arg;
    struct kn_json *body = kn_json_new_object(arena),
                   *spec = kn_json_ensure_object(arena, body, KN_K_spec);
    struct kn_json *ref = kn_json_ensure_object(arena, spec, KN_K_boundObjectRef);
    struct kn_sv account = KN_JSON_STR_AT(pod->root, KN_K_spec, KN_K_serviceAccountName);
    kn_json_set_str(arena, body, KN_K_apiVersion, KN_SV("authentication.k8s.io/v1"));
    kn_json_set_str(arena, body, KN_K_kind, KN_SV("TokenRequest"));
    struct kn_json *audiences = kn_json_ensure_array(arena, spec, KN_K_audiences);
    if (audience.len)
        kn_json_append(audiences, kn_json_new_str(arena, audience));
    kn_json_set_int(arena, spec, KN_K_expirationSeconds, seconds);
    kn_json_set_str(arena, ref, KN_K_apiVersion, KN_SV("v1"));
    kn_json_set_str(arena, ref, KN_K_kind, KN_SV("Pod"));
    kn_json_set_str(arena, ref, KN_K_name, pod->name);
    kn_json_set_str(arena, ref, KN_K_uid, pod->uid);
    KN_CLEANUP(kn_obj_cleanup) const struct kn_obj *answer = NULL;
    KN_TRY(
        kn_wrap(kn_client_create(a->c.client, a->r_accounts, pod->ns,
                                 account.len ? account : KN_SV("default"), "token", body, &answer),
                "ask for a token of the service account"));
    *ret = kn_arena_dup(arena, KN_JSON_STR_AT(answer->root, KN_K_status, KN_K_token));
    return KN_STATUS_OK;
}

static struct kn_status api_put_status(void *arg, const struct kn_obj *pod,
                                       const struct kn_json *status)
{
    struct kn_agent *a = arg;
    KN_CLEANUP(kn_arena_cleanup) struct kn_arena *arena = kn_arena_new(0, 32u << 20);
    struct kn_json *body = kn_json_new_object(arena),
                   *meta = kn_json_ensure_object(arena, body, KN_K_metadata);
    // The uid guards against a new pod of the same name.
    kn_json_set_str(arena, meta, KN_K_uid, pod->uid);
    kn_json_set(arena, body, KN_K_status, kn_json_copy(arena, status));
    struct kn_buf text = KN_BUF(4u << 20);
    kn_json_encode(&text, body);
    struct kn_status s = kn_client_patch(a->c.client, a->r_pods, pod->ns, pod->name, "status",
                                         KN_PATCH_MERGE, kn_buf_sv(&text), NULL);
    kn_buf_done(&text);
    return s;
}

static struct kn_status api_finish(void *arg, const struct kn_obj *pod)
{
    struct kn_agent *a = arg;
    struct kn_delete_options o = {.uid = pod->uid, .grace_seconds = 0};
    return kn_client_delete(a->c.client, a->r_pods, pod->ns, pod->name, &o);
}

static void api_event(void *arg, const struct kn_obj *pod, struct kn_sv path, const char *type,
                      const char *reason, const char *message)
{
    struct kn_agent *a = arg;
    kn_event_at(a->recorder, pod, path, type, reason, "%s", message);
}

static struct kn_status api_pull(void *arg, const struct kn_obj *pod, struct kn_sv image,
                                 struct kn_cancel *cancel)
{
    struct kn_agent *a = arg;
    return a->c.pull ? a->c.pull(a->c.pull_arg, pod, image)
                     : kn_pull_for_pod(a->puller, &a->node.api, pod, image, cancel);
}

static void api_services(void *arg, struct kn_sv ns, bool links,
                         void (*add)(void *ctx, struct kn_sv name, struct kn_sv value), void *ctx)
{
    struct kn_agent *a = arg;
    if (a->c.services)
        kn_service_env(a->c.services, ns, links, add, ctx);
}

// -- pods ------------------------------------------------------------------------------------

static struct entry *entry_of(struct kn_agent *a, struct kn_sv uid)
{
    struct entry *e;
    KN_LIST_EACH(&a->entries, e, struct entry, link)
        if (kn_sv_is(uid, e->uid))
            return e;
    return NULL;
}

static void worker_done(void *arg, struct kn_pod_worker *w)
{
    struct entry *e = arg;
    (void)w;
    KN_LOCKED(&e->agent->lock) {
        e->done = true;
        pthread_cond_broadcast(&e->agent->changed);
    }
}

// Under the lock. An entry whose worker cannot be started (there are too many threads) keeps the
// pod.
static void start_worker(struct kn_agent *a, struct entry *e, const struct kn_obj *pod)
{
    struct kn_status s = kn_pod_worker_start(&a->node, pod, worker_done, e, &e->worker);
    const struct kn_obj *kept = kn_ok(s) ? NULL : kn_obj_ref(pod);
    if (!kn_ok(s) && !e->pod)
        kn_event(a->recorder, pod, "Warning", "FailedSync", "error syncing pod: %s",
                 kn_status_text(&s));
    kn_log_status(KN_LOG_WARN, s, "take on pod %s", e->key);
    kn_obj_unref(e->pod);
    e->pod = kept;
}

static void start_waiting(struct kn_agent *a)
{
    struct entry *e;
    KN_LOCKED(&a->lock)
        KN_LIST_EACH(&a->entries, e, struct entry, link)
            if (e->pod && !a->stop) {
                const struct kn_obj *pod = kn_obj_ref(e->pod);
                start_worker(a, e, pod);
                kn_obj_unref(pod);
            }
}

// In the informer's thread.
static void pod_changed(void *arg, enum kn_event_type type, const struct kn_obj *obj,
                        const struct kn_obj *old)
{
    struct kn_agent *a = arg;
    (void)old;
    if (type == KN_EVENT_BOOKMARK ||
        !kn_sv_is(KN_JSON_STR_AT(obj->root, KN_K_spec, KN_K_nodeName), a->c.node_name))
        return;
    pthread_mutex_lock(&a->lock);
    struct entry *e = entry_of(a, obj->uid);
    if (e && e->pod && type == KN_EVENT_DELETED) {
        e->done = true; // nothing of it is here
        pthread_cond_broadcast(&a->changed);
    } else if (e && e->pod)
        start_worker(a, e, obj);
    else if (e && !e->done && type == KN_EVENT_DELETED)
        kn_pod_worker_gone(e->worker);
    else if (e && !e->done)
        kn_pod_worker_update(e->worker, obj);
    if (!e && type != KN_EVENT_DELETED && !a->stop) {
        e = KN_NEW(struct entry);
        e->agent = a;
        snprintf(e->uid, sizeof e->uid, "%.*s", KN_SV_ARG(obj->uid));
        kn_obj_key_text(obj, e->key);
        kn_list_append(&a->entries, &e->link);
        start_worker(a, e, obj);
    }
    pthread_mutex_unlock(&a->lock);
}

// Under the lock. NULL: it is not here.
static struct entry *pod_here(struct kn_agent *a, struct kn_sv ns, struct kn_sv pod)
{
    char key[KN_OBJ_KEY_TEXT];
    struct entry *e, *found = NULL;
    snprintf(key, sizeof key, "%.*s/%.*s", KN_SV_ARG(ns), KN_SV_ARG(pod));
    KN_LIST_EACH(&a->entries, e, struct entry, link)
        if (!e->done && !e->pod && strcmp(e->key, key) == 0)
            found = e;
    return found;
}

static struct kn_status not_here(struct kn_sv ns, struct kn_sv pod)
{
    return kn_error(KN_NOT_FOUND, "pod %.*s/%.*s does not exist on this node", KN_SV_ARG(ns),
                    KN_SV_ARG(pod));
}

struct kn_status kn_agent_container(struct kn_agent *a, struct kn_sv ns, struct kn_sv pod,
                                    struct kn_sv container, struct kn_pod_container *ret)
{
    struct kn_status s = KN_STATUS_OK;
    KN_LOCKED(&a->lock) {
        struct entry *e = pod_here(a, ns, pod);
        s = e ? kn_pod_worker_container(e->worker, container, ret) : not_here(ns, pod);
    }
    return s;
}

struct kn_status kn_agent_sandbox(struct kn_agent *a, struct kn_sv ns, struct kn_sv pod,
                                  struct kn_sandbox *ret)
{
    KN_CLEANUP(kn_obj_cleanup) const struct kn_obj *obj = NULL;
    KN_LOCKED(&a->lock) {
        struct entry *e = pod_here(a, ns, pod);
        obj = e ? kn_pod_worker_pod(e->worker) : NULL;
    }
    if (!obj)
        return not_here(ns, pod);
    kn_sandbox_init(ret, &a->node, obj);
    return KN_STATUS_OK;
}

// -- what a former agent left ----------------------------------------------------------------

// Pods of which the API knows nothing any more.
struct left {
    const struct kn_obj **pods; // stand-ins, which have the uid alone
    size_t len;
};

static void add_left(struct left *l, const char *uid)
{
    char text[256];
    const struct kn_obj *pod;
    for (size_t i = 0; i < l->len; i++)
        if (kn_sv_is(l->pods[i]->uid, uid))
            return;
    snprintf(
        text, sizeof text,
        "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"left\",\"namespace\":\"left\","
        "\"uid\":\"%.63s\"},"
        "\"spec\":{}}",
        uid);
    struct kn_status st = kn_obj_parse(kn_sv_c(text), &pod);
    if (kn_ok(st)) {
        l->pods = kn_realloc(l->pods, l->len + 1, sizeof *l->pods);
        l->pods[l->len++] = pod;
    }
    kn_status_done(&st);
}

// In whichever class the pod was. false: ends its processes without waiting for them.
static void end_group(const struct kn_node *n, const struct kn_obj *pod, bool wait,
                      int64_t deadline)
{
    static const char *const classes[] = {"", "burstable/", "besteffort/"};
    for (size_t i = 0; i < KN_ARRAY_LEN(classes); i++) {
        char path[512];
        snprintf(path, sizeof path, KN_CGROUP_ROOT "/kubepods/%spod%.*s", classes[i],
                 KN_SV_ARG(pod->uid));
        if (kn_cgroup_exists(n->cgroups, path) && !wait)
            kn_cgroup_kill(n->cgroups, path);
        else if (kn_cgroup_exists(n->cgroups, path))
            kn_cgroup_drain(n->cgroups, path, deadline);
    }
}

// The kernel takes the last process out of a group a moment after its end.
static bool again(struct kn_status *s, int64_t deadline)
{
    if (kn_ok(*s) || kn_mono() > deadline)
        return false;
    kn_status_done(s);
    sched_yield();
    return true;
}

static void remove_left(const struct kn_node *n, const struct kn_obj *pod, int64_t deadline)
{
    struct kn_sandbox s;
    struct kn_status st;
    kn_sandbox_init(&s, n, pod);
    KN_IGNORE(kn_shim_connect(s.run, &s.shim));
    do {
        end_group(n, pod, true, deadline);
        st = kn_sandbox_remove(&s, n, pod);
    } while (again(&st, deadline));
    kn_log_status(KN_LOG_WARN, st, "clean up the pod %.*s", KN_SV_ARG(pod->uid));
}

// All at once: the processes of all are ended before the first of them is waited for.
static void remove_unknown(struct kn_agent *a, const struct kn_node *n)
{
    char path[PATH_MAX];
    struct left left = {0};
    const char *const roots[] = {n->run_dir, n->data_dir};
    static const char *const below[] = {"node/pods", "pods"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", roots[i], below[i]);
        DIR *d = opendir(path);
        for (struct dirent *e; d && (e = readdir(d));) {
            bool known = e->d_name[0] == '.';
            if (a && !known)
                KN_LOCKED(&a->lock)
                    known = entry_of(a, kn_sv_c(e->d_name)) != NULL;
            if (!known)
                add_left(&left, e->d_name);
        }
        if (d)
            closedir(d);
    }
    int64_t deadline = kn_mono() + LEFT_DEADLINE;
    for (size_t i = 0; i < left.len; i++)
        end_group(n, left.pods[i], false, deadline);
    for (size_t i = 0; i < left.len; i++) {
        remove_left(n, left.pods[i], deadline);
        kn_obj_unref(left.pods[i]);
    }
    free(left.pods);
}

struct kn_status kn_agent_clean(const char *run_dir, const char *data_dir)
{
    struct kn_node n = {
        .run_dir = run_dir, .data_dir = data_dir, .log_dir = "/var/log/pods", .name = ""};
    KN_TRY(kn_cgroups_open(&n.cgroups));
    remove_unknown(NULL, &n);
    struct kn_status s;
    int64_t deadline = kn_mono() + LEFT_DEADLINE;
    do {
        kn_cgroup_drain(n.cgroups, KN_CGROUP_ROOT, deadline);
        s = kn_cgroup_remove(n.cgroups, KN_CGROUP_ROOT);
    } while (again(&s, deadline));
    kn_cgroups_free(n.cgroups);
    // the runtime makes it beside the folder that it was given; empty unless others use it
    rmdir("/run/crun");
    return s;
}

// -- the node object -------------------------------------------------------------------------

static struct kn_sv file_line(struct kn_arena *arena, const char *path, const char *prefix)
{
    struct kn_buf b = KN_BUF(65536);
    struct kn_sv found = KN_SV("");
    KN_IGNORE(kn_file_read(path, 60000, &b));
    struct kn_sv rest = kn_buf_sv(&b);
    while (rest.len) {
        struct kn_sv line = kn_sv_cut(&rest, '\n');
        if (kn_sv_starts(line, kn_sv_c(prefix))) {
            found = kn_sv_trim(kn_sv_from(line, strlen(prefix)));
            if (found.len > 1 && found.ptr[0] == '"')
                found = kn_sv(found.ptr + 1, found.len - 2);
            found = kn_arena_dup(arena, found);
            break;
        }
    }
    kn_buf_done(&b);
    return found;
}

static int64_t memory_capacity(void)
{
    return (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
}

static void add_capacity(struct kn_agent *a, struct kn_buf *b, const char *name)
{
    struct statvfs fs = {0};
    statvfs(a->c.data_dir, &fs);
    kn_buf_addf(
        b,
        "\"%s\":{\"cpu\":\"%ld\",\"memory\":\"%lldKi\",\"pods\":\"%d\","
        "\"ephemeral-storage\":\"%lldKi\"},",
        name, sysconf(_SC_NPROCESSORS_ONLN), (long long)(a->node.memory_capacity / 1024),
        a->c.max_pods, (long long)((int64_t)fs.f_blocks * (int64_t)fs.f_frsize / 1024));
}

// A condition that was the same before keeps the time since when it is.
static struct kn_sv since_when(const struct kn_json *node, const char *type, const char *status,
                               struct kn_sv now)
{
    const struct kn_json *c;
    KN_JSON_EACH(c, KN_JSON_AT(node, KN_K_status, KN_K_conditions))
        if (kn_sv_is(kn_json_str(kn_json_get(c, KN_K_type)), type) &&
            kn_sv_is(kn_json_str(kn_json_get(c, KN_K_status)), status))
            return kn_json_str(kn_json_get(c, KN_K_lastTransitionTime));
    return now;
}

static void add_conditions(struct kn_buf *b, const struct kn_pressure *p,
                           const struct kn_json *before)
{
    const struct {
        const char *type;
        bool status;
        const char *reason, *message;
    } all[] = {
        {"MemoryPressure", p->memory,
         p->memory ? "KubeletHasInsufficientMemory" : "KubeletHasSufficientMemory",
         p->memory ? "kubelet has insufficient memory available"
                   : "kubelet has sufficient memory available"},
        {"DiskPressure", p->disk, p->disk ? "KubeletHasDiskPressure" : "KubeletHasNoDiskPressure",
         p->disk ? "kubelet has disk pressure" : "kubelet has no disk pressure"},
        {"PIDPressure", p->pids, p->pids ? "KubeletHasInsufficientPID" : "KubeletHasSufficientPID",
         p->pids ? "kubelet has insufficient PID available"
                 : "kubelet has sufficient PID available"},
        {"Ready", true, "KubeletReady", "kubelet is posting ready status"},
    };
    char now[KN_TIME_TEXT];
    kn_time_format(kn_now(), KN_TIME_SECONDS, now);
    kn_buf_addc(b, "\"conditions\":[");
    for (size_t i = 0; i < KN_ARRAY_LEN(all); i++) {
        const char *status = all[i].status ? "True" : "False";
        struct kn_sv since = since_when(before, all[i].type, status, kn_sv_c(now));
        kn_buf_addf(b,
                    "%s{\"type\":\"%s\",\"status\":\"%s\",\"reason\":\"%s\",\"message\":\"%s\","
                    "\"lastHeartbeatTime\":\"%s\",\"lastTransitionTime\":\"%.*s\"}",
                    i ? "," : "", all[i].type, status, all[i].reason, all[i].message, now,
                    KN_SV_ARG(since));
    }
    kn_buf_addc(b, "],");
}

static void add_status(struct kn_agent *a, struct kn_buf *b, const struct kn_json *before)
{
    KN_CLEANUP(kn_arena_cleanup) struct kn_arena *arena = kn_arena_new(0, 1u << 20);
    struct utsname u;
    uname(&u);
    kn_buf_addc(b, "\"status\":{");
    add_capacity(a, b, "capacity");
    add_capacity(a, b, "allocatable");
    kn_pressure_measure(a->c.data_dir, &a->pressure);
    add_conditions(b, &a->pressure, before);
    kn_buf_addf(
        b,
        "\"addresses\":[{\"type\":\"InternalIP\",\"address\":\"%s\"},{\"type\":\"Hostname\","
        "\"address\":\"%s\"}],",
        a->c.host_ip, a->c.node_name);
    if (a->c.kubelet_port)
        kn_buf_addf(b, "\"daemonEndpoints\":{\"kubeletEndpoint\":{\"Port\":%u}},",
                    a->c.kubelet_port);
    struct kn_sv machine = file_line(arena, "/etc/machine-id", ""),
                 boot = file_line(arena, "/proc/sys/kernel/random/boot_id", "");
    struct kn_sv os = file_line(arena, "/etc/os-release", "PRETTY_NAME=");
    kn_buf_addf(
        b,
        "\"nodeInfo\":{\"machineID\":\"%.*s\",\"systemUUID\":\"%.*s\",\"bootID\":\"%.*s\","
        "\"kernelVersion\":\"%s\",\"osImage\":",
        KN_SV_ARG(machine), KN_SV_ARG(machine), KN_SV_ARG(boot), u.release);
    kn_json_encode_str(b, os);
    kn_buf_addf(
        b,
        ",\"containerRuntimeVersion\":\"%s://%s\",\"kubeletVersion\":\"v1.37.2\","
        "\"kubeProxyVersion\":\"\","
        "\"operatingSystem\":\"linux\",\"architecture\":\"%s\"}}",
        a->node.runtime->ops->name, a->node.runtime->version, kn_image_architecture());
}

static struct kn_status create_from(struct kn_agent *a, const struct kn_resource *r,
                                    struct kn_sv ns, struct kn_buf *text)
{
    KN_CLEANUP(kn_arena_cleanup) struct kn_arena *arena = kn_arena_new(0, 4u << 20);
    struct kn_json *body;
    struct kn_status s = kn_buf_status(text, "an object");
    if (kn_ok(s))
        s = kn_json_parse(arena, kn_buf_sv(text), NULL, &body);
    if (kn_ok(s))
        s = kn_client_create(a->c.client, r, ns, KN_SV_NULL, NULL, body, NULL);
    kn_buf_done(text);
    return s;
}

static struct kn_status patch_status(struct kn_agent *a)
{
    KN_CLEANUP(kn_obj_cleanup) const struct kn_obj *node = NULL;
    struct kn_buf b = KN_BUF(1u << 20);
    KN_TRY(kn_client_get(a->c.client, a->r_nodes, KN_SV_NULL, kn_sv_c(a->c.node_name), &node));
    kn_buf_add_byte(&b, '{');
    add_status(a, &b, node->root);
    kn_buf_add_byte(&b, '}');
    struct kn_status s =
        kn_client_patch(a->c.client, a->r_nodes, KN_SV_NULL, kn_sv_c(a->c.node_name), "status",
                        KN_PATCH_STRATEGIC, kn_buf_sv(&b), NULL);
    kn_buf_done(&b);
    return s;
}

static struct kn_status register_node(struct kn_agent *a)
{
    struct kn_buf b = KN_BUF(1u << 20);
    kn_buf_addf(
        &b,
        "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"%s\",\"labels\":{"
        "\"kubernetes.io/hostname\":\"%s\","
        "\"kubernetes.io/os\":\"linux\",\"kubernetes.io/arch\":\"%s\","
        "\"beta.kubernetes.io/os\":\"linux\","
        "\"beta.kubernetes.io/arch\":\"%s\"}},\"spec\":{},",
        a->c.node_name, a->c.node_name, kn_image_architecture(), kn_image_architecture());
    add_status(a, &b, NULL);
    kn_buf_add_byte(&b, '}');
    struct kn_status s = create_from(a, a->r_nodes, KN_SV_NULL, &b);
    if (s.code == KN_ALREADY_EXISTS)
        kn_status_done(&s);
    KN_TRY(kn_wrap(s, "register the node %s", a->c.node_name));
    return patch_status(a);
}

// In the informer's thread.
static void node_changed(void *arg, enum kn_event_type type, const struct kn_obj *obj,
                         const struct kn_obj *old)
{
    struct kn_agent *a = arg;
    (void)obj;
    (void)old;
    if (type != KN_EVENT_DELETED)
        return;
    KN_LOCKED(&a->lock) {
        a->lost = true;
        pthread_cond_broadcast(&a->changed);
    }
}

static struct kn_status renew_lease(struct kn_agent *a)
{
    static const struct kn_sv ns = {"kube-node-lease", 15};
    char now[KN_TIME_TEXT], patch[256];
    kn_time_format(kn_now(), KN_TIME_MICROS, now);
    snprintf(patch, sizeof patch, "{\"spec\":{\"holderIdentity\":\"%.100s\",\"renewTime\":\"%s\"}}",
             a->c.node_name, now);
    struct kn_status s = kn_client_patch(a->c.client, a->r_leases, ns, kn_sv_c(a->c.node_name),
                                         NULL, KN_PATCH_MERGE, kn_sv_c(patch), NULL);
    if (s.code != KN_NOT_FOUND)
        return s;
    kn_status_done(&s);
    struct kn_buf b = KN_BUF(65536);
    kn_buf_addf(
        &b,
        "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":{"
        "\"name\":\"%s\",\"namespace\":\"kube-node-lease\"},"
        "\"spec\":{\"holderIdentity\":\"%s\",\"leaseDurationSeconds\":%d,\"renewTime\":\"%s\"}}",
        a->c.node_name, a->c.node_name, LEASE_SECONDS, now);
    return create_from(a, a->r_leases, ns, &b);
}

// The kernel tells of none of these, so they are looked at with every lease.
static bool pressure_changed(struct kn_agent *a)
{
    struct kn_pressure now;
    kn_pressure_measure(a->c.data_dir, &now);
    return now.memory != a->pressure.memory || now.disk != a->pressure.disk ||
           now.pids != a->pressure.pids;
}

static void collect(struct kn_agent *a)
{
    int64_t freed = 0;
    struct kn_status st = kn_node_collect_images(&a->node, &freed);
    if (st.code == KN_CONFLICT)
        kn_status_done(&st); // the next time
    else if (kn_log_status(KN_LOG_WARN, st, "collect unused images") && freed)
        kn_info("%lld bytes of unused images were removed", (long long)freed);
}

// -- life ------------------------------------------------------------------------------------

static struct entry *take_done(struct kn_agent *a, bool any)
{
    struct entry *e;
    KN_LIST_EACH(&a->entries, e, struct entry, link)
        if (any || e->done) {
            kn_list_remove(&e->link);
            return e;
        }
    return NULL;
}

static void *run(void *arg)
{
    struct kn_agent *a = arg;
    int64_t lease_at = 0, status_at = kn_mono() + STATUS_EVERY;
    for (bool lost = false;;) {
        if (lost) {
            kn_warn("the node %s was deleted; it lives, so it registers again", a->c.node_name);
            lost = !kn_log_status(KN_LOG_WARN, register_node(a), "register again");
            lease_at = 0;
        }
        if (lease_at <= kn_mono()) {
            kn_log_status(KN_LOG_WARN, renew_lease(a), "renew the node's lease");
            lease_at = kn_mono() + LEASE_EVERY;
            start_waiting(a);
            if (pressure_changed(a))
                status_at = 0;
        }
        if (status_at <= kn_mono()) {
            kn_log_status(KN_LOG_WARN, patch_status(a), "write the node's status");
            status_at = kn_mono() + STATUS_EVERY;
            collect(a);
        }
        struct entry *e;
        pthread_mutex_lock(&a->lock);
        while (!(e = take_done(a, false)) && !a->stop && !a->lost)
            if (!kn_cond_wait(&a->changed, &a->lock, lease_at < status_at ? lease_at : status_at))
                break;
        bool stop = a->stop;
        lost = lost || a->lost;
        a->lost = false;
        pthread_mutex_unlock(&a->lock);
        if (e) {
            if (e->worker)
                kn_pod_worker_stop(e->worker);
            kn_obj_unref(e->pod);
            free(e);
        }
        if (stop && !e)
            return NULL;
    }
}

static struct kn_status find_resources(struct kn_agent *a)
{
    a->r_nodes = kn_resource_find(KN_SV(""), KN_SV("v1"), KN_SV("nodes"));
    a->r_pods = kn_resource_find(KN_SV(""), KN_SV("v1"), KN_SV("pods"));
    a->r_maps = kn_resource_find(KN_SV(""), KN_SV("v1"), KN_SV("configmaps"));
    a->r_secrets = kn_resource_find(KN_SV(""), KN_SV("v1"), KN_SV("secrets"));
    a->r_accounts = kn_resource_find(KN_SV(""), KN_SV("v1"), KN_SV("serviceaccounts"));
    a->r_leases = kn_resource_find(KN_SV("coordination.k8s.io"), KN_SV("v1"), KN_SV("leases"));
    return a->r_nodes && a->r_pods && a->r_maps && a->r_secrets && a->r_accounts && a->r_leases
               ? KN_STATUS_OK
               : kn_error(KN_INTERNAL, "the tables of the API lack what a node needs");
}

static bool has_capability(int bit)
{
    KN_CLEANUP(kn_arena_cleanup) struct kn_arena *arena = kn_arena_new(0, 65536);
    struct kn_sv hex = file_line(arena, "/proc/self/status", "CapEff:");
    uint64_t bits = hex.len ? strtoull(hex.ptr, NULL, 16) : 0;
    return bits >> bit & 1;
}

static struct kn_status open_parts(struct kn_agent *a)
{
    char path[PATH_MAX];
    struct kn_node *n = &a->node;
    *n = (struct kn_node){.name = a->c.node_name,
                          .run_dir = a->c.run_dir,
                          .data_dir = a->c.data_dir,
                          .log_dir = a->c.log_dir,
                          .host_ip = kn_sv_c(a->c.host_ip),
                          .cluster_dns = kn_sv_c(a->c.cluster_dns),
                          .cluster_domain =
                              kn_sv_c(a->c.cluster_domain ? a->c.cluster_domain : "cluster.local"),
                          .memory_capacity = memory_capacity(),
                          .can_lower_oom = has_capability(24),
                          .network = a->c.network,
                          .api = {.arg = a,
                                  .get = api_get,
                                  .token = api_token,
                                  .put_status = api_put_status,
                                  .services = api_services,
                                  .finish = api_finish,
                                  .event = api_event,
                                  .pull = api_pull}};
    KN_TRY(find_resources(a));
    KN_TRY(kn_cgroups_open(&n->cgroups));
    snprintf(path, sizeof path, "%s/node/crun", a->c.run_dir);
    KN_TRY(kn_runtime_crun(path, &n->runtime));
    snprintf(path, sizeof path, "%s/images", a->c.data_dir);
    KN_TRY(kn_images_open(path, &n->images));
    struct kn_puller_config pull = {.images = n->images, .registries = a->c.registries};
    KN_TRY(kn_puller_new(&pull, &a->puller));
    snprintf(path, sizeof path, "%s/node", a->c.run_dir);
    KN_TRY(kn_shim_install(path, a->shim, sizeof a->shim));
    n->shim = a->shim;
    return kn_recorder_start(a->c.client, "kubelet", kn_sv_c(a->c.node_name), &a->recorder);
}

struct kn_status kn_agent_start(const struct kn_agent_config *config, struct kn_agent **ret)
{
    struct kn_agent *a = KN_NEW(struct kn_agent);
    char selector[300];
    a->c = *config;
    if (!a->c.max_pods)
        a->c.max_pods = 110;
    if (!a->c.log_dir)
        a->c.log_dir = "/var/log/pods";
    kn_list_init(&a->entries);
    pthread_mutex_init(&a->lock, NULL);
    kn_cond_init(&a->changed);
    struct kn_status s = open_parts(a);
    if (kn_ok(s))
        s = register_node(a);
    snprintf(selector, sizeof selector, "spec.nodeName=%s", a->c.node_name);
    struct kn_list_options o = {.field_selector = kn_sv_c(selector)};
    if (kn_ok(s))
        s = kn_client_cache(a->c.client, a->r_pods, &o, kn_mono() + START_DEADLINE, &a->pods);
    snprintf(selector, sizeof selector, "metadata.name=%s", a->c.node_name);
    if (kn_ok(s))
        s = kn_client_cache(a->c.client, a->r_nodes, &o, kn_mono() + START_DEADLINE, &a->nodes);
    if (kn_ok(s)) {
        kn_cache_subscribe(a->nodes, node_changed, a, false);
        kn_cache_subscribe(a->pods, pod_changed, a, true);
        remove_unknown(a, &a->node);
        s = kn_thread_start(&a->thread, "agent", 0, run, a);
    }
    if (!kn_ok(s)) {
        kn_agent_stop(a);
        return kn_wrap(s, "start the node agent");
    }
    *ret = a;
    return s;
}

void kn_agent_stop(struct kn_agent *a)
{
    if (a->nodes)
        kn_cache_unsubscribe(a->nodes, node_changed, a);
    if (a->pods)
        kn_cache_unsubscribe(a->pods, pod_changed, a);
    KN_LOCKED(&a->lock) {
        a->stop = true;
        pthread_cond_broadcast(&a->changed);
    }
    if (a->thread)
        kn_thread_join(a->thread);
    for (struct entry *e; (e = take_done(a, true));) {
        kn_pod_worker_stop(e->worker);
        free(e);
    }
    if (a->recorder)
        kn_recorder_stop(a->recorder);
    kn_puller_free(a->puller);
    kn_images_close(a->node.images);
    kn_runtime_free(a->node.runtime);
    if (a->node.cgroups)
        kn_cgroups_free(a->node.cgroups);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

const struct kn_node *kn_agent_node(const struct kn_agent *a)
{
    return &a->node;
}

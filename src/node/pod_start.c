// One run of one container: image, root filesystem, configuration, start, and what is left of it.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/crypto.h"
#include "base/file.h"
#include "base/log.h"
#include "base/num.h"
#include "node/container_env.h"
#include "node/image_ref.h"
#include "node/pod_worker_impl.h"
#include "node/volume.h"

#define START_DEADLINE (60 * KN_SECOND)

void kn_worker_event(struct kn_pod_worker *w, const struct slot *s, const char *type,
                     const char *reason, const char *format, ...)
{
    char message[1024], path[128] = "";
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (s)
        snprintf(path, sizeof path, "spec.%s{%s}", s->init ? "initContainers" : "containers",
                 s->name);
    if (w->n->api.event)
        w->n->api.event(w->n->api.arg, w->pod, kn_sv_c(path), type, reason, message);
}

static struct kn_status waits(struct slot *s, const char *reason, struct kn_status why)
{
    snprintf(s->reason, sizeof s->reason, "%s", reason);
    snprintf(s->why, sizeof s->why, "%s", kn_status_text(&why));
    return why;
}

// -- image -----------------------------------------------------------------------------------

// Begins a pull, or takes the outcome of the one that was begun.
static struct kn_status pull(struct kn_pod_worker *w, struct slot *s, struct kn_sv name)
{
    int64_t took;
    if (!w->n->api.pull)
        return kn_error(KN_NOT_FOUND,
                        "it is not on this machine, and this agent has no registry to ask");
    if (!s->pull) {
        kn_worker_event(w, s, "Normal", "Pulling", "Pulling image \"%.*s\"", KN_SV_ARG(name));
        return kn_pod_pull_start(w->n, w->pod, name, w->wake, &s->pull);
    }
    struct kn_status st = kn_pod_pull_end(s->pull, &took);
    s->pull = NULL;
    if (kn_ok(st))
        kn_worker_event(w, s, "Normal", "Pulled", "Successfully pulled image \"%.*s\" in %lldms",
                        KN_SV_ARG(name), (long long)(took / KN_MILLI));
    return st;
}

static struct kn_status image_of(struct kn_pod_worker *w, struct slot *s, struct kn_arena *a,
                                 struct kn_image *ret)
{
    struct kn_sv name = kn_json_str(kn_json_get(s->spec, KN_K_image));
    struct kn_sv policy = kn_json_str(kn_json_get(s->spec, KN_K_imagePullPolicy));
    struct kn_status st = kn_images_get(w->n->images, name, a, ret);
    if (st.code == KN_INVALID) {
        st = kn_wrap(st, "Failed to apply default image tag \"%.*s\"", KN_SV_ARG(name));
        kn_worker_event(w, s, "Warning", "InspectFailed", "%s", kn_status_text(&st));
        return waits(s, "InvalidImageName", st);
    }
    bool never = kn_sv_is(policy, "Never"), pulled = s->pull != NULL;
    bool always = kn_sv_is(policy, "Always") && kn_ok(st) && !ret->local;
    if (!kn_ok(st) && never) {
        kn_status_done(&st);
        kn_worker_event(w, s, "Warning", "ErrImageNeverPull",
                        "Container image \"%.*s\" is not present with pull policy of Never",
                        KN_SV_ARG(name));
        return waits(s, "ErrImageNeverPull",
                     kn_error(KN_NOT_FOUND,
                              "Container image \"%.*s\" is not present with pull policy of Never",
                              KN_SV_ARG(name)));
    }
    if (kn_ok(st) && !pulled && (!always || !w->n->api.pull)) {
        kn_worker_event(w, s, "Normal", "Pulled",
                        "Container image \"%.*s\" already present on machine", KN_SV_ARG(name));
        return st;
    }
    kn_status_done(&st);
    st = pull(w, s, name);
    if (kn_ok(st) && s->pull) // under way
        return st;
    if (kn_ok(st))
        st = kn_images_get(w->n->images, name, a, ret);
    if (kn_ok(st))
        return st;
    kn_worker_event(w, s, "Warning", "Failed", "Failed to pull image \"%.*s\": %s", KN_SV_ARG(name),
                    kn_status_text(&st));
    bool again =
        strcmp(s->reason, "ErrImagePull") == 0 || strcmp(s->reason, "ImagePullBackOff") == 0;
    kn_worker_event(w, s, "Warning", "Failed", "Error: ErrImagePull");
    if (!again)
        return waits(s, "ErrImagePull", st);
    kn_worker_event(w, s, "Normal", "BackOff", "Back-off pulling image \"%.*s\"", KN_SV_ARG(name));
    return waits(s, "ImagePullBackOff",
                 kn_wrap(st, "Back-off pulling image \"%.*s\"", KN_SV_ARG(name)));
}

// -- files -----------------------------------------------------------------------------------

static struct kn_status write_meta(const struct slot *s)
{
    char path[PATH_MAX];
    struct kn_buf b = KN_BUF(4096);
    snprintf(path, sizeof path, "%s/meta", s->bundle);
    kn_buf_addf(&b, "%s\n%d\n%s\n%s\n%s\n", s->name, s->restarts, s->id, s->image_id, s->image);
    struct kn_status st = kn_file_write(path, kn_buf_sv(&b), 0600, false);
    kn_buf_done(&b);
    return st;
}

static void upper_dir(const struct kn_pod_worker *w, const struct slot *s, const char *sub,
                      char *out)
{
    snprintf(out, PATH_MAX, "%s/c/%.16s%s%s", w->sandbox.data, s->id, *sub ? "/" : "", sub);
}

static struct kn_status mount_root(struct kn_pod_worker *w, struct slot *s, struct kn_sv lower,
                                   const char *rootfs)
{
    char upper[PATH_MAX], work[PATH_MAX];
    char *options = NULL;
    upper_dir(w, s, "upper", upper);
    upper_dir(w, s, "work", work);
    KN_TRY(kn_dir_make(upper, 0755));
    KN_TRY(kn_dir_make(work, 0755));
    KN_TRY(kn_dir_make(rootfs, 0755));
    if (asprintf(&options, "lowerdir=%.*s,upperdir=%s,workdir=%s,index=off,metacopy=off,volatile",
                 KN_SV_ARG(lower), upper, work) < 0)
        abort();
    struct kn_status st = KN_STATUS_OK;
    if (mount("overlay", rootfs, "overlay", 0, options) < 0)
        st = kn_error_errno(errno, "mount the container's root filesystem");
    free(options);
    return st;
}

void kn_slot_forget(struct kn_pod_worker *w, struct slot *s)
{
    char path[PATH_MAX];
    if (!s->id[0])
        return;
    kn_log_status(KN_LOG_WARN, w->n->runtime->ops->remove(w->n->runtime, s->id, true),
                  "remove container %s", s->id);
    if (w->sandbox.shim)
        KN_IGNORE(kn_shim_forget(w->sandbox.shim, s->id));
    snprintf(path, sizeof path, "%s/rootfs", s->bundle);
    umount2(path, MNT_DETACH);
    kn_log_status(KN_LOG_WARN, kn_dir_remove(s->bundle), "remove container %s", s->id);
    upper_dir(w, s, "", path);
    kn_log_status(KN_LOG_WARN, kn_dir_remove(path), "remove container %s", s->id);
}

// -- start -----------------------------------------------------------------------------------

static struct kn_status write_config(struct kn_pod_worker *w, struct slot *s,
                                     const struct kn_image *image, struct kn_arena *a, char *cgroup,
                                     size_t cgroup_size)
{
    char path[PATH_MAX], rootfs[PATH_MAX];
    struct kn_oci oci;
    struct kn_oci_mount *mounts;
    struct kn_env env = {.a = a};
    struct kn_container_spec c = {.node = w->n,
                                  .sandbox = &w->sandbox,
                                  .pod = w->pod,
                                  .container = s->spec,
                                  .image = image,
                                  .cgroup = cgroup};
    snprintf(rootfs, sizeof rootfs, "%s/rootfs", s->bundle);
    snprintf(cgroup, cgroup_size, "%s/%s", w->sandbox.cgroup, s->id);
    c.rootfs = kn_arena_dup(a, kn_sv_c(rootfs)).ptr;
    c.termination_log = kn_arena_printf(a, "%s/termination", s->bundle).ptr;
    KN_TRY(kn_file_write(c.termination_log, KN_SV(""), 0666, false));
    KN_TRY(kn_env_fill(&env, &c));
    KN_TRY(kn_volume_mounts(w->n, &w->sandbox, w->pod, s->spec, kn_env_get, &env, a, &mounts,
                            &c.mounts_len));
    c.mounts = mounts;
    KN_TRY(kn_container_spec(&c, a, &oci));
    struct kn_buf out = KN_BUF(4u << 20);
    kn_oci_write(&oci, &out);
    snprintf(path, sizeof path, "%s/config.json", s->bundle);
    struct kn_status st = kn_buf_status(&out, "the container's configuration");
    if (kn_ok(st))
        st = kn_file_write(path, kn_buf_sv(&out), 0600, false);
    kn_buf_done(&out);
    return st;
}

static struct kn_status launch(struct kn_pod_worker *w, struct slot *s, const char *cgroup,
                               struct kn_arena *a)
{
    char log[640], oom[PATH_MAX];
    struct kn_runtime_args args;
    uint32_t flags =
        (kn_json_bool(kn_json_get(s->spec, KN_K_tty), false) ? SHIM_TTY : 0) |
        (kn_json_bool(kn_json_get(s->spec, KN_K_stdin), false) ? SHIM_STDIN : 0) |
        (kn_json_bool(kn_json_get(s->spec, KN_K_stdinOnce), false) ? SHIM_STDIN_ONCE : 0);
    snprintf(log, sizeof log, "%s/%s", w->sandbox.log, s->name);
    KN_TRY(kn_dir_make(log, 0755));
    snprintf(log, sizeof log, "%s/%s/%d.log", w->sandbox.log, s->name, s->restarts);
    kn_cgroup_oom_file(w->n->cgroups, cgroup, oom, sizeof oom);
    w->n->runtime->ops->start(w->n->runtime, s->id, s->bundle, (flags & SHIM_TTY) != 0, a, &args);
    struct kn_shim_start r = {.id = s->id,
                              .bundle = s->bundle,
                              .log = log,
                              .oom_file = oom,
                              .flags = flags,
                              .args = &args};
    return kn_shim_start(w->sandbox.shim, &r, kn_mono() + START_DEADLINE, &s->info);
}

static void new_id(struct kn_pod_worker *w, struct slot *s)
{
    uint8_t random[32];
    kn_random(random, sizeof random);
    kn_hex(random, sizeof random, s->id);
    snprintf(s->bundle, sizeof s->bundle, "%s/%.16s", w->sandbox.run, s->id);
}

// What the last run of the container has left.
static void keep_last(struct kn_pod_worker *w, struct slot *s, struct slot *old)
{
    kn_slot_forget(w, old);
    s->last = old->info;
    snprintf(s->last_id, sizeof s->last_id, "%s", old->id);
    snprintf(s->last_message, sizeof s->last_message, "%s", old->message);
    s->has_last = true;
}

static struct kn_status start_slot(struct kn_pod_worker *w, struct slot *s)
{
    KN_CLEANUP(kn_arena_cleanup) struct kn_arena *a = kn_arena_new(16384, 64u << 20);
    struct kn_image image;
    struct kn_sv lower;
    char cgroup[512], rootfs[PATH_MAX];
    bool again = s->state == SLOT_ENDED;
    KN_TRY(image_of(w, s, a, &image));
    if (s->pull)
        return KN_STATUS_OK;
    struct kn_status st = kn_images_unpack(w->n->images, &image, a, &lower);
    if (!kn_ok(st))
        return waits(s, "ErrImagePull", st);
    struct slot old = *s;
    pthread_mutex_lock(&w->lock);
    new_id(w, s);
    s->restarts += again;
    snprintf(s->image_id, sizeof s->image_id, "%.*s", KN_SV_ARG(image.id));
    snprintf(s->image, sizeof s->image, "%.*s", KN_SV_ARG(image.name));
    pthread_mutex_unlock(&w->lock);
    snprintf(rootfs, sizeof rootfs, "%s/rootfs", s->bundle);
    const char *reason = "CreateContainerError";
    st = mount_root(w, s, lower, rootfs);
    if (kn_ok(st)) {
        reason = "CreateContainerConfigError";
        st = write_config(w, s, &image, a, cgroup, sizeof cgroup);
    }
    if (kn_ok(st)) {
        reason = "CreateContainerError";
        st = write_meta(s);
    }
    if (kn_ok(st)) {
        st = launch(w, s, cgroup, a);
        if (st.code == KN_IO) {
            struct kn_sv words = w->n->runtime->ops->explain(kn_sv_c(kn_status_text(&st)));
            struct kn_status told =
                kn_error(KN_IO, "container create failed: %.*s", KN_SV_ARG(words));
            kn_status_done(&st);
            st = told;
        }
    }
    if (!kn_ok(st)) {
        kn_slot_forget(w, s);
        pthread_mutex_lock(&w->lock);
        *s = old;
        pthread_mutex_unlock(&w->lock);
        kn_worker_event(w, s, "Warning", "Failed", "Error: %s", kn_status_text(&st));
        return waits(s, reason, st);
    }
    kn_worker_event(w, s, "Normal", "Created", "Created container: %s", s->name);
    if (again)
        keep_last(w, s, &old);
    pthread_mutex_lock(&w->lock);
    s->state = SLOT_RUNNING;
    pthread_mutex_unlock(&w->lock);
    kn_slot_probes_begin(s);
    s->reason[0] = s->why[0] = s->message[0] = '\0';
    kn_worker_event(w, s, "Normal", "Started", "Started container %s", s->name);
    return KN_STATUS_OK;
}

struct kn_status kn_slot_start(struct kn_pod_worker *w, struct slot *s)
{
    // Until the container says on what it stands, nobody may take the image's layers away.
    kn_images_hold(w->n->images);
    struct kn_status st = start_slot(w, s);
    kn_images_unhold(w->n->images);
    return st;
}

static void read_message(struct kn_pod_worker *w, struct slot *s)
{
    char path[PATH_MAX];
    struct kn_buf b = KN_BUF(65536);
    snprintf(path, sizeof path, "%s/termination", s->bundle);
    KN_IGNORE(kn_file_read(path, 60000, &b));
    bool fall_back = kn_sv_is(kn_json_str(kn_json_get(s->spec, KN_K_terminationMessagePolicy)),
                              "FallbackToLogsOnError");
    snprintf(s->message, sizeof s->message, "%s", kn_buf_cstr(&b));
    if (!s->message[0] && fall_back && s->info.code != 0) {
        kn_buf_clear(&b);
        snprintf(path, sizeof path, "%s/%s/%d.log", w->sandbox.log, s->name, s->restarts);
        KN_IGNORE(kn_file_read(path, 60000, &b));
        struct kn_sv rest = kn_buf_sv(&b);
        size_t n = 0;
        while (rest.len && n < sizeof s->message - 1) {
            struct kn_sv line = kn_sv_cut(&rest, '\n');
            ptrdiff_t at = kn_sv_search(line, KN_SV(" F "));
            n += (size_t)snprintf(s->message + n, sizeof s->message - n, "%.*s\n",
                                  KN_SV_ARG(kn_sv_from(line, at < 0 ? 0 : (size_t)at + 3)));
        }
    }
    kn_buf_done(&b);
}

void kn_slot_ended(struct kn_pod_worker *w, struct slot *s, const struct shim_container *info)
{
    int64_t ran = info->finished - info->started;
    pthread_mutex_lock(&w->lock);
    s->state = SLOT_ENDED;
    s->info = *info;
    pthread_mutex_unlock(&w->lock);
    s->ready = s->started = false;
    kn_slot_cancel(s);
    read_message(w, s);
    // A container that held out for ten minutes begins anew.
    if (s->backoff == 0 || ran > 600 * KN_SECOND)
        s->backoff = s->restarts == 0 || ran > 600 * KN_SECOND ? 0 : 10 * KN_SECOND;
    s->next_start = kn_mono() + s->backoff;
    if (s->backoff && kn_slot_restarts(w, s))
        kn_worker_event(w, s, "Warning", "BackOff",
                        "Back-off restarting failed container %s in pod %.*s_%.*s(%.*s)", s->name,
                        KN_SV_ARG(w->pod->name), KN_SV_ARG(w->pod->ns), KN_SV_ARG(w->pod->uid));
    s->backoff = s->backoff == 0                    ? 10 * KN_SECOND
                 : s->backoff * 2 > 300 * KN_SECOND ? 300 * KN_SECOND
                                                    : s->backoff * 2;
}

// -- after a restart of the agent ------------------------------------------------------------

static struct slot *slot_named(struct kn_pod_worker *w, struct kn_sv name)
{
    for (size_t i = 0; i < w->slots_len; i++)
        if (kn_sv_is(name, w->slots[i].name))
            return &w->slots[i];
    return NULL;
}

static void recover_bundle(struct kn_pod_worker *w, const char *bundle)
{
    char path[PATH_MAX];
    struct kn_buf b = KN_BUF(8192);
    snprintf(path, sizeof path, "%s/meta", bundle);
    struct kn_status st = kn_file_read(path, 4000, &b);
    struct kn_sv rest = kn_buf_sv(&b);
    struct slot *s = kn_ok(st) ? slot_named(w, kn_sv_cut(&rest, '\n')) : NULL;
    kn_status_done(&st);
    if (s) {
        struct kn_sv number = kn_sv_cut(&rest, '\n'), id = kn_sv_cut(&rest, '\n');
        struct kn_sv image_id = kn_sv_cut(&rest, '\n'), image = kn_sv_cut(&rest, '\n');
        int64_t n = 0;
        KN_IGNORE(kn_num_parse(number, 0, INT_MAX, &n));
        s->restarts = (int)n;
        snprintf(s->id, sizeof s->id, "%.*s", KN_SV_ARG(id));
        snprintf(s->image_id, sizeof s->image_id, "%.*s", KN_SV_ARG(image_id));
        snprintf(s->image, sizeof s->image, "%.*s", KN_SV_ARG(image));
        snprintf(s->bundle, sizeof s->bundle, "%s", bundle);
        struct shim_container ended;
        st = kn_shim_read_exit(bundle, &ended);
        if (kn_ok(st))
            kn_slot_ended(w, s, &ended);
        kn_status_done(&st);
    }
    kn_buf_done(&b);
}

static void found_running(void *arg, const struct shim_container *c)
{
    struct kn_pod_worker *w = arg;
    for (size_t i = 0; i < w->slots_len; i++)
        if (strcmp(w->slots[i].id, c->id) == 0 && !c->ended) {
            w->slots[i].state = SLOT_RUNNING;
            w->slots[i].info = *c;
            kn_slot_probes_begin(&w->slots[i]);
        }
}

void kn_slot_recover(struct kn_pod_worker *w)
{
    char path[PATH_MAX];
    DIR *d = opendir(w->sandbox.run);
    for (struct dirent *e; d && (e = readdir(d));)
        if (strlen(e->d_name) == 16) {
            snprintf(path, sizeof path, "%s/%s", w->sandbox.run, e->d_name);
            recover_bundle(w, path);
        }
    if (d)
        closedir(d);
    kn_log_status(KN_LOG_WARN, kn_shim_list(w->sandbox.shim, found_running, w),
                  "ask the shim of %.*s", KN_SV_ARG(w->pod->name));
    for (size_t i = 0; i < w->slots_len; i++) {
        struct slot *s = &w->slots[i];
        if (!s->id[0] || s->state != SLOT_NEW)
            continue;
        // It was never started, or its shim died with what it knew.
        struct shim_container lost = {
            .ended = 1, .code = 137, .signal = SIGKILL, .finished = kn_now().ns};
        kn_slot_ended(w, s, &lost);
    }
}

// -- after the machine was off ---------------------------------------------------------------

static bool is_id(struct kn_sv id)
{
    for (size_t i = 0; i < id.len; i++)
        if (!strchr("0123456789abcdef", id.ptr[i]))
            return false;
    return id.len == 64;
}

static int64_t time_of(const struct kn_json *o, enum kn_atom key)
{
    struct kn_time t = {0};
    struct kn_sv text = kn_json_str(kn_json_get(o, key));
    if (text.len)
        KN_IGNORE(kn_time_parse(text, &t));
    return t.ns;
}

static void remember(struct kn_pod_worker *w, struct slot *s, const struct kn_json *status)
{
    struct kn_sv rest = kn_json_str(kn_json_get(status, KN_K_containerID));
    ptrdiff_t at = kn_sv_search(rest, KN_SV("://"));
    struct kn_sv id = at < 0 ? KN_SV_NULL : kn_sv_from(rest, (size_t)at + 3);
    const struct kn_json *state = kn_json_get(status, KN_K_state),
                         *end = kn_json_get(state, KN_K_terminated);
    if (!is_id(id))
        return; // it never ran
    if (!end && !kn_json_get(state, KN_K_running))
        end = KN_JSON_AT(status, KN_K_lastState, KN_K_terminated);
    int64_t restarts = kn_json_int(kn_json_get(status, KN_K_restartCount), 0);
    struct shim_container info = {
        .ended = 1, .code = 137, .signal = SIGKILL, .finished = kn_now().ns};
    if (end) {
        info.code = (int)kn_json_int(kn_json_get(end, KN_K_exitCode), 137);
        info.oom = kn_sv_is(kn_json_str(kn_json_get(end, KN_K_reason)), "OOMKilled");
        info.started = time_of(end, KN_K_startedAt);
        info.finished = time_of(end, KN_K_finishedAt);
    }
    s->restarts = restarts < 0 || restarts > INT_MAX - 1 ? 0 : (int)restarts;
    snprintf(s->id, sizeof s->id, "%.*s", KN_SV_ARG(id));
    snprintf(s->bundle, sizeof s->bundle, "%s/%.16s", w->sandbox.run, s->id);
    kn_slot_ended(w, s, &info);
    snprintf(s->message, sizeof s->message, "%.*s",
             KN_SV_ARG(kn_json_str(kn_json_get(end, KN_K_message))));
}

void kn_slot_remember(struct kn_pod_worker *w)
{
    const struct kn_json *c;
    KN_JSON_EACH(c, KN_JSON_AT(w->pod->root, KN_K_status, KN_K_containerStatuses)) {
        struct slot *s = slot_named(w, kn_json_str(kn_json_get(c, KN_K_name)));
        if (s && !s->init && s->state == SLOT_NEW)
            remember(w, s, c);
    }
}

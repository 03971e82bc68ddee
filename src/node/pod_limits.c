// What a pod may not ask of this node, and how long it may run.
#include "base/file.h"
#include "node/pod_worker_impl.h"

static bool has_apparmor(void)
{
    char text[8];
    struct kn_buf b = KN_BUF(64);
    KN_IGNORE(kn_file_read("/sys/module/apparmor/parameters/enabled", sizeof text, &b));
    bool on = kn_sv_starts(kn_buf_sv(&b), KN_SV("Y"));
    kn_buf_done(&b);
    return on;
}

static bool confines(const struct kn_json *context)
{
    struct kn_sv type =
        KN_JSON_STR_AT(context, KN_K_securityContext, KN_K_appArmorProfile, KN_K_type);
    return type.len && !kn_sv_is(type, "Unconfined");
}

static bool wants_apparmor(const struct kn_json *spec)
{
    static const enum kn_atom lists[] = {KN_K_containers, KN_K_initContainers};
    const struct kn_json *c;
    bool wants = confines(spec);
    for (size_t i = 0; i < KN_ARRAY_LEN(lists); i++)
        KN_JSON_EACH(c, kn_json_get(spec, lists[i]))
            wants = wants || confines(c);
    return wants;
}

struct kn_status kn_pod_supported(const struct kn_obj *pod)
{
    const struct kn_json *spec = kn_json_get(pod->root, KN_K_spec);
    struct kn_sv class = kn_json_str(kn_json_get(spec, KN_K_runtimeClassName));
    if (!kn_json_bool(kn_json_get(spec, KN_K_hostUsers), true))
        return kn_error(KN_NOT_SUPPORTED, "hostUsers: false is not supported yet");
    if (class.len)
        return kn_error(KN_NOT_SUPPORTED, "runtimeClassName (\"%.*s\") is not supported yet",
                        KN_SV_ARG(class));
    if (kn_json_bool(kn_json_get(spec, KN_K_shareProcessNamespace), false))
        return kn_error(KN_NOT_SUPPORTED, "shareProcessNamespace is not supported yet");
    if (wants_apparmor(spec) && has_apparmor())
        return kn_error(KN_NOT_SUPPORTED, "appArmorProfile is not supported yet");
    return KN_STATUS_OK;
}

static bool has_ended(const struct kn_pod_worker *w)
{
    for (size_t i = 0; i < w->slots_len; i++)
        if (!w->slots[i].init &&
            (w->slots[i].state != SLOT_ENDED || kn_slot_restarts(w, &w->slots[i])))
            return w->failed_init;
    return true;
}

int64_t kn_pod_limits(struct kn_pod_worker *w)
{
    const struct kn_json *spec = kn_json_get(w->pod->root, KN_K_spec);
    int64_t seconds = kn_json_int(kn_json_get(spec, KN_K_activeDeadlineSeconds), -1);
    if (w->failed || has_ended(w))
        return KN_FOREVER;
    if (!w->sandbox_ready && wants_apparmor(spec) && !has_apparmor()) {
        kn_worker_fail(w, "AppArmor",
                       "Cannot enforce AppArmor: AppArmor is not enabled on the host");
        return KN_FOREVER;
    }
    if (seconds < 0)
        return KN_FOREVER;
    int64_t left = kn_later(w->start_time.ns, seconds) - kn_now().ns;
    if (left > 0)
        return left > KN_FOREVER - kn_mono() ? KN_FOREVER : kn_mono() + left;
    kn_worker_fail(w, "DeadlineExceeded",
                   "Pod was active on the node longer than the specified deadline");
    return KN_FOREVER;
}

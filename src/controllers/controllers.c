#include "controllers/controllers.h"

#include "controllers/common.h"

#define FAN 16 // writes at once, at most, of all controllers together
#define FILL_PATIENCE (60 * KN_SECOND)
#define STUCK (120 * KN_SECOND)

// One row a controller: the account that it writes as.
static const struct row {
    const char *account, *second;
    struct kn_status (*start)(struct kn_env *env, struct kn_controller **ret);
} rows[] = {
    {"service-account-controller", NULL, kn_serviceaccount_start},
    {"root-ca-cert-publisher", NULL, kn_root_ca_start},
    {"replicaset-controller", NULL, kn_replicaset_start},
    {"deployment-controller", NULL, kn_deployment_start},
    {"daemon-set-controller", NULL, kn_daemonset_start},
    {"statefulset-controller", NULL, kn_statefulset_start},
    {"endpoint-controller", "endpointslice-controller", kn_endpoints_start},
    {"node-controller", NULL, kn_node_start},
    {"clusterrole-aggregation-controller", NULL, kn_clusterrole_start},
    {"namespace-controller", NULL, kn_namespace_start},
    {"generic-garbage-collector", NULL, kn_garbage_start},
    {"pod-garbage-collector", NULL, kn_pod_gc_start},
    {"generic-garbage-collector", NULL, kn_event_ttl_start},
};

#define COUNT (sizeof rows / sizeof rows[0])

struct kn_controllers {
    struct kn_client *reader;
    struct kn_fan *fan;
    char *ca_pem;
    struct kn_env envs[COUNT];
    struct kn_controller *controllers[COUNT];
    struct {
        uint64_t done;
        int64_t since;
    } seen[COUNT]; // by kn_controllers_check
};

static struct kn_status start_row(struct kn_controllers *c, size_t i,
                                  const struct kn_controllers_config *config)
{
    struct kn_env *env = &c->envs[i];
    env->reader = c->reader;
    env->fan = c->fan;
    env->ca_pem = kn_sv_c(c->ca_pem);
    env->deadline = kn_mono() + FILL_PATIENCE;
    KN_TRY(config->open(config->arg, rows[i].account, &env->client));
    if (rows[i].second)
        KN_TRY(config->open(config->arg, rows[i].second, &env->second));
    KN_TRY(kn_recorder_start(env->client, rows[i].account, KN_SV_NULL, &env->recorder));
    return rows[i].start(env, &c->controllers[i]);
}

struct kn_status kn_controllers_start(const struct kn_controllers_config *config,
                                      struct kn_controllers **ret)
{
    struct kn_controllers *c = KN_NEW(struct kn_controllers);
    c->ca_pem = kn_sv_dup(config->ca_pem);
    c->fan = kn_fan_new(FAN);
    struct kn_status s = config->open(config->arg, NULL, &c->reader);
    for (size_t i = 0; i < COUNT && kn_ok(s); i++)
        s = kn_wrap(start_row(c, i, config), "start the %s", rows[i].account);
    if (!kn_ok(s)) {
        kn_controllers_stop(c);
        return s;
    }
    *ret = c;
    return KN_STATUS_OK;
}

struct kn_status kn_controllers_check(struct kn_controllers *c)
{
    int64_t now = kn_mono();
    for (size_t i = 0; i < COUNT; i++) {
        struct kn_controller_stats stats = {0};
        if (c->controllers[i])
            kn_controller_get_stats(c->controllers[i], &stats);
        uint64_t done = stats.done + stats.failed;
        if (stats.waiting == 0 || done != c->seen[i].done || !c->seen[i].since) {
            c->seen[i].done = done;
            c->seen[i].since = now;
        } else if (now - c->seen[i].since > STUCK) {
            return kn_error(KN_UNAVAILABLE, "%s: %zu keys wait, and none was finished for %lld s",
                            rows[i].account, stats.waiting,
                            (long long)((now - c->seen[i].since) / KN_SECOND));
        }
    }
    return KN_STATUS_OK;
}

static void stop_row(struct kn_controllers *c, size_t i)
{
    struct kn_env *env = &c->envs[i];
    for (size_t k = 0; k < env->subscriptions.len; k++) {
        const struct kn_subscription *s = &env->subscriptions.ptr[k];
        kn_cache_unsubscribe(s->cache, s->handler, s->arg);
    }
    KN_VEC_DONE(&env->subscriptions);
    if (c->controllers[i])
        kn_controller_stop(c->controllers[i]);
}

void kn_controllers_stop(struct kn_controllers *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < COUNT; i++)
        stop_row(c, i);
    kn_fan_free(c->fan);
    for (size_t i = 0; i < COUNT; i++) {
        kn_recorder_stop(c->envs[i].recorder);
        kn_controller_free(c->controllers[i]);
        kn_client_close(c->envs[i].client);
        kn_client_close(c->envs[i].second);
    }
    kn_client_close(c->reader);
    free(c->ca_pem);
    free(c);
}

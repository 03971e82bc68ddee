#include "cmd/parts.h"

#include <stdlib.h>

#include "base/mem.h"
#include "controllers/controllers.h"
#include "scheduler/scheduler.h"

struct kn_parts {
    struct kn_apiserver *api;
    struct kn_controllers *controllers;
    struct kn_client *scheduler_client;
    struct kn_scheduler *scheduler;
};

// In this process a controller's client is a call of the server, with its account's rights.
static struct kn_status open_client(void *arg, const char *account, struct kn_client **ret)
{
    static const char *const groups[] = {"system:serviceaccounts",
                                         "system:serviceaccounts:kube-system", NULL};
    static const char *const none[] = {NULL};
    struct kn_parts *p = arg;
    char user[256];
    snprintf(user, sizeof user, "system:serviceaccount:kube-system:%s", account ? account : "");
    return kn_apiserver_local(p->api, account ? user : "system:kube-controller-manager",
                              account ? groups : none, ret);
}

static struct kn_status start_scheduler(struct kn_parts *p)
{
    static const char *const none[] = {NULL};
    KN_TRY(kn_apiserver_local(p->api, "system:kube-scheduler", none, &p->scheduler_client));
    return kn_scheduler_start(&(struct kn_scheduler_config){.client = p->scheduler_client},
                              &p->scheduler);
}

// Both run from their start to their stop; asking them takes their locks, so that one which hangs
// does not look well.
static struct kn_status scheduler_runs(void *arg)
{
    struct kn_scheduler_stats stats;
    kn_scheduler_get_stats(((struct kn_parts *)arg)->scheduler, &stats);
    return KN_STATUS_OK;
}

static struct kn_status controllers_run(void *arg)
{
    return kn_controllers_check(((struct kn_parts *)arg)->controllers);
}

struct kn_status kn_parts_start(struct kn_apiserver *api, const struct kn_site *site,
                                struct kn_sv ca_pem, struct kn_parts **ret)
{
    (void)site;
    struct kn_parts *p = KN_NEW(struct kn_parts);
    p->api = api;
    struct kn_controllers_config c = {.open = open_client, .arg = p, .ca_pem = ca_pem};
    struct kn_status s =
        kn_wrap(kn_controllers_start(&c, &p->controllers), "start the controllers");
    if (kn_ok(s))
        s = start_scheduler(p);
    if (!kn_ok(s)) {
        kn_parts_stop(p);
        return s;
    }
    kn_apiserver_add_component(api, &(struct kn_component){"scheduler", scheduler_runs, p});
    kn_apiserver_add_component(api,
                               &(struct kn_component){"controller-manager", controllers_run, p});
    *ret = p;
    return KN_STATUS_OK;
}

void kn_parts_stop(struct kn_parts *p)
{
    if (!p)
        return;
    kn_apiserver_remove_component(p->api, "scheduler");
    kn_apiserver_remove_component(p->api, "controller-manager");
    kn_scheduler_stop(p->scheduler);
    kn_client_close(p->scheduler_client);
    kn_controllers_stop(p->controllers);
    free(p);
}

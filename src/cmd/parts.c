#include "cmd/parts.h"

#include <stdlib.h>

#include "base/mem.h"
#include "controllers/controllers.h"

struct kn_parts {
    struct kn_apiserver *api;
    struct kn_controllers *controllers;
};

// In this process a controller's client is a call of the server, with its account's rights.
static struct kn_status open_client(void *arg, const char *account, struct kn_client **ret)
{
    static const char *const groups[] = {"system:serviceaccounts", "system:serviceaccounts:kube-system", NULL};
    static const char *const none[] = {NULL};
    struct kn_parts *p = arg;
    char user[256];
    snprintf(user, sizeof user, "system:serviceaccount:kube-system:%s", account ? account : "");
    return kn_apiserver_local(p->api, account ? user : "system:kube-controller-manager",
                              account ? groups : none, ret);
}

struct kn_status kn_parts_start(struct kn_apiserver *api, const struct kn_site *site,
                                struct kn_sv ca_pem, struct kn_parts **ret)
{
    (void)site;
    struct kn_parts *p = KN_NEW(struct kn_parts);
    p->api = api;
    struct kn_controllers_config c = {.open = open_client, .arg = p, .ca_pem = ca_pem};
    struct kn_status s = kn_controllers_start(&c, &p->controllers);
    if (!kn_ok(s)) {
        kn_parts_stop(p);
        return kn_wrap(s, "start the controllers");
    }
    *ret = p;
    return KN_STATUS_OK;
}

void kn_parts_stop(struct kn_parts *p)
{
    if (!p)
        return;
    kn_controllers_stop(p->controllers);
    free(p);
}

// Starting and stopping all controllers.
#pragma once
#include "client/client.h"
#include "client/controller.h"
#include "client/events.h"

struct kn_controllers;

struct kn_controllers_config {
    // A client with the rights of this service account of kube-system; NULL: as the user
    // system:kube-controller-manager, who may read everything. In the API server's process a call
    // of it; elsewhere a connection.
    struct kn_status (*open)(void *arg, const char *service_account, struct kn_client **ret);
    void *arg;
    struct kn_sv ca_pem; // published to every namespace; copied
};

struct kn_status kn_controllers_start(const struct kn_controllers_config *config,
                                      struct kn_controllers **ret);
// KN_UNAVAILABLE naming a controller that has had keys waiting and finished none for two minutes,
// as far as two calls can see. One thread at a time.
struct kn_status kn_controllers_check(struct kn_controllers *c);
void kn_controllers_stop(struct kn_controllers *c); // NULL is allowed

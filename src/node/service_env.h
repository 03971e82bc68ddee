// The environment that a container gets of services, in the form of Docker's links (the Kubernetes
// documentation, "Services: discovering services, environment variables").
#pragma once
#include "client/cache.h"

typedef void kn_env_add(void *ctx, struct kn_sv name, struct kn_sv value);

// Those of the services of `ns` that have an address (with links), and always those of the API's
// own service: default/kubernetes. Any thread.
void kn_service_env(struct kn_cache *services, struct kn_sv ns, bool links, kn_env_add *add,
                    void *ctx);

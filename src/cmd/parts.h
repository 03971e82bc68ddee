// What runs in the server's process beside the API server: controllers and the scheduler, each an
// ordinary client of the API with the rights of its own service account.
#pragma once
#include "apiserver/apiserver.h"
#include "cmd/site.h"

struct kn_parts;

// ca_pem: what pods verify the API server with.
struct kn_status kn_parts_start(struct kn_apiserver *api, const struct kn_site *site,
                                struct kn_sv ca_pem, struct kn_parts **ret);
void kn_parts_stop(struct kn_parts *p); // NULL is allowed

// The administrator's own connection to the API server of this machine.
#pragma once
#include "cmd/site.h"
#include "codec/json.h"
#include "wire/client.h"

struct kn_status kn_admin_open(const struct kn_site *s, struct kn_http_client **ret);
// GET, and the JSON of the answer in the arena. Codes of the API's Status.
struct kn_status kn_admin_get(struct kn_http_client *c, const char *path, int64_t deadline,
                              struct kn_arena *a, struct kn_json **ret);
// Blocks until the node is Ready (a watch), or the deadline passes (KN_TIMEOUT).
struct kn_status kn_admin_wait_node(struct kn_http_client *c, const char *node, int64_t deadline);
bool kn_admin_node_ready(const struct kn_json *node, struct kn_sv *ret_why);

// What names, labels and the like may be (RFC 1123, RFC 1035, Kubernetes' qualified names), with
// upstream's sentences. Each function answers with the empty view when the text is valid, and
// otherwise with the sentence (a constant, or in the arena). Any thread.
#pragma once
#include "base/arena.h"

struct kn_sv kn_name_dns_label_problem(struct kn_arena *a, struct kn_sv text);     // 63, a-z0-9-
struct kn_sv kn_name_dns1035_label_problem(struct kn_arena *a, struct kn_sv text); // begins a-z
struct kn_sv kn_name_dns_subdomain_problem(struct kn_arena *a, struct kn_sv text); // 253
struct kn_sv kn_name_qualified_problem(struct kn_arena *a, struct kn_sv text);     // [prefix/]name
struct kn_sv kn_name_label_value_problem(struct kn_arena *a, struct kn_sv text);
struct kn_sv kn_name_config_key_problem(struct kn_arena *a, struct kn_sv text); // [-._a-zA-Z0-9]+
struct kn_sv kn_name_path_segment_problem(struct kn_arena *a, struct kn_sv text);
struct kn_sv kn_name_env_var_problem(struct kn_arena *a, struct kn_sv text);
struct kn_sv kn_name_port_name_problem(struct kn_arena *a, struct kn_sv text); // IANA_SVC_NAME

// What the flags of the first `up` choose, checked before anything is made.
#pragma once
#include "cmd/site.h"

struct kn_choices {
    const char *node_name, *pod_cidr, *service_cidr; // NULL: not chosen
    int64_t port;                                    // KN_CHOICE_NONE: not chosen
};
#define KN_CHOICE_NONE INT64_MIN

bool kn_choices_any(const struct kn_choices *c);
// Puts them into a fresh site. KN_BAD_REQUEST names the flag and what it may be; also when pods'
// and services' addresses overlap each other, or a network that this machine is in.
struct kn_status kn_choices_apply(const struct kn_choices *c, struct kn_site *s);

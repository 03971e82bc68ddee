// What tools/gen_resources.py writes, for resources.c.
#pragma once
#include "meta/resources.h"

extern const struct kn_resource kn_resources_builtin[];
extern const size_t kn_resources_builtin_count;

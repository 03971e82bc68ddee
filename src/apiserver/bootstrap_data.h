// The objects of a new cluster, one JSON text a line: schema/bootstrap.jsonl, embedded by the
// build.
#pragma once
#include <stddef.h>

extern const unsigned char kn_bootstrap_data[];
extern const size_t kn_bootstrap_data_len;

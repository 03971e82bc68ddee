// The shim's program, as bytes (generated from shim/ by the build).
#pragma once
#include <stddef.h>

extern const unsigned char kn_shim_blob[];
extern const size_t kn_shim_blob_len;

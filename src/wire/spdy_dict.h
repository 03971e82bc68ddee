// The dictionary that SPDY/3 header blocks are compressed with (draft 3.1, section 2.6.10.1).
#pragma once
#include <stdint.h>

#define KN_SPDY_DICTIONARY 1423
extern const uint8_t kn_spdy_dictionary[KN_SPDY_DICTIONARY];

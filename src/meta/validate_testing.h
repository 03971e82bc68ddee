// For the tests of the validator: objects written with ' for ", decoded and defaulted as a write
// would, and the whole text of what is wrong with them.
#pragma once
#include "lib/ktest.h"

#include "meta/decode.h"
#include "meta/defaults.h"
#include "meta/validate.h"

struct validate_sample {
    const char *edit; // merged (JSON merge patch) into the smallest valid object
    const char *want; // "path: sentence", several joined by ", "; "": it is valid
};

// base: the smallest valid object of that kind. Each sample's edit makes the new object; on an
// update (`update`) the old one is `base` itself.
void validate_run(const char *api_version, const char *kind, const char *base,
                  const struct validate_sample *samples, size_t n, bool update);
#define VALIDATE_CREATE(api_version, kind, base, samples)                                          \
    validate_run(api_version, kind, base, samples, KN_ARRAY_LEN(samples), false)
#define VALIDATE_UPDATE(api_version, kind, base, samples)                                          \
    validate_run(api_version, kind, base, samples, KN_ARRAY_LEN(samples), true)

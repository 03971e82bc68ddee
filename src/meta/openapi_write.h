// What openapi.c and openapi_paths.c share. Private to them.
#pragma once
#include "base/buf.h"
#include "meta/resources.h"

struct kn_openapi {
    struct kn_buf *out;
    bool v3;
    uint8_t *wanted;     // KN_T_COUNT bits: types that are referred to
    const char *ref;     // "#/definitions/" or "#/components/schemas/"
};

void kn_openapi_str(struct kn_buf *out, struct kn_sv text); // a JSON string
void kn_openapi_ref(struct kn_openapi *o,
                    const struct kn_type *t); // {"$ref": ...}; marks it wanted
void kn_openapi_want(struct kn_openapi *o, const struct kn_type *t);
// `"/apis/...": {...}` for every path of a resource; *any: whether a comma is due.
void kn_openapi_paths(struct kn_openapi *o, const struct kn_resource *r, bool *any);

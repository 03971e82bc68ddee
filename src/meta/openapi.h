// OpenAPI documents from the tables, for the resources that are given (the served ones and custom
// ones). They are large and change only when resources come and go: build on demand, keep the
// bytes. Version 2 as JSON and as the protobuf that old kubectl asks for, version 3 a document for
// each group and version. Any thread.
#pragma once
#include "base/buf.h"
#include "meta/resources.h"

// A document of all built-in served resources is about 1.5 MB as JSON; give the buffer its limit.
struct kn_status kn_openapi_v2(struct kn_buf *out, const struct kn_resource *const *resources,
                               size_t count);
// What clients ask for as application/com.github.proto-openapi.spec.v2@v1.0+protobuf. The answer
// must say application/com.github.proto-openapi.spec.v2.v1.0+protobuf: Go refuses the @ in a
// Content-Type. v2_json: what kn_openapi_v2 wrote.
struct kn_status kn_openapi_v2_proto(struct kn_buf *out, struct kn_sv v2_json);
// The document at /openapi/v3/apis/<group>/<version> (core: /openapi/v3/api/v1).
struct kn_status kn_openapi_v3(struct kn_buf *out, struct kn_sv group, struct kn_sv version,
                               const struct kn_resource *const *resources, size_t count);
// The index at /openapi/v3: a path and a hash for each group and version among the resources.
struct kn_status kn_openapi_v3_index(struct kn_buf *out,
                                     const struct kn_resource *const *resources, size_t count);

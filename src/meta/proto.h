// Kubernetes' protobuf (application/vnd.kubernetes.protobuf): objects of every type in the tables,
// both ways, byte for byte as gogo-proto writes them. The envelope is "k8s\0" and a
// runtime.Unknown {typeMeta, raw}. Any thread.
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "codec/json.h"
#include "meta/schema.h"

// Appends the envelope and the object. apiVersion and kind are taken from the object, or from the
// type where it has none. The object must match its type (decoded, or read from the store); what
// does not is KN_INTERNAL naming the member.
struct kn_status kn_proto_encode(struct kn_buf *out, const struct kn_type *type,
                                 const struct kn_json *obj);
// The bare message, without envelope.
struct kn_status kn_proto_encode_message(struct kn_buf *out, const struct kn_type *type,
                                         const struct kn_json *obj);

// What the envelope says, before its object is looked at. Views into `bytes`.
struct kn_proto_envelope {
    struct kn_sv api_version, kind, raw, content_type;
};
struct kn_status kn_proto_open(struct kn_sv bytes, struct kn_proto_envelope *ret);
// The object in an envelope, as a tree in its decoded form (decode.h), apiVersion and kind first.
// Strings are copied into the arena. Fields that the type does not have are skipped.
// KN_BAD_REQUEST for bytes that are no such message.
struct kn_status kn_proto_decode(struct kn_arena *a, const struct kn_type *type, struct kn_sv bytes,
                                 struct kn_json **ret);
struct kn_status kn_proto_decode_message(struct kn_arena *a, const struct kn_type *type,
                                         struct kn_sv bytes, struct kn_json **ret);

// One frame of a watch stream: a big-endian length of 4 bytes, then a bare WatchEvent message whose
// object is `object`: the envelope of the object, encoded before.
struct kn_status kn_proto_watch_frame(struct kn_buf *out, struct kn_sv event_type,
                                      struct kn_sv object);

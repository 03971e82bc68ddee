// Protobuf wire format primitives, bounds-checked. What is in the messages is the caller's affair.
// Any thread.
#pragma once
#include "base/buf.h"
#include "base/status.h"

enum kn_pb_wire { KN_PB_VARINT = 0, KN_PB_FIXED64 = 1, KN_PB_BYTES = 2, KN_PB_FIXED32 = 5 };

struct kn_pb_field {
    uint32_t number;
    enum kn_pb_wire wire;
    uint64_t value;     // VARINT, FIXED64, FIXED32
    struct kn_sv bytes; // BYTES: a view into the input
};

// Takes one field off the front of *rest. False at the end and for bytes that are no field;
// *ret_bad tells the two apart (it is only ever set, so one check after the loop is enough):
//     for (bool bad = false; kn_pb_next(&rest, &field, &bad);) ...
// Groups (wire types 3 and 4) count as bad: nobody here writes them.
bool kn_pb_next(struct kn_sv *rest, struct kn_pb_field *ret, bool *ret_bad);

void kn_pb_varint(struct kn_buf *out, uint64_t value);
void kn_pb_tag(struct kn_buf *out, uint32_t number, enum kn_pb_wire wire);
void kn_pb_put_varint(struct kn_buf *out, uint32_t number, uint64_t value); // tag and value
void kn_pb_put_bytes(struct kn_buf *out, uint32_t number, struct kn_sv bytes);
void kn_pb_put_double(struct kn_buf *out, uint32_t number, double value);
double kn_pb_double(uint64_t fixed64);
size_t kn_pb_varint_size(uint64_t value);

// A nested message whose length is not known yet: begin, write its fields, end. `end` moves the
// bytes by what the length needs beyond one byte.
size_t kn_pb_begin(struct kn_buf *out, uint32_t number);
void kn_pb_end(struct kn_buf *out, size_t begin);

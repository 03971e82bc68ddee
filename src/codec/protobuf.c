#include "codec/protobuf.h"

static bool take_varint(struct kn_sv *rest, uint64_t *ret)
{
    uint64_t v = 0;
    for (size_t i = 0; i < 10 && i < rest->len; i++) {
        unsigned char c = (unsigned char)rest->ptr[i];
        if (i == 9 && c > 1)
            return false; // more than 64 bits
        v |= (uint64_t)(c & 127) << (7 * i);
        if (c < 128) {
            *rest = kn_sv_from(*rest, i + 1);
            *ret = v;
            return true;
        }
    }
    return false;
}

static bool take_fixed(struct kn_sv *rest, size_t size, uint64_t *ret)
{
    if (rest->len < size)
        return false;
    *ret = 0;
    for (size_t i = 0; i < size; i++)
        *ret |= (uint64_t)(unsigned char)rest->ptr[i] << (8 * i);
    *rest = kn_sv_from(*rest, size);
    return true;
}

bool kn_pb_next(struct kn_sv *rest, struct kn_pb_field *ret, bool *ret_bad)
{
    if (rest->len == 0)
        return false;
    uint64_t tag, len;
    *ret = (struct kn_pb_field){0};
    bool good = take_varint(rest, &tag) && tag >> 3 != 0 && tag >> 3 <= 0x1fffffff;
    if (good) {
        ret->number = (uint32_t)(tag >> 3);
        switch (tag & 7) {
        case KN_PB_VARINT:
            ret->wire = KN_PB_VARINT;
            good = take_varint(rest, &ret->value);
            break;
        case KN_PB_FIXED64:
            ret->wire = KN_PB_FIXED64;
            good = take_fixed(rest, 8, &ret->value);
            break;
        case KN_PB_FIXED32:
            ret->wire = KN_PB_FIXED32;
            good = take_fixed(rest, 4, &ret->value);
            break;
        case KN_PB_BYTES:
            ret->wire = KN_PB_BYTES;
            good = take_varint(rest, &len) && len <= rest->len;
            if (good) {
                ret->bytes = kn_sv_first(*rest, (size_t)len);
                *rest = kn_sv_from(*rest, (size_t)len);
            }
            break;
        default:
            good = false;
        }
    }
    if (!good)
        *ret_bad = true;
    return good;
}

void kn_pb_varint(struct kn_buf *out, uint64_t value)
{
    while (value >= 128) {
        kn_buf_add_byte(out, (char)(value | 128));
        value >>= 7;
    }
    kn_buf_add_byte(out, (char)value);
}

void kn_pb_tag(struct kn_buf *out, uint32_t number, enum kn_pb_wire wire)
{
    kn_pb_varint(out, (uint64_t)number << 3 | wire);
}

void kn_pb_put_varint(struct kn_buf *out, uint32_t number, uint64_t value)
{
    kn_pb_tag(out, number, KN_PB_VARINT);
    kn_pb_varint(out, value);
}

void kn_pb_put_bytes(struct kn_buf *out, uint32_t number, struct kn_sv bytes)
{
    kn_pb_tag(out, number, KN_PB_BYTES);
    kn_pb_varint(out, bytes.len);
    kn_buf_add(out, bytes);
}

void kn_pb_put_double(struct kn_buf *out, uint32_t number, double value)
{
    uint64_t bits;
    char raw[8];
    memcpy(&bits, &value, sizeof bits);
    for (int i = 0; i < 8; i++)
        raw[i] = (char)(bits >> (8 * i));
    kn_pb_tag(out, number, KN_PB_FIXED64);
    kn_buf_add(out, kn_sv(raw, sizeof raw));
}

double kn_pb_double(uint64_t fixed64)
{
    double value;
    memcpy(&value, &fixed64, sizeof value);
    return value;
}

size_t kn_pb_varint_size(uint64_t value)
{
    size_t n = 1;
    for (; value >= 128; value >>= 7)
        n++;
    return n;
}

size_t kn_pb_begin(struct kn_buf *out, uint32_t number)
{
    kn_pb_tag(out, number, KN_PB_BYTES);
    kn_buf_add_byte(out, 0); // room for a length below 128; `end` makes more where it is needed
    return out->len;
}

void kn_pb_end(struct kn_buf *out, size_t begin)
{
    if (out->failed || out->len < begin)
        return;
    size_t len = out->len - begin, extra = kn_pb_varint_size(len) - 1;
    if (extra) {
        if (!kn_buf_room(out, extra))
            return;
        memmove(out->ptr + begin + extra, out->ptr + begin, len);
        out->len += extra;
        out->ptr[out->len] = '\0';
    }
    size_t value = len;
    char *at = out->ptr + begin - 1;
    for (; value >= 128; value >>= 7)
        *at++ = (char)(value | 128);
    *at = (char)value;
}

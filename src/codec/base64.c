#include "codec/base64.h"

static const char std_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void kn_base64_encode(struct kn_buf *out, struct kn_sv bytes, enum kn_base64 alphabet)
{
    const char *digits = alphabet == KN_BASE64_URL ? url_digits : std_digits;
    const unsigned char *p = (const unsigned char *)bytes.ptr;
    if (bytes.len == 0 || !kn_buf_room(out, (bytes.len + 2) / 3 * 4))
        return;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t n = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t v = (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
                     (n > 2 ? (uint32_t)p[i + 2] : 0);
        for (size_t k = 0; k < 4; k++) {
            if (k <= n)
                kn_buf_add_byte(out, digits[v >> (18 - 6 * k) & 63]);
            else if (alphabet == KN_BASE64_STD)
                kn_buf_add_byte(out, '=');
        }
    }
}

static int digit(char c, enum kn_base64 alphabet)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (alphabet == KN_BASE64_URL ? '-' : '+'))
        return 62;
    return c == (alphabet == KN_BASE64_URL ? '_' : '/') ? 63 : -1;
}

static struct kn_status bad(size_t at)
{
    return kn_error(KN_SYNTAX, "illegal base64 data at input byte %zu", at);
}

// After the first '=': what is left must be the rest of the padding. have: digits of the quantum.
static struct kn_status padding(struct kn_sv text, size_t at, unsigned have)
{
    if (have < 2)
        return bad(at);
    unsigned pads = 0;
    for (size_t i = at; i < text.len; i++) {
        if (text.ptr[i] == '\n' || text.ptr[i] == '\r')
            continue;
        if (text.ptr[i] != '=' || have + pads == 4)
            return bad(i);
        pads++;
    }
    return have + pads == 4 ? KN_STATUS_OK : bad(text.len);
}

// out may be NULL.
static struct kn_status decode(struct kn_buf *out, struct kn_sv text, enum kn_base64 alphabet,
                               size_t *ret_len)
{
    uint32_t v = 0;
    unsigned have = 0;
    size_t len = 0, i;
    for (i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '\n' || c == '\r')
            continue;
        if (c == '=') {
            KN_TRY(padding(text, i, have));
            break;
        }
        int d = digit(c, alphabet);
        if (d < 0)
            return bad(i);
        v = v << 6 | (uint32_t)d;
        if (++have < 4)
            continue;
        for (int shift = 16; out && shift >= 0; shift -= 8)
            kn_buf_add_byte(out, (char)(v >> shift & 255));
        len += 3;
        v = have = 0;
    }
    if (have == 1 || (have && i == text.len && alphabet == KN_BASE64_STD))
        return bad(text.len);
    if (have) {
        v <<= 6 * (4 - have);
        for (unsigned k = 0; out && k < have - 1; k++)
            kn_buf_add_byte(out, (char)(v >> (16 - 8 * k) & 255));
        len += have - 1;
    }
    *ret_len = len;
    return KN_STATUS_OK;
}

struct kn_status kn_base64_decode(struct kn_buf *out, struct kn_sv text, enum kn_base64 alphabet)
{
    size_t before = out->len, len;
    struct kn_status s = decode(out, text, alphabet, &len);
    if (!kn_ok(s)) {
        if (out->ptr && out->len > before) {
            out->len = before;
            out->ptr[before] = '\0';
        }
        return s;
    }
    return kn_buf_status(out, "base64 data");
}

struct kn_status kn_base64_check(struct kn_sv text, size_t *ret_len)
{
    return decode(NULL, text, KN_BASE64_STD, ret_len);
}

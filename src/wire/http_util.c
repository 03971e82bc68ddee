// Helpers of HTTP that need no connection: URLs, phrases, gzip.
#include <zlib.h>

#include "wire/http.h"

const char *kn_http_phrase(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } rows[] = {
        {100, "Continue"}, {101, "Switching Protocols"}, {200, "OK"}, {201, "Created"},
        {202, "Accepted"}, {204, "No Content"}, {206, "Partial Content"},
        {301, "Moved Permanently"}, {302, "Found"}, {303, "See Other"}, {304, "Not Modified"},
        {307, "Temporary Redirect"}, {308, "Permanent Redirect"}, {400, "Bad Request"},
        {401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"},
        {405, "Method Not Allowed"}, {406, "Not Acceptable"}, {408, "Request Timeout"},
        {409, "Conflict"}, {410, "Gone"}, {411, "Length Required"}, {412, "Precondition Failed"},
        {413, "Request Entity Too Large"}, {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"}, {422, "Unprocessable Entity"}, {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"}, {500, "Internal Server Error"},
        {501, "Not Implemented"}, {502, "Bad Gateway"}, {503, "Service Unavailable"},
        {504, "Gateway Timeout"}, {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(rows); i++)
        if (rows[i].status == status)
            return rows[i].phrase;
    return "Status";
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 32) >= 'a' && (c | 32) <= 'f')
        return (c | 32) - 'a' + 10;
    return -1;
}

struct kn_status kn_url_decode(struct kn_arena *a, struct kn_sv text, bool plus, struct kn_sv *ret)
{
    bool plain = !memchr(text.ptr ? text.ptr : "", '%', text.len) &&
                 !(plus && memchr(text.ptr ? text.ptr : "", '+', text.len));
    if (plain) {
        *ret = text.ptr ? text : KN_SV("");
        return KN_STATUS_OK;
    }
    char *out = kn_arena_bytes(a, text.len + 1);
    if (!out)
        return kn_arena_error(a, "a decoded URL");
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            int hi = i + 2 < text.len ? hex_value(text.ptr[i + 1]) : -1;
            int lo = i + 2 < text.len ? hex_value(text.ptr[i + 2]) : -1;
            if (hi < 0 || lo < 0 || (hi | lo) == 0)
                return kn_error(KN_BAD_REQUEST, "the URL has an invalid escape at \"%.*s\"",
                                KN_SV_ARG(kn_sv_first(kn_sv_from(text, i), 3)));
            c = (char)(hi << 4 | lo);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        out[n++] = c;
    }
    out[n] = '\0';
    *ret = kn_sv(out, n);
    return KN_STATUS_OK;
}

bool kn_query_next(struct kn_sv *rest, struct kn_sv *ret_name, struct kn_sv *ret_value)
{
    while (rest->len) {
        struct kn_sv pair = kn_sv_cut(rest, '&');
        if (!pair.len)
            continue;
        *ret_name = kn_sv_cut(&pair, '=');
        *ret_value = pair.ptr ? pair : KN_SV("");
        return true;
    }
    return false;
}

struct kn_sv kn_query_get(struct kn_arena *a, struct kn_sv query, const char *name)
{
    struct kn_sv n, v, decoded;
    while (kn_query_next(&query, &n, &v)) {
        struct kn_status s = kn_url_decode(a, n, true, &decoded);
        bool hit = kn_ok(s) && kn_sv_is(decoded, name);
        kn_status_done(&s);
        if (!hit)
            continue;
        s = kn_url_decode(a, v, true, &decoded);
        bool good = kn_ok(s);
        kn_status_done(&s);
        return good ? decoded : KN_SV_NULL;
    }
    return KN_SV_NULL;
}

void kn_url_encode(struct kn_buf *out, struct kn_sv text, bool path)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool keep = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    (c && strchr("-._~", c)) || (path && c == '/');
        if (keep) {
            kn_buf_add_byte(out, (char)c);
        } else {
            kn_buf_add_byte(out, '%');
            kn_buf_add_byte(out, digits[c >> 4]);
            kn_buf_add_byte(out, digits[c & 15]);
        }
    }
}

bool kn_http_accepts_gzip(const struct kn_http_req *r)
{
    struct kn_http_header h;
    for (size_t i = 0; kn_http_header_at(r, i, &h); i++) {
        if (!kn_sv_ieq(h.name, KN_SV("Accept-Encoding")))
            continue;
        struct kn_sv list = h.value;
        do {
            struct kn_sv one = kn_sv_cut(&list, ',');
            struct kn_sv coding = kn_sv_trim(kn_sv_cut(&one, ';'));
            struct kn_sv q = kn_sv_trim(one);
            bool zero = kn_sv_is(q, "q=0") || kn_sv_starts(q, KN_SV("q=0.0"));
            if (kn_sv_ieq(coding, KN_SV("gzip")))
                return !zero;
        } while (list.ptr);
    }
    return false;
}

struct kn_status kn_gzip(struct kn_sv bytes, struct kn_buf *out)
{
    z_stream z = {0};
    if (bytes.len > UINT32_MAX / 2)
        return kn_error(KN_TOO_LARGE, "compress %zu bytes: more than 2 GiB", bytes.len);
    if (deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return kn_error(KN_NO_MEMORY, "compress: no memory");
    z.next_in = (uint8_t *)(uintptr_t)bytes.ptr;
    z.avail_in = (uInt)bytes.len;
    int r = Z_OK;
    while (r == Z_OK && kn_buf_room(out, 16384)) {
        z.next_out = (uint8_t *)out->ptr + out->len;
        z.avail_out = 16384;
        r = deflate(&z, Z_FINISH);
        out->len += 16384 - z.avail_out;
        out->ptr[out->len] = '\0';
    }
    deflateEnd(&z);
    return r == Z_STREAM_END ? KN_STATUS_OK : kn_buf_status(out, "the compressed body");
}

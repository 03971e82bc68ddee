#include "wire/http1.h"

static bool is_tchar(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

bool kn_http_token_ok(struct kn_sv text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_tchar((unsigned char)text.ptr[i]))
            return false;
    return text.len > 0;
}

bool kn_http_value_ok(struct kn_sv text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

bool kn_http_list_has(struct kn_sv list, struct kn_sv token)
{
    do {
        if (kn_sv_ieq(kn_sv_trim(kn_sv_cut(&list, ',')), token))
            return true;
    } while (list.ptr);
    return false;
}

size_t kn_h1_head_end(struct kn_sv bytes, size_t *scanned)
{
    size_t from = *scanned > 3 ? *scanned - 3 : 0;
    *scanned = bytes.len;
    while (bytes.len - from >= 4) {
        const char *p = memchr(bytes.ptr + from, '\r', bytes.len - from - 3);
        if (!p)
            return 0;
        if (memcmp(p, "\r\n\r\n", 4) == 0)
            return (size_t)(p - bytes.ptr) + 4;
        from = (size_t)(p - bytes.ptr) + 1;
    }
    return 0;
}

// The next line without its CRLF. False at a bare CR or LF, or when there is none.
static bool next_line(struct kn_sv *rest, struct kn_sv *ret)
{
    const char *p = memchr(rest->ptr, '\n', rest->len);
    if (!p || p == rest->ptr || p[-1] != '\r')
        return false;
    *ret = kn_sv(rest->ptr, (size_t)(p - rest->ptr) - 1);
    *rest = kn_sv_from(*rest, ret->len + 2);
    return memchr(ret->ptr, '\r', ret->len) == NULL;
}

static struct kn_status bad(const char *why)
{
    return kn_error(KN_BAD_REQUEST, "malformed HTTP/1.1 message: %s", why);
}

static struct kn_status content_length(struct kn_sv v, struct kn_h1_head *h)
{
    if (h->content_length >= 0)
        return bad("more than one Content-Length");
    int64_t n = 0;
    if (!v.len || v.len > 18)
        return bad("Content-Length is no number");
    for (size_t i = 0; i < v.len; i++) {
        if (v.ptr[i] < '0' || v.ptr[i] > '9')
            return bad("Content-Length is no number");
        n = n * 10 + (v.ptr[i] - '0');
    }
    h->content_length = n;
    return KN_STATUS_OK;
}

static struct kn_status known_header(struct kn_sv name, struct kn_sv v, bool request,
                                     unsigned *hosts, struct kn_h1_head *h)
{
    switch (name.len) {
    case 4:
        if (request && kn_sv_ieq(name, KN_SV("Host"))) {
            if (++*hosts > 1)
                return bad("more than one Host");
            if (memchr(v.ptr, ' ', v.len) || memchr(v.ptr, '/', v.len) || memchr(v.ptr, ',', v.len))
                return bad("Host is no host");
            h->host = v;
        }
        break;
    case 6:
        if (request && kn_sv_ieq(name, KN_SV("Expect"))) {
            if (!kn_sv_ieq(v, KN_SV("100-continue")))
                return bad("Expect is not 100-continue");
            h->expect_continue = true;
        }
        break;
    case 7:
        if (kn_sv_ieq(name, KN_SV("Upgrade")))
            h->upgrade = v.len > 0;
        break;
    case 10:
        if (kn_sv_ieq(name, KN_SV("Connection"))) {
            h->close |= kn_http_list_has(v, KN_SV("close"));
            h->keep_alive |= kn_http_list_has(v, KN_SV("keep-alive"));
        }
        break;
    case 14:
        if (kn_sv_ieq(name, KN_SV("Content-Length")))
            return content_length(v, h);
        break;
    case 17:
        if (kn_sv_ieq(name, KN_SV("Transfer-Encoding"))) {
            if (h->chunked || !kn_sv_ieq(v, KN_SV("chunked")))
                return bad("a Transfer-Encoding other than chunked");
            h->chunked = true;
        }
        break;
    default:
        break;
    }
    return KN_STATUS_OK;
}

static struct kn_status parse_headers(struct kn_sv rest, struct kn_arena *a, bool request,
                                      struct kn_h1_head *h)
{
    size_t lines = 0;
    for (size_t i = 0; i < rest.len; i++)
        lines += rest.ptr[i] == '\n';
    if (lines > KN_H1_HEADERS + 1)
        return kn_error(KN_TOO_LARGE, "more than %d header lines", KN_H1_HEADERS);
    h->headers = kn_arena_calloc(a, lines, sizeof *h->headers);
    if (!h->headers)
        return kn_arena_error(a, "the headers");
    h->content_length = -1;
    unsigned hosts = 0;
    struct kn_sv line;
    while (rest.len) {
        if (!next_line(&rest, &line))
            return bad("a line that does not end with CRLF");
        if (!line.len)
            break;
        ptrdiff_t colon = kn_sv_find(line, ':');
        struct kn_sv name = kn_sv_first(line, colon > 0 ? (size_t)colon : 0);
        if (!kn_http_token_ok(name))
            return bad("a header without a valid name");
        struct kn_sv value = kn_sv_trim(kn_sv_from(line, (size_t)colon + 1));
        if (!kn_http_value_ok(value))
            return bad("a header with control characters");
        KN_TRY(known_header(name, value, request, &hosts, h));
        h->headers[h->headers_len++] = (struct kn_http_header){name, value};
    }
    if (rest.len)
        return bad("bytes behind the empty line");
    if (h->chunked && (h->content_length >= 0 || h->minor == 0))
        return bad("Transfer-Encoding beside Content-Length, or in HTTP/1.0");
    if (request && h->minor == 1 && hosts == 0)
        return bad("no Host");
    return KN_STATUS_OK;
}

// absolute-form (RFC 9112 section 3.2.2): the path behind the authority.
static bool strip_authority(struct kn_sv *target)
{
    if (!kn_sv_starts(*target, KN_SV("http://")) && !kn_sv_starts(*target, KN_SV("https://")))
        return false;
    struct kn_sv rest = kn_sv_from(*target, target->ptr[4] == 's' ? 8 : 7);
    ptrdiff_t slash = kn_sv_find(rest, '/');
    if (slash <= 0)
        return false;
    *target = kn_sv_from(rest, (size_t)slash);
    return true;
}

static bool target_ok(struct kn_sv t)
{
    for (size_t i = 0; i < t.len; i++)
        if ((unsigned char)t.ptr[i] <= 0x20 || t.ptr[i] == 0x7f || t.ptr[i] == '#')
            return false;
    return t.len > 0;
}

struct kn_status kn_h1_parse_request(struct kn_sv head, struct kn_arena *a, struct kn_h1_head *ret)
{
    struct kn_h1_head h = {0};
    struct kn_sv rest = head, line;
    if (!next_line(&rest, &line))
        return bad("no request line");
    h.method = kn_sv_cut(&line, ' ');
    h.target = kn_sv_cut(&line, ' ');
    if (!line.ptr || !kn_http_token_ok(h.method) || !target_ok(h.target))
        return bad("the request line is not \"METHOD target HTTP/1.1\"");
    if (kn_sv_is(line, "HTTP/1.1"))
        h.minor = 1;
    else if (!kn_sv_is(line, "HTTP/1.0"))
        return kn_sv_starts(line, KN_SV("HTTP/"))
                   ? kn_error(KN_NOT_SUPPORTED, "only HTTP/1.1 and HTTP/1.0 are spoken here")
                   : bad("the request line does not end with the version");
    if (h.target.ptr[0] != '/' && !strip_authority(&h.target) && !kn_sv_is(h.target, "*"))
        return bad("the target is no path");
    KN_TRY(parse_headers(rest, a, true, &h));
    *ret = h;
    return KN_STATUS_OK;
}

struct kn_status kn_h1_parse_response(struct kn_sv head, struct kn_arena *a,
                                      struct kn_h1_head *ret)
{
    struct kn_h1_head h = {0};
    struct kn_sv rest = head, line;
    if (!next_line(&rest, &line) || line.len < 12)
        return bad("no status line");
    h.minor = line.ptr[7] - '0';
    if (!kn_sv_starts(line, KN_SV("HTTP/1.")) || h.minor < 0 || h.minor > 1 || line.ptr[8] != ' ')
        return bad("the answer is not HTTP/1.1");
    for (int i = 9; i < 12; i++) {
        if (line.ptr[i] < '0' || line.ptr[i] > '9')
            return bad("the status is no number");
        h.status = h.status * 10 + (line.ptr[i] - '0');
    }
    if (h.status < 100 || h.status > 599 || (line.len > 12 && line.ptr[12] != ' '))
        return bad("the status is out of range");
    KN_TRY(parse_headers(rest, a, false, &h));
    *ret = h;
    return KN_STATUS_OK;
}

// ---- chunked ----

enum {
    SIZE,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER,
    TRAILER_LINE,
    TRAILER_LF,
    END_LF
};

#define LINE_MAX_BYTES 4096   // of a chunk's size and extensions
#define TRAILER_BYTES 16384   // of all trailers

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 32) >= 'a' && (c | 32) <= 'f')
        return (c | 32) - 'a' + 10;
    return -1;
}

// One byte outside of data. False if it may not be there.
static bool chunk_byte(struct kn_h1_chunked *c, char b, bool *ret_end)
{
    switch (c->state) {
    case SIZE: {
        int v = hex_value(b);
        if (v >= 0) {
            c->left = c->left * 16 + (unsigned)v;
            return ++c->digits <= 15;
        }
        if (!c->digits)
            return false;
        c->state = b == '\r' ? SIZE_LF : EXTENSION;
        return b == '\r' || b == ';' || b == ' ' || b == '\t';
    }
    case EXTENSION:
        if (b == '\r')
            c->state = SIZE_LF;
        return b != '\n' && ++c->line <= LINE_MAX_BYTES;
    case SIZE_LF:
        c->state = c->left ? DATA : TRAILER;
        c->digits = c->line = 0;
        return b == '\n';
    case DATA_CR:
        c->state = DATA_LF;
        return b == '\r';
    case DATA_LF:
        c->state = SIZE;
        return b == '\n';
    case TRAILER:
        c->state = b == '\r' ? END_LF : TRAILER_LINE;
        return b != '\n' && ++c->line <= TRAILER_BYTES;
    case TRAILER_LINE:
        if (b == '\r')
            c->state = TRAILER_LF;
        return b != '\n' && ++c->line <= TRAILER_BYTES;
    case TRAILER_LF:
        c->state = TRAILER;
        return b == '\n';
    default: // END_LF
        *ret_end = true;
        return b == '\n';
    }
}

enum kn_h1_chunk kn_h1_chunked_next(struct kn_h1_chunked *c, struct kn_sv *in,
                                    struct kn_sv *ret_data)
{
    while (in->len) {
        if (c->state == DATA) {
            *ret_data = kn_sv_first(*in, c->left < in->len ? (size_t)c->left : in->len);
            c->left -= ret_data->len;
            *in = kn_sv_from(*in, ret_data->len);
            if (!c->left)
                c->state = DATA_CR;
            return KN_H1_DATA;
        }
        bool end = false;
        char b = in->ptr[0];
        *in = kn_sv_from(*in, 1);
        if (!chunk_byte(c, b, &end))
            return KN_H1_BAD;
        if (end)
            return KN_H1_END;
    }
    return KN_H1_MORE;
}

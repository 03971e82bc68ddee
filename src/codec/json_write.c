#include "codec/json.h"

// What a string may hold as it is; the rest is escaped.
static const unsigned char plain[256] = {
    [' '] = 1,          ['!'] = 1,          ['#' ... '%'] = 1, ['\'' ... ';'] = 1,
    ['='] = 1,          ['?' ... '['] = 1,  [']' ... 0x7f] = 1,
};

static size_t sequence(const unsigned char *s, size_t left)
{
    size_t n = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : s[0] >= 0xC2 ? 2 : 0;
    if (n == 0 || n > left || s[0] > 0xF4)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] >= 0xA0) ||
        (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] >= 0x90))
        return 0;
    return n;
}

// Writes what stands at s, which is not plain; returns how many bytes it was.
static size_t put_special(struct kn_buf *out, const unsigned char *s, size_t left)
{
    if (s[0] >= 0x80) {
        size_t n = sequence(s, left);
        if (n == 0) {
            kn_buf_addc(out, "\\ufffd");
            return 1;
        }
        if (n == 3 && s[0] == 0xE2 && s[1] == 0x80 && (s[2] & 0xFE) == 0xA8)
            kn_buf_addc(out, s[2] & 1 ? "\\u2029" : "\\u2028");
        else
            kn_buf_add(out, kn_sv((const char *)s, n));
        return n;
    }
    static const char hex[] = "0123456789abcdef";
    char e[6] = {'\\', 'u', '0', '0', hex[s[0] >> 4], hex[s[0] & 15]};
    size_t n = 2;
    switch (s[0]) {
    case '"':
    case '\\':
        e[1] = (char)s[0];
        break;
    case '\n':
        e[1] = 'n';
        break;
    case '\r':
        e[1] = 'r';
        break;
    case '\t':
        e[1] = 't';
        break;
    case '\b':
        e[1] = 'b';
        break;
    case '\f':
        e[1] = 'f';
        break;
    default:
        n = 6;
    }
    kn_buf_add(out, kn_sv(e, n));
    return 1;
}

void kn_json_encode_str(struct kn_buf *out, struct kn_sv text)
{
    const unsigned char *s = (const unsigned char *)text.ptr, *end = s + text.len;
    kn_buf_add_byte(out, '"');
    while (s < end) {
        const unsigned char *from = s;
        while (s < end && plain[*s])
            s++;
        if (s > from)
            kn_buf_add(out, kn_sv((const char *)from, (size_t)(s - from)));
        if (s < end)
            s += put_special(out, s, (size_t)(end - s));
    }
    kn_buf_add_byte(out, '"');
}

struct writer {
    struct kn_buf *out;
    unsigned indent; // 0: compact
};

static void new_line(const struct writer *w, unsigned depth)
{
    if (w->indent == 0)
        return;
    kn_buf_add_byte(w->out, '\n');
    for (unsigned i = 0; i < depth * w->indent; i++)
        kn_buf_add_byte(w->out, ' ');
}

static void put(const struct writer *w, const struct kn_json *v, unsigned depth)
{
    struct kn_buf *out = w->out;
    switch (kn_json_type(v)) {
    case KN_JSON_NULL:
        kn_buf_add(out, KN_SV("null"));
        return;
    case KN_JSON_BOOL:
        kn_buf_add(out, v->u.i ? KN_SV("true") : KN_SV("false"));
        return;
    case KN_JSON_INT:
        kn_buf_add_i64(out, v->u.i);
        return;
    case KN_JSON_NUMBER:
        kn_buf_add(out, kn_json_str(v));
        return;
    case KN_JSON_STRING:
        kn_json_encode_str(out, kn_json_str(v));
        return;
    case KN_JSON_ARRAY:
    case KN_JSON_OBJECT:
        break;
    }
    bool object = kn_json_is_object(v);
    kn_buf_add_byte(out, object ? '{' : '[');
    const struct kn_json *first = kn_json_first(v), *c;
    KN_JSON_EACH(c, v)
    {
        if (c != first)
            kn_buf_add_byte(out, ',');
        new_line(w, depth + 1);
        if (object) {
            kn_json_encode_str(out, kn_json_key(c));
            kn_buf_add(out, w->indent ? KN_SV(": ") : KN_SV(":"));
        }
        put(w, c, depth + 1);
    }
    if (first)
        new_line(w, depth);
    kn_buf_add_byte(out, object ? '}' : ']');
}

void kn_json_encode(struct kn_buf *out, const struct kn_json *v)
{
    put(&(struct writer){out, 0}, v, 0);
}

void kn_json_encode_pretty(struct kn_buf *out, const struct kn_json *v, unsigned indent)
{
    put(&(struct writer){out, indent}, v, 0);
}

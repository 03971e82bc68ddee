// Parsing. Reading and building are in json.c, writing in json_write.c.
#include <stdlib.h>

#include "base/map.h"
#include "codec/json_impl.h"

struct frame {
    const struct frame *up;
    struct kn_json *container;
    const struct kn_json *child; // the one being parsed
};

struct parser {
    struct kn_arena *arena;
    const char *start, *pos, *end;
    const struct kn_json_options *options;
    unsigned max_depth;
};

static struct kn_status syntax(const struct parser *p, const char *at, const char *expected)
{
    size_t line = 1, column = 1;
    for (const char *c = p->start; c < at && c < p->end; c++) {
        column++;
        if (*c == '\n') {
            line++;
            column = 1;
        }
    }
    if (at >= p->end)
        return kn_error(KN_SYNTAX, "line %zu, column %zu: the text ends where %s should follow",
                        line, column, expected);
    unsigned char c = (unsigned char)*at;
    char shown[8];
    snprintf(shown, sizeof shown, c >= 0x20 && c < 0x7f ? "%c" : "\\x%02x", c);
    return kn_error(KN_SYNTAX, "line %zu, column %zu: found '%s' where %s should be", line, column,
                    shown, expected);
}

static inline void skip_space(struct parser *p)
{
    const char *c = p->pos;
    while (c < p->end && (*c == ' ' || *c == '\n' || *c == '\r' || *c == '\t'))
        c++;
    p->pos = c;
}

static int hex4(const char *s)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        char c = s[i];
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0)
            return -1;
        v = v << 4 | d;
    }
    return v;
}

static char *put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xC0 | c >> 6);
        *out++ = (char)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        *out++ = (char)(0xE0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 63));
        *out++ = (char)(0x80 | (c & 63));
    } else {
        *out++ = (char)(0xF0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 63));
        *out++ = (char)(0x80 | (c >> 6 & 63));
        *out++ = (char)(0x80 | (c & 63));
    }
    return out;
}

// Length of the UTF-8 sequence at s, or 0 if it is none (overlong, surrogate, cut off).
static inline size_t utf8_len(const unsigned char *s, size_t left)
{
    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xC2 && s[0] <= 0xDF && left >= 2 && (s[1] & 0xC0) == 0x80)
        return 2;
    if (left >= 3 && (s[0] & 0xF0) == 0xE0 && (s[1] & 0xC0) == 0x80 && (s[2] & 0xC0) == 0x80) {
        if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] >= 0xA0))
            return 0;
        return 3;
    }
    if (left >= 4 && (s[0] & 0xF8) == 0xF0 && (s[1] & 0xC0) == 0x80 && (s[2] & 0xC0) == 0x80 &&
        (s[3] & 0xC0) == 0x80) {
        if ((s[0] == 0xF0 && s[1] < 0x90) || s[0] > 0xF4 || (s[0] == 0xF4 && s[1] >= 0x90))
            return 0;
        return 4;
    }
    return 0;
}

// Undoes the escapes of s[0..end) into out, which has room for as many bytes. NULL on a bad one.
static char *unescape(const char *s, const char *end, char *out)
{
    while (s < end) {
        if (*s != '\\') {
            *out++ = *s++;
            continue;
        }
        if (end - s < 2)
            return NULL;
        char c = s[1];
        s += 2;
        switch (c) {
        case '"':
        case '\\':
        case '/':
            *out++ = c;
            break;
        case 'b':
            *out++ = '\b';
            break;
        case 'f':
            *out++ = '\f';
            break;
        case 'n':
            *out++ = '\n';
            break;
        case 'r':
            *out++ = '\r';
            break;
        case 't':
            *out++ = '\t';
            break;
        case 'u': {
            int hi = end - s >= 4 ? hex4(s) : -1;
            if (hi < 0)
                return NULL;
            s += 4;
            uint32_t cp = (uint32_t)hi;
            if (cp >= 0xD800 && cp < 0xDC00) {
                int lo = end - s >= 6 && s[0] == '\\' && s[1] == 'u' ? hex4(s + 2) : -1;
                if (lo >= 0xDC00 && lo < 0xE000) {
                    cp = 0x10000 + ((cp - 0xD800) << 10) + (uint32_t)(lo - 0xDC00);
                    s += 6;
                } else {
                    cp = 0xFFFD; // half a pair, as Go reads it
                }
            } else if (cp >= 0xDC00 && cp < 0xE000) {
                cp = 0xFFFD;
            }
            out = put_utf8(out, cp);
            break;
        }
        default:
            return NULL;
        }
    }
    return out;
}

// Bytes that end a plain run inside a string.
static const unsigned char stops[256] = {
    [0 ... 0x1f] = 1, ['"'] = 1, ['\\'] = 1, [0x80 ... 0xff] = 1,
};

// At the character after the opening quote; leaves pos after the closing one.
static struct kn_status parse_string(struct parser *p, struct kn_sv *ret)
{
    const char *from = p->pos, *c = from, *end = p->end;
    bool escapes = false;
    for (;;) {
        while (end - c >= 4 && !(stops[(unsigned char)c[0]] | stops[(unsigned char)c[1]] |
                                 stops[(unsigned char)c[2]] | stops[(unsigned char)c[3]]))
            c += 4;
        while (c < end && !stops[(unsigned char)*c])
            c++;
        if (c == end)
            return syntax(p, c, "the end of the string");
        if (*c == '"')
            break;
        if (*c == '\\') {
            escapes = true;
            if (end - c < 2)
                return syntax(p, end, "the rest of the escape");
            c += 2;
        } else if ((unsigned char)*c < 0x20) {
            return syntax(p, c,
                          "a character of the string (control characters are written \\u00xx)");
        } else {
            size_t n = utf8_len((const unsigned char *)c, (size_t)(end - c));
            if (n == 0)
                return syntax(p, c, "valid UTF-8");
            c += n;
        }
    }
    p->pos = c + 1;
    *ret = kn_sv(from, (size_t)(c - from));
    if (ret->len > KN_JSON_MAX_LEN)
        return kn_error(KN_TOO_LARGE, "a string is longer than %u bytes", KN_JSON_MAX_LEN);
    if (!escapes)
        return KN_STATUS_OK;
    char *out = kn_arena_bytes(p->arena, ret->len);
    if (!out)
        return kn_arena_error(p->arena, "the JSON text");
    char *out_end = unescape(from, c, out);
    if (!out_end)
        return syntax(p, from, "a string with valid escapes");
    *ret = kn_sv(out, (size_t)(out_end - out));
    return KN_STATUS_OK;
}

static struct kn_status parse_number(struct parser *p, struct kn_json *v)
{
    const char *from = p->pos, *c = from, *end = p->end;
    bool negative = *c == '-', whole = true, big = false;
    if (negative)
        c++;
    if (c == end || *c < '0' || *c > '9')
        return syntax(p, c, "a digit");
    uint64_t n = 0;
    if (*c == '0') {
        c++;
        if (c < end && *c >= '0' && *c <= '9')
            return syntax(p, c, "the end of the number (it begins with 0)");
    }
    for (; c < end && *c >= '0' && *c <= '9'; c++)
        big = big || __builtin_mul_overflow(n, (uint64_t)10, &n) ||
              __builtin_add_overflow(n, (uint64_t)(*c - '0'), &n);
    if (c < end && *c == '.') {
        whole = false;
        if (++c == end || *c < '0' || *c > '9')
            return syntax(p, c, "a digit");
        while (c < end && *c >= '0' && *c <= '9')
            c++;
    }
    if (c < end && (*c == 'e' || *c == 'E')) {
        whole = false;
        if (++c < end && (*c == '+' || *c == '-'))
            c++;
        if (c == end || *c < '0' || *c > '9')
            return syntax(p, c, "a digit");
        while (c < end && *c >= '0' && *c <= '9')
            c++;
    }
    p->pos = c;
    if (whole && !big && n <= (uint64_t)INT64_MAX + negative) {
        v->tag = kn_json_tag(KN_JSON_INT, 0);
        v->u.i = negative ? (int64_t)(0 - n) : (int64_t)n;
        return KN_STATUS_OK;
    }
    v->tag = kn_json_tag(KN_JSON_NUMBER, (size_t)(c - from));
    v->u.str = from;
    return KN_STATUS_OK;
}

static void path_of(struct kn_buf *out, const struct frame *f)
{
    if (!f)
        return;
    path_of(out, f->up);
    if (kn_json_is_array(f->container)) {
        kn_buf_addf(out, "[%u]", kn_json_len(f->container) - 1);
    } else {
        if (out->len)
            kn_buf_add_byte(out, '.');
        kn_buf_add(out, kn_json_key(f->child));
    }
}

static void report_duplicate(struct parser *p, const struct frame *f)
{
    if (!p->options || !p->options->duplicate)
        return;
    struct kn_buf path = KN_BUF(64u << 10);
    path_of(&path, f);
    p->options->duplicate(p->options->arg, kn_buf_sv(&path));
    kn_buf_done(&path);
}

// stays linear; smaller ones are searched.
#define SEARCHED_MEMBERS 24

struct seen {
    struct kn_json **slots;
    size_t mask;
};

static size_t seen_hash(uint32_t atom, struct kn_sv name)
{
    return atom != KN_K_TEXT ? atom * 0x9E3779B1u : (size_t)kn_hash(name.ptr, name.len);
}

static struct kn_json **seen_slot(const struct seen *t, uint32_t atom, struct kn_sv name)
{
    for (size_t i = seen_hash(atom, name) & t->mask;; i = (i + 1) & t->mask) {
        struct kn_json *m = t->slots[i];
        if (!m || (m->key == atom && (atom != KN_K_TEXT || kn_sv_eq(*kn_json_text_name(m), name))))
            return &t->slots[i];
    }
}

static void seen_grow(struct seen *t, const struct kn_json *object)
{
    size_t size = t->slots ? (t->mask + 1) * 2 : 128;
    free(t->slots);
    t->slots = kn_calloc(size, sizeof *t->slots);
    t->mask = size - 1;
    struct kn_json *m;
    KN_JSON_EACH(m, object)
    *seen_slot(t, m->key, m->key == KN_K_TEXT ? *kn_json_text_name(m) : KN_SV_NULL) = m;
}

static struct kn_status parse_value(struct parser *p, struct kn_json *v, const struct frame *up,
                                    unsigned depth);

// The member named `name` of f->container, new or the one that this value replaces.
static struct kn_status member_for(struct parser *p, struct frame *f, struct kn_sv name,
                                   struct seen *seen, struct kn_json **ret)
{
    struct kn_json *object = f->container;
    uint32_t atom = kn_atom_find(name);
    if (atom == KN_K_NONE)
        atom = KN_K_TEXT;
    uint32_t count = kn_json_len(object);
    struct kn_json *old, **slot = NULL;
    if (count < SEARCHED_MEMBERS) {
        old = kn_json_find(object, atom, name);
    } else {
        if (!seen->slots || count * 2 > seen->mask)
            seen_grow(seen, object);
        slot = seen_slot(seen, atom, name);
        old = *slot;
    }
    if (old) {
        f->child = old;
        report_duplicate(p, f);
        *ret = old;
        return KN_STATUS_OK;
    }
    if (count == KN_JSON_MAX_LEN)
        return kn_error(KN_TOO_LARGE, "an object has more than %u members", KN_JSON_MAX_LEN);
    struct kn_json *v = kn_json_new_member(p->arena, atom, name);
    if (!v)
        return kn_arena_error(p->arena, "the JSON text");
    kn_json_link(object, v);
    if (slot)
        *slot = v;
    *ret = v;
    return KN_STATUS_OK;
}

static struct kn_status parse_members(struct parser *p, struct frame *f, struct seen *seen,
                                      unsigned depth)
{
    for (;;) {
        if (p->pos == p->end || *p->pos != '"')
            return syntax(p, p->pos, "a member name in double quotes");
        p->pos++;
        struct kn_sv name;
        KN_TRY(parse_string(p, &name));
        skip_space(p);
        if (p->pos == p->end || *p->pos != ':')
            return syntax(p, p->pos, "':'");
        p->pos++;
        skip_space(p);
        struct kn_json *v;
        KN_TRY(member_for(p, f, name, seen, &v));
        f->child = v;
        struct kn_json *next = v->next;
        KN_TRY(parse_value(p, v, f, depth));
        v->next = next;
        skip_space(p);
        if (p->pos < p->end && *p->pos == '}') {
            p->pos++;
            return KN_STATUS_OK;
        }
        if (p->pos == p->end || *p->pos != ',')
            return syntax(p, p->pos, "',' or '}'");
        p->pos++;
        skip_space(p);
    }
}

static struct kn_status parse_elements(struct parser *p, struct frame *f, unsigned depth)
{
    for (;;) {
        if (kn_json_len(f->container) == KN_JSON_MAX_LEN)
            return kn_error(KN_TOO_LARGE, "an array has more than %u elements", KN_JSON_MAX_LEN);
        struct kn_json *v = kn_arena_alloc(p->arena, sizeof *v);
        if (!v)
            return kn_arena_error(p->arena, "the JSON text");
        v->key = KN_K_NONE;
        kn_json_link(f->container, v);
        f->child = v;
        struct kn_json *next = v->next;
        KN_TRY(parse_value(p, v, f, depth));
        v->next = next;
        skip_space(p);
        if (p->pos < p->end && *p->pos == ']') {
            p->pos++;
            return KN_STATUS_OK;
        }
        if (p->pos == p->end || *p->pos != ',')
            return syntax(p, p->pos, "',' or ']'");
        p->pos++;
        skip_space(p);
    }
}

static struct kn_status parse_container(struct parser *p, struct kn_json *v, const struct frame *up,
                                        unsigned depth)
{
    bool object = *p->pos == '{';
    char close = object ? '}' : ']';
    if (depth == p->max_depth)
        return kn_error(KN_TOO_LARGE, "the JSON text is nested deeper than %u levels",
                        p->max_depth);
    v->tag = kn_json_tag(object ? KN_JSON_OBJECT : KN_JSON_ARRAY, 0);
    v->u.last = NULL;
    p->pos++;
    skip_space(p);
    if (p->pos < p->end && *p->pos == close) {
        p->pos++;
        return KN_STATUS_OK;
    }
    struct frame f = {up, v, NULL};
    if (!object)
        return parse_elements(p, &f, depth + 1);
    struct seen seen = {0};
    struct kn_status s = parse_members(p, &f, &seen, depth + 1);
    free(seen.slots);
    return s;
}

static struct kn_status parse_word(struct parser *p, struct kn_json *v, const char *word,
                                   enum kn_json_type type, int64_t value)
{
    size_t n = strlen(word);
    if ((size_t)(p->end - p->pos) < n || memcmp(p->pos, word, n) != 0)
        return syntax(p, p->pos, "a value");
    p->pos += n;
    v->tag = kn_json_tag(type, 0);
    v->u.i = value;
    return KN_STATUS_OK;
}

static struct kn_status parse_value(struct parser *p, struct kn_json *v, const struct frame *up,
                                    unsigned depth)
{
    if (p->pos == p->end)
        return syntax(p, p->pos, "a value");
    struct kn_sv text;
    switch (*p->pos) {
    case '{':
    case '[':
        return parse_container(p, v, up, depth);
    case '"':
        p->pos++;
        KN_TRY(parse_string(p, &text));
        v->tag = kn_json_tag(KN_JSON_STRING, text.len);
        v->u.str = text.ptr;
        return KN_STATUS_OK;
    case 't':
        return parse_word(p, v, "true", KN_JSON_BOOL, 1);
    case 'f':
        return parse_word(p, v, "false", KN_JSON_BOOL, 0);
    case 'n':
        return parse_word(p, v, "null", KN_JSON_NULL, 0);
    case '-':
    case '0' ... '9':
        return parse_number(p, v);
    default:
        return syntax(p, p->pos, "a value");
    }
}

struct kn_status kn_json_parse(struct kn_arena *a, struct kn_sv text,
                               const struct kn_json_options *options, struct kn_json **ret)
{
    if (!text.ptr)
        text = KN_SV("");
    struct parser p = {a, text.ptr, text.ptr, text.ptr + text.len, options,
                       options && options->max_depth ? options->max_depth : 128};
    struct kn_json *v = kn_arena_alloc(a, sizeof *v);
    if (!v)
        return kn_arena_error(a, "the JSON text");
    v->key = KN_K_NONE;
    skip_space(&p);
    KN_TRY(parse_value(&p, v, NULL, 0));
    v->next = NULL;
    skip_space(&p);
    if (p.pos != p.end)
        return syntax(&p, p.pos, "the end of the text");
    *ret = v;
    return KN_STATUS_OK;
}

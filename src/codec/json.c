// Parsing, reading and building. Writing is in json_write.c.
#include "codec/json.h"

#include <math.h>
#include <stdlib.h>

#include "base/map.h"

// A member whose name is no atom is preceded by this.
struct text_key {
    struct kn_sv name;
    struct kn_json value;
};
_Static_assert(offsetof(struct text_key, value) == 16, "the name lies right before the value");
_Static_assert(sizeof(struct kn_json) == 24 || sizeof(void *) != 8, "a value is 24 bytes");

static inline uint32_t tag_of(enum kn_json_type t, size_t len)
{
    return (uint32_t)t | (uint32_t)len << 4;
}

static inline struct kn_sv *text_name(struct kn_json *v)
{
    return &KN_CONTAINER_OF(v, struct text_key, value)->name;
}

// -- parsing ---------------------------------------------------------------------------------

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
        return kn_error(KN_SYNTAX, "line %zu, column %zu: the text ends where %s should follow", line,
                        column, expected);
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
            return syntax(p, c, "a character of the string (control characters are written \\u00xx)");
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
        v->tag = tag_of(KN_JSON_INT, 0);
        v->u.i = negative ? (int64_t)(0 - n) : (int64_t)n;
        return KN_STATUS_OK;
    }
    v->tag = tag_of(KN_JSON_NUMBER, (size_t)(c - from));
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

static inline void link_child(struct kn_json *container, struct kn_json *v)
{
    struct kn_json *last = container->u.last;
    v->next = last ? last->next : v;
    if (last)
        last->next = v;
    container->u.last = v;
    container->tag += 16;
}

// An object with many members remembers their names in a table, so that looking for duplicates
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
        if (!m || (m->key == atom && (atom != KN_K_TEXT || kn_sv_eq(*text_name(m), name))))
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
    *seen_slot(t, m->key, m->key == KN_K_TEXT ? *text_name(m) : KN_SV_NULL) = m;
}

static struct kn_json *find_member(const struct kn_json *object, uint32_t atom, struct kn_sv name)
{
    struct kn_json *m;
    KN_JSON_EACH(m, object)
    if (m->key == atom && (atom != KN_K_TEXT || kn_sv_eq(*text_name(m), name)))
        return m;
    return NULL;
}

static struct kn_json *new_member(struct kn_arena *a, uint32_t atom, struct kn_sv name)
{
    struct kn_json *v;
    if (atom != KN_K_TEXT) {
        v = kn_arena_alloc(a, sizeof *v);
    } else {
        struct text_key *t = kn_arena_alloc(a, sizeof *t);
        if (t)
            t->name = name;
        v = t ? &t->value : NULL;
    }
    if (v)
        v->key = atom;
    return v;
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
        old = find_member(object, atom, name);
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
    struct kn_json *v = new_member(p->arena, atom, name);
    if (!v)
        return kn_arena_error(p->arena, "the JSON text");
    link_child(object, v);
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
        link_child(f->container, v);
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
        return kn_error(KN_TOO_LARGE, "the JSON text is nested deeper than %u levels", p->max_depth);
    v->tag = tag_of(object ? KN_JSON_OBJECT : KN_JSON_ARRAY, 0);
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
    v->tag = tag_of(type, 0);
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
        v->tag = tag_of(KN_JSON_STRING, text.len);
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

// -- reading ---------------------------------------------------------------------------------

const char *kn_json_type_name(enum kn_json_type t)
{
    static const char *const names[] = {"null", "bool", "number", "number", "string", "array", "object"};
    return names[t];
}

bool kn_json_double(const struct kn_json *v, double *ret)
{
    if (kn_json_type(v) == KN_JSON_INT) {
        *ret = (double)v->u.i;
        return true;
    }
    if (kn_json_type(v) != KN_JSON_NUMBER)
        return false;
    char *text = kn_sv_dup(kn_json_str(v));
    *ret = strtod(text, NULL);
    free(text);
    return isfinite(*ret);
}

struct kn_sv kn_json_key(const struct kn_json *m)
{
    if (m->key == KN_K_TEXT)
        return KN_CONTAINER_OF((uintptr_t)m, const struct text_key, value)->name;
    return kn_atom_name((enum kn_atom)m->key);
}

struct kn_json *kn_json_get(const struct kn_json *v, enum kn_atom key)
{
    if (!kn_json_is_object(v) || !v->u.last)
        return NULL;
    struct kn_json *m = v->u.last->next;
    for (uint32_t n = v->tag >> 4; n; n--, m = m->next)
        if (m->key == (uint32_t)key)
            return m;
    return NULL;
}

struct kn_json *kn_json_get_sv(const struct kn_json *v, struct kn_sv name)
{
    if (!kn_json_is_object(v))
        return NULL;
    uint32_t atom = kn_atom_find(name);
    return find_member(v, atom == KN_K_NONE ? KN_K_TEXT : atom, name);
}

struct kn_json *kn_json_item(const struct kn_json *array, uint32_t index)
{
    if (!kn_json_is_array(array) || index >= kn_json_len(array))
        return NULL;
    struct kn_json *v = array->u.last->next;
    while (index--)
        v = v->next;
    return v;
}

struct kn_json *kn_json_at(const struct kn_json *v, const enum kn_atom *path, size_t len)
{
    struct kn_json *m = NULL;
    for (size_t i = 0; i < len; i++) {
        m = kn_json_get(v, path[i]);
        if (!m)
            return NULL;
        v = m;
    }
    return m;
}

bool kn_json_equal(const struct kn_json *a, const struct kn_json *b)
{
    if (kn_json_type(a) != kn_json_type(b) || kn_json_len(a) != kn_json_len(b))
        return false;
    if (!a || !b)
        return true;
    const struct kn_json *x, *y;
    switch (kn_json_type(a)) {
    case KN_JSON_NULL:
        return true;
    case KN_JSON_BOOL:
    case KN_JSON_INT:
        return a->u.i == b->u.i;
    case KN_JSON_NUMBER:
    case KN_JSON_STRING:
        return kn_sv_eq(kn_json_str(a), kn_json_str(b));
    case KN_JSON_ARRAY:
        for (x = kn_json_first(a), y = kn_json_first(b); x;
             x = kn_json_next(a, x), y = kn_json_next(b, y))
            if (!kn_json_equal(x, y))
                return false;
        return true;
    case KN_JSON_OBJECT:
        for (x = kn_json_first(a), y = kn_json_first(b); x;
             x = kn_json_next(a, x), y = kn_json_next(b, y)) {
            struct kn_sv name = kn_json_key(x);
            // usually in the same order
            bool same = x->key == y->key && (x->key != KN_K_TEXT || kn_sv_eq(name, kn_json_key(y)));
            const struct kn_json *other = same ? y : find_member(b, x->key, name);
            if (!other || !kn_json_equal(x, other))
                return false;
        }
        return true;
    }
    return false;
}

// -- building --------------------------------------------------------------------------------

static struct kn_json *new_value(struct kn_arena *a, enum kn_json_type t, size_t len)
{
    if (len > KN_JSON_MAX_LEN)
        return NULL;
    struct kn_json *v = kn_arena_alloc(a, sizeof *v);
    if (v)
        *v = (struct kn_json){.key = KN_K_NONE, .tag = tag_of(t, len)};
    return v;
}

struct kn_json *kn_json_new_null(struct kn_arena *a)
{
    return new_value(a, KN_JSON_NULL, 0);
}

struct kn_json *kn_json_new_bool(struct kn_arena *a, bool b)
{
    struct kn_json *v = new_value(a, KN_JSON_BOOL, 0);
    if (v)
        v->u.i = b;
    return v;
}

struct kn_json *kn_json_new_int(struct kn_arena *a, int64_t i)
{
    struct kn_json *v = new_value(a, KN_JSON_INT, 0);
    if (v)
        v->u.i = i;
    return v;
}

static struct kn_json *new_text(struct kn_arena *a, enum kn_json_type t, struct kn_sv text)
{
    struct kn_json *v = new_value(a, t, text.len);
    if (v)
        v->u.str = text.len ? text.ptr : "";
    return v;
}

struct kn_json *kn_json_new_number(struct kn_arena *a, struct kn_sv text)
{
    return new_text(a, KN_JSON_NUMBER, text);
}

struct kn_json *kn_json_new_str(struct kn_arena *a, struct kn_sv text)
{
    return new_text(a, KN_JSON_STRING, text);
}

struct kn_json *kn_json_new_array(struct kn_arena *a)
{
    return new_value(a, KN_JSON_ARRAY, 0);
}

struct kn_json *kn_json_new_object(struct kn_arena *a)
{
    return new_value(a, KN_JSON_OBJECT, 0);
}

void kn_json_assign(struct kn_json *to, struct kn_json *from)
{
    if (!to || !from)
        return;
    to->tag = from->tag;
    to->u = from->u;
}

// `atom` is KN_K_TEXT for a name that is no atom; the name is then copied if it is new.
static struct kn_json *set_member(struct kn_arena *a, struct kn_json *object, uint32_t atom,
                                  struct kn_sv name, struct kn_json *value)
{
    if (!object || !value)
        return NULL;
    kn_assert(kn_json_is_object(object));
    struct kn_json *m = find_member(object, atom, name);
    if (!m) {
        if (atom == KN_K_TEXT)
            name = kn_arena_dup(a, name);
        // A loose value becomes the member itself; pointers to it stay good.
        bool loose = atom != KN_K_TEXT && value->key == KN_K_NONE && !value->next;
        m = loose ? value : new_member(a, atom, name);
        if (!m)
            return NULL;
        m->key = atom;
        link_child(object, m);
    }
    if (m != value)
        kn_json_assign(m, value);
    return m;
}

struct kn_json *kn_json_set(struct kn_arena *a, struct kn_json *object, enum kn_atom key,
                            struct kn_json *value)
{
    return set_member(a, object, key, KN_SV_NULL, value);
}

struct kn_json *kn_json_set_sv(struct kn_arena *a, struct kn_json *object, struct kn_sv name,
                               struct kn_json *value)
{
    uint32_t atom = kn_atom_find(name);
    return set_member(a, object, atom == KN_K_NONE ? KN_K_TEXT : atom, name, value);
}

struct kn_json *kn_json_append(struct kn_json *array, struct kn_json *value)
{
    if (!array || !value)
        return NULL;
    kn_assert(kn_json_is_array(array) && !value->next);
    value->key = KN_K_NONE;
    link_child(array, value);
    return value;
}

struct kn_json *kn_json_prepend(struct kn_json *array, struct kn_json *value)
{
    struct kn_json *last = array ? array->u.last : NULL;
    value = kn_json_append(array, value);
    if (value && last)
        array->u.last = last; // the ring is right already: after the last comes the new one
    return value;
}

struct kn_json *kn_json_set_str(struct kn_arena *a, struct kn_json *object, enum kn_atom key,
                                struct kn_sv text)
{
    return kn_json_set(a, object, key, kn_json_new_str(a, text));
}

struct kn_json *kn_json_set_int(struct kn_arena *a, struct kn_json *object, enum kn_atom key,
                                int64_t i)
{
    return kn_json_set(a, object, key, kn_json_new_int(a, i));
}

struct kn_json *kn_json_set_bool(struct kn_arena *a, struct kn_json *object, enum kn_atom key, bool b)
{
    return kn_json_set(a, object, key, kn_json_new_bool(a, b));
}

struct kn_json *kn_json_ensure_object(struct kn_arena *a, struct kn_json *object, enum kn_atom key)
{
    struct kn_json *m = kn_json_get(object, key);
    return kn_json_is_object(m) ? m : kn_json_set(a, object, key, kn_json_new_object(a));
}

struct kn_json *kn_json_ensure_array(struct kn_arena *a, struct kn_json *object, enum kn_atom key)
{
    struct kn_json *m = kn_json_get(object, key);
    return kn_json_is_array(m) ? m : kn_json_set(a, object, key, kn_json_new_array(a));
}

bool kn_json_remove_child(struct kn_json *parent, struct kn_json *child)
{
    if (!child || !parent || !parent->u.last)
        return false;
    struct kn_json *before = parent->u.last;
    for (uint32_t n = kn_json_len(parent); n; n--, before = before->next) {
        if (before->next != child)
            continue;
        if (before == child)
            parent->u.last = NULL;
        else if (parent->u.last == child)
            parent->u.last = before;
        before->next = child->next;
        child->next = NULL;
        parent->tag -= 16;
        return true;
    }
    return false;
}

bool kn_json_remove(struct kn_json *object, enum kn_atom key)
{
    return kn_json_remove_child(object, kn_json_get(object, key));
}

bool kn_json_remove_sv(struct kn_json *object, struct kn_sv name)
{
    return kn_json_remove_child(object, kn_json_get_sv(object, name));
}

void kn_json_clear(struct kn_json *container)
{
    if (!container)
        return;
    container->u.last = NULL;
    container->tag &= 15;
}

bool kn_json_rename(struct kn_json *object, enum kn_atom from, enum kn_atom to)
{
    struct kn_json *m = kn_json_get(object, from);
    if (!m)
        return false;
    m->key = to;
    return true;
}

static struct kn_json *copy_into(struct kn_arena *a, struct kn_json *to, const struct kn_json *v,
                                 bool text)
{
    if (!to)
        return NULL;
    to->tag = v->tag;
    switch (kn_json_type(v)) {
    case KN_JSON_NUMBER:
    case KN_JSON_STRING:
        to->u.str = text ? kn_arena_dup(a, kn_json_str(v)).ptr : v->u.str;
        return to->u.str ? to : NULL;
    case KN_JSON_ARRAY:
    case KN_JSON_OBJECT: {
        to->tag &= 15;
        to->u.last = NULL;
        const struct kn_json *c;
        KN_JSON_EACH(c, v)
        {
            struct kn_sv name = kn_json_key(c);
            if (text && c->key == KN_K_TEXT)
                name = kn_arena_dup(a, name);
            struct kn_json *m = new_member(a, c->key, name);
            if (!copy_into(a, m, c, text))
                return NULL;
            link_child(to, m);
        }
        return to;
    }
    case KN_JSON_NULL:
    case KN_JSON_BOOL:
    case KN_JSON_INT:
        to->u = v->u;
        return to;
    }
    return to;
}

struct kn_json *kn_json_copy(struct kn_arena *a, const struct kn_json *v)
{
    return v ? copy_into(a, new_value(a, KN_JSON_NULL, 0), v, true) : NULL;
}

struct kn_json *kn_json_copy_shallow_text(struct kn_arena *a, const struct kn_json *v)
{
    return v ? copy_into(a, new_value(a, KN_JSON_NULL, 0), v, false) : NULL;
}

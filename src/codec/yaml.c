#include "codec/yaml.h"

#include <yaml.h>

#include "base/num.h"

#define DEPTH_MAX 100
#define ANCHORS_MAX 1000
// Aliases copy what they stand for: the sum of copies is bounded by the arena and by this.
#define ALIASES_MAX 10000

struct anchor {
    struct kn_sv name;
    const struct kn_json *value;
};

struct reader {
    struct kn_arena *arena;
    yaml_parser_t parser;
    struct anchor anchors[ANCHORS_MAX];
    size_t anchor_count, alias_count;
};

static struct kn_status at(const yaml_mark_t *m, const char *what)
{
    return kn_error(KN_SYNTAX, "line %zu, column %zu: %s", m->line + 1, m->column + 1, what);
}

static struct kn_status next(struct reader *r, yaml_event_t *e)
{
    if (yaml_parser_parse(&r->parser, e))
        return KN_STATUS_OK;
    const char *why = r->parser.problem ? r->parser.problem : "the text is not valid YAML";
    if (r->parser.error == YAML_READER_ERROR)
        return kn_error(KN_SYNTAX, "byte %zu: %s", r->parser.problem_offset, why);
    return at(&r->parser.problem_mark, why);
}

static bool is_one_of(struct kn_sv t, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (kn_sv_is(t, words[i]))
            return true;
    return false;
}

// Is it a number as JSON writes one (a leading plus and a bare point are YAML's)?
static bool is_float(struct kn_sv t)
{
    size_t i = 0, digits = 0;
    if (i < t.len && t.ptr[i] == '-')
        i++;
    for (; i < t.len && t.ptr[i] >= '0' && t.ptr[i] <= '9'; i++)
        digits++;
    if (digits == 0)
        return false;
    if (i < t.len && t.ptr[i] == '.') {
        size_t before = ++i;
        while (i < t.len && t.ptr[i] >= '0' && t.ptr[i] <= '9')
            i++;
        if (i == before)
            return false;
    }
    if (i < t.len && (t.ptr[i] == 'e' || t.ptr[i] == 'E')) {
        i++;
        if (i < t.len && (t.ptr[i] == '+' || t.ptr[i] == '-'))
            i++;
        size_t before = i;
        while (i < t.len && t.ptr[i] >= '0' && t.ptr[i] <= '9')
            i++;
        if (i == before)
            return false;
    }
    return i == t.len;
}

// 0x1F, 0o17, 017 and 0b11 are numbers too.
static bool radix_number(struct kn_sv t, int64_t *ret)
{
    bool negative = t.len && t.ptr[0] == '-';
    if (negative)
        t = kn_sv_from(t, 1);
    if (t.len < 2 || t.ptr[0] != '0')
        return false;
    unsigned base = 8;
    size_t skip = 1;
    if (t.ptr[1] == 'x' || t.ptr[1] == 'b' || t.ptr[1] == 'o') {
        base = t.ptr[1] == 'x' ? 16 : t.ptr[1] == 'b' ? 2 : 8;
        skip = 2;
    }
    int64_t n = 0;
    if (t.len == skip)
        return false;
    for (size_t i = skip; i < t.len; i++) {
        char c = t.ptr[i];
        unsigned d = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                            : 99;
        if (d >= base || __builtin_mul_overflow(n, (int64_t)base, &n) ||
            __builtin_add_overflow(n, (int64_t)d, &n))
            return false;
    }
    *ret = negative ? -n : n;
    return true;
}

static struct kn_json *plain_scalar(struct kn_arena *a, struct kn_sv t)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    static const char *const trues[] = {"true", "True", "TRUE", "yes", "Yes",
                                        "YES",  "on",   "On",   "ON"};
    static const char *const falses[] = {"false", "False", "FALSE", "no", "No",
                                         "NO",    "off",   "Off",   "OFF"};
    if (is_one_of(t, nulls, KN_ARRAY_LEN(nulls)))
        return kn_json_new_null(a);
    if (is_one_of(t, trues, KN_ARRAY_LEN(trues)))
        return kn_json_new_bool(a, true);
    if (is_one_of(t, falses, KN_ARRAY_LEN(falses)))
        return kn_json_new_bool(a, false);
    int64_t n;
    if (radix_number(t, &n))
        return kn_json_new_int(a, n);
    struct kn_sv digits = t.len > 1 && t.ptr[0] == '+' ? kn_sv_from(t, 1) : t;
    struct kn_status s = kn_num_parse(digits, INT64_MIN, INT64_MAX, &n);
    bool whole = kn_ok(s);
    kn_status_done(&s);
    if (whole)
        return kn_json_new_int(a, n);
    bool leading_zero =
        digits.len > 1 && digits.ptr[0] == '0' && digits.ptr[1] >= '0' && digits.ptr[1] <= '9';
    if (is_float(digits) && !leading_zero)
        return kn_json_new_number(a, kn_arena_dup(a, digits));
    return kn_json_new_str(a, kn_arena_dup(a, t));
}

static struct kn_json *scalar(struct kn_arena *a, const yaml_event_t *e)
{
    struct kn_sv t = kn_sv((const char *)e->data.scalar.value, e->data.scalar.length);
    bool plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && e->data.scalar.plain_implicit;
    return plain ? plain_scalar(a, t) : kn_json_new_str(a, kn_arena_dup(a, t));
}

static struct kn_status remember(struct reader *r, const yaml_char_t *name, const yaml_mark_t *mark,
                                 const struct kn_json *v)
{
    if (!name)
        return KN_STATUS_OK;
    if (r->anchor_count == ANCHORS_MAX)
        return at(mark, "more than 1000 anchors");
    r->anchors[r->anchor_count++] =
        (struct anchor){kn_arena_dup(r->arena, kn_sv_c((const char *)name)), v};
    return KN_STATUS_OK;
}

static struct kn_status alias(struct reader *r, const yaml_event_t *e, struct kn_json **ret)
{
    struct kn_sv name = kn_sv_c((const char *)e->data.alias.anchor);
    if (++r->alias_count > ALIASES_MAX)
        return at(&e->start_mark, "more than 10000 aliases");
    for (size_t i = r->anchor_count; i-- > 0;)
        if (kn_sv_eq(r->anchors[i].name, name)) {
            *ret = kn_json_copy(r->arena, r->anchors[i].value);
            return *ret ? KN_STATUS_OK : kn_arena_error(r->arena, "the YAML text");
        }
    return at(&e->start_mark, "an alias without its anchor");
}

static struct kn_status value(struct reader *r, yaml_event_t *e, unsigned depth,
                              struct kn_json **ret);

static struct kn_status read_value(struct reader *r, unsigned depth, struct kn_json **ret)
{
    yaml_event_t e;
    KN_TRY(next(r, &e));
    struct kn_status s = value(r, &e, depth, ret);
    yaml_event_delete(&e);
    return s;
}

static struct kn_status sequence(struct reader *r, unsigned depth, struct kn_json *list)
{
    for (;;) {
        yaml_event_t e;
        KN_TRY(next(r, &e));
        bool end = e.type == YAML_SEQUENCE_END_EVENT;
        struct kn_json *v = NULL;
        struct kn_status s = end ? KN_STATUS_OK : value(r, &e, depth, &v);
        yaml_event_delete(&e);
        if (!kn_ok(s) || end)
            return s;
        kn_json_append(list, v);
    }
}

// What is merged never replaces what is there.
static void merge(struct reader *r, struct kn_json *object, const struct kn_json *from)
{
    const struct kn_json *m;
    if (kn_json_is_array(from)) {
        KN_JSON_EACH(m, from)
        merge(r, object, m);
    } else {
        KN_JSON_EACH(m, from)
        if (!kn_json_get_sv(object, kn_json_key(m)))
            kn_json_set_sv(r->arena, object, kn_json_key(m), kn_json_copy(r->arena, m));
    }
}

static struct kn_status mapping(struct reader *r, unsigned depth, struct kn_json *object)
{
    struct kn_json *merges = kn_json_new_array(r->arena);
    for (;;) {
        yaml_event_t e;
        KN_TRY(next(r, &e));
        if (e.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&e);
            merge(r, object, merges);
            return KN_STATUS_OK;
        }
        struct kn_status s = KN_STATUS_OK;
        struct kn_sv name = KN_SV_NULL;
        bool merged = false;
        yaml_mark_t mark = e.start_mark;
        if (e.type != YAML_SCALAR_EVENT) {
            s = at(&e.start_mark, "the key of a mapping must be text");
        } else {
            name = kn_arena_dup(r->arena,
                                kn_sv((const char *)e.data.scalar.value, e.data.scalar.length));
            merged = e.data.scalar.style == YAML_PLAIN_SCALAR_STYLE && kn_sv_is(name, "<<");
        }
        yaml_event_delete(&e);
        KN_TRY(s);
        struct kn_json *v;
        KN_TRY(read_value(r, depth, &v));
        if (merged)
            kn_json_append(merges, v);
        else if (kn_json_get_sv(object, name))
            return kn_error(KN_SYNTAX, "line %zu, column %zu: the key \"%.*s\" is there already",
                            mark.line + 1, mark.column + 1, KN_SV_ARG(name));
        else
            kn_json_set_sv(r->arena, object, name, v);
    }
}

static struct kn_status value(struct reader *r, yaml_event_t *e, unsigned depth,
                              struct kn_json **ret)
{
    if (depth == DEPTH_MAX)
        return at(&e->start_mark, "nested deeper than 100 levels");
    struct kn_json *v = NULL;
    if (e->type == YAML_ALIAS_EVENT)
        return alias(r, e, ret);
    if (e->type == YAML_SCALAR_EVENT) {
        v = scalar(r->arena, e);
        KN_TRY(remember(r, e->data.scalar.anchor, &e->start_mark, v));
    } else if (e->type == YAML_SEQUENCE_START_EVENT) {
        v = kn_json_new_array(r->arena);
        if (v)
            KN_TRY(sequence(r, depth + 1, v));
        KN_TRY(remember(r, e->data.sequence_start.anchor, &e->start_mark, v));
    } else if (e->type == YAML_MAPPING_START_EVENT) {
        v = kn_json_new_object(r->arena);
        if (v)
            KN_TRY(mapping(r, depth + 1, v));
        KN_TRY(remember(r, e->data.mapping_start.anchor, &e->start_mark, v));
    } else {
        return at(&e->start_mark, "a value is missing");
    }
    if (!v || kn_arena_failed(r->arena))
        return kn_arena_error(r->arena, "the YAML text");
    *ret = v;
    return KN_STATUS_OK;
}

// Reads up to and including an event of the wanted type.
static struct kn_status expect(struct reader *r, yaml_event_type_t want, const char *what)
{
    yaml_event_t e;
    KN_TRY(next(r, &e));
    struct kn_status s = e.type == want ? KN_STATUS_OK : at(&e.start_mark, what);
    yaml_event_delete(&e);
    return s;
}

static struct kn_status document(struct reader *r, struct kn_json **ret)
{
    KN_TRY(expect(r, YAML_STREAM_START_EVENT, "no YAML text"));
    KN_TRY(expect(r, YAML_DOCUMENT_START_EVENT, "the text holds no document"));
    KN_TRY(read_value(r, 0, ret));
    KN_TRY(expect(r, YAML_DOCUMENT_END_EVENT, "the document should end here"));
    return expect(r, YAML_STREAM_END_EVENT, "one document was expected, and another begins here");
}

struct kn_status kn_yaml_parse(struct kn_arena *a, struct kn_sv text, struct kn_json **ret)
{
    struct reader *r = KN_NEW(struct reader);
    r->arena = a;
    if (!yaml_parser_initialize(&r->parser)) {
        free(r);
        return kn_error(KN_NO_MEMORY, "no memory for the YAML reader");
    }
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)(text.len ? text.ptr : ""),
                                 text.len);
    struct kn_status s = document(r, ret);
    yaml_parser_delete(&r->parser);
    free(r);
    return s;
}

#include "meta/selector.h"

#include "base/num.h"
#include "meta/names.h"
#include "meta/resources.h"

enum op { OP_IN, OP_NOT_IN, OP_EXISTS, OP_ABSENT, OP_GREATER, OP_LESS, OP_NEVER };

struct requirement {
    struct requirement *next;
    enum op op;
    struct kn_sv key;
    struct kn_sv *values;
    size_t len;
    int64_t number;
};

struct kn_selector {
    struct requirement *first;
};

static struct kn_status add(struct kn_arena *a, struct kn_selector *s, const struct requirement *r)
{
    struct requirement *copy = KN_ARENA_NEW(a, struct requirement);
    if (!copy)
        return kn_arena_error(a, "the selector");
    *copy = *r;
    struct requirement **at = &s->first;
    while (*at)
        at = &(*at)->next;
    copy->next = NULL;
    *at = copy;
    return KN_STATUS_OK;
}

static struct kn_status check_label(struct kn_arena *a, const struct requirement *r)
{
    struct kn_sv why = kn_name_qualified_problem(a, r->key);
    if (why.len)
        return kn_error(KN_BAD_REQUEST, "key: Invalid value: \"%.*s\": %.*s", KN_SV_ARG(r->key),
                        KN_SV_ARG(why));
    for (size_t i = 0; i < r->len; i++) {
        why = kn_name_label_value_problem(a, r->values[i]);
        if (why.len && r->op != OP_GREATER && r->op != OP_LESS)
            return kn_error(KN_BAD_REQUEST, "values[%zu][%.*s]: Invalid value: \"%.*s\": %.*s", i,
                            KN_SV_ARG(r->key), KN_SV_ARG(r->values[i]), KN_SV_ARG(why));
    }
    return KN_STATUS_OK;
}

// -- the text form of label selectors -------------------------------------------------------------

struct lexer {
    struct kn_sv rest;
};

static bool is_special(char c)
{
    return c == '=' || c == '!' || c == '(' || c == ')' || c == ',' || c == '>' || c == '<';
}

static void skip_spaces(struct lexer *l)
{
    l->rest = kn_sv_from(l->rest, 0);
    while (l->rest.len && (l->rest.ptr[0] == ' ' || l->rest.ptr[0] == '\t' ||
                           l->rest.ptr[0] == '\n' || l->rest.ptr[0] == '\r'))
        l->rest = kn_sv_from(l->rest, 1);
}

static bool take_char(struct lexer *l, char c)
{
    skip_spaces(l);
    if (l->rest.len == 0 || l->rest.ptr[0] != c)
        return false;
    l->rest = kn_sv_from(l->rest, 1);
    return true;
}

static struct kn_sv take_word(struct lexer *l)
{
    skip_spaces(l);
    size_t n = 0;
    while (n < l->rest.len && !is_special(l->rest.ptr[n]) && l->rest.ptr[n] != ' ' &&
           l->rest.ptr[n] != '\t')
        n++;
    struct kn_sv word = kn_sv_first(l->rest, n);
    l->rest = kn_sv_from(l->rest, n);
    return word;
}

// The next word, or the next run of operator signs, as upstream's lexer cuts them.
static struct kn_sv next_token(struct kn_sv rest)
{
    struct lexer l = {rest};
    struct kn_sv word = take_word(&l);
    size_t n = 0;
    while (n < l.rest.len && strchr("=!<>", l.rest.ptr[n]))
        n++;
    return word.len ? kn_sv_first(word, 20) : kn_sv_first(l.rest, n ? n : 1);
}

// Upstream's sentence.
static struct kn_status unable(const char *what, struct kn_sv found)
{
    return kn_error(KN_BAD_REQUEST, "unable to parse requirement: found '%.*s', expected: %s",
                    KN_SV_ARG(next_token(found)), what);
}

#define VALUES_MAX 1000

static struct kn_status parse_set(struct kn_arena *a, struct lexer *l, struct requirement *r)
{
    if (!take_char(l, '('))
        return unable("'('", l->rest);
    skip_spaces(l);
    if (l->rest.len == 0)
        return unable("',', ')' or identifier", l->rest);
    size_t cap = 1;
    for (size_t i = 0; i < l->rest.len && l->rest.ptr[i] != ')'; i++)
        cap += l->rest.ptr[i] == ',';
    if (cap > VALUES_MAX)
        return kn_error(KN_BAD_REQUEST, "a selector has more than %d values", VALUES_MAX);
    r->values = kn_arena_calloc(a, cap, sizeof *r->values);
    if (!r->values)
        return kn_arena_error(a, "the selector");
    do {
        kn_assert(r->len < cap);
        r->values[r->len++] = take_word(l);
    } while (take_char(l, ','));
    if (!take_char(l, ')'))
        return unable("',' or ')'", l->rest);
    return KN_STATUS_OK;
}

static struct kn_status one_value(struct kn_arena *a, struct lexer *l, struct requirement *r)
{
    r->values = kn_arena_calloc(a, 1, sizeof *r->values);
    if (!r->values)
        return kn_arena_error(a, "the selector");
    r->values[0] = take_word(l);
    r->len = 1;
    return KN_STATUS_OK;
}

static struct kn_status parse_operator(struct kn_arena *a, struct lexer *l, struct requirement *r)
{
    if (take_char(l, '=')) {
        take_char(l, '=');
        r->op = OP_IN;
        return one_value(a, l, r);
    }
    if (take_char(l, '!')) {
        if (!take_char(l, '='))
            return unable("=, !=, ==, in, notin", l->rest);
        r->op = OP_NOT_IN;
        return one_value(a, l, r);
    }
    if (take_char(l, '>') || take_char(l, '<')) {
        r->op = l->rest.ptr[-1] == '>' ? OP_GREATER : OP_LESS;
        KN_TRY(one_value(a, l, r));
        struct kn_status s = kn_num_parse(r->values[0], INT64_MIN, INT64_MAX, &r->number);
        return kn_wrap(s, "for 'Gt', 'Lt' operators, the value must be an integer");
    }
    struct kn_sv word = take_word(l);
    if (kn_sv_is(word, "in") || kn_sv_is(word, "notin")) {
        r->op = kn_sv_is(word, "in") ? OP_IN : OP_NOT_IN;
        return parse_set(a, l, r);
    }
    return unable("in, notin, =, ==, !=, gt, lt", word.len ? word : l->rest);
}

static struct kn_status parse_requirement(struct kn_arena *a, struct lexer *l,
                                          struct requirement *r)
{
    bool negated = take_char(l, '!');
    r->key = take_word(l);
    if (r->key.len == 0)
        return unable(negated ? "identifier" : "!, identifier, or 'end of string'", l->rest);
    skip_spaces(l);
    if (l->rest.len == 0 || l->rest.ptr[0] == ',') {
        r->op = negated ? OP_ABSENT : OP_EXISTS;
    } else if (negated) {
        return unable("',' or 'end of string'", l->rest);
    } else {
        KN_TRY(parse_operator(a, l, r));
    }
    return check_label(a, r);
}

struct kn_status kn_label_selector_parse(struct kn_arena *a, struct kn_sv text,
                                         struct kn_selector **ret)
{
    struct kn_selector *s = KN_ARENA_NEW(a, struct kn_selector);
    struct kn_sv own = kn_arena_dup(a, text);
    if (!s || !own.ptr)
        return kn_arena_error(a, "the selector");
    struct lexer l = {own};
    skip_spaces(&l);
    while (l.rest.len) {
        struct requirement r = {0};
        KN_TRY(parse_requirement(a, &l, &r));
        KN_TRY(add(a, s, &r));
        skip_spaces(&l);
        bool more = take_char(&l, ',');
        skip_spaces(&l);
        if (!more && l.rest.len)
            return unable("',' or 'end of string'", l.rest);
        if (more && (l.rest.len == 0 || l.rest.ptr[0] == ','))
            return unable("identifier after ','", l.rest);
    }
    *ret = s;
    return KN_STATUS_OK;
}

// -- objects --------------------------------------------------------------------------------------

static struct kn_status add_map(struct kn_arena *a, struct kn_selector *s,
                                const struct kn_json *map)
{
    const struct kn_json *m;
    KN_JSON_EACH(m, map)
    {
        struct kn_sv *value = kn_arena_alloc(a, sizeof *value);
        if (!value)
            return kn_arena_error(a, "the selector");
        *value = kn_arena_dup(a, kn_json_str(m));
        struct requirement r = {
            .op = OP_IN, .key = kn_arena_dup(a, kn_json_key(m)), .values = value, .len = 1};
        KN_TRY(add(a, s, &r));
    }
    return KN_STATUS_OK;
}

static struct kn_status add_expression(struct kn_arena *a, struct kn_selector *s,
                                       const struct kn_json *e)
{
    static const struct {
        const char *name;
        enum op op;
    } ops[] = {{"In", OP_IN},         {"NotIn", OP_NOT_IN}, {"Exists", OP_EXISTS},
               {"DoesNotExist", OP_ABSENT}, {"Gt", OP_GREATER},   {"Lt", OP_LESS}};
    struct kn_sv name = kn_json_str(kn_json_get(e, KN_K_operator));
    const struct kn_json *values = kn_json_get(e, KN_K_values), *v;
    struct requirement r = {.op = OP_NEVER,
                            .key = kn_arena_dup(a, kn_json_str(kn_json_get(e, KN_K_key)))};
    for (size_t i = 0; i < KN_ARRAY_LEN(ops); i++)
        if (kn_sv_is(name, ops[i].name))
            r.op = ops[i].op;
    if (r.op == OP_NEVER)
        return kn_error(KN_INVALID, "\"%.*s\" is not a valid label selector operator",
                        KN_SV_ARG(name));
    r.values = kn_arena_calloc(a, kn_json_len(values) + 1, sizeof *r.values);
    if (!r.values)
        return kn_arena_error(a, "the selector");
    KN_JSON_EACH(v, values)
    r.values[r.len++] = kn_arena_dup(a, kn_json_str(v));
    if ((r.op == OP_GREATER || r.op == OP_LESS) &&
        (r.len != 1 || !kn_ok_done(kn_num_parse(r.values[0], INT64_MIN, INT64_MAX, &r.number))))
        r.op = OP_NEVER;
    return add(a, s, &r);
}

struct kn_status kn_label_selector_of(struct kn_arena *a, const struct kn_json *v,
                                      struct kn_selector **ret)
{
    struct kn_selector *s = KN_ARENA_NEW(a, struct kn_selector);
    if (!s)
        return kn_arena_error(a, "the selector");
    if (!kn_json_is_object(v))
        KN_TRY(add(a, s, &(struct requirement){.op = OP_NEVER}));
    KN_TRY(add_map(a, s, kn_json_get(v, KN_K_matchLabels)));
    const struct kn_json *list = kn_json_get(v, KN_K_matchExpressions), *e;
    KN_JSON_EACH(e, list)
    KN_TRY(add_expression(a, s, e));
    *ret = s;
    return KN_STATUS_OK;
}

struct kn_status kn_label_selector_of_map(struct kn_arena *a, const struct kn_json *map,
                                          struct kn_selector **ret)
{
    struct kn_selector *s = KN_ARENA_NEW(a, struct kn_selector);
    if (!s)
        return kn_arena_error(a, "the selector");
    if (kn_json_len(map) == 0)
        KN_TRY(add(a, s, &(struct requirement){.op = OP_NEVER}));
    KN_TRY(add_map(a, s, map));
    *ret = s;
    return KN_STATUS_OK;
}

// -- field selectors ------------------------------------------------------------------------------

static bool selectable(const struct kn_resource *r, struct kn_sv field)
{
    if (kn_sv_is(field, "metadata.name") ||
        (r->namespaced && kn_sv_is(field, "metadata.namespace")))
        return true;
    for (unsigned i = 0; i < r->selectable_count; i++)
        if (kn_sv_eq(r->selectable[i], field))
            return true;
    return false;
}

// One term, up to a comma that is not escaped; undoes the escapes (\\ \, \=).
static struct kn_sv unescape(struct kn_arena *a, struct kn_sv text)
{
    char *out = kn_arena_bytes(a, text.len + 1);
    if (!out)
        return KN_SV_NULL;
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\\' && i + 1 < text.len)
            i++;
        out[n++] = text.ptr[i];
    }
    return kn_sv(out, n);
}

static size_t term_len(struct kn_sv text)
{
    size_t i = 0;
    for (; i < text.len && text.ptr[i] != ','; i++)
        if (text.ptr[i] == '\\')
            i++;
    return i < text.len ? i : text.len;
}

struct kn_status kn_field_selector_parse(struct kn_arena *a, struct kn_sv text,
                                         const struct kn_resource *r, struct kn_selector **ret)
{
    struct kn_selector *s = KN_ARENA_NEW(a, struct kn_selector);
    if (!s)
        return kn_arena_error(a, "the selector");
    struct kn_sv rest = text;
    while (rest.len) {
        size_t n = term_len(rest);
        struct kn_sv term = kn_sv_first(rest, n);
        rest = kn_sv_from(rest, n + 1);
        if (term.len == 0)
            continue;
        ptrdiff_t eq = kn_sv_find(term, '=');
        if (eq <= 0)
            return kn_error(KN_BAD_REQUEST,
                            "invalid selector: '%.*s'; can't understand '%.*s'", KN_SV_ARG(text),
                            KN_SV_ARG(term));
        bool differs = term.ptr[eq - 1] == '!';
        struct kn_sv key = kn_sv_first(term, (size_t)eq - differs);
        struct kn_sv value = kn_sv_from(term, (size_t)eq + 1);
        if (value.len && value.ptr[0] == '=')
            value = kn_sv_from(value, 1);
        if (!selectable(r, key))
            return r->selectable_count
                       ? kn_error(KN_BAD_REQUEST, "field label not supported: %.*s", KN_SV_ARG(key))
                       : kn_error(KN_BAD_REQUEST,
                                  "\"%.*s\" is not a known field selector: only "
                                  "\"metadata.name\", \"metadata.namespace\"",
                                  KN_SV_ARG(key));
        struct kn_sv *values = kn_arena_alloc(a, sizeof *values);
        if (!values)
            return kn_arena_error(a, "the selector");
        *values = unescape(a, value);
        struct requirement q = {.op = differs ? OP_NOT_IN : OP_IN,
                                .key = kn_arena_dup(a, key),
                                .values = values,
                                .len = 1};
        KN_TRY(add(a, s, &q));
    }
    *ret = s;
    return KN_STATUS_OK;
}

// -- matching -------------------------------------------------------------------------------------

static bool matches(const struct requirement *r, bool present, struct kn_sv value)
{
    bool in = false;
    for (size_t i = 0; i < r->len && !in; i++)
        in = kn_sv_eq(r->values[i], value);
    int64_t n;
    switch (r->op) {
    case OP_IN:
        return present && in;
    case OP_NOT_IN:
        return !present || !in;
    case OP_EXISTS:
        return present;
    case OP_ABSENT:
        return !present;
    case OP_GREATER:
    case OP_LESS: {
        if (!present)
            return false;
        struct kn_status s = kn_num_parse(value, INT64_MIN, INT64_MAX, &n);
        bool number = kn_ok(s);
        kn_status_done(&s);
        return number && (r->op == OP_GREATER ? n > r->number : n < r->number);
    }
    case OP_NEVER:
        return false;
    }
    return false;
}

bool kn_selector_matches_labels(const struct kn_selector *s, const struct kn_json *labels)
{
    for (const struct requirement *r = s ? s->first : NULL; r; r = r->next) {
        const struct kn_json *v = kn_json_get_sv(labels, r->key);
        if (!matches(r, v != NULL, kn_json_str(v)))
            return false;
    }
    return true;
}

bool kn_selector_matches_fields(const struct kn_selector *s, const struct kn_json *obj)
{
    for (const struct requirement *r = s ? s->first : NULL; r; r = r->next) {
        const struct kn_json *v = obj;
        struct kn_sv rest = r->key;
        do {
            v = kn_json_get_sv(v, kn_sv_cut(&rest, '.'));
        } while (rest.ptr && v);
        struct kn_sv value = kn_json_str(v);
        char number[24];
        if (kn_json_type(v) == KN_JSON_BOOL)
            value = v->u.i ? KN_SV("true") : KN_SV("false");
        else if (kn_json_type(v) == KN_JSON_INT)
            value = kn_sv(number, (size_t)snprintf(number, sizeof number, "%lld",
                                                   (long long)v->u.i));
        else if (!v && kn_sv_is(r->key, "spec.unschedulable"))
            value = KN_SV("false");
        if (!matches(r, true, value)) // an absent field has the empty value
            return false;
    }
    return true;
}

bool kn_selector_is_empty(const struct kn_selector *s)
{
    return !s || !s->first;
}

struct kn_sv kn_selector_requires(const struct kn_selector *s, const char *field)
{
    for (const struct requirement *r = s ? s->first : NULL; r; r = r->next)
        if (r->op == OP_IN && r->len == 1 && kn_sv_is(r->key, field))
            return r->values[0];
    return KN_SV_NULL;
}

#include "meta/problems.h"

#include "base/buf.h"
#include "base/mem.h"
#include "codec/json.h"

static const struct {
    const char *words, *reason;
} types[] = {
    [KN_PROBLEM_REQUIRED] = {"Required value", "FieldValueRequired"},
    [KN_PROBLEM_INVALID] = {"Invalid value", "FieldValueInvalid"},
    [KN_PROBLEM_DUPLICATE] = {"Duplicate value", "FieldValueDuplicate"},
    [KN_PROBLEM_NOT_SUPPORTED] = {"Unsupported value", "FieldValueNotSupported"},
    [KN_PROBLEM_FORBIDDEN] = {"Forbidden", "FieldValueForbidden"},
    [KN_PROBLEM_TOO_LONG] = {"Too long", "FieldValueTooLong"},
    [KN_PROBLEM_TOO_MANY] = {"Too many", "FieldValueTooMany"},
    [KN_PROBLEM_NOT_FOUND] = {"Not found", "FieldValueNotFound"},
    [KN_PROBLEM_TYPE_INVALID] = {"Invalid value", "FieldValueTypeInvalid"},
    [KN_PROBLEM_INTERNAL] = {"Internal error", "InternalError"},
};

#define MESSAGE_MAX (1u << 20)

void kn_problems_init(struct kn_problems *p, struct kn_arena *arena)
{
    *p = (struct kn_problems){.arena = arena};
}

static void add_path(struct kn_buf *out, const struct kn_path *path)
{
    if (!path)
        return;
    add_path(out, path->up);
    if (path->index >= 0) {
        kn_buf_addf(out, "[%lld]", (long long)path->index);
    } else if (path->is_key) {
        kn_buf_addf(out, "[%.*s]", KN_SV_ARG(path->name));
    } else {
        if (out->len)
            kn_buf_add_byte(out, '.');
        kn_buf_add(out, path->name);
    }
}

struct kn_sv kn_path_text(struct kn_arena *a, const struct kn_path *path)
{
    struct kn_buf b KN_CLEANUP(kn_buf_done) = KN_BUF(MESSAGE_MAX);
    add_path(&b, path);
    return kn_arena_dup(a, kn_buf_sv(&b));
}

void kn_problem_add(struct kn_problems *p, enum kn_problem_type type, const struct kn_path *path,
                    struct kn_sv value, const char *detail, ...)
{
    struct kn_buf b KN_CLEANUP(kn_buf_done) = KN_BUF(MESSAGE_MAX);
    // counted even where it is not kept: an object with a problem never passes
    if (p->len++ >= KN_PROBLEMS_MAX)
        return;
    va_list args;
    va_start(args, detail);
    kn_buf_vaddf(&b, detail, args);
    va_end(args);
    struct kn_problem *problem = KN_ARENA_NEW(p->arena, struct kn_problem);
    if (!problem)
        return;
    problem->type = type;
    problem->path = kn_path_text(p->arena, path);
    problem->value = kn_arena_dup(p->arena, value);
    problem->detail = kn_arena_dup(p->arena, kn_buf_sv(&b));
    if (p->last)
        p->last->next = problem;
    else
        p->first = problem;
    p->last = problem;
}

// -- text ------------------------------------------------------------------------------------

// Bytes of the UTF-8 character at the start of the text; 0 if it is none.
static size_t character(struct kn_sv text)
{
    const unsigned char *s = (const unsigned char *)text.ptr;
    size_t n = s[0] < 0x80                   ? 1
               : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
               : s[0] >= 0xe0                ? 3
               : s[0] >= 0xc2                ? 2
                                             : 0;
    if (n == 0 || n > text.len || s[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

struct kn_sv kn_problem_quote(struct kn_arena *a, struct kn_sv text)
{
    struct kn_buf b KN_CLEANUP(kn_buf_done) = KN_BUF(MESSAGE_MAX);
    kn_buf_add_byte(&b, '"');
    while (text.len) {
        unsigned char c = (unsigned char)text.ptr[0];
        static const char named[] = "\a\b\f\n\r\t\v\\\"", names[] = "abfnrtv\\\"";
        const char *found = c ? memchr(named, c, sizeof named - 1) : NULL;
        size_t n = character(text);
        if (found)
            kn_buf_addf(&b, "\\%c", names[found - named]);
        else if (n == 0 || c < 0x20 || c == 0x7f)
            kn_buf_addf(&b, "\\x%02x", c);
        else
            kn_buf_add(&b, kn_sv_first(text, n));
        text = kn_sv_from(text, n ? n : 1);
    }
    kn_buf_add_byte(&b, '"');
    return kn_arena_dup(a, kn_buf_sv(&b));
}

static bool shows_value(const struct kn_problem *p)
{
    switch (p->type) {
    case KN_PROBLEM_REQUIRED:
    case KN_PROBLEM_FORBIDDEN:
    case KN_PROBLEM_TOO_LONG:
    case KN_PROBLEM_INTERNAL:
        return false;
    case KN_PROBLEM_INVALID:
    case KN_PROBLEM_DUPLICATE:
    case KN_PROBLEM_NOT_SUPPORTED:
    case KN_PROBLEM_TOO_MANY:
    case KN_PROBLEM_NOT_FOUND:
    case KN_PROBLEM_TYPE_INVALID:
        return p->value.len > 0;
    }
    return false;
}

static void add_body(struct kn_buf *out, const struct kn_problem *p)
{
    kn_buf_addc(out, types[p->type].words);
    if (shows_value(p))
        kn_buf_addf(out, ": %.*s", KN_SV_ARG(p->value));
    if (p->detail.len)
        kn_buf_addf(out, ": %.*s", KN_SV_ARG(p->detail));
}

static bool same(const struct kn_problem *a, const struct kn_problem *b)
{
    return a->type == b->type && kn_sv_eq(a->path, b->path) && kn_sv_eq(a->value, b->value) &&
           kn_sv_eq(a->detail, b->detail);
}

static bool seen_before(const struct kn_problems *all, const struct kn_problem *p)
{
    for (const struct kn_problem *q = all->first; q != p; q = q->next)
        if (same(p, q))
            return true;
    return false;
}

static void add_sentences(struct kn_buf *out, const struct kn_problems *p)
{
    size_t n = 0;
    for (const struct kn_problem *q = p->first; q; q = q->next) {
        if (seen_before(p, q))
            continue;
        kn_buf_addf(out, "%s%.*s: ", n++ ? ", " : "", KN_SV_ARG(q->path));
        add_body(out, q);
    }
}

static void add_member(struct kn_buf *out, const char *name, struct kn_sv value)
{
    kn_buf_addf(out, "\"%s\":", name);
    kn_json_encode_str(out, value);
}

static void add_details(struct kn_buf *out, const struct kn_problems *p, struct kn_sv group,
                        struct kn_sv kind, struct kn_sv name)
{
    kn_buf_addc(out, "{");
    if (name.len) {
        add_member(out, "name", name);
        kn_buf_addc(out, ",");
    }
    if (group.len) {
        add_member(out, "group", group);
        kn_buf_addc(out, ",");
    }
    if (kind.len) {
        add_member(out, "kind", kind);
        kn_buf_addc(out, ",");
    }
    kn_buf_addc(out, "\"causes\":[");
    for (const struct kn_problem *q = p->first; q; q = q->next) {
        struct kn_buf body KN_CLEANUP(kn_buf_done) = KN_BUF(MESSAGE_MAX);
        add_body(&body, q);
        kn_buf_addc(out, q == p->first ? "{" : ",{");
        add_member(out, "reason", kn_sv_c(types[q->type].reason));
        kn_buf_addc(out, ",");
        add_member(out, "message", kn_buf_sv(&body));
        kn_buf_addc(out, ",");
        add_member(out, "field", q->path);
        kn_buf_addc(out, "}");
    }
    kn_buf_addc(out, "]}");
}

struct kn_status kn_problems_status(const struct kn_problems *p, struct kn_sv group,
                                    struct kn_sv kind, struct kn_sv name)
{
    if (p->len == 0)
        return KN_STATUS_OK;
    struct kn_buf text KN_CLEANUP(kn_buf_done) = KN_BUF(MESSAGE_MAX);
    struct kn_buf details KN_CLEANUP(kn_buf_done) = KN_BUF(4 * MESSAGE_MAX);
    bool several = false;
    for (const struct kn_problem *q = p->first; q; q = q->next)
        several |= q != p->first && !seen_before(p, q);
    kn_buf_addf(&text, "%.*s%s%.*s ", KN_SV_ARG(kind), group.len ? "." : "", KN_SV_ARG(group));
    struct kn_sv quoted = kn_problem_quote(p->arena, name);
    kn_buf_addf(&text, "%.*s is invalid: %s", KN_SV_ARG(quoted), several ? "[" : "");
    add_sentences(&text, p);
    kn_buf_addc(&text, several ? "]" : "");
    add_details(&details, p, group, kind, name);
    struct kn_status s = kn_error(KN_INVALID, "%s", kn_buf_cstr(&text));
    return details.failed ? s : kn_status_with_details(s, kn_buf_sv(&details));
}

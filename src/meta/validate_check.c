// Adding problems, and the checks of single values that many kinds share.
#include "meta/validate_impl.h"

#include <arpa/inet.h>

#include "base/map.h"

#define SHOWN_MAX (64u << 10)

struct kn_sv kn_check_show(struct kn_problems *p, const struct kn_json *v)
{
    if (p->len >= KN_PROBLEMS_MAX) // nobody will see it
        return KN_SV_NULL;
    if (kn_json_is_string(v))
        return kn_problem_quote(p->arena, kn_json_str(v));
    if (kn_json_is_null(v))
        return KN_SV("null");
    struct kn_buf b KN_CLEANUP(kn_buf_done) = KN_BUF(SHOWN_MAX);
    kn_json_encode(&b, v);
    return kn_arena_dup(p->arena, kn_buf_sv(&b));
}

__attribute__((format(printf, 4, 0))) static void add_invalid(struct kn_problems *p,
                                                              const struct kn_path *path,
                                                              struct kn_sv shown,
                                                              const char *detail, va_list args)
{
    struct kn_buf b KN_CLEANUP(kn_buf_done) = KN_BUF(SHOWN_MAX);
    kn_buf_vaddf(&b, detail, args);
    kn_problem_add(p, KN_PROBLEM_INVALID, path, shown, "%s", kn_buf_cstr(&b));
}

void kn_check_invalid(struct kn_problems *p, const struct kn_path *path, const struct kn_json *v,
                      const char *detail, ...)
{
    va_list args;
    va_start(args, detail);
    add_invalid(p, path, kn_check_show(p, v), detail, args);
    va_end(args);
}

void kn_check_invalid_text(struct kn_problems *p, const struct kn_path *path, struct kn_sv text,
                           const char *detail, ...)
{
    va_list args;
    va_start(args, detail);
    add_invalid(p, path, kn_problem_quote(p->arena, text), detail, args);
    va_end(args);
}

void kn_check_invalid_int(struct kn_problems *p, const struct kn_path *path, int64_t n,
                          const char *detail, ...)
{
    va_list args;
    va_start(args, detail);
    add_invalid(p, path, kn_arena_printf(p->arena, "%lld", (long long)n), detail, args);
    va_end(args);
}

void kn_check_required(struct kn_problems *p, const struct kn_path *path, const char *detail)
{
    kn_problem_add(p, KN_PROBLEM_REQUIRED, path, KN_SV_NULL, "%s", detail);
}

void kn_check_forbidden(struct kn_problems *p, const struct kn_path *path, const char *detail)
{
    kn_problem_add(p, KN_PROBLEM_FORBIDDEN, path, KN_SV_NULL, "%s", detail);
}

void kn_check_duplicate(struct kn_problems *p, const struct kn_path *path, struct kn_sv text)
{
    kn_problem_add(p, KN_PROBLEM_DUPLICATE, path, kn_problem_quote(p->arena, text), "%s", "");
}

void kn_check_too_long(struct kn_problems *p, const struct kn_path *path, int max)
{
    kn_problem_add(p, KN_PROBLEM_TOO_LONG, path, KN_SV_NULL, "may not be more than %d byte%s", max,
                   max == 1 ? "" : "s");
}

void kn_check_unsupported(struct kn_problems *p, const struct kn_path *path, struct kn_sv text,
                          const char *const *supported)
{
    struct kn_buf b KN_CLEANUP(kn_buf_done) = KN_BUF(SHOWN_MAX);
    for (size_t i = 0; supported[i]; i++)
        kn_buf_addf(&b, "%s\"%s\"", i ? ", " : "supported values: ", supported[i]);
    kn_problem_add(p, KN_PROBLEM_NOT_SUPPORTED, path, kn_problem_quote(p->arena, text), "%s",
                   kn_buf_cstr(&b));
}

// -- values -----------------------------------------------------------------------------------

bool kn_check_text(struct kn_problems *p, const struct kn_path *path, struct kn_sv text,
                   kn_name_rule *rule)
{
    struct kn_sv sentence = rule(p->arena, text);
    if (sentence.len)
        kn_check_invalid_text(p, path, text, "%.*s", KN_SV_ARG(sentence));
    if (sentence.len && !text.len && rule == kn_name_qualified_problem) // upstream says both
        kn_check_invalid_text(p, path, text, "%.*s", KN_SV_ARG(rule(p->arena, KN_SV("-"))));
    return sentence.len == 0;
}

bool kn_check_is_one_of(struct kn_sv text, const char *const *list)
{
    for (size_t i = 0; list[i]; i++)
        if (kn_sv_is(text, list[i]))
            return true;
    return false;
}

bool kn_check_one_of(struct kn_problems *p, const struct kn_path *path, struct kn_sv text,
                     const char *const *list)
{
    bool found = kn_check_is_one_of(text, list);
    if (!found)
        kn_check_unsupported(p, path, text, list);
    return found;
}

void kn_check_not_negative(struct kn_problems *p, const struct kn_path *path,
                           const struct kn_json *v)
{
    if (kn_json_int(v, 0) < 0)
        kn_check_invalid(p, path, v, "must be greater than or equal to 0");
}

bool kn_check_present(struct kn_problems *p, const struct kn_path *path, struct kn_sv text,
                      const char *detail)
{
    if (!text.len)
        kn_check_required(p, path, detail);
    return text.len > 0;
}

static bool is_empty(const struct kn_json *v)
{
    return kn_json_is_null(v) || (kn_json_type(v) >= KN_JSON_STRING && kn_json_len(v) == 0);
}

bool kn_check_same(const struct kn_json *a, const struct kn_json *b)
{
    return (is_empty(a) && is_empty(b)) || (a && b && kn_json_equal(a, b));
}

void kn_check_immutable(struct kn_problems *p, const struct kn_path *path, const struct kn_json *v,
                        const struct kn_json *old)
{
    if (!kn_check_same(v, old))
        kn_check_invalid(p, path, v, "field is immutable");
}

void kn_check_port(struct kn_problems *p, const struct kn_path *path, int64_t port)
{
    if (port < 1 || port > 65535)
        kn_check_invalid_int(p, path, port, "must be between 1 and 65535, inclusive");
}

void kn_check_port_number_or_name(struct kn_problems *p, const struct kn_path *path,
                                  const struct kn_json *v)
{
    if (kn_json_is_string(v))
        kn_check_text(p, path, kn_json_str(v), kn_name_port_name_problem);
    else
        kn_check_port(p, path, kn_json_int(v, 0));
}

// inet_pton takes no zone; but Go also refuses leading zeros, as inet_pton does.
bool kn_check_is_ip(struct kn_sv text, bool *ret_v6)
{
    char copy[INET6_ADDRSTRLEN];
    unsigned char out[16];
    if (text.len == 0 || text.len >= sizeof copy || memchr(text.ptr, 0, text.len))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    *ret_v6 = memchr(copy, ':', text.len) != NULL;
    return inet_pton(*ret_v6 ? AF_INET6 : AF_INET, copy, out) == 1;
}

void kn_check_ip(struct kn_problems *p, const struct kn_path *path, struct kn_sv text)
{
    bool v6;
    if (!kn_check_is_ip(text, &v6))
        kn_check_invalid_text(p, path, text,
                              "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
}

static bool is_cidr(struct kn_sv text)
{
    bool v6;
    ptrdiff_t slash = kn_sv_find(text, '/');
    if (slash < 0 || !kn_check_is_ip(kn_sv_first(text, (size_t)slash), &v6))
        return false;
    struct kn_sv bits = kn_sv_from(text, (size_t)slash + 1);
    int n = 0;
    for (size_t i = 0; i < bits.len; i++) {
        if (bits.ptr[i] < '0' || bits.ptr[i] > '9' ||
            (i == 0 && bits.len > 1 && bits.ptr[0] == '0'))
            return false;
        n = n * 10 + (bits.ptr[i] - '0');
        if (n > 128)
            return false;
    }
    return bits.len > 0 && n <= (v6 ? 128 : 32);
}

void kn_check_cidr(struct kn_problems *p, const struct kn_path *path, struct kn_sv text)
{
    if (!is_cidr(text))
        kn_check_invalid_text(p, path, text,
                              "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
}

void kn_check_range(struct kn_problems *p, const struct kn_path *path, const struct kn_json *v,
                    int64_t min, int64_t max)
{
    int64_t n = kn_json_int(v, min);
    if (n < min || n > max)
        kn_check_invalid(p, path, v, "must be between %lld and %lld, inclusive", (long long)min,
                         (long long)max);
}

void kn_check_not_found(struct kn_problems *p, const struct kn_path *path, struct kn_sv text,
                        const char *detail)
{
    kn_problem_add(p, KN_PROBLEM_NOT_FOUND, path, kn_problem_quote(p->arena, text), "%s", detail);
}

void kn_check_too_many(struct kn_problems *p, const struct kn_path *path, size_t n, int max)
{
    kn_problem_add(p, KN_PROBLEM_TOO_MANY, path, kn_arena_printf(p->arena, "%zu", n),
                   "must have at most %d item%s", max, max == 1 ? "" : "s");
}

void kn_check_mode(struct kn_problems *p, const struct kn_path *path, const struct kn_json *v)
{
    int64_t mode = kn_json_int(v, 0);
    if (mode < 0 || mode > 0777)
        kn_check_invalid(p, path, v, "must be a number between 0 and 0777 (octal), both inclusive");
}

// -- paths of files ---------------------------------------------------------------------------

void kn_check_no_backsteps(struct kn_problems *p, const struct kn_path *path, struct kn_sv text)
{
    struct kn_sv rest = text;
    do {
        if (kn_sv_is(kn_sv_cut(&rest, '/'), "..")) {
            kn_check_invalid_text(p, path, text, "must not contain '..'");
            return;
        }
    } while (rest.ptr);
}

void kn_check_descending_path(struct kn_problems *p, const struct kn_path *path, struct kn_sv text)
{
    if (kn_sv_starts(text, KN_SV("/")))
        kn_check_invalid_text(p, path, text, "must be a relative path");
    kn_check_no_backsteps(p, path, text);
}

void kn_check_local_path(struct kn_problems *p, const struct kn_path *path, struct kn_sv text)
{
    kn_check_descending_path(p, path, text);
    if (kn_sv_starts(text, KN_SV("..")) && !kn_sv_starts(text, KN_SV("../")))
        kn_check_invalid_text(p, path, text, "must not start with '..'");
}

// -- names that were seen ---------------------------------------------------------------------
// A hash table in the arena: lists come from clients, who may make them long.

struct kn_names_entry {
    struct kn_names_entry *next; // of the same bucket
    struct kn_sv name;
    const struct kn_json *value;
};

#define FIRST_BUCKETS 16

static struct kn_names_entry **bucket_of(const struct kn_names *names, struct kn_sv name)
{
    return &names->buckets[kn_hash(name.ptr, name.len) & (names->cap - 1)];
}

static const struct kn_names_entry *find_name(const struct kn_names *names, struct kn_sv name)
{
    const struct kn_names_entry *e = names->cap ? *bucket_of(names, name) : NULL;
    while (e && !kn_sv_eq(e->name, name))
        e = e->next;
    return e;
}

bool kn_names_has(const struct kn_names *names, struct kn_sv name)
{
    return find_name(names, name) != NULL;
}

const struct kn_json *kn_names_get(const struct kn_names *names, struct kn_sv name)
{
    const struct kn_names_entry *e = find_name(names, name);
    return e ? e->value : NULL;
}

static void grow_names(struct kn_problems *p, struct kn_names *names)
{
    struct kn_names old = *names;
    names->cap = old.cap ? 2 * old.cap : FIRST_BUCKETS;
    names->buckets = kn_arena_calloc(p->arena, names->cap, sizeof(struct kn_names_entry *));
    if (!names->buckets) { // the arena is full, which ends the request
        *names = (struct kn_names){0};
        return;
    }
    for (size_t i = 0; i < old.cap; i++)
        for (struct kn_names_entry *e = old.buckets[i], *next; e; e = next) {
            next = e->next;
            struct kn_names_entry **bucket = bucket_of(names, e->name);
            e->next = *bucket;
            *bucket = e;
        }
}

bool kn_names_put(struct kn_problems *p, struct kn_names *names, struct kn_sv name,
                  const struct kn_json *value)
{
    if (kn_names_has(names, name))
        return false;
    if (names->len >= names->cap)
        grow_names(p, names);
    struct kn_names_entry *e = KN_ARENA_NEW(p->arena, struct kn_names_entry);
    if (e && names->cap) {
        struct kn_names_entry **bucket = bucket_of(names, name);
        *e = (struct kn_names_entry){*bucket, name, value};
        *bucket = e;
        names->len++;
    }
    return true;
}

struct kn_names kn_names_of_map(struct kn_problems *p, const struct kn_json *map)
{
    struct kn_names names = {0};
    const struct kn_json *m;
    KN_JSON_EACH(m, map)
    {
        kn_names_put(p, &names, kn_json_key(m), m);
    }
    return names;
}

bool kn_names_add(struct kn_problems *p, struct kn_names *names, struct kn_sv name)
{
    return kn_names_put(p, names, name, NULL);
}

bool kn_check_count(struct kn_problems *p, const struct kn_path *path, const struct kn_json *list,
                    int max)
{
    bool fits = kn_json_len(list) <= (uint32_t)max;
    if (!fits)
        kn_check_too_many(p, path, kn_json_len(list), max);
    return fits;
}

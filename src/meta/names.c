#include "meta/names.h"

static bool lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool letter_or_digit(char c)
{
    return lower_or_digit(c) || (c >= 'A' && c <= 'Z');
}

static struct kn_sv too_long(struct kn_arena *a, size_t max)
{
    return kn_arena_printf(a, "must be no more than %zu characters", max);
}

static bool is_dns_label(struct kn_sv t)
{
    if (t.len == 0 || !lower_or_digit(t.ptr[0]) || !lower_or_digit(t.ptr[t.len - 1]))
        return false;
    for (size_t i = 0; i < t.len; i++)
        if (!lower_or_digit(t.ptr[i]) && t.ptr[i] != '-')
            return false;
    return true;
}

struct kn_sv kn_name_dns_label_problem(struct kn_arena *a, struct kn_sv text)
{
    if (text.len > 63)
        return too_long(a, 63);
    if (!is_dns_label(text))
        return KN_SV(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters "
            "or '-', and must start and end with an alphanumeric character (e.g. "
            "'my-name',  or '123-abc', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')");
    return KN_SV_NULL;
}

struct kn_sv kn_name_dns1035_label_problem(struct kn_arena *a, struct kn_sv text)
{
    if (text.len > 63)
        return too_long(a, 63);
    if (!is_dns_label(text) || !(text.ptr[0] >= 'a' && text.ptr[0] <= 'z'))
        return KN_SV("a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
                     "start with an alphabetic character, and end with an alphanumeric character "
                     "(e.g. 'my-name',  or 'abc-123', regex used for validation is "
                     "'[a-z]([-a-z0-9]*[a-z0-9])?')");
    return KN_SV_NULL;
}

static bool is_subdomain(struct kn_sv text)
{
    struct kn_sv rest = text;
    do {
        if (!is_dns_label(kn_sv_cut(&rest, '.')))
            return false;
    } while (rest.ptr);
    return true;
}

#define SUBDOMAIN                                                                                  \
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "   \
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "  \
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"

struct kn_sv kn_name_dns_subdomain_problem(struct kn_arena *a, struct kn_sv text)
{
    if (text.len > 253)
        return too_long(a, 253);
    return is_subdomain(text) ? KN_SV_NULL : KN_SV(SUBDOMAIN);
}

static bool is_name_part(struct kn_sv t)
{
    if (t.len == 0 || !letter_or_digit(t.ptr[0]) || !letter_or_digit(t.ptr[t.len - 1]))
        return false;
    for (size_t i = 0; i < t.len; i++)
        if (!letter_or_digit(t.ptr[i]) && t.ptr[i] != '-' && t.ptr[i] != '_' && t.ptr[i] != '.')
            return false;
    return true;
}

struct kn_sv kn_name_qualified_problem(struct kn_arena *a, struct kn_sv text)
{
    struct kn_sv name = text;
    ptrdiff_t slash = kn_sv_find(text, '/');
    if (slash >= 0) {
        struct kn_sv prefix = kn_sv_first(text, (size_t)slash);
        name = kn_sv_from(text, (size_t)slash + 1);
        if (prefix.len == 0)
            return KN_SV("prefix part must be non-empty");
        if (prefix.len > 253)
            return KN_SV("prefix part must be no more than 253 bytes");
        if (!is_subdomain(prefix))
            return KN_SV("prefix part " SUBDOMAIN);
    }
    if (name.len == 0)
        return KN_SV("name part must be non-empty");
    if (name.len > 63)
        return KN_SV("name part must be no more than 63 bytes");
    if (!is_name_part(name))
        return slash >= 0 && kn_sv_find(name, '/') >= 0
                   ? KN_SV("a qualified name must consist of alphanumeric characters, '-', '_' or "
                           "'.', and must start and end with an alphanumeric character (e.g. "
                           "'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
                           "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS "
                           "subdomain prefix and '/' (e.g. 'example.com/MyName')")
                   : KN_SV(
                         "name part must consist of alphanumeric characters, '-', '_' or '.', and "
                         "must start and end with an alphanumeric character (e.g. 'MyName',  or "
                         "'my.name',  or '123-abc', regex used for validation is "
                         "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')");
    (void)a;
    return KN_SV_NULL;
}

struct kn_sv kn_name_label_value_problem(struct kn_arena *a, struct kn_sv text)
{
    if (text.len > 63)
        return KN_SV("must be no more than 63 bytes"); // upstream's unit differs here
    if (text.len && !is_name_part(text))
        return KN_SV("a valid label must be an empty string or consist of alphanumeric characters, "
                     "'-', '_' or '.', and must start and end with an alphanumeric character (e.g. "
                     "'MyValue',  or 'my_value',  or '12345', regex used for validation is "
                     "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')");
    (void)a;
    return KN_SV_NULL;
}

struct kn_sv kn_name_config_key_problem(struct kn_arena *a, struct kn_sv text)
{
    if (text.len > 253)
        return too_long(a, 253);
    bool ok = text.len > 0;
    for (size_t i = 0; i < text.len && ok; i++)
        ok = letter_or_digit(text.ptr[i]) || text.ptr[i] == '-' || text.ptr[i] == '_' ||
             text.ptr[i] == '.';
    if (!ok)
        return KN_SV("a valid config key must consist of alphanumeric characters, '-', '_' or '.' "
                     "(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation "
                     "is '[-._a-zA-Z0-9]+')");
    if (kn_sv_is(text, "."))
        return KN_SV("must not be '.'");
    if (kn_sv_starts(text, KN_SV("..")))
        return kn_sv_is(text, "..") ? KN_SV("must not be '..'") : KN_SV("must not start with '..'");
    return KN_SV_NULL;
}

struct kn_sv kn_name_path_segment_problem(struct kn_arena *a, struct kn_sv text)
{
    if (kn_sv_is(text, "."))
        return KN_SV("may not be '.'");
    if (kn_sv_is(text, ".."))
        return KN_SV("may not be '..'");
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '/' || text.ptr[i] == '%')
            return kn_arena_printf(a, "may not contain '%c'", text.ptr[i]);
    return KN_SV_NULL;
}

struct kn_sv kn_name_env_var_problem(struct kn_arena *a, struct kn_sv text)
{
    (void)a;
    bool ok = text.len > 0;
    for (size_t i = 0; i < text.len && ok; i++)
        ok = text.ptr[i] >= 0x20 && text.ptr[i] < 0x7f && text.ptr[i] != '=';
    return ok ? KN_SV_NULL
              : KN_SV("a valid environment variable name must consist only of printable ASCII "
                      "characters other than '='");
}

struct kn_sv kn_name_port_name_problem(struct kn_arena *a, struct kn_sv text)
{
    if (text.len > 15)
        return kn_arena_printf(a, "must be no more than %d characters", 15);
    bool letter = false;
    for (size_t i = 0; i < text.len; i++) {
        if (!lower_or_digit(text.ptr[i]) && text.ptr[i] != '-')
            return KN_SV("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
        if (i && text.ptr[i] == '-' && text.ptr[i - 1] == '-')
            return KN_SV("must not contain consecutive hyphens");
        letter = letter || (text.ptr[i] >= 'a' && text.ptr[i] <= 'z');
    }
    if (!letter)
        return KN_SV("must contain at least one letter (a-z)");
    if (text.ptr[0] == '-' || text.ptr[text.len - 1] == '-')
        return KN_SV("must not begin or end with a hyphen");
    return KN_SV_NULL;
}

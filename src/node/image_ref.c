#include "node/image_ref.h"

bool kn_digest_is_valid(struct kn_sv d)
{
    if (d.len != 71 || !kn_sv_starts(d, KN_SV("sha256:")))
        return false;
    for (size_t i = 7; i < d.len; i++)
        if (!((d.ptr[i] >= '0' && d.ptr[i] <= '9') || (d.ptr[i] >= 'a' && d.ptr[i] <= 'f')))
            return false;
    return true;
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

// One part of a repository's path: words of [a-z0-9]+ with one '.', one or two '_' or any number of
// '-' between them.
static bool component_is_valid(struct kn_sv c)
{
    if (c.len == 0 || !is_alnum(c.ptr[0]) || !is_alnum(c.ptr[c.len - 1]))
        return false;
    for (size_t i = 0; i < c.len;) {
        if (is_alnum(c.ptr[i])) {
            i++;
            continue;
        }
        size_t run = 1;
        while (c.ptr[i + run] == c.ptr[i])
            run++;
        char sep = c.ptr[i];
        bool good = (sep == '.' && run == 1) || (sep == '_' && run <= 2) || sep == '-';
        if (!good || !is_alnum(c.ptr[i + run]))
            return false;
        i += run;
    }
    return true;
}

static bool tag_is_valid(struct kn_sv t)
{
    if (t.len == 0 || t.len > 128)
        return false;
    for (size_t i = 0; i < t.len; i++) {
        char c = t.ptr[i];
        bool word = is_alnum(c) || (c >= 'A' && c <= 'Z') || c == '_';
        if (!word && (i == 0 || (c != '.' && c != '-')))
            return false;
    }
    return true;
}

static bool registry_is_valid(struct kn_sv r)
{
    ptrdiff_t colon = kn_sv_rfind(r, ':');
    struct kn_sv host = r;
    if (r.len && r.ptr[0] == '[') {
        ptrdiff_t end = kn_sv_find(r, ']');
        return end > 0 && (end == (ptrdiff_t)r.len - 1 || r.ptr[end + 1] == ':');
    }
    if (colon >= 0) {
        struct kn_sv port = kn_sv_from(r, (size_t)colon + 1);
        host = kn_sv_first(r, (size_t)colon);
        for (size_t i = 0; i < port.len; i++)
            if (port.ptr[i] < '0' || port.ptr[i] > '9')
                return false;
        if (port.len == 0)
            return false;
    }
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        if (!is_alnum(c) && !(c >= 'A' && c <= 'Z') && c != '.' && c != '-')
            return false;
    }
    return host.len > 0;
}

static bool path_is_valid(struct kn_sv path)
{
    if (path.len == 0 || path.len > 255)
        return false;
    struct kn_sv rest = path;
    do {
        if (!component_is_valid(kn_sv_cut(&rest, '/')))
            return false;
    } while (rest.ptr);
    return true;
}

struct kn_status kn_image_ref_parse(struct kn_sv text, struct kn_arena *a, struct kn_image_ref *ret)
{
    struct kn_sv rest = kn_arena_dup(a, text);
    struct kn_image_ref r = {.tag = KN_SV_NULL};
    ptrdiff_t at = kn_sv_find(rest, '@');
    bool good = text.len > 0 && text.len <= 1024;
    if (at >= 0) {
        r.digest = kn_sv_from(rest, (size_t)at + 1);
        rest = kn_sv_first(rest, (size_t)at);
        good = good && kn_digest_is_valid(r.digest);
    }
    ptrdiff_t colon = kn_sv_rfind(rest, ':');
    ptrdiff_t slash = kn_sv_rfind(rest, '/');
    if (colon > slash) {
        r.tag = kn_sv_from(rest, (size_t)colon + 1);
        rest = kn_sv_first(rest, (size_t)colon);
        good = good && tag_is_valid(r.tag);
    }
    slash = kn_sv_find(rest, '/');
    struct kn_sv first = slash < 0 ? KN_SV_NULL : kn_sv_first(rest, (size_t)slash);
    bool has_registry = slash > 0 && (kn_sv_find(first, '.') >= 0 || kn_sv_find(first, ':') >= 0 ||
                                      kn_sv_is(first, "localhost"));
    if (has_registry) {
        r.registry = kn_sv_is(first, "index.docker.io") ? KN_SV("docker.io") : first;
        rest = kn_sv_from(rest, (size_t)slash + 1);
    } else {
        r.registry = KN_SV("docker.io");
    }
    r.repository = rest;
    if (kn_sv_is(r.registry, "docker.io") && kn_sv_find(rest, '/') < 0)
        r.repository = kn_arena_printf(a, "library/%.*s", KN_SV_ARG(rest));
    if (!good || !registry_is_valid(r.registry) || !path_is_valid(rest))
        return kn_error(KN_INVALID,
                        "couldn't parse image name \"%.*s\": invalid reference format",
                        KN_SV_ARG(text));
    if (r.tag.len == 0 && r.digest.len == 0)
        r.tag = KN_SV("latest");
    r.name = kn_arena_printf(a, "%.*s/%.*s%s%.*s%s%.*s", KN_SV_ARG(r.registry),
                             KN_SV_ARG(r.repository), r.tag.len ? ":" : "", KN_SV_ARG(r.tag),
                             r.digest.len ? "@" : "", KN_SV_ARG(r.digest));
    if (kn_arena_failed(a))
        return kn_arena_error(a, "an image name");
    *ret = r;
    return KN_STATUS_OK;
}

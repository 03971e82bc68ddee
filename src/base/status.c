#include "base/status.h"

#include <errno.h>

#include "base/mem.h"

struct kn_status_detail {
    char *text;
    char *json; // may be NULL
    size_t json_len;
};

static const struct {
    int http;
    const char *reason;
} codes[KN_CODE_COUNT] = {
#define X(name, http, reason) [KN_##name] = {http, reason},
    KN_CODES(X)
#undef X
};

__attribute__((format(printf, 1, 0))) static char *format_text(const char *format, va_list args)
{
    char *text;
    if (vasprintf(&text, format, args) < 0)
        abort();
    return text;
}

static struct kn_status make(enum kn_code code, char *text)
{
    kn_assert(code != KN_OK);
    struct kn_status_detail *d = KN_NEW(struct kn_status_detail);
    d->text = text;
    return (struct kn_status){code, d};
}

struct kn_status kn_error(enum kn_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = format_text(format, args);
    va_end(args);
    return make(code, text);
}

static enum kn_code code_of_errno(int err)
{
    switch (err) {
    case ENOENT:
        return KN_NOT_FOUND;
    case EEXIST:
        return KN_ALREADY_EXISTS;
    case ENOSPC:
    case EDQUOT:
        return KN_NO_SPACE;
    case EACCES:
    case EPERM:
        return KN_FORBIDDEN;
    case ETIMEDOUT:
        return KN_TIMEOUT;
    case ECANCELED:
        return KN_CANCELLED;
    case ENOMEM:
        return KN_NO_MEMORY;
    default:
        return KN_IO;
    }
}

struct kn_status kn_error_errno(int err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *head = format_text(format, args);
    va_end(args);
    char errbuf[128];
    char *text;
    if (asprintf(&text, "%s: %s", head, strerror_r(err, errbuf, sizeof errbuf)) < 0)
        abort();
    free(head);
    return make(code_of_errno(err), text);
}

struct kn_status kn_wrap(struct kn_status s, const char *format, ...)
{
    if (s.code == KN_OK)
        return s;
    va_list args;
    va_start(args, format);
    char *head = format_text(format, args);
    va_end(args);
    char *text;
    if (asprintf(&text, "%s: %s", head, s.detail->text) < 0)
        abort();
    free(head);
    free(s.detail->text);
    s.detail->text = text;
    return s;
}

void kn_status_done(struct kn_status *s)
{
    if (s->detail) {
        free(s->detail->text);
        free(s->detail->json);
        free(s->detail);
    }
    *s = KN_STATUS_OK;
}

struct kn_status kn_status_copy(const struct kn_status *s)
{
    if (s->code == KN_OK)
        return KN_STATUS_OK;
    struct kn_status copy = kn_error(s->code, "%s", s->detail->text);
    return kn_status_with_details(copy, kn_status_details(s));
}

const char *kn_status_text(const struct kn_status *s)
{
    return s->detail ? s->detail->text : "";
}

struct kn_status kn_status_with_details(struct kn_status s, struct kn_sv json)
{
    if (s.code == KN_OK || json.len == 0)
        return s;
    free(s.detail->json);
    s.detail->json = kn_sv_dup(json);
    s.detail->json_len = json.len;
    return s;
}

struct kn_sv kn_status_details(const struct kn_status *s)
{
    return s->detail && s->detail->json ? kn_sv(s->detail->json, s->detail->json_len) : KN_SV_NULL;
}

int kn_code_http(enum kn_code code)
{
    return codes[code].http;
}

const char *kn_code_reason(enum kn_code code)
{
    return codes[code].reason;
}

enum kn_code kn_code_from_wire(int http, struct kn_sv reason)
{
    if (reason.len)
        for (int c = KN_BAD_REQUEST; c <= KN_NO_SPACE; c++)
            if (kn_sv_is(reason, codes[c].reason))
                return (enum kn_code)c;
    if (http < 400)
        return KN_OK;
    for (int c = KN_BAD_REQUEST; c <= KN_NO_SPACE; c++)
        if (codes[c].http == http)
            return (enum kn_code)c;
    return http < 500 ? KN_BAD_REQUEST : KN_INTERNAL;
}

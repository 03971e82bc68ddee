// Errors as the API words them, and the Status object.
#include "apiserver/internal.h"

bool kn_user_in(const struct kn_user *u, const char *group)
{
    for (size_t i = 0; i < u->group_count; i++)
        if (kn_sv_is(u->groups[i], group))
            return true;
    return false;
}

struct kn_sv kn_qualified_resource(struct kn_arena *a, const struct kn_request *r)
{
    if (r->group.len == 0)
        return r->plural;
    return kn_arena_printf(a, "%.*s.%.*s", KN_SV_ARG(r->plural), KN_SV_ARG(r->group));
}

struct kn_status kn_with_details(struct kn_status s, struct kn_sv group, struct kn_sv kind,
                                 struct kn_sv name)
{
    const struct {
        const char *key;
        struct kn_sv value;
    } members[] = {{"name", name}, {"group", group}, {"kind", kind}};
    struct kn_buf details = KN_BUF(4096);
    kn_buf_add_byte(&details, '{');
    for (size_t i = 0; i < KN_ARRAY_LEN(members); i++) {
        if (members[i].value.len == 0)
            continue;
        kn_buf_addf(&details, "%s\"%s\":", details.len > 1 ? "," : "", members[i].key);
        kn_json_encode_str(&details, members[i].value);
    }
    kn_buf_add_byte(&details, '}');
    s = kn_status_with_details(s, kn_buf_sv(&details));
    kn_buf_done(&details);
    return s;
}

static struct kn_status with_names(const struct kn_request *r, struct kn_status s,
                                   struct kn_sv name)
{
    return kn_with_details(s, r->group, r->plural, name);
}

struct kn_status kn_not_found(const struct kn_request *r, struct kn_sv name)
{
    struct kn_sv what = kn_qualified_resource(r->arena, r);
    return with_names(r, kn_error(KN_NOT_FOUND, "%.*s \"%.*s\" not found", KN_SV_ARG(what),
                                  KN_SV_ARG(name)), name);
}

struct kn_status kn_already_exists(const struct kn_request *r, struct kn_sv name)
{
    struct kn_sv what = kn_qualified_resource(r->arena, r);
    return with_names(r, kn_error(KN_ALREADY_EXISTS, "%.*s \"%.*s\" already exists",
                                  KN_SV_ARG(what), KN_SV_ARG(name)), name);
}

struct kn_status kn_conflict(const struct kn_request *r, struct kn_sv name)
{
    struct kn_sv what = kn_qualified_resource(r->arena, r);
    return with_names(
        r, kn_error(KN_CONFLICT, "Operation cannot be fulfilled on %.*s \"%.*s\": the object has "
                                 "been modified; please apply your changes to the latest version "
                                 "and try again", KN_SV_ARG(what), KN_SV_ARG(name)), name);
}

struct kn_status kn_not_allowed(const struct kn_request *r __attribute__((unused)))
{
    return kn_error(KN_METHOD_NOT_ALLOWED,
                    "the server does not allow this method on the requested resource");
}

struct kn_json *kn_status_object(struct kn_arena *a, const struct kn_status *s)
{
    struct kn_json *o = kn_json_new_object(a);
    kn_json_set_str(a, o, KN_K_kind, KN_SV("Status"));
    kn_json_set_str(a, o, KN_K_apiVersion, KN_SV("v1"));
    kn_json_set(a, o, KN_K_metadata, kn_json_new_object(a));
    kn_json_set_str(a, o, KN_K_status, kn_ok(*s) ? KN_SV("Success") : KN_SV("Failure"));
    if (kn_ok(*s))
        return o;
    enum kn_code code = s->code > KN_NO_SPACE && s->code != KN_SYNTAX ? KN_INTERNAL : s->code;
    if (code == KN_SYNTAX)
        code = KN_BAD_REQUEST;
    kn_json_set_str(a, o, KN_K_message, kn_arena_dup(a, kn_sv_c(kn_status_text(s))));
    kn_json_set_str(a, o, KN_K_reason, kn_sv_c(kn_code_reason(code)));
    struct kn_sv details = kn_status_details(s);
    struct kn_json *d = NULL;
    if (details.len)
        KN_IGNORE(kn_json_parse(a, kn_arena_dup(a, details), NULL, &d));
    // upstream's generic errors have details with nothing in them
    bool generic = code == KN_METHOD_NOT_ALLOWED || code == KN_UNSUPPORTED_MEDIA ||
                   code == KN_INVALID;
    if (!d && generic)
        d = kn_json_new_object(a);
    if (d)
        kn_json_set(a, o, KN_K_details, d);
    kn_json_set_int(a, o, KN_K_code, kn_code_http(code));
    return o;
}

void kn_answer_init(struct kn_answer *a)
{
    *a = (struct kn_answer){.code = 200, .remaining = -1};
}

void kn_answer_done(struct kn_answer *a)
{
    kn_status_done(&a->error);
    kn_obj_unref(a->obj);
    for (size_t i = 0; i < a->list.len; i++)
        kn_obj_unref(a->list.ptr[i]);
    KN_VEC_DONE(&a->list);
    kn_answer_init(a);
}

void kn_answer_warn(struct kn_request *r, const char *format, ...)
{
    if (r->answer->warning_count == KN_ARRAY_LEN(r->answer->warnings))
        return;
    va_list args;
    va_start(args, format);
    struct kn_buf text = KN_BUF(1024);
    kn_buf_vaddf(&text, format, args);
    va_end(args);
    struct kn_sv copy = kn_arena_dup(r->arena, kn_buf_sv(&text));
    kn_buf_done(&text);
    for (size_t i = 0; i < r->answer->warning_count; i++)
        if (kn_sv_is(copy, r->answer->warnings[i]))
            return; // a write that is tried again says it once
    if (copy.ptr)
        r->answer->warnings[r->answer->warning_count++] = copy.ptr;
}

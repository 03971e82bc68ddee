#include "meta/validate_testing.h"

#include "meta/patch.h"

static struct kn_json *parse(struct kn_arena *a, const char *text)
{
    char *copy = kn_sv_dup(kn_sv_c(text));
    for (char *p = copy; *p; p++)
        if (*p == '\'')
            *p = '"';
    struct kn_json *v = NULL;
    ktest_ok(kn_json_parse(a, kn_arena_dup(a, kn_sv_c(copy)), NULL, &v));
    free(copy);
    return v;
}

static struct kn_json *object(struct kn_arena *a, const struct kn_resource *r, const char *base,
                              const char *edit)
{
    struct kn_json *v = parse(a, base);
    ktest_ok(kn_patch_merge(a, v, parse(a, edit)));
    ktest_ok(kn_decode(a, r->type, v, NULL));
    ktest_ok(kn_default(a, r->type, v));
    return v;
}

// "Pod "x" is invalid: spec.a: Required value" without what is the same for all.
static struct kn_sv sentences(struct kn_arena *a, const struct kn_problems *p)
{
    struct kn_status s = kn_problems_status(p, KN_SV(""), KN_SV("K"), KN_SV("n"));
    struct kn_sv text = kn_arena_dup(a, kn_sv_c(kn_status_text(&s)));
    kn_status_done(&s);
    struct kn_sv head = KN_SV("K \"n\" is invalid: ");
    text = kn_sv_starts(text, head) ? kn_sv_from(text, head.len) : text;
    if (kn_sv_starts(text, KN_SV("[")) && kn_sv_ends(text, KN_SV("]")))
        text = kn_sv(text.ptr + 1, text.len - 2);
    return text;
}

void validate_run(const char *api_version, const char *kind, const char *base,
                  const struct validate_sample *samples, size_t n, bool update)
{
    const struct kn_resource *r = kn_resource_find_api(kn_sv_c(api_version), kn_sv_c(kind));
    ktest_true(r != NULL);
    bool wrong = false;
    for (size_t i = 0; i < n; i++) {
        struct kn_arena *a = kn_arena_new(0, 256 << 20);
        struct kn_json *obj = object(a, r, base, samples[i].edit);
        struct kn_json *old = update ? object(a, r, base, "{}") : NULL;
        struct kn_problems p;
        kn_problems_init(&p, a);
        kn_validate(r, NULL, obj, old, &p);
        struct kn_sv got = sentences(a, &p);
        char *want = kn_sv_dup(kn_sv_c(samples[i].want));
        if (!kn_sv_is(got, want)) {
            print_error("%s\n got  %.*s\n want %s\n", samples[i].edit, KN_SV_ARG(got), want);
            wrong = true;
        }
        free(want);
        kn_arena_free(a);
    }
    ktest_true(!wrong);
}

// A write's way through meta, with whatever a client may send: two JSON texts, separated by a NUL.
// The first becomes an object (decoded, defaulted, validated), the second a strategic merge patch
// of it; the result is validated as an update. Nothing may crash, loop or assert.
#include "meta/decode.h"
#include "meta/defaults.h"
#include "meta/patch.h"
#include "meta/validate.h"

static bool prepare(struct kn_arena *a, const struct kn_resource *r, struct kn_json *obj)
{
    struct kn_status s = kn_decode(a, r->type, obj, NULL);
    if (kn_ok(s))
        s = kn_default(a, r->type, obj);
    bool good = kn_ok(s);
    kn_status_done(&s);
    return good;
}

static void validate(struct kn_arena *a, const struct kn_resource *r, const struct kn_json *obj,
                     const struct kn_json *old, const char *sub)
{
    struct kn_problems p;
    kn_problems_init(&p, a);
    kn_validate(r->hub, sub, obj, old, &p);
    struct kn_status s = kn_problems_status(&p, r->group, r->kind, KN_SV("x"));
    kn_assert(kn_ok(s) == (p.len == 0));
    kn_status_done(&s);
}

static struct kn_json *parse(struct kn_arena *a, struct kn_sv text)
{
    struct kn_json *v = NULL;
    if (!text.len)
        return NULL;
    struct kn_status s = kn_json_parse(a, text, NULL, &v);
    kn_status_done(&s);
    return kn_json_is_object(v) ? v : NULL;
}

static void run(struct kn_arena *a, struct kn_sv first, struct kn_sv second)
{
    struct kn_json *obj = parse(a, first), *patch = parse(a, second);
    const struct kn_resource *r = kn_resource_find_api(
        kn_json_str(kn_json_get(obj, KN_K_apiVersion)), kn_json_str(kn_json_get(obj, KN_K_kind)));
    if (!r || !r->type || r->hub != r)
        return;
    struct kn_json *wild = kn_json_copy(a, obj); // a patch meets what nobody has decoded, too
    if (patch)
        KN_IGNORE(kn_patch_strategic(a, r->type, wild, patch));
    if (!prepare(a, r, obj))
        return;
    validate(a, r, obj, NULL, NULL);
    struct kn_json *changed = kn_json_copy(a, obj);
    if (!patch)
        return;
    struct kn_status s = kn_patch_strategic(a, r->type, changed, patch);
    bool good = kn_ok(s);
    kn_status_done(&s);
    if (!good || !prepare(a, r, changed))
        return;
    validate(a, r, changed, obj, NULL);
    validate(a, r, changed, obj, "status");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kn_arena *a = kn_arena_new(0, 8 << 20);
    struct kn_sv rest = kn_sv((const char *)data, size), first = kn_sv_cut(&rest, '\0');
    run(a, first, rest);
    kn_arena_free(a);
    return 0;
}

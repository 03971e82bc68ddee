// A document and a patch, separated by a NUL: the patch is applied as a JSON patch and as a merge
// patch. What comes out is a tree that can be written and read again.
#include "meta/patch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void apply(struct kn_sv document, struct kn_sv change,
                  struct kn_status (*patch)(struct kn_arena *a, struct kn_json *target,
                                            const struct kn_json *patch))
{
    struct kn_arena *a = kn_arena_new(0, 32u << 20);
    struct kn_json *target, *given, *again;
    struct kn_buf out = KN_BUF(32u << 20);
    if (kn_ok_done(kn_json_parse(a, document, NULL, &target)) &&
        kn_ok_done(kn_json_parse(a, change, NULL, &given)) && kn_ok_done(patch(a, target, given))) {
        kn_json_encode(&out, target);
        // deeper than a parser takes is the one thing that may be wrong with it
        if (!out.failed && kn_ok_done(kn_json_parse(a, kn_buf_sv(&out), NULL, &again)))
            kn_assert(kn_json_equal(target, again));
    }
    kn_buf_done(&out);
    kn_arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kn_sv change = kn_sv((const char *)data, size), document = kn_sv_cut(&change, '\0');
    if (!change.len)
        return 0;
    apply(document, change, kn_patch_json);
    apply(document, change, kn_patch_merge);
    return 0;
}

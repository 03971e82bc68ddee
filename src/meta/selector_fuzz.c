// Any text as a label selector, a field selector and, as JSON, a selector object: each is asked
// about an object.
#include "meta/obj.h"
#include "meta/resources.h"
#include "meta/selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] =
        "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"x\",\"labels\":{\"a\":\"b\","
        "\"n\":\"5\"}},\"spec\":{\"nodeName\":\"n\"}}";
    const struct kn_resource *pods = kn_resource_find(KN_SV(""), KN_SV("v1"), KN_SV("pods"));
    struct kn_arena *a = kn_arena_new(0, 8u << 20);
    struct kn_sv given = kn_sv((const char *)data, size);
    struct kn_selector *s;
    struct kn_json *v;
    const struct kn_obj *o = NULL;
    kn_assert(kn_ok_done(kn_obj_parse(kn_sv_c(text), &o)));
    if (kn_ok_done(kn_label_selector_parse(a, given, &s)))
        (void)kn_selector_matches_labels(s, o->labels);
    if (kn_ok_done(kn_field_selector_parse(a, given, pods, &s)))
        (void)kn_selector_matches_fields(s, o->root);
    if (kn_ok_done(kn_json_parse(a, given, NULL, &v))) {
        if (kn_ok_done(kn_label_selector_of(a, v, &s)))
            (void)kn_selector_matches_labels(s, o->labels);
        if (kn_ok_done(kn_label_selector_of_map(a, v, &s)))
            (void)kn_selector_matches_labels(s, o->labels);
    }
    kn_obj_unref(o);
    kn_arena_free(a);
    return 0;
}

// Any text is refused or formatted to a text that means the same.
#include "base/mem.h"
#include "codec/quantity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kn_quantity q, again;
    char out[KN_QUANTITY_TEXT];
    kn_quantity_is_canonical(kn_sv((const char *)data, size));
    struct kn_status s = kn_quantity_parse(kn_sv((const char *)data, size), &q);
    if (!kn_ok(s)) {
        kn_status_done(&s);
        return 0;
    }
    size_t n = kn_quantity_format(q, out);
    s = kn_quantity_parse(kn_sv(out, n), &again);
    kn_assert(kn_ok(s));
    kn_assert(kn_quantity_cmp(q, again) == 0);
    return 0;
}

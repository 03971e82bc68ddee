// Any text as a query and as a percent-encoded path: what is decoded encodes to what decodes to it.
#include "wire/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kn_sv text = kn_sv((const char *)data, size), rest = text, name, value, plain, again;
    struct kn_arena *a = kn_arena_new(0, 8u << 20);
    struct kn_buf out = KN_BUF(8u << 20);
    while (kn_query_next(&rest, &name, &value)) {
        if (kn_ok_done(kn_url_decode(a, name, true, &plain)))
            (void)kn_ok_done(kn_url_decode(a, value, true, &plain));
    }
    (void)kn_query_get(a, text, "labelSelector");
    if (kn_ok_done(kn_url_decode(a, text, false, &plain))) {
        kn_url_encode(&out, plain, false);
        if (kn_ok_done(kn_url_decode(a, kn_buf_sv(&out), false, &again)))
            kn_assert(kn_sv_eq(plain, again));
    }
    kn_buf_done(&out);
    kn_arena_free(a);
    return 0;
}

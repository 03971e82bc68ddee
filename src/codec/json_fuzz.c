// Whatever parses is written, parses again, and is the same.
#include "codec/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kn_arena *a = kn_arena_new(0, 1 << 22);
    struct kn_json *v, *again;
    struct kn_status s = kn_json_parse(a, kn_sv((const char *)data, size), NULL, &v);
    if (kn_ok(s)) {
        struct kn_buf out = KN_BUF(1 << 24);
        kn_json_encode(&out, v);
        kn_assert(!out.failed);
        kn_assert(kn_ok(kn_json_parse(a, kn_buf_sv(&out), NULL, &again)) || kn_arena_failed(a));
        kn_assert(kn_arena_failed(a) || kn_json_equal(v, again));
        kn_buf_done(&out);
    }
    kn_status_done(&s);
    kn_arena_free(a);
    return 0;
}

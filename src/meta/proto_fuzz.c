// Any bytes are refused, or decoded to a pod that can be encoded again.
#include "base/mem.h"
#include "meta/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kn_arena *a = kn_arena_new(0, 4u << 20);
    const struct kn_type *pod = kn_type_find_api(KN_SV("v1"), KN_SV("Pod"));
    struct kn_json *v;
    struct kn_sv bytes = kn_sv((const char *)data, size);
    struct kn_status s = kn_proto_decode_message(a, pod, bytes, &v);
    if (kn_ok(s)) {
        struct kn_buf out = KN_BUF(16u << 20);
        s = kn_proto_encode(&out, pod, v);
        kn_assert(kn_ok(s));
        kn_buf_done(&out);
    }
    kn_status_done(&s);
    s = kn_proto_decode(a, pod, bytes, &v);
    kn_status_done(&s);
    kn_arena_free(a);
    return 0;
}

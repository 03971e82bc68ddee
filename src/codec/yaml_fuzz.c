// Whatever is read can be written as JSON, within the arena's limit.
#include "codec/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kn_arena *a = kn_arena_new(0, 1 << 22);
    struct kn_json *v;
    struct kn_status s = kn_yaml_parse(a, kn_sv((const char *)data, size), &v);
    if (kn_ok(s)) {
        struct kn_buf out = KN_BUF(1 << 26);
        kn_json_encode(&out, v);
        kn_buf_done(&out);
    }
    kn_status_done(&s);
    kn_arena_free(a);
    return 0;
}

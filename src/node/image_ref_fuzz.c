// Any text as an image's name.
#include "node/image_ref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kn_arena *a = kn_arena_new(0, 1u << 20);
    struct kn_image_ref ref;
    if (kn_ok_done(kn_image_ref_parse(kn_sv((const char *)data, size), a, &ref)))
        kn_assert(ref.registry.len && ref.repository.len);
    kn_arena_free(a);
    return 0;
}

// What a registry answers to a request without credentials: WWW-Authenticate.
#include "node/image_pull_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kn_arena *a = kn_arena_new(0, 1 << 20);
    struct challenge c;
    if (kn_challenge_parse(kn_sv((const char *)data, size), a, &c))
        kn_assert(c.basic || c.realm.len);
    kn_arena_free(a);
    return 0;
}

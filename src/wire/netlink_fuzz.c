// Netlink attributes, nested.
#include "wire/netlink.h"

#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(struct kn_sv attrs, int depth)
{
    struct kn_nl_attr a;
    while (kn_nl_attr_next(&attrs, &a)) {
        kn_assert(kn_nl_attr_str(a.data).len <= a.data.len);
        (void)kn_nl_attr_u32(a.data);
        if (depth < 8)
            walk(a.data, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    walk(kn_sv((const char *)data, size), 0);
    return 0;
}

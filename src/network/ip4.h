// IPv4 addresses and networks as numbers in the machine's order. Pure. Any thread.
#pragma once
#include "base/status.h"

#define KN_IP4_TEXT 16 // "255.255.255.255" and a NUL

struct kn_net4 {
    uint32_t base; // bits beyond the prefix are 0
    unsigned bits; // 0 to 32
};

// Four decimal numbers without leading zeros. False if the text is anything else.
bool kn_ip4_parse(struct kn_sv text, uint32_t *ret);
void kn_ip4_format(uint32_t ip, char out[KN_IP4_TEXT]);
// "10.244.0.0/24". KN_INVALID, also when bits beyond the prefix are set.
struct kn_status kn_net4_parse(struct kn_sv text, struct kn_net4 *ret);

static inline uint32_t kn_net4_mask(unsigned bits)
{
    return bits == 0 ? 0 : UINT32_MAX << (32 - bits);
}
static inline bool kn_net4_has(struct kn_net4 net, uint32_t ip)
{
    return (ip & kn_net4_mask(net.bits)) == net.base;
}

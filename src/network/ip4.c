#include "network/ip4.h"

#include <stdio.h>

#include "base/num.h"

bool kn_ip4_parse(struct kn_sv text, uint32_t *ret)
{
    uint32_t ip = 0;
    size_t at = 0;
    for (int part = 0; part < 4; part++) {
        size_t digits = 0;
        unsigned n = 0;
        if (part > 0 && (at >= text.len || text.ptr[at++] != '.'))
            return false;
        for (; at < text.len && digits < 3 && text.ptr[at] >= '0' && text.ptr[at] <= '9';
             at++, digits++)
            n = n * 10 + (unsigned)(text.ptr[at] - '0');
        if (digits == 0 || n > 255 || (digits > 1 && text.ptr[at - digits] == '0'))
            return false;
        ip = ip << 8 | n;
    }
    if (at != text.len)
        return false;
    *ret = ip;
    return true;
}

void kn_ip4_format(uint32_t ip, char out[KN_IP4_TEXT])
{
    snprintf(out, KN_IP4_TEXT, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
}

struct kn_status kn_net4_parse(struct kn_sv text, struct kn_net4 *ret)
{
    struct kn_sv rest = text, address = kn_sv_cut(&rest, '/');
    uint32_t ip;
    int64_t bits = 0;
    struct kn_status s = kn_num_parse(rest, 0, 32, &bits);
    bool good = kn_ok(s) && kn_ip4_parse(address, &ip);
    kn_status_done(&s);
    if (!good)
        return kn_error(KN_INVALID, "\"%.*s\" is no IPv4 network: expected a.b.c.d/bits",
                        KN_SV_ARG(text));
    if (ip & ~kn_net4_mask((unsigned)bits))
        return kn_error(KN_INVALID, "the network \"%.*s\" has bits beyond its prefix",
                        KN_SV_ARG(text));
    *ret = (struct kn_net4){ip, (unsigned)bits};
    return KN_STATUS_OK;
}

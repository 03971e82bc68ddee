// Names that are not ours: asked of the resolvers that /etc/resolv.conf names, with a cache of
// their answers. Each question goes out from a port of its own, with a number of its own, by the
// transport that the client used; resolvers are tried one after another.
// Belongs to one loop's thread.
#pragma once
#include "codec/dns.h"
#include "wire/loop.h"

struct kn_dns_forward;

// resolv_conf: path, looked at again when it changes. own: an address that must not be asked (it
// is ours), in the machine's order.
struct kn_dns_forward *kn_dns_forward_new(struct kn_loop *loop, const char *resolv_conf,
                                          uint32_t own);
// Fails what is under way.
void kn_dns_forward_free(struct kn_dns_forward *f);

// response: as it came, with somebody else's id; the empty view when there was none (no resolver,
// no answer in time). Borrowed during the call.
typedef void kn_dns_forward_done(void *arg, struct kn_sv response);
// query: bytes that kn_dns_parse read as m. done is called once, perhaps before this returns.
void kn_dns_forward_ask(struct kn_dns_forward *f, struct kn_sv query, const struct kn_dns_msg *m,
                        bool tcp, kn_dns_forward_done *done, void *arg);

struct kn_dns_forward_stats {
    uint64_t asked, cached, failed;
    size_t kept;
};
void kn_dns_forward_get_stats(const struct kn_dns_forward *f, struct kn_dns_forward_stats *ret);

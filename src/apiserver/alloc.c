#include "apiserver/alloc.h"

#include <arpa/inet.h>

#include "base/crypto.h"
#include "base/num.h"
#include "base/thread.h"

#define PORT_FIRST 30000
#define PORT_LAST 32767
#define PORTS (PORT_LAST - PORT_FIRST + 1)

struct kn_alloc {
    pthread_mutex_t lock; // leaf
    char cidr[32];
    uint32_t base, size; // host order; addresses base + 1 .. base + size - 2 are given
    uint32_t kept;       // the first so many are given only to who asks for them
    uint8_t *ips;        // a bit an address
    uint8_t ports[PORTS / 8 + 1];
};

static bool get(const uint8_t *bits, uint32_t i)
{
    return bits[i / 8] >> (i % 8) & 1;
}

static void set(uint8_t *bits, uint32_t i, bool on)
{
    if (on)
        bits[i / 8] |= (uint8_t)(1u << i % 8);
    else
        bits[i / 8] &= (uint8_t)~(1u << i % 8);
}

static bool parse_ip(struct kn_sv text, uint32_t *ret)
{
    char buf[16];
    struct in_addr in;
    if (text.len == 0 || text.len >= sizeof buf)
        return false;
    memcpy(buf, text.ptr, text.len);
    buf[text.len] = '\0';
    if (inet_pton(AF_INET, buf, &in) != 1)
        return false;
    *ret = ntohl(in.s_addr);
    return true;
}

static void format_ip(uint32_t ip, char out[16])
{
    struct in_addr in = {htonl(ip)};
    inet_ntop(AF_INET, &in, out, 16);
}

struct kn_status kn_alloc_new(struct kn_sv cidr, struct kn_alloc **ret)
{
    ptrdiff_t slash = kn_sv_find(cidr, '/');
    int64_t bits = 0;
    uint32_t base = 0;
    bool good = slash > 0 && parse_ip(kn_sv_first(cidr, (size_t)slash), &base);
    if (good) {
        struct kn_status s = kn_num_parse(kn_sv_from(cidr, (size_t)slash + 1), 8, 30, &bits);
        good = kn_ok(s);
        kn_status_done(&s);
    }
    if (!good)
        return kn_error(KN_INVALID, "\"%.*s\" is no range of service addresses: write it as "
                                    "10.96.0.0/16, with a length of 8 to 30", KN_SV_ARG(cidr));
    struct kn_alloc *a = KN_NEW(struct kn_alloc);
    pthread_mutex_init(&a->lock, NULL);
    snprintf(a->cidr, sizeof a->cidr, "%.*s", KN_SV_ARG(cidr));
    a->size = 1u << (32 - bits);
    a->base = base & ~(a->size - 1);
    uint32_t kept = a->size / 16;
    a->kept = kept < 16 ? (a->size > 32 ? 16 : 0) : kept > 256 ? 256 : kept;
    a->ips = kn_calloc(a->size / 8 + 1, 1);
    set(a->ips, 0, true);
    set(a->ips, a->size - 1, true);
    *ret = a;
    return KN_STATUS_OK;
}

void kn_alloc_free(struct kn_alloc *a)
{
    if (!a)
        return;
    pthread_mutex_destroy(&a->lock);
    free(a->ips);
    free(a);
}

// A free bit in [from, to), beginning at a random one; to: none.
static uint32_t find_free(const uint8_t *bits, uint32_t from, uint32_t to)
{
    uint32_t span = to - from, start;
    if (span == 0)
        return to;
    kn_random(&start, sizeof start);
    start %= span;
    for (uint32_t i = 0; i < span; i++) {
        uint32_t at = from + (start + i) % span;
        if (!get(bits, at))
            return at;
    }
    return to;
}

struct kn_status kn_alloc_ip(struct kn_alloc *a, char out[16])
{
    uint32_t at;
    KN_LOCKED(&a->lock)
    {
        at = find_free(a->ips, a->kept + 1, a->size - 1);
        if (at == a->size - 1) // the free part is used up: the kept one
            at = find_free(a->ips, 1, a->kept + 1);
        if (!get(a->ips, at))
            set(a->ips, at, true);
        else
            at = 0;
    }
    if (at == 0)
        return kn_error(KN_INVALID, "no address of the range %s is free", a->cidr);
    format_ip(a->base + at, out);
    return KN_STATUS_OK;
}

struct kn_status kn_alloc_take_ip(struct kn_alloc *a, struct kn_sv ip)
{
    uint32_t n;
    if (!parse_ip(ip, &n))
        return kn_error(KN_INVALID,
                        "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
    if (n - a->base >= a->size || n == a->base || n == a->base + a->size - 1)
        return kn_error(KN_INVALID, "failed to allocate IP %.*s: the provided IP (%.*s) is not in "
                                    "the valid range. The range of valid IPs is %s",
                        KN_SV_ARG(ip), KN_SV_ARG(ip), a->cidr);
    bool taken;
    KN_LOCKED(&a->lock)
    {
        taken = get(a->ips, n - a->base);
        set(a->ips, n - a->base, true);
    }
    return taken ? kn_error(KN_INVALID,
                            "failed to allocate IP %.*s: provided IP is already allocated",
                            KN_SV_ARG(ip))
                 : KN_STATUS_OK;
}

void kn_alloc_drop_ip(struct kn_alloc *a, struct kn_sv ip)
{
    uint32_t n;
    if (!parse_ip(ip, &n) || n - a->base >= a->size || n == a->base || n == a->base + a->size - 1)
        return;
    KN_LOCKED(&a->lock)
    set(a->ips, n - a->base, false);
}

struct kn_status kn_alloc_port(struct kn_alloc *a, int *ret)
{
    uint32_t at;
    KN_LOCKED(&a->lock)
    {
        at = find_free(a->ports, 86, PORTS); // as upstream: the first 86 are for those who choose
        if (at == PORTS)
            at = find_free(a->ports, 0, 86);
        if (!get(a->ports, at))
            set(a->ports, at, true);
        else
            at = PORTS;
    }
    if (at == PORTS)
        return kn_error(KN_INVALID, "no node port between %d and %d is free", PORT_FIRST,
                        PORT_LAST);
    *ret = PORT_FIRST + (int)at;
    return KN_STATUS_OK;
}

struct kn_status kn_alloc_take_port(struct kn_alloc *a, int64_t port)
{
    if (port < PORT_FIRST || port > PORT_LAST)
        return kn_error(KN_INVALID, "provided port is not in the valid range. The range of valid "
                                    "ports is %d-%d", PORT_FIRST, PORT_LAST);
    bool taken;
    KN_LOCKED(&a->lock)
    {
        taken = get(a->ports, (uint32_t)(port - PORT_FIRST));
        set(a->ports, (uint32_t)(port - PORT_FIRST), true);
    }
    return taken ? kn_error(KN_INVALID, "provided port is already allocated") : KN_STATUS_OK;
}

void kn_alloc_drop_port(struct kn_alloc *a, int64_t port)
{
    if (port < PORT_FIRST || port > PORT_LAST)
        return;
    KN_LOCKED(&a->lock)
    set(a->ports, (uint32_t)(port - PORT_FIRST), false);
}

void kn_alloc_first_ip(const struct kn_alloc *a, char out[16])
{
    format_ip(a->base + 1, out);
}

// Any bytes as a DNS message: what is read can be walked over, aged, and answered, and the answer
// can be read.
#include "codec/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kn_dns_msg m, again;
    struct kn_dns_rr rr;
    struct kn_sv bytes = kn_sv((const char *)data, size);
    struct kn_status s = kn_dns_parse(bytes, &m);
    if (!kn_ok(s)) {
        kn_status_done(&s);
        return 0;
    }
    struct kn_buf copy = KN_BUF(1u << 20), out = KN_BUF(1u << 20);
    struct kn_dns_writer w;
    (void)kn_dns_ttl(bytes, &m);
    kn_buf_add(&copy, bytes);
    kn_dns_age(copy.ptr, copy.len, &m, 7);
    kn_dns_begin(&w, &out, bytes, &m, 1232);
    for (size_t at = 0; kn_dns_next(bytes, &m, &at, &rr);) {
        char name[KN_DNS_TEXT];
        size_t p = rr.data_at;
        if (kn_dns_name(bytes, &p, name))
            kn_dns_put_name(&w, rr.section, kn_sv_c(rr.name), KN_DNS_CNAME, rr.ttl, kn_sv_c(name));
        else
            kn_dns_put(&w, rr.section, kn_sv_c(rr.name), KN_DNS_TXT, rr.ttl, rr.data);
    }
    kn_dns_end(&w, KN_DNS_NOERROR, KN_DNS_AA);
    s = kn_dns_parse(kn_buf_sv(&out), &again);
    // names that are too long for the wire are the only ones that may fail, and none is here
    kn_assert(kn_ok(s) && strcmp(again.name, m.name) == 0);
    kn_buf_done(&copy);
    kn_buf_done(&out);
    return 0;
}

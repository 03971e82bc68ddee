// DNS messages (RFC 1035, RFC 6891 EDNS0, RFC 2782 SRV, RFC 2308 negative answers): reading queries
// and answers, and writing both, with name compression. Pure. Any thread.
//
// Names are text without the final dot: "" is the root. Bytes of a label that are not printable,
// and dots and backslashes in it, are written as \DDD. Names of queries are lower case.
#pragma once
#include "base/buf.h"
#include "base/status.h"

#define KN_DNS_TEXT 1024 // of a name, NUL included: 255 bytes, each at most "\255"
#define KN_DNS_MAX 65535 // of a message

enum kn_dns_type {
    KN_DNS_A = 1,
    KN_DNS_NS = 2,
    KN_DNS_CNAME = 5,
    KN_DNS_SOA = 6,
    KN_DNS_PTR = 12,
    KN_DNS_TXT = 16,
    KN_DNS_AAAA = 28,
    KN_DNS_SRV = 33,
    KN_DNS_OPT = 41,
    KN_DNS_ANY = 255,
};
#define KN_DNS_IN 1

enum kn_dns_rcode {
    KN_DNS_NOERROR = 0,
    KN_DNS_FORMERR = 1,
    KN_DNS_SERVFAIL = 2,
    KN_DNS_NXDOMAIN = 3,
    KN_DNS_NOTIMP = 4,
    KN_DNS_REFUSED = 5,
    KN_DNS_BADVERS = 16,
};

enum kn_dns_flag { // of the second 16 bits
    KN_DNS_QR = 0x8000,
    KN_DNS_OPCODE = 0x7800,
    KN_DNS_AA = 0x0400,
    KN_DNS_TC = 0x0200,
    KN_DNS_RD = 0x0100,
    KN_DNS_RA = 0x0080,
};

// -- reading -----------------------------------------------------------------------------------

// The head of a message, its one question, and what its OPT record says.
struct kn_dns_msg {
    uint16_t id, flags;
    unsigned rcode; // with the upper bits of OPT
    uint16_t type, class;
    char name[KN_DNS_TEXT];
    size_t question_end; // offset of the first byte after the question
    uint16_t counts[4];  // questions, answers, authority, additional
    bool edns, dnssec_ok;
    uint8_t edns_version;
    uint16_t udp_size; // 512 without EDNS
};
// KN_SYNTAX when malformed, when it has not exactly one question, or bytes behind its last record.
// id and flags are set if there were 12 bytes at all (flags then tell whether to answer FORMERR).
struct kn_status kn_dns_parse(struct kn_sv bytes, struct kn_dns_msg *ret);

struct kn_dns_rr {
    char name[KN_DNS_TEXT];
    uint16_t type, class;
    uint32_t ttl;
    size_t ttl_at;       // offset of the TTL in the message
    size_t data_at;      // offset of data, for names in it
    struct kn_sv data;
    unsigned section;    // 1 answers, 2 authority, 3 additional
};
// Walks over the records of a message that kn_dns_parse found good: *at is 0 at first. False at the
// end (or at malformed bytes).
bool kn_dns_next(struct kn_sv bytes, const struct kn_dns_msg *m, size_t *at, struct kn_dns_rr *ret);
// A name in a message (of a record's data, say), at *at, which is moved behind it.
bool kn_dns_name(struct kn_sv bytes, size_t *at, char ret[KN_DNS_TEXT]);
// How long a response may be kept: the smallest TTL of its answers, or for a negative one what the
// SOA record says; 0 if it says nothing.
uint32_t kn_dns_ttl(struct kn_sv bytes, const struct kn_dns_msg *m);
// Takes so many seconds off every TTL (not below 0), in place.
void kn_dns_age(char *bytes, size_t len, const struct kn_dns_msg *m, uint32_t seconds);

// -- writing -----------------------------------------------------------------------------------

void kn_dns_query(struct kn_buf *out, uint16_t id, struct kn_sv name, uint16_t type, bool edns);

// One response. Records go in the order of the sections; what does not fit is left out, and marks
// the response as truncated unless it is additional.
struct kn_dns_writer {
    struct kn_buf *out;
    size_t start, limit;
    uint16_t counts[4];
    uint16_t names[64]; // offsets of names that can be pointed at
    size_t names_len;
    bool truncated;
    const struct kn_dns_msg *query;
};
// Appends header and question of an answer to `query` (the bytes it was read from). limit: bytes of
// the whole, as the transport and the client allow; room for OPT is kept. The buffer allows more.
void kn_dns_begin(struct kn_dns_writer *w, struct kn_buf *out, struct kn_sv query_bytes,
                  const struct kn_dns_msg *query, size_t limit);
// data: A 4 bytes, AAAA 16 bytes, TXT text of at most 255 bytes; others through the functions
// below.
void kn_dns_put(struct kn_dns_writer *w, unsigned section, struct kn_sv name, uint16_t type,
                uint32_t ttl, struct kn_sv data);
// CNAME, PTR, NS.
void kn_dns_put_name(struct kn_dns_writer *w, unsigned section, struct kn_sv name, uint16_t type,
                     uint32_t ttl, struct kn_sv target);
void kn_dns_put_srv(struct kn_dns_writer *w, unsigned section, struct kn_sv name, uint32_t ttl,
                    uint16_t priority, uint16_t weight, uint16_t port, struct kn_sv target);
struct kn_dns_soa {
    struct kn_sv server, mail;
    uint32_t serial, refresh, retry, expire, minimum;
};
void kn_dns_put_soa(struct kn_dns_writer *w, unsigned section, struct kn_sv name, uint32_t ttl,
                    const struct kn_dns_soa *soa);
// flags: KN_DNS_AA, KN_DNS_RA; the others are set by this.
void kn_dns_end(struct kn_dns_writer *w, enum kn_dns_rcode rcode, uint16_t flags);

#include "codec/dns.h"

#include <stdio.h>

#define HEADER 12
#define LABEL_MAX 63
#define WIRE_MAX 255 // of a name
#define OPT_SIZE 11
#define OUR_UDP_SIZE 1232 // what is never fragmented

// -- bytes -----------------------------------------------------------------------------------

static uint16_t get16(const char *p)
{
    return (uint16_t)((uint8_t)p[0] << 8 | (uint8_t)p[1]);
}

static uint32_t get32(const char *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void set16(char *p, uint16_t v)
{
    p[0] = (char)(v >> 8);
    p[1] = (char)v;
}

static void set32(char *p, uint32_t v)
{
    set16(p, (uint16_t)(v >> 16));
    set16(p + 2, (uint16_t)v);
}

static void add16(struct kn_buf *b, uint16_t v)
{
    char p[2];
    set16(p, v);
    kn_buf_add(b, kn_sv(p, 2));
}

static void add32(struct kn_buf *b, uint32_t v)
{
    char p[4];
    set32(p, v);
    kn_buf_add(b, kn_sv(p, 4));
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

// -- reading names ---------------------------------------------------------------------------

static void add_label(char *out, size_t *len, const char *label, size_t n)
{
    if (*len)
        out[(*len)++] = '.';
    for (size_t i = 0; i < n; i++) {
        char c = lower(label[i]);
        if (c > ' ' && c < 127 && c != '.' && c != '\\')
            out[(*len)++] = c;
        else
            *len += (size_t)snprintf(out + *len, 5, "\\%03u", (uint8_t)c);
    }
}

bool kn_dns_name(struct kn_sv bytes, size_t *at, char ret[KN_DNS_TEXT])
{
    size_t p = *at, lowest = *at, total = 0, len = 0;
    bool jumped = false;
    for (;;) {
        if (p >= bytes.len)
            return false;
        uint8_t n = (uint8_t)bytes.ptr[p];
        if ((n & 0xc0) == 0xc0) {
            if (p + 2 > bytes.len)
                return false;
            size_t to = get16(bytes.ptr + p) & 0x3fffu;
            if (!jumped)
                *at = p + 2;
            jumped = true;
            if (to >= lowest) // only backwards: no loops
                return false;
            p = lowest = to;
            continue;
        }
        if (n & 0xc0)
            return false;
        if (n == 0)
            break;
        total += n + 1u;
        if (p + 1 + n > bytes.len || total + 1 > WIRE_MAX)
            return false;
        add_label(ret, &len, bytes.ptr + p + 1, n);
        p += n + 1u;
    }
    ret[len] = '\0';
    if (!jumped)
        *at = p + 1;
    return true;
}

static bool skip_name(struct kn_sv bytes, size_t *at)
{
    while (*at < bytes.len) {
        uint8_t n = (uint8_t)bytes.ptr[*at];
        if ((n & 0xc0) == 0xc0) {
            *at += 2;
            return *at <= bytes.len;
        }
        if (n & 0xc0)
            return false;
        *at += n + 1u;
        if (n == 0)
            return true;
    }
    return false;
}

// -- reading messages ------------------------------------------------------------------------

struct raw_rr {
    uint16_t type, class;
    uint32_t ttl;
    size_t ttl_at, data_at, data_len;
};

// A record whose name has been passed; *at is moved behind it.
static bool read_rr(struct kn_sv bytes, size_t *at, struct raw_rr *r)
{
    if (*at + 10 > bytes.len)
        return false;
    const char *p = bytes.ptr + *at;
    *r = (struct raw_rr){get16(p), get16(p + 2), get32(p + 4), *at + 4, *at + 10, get16(p + 8)};
    *at += 10 + r->data_len;
    return *at <= bytes.len;
}

static void read_opt(const struct raw_rr *r, struct kn_dns_msg *m)
{
    m->edns = true;
    m->udp_size = r->class < 512 ? 512 : r->class;
    m->edns_version = (uint8_t)(r->ttl >> 16);
    m->dnssec_ok = (r->ttl & 0x8000) != 0;
    m->rcode |= (r->ttl >> 24) << 4;
}

struct kn_status kn_dns_parse(struct kn_sv bytes, struct kn_dns_msg *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->flags = KN_DNS_QR; // nobody answers what cannot be read
    ret->udp_size = 512;
    if (bytes.len < HEADER || bytes.len > KN_DNS_MAX)
        return kn_error(KN_SYNTAX, "no DNS message has %zu bytes", bytes.len);
    ret->id = get16(bytes.ptr);
    ret->flags = get16(bytes.ptr + 2);
    ret->rcode = ret->flags & 15u;
    for (int i = 0; i < 4; i++)
        ret->counts[i] = get16(bytes.ptr + 4 + 2 * i);
    size_t at = HEADER, records = (size_t)ret->counts[1] + ret->counts[2] + ret->counts[3];
    if (ret->counts[0] != 1)
        return kn_error(KN_SYNTAX, "%u questions in a DNS message", ret->counts[0]);
    if (!kn_dns_name(bytes, &at, ret->name) || at + 4 > bytes.len)
        return kn_error(KN_SYNTAX, "the question of a DNS message is malformed");
    ret->type = get16(bytes.ptr + at);
    ret->class = get16(bytes.ptr + at + 2);
    ret->question_end = at += 4;
    for (size_t i = 0; i < records; i++) {
        struct raw_rr r;
        if (!skip_name(bytes, &at) || !read_rr(bytes, &at, &r))
            return kn_error(KN_SYNTAX, "record %zu of a DNS message is malformed", i);
        if (r.type == KN_DNS_OPT && !ret->edns)
            read_opt(&r, ret);
    }
    if (at != bytes.len)
        return kn_error(KN_SYNTAX, "%zu bytes follow the last record of a DNS message",
                        bytes.len - at);
    return KN_STATUS_OK;
}

// The section of the record with this index, counted over the whole message.
static unsigned section_of(const struct kn_dns_msg *m, size_t index)
{
    return index < m->counts[1] ? 1 : index < (size_t)m->counts[1] + m->counts[2] ? 2 : 3;
}

bool kn_dns_next(struct kn_sv bytes, const struct kn_dns_msg *m, size_t *at, struct kn_dns_rr *ret)
{
    // the index lies in the upper half of *at, so that a walk needs one number
    size_t index = *at >> 16, p = *at & 0xffff;
    struct raw_rr r;
    if (*at == 0)
        p = m->question_end;
    if (index >= (size_t)m->counts[1] + m->counts[2] + m->counts[3] ||
        !kn_dns_name(bytes, &p, ret->name) || !read_rr(bytes, &p, &r))
        return false;
    ret->type = r.type;
    ret->class = r.class;
    ret->ttl = r.ttl;
    ret->ttl_at = r.ttl_at;
    ret->data_at = r.data_at;
    ret->data = kn_sv(bytes.ptr + r.data_at, r.data_len);
    ret->section = section_of(m, index);
    *at = (index + 1) << 16 | p;
    return true;
}

uint32_t kn_dns_ttl(struct kn_sv bytes, const struct kn_dns_msg *m)
{
    size_t at = m->question_end, records = (size_t)m->counts[1] + m->counts[2];
    uint32_t positive = UINT32_MAX, negative = 0;
    for (size_t i = 0; i < records; i++) {
        struct raw_rr r;
        if (!skip_name(bytes, &at) || !read_rr(bytes, &at, &r))
            return 0;
        if (section_of(m, i) == 1 && r.ttl < positive)
            positive = r.ttl;
        if (section_of(m, i) == 2 && r.type == KN_DNS_SOA && r.data_len >= 20) {
            uint32_t minimum = get32(bytes.ptr + r.data_at + r.data_len - 4);
            negative = r.ttl < minimum ? r.ttl : minimum;
        }
    }
    return m->counts[1] ? positive : negative;
}

void kn_dns_age(char *bytes, size_t len, const struct kn_dns_msg *m, uint32_t seconds)
{
    struct kn_sv view = kn_sv(bytes, len);
    size_t at = m->question_end, records = (size_t)m->counts[1] + m->counts[2] + m->counts[3];
    struct raw_rr r;
    for (size_t i = 0; i < records && skip_name(view, &at) && read_rr(view, &at, &r); i++)
        if (r.type != KN_DNS_OPT)
            set32(bytes + r.ttl_at, r.ttl > seconds ? r.ttl - seconds : 0);
}

// -- writing names ---------------------------------------------------------------------------

// The next label of a name's text as bytes; false at its end or when it is no label.
static bool next_label(struct kn_sv *rest, char label[LABEL_MAX], size_t *ret_len)
{
    size_t n = 0, i = 0;
    for (; i < rest->len && rest->ptr[i] != '.'; i++) {
        char c = rest->ptr[i];
        if (c == '\\' && i + 3 < rest->len) {
            unsigned v = 0;
            for (int k = 1; k <= 3; k++)
                v = v * 10 + (unsigned)(rest->ptr[i + (size_t)k] - '0');
            c = (char)v;
            i += 3;
        }
        if (n == LABEL_MAX)
            return false;
        label[n++] = c;
    }
    *rest = kn_sv_from(*rest, i + 1);
    *ret_len = n;
    return n > 0;
}

// Whether the name at an offset of what was written is this text.
static bool is_name_at(const struct kn_dns_writer *w, size_t offset, struct kn_sv text)
{
    char name[KN_DNS_TEXT];
    struct kn_sv written = kn_sv(w->out->ptr + w->start, w->out->len - w->start);
    return kn_dns_name(written, &offset, name) && kn_sv_ieq(kn_sv_c(name), text);
}

static void add_name(struct kn_dns_writer *w, struct kn_sv name, bool compress)
{
    char label[LABEL_MAX];
    size_t len;
    while (name.len) {
        for (size_t i = 0; compress && i < w->names_len; i++) {
            if (is_name_at(w, w->names[i], name)) {
                add16(w->out, (uint16_t)(0xc000u | w->names[i]));
                return;
            }
        }
        size_t offset = w->out->len - w->start;
        if (w->names_len < sizeof w->names / sizeof *w->names && offset < 0x4000)
            w->names[w->names_len++] = (uint16_t)offset;
        if (!next_label(&name, label, &len))
            break;
        kn_buf_add_byte(w->out, (char)len);
        kn_buf_add(w->out, kn_sv(label, len));
    }
    kn_buf_add_byte(w->out, '\0');
}

// -- writing messages ------------------------------------------------------------------------

void kn_dns_query(struct kn_buf *out, uint16_t id, struct kn_sv name, uint16_t type, bool edns)
{
    struct kn_dns_writer w = {.out = out, .start = out->len};
    add16(out, id);
    add16(out, KN_DNS_RD);
    add16(out, 1);
    add32(out, 0);
    add16(out, edns);
    add_name(&w, name, false);
    add16(out, type);
    add16(out, KN_DNS_IN);
    if (edns)
        kn_buf_add(out, KN_SV("\0\0\x29\x04\xd0\0\0\0\0\0\0"));
}

void kn_dns_begin(struct kn_dns_writer *w, struct kn_buf *out, struct kn_sv query_bytes,
                  const struct kn_dns_msg *query, size_t limit)
{
    static const char header[HEADER];
    *w = (struct kn_dns_writer){.out = out, .start = out->len, .query = query,
                                .limit = limit - (query->edns ? OPT_SIZE : 0)};
    kn_buf_add(out, kn_sv(header, sizeof header));
    if (query->question_end > HEADER) { // as it was asked, in the same case
        kn_buf_add(out, kn_sv(query_bytes.ptr + HEADER, query->question_end - HEADER));
        w->counts[0] = 1;
        w->names[w->names_len++] = HEADER;
    }
}

// Begins a record; returns the place of its length.
static size_t begin_rr(struct kn_dns_writer *w, struct kn_sv name, uint16_t type, uint32_t ttl)
{
    add_name(w, name, true);
    add16(w->out, type);
    add16(w->out, KN_DNS_IN);
    add32(w->out, ttl);
    add16(w->out, 0);
    return w->out->len;
}

struct mark {
    size_t len, names;
};

static struct mark mark(const struct kn_dns_writer *w)
{
    return (struct mark){w->out->len, w->names_len};
}

static void end_rr(struct kn_dns_writer *w, unsigned section, size_t data, struct mark before)
{
    if (w->out->failed || w->out->len - w->start > w->limit) {
        w->out->len = before.len; // what is too much is taken back
        w->names_len = before.names;
        w->truncated = w->truncated || section < 3;
        return;
    }
    set16(w->out->ptr + data - 2, (uint16_t)(w->out->len - data));
    w->counts[section]++;
}

// After the first record that did not fit nothing but additional ones may follow.
static bool is_full(const struct kn_dns_writer *w)
{
    return w->truncated || w->out->failed;
}

void kn_dns_put(struct kn_dns_writer *w, unsigned section, struct kn_sv name, uint16_t type,
                uint32_t ttl, struct kn_sv data)
{
    if (is_full(w))
        return;
    struct mark before = mark(w);
    size_t at = begin_rr(w, name, type, ttl);
    if (type == KN_DNS_TXT)
        kn_buf_add_byte(w->out, (char)(data.len < 255 ? data.len : 255));
    kn_buf_add(w->out, type == KN_DNS_TXT ? kn_sv_first(data, 255) : data);
    end_rr(w, section, at, before);
}

void kn_dns_put_name(struct kn_dns_writer *w, unsigned section, struct kn_sv name, uint16_t type,
                     uint32_t ttl, struct kn_sv target)
{
    if (is_full(w))
        return;
    struct mark before = mark(w);
    size_t at = begin_rr(w, name, type, ttl);
    add_name(w, target, true);
    end_rr(w, section, at, before);
}

void kn_dns_put_srv(struct kn_dns_writer *w, unsigned section, struct kn_sv name, uint32_t ttl,
                    uint16_t priority, uint16_t weight, uint16_t port, struct kn_sv target)
{
    if (is_full(w))
        return;
    struct mark before = mark(w);
    size_t at = begin_rr(w, name, KN_DNS_SRV, ttl);
    add16(w->out, priority);
    add16(w->out, weight);
    add16(w->out, port);
    add_name(w, target, false); // RFC 2782 says so
    end_rr(w, section, at, before);
}

void kn_dns_put_soa(struct kn_dns_writer *w, unsigned section, struct kn_sv name, uint32_t ttl,
                    const struct kn_dns_soa *soa)
{
    if (is_full(w))
        return;
    struct mark before = mark(w);
    size_t at = begin_rr(w, name, KN_DNS_SOA, ttl);
    add_name(w, soa->server, true);
    add_name(w, soa->mail, true);
    add32(w->out, soa->serial);
    add32(w->out, soa->refresh);
    add32(w->out, soa->retry);
    add32(w->out, soa->expire);
    add32(w->out, soa->minimum);
    end_rr(w, section, at, before);
}

void kn_dns_end(struct kn_dns_writer *w, enum kn_dns_rcode rcode, uint16_t flags)
{
    if (w->query->edns) {
        kn_buf_add_byte(w->out, '\0');
        add16(w->out, KN_DNS_OPT);
        add16(w->out, OUR_UDP_SIZE);
        add32(w->out, (uint32_t)rcode >> 4 << 24);
        add16(w->out, 0);
        w->counts[3]++;
    }
    if (w->out->failed || w->out->len < w->start + HEADER)
        return;
    char *p = w->out->ptr + w->start;
    set16(p, w->query->id);
    set16(p + 2, (uint16_t)(KN_DNS_QR | (w->query->flags & (KN_DNS_OPCODE | KN_DNS_RD)) | flags |
                            (w->truncated ? KN_DNS_TC : 0) | ((unsigned)rcode & 15)));
    for (int i = 0; i < 4; i++)
        set16(p + 4 + 2 * i, w->counts[i]);
}

#include "network/nft.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/process.h"

#define SEND_BUFFER (16 << 20)
#define TRANSACTION_MAX 8000 // changes; a message of an element is under 100 bytes
#define MESSAGE_ELEMS 400    // the list of elements is one attribute, of at most 64 KiB
#define NFT_PATIENCE (30 * KN_SECOND)

enum data_kind { NONE, VALUE, WAY, END };

static const struct set_row {
    const char *name;
    uint8_t key, data; // bytes
    enum data_kind kind;
} sets[KN_NFT_SETS] = {
    [KN_NFT_EP] = {"ep", 8, 8, VALUE},
    [KN_NFT_EP_STICKY] = {"ep_sticky", 8, 8, VALUE},
    [KN_NFT_PICK] = {"pick", 8, 4, VALUE},
    [KN_NFT_BALANCE] = {"balance", 4, 8, WAY},
    [KN_NFT_GUARDED] = {"guarded", 12, 0, NONE},
    [KN_NFT_ALLOWED] = {"allowed", 16, 4, END},
    [KN_NFT_VIP] = {"vip", 12, 4, VALUE},
    [KN_NFT_VIP_EXT] = {"vip_ext", 12, 4, VALUE},
    [KN_NFT_PORT] = {"port", 8, 4, VALUE},
    [KN_NFT_PORT_EXT] = {"port_ext", 8, 4, VALUE},
    [KN_NFT_REFUSED] = {"refused", 12, 0, NONE},
    [KN_NFT_REFUSED_PORT] = {"refused_port", 8, 0, NONE},
    [KN_NFT_HAIRPIN] = {"hairpin", 8, 0, NONE},
    [KN_NFT_HOSTPORT] = {"hostport", 8, 8, VALUE},
    [KN_NFT_HOSTPORT_IP] = {"hostport_ip", 12, 8, VALUE},
};

// -- ways and elements -----------------------------------------------------------------------

void kn_nft_way_chain(struct kn_nft_way way, char out[KN_NFT_CHAIN_TEXT])
{
    if (way.timeout)
        snprintf(out, KN_NFT_CHAIN_TEXT, "lb%u_%u", way.slots, way.timeout);
    else
        snprintf(out, KN_NFT_CHAIN_TEXT, "lb%u", way.slots);
}

static bool parse_way(struct kn_sv chain, struct kn_nft_way *ret)
{
    int64_t slots = 0, timeout = 0;
    if (!kn_sv_starts(chain, KN_SV("lb")))
        return false;
    struct kn_sv rest = kn_sv_from(chain, 2), first = kn_sv_cut(&rest, '_');
    struct kn_status a = kn_num_parse(first, 1, UINT32_MAX, &slots);
    struct kn_status b = rest.ptr ? kn_num_parse(rest, 1, UINT32_MAX, &timeout) : KN_STATUS_OK;
    bool good = kn_ok(a) && kn_ok(b);
    kn_status_done(&a);
    kn_status_done(&b);
    *ret = (struct kn_nft_way){(uint32_t)slots, (uint32_t)timeout};
    return good;
}

int kn_nft_elem_cmp(const struct kn_nft_elem *a, const struct kn_nft_elem *b)
{
    return a->set != b->set ? a->set - b->set : memcmp(a->key, b->key, sizeof a->key);
}

static int compare(const void *a, const void *b)
{
    return kn_nft_elem_cmp(a, b);
}

void kn_nft_elems_sort(struct kn_nft_elems *e)
{
    if (e->len)
        qsort(e->ptr, e->len, sizeof *e->ptr, compare);
}

static int compare_back(const void *a, const void *b)
{
    return kn_nft_elem_cmp(b, a);
}

// -- messages --------------------------------------------------------------------------------

struct kn_status kn_nft_open(struct kn_nl *ret)
{
    int size = SEND_BUFFER;
    KN_TRY(kn_nl_open(NETLINK_NETFILTER, -1, ret));
    (void)setsockopt(ret->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    (void)setsockopt(ret->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    return KN_STATUS_OK;
}

static void begin(struct kn_nl_msg *m, unsigned type, uint16_t flags)
{
    struct nfgenmsg g = {.nfgen_family = NFPROTO_IPV4, .version = NFNETLINK_V0};
    kn_nl_begin(m, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, &g, sizeof g);
}

static void put_value(struct kn_nl_msg *m, uint16_t type, const uint8_t *bytes, size_t len)
{
    size_t nest = kn_nl_nest(m, type);
    kn_nl_put(m, NFTA_DATA_VALUE, bytes, len);
    kn_nl_nest_end(m, nest);
}

static void put_way(struct kn_nl_msg *m, const struct kn_nft_elem *e)
{
    struct kn_nft_way way;
    char chain[KN_NFT_CHAIN_TEXT];
    memcpy(&way, e->data, sizeof way);
    size_t nest = kn_nl_nest(m, NFTA_SET_ELEM_DATA);
    size_t verdict = kn_nl_nest(m, NFTA_DATA_VERDICT);
    kn_nl_put_be32(m, NFTA_VERDICT_CODE, way.slots ? (uint32_t)NFT_GOTO : NF_DROP);
    if (way.slots) {
        kn_nft_way_chain(way, chain);
        kn_nl_put_str(m, NFTA_VERDICT_CHAIN, kn_sv_c(chain));
    }
    kn_nl_nest_end(m, verdict);
    kn_nl_nest_end(m, nest);
}

static void put_elem(struct kn_nl_msg *m, const struct kn_nft_elem *e, bool add)
{
    const struct set_row *row = &sets[e->set];
    size_t nest = kn_nl_nest(m, NFTA_LIST_ELEM);
    put_value(m, NFTA_SET_ELEM_KEY, e->key, row->key);
    if (row->kind == END) {
        uint8_t end[sizeof e->key];
        memcpy(end, e->key, sizeof end);
        memcpy(end + 12, e->data, 4);
        put_value(m, NFTA_SET_ELEM_KEY_END, end, row->key);
    }
    if (add && row->kind == VALUE)
        put_value(m, NFTA_SET_ELEM_DATA, e->data, row->data);
    if (add && row->kind == WAY)
        put_way(m, e);
    kn_nl_nest_end(m, nest);
}

// Elements of one set become one message, up to what fits into an attribute. Returns how many
// elements it took.
static size_t put_message(struct kn_nl_msg *m, const struct kn_nft_elem *e, size_t len, bool add)
{
    size_t n = 0;
    begin(m, add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM, add ? NLM_F_CREATE : 0);
    kn_nl_put_str(m, NFTA_SET_ELEM_LIST_TABLE, KN_SV(KN_NFT_TABLE));
    kn_nl_put_str(m, NFTA_SET_ELEM_LIST_SET, kn_sv_c(sets[e->set].name));
    size_t list = kn_nl_nest(m, NFTA_SET_ELEM_LIST_ELEMENTS);
    for (; n < len && n < MESSAGE_ELEMS && e[n].set == e->set; n++)
        put_elem(m, &e[n], add);
    kn_nl_nest_end(m, list);
    kn_nl_end(m);
    return n;
}

// -- chains ----------------------------------------------------------------------------------

struct word {
    uint16_t type;
    uint32_t value;
};

// An expression of a rule. Names of sets have the same attribute in all of them.
static void put_expr(struct kn_nl_msg *m, const char *name, const char *set,
                     const struct word *words, size_t len)
{
    _Static_assert((int)NFTA_LOOKUP_SET == (int)NFTA_DYNSET_SET_NAME,
                   "one attribute for the set's name");
    size_t elem = kn_nl_nest(m, NFTA_LIST_ELEM);
    kn_nl_put_str(m, NFTA_EXPR_NAME, kn_sv_c(name));
    size_t data = kn_nl_nest(m, NFTA_EXPR_DATA);
    if (set)
        kn_nl_put_str(m, NFTA_LOOKUP_SET, kn_sv_c(set));
    for (size_t i = 0; i < len; i++)
        kn_nl_put_be32(m, words[i].type, words[i].value);
    kn_nl_nest_end(m, data);
    kn_nl_nest_end(m, elem);
}
#define PUT_EXPR(m, name, set, ...)                                                                \
    put_expr(m, name, set, (const struct word[]){__VA_ARGS__},                                     \
             sizeof((const struct word[]){__VA_ARGS__}) / sizeof(struct word))

// Registers: the second is the second word of the first, so that a key of two words begins in the
// first; the other lies apart.
enum { FIRST = NFT_REG_1, SECOND = NFT_REG32_01, OTHER = NFT_REG_2 };

static void put_mark(struct kn_nl_msg *m, uint32_t to)
{
    PUT_EXPR(m, "meta", NULL, {NFTA_META_KEY, NFT_META_MARK}, {NFTA_META_DREG, to});
}

static void put_random(struct kn_nl_msg *m, uint32_t to, uint32_t modulus)
{
    PUT_EXPR(m, "numgen", NULL, {NFTA_NG_DREG, to}, {NFTA_NG_MODULUS, modulus},
             {NFTA_NG_TYPE, NFT_NG_RANDOM}, {NFTA_NG_OFFSET, 0});
}

static void put_map(struct kn_nl_msg *m, const char *set)
{
    PUT_EXPR(m, "lookup", set, {NFTA_LOOKUP_SREG, FIRST}, {NFTA_LOOKUP_DREG, FIRST});
}

static void put_ct_mark(struct kn_nl_msg *m, bool write, uint32_t reg)
{
    PUT_EXPR(m, "ct", NULL, {NFTA_CT_KEY, NFT_CT_MARK}, {write ? NFTA_CT_SREG : NFTA_CT_DREG, reg});
}

static void put_dnat(struct kn_nl_msg *m)
{
    PUT_EXPR(m, "nat", NULL, {NFTA_NAT_TYPE, NFT_NAT_DNAT}, {NFTA_NAT_FAMILY, NFPROTO_IPV4},
             {NFTA_NAT_REG_ADDR_MIN, FIRST}, {NFTA_NAT_REG_ADDR_MAX, FIRST},
             {NFTA_NAT_REG_PROTO_MIN, SECOND}, {NFTA_NAT_REG_PROTO_MAX, SECOND});
}

// The key of @sticky: the caller's address, the service's id.
static void put_caller(struct kn_nl_msg *m)
{
    PUT_EXPR(m, "payload", NULL, {NFTA_PAYLOAD_DREG, FIRST},
             {NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER}, {NFTA_PAYLOAD_OFFSET, 12},
             {NFTA_PAYLOAD_LEN, 4});
    put_mark(m, SECOND);
}

static void put_sticky(struct kn_nl_msg *m, uint32_t op, uint32_t timeout)
{
    put_caller(m);
    put_ct_mark(m, false, OTHER);
    size_t elem = kn_nl_nest(m, NFTA_LIST_ELEM);
    kn_nl_put_str(m, NFTA_EXPR_NAME, KN_SV("dynset"));
    size_t data = kn_nl_nest(m, NFTA_EXPR_DATA);
    kn_nl_put_str(m, NFTA_DYNSET_SET_NAME, KN_SV("sticky"));
    kn_nl_put_be32(m, NFTA_DYNSET_OP, op);
    kn_nl_put_be32(m, NFTA_DYNSET_SREG_KEY, FIRST);
    kn_nl_put_be32(m, NFTA_DYNSET_SREG_DATA, OTHER);
    if (timeout)
        kn_nl_put_be64(m, NFTA_DYNSET_TIMEOUT, timeout * UINT64_C(1000)); // ms
    kn_nl_nest_end(m, data);
    kn_nl_nest_end(m, elem);
}

// The rules of a way. A rule ends where a lookup finds nothing, and the next one goes on.
static void put_rule(struct kn_nl_msg *m, struct kn_nft_way way, unsigned step)
{
    switch (step) {
    case 0: // without affinity: dnat ip to meta mark . numgen random mod N map @ep
        put_mark(m, FIRST);
        put_random(m, SECOND, way.slots);
        put_map(m, "ep");
        put_dnat(m);
        break;
    case 1: // ct mark set meta mark . numgen random mod N map @pick
        put_mark(m, FIRST);
        put_random(m, SECOND, way.slots);
        put_map(m, "pick");
        put_ct_mark(m, true, FIRST);
        break;
    case 2: // update @sticky { ip saddr . meta mark timeout T : ct mark }
        put_sticky(m, NFT_DYNSET_OP_UPDATE, way.timeout);
        break;
    case 3: // ct mark set ip saddr . meta mark map @sticky
        put_caller(m);
        put_map(m, "sticky");
        put_ct_mark(m, true, FIRST);
        break;
    case 4: // dnat ip to meta mark . ct mark map @ep_sticky
        put_mark(m, FIRST);
        put_ct_mark(m, false, SECOND);
        put_map(m, "ep_sticky");
        put_dnat(m);
        break;
    default: // delete @sticky { ip saddr . meta mark : ct mark }
        put_sticky(m, NFT_DYNSET_OP_DELETE, 0);
        break;
    }
}

// With affinity a choice is made, and kept only if the caller has none: `update` leaves the data of
// what is there and renews its time. If the endpoint that is remembered has gone, the caller is
// forgotten and chosen for anew. The endpoint passes through ct mark, which post_service wipes.
// Not through nft: version 1.0.6 cannot read back the types of these maps when a rule is added to a
// table that is there, and starting it costs milliseconds.
static void put_way_chain(struct kn_nl_msg *m, struct kn_nft_way way)
{
    static const uint8_t plain[] = {0}, sticky[] = {1, 2, 3, 4, 5, 1, 2, 3, 4};
    const uint8_t *steps = way.timeout ? sticky : plain;
    char chain[KN_NFT_CHAIN_TEXT];
    kn_nft_way_chain(way, chain);
    begin(m, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL);
    kn_nl_put_str(m, NFTA_CHAIN_TABLE, KN_SV(KN_NFT_TABLE));
    kn_nl_put_str(m, NFTA_CHAIN_NAME, kn_sv_c(chain));
    kn_nl_end(m);
    for (size_t i = 0; i < (way.timeout ? sizeof sticky : sizeof plain); i++) {
        begin(m, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
        kn_nl_put_str(m, NFTA_RULE_TABLE, KN_SV(KN_NFT_TABLE));
        kn_nl_put_str(m, NFTA_RULE_CHAIN, kn_sv_c(chain));
        size_t list = kn_nl_nest(m, NFTA_RULE_EXPRESSIONS);
        put_rule(m, way, steps[i]);
        kn_nl_nest_end(m, list);
        kn_nl_end(m);
    }
}

// -- transactions ----------------------------------------------------------------------------

struct kn_status kn_nft_commit(struct kn_nl *nl, const struct kn_nft_ways *ways,
                               struct kn_nft_elems *remove, struct kn_nft_elems *add)
{
    struct kn_status s = KN_STATUS_OK;
    struct kn_nl_msg m = KN_NL_MSG(SEND_BUFFER / 2);
    if (remove->len)
        qsort(remove->ptr, remove->len, sizeof *remove->ptr, compare_back);
    kn_nft_elems_sort(add);
    for (size_t r = 0, a = 0; kn_ok(s) && (r < remove->len || a < add->len);) {
        size_t from = r + a;
        kn_nl_batch_begin(&m, NFNL_SUBSYS_NFTABLES);
        for (size_t i = 0; from == 0 && i < ways->len; i++)
            put_way_chain(&m, ways->ptr[i]);
        while (r < remove->len && r + a - from < TRANSACTION_MAX)
            r += put_message(&m, remove->ptr + r, remove->len - r, false);
        while (r == remove->len && a < add->len && r + a - from < TRANSACTION_MAX)
            a += put_message(&m, add->ptr + a, add->len - a, true);
        kn_nl_batch_end(&m, NFNL_SUBSYS_NFTABLES);
        s = kn_nl_send(nl, &m, "change elements of nftables");
        kn_nl_msg_done(&m);
    }
    return s;
}

// -- dumps -----------------------------------------------------------------------------------

struct dump {
    enum kn_nft_set set;
    struct kn_nft_elems *out;
};

static void copy_bytes(uint8_t *to, size_t room, struct kn_sv nested)
{
    struct kn_sv value = kn_nl_attr_get(nested, NFTA_DATA_VALUE);
    if (value.len)
        memcpy(to, value.ptr, value.len < room ? value.len : room);
}

// False for an element that is none of ours (the end marker of an interval, a foreign chain).
static bool read_elem(enum kn_nft_set set, struct kn_sv attrs, struct kn_nft_elem *e)
{
    memset(e, 0, sizeof *e);
    e->set = (uint8_t)set;
    copy_bytes(e->key, sizeof e->key, kn_nl_attr_get(attrs, NFTA_SET_ELEM_KEY));
    struct kn_sv data = kn_nl_attr_get(attrs, NFTA_SET_ELEM_DATA);
    if (sets[set].kind == VALUE)
        copy_bytes(e->data, sizeof e->data, data);
    if (sets[set].kind == END) {
        uint8_t end[16] = {0};
        copy_bytes(end, sizeof end, kn_nl_attr_get(attrs, NFTA_SET_ELEM_KEY_END));
        memcpy(e->data, end + 12, 4);
    }
    if (sets[set].kind == WAY) {
        struct kn_nft_way way = {0};
        struct kn_sv verdict = kn_nl_attr_get(data, NFTA_DATA_VERDICT);
        struct kn_sv chain = kn_nl_attr_str(kn_nl_attr_get(verdict, NFTA_VERDICT_CHAIN));
        if (chain.len && !parse_way(chain, &way))
            return false;
        memcpy(e->data, &way, sizeof way);
    }
    return true;
}

static struct kn_status see_elems(void *arg, uint16_t type, struct kn_sv payload)
{
    struct dump *d = arg;
    if ((type & 0xff) != NFT_MSG_NEWSETELEM)
        return KN_STATUS_OK;
    struct kn_sv list = kn_nl_attr_get(kn_sv_from(payload, NLMSG_ALIGN(sizeof(struct nfgenmsg))),
                                       NFTA_SET_ELEM_LIST_ELEMENTS);
    struct kn_nl_attr a;
    struct kn_nft_elem e;
    while (kn_nl_attr_next(&list, &a))
        if (read_elem(d->set, a.data, &e))
            KN_VEC_PUSH(d->out, e);
    return KN_STATUS_OK;
}

struct kn_status kn_nft_dump(struct kn_nl *nl, enum kn_nft_set set, struct kn_nft_elems *ret)
{
    size_t before = ret->len;
    struct dump d = {set, ret};
    struct kn_status s;
    for (int tries = 0;; tries++) {
        struct kn_nl_msg m = KN_NL_MSG(4096);
        begin(&m, NFT_MSG_GETSETELEM, NLM_F_DUMP);
        kn_nl_put_str(&m, NFTA_SET_ELEM_LIST_TABLE, KN_SV(KN_NFT_TABLE));
        kn_nl_put_str(&m, NFTA_SET_ELEM_LIST_SET, kn_sv_c(sets[set].name));
        kn_nl_end(&m);
        s = kn_nl_dump(nl, &m, "list elements of nftables", see_elems, &d);
        kn_nl_msg_done(&m);
        if (s.code != KN_CONFLICT || tries == 10) // KN_CONFLICT: something changed meanwhile
            return s;
        kn_status_done(&s);
        ret->len = before;
    }
}

struct chain_visit {
    void (*each)(void *arg, struct kn_sv name);
    void *arg;
    bool any;
};

static struct kn_status see_chain(void *arg, uint16_t type, struct kn_sv payload)
{
    struct chain_visit *v = arg;
    if ((type & 0xff) != NFT_MSG_NEWCHAIN)
        return KN_STATUS_OK;
    struct kn_sv attrs = kn_sv_from(payload, NLMSG_ALIGN(sizeof(struct nfgenmsg)));
    if (!kn_sv_is(kn_nl_attr_str(kn_nl_attr_get(attrs, NFTA_CHAIN_TABLE)), KN_NFT_TABLE))
        return KN_STATUS_OK;
    v->any = true;
    v->each(v->arg, kn_nl_attr_str(kn_nl_attr_get(attrs, NFTA_CHAIN_NAME)));
    return KN_STATUS_OK;
}

struct kn_status kn_nft_chains(struct kn_nl *nl, void (*each)(void *arg, struct kn_sv name),
                               void *arg)
{
    struct kn_nl_msg m = KN_NL_MSG(4096);
    struct chain_visit v = {each, arg, false};
    begin(&m, NFT_MSG_GETCHAIN, NLM_F_DUMP);
    kn_nl_end(&m);
    struct kn_status s = kn_nl_dump(nl, &m, "list the chains of nftables", see_chain, &v);
    kn_nl_msg_done(&m);
    KN_TRY(s);
    return v.any ? KN_STATUS_OK : kn_error(KN_NOT_FOUND, "nftables has no table " KN_NFT_TABLE);
}

// -- text and tables -------------------------------------------------------------------------

struct kn_status kn_nft_run(struct kn_sv text)
{
    const char *const argv[] = {"nft", "-f", "-", NULL};
    return kn_wrap(kn_process_run(argv, text, NULL, kn_mono() + NFT_PATIENCE),
                   "write rules with nft");
}

struct kn_status kn_nft_remove_table(struct kn_nl *nl)
{
    struct kn_nl_msg m = KN_NL_MSG(4096);
    kn_nl_batch_begin(&m, NFNL_SUBSYS_NFTABLES);
    begin(&m, NFT_MSG_DELTABLE, 0);
    kn_nl_put_str(&m, NFTA_TABLE_NAME, KN_SV(KN_NFT_TABLE));
    kn_nl_end(&m);
    kn_nl_batch_end(&m, NFNL_SUBSYS_NFTABLES);
    struct kn_status s = kn_nl_send(nl, &m, "remove our table from nftables");
    kn_nl_msg_done(&m);
    if (s.code == KN_NOT_FOUND)
        kn_status_done(&s);
    return s;
}

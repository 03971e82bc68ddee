#include "network/service_view.h"

#include "lib/ktest.h"
#include "network/ip4.h"
#include "network/service_books.h"
#include "network/service_frame.h"

// -- what a service needs, as text -----------------------------------------------------------

static uint32_t number(void *ctx, struct kn_sv port, const struct kn_nft_elem *vip)
{
    (void)port, (void)vip;
    return ++*(uint32_t *)ctx;
}

static void add_place(struct kn_buf *b, const uint8_t *ip, const uint8_t *port)
{
    kn_buf_addf(b, "%u.%u.%u.%u:%u", ip[0], ip[1], ip[2], ip[3], port[0] << 8 | port[1]);
}

static void add_id(struct kn_buf *b, const uint8_t *bytes)
{
    uint32_t id;
    memcpy(&id, bytes, 4);
    kn_buf_addf(b, "%c%u%s", "CXL?"[id >> 22 & 3], id & (KN_SERVICE_NUMBERS - 1),
                id & KN_SERVICE_STICKY ? "s" : "");
}

static void describe(struct kn_buf *b, const struct kn_nft_elem *e)
{
    static const char *const names[] = {"ep", "eps", "pick", "lb", "guard", "allow", "vip", "vipx",
                                        "port", "portx", "no", "noport"};
    uint32_t n;
    struct kn_nft_way way;
    kn_buf_addf(b, "%s ", names[e->set]);
    switch ((enum kn_nft_set)e->set) {
    case KN_NFT_EP:
    case KN_NFT_PICK:
        add_id(b, e->key);
        memcpy(&n, e->key + 4, 4);
        kn_buf_addf(b, ".%u", n);
        if (e->set == KN_NFT_EP) {
            kn_buf_add_byte(b, '=');
            add_place(b, e->data, e->data + 4);
        }
        break;
    case KN_NFT_EP_STICKY:
        add_id(b, e->key);
        kn_buf_add_byte(b, '=');
        add_place(b, e->data, e->data + 4);
        break;
    case KN_NFT_BALANCE:
        add_id(b, e->key);
        memcpy(&way, e->data, sizeof way);
        kn_buf_addf(b, "=%u/%u", way.slots, way.timeout);
        break;
    case KN_NFT_PORT:
    case KN_NFT_PORT_EXT:
    case KN_NFT_REFUSED_PORT:
        kn_buf_addf(b, "%u:%u", e->key[0], e->key[4] << 8 | e->key[5]);
        break;
    case KN_NFT_GUARDED:
    case KN_NFT_ALLOWED:
    case KN_NFT_VIP:
    case KN_NFT_VIP_EXT:
    case KN_NFT_REFUSED:
    case KN_NFT_HAIRPIN:
    case KN_NFT_HOSTPORT:
    case KN_NFT_HOSTPORT_IP:
    case KN_NFT_SETS:
        kn_buf_addf(b, "%u:", e->key[4]);
        add_place(b, e->key, e->key + 8);
        break;
    }
    if (e->set == KN_NFT_VIP || e->set == KN_NFT_VIP_EXT || e->set == KN_NFT_PORT ||
        e->set == KN_NFT_PORT_EXT) {
        kn_buf_addc(b, ">");
        add_id(b, e->data);
    }
    kn_buf_addc(b, "\n");
}

// spec and endpoints are what lies between the braces.
static const char *elems_of(const char *metadata, const char *spec, const char *endpoints)
{
    static struct kn_buf out = {.max = 1u << 20};
    struct kn_buf text = KN_BUF(1u << 16);
    const struct kn_obj *service, *slice;
    struct kn_nft_elems elems = {0};
    uint32_t counter = 0;
    kn_buf_addf(
        &text,
        "{\"metadata\":{\"name\":\"web\",\"namespace\":\"x\",\"uid\":\"1\"%s},\"spec\":{%s}}",
        metadata, spec);
    ktest_ok(kn_obj_parse(kn_buf_sv(&text), &service));
    kn_buf_clear(&text);
    text.len = 0;
    kn_buf_addf(&text,
                "{\"metadata\":{\"name\":\"web-1\",\"namespace\":\"x\",\"uid\":\"2\"},"
                "\"addressType\":\"IPv4\","
                "\"ports\":[{\"name\":\"http\",\"port\":8080},{\"name\":\"dns\",\"protocol\":"
                "\"UDP\",\"port\":5353}],"
                "\"endpoints\":[%s]}",
                endpoints);
    ktest_ok(kn_obj_parse(kn_buf_sv(&text), &slice));
    struct kn_service_input in = {.service = service,
                                  .slices = &slice,
                                  .slices_len = 1,
                                  .node = KN_SV("me"),
                                  .number = number,
                                  .ctx = &counter};
    kn_service_elems(&in, &elems);
    out.len = 0;
    kn_buf_clear(&out);
    for (size_t i = 0; i < elems.len; i++)
        describe(&out, &elems.ptr[i]);
    KN_VEC_DONE(&elems);
    kn_obj_unref(service);
    kn_obj_unref(slice);
    kn_buf_done(&text);
    return kn_buf_cstr(&out);
}

#define READY                                                                                      \
    "{\"addresses\":[\"10.1.0.1\"],\"nodeName\":\"me\"},{\"addresses\":[\"10.1.0.2\"],"            \
    "\"nodeName\":\"you\"}"
#define PORTS "\"ports\":[{\"name\":\"http\",\"port\":80}]"

KTEST(a_service_becomes_the_elements_that_it_needs)
{
    static const struct {
        const char *what, *metadata, *spec, *endpoints, *want;
    } cases[] = {
        {"cluster address", "", "\"clusterIP\":\"10.96.0.7\"," PORTS, READY,
         "ep C1.0=10.1.0.1:8080\nep C1.1=10.1.0.2:8080\nlb C1=2/0\nvip 6:10.96.0.7:80>C1\n"},
        {"no endpoints", "", "\"clusterIP\":\"10.96.0.7\"," PORTS, "", "no 6:10.96.0.7:80\n"},
        {"headless", "", "\"clusterIP\":\"None\"," PORTS, READY, ""},
        {"an alias", "", "\"type\":\"ExternalName\",\"externalName\":\"x\"," PORTS, READY, ""},
        {"another proxy's", ",\"labels\":{\"service.kubernetes.io/service-proxy-name\":\"mine\"}",
         "\"clusterIP\":\"10.96.0.7\"," PORTS, READY, ""},
        {"a port without a match", "",
         "\"clusterIP\":\"10.96.0.7\",\"ports\":[{\"name\":\"other\",\"port\":80}]", READY,
         "no 6:10.96.0.7:80\n"},
        {"UDP", "",
         "\"clusterIP\":\"10.96.0.7\",\"ports\":[{\"name\":\"dns\",\"protocol\":\"UDP\",\"port\":"
         "53}]",
         "{\"addresses\":[\"10.1.0.1\"]}",
         "ep C1.0=10.1.0.1:5353\nlb C1=1/0\nvip 17:10.96.0.7:53>C1\n"},
        {"ending endpoints serve when there are no others", "",
         "\"clusterIP\":\"10.96.0.7\"," PORTS,
         "{\"addresses\":[\"10.1.0.1\"],\"conditions\":{\"ready\":false,\"serving\":true,"
         "\"terminating\":true}},"
         "{\"addresses\":[\"10.1.0.2\"],\"conditions\":{\"ready\":false,\"serving\":false,"
         "\"terminating\":true}}",
         "ep C1.0=10.1.0.1:8080\nlb C1=1/0\nvip 6:10.96.0.7:80>C1\n"},
        {"addresses that no honest endpoint has", "", "\"clusterIP\":\"10.96.0.7\"," PORTS,
         "{\"addresses\":[\"127.0.0.1\"]},{\"addresses\":[\"169.254.169.254\"]},{\"addresses\":["
         "\"224.0.0.1\"]}",
         "no 6:10.96.0.7:80\n"},
        {"a node port", "",
         "\"clusterIP\":\"10.96.0.7\",\"ports\":[{\"name\":\"http\",\"port\":80,\"nodePort\":31000}"
         "]",
         "{\"addresses\":[\"10.1.0.1\"]}",
         "ep C1.0=10.1.0.1:8080\nep X1.0=10.1.0.1:8080\nlb C1=1/0\nlb X1=1/0\nvip "
         "6:10.96.0.7:80>C1\nport 6:31000>X1\n"},
        {"externalTrafficPolicy Local without an endpoint here is a drop for callers from outside",
         "",
         "\"clusterIP\":\"10.96.0.7\",\"externalTrafficPolicy\":\"Local\",\"ports\":[{\"name\":"
         "\"http\",\"port\":80,"
         "\"nodePort\":31000}]",
         "{\"addresses\":[\"10.1.0.2\"],\"nodeName\":\"you\"}",
         "ep C1.0=10.1.0.2:8080\nep X1.0=10.1.0.2:8080\nlb C1=1/0\nlb X1=1/0\nlb L1=0/0\nvip "
         "6:10.96.0.7:80>C1\n"
         "port 6:31000>X1\nportx 6:31000>L1\n"},
        {"internalTrafficPolicy Local", "",
         "\"clusterIP\":\"10.96.0.7\",\"internalTrafficPolicy\":\"Local\"," PORTS, READY,
         "ep C1.0=10.1.0.1:8080\nlb C1=1/0\nvip 6:10.96.0.7:80>C1\n"},
        {"affinity, the timeout rounded up", "",
         "\"clusterIP\":\"10.96.0.7\",\"sessionAffinity\":\"ClientIP\",\"sessionAffinityConfig\":{"
         "\"clientIP\":{"
         "\"timeoutSeconds\":61}}," PORTS,
         "{\"addresses\":[\"10.1.0.1\"]}",
         "eps C1s=10.1.0.1:8080\npick C1s.0\nlb C1s=1/70\nvip 6:10.96.0.7:80>C1s\n"},
        {"ports out of range", "",
         "\"clusterIP\":\"10.96.0.7\",\"ports\":[{\"name\":\"http\",\"port\":0},{\"name\":\"http\","
         "\"port\":65536},{\"name\":\"http\",\"port\":\"x\"}]",
         READY, ""},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        const char *got = elems_of(cases[i].metadata, cases[i].spec, cases[i].endpoints);
        if (strcmp(got, cases[i].want) != 0)
            print_error("%s\n", cases[i].what);
        ktest_eq_str(got, cases[i].want);
    }
}

// -- books -----------------------------------------------------------------------------------

static struct kn_nft_elem vip(uint32_t ip, uint32_t id)
{
    struct kn_nft_elem e = kn_service_place(KN_NFT_VIP, ip, 6, 80);
    memcpy(e.data, &id, 4);
    return e;
}

static void want(struct kn_books *b, struct kn_books_owner *o, const struct kn_nft_elem *elems,
                 size_t len, size_t remove, size_t add)
{
    struct kn_nft_elems list = {0}, gone = {0}, fresh = {0};
    for (size_t i = 0; i < len; i++)
        KN_VEC_PUSH(&list, elems[i]);
    kn_books_want(b, o, &list, &gone, &fresh);
    ktest_eq_int(gone.len, remove);
    ktest_eq_int(fresh.len, add);
    KN_VEC_DONE(&gone);
    KN_VEC_DONE(&fresh);
    KN_VEC_DONE(&list);
}

KTEST(books_tell_what_changed_and_keep_owners_apart)
{
    struct kn_books *b = kn_books_new();
    struct kn_books_owner *a = kn_books_owner(b, "s/x/a"), *thief = kn_books_owner(b, "s/x/thief");
    struct kn_nft_elem one[] = {vip(1, 7), vip(2, 7)}, other[] = {vip(2, 8), vip(3, 8)};
    want(b, a, one, 2, 0, 2);
    want(b, a, one, 2, 0, 0); // nothing the second time
    want(b, thief, other, 2, 0, 1);
    ktest_true(thief->denied);
    one[1] = vip(2, 9);
    want(b, a, one, 2, 1, 1); // other data: out and in
    ktest_true(!kn_books_take_freed(b));
    want(b, a, one, 1, 1, 0);
    ktest_true(kn_books_take_freed(b));
    want(b, thief, other, 2, 0, 1);
    ktest_true(!thief->denied);
    want(b, a, NULL, 0, 1, 0);
    kn_books_end(b, a);
    ktest_true(kn_books_find(b, "s/x/a") == NULL);
    ktest_eq_int(kn_books_len(b), 2);
    kn_books_free(b);
}

KTEST(books_adopt_what_is_there_with_its_numbers)
{
    struct kn_books *b = kn_books_new();
    struct kn_nft_elems found = {0}, gone = {0};
    uint32_t id = kn_service_id(KN_VIEW_CLUSTER, false, 5);
    struct kn_nft_elem balance = {.set = KN_NFT_BALANCE};
    memcpy(balance.key, &id, 4);
    KN_VEC_PUSH(&found, balance);
    KN_VEC_PUSH(&found, vip(1, id));
    KN_VEC_PUSH(&found, vip(2, id));
    kn_books_adopt(b, &found);
    struct kn_books_owner *a = kn_books_owner(b, "s/x/a"), *c = kn_books_owner(b, "s/x/c");
    struct kn_nft_elem first = vip(1, 0), second = vip(9, 0);
    ktest_eq_int(kn_books_number(b, a, KN_SV("6 http"), &first), 5);
    ktest_eq_int(kn_books_number(b, a, KN_SV("6 http"), &first), 5);
    for (int i = 0; i < 8; i++) { // never one that the kernel may still have
        char port[16];
        snprintf(port, sizeof port, "6 p%d", i);
        ktest_true(kn_books_number(b, c, kn_sv_c(port), &second) != 5);
    }
    first = vip(1, id);
    want(b, a, &first, 1, 0, 0);
    kn_books_sweep(b, KN_NFT_EP, KN_NFT_REFUSED_PORT, &gone);
    ktest_eq_int(gone.len, 2);
    ktest_eq_int(kn_books_len(b), 1);
    KN_VEC_DONE(&gone);
    kn_books_free(b);
}

KTEST_MAIN(KTEST_CASE(a_service_becomes_the_elements_that_it_needs),
           KTEST_CASE(books_tell_what_changed_and_keep_owners_apart),
           KTEST_CASE(books_adopt_what_is_there_with_its_numbers))

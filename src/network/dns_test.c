#include "network/dns.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/file.h"
#include "codec/dns.h"
#include "lib/ktest.h"
#include "network/testing.h"

#define ADDRESS 0x0a60000a // 10.96.0.10
#define RESOLVER "127.0.0.99"

static struct kn_cache *services, *slices;
static struct kn_dns *dns;
static char conf[64];

static void put(struct kn_cache *c, const char *text)
{
    const struct kn_obj *o;
    ktest_ok(kn_obj_parse(kn_sv_c(text), &o));
    kn_cache_put(c, o);
    kn_obj_unref(o);
}

static void fill(void)
{
    put(services,
        "{\"metadata\":{\"name\":\"kubernetes\",\"namespace\":\"default\",\"uid\":\"1\"},\"spec\":{"
        "\"clusterIP\":\"10.96.0.1\",\"ports\":[{\"name\":\"https\",\"port\":443}]}}");
    put(services, "{\"metadata\":{\"name\":\"db\",\"namespace\":\"shop\",\"uid\":\"2\"},\"spec\":{"
                  "\"clusterIP\":\"None\",\"ports\":[{\"name\":\"sql\",\"port\":3306}]}}");
    put(services,
        "{\"metadata\":{\"name\":\"outside\",\"namespace\":\"shop\",\"uid\":\"3\"},\"spec\":{"
        "\"type\":\"ExternalName\",\"externalName\":\"www.example.com\"}}");
    put(services,
        "{\"metadata\":{\"name\":\"inside\",\"namespace\":\"shop\",\"uid\":\"4\"},\"spec\":{"
        "\"type\":\"ExternalName\",\"externalName\":\"kubernetes.default.svc.cluster.local\"}}");
    put(services, "{\"metadata\":{\"name\":\"two\",\"namespace\":\"shop\",\"uid\":\"5\"},\"spec\":{"
                  "\"clusterIP\":\"10.96.0.2\",\"clusterIPs\":[\"10.96.0.2\",\"fd00::2\"],"
                  "\"ports\":[{\"port\":53,"
                  "\"protocol\":\"UDP\",\"name\":\"dns\"}]}}");
    put(slices,
        "{\"metadata\":{\"name\":\"db-1\",\"namespace\":\"shop\",\"uid\":\"6\",\"labels\":{"
        "\"kubernetes.io/"
        "service-name\":\"db\"}},\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"sql\","
        "\"port\":3306,\"protocol\":\"TCP\"}],\"endpoints\":[{\"addresses\":[\"10.244.0.1\"],"
        "\"hostname\":"
        "\"db-0\"},{\"addresses\":[\"10.244.0.2\"],\"conditions\":{\"ready\":true}},{\"addresses\":"
        "[\"10.244.0.3\"],\"conditions\":{\"ready\":false}}]}");
}

static bool begin(const char *resolv_conf)
{
    if (!kn_lab_begin())
        return false;
    snprintf(conf, sizeof conf, "%s/resolv.conf", kn_lab_dir());
    ktest_ok(kn_file_write(conf, kn_sv_c(resolv_conf), 0644, false));
    services = kn_cache_new();
    slices = kn_cache_new();
    fill();
    ktest_ok(kn_dns_start(&(struct kn_dns_config){.domain = KN_SV("cluster.local"),
                                                  .address = ADDRESS,
                                                  .port = 53,
                                                  .pods = {0x0af40000, 16},
                                                  .services = {0x0a600000, 12},
                                                  .service_cache = services,
                                                  .slice_cache = slices,
                                                  .resolv_conf = conf},
                          &dns));
    return true;
}

static void finish(void)
{
    kn_dns_stop(dns);
    ktest_ok(kn_dns_reset(ADDRESS));
    ktest_ok(kn_dns_reset(ADDRESS));
    kn_cache_free(services);
    kn_cache_free(slices);
}

// -- a small client --------------------------------------------------------------------------

static int connect_to_server(int type)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(ADDRESS)};
    struct timeval patience = {.tv_sec = 10};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ktest_true(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    return fd;
}

static size_t read_whole(int fd, char *buf, size_t want)
{
    size_t len = 0;
    while (len < want) {
        ssize_t n = recv(fd, buf + len, want - len, 0);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    return len;
}

static char answer[KN_DNS_MAX];

// Sends bytes and returns the response; empty if there is none.
static struct kn_sv exchange(bool tcp, struct kn_sv query)
{
    int fd = connect_to_server(tcp ? SOCK_STREAM : SOCK_DGRAM);
    size_t len = 0;
    if (tcp) {
        char head[2] = {(char)(query.len >> 8), (char)query.len};
        ktest_eq_int(send(fd, head, 2, 0), 2);
        ktest_eq_int(send(fd, query.ptr, query.len, 0), query.len);
        if (read_whole(fd, answer, 2) == 2) {
            size_t want = (size_t)((uint8_t)answer[0] << 8 | (uint8_t)answer[1]);
            len = read_whole(fd, answer, want);
            ktest_eq_int(len, want);
        }
    } else {
        ktest_eq_int(send(fd, query.ptr, query.len, 0), query.len);
        ssize_t n = recv(fd, answer, sizeof answer, 0);
        len = n > 0 ? (size_t)n : 0;
    }
    close(fd);
    return kn_sv(answer, len);
}

static void describe(struct kn_buf *out, struct kn_sv bytes, const struct kn_dns_rr *rr)
{
    char text[INET6_ADDRSTRLEN], name[KN_DNS_TEXT];
    size_t at = rr->data_at + (rr->type == KN_DNS_SRV ? 6 : 0);
    if (rr->type == KN_DNS_A || rr->type == KN_DNS_AAAA) {
        inet_ntop(rr->type == KN_DNS_A ? AF_INET : AF_INET6, rr->data.ptr, text, sizeof text);
        kn_buf_addf(out, " %s", text);
    } else if (rr->type == KN_DNS_TXT) {
        kn_buf_addf(out, " \"%.*s\"", KN_SV_ARG(kn_sv_from(rr->data, 1)));
    } else if (kn_dns_name(bytes, &at, name)) {
        if (rr->type == KN_DNS_SRV)
            kn_buf_addf(out, " %u:%s",
                        (unsigned)((uint8_t)rr->data.ptr[4] << 8 | (uint8_t)rr->data.ptr[5]), name);
        else
            kn_buf_addf(out, " %s", name);
    }
}

// "rcode record record", additional ones in brackets, "soa" for a negative answer's.
static const char *ask_by(bool tcp, const char *name, uint16_t type)
{
    static struct kn_buf out = {.max = 1u << 20};
    struct kn_buf query = KN_BUF(4096);
    struct kn_dns_msg m;
    struct kn_dns_rr rr;
    kn_buf_clear(&out);
    out.len = 0;
    kn_dns_query(&query, 0x4711, kn_sv_c(name), type, true);
    struct kn_sv bytes = exchange(tcp, kn_buf_sv(&query));
    kn_buf_done(&query);
    if (!bytes.len)
        return "nothing";
    ktest_ok(kn_dns_parse(bytes, &m));
    ktest_eq_int(m.id, 0x4711);
    ktest_true(m.flags & KN_DNS_QR);
    kn_buf_addf(&out, "%u%s", m.rcode, m.flags & KN_DNS_TC ? " truncated" : "");
    for (size_t at = 0; kn_dns_next(bytes, &m, &at, &rr);) {
        if (rr.type == KN_DNS_SOA && rr.section == 2)
            kn_buf_addc(&out, " soa");
        else if (rr.type != KN_DNS_OPT && rr.section == 3)
            kn_buf_addf(&out, " (%s)", rr.name);
        else if (rr.type != KN_DNS_OPT)
            describe(&out, bytes, &rr);
    }
    return kn_buf_cstr(&out);
}

static const char *ask(const char *name, uint16_t type)
{
    return ask_by(false, name, type);
}

KTEST(names_of_the_cluster_are_answered)
{
    static const struct {
        const char *name;
        uint16_t type;
        const char *want;
    } cases[] = {
        {"kubernetes.default.svc.cluster.local", KN_DNS_A, "0 10.96.0.1"},
        {"KUBERNETES.Default.svc.Cluster.Local", KN_DNS_A, "0 10.96.0.1"},
        {"kubernetes.default.svc.cluster.local", KN_DNS_AAAA, "0 soa"},
        {"kubernetes.default.svc.cluster.local", KN_DNS_TXT, "0 soa"},
        {"two.shop.svc.cluster.local", KN_DNS_AAAA, "0 fd00::2"},
        {"nothing.default.svc.cluster.local", KN_DNS_A, "3 soa"},
        {"a.kubernetes.default.svc.cluster.local", KN_DNS_A, "3 soa"},
        {"default.svc.cluster.local", KN_DNS_A, "0 soa"},
        {"nowhere.svc.cluster.local", KN_DNS_A, "3 soa"},
        {"svc.cluster.local", KN_DNS_A, "0 soa"},
        {"cluster.local", KN_DNS_A, "0 soa"},
        {"cluster.local", KN_DNS_NS, "0 ns.dns.cluster.local"},
        {"ns.dns.cluster.local", KN_DNS_A, "0 10.96.0.10"},
        {"dns-version.cluster.local", KN_DNS_TXT, "0 \"1.1.0\""},
        {"a.b.c.d.e.f.g.h.i.cluster.local", KN_DNS_A, "3 soa"},
        {"_https._tcp.kubernetes.default.svc.cluster.local", KN_DNS_SRV,
         "0 443:kubernetes.default.svc.cluster.local (kubernetes.default.svc.cluster.local)"},
        {"_https._udp.kubernetes.default.svc.cluster.local", KN_DNS_SRV, "3 soa"},
        {"_tcp.kubernetes.default.svc.cluster.local", KN_DNS_SRV, "0 soa"},
        {"_dns._udp.two.shop.svc.cluster.local", KN_DNS_SRV,
         "0 53:two.shop.svc.cluster.local (two.shop.svc.cluster.local)"},
        {"db-0.db.shop.svc.cluster.local", KN_DNS_A, "0 10.244.0.1"},
        {"10-244-0-2.db.shop.svc.cluster.local", KN_DNS_A, "0 10.244.0.2"},
        {"10-244-0-3.db.shop.svc.cluster.local", KN_DNS_A, "3 soa"}, // not ready
        {"_sql._tcp.db.shop.svc.cluster.local", KN_DNS_SRV,
         "0 3306:db-0.db.shop.svc.cluster.local 3306:10-244-0-2.db.shop.svc.cluster.local "
         "(db-0.db.shop.svc.cluster.local) (10-244-0-2.db.shop.svc.cluster.local)"},
        {"inside.shop.svc.cluster.local", KN_DNS_A,
         "0 kubernetes.default.svc.cluster.local 10.96.0.1"},
        {"outside.shop.svc.cluster.local", KN_DNS_CNAME, "0 www.example.com"},
        {"10-244-7-9.shop.pod.cluster.local", KN_DNS_A, "0 10.244.7.9"},
        {"10-244-7.shop.pod.cluster.local", KN_DNS_A, "3 soa"},
        {"1.0.96.10.in-addr.arpa", KN_DNS_PTR, "0 kubernetes.default.svc.cluster.local"},
        {"1.0.244.10.in-addr.arpa", KN_DNS_PTR, "0 db-0.db.shop.svc.cluster.local"},
        {"9.9.244.10.in-addr.arpa", KN_DNS_PTR, "3 soa"},
    };
    if (!begin("nameserver 10.96.0.10\n")) // ourselves: as good as none
        ktest_skip("needs root, to make a network of its own");
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++)
        for (int tcp = 0; tcp < 2; tcp++)
            ktest_eq_str(ask_by(tcp, cases[i].name, cases[i].type), cases[i].want);
    // a headless service turns
    const char *first = ask("db.shop.svc.cluster.local", KN_DNS_A);
    bool one = strcmp(first, "0 10.244.0.1 10.244.0.2") == 0;
    ktest_eq_str(ask("db.shop.svc.cluster.local", KN_DNS_A),
                 one ? "0 10.244.0.2 10.244.0.1" : "0 10.244.0.1 10.244.0.2");
    // without a resolver everything else fails at once
    ktest_eq_str(ask("www.example.com", KN_DNS_A), "2");
    ktest_eq_str(ask("4.3.2.1.in-addr.arpa", KN_DNS_PTR), "2");
    ktest_eq_str(ask("outside.shop.svc.cluster.local", KN_DNS_A), "2");
    finish();
}

KTEST(a_change_is_seen_by_the_next_question_and_many_endpoints_need_tcp)
{
    struct kn_buf b = KN_BUF(1u << 20);
    if (!begin(""))
        ktest_skip("needs root, to make a network of its own");
    put(services,
        "{\"metadata\":{\"name\":\"new\",\"namespace\":\"default\",\"uid\":\"9\"},\"spec\":{"
        "\"clusterIP\":\"10.96.0.9\"}}");
    ktest_eq_str(ask("new.default.svc.cluster.local", KN_DNS_A), "0 10.96.0.9");
    kn_buf_addc(&b,
                "{\"metadata\":{\"name\":\"db-1\",\"namespace\":\"shop\",\"uid\":\"6\",\"labels\":{"
                "\"kubernetes.io/service-name\":\"db\"}},\"addressType\":\"IPv4\",\"endpoints\":[");
    for (int i = 0; i < 200; i++)
        kn_buf_addf(&b, "%s{\"addresses\":[\"10.244.1.%d\"]}", i ? "," : "", i + 1);
    kn_buf_addc(&b, "]}");
    put(slices, kn_buf_cstr(&b));
    ktest_true(strncmp(ask("db.shop.svc.cluster.local", KN_DNS_A), "0 truncated 10.244.1.", 21) ==
               0);
    const char *all = ask_by(true, "db.shop.svc.cluster.local", KN_DNS_A);
    size_t n = 0;
    for (const char *p = all; (p = strstr(p, " 10.244.1.")); p++)
        n++;
    ktest_eq_int(n, 200);
    kn_buf_done(&b);
    finish();
}

KTEST(what_is_no_question_gets_the_answer_that_it_deserves)
{
    static const struct {
        const char *what;
        const char *bytes;
        size_t len;
        int rcode; // -1: none
    } cases[] = {
#define CASE(what, bytes, rcode) {what, bytes, sizeof bytes - 1, rcode}
        CASE("half a question", "\0\1\1\0\0\1\0\0\0\0\0\0\3abc", KN_DNS_FORMERR),
        CASE("two questions", "\0\1\1\0\0\2\0\0\0\0\0\0\0\0\1\0\1\0\0\1\0\1", KN_DNS_FORMERR),
        CASE("a status request", "\0\1\20\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1", KN_DNS_NOTIMP),
        CASE("another class", "\0\1\1\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\3", KN_DNS_REFUSED),
        CASE("a zone transfer", "\0\1\1\0\0\1\0\0\0\0\0\0\1a\0\0\374\0\1", KN_DNS_REFUSED),
        CASE("EDNS 1", "\0\1\1\0\0\1\0\0\0\0\0\1\1a\0\0\1\0\1\0\0\x29\4\320\0\1\0\0\0\0",
             KN_DNS_BADVERS),
    };
    if (!begin(""))
        ktest_skip("needs root, to make a network of its own");
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        struct kn_dns_msg m;
        struct kn_sv bytes = exchange(false, kn_sv(cases[i].bytes, cases[i].len));
        // FORMERR has no question
        KN_IGNORE(kn_dns_parse(bytes, &m));
        if ((int)m.rcode != cases[i].rcode)
            print_error("%s\n", cases[i].what);
        ktest_eq_int(m.rcode, cases[i].rcode);
        ktest_eq_int(m.id, 1);
    }
    // responses and crumbs are not answered: the next answer is that of the real question
    int fd = connect_to_server(SOCK_DGRAM);
    ktest_eq_int(send(fd, "\0\1\201\200\0\1\0\0\0\0\0\0\1a\0\0\1\0\1", 19, 0), 19);
    ktest_eq_int(send(fd, "\0\1", 2, 0), 2);
    struct kn_buf q = KN_BUF(4096);
    kn_dns_query(&q, 77, KN_SV("cluster.local"), KN_DNS_SOA, false);
    ktest_eq_int(send(fd, q.ptr, q.len, 0), q.len);
    ktest_true(recv(fd, answer, sizeof answer, 0) > 12);
    ktest_eq_int(answer[1], 77);
    kn_buf_done(&q);
    close(fd);
    finish();
}

// -- forwarding ------------------------------------------------------------------------------

struct resolver {
    pthread_t thread;
    int udp, tcp, stop;
    _Atomic int asked;
};

static size_t respond(struct resolver *r, char *buf, size_t n, struct kn_buf *out)
{
    struct kn_dns_msg m;
    struct kn_dns_writer w;
    struct kn_status s = kn_dns_parse(kn_sv(buf, n), &m);
    if (!kn_ok(s)) {
        kn_status_done(&s);
        return 0;
    }
    r->asked++;
    out->len = 0;
    kn_dns_begin(&w, out, kn_sv(buf, n), &m, 4096);
    if (strcmp(m.name, "www.example.com") == 0) {
        kn_dns_put_name(&w, 1, KN_SV("www.example.com"), KN_DNS_CNAME, 60,
                        KN_SV("web.example.com"));
        kn_dns_put(&w, 1, KN_SV("web.example.com"), KN_DNS_A, 60, KN_SV("\xc0\0\2\7"));
        kn_dns_end(&w, KN_DNS_NOERROR, KN_DNS_RA);
    } else if (strcmp(m.name, "big.example.com") == 0) {
        for (int i = 0; i < 120; i++)
            kn_dns_put(&w, 1, KN_SV("big.example.com"), KN_DNS_A, 60, KN_SV("\xc0\0\2\7"));
        kn_dns_end(&w, KN_DNS_NOERROR, KN_DNS_RA);
    } else {
        kn_dns_end(&w, KN_DNS_NXDOMAIN, KN_DNS_RA);
    }
    return out->len;
}

static void *resolve(void *arg)
{
    struct resolver *r = arg;
    struct kn_buf out = KN_BUF(65536);
    char buf[4096];
    for (;;) {
        struct pollfd p[3] = {{.fd = r->udp, .events = POLLIN}, {.fd = r->tcp, .events = POLLIN},
                              {.fd = r->stop, .events = POLLIN}};
        struct sockaddr_in from;
        socklen_t len = sizeof from;
        poll(p, 3, -1);
        if (p[2].revents)
            break;
        if (p[0].revents) {
            ssize_t n = recvfrom(r->udp, buf, sizeof buf, 0, (struct sockaddr *)&from, &len);
            if (n > 0 && respond(r, buf, (size_t)n, &out))
                (void)!sendto(r->udp, out.ptr, out.len, 0, (struct sockaddr *)&from, len);
        }
        if (p[1].revents) {
            int fd = accept(r->tcp, NULL, NULL);
            if (read_whole(fd, buf, 2) == 2) {
                size_t n = read_whole(fd, buf, (size_t)((uint8_t)buf[0] << 8 | (uint8_t)buf[1]));
                size_t size = respond(r, buf, n, &out);
                char head[2] = {(char)(size >> 8), (char)size};
                (void)!write(fd, head, 2);
                (void)!write(fd, out.ptr, size);
            }
            close(fd);
        }
    }
    kn_buf_done(&out);
    return NULL;
}

static void resolver_start(struct resolver *r, int stop)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(53)};
    inet_pton(AF_INET, RESOLVER, &a.sin_addr);
    *r = (struct resolver){.udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0),
                           .tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .stop = stop};
    ktest_true(bind(r->udp, (struct sockaddr *)&a, sizeof a) == 0);
    ktest_true(bind(r->tcp, (struct sockaddr *)&a, sizeof a) == 0 && listen(r->tcp, 16) == 0);
    ktest_true(pthread_create(&r->thread, NULL, resolve, r) == 0);
}

KTEST(other_names_are_asked_of_the_resolvers_and_kept)
{
    struct resolver r;
    int stop[2];
    // the first resolver does not listen: the kernel says so at once, and the second is asked
    if (!begin("# comment\nsearch example.com\nnameserver 127.0.0.98\nnameserver " RESOLVER "\n"))
        ktest_skip("needs root, to make a network of its own");
    ktest_true(pipe(stop) == 0);
    resolver_start(&r, stop[0]);
    ktest_eq_str(ask("www.example.com", KN_DNS_A), "0 web.example.com 192.0.2.7");
    ktest_eq_str(ask("WWW.example.com", KN_DNS_A), "0 web.example.com 192.0.2.7");
    ktest_eq_int(r.asked, 1); // the second came from what was kept
    ktest_eq_str(ask("nothing.example.com", KN_DNS_A), "3");
    ktest_eq_str(ask("outside.shop.svc.cluster.local", KN_DNS_A),
                 "0 www.example.com web.example.com 192.0.2.7");
    ktest_eq_str(ask("big.example.com", KN_DNS_A), "0 truncated");
    const char *all = ask_by(true, "big.example.com", KN_DNS_A);
    ktest_true(strncmp(all, "0 192.0.2.7", 11) == 0 && strlen(all) == 1 + 120 * 10);
    ktest_eq_str(ask_by(true, "elsewhere.example.com", KN_DNS_A), "3");
    ktest_true(write(stop[1], "x", 1) == 1);
    pthread_join(r.thread, NULL);
    close(r.udp);
    close(r.tcp);
    // nobody answers any more: kept names still do, others fail
    ktest_eq_str(ask("www.example.com", KN_DNS_A), "0 web.example.com 192.0.2.7");
    ktest_eq_str(ask("more.example.com", KN_DNS_A), "2");
    close(stop[0]);
    close(stop[1]);
    finish();
}

KTEST(questions_may_come_in_a_row_and_a_taken_port_is_a_clear_error)
{
    struct kn_dns *second;
    if (!begin(""))
        ktest_skip("needs root, to make a network of its own");
    ktest_fails(kn_dns_start(&(struct kn_dns_config){.domain = KN_SV("cluster.local"),
                                                     .address = ADDRESS,
                                                     .port = 53,
                                                     .service_cache = services,
                                                     .slice_cache = slices,
                                                     .resolv_conf = conf},
                             &second),
                CONFLICT, "10.96.0.10:53 is in use by another program");
    // pipelined questions on one connection, and one that ends in the middle of its answers
    int fd = connect_to_server(SOCK_STREAM);
    struct kn_buf q = KN_BUF(1u << 20);
    for (uint16_t i = 0; i < 50; i++) {
        struct kn_buf one = KN_BUF(4096);
        kn_dns_query(&one, i, KN_SV("kubernetes.default.svc.cluster.local"), KN_DNS_A, false);
        kn_buf_add_byte(&q, (char)(one.len >> 8));
        kn_buf_add_byte(&q, (char)one.len);
        kn_buf_add(&q, kn_buf_sv(&one));
        kn_buf_done(&one);
    }
    ktest_eq_int(send(fd, q.ptr, q.len, 0), q.len);
    for (int i = 0; i < 50; i++) {
        char head[2];
        ktest_eq_int(read_whole(fd, head, 2), 2);
        size_t n = (size_t)((uint8_t)head[0] << 8 | (uint8_t)head[1]);
        ktest_eq_int(read_whole(fd, answer, n), n);
        ktest_eq_int(answer[1], i);
    }
    ktest_eq_int(send(fd, q.ptr, q.len, 0), q.len);
    close(fd);
    kn_buf_done(&q);
    ktest_eq_str(ask("kubernetes.default.svc.cluster.local", KN_DNS_A), "0 10.96.0.1");
    finish();
}

KTEST_MAIN(KTEST_CASE(names_of_the_cluster_are_answered),
           KTEST_CASE(a_change_is_seen_by_the_next_question_and_many_endpoints_need_tcp),
           KTEST_CASE(what_is_no_question_gets_the_answer_that_it_deserves),
           KTEST_CASE(other_names_are_asked_of_the_resolvers_and_kept),
           KTEST_CASE(questions_may_come_in_a_row_and_a_taken_port_is_a_clear_error))

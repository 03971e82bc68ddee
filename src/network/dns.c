#include "network/dns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/thread.h"
#include "network/dns_forward.h"
#include "network/dns_zone.h"
#include "network/rtnl.h"

#define UDP_OURS 1232          // bytes of a response, however much the client allows
#define UDP_TURN 64            // datagrams of one turn of the loop
#define QUERY_MAX 4096
#define CONNS_MAX 256
#define IDLE (10 * KN_SECOND)
#define CONN_OUT_MAX (1u << 20) // bytes that a client has not read

struct conn {
    struct kn_list link;
    struct kn_dns *d;
    struct kn_loop_fd io;
    struct kn_timer idle;
    struct kn_buf in, out;
    struct kn_list waiting; // struct request
};

// A question whose answer comes from elsewhere.
struct request {
    struct kn_list link; // of its connection, or of the server's list
    struct kn_dns *d;
    struct conn *conn; // NULL: UDP, or the connection has ended
    bool tcp;
    struct sockaddr_in from;
    struct kn_buf query;
    struct kn_dns_msg m;
    char alias[KN_DNS_TEXT]; // the target that is asked for; "": the question itself
};

struct kn_dns {
    struct kn_loop *loop;
    pthread_t thread;
    char *domain;
    struct kn_dns_zone zone;
    struct kn_dns_forward *forward;
    struct kn_loop_fd udp, tcp;
    struct kn_list conns;
    struct kn_list waiting; // UDP
    size_t conns_len;
    struct kn_buf answer; // that is being made
};

// -- answers ---------------------------------------------------------------------------------

static size_t limit_of(const struct kn_dns_msg *m, bool tcp)
{
    return tcp ? KN_DNS_MAX : m->udp_size < UDP_OURS ? m->udp_size : UDP_OURS;
}

static void conn_flush(struct conn *c);

static void deliver(struct kn_dns *d, struct conn *c, const struct sockaddr_in *to,
                    struct kn_sv bytes)
{
    if (c) {
        char head[2] = {(char)(bytes.len >> 8), (char)bytes.len};
        kn_buf_add(&c->out, kn_sv(head, 2));
        kn_buf_add(&c->out, bytes);
    } else if (to) {
        // a full send buffer loses it, as the network might
        (void)!sendto(d->udp.fd, bytes.ptr, bytes.len, MSG_DONTWAIT, (const struct sockaddr *)to,
                      sizeof *to);
    }
}

static struct kn_sv plain(struct kn_dns *d, struct kn_sv query, const struct kn_dns_msg *m,
                          enum kn_dns_rcode rcode)
{
    struct kn_dns_writer w;
    d->answer.len = 0;
    kn_dns_begin(&w, &d->answer, query, m, 512);
    kn_dns_end(&w, rcode, KN_DNS_RA);
    return kn_buf_sv(&d->answer);
}

// Another server's response as ours: the client's id, and no more than it takes.
static struct kn_sv relay(struct kn_dns *d, const struct request *r, struct kn_sv response)
{
    if (response.len > limit_of(&r->m, r->tcp)) {
        struct kn_sv cut = plain(d, kn_buf_sv(&r->query), &r->m, KN_DNS_NOERROR);
        d->answer.ptr[2] = (char)(d->answer.ptr[2] | KN_DNS_TC >> 8);
        return cut;
    }
    d->answer.len = 0;
    kn_buf_add(&d->answer, response);
    d->answer.ptr[0] = (char)(r->m.id >> 8);
    d->answer.ptr[1] = (char)r->m.id;
    return kn_buf_sv(&d->answer);
}

static void add_alias_records(struct kn_dns_writer *w, struct kn_sv response,
                              const struct kn_dns_msg *m)
{
    struct kn_dns_rr rr;
    char name[KN_DNS_TEXT];
    for (size_t at = 0; kn_dns_next(response, m, &at, &rr);) {
        size_t p = rr.data_at;
        if (rr.section != 1 || rr.class != KN_DNS_IN)
            continue;
        if (rr.type == KN_DNS_CNAME && kn_dns_name(response, &p, name))
            kn_dns_put_name(w, 1, kn_sv_c(rr.name), KN_DNS_CNAME, rr.ttl, kn_sv_c(name));
        else if (rr.type == KN_DNS_A || rr.type == KN_DNS_AAAA)
            kn_dns_put(w, 1, kn_sv_c(rr.name), rr.type, rr.ttl, rr.data);
    }
}

// Our alias, followed by what another server says of its target.
static struct kn_sv with_alias(struct kn_dns *d, const struct request *r, struct kn_sv response)
{
    struct kn_dns_writer w;
    struct kn_dns_msg m;
    char target[KN_DNS_TEXT];
    struct kn_status s =
        response.len ? kn_dns_parse(response, &m) : kn_error(KN_TIMEOUT, "no answer");
    bool good = kn_ok(s) && m.rcode != KN_DNS_SERVFAIL;
    kn_status_done(&s);
    if (!good)
        return plain(d, kn_buf_sv(&r->query), &r->m, KN_DNS_SERVFAIL);
    d->answer.len = 0;
    kn_dns_begin(&w, &d->answer, kn_buf_sv(&r->query), &r->m, limit_of(&r->m, r->tcp));
    // the service may have changed meanwhile: then the answer is what it says now
    if (kn_dns_zone_answer(&d->zone, &w, target) == KN_DNS_CHASE) {
        if (strcmp(target, r->alias) == 0)
            add_alias_records(&w, response, &m);
        kn_dns_end(&w, KN_DNS_NOERROR, KN_DNS_AA | KN_DNS_RA);
    }
    return kn_buf_sv(&d->answer);
}

static void on_response(void *arg, struct kn_sv response)
{
    struct request *r = arg;
    struct kn_dns *d = r->d;
    struct kn_sv bytes;
    if (r->alias[0])
        bytes = with_alias(d, r, response);
    else if (response.len)
        bytes = relay(d, r, response);
    else
        bytes = plain(d, kn_buf_sv(&r->query), &r->m, KN_DNS_SERVFAIL);
    struct conn *c = r->conn;
    deliver(d, c, r->tcp ? NULL : &r->from, bytes);
    kn_list_remove(&r->link);
    kn_buf_done(&r->query);
    free(r);
    if (c)
        conn_flush(c);
}

static void ask_elsewhere(struct kn_dns *d, struct conn *c, const struct sockaddr_in *from,
                          struct kn_sv query, const struct kn_dns_msg *m, const char *alias)
{
    struct request *r = KN_NEW(struct request);
    struct kn_buf other = KN_BUF(QUERY_MAX);
    struct kn_dns_msg other_m = *m;
    r->d = d;
    r->conn = c;
    r->tcp = c != NULL;
    if (from)
        r->from = *from;
    r->query = KN_BUF(KN_DNS_MAX + 1);
    kn_buf_add(&r->query, query);
    r->m = *m;
    snprintf(r->alias, sizeof r->alias, "%s", alias);
    kn_list_append(c ? &c->waiting : &d->waiting, &r->link);
    if (alias[0]) {
        kn_dns_query(&other, 0, kn_sv_c(alias), m->type, m->edns);
        struct kn_status s = kn_dns_parse(kn_buf_sv(&other), &other_m);
        if (kn_ok(s))
            kn_dns_forward_ask(d->forward, kn_buf_sv(&other), &other_m, r->tcp, on_response, r);
        else
            on_response(r, KN_SV_NULL);
        kn_status_done(&s);
    } else {
        kn_dns_forward_ask(d->forward, query, m, r->tcp, on_response, r);
    }
    kn_buf_done(&other);
}

static void answer(struct kn_dns *d, struct conn *c, const struct sockaddr_in *from,
                   struct kn_sv query)
{
    struct kn_dns_msg m;
    struct kn_dns_writer w;
    char alias[KN_DNS_TEXT] = "";
    struct kn_status s = kn_dns_parse(query, &m);
    bool good = kn_ok(s);
    kn_status_done(&s);
    if (m.flags & KN_DNS_QR) // a response: answering it would make a storm
        return;
    if (!good || (m.flags & KN_DNS_OPCODE) || m.class != KN_DNS_IN || m.edns_version) {
        if (!good)
            m.question_end = 0;
        deliver(d, c, from, plain(d, query, &m, !good                      ? KN_DNS_FORMERR
                                                : m.flags & KN_DNS_OPCODE  ? KN_DNS_NOTIMP
                                                : m.edns_version           ? KN_DNS_BADVERS
                                                                           : KN_DNS_REFUSED));
        return;
    }
    if (m.type >= 249 && m.type <= 252) { // keys and transfers of zones
        deliver(d, c, from, plain(d, query, &m, KN_DNS_REFUSED));
        return;
    }
    d->answer.len = 0;
    kn_dns_begin(&w, &d->answer, query, &m, limit_of(&m, c != NULL));
    enum kn_dns_outcome outcome = kn_dns_zone_answer(&d->zone, &w, alias);
    if (outcome == KN_DNS_ANSWERED)
        deliver(d, c, from, kn_buf_sv(&d->answer));
    else
        ask_elsewhere(d, c, from, query, &m, outcome == KN_DNS_CHASE ? alias : "");
}

// -- UDP -------------------------------------------------------------------------------------

static void on_udp(struct kn_loop_fd *w, uint32_t events)
{
    struct kn_dns *d = KN_CONTAINER_OF(w, struct kn_dns, udp);
    char buf[QUERY_MAX];
    (void)events;
    for (int i = 0; i < UDP_TURN; i++) {
        struct sockaddr_in from;
        socklen_t len = sizeof from;
        ssize_t n =
            recvfrom(d->udp.fd, buf, sizeof buf, MSG_DONTWAIT, (struct sockaddr *)&from, &len);
        if (n < 0)
            return;
        answer(d, NULL, &from, kn_sv(buf, (size_t)n));
    }
}

// -- TCP -------------------------------------------------------------------------------------

static void conn_end(struct conn *c)
{
    struct kn_dns *d = c->d;
    struct request *r;
    KN_LIST_EACH(&c->waiting, r, struct request, link) { // their answers go nowhere
        kn_list_remove(&r->link);
        r->conn = NULL;
        kn_list_append(&d->waiting, &r->link);
    }
    kn_loop_fd_remove(d->loop, &c->io);
    kn_timer_cancel(d->loop, &c->idle);
    close(c->io.fd);
    kn_list_remove(&c->link);
    kn_buf_done(&c->in);
    kn_buf_done(&c->out);
    d->conns_len--;
    free(c);
}

static void on_idle(struct kn_timer *t)
{
    conn_end(KN_CONTAINER_OF(t, struct conn, idle));
}

static void conn_flush(struct conn *c)
{
    if (c->out.failed) { // it asks and does not read
        conn_end(c);
        return;
    }
    if (c->out.len) {
        ssize_t n = send(c->io.fd, c->out.ptr, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            conn_end(c);
            return;
        }
        if (n > 0)
            kn_buf_drop(&c->out, (size_t)n);
    }
    kn_loop_fd_set(c->d->loop, &c->io, c->out.len ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void on_conn(struct kn_loop_fd *w, uint32_t events)
{
    struct conn *c = KN_CONTAINER_OF(w, struct conn, io);
    char *buf = (char *)kn_loop_scratch(c->d->loop, 1);
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
        ssize_t n = recv(w->fd, buf, KN_LOOP_SCRATCH, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            conn_end(c);
            return;
        }
        if (n > 0) {
            kn_buf_add(&c->in, kn_sv(buf, (size_t)n));
            kn_timer_set(c->d->loop, &c->idle, kn_loop_now(c->d->loop) + IDLE);
        }
    }
    while (c->in.len >= 2) {
        size_t len = (size_t)((uint8_t)c->in.ptr[0] << 8 | (uint8_t)c->in.ptr[1]);
        if (len > QUERY_MAX || c->in.failed) {
            conn_end(c);
            return;
        }
        if (c->in.len < 2 + len)
            break;
        // a copy: the answer may come at once and end the connection
        char query[QUERY_MAX];
        memcpy(query, c->in.ptr + 2, len);
        kn_buf_drop(&c->in, 2 + len);
        size_t before = c->d->conns_len;
        answer(c->d, c, NULL, kn_sv(query, len));
        if (c->d->conns_len != before) // c has ended
            return;
    }
    conn_flush(c);
}

static void on_accept(struct kn_loop_fd *w, uint32_t events)
{
    struct kn_dns *d = KN_CONTAINER_OF(w, struct kn_dns, tcp);
    (void)events;
    int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    if (d->conns_len == CONNS_MAX) // the one that has been there longest makes room
        conn_end(KN_LIST_FIRST(&d->conns, struct conn, link));
    struct conn *c = KN_NEW(struct conn);
    c->d = d;
    c->io = (struct kn_loop_fd){.fd = fd, .events = EPOLLIN, .ready = on_conn};
    c->idle.fire = on_idle;
    c->in = KN_BUF(KN_LOOP_SCRATCH + QUERY_MAX + 2);
    c->out = KN_BUF(CONN_OUT_MAX);
    kn_list_init(&c->waiting);
    kn_list_append(&d->conns, &c->link);
    d->conns_len++;
    struct kn_status s = kn_loop_fd_add(d->loop, &c->io);
    if (!kn_log_status(KN_LOG_WARN, s, "DNS: a connection cannot be served"))
        conn_end(c);
    else
        kn_timer_set(d->loop, &c->idle, kn_loop_now(d->loop) + IDLE);
}

// -- start and stop --------------------------------------------------------------------------

static struct kn_status set_address(uint32_t address, bool there)
{
    struct kn_nl nl;
    struct kn_nl_msg m = KN_NL_MSG(4096);
    KN_TRY(kn_nl_open(NETLINK_ROUTE, -1, &nl));
    kn_rtnl_addr(&m, there, 1, address, 32, RT_SCOPE_HOST);
    struct kn_status s =
        kn_nl_send(&nl, &m, there ? "put the DNS address on lo" : "take the DNS address off lo");
    kn_nl_msg_done(&m);
    kn_nl_close(&nl);
    return s;
}

static struct kn_status bind_to(const struct kn_dns_config *c, int type, int *ret)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(c->port), .sin_addr.s_addr = htonl(c->address)};
    int one = 1, size = 1 << 20;
    char ip[KN_IP4_TEXT];
    kn_ip4_format(c->address, ip);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return kn_error_errno(errno, "make a DNS socket");
    *ret = fd;
    if (type == SOCK_STREAM)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    else
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0)
        return errno == EADDRINUSE
                   ? kn_error(KN_CONFLICT, "DNS: %s:%u is in use by another program", ip, c->port)
                   : kn_error_errno(errno, "DNS: bind to %s:%u", ip, c->port);
    if (type == SOCK_STREAM && listen(fd, 128) < 0)
        return kn_error_errno(errno, "DNS: listen on %s:%u", ip, c->port);
    return KN_STATUS_OK;
}

static void end(struct kn_dns *d)
{
    while (!kn_list_empty(&d->conns))
        conn_end(KN_LIST_FIRST(&d->conns, struct conn, link));
    kn_dns_forward_free(d->forward); // answers what waits: there is a socket still
    if (d->udp.fd >= 0)
        close(d->udp.fd);
    if (d->tcp.fd >= 0)
        close(d->tcp.fd);
    kn_loop_free(d->loop);
    kn_buf_done(&d->answer);
    free(d->domain);
    free(d);
}

static void *run(void *arg)
{
    struct kn_dns *d = arg;
    kn_loop_run(d->loop);
    return NULL;
}

static struct kn_status start(struct kn_dns *d, const struct kn_dns_config *c)
{
    KN_TRY(kn_loop_new(&d->loop));
    KN_TRY(set_address(c->address, true));
    KN_TRY(bind_to(c, SOCK_DGRAM, &d->udp.fd));
    KN_TRY(bind_to(c, SOCK_STREAM, &d->tcp.fd));
    d->forward = kn_dns_forward_new(d->loop, c->resolv_conf, c->address);
    KN_TRY(kn_loop_fd_add(d->loop, &d->udp));
    KN_TRY(kn_loop_fd_add(d->loop, &d->tcp));
    return kn_thread_start(&d->thread, "dns", 0, run, d);
}

struct kn_status kn_dns_start(const struct kn_dns_config *config, struct kn_dns **ret)
{
    struct kn_dns *d = KN_NEW(struct kn_dns);
    d->domain = kn_sv_dup(config->domain);
    d->udp = (struct kn_loop_fd){.fd = -1, .events = EPOLLIN, .ready = on_udp};
    d->tcp = (struct kn_loop_fd){.fd = -1, .events = EPOLLIN, .ready = on_accept};
    d->answer = KN_BUF(4 * KN_DNS_MAX);
    kn_list_init(&d->conns);
    kn_list_init(&d->waiting);
    d->zone = (struct kn_dns_zone){.domain = kn_sv_c(d->domain),
                                   .address = config->address,
                                   .pods = config->pods,
                                   .services = config->services,
                                   .service_cache = config->service_cache,
                                   .slice_cache = config->slice_cache,
                                   .pod_cache = config->pod_cache};
    kn_dns_zone_init(&d->zone);
    struct kn_status s = start(d, config);
    if (!kn_ok(s)) {
        end(d);
        return s;
    }
    *ret = d;
    return KN_STATUS_OK;
}

void kn_dns_stop(struct kn_dns *d)
{
    if (!d)
        return;
    kn_loop_stop(d->loop);
    kn_thread_join(d->thread);
    end(d);
}

struct kn_status kn_dns_reset(uint32_t address)
{
    struct kn_status s = set_address(address, false);
    // EADDRNOTAVAIL: it is not there
    if (s.code == KN_NOT_FOUND ||
        (!kn_ok(s) && strstr(kn_status_text(&s), "Cannot assign requested address")))
        kn_status_done(&s);
    return s;
}

#include "network/dns_forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/crypto.h"
#include "base/file.h"
#include "base/map.h"

#define SERVERS_MAX 3            // as in resolv.conf(5)
#define TRY_TIME (2 * KN_SECOND) // for one resolver
#define UNDER_WAY_MAX 1024
#define WAITERS_MAX                                                                                \
    8192 // of all questions: one that comes again while it is under way waits with it
#define HEADER 12                // bytes of a message before its question
#define CONF_MAX (64u << 10)
#define CONF_EVERY KN_SECOND
#define CACHE_MAX 4096           // answers
#define CACHE_BYTES (4u << 20)
#define TTL_MAX 300              // seconds
#define NEGATIVE_MAX 30

struct server {
    struct sockaddr_storage addr;
    socklen_t len;
};

// An answer that is kept. In the map by its key, in the list by age.
struct kept {
    struct kn_list link;
    char *key;
    char *bytes;
    size_t len;
    int64_t since, until; // kn_mono
};

// Somebody who waits for the answer to a question.
struct waiter {
    struct kn_list link;
    struct kn_sv asked; // the question as this one wrote it: letters may differ in case
    kn_dns_forward_done *done;
    void *arg;
    char bytes[];
};

// A question that is under way. Those who ask the same meanwhile wait with the first, so a resolver
// that asks us back waits for itself and gives up, instead of going round for ever.
struct question {
    struct kn_list waiters;
    char *key; // in `under_way`
    struct kn_dns_forward *f;
    struct kn_loop_fd io;
    struct kn_timer timer;
    struct kn_buf query; // with our id
    struct kn_buf in;    // TCP: what has come
    struct kn_dns_msg m;
    uint16_t id;
    size_t server; // the one that is being asked
    bool tcp, sent;
};

struct kn_dns_forward {
    struct kn_loop *loop;
    char *conf;
    uint32_t own;
    struct server servers[SERVERS_MAX];
    size_t servers_len;
    int64_t look_at;        // when the file is looked at again
    struct timespec conf_time;
    struct kn_map under_way; // struct question
    size_t waiting;
    struct kn_map cache; // struct kept
    struct kn_list by_age;
    size_t cache_bytes;
    struct kn_dns_forward_stats stats;
};

// -- resolv.conf -----------------------------------------------------------------------------

static bool parse_server(const struct kn_dns_forward *f, struct kn_sv text, struct server *ret)
{
    char host[64];
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(53)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(53)};
    if (text.len >= sizeof host)
        return false;
    snprintf(host, sizeof host, "%.*s", KN_SV_ARG(text));
    memset(ret, 0, sizeof *ret);
    if (inet_pton(AF_INET, host, &four.sin_addr) == 1) {
        memcpy(&ret->addr, &four, sizeof four);
        ret->len = sizeof four;
        return ntohl(four.sin_addr.s_addr) != f->own && four.sin_addr.s_addr != 0;
    }
    memcpy(&ret->addr, &six, sizeof six);
    ret->len = sizeof six;
    return inet_pton(AF_INET6, host, &((struct sockaddr_in6 *)(void *)&ret->addr)->sin6_addr) == 1;
}

static void read_conf(struct kn_dns_forward *f)
{
    struct kn_buf text = KN_BUF(2 * CONF_MAX);
    KN_IGNORE(kn_file_read(f->conf, CONF_MAX, &text));
    struct kn_sv rest = kn_buf_sv(&text);
    f->servers_len = 0;
    while (rest.len) {
        struct kn_sv line = kn_sv_trim(kn_sv_cut(&rest, '\n'));
        if (!kn_sv_starts(line, KN_SV("nameserver")) || f->servers_len == SERVERS_MAX)
            continue;
        if (parse_server(f, kn_sv_trim(kn_sv_from(line, strlen("nameserver"))),
                         &f->servers[f->servers_len]))
            f->servers_len++;
    }
    kn_buf_done(&text);
}

static void look_at_conf(struct kn_dns_forward *f)
{
    struct stat st;
    int64_t now = kn_loop_now(f->loop);
    if (now < f->look_at)
        return;
    f->look_at = now + CONF_EVERY;
    if (stat(f->conf, &st) < 0) {
        f->servers_len = 0;
        f->conf_time = (struct timespec){0};
    } else if (st.st_mtim.tv_sec != f->conf_time.tv_sec ||
               st.st_mtim.tv_nsec != f->conf_time.tv_nsec) {
        f->conf_time = st.st_mtim;
        read_conf(f);
    }
}

// -- cache -----------------------------------------------------------------------------------

static void key_of(const struct kn_dns_msg *m, char out[KN_DNS_TEXT + 32])
{
    snprintf(out, KN_DNS_TEXT + 32, "%u %u %d%d %s", m->type, m->class, m->edns, m->dnssec_ok,
             m->name);
}

static void forget(struct kn_dns_forward *f, struct kept *k)
{
    kn_map_take(&f->cache, kn_sv_c(k->key));
    kn_list_remove(&k->link);
    f->cache_bytes -= k->len;
    free(k->key);
    free(k->bytes);
    free(k);
}

static void keep(struct kn_dns_forward *f, const struct question *q, struct kn_sv response,
                 const struct kn_dns_msg *r)
{
    char key[KN_DNS_TEXT + 32];
    uint32_t ttl = kn_dns_ttl(response, r);
    bool positive = r->rcode == KN_DNS_NOERROR && r->counts[1];
    uint32_t most = positive ? TTL_MAX : NEGATIVE_MAX;
    if ((r->flags & KN_DNS_TC) || (r->rcode != KN_DNS_NOERROR && r->rcode != KN_DNS_NXDOMAIN) ||
        ttl == 0)
        return;
    key_of(&q->m, key);
    struct kept *old = kn_map_get(&f->cache, kn_sv_c(key));
    if (old)
        forget(f, old);
    while (!kn_list_empty(&f->by_age) &&
           (f->cache.len >= CACHE_MAX || f->cache_bytes + response.len > CACHE_BYTES))
        forget(f, KN_LIST_FIRST(&f->by_age, struct kept, link));
    struct kept *k = KN_NEW(struct kept);
    k->key = kn_sv_dup(kn_sv_c(key));
    k->bytes = kn_sv_dup(response);
    k->len = response.len;
    k->since = kn_loop_now(f->loop);
    k->until = k->since + (int64_t)(ttl < most ? ttl : most) * KN_SECOND;
    kn_map_put(&f->cache, kn_sv_c(k->key), k);
    kn_list_append(&f->by_age, &k->link);
    f->cache_bytes += k->len;
}

// An aged copy of what is kept, with the question as this client wrote it.
static bool from_cache(struct kn_dns_forward *f, struct kn_sv query, const struct kn_dns_msg *m,
                       struct kn_buf *out)
{
    char key[KN_DNS_TEXT + 32];
    struct kn_dns_msg r;
    int64_t now = kn_loop_now(f->loop);
    key_of(m, key);
    struct kept *k = kn_map_get(&f->cache, kn_sv_c(key));
    if (k && now >= k->until) {
        forget(f, k);
        k = NULL;
    }
    if (!k)
        return false;
    kn_buf_add(out, kn_sv(k->bytes, k->len));
    struct kn_status s = kn_dns_parse(kn_buf_sv(out), &r);
    bool good = kn_ok(s) && r.question_end == m->question_end;
    kn_status_done(&s);
    if (!good)
        return false;
    kn_dns_age(out->ptr, out->len, &r, (uint32_t)((now - k->since) / KN_SECOND));
    memcpy(out->ptr + HEADER, query.ptr + HEADER, m->question_end - HEADER);
    return true;
}

// -- one question ----------------------------------------------------------------------------

static void close_io(struct question *q)
{
    if (q->io.fd < 0)
        return;
    kn_loop_fd_remove(q->f->loop, &q->io);
    close(q->io.fd);
    q->io.fd = -1;
}

static void finish(struct question *q, struct kn_sv response)
{
    struct kn_dns_forward *f = q->f;
    struct kn_buf copy = KN_BUF(2 * KN_DNS_MAX);
    struct waiter *w;
    close_io(q);
    kn_timer_cancel(f->loop, &q->timer);
    kn_map_take(&f->under_way, kn_sv_c(q->key));
    f->stats.failed += response.len == 0;
    kn_buf_add(&copy, response); // it may lie in memory that whoever is told uses too
    KN_LIST_EACH(&q->waiters, w, struct waiter, link) {
        if (copy.len)
            memcpy(copy.ptr + HEADER, w->asked.ptr, w->asked.len);
        w->done(w->arg, kn_buf_sv(&copy));
        free(w);
        f->waiting--;
    }
    kn_buf_done(&copy);
    kn_buf_done(&q->query);
    kn_buf_done(&q->in);
    free(q->key);
    free(q);
}

static void ask_next(struct question *q);

// False if the bytes are no answer to this question: on UDP somebody else may have sent them.
static bool take_response(struct question *q, struct kn_sv bytes)
{
    struct kn_dns_msg r;
    struct kn_status s = kn_dns_parse(bytes, &r);
    bool good = kn_ok(s) && (r.flags & KN_DNS_QR) && r.id == q->id && r.type == q->m.type &&
                r.class == q->m.class && strcmp(r.name, q->m.name) == 0 &&
                r.question_end == q->m.question_end;
    kn_status_done(&s);
    if (!good)
        return false;
    bool refused =
        r.rcode == KN_DNS_SERVFAIL || r.rcode == KN_DNS_REFUSED || r.rcode == KN_DNS_NOTIMP;
    if (refused && q->server + 1 < q->f->servers_len) {
        q->server++;
        ask_next(q);
        return true;
    }
    keep(q->f, q, bytes, &r);
    finish(q, bytes);
    return true;
}

static void next_server(struct question *q)
{
    q->server++;
    ask_next(q);
}

static void on_timeout(struct kn_timer *t)
{
    next_server(KN_CONTAINER_OF(t, struct question, timer));
}

static void on_udp(struct question *q)
{
    char *buf = (char *)kn_loop_scratch(q->f->loop, 0);
    ssize_t n = recv(q->io.fd, buf, KN_LOOP_SCRATCH, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0)
        next_server(q);
    else
        (void)take_response(q, kn_sv(buf, (size_t)n));
}

static bool send_tcp(struct question *q)
{
    char head[2] = {(char)(q->query.len >> 8), (char)q->query.len};
    struct iovec iov[2] = {{head, 2}, {q->query.ptr, q->query.len}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    // a question fits into the send buffer of a fresh connection
    return sendmsg(q->io.fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)(q->query.len + 2);
}

static void on_tcp(struct question *q, uint32_t events)
{
    char *buf = (char *)kn_loop_scratch(q->f->loop, 0);
    if (!q->sent && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
        if ((events & (EPOLLERR | EPOLLHUP)) || !send_tcp(q)) {
            next_server(q);
            return;
        }
        q->sent = true;
        kn_loop_fd_set(q->f->loop, &q->io, EPOLLIN);
        return;
    }
    ssize_t n = recv(q->io.fd, buf, KN_LOOP_SCRATCH, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        next_server(q);
        return;
    }
    kn_buf_add(&q->in, kn_sv(buf, (size_t)n));
    size_t want =
        q->in.len < 2 ? SIZE_MAX : 2 + (size_t)((uint8_t)q->in.ptr[0] << 8 | (uint8_t)q->in.ptr[1]);
    if (q->in.failed || (q->in.len >= want && !take_response(q, kn_sv(q->in.ptr + 2, want - 2))))
        next_server(q);
}

static void on_ready(struct kn_loop_fd *w, uint32_t events)
{
    struct question *q = KN_CONTAINER_OF(w, struct question, io);
    if (q->tcp)
        on_tcp(q, events);
    else
        on_udp(q);
}

static bool ask_server(struct question *q, const struct server *s)
{
    int type = (q->tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK;
    q->io.fd = socket(s->addr.ss_family, type, 0);
    if (q->io.fd < 0)
        return false;
    q->io.events = q->tcp ? EPOLLOUT : EPOLLIN;
    q->io.ready = on_ready;
    struct kn_status st = kn_loop_fd_add(q->f->loop, &q->io);
    if (!kn_ok(st)) {
        kn_status_done(&st);
        close(q->io.fd);
        q->io.fd = -1;
        return false;
    }
    // connected: the kernel drops what comes from anybody else, and tells of unreachable ports
    if (connect(q->io.fd, (const struct sockaddr *)&s->addr, s->len) < 0 && errno != EINPROGRESS)
        return false;
    return q->tcp ||
           send(q->io.fd, q->query.ptr, q->query.len, MSG_NOSIGNAL) == (ssize_t)q->query.len;
}

// Asks the resolver that is next; fails when there is none any more.
static void ask_next(struct question *q)
{
    for (; q->server < q->f->servers_len; q->server++) {
        close_io(q);
        q->sent = false;
        kn_buf_clear(&q->in);
        q->in.len = 0;
        if (ask_server(q, &q->f->servers[q->server])) {
            kn_timer_set(q->f->loop, &q->timer, kn_mono() + TRY_TIME);
            return;
        }
    }
    finish(q, KN_SV_NULL);
}

// -- the contract ----------------------------------------------------------------------------

struct kn_dns_forward *kn_dns_forward_new(struct kn_loop *loop, const char *resolv_conf,
                                          uint32_t own)
{
    struct kn_dns_forward *f = KN_NEW(struct kn_dns_forward);
    f->loop = loop;
    f->conf = kn_sv_dup(kn_sv_c(resolv_conf));
    f->own = own;
    kn_map_init(&f->under_way);
    kn_list_init(&f->by_age);
    kn_map_init(&f->cache);
    return f;
}

void kn_dns_forward_free(struct kn_dns_forward *f)
{
    if (!f)
        return;
    struct question *q;
    for (size_t it = 0; (q = kn_map_next(&f->under_way, &it, NULL)); it = 0)
        finish(q, KN_SV_NULL);
    kn_map_done(&f->under_way);
    while (!kn_list_empty(&f->by_age))
        forget(f, KN_LIST_FIRST(&f->by_age, struct kept, link));
    kn_map_done(&f->cache);
    free(f->conf);
    free(f);
}

static void wait_for(struct question *q, struct kn_sv query, const struct kn_dns_msg *m,
                     kn_dns_forward_done *done, void *arg)
{
    size_t len = m->question_end - HEADER;
    struct waiter *w = kn_alloc(sizeof *w + len);
    memcpy(w->bytes, query.ptr + HEADER, len);
    w->asked = kn_sv(w->bytes, len);
    w->done = done;
    w->arg = arg;
    kn_list_append(&q->waiters, &w->link);
    q->f->waiting++;
}

static struct question *question_new(struct kn_dns_forward *f, const char *key, struct kn_sv query,
                                     const struct kn_dns_msg *m, bool tcp)
{
    struct question *q = KN_NEW(struct question);
    kn_list_init(&q->waiters);
    q->key = kn_sv_dup(kn_sv_c(key));
    q->f = f;
    q->io.fd = -1;
    q->timer.fire = on_timeout;
    q->query = KN_BUF(2 * KN_DNS_MAX);
    q->in = KN_BUF(2 * KN_DNS_MAX);
    q->m = *m;
    q->tcp = tcp;
    kn_random(&q->id, sizeof q->id);
    kn_buf_add(&q->query, query);
    q->query.ptr[0] = (char)(q->id >> 8);
    q->query.ptr[1] = (char)q->id;
    kn_map_put(&f->under_way, kn_sv_c(q->key), q);
    return q;
}

void kn_dns_forward_ask(struct kn_dns_forward *f, struct kn_sv query, const struct kn_dns_msg *m,
                        bool tcp, kn_dns_forward_done *done, void *arg)
{
    struct kn_buf cached = KN_BUF(2 * KN_DNS_MAX);
    char key[KN_DNS_TEXT + 40], kept_key[KN_DNS_TEXT + 32];
    f->stats.asked++;
    if (from_cache(f, query, m, &cached)) {
        f->stats.cached++;
        done(arg, kn_buf_sv(&cached));
        kn_buf_done(&cached);
        return;
    }
    kn_buf_done(&cached);
    key_of(m, kept_key);
    snprintf(key, sizeof key, "%s %s", tcp ? "tcp" : "udp", kept_key);
    struct question *q = kn_map_get(&f->under_way, kn_sv_c(key));
    if (q && f->waiting < WAITERS_MAX) {
        wait_for(q, query, m, done, arg);
        return;
    }
    look_at_conf(f);
    if (q || !f->servers_len || f->waiting >= WAITERS_MAX || f->under_way.len >= UNDER_WAY_MAX) {
        f->stats.failed++;
        done(arg, KN_SV_NULL);
        return;
    }
    q = question_new(f, key, query, m, tcp);
    wait_for(q, query, m, done, arg);
    ask_next(q);
}

void kn_dns_forward_get_stats(const struct kn_dns_forward *f, struct kn_dns_forward_stats *ret)
{
    *ret = f->stats;
    ret->kept = f->cache.len;
}

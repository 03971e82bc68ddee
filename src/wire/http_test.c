// Server and client against each other, over plain TCP, TLS with HTTP/1.1, TLS with HTTP/2, and a
// unix socket; and the server against raw bytes.
#include "wire/http.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/thread.h"
#include "lib/ktest.h"
#include "wire/client.h"

#define PATIENCE (10 * KN_SECOND)

enum way { PLAIN, TLS1, TLS2, UNIX, WAYS };
#define SOCKET "wire_http_test.sock"

static struct kn_http_server *server;
static struct kn_tls_ctx *server_tls;
static uint16_t plain_port, tls_port;
static struct kn_cert *ca;
static struct kn_key *ca_key;
static int closes; // atomic: on_close that came

static struct kn_time day(int64_t n)
{
    return (struct kn_time){kn_now().ns + n * 86400 * KN_SECOND};
}

static void issue(const char *cn, unsigned usage, struct kn_certs *chain, struct kn_key **key)
{
    struct kn_sv ip = KN_SV("127.0.0.1"), org = KN_SV("testers");
    struct kn_cert_info info = {.cn = kn_sv_c(cn), .orgs = &org, .orgs_len = 1, .ips = &ip,
                                .ips_len = 1, .usage = usage, .not_before = day(-1),
                                .not_after = day(10)};
    struct kn_cert *cert = NULL;
    ktest_ok(kn_key_generate(KN_KEY_EC_P256, key));
    ktest_ok(kn_cert_issue(ca, ca_key, *key, &info, &cert));
    kn_certs_add(chain, cert);
    kn_cert_free(cert);
}

static void *answer_elsewhere(void *arg)
{
    struct kn_http_header h = {KN_SV("X-From"), KN_SV("thread")};
    struct kn_piece piece = {KN_SV("late"), NULL, NULL};
    kn_http_respond_from(arg, &(struct kn_http_response){.status = 201, .headers = &h,
                                                         .headers_len = 1, .pieces = &piece,
                                                         .pieces_len = 1});
    return NULL;
}

static void gone(struct kn_http_req *r, void *arg)
{
    (void)arg;
    __atomic_add_fetch(&closes, 1, __ATOMIC_RELAXED);
    kn_http_stream_end(r);
}

static void echo_read(void *arg, struct kn_sv bytes)
{
    kn_stream_write(*(struct kn_stream **)arg, bytes);
}
static void echo_close(void *arg, const struct kn_status *why)
{
    (void)why;
    free(arg);
}
static void echo_eof(void *arg)
{
    kn_stream_shutdown(*(struct kn_stream **)arg);
}
static const struct kn_stream_events echo_events = {
    .on_read = echo_read, .on_close = echo_close, .on_eof = echo_eof};

static void handle(struct kn_http_req *r, void *arg)
{
    (void)arg;
    struct kn_sv path = kn_http_path(r);
    if (kn_sv_is(path, "/echo")) {
        kn_http_respond_text(r, 200, "application/octet-stream", kn_http_body(r));
    } else if (kn_sv_is(path, "/who")) {
        const struct kn_cert *c = kn_http_peer(r)->cert;
        struct kn_sv cn = c ? kn_cert_info(c)->cn : KN_SV("nobody");
        kn_http_respond_text(r, c ? 200 : 401, "text/plain", cn);
    } else if (kn_sv_is(path, "/late")) {
        pthread_t t;
        ktest_ok(kn_thread_start(&t, "late", 0, answer_elsewhere, r));
        pthread_detach(t);
    } else if (kn_sv_is(path, "/watch")) { // two lines, then nothing until the peer goes
        kn_http_on_close(r, gone, NULL);
        kn_http_stream_begin(r, 200, NULL, 0, NULL, NULL);
        kn_http_stream_copy(r, KN_SV("one\n"));
        kn_http_stream_copy(r, KN_SV("two\n"));
    } else if (kn_sv_is(path, "/upgrade")) {
        struct kn_stream **s = kn_alloc(sizeof *s);
        struct kn_http_header h = {KN_SV("Upgrade"), KN_SV("echo")};
        ktest_ok(kn_http_upgrade(r, &h, 1, s));
        kn_stream_set_events(*s, &echo_events, s);
        kn_stream_write(*s, KN_SV("hello "));
    } else if (kn_sv_is(path, "/big")) {
        char *big = kn_alloc(5u << 20);
        memset(big, 'b', 5u << 20);
        struct kn_piece pieces[] = {{{big, 5u << 20}, free, big}, {KN_SV("end"), NULL, NULL}};
        kn_http_respond(r, &(struct kn_http_response){.status = 200, .pieces = pieces,
                                                      .pieces_len = 2});
    } else {
        kn_http_respond_text(r, 404, "text/plain", kn_http_query(r));
    }
}

static void setup(void)
{
    struct kn_cert_info info = {.cn = KN_SV("ca"), .not_before = day(-1), .not_after = day(10)};
    struct kn_certs chain = {0}, cas = {0};
    struct kn_key *key = NULL;
    ktest_ok(kn_key_generate(KN_KEY_EC_P256, &ca_key));
    ktest_ok(kn_cert_make_ca(ca_key, &info, &ca));
    issue("server", KN_CERT_SERVER, &chain, &key);
    kn_certs_add(&cas, ca);
    ktest_ok(kn_tls_server_new(&server_tls));
    ktest_ok(kn_tls_set_identity(server_tls, &chain, key));
    ktest_ok(kn_tls_set_cas(server_tls, &cas));
    kn_certs_done(&chain);
    kn_certs_done(&cas);
    kn_key_free(key);
    struct kn_http_config config = {.handle = handle, .threads = 2, .max_body = 3u << 20};
    ktest_ok(kn_http_server_new(&config, &server));
    ktest_ok(kn_http_listen_tcp(server, "127.0.0.1", 0, NULL, &plain_port));
    ktest_ok(kn_http_listen_tcp(server, "127.0.0.1", 0, server_tls, &tls_port));
    ktest_ok(kn_http_listen_unix(server, SOCKET, 0600));
    ktest_ok(kn_http_server_start(server));
}

static void teardown(void)
{
    kn_http_server_drain(server, kn_mono() + PATIENCE);
    kn_http_server_free(server);
    kn_tls_ctx_free(server_tls);
    kn_cert_free(ca);
    kn_key_free(ca_key);
    unlink(SOCKET);
}

static struct kn_http_client *client_of(enum way way, const char *cn)
{
    char base[64];
    struct kn_tls_ctx *tls = NULL;
    struct kn_http_client *c = NULL;
    struct kn_tls_client_options o = {.http1_only = way == TLS1};
    ktest_ok(kn_tls_client_new(&o, &tls));
    struct kn_certs cas = {0}, chain = {0};
    kn_certs_add(&cas, ca);
    ktest_ok(kn_tls_set_cas(tls, &cas));
    kn_certs_done(&cas);
    if (cn) {
        struct kn_key *key = NULL;
        issue(cn, KN_CERT_CLIENT, &chain, &key);
        ktest_ok(kn_tls_set_identity(tls, &chain, key));
        kn_certs_done(&chain);
        kn_key_free(key);
    }
    if (way == UNIX)
        snprintf(base, sizeof base, "unix:" SOCKET);
    else
        snprintf(base, sizeof base, "http%s://127.0.0.1:%u", way == PLAIN ? "" : "s",
                 way == PLAIN ? plain_port : tls_port);
    ktest_ok(kn_http_client_new(&(struct kn_http_client_config){.base = base, .tls = tls}, &c));
    kn_tls_ctx_free(tls);
    return c;
}

static struct kn_http_client_req req(const char *method, const char *url, struct kn_sv body)
{
    return (struct kn_http_client_req){.method = method, .url = kn_sv_c(url), .body = body,
                                  .deadline = kn_mono() + PATIENCE};
}

KTEST(whole_exchanges_work_in_every_way)
{
    char *big = kn_alloc(2u << 20);
    memset(big, 'x', 2u << 20);
    for (int way = 0; way < WAYS; way++) {
        struct kn_http_client *c = client_of((enum way)way, NULL);
        struct kn_arena *a = kn_arena_new(0, 64u << 20);
        struct kn_http_client_resp p = {0};
        struct kn_http_client_req q = req("GET", "/nothing?a=b", KN_SV_NULL);
        ktest_ok(kn_http_call(c, &q, 1000, a, &p));
        ktest_eq_int(p.status, 404);
        ktest_eq_sv(p.body, "a=b");
        ktest_eq_sv(kn_http_client_resp_get(&p, "content-type"), "text/plain");
        for (int i = 0; i < 3; i++) {
            q = req("POST", "/echo", kn_sv(big, 2u << 20));
            p = (struct kn_http_client_resp){0};
            ktest_ok(kn_http_call(c, &q, 3u << 20, a, &p));
            ktest_eq_int(p.status, 200);
            ktest_true(kn_sv_eq(p.body, kn_sv(big, 2u << 20)));
        }
        q = req("GET", "/late", KN_SV_NULL);
        p = (struct kn_http_client_resp){0};
        ktest_ok(kn_http_call(c, &q, 1000, a, &p));
        ktest_eq_int(p.status, 201);
        ktest_eq_sv(kn_http_client_resp_get(&p, "x-from"), "thread");
        q = req("GET", "/big", KN_SV_NULL);
        p = (struct kn_http_client_resp){0};
        ktest_ok(kn_http_call(c, &q, 6u << 20, a, &p));
        ktest_eq_int(p.body.len, (5u << 20) + 3);
        q = req("GET", "/big", KN_SV_NULL);
        ktest_fails(kn_http_call(c, &q, 1u << 20, a, &p), TOO_LARGE, "limit");
        q = req("HEAD", "/big", KN_SV_NULL);
        p = (struct kn_http_client_resp){0};
        ktest_ok(kn_http_call(c, &q, 10, a, &p));
        ktest_eq_int(p.body.len, 0);
        ktest_eq_sv(kn_http_client_resp_get(&p, "content-length"), "5242883");
        kn_arena_free(a);
        kn_http_client_free(c);
    }
    free(big);
}

KTEST(client_certificates_are_seen_and_strangers_are_not)
{
    for (int way = TLS1; way <= TLS2; way++)
        for (int known = 0; known < 2; known++) {
            struct kn_http_client *c = client_of((enum way)way, known ? "jane" : NULL);
            struct kn_arena *a = kn_arena_new(0, 1u << 20);
            struct kn_http_client_resp p = {0};
            struct kn_http_client_req q = req("GET", "/who", KN_SV_NULL);
            ktest_ok(kn_http_call(c, &q, 1000, a, &p));
            ktest_eq_int(p.status, known ? 200 : 401);
            ktest_eq_sv(p.body, known ? "jane" : "nobody");
            kn_arena_free(a);
            kn_http_client_free(c);
        }
}

KTEST(a_server_without_a_known_authority_is_refused)
{
    struct kn_tls_ctx *tls = NULL;
    struct kn_http_client *c = NULL;
    char base[64];
    snprintf(base, sizeof base, "https://127.0.0.1:%u", tls_port);
    ktest_ok(kn_tls_client_new(&(struct kn_tls_client_options){0}, &tls));
    ktest_ok(kn_http_client_new(&(struct kn_http_client_config){.base = base, .tls = tls}, &c));
    struct kn_arena *a = kn_arena_new(0, 1u << 20);
    struct kn_http_client_resp p = {0};
    struct kn_http_client_req q = req("GET", "/who", KN_SV_NULL);
    ktest_fails(kn_http_call(c, &q, 1000, a, &p), UNAUTHORIZED, "certificate");
    kn_arena_free(a);
    kn_http_client_free(c);
    kn_tls_ctx_free(tls);
}

KTEST(streams_arrive_as_they_are_written_and_end_when_the_reader_goes)
{
    for (int way = 0; way < WAYS; way++) {
        struct kn_http_client *c = client_of((enum way)way, NULL);
        struct kn_arena *a = kn_arena_new(0, 1u << 20);
        struct kn_http_client_resp p = {0};
        struct kn_body *b = NULL;
        struct kn_http_client_req q = req("GET", "/watch", KN_SV_NULL);
        int before = __atomic_load_n(&closes, __ATOMIC_RELAXED);
        ktest_ok(kn_http_open(c, &q, a, &p, &b));
        ktest_eq_int(p.status, 200);
        char text[64];
        size_t len = 0, n = 0;
        while (len < 8) {
            ktest_ok(kn_http_read(b, text + len, sizeof text - len, kn_mono() + PATIENCE, &n));
            ktest_true(n > 0);
            len += n;
        }
        ktest_eq_sv(kn_sv(text, len), "one\ntwo\n");
        ktest_fails(kn_http_read(b, text, sizeof text, kn_mono() + KN_MILLI, &n), TIMEOUT, NULL);
        kn_http_abort(b);
        ktest_fails(kn_http_read(b, text, sizeof text, kn_mono() + PATIENCE, &n), CANCELLED, NULL);
        kn_http_close(b);
        int64_t until = kn_mono() + PATIENCE;
        while (__atomic_load_n(&closes, __ATOMIC_RELAXED) == before && kn_mono() < until)
            sched_yield();
        ktest_true(__atomic_load_n(&closes, __ATOMIC_RELAXED) == before + 1);
        kn_arena_free(a);
        kn_http_client_free(c);
    }
}

KTEST(what_nobody_listens_to_is_unavailable_and_silence_times_out)
{
    struct kn_http_client *c = NULL;
    struct kn_arena *a = kn_arena_new(0, 1u << 20);
    struct kn_http_client_resp p = {0};
    ktest_ok(kn_http_client_new(&(struct kn_http_client_config){.base = "http://127.0.0.1:1"}, &c));
    struct kn_http_client_req q = req("GET", "/", KN_SV_NULL);
    ktest_fails(kn_http_call(c, &q, 1000, a, &p), UNAVAILABLE, "refused");
    kn_http_client_free(c);
    c = client_of(TLS2, NULL);
    q = req("GET", "/watch", KN_SV_NULL);
    q.deadline = kn_mono() + 50 * KN_MILLI;
    ktest_fails(kn_http_call(c, &q, 1000, a, &p), TIMEOUT, "in time");
    kn_http_client_free(c);
    kn_arena_free(a);
}

// Sends raw bytes, returns all that comes until the server closes.
static void raw(const char *text, char *out, size_t max)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(plain_port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    ktest_eq_int(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    ktest_ok(kn_fd_write_all(fd, kn_sv_c(text)));
    size_t len = 0;
    for (ssize_t n; len < max - 1 && (n = recv(fd, out + len, max - 1 - len, 0)) > 0;)
        len += (size_t)n;
    out[len] = '\0';
    close(fd);
}

KTEST(raw_requests_are_answered_or_refused)
{
#define CLOSE "Host: a\r\nConnection: close\r\n"
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"GET /x HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 404 "},
        {"GET /x HTTP/1.0\r\n\r\n", "HTTP/1.1 404 "},
        {"GET http://a/x?q HTTP/1.1\r\n" CLOSE "\r\n", "\r\n\r\nq"},
        {"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2?second HTTP/1.1\r\n" CLOSE "\r\n", "second"},
        {"POST /echo HTTP/1.1\r\n" CLOSE "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n1\r\n"
         "d\r\n0\r\nT: x\r\n\r\n",
         "\r\n\r\nabcd"},
        {"POST /echo HTTP/1.1\r\n" CLOSE "Content-Length: 2\r\nExpect: 100-continue\r\n\r\nhi",
         "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
         "HTTP/1.1 400 "},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: "
         "chunked\r\n\r\n",
         "HTTP/1.1 400 "},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
         "HTTP/1.1 400 "},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n", "HTTP/1.1 413 "},
        {"GET /x HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
        {"GET /x HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", "HTTP/1.1 400 "},
        {"GET /x HTTP/1.1\r\nHost : a\r\n\r\n", "HTTP/1.1 400 "},
        {"GET /x HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", "HTTP/1.1 400 "},
        {"GET /x HTTP/2.0\r\nHost: a\r\n\r\n", "HTTP/1.1 505 "},
        {"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400 "},
    };
    char out[4096];
    for (size_t i = 0; i < KN_ARRAY_LEN(rows); i++) {
        raw(rows[i].in, out, sizeof out);
        if (!strstr(out, rows[i].out))
            print_error("row %zu: got \"%s\"\n", i, out);
        ktest_true(strstr(out, rows[i].out) != NULL);
    }
}

KTEST(an_upgrade_hands_over_the_bytes_in_both_directions)
{
    char out[4096];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(plain_port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    ktest_eq_int(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    // bytes behind the request belong to the stream
    ktest_ok(kn_fd_write_all(fd, KN_SV("GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
                                       "Upgrade: echo\r\n\r\nahead")));
    shutdown(fd, SHUT_WR);
    size_t len = 0;
    for (ssize_t n; (n = recv(fd, out + len, sizeof out - 1 - len, 0)) > 0;)
        len += (size_t)n;
    out[len] = '\0';
    close(fd);
    ktest_true(strstr(out, "HTTP/1.1 101 ") == out && strstr(out, "\r\n\r\nhello ahead"));
}

// -- limits ---------------------------------------------------------------------------------------

KTEST(plain_words_to_a_tls_port_are_answered_in_plain_words)
{
    char out[4096];
    uint16_t kept = plain_port;
    plain_port = tls_port;
    raw("GET /version HTTP/1.1\r\nHost: a\r\n\r\n", out, sizeof out);
    plain_port = kept;
    ktest_eq_str(
        out, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n");
}

static struct kn_http_server *small; // takes 100,000 bytes of unfinished requests
static uint16_t small_port, small_tls_port;

static void start_small(int64_t header_timeout)
{
    struct kn_http_config c = {.handle = handle, .threads = 1, .max_unfinished = 100000,
                               .header_timeout = header_timeout};
    ktest_ok(kn_http_server_new(&c, &small));
    ktest_ok(kn_http_listen_tcp(small, "127.0.0.1", 0, NULL, &small_port));
    ktest_ok(kn_http_listen_tcp(small, "127.0.0.1", 0, server_tls, &small_tls_port));
    ktest_ok(kn_http_server_start(small));
}

static int connect_to(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    ktest_eq_int(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static bool answers(int fd, int64_t within)
{
    struct pollfd p = {fd, POLLIN, 0};
    return poll(&p, 1, (int)(within / KN_MILLI)) == 1;
}

KTEST(a_body_that_trickles_is_cut_off)
{
    static const char *const heads[] = {
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nea60\r\n"};
    start_small(100 * KN_MILLI);
    for (size_t i = 0; i < KN_ARRAY_LEN(heads); i++) {
        int fd = connect_to(small_port);
        int64_t until = kn_mono() + PATIENCE;
        ktest_ok(kn_fd_write_all(fd, kn_sv_c(heads[i])));
        while (!answers(fd, 10 * KN_MILLI) && kn_mono() < until)
            ktest_ok(kn_fd_write_all(fd, KN_SV("x")));
        char out[64] = {0};
        ktest_true(recv(fd, out, sizeof out - 1, 0) > 0);
        ktest_true(strstr(out, "HTTP/1.1 408 ") == out);
        close(fd);
    }
    kn_http_server_free(small);
}

static struct kn_http_client *small_client(const char *cn)
{
    uint16_t kept = tls_port;
    tls_port = small_tls_port;
    struct kn_http_client *c = client_of(TLS2, cn);
    tls_port = kept;
    return c;
}

static int post(struct kn_http_client *c, const char *body, size_t len, bool *ret_retry)
{
    struct kn_arena *a = kn_arena_new(0, 1u << 20);
    struct kn_http_client_resp p = {0};
    struct kn_http_client_req q = req("POST", "/echo", kn_sv(body, len));
    ktest_ok(kn_http_call(c, &q, 1u << 20, a, &p));
    *ret_retry = kn_http_client_resp_get(&p, "retry-after").len > 0;
    kn_arena_free(a);
    return p.status;
}

// Two strangers begin bodies that do not fit in together: one of them is refused, and while the
// other holds what he has, so is a third; but not whom the server knows by his certificate.
KTEST(unfinished_bodies_are_bounded_in_total)
{
    start_small(0);
    char *body = kn_alloc(90000), out[512] = {0};
    memset(body, 'x', 90000);
    int fd[2];
    for (int i = 0; i < 2; i++) {
        fd[i] = connect_to(small_port);
        ktest_ok(
            kn_fd_write_all(fd[i], KN_SV("POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                                         "Content-Length: 60001\r\n\r\n")));
        ktest_ok(kn_fd_write_all(fd[i], kn_sv(body, 60000)));
    }
    struct pollfd p[2] = {{fd[0], POLLIN, 0}, {fd[1], POLLIN, 0}};
    ktest_true(poll(p, 2, (int)(PATIENCE / KN_MILLI)) == 1);
    int refused = p[1].revents != 0;
    ktest_true(recv(fd[refused], out, sizeof out - 1, 0) > 0);
    ktest_true(strstr(out, "HTTP/1.1 503 ") == out && strstr(out, "\r\nRetry-After: 1\r\n"));
    close(fd[refused]);
    struct kn_http_client *stranger = small_client(NULL), *known = small_client("jane");
    bool retry;
    ktest_eq_int(post(stranger, body, 90000, &retry), 503);
    ktest_true(retry);
    ktest_eq_int(post(known, body, 90000, &retry), 200);
    ktest_ok(kn_fd_write_all(fd[!refused], KN_SV("x")));
    ktest_true(recv(fd[!refused], out, sizeof out - 1, 0) > 0);
    ktest_true(strstr(out, "HTTP/1.1 200 ") == out);
    ktest_eq_int(post(stranger, body, 90000, &retry), 200); // all is given back
    close(fd[!refused]);
    kn_http_client_free(stranger);
    kn_http_client_free(known);
    kn_http_server_free(small);
    free(body);
}

KTEST(server_and_clients_end)
{
    teardown();
}
KTEST(a_server_starts)
{
    setup();
}

KTEST_MAIN(KTEST_CASE(a_server_starts), KTEST_CASE(whole_exchanges_work_in_every_way),
           KTEST_CASE(client_certificates_are_seen_and_strangers_are_not),
           KTEST_CASE(a_server_without_a_known_authority_is_refused),
           KTEST_CASE(streams_arrive_as_they_are_written_and_end_when_the_reader_goes),
           KTEST_CASE(what_nobody_listens_to_is_unavailable_and_silence_times_out),
           KTEST_CASE(raw_requests_are_answered_or_refused),
           KTEST_CASE(an_upgrade_hands_over_the_bytes_in_both_directions),
           KTEST_CASE(a_body_that_trickles_is_cut_off),
           KTEST_CASE(plain_words_to_a_tls_port_are_answered_in_plain_words),
           KTEST_CASE(unfinished_bodies_are_bounded_in_total), KTEST_CASE(server_and_clients_end))

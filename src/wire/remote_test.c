// Exec over WebSocket as a current client speaks it, against the server side; frames in a table.
#include "wire/remote_streams.h"

#include "base/thread.h"
#include "lib/ktest.h"
#include "wire/client.h"
#include "wire/websocket.h"

#define PATIENCE (10 * KN_SECOND)

KTEST(frames_are_read_in_their_shortest_form_only)
{
    static const struct {
        struct kn_sv bytes;
        enum kn_ws_parse want;
        uint64_t length;
    } rows[] = {
        {KN_SV("\x81\x05"), KN_WS_FRAME, 5},
        {KN_SV("\x82\x7e\x01\x00"), KN_WS_FRAME, 256},
        {KN_SV("\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"), KN_WS_FRAME, 65536},
        {KN_SV("\x82\xfe\x01\x00\x01\x02\x03"), KN_WS_MORE, 0},
        {KN_SV("\x82"), KN_WS_MORE, 0},
        {KN_SV("\x82\x7e\x00\x05"), KN_WS_BAD, 0},     // 5 in three bytes
        {KN_SV("\xc1\x05"), KN_WS_BAD, 0},             // an extension's bit
        {KN_SV("\x83\x05"), KN_WS_BAD, 0},             // an unknown opcode
        {KN_SV("\x09\x00"), KN_WS_BAD, 0},             // a ping in fragments
        {KN_SV("\x89\x7e\x00\x80"), KN_WS_BAD, 0},     // a ping that is too long
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(rows); i++) {
        struct kn_ws_frame f = {0};
        ktest_eq_int(kn_ws_parse_head(rows[i].bytes, &f), rows[i].want);
        ktest_eq_int(f.length, rows[i].length);
    }
}

// ---- the server: answers stdin on stdout, ends with code 3 when stdin ends ----

static struct kn_remote *remote;

static void on_ready(void *arg)
{
    (void)arg;
}
static void on_stdin(void *arg, struct kn_sv bytes)
{
    (void)arg;
    kn_remote_write(remote, KN_STDOUT, bytes);
}
static void on_stdin_end(void *arg)
{
    (void)arg;
    kn_remote_finish(remote, &(struct kn_remote_exit){.code = 3});
}
static void on_resize(void *arg, unsigned width, unsigned height)
{
    (void)arg;
    char text[32];
    int n = snprintf(text, sizeof text, "%ux%u", width, height);
    kn_remote_write(remote, KN_STDERR, kn_sv(text, (size_t)n));
}
static void on_remote_close(void *arg)
{
    (void)arg;
}
static const struct kn_remote_events remote_events = {
    .on_ready = on_ready, .on_stdin = on_stdin, .on_stdin_end = on_stdin_end,
    .on_resize = on_resize, .on_close = on_remote_close};

static void handle(struct kn_http_req *r, void *arg)
{
    (void)arg;
    struct kn_remote_want want = {.in = true, .out = true, .err = true};
    struct kn_status s = kn_remote_accept(r, &want, &remote_events, NULL, &remote);
    if (!kn_ok(s))
        kn_http_respond_text(r, kn_code_http(s.code), "text/plain", kn_sv_c(kn_status_text(&s)));
    kn_status_done(&s);
}

// ---- the client ----

struct session {
    struct kn_task task;
    struct kn_http_client *client;
    struct kn_arena *arena;
    struct kn_sv key;
    const char *protocol;
    struct kn_ws *ws;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char text[5][512]; // what came on each channel
    bool over;
    int status; // of a refusal
};

static void ws_message(void *arg, bool binary, struct kn_sv m)
{
    struct session *s = arg;
    ktest_true(binary && m.len && (uint8_t)m.ptr[0] < 5);
    char *to = s->text[(uint8_t)m.ptr[0]];
    size_t at = strlen(to);
    ktest_true(at + m.len < 512);
    memcpy(to + at, m.ptr + 1, m.len - 1);
}
static void finish(struct session *s)
{
    pthread_mutex_lock(&s->lock);
    s->over = true;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
}
static void ws_close(void *arg, unsigned code, struct kn_sv reason)
{
    (void)code, (void)reason;
    finish(arg);
}
static const struct kn_ws_events ws_events = {.on_message = ws_message, .on_close = ws_close};

static void send(struct session *s, const char *head, const char *text)
{
    struct kn_sv parts[2] = {kn_sv(head, 1), kn_sv_c(text)};
    ktest_true(kn_ws_send(s->ws, true, parts, 2));
}

static void on_upgrade(void *arg, const struct kn_http_client_head *head, struct kn_stream *stream)
{
    struct session *s = arg;
    ktest_ok(kn_ws_client_check(s->key, head));
    ktest_eq_sv(kn_http_client_head_get(head, "Sec-WebSocket-Protocol"), "v5.channel.k8s.io");
    s->ws = kn_ws_client_new(stream, &ws_events, s);
    send(s, "\x04", "{\"Width\":80,\"Height\":24}");
    send(s, "\x00", "hello");
    struct kn_sv end = KN_SV("\xff\x00"); // closes channel 0
    ktest_true(kn_ws_send(s->ws, true, &end, 1));
}
static void on_head(void *arg, const struct kn_http_client_head *head)
{
    ((struct session *)arg)->status = head->status;
}
static void on_data(void *arg, struct kn_sv bytes)
{
    (void)arg, (void)bytes;
}
static void on_end(void *arg, const struct kn_status *status)
{
    (void)status;
    finish(arg);
}
static const struct kn_call_events call_events = {
    .on_head = on_head, .on_data = on_data, .on_upgrade = on_upgrade, .on_end = on_end};

static void start(struct kn_task *t)
{
    struct session *s = KN_CONTAINER_OF(t, struct session, task);
    struct kn_http_header headers[KN_WS_HEADERS];
    size_t n = kn_ws_client_headers(s->arena, s->protocol, headers, &s->key);
    struct kn_http_client_req req = {.method = "GET", .url = KN_SV("/exec"), .headers = headers,
                                .headers_len = n, .upgrade = true};
    struct kn_call *call;
    ktest_ok(kn_call_start(s->client, &req, &call_events, s, &call));
}

static void run(const char *base, const char *protocol, struct session *s)
{
    *s = (struct session){.protocol = protocol, .task.run = start, .arena = kn_arena_new(0, 65536)};
    pthread_mutex_init(&s->lock, NULL);
    kn_cond_init(&s->changed);
    ktest_ok(kn_http_client_new(&(struct kn_http_client_config){.base = base}, &s->client));
    kn_loop_post(kn_http_client_loop(s->client), &s->task);
    int64_t deadline = kn_mono() + PATIENCE;
    bool in_time = true;
    pthread_mutex_lock(&s->lock);
    while (!s->over && in_time)
        in_time = kn_cond_wait(&s->changed, &s->lock, deadline);
    pthread_mutex_unlock(&s->lock);
    ktest_true(s->over);
    kn_http_client_free(s->client);
    kn_arena_free(s->arena);
}

KTEST(exec_over_websocket_carries_all_channels_and_the_exit_code)
{
    struct kn_http_server *server = NULL;
    uint16_t port;
    char base[64];
    ktest_ok(kn_http_server_new(&(struct kn_http_config){.handle = handle}, &server));
    ktest_ok(kn_http_listen_tcp(server, "127.0.0.1", 0, NULL, &port));
    ktest_ok(kn_http_server_start(server));
    snprintf(base, sizeof base, "http://127.0.0.1:%u", port);
    struct session s;
    run(base, "v5.channel.k8s.io, v4.channel.k8s.io", &s);
    ktest_eq_str(s.text[KN_STDOUT], "hello");
    ktest_eq_str(s.text[KN_STDERR], "80x24");
    ktest_true(strstr(s.text[KN_ERROR], "\"reason\":\"ExitCode\",\"message\":\"3\"") != NULL);
    run(base, "v9.channel.k8s.io", &s);
    ktest_eq_int(s.status, 403);
    kn_http_server_free(server);
}

KTEST_MAIN(KTEST_CASE(frames_are_read_in_their_shortest_form_only),
           KTEST_CASE(exec_over_websocket_carries_all_channels_and_the_exit_code))

// Logs and streams of pods: relayed between the client and the agent of the pod's node. What the
// two say to one another after an upgrade passes through as bytes; nothing is interpreted here.
// Everything of a relay belongs to the loop thread of the client's request.
#include "apiserver/internal.h"

#define PENDING_MAX (1u << 20) // bytes that wait for one side before the other is paused

// -- one relay -----------------------------------------------------------------------------------

struct relay;

struct side {
    struct relay *relay;
    struct kn_stream *stream; // NULL when it is gone
    struct side *other;
};

struct relay {
    struct kn_request *r;     // until the HTTP request has ended
    struct kn_http_req *http; // NULL after that
    struct kn_call *call;     // NULL when it has ended
    bool upgrade;
    bool streaming;           // an answer without an upgrade has begun
    int status;               // of the agent's answer
    struct kn_buf error_text; // its body, when it is no success
    struct side client, agent;
};

static void relay_done(struct relay *x)
{
    if (!x->client.stream && !x->agent.stream && !x->call && !x->http)
        free(x);
}

static void side_read(void *arg, struct kn_sv bytes)
{
    struct side *s = arg;
    if (!s->other->stream)
        return;
    kn_stream_write(s->other->stream, bytes);
    if (kn_stream_pending(s->other->stream) > PENDING_MAX)
        kn_stream_pause(s->stream, true); // until the other side has taken it
}

static void side_eof(void *arg)
{
    struct side *s = arg;
    if (s->other->stream)
        kn_stream_shutdown(s->other->stream);
}

static void side_drain(void *arg)
{
    struct side *s = arg;
    if (s->other->stream)
        kn_stream_pause(s->other->stream, false);
}

static void side_close(void *arg, const struct kn_status *why __attribute__((unused)))
{
    struct side *s = arg;
    s->stream = NULL;
    struct kn_stream *other = s->other->stream;
    s->other->stream = NULL;
    if (other)
        kn_stream_finish(other); // what is on its way still arrives
    relay_done(s->relay);
}

static const struct kn_stream_events side_events = {side_read, side_eof, side_drain, side_close};

// -- the agent's answer ---------------------------------------------------------------------------

static void fail_http(struct relay *x, struct kn_status s)
{
    struct kn_request *r = x->r;
    kn_http_on_close(x->http, NULL, NULL);
    x->http = NULL;
    r->answer->error = s;
    kn_answer_send(r);
}

static void http_gone(struct kn_http_req *http, void *arg)
{
    struct relay *x = arg;
    x->http = NULL;
    if (x->call)
        kn_call_cancel(x->call);
    x->call = NULL;
    kn_buf_done(&x->error_text);
    kn_http_respond_text(http, 499, NULL, KN_SV("")); // nobody reads it: it ends the request
    relay_done(x);
}

static void http_drain(struct kn_http_req *http __attribute__((unused)), void *arg)
{
    struct relay *x = arg;
    if (x->call)
        kn_call_pause(x->call, false);
}

static void on_head(void *arg, const struct kn_http_client_head *head)
{
    struct relay *x = arg;
    x->status = head->status;
    if (head->status != 200 || x->upgrade)
        return; // an error: its text is collected
    struct kn_sv type = kn_http_client_head_get(head, "Content-Type");
    struct kn_http_header h = {KN_SV("Content-Type"), type.len ? type : KN_SV("text/plain")};
    kn_http_stream_begin(x->http, 200, &h, 1, http_drain, x);
    x->streaming = true;
}

static void on_data(void *arg, struct kn_sv bytes)
{
    struct relay *x = arg;
    if (!x->streaming) {
        kn_buf_add(&x->error_text, bytes);
        return;
    }
    kn_http_stream_copy(x->http, bytes);
    if (kn_http_stream_pending(x->http) > PENDING_MAX)
        kn_call_pause(x->call, true);
}

static void on_end(void *arg, const struct kn_status *status)
{
    struct relay *x = arg;
    x->call = NULL;
    struct kn_http_req *http = x->http;
    if (x->streaming) {
        x->http = NULL;
        kn_http_on_close(http, NULL, NULL);
        if (kn_ok(*status))
            kn_http_stream_end(http);
        else
            kn_http_stream_abort(http);
    } else if (!kn_ok(*status)) {
        fail_http(x, kn_error(KN_INTERNAL, "error dialing backend: %s", kn_status_text(status)));
    } else {
        enum kn_code code = kn_code_from_wire(x->status < 400 ? 502 : x->status, KN_SV(""));
        struct kn_sv text = kn_sv_trim(kn_buf_sv(&x->error_text));
        fail_http(x, kn_error(code, "%.*s", KN_SV_ARG(text.len ? text : KN_SV("unknown"))));
    }
    kn_buf_done(&x->error_text);
    relay_done(x);
}

static void on_upgrade(void *arg, const struct kn_http_client_head *head, struct kn_stream *stream)
{
    struct relay *x = arg;
    x->call = NULL;
    struct kn_http_header headers[16];
    size_t n = 0;
    for (size_t i = 0; i < head->headers_len && n < KN_ARRAY_LEN(headers); i++) {
        struct kn_sv name = head->headers[i].name;
        if (!kn_sv_ieq(name, KN_SV("Connection")) && !kn_sv_ieq(name, KN_SV("Date")) &&
            !kn_sv_ieq(name, KN_SV("Content-Length")))
            headers[n++] = head->headers[i];
    }
    kn_http_on_close(x->http, NULL, NULL);
    struct kn_status s = kn_http_upgrade(x->http, headers, n, &x->client.stream);
    if (!kn_ok(s)) {
        kn_stream_close(stream);
        x->client.stream = NULL;
        fail_http(x, s);
        relay_done(x);
        return;
    }
    x->http = NULL;
    x->agent.stream = stream;
    kn_stream_set_events(x->client.stream, &side_events, &x->client);
    kn_stream_set_events(x->agent.stream, &side_events, &x->agent);
}

static const struct kn_call_events call_events = {
    .on_head = on_head, .on_data = on_data, .on_upgrade = on_upgrade, .on_end = on_end};

// -- starting -------------------------------------------------------------------------------------

static struct kn_status client_of(struct kn_apiserver *s, struct kn_http_req *http,
                                  struct kn_http_client **ret)
{
    int thread = kn_http_thread(http);
    if (!s->kubelets[thread]) {
        struct kn_http_client_config c = {.loop = kn_http_loop(http), .tls = s->kubelet_tls};
        KN_TRY(kn_http_client_new(&c, &s->kubelets[thread]));
    }
    *ret = s->kubelets[thread];
    return KN_STATUS_OK;
}

void kn_connect_end_all(struct kn_apiserver *s, int thread)
{
    kn_http_client_free(s->kubelets[thread]);
    s->kubelets[thread] = NULL;
}

// What the two ends need to agree on a protocol; nothing else of the client's request goes on.
static size_t relayed_headers(struct kn_request *r, struct kn_http_header *out, size_t max)
{
    static const char *const names[] = {"Connection", "Upgrade", "Sec-WebSocket-Key",
                                        "Sec-WebSocket-Version", "Sec-WebSocket-Protocol"};
    size_t n = 0;
    for (size_t i = 0; i < KN_ARRAY_LEN(names); i++) {
        struct kn_sv v = kn_http_header(r->http, names[i]);
        if (v.ptr)
            out[n++] = (struct kn_http_header){kn_sv_c(names[i]), v};
    }
    struct kn_http_header h;
    for (size_t i = 0; kn_http_header_at(r->http, i, &h) && n < max; i++)
        if (kn_sv_ieq(h.name, KN_SV("X-Stream-Protocol-Version")))
            out[n++] = h;
    return n;
}

static struct kn_status served(const struct kn_request *r)
{
    bool get = kn_sv_is(r->method, "GET");
    uint32_t verb = get ? KN_VERB_GET : kn_sv_is(r->method, "POST") ? KN_VERB_CREATE : 0;
    return r->sub->verbs & verb ? KN_STATUS_OK : kn_not_allowed(r);
}

// Browsers and new clients open streams by a WebSocket's GET: that is no reading, whoever may only
// "get" may not run commands (upstream's AuthorizePodWebsocketUpgradeCreatePermission).
static struct kn_status may_create(struct kn_request *r)
{
    return kn_sv_is(r->method, "GET") ? kn_request_authorize(r, "create") : KN_STATUS_OK;
}

static struct kn_status start(struct kn_request *r)
{
    if (!kn_sv_is(r->plural, "pods") || r->group.len || kn_sv_is(r->subresource, "proxy"))
        return kn_error(KN_NOT_SUPPORTED, "%.*s/%.*s is not supported by this server yet",
                        KN_SV_ARG(r->plural), KN_SV_ARG(r->subresource));
    bool log = kn_sv_is(r->subresource, "log");
    struct kn_sv url;
    KN_TRY(served(r));
    if (!log)
        KN_TRY(may_create(r));
    KN_TRY(kn_connect_target(r, &url));
    if (!log && !kn_http_header(r->http, "Upgrade").len)
        return kn_error(KN_BAD_REQUEST, "Upgrade request required");
    struct kn_http_client *client;
    KN_TRY(client_of(r->server, r->http, &client));
    struct kn_http_header headers[16];
    struct kn_http_client_req req = {.method = kn_arena_dup(r->arena, r->method).ptr,
                                     .url = url,
                                     .headers = headers,
                                     .upgrade = !log};
    if (!log)
        req.headers_len = relayed_headers(r, headers, KN_ARRAY_LEN(headers));
    struct relay *x = KN_NEW(struct relay);
    *x = (struct relay){.r = r, .http = r->http, .upgrade = !log, .error_text = KN_BUF(16u << 10)};
    x->client = (struct side){x, NULL, &x->agent};
    x->agent = (struct side){x, NULL, &x->client};
    struct kn_status s = kn_call_start(client, &req, &call_events, x, &x->call);
    if (!kn_ok(s)) {
        free(x);
        return s;
    }
    kn_http_on_close(r->http, http_gone, x);
    return KN_STATUS_OK;
}

void kn_connect_start(struct kn_request *r)
{
    struct kn_status s = start(r);
    if (kn_ok(s))
        return;
    r->answer->error = s;
    kn_answer_send(r);
}

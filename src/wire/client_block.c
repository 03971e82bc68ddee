// The blocking face of the client: calls run in its loop, other threads wait for them.
#include "base/thread.h"
#include "wire/client_conn.h"

#define HIGH (256u << 10) // bytes that wait for the reader, above which the server is slowed down

// Shared by a reader and the loop's thread, one reference each.
struct kn_body {
    struct kn_http_client *client;
    const struct kn_http_client_req *req; // until the call has begun
    struct client_address addresses[CLIENT_ADDRESSES];
    size_t addresses_len;
    struct kn_task start, cancel, resume;
    int refs; // atomic
    // the loop's thread
    struct kn_call *call;
    struct kn_arena *arena; // the caller's, who waits until the head is there
    size_t limit;           // of the whole body; SIZE_MAX for streams
    // under lock
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct kn_http_client_resp resp;
    struct kn_buf data;
    bool head, ended, paused, resuming, aborted, cancelling;
    struct kn_status status;
};

static void unref(struct kn_body *b)
{
    if (__atomic_sub_fetch(&b->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    kn_buf_done(&b->data);
    kn_status_done(&b->status);
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->changed);
    free(b);
}

static void signal_locked(struct kn_body *b)
{
    pthread_cond_broadcast(&b->changed);
}

static void on_head(void *arg, const struct kn_http_client_head *h)
{
    struct kn_body *b = arg;
    pthread_mutex_lock(&b->lock);
    if (!b->cancelling && !b->aborted) { // the arena is there only while somebody waits
        b->resp.status = h->status;
        b->resp.headers = kn_arena_calloc(b->arena, h->headers_len + 1, sizeof *b->resp.headers);
        for (size_t i = 0; b->resp.headers && i < h->headers_len; i++)
            b->resp.headers[b->resp.headers_len++] =
                (struct kn_http_header){kn_arena_dup(b->arena, h->headers[i].name),
                                        kn_arena_dup(b->arena, h->headers[i].value)};
    }
    b->head = true;
    signal_locked(b);
    pthread_mutex_unlock(&b->lock);
}

static void on_data(void *arg, struct kn_sv bytes)
{
    struct kn_body *b = arg;
    bool pause = false;
    pthread_mutex_lock(&b->lock);
    kn_buf_add(&b->data, bytes);
    if (b->limit == SIZE_MAX && b->data.len > HIGH && !b->paused)
        b->paused = pause = true;
    signal_locked(b);
    pthread_mutex_unlock(&b->lock);
    if (pause)
        kn_call_pause(b->call, true);
}

static void end(struct kn_body *b, struct kn_status s)
{
    b->call = NULL;
    pthread_mutex_lock(&b->lock);
    b->ended = true;
    if (b->data.failed && kn_ok(s))
        s = kn_buf_status(&b->data, "the answer's body");
    kn_status_done(&b->status);
    b->status = s;
    signal_locked(b);
    pthread_mutex_unlock(&b->lock);
    unref(b);
}

static void on_end(void *arg, const struct kn_status *status)
{
    end(arg, kn_status_copy(status));
}

static const struct kn_call_events events = {
    .on_head = on_head, .on_data = on_data, .on_end = on_end};

static void start_task(struct kn_task *t)
{
    struct kn_body *b = KN_CONTAINER_OF(t, struct kn_body, start);
    struct kn_status s = kn_client_start(b->client, b->req, b->addresses, b->addresses_len, &events,
                                         b, &b->call);
    if (!kn_ok(s))
        end(b, s);
}

static void cancel_task(struct kn_task *t)
{
    struct kn_body *b = KN_CONTAINER_OF(t, struct kn_body, cancel);
    if (b->call) {
        kn_call_cancel(b->call);
        end(b, kn_error(KN_CANCELLED, "the request was aborted"));
    }
    unref(b);
}

static void resume_task(struct kn_task *t)
{
    struct kn_body *b = KN_CONTAINER_OF(t, struct kn_body, resume);
    pthread_mutex_lock(&b->lock);
    b->resuming = b->paused = false;
    pthread_mutex_unlock(&b->lock);
    if (b->call)
        kn_call_pause(b->call, false);
    unref(b);
}

static struct kn_status begin(struct kn_http_client *c, const struct kn_http_client_req *req,
                              size_t limit, struct kn_arena *a, struct kn_body **ret)
{
    kn_assert(!kn_loop_is_mine(c->loop));
    struct kn_body *b = KN_NEW(struct kn_body);
    b->client = c;
    b->req = req;
    b->arena = a;
    b->limit = limit;
    b->refs = 2;
    b->data = KN_BUF(limit == SIZE_MAX ? (64u << 20) : limit);
    b->start.run = start_task;
    b->cancel.run = cancel_task;
    b->resume.run = resume_task;
    pthread_mutex_init(&b->lock, NULL);
    kn_cond_init(&b->changed);
    if (req->connected_fd <= 0) {
        struct kn_status s = kn_client_resolve(c, req->url, b->addresses, &b->addresses_len);
        if (!kn_ok(s)) {
            if (req->body_release)
                req->body_release(req->body_arg);
            b->refs = 1;
            unref(b);
            return s;
        }
    }
    kn_loop_post(c->loop, &b->start);
    if (req->on_begun)
        req->on_begun(req->begun_arg, b);
    *ret = b;
    return KN_STATUS_OK;
}

struct kn_sv kn_http_client_resp_get(const struct kn_http_client_resp *r, const char *name)
{
    return kn_http_client_head_get(
        &(struct kn_http_client_head){r->status, r->headers, r->headers_len}, name);
}

struct kn_status kn_http_call(struct kn_http_client *c, const struct kn_http_client_req *req,
                              size_t limit, struct kn_arena *a, struct kn_http_client_resp *ret)
{
    struct kn_body *b = NULL;
    KN_TRY(begin(c, req, limit, a, &b));
    pthread_mutex_lock(&b->lock);
    while (!b->ended)
        kn_cond_wait(&b->changed, &b->lock, KN_FOREVER); // the deadline is the call's own
    struct kn_status s = b->status;
    b->status = KN_STATUS_OK;
    if (kn_ok(s)) {
        b->resp.body = kn_arena_dup(a, kn_buf_sv(&b->data));
        if (kn_arena_failed(a))
            s = kn_arena_error(a, "an HTTP answer");
        else
            *ret = b->resp;
    }
    pthread_mutex_unlock(&b->lock);
    if (req->on_begun)
        req->on_begun(req->begun_arg, NULL);
    unref(b);
    return s;
}

struct kn_status kn_http_open(struct kn_http_client *c, const struct kn_http_client_req *req,
                              struct kn_arena *a, struct kn_http_client_resp *ret_head,
                              struct kn_body **ret)
{
    struct kn_body *b = NULL;
    struct kn_http_client_req open = *req;
    open.deadline = 0; // it is for the head; the body may take for ever
    int64_t deadline = req->deadline ? req->deadline : KN_FOREVER;
    KN_TRY(begin(c, &open, SIZE_MAX, a, &b));
    pthread_mutex_lock(&b->lock);
    bool in_time = true;
    while (!b->head && !b->ended && in_time)
        in_time = kn_cond_wait(&b->changed, &b->lock, deadline);
    struct kn_status s = KN_STATUS_OK;
    if (b->head) {
        *ret_head = b->resp;
    } else if (b->ended) {
        s = b->status;
        b->status = KN_STATUS_OK;
    } else {
        s = kn_error(KN_TIMEOUT, "%.*s: no answer in time", KN_SV_ARG(kn_sv_first(req->url, 200)));
    }
    pthread_mutex_unlock(&b->lock);
    if (req->on_begun)
        req->on_begun(req->begun_arg, NULL);
    if (kn_ok(s)) {
        *ret = b;
        return s;
    }
    // the request is the caller's: nothing may look at it when we have returned
    kn_http_abort(b);
    pthread_mutex_lock(&b->lock);
    while (!b->ended)
        kn_cond_wait(&b->changed, &b->lock, KN_FOREVER);
    pthread_mutex_unlock(&b->lock);
    unref(b);
    return s;
}

struct kn_status kn_http_read(struct kn_body *b, void *out, size_t max, int64_t deadline,
                              size_t *ret_n)
{
    *ret_n = 0;
    pthread_mutex_lock(&b->lock);
    bool in_time = true;
    while (!b->data.len && !b->ended && !b->aborted && in_time)
        in_time = kn_cond_wait(&b->changed, &b->lock, deadline);
    struct kn_status s = KN_STATUS_OK;
    bool resume = false;
    if (b->aborted) {
        s = kn_error(KN_CANCELLED, "the request was aborted");
    } else if (b->data.len) {
        size_t n = b->data.len < max ? b->data.len : max;
        memcpy(out, b->data.ptr, n);
        kn_buf_drop(&b->data, n);
        *ret_n = n;
        if (b->paused && !b->resuming && !b->ended && b->data.len < HIGH / 2) {
            b->resuming = resume = true;
            __atomic_add_fetch(&b->refs, 1, __ATOMIC_RELAXED);
        }
        if (!b->data.len)
            kn_buf_done(&b->data);
    } else if (b->ended) {
        s = kn_status_copy(&b->status);
    } else {
        s = kn_error(KN_TIMEOUT, "nothing came in time");
    }
    pthread_mutex_unlock(&b->lock);
    if (resume)
        kn_loop_post(b->client->loop, &b->resume);
    return s;
}

void kn_http_abort(struct kn_body *b)
{
    bool post = false;
    pthread_mutex_lock(&b->lock);
    b->aborted = true;
    if (!b->cancelling && !b->ended) {
        b->cancelling = post = true;
        __atomic_add_fetch(&b->refs, 1, __ATOMIC_RELAXED);
    }
    signal_locked(b);
    pthread_mutex_unlock(&b->lock);
    if (post)
        kn_loop_post(b->client->loop, &b->cancel);
}

void kn_http_close(struct kn_body *b)
{
    if (!b)
        return;
    kn_http_abort(b);
    unref(b);
}

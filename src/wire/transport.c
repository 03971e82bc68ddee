#include "wire/transport.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/uio.h>

#include "base/mem.h"

#define RECORD 16384u            // bytes of one TLS record
#define FINISH_TIME (10 * KN_SECOND)
#define LINGER_TIME (1 * KN_SECOND) // for the peer's close, after ours
#define READ_ROUNDS 8            // reads of one stream in a turn, so that others get theirs

enum state { CONNECTING, HANDSHAKE, OPEN };

// One queued piece; copied bytes lie behind it.
struct out {
    struct out *next;
    struct kn_piece piece;
    size_t at;  // bytes of it that have been sent
    size_t cap; // of `copy`; 0: the piece is not ours
    char copy[];
};

struct kn_transport {
    struct kn_stream stream; // first
    struct kn_loop_fd watch;
    struct kn_tls *tls;
    void (*on_ready)(void *arg);
    struct out *head, *tail;
    size_t pending, allowed; // allowed: beyond KN_STREAM_MAX
    uint64_t bytes_in, bytes_out;
    struct kn_task flush, again; // again: read without waiting for the socket
    struct kn_timer timer;       // of finishing
    struct kn_loop_hook hook;
    void (*on_gone)(void *arg);
    void *gone_arg;
    struct kn_buf unread;
    enum state state;
    unsigned depth; // callbacks that are running: freed when the last one returns
    bool flush_set, again_set;
    bool paused, eof, blocked /* the socket takes no more */, tls_wants_write;
    bool shut, shut_done; // no more writes: send what is queued, then half close; that is done
    bool finishing; // nobody listens: flush, close
    bool first; // accepted with TLS, and nothing has come yet
    bool dead;
};

static struct kn_transport *of(const struct kn_stream *s)
{
    return (struct kn_transport *)(uintptr_t)s;
}

// ---- the end of it ----

static void release(struct out *o)
{
    if (o->piece.release)
        o->piece.release(o->piece.arg);
    free(o);
}

// Everything but the struct itself, which callbacks further up may still hold.
static void destroy(struct kn_transport *t)
{
    if (t->dead)
        return;
    t->dead = true;
    kn_loop_fd_remove(t->stream.loop, &t->watch);
    kn_timer_cancel(t->stream.loop, &t->timer);
    kn_loop_hook_remove(&t->hook);
    if (t->flush_set)
        kn_list_remove(&t->flush.link);
    if (t->again_set)
        kn_list_remove(&t->again.link);
    kn_tls_free(t->tls);
    close(t->watch.fd);
    kn_buf_done(&t->unread);
    t->pending = 0;
    while (t->head) {
        struct out *o = t->head;
        t->head = o->next;
        release(o);
    }
    if (t->on_gone)
        t->on_gone(t->gone_arg);
    if (!t->depth)
        free(t);
}

static void enter(struct kn_transport *t)
{
    t->depth++;
}

// False when the transport has died meanwhile (and is freed, if nobody else holds it).
static bool leave(struct kn_transport *t)
{
    t->depth--;
    if (!t->dead)
        return true;
    if (!t->depth)
        free(t);
    return false;
}

// Tells the owner, then destroys. Ends `why`.
static void fail(struct kn_transport *t, struct kn_status why)
{
    if (!t->dead) {
        enter(t);
        const struct kn_stream_events *ev = t->finishing ? NULL : t->stream.ev;
        void *arg = t->stream.arg;
        t->finishing = true; // told once
        if (ev)
            ev->on_close(arg, &why);
        destroy(t);
        leave(t);
    }
    kn_status_done(&why);
}

// ---- what the loop should tell us ----

static void update(struct kn_transport *t)
{
    if (t->dead)
        return;
    uint32_t e = 0;
    if (t->state == CONNECTING)
        e = EPOLLOUT;
    else {
        if (!t->eof && (!t->paused || t->state == HANDSHAKE))
            e |= EPOLLIN;
        if (t->blocked || t->tls_wants_write)
            e |= EPOLLOUT;
    }
    kn_loop_fd_set(t->stream.loop, &t->watch, e);
}

static void set_flush(struct kn_transport *t)
{
    if (t->flush_set || t->dead)
        return;
    t->flush_set = true;
    kn_loop_post(t->stream.loop, &t->flush);
}

static void set_again(struct kn_transport *t)
{
    if (t->again_set || t->dead)
        return;
    t->again_set = true;
    kn_loop_post(t->stream.loop, &t->again);
}

// ---- writing ----

// One write. KN_IO_OK with *ret_n > 0, WANT_* or FAILED (then *ret_error is set).
static enum kn_io write_some(struct kn_transport *t, const struct iovec *iov, int n, size_t *ret_n,
                             struct kn_status *ret_error)
{
    if (t->tls) {
        enum kn_io io = kn_tls_write(t->tls, iov[0].iov_base, iov[0].iov_len, ret_n);
        if (io == KN_IO_FAILED || io == KN_IO_EOF) {
            *ret_error = kn_tls_error(t->tls);
            return KN_IO_FAILED;
        }
        return io;
    }
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n};
    ssize_t w = sendmsg(t->watch.fd, &m, MSG_NOSIGNAL);
    if (w < 0 && (errno == EAGAIN || errno == EINTR))
        return KN_IO_WANT_WRITE;
    if (w < 0) {
        *ret_error = kn_error(KN_CLOSED, "write: %s", strerror(errno));
        return KN_IO_FAILED;
    }
    *ret_n = (size_t)w;
    return KN_IO_OK;
}

// What goes out next: TLS takes one buffer, so that small pieces are put together in one record; a
// plain socket takes many.
static int gather(struct kn_transport *t, struct iovec *iov, int max)
{
    struct out *o = t->head;
    size_t left = o->piece.bytes.len - o->at;
    if (t->tls && (left >= RECORD || !o->next)) {
        iov[0] = (struct iovec){(void *)(uintptr_t)(o->piece.bytes.ptr + o->at), left};
        return 1;
    }
    if (t->tls) {
        uint8_t *buf = kn_loop_scratch(t->stream.loop, 1);
        size_t len = 0;
        for (; o && len < RECORD; o = o->next) {
            left = o->piece.bytes.len - o->at;
            size_t n = left < RECORD - len ? left : RECORD - len;
            memcpy(buf + len, o->piece.bytes.ptr + o->at, n);
            len += n;
        }
        iov[0] = (struct iovec){buf, len};
        return 1;
    }
    int n = 0;
    for (; o && n < max; o = o->next, n++)
        iov[n] = (struct iovec){(void *)(uintptr_t)(o->piece.bytes.ptr + o->at),
                                o->piece.bytes.len - o->at};
    return n;
}

static void sent(struct kn_transport *t, size_t n)
{
    t->bytes_out += n;
    t->pending -= n;
    while (t->head) {
        struct out *o = t->head;
        size_t left = o->piece.bytes.len - o->at;
        if (n < left) {
            o->at += n;
            return;
        }
        n -= left;
        t->head = o->next;
        if (!t->head)
            t->tail = NULL;
        release(o);
        if (t->dead)
            return;
        if (!n && !(t->head && t->head->piece.bytes.len == 0))
            return;
    }
}

static void after_shutdown(struct kn_transport *t)
{
    if (t->dead || !t->shut || t->pending || t->shut_done)
        return;
    t->shut_done = true;
    if (t->tls)
        (void)kn_tls_shutdown(t->tls);
    shutdown(t->watch.fd, SHUT_WR);
    if (!t->finishing) {
        if (t->eof) // both directions have ended in order
            fail(t, KN_STATUS_OK);
        return;
    }
    // Closing while unread bytes wait would reset the connection under our last words: give the
    // peer a moment to close.
    if (t->eof)
        destroy(t);
    else
        kn_timer_set(t->stream.loop, &t->timer, kn_loop_now(t->stream.loop) + LINGER_TIME);
}

static void flush(struct kn_transport *t)
{
    if (t->state != OPEN || t->dead)
        return;
    bool had = t->pending > 0;
    t->blocked = false;
    enter(t);
    while (t->head && !t->dead) {
        struct iovec iov[64];
        size_t n = 0;
        struct kn_status error = KN_STATUS_OK;
        int count = gather(t, iov, 64);
        enum kn_io io =
            iov[0].iov_len || count > 1 ? write_some(t, iov, count, &n, &error) : KN_IO_OK;
        if (io == KN_IO_FAILED) {
            fail(t, error);
            break;
        }
        if (io != KN_IO_OK) {
            t->blocked = true;
            break;
        }
        sent(t, n);
    }
    if (!t->dead && had && !t->pending && !t->finishing && t->stream.ev && t->stream.ev->on_drain)
        t->stream.ev->on_drain(t->stream.arg);
    if (!t->dead)
        after_shutdown(t);
    update(t);
    leave(t);
}

static void flush_task(struct kn_task *task)
{
    struct kn_transport *t = KN_CONTAINER_OF(task, struct kn_transport, flush);
    t->flush_set = false;
    if (!t->blocked)
        flush(t);
}

static void append(struct kn_transport *t, struct out *o)
{
    o->next = NULL;
    if (t->tail)
        t->tail->next = o;
    else
        t->head = o;
    t->tail = o;
    t->pending += o->piece.bytes.len;
}

// False: the bytes are lost. When it is because too much waits, the connection breaks off at the
// end of the turn (the caller is in the middle of something): a gap must not look like a whole
// answer.
static bool takes(struct kn_transport *t, size_t len)
{
    if (t->dead || t->shut)
        return false;
    if (t->pending + len <= KN_STREAM_MAX + t->allowed)
        return true;
    t->shut = true;
    shutdown(t->watch.fd, SHUT_RDWR);
    set_again(t);
    return false;
}

static void queue_copy(struct kn_transport *t, struct kn_sv bytes)
{
    struct out *o = t->tail;
    if (o && o->cap - o->piece.bytes.len >= bytes.len && o->cap) {
        memcpy(o->copy + o->piece.bytes.len, bytes.ptr, bytes.len);
        o->piece.bytes.len += bytes.len;
        t->pending += bytes.len;
        return;
    }
    size_t least = o && o->cap ? 4000 : 960; // who copies much gets larger blocks
    size_t cap = bytes.len < least ? least : bytes.len;
    o = kn_alloc(sizeof *o + cap);
    *o = (struct out){.cap = cap};
    memcpy(o->copy, bytes.ptr, bytes.len);
    o->piece.bytes = kn_sv(o->copy, bytes.len);
    append(t, o);
}

bool kn_stream_write(struct kn_stream *s, struct kn_sv bytes)
{
    if (!bytes.len)
        return true;
    if (s->ops) { // a tunnel
        char *copy = kn_alloc(bytes.len);
        memcpy(copy, bytes.ptr, bytes.len);
        return s->ops->write(s, (struct kn_piece){kn_sv(copy, bytes.len), free, copy});
    }
    struct kn_transport *t = of(s);
    if (!takes(t, bytes.len))
        return false;
    queue_copy(t, bytes);
    set_flush(t);
    return true;
}

bool kn_stream_write_piece(struct kn_stream *s, struct kn_piece piece)
{
    if (s->ops)
        return s->ops->write(s, piece);
    struct kn_transport *t = of(s);
    if (!piece.bytes.len || !takes(t, piece.bytes.len)) {
        if (piece.release)
            piece.release(piece.arg);
        return !piece.bytes.len;
    }
    struct out *o = kn_alloc(sizeof *o);
    *o = (struct out){.piece = piece};
    append(t, o);
    set_flush(t);
    return true;
}

bool kn_transport_write_now(struct kn_stream *s, struct kn_sv bytes)
{
    struct kn_transport *t = of(s);
    if (!takes(t, bytes.len))
        return false;
    // TLS must see a write that it wanted to repeat again: then everything goes through the queue
    while (bytes.len && !t->head && t->state == OPEN && !t->blocked && !t->dead) {
        size_t n = 0;
        struct kn_status error = KN_STATUS_OK;
        struct iovec iov = {(void *)(uintptr_t)bytes.ptr, bytes.len};
        enum kn_io io = write_some(t, &iov, 1, &n, &error);
        if (io == KN_IO_FAILED) {
            // told at the end of the turn: the caller is in the middle of something
            kn_status_done(&error);
            t->shut = true;
            shutdown(t->watch.fd, SHUT_RDWR);
            set_again(t);
            return false;
        }
        if (io != KN_IO_OK) {
            t->blocked = true;
            break;
        }
        t->bytes_out += n;
        bytes = kn_sv_from(bytes, n);
    }
    if (bytes.len)
        queue_copy(t, bytes);
    update(t);
    return true;
}

// ---- reading ----

static void at_eof(struct kn_transport *t)
{
    t->eof = true;
    update(t);
    if (t->finishing) {
        if (t->shut_done)
            destroy(t);
        return;
    }
    if (t->stream.ev->on_eof && !t->shut_done)
        t->stream.ev->on_eof(t->stream.arg);
    else
        fail(t, KN_STATUS_OK);
}

static enum kn_io read_some(struct kn_transport *t, uint8_t *buf, size_t *ret_n,
                            struct kn_status *ret_error)
{
    if (t->tls) {
        enum kn_io io = kn_tls_read(t->tls, buf, KN_LOOP_SCRATCH, ret_n);
        if (io == KN_IO_FAILED)
            *ret_error = kn_tls_error(t->tls);
        return io;
    }
    ssize_t n = recv(t->watch.fd, buf, KN_LOOP_SCRATCH, 0);
    if (n > 0) {
        *ret_n = (size_t)n;
        return KN_IO_OK;
    }
    if (n == 0)
        return KN_IO_EOF;
    if (errno == EAGAIN || errno == EINTR)
        return KN_IO_WANT_READ;
    *ret_error = kn_error(KN_CLOSED, "read: %s", strerror(errno));
    return KN_IO_FAILED;
}

static void deliver(struct kn_transport *t, struct kn_sv bytes)
{
    if (!t->finishing && t->stream.ev)
        t->stream.ev->on_read(t->stream.arg, bytes);
}

// True when there is more without waiting for the socket.
static bool has_more(const struct kn_transport *t, size_t n)
{
    return t->tls ? kn_tls_buffered(t->tls) > 0 : n == KN_LOOP_SCRATCH;
}

static void read_in(struct kn_transport *t)
{
    enter(t);
    if (t->unread.len && !t->paused) {
        struct kn_buf b = t->unread;
        t->unread = KN_BUF(KN_STREAM_MAX);
        deliver(t, kn_buf_sv(&b));
        kn_buf_done(&b);
    }
    for (int i = 0; !t->dead && !t->eof && (!t->paused || t->finishing); i++) {
        if (i == READ_ROUNDS) {
            set_again(t);
            break;
        }
        size_t n = 0;
        struct kn_status error = KN_STATUS_OK;
        uint8_t *buf = kn_loop_scratch(t->stream.loop, 0);
        enum kn_io io = read_some(t, buf, &n, &error);
        t->tls_wants_write = io == KN_IO_WANT_WRITE;
        if (io == KN_IO_OK) {
            t->bytes_in += n;
            bool more = has_more(t, n);
            deliver(t, kn_sv((char *)buf, n));
            if (!more)
                break;
            continue;
        }
        if (io == KN_IO_EOF)
            at_eof(t);
        else if (io == KN_IO_FAILED)
            fail(t, error);
        break;
    }
    update(t);
    leave(t);
}

static void again_task(struct kn_task *task)
{
    struct kn_transport *t = KN_CONTAINER_OF(task, struct kn_transport, again);
    t->again_set = false;
    if (t->state == OPEN)
        read_in(t);
}

static void loop_ends(struct kn_loop_hook *h)
{
    struct kn_transport *t = KN_CONTAINER_OF(h, struct kn_transport, hook);
    fail(t, kn_error(KN_CANCELLED, "the event loop ends"));
}

// ---- beginning ----

static void ready_now(struct kn_transport *t)
{
    t->state = OPEN;
    if (t->on_ready && !t->finishing)
        t->on_ready(t->stream.arg);
    if (t->dead)
        return;
    set_flush(t);
    if (t->tls && kn_tls_buffered(t->tls))
        set_again(t);
}

// Who speaks plain HTTP to a TLS socket sees in words what is wrong, as Go's servers tell it.
static bool answer_plain_http(struct kn_transport *t)
{
    static const char words[] = "HTTP/1.0 400 Bad Request\r\n\r\n"
                                "Client sent an HTTP request to an HTTPS server.\n";
    static const char *const starts[] = {"GET /", "HEAD ", "POST ", "PUT /",
                                         "OPTIO", "PATCH", "DELET"};
    char begin[5], rest[4096];
    ssize_t n = recv(t->watch.fd, begin, sizeof begin, MSG_PEEK | MSG_DONTWAIT);
    t->first = n <= 0;
    bool plain = false;
    for (size_t i = 0; n == sizeof begin && i < KN_ARRAY_LEN(starts); i++)
        plain = plain || memcmp(begin, starts[i], sizeof begin) == 0;
    if (!plain)
        return false;
    while (recv(t->watch.fd, rest, sizeof rest, MSG_DONTWAIT) > 0)
        ; // what lies unread would break the connection off before the words arrive
    (void)send(t->watch.fd, words, sizeof words - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    shutdown(t->watch.fd, SHUT_WR);
    fail(t, kn_error(KN_BAD_REQUEST, "the peer speaks plain HTTP where TLS is spoken"));
    return true;
}

static void advance(struct kn_transport *t)
{
    if (t->state == CONNECTING) {
        int err = 0;
        socklen_t len = sizeof err;
        getsockopt(t->watch.fd, SOL_SOCKET, SO_ERROR, &err, &len);
        if (err) {
            fail(t, kn_error(KN_UNAVAILABLE, "connect: %s", strerror(err)));
            return;
        }
        t->state = HANDSHAKE;
    }
    if (!t->tls) {
        ready_now(t);
        return;
    }
    if (t->first && answer_plain_http(t))
        return;
    enum kn_io io = kn_tls_handshake(t->tls);
    t->tls_wants_write = io == KN_IO_WANT_WRITE;
    if (io == KN_IO_OK)
        ready_now(t);
    else if (io == KN_IO_EOF)
        fail(t, kn_error(KN_CLOSED, "the peer closed the connection during the TLS handshake"));
    else if (io == KN_IO_FAILED)
        fail(t, kn_tls_error(t->tls));
}

static void ready(struct kn_loop_fd *w, uint32_t events)
{
    struct kn_transport *t = KN_CONTAINER_OF(w, struct kn_transport, watch);
    enter(t);
    if (t->state != OPEN)
        advance(t);
    else {
        if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) || (t->tls_wants_write && events & EPOLLOUT)) {
            // nothing more can be read, and nobody reads: what is left is to notice
            if ((events & (EPOLLHUP | EPOLLERR)) && (t->paused || t->eof) && !t->finishing)
                fail(t, kn_error(KN_CLOSED, "the peer broke the connection off"));
            else if ((events & (EPOLLHUP | EPOLLERR)) && t->eof)
                destroy(t);
            else
                read_in(t);
        }
        if (!t->dead && (events & EPOLLOUT) && t->blocked)
            flush(t);
    }
    update(t);
    leave(t);
}

static void timed_out(struct kn_timer *timer)
{
    destroy(KN_CONTAINER_OF(timer, struct kn_transport, timer));
}

// Takes fd.
static struct kn_status make(struct kn_loop *l, int fd, struct kn_tls_ctx *tls, struct kn_sv host,
                             enum state state, void (*on_ready)(void *arg), struct kn_stream **ret)
{
    int one = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); // unix sockets refuse
    // a peer that vanished without a word is noticed within half a minute
    int idle = 15, interval = 5, count = 3;
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    struct kn_tls *conn = NULL;
    struct kn_status s = tls ? kn_tls_new(tls, fd, host, &conn) : KN_STATUS_OK;
    struct kn_transport *t = KN_NEW(struct kn_transport);
    t->stream.loop = l;
    t->watch = (struct kn_loop_fd){
        .fd = fd,
        // a plain socket is ready at once, which EPOLLOUT tells when the events have been set
        .events = state == CONNECTING                   ? EPOLLOUT
                  : state == HANDSHAKE && tls == NULL ? EPOLLIN | EPOLLOUT
                                                      : EPOLLIN,
        .ready = ready};
    t->tls = conn;
    t->on_ready = on_ready;
    t->flush.run = flush_task;
    t->again.run = again_task;
    t->timer.fire = timed_out;
    t->unread = KN_BUF(KN_STREAM_MAX);
    t->state = state;
    t->first = tls && state == HANDSHAKE;
    if (kn_ok(s))
        s = kn_loop_fd_add(l, &t->watch);
    if (!kn_ok(s)) {
        kn_tls_free(conn);
        close(fd);
        free(t);
        return s;
    }
    t->hook.end = loop_ends;
    kn_loop_hook_add(l, &t->hook);
    *ret = &t->stream;
    return s;
}

struct kn_status kn_transport_accepted(struct kn_loop *l, int fd, struct kn_tls_ctx *tls,
                                       void (*on_ready)(void *arg), struct kn_stream **ret)
{
    return make(l, fd, tls, KN_SV_NULL, HANDSHAKE, on_ready, ret);
}

struct kn_status kn_transport_client(struct kn_loop *l, int fd, struct kn_tls_ctx *tls,
                                     struct kn_sv host, void (*on_ready)(void *arg),
                                     struct kn_stream **ret)
{
    return make(l, fd, tls, host, CONNECTING, on_ready, ret);
}

struct kn_status kn_transport_connect(struct kn_loop *l, const struct sockaddr *address,
                                      socklen_t len, struct kn_tls_ctx *tls, struct kn_sv host,
                                      void (*on_ready)(void *arg), struct kn_stream **ret)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return kn_error_errno(errno, "make a socket");
    if (connect(fd, address, len) < 0 && errno != EINPROGRESS) {
        struct kn_status s = kn_error(KN_UNAVAILABLE, "connect: %s", strerror(errno));
        close(fd);
        return s;
    }
    return make(l, fd, tls, host, CONNECTING, on_ready, ret);
}

struct kn_status kn_stream_from_fd(struct kn_loop *l, int fd, struct kn_stream **ret)
{
    return make(l, fd, NULL, KN_SV_NULL, OPEN, NULL, ret);
}

// ---- the rest of the stream ----

void kn_stream_set_events(struct kn_stream *s, const struct kn_stream_events *ev, void *arg)
{
    s->ev = ev;
    s->arg = arg;
}

struct kn_loop *kn_stream_loop(const struct kn_stream *s)
{
    return s->loop;
}

size_t kn_stream_pending(const struct kn_stream *s)
{
    return s->ops ? s->ops->pending(s) : of(s)->pending;
}

void kn_stream_pause(struct kn_stream *s, bool paused)
{
    if (s->ops) {
        s->ops->pause(s, paused);
        return;
    }
    struct kn_transport *t = of(s);
    if (t->paused == paused || t->dead)
        return;
    t->paused = paused;
    update(t);
    if (!paused)
        set_again(t);
}

void kn_stream_shutdown(struct kn_stream *s)
{
    if (s->ops) {
        s->ops->shutdown(s);
        return;
    }
    of(s)->shut = true;
    set_flush(of(s));
}

void kn_stream_close(struct kn_stream *s)
{
    if (!s)
        return;
    if (s->ops)
        s->ops->close(s, false);
    else
        destroy(of(s));
}

void kn_stream_finish(struct kn_stream *s)
{
    if (s->ops) {
        s->ops->close(s, true);
        return;
    }
    struct kn_transport *t = of(s);
    if (t->dead)
        return;
    if (t->state != OPEN) {
        destroy(t);
        return;
    }
    t->finishing = t->shut = true;
    t->stream.ev = NULL;
    t->paused = false;
    kn_timer_set(s->loop, &t->timer, kn_loop_now(s->loop) + FINISH_TIME);
    update(t);
    set_flush(t);
}

const struct kn_tls *kn_transport_tls(const struct kn_stream *s)
{
    return of(s)->tls;
}

void kn_transport_allow(struct kn_stream *s, size_t len)
{
    of(s)->allowed = len;
}

int kn_transport_fd(const struct kn_stream *s)
{
    return of(s)->watch.fd;
}

void kn_transport_unread(struct kn_stream *s, struct kn_sv bytes)
{
    kn_buf_add(&of(s)->unread, bytes);
    if (bytes.len)
        set_again(of(s));
}

uint64_t kn_transport_bytes_in(const struct kn_stream *s)
{
    return of(s)->bytes_in;
}

uint64_t kn_transport_bytes_out(const struct kn_stream *s)
{
    return of(s)->bytes_out;
}

void kn_transport_on_gone(struct kn_stream *s, void (*cb)(void *arg), void *arg)
{
    of(s)->on_gone = cb;
    of(s)->gone_arg = arg;
}

void kn_transport_only_http1(struct kn_stream *s)
{
    if (of(s)->tls)
        kn_tls_only_http1(of(s)->tls);
}

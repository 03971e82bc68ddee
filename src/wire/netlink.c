#include "wire/netlink.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <sched.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/mem.h"

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

#define RECEIVE_MAX (256u << 10) // of one datagram; the kernel's dumps use up to 32 KiB
#define ANSWER_TIME 10           // seconds

// ---- sockets ----

static struct kn_status open_here(int protocol, struct kn_nl *ret)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    if (fd < 0)
        return kn_error_errno(errno, "open a netlink socket");
    int one = 1, size = 1 << 20;
    struct timeval patience = {.tv_sec = ANSWER_TIME};
    struct sockaddr_nl a = {.nl_family = AF_NETLINK};
    socklen_t len = sizeof a;
    (void)setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof one);
    (void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof one);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0 ||
        bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) < 0) {
        struct kn_status s = kn_error_errno(errno, "open a netlink socket");
        close(fd);
        return s;
    }
    *ret = (struct kn_nl){.fd = fd, .seq = 1, .port = a.nl_pid};
    return KN_STATUS_OK;
}

struct kn_status kn_nl_open(int protocol, int netns, struct kn_nl *ret)
{
    if (netns < 0)
        return open_here(protocol, ret);
    KN_CLEANUP(kn_cleanup_fd) int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (home < 0)
        return kn_error_errno(errno, "remember the network namespace");
    if (setns(netns, CLONE_NEWNET) < 0)
        return kn_error_errno(errno, "enter the network namespace");
    struct kn_status s = open_here(protocol, ret);
    // a thread that cannot return must not go on in the wrong namespace
    kn_assert(setns(home, CLONE_NEWNET) == 0);
    return s;
}

void kn_nl_close(struct kn_nl *nl)
{
    if (nl->fd >= 0)
        close(nl->fd);
    nl->fd = -1;
}

// ---- messages ----

void kn_nl_msg_done(struct kn_nl_msg *m)
{
    kn_buf_done(&m->buf);
    m->count = 0;
}

// Zeroed bytes at the end, padded to 4; NULL when the buffer is full.
static char *extend(struct kn_nl_msg *m, size_t len)
{
    size_t padded = NLMSG_ALIGN(len);
    if (padded < len || !kn_buf_room(&m->buf, padded))
        return NULL;
    char *p = m->buf.ptr + m->buf.len;
    memset(p, 0, padded);
    m->buf.len += padded;
    m->buf.ptr[m->buf.len] = '\0';
    return p;
}

void kn_nl_begin(struct kn_nl_msg *m, uint16_t type, uint16_t flags, const void *head, size_t size)
{
    m->start = m->buf.len;
    char *p = extend(m, sizeof(struct nlmsghdr) + size);
    if (!p)
        return;
    bool ack = !(flags & KN_NL_NO_ACK) && (flags & NLM_F_DUMP) != NLM_F_DUMP;
    struct nlmsghdr h = {.nlmsg_type = type,
                         .nlmsg_flags = (uint16_t)((flags & ~KN_NL_NO_ACK) | NLM_F_REQUEST |
                                                   (ack ? NLM_F_ACK : 0))};
    memcpy(p, &h, sizeof h);
    if (size)
        memcpy(p + sizeof h, head, size);
    m->count++;
}

void kn_nl_end(struct kn_nl_msg *m)
{
    if (m->buf.failed)
        return;
    uint32_t len = (uint32_t)(m->buf.len - m->start);
    memcpy(m->buf.ptr + m->start, &len, sizeof len);
}

void kn_nl_put(struct kn_nl_msg *m, uint16_t type, const void *data, size_t len)
{
    if (len > UINT16_MAX - NLA_HDRLEN) {
        m->buf.failed = true;
        return;
    }
    char *p = extend(m, NLA_HDRLEN + len);
    if (!p)
        return;
    struct nlattr a = {.nla_len = (uint16_t)(NLA_HDRLEN + len), .nla_type = type};
    memcpy(p, &a, sizeof a);
    if (len)
        memcpy(p + NLA_HDRLEN, data, len);
}

void kn_nl_put_u8(struct kn_nl_msg *m, uint16_t type, uint8_t v)
{
    kn_nl_put(m, type, &v, sizeof v);
}
void kn_nl_put_u16(struct kn_nl_msg *m, uint16_t type, uint16_t v)
{
    kn_nl_put(m, type, &v, sizeof v);
}
void kn_nl_put_u32(struct kn_nl_msg *m, uint16_t type, uint32_t v)
{
    kn_nl_put(m, type, &v, sizeof v);
}
void kn_nl_put_u64(struct kn_nl_msg *m, uint16_t type, uint64_t v)
{
    kn_nl_put(m, type, &v, sizeof v);
}
void kn_nl_put_be16(struct kn_nl_msg *m, uint16_t type, uint16_t v)
{
    kn_nl_put_u16(m, type, __builtin_bswap16(v));
}
void kn_nl_put_be32(struct kn_nl_msg *m, uint16_t type, uint32_t v)
{
    kn_nl_put_u32(m, type, __builtin_bswap32(v));
}
void kn_nl_put_be64(struct kn_nl_msg *m, uint16_t type, uint64_t v)
{
    kn_nl_put_u64(m, type, __builtin_bswap64(v));
}

void kn_nl_put_str(struct kn_nl_msg *m, uint16_t type, struct kn_sv text)
{
    if (text.len > UINT16_MAX - NLA_HDRLEN - 1) {
        m->buf.failed = true;
        return;
    }
    char *p = extend(m, NLA_HDRLEN + text.len + 1);
    if (!p)
        return;
    struct nlattr a = {.nla_len = (uint16_t)(NLA_HDRLEN + text.len + 1), .nla_type = type};
    memcpy(p, &a, sizeof a);
    if (text.len)
        memcpy(p + NLA_HDRLEN, text.ptr, text.len);
}

size_t kn_nl_nest(struct kn_nl_msg *m, uint16_t type)
{
    size_t place = m->buf.len;
    kn_nl_put(m, type | NLA_F_NESTED, NULL, 0);
    return place;
}

void kn_nl_nest_end(struct kn_nl_msg *m, size_t place)
{
    if (m->buf.failed)
        return;
    size_t len = m->buf.len - place;
    if (len > UINT16_MAX) {
        m->buf.failed = true;
        return;
    }
    uint16_t n = (uint16_t)len;
    memcpy(m->buf.ptr + place, &n, sizeof n);
}

static void batch(struct kn_nl_msg *m, uint16_t type, uint16_t subsystem)
{
    struct nfgenmsg g = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0,
                         .res_id = __builtin_bswap16(subsystem)};
    kn_nl_begin(m, type, KN_NL_NO_ACK, &g, sizeof g);
    kn_nl_end(m);
}

void kn_nl_batch_begin(struct kn_nl_msg *m, uint16_t subsystem)
{
    batch(m, NFNL_MSG_BATCH_BEGIN, subsystem);
}

void kn_nl_batch_end(struct kn_nl_msg *m, uint16_t subsystem)
{
    batch(m, NFNL_MSG_BATCH_END, subsystem);
}

// ---- attributes ----

bool kn_nl_attr_next(struct kn_sv *rest, struct kn_nl_attr *ret)
{
    struct nlattr a;
    if (rest->len < sizeof a)
        return false;
    memcpy(&a, rest->ptr, sizeof a);
    if (a.nla_len < NLA_HDRLEN || a.nla_len > rest->len)
        return false;
    ret->type = a.nla_type & NLA_TYPE_MASK;
    ret->data = kn_sv(rest->ptr + NLA_HDRLEN, (size_t)a.nla_len - NLA_HDRLEN);
    *rest = kn_sv_from(*rest, NLA_ALIGN(a.nla_len));
    return true;
}

struct kn_sv kn_nl_attr_get(struct kn_sv attrs, uint16_t type)
{
    struct kn_nl_attr a;
    while (kn_nl_attr_next(&attrs, &a))
        if (a.type == type)
            return a.data;
    return KN_SV_NULL;
}

uint32_t kn_nl_attr_u32(struct kn_sv data)
{
    uint32_t v = 0;
    if (data.len == sizeof v)
        memcpy(&v, data.ptr, sizeof v);
    return v;
}

struct kn_sv kn_nl_attr_str(struct kn_sv data)
{
    return kn_sv_first(data, data.len ? strnlen(data.ptr, data.len) : 0);
}

// ---- exchanges ----

static struct kn_status refused(const char *what, uint32_t index, int err, struct kn_sv extack)
{
    struct kn_sv words = kn_nl_attr_str(kn_nl_attr_get(extack, NLMSGERR_ATTR_MSG));
    enum kn_code code = KN_IO;
    if (err == ENOENT || err == ENODEV || err == ESRCH)
        code = KN_NOT_FOUND;
    else if (err == EEXIST)
        code = KN_ALREADY_EXISTS;
    else if (err == EBUSY)
        code = KN_CONFLICT;
    else if (err == EPERM || err == EACCES)
        code = KN_FORBIDDEN;
    else if (err == EINVAL || err == ERANGE)
        code = KN_INVALID;
    return kn_error(code, "%s: message %u: %s%s%.*s", what, index, strerror(err),
                    words.len ? ": " : "", KN_SV_ARG(words));
}

// What an NLMSG_ERROR says: OK for an acknowledgement.
static struct kn_status read_error(const struct nlmsghdr *h, struct kn_sv payload, const char *what,
                                   uint32_t index)
{
    struct nlmsgerr e;
    if (payload.len < sizeof e)
        return kn_error(KN_IO, "%s: the kernel's answer is too short", what);
    memcpy(&e, payload.ptr, sizeof e);
    if (!e.error)
        return KN_STATUS_OK;
    struct kn_sv extack = KN_SV_NULL;
    if (h->nlmsg_flags & NLM_F_ACK_TLVS) {
        size_t skip = sizeof e;
        if (!(h->nlmsg_flags & NLM_F_CAPPED))
            skip += NLMSG_ALIGN(e.msg.nlmsg_len) - sizeof e.msg;
        extack = kn_sv_from(payload, skip);
    }
    return refused(what, index, -e.error, extack);
}

// Numbers the messages; returns the first number, and how many want an acknowledgement.
static uint32_t number(struct kn_nl *nl, struct kn_nl_msg *m, uint32_t *ret_acks)
{
    uint32_t first = nl->seq;
    *ret_acks = 0;
    for (size_t at = 0; at + sizeof(struct nlmsghdr) <= m->buf.len;) {
        struct nlmsghdr h;
        memcpy(&h, m->buf.ptr + at, sizeof h);
        h.nlmsg_seq = nl->seq++;
        h.nlmsg_pid = nl->port;
        *ret_acks += (h.nlmsg_flags & NLM_F_ACK) != 0;
        memcpy(m->buf.ptr + at, &h, sizeof h);
        kn_assert(h.nlmsg_len >= sizeof h); // kn_nl_end was forgotten
        at += NLMSG_ALIGN(h.nlmsg_len);
    }
    return first;
}

static struct kn_status whole(const struct kn_nl_msg *m, const char *what)
{
    return m->buf.failed ? kn_error(KN_TOO_LARGE,
                                    "%s: more than %zu bytes of netlink messages, or an "
                                    "attribute beyond 64 KiB",
                                    what, m->buf.max)
                         : KN_STATUS_OK;
}

static struct kn_status transmit(struct kn_nl *nl, struct kn_nl_msg *m, const char *what)
{
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    if (sendto(nl->fd, m->buf.ptr, m->buf.len, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0)
        return kn_error_errno(errno, "%s: send", what);
    return KN_STATUS_OK;
}

// One datagram from the kernel. *ret_n 0: nothing there (MSG_DONTWAIT).
static struct kn_status receive(struct kn_nl *nl, char *buf, int flags, const char *what,
                                size_t *ret_n)
{
    for (;;) {
        struct sockaddr_nl from = {0};
        struct iovec iov = {buf, RECEIVE_MAX};
        struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &iov,
                           .msg_iovlen = 1};
        ssize_t n = recvmsg(nl->fd, &m, flags);
        *ret_n = 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return (flags & MSG_DONTWAIT)
                       ? KN_STATUS_OK
                       : kn_error(KN_TIMEOUT, "%s: the kernel does not answer", what);
        if (n < 0 && errno == ENOBUFS)
            return kn_error(KN_EXPIRED, "%s: messages of the kernel were lost", what);
        if (n < 0)
            return kn_error_errno(errno, "%s: receive", what);
        if (m.msg_flags & MSG_TRUNC)
            return kn_error(KN_TOO_LARGE, "%s: a message of the kernel is too large", what);
        if (from.nl_pid != 0)
            continue; // not from the kernel
        *ret_n = (size_t)n;
        return KN_STATUS_OK;
    }
}

// The next message of a datagram; false at its end.
static bool next_message(struct kn_sv *rest, struct nlmsghdr *ret, struct kn_sv *ret_payload)
{
    if (rest->len < sizeof *ret)
        return false;
    memcpy(ret, rest->ptr, sizeof *ret);
    if (ret->nlmsg_len < sizeof *ret || ret->nlmsg_len > rest->len)
        return false;
    *ret_payload = kn_sv(rest->ptr + NLMSG_HDRLEN, ret->nlmsg_len - NLMSG_HDRLEN);
    *rest = kn_sv_from(*rest, NLMSG_ALIGN(ret->nlmsg_len));
    return true;
}

struct kn_status kn_nl_send(struct kn_nl *nl, struct kn_nl_msg *m, const char *what)
{
    KN_TRY(whole(m, what));
    uint32_t acks = 0, first = number(nl, m, &acks);
    uint32_t last = nl->seq - 1;
    KN_TRY(transmit(nl, m, what));
    KN_CLEANUP(kn_cleanup_free) char *buf = kn_alloc(RECEIVE_MAX);
    struct kn_status failure = KN_STATUS_OK;
    bool aborted = false;
    while (acks && !aborted) {
        size_t n;
        struct kn_status s = receive(nl, buf, 0, what, &n);
        if (!kn_ok(s)) {
            kn_status_done(&failure);
            return s;
        }
        struct kn_sv rest = kn_sv(buf, n), payload;
        struct nlmsghdr h;
        while (next_message(&rest, &h, &payload)) {
            if (h.nlmsg_type != NLMSG_ERROR || h.nlmsg_seq - first > last - first)
                continue; // an event, or the rest of an earlier exchange
            s = read_error(&h, payload, what, h.nlmsg_seq - first);
            acks -= acks > 0;
            // A refused nfnetlink batch answers for the messages that are wrong, and perhaps for
            // its begin; the others stay silent.
            aborted |= !kn_ok(s);
            if (kn_ok(failure))
                failure = s;
            else
                kn_status_done(&s);
        }
    }
    return failure;
}

struct kn_status kn_nl_dump(struct kn_nl *nl, struct kn_nl_msg *m, const char *what,
                            struct kn_status (*each)(void *arg, uint16_t type,
                                                     struct kn_sv payload),
                            void *arg)
{
    KN_TRY(whole(m, what));
    uint32_t acks, seq = number(nl, m, &acks);
    KN_TRY(transmit(nl, m, what));
    KN_CLEANUP(kn_cleanup_free) char *buf = kn_alloc(RECEIVE_MAX);
    struct kn_status result = KN_STATUS_OK;
    bool interrupted = false;
    for (bool done = false; !done;) {
        size_t n;
        struct kn_status s = receive(nl, buf, 0, what, &n);
        if (!kn_ok(s)) {
            kn_status_done(&result);
            return s;
        }
        struct kn_sv rest = kn_sv(buf, n), payload;
        struct nlmsghdr h;
        while (!done && next_message(&rest, &h, &payload)) {
            if (h.nlmsg_seq != seq)
                continue;
            interrupted |= (h.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
            if (h.nlmsg_type == NLMSG_DONE) {
                done = true;
            } else if (h.nlmsg_type == NLMSG_ERROR) {
                s = read_error(&h, payload, what, 0);
                done = true;
                if (kn_ok(result))
                    result = s;
                else
                    kn_status_done(&s);
            } else if (kn_ok(result)) {
                result = each(arg, h.nlmsg_type, payload); // after a failure: read on, so that the
            }                                              // socket is clean
        }
    }
    if (kn_ok(result) && interrupted)
        return kn_error(KN_CONFLICT, "%s: something changed meanwhile", what);
    return result;
}

// ---- subscriptions ----

struct kn_status kn_nl_subscribe(struct kn_nl *nl, unsigned group)
{
    if (setsockopt(nl->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0)
        return kn_error_errno(errno, "subscribe to the netlink group %u", group);
    return KN_STATUS_OK;
}

struct kn_status kn_nl_receive(struct kn_nl *nl,
                               void (*each)(void *arg, uint16_t type, struct kn_sv payload),
                               void *arg)
{
    KN_CLEANUP(kn_cleanup_free) char *buf = kn_alloc(RECEIVE_MAX);
    for (;;) {
        size_t n;
        KN_TRY(receive(nl, buf, MSG_DONTWAIT, "netlink events", &n));
        if (!n)
            return KN_STATUS_OK;
        struct kn_sv rest = kn_sv(buf, n), payload;
        struct nlmsghdr h;
        while (next_message(&rest, &h, &payload))
            if (h.nlmsg_type >= NLMSG_MIN_TYPE)
                each(arg, h.nlmsg_type, payload);
    }
}

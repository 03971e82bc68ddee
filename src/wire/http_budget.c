// The memory of requests that are not whole yet. Nobody has been asked who he is while he still
// sends, so strangers could otherwise fill the machine with bodies that never end. Peers with a
// verified certificate have a budget of their own, which strangers cannot use up.
#include "wire/http_server.h"

static size_t *held_by(struct http_conn *c)
{
    return &c->worker->server->unfinished[c->peer.cert != NULL];
}

static bool hold(struct http_conn *c, size_t *counted, size_t now)
{
    size_t before = *counted;
    *counted = now;
    if (now <= before) {
        if (now < before)
            __atomic_sub_fetch(held_by(c), before - now, __ATOMIC_RELAXED);
        return true;
    }
    size_t all = __atomic_add_fetch(held_by(c), now - before, __ATOMIC_RELAXED);
    return all <= c->worker->server->config.max_unfinished;
}

bool kn_http_hold_conn(struct http_conn *c)
{
    return hold(c, &c->held, c->dead ? 0 : c->in.len);
}

bool kn_http_hold_req(struct kn_http_req *r)
{
    bool reading = r->state == HTTP_READING;
    return !r->conn || hold(r->conn, &r->held, reading ? r->headers_bytes + r->body.len : 0);
}

int64_t kn_http_body_deadline(const struct kn_http_req *r)
{
    return r->received + r->worker->server->config.header_timeout +
           (int64_t)(r->body.len >> 16) * KN_SECOND;
}

void kn_http_let_go(struct kn_http_req *r)
{
    if (r->conn)
        hold(r->conn, &r->held, 0);
}

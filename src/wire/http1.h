// HTTP/1.1 messages (RFC 9112): pure parsers of heads and of chunked bodies. Inside wire/ only.
// Strict where leniency has been used to smuggle requests: CRLF alone ends a line, no folded lines,
// no space before a colon, one Content-Length, never beside Transfer-Encoding, "chunked" alone.
#pragma once
#include "base/arena.h"
#include "wire/http.h"

#define KN_H1_HEADERS 256 // in one head

struct kn_h1_head {
    // request
    struct kn_sv method, target; // target: origin form ("/..."), or "*"
    struct kn_sv host;
    // answer
    int status;
    // both; views into the bytes that were parsed
    int minor; // HTTP/1.x
    struct kn_http_header *headers;
    size_t headers_len;
    // framing
    int64_t content_length; // -1: not given
    bool chunked, close, keep_alive, upgrade, expect_continue;
};

// Where a head ends: bytes up to and with the empty line, or 0 if it is not there yet. *scanned:
// how far earlier calls have looked (begin with 0).
size_t kn_h1_head_end(struct kn_sv bytes, size_t *scanned);
// Parses a complete head. KN_BAD_REQUEST (a request that is to be answered with 400), KN_TOO_LARGE
// (431), KN_NOT_SUPPORTED (501 or 505, in words).
struct kn_status kn_h1_parse_request(struct kn_sv head, struct kn_arena *a, struct kn_h1_head *ret);
struct kn_status kn_h1_parse_response(struct kn_sv head, struct kn_arena *a,
                                      struct kn_h1_head *ret);

// The decoder of chunked bodies; zero it to begin.
struct kn_h1_chunked {
    int state;
    uint64_t left;
    unsigned digits, line; // bytes of the line so far
};
enum kn_h1_chunk { KN_H1_MORE, KN_H1_DATA, KN_H1_END, KN_H1_BAD };
// Consumes from the front of *in. DATA: *ret_data is the next part of the body. MORE: everything
// was consumed. END: the body is complete; what is left in *in belongs to the next message.
enum kn_h1_chunk kn_h1_chunked_next(struct kn_h1_chunked *c, struct kn_sv *in,
                                    struct kn_sv *ret_data);

bool kn_http_token_ok(struct kn_sv text); // RFC 9110 token, not empty
bool kn_http_value_ok(struct kn_sv text); // no control bytes but TAB
// Whether the comma-separated list has this token, without regard to case.
bool kn_http_list_has(struct kn_sv list, struct kn_sv token);

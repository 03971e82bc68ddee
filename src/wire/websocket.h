// WebSocket (RFC 6455) over a kn_stream, server and client side, without extensions. Pings are
// answered, fragments are joined, text is not checked to be UTF-8. The loop's thread alone.
#pragma once
#include "wire/client.h"
#include "wire/stream.h"

struct kn_ws;

struct kn_ws_events {
    // A whole message; a view for the length of the call.
    void (*on_message)(void *arg, bool binary, struct kn_sv payload);
    void (*on_drain)(void *arg); // may be NULL
    // The end, exactly once unless kn_ws_close was called; the object is gone after it. code: the
    // peer's close code (1005: none given, 1006: broken off, 1002/1009: we refused what it sent).
    void (*on_close)(void *arg, unsigned code, struct kn_sv reason);
};

#define KN_WS_MAX_MESSAGE (16u << 20) // larger messages end the connection with 1009

// Whether the request is a correct WebSocket handshake of version 13.
bool kn_ws_wanted(const struct kn_http_req *r);
// Whether the client offers this subprotocol.
bool kn_ws_offers(const struct kn_http_req *r, const char *protocol);
// Upgrades and ends the request. protocol: the one chosen, NULL for none. ev is borrowed for the
// life of the object. On failure the request still wants its answer.
struct kn_status kn_ws_accept(struct kn_http_req *r, const char *protocol,
                              const struct kn_ws_events *ev, void *arg, struct kn_ws **ret);

// Client: headers for a kn_http_client_req with `upgrade` (at most KN_WS_HEADERS of them, in the
// arena), the check of the 101, and the object over its stream.
#define KN_WS_HEADERS 5
size_t kn_ws_client_headers(struct kn_arena *a, const char *protocols,
                            struct kn_http_header out[KN_WS_HEADERS], struct kn_sv *ret_key);
struct kn_status kn_ws_client_check(struct kn_sv key, const struct kn_http_client_head *head);
struct kn_ws *kn_ws_client_new(struct kn_stream *stream, const struct kn_ws_events *ev, void *arg);

// One message of up to 4 parts that are joined; copied. False when the connection takes no more.
bool kn_ws_send(struct kn_ws *ws, bool binary, const struct kn_sv *parts, size_t len);
size_t kn_ws_pending(const struct kn_ws *ws);
void kn_ws_pause(struct kn_ws *ws, bool paused); // stops and resumes on_message
// Says goodbye and is gone for the caller: no callback comes any more. reason: at most 120 bytes.
void kn_ws_close(struct kn_ws *ws, unsigned code, struct kn_sv reason);

// ---- the frame codec: pure ----

struct kn_ws_frame {
    bool fin, masked;
    uint8_t opcode;
    uint8_t mask[4];
    uint64_t length; // of the payload
    size_t head;     // bytes of the frame's head
};
enum kn_ws_parse { KN_WS_MORE, KN_WS_FRAME, KN_WS_BAD };
// Reads a frame's head from the front of `bytes`.
enum kn_ws_parse kn_ws_parse_head(struct kn_sv bytes, struct kn_ws_frame *ret);

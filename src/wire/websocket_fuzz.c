// The heads of WebSocket frames.
#include "wire/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kn_sv rest = kn_sv((const char *)data, size);
    struct kn_ws_frame f;
    while (rest.len && kn_ws_parse_head(rest, &f) == KN_WS_FRAME) {
        kn_assert(f.head <= 14 && f.head <= rest.len);
        if (f.length > rest.len - f.head)
            break;
        rest = kn_sv_from(rest, f.head + (size_t)f.length);
    }
    return 0;
}

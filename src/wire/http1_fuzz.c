// The heads of HTTP/1.1 requests and answers, and chunked bodies.
#include "wire/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kn_sv in = kn_sv((const char *)data, size);
    size_t scanned = 0, end = kn_h1_head_end(in, &scanned);
    struct kn_h1_head h;
    struct kn_arena *a = kn_arena_new(0, 1u << 20);
    struct kn_sv head = kn_sv_first(in, end ? end : size);
    struct kn_status s = kn_h1_parse_request(head, a, &h);
    if (kn_ok(s))
        kn_assert(h.target.len && h.headers_len <= KN_H1_HEADERS &&
                  !(h.chunked && h.content_length >= 0));
    kn_status_done(&s);
    KN_IGNORE(kn_h1_parse_response(head, a, &h));
    kn_arena_free(a);
    struct kn_h1_chunked c = {0};
    struct kn_sv data_part;
    enum kn_h1_chunk r = KN_H1_DATA;
    while (r == KN_H1_DATA)
        r = kn_h1_chunked_next(&c, &in, &data_part);
    return 0;
}

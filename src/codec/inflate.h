// Decompression as a stream: gzip (RFC 1952), zstd (RFC 8878), or bytes as they are, told apart by
// their first bytes. One thread at a time. zlib's and zstd's headers are included by inflate.c.
#pragma once
#include "codec/tar.h"

struct kn_inflate;

struct kn_inflate *kn_inflate_new(struct kn_source source);
void kn_inflate_free(struct kn_inflate *z); // NULL is allowed
// The decompressed bytes; a kn_source.read with the object as its argument. KN_SYNTAX when the
// stream is damaged or ends too early.
struct kn_status kn_inflate_read(void *inflate, void *out, size_t max, size_t *ret_n);

#include "codec/inflate.h"

#include <zlib.h>
#include <zstd.h>

#include "base/mem.h"

#define INPUT 65536
#define WINDOW_LOG_MAX 27 // 128 MiB: what zstd's own command accepts without being asked

enum form { UNKNOWN, PLAIN, GZIP, ZSTD };

struct kn_inflate {
    struct kn_source source;
    enum form form;
    unsigned char *in;
    size_t at, len; // what is unread of in
    bool source_ended, frame_open;
    z_stream gzip;
    ZSTD_DStream *zstd;
};

struct kn_inflate *kn_inflate_new(struct kn_source source)
{
    struct kn_inflate *z = KN_NEW(struct kn_inflate);
    z->source = source;
    z->in = kn_alloc(INPUT);
    return z;
}

void kn_inflate_free(struct kn_inflate *z)
{
    if (!z)
        return;
    if (z->form == GZIP)
        inflateEnd(&z->gzip);
    if (z->zstd)
        ZSTD_freeDStream(z->zstd);
    free(z->in);
    free(z);
}

// Until there are `want` bytes, or the source has ended.
static struct kn_status more(struct kn_inflate *z, size_t want)
{
    if (z->at && z->len < want) {
        memmove(z->in, z->in + z->at, z->len);
        z->at = 0;
    }
    while (z->len < want && !z->source_ended) {
        size_t n;
        KN_TRY(z->source.read(z->source.arg, z->in + z->at + z->len, INPUT - z->at - z->len, &n));
        z->len += n;
        z->source_ended = n == 0;
    }
    return KN_STATUS_OK;
}

static struct kn_status begin(struct kn_inflate *z)
{
    KN_TRY(more(z, 4));
    if (z->len >= 2 && z->in[0] == 0x1f && z->in[1] == 0x8b) {
        if (inflateInit2(&z->gzip, 15 + 16) != Z_OK)
            return kn_error(KN_NO_MEMORY, "start zlib");
        z->form = GZIP;
        z->frame_open = true;
    } else if (z->len >= 4 && memcmp(z->in, "\x28\xb5\x2f\xfd", 4) == 0) {
        z->zstd = ZSTD_createDStream();
        if (!z->zstd ||
            ZSTD_isError(ZSTD_DCtx_setParameter(z->zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX)))
            return kn_error(KN_NO_MEMORY, "start zstd");
        z->form = ZSTD;
        z->frame_open = true;
    } else {
        z->form = PLAIN;
    }
    return KN_STATUS_OK;
}

static struct kn_status gzip_turn(struct kn_inflate *z, void *out, size_t max, size_t *ret_n)
{
    if (!z->frame_open) {
        // Another member may follow; zero bytes may too.
        if (z->in[z->at] == 0) {
            z->at++;
            z->len--;
            return KN_STATUS_OK;
        }
        if (inflateReset(&z->gzip) != Z_OK)
            return kn_error(KN_SYNTAX, "the gzip stream is damaged");
        z->frame_open = true;
    }
    z->gzip.next_in = z->in + z->at;
    z->gzip.avail_in = (uInt)z->len;
    z->gzip.next_out = out;
    z->gzip.avail_out = (uInt)(max < (1u << 30) ? max : (1u << 30));
    uInt room = z->gzip.avail_out;
    int result = inflate(&z->gzip, Z_NO_FLUSH);
    z->at += z->len - z->gzip.avail_in;
    z->len = z->gzip.avail_in;
    *ret_n = room - z->gzip.avail_out;
    if (result == Z_STREAM_END)
        z->frame_open = false;
    else if (result != Z_OK && result != Z_BUF_ERROR)
        return kn_error(KN_SYNTAX, "the gzip stream is damaged: %s",
                        z->gzip.msg ? z->gzip.msg : "data error");
    return KN_STATUS_OK;
}

static struct kn_status zstd_turn(struct kn_inflate *z, void *out, size_t max, size_t *ret_n)
{
    ZSTD_inBuffer in = {z->in + z->at, z->len, 0};
    ZSTD_outBuffer to = {out, max, 0};
    size_t result = ZSTD_decompressStream(z->zstd, &to, &in);
    if (ZSTD_isError(result))
        return kn_error(KN_SYNTAX, "the zstd stream is damaged: %s", ZSTD_getErrorName(result));
    z->at += in.pos;
    z->len -= in.pos;
    z->frame_open = result != 0;
    *ret_n = to.pos;
    return KN_STATUS_OK;
}

struct kn_status kn_inflate_read(void *inflate, void *out, size_t max, size_t *ret_n)
{
    struct kn_inflate *z = inflate;
    *ret_n = 0;
    if (z->form == UNKNOWN)
        KN_TRY(begin(z));
    while (*ret_n == 0 && max > 0) {
        if (z->len == 0)
            z->at = 0;
        // zlib and zstd may still hold output although they have taken all input.
        bool drained = z->len == 0;
        KN_TRY(more(z, 1));
        if (z->form == PLAIN) {
            *ret_n = z->len < max ? z->len : max;
            memcpy(out, z->in + z->at, *ret_n);
            z->at += *ret_n;
            z->len -= *ret_n;
            return KN_STATUS_OK;
        }
        if (z->len == 0 && !z->frame_open)
            return KN_STATUS_OK;
        KN_TRY(z->form == GZIP ? gzip_turn(z, out, max, ret_n) : zstd_turn(z, out, max, ret_n));
        if (*ret_n == 0 && drained && z->source_ended && z->len == 0 && z->frame_open)
            return kn_error(KN_SYNTAX, "the compressed stream ends too early");
    }
    return KN_STATUS_OK;
}

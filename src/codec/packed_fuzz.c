// Any bytes as a compressed stream and as a tar archive, and both at once, as image layers come;
// and as base64 in both alphabets: what decodes encodes to something that decodes to the same.
#include "codec/base64.h"
#include "codec/inflate.h"
#include "codec/tar.h"

#define READ_MAX (4u << 20) // of what a few bytes may unpack to

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct kn_status give(void *arg, void *out, size_t max, size_t *ret_n)
{
    struct kn_sv *rest = arg;
    *ret_n = rest->len < max ? rest->len : max;
    if (*ret_n)
        memcpy(out, rest->ptr, *ret_n);
    *rest = kn_sv_from(*rest, *ret_n);
    return KN_STATUS_OK;
}

static void walk(struct kn_source source)
{
    struct kn_tar *t = kn_tar_new(source);
    const struct kn_tar_entry *e;
    char buf[4096];
    size_t total = 0, n;
    while (kn_ok_done(kn_tar_next(t, &e)) && e->type != KN_TAR_END && total < READ_MAX) {
        total += 512;
        while (total < READ_MAX && kn_ok_done(kn_tar_read(t, buf, sizeof buf, &n)) && n)
            total += n;
    }
    kn_tar_free(t);
}

static void base64(struct kn_sv text, enum kn_base64 alphabet)
{
    struct kn_buf plain = KN_BUF(READ_MAX), again = KN_BUF(READ_MAX), twice = KN_BUF(READ_MAX);
    size_t len;
    if (kn_ok_done(kn_base64_decode(&plain, text, alphabet))) {
        kn_assert(alphabet != KN_BASE64_STD ||
                  (kn_ok_done(kn_base64_check(text, &len)) && len == plain.len));
        kn_base64_encode(&again, kn_buf_sv(&plain), alphabet);
        kn_assert(kn_ok_done(kn_base64_decode(&twice, kn_buf_sv(&again), alphabet)));
        kn_assert(kn_sv_eq(kn_buf_sv(&plain), kn_buf_sv(&twice)));
    }
    kn_buf_done(&plain);
    kn_buf_done(&again);
    kn_buf_done(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kn_sv bytes = kn_sv((const char *)data, size), rest = bytes;
    walk((struct kn_source){give, &rest});
    rest = bytes;
    struct kn_inflate *z = kn_inflate_new((struct kn_source){give, &rest});
    walk((struct kn_source){kn_inflate_read, z});
    kn_inflate_free(z);
    base64(bytes, KN_BASE64_STD);
    base64(bytes, KN_BASE64_URL);
    return 0;
}

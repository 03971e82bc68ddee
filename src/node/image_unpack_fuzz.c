// Any bytes as a layer's archive, plain or compressed: nothing is made outside the folder.
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "codec/inflate.h"
#include "node/image_unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct kn_status read_sv(void *arg, void *out, size_t max, size_t *ret_n)
{
    struct kn_sv *rest = arg;
    *ret_n = rest->len < max ? rest->len : max;
    memcpy(out, rest->ptr, *ret_n);
    *rest = kn_sv_from(*rest, *ret_n);
    return KN_STATUS_OK;
}

static struct kn_status read_inflated(void *arg, void *out, size_t max, size_t *ret_n)
{
    return kn_inflate_read(arg, out, max, ret_n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char folder[] = "/tmp/knarr-fuzz-XXXXXX";
    struct kn_sv bytes = kn_sv((const char *)data, size);
    if (!mkdtemp(folder))
        return 0;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct kn_inflate *in = kn_inflate_new((struct kn_source){read_sv, &bytes});
    KN_IGNORE(kn_unpack((struct kn_source){read_inflated, in}, fd,
                        &(struct kn_unpack_options){.plain_owner = true, .max_bytes = 1u << 20}));
    kn_inflate_free(in);
    close(fd);
    struct kn_status st = kn_dir_remove(folder);
    kn_assert(kn_ok(st));
    return 0;
}

#include "base/secret.h"

#include <sys/mman.h>

#include "base/crypto.h"

// Lies at the front of its pages; the bytes follow.
struct kn_secret {
    size_t map_len, len;
    uint8_t bytes[];
};

struct kn_secret *kn_secret_new(size_t len)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    kn_assert(len < SIZE_MAX / 2);
    size_t map_len = (sizeof(struct kn_secret) + len + 1 + page - 1) / page * page;
    void *p = mmap(NULL, map_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    kn_assert(p != MAP_FAILED);
    // Beyond the lock limit the secret is kept in ordinary memory: that beats not starting.
    (void)mlock(p, map_len);
    (void)madvise(p, map_len, MADV_DONTDUMP);
    struct kn_secret *s = p;
    s->map_len = map_len;
    s->len = len;
    return s;
}

struct kn_secret *kn_secret_from(struct kn_sv bytes)
{
    struct kn_secret *s = kn_secret_new(bytes.len);
    if (bytes.len)
        memcpy(s->bytes, bytes.ptr, bytes.len);
    return s;
}

void kn_secret_free(struct kn_secret *s)
{
    if (!s)
        return;
    size_t map_len = s->map_len;
    kn_wipe(s, map_len);
    munmap(s, map_len);
}

struct kn_sv kn_secret_reveal(const struct kn_secret *s)
{
    return kn_sv((const char *)s->bytes, s->len);
}

uint8_t *kn_secret_bytes(struct kn_secret *s)
{
    return s->bytes;
}

bool kn_secret_eq(const struct kn_secret *s, struct kn_sv guess)
{
    return kn_ct_eq(kn_secret_reveal(s), guess);
}

void kn_wipe(void *p, size_t len)
{
    if (len)
        explicit_bzero(p, len);
}

// Memory for secrets: pages that are locked (never swapped, as far as the lock limit allows), left
// out of core dumps, wiped on free, and of an opaque type so that nothing prints them by accident.
// A secret costs whole pages: it is for keys and tokens, not for bulk data. Immutable after it was
// filled, hence readable from any thread; freed by its owner.
#pragma once
#include "base/mem.h"
#include "base/sv.h"

struct kn_secret;

// All zero bytes, to be filled through kn_secret_bytes.
struct kn_secret *kn_secret_new(size_t len);
struct kn_secret *kn_secret_from(struct kn_sv bytes); // copies
void kn_secret_free(struct kn_secret *s);             // NULL is allowed
static inline void kn_secret_cleanup(struct kn_secret **s)
{
    kn_secret_free(*s);
}

// The bytes, for the moment of use; they live as long as the secret. A NUL follows them.
struct kn_sv kn_secret_reveal(const struct kn_secret *s);
uint8_t *kn_secret_bytes(struct kn_secret *s); // to fill it, before it is shared
// In constant time for equal lengths; the length itself is not hidden.
bool kn_secret_eq(const struct kn_secret *s, struct kn_sv guess);

// Overwrites memory in a way that the compiler does not leave out.
void kn_wipe(void *p, size_t len);

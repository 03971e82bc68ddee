// Shared by crypto*.c alone: OpenSSL's errors as statuses.
#pragma once
#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/crypto.h"

struct kn_key {
    EVP_PKEY *pkey;
    int refs; // atomic
    bool is_private;
};

// The oldest error of OpenSSL's queue becomes the reason; the queue is empty after it.
struct kn_status kn_ssl_error(enum kn_code code, const char *what);
// Takes the EVP_PKEY.
struct kn_key *kn_key_from_pkey(EVP_PKEY *pkey, bool is_private);
// Appends what a memory BIO holds.
struct kn_status kn_bio_take(BIO *bio, struct kn_buf *out, const char *what);

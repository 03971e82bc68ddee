// Base64 (RFC 4648): the standard alphabet with padding, and the URL alphabet without. Any thread.
#pragma once
#include "base/buf.h"
#include "base/status.h"

enum kn_base64 { KN_BASE64_STD, KN_BASE64_URL };

void kn_base64_encode(struct kn_buf *out, struct kn_sv bytes, enum kn_base64 alphabet);
// Appends the bytes. KN_SYNTAX with Go's sentence ("illegal base64 data at input byte 4"). CR and
// LF inside are skipped. KN_BASE64_URL takes text with and without padding.
struct kn_status kn_base64_decode(struct kn_buf *out, struct kn_sv text, enum kn_base64 alphabet);
// Without an output: checks, and tells how many bytes it would be.
struct kn_status kn_base64_check(struct kn_sv text, size_t *ret_len);

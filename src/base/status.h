// How things fail. A kn_status is either OK (code 0, no detail) or a code with a chain of
// sentences, the outermost first: "pull image nginx: layer 3: digest mismatch".
//
// A status that is not OK owns memory: hand it on (return it, wrap it), or end it with
// kn_status_done. KN_TRY(expr) returns from the calling function if expr failed.
// Codes are one table; each has an HTTP status and the reason that Kubernetes uses for it, and
// nothing else maps errors to the wire. Any thread.
#pragma once
#include <stdarg.h>
#include <stdbool.h>

#include "base/sv.h"

#define KN_CODES(X)                                                                                \
    /* name, HTTP, Kubernetes reason (metav1.StatusReason) */                                      \
    X(OK, 200, "")                                                                                 \
    X(BAD_REQUEST, 400, "BadRequest")                                                              \
    X(UNAUTHORIZED, 401, "Unauthorized")                                                           \
    X(FORBIDDEN, 403, "Forbidden")                                                                 \
    X(NOT_FOUND, 404, "NotFound")                                                                  \
    X(METHOD_NOT_ALLOWED, 405, "MethodNotAllowed")                                                 \
    X(NOT_ACCEPTABLE, 406, "NotAcceptable")                                                        \
    X(ALREADY_EXISTS, 409, "AlreadyExists")                                                        \
    X(CONFLICT, 409, "Conflict")                                                                   \
    X(GONE, 410, "Gone")                                                                           \
    X(EXPIRED, 410, "Expired")                                                                     \
    X(TOO_LARGE, 413, "RequestEntityTooLarge")                                                     \
    X(UNSUPPORTED_MEDIA, 415, "UnsupportedMediaType")                                              \
    X(INVALID, 422, "Invalid")                                                                     \
    X(TOO_MANY, 429, "TooManyRequests")                                                            \
    X(INTERNAL, 500, "InternalError")                                                              \
    X(SERVER_TIMEOUT, 500, "ServerTimeout")                                                        \
    X(NOT_SUPPORTED, 501, "NotImplemented")                                                        \
    X(UNAVAILABLE, 503, "ServiceUnavailable")                                                      \
    X(TIMEOUT, 504, "Timeout")                                                                     \
    X(NO_SPACE, 507, "InsufficientStorage")                                                        \
    /* below: never leave the process as such */                                                   \
    X(IO, 500, "InternalError")                                                                    \
    X(CLOSED, 500, "InternalError")                                                                \
    X(CANCELLED, 500, "InternalError")                                                             \
    X(NO_MEMORY, 500, "InternalError")                                                             \
    X(SYNTAX, 400, "BadRequest")

enum kn_code {
#define X(name, http, reason) KN_##name,
    KN_CODES(X)
#undef X
        KN_CODE_COUNT
};

struct kn_status_detail;

#ifdef __clang__ // gcc knows it only on functions
#define KN_NODISCARD __attribute__((warn_unused_result))
#else
#define KN_NODISCARD
#endif

struct KN_NODISCARD kn_status {
    enum kn_code code;
    struct kn_status_detail *detail; // owned; NULL when OK
};

#define KN_STATUS_OK ((struct kn_status){KN_OK, NULL})

static inline bool kn_ok(struct kn_status s)
{
    return s.code == KN_OK;
}

struct kn_status kn_error(enum kn_code code, const char *format, ...)
    __attribute__((format(printf, 2, 3), warn_unused_result));
// From errno: "<sentence>: <strerror>". ENOENT, EEXIST, ENOSPC/EDQUOT/EMFILE... get their codes.
struct kn_status kn_error_errno(int err, const char *format, ...)
    __attribute__((format(printf, 2, 3), warn_unused_result));
// Puts a sentence in front. Takes s, keeps its code and its details. OK stays OK.
struct kn_status kn_wrap(struct kn_status s, const char *format, ...)
    __attribute__((format(printf, 2, 3), warn_unused_result));
// Frees what a failed status owns and makes it OK. OK is allowed.
void kn_status_done(struct kn_status *s);
struct kn_status kn_status_copy(const struct kn_status *s) __attribute__((warn_unused_result));
// The whole chain, "" when OK; valid until the status is handed on or done.
const char *kn_status_text(const struct kn_status *s);

// API errors carry the `details` object of metav1.Status (kind, name, causes...) as JSON text.
// Takes s; copies json. Does nothing to an OK status.
struct kn_status kn_status_with_details(struct kn_status s, struct kn_sv json)
    __attribute__((warn_unused_result));
// Empty view when there are none.
struct kn_sv kn_status_details(const struct kn_status *s);

// Whether it worked, for who has another way or better words if it did not; frees the status.
static inline bool kn_ok_done(struct kn_status s)
{
    bool ok = kn_ok(s);
    kn_status_done(&s);
    return ok;
}

int kn_code_http(enum kn_code code);
const char *kn_code_reason(enum kn_code code);
// The code for what another server answered: reason first ("" allowed), then the HTTP status.
enum kn_code kn_code_from_wire(int http, struct kn_sv reason);

#define KN_TRY(expr)                                                                               \
    do {                                                                                           \
        struct kn_status kn_try_ = (expr);                                                         \
        if (kn_try_.code != KN_OK)                                                                 \
            return kn_try_;                                                                        \
    } while (0)

// For the rare place where a failure changes nothing: says so, and frees the status.
#define KN_IGNORE(expr)                                                                            \
    do {                                                                                           \
        struct kn_status kn_ignored_ = (expr);                                                     \
        kn_status_done(&kn_ignored_);                                                              \
    } while (0)

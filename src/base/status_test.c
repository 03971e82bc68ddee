#include "base/status.h"

#include <errno.h>

#include "lib/ktest.h"

KTEST(chains_sentences_with_the_outermost_first)
{
    struct kn_status s = kn_error(KN_INVALID, "digest mismatch");
    s = kn_wrap(s, "layer %d", 3);
    s = kn_wrap(s, "pull image nginx");
    ktest_eq_str(kn_status_text(&s), "pull image nginx: layer 3: digest mismatch");
    s = kn_status_with_details(s, KN_SV("{}"));
    struct kn_status copy = kn_status_copy(&s);
    kn_status_done(&s);
    ktest_true(kn_ok(s) && kn_ok(kn_wrap(s, "nothing")));
    ktest_eq_sv(kn_status_details(&copy), "{}");
    ktest_eq_int(copy.code, KN_INVALID);
    kn_status_done(&copy);
}

KTEST(maps_codes_to_the_wire_and_back)
{
    ktest_eq_int(kn_code_http(KN_ALREADY_EXISTS), 409);
    ktest_eq_str(kn_code_reason(KN_CONFLICT), "Conflict");
    ktest_eq_int(kn_code_from_wire(409, KN_SV("AlreadyExists")), KN_ALREADY_EXISTS);
    ktest_eq_int(kn_code_from_wire(410, KN_SV("Expired")), KN_EXPIRED);
    ktest_eq_int(kn_code_from_wire(404, KN_SV("")), KN_NOT_FOUND);
    ktest_eq_int(kn_code_from_wire(200, KN_SV("")), KN_OK);
    ktest_eq_int(kn_code_from_wire(418, KN_SV("Teapot")), KN_BAD_REQUEST);
    ktest_fails(kn_error_errno(ENOSPC, "write it"), NO_SPACE, "write it: No space left");
    ktest_fails(kn_error_errno(ENOENT, "open it"), NOT_FOUND, "open it");
}

KTEST_MAIN(KTEST_CASE(chains_sentences_with_the_outermost_first),
           KTEST_CASE(maps_codes_to_the_wire_and_back))

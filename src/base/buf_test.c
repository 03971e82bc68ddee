#include "base/buf.h"

#include "lib/ktest.h"

KTEST(grows_up_to_its_maximum_and_not_beyond)
{
    for (size_t max = 0; max < 300; max++) {
        struct kn_buf b = KN_BUF(max);
        for (size_t i = 0; i < max; i++)
            kn_buf_add_byte(&b, 'x');
        ktest_ok(kn_buf_status(&b, "it"));
        kn_buf_add_byte(&b, 'y');
        ktest_fails(kn_buf_status(&b, "it"), TOO_LARGE, "it is larger than the limit");
        ktest_eq_int(b.len, max);
        kn_buf_done(&b);
    }
}

KTEST(appends_text_numbers_and_formats)
{
    struct kn_buf b = KN_BUF(1000);
    kn_buf_addc(&b, "a=");
    kn_buf_add_i64(&b, INT64_MIN);
    kn_buf_add_byte(&b, ' ');
    kn_buf_add_i64(&b, 0);
    kn_buf_addf(&b, " %s:%d", "p", 80);
    ktest_eq_str(kn_buf_cstr(&b), "a=-9223372036854775808 0 p:80");
    kn_buf_drop(&b, 2);
    ktest_eq_int(b.ptr[0], '-');
    size_t len;
    char *taken = kn_buf_take(&b, &len);
    ktest_eq_int(len, 27);
    ktest_eq_str(kn_buf_cstr(&b), "");
    free(taken);
    kn_buf_done(&b);
}

KTEST_MAIN(KTEST_CASE(grows_up_to_its_maximum_and_not_beyond),
           KTEST_CASE(appends_text_numbers_and_formats))

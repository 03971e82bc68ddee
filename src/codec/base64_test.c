#include "codec/base64.h"

#include "lib/ktest.h"

static const struct {
    const char *plain, *std, *url;
} cases[] = {
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    {"\xff\xfe\xfd?", "//79Pw==", "__79Pw"},
};

KTEST(encodes_and_decodes_both_alphabets)
{
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        struct kn_buf b KN_CLEANUP(kn_buf_done) = KN_BUF(1000);
        kn_base64_encode(&b, kn_sv_c(cases[i].plain), KN_BASE64_STD);
        ktest_eq_str(kn_buf_cstr(&b), cases[i].std);
        kn_buf_clear(&b);
        kn_base64_encode(&b, kn_sv_c(cases[i].plain), KN_BASE64_URL);
        ktest_eq_str(kn_buf_cstr(&b), cases[i].url);
        kn_buf_clear(&b);
        ktest_ok(kn_base64_decode(&b, kn_sv_c(cases[i].std), KN_BASE64_STD));
        ktest_eq_sv(kn_buf_sv(&b), cases[i].plain);
        kn_buf_clear(&b);
        ktest_ok(kn_base64_decode(&b, kn_sv_c(cases[i].url), KN_BASE64_URL));
        ktest_eq_sv(kn_buf_sv(&b), cases[i].plain);
        size_t len;
        ktest_ok(kn_base64_check(kn_sv_c(cases[i].std), &len));
        ktest_eq_int(len, strlen(cases[i].plain));
    }
}

KTEST(skips_line_ends)
{
    struct kn_buf b KN_CLEANUP(kn_buf_done) = KN_BUF(1000);
    ktest_ok(kn_base64_decode(&b, KN_SV("Zm9v\r\nYm\nFy\n"), KN_BASE64_STD));
    ktest_eq_str(kn_buf_cstr(&b), "foobar");
}

KTEST(names_the_byte_that_is_wrong)
{
    static const struct {
        const char *text, *message;
    } wrong[] = {
        {"Zm9v!mFy", "input byte 4"}, {"Zg", "input byte 2"},    {"Z", "input byte 1"},
        {"Zg=", "input byte 3"},      {"Zg==Zg", "input byte 4"}, {"=", "input byte 0"},
        {"Zm8=x", "input byte 4"},    {"Zm9-", "input byte 3"},
    };
    struct kn_buf b KN_CLEANUP(kn_buf_done) = KN_BUF(1000);
    for (size_t i = 0; i < KN_ARRAY_LEN(wrong); i++) {
        ktest_fails(kn_base64_decode(&b, kn_sv_c(wrong[i].text), KN_BASE64_STD), SYNTAX,
                    wrong[i].message);
        ktest_eq_int(b.len, 0);
    }
}

KTEST_MAIN(KTEST_CASE(encodes_and_decodes_both_alphabets), KTEST_CASE(skips_line_ends),
           KTEST_CASE(names_the_byte_that_is_wrong))

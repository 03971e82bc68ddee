#include "codec/protobuf.h"

#include "lib/ktest.h"

KTEST(reads_back_what_it_writes)
{
    struct kn_buf b KN_CLEANUP(kn_buf_done) = KN_BUF(100000);
    static const uint64_t values[] = {0, 1, 127, 128, 300, UINT32_MAX, UINT64_MAX};
    for (size_t i = 0; i < KN_ARRAY_LEN(values); i++)
        kn_pb_put_varint(&b, (uint32_t)i + 1, values[i]);
    kn_pb_put_double(&b, 100, -1.5);
    size_t outer = kn_pb_begin(&b, 2000);
    size_t inner = kn_pb_begin(&b, 1);
    for (int i = 0; i < 30; i++)
        kn_pb_put_bytes(&b, 3, KN_SV("0123456789"));
    kn_pb_end(&b, inner);
    kn_pb_end(&b, outer);
    struct kn_sv rest = kn_buf_sv(&b), nested;
    struct kn_pb_field f;
    bool bad = false;
    for (size_t i = 0; i < KN_ARRAY_LEN(values); i++) {
        ktest_true(kn_pb_next(&rest, &f, &bad));
        ktest_eq_int(f.number, i + 1);
        ktest_true(f.value == values[i]);
    }
    ktest_true(kn_pb_next(&rest, &f, &bad) && kn_pb_double(f.value) == -1.5);
    ktest_true(kn_pb_next(&rest, &f, &bad));
    ktest_eq_int(f.number, 2000);
    ktest_true(!kn_pb_next(&rest, &(struct kn_pb_field){0}, &bad) && !bad);
    nested = f.bytes;
    ktest_true(kn_pb_next(&nested, &f, &bad));
    ktest_eq_int(f.bytes.len, 30 * 12);
    nested = f.bytes;
    ktest_true(kn_pb_next(&nested, &f, &bad));
    ktest_eq_sv(f.bytes, "0123456789");
}

KTEST(refuses_bytes_that_are_no_field)
{
    static const struct kn_sv cases[] = {
        {"\x08", 1},                                         // no value
        {"\x08\x80", 2},                                     // cut varint
        {"\x0a\x05" "abc", 5},                               // longer than the input
        {"\x0b", 1},                                         // a group
        {"\x00\x01", 2},                                     // number 0
        {"\x09\x01\x02", 3},                                 // cut fixed64
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 11}, // more than 64 bits
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, // a length beyond everything
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        struct kn_sv rest = cases[i];
        struct kn_pb_field f;
        bool bad = false;
        ktest_true(!kn_pb_next(&rest, &f, &bad));
        ktest_true(bad);
    }
}

KTEST(a_full_buffer_stays_failed)
{
    struct kn_buf b KN_CLEANUP(kn_buf_done) = KN_BUF(140);
    size_t at = kn_pb_begin(&b, 1);
    for (int i = 0; i < 300; i++)
        kn_pb_put_bytes(&b, 3, KN_SV("0123456789"));
    kn_pb_end(&b, at);
    ktest_true(b.failed);
}

KTEST_MAIN(KTEST_CASE(reads_back_what_it_writes), KTEST_CASE(refuses_bytes_that_are_no_field),
           KTEST_CASE(a_full_buffer_stays_failed))

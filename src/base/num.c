#include "base/num.h"

struct kn_status kn_num_parse(struct kn_sv text, int64_t min, int64_t max, int64_t *ret)
{
    struct kn_sv t = text;
    bool negative = t.len && t.ptr[0] == '-';
    if (negative)
        t = kn_sv_from(t, 1);
    int64_t n = 0;
    bool bad = t.len == 0;
    for (size_t i = 0; i < t.len && !bad; i++) {
        int d = t.ptr[i] - '0';
        bad = d < 0 || d > 9 || __builtin_mul_overflow(n, (int64_t)10, &n) ||
              (negative ? __builtin_sub_overflow(n, (int64_t)d, &n)
                        : __builtin_add_overflow(n, (int64_t)d, &n));
    }
    if (bad)
        return kn_error(KN_BAD_REQUEST, "\"%.*s\" is not a whole number", KN_SV_ARG(text));
    if (n < min || n > max)
        return kn_error(KN_BAD_REQUEST, "%lld is not between %lld and %lld", (long long)n,
                        (long long)min, (long long)max);
    *ret = n;
    return KN_STATUS_OK;
}

struct kn_status kn_num_parse_octal(struct kn_sv text, uint32_t max, uint32_t *ret)
{
    struct kn_sv t = text;
    if (kn_sv_starts(t, KN_SV("0o")))
        t = kn_sv_from(t, 2);
    uint32_t n = 0;
    bool bad = t.len == 0 || t.len > 10;
    for (size_t i = 0; i < t.len && !bad; i++) {
        bad = t.ptr[i] < '0' || t.ptr[i] > '7';
        n = n * 8 + (uint32_t)(t.ptr[i] - '0');
    }
    if (bad || n > max)
        return kn_error(KN_BAD_REQUEST, "\"%.*s\" is not an octal number up to 0%o",
                        KN_SV_ARG(text), max);
    *ret = n;
    return KN_STATUS_OK;
}

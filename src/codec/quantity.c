#include "codec/quantity.h"

#include <stdio.h>

#include "base/num.h"

typedef __int128 i128;
#define NANO INT64_C(1000000000)
#define I128_MAX ((i128)(~(unsigned __int128)0 >> 1))

// The text in its parts. Leading zeros are not in `whole`.
struct parts {
    bool negative;
    struct kn_sv whole, fraction, suffix;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static struct kn_sv take_digits(struct kn_sv text, size_t *pos)
{
    size_t start = *pos;
    while (*pos < text.len && is_digit(text.ptr[*pos]))
        (*pos)++;
    return kn_sv(text.ptr + start, *pos - start);
}

static bool split(struct kn_sv text, struct parts *ret)
{
    size_t pos = 0;
    *ret = (struct parts){.fraction = KN_SV_NULL};
    if (text.len == 0)
        return false;
    if (text.ptr[0] == '-' || text.ptr[0] == '+') {
        ret->negative = text.ptr[0] == '-';
        pos++;
    }
    while (pos < text.len && text.ptr[pos] == '0')
        pos++;
    ret->whole = take_digits(text, &pos);
    if (pos < text.len && text.ptr[pos] == '.') {
        pos++;
        ret->fraction = take_digits(text, &pos);
    }
    size_t start = pos;
    while (pos < text.len && memchr("eEinumkKMGTP", text.ptr[pos], 12))
        pos++;
    if (pos < text.len && (text.ptr[pos] == '-' || text.ptr[pos] == '+'))
        pos++;
    take_digits(text, &pos);
    ret->suffix = kn_sv(text.ptr + start, pos - start);
    return pos == text.len;
}

struct suffix {
    const char *text;
    int exponent; // of 10, or of 2
    enum kn_quantity_format format;
};

static const struct suffix suffixes[] = {
    {"", 0, KN_QUANTITY_DECIMAL_SI},   {"n", -9, KN_QUANTITY_DECIMAL_SI},
    {"u", -6, KN_QUANTITY_DECIMAL_SI}, {"m", -3, KN_QUANTITY_DECIMAL_SI},
    {"k", 3, KN_QUANTITY_DECIMAL_SI},  {"M", 6, KN_QUANTITY_DECIMAL_SI},
    {"G", 9, KN_QUANTITY_DECIMAL_SI},  {"T", 12, KN_QUANTITY_DECIMAL_SI},
    {"P", 15, KN_QUANTITY_DECIMAL_SI}, {"E", 18, KN_QUANTITY_DECIMAL_SI},
    {"Ki", 10, KN_QUANTITY_BINARY_SI}, {"Mi", 20, KN_QUANTITY_BINARY_SI},
    {"Gi", 30, KN_QUANTITY_BINARY_SI}, {"Ti", 40, KN_QUANTITY_BINARY_SI},
    {"Pi", 50, KN_QUANTITY_BINARY_SI}, {"Ei", 60, KN_QUANTITY_BINARY_SI},
};

static bool find_suffix(struct kn_sv text, struct suffix *ret)
{
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++)
        if (kn_sv_is(text, suffixes[i].text)) {
            *ret = suffixes[i];
            return true;
        }
    if (text.len > 1 && (text.ptr[0] == 'e' || text.ptr[0] == 'E')) {
        struct kn_sv digits = kn_sv_from(text, text.ptr[1] == '+' ? 2 : 1);
        int64_t exponent;
        struct kn_status s = kn_num_parse(digits, -10000, 10000, &exponent);
        bool good = kn_ok(s);
        kn_status_done(&s);
        if (good)
            *ret = (struct suffix){"", (int)exponent, KN_QUANTITY_EXPONENT};
        return good;
    }
    return false;
}

// v * 10^power, rounded away from zero; false if it does not fit.
static bool scale10(i128 *v, int power)
{
    for (; power > 0 && *v != 0; power--)
        if (__builtin_mul_overflow(*v, (i128)10, v))
            return false;
    bool rest = false;
    for (; power < 0 && *v != 0; power++) {
        rest |= *v % 10 != 0;
        *v /= 10;
    }
    *v += rest;
    return true;
}

static bool gather(struct kn_sv digits, i128 *v)
{
    for (size_t i = 0; i < digits.len; i++)
        if (__builtin_mul_overflow(*v, (i128)10, v) ||
            __builtin_add_overflow(*v, (i128)(digits.ptr[i] - '0'), v))
            return false;
    return true;
}

struct kn_status kn_quantity_parse(struct kn_sv text, struct kn_quantity *ret)
{
    struct parts p;
    struct suffix suffix;
    if (!split(text, &p))
        return kn_error(KN_INVALID, "quantities must match the regular expression "
                                    "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
    if (!find_suffix(p.suffix, &suffix))
        return kn_error(KN_INVALID, "unable to parse quantity's suffix");
    i128 v = 0;
    while (p.fraction.len && p.fraction.ptr[p.fraction.len - 1] == '0')
        p.fraction.len--;
    // digits that are beyond any unit only matter for rounding up
    bool cut = p.fraction.len > 24;
    if (cut)
        p.fraction.len = 24;
    bool fits = gather(p.whole, &v) && gather(p.fraction, &v);
    v += cut;
    int power = 9 - (int)p.fraction.len;
    if (suffix.format == KN_QUANTITY_BINARY_SI)
        fits = fits && !__builtin_mul_overflow(v, (i128)1 << suffix.exponent, &v);
    else
        power += suffix.exponent;
    fits = fits && scale10(&v, power);
    i128 most = (i128)INT64_MAX * NANO;
    if (suffix.format == KN_QUANTITY_BINARY_SI) {
        if (!fits || v > most)
            v = most; // upstream caps binary quantities
        if (v > 0 && v < NANO)
            suffix.format = KN_QUANTITY_DECIMAL_SI;
    } else if (!fits) {
        return kn_error(KN_INVALID, "unable to parse numeric part of quantity");
    }
    *ret = (struct kn_quantity){p.negative ? -v : v, suffix.format};
    return KN_STATUS_OK;
}

bool kn_quantity_is_canonical(struct kn_sv text)
{
    struct parts p;
    struct suffix suffix;
    if (kn_sv_is(text, "0"))
        return true;
    if (!split(text, &p) || !find_suffix(p.suffix, &suffix))
        return false;
    size_t digits = p.whole.len + p.fraction.len;
    bool bare_dot = p.fraction.len == 0 && kn_sv_find(text, '.') >= 0;
    if (p.whole.len == 0 || digits > 15 || bare_dot)
        return false;
    char last = p.fraction.len ? p.fraction.ptr[p.fraction.len - 1] : p.whole.ptr[p.whole.len - 1];
    if (suffix.format == KN_QUANTITY_BINARY_SI)
        return p.fraction.len == 0 && ((last - '0') & 1) != 0 && digits <= 3;
    int scale = suffix.exponent - (int)p.fraction.len;
    if (scale % 3 != 0 || scale < -9 || scale > 18)
        return false;
    char shifted[16];
    memcpy(shifted, p.whole.ptr, p.whole.len);
    if (p.fraction.len)
        memcpy(shifted + p.whole.len, p.fraction.ptr, p.fraction.len);
    return !kn_sv_ends(kn_sv(shifted, digits), KN_SV("000"));
}

// -- writing ---------------------------------------------------------------------------------

static size_t put(char *out, i128 v, const char *suffix)
{
    char digits[48], *at = digits + sizeof digits;
    bool negative = v < 0;
    unsigned __int128 u = negative ? -(unsigned __int128)v : (unsigned __int128)v;
    do {
        *--at = (char)('0' + (int)(u % 10));
        u /= 10;
    } while (u);
    if (negative)
        *--at = '-';
    size_t n = (size_t)(digits + sizeof digits - at), m = strlen(suffix);
    memcpy(out, at, n);
    memcpy(out + n, suffix, m + 1);
    return n + m;
}

static const char *suffix_of(int exponent, enum kn_quantity_format format)
{
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++)
        if (suffixes[i].format == format && suffixes[i].exponent == exponent)
            return suffixes[i].text;
    return "";
}

size_t kn_quantity_format(struct kn_quantity q, char out[KN_QUANTITY_TEXT])
{
    i128 v = q.nano;
    if (v == 0)
        return put(out, 0, "");
    if (q.format == KN_QUANTITY_BINARY_SI && v % NANO == 0 &&
        (v >= (i128)1024 * NANO || v <= (i128)-1024 * NANO)) {
        int exponent = 0;
        for (v /= NANO; v % 1024 == 0 && exponent < 60; exponent += 10)
            v /= 1024;
        return put(out, v, exponent ? suffix_of(exponent, KN_QUANTITY_BINARY_SI) : "");
    }
    int exponent = -9, most = q.format == KN_QUANTITY_EXPONENT ? 30 : 18;
    while (v % 1000 == 0 && exponent < most) {
        v /= 1000;
        exponent += 3;
    }
    if (q.format != KN_QUANTITY_EXPONENT)
        return put(out, v, suffix_of(exponent, KN_QUANTITY_DECIMAL_SI));
    char e[8] = "";
    if (exponent)
        snprintf(e, sizeof e, "e%d", exponent);
    return put(out, v, e);
}

// -- values ----------------------------------------------------------------------------------

static int64_t in_units(i128 nano, i128 unit)
{
    i128 v = nano / unit;
    if (nano > 0 && nano % unit != 0)
        v++;
    else if (nano < 0 && nano % unit != 0)
        v--; // away from zero, as upstream rounds
    return v > INT64_MAX ? INT64_MAX : v < INT64_MIN ? INT64_MIN : (int64_t)v;
}

int64_t kn_quantity_value(struct kn_quantity q)
{
    return in_units(q.nano, NANO);
}

int64_t kn_quantity_milli(struct kn_quantity q)
{
    return in_units(q.nano, NANO / 1000);
}

struct kn_quantity kn_quantity_of(int64_t value, enum kn_quantity_format format)
{
    return (struct kn_quantity){(i128)value * NANO, format};
}

struct kn_quantity kn_quantity_of_milli(int64_t milli, enum kn_quantity_format format)
{
    return (struct kn_quantity){(i128)milli * (NANO / 1000), format};
}

struct kn_quantity kn_quantity_add(struct kn_quantity a, struct kn_quantity b)
{
    if (__builtin_add_overflow(a.nano, b.nano, &a.nano))
        a.nano = b.nano > 0 ? I128_MAX : -I128_MAX;
    return a;
}

struct kn_quantity kn_quantity_sub(struct kn_quantity a, struct kn_quantity b)
{
    b.nano = -b.nano;
    return kn_quantity_add(a, b);
}

int kn_quantity_cmp(struct kn_quantity a, struct kn_quantity b)
{
    return a.nano < b.nano ? -1 : a.nano > b.nano;
}

static struct kn_quantity parse_or_zero(struct kn_sv text)
{
    struct kn_quantity q = {0, KN_QUANTITY_DECIMAL_SI};
    KN_IGNORE(kn_quantity_parse(text, &q)); // validated before: zero is only for what was not
    return q;
}

int64_t kn_quantity_value_of(struct kn_sv text)
{
    return kn_quantity_value(parse_or_zero(text));
}

int64_t kn_quantity_milli_of(struct kn_sv text)
{
    return kn_quantity_milli(parse_or_zero(text));
}

#include "base/clock.h"

#include <stdio.h>
#include <time.h>

struct kn_time kn_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (struct kn_time){t.tv_sec * KN_SECOND + t.tv_nsec};
}

int64_t kn_mono(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * KN_SECOND + t.tv_nsec;
}

// Days since 1970-01-01 of a date of the proleptic Gregorian calendar, and back.
static int64_t days_of(int64_t y, int m, int d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void date_of(int64_t days, int64_t *y, int *m, int *d)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t doe = days - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *d = (int)(doy - (153 * mp + 2) / 5 + 1);
    *m = (int)(mp < 10 ? mp + 3 : mp - 9);
    *y = yoe + era * 400 + (*m <= 2);
}

void kn_time_format(struct kn_time t, enum kn_time_digits digits, char *out)
{
    int64_t s = t.ns / KN_SECOND, ns = t.ns % KN_SECOND;
    if (ns < 0) {
        ns += KN_SECOND;
        s--;
    }
    int64_t days = s / 86400, rest = s % 86400;
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    int64_t y;
    int m, d;
    date_of(days, &y, &m, &d);
    int n = snprintf(out, KN_TIME_TEXT, "%04d-%02d-%02dT%02d:%02d:%02d", (int)y, m, d,
                     (int)(rest / 3600), (int)(rest / 60 % 60), (int)(rest % 60));
    if (digits != KN_TIME_SECONDS) {
        for (int i = digits; i < 9; i++)
            ns /= 10;
        n += snprintf(out + n, KN_TIME_TEXT - (size_t)n, ".%0*lld", (int)digits, (long long)ns);
    }
    out[n] = 'Z';
    out[n + 1] = '\0';
}

static bool digits_at(struct kn_sv t, size_t at, int count, int *ret)
{
    int n = 0;
    for (size_t i = at; i < at + (size_t)count; i++) {
        if (i >= t.len || t.ptr[i] < '0' || t.ptr[i] > '9')
            return false;
        n = n * 10 + (t.ptr[i] - '0');
    }
    *ret = n;
    return true;
}

struct kn_status kn_time_parse(struct kn_sv text, struct kn_time *ret)
{
    static const int month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int y, mo, d, h, mi, s;
    struct kn_sv t = text;
    if (t.len < 20 || !digits_at(t, 0, 4, &y) || t.ptr[4] != '-' || !digits_at(t, 5, 2, &mo) ||
        t.ptr[7] != '-' || !digits_at(t, 8, 2, &d) || (t.ptr[10] != 'T' && t.ptr[10] != 't') ||
        !digits_at(t, 11, 2, &h) || t.ptr[13] != ':' || !digits_at(t, 14, 2, &mi) ||
        t.ptr[16] != ':' || !digits_at(t, 17, 2, &s) || mo < 1 || mo > 12 || d < 1 ||
        d > month_days[mo - 1] || h > 23 || mi > 59 || s > 60 ||
        (mo == 2 && d == 29 && (y % 4 != 0 || (y % 100 == 0 && y % 400 != 0))))
        goto bad;
    size_t i = 19;
    int64_t ns = 0;
    if (t.ptr[i] == '.') {
        int64_t unit = KN_SECOND / 10;
        size_t from = ++i;
        for (; i < t.len && t.ptr[i] >= '0' && t.ptr[i] <= '9'; i++) {
            ns += (t.ptr[i] - '0') * unit;
            unit /= 10;
        }
        if (i == from)
            goto bad;
    }
    int oh = 0, om = 0, sign = 1;
    if (i + 1 == t.len && (t.ptr[i] == 'Z' || t.ptr[i] == 'z'))
        ;
    else if (i + 6 == t.len && (t.ptr[i] == '+' || t.ptr[i] == '-') &&
             digits_at(t, i + 1, 2, &oh) && t.ptr[i + 3] == ':' && digits_at(t, i + 4, 2, &om) &&
             oh < 24 && om < 60)
        sign = t.ptr[i] == '-' ? -1 : 1;
    else
        goto bad;
    int64_t sec = days_of(y, mo, d) * 86400 + h * 3600 + mi * 60 + s - sign * (oh * 3600 + om * 60);
    if (sec > INT64_MAX / KN_SECOND - 1 || sec < INT64_MIN / KN_SECOND + 1)
        return kn_error(KN_BAD_REQUEST, "the time %.*s is out of range", KN_SV_ARG(text));
    ret->ns = sec * KN_SECOND + ns;
    return KN_STATUS_OK;
bad:
    return kn_error(KN_BAD_REQUEST,
                    "\"%.*s\" is not a time as RFC 3339 writes it (2006-01-02T15:04:05Z)",
                    KN_SV_ARG(text));
}

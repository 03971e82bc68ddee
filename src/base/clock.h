// Time. Wall time is nanoseconds since 1970 (struct kn_time, by value); durations and deadlines are
// nanoseconds of the monotonic clock (int64_t). Text is RFC 3339 in UTC. Any thread.
#pragma once
#include "base/status.h"

#define KN_SECOND INT64_C(1000000000)
#define KN_MILLI INT64_C(1000000)
#define KN_FOREVER INT64_MAX

struct kn_time {
    int64_t ns;
};

enum kn_time_digits {
    KN_TIME_SECONDS = 0,
    KN_TIME_MILLIS = 3,
    KN_TIME_MICROS = 6,
    KN_TIME_NANOS = 9
};
#define KN_TIME_TEXT 40

// Seconds from outside as nanoseconds: what is too far away becomes the furthest that there is
// (KN_FOREVER), so that no sum turns a long wait into none.
static inline int64_t kn_seconds(int64_t seconds)
{
    int64_t ns;
    if (!__builtin_mul_overflow(seconds, KN_SECOND, &ns))
        return ns;
    return seconds < 0 ? INT64_MIN : KN_FOREVER;
}
// That many seconds after a time or a deadline (before it, if they are negative).
static inline int64_t kn_later(int64_t ns, int64_t seconds)
{
    int64_t sum;
    if (!__builtin_add_overflow(ns, kn_seconds(seconds), &sum))
        return sum;
    return seconds < 0 ? INT64_MIN : KN_FOREVER;
}

struct kn_time kn_now(void);
int64_t kn_mono(void); // nanoseconds, for durations and deadlines
// "2026-11-24T07:42:52Z", with as many decimals as asked. `out` holds KN_TIME_TEXT bytes.
void kn_time_format(struct kn_time t, enum kn_time_digits digits, char *out);
// RFC 3339, any offset, any number of decimals (beyond nine they are cut).
struct kn_status kn_time_parse(struct kn_sv text, struct kn_time *ret);

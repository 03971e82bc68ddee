#include "base/log.h"

#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

#define LINE_MAX_BYTES 4096

static const char *component = "knarr";
static enum kn_log_level least = KN_LOG_INFO;

void kn_log_init(const char *name, enum kn_log_level level)
{
    component = name;
    least = level;
}

enum kn_log_level kn_log_least(void)
{
    return least;
}

__attribute__((format(printf, 2, 0))) static void
line(enum kn_log_level level, const char *format, va_list args, const char *tail)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    char stamp[KN_TIME_TEXT];
    kn_time_format(kn_now(), KN_TIME_MILLIS, stamp);
    char text[LINE_MAX_BYTES];
    int n = snprintf(text, sizeof text, "%s %s %s: ", stamp, names[level], component);
    int m = vsnprintf(text + n, sizeof text - (size_t)n, format, args);
    size_t len = (size_t)n + (size_t)(m < 0 ? 0 : m);
    if (tail && len < sizeof text) {
        m = snprintf(text + len, sizeof text - len, ": %s", tail);
        len += (size_t)(m < 0 ? 0 : m);
    }
    if (len > sizeof text - 2)
        len = sizeof text - 2;
    for (size_t i = 0; i < len; i++) // one event stays one line, whatever a stranger sent
        if ((unsigned char)text[i] < 0x20)
            text[i] = ' ';
    text[len++] = '\n';
    if (write(STDERR_FILENO, text, len) < 0)
        return; // nowhere left to say it
}

void kn_log(enum kn_log_level level, const char *format, ...)
{
    if (level < least)
        return;
    va_list args;
    va_start(args, format);
    line(level, format, args, NULL);
    va_end(args);
}

bool kn_log_status(enum kn_log_level level, struct kn_status s, const char *format, ...)
{
    bool ok = kn_ok(s);
    if (!ok && level >= least) {
        va_list args;
        va_start(args, format);
        line(level, format, args, kn_status_text(&s));
        va_end(args);
    }
    kn_status_done(&s);
    return ok;
}

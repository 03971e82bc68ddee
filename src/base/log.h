// The log: one line an event on standard error, "time level component: sentence".
// Library code returns its failures; only who cannot return one any further logs it, once.
// Secrets are never logged. Any thread.
#pragma once
#include "base/status.h"

enum kn_log_level { KN_LOG_DEBUG, KN_LOG_INFO, KN_LOG_WARN, KN_LOG_ERROR };

void kn_log_init(const char *component, enum kn_log_level least); // once, at start
enum kn_log_level kn_log_least(void);
void kn_log(enum kn_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define kn_debug(...)                                                                              \
    do {                                                                                           \
        if (kn_log_least() <= KN_LOG_DEBUG)                                                        \
            kn_log(KN_LOG_DEBUG, __VA_ARGS__);                                                     \
    } while (0)
#define kn_info(...) kn_log(KN_LOG_INFO, __VA_ARGS__)
#define kn_warn(...) kn_log(KN_LOG_WARN, __VA_ARGS__)
#define kn_err(...) kn_log(KN_LOG_ERROR, __VA_ARGS__)

// Logs "sentence: the chain" if s failed, and ends s either way. Returns whether it was OK.
bool kn_log_status(enum kn_log_level level, struct kn_status s, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// What a person sees: progress, successes, failures. Colours only on a terminal.
#pragma once
#include <stdio.h>

#include "base/status.h"

// "knarr: <sentence>: <chain>" on standard error; ends the status. Returns 1, the exit code; 2 for
// KN_BAD_REQUEST.
int kn_say_failed(struct kn_status s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
// One line of progress: begun, then done with the time that it took.
void kn_say_begin(const char *format, ...) __attribute__((format(printf, 1, 2)));
void kn_say_done(void);
// A mark before a line: good, bad.
const char *kn_say_mark(FILE *out, bool good);

#include "cmd/say.h"

#include <unistd.h>

#include "base/clock.h"

static int64_t begun;
static bool line_open; // a line of progress waits for its end

int kn_say_failed(struct kn_status s, const char *format, ...)
{
    va_list args;
    if (line_open)
        printf("\n");
    line_open = false;
    fflush(stdout);
    va_start(args, format);
    fprintf(stderr, "knarr: ");
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, ": %s\n", kn_status_text(&s));
    int code = s.code == KN_BAD_REQUEST ? 2 : 1;
    kn_status_done(&s);
    return code;
}

void kn_say_begin(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("  ");
    vprintf(format, args);
    va_end(args);
    printf(" ...");
    fflush(stdout);
    line_open = true;
    begun = kn_mono();
}

void kn_say_done(void)
{
    line_open = false;
    double s = (double)(kn_mono() - begun) / (double)KN_SECOND;
    if (isatty(STDOUT_FILENO))
        printf(" \033[32mdone\033[0m (%.2f s)\n", s);
    else
        printf(" done (%.2f s)\n", s);
    fflush(stdout);
}

const char *kn_say_mark(FILE *out, bool good)
{
    if (!isatty(fileno(out)))
        return good ? "ok  " : "FAIL";
    return good ? "\033[32mok  \033[0m" : "\033[31mFAIL\033[0m";
}

// Command-line flags: one table a verb declares each flag once, and parsing, `--help` and mistakes
// come from it. `--name value`, `--name=value`, `-n value`; `--flag` for switches.
#pragma once
#include <stdio.h>

#include "base/status.h"

enum kn_option_kind { KN_OPTION_TEXT, KN_OPTION_SWITCH, KN_OPTION_NUMBER };

struct kn_option {
    const char *name; // without dashes
    char letter;      // 0: none
    enum kn_option_kind kind;
    void *into;          // const char **, bool *, int64_t *
    const char *value;   // what help calls the value ("FOLDER"); NULL for switches
    const char *help;    // one line
};

struct kn_verb_help {
    const char *usage;   // "up [flags]"
    const char *summary; // one line
    const char *details; // may be NULL
    const char *examples;
};

// Consumes flags from argv (which begins behind the verb); what is no flag is moved to the front,
// and *argc says how much that is. `--` ends the flags. KN_BAD_REQUEST names the flag, what it
// wants and the nearest one there is.
struct kn_status kn_options_parse_args(const struct kn_option *options, size_t count, int *argc,
                                       char **argv, bool *ret_help);
void kn_options_help(FILE *out, const struct kn_verb_help *help, const struct kn_option *options,
                     size_t count);

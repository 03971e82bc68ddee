#include "cmd/options.h"

#include "base/mem.h"
#include "base/num.h"

static const struct kn_option *find(const struct kn_option *options, size_t count,
                                    struct kn_sv name, char letter)
{
    for (size_t i = 0; i < count; i++)
        if (letter ? options[i].letter == letter : kn_sv_is(name, options[i].name))
            return &options[i];
    return NULL;
}

static size_t distance(struct kn_sv a, const char *b)
{
    size_t n = strlen(b), row[64];
    if (n >= KN_ARRAY_LEN(row) || a.len >= KN_ARRAY_LEN(row))
        return SIZE_MAX;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t keep = row[j], best = diagonal + (a.ptr[i - 1] != b[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
            diagonal = keep;
        }
    }
    return row[n];
}

static struct kn_status unknown(const struct kn_option *options, size_t count, const char *given,
                                struct kn_sv name)
{
    const char *near = NULL;
    size_t best = 3;
    for (size_t i = 0; i < count; i++)
        if (distance(name, options[i].name) < best) {
            best = distance(name, options[i].name);
            near = options[i].name;
        }
    return kn_error(KN_BAD_REQUEST, "there is no flag %s%s%s%s; --help lists them", given,
                    near ? " (did you mean --" : "", near ? near : "", near ? "?)" : "");
}

static struct kn_status set(const struct kn_option *o, const char *value)
{
    if (o->kind == KN_OPTION_TEXT) {
        *(const char **)o->into = value;
        return KN_STATUS_OK;
    }
    return kn_wrap(kn_num_parse(kn_sv_c(value), 0, INT64_MAX, o->into), "--%s", o->name);
}

struct kn_status kn_options_parse_args(const struct kn_option *options, size_t count, int *argc,
                                       char **argv, bool *ret_help)
{
    int kept = 0, n = *argc;
    *ret_help = false;
    for (int i = 0; i < n; i++) {
        char *arg = argv[i];
        if (strcmp(arg, "--") == 0) {
            while (++i < n)
                argv[kept++] = argv[i];
            break;
        }
        if (arg[0] != '-' || arg[1] == '\0') {
            argv[kept++] = arg;
            continue;
        }
        if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
            *ret_help = true;
            continue;
        }
        bool longer = arg[1] == '-';
        struct kn_sv rest = kn_sv_c(arg + 2), name = longer ? kn_sv_cut(&rest, '=') : KN_SV_NULL;
        const char *value = longer && rest.ptr ? rest.ptr : NULL;
        const struct kn_option *o = find(options, count, name, longer ? 0 : arg[1]);
        if (!o || (!longer && arg[2]))
            return unknown(options, count, arg, longer ? name : KN_SV_NULL);
        if (o->kind == KN_OPTION_SWITCH) {
            if (value)
                return kn_error(KN_BAD_REQUEST, "--%s is a switch and takes no value", o->name);
            *(bool *)o->into = true;
            continue;
        }
        if (!value && i + 1 == n)
            return kn_error(KN_BAD_REQUEST, "--%s wants a value: %s", o->name, o->value);
        KN_TRY(set(o, value ? value : argv[++i]));
    }
    *argc = kept;
    return KN_STATUS_OK;
}

void kn_options_help(FILE *out, const struct kn_verb_help *help, const struct kn_option *options,
                     size_t count)
{
    fprintf(out, "%s\n\nUsage: knarr %s\n", help->summary, help->usage);
    if (help->details)
        fprintf(out, "\n%s\n", help->details);
    if (count)
        fprintf(out, "\nFlags:\n");
    for (size_t i = 0; i < count; i++) {
        const struct kn_option *o = &options[i];
        char left[64], letter[8] = "   ";
        if (o->letter)
            snprintf(letter, sizeof letter, "-%c,", o->letter);
        snprintf(left, sizeof left, "%s --%s%s%s", letter, o->name, o->value ? " " : "",
                 o->value ? o->value : "");
        fprintf(out, "  %-30s %s\n", left, o->help);
    }
    if (help->examples)
        fprintf(out, "\nExamples:\n%s", help->examples);
}

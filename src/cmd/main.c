// knarr <verb>: the table of verbs.
#include <stdio.h>
#include <string.h>

#include "cmd/verbs.h"

static const struct verb {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary; // NULL: not for people
} verbs[] = {
    {"up", kn_verb_up, "start the cluster on this machine (made if there is none)"},
    {"down", kn_verb_down, "stop knarr; pods go on running"},
    {"reset", kn_verb_reset, "take the cluster away and leave nothing"},
    {"status", kn_verb_status, "what is healthy and what is not"},
    {"kubeconfig", kn_verb_kubeconfig, "print the administrator's kubeconfig"},
    {"image", kn_verb_image, "import, build, list and remove images"},
    {"version", kn_verb_version, "print the version"},
    {"supervise", kn_verb_supervise, NULL},
    {"server", kn_verb_server, NULL},
    {"agent", kn_verb_agent, NULL},
};

static void help(FILE *out)
{
    fprintf(out,
            "knarr is the on-premises Kubernetes platform in one program.\n\nUsage: knarr VERB "
            "[flags]\n\nVerbs:\n");
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (verbs[i].summary)
            fprintf(out, "  %-12s %s\n", verbs[i].name, verbs[i].summary);
    fprintf(out, "\n`knarr VERB --help` tells more about one of them.\n\nExamples:\n"
                 "  knarr up\n  kubectl create deployment web --image=nginx\n  knarr status\n"
                 "  knarr reset --yes\n");
}

static int no_verb(const char *name)
{
    fprintf(stderr, "knarr: there is no verb \"%s\"; `knarr help` lists them\n", name);
    return 2;
}

int main(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0) {
        if (argc > 2) { // knarr help up
            char *args[] = {(char *)"--help", NULL};
            for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
                if (strcmp(argv[2], verbs[i].name) == 0)
                    return verbs[i].run(1, args);
            return no_verb(argv[2]);
        }
        help(argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].run(argc - 2, argv + 2);
    if (strcmp(argv[1], "--version") == 0)
        return kn_verb_version(0, argv + 2);
    return no_verb(argv[1]);
}

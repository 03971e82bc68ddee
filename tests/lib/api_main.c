// A real API server for tests of clients: api_main FOLDER keeps its store in FOLDER/store, writes
// FOLDER/kubeconfig (user admin), prints its address, and runs until its standard input ends.
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "lib/test_api.h"

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: api_main FOLDER\n");
        return 2;
    }
    char store[512];
    snprintf(store, sizeof store, "%s/store", argv[1]);
    struct test_api api;
    struct kn_status s = test_api_start(store, &api);
    if (kn_ok(s))
        s = test_api_kubeconfig(&api, argv[1]);
    if (!kn_ok(s)) {
        fprintf(stderr, "api_main: %s\n", kn_status_text(&s));
        return 1;
    }
    printf("%s\n", api.base);
    fflush(stdout);
    char c;
    while (read(STDIN_FILENO, &c, 1) > 0)
        ;
    test_api_stop(&api);
    return 0;
}

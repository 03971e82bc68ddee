#include "base/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/thread.h"
#include "base/secret.h"
#include "lib/ktest.h"

KTEST(reads_what_it_wrote_and_not_more_than_it_may)
{
    char folder[] = "/tmp/knarr-file-XXXXXX", path[64], big[10000];
    ktest_true(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/a/b/c", folder);
    ktest_fails(kn_file_write(path, KN_SV("x"), 0600, false), NOT_FOUND, "create");
    snprintf(path, sizeof path, "%s/a/b", folder);
    ktest_ok(kn_dir_make(path, 0700));
    ktest_ok(kn_dir_make(path, 0700));
    snprintf(path, sizeof path, "%s/a/b/c", folder);
    memset(big, 'x', sizeof big);
    ktest_ok(kn_file_write(path, kn_sv(big, sizeof big), 0640, true));
    struct stat st;
    ktest_eq_int(stat(path, &st), 0);
    ktest_eq_int(st.st_mode & 0777, 0640);
    struct kn_buf exact = KN_BUF(sizeof big), small = KN_BUF(sizeof big - 1), tiny = KN_BUF(10);
    ktest_ok(kn_file_read(path, sizeof big, &exact));
    ktest_eq_int(exact.len, sizeof big);
    ktest_fails(kn_file_read(path, sizeof big, &small), TOO_LARGE, "larger than 9999");
    ktest_fails(kn_file_read(path, sizeof big, &tiny), TOO_LARGE, "larger than 10");
    kn_buf_clear(&exact);
    ktest_fails(kn_file_read(path, 100, &exact), TOO_LARGE, "larger than 100");
    ktest_ok(kn_file_write(path, KN_SV_NULL, 0600, false)); // an empty file
    kn_buf_clear(&exact);
    ktest_ok(kn_file_read(path, 100, &exact));
    ktest_eq_int(exact.len, 0);
    kn_buf_done(&exact);
    kn_buf_done(&small);
    kn_buf_done(&tiny);
    ktest_ok(kn_dir_remove(folder));
    ktest_true(!kn_file_exists(folder));
    ktest_ok(kn_dir_remove(folder));
}

static void *remove_it(void *path)
{
    ktest_ok(kn_dir_remove(path));
    return NULL;
}

KTEST(removes_trees_deeper_than_stacks_descriptors_and_paths)
{
    enum { DEEP = 5000 };
    char folder[] = "/tmp/knarr-file-XXXXXX";
    ktest_true(mkdtemp(folder) != NULL);
    int at = open(folder, O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < DEEP; i++) {
        ktest_eq_int(mkdirat(at, i % 2 ? "d" : ".removed-3", 0700), 0);
        ktest_eq_int(mkdirat(at, "beside", 0700), 0);
        int below = openat(at, i % 2 ? "d" : ".removed-3", O_RDONLY | O_DIRECTORY);
        close(at);
        at = below;
    }
    close(at);
    pthread_t thread; // with the small stack that threads have here
    ktest_ok(kn_thread_start(&thread, "remove", 0, remove_it, folder));
    kn_thread_join(thread);
    ktest_true(!kn_file_exists(folder));
}

KTEST(secrets_are_read_into_memory_for_secrets)
{
    static const char path[] = "base_file_test.secret";
    struct kn_secret *s = NULL;
    ktest_ok(kn_file_write(path, KN_SV("\0key"), 0600, false));
    ktest_ok(kn_file_read_secret(path, 4, &s));
    ktest_true(kn_secret_eq(s, KN_SV("\0key")));
    kn_secret_free(s);
    ktest_fails(kn_file_read_secret(path, 3, &s), TOO_LARGE, "at most 3 bytes");
    unlink(path);
    ktest_fails(kn_file_read_secret(path, 4, &s), NOT_FOUND, path);
    ktest_fails(kn_file_read_secret("/", 4, &s), TOO_LARGE, "it is no file");
}

KTEST_MAIN(KTEST_CASE(secrets_are_read_into_memory_for_secrets),
           KTEST_CASE(reads_what_it_wrote_and_not_more_than_it_may),
           KTEST_CASE(removes_trees_deeper_than_stacks_descriptors_and_paths))

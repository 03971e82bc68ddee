// Kills a writer with SIGKILL at random instants, many times over on the same database, and finds
// every acknowledged write afterwards, and nothing that was never written.
//
// The child writes the keys 1, 2, 3, ... with up to WINDOW of them under way, and tells each
// acknowledgement through a pipe. What is found must be a prefix of that sequence that reaches at
// least to the last acknowledgement and at most WINDOW beyond it.
#include <errno.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/num.h"
#include "base/thread.h"
#include "lib/ktest.h"
#include "store/lmdb.h"

#define KILLS 200
#define WINDOW 16

struct slot {
    struct kn_write write;
    char key[24], value[64];
    int64_t n;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t room;
    int under_way;
    int pipe;
} child;

static void acknowledged(struct kn_write *w)
{
    struct slot *s = w->arg;
    kn_assert(kn_ok(w->status));
    if (write(child.pipe, &s->n, sizeof s->n) != (ssize_t)sizeof s->n)
        _exit(1);
    free(s);
    KN_LOCKED(&child.lock)
    {
        child.under_way--;
        pthread_cond_signal(&child.room);
    }
}

static void value_of(int64_t n, char *out, size_t size)
{
    snprintf(out, size, "value of %lld, checked by %lld", (long long)n,
             (long long)(n * 7919 % 10007));
}

static void write_until_killed(const char *folder, int64_t from, int pipe_fd)
{
    struct kn_store *store;
    struct kn_status status = kn_store_lmdb_open(folder, &store);
    if (!kn_ok(status))
        _exit(1);
    pthread_mutex_init(&child.lock, NULL);
    kn_cond_init(&child.room);
    child.pipe = pipe_fd;
    for (int64_t n = from;; n++) {
        struct slot *s = KN_NEW(struct slot);
        s->n = n;
        snprintf(s->key, sizeof s->key, "%012lld", (long long)n);
        value_of(n, s->value, sizeof s->value);
        s->write = (struct kn_write){.change = KN_CHANGE_PUT,
                                     .key = kn_sv_c(s->key),
                                     .value = kn_sv_c(s->value),
                                     .done = acknowledged,
                                     .arg = s};
        KN_LOCKED(&child.lock)
        {
            while (child.under_way == WINDOW)
                kn_cond_wait(&child.room, &child.lock, KN_FOREVER);
            child.under_way++;
        }
        kn_store_submit(store, &s->write);
    }
}

struct found {
    int64_t last;
    bool wrong;
};

static bool look(void *arg, const struct kn_kv *kv)
{
    struct found *f = arg;
    int64_t n = 0;
    char want[64];
    KN_IGNORE(kn_num_parse(kv->key, 0, INT64_MAX, &n));
    value_of(n, want, sizeof want);
    f->wrong = f->wrong || n != f->last + 1 || kv->mod_rev != n || !kn_sv_is(kv->value, want);
    f->last = n;
    return true;
}

static int64_t last_acknowledged(int fd, int64_t before)
{
    int64_t n, last = before;
    while (read(fd, &n, sizeof n) == (ssize_t)sizeof n)
        last = n;
    return last;
}

static int64_t kill_once(const char *folder, int64_t have)
{
    int fds[2];
    ktest_eq_int(pipe(fds), 0);
    pid_t pid = fork(); // before any thread exists in this process
    ktest_true(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        write_until_killed(folder, have + 1, fds[1]);
    }
    close(fds[1]);
    uint16_t random;
    ktest_eq_int(getrandom(&random, sizeof random, 0), sizeof random);
    // The instant is the point of this test, not something waited for.
    struct timespec instant = {0, random % 15000 * 1000L};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &instant, NULL);
    kill(pid, SIGKILL);
    int status;
    waitpid(pid, &status, 0);
    ktest_true(WIFSIGNALED(status)); // it did not fail by itself
    int64_t acked = last_acknowledged(fds[0], have);
    close(fds[0]);

    struct kn_store *store;
    ktest_ok(kn_store_lmdb_open(folder, &store));
    struct found f = {0};
    ktest_ok(kn_store_range(store, KN_SV_NULL, KN_SV_NULL, 0, 0, look, &f, NULL, NULL));
    kn_store_close(store);
    ktest_true(!f.wrong);
    ktest_true(f.last >= acked && f.last <= acked + WINDOW);
    return f.last;
}

KTEST(every_acknowledged_write_survives_sigkill_and_no_other_appears)
{
    char folder[] = "/tmp/knarr-crash-XXXXXX";
    ktest_true(mkdtemp(folder) != NULL);
    int64_t have = 0;
    for (int i = 0; i < KILLS; i++)
        have = kill_once(folder, have);
    print_message("%d kills, %lld writes survived\n", KILLS, (long long)have);
    ktest_true(have > 0);
    ktest_ok(kn_dir_remove(folder));
}

KTEST_MAIN(KTEST_CASE(every_acknowledged_write_survives_sigkill_and_no_other_appears))

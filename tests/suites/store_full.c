// The disk is full: writes fail and say so, reads go on, nothing is damaged, and when there is room
// again writes go on too. The disk is a small tmpfs in a mount namespace of this process's own, so
// that it is gone with the process.
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>

#include "base/file.h"
#include "lib/ktest.h"
#include "store/lmdb.h"

static char folder[] = "/tmp/knarr-full-XXXXXX";

static bool small_disk(void)
{
    if (!mkdtemp(folder) || unshare(CLONE_NEWNS) < 0)
        return false;
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", folder, "tmpfs", 0, "size=1m") == 0;
}

static struct kn_status put(struct kn_store *s, int n)
{
    static char value[4000];
    char key[24];
    memset(value, 'a' + n % 26, sizeof value);
    snprintf(key, sizeof key, "%06d", n);
    struct kn_write w = {
        .change = KN_CHANGE_PUT, .key = kn_sv_c(key), .value = kn_sv(value, sizeof value)};
    return kn_store_write(s, &w);
}

static bool count(void *arg, const struct kn_kv *kv)
{
    int *n = arg;
    bool right = kv->value.len == 4000 && kv->value.ptr[3999] == 'a' + *n % 26;
    *n += right ? 1 : 1000000;
    return true;
}

static int keys(struct kn_store *s)
{
    int n = 0;
    ktest_ok(kn_store_range(s, KN_SV_NULL, KN_SV_NULL, 0, 0, count, &n, NULL, NULL));
    return n;
}

KTEST(a_full_disk_fails_writes_and_nothing_else)
{
    if (!small_disk()) {
        rmdir(folder);
        ktest_skip("needs root, to mount a small disk");
    }
    struct kn_store *s;
    ktest_ok(kn_store_lmdb_open(folder, &s));
    int n = 0;
    struct kn_status status;
    while (kn_ok(status = put(s, n)))
        n++;
    ktest_fails(status, NO_SPACE, "the disk of the database is full");
    ktest_true(n > 10 && n < 1000);
    ktest_eq_int(keys(s), n);
    for (int i = 0; i < 5; i++)
        ktest_fails(put(s, n), NO_SPACE, "full");
    ktest_eq_int(keys(s), n);
    kn_store_close(s);
    ktest_ok(kn_store_lmdb_open(folder, &s)); // opens and reads while the disk is full
    ktest_eq_int(keys(s), n);
    ktest_eq_int(mount(NULL, folder, NULL, MS_REMOUNT, "size=8m"), 0);
    ktest_ok(put(s, n));
    ktest_eq_int(keys(s), n + 1);
    kn_store_close(s);
    umount(folder);
    rmdir(folder);
}

// A value of many pages, of which the disk takes the first: LMDB calls that an I/O error.
KTEST(a_write_for_which_there_is_half_the_room_says_that_the_disk_is_full)
{
    static char value[600000];
    snprintf(folder, sizeof folder, "/tmp/knarr-full-XXXXXX");
    if (!small_disk()) {
        rmdir(folder);
        ktest_skip("needs root, to mount a small disk");
    }
    struct kn_store *s;
    ktest_ok(kn_store_lmdb_open(folder, &s));
    memset(value, 'x', sizeof value);
    struct kn_write w = {
        .change = KN_CHANGE_PUT, .key = KN_SV("big"), .value = kn_sv(value, sizeof value)};
    ktest_fails(kn_store_write(s, &w), NO_SPACE, "the disk of the database is full");
    ktest_eq_int(keys(s), 0);
    ktest_ok(put(s, 0));
    kn_store_close(s);
    umount(folder);
    rmdir(folder);
}

KTEST_MAIN(KTEST_CASE(a_full_disk_fails_writes_and_nothing_else),
           KTEST_CASE(a_write_for_which_there_is_half_the_room_says_that_the_disk_is_full))

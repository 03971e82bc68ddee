// Layers from strangers: deep, climbing, through links; and what an image store shared by two says.
#include "node/image_unpack.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/thread.h"
#include "lib/ktest.h"
#include "node/image_store.h"

static struct kn_status read_sv(void *arg, void *out, size_t max, size_t *ret_n)
{
    struct kn_sv *rest = arg;
    *ret_n = rest->len < max ? rest->len : max;
    memcpy(out, rest->ptr, *ret_n);
    *rest = kn_sv_from(*rest, *ret_n);
    return KN_STATUS_OK;
}

static void put(struct kn_buf *tar, enum kn_tar_type type, const char *path, const char *link)
{
    struct kn_tar_entry e = {
        .type = type, .path = kn_sv_c(path), .link = kn_sv_c(link ? link : ""), .mode = 0755};
    kn_tar_write_header(tar, &e);
}

struct job {
    struct kn_sv tar;
    char folder[64];
    struct kn_status st;
};

static void *unpack_it(void *arg)
{
    struct job *j = arg;
    strcpy(j->folder, "/tmp/knarr-unpack-XXXXXX");
    ktest_true(mkdtemp(j->folder) != NULL);
    int fd = open(j->folder, O_RDONLY | O_DIRECTORY);
    j->st = kn_unpack((struct kn_source){read_sv, &j->tar}, fd,
                      &(struct kn_unpack_options){.plain_owner = true});
    close(fd);
    return NULL;
}

// In a thread with the small stack that pulls have.
static void unpack(struct kn_buf *tar, struct job *j)
{
    static const char zeros[KN_TAR_TRAILER];
    kn_buf_add(tar, kn_sv(zeros, sizeof zeros));
    *j = (struct job){.tar = kn_buf_sv(tar)};
    pthread_t thread;
    ktest_ok(kn_thread_start(&thread, "unpack", 0, unpack_it, j));
    kn_thread_join(thread);
    kn_buf_done(tar);
}

KTEST(makes_any_number_of_missing_parents)
{
    struct kn_buf tar = KN_BUF(1u << 20);
    char path[4000] = "", full[4096];
    struct job j;
    for (int i = 0; i < 1900; i++)
        strcat(path, "d/");
    strcat(path, "file");
    put(&tar, KN_TAR_FILE, path, NULL);
    unpack(&tar, &j);
    ktest_ok(j.st);
    snprintf(full, sizeof full, "%s/%s", j.folder, path);
    ktest_true(kn_file_exists(full));
    ktest_ok(kn_dir_remove(j.folder));
}

KTEST(leads_nobody_out_of_the_folder)
{
    struct kn_buf tar = KN_BUF(1u << 20);
    struct job j;
    put(&tar, KN_TAR_SYMLINK, "out", "/tmp");
    put(&tar, KN_TAR_SYMLINK, "up", "../../..");
    put(&tar, KN_TAR_FILE, "out/knarr-unpack-escaped", NULL);
    put(&tar, KN_TAR_FILE, "up/knarr-unpack-escaped", NULL);
    unpack(&tar, &j);
    kn_status_done(&j.st); // refused or made inside, as the archive's links say: never outside
    ktest_true(!kn_file_exists("/tmp/knarr-unpack-escaped"));
    ktest_true(!kn_file_exists("/knarr-unpack-escaped"));
    ktest_ok(kn_dir_remove(j.folder));
}

// -- the store, shared by two processes (two handles have the same file locks) --------------------

static void write_index(const char *folder, const char *name, const char *digest)
{
    char path[256], text[512];
    snprintf(path, sizeof path, "%s/index.json", folder);
    snprintf(text, sizeof text,
             "{\"schemaVersion\":2,\"manifests\":[{\"digest\":\"%s\",\"size\":3,\"annotations\":"
             "{\"org.opencontainers.image.ref.name\":\"%s\"}}]}",
             digest, name);
    ktest_ok(kn_file_write(path, kn_sv_c(text), 0644, false));
}

static size_t count(struct kn_images *s)
{
    struct kn_arena *a = kn_arena_new(0, 1u << 20);
    struct kn_image *list;
    size_t len;
    ktest_ok(kn_images_list(s, a, &list, &len));
    kn_arena_free(a);
    return len;
}

KTEST(sees_what_another_process_did_to_the_store)
{
    char folder[] = "/tmp/knarr-images-XXXXXX", path[128];
    static const char digest[] =
        "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    struct kn_images *agent, *tool;
    ktest_true(mkdtemp(folder) != NULL);
    ktest_ok(kn_images_open(folder, &agent));
    snprintf(path, sizeof path, "%s/tmp/coming-in", folder);
    ktest_ok(kn_file_write(path, KN_SV("half a blob"), 0600, false));
    ktest_ok(kn_images_open(folder, &tool));
    ktest_true(kn_file_exists(path)); // the agent's: another has the store open
    write_index(folder, "docker.io/library/nginx:latest", digest);
    ktest_eq_int(count(agent), 1);
    ktest_ok(kn_images_remove(tool, KN_SV("nginx")));
    ktest_eq_int(count(agent), 0);
    ktest_fails(kn_images_remove(agent, KN_SV("nginx")), NOT_FOUND, "no image");
    kn_images_hold(tool);
    ktest_fails(kn_images_collect(agent, NULL, NULL, NULL), CONFLICT, "coming in");
    kn_images_unhold(tool);
    ktest_ok(kn_images_collect(agent, NULL, NULL, NULL));
    kn_images_close(tool);
    kn_images_close(agent);
    ktest_ok(kn_images_open(folder, &agent));
    ktest_true(!kn_file_exists(path)); // nobody's
    kn_images_close(agent);
    ktest_ok(kn_dir_remove(folder));
}

KTEST_MAIN(KTEST_CASE(makes_any_number_of_missing_parents),
           KTEST_CASE(leads_nobody_out_of_the_folder),
           KTEST_CASE(sees_what_another_process_did_to_the_store))

#include "node/upkeep.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include "base/file.h"
#include "base/map.h"
#include "base/num.h"
#include "base/vec.h"

#define MEMORY_LEAST (100ll << 20)

// -- pressure --------------------------------------------------------------------------------

// The number behind a word of a small file of /proc ("MemAvailable:"; "" is the file's beginning).
static bool number_in(const char *path, const char *word, int64_t *ret)
{
    struct kn_buf text = KN_BUF(64u << 10);
    struct kn_status st = kn_file_read(path, (64u << 10) - 1, &text);
    struct kn_sv rest = kn_buf_sv(&text);
    ptrdiff_t at = kn_sv_search(rest, kn_sv_c(word));
    rest = kn_sv_trim(kn_sv_from(rest, at < 0 ? rest.len : (size_t)at + strlen(word)));
    size_t len = 0;
    while (len < rest.len && rest.ptr[len] >= '0' && rest.ptr[len] <= '9')
        len++;
    if (kn_ok(st))
        st = kn_num_parse(kn_sv_first(rest, len), 0, INT64_MAX, ret);
    bool good = kn_ok(st);
    kn_status_done(&st);
    kn_buf_done(&text);
    return good;
}

void kn_pressure_measure(const char *data_dir, struct kn_pressure *ret)
{
    struct statvfs fs;
    int64_t kib, used, most;
    *ret = (struct kn_pressure){0};
    if (number_in("/proc/meminfo", "MemAvailable:", &kib))
        ret->memory = kib * 1024 < MEMORY_LEAST;
    if (statvfs(data_dir, &fs) == 0)
        ret->disk = fs.f_bavail < fs.f_blocks / 10 || (fs.f_files && fs.f_favail < fs.f_files / 20);
    // "0.10 0.20 0.30 2/345 6789": 345 threads of the whole machine
    if (number_in("/proc/sys/kernel/pid_max", "", &most) && number_in("/proc/loadavg", "/", &used))
        ret->pids = used > most - most / 20;
}

// -- images ----------------------------------------------------------------------------------

struct use {
    struct kn_map ids; // of images on which a container stands
    KN_VEC(char *) texts;
};

// <run>/node/pods/<uid>/<container>/meta says in its fourth line on which image the container
// stands.
static void read_meta(struct use *u, const char *path)
{
    struct kn_buf text = KN_BUF(8192);
    KN_IGNORE(kn_file_read(path, 4000, &text));
    struct kn_sv rest = kn_buf_sv(&text), id = KN_SV_NULL;
    for (int line = 0; line < 4; line++)
        id = kn_sv_cut(&rest, '\n');
    if (id.len && !kn_map_get(&u->ids, id)) {
        char *copy = kn_sv_dup(id);
        KN_VEC_PUSH(&u->texts, copy);
        kn_map_put(&u->ids, kn_sv(copy, id.len), copy);
    }
    kn_buf_done(&text);
}

static void read_pod(struct use *u, const char *folder)
{
    char path[PATH_MAX];
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/%s/meta", folder, e->d_name);
            read_meta(u, path);
        }
    if (d)
        closedir(d);
}

static bool in_use(void *arg, struct kn_sv id)
{
    struct use *u = arg;
    return kn_map_get(&u->ids, id) != NULL;
}

struct kn_status kn_node_collect_images(const struct kn_node *n, int64_t *ret_freed)
{
    char path[PATH_MAX], pod[PATH_MAX];
    struct use u = {0};
    kn_map_init(&u.ids);
    snprintf(path, sizeof path, "%s/node/pods", n->run_dir);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.') {
            snprintf(pod, sizeof pod, "%s/%s", path, e->d_name);
            read_pod(&u, pod);
        }
    if (d)
        closedir(d);
    struct kn_status st = kn_images_collect(n->images, in_use, &u, ret_freed);
    for (size_t i = 0; i < u.texts.len; i++)
        free(u.texts.ptr[i]);
    KN_VEC_DONE(&u.texts);
    kn_map_done(&u.ids);
    return st;
}

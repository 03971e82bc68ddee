#include <limits.h>

#include "base/file.h"
#include "base/process.h"
#include "codec/json.h"
#include "node/runtime.h"

#define DEADLINE (30 * KN_SECOND)

static void add(struct kn_runtime_args *args, const char *word)
{
    kn_assert(args->argc < KN_RUNTIME_ARGS - 1);
    args->argv[args->argc++] = word;
    args->argv[args->argc] = NULL;
}

static void add_common(const struct kn_runtime *r, struct kn_runtime_args *args, const char *log)
{
    *args = (struct kn_runtime_args){0};
    add(args, r->program);
    add(args, "--root");
    add(args, r->root);
    if (log) {
        add(args, "--log");
        add(args, log);
    }
}

static void crun_start(const struct kn_runtime *r, const char *id, const char *bundle, bool tty,
                       struct kn_arena *a, struct kn_runtime_args *ret)
{
    add_common(r, ret, kn_arena_printf(a, "%s/runtime.log", bundle).ptr);
    add(ret, "run");
    add(ret, "--detach");
    add(ret, "--no-new-keyring");
    add(ret, "--bundle");
    add(ret, kn_arena_dup(a, kn_sv_c(bundle)).ptr);
    add(ret, "--pid-file");
    add(ret, kn_arena_printf(a, "%s/pid", bundle).ptr);
    if (tty) {
        add(ret, "--console-socket");
        add(ret, kn_arena_printf(a, "%s/tty.sock", bundle).ptr);
    }
    add(ret, kn_arena_dup(a, kn_sv_c(id)).ptr);
}

static void crun_exec(const struct kn_runtime *r, const struct kn_runtime_exec *e,
                      struct kn_arena *a, struct kn_runtime_args *ret)
{
    add_common(r, ret, kn_arena_printf(a, "%s/%s.log", e->folder, e->exec_id).ptr);
    add(ret, "exec");
    add(ret, "--detach");
    add(ret, "--process");
    add(ret, kn_arena_printf(a, "%s/%s.json", e->folder, e->exec_id).ptr);
    add(ret, "--pid-file");
    add(ret, kn_arena_printf(a, "%s/%s.pid", e->folder, e->exec_id).ptr);
    if (e->tty) {
        add(ret, "--tty");
        add(ret, "--console-socket");
        add(ret, kn_arena_printf(a, "%s/%s.tty", e->folder, e->exec_id).ptr);
    }
    add(ret, kn_arena_dup(a, kn_sv_c(e->id)).ptr);
}

static struct kn_status crun_remove(const struct kn_runtime *r, const char *id, bool force)
{
    char state[PATH_MAX];
    snprintf(state, sizeof state, "%s/%s", r->root, id);
    if (!kn_file_exists(state))
        return KN_STATUS_OK;
    const char *const forced[] = {r->program, "--root", r->root, "delete", "--force", id, NULL};
    const char *const plain[] = {r->program, "--root", r->root, "delete", id, NULL};
    struct kn_status s =
        kn_process_run(force ? forced : plain, KN_SV_NULL, NULL, kn_mono() + DEADLINE);
    if (!kn_ok(s) && !kn_file_exists(state))
        kn_status_done(&s); // somebody else was faster
    return s;
}

static struct kn_status crun_state(const struct kn_runtime *r, const char *id, struct kn_arena *a,
                                   struct kn_sv *ret)
{
    char state[PATH_MAX];
    snprintf(state, sizeof state, "%s/%s", r->root, id);
    if (!kn_file_exists(state))
        return kn_error(KN_NOT_FOUND, "the runtime knows no container %s", id);
    const char *const argv[] = {r->program, "--root", r->root, "state", id, NULL};
    struct kn_buf out = KN_BUF(65536);
    struct kn_json *root;
    struct kn_status s = kn_process_run(argv, KN_SV_NULL, &out, kn_mono() + DEADLINE);
    if (kn_ok(s))
        s = kn_json_parse(a, kn_arena_dup(a, kn_buf_sv(&out)), NULL, &root);
    if (kn_ok(s))
        *ret = kn_json_str(kn_json_get(root, KN_K_status));
    kn_buf_done(&out);
    return s;
}

// Lines are "TIME: sentence" or the bare sentence; the last one is the cause.
static struct kn_sv crun_explain(struct kn_sv log)
{
    struct kn_sv line = KN_SV_NULL, rest = kn_sv_trim(log);
    while (rest.len)
        line = kn_sv_cut(&rest, '\n');
    ptrdiff_t at = kn_sv_search(line, KN_SV("Z: "));
    line = kn_sv_trim(at >= 0 && line.ptr[0] >= '0' && line.ptr[0] <= '9'
                          ? kn_sv_from(line, (size_t)at + 3)
                          : line);
    // The tag of how grave it is.
    if (line.len && line.ptr[0] == '[' && (at = kn_sv_find(line, ']')) > 0)
        line = kn_sv_trim(kn_sv_from(line, (size_t)at + 1));
    return line;
}

static const struct kn_runtime_ops crun_ops = {
    .name = "crun",
    .start = crun_start,
    .exec = crun_exec,
    .remove = crun_remove,
    .state = crun_state,
    .explain = crun_explain,
};

static char *first_version(struct kn_sv text)
{
    struct kn_sv line = kn_sv_cut(&text, '\n');
    ptrdiff_t space = kn_sv_rfind(line, ' ');
    return kn_sv_dup(kn_sv_trim(kn_sv_from(line, (size_t)(space + 1))));
}

struct kn_status kn_runtime_crun(const char *root, struct kn_runtime **ret)
{
    static const char *const places[] = {"/usr/local/sbin/crun", "/usr/local/bin/crun",
                                         "/usr/sbin/crun", "/usr/bin/crun", "/bin/crun"};
    const char *program = NULL;
    for (size_t i = 0; i < KN_ARRAY_LEN(places) && !program; i++)
        if (access(places[i], X_OK) == 0)
            program = places[i];
    if (!program)
        return kn_error(KN_NOT_FOUND,
                        "crun is not installed: install it with \"apt-get install crun\"");
    const char *const argv[] = {program, "--version", NULL};
    struct kn_buf out = KN_BUF(4096);
    struct kn_status s = kn_process_run(argv, KN_SV_NULL, &out, kn_mono() + DEADLINE);
    if (kn_ok(s))
        s = kn_dir_make(root, 0700);
    if (kn_ok(s)) {
        struct kn_runtime *r = KN_NEW(struct kn_runtime);
        r->ops = &crun_ops;
        r->program = kn_sv_dup(kn_sv_c(program));
        r->root = kn_sv_dup(kn_sv_c(root));
        r->version = first_version(kn_buf_sv(&out));
        *ret = r;
    }
    kn_buf_done(&out);
    return s;
}

void kn_runtime_free(struct kn_runtime *r)
{
    if (!r)
        return;
    free(r->program);
    free(r->root);
    free(r->version);
    free(r);
}

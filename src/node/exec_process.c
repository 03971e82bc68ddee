#include "node/exec_process.h"

#include <limits.h>

#include "base/file.h"

#define CONFIG_MAX (4u << 20)

struct kn_status kn_exec_process_read(const char *bundle, const struct kn_json *args, bool terminal,
                                      struct kn_arena *a, struct kn_json **ret)
{
    char path[PATH_MAX];
    struct kn_buf text = KN_BUF(2 * CONFIG_MAX);
    struct kn_json *root = NULL;
    snprintf(path, sizeof path, "%s/config.json", bundle);
    struct kn_status s = kn_file_read(path, CONFIG_MAX, &text);
    if (kn_ok(s))
        s = kn_json_parse(a, kn_arena_dup(a, kn_buf_sv(&text)), NULL, &root);
    kn_buf_done(&text);
    KN_TRY(kn_wrap(s, "the process of the container"));
    struct kn_json *process = kn_json_get_sv(root, KN_SV("process"));
    if (!kn_json_is_object(process))
        return kn_error(KN_INTERNAL, "%s has no process", path);
    kn_json_set(a, process, KN_K_args, kn_json_copy_shallow_text(a, args));
    kn_json_set_sv(a, process, KN_SV("terminal"), kn_json_new_bool(a, terminal));
    *ret = process;
    return KN_STATUS_OK;
}

struct kn_status kn_exec_process_write(const char *bundle, const char *exec_id,
                                       const struct kn_json *process)
{
    char path[PATH_MAX];
    struct kn_buf out = KN_BUF(CONFIG_MAX);
    kn_json_encode(&out, process);
    snprintf(path, sizeof path, "%s/%s.json", bundle, exec_id);
    struct kn_status s = kn_buf_status(&out, "the process");
    if (kn_ok(s))
        s = kn_file_write(path, kn_buf_sv(&out), 0600, false);
    kn_buf_done(&out);
    return s;
}

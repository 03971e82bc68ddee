// What a person asks: `status`, `kubeconfig`, `version`.
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/num.h"
#include "cluster/kubeconfig.h"
#include "cmd/admin.h"
#include "cmd/lifecycle.h"
#include "cmd/options.h"
#include "cmd/say.h"
#include "cmd/site.h"
#include "cmd/verbs.h"

#define ASK_PATIENCE (5 * KN_SECOND)
#define ROWS 16

struct row {
    const char *what;
    bool good;
    char text[256];
};

struct report {
    struct row rows[ROWS];
    size_t len;
    int64_t memory; // bytes, of all processes
};

static void add(struct report *r, const char *what, bool good, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void add(struct report *r, const char *what, bool good, const char *format, ...)
{
    if (r->len == ROWS)
        return;
    struct row *row = &r->rows[r->len++];
    row->what = what;
    row->good = good;
    va_list args;
    va_start(args, format);
    vsnprintf(row->text, sizeof row->text, format, args);
    va_end(args);
}

static int64_t resident(pid_t pid)
{
    char path[64];
    struct kn_buf text = KN_BUF(256);
    int64_t pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    struct kn_status st = kn_file_read(path, 256, &text);
    struct kn_sv rest = kn_buf_sv(&text);
    kn_sv_cut(&rest, ' ');
    if (kn_ok(st))
        st = kn_num_parse(kn_sv_cut(&rest, ' '), 0, INT64_MAX, &pages);
    kn_status_done(&st);
    kn_buf_done(&text);
    return pages * sysconf(_SC_PAGESIZE);
}

static void processes(struct report *r, const struct kn_site *s)
{
    static const char *const names[] = {"supervisor", "server", "agent"};
    for (size_t i = 0; i < 3; i++) {
        pid_t pid = kn_site_process(s, names[i]);
        int64_t memory = pid ? resident(pid) : 0;
        r->memory += memory;
        if (pid)
            add(r, names[i], true, "process %d, %.1f MB", (int)pid, (double)memory / 1e6);
        else
            add(r, names[i], false, "does not run; `knarr up` starts it");
    }
}

static void api(struct report *r, struct kn_http_client *c)
{
    struct kn_arena *a = kn_arena_new(0, 1u << 20);
    struct kn_http_client_req req = {
        .method = "GET", .url = KN_SV("/readyz"), .deadline = kn_mono() + ASK_PATIENCE};
    struct kn_http_client_resp resp;
    struct kn_status st = kn_http_call(c, &req, 4096, a, &resp);
    if (!kn_ok(st))
        add(r, "API", false, "%s", kn_status_text(&st));
    else if (resp.status == 200)
        add(r, "API", true, "answers");
    else
        add(r, "API", false, "%.*s", KN_SV_ARG(resp.body));
    kn_status_done(&st);
    kn_arena_free(a);
}

static void nodes(struct report *r, struct kn_http_client *c)
{
    struct kn_arena *a = kn_arena_new(0, 64u << 20);
    struct kn_json *list = NULL, *n;
    struct kn_status st = kn_admin_get(c, "/api/v1/nodes", kn_mono() + ASK_PATIENCE, a, &list);
    if (!kn_ok(st))
        add(r, "nodes", false, "%s", kn_status_text(&st));
    kn_status_done(&st);
    KN_JSON_EACH(n, kn_json_get(list, KN_K_items))
    {
        struct kn_sv why, name = KN_JSON_STR_AT(n, KN_K_metadata, KN_K_name);
        bool ready = kn_admin_node_ready(n, &why);
        if (ready)
            add(r, "node", true, "%.*s is ready", KN_SV_ARG(name));
        else
            add(r, "node", false, "%.*s is not ready: %.*s", KN_SV_ARG(name), KN_SV_ARG(why));
    }
    if (list && kn_json_len(kn_json_get(list, KN_K_items)) == 0)
        add(r, "nodes", false, "there is none yet");
    kn_arena_free(a);
}

// It runs, and no container of it waits to be started again.
static bool goes(const struct kn_json *pod)
{
    const struct kn_json *s;
    KN_JSON_EACH(s, KN_JSON_AT(pod, KN_K_status, KN_K_containerStatuses))
    if (KN_JSON_AT(s, KN_K_state, KN_K_waiting))
        return false;
    return kn_sv_is(KN_JSON_STR_AT(pod, KN_K_status, KN_K_phase), "Running");
}

static void pods(struct report *r, struct kn_http_client *c)
{
    struct kn_arena *a = kn_arena_new(0, 256u << 20);
    struct kn_json *list = NULL, *p;
    size_t total = 0, running = 0, done = 0;
    struct kn_sv waiting = KN_SV_NULL;
    struct kn_status st = kn_admin_get(c, "/api/v1/pods", kn_mono() + ASK_PATIENCE, a, &list);
    if (!kn_ok(st))
        add(r, "pods", false, "%s", kn_status_text(&st));
    bool asked = kn_ok(st);
    kn_status_done(&st);
    KN_JSON_EACH(p, kn_json_get(list, KN_K_items))
    {
        bool ended = kn_sv_is(KN_JSON_STR_AT(p, KN_K_status, KN_K_phase), "Succeeded");
        total++;
        running += goes(p);
        done += ended;
        if (!goes(p) && !ended)
            waiting = KN_JSON_STR_AT(p, KN_K_metadata, KN_K_name);
    }
    // A pod that waits is its owner's matter: it does not make the platform unhealthy.
    if (asked && waiting.len)
        add(r, "pods", true,
            "%zu: %zu run, %zu have ended, %zu do not run (%.*s: kubectl describe pod)", total,
            running, done, total - running - done, KN_SV_ARG(waiting));
    else if (asked)
        add(r, "pods", true, "%zu, of which %zu run and %zu have ended", total, running, done);
    kn_arena_free(a);
}

static void certificates(struct report *r, const struct kn_site *s)
{
    static const struct {
        const char *folder, *name;
    } all[] = {{"pki", "ca"},   {"server", "server"}, {"server", "kubelet-client"},
               {"pki", "node"}, {"pki", "admin"},     {"pki", "node-server"}};
    int64_t first = INT64_MAX;
    for (size_t i = 0; i < KN_ARRAY_LEN(all); i++) {
        char folder[KN_SITE_PATH];
        struct kn_certs certs = {0};
        struct kn_status st =
            kn_pki_load_certs(kn_site_data(s, all[i].folder, folder), all[i].name, &certs);
        if (kn_ok(st) && kn_cert_info(certs.ptr[0])->not_after.ns < first)
            first = kn_cert_info(certs.ptr[0])->not_after.ns;
        if (!kn_ok(st))
            first = 0;
        kn_status_done(&st);
        kn_certs_done(&certs);
    }
    int64_t days = (first - kn_now().ns) / KN_SECOND / 86400;
    if (first == 0)
        add(r, "certificates", false, "not all can be read; `knarr up` makes them anew");
    else
        add(r, "certificates", days > 0, "good for %lld days; renewed by themselves",
            (long long)days);
}

static void print_json(const struct report *r, bool healthy)
{
    struct kn_arena *a = kn_arena_new(0, 1u << 20);
    struct kn_json *o = kn_json_new_object(a);
    kn_json_set_sv(a, o, KN_SV("healthy"), kn_json_new_bool(a, healthy));
    kn_json_set_sv(a, o, KN_SV("memoryBytes"), kn_json_new_int(a, r->memory));
    struct kn_json *list = kn_json_set_sv(a, o, KN_SV("checks"), kn_json_new_array(a));
    for (size_t i = 0; i < r->len; i++) {
        struct kn_json *e = kn_json_append(list, kn_json_new_object(a));
        kn_json_set_str(a, e, KN_K_name, kn_sv_c(r->rows[i].what));
        kn_json_set_sv(a, e, KN_SV("healthy"), kn_json_new_bool(a, r->rows[i].good));
        kn_json_set_str(a, e, KN_K_message, kn_sv_c(r->rows[i].text));
    }
    struct kn_buf out = KN_BUF(1u << 20);
    kn_json_encode_pretty(&out, o, 2);
    printf("%s\n", kn_buf_cstr(&out));
    kn_buf_done(&out);
    kn_arena_free(a);
}

static int show_status(const struct kn_site *s, bool json)
{
    struct report *r = KN_NEW(struct report);
    processes(r, s);
    struct kn_http_client *c = NULL;
    struct kn_status st = kn_admin_open(s, &c);
    if (kn_ok(st)) {
        api(r, c);
        nodes(r, c);
        pods(r, c);
        kn_http_client_free(c);
    } else {
        add(r, "API", false, "%s", kn_status_text(&st));
        kn_status_done(&st);
    }
    certificates(r, s);
    bool healthy = true;
    for (size_t i = 0; i < r->len; i++)
        healthy = healthy && r->rows[i].good;
    if (json) {
        print_json(r, healthy);
    } else {
        for (size_t i = 0; i < r->len; i++)
            printf("%s %-14s %s\n", kn_say_mark(stdout, r->rows[i].good), r->rows[i].what,
                   r->rows[i].text);
        printf("%s; %.1f MB of memory in all\n", healthy ? "healthy" : "not healthy",
               (double)r->memory / 1e6);
    }
    free(r);
    return healthy ? 0 : 1;
}

int kn_verb_status(int argc, char **argv)
{
    const char *data = KN_SITE_DATA, *output = NULL;
    bool help;
    const struct kn_option options[] = {
        {"output", 'o', KN_OPTION_TEXT, &output, "FORMAT", "json, for programs"},
        {"data", 0, KN_OPTION_TEXT, &data, "FOLDER",
         "the cluster's data (default " KN_SITE_DATA ")"},
    };
    const struct kn_verb_help text = {
        .usage = "status [flags]",
        .summary = "Shows what is healthy and what is not.",
        .details = "The exit code is 0 when everything is, 1 when something is "
                   "not, 3 when there is no cluster.",
        .examples = "  knarr status\n  knarr status -o json\n"};
    struct kn_status st = kn_options_parse_args(options, 2, &argc, argv, &help);
    if (kn_ok(st) && output && strcmp(output, "json") != 0)
        st = kn_error(KN_BAD_REQUEST, "--output knows json only, not %s", output);
    if (!kn_ok(st))
        return kn_say_failed(st, "status");
    if (help) {
        kn_options_help(stdout, &text, options, 2);
        return 0;
    }
    if (kn_lifecycle_need_root("status"))
        return 1;
    struct kn_site *s = KN_NEW(struct kn_site);
    st = kn_site_load(s, data);
    int code;
    if (st.code == KN_NOT_FOUND) {
        kn_status_done(&st);
        printf("There is no cluster in %s; `knarr up` makes one.\n", data);
        code = 3;
    } else if (!kn_ok(st)) {
        code = kn_say_failed(st, "status");
    } else {
        code = show_status(s, output != NULL);
    }
    free(s);
    return code;
}

int kn_verb_kubeconfig(int argc, char **argv)
{
    const char *data = KN_SITE_DATA;
    bool help;
    const struct kn_option options[] = {
        {"data", 0, KN_OPTION_TEXT, &data, "FOLDER",
         "the cluster's data (default " KN_SITE_DATA ")"},
    };
    const struct kn_verb_help text = {.usage = "kubeconfig [flags]",
                                      .summary = "Prints the administrator's kubeconfig, for other "
                                                 "machines: with this machine's address.",
                                      .examples = "  knarr kubeconfig > knarr.yaml\n"};
    struct kn_status st = kn_options_parse_args(options, 1, &argc, argv, &help);
    if (!kn_ok(st))
        return kn_say_failed(st, "kubeconfig");
    if (help) {
        kn_options_help(stdout, &text, options, 1);
        return 0;
    }
    if (kn_lifecycle_need_root("kubeconfig"))
        return 1;
    struct kn_site *s = KN_NEW(struct kn_site);
    struct kn_buf ca = KN_BUF(64u << 10), cert = KN_BUF(64u << 10), key = KN_BUF(64u << 10);
    struct kn_buf out = KN_BUF(1u << 20);
    char server[80];
    st = kn_site_load(s, data);
    if (st.code == KN_NOT_FOUND) {
        kn_status_done(&st);
        st = kn_error(KN_NOT_FOUND, "there is no cluster in %s; `knarr up` makes one", data);
    }
    if (kn_ok(st))
        st = kn_lifecycle_admin_pem(s, &ca, &cert, &key);
    snprintf(server, sizeof server, "https://%s:%d", s->host_ip, (int)s->port);
    struct kn_kubeconfig k = {"knarr", server, kn_buf_sv(&ca), kn_buf_sv(&cert), kn_buf_sv(&key)};
    if (kn_ok(st))
        st = kn_kubeconfig_print(&k, &out);
    if (kn_ok(st))
        fwrite(out.ptr, 1, out.len, stdout);
    kn_buf_done(&ca);
    kn_buf_done(&cert);
    kn_buf_done(&key);
    kn_buf_done(&out);
    free(s);
    return kn_ok(st) ? 0 : kn_say_failed(st, "kubeconfig");
}

int kn_verb_version(int argc, char **argv)
{
    bool help;
    struct kn_status st = kn_options_parse_args(NULL, 0, &argc, argv, &help);
    if (!kn_ok(st))
        return kn_say_failed(st, "version");
    printf("knarr %s (Kubernetes v1.37.2)\n", KN_VERSION);
    return 0;
}

// Pulling, from a small registry of the test's own that can misbehave, and from Debian's
// docker-registry where that is installed.
#include "node/image_pull_impl.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/file.h"
#include "base/process.h"
#include "base/thread.h"
#include "lib/ktest.h"
#include "wire/http.h"

#define DEADLINE (20 * KN_SECOND)
#define LAYER 700000

static struct kn_sv digest_of(struct kn_arena *a, struct kn_sv bytes)
{
    uint8_t sum[KN_SHA256_LEN];
    char hex[2 * KN_SHA256_LEN + 1];
    kn_sha256(bytes, sum);
    kn_hex(sum, sizeof sum, hex);
    return kn_arena_printf(a, "sha256:%s", hex);
}

// -- an image ---------------------------------------------------------------------------------

struct image {
    struct kn_arena *a;
    struct kn_sv config, config_digest, layer, layer_digest, manifest, digest, index, index_digest;
};

static void make_image(struct image *i)
{
    i->a = kn_arena_new(0, 16 << 20);
    char *bytes = kn_arena_bytes(i->a, LAYER);
    for (uint32_t k = 0, x = 1; k < LAYER; k++, x = x * 1664525u + 1013904223u)
        bytes[k] = (char)(x >> 24);
    i->layer = kn_sv(bytes, LAYER);
    i->layer_digest = digest_of(i->a, i->layer);
    i->config =
        kn_arena_printf(i->a,
                        "{\"architecture\":\"%s\",\"os\":\"linux\",\"config\":{\"Cmd\":[\"/x\"]},"
                        "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%.*s\"]}}",
                        kn_image_architecture(), KN_SV_ARG(i->layer_digest));
    i->config_digest = digest_of(i->a, i->config);
    i->manifest = kn_arena_printf(i->a,
                                  "{\"schemaVersion\":2,\"mediaType\":\"application/"
                                  "vnd.docker.distribution.manifest.v2+json\","
                                  "\"config\":{\"mediaType\":\"application/"
                                  "vnd.docker.container.image.v1+json\",\"digest\":\"%.*s\","
                                  "\"size\":%zu},\"layers\":[{\"mediaType\":\"application/"
                                  "vnd.docker.image.rootfs.diff.tar.gzip\","
                                  "\"digest\":\"%.*s\",\"size\":%zu}]}",
                                  KN_SV_ARG(i->config_digest), i->config.len,
                                  KN_SV_ARG(i->layer_digest), i->layer.len);
    i->digest = digest_of(i->a, i->manifest);
    i->index = kn_arena_printf(i->a,
                               "{\"schemaVersion\":2,\"mediaType\":\"application/"
                               "vnd.oci.image.index.v1+json\",\"manifests\":["
                               "{\"digest\":\"sha256:%064d\",\"size\":1,\"platform\":{\"os\":"
                               "\"windows\",\"architecture\":\"amd64\"}},"
                               "{\"digest\":\"%.*s\",\"size\":%zu,\"platform\":{\"os\":\"linux\","
                               "\"architecture\":\"%s\"}}]}",
                               0, KN_SV_ARG(i->digest), i->manifest.len, kn_image_architecture());
    i->index_digest = digest_of(i->a, i->index);
}

// -- a registry that misbehaves on demand -----------------------------------------------------

struct fake {
    struct kn_http_server *server;
    uint16_t port;
    const struct image *image;
    bool bearer, redirects, breaks, lies, busy;
    atomic_int stalls; // 1: in the middle of the layer, 2: before its head
    atomic_int layer_gets, tokens, leaks, ranges;
};

static void refuse(struct kn_http_req *r, int status, const char *challenge)
{
    static const char body[] =
        "{\"errors\":[{\"code\":\"UNAUTHORIZED\",\"message\":\"authentication required\"}]}";
    struct kn_piece piece = {.bytes = {body, sizeof body - 1}};
    struct kn_http_header headers[] = {{KN_SV("Content-Type"), KN_SV("application/json")},
                                       {KN_SV("WWW-Authenticate"), kn_sv_c(challenge)}};
    struct kn_http_response response = {.status = status,
                                        .headers = headers,
                                        .headers_len = *challenge ? 2 : 1,
                                        .pieces = &piece,
                                        .pieces_len = 1};
    kn_http_respond(r, &response);
}

static void give_token(struct fake *f, struct kn_http_req *r)
{
    bool right = kn_sv_is(kn_http_header(r, "Authorization"), "Basic dTpzZWNyZXQ="); // u:secret
    f->tokens++;
    ktest_true(kn_sv_search(kn_http_query(r),
                            KN_SV("service=svc&scope=repository%3Ateam%2Fapp%3Apull")) >= 0);
    if (right)
        kn_http_respond_text(r, 200, "application/json", KN_SV("{\"token\":\"good\"}"));
    else
        refuse(r, 401, "");
}

static void break_off(struct kn_http_req *r, void *arg)
{
    (void)arg;
    kn_http_stream_abort(r);
}

static void client_gone(struct kn_http_req *r, void *arg)
{
    (void)arg;
    kn_http_stream_end(r);
}

static void client_gone_early(struct kn_http_req *r, void *arg)
{
    (void)arg;
    kn_http_respond_text(r, 499, NULL, KN_SV(""));
}

static void stall(struct fake *f, struct kn_http_req *r, struct kn_sv bytes)
{
    if (f->stalls == 2) {
        kn_http_on_close(r, client_gone_early, NULL);
        return;
    }
    kn_http_stream_begin(r, 200, NULL, 0, NULL, NULL);
    kn_http_stream_copy(r, kn_sv_first(bytes, LAYER / 2));
    kn_http_on_close(r, client_gone, NULL);
}

static void give_layer(struct fake *f, struct kn_http_req *r)
{
    struct kn_sv bytes = f->image->layer, range = kn_http_header(r, "Range");
    char text[96];
    f->layer_gets++;
    if (f->lies)
        bytes = kn_sv_first(kn_arena_printf(kn_http_arena(r), "%0700000d", 0), LAYER);
    if (f->stalls) {
        stall(f, r, bytes);
        return;
    }
    if (f->breaks && f->layer_gets == 1) {
        kn_http_stream_begin(r, 200, NULL, 0, break_off, NULL);
        kn_http_stream_copy(r, kn_sv_first(bytes, LAYER / 2));
        return;
    }
    if (range.len) {
        size_t from = (size_t)strtoul(range.ptr + 6, NULL, 10);
        f->ranges++;
        snprintf(text, sizeof text, "bytes %zu-%d/%d", from, LAYER - 1, LAYER);
        struct kn_http_header header = {KN_SV("Content-Range"), kn_sv_c(text)};
        kn_http_stream_begin(r, 206, &header, 1, NULL, NULL);
        kn_http_stream_copy(r, kn_sv_from(bytes, from));
        kn_http_stream_end(r);
        return;
    }
    kn_http_respond_text(r, 200, "application/octet-stream", bytes);
}

static void redirect(struct fake *f, struct kn_http_req *r)
{
    char to[64];
    snprintf(to, sizeof to, "http://localhost:%u/elsewhere", f->port);
    struct kn_http_header header = {KN_SV("Location"), kn_sv_c(to)};
    kn_http_stream_begin(r, 307, &header, 1, NULL, NULL);
    kn_http_stream_end(r);
}

static void handle(struct kn_http_req *r, void *arg)
{
    struct fake *f = arg;
    const struct image *i = f->image;
    struct kn_sv path = kn_http_path(r), rest = kn_sv_from(path, strlen("/v2/team/app/"));
    char challenge[160];
    if (kn_sv_is(path, "/token")) {
        give_token(f, r);
        return;
    }
    if (kn_sv_is(path, "/elsewhere")) {
        f->leaks += kn_http_header(r, "Authorization").ptr != NULL;
        give_layer(f, r);
        return;
    }
    if (f->busy) {
        kn_http_respond_text(
            r, 429, "application/json",
            KN_SV("{\"errors\":[{\"code\":\"TOOMANYREQUESTS\",\"message\":\"slow down\"}]}"));
        return;
    }
    if (f->bearer && !kn_sv_is(kn_http_header(r, "Authorization"), "Bearer good")) {
        snprintf(challenge, sizeof challenge,
                 "Bearer "
                 "realm=\"http://127.0.0.1:%u/token\",service=\"svc\",scope=\"repository:team/"
                 "app:pull\"",
                 f->port);
        refuse(r, 401, challenge);
        return;
    }
    if (kn_sv_is(rest, "manifests/latest"))
        kn_http_respond_text(r, 200, "application/vnd.oci.image.index.v1+json", i->index);
    else if (kn_sv_starts(rest, KN_SV("manifests/")) && kn_sv_eq(kn_sv_from(rest, 10), i->digest))
        kn_http_respond_text(r, 200, "application/json", i->manifest);
    else if (kn_sv_starts(rest, KN_SV("blobs/")) && kn_sv_eq(kn_sv_from(rest, 6), i->config_digest))
        kn_http_respond_text(r, 200, "application/octet-stream", i->config);
    else if (kn_sv_starts(rest, KN_SV("blobs/")) && f->redirects)
        redirect(f, r);
    else if (kn_sv_starts(rest, KN_SV("blobs/")))
        give_layer(f, r);
    else
        kn_http_respond_text(
            r, 404, "application/json",
            KN_SV(
                "{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\",\"message\":\"manifest unknown\"}]}"));
}

// -- the frame of a test ----------------------------------------------------------------------

struct bench {
    char dir[64], registries[96];
    struct image image;
    struct kn_images *images;
    struct kn_puller *puller;
    struct fake fake;
    char name[96]; // of the image in the fake registry
};

static void begin(struct bench *b)
{
    *b = (struct bench){.dir = "/tmp/knarr-pull-XXXXXX"};
    ktest_true(mkdtemp(b->dir) != NULL);
    make_image(&b->image);
    snprintf(b->registries, sizeof b->registries, "%s/registries.yaml", b->dir);
    char images[96];
    snprintf(images, sizeof images, "%s/images", b->dir);
    ktest_ok(kn_images_open(images, &b->images));
    struct kn_puller_config pull = {.images = b->images, .registries = b->registries};
    ktest_ok(kn_puller_new(&pull, &b->puller));
    b->fake.image = &b->image;
    struct kn_http_config http = {.handle = handle, .arg = &b->fake, .name = "registry"};
    ktest_ok(kn_http_server_new(&http, &b->fake.server));
    ktest_ok(kn_http_listen_tcp(b->fake.server, "127.0.0.1", 0, NULL, &b->fake.port));
    ktest_ok(kn_http_server_start(b->fake.server));
    snprintf(b->name, sizeof b->name, "127.0.0.1:%u/team/app", b->fake.port);
}

static void end(struct bench *b)
{
    kn_puller_free(b->puller);
    kn_http_server_free(b->fake.server);
    kn_images_close(b->images);
    kn_arena_free(b->image.a);
    ktest_ok(kn_dir_remove(b->dir));
}

__attribute__((format(printf, 2, 3))) static void write_registries(struct bench *b,
                                                                   const char *format, ...)
{
    struct kn_buf text = KN_BUF(4096);
    va_list args;
    va_start(args, format);
    kn_buf_vaddf(&text, format, args);
    va_end(args);
    ktest_ok(kn_file_write(b->registries, kn_buf_sv(&text), 0600, false));
    kn_buf_done(&text);
}

static struct kn_status pull(struct bench *b, const char *name, const char *auths)
{
    struct kn_pull_secret secret = {.json = kn_sv_c(auths)};
    return kn_pull(b->puller, kn_sv_c(name), &secret, auths ? 1 : 0, NULL);
}

static void expect_image(struct bench *b, const char *name)
{
    struct kn_arena *a = kn_arena_new(0, 1 << 20);
    struct kn_image image;
    ktest_ok(kn_images_get(b->images, kn_sv_c(name), a, &image));
    ktest_true(kn_sv_eq(image.digest, b->image.digest) && !image.local);
    ktest_eq_sv(kn_json_str(kn_json_first(kn_json_get_sv(image.config, KN_SV("Cmd")))), "/x");
    char path[160];
    kn_images_blob_path(b->images, b->image.layer_digest, path, sizeof path);
    struct kn_buf bytes = KN_BUF(2 << 20);
    ktest_ok(kn_file_read(path, 2 << 20, &bytes));
    ktest_true(kn_sv_eq(kn_buf_sv(&bytes), b->image.layer));
    kn_buf_done(&bytes);
    kn_arena_free(a);
}

// -- tests ------------------------------------------------------------------------------------

KTEST(brings_the_image_of_this_platform_from_an_index)
{
    struct bench b;
    char by_digest[200];
    begin(&b);
    ktest_ok(pull(&b, b.name, NULL));
    expect_image(&b, b.name);
    // what is here is not brought again
    ktest_ok(pull(&b, b.name, NULL));
    ktest_eq_int(b.fake.layer_gets, 1);
    snprintf(by_digest, sizeof by_digest, "%s@%.*s", b.name, KN_SV_ARG(b.image.digest));
    ktest_ok(pull(&b, by_digest, NULL));
    expect_image(&b, by_digest);
    end(&b);
}

KTEST(goes_on_where_a_connection_broke)
{
    struct bench b;
    begin(&b);
    b.fake.breaks = true;
    ktest_ok(pull(&b, b.name, NULL));
    expect_image(&b, b.name);
    ktest_eq_int(b.fake.layer_gets, 2);
    ktest_eq_int(b.fake.ranges, 1);
    end(&b);
}

KTEST(goes_on_after_a_restart_and_mends_what_was_damaged)
{
    static const size_t lens[] = {1, LAYER / 3, LAYER, LAYER + 5};
    for (size_t i = 0; i < 2 * KN_ARRAY_LEN(lens); i++) {
        struct bench b;
        struct kn_blob *blob;
        int64_t have;
        bool damaged = i >= KN_ARRAY_LEN(lens);
        size_t len = lens[i % KN_ARRAY_LEN(lens)];
        begin(&b);
        ktest_ok(kn_blob_resume(b.images, b.image.layer_digest, &blob, &have));
        struct kn_sv old = damaged || len > LAYER ? kn_arena_printf(b.image.a, "%0*d", (int)len, 0)
                                                  : kn_sv_first(b.image.layer, len);
        ktest_ok(kn_blob_add(blob, old));
        kn_blob_free(blob, true);
        ktest_ok(pull(&b, b.name, NULL));
        expect_image(&b, b.name);
        end(&b);
    }
}

struct puller_thread {
    struct bench *b;
    struct kn_cancel cancel;
    pthread_t thread;
    struct kn_status status;
};

static void *pull_in_thread(void *arg)
{
    struct puller_thread *t = arg;
    t->status = kn_pull(t->b->puller, kn_sv_c(t->b->name), NULL, 0, &t->cancel);
    return NULL;
}

static void cancel_and_see(struct puller_thread *t)
{
    kn_cancel_set(&t->cancel);
    kn_thread_join(t->thread);
    ktest_fails(t->status, CANCELLED, "");
    kn_cancel_done(&t->cancel);
}

KTEST(a_pull_that_stalls_and_one_that_waits_for_it_are_broken_off)
{
    for (int stalls = 1; stalls <= 2; stalls++) {
        struct bench b;
        struct puller_thread two[2];
        begin(&b);
        b.fake.stalls = stalls;
        for (int i = 0; i < 2; i++) {
            two[i] = (struct puller_thread){.b = &b};
            kn_cancel_init(&two[i].cancel);
            ktest_ok(kn_thread_start(&two[i].thread, "pull", 0, pull_in_thread, &two[i]));
        }
        int64_t deadline = kn_mono() + DEADLINE;
        while (b.fake.layer_gets == 0 && kn_mono() < deadline)
            sched_yield();
        ktest_eq_int(b.fake.layer_gets, 1);
        cancel_and_see(&two[1]);
        cancel_and_see(&two[0]);
        b.fake.stalls = 0;
        ktest_ok(pull(&b, b.name, NULL)); // what was broken off does not stand in the way
        expect_image(&b, b.name);
        end(&b);
    }
}

KTEST(takes_no_bytes_with_another_digest)
{
    struct bench b;
    begin(&b);
    b.fake.lies = true;
    ktest_fails(pull(&b, b.name, NULL), INVALID, "digest mismatch");
    b.fake.lies = false;
    ktest_ok(pull(&b, b.name, NULL));
    expect_image(&b, b.name);
    end(&b);
}

KTEST(fetches_a_token_with_the_right_credentials)
{
    struct bench b;
    char auths[400];
    begin(&b);
    b.fake.bearer = b.fake.redirects = true;
    ktest_fails(pull(&b, b.name, NULL), FORBIDDEN,
                "failed to fetch oauth token: unexpected status: 401");
    // the more particular entry is tried first, is wrong, and the other one is taken
    snprintf(auths, sizeof auths,
             "{\"auths\":{\"127.0.0.1:%u\":{\"username\":\"u\",\"password\":\"secret\"},"
             "\"127.0.0.1:%u/team\":{\"auth\":\"eDp5\"},\"example.com\":{\"auth\":\"YTpi\"}}}",
             b.fake.port, b.fake.port);
    b.fake.tokens = 0;
    ktest_ok(pull(&b, b.name, auths));
    expect_image(&b, b.name);
    ktest_eq_int(b.fake.tokens, 2);
    ktest_eq_int(b.fake.leaks, 0); // the token stays behind where a redirect leads elsewhere
    end(&b);
}

KTEST(asks_mirrors_first_and_the_registry_after_them)
{
    struct bench b;
    begin(&b);
    // a name that cannot be reached is served by the mirror
    write_registries(&b,
                     "mirrors:\n  registry.invalid:\n    endpoint: ['http://127.0.0.1:%u/v2/']\n",
                     b.fake.port);
    ktest_ok(pull(&b, "registry.invalid/team/app", NULL));
    expect_image(&b, "registry.invalid/team/app");
    // a mirror that does not answer is passed over
    write_registries(&b, "mirrors:\n  '*':\n    endpoint: ['http://127.0.0.1:1']\n");
    ktest_ok(pull(&b, b.name, NULL));
    // credentials of the file
    b.fake.bearer = true;
    write_registries(&b, "configs:\n  '127.0.0.1:%u':\n    auth: {username: u, password: secret}\n",
                     b.fake.port);
    ktest_ok(pull(&b, b.name, NULL));
    write_registries(&b, "mirrors: [\n");
    ktest_fails(pull(&b, b.name, NULL), SYNTAX, "registries.yaml");
    end(&b);
}

KTEST(says_what_went_wrong_as_people_know_it)
{
    struct bench b;
    char name[160], text[400];
    begin(&b);
    snprintf(name, sizeof name, "%s:nope", b.name);
    snprintf(
        text, sizeof text,
        "failed to pull and unpack image \"%s:nope\": failed to resolve reference \"%s:nope\": "
        "127.0.0.1:%u/team/app: not found",
        b.name, b.name, b.fake.port);
    ktest_fails(pull(&b, name, NULL), NOT_FOUND, text);
    ktest_fails(pull(&b, "127.0.0.1:1/x", NULL), UNAVAILABLE,
                "failed to do request: Get \"http://127.0.0.1:1/v2/x/manifests/latest\"");
    ktest_fails(pull(&b, "A b", NULL), INVALID, "invalid reference format");
    b.fake.busy = true;
    ktest_fails(pull(&b, b.name, NULL), TOO_MANY,
                "429 Too Many Requests: server message: TOOMANYREQUESTS: slow down");
    end(&b);
}

// -- Debian's registry ------------------------------------------------------------------------

struct real {
    pid_t pid;
    unsigned port;
};

static bool start_real(struct bench *b, bool password, struct real *ret)
{
    static const char program[] = "/usr/bin/docker-registry";
    char config[600], path[128], users[128];
    int log[2];
    if (access(program, X_OK) != 0) {
        print_message("%s is not installed: this test is left out\n", program);
        return false;
    }
    snprintf(users, sizeof users, "%s/htpasswd", b->dir);
    ktest_ok(kn_file_write(
        users, KN_SV("u:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"), 0600,
        false)); // "secret"
    snprintf(config, sizeof config,
             "version: 0.1\nlog: {level: info, accesslog: {disabled: true}}\nstorage: {filesystem: "
             "{rootdirectory: %s/registry}}\n"
             "http: {addr: '127.0.0.1:0'}\n%s%s%s",
             b->dir, password ? "auth: {htpasswd: {realm: test, path: " : "", password ? users : "",
             password ? "}}\n" : "");
    snprintf(path, sizeof path, "%s/config.yml", b->dir);
    ktest_ok(kn_file_write(path, kn_sv_c(config), 0600, false));
    ktest_true(pipe2(log, O_CLOEXEC) == 0);
    const char *const argv[] = {program, "serve", path, NULL};
    struct kn_spawn spawn = {.argv = argv, .in = -1, .out = log[1], .err = log[1]};
    ktest_ok(kn_process_spawn(&spawn, &ret->pid));
    close(log[1]);
    struct kn_buf text = KN_BUF(1 << 20);
    const char *at = NULL;
    while (!at) { // it says where it listens, or ends
        char chunk[512];
        ssize_t n = read(log[0], chunk, sizeof chunk);
        if (n <= 0)
            break;
        kn_buf_add(&text, kn_sv(chunk, (size_t)n));
        at = strstr(kn_buf_cstr(&text), "listening on 127.0.0.1:");
        at = at && strpbrk(at, "\", \n") ? at : NULL;
    }
    if (!at)
        print_error("%s\n", kn_buf_cstr(&text));
    ktest_true(at != NULL);
    ret->port = (unsigned)strtoul(at + strlen("listening on 127.0.0.1:"), NULL, 10);
    kn_buf_done(&text);
    return true; // the pipe stays open: the registry goes on writing its log into it
}

static void stop_real(struct real *r)
{
    int code;
    kill(r->pid, SIGKILL);
    ktest_ok(kn_process_wait(r->pid, &code));
}

static void put(struct kn_http_client *c, struct kn_arena *a, const char *method, const char *url,
                const char *type, struct kn_sv body, int want, struct kn_http_client_resp *ret)
{
    struct kn_http_header headers[] = {{KN_SV("Authorization"), KN_SV("Basic dTpzZWNyZXQ=")},
                                       {KN_SV("Content-Type"), kn_sv_c(type)}};
    struct kn_http_client_req req = {.method = method,
                                     .url = kn_sv_c(url),
                                     .headers = headers,
                                     .headers_len = 2,
                                     .body = body,
                                     .deadline = kn_mono() + DEADLINE};
    ktest_ok(kn_http_call(c, &req, 1 << 20, a, ret));
    ktest_eq_int(ret->status, want);
}

static void push_blob(struct kn_http_client *c, struct kn_arena *a, unsigned port,
                      struct kn_sv bytes, struct kn_sv digest)
{
    char url[700];
    struct kn_http_client_resp resp = {0};
    snprintf(url, sizeof url, "http://127.0.0.1:%u/v2/team/app/blobs/uploads/", port);
    put(c, a, "POST", url, "application/octet-stream", KN_SV_NULL, 202, &resp);
    snprintf(url, sizeof url, "%.*s&digest=%.*s",
             KN_SV_ARG(kn_http_client_resp_get(&resp, "Location")), KN_SV_ARG(digest));
    put(c, a, "PUT", url, "application/octet-stream", bytes, 201, &resp);
}

static void push(struct bench *b, unsigned port)
{
    struct kn_arena *a = kn_arena_new(0, 8 << 20);
    struct kn_http_client *c;
    struct kn_http_client_resp resp = {0};
    char url[200];
    ktest_ok(kn_http_client_new(&(struct kn_http_client_config){0}, &c));
    push_blob(c, a, port, b->image.config, b->image.config_digest);
    push_blob(c, a, port, b->image.layer, b->image.layer_digest);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/v2/team/app/manifests/1.0", port);
    put(c, a, "PUT", url, "application/vnd.docker.distribution.manifest.v2+json", b->image.manifest,
        201, &resp);
    kn_http_client_free(c);
    kn_arena_free(a);
}

KTEST(pulls_from_debians_registry)
{
    struct bench b;
    struct real r;
    char name[96];
    begin(&b);
    if (start_real(&b, false, &r)) {
        push(&b, r.port);
        snprintf(name, sizeof name, "localhost:%u/team/app:1.0", r.port);
        ktest_ok(pull(&b, name, NULL));
        expect_image(&b, name);
        snprintf(name, sizeof name, "localhost:%u/team/app:2.0", r.port);
        ktest_fails(pull(&b, name, NULL), NOT_FOUND, "not found");
        stop_real(&r);
    }
    end(&b);
}

KTEST(pulls_from_debians_registry_with_a_password)
{
    struct bench b;
    struct real r;
    char name[96], auths[200];
    begin(&b);
    if (start_real(&b, true, &r)) {
        push(&b, r.port);
        snprintf(name, sizeof name, "127.0.0.1:%u/team/app:1.0", r.port);
        ktest_fails(pull(&b, name, NULL), FORBIDDEN, "pull access denied");
        snprintf(auths, sizeof auths,
                 "{\"auths\":{\"http://127.0.0.1:%u/v1/\":{\"auth\":\"dTp3cm9uZw==\"}}}", r.port);
        ktest_fails(pull(&b, name, auths), FORBIDDEN, "UNAUTHORIZED: authentication required");
        snprintf(auths, sizeof auths,
                 "{\"auths\":{\"http://127.0.0.1:%u/v1/\":{\"auth\":\"dTpzZWNyZXQ=\"}}}", r.port);
        ktest_ok(pull(&b, name, auths));
        expect_image(&b, name);
        stop_real(&r);
    }
    end(&b);
}

// -- text -------------------------------------------------------------------------------------

KTEST(finds_the_credentials_of_a_registry)
{
    static const struct {
        const char *key, *host, *repository;
        bool fits;
    } samples[] = {
        {"https://index.docker.io/v1/", "registry-1.docker.io", "library/nginx", true},
        {"docker.io", "registry-1.docker.io", "a/b", true},
        {"example.com", "example.com", "a", true},
        {"example.com", "example.com:5000", "a", false},
        {"example.com:5000", "example.com:5000", "a", true},
        {"*.example.com", "r.example.com", "a", true},
        {"*.example.com", "example.com", "a", false},
        {"*.example.com", "a.b.example.com", "a", false},
        {"example.com/team", "example.com", "team/app", true},
        {"example.com/team", "example.com", "teams/app", false},
        {"example.com/team/app", "example.com", "team/app", true},
        {"evil.com", "example.com", "a", false},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(samples); i++) {
        struct kn_arena *a = kn_arena_new(0, 1 << 16);
        struct credentials c = {0};
        struct kn_sv json = kn_arena_printf(a, "{\"%s\":{\"auth\":\"dTpw\"}}", samples[i].key);
        struct kn_pull_secret secret = {json, true};
        ktest_ok(kn_credentials_add(&c, &secret, kn_sv_c(samples[i].host),
                                    kn_sv_c(samples[i].repository), a));
        if (c.len != samples[i].fits)
            print_error("%s for %s/%s\n", samples[i].key, samples[i].host, samples[i].repository);
        ktest_true(c.len == samples[i].fits);
        if (c.len)
            ktest_eq_sv(kn_secret_reveal(c.list[0].basic), "u:p");
        kn_credentials_done(&c);
        kn_arena_free(a);
    }
}

KTEST(reads_challenges)
{
    static const struct {
        const char *header;
        bool known, bearer;
        const char *realm, *service, *scope;
    } samples[] = {
        {"Bearer realm=\"https://a/t\",service=\"s\",scope=\"x:y:pull\"", true, true, "https://a/t",
         "s", "x:y:pull"},
        {"bearer realm=https://a/t , service = s", true, true, "https://a/t", "", ""},
        {"Basic realm=\"R \\\"q\\\"\"", true, false, "R \"q\"", "", ""},
        {"Negotiate, Basic realm=\"r\"", true, false, "r", "", ""},
        {"Digest realm=\"d\", nonce=\"n\", Bearer realm=\"b\"", true, true, "b", "", ""},
        {"Bearer", false, false, "", "", ""},
        {"", false, false, "", "", ""},
        {"Bearer realm=\"unclosed", true, true, "unclosed", "", ""},
        {"=,==\"\",\"", false, false, "", "", ""},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(samples); i++) {
        struct kn_arena *a = kn_arena_new(0, 1 << 16);
        struct challenge c;
        bool known = kn_challenge_parse(kn_sv_c(samples[i].header), a, &c);
        if (known != samples[i].known)
            print_error("%s\n", samples[i].header);
        ktest_true(known == samples[i].known);
        if (known) {
            ktest_true(c.bearer == samples[i].bearer && c.basic != c.bearer);
            ktest_eq_sv(c.realm, samples[i].realm);
            ktest_eq_sv(c.service, samples[i].service);
            ktest_eq_sv(c.scope, samples[i].scope);
        }
        kn_arena_free(a);
    }
}

KTEST_MAIN(KTEST_CASE(brings_the_image_of_this_platform_from_an_index),
           KTEST_CASE(goes_on_where_a_connection_broke),
           KTEST_CASE(goes_on_after_a_restart_and_mends_what_was_damaged),
           KTEST_CASE(a_pull_that_stalls_and_one_that_waits_for_it_are_broken_off),
           KTEST_CASE(takes_no_bytes_with_another_digest),
           KTEST_CASE(fetches_a_token_with_the_right_credentials),
           KTEST_CASE(asks_mirrors_first_and_the_registry_after_them),
           KTEST_CASE(says_what_went_wrong_as_people_know_it),
           KTEST_CASE(pulls_from_debians_registry),
           KTEST_CASE(pulls_from_debians_registry_with_a_password),
           KTEST_CASE(finds_the_credentials_of_a_registry), KTEST_CASE(reads_challenges))

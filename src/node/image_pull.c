// What an image is made of: manifest, configuration, layers; bringing them into the store.
#include "base/crypto.h"
#include "base/log.h"
#include "base/map.h"
#include "base/thread.h"
#include "codec/base64.h"
#include "node/image_pull_impl.h"

#define MANIFEST_MAX (4u << 20)
#define READ_TIMEOUT (60 * KN_SECOND) // without a single byte
#define BLOB_TIME (300 * KN_SECOND)   // that a blob may take, however small it is, and beyond it
#define RATE_LEAST 32768              // one second for so many bytes
#define FRUITLESS_MAX 5               // attempts in a row that bring no byte
#define RETRY_PAUSE (500 * KN_MILLI)
#define WORKERS 3     // threads of one pull, the caller among them
#define BLOBS_MAX 512 // of one image
#define ARENA (16u << 20)

#define MEDIA_OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define MEDIA_OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define MEDIA_DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"
#define MEDIA_DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
static const char accepted[] = MEDIA_OCI_INDEX ", " MEDIA_DOCKER_LIST ", " MEDIA_OCI_MANIFEST
                                               ", " MEDIA_DOCKER_MANIFEST ", */*";

struct kn_puller {
    struct kn_images *images;
    char *registries;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct kn_map busy; // digests that somebody downloads: one writer a blob
    int downloads, max_downloads;
};

struct kn_status kn_puller_new(const struct kn_puller_config *config, struct kn_puller **ret)
{
    struct kn_puller *p = KN_NEW(struct kn_puller);
    p->images = config->images;
    p->registries = config->registries ? kn_sv_dup(kn_sv_c(config->registries)) : NULL;
    p->max_downloads = config->max_downloads > 0 ? config->max_downloads : 6;
    pthread_mutex_init(&p->lock, NULL);
    kn_cond_init(&p->changed);
    kn_map_init(&p->busy);
    *ret = p;
    return KN_STATUS_OK;
}

void kn_puller_free(struct kn_puller *p)
{
    if (!p)
        return;
    kn_assert(p->busy.len == 0);
    kn_map_done(&p->busy);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->changed);
    free(p->registries);
    free(p);
}

// -- one blob ---------------------------------------------------------------------------------

struct blob {
    struct kn_sv digest;
    int64_t size; // as its descriptor says
};

// The write of one download, into which attempts bring what is missing.
struct download {
    struct registry *registry;
    const struct blob *blob;
    struct kn_blob *file;
    int64_t have, deadline;
};

static void abort_body(void *body)
{
    kn_http_abort(body);
}

static struct kn_status cancelled(void)
{
    return kn_error(KN_CANCELLED, "the pull was cancelled");
}

static struct kn_status receive(struct download *d, struct kn_body *body)
{
    char *chunk = kn_alloc(65536);
    struct kn_cancel_hook hook;
    struct kn_status s;
    size_t n = 0;
    kn_cancel_add(d->registry->cancel, &hook, abort_body, body);
    do {
        int64_t until = kn_mono() + READ_TIMEOUT;
        s = kn_mono() >= d->deadline
                ? kn_error(KN_TIMEOUT, "less than %d bytes a second came", RATE_LEAST)
                : kn_http_read(body, chunk, 65536, until < d->deadline ? until : d->deadline, &n);
        if (kn_ok(s) && d->have + (int64_t)n > d->blob->size)
            s = kn_error(KN_INVALID, "it is larger than the %lld bytes of its descriptor",
                         (long long)d->blob->size);
        if (kn_ok(s) && n)
            s = kn_blob_add(d->file, kn_sv(chunk, n));
        if (kn_ok(s))
            d->have += (int64_t)n;
    } while (kn_ok(s) && n);
    kn_cancel_remove(d->registry->cancel, &hook);
    free(chunk);
    if (kn_ok(s) && d->have < d->blob->size)
        s = kn_error(KN_CLOSED, "it ended after %lld of %lld bytes", (long long)d->have,
                     (long long)d->blob->size);
    return s;
}

static struct kn_status start_again(struct download *d)
{
    d->have = 0;
    return kn_blob_restart(d->file);
}

// Whether an answer goes on where we stopped (RFC 9110 section 14.4).
static bool goes_on(const struct kn_http_client_resp *head, int64_t have)
{
    char want[48];
    snprintf(want, sizeof want, "bytes %lld-", (long long)have);
    return head->status == 206 &&
           kn_sv_starts(kn_http_client_resp_get(head, "Content-Range"), kn_sv_c(want));
}

static struct kn_status attempt(struct download *d)
{
    KN_CLEANUP(kn_arena_cleanup) struct kn_arena *a = kn_arena_new(0, 1u << 20);
    struct kn_http_client_resp head = {0};
    struct kn_body *body = NULL;
    char what[128];
    snprintf(what, sizeof what, "blobs/%.*s", KN_SV_ARG(d->blob->digest));
    KN_TRY(kn_registry_get(d->registry, what, NULL, d->have, a, &head, &body));
    struct kn_status s = KN_STATUS_OK;
    if (head.status == 416 && d->have) {
        s = start_again(d); // what is here is of no use to this server
        if (kn_ok(s))
            s = kn_error(KN_CLOSED, "the registry does not go on at %lld bytes",
                         (long long)d->have);
    } else if (head.status == 200 || goes_on(&head, d->have)) {
        if (head.status == 200 && d->have)
            s = start_again(d);
        if (kn_ok(s))
            s = receive(d, body);
    } else {
        s = kn_registry_refusal(d->registry, what, &head, body);
    }
    kn_http_close(body);
    return s;
}

static bool may_pass(enum kn_code code)
{
    return code == KN_CLOSED || code == KN_TIMEOUT || code == KN_UNAVAILABLE ||
           code == KN_TOO_MANY || code == KN_IO;
}

static void wake_waiters(void *arg)
{
    struct kn_puller *p = arg;
    KN_LOCKED(&p->lock)
        pthread_cond_broadcast(&p->changed);
}

// False: it is cancelled.
static bool pause_for(struct kn_puller *p, struct kn_cancel *cancel, int64_t ns)
{
    struct kn_cancel_hook hook;
    int64_t deadline = kn_mono() + ns;
    bool in_time = true;
    kn_cancel_add(cancel, &hook, wake_waiters, p);
    KN_LOCKED(&p->lock)
        while (in_time && !kn_cancel_is(cancel))
            in_time = kn_cond_wait(&p->changed, &p->lock, deadline);
    kn_cancel_remove(cancel, &hook);
    return !kn_cancel_is(cancel);
}

// Attempts until it is whole. As long as bytes come, a connection may break as often as it likes.
static struct kn_status fill(struct kn_puller *p, struct download *d)
{
    d->deadline = kn_later(kn_mono() + BLOB_TIME, d->blob->size / RATE_LEAST);
    for (int fruitless = 0;;) {
        int64_t before = d->have;
        struct kn_status s = d->have == d->blob->size && d->have ? KN_STATUS_OK : attempt(d);
        if (kn_ok(s) || !may_pass(s.code) || kn_mono() >= d->deadline)
            return s;
        fruitless = d->have > before ? 0 : fruitless + 1;
        if (fruitless >= FRUITLESS_MAX)
            return s;
        kn_debug("blob %.*s: %s; going on at %lld bytes", KN_SV_ARG(d->blob->digest),
                 kn_status_text(&s), (long long)d->have);
        kn_status_done(&s);
        if (fruitless && !pause_for(p, d->registry->cancel, RETRY_PAUSE << (fruitless - 1)))
            return cancelled();
    }
}

// *ret_resumed: an earlier download had left something.
static struct kn_status download(struct kn_puller *p, struct registry *r, const struct blob *blob,
                                 bool *ret_resumed)
{
    struct download d = {.registry = r, .blob = blob};
    KN_TRY(kn_blob_resume(p->images, blob->digest, &d.file, &d.have));
    struct kn_status s = KN_STATUS_OK;
    *ret_resumed = d.have > 0;
    if (d.have > blob->size)
        s = start_again(&d);
    if (kn_ok(s))
        s = fill(p, &d);
    if (kn_ok(s))
        return kn_blob_commit(d.file, blob->digest, NULL, NULL, NULL);
    // what came is kept for the next time, unless the disk is full or it cannot be right
    kn_blob_free(d.file, s.code != KN_NO_SPACE && s.code != KN_INVALID);
    return s;
}

// Waits until nobody else writes the blob and there is room for one more download. False: it is
// here by now, or nobody wants it any more.
static bool claim(struct kn_puller *p, struct kn_cancel *cancel, const struct blob *blob)
{
    struct kn_cancel_hook hook;
    bool over = false;
    kn_cancel_add(cancel, &hook, wake_waiters, p);
    KN_LOCKED(&p->lock)
    {
        while (!(over = kn_images_has_blob(p->images, blob->digest) || kn_cancel_is(cancel)) &&
               (kn_map_get(&p->busy, blob->digest) || p->downloads >= p->max_downloads))
            kn_cond_wait(&p->changed, &p->lock, KN_FOREVER);
        if (!over) {
            kn_map_put(&p->busy, blob->digest, p);
            p->downloads++;
        }
    }
    kn_cancel_remove(cancel, &hook);
    return !over;
}

static struct kn_status bring(struct kn_puller *p, struct registry *r, const struct blob *blob)
{
    if (!claim(p, r->cancel, blob))
        return kn_cancel_is(r->cancel) ? cancelled() : KN_STATUS_OK;
    bool resumed = false;
    struct kn_status s = download(p, r, blob, &resumed);
    if (s.code == KN_INVALID &&
        resumed) { // what was left may have been damaged: once from the start
        kn_status_done(&s);
        s = download(p, r, blob, &resumed);
    }
    KN_LOCKED(&p->lock)
    {
        kn_map_take(&p->busy, blob->digest);
        p->downloads--;
        pthread_cond_broadcast(&p->changed);
    }
    return kn_wrap(s, "failed to copy: blob %.*s", KN_SV_ARG(blob->digest));
}

// -- all blobs --------------------------------------------------------------------------------

struct job {
    struct kn_puller *puller;
    struct registry *registry;
    const struct blob *blobs;
    size_t len;
    pthread_mutex_t lock; // of next and status
    size_t next;
    struct kn_status status; // the first failure
};

static void *work(void *arg)
{
    struct job *j = arg;
    for (;;) {
        const struct blob *blob = NULL;
        KN_LOCKED(&j->lock)
        {
            if (j->next < j->len && kn_ok(j->status))
                blob = &j->blobs[j->next++];
        }
        if (!blob)
            return NULL;
        struct kn_status s = bring(j->puller, j->registry, blob);
        KN_LOCKED(&j->lock)
        {
            if (kn_ok(j->status))
                j->status = s;
            else
                kn_status_done(&s);
        }
    }
}

static struct kn_status bring_all(struct kn_puller *p, struct registry *r, const struct blob *blobs,
                                  size_t len)
{
    struct job j = {.puller = p, .registry = r, .blobs = blobs, .len = len};
    pthread_t threads[WORKERS - 1];
    size_t n = 0;
    pthread_mutex_init(&j.lock, NULL);
    while (n < WORKERS - 1 && n + 1 < len) {
        struct kn_status s = kn_thread_start(&threads[n], "pull", 0, work, &j);
        bool started = kn_ok(s);
        kn_status_done(&s); // fewer threads do it too
        if (!started)
            break;
        n++;
    }
    work(&j);
    while (n)
        kn_thread_join(threads[--n]);
    pthread_mutex_destroy(&j.lock);
    return j.status;
}

// -- manifests --------------------------------------------------------------------------------

struct manifest {
    struct kn_sv bytes, digest;
    struct kn_json *root;
};

static struct kn_sv digest_of(struct kn_sv bytes, struct kn_arena *a)
{
    uint8_t sum[KN_SHA256_LEN];
    char hex[2 * KN_SHA256_LEN + 1];
    kn_sha256(bytes, sum);
    kn_hex(sum, sizeof sum, hex);
    return kn_arena_printf(a, "sha256:%s", hex);
}

static struct kn_status check_manifest(struct manifest *m, struct kn_sv expected,
                                       struct kn_arena *a)
{
    m->digest = digest_of(m->bytes, a);
    if (expected.len && !kn_sv_eq(expected, m->digest))
        return kn_error(KN_INVALID, "digest mismatch: expected %.*s, got %.*s", KN_SV_ARG(expected),
                        KN_SV_ARG(m->digest));
    KN_TRY(kn_wrap(kn_json_parse(a, m->bytes, NULL, &m->root), "the manifest"));
    return kn_json_is_object(m->root) ? KN_STATUS_OK
                                      : kn_error(KN_INVALID, "the manifest is no object");
}

// reference: a tag or a digest. expected: a digest that it must have, or empty.
static struct kn_status fetch_manifest(struct registry *r, struct kn_sv reference,
                                       struct kn_sv expected, struct kn_arena *a,
                                       struct manifest *ret)
{
    struct kn_http_client_resp head = {0};
    struct kn_body *body = NULL;
    struct kn_buf text = KN_BUF(MANIFEST_MAX + 1);
    char what[256];
    snprintf(what, sizeof what, "manifests/%.*s", KN_SV_ARG(reference));
    struct kn_status s = kn_registry_get(r, what, accepted, 0, a, &head, &body);
    if (kn_ok(s) && head.status != 200)
        s = kn_registry_refusal(r, what, &head, body);
    else if (kn_ok(s))
        s = kn_registry_read(r, body, MANIFEST_MAX, &text);
    kn_http_close(body);
    if (kn_ok(s)) {
        struct kn_sv said = kn_http_client_resp_get(&head, "Docker-Content-Digest");
        ret->bytes = kn_arena_dup(a, kn_buf_sv(&text));
        s = kn_arena_failed(a) ? kn_arena_error(a, "the manifest")
                               : check_manifest(ret, expected.len ? expected : said, a);
    }
    kn_buf_done(&text);
    return s;
}

static struct kn_status resolve(struct registry *r, const struct kn_image_ref *ref,
                                struct kn_arena *a, struct manifest *ret)
{
    struct kn_sv digest = ref->digest, chosen;
    KN_TRY(fetch_manifest(r, digest.len ? digest : ref->tag, digest, a, ret));
    for (int depth = 0; kn_json_is_array(kn_json_get(ret->root, KN_K_manifests)); depth++) {
        if (depth == 3)
            return kn_error(KN_INVALID, "indexes of indexes, more than three deep");
        KN_TRY(kn_image_choose_platform(ret->root, &chosen));
        if (!kn_digest_is_valid(chosen))
            return kn_error(KN_INVALID, "the index has a malformed digest");
        KN_TRY(fetch_manifest(r, chosen, chosen, a, ret));
    }
    if (!kn_json_is_array(kn_json_get(ret->root, KN_K_layers)))
        return kn_error(
            KN_NOT_SUPPORTED,
            "the manifest is of a kind that is not supported "
            "(schemaVersion %lld, mediaType \"%.*s\")",
            (long long)kn_json_int(kn_json_get_sv(ret->root, KN_SV("schemaVersion")), 0),
            KN_SV_ARG(kn_json_str(kn_json_get(ret->root, KN_K_mediaType))));
    return KN_STATUS_OK;
}

// -- an image ---------------------------------------------------------------------------------

static struct kn_status add_blob(const struct kn_json *descriptor, struct blob *list, size_t *len)
{
    struct blob b = {kn_json_str(kn_json_get(descriptor, KN_K_digest)),
                     kn_json_int(kn_json_get(descriptor, KN_K_size), -1)};
    if (!kn_digest_is_valid(b.digest) || b.size < 0)
        return kn_error(KN_INVALID, "the manifest has a malformed descriptor (digest \"%.*s\")",
                        KN_SV_ARG(b.digest));
    for (size_t i = 0; i < *len; i++)
        if (kn_sv_eq(list[i].digest, b.digest))
            return KN_STATUS_OK;
    if (*len == BLOBS_MAX)
        return kn_error(KN_NOT_SUPPORTED, "the image has more than %d layers", BLOBS_MAX);
    list[(*len)++] = b;
    return KN_STATUS_OK;
}

static struct kn_status bring_image(struct kn_puller *p, struct registry *r,
                                    const struct manifest *m, struct kn_sv name, struct kn_arena *a)
{
    const struct kn_json *config = kn_json_get(m->root, KN_K_config), *layer;
    struct blob *blobs = kn_arena_calloc(a, BLOBS_MAX, sizeof *blobs);
    size_t len = 0;
    if (!blobs)
        return kn_arena_error(a, "the manifest");
    KN_TRY(add_blob(config, blobs, &len));
    if (blobs[0].size > MANIFEST_MAX)
        return kn_error(KN_TOO_LARGE, "the configuration of the image has %lld bytes",
                        (long long)blobs[0].size);
    KN_JSON_EACH(layer, kn_json_get(m->root, KN_K_layers))
    {
        KN_TRY(add_blob(layer, blobs, &len));
    }
    KN_TRY(bring_all(p, r, blobs, len));
    KN_TRY(kn_images_write_blob(p->images, m->bytes, a, NULL));
    return kn_images_name(p->images, name, m->digest, false);
}

static struct kn_status pull_from(struct kn_puller *p, const struct endpoints *e, size_t index,
                                  const struct kn_image_ref *ref,
                                  const struct kn_pull_secret *secrets, size_t secrets_len,
                                  struct kn_cancel *cancel)
{
    KN_CLEANUP(kn_arena_cleanup) struct kn_arena *a = kn_arena_new(0, ARENA);
    struct registry r;
    struct manifest m = {0};
    KN_TRY(kn_registry_open(e, index, ref, secrets, secrets_len, cancel, a, &r));
    struct kn_status s = kn_wrap(resolve(&r, ref, a, &m), "failed to resolve reference \"%.*s\"",
                                 KN_SV_ARG(ref->name));
    if (kn_ok(s)) {
        kn_images_hold(p->images); // what comes in has no name yet
        s = bring_image(p, &r, &m, ref->name, a);
        kn_images_unhold(p->images);
    }
    kn_registry_close(&r);
    return s;
}

struct kn_status kn_pull(struct kn_puller *p, struct kn_sv image,
                         const struct kn_pull_secret *secrets, size_t secrets_len,
                         struct kn_cancel *cancel)
{
    KN_CLEANUP(kn_arena_cleanup) struct kn_arena *a = kn_arena_new(0, ARENA);
    struct kn_image_ref ref;
    struct endpoints e;
    KN_TRY(kn_image_ref_parse(image, a, &ref));
    struct kn_status s = kn_endpoints_find(p->registries, &ref, a, &e);
    for (size_t i = 0; i < e.len && (i == 0 || !kn_ok(s)) && !kn_cancel_is(cancel); i++) {
        if (!kn_ok(s))
            kn_info("pull %.*s: %s: the next endpoint is asked", KN_SV_ARG(ref.name),
                    kn_status_text(&s));
        kn_status_done(&s);
        s = pull_from(p, &e, i, &ref, secrets, secrets_len, cancel);
    }
    return kn_wrap(s, "failed to pull and unpack image \"%.*s\"", KN_SV_ARG(ref.name));
}

// -- for a pod --------------------------------------------------------------------------------

#define SECRETS_MAX 16

static struct kn_status read_secret(const struct kn_obj *secret, struct kn_arena *a,
                                    struct kn_pull_secret *ret)
{
    struct kn_sv type = kn_json_str(kn_json_get(secret->root, KN_K_type));
    const struct kn_json *data = kn_json_get(secret->root, KN_K_data);
    ret->legacy = kn_sv_is(type, "kubernetes.io/dockercfg");
    if (!ret->legacy && !kn_sv_is(type, "kubernetes.io/dockerconfigjson"))
        return kn_error(KN_INVALID, "its type is \"%.*s\"", KN_SV_ARG(type));
    struct kn_sv key = ret->legacy ? KN_SV(".dockercfg") : KN_SV(".dockerconfigjson");
    struct kn_buf text = KN_BUF(2u << 20);
    struct kn_status s =
        kn_base64_decode(&text, kn_json_str(kn_json_get_sv(data, key)), KN_BASE64_STD);
    ret->json = kn_arena_dup(a, kn_buf_sv(&text));
    if (text.ptr)
        kn_wipe(text.ptr, text.len);
    kn_buf_done(&text);
    return s;
}

struct kn_status kn_pull_for_pod(struct kn_puller *p, const struct kn_node_api *api,
                                 const struct kn_obj *pod, struct kn_sv image,
                                 struct kn_cancel *cancel)
{
    KN_CLEANUP(kn_arena_cleanup) struct kn_arena *a = kn_arena_new(0, ARENA);
    struct kn_pull_secret secrets[SECRETS_MAX];
    size_t len = 0;
    const struct kn_json *ref;
    KN_JSON_EACH(ref, KN_JSON_AT(pod->root, KN_K_spec, KN_K_imagePullSecrets))
    {
        KN_CLEANUP(kn_obj_cleanup) const struct kn_obj *secret = NULL;
        struct kn_sv name = kn_json_str(kn_json_get(ref, KN_K_name));
        if (!name.len || len == SECRETS_MAX)
            continue;
        struct kn_status s = api->get(api->arg, KN_NODE_SECRET, pod->ns, name, &secret);
        if (kn_ok(s))
            s = read_secret(secret, a, &secrets[len]);
        if (kn_ok(s)) {
            len++;
            continue;
        }
        char text[512];
        snprintf(text, sizeof text,
                 "Unable to retrieve some image pull secrets (%.*s); attempting to pull the image "
                 "may not "
                 "succeed.",
                 KN_SV_ARG(kn_sv_first(name, 253)));
        kn_info("pull secret %.*s/%.*s: %s", KN_SV_ARG(pod->ns), KN_SV_ARG(name),
                kn_status_text(&s));
        api->event(api->arg, pod, KN_SV_NULL, "Warning", "FailedToRetrieveImagePullSecret", text);
        kn_status_done(&s);
    }
    return kn_pull(p, image, secrets, len, cancel);
}

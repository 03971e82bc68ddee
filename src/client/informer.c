// Caches that follow a server: list, watch, and begin again where the watch broke off.
#include "client/remote_impl.h"

#include "base/crypto.h"
#include "base/log.h"

#define BACKOFF_FIRST (50 * KN_MILLI)
#define BACKOFF_MAX (30 * KN_SECOND)
#define WATCH_SECONDS 300 // of one watch, and up to twice that
// A server sends a bookmark about once a minute: a connection that is silent for longer is dead.
#define SILENCE (150 * KN_SECOND)
#define LINE_MAX_BYTES ((size_t)64 << 20)

struct informer {
    struct kn_list link;
    struct remote *client;
    const struct kn_resource *resource;
    char *ns, *labels, *fields;
    struct kn_list_options options; // views of the texts above
    struct kn_cache *cache;
    pthread_t thread;
    // under the client's lock
    bool filled;
    struct kn_body *body;     // of the watch under way
    struct kn_status problem; // why it is not filled yet
    // Held around a change of the cache together with the look at what is there: by the thread, and
    // by those who write through this client. Above the cache's own locks.
    pthread_mutex_t write;
    int64_t rev; // under `write`: to watch from; 0: list first
    int64_t backoff; // of the thread
};

static bool closing(struct informer *f)
{
    bool c;
    pthread_mutex_lock(&f->client->lock);
    c = f->client->closing;
    pthread_mutex_unlock(&f->client->lock);
    return c;
}

static struct kn_status relist(struct informer *f)
{
    struct kn_obj_list list;
    KN_TRY(kn_remote_list(&f->client->base, f->resource, &f->options, &list));
    KN_LOCKED(&f->write)
    {
        kn_cache_replace(f->cache, list.items, list.len, list.rev);
        f->rev = list.rev;
    }
    kn_obj_list_done(&list);
    KN_LOCKED(&f->client->lock)
    {
        f->filled = true;
        pthread_cond_broadcast(&f->client->changed);
    }
    return KN_STATUS_OK;
}

// -- events ---------------------------------------------------------------------------------------

// Whether the cache has this object as it is here, or as it became later.
static bool knows(struct informer *f, const struct kn_obj *o)
{
    const struct kn_obj *there = kn_cache_get(f->cache, o->ns, o->name);
    bool known = there && there->rev >= o->rev;
    kn_obj_unref(there);
    return known;
}

static struct kn_status apply(struct informer *f, const char *type, const struct kn_obj *o)
{
    if (strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0) {
        if (!knows(f, o)) // otherwise it was written through this client
            kn_cache_put(f->cache, o);
    } else if (strcmp(type, "DELETED") == 0) {
        if (!knows(f, o)) // otherwise it was made anew meanwhile
            kn_cache_remove(f->cache, o);
    } else if (strcmp(type, "BOOKMARK") == 0) {
        kn_cache_set_rev(f->cache, o->rev);
    } else {
        return kn_error(KN_INTERNAL, "a watch event of the unknown type \"%s\"", type);
    }
    if (o->rev > f->rev)
        f->rev = o->rev;
    return KN_STATUS_OK;
}

static bool concerns(const struct informer *f, const struct kn_resource *r, const struct kn_obj *o)
{
    return f->resource == r && (f->options.ns.ptr == NULL || kn_sv_eq(f->options.ns, o->ns));
}

// What the watch has passed already is as the watch said. What it has not is newer than anything
// that the cache has. An object of another uid in its place is left to the watch, which tells of
// the end of the first; with a selector, only objects that are there are taken to match still.
static void take_own_write(struct informer *f, const struct kn_obj *o)
{
    if (o->rev <= f->rev || f->rev == 0)
        return;
    bool selects = f->options.label_selector.len || f->options.field_selector.len;
    const struct kn_obj *there = kn_cache_get(f->cache, o->ns, o->name);
    if (there ? kn_sv_eq(there->uid, o->uid) && there->rev < o->rev : !selects)
        kn_cache_put(f->cache, o);
    kn_obj_unref(there);
}

#define INFORMERS_OF_ONE 16

void kn_informers_wrote(struct remote *c, const struct kn_resource *r, const struct kn_obj *o)
{
    struct informer *f, *found[INFORMERS_OF_ONE];
    size_t n = 0;
    if (!kn_sv_eq(o->kind, r->kind) || o->rev == 0 || o->deleting)
        return; // the answer of a subresource; or of a write that may have been the object's last
    KN_LOCKED(&c->lock)
    {
        KN_LIST_EACH(&c->informers, f, struct informer, link)
        if (n < INFORMERS_OF_ONE && concerns(f, r, o))
            found[n++] = f; // they live as long as the client
    }
    for (size_t i = 0; i < n; i++) {
        KN_LOCKED(&found[i]->write)
        take_own_write(found[i], o);
    }
}

static struct kn_status on_line(struct informer *f, struct kn_sv line)
{
    char type[16] = "";
    const struct kn_obj *o KN_CLEANUP(kn_obj_cleanup) = NULL;
    struct kn_buf error = KN_BUF(1 << 20);
    struct kn_status s = kn_watch_event_parse(line, type, &error, &o);
    if (kn_ok(s) && error.len) {
        struct kn_arena *a = kn_arena_new(4096, 4 << 20);
        s = kn_remote_error(a, 500, kn_buf_sv(&error));
        kn_arena_free(a);
    }
    kn_buf_done(&error);
    KN_TRY(s);
    KN_LOCKED(&f->write)
    s = apply(f, type, o);
    KN_TRY(s);
    f->backoff = 0;
    return KN_STATUS_OK;
}

// -- one watch ------------------------------------------------------------------------------------

static bool set_body(struct informer *f, struct kn_body *body)
{
    bool open;
    pthread_mutex_lock(&f->client->lock);
    f->body = body;
    open = !f->client->closing;
    pthread_mutex_unlock(&f->client->lock);
    return open;
}

static struct kn_status read_lines(struct informer *f, struct kn_body *body, struct kn_buf *text)
{
    for (;;) {
        if (!kn_buf_room(text, 16 << 10))
            return kn_buf_status(text, "a watch event");
        size_t n;
        KN_TRY(kn_http_read(body, text->ptr + text->len, 16 << 10, kn_mono() + SILENCE, &n));
        if (n == 0)
            return KN_STATUS_OK;
        size_t from = text->len, begin = 0; // only what is new can end a line
        text->len += n;
        text->ptr[text->len] = '\0';
        for (char *end; (end = memchr(text->ptr + from, '\n', text->len - from));) {
            size_t at = (size_t)(end - text->ptr);
            struct kn_sv line = kn_sv_trim(kn_sv(text->ptr + begin, at - begin));
            if (line.len)
                KN_TRY(on_line(f, line));
            begin = from = at + 1;
        }
        kn_buf_drop(text, begin);
        if (text->len == 0 && text->cap > (64 << 10))
            kn_buf_done(text); // one large object should not cost memory for ever
    }
}

static struct kn_status read_error(struct kn_body *body, int http)
{
    char bytes[4096];
    size_t len = 0, n = 1;
    int64_t deadline = kn_mono() + 5 * KN_SECOND;
    while (n && len < sizeof bytes) {
        struct kn_status s = kn_http_read(body, bytes + len, sizeof bytes - len, deadline, &n);
        bool ok = kn_ok(s);
        kn_status_done(&s);
        if (!ok)
            break;
        len += n;
    }
    struct kn_arena *a = kn_arena_new(4096, 1 << 20);
    struct kn_status s = kn_remote_error(a, http, kn_sv(bytes, len));
    kn_arena_free(a);
    return s;
}

static struct kn_status watch(struct informer *f)
{
    uint32_t random;
    kn_random(&random, sizeof random);
    struct kn_buf path = KN_BUF(64 << 10), text = KN_BUF(LINE_MAX_BYTES);
    kn_remote_path(&path, f->resource, f->options.ns, KN_SV_NULL, NULL);
    kn_buf_addf(&path, "?watch=1&allowWatchBookmarks=true&resourceVersion=%lld&timeoutSeconds=%u",
                (long long)f->rev, WATCH_SECONDS + random % WATCH_SECONDS);
    kn_remote_selectors(&path, &f->options);
    struct kn_arena *a = kn_arena_new(4096, 1 << 20);
    struct kn_http_header accept = {KN_SV("Accept"), KN_SV("application/json")};
    struct kn_http_client_req req = {.method = "GET",
                                     .url = kn_buf_sv(&path),
                                     .headers = &accept,
                                     .headers_len = 1,
                                     .deadline = kn_mono() + f->client->timeout};
    struct kn_http_client_resp head;
    struct kn_body *body = NULL;
    struct kn_status s = kn_http_open(f->client->http, &req, a, &head, &body);
    if (kn_ok(s) && set_body(f, body)) {
        s = head.status == 200 ? read_lines(f, body, &text) : read_error(body, head.status);
    }
    set_body(f, NULL);
    kn_http_close(body);
    kn_arena_free(a);
    kn_buf_done(&path);
    kn_buf_done(&text);
    return s;
}

// -- the thread -----------------------------------------------------------------------------------

static bool wait_backoff(struct informer *f)
{
    uint32_t random;
    kn_random(&random, sizeof random);
    f->backoff = f->backoff == 0 ? BACKOFF_FIRST : f->backoff * 2;
    if (f->backoff > BACKOFF_MAX)
        f->backoff = BACKOFF_MAX;
    int64_t until = kn_mono() + f->backoff / 2 + (int64_t)random % (f->backoff / 2);
    bool open;
    pthread_mutex_lock(&f->client->lock);
    while (!f->client->closing && kn_cond_wait(&f->client->changed, &f->client->lock, until))
        ;
    open = !f->client->closing;
    pthread_mutex_unlock(&f->client->lock);
    return open;
}

static void *run(void *arg)
{
    struct informer *f = arg;
    while (!closing(f)) {
        struct kn_status s = f->rev ? KN_STATUS_OK : relist(f);
        int64_t begun = kn_mono();
        if (kn_ok(s))
            s = watch(f);
        if (kn_ok(s) && kn_mono() - begun > KN_SECOND)
            continue; // the watch ended as agreed
        if (s.code == KN_GONE || s.code == KN_EXPIRED)
            f->rev = 0; // what we have is too old to go on from
        bool again = s.code == KN_GONE || s.code == KN_EXPIRED || s.code == KN_TIMEOUT;
        if (closing(f))
            kn_status_done(&s);
        KN_LOCKED(&f->client->lock)
        {
            kn_status_done(&f->problem);
            f->problem = kn_status_copy(&s);
        }
        kn_log_status(again ? KN_LOG_DEBUG : KN_LOG_WARN, s, "watch %.*s",
                      KN_SV_ARG(f->resource->plural));
        if (!wait_backoff(f))
            break;
    }
    return NULL;
}

static void informer_free(struct informer *f)
{
    kn_cache_free(f->cache);
    pthread_mutex_destroy(&f->write);
    kn_status_done(&f->problem);
    free(f->ns);
    free(f->labels);
    free(f->fields);
    free(f);
}

void kn_informers_stop(struct remote *c)
{
    struct informer *f;
    KN_LOCKED(&c->lock)
    KN_LIST_EACH(&c->informers, f, struct informer, link)
    if (f->body)
        kn_http_abort(f->body);
    while ((f = KN_LIST_FIRST(&c->informers, struct informer, link))) {
        kn_list_remove(&f->link);
        kn_thread_join(f->thread);
        informer_free(f);
    }
}

static struct informer *find(struct remote *c, const struct kn_resource *r,
                             const struct kn_list_options *o)
{
    struct informer *f;
    KN_LIST_EACH(&c->informers, f, struct informer, link)
    if (f->resource == r && kn_sv_eq(f->options.ns, o->ns) &&
        kn_sv_eq(f->options.label_selector, o->label_selector) &&
        kn_sv_eq(f->options.field_selector, o->field_selector))
        return f;
    return NULL;
}

static struct kn_status start(struct remote *c, const struct kn_resource *r,
                              const struct kn_list_options *o, struct informer **ret)
{
    struct informer *f = KN_NEW(struct informer);
    f->client = c;
    f->resource = r;
    f->ns = kn_sv_dup(o->ns);
    f->labels = kn_sv_dup(o->label_selector);
    f->fields = kn_sv_dup(o->field_selector);
    f->options = (struct kn_list_options){.ns = o->ns.ptr ? kn_sv_c(f->ns) : KN_SV_NULL,
                                          .label_selector = kn_sv_c(f->labels),
                                          .field_selector = kn_sv_c(f->fields)};
    f->cache = kn_cache_new();
    pthread_mutex_init(&f->write, NULL);
    char name[16];
    snprintf(name, sizeof name, "watch-%.*s", KN_SV_ARG(kn_sv_first(r->plural, 9)));
    struct kn_status s = kn_thread_start(&f->thread, name, 0, run, f);
    if (!kn_ok(s)) {
        informer_free(f);
        return s;
    }
    kn_list_append(&c->informers, &f->link);
    *ret = f;
    return KN_STATUS_OK;
}

struct kn_status kn_remote_cache(struct kn_client *client, const struct kn_resource *r,
                                 const struct kn_list_options *o, int64_t deadline,
                                 struct kn_cache **ret)
{
    struct remote *c = (struct remote *)client;
    static const struct kn_list_options all = {0};
    if (!o)
        o = &all;
    pthread_mutex_lock(&c->lock);
    struct informer *f = find(c, r, o);
    struct kn_status s = f ? KN_STATUS_OK : start(c, r, o, &f);
    while (kn_ok(s) && !f->filled)
        if (c->closing)
            s = kn_error(KN_CLOSED, "the client is closed");
        else if (!kn_cond_wait(&c->changed, &c->lock, deadline))
            s = kn_error(KN_TIMEOUT, "%.*s were not listed in time%s%s", KN_SV_ARG(r->plural),
                         kn_ok(f->problem) ? "" : ": ", kn_status_text(&f->problem));
    pthread_mutex_unlock(&c->lock);
    if (kn_ok(s))
        *ret = f->cache;
    return s;
}

#include "client/events.h"

#include <stdatomic.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/map.h"
#include "base/thread.h"

#define QUEUE_MAX 1000 // events that wait; beyond it they are dropped
#define SERIES_MAX 4096
#define SOURCES_MAX 4096
#define BURST 25
#define REFILL (300 * KN_SECOND)
#define MESSAGE_MAX 1024

struct pending {
    struct kn_list link;
    struct kn_time when;
    struct kn_sv key; // what makes two events the same; lies in the arena like all views here
    struct kn_sv about; // the object alone: what is limited
    struct kn_sv kind, api_version, ns, name, uid, field_path, rev, type, reason, message;
    struct kn_arena *arena;
};

// An event that was written, and may be counted up. Of the recorder's thread.
struct series {
    struct kn_list lru;
    char *key;
    char *ns, *name;
    int64_t count;
    struct kn_time first;
};

// What one object may still cause. Of the recorder's thread.
struct source {
    struct kn_list lru;
    char *key;
    double tokens;
    int64_t filled; // kn_mono
};

struct kn_recorder {
    struct kn_client *client;
    const struct kn_resource *events;
    char *component, *host;
    struct kn_queue queue;
    pthread_t thread;
    _Atomic uint64_t dropped;
    struct kn_map series, sources; // by key
    struct kn_list series_lru, sources_lru; // oldest first
};

// -- limits ---------------------------------------------------------------------------------------

static void series_free(struct kn_recorder *r, struct series *s)
{
    kn_map_take(&r->series, kn_sv_c(s->key));
    kn_list_remove(&s->lru);
    free(s->key);
    free(s->ns);
    free(s->name);
    free(s);
}

static void source_free(struct kn_recorder *r, struct source *s)
{
    kn_map_take(&r->sources, kn_sv_c(s->key));
    kn_list_remove(&s->lru);
    free(s->key);
    free(s);
}

// Takes a token of the object's bucket.
static bool allowed(struct kn_recorder *r, struct kn_sv about)
{
    int64_t now = kn_mono();
    struct source *s = kn_map_get(&r->sources, about);
    if (!s) {
        if (r->sources.len >= SOURCES_MAX)
            source_free(r, KN_LIST_FIRST(&r->sources_lru, struct source, lru));
        s = KN_NEW(struct source);
        s->key = kn_sv_dup(about);
        s->tokens = BURST;
        s->filled = now;
        kn_list_init(&s->lru);
        kn_map_put(&r->sources, kn_sv(s->key, about.len), s);
    }
    kn_list_remove(&s->lru);
    kn_list_append(&r->sources_lru, &s->lru);
    s->tokens += (double)(now - s->filled) / (double)REFILL;
    s->filled = now;
    if (s->tokens > BURST)
        s->tokens = BURST;
    if (s->tokens < 1)
        return false;
    s->tokens -= 1;
    return true;
}

// -- writing --------------------------------------------------------------------------------------

static struct kn_sv time_text(struct kn_arena *a, struct kn_time t)
{
    char text[KN_TIME_TEXT];
    kn_time_format(t, KN_TIME_SECONDS, text);
    return kn_arena_dup(a, kn_sv_c(text));
}

static void set_if(struct kn_arena *a, struct kn_json *o, enum kn_atom key, struct kn_sv text)
{
    if (text.len)
        kn_json_set_str(a, o, key, text);
}

static struct kn_json *body_of(const struct kn_recorder *r, const struct pending *p,
                               struct kn_sv ns)
{
    struct kn_arena *a = p->arena;
    struct kn_json *o = kn_json_new_object(a);
    kn_json_set_str(a, o, KN_K_kind, KN_SV("Event"));
    kn_json_set_str(a, o, KN_K_apiVersion, KN_SV("v1"));
    struct kn_json *m = kn_json_ensure_object(a, o, KN_K_metadata);
    kn_json_set_str(a, m, KN_K_name,
                    kn_arena_printf(a, "%.*s.%llx", (int)(p->name.len < 220 ? p->name.len : 220),
                                    p->name.ptr ? p->name.ptr : "",
                                    (unsigned long long)p->when.ns));
    kn_json_set_str(a, m, KN_K_namespace, ns);
    struct kn_json *i = kn_json_ensure_object(a, o, KN_K_involvedObject);
    set_if(a, i, KN_K_kind, p->kind);
    set_if(a, i, KN_K_namespace, p->ns);
    set_if(a, i, KN_K_name, p->name);
    set_if(a, i, KN_K_uid, p->uid);
    set_if(a, i, KN_K_apiVersion, p->api_version);
    set_if(a, i, KN_K_resourceVersion, p->rev);
    set_if(a, i, KN_K_fieldPath, p->field_path);
    kn_json_set_str(a, o, KN_K_reason, p->reason);
    kn_json_set_str(a, o, KN_K_message, p->message);
    struct kn_json *source = kn_json_ensure_object(a, o, KN_K_source);
    set_if(a, source, KN_K_component, kn_sv_c(r->component));
    set_if(a, source, KN_K_host, kn_sv_c(r->host));
    struct kn_sv when = time_text(a, p->when);
    kn_json_set_str(a, o, KN_K_firstTimestamp, when);
    kn_json_set_str(a, o, KN_K_lastTimestamp, when);
    kn_json_set_int(a, o, KN_K_count, 1);
    kn_json_set_str(a, o, KN_K_type, p->type);
    kn_json_set_str(a, o, KN_K_reportingComponent, kn_sv_c(r->component));
    set_if(a, o, KN_K_reportingInstance, kn_sv_c(r->host));
    return o;
}

static struct kn_status write_first(struct kn_recorder *r, const struct pending *p)
{
    struct kn_sv ns = p->ns.len ? p->ns : KN_SV("default");
    const struct kn_obj *written = NULL;
    KN_TRY(
        kn_client_create(r->client, r->events, ns, KN_SV_NULL, NULL, body_of(r, p, ns), &written));
    if (r->series.len >= SERIES_MAX)
        series_free(r, KN_LIST_FIRST(&r->series_lru, struct series, lru));
    struct series *s = KN_NEW(struct series);
    *s = (struct series){.key = kn_sv_dup(p->key),
                         .ns = kn_sv_dup(ns),
                         .name = kn_sv_dup(written->name),
                         .count = 1,
                         .first = p->when};
    kn_obj_unref(written);
    kn_map_put(&r->series, kn_sv(s->key, p->key.len), s);
    kn_list_append(&r->series_lru, &s->lru);
    return KN_STATUS_OK;
}

static struct kn_status write_again(struct kn_recorder *r, const struct pending *p,
                                    struct series *s)
{
    struct kn_sv patch =
        kn_arena_printf(p->arena, "{\"count\":%lld,\"lastTimestamp\":\"%.*s\"}",
                        (long long)s->count + 1, KN_SV_ARG(time_text(p->arena, p->when)));
    KN_TRY(kn_client_patch(r->client, r->events, kn_sv_c(s->ns), kn_sv_c(s->name), NULL,
                           KN_PATCH_MERGE, patch, NULL));
    s->count++;
    kn_list_remove(&s->lru);
    kn_list_append(&r->series_lru, &s->lru);
    return KN_STATUS_OK;
}

static void write_event(struct kn_recorder *r, const struct pending *p)
{
    if (!allowed(r, p->about))
        return;
    struct series *s = kn_map_get(&r->series, p->key);
    struct kn_status st = KN_STATUS_OK;
    if (s) {
        st = write_again(r, p, s);
        if (st.code == KN_NOT_FOUND) { // it was deleted since: begin anew
            kn_status_done(&st);
            series_free(r, s);
            s = NULL;
        }
    }
    if (!s)
        st = write_first(r, p);
    // an object whose namespace is being deleted takes no events any more
    bool quiet = st.code == KN_NOT_FOUND || st.code == KN_FORBIDDEN;
    kn_log_status(quiet ? KN_LOG_DEBUG : KN_LOG_WARN, st, "event %.*s about %.*s %.*s",
                  KN_SV_ARG(p->reason), KN_SV_ARG(p->kind), KN_SV_ARG(p->name));
}

static void *run(void *arg)
{
    struct kn_recorder *r = arg;
    for (struct kn_list *l; (l = kn_queue_take(&r->queue, KN_FOREVER));) {
        struct pending *p = KN_CONTAINER_OF(l, struct pending, link);
        write_event(r, p);
        kn_arena_free(p->arena);
        uint64_t dropped = atomic_exchange(&r->dropped, 0);
        if (dropped)
            kn_warn("%s: %llu events were dropped: the API server does not keep up", r->component,
                    (unsigned long long)dropped);
    }
    return NULL;
}

// -- the contract ---------------------------------------------------------------------------------

struct kn_status kn_recorder_start(struct kn_client *client, const char *component,
                                   struct kn_sv host, struct kn_recorder **ret)
{
    struct kn_recorder *r = KN_NEW(struct kn_recorder);
    r->client = client;
    r->events = kn_resource_find(KN_SV(""), KN_SV("v1"), KN_SV("events"));
    r->component = kn_sv_dup(kn_sv_c(component));
    r->host = kn_sv_dup(host);
    kn_queue_init(&r->queue);
    kn_map_init(&r->series);
    kn_map_init(&r->sources);
    kn_list_init(&r->series_lru);
    kn_list_init(&r->sources_lru);
    struct kn_status s = kn_thread_start(&r->thread, "events", 0, run, r);
    if (!kn_ok(s)) {
        free(r->component);
        free(r->host);
        free(r);
        return s;
    }
    *ret = r;
    return KN_STATUS_OK;
}

void kn_recorder_stop(struct kn_recorder *r)
{
    if (!r)
        return;
    kn_queue_close(&r->queue);
    kn_thread_join(r->thread);
    for (struct series *s; (s = KN_LIST_FIRST(&r->series_lru, struct series, lru));)
        series_free(r, s);
    for (struct source *s; (s = KN_LIST_FIRST(&r->sources_lru, struct source, lru));)
        source_free(r, s);
    kn_map_done(&r->series);
    kn_map_done(&r->sources);
    kn_queue_done(&r->queue);
    free(r->component);
    free(r->host);
    free(r);
}

static void __attribute__((format(printf, 6, 0)))
record(struct kn_recorder *r, const struct kn_obj *about, struct kn_sv field_path, const char *type,
       const char *reason, const char *format, va_list args)
{
    if (r->queue.len >= QUEUE_MAX) { // read without its lock: a bound, not a promise
        r->dropped++;
        return;
    }
    struct kn_buf message = KN_BUF(MESSAGE_MAX * 16);
    kn_buf_vaddf(&message, format, args);
    size_t len = message.len;
    if (len > MESSAGE_MAX) // cut before a whole character
        for (len = MESSAGE_MAX; len > 0 && (message.ptr[len] & 0xC0) == 0x80;)
            len--;
    struct kn_arena *a = kn_arena_new(2048, 64u << 10);
    struct pending *p = KN_ARENA_NEW(a, struct pending);
    *p = (struct pending){
        .when = kn_now(),
        .arena = a,
        .kind = kn_arena_dup(a, about->kind),
        .api_version = kn_arena_dup(a, about->api_version),
        .ns = kn_arena_dup(a, about->ns),
        .name = kn_arena_dup(a, about->name),
        .uid = kn_arena_dup(a, about->uid),
        .field_path = kn_arena_dup(a, field_path),
        .rev = kn_arena_printf(a, "%lld", (long long)about->rev),
        .type = kn_arena_dup(a, kn_sv_c(type)),
        .reason = kn_arena_dup(a, kn_sv_c(reason)),
        .message = kn_arena_dup(a, kn_sv_first(kn_buf_sv(&message), len)),
    };
    kn_buf_done(&message);
    p->about = kn_arena_printf(a, "%.*s/%.*s/%.*s/%.*s", KN_SV_ARG(p->kind), KN_SV_ARG(p->ns),
                               KN_SV_ARG(p->name), KN_SV_ARG(p->uid));
    p->key = kn_arena_printf(a, "%.*s\n%.*s\n%.*s\n%.*s\n%.*s", KN_SV_ARG(p->about),
                             KN_SV_ARG(p->field_path), KN_SV_ARG(p->type), KN_SV_ARG(p->reason),
                             KN_SV_ARG(p->message));
    if (kn_arena_failed(a) || !kn_queue_put(&r->queue, &p->link))
        kn_arena_free(a);
}

void kn_event(struct kn_recorder *r, const struct kn_obj *about, const char *type,
              const char *reason, const char *message, ...)
{
    va_list args;
    va_start(args, message);
    record(r, about, KN_SV_NULL, type, reason, message, args);
    va_end(args);
}

void kn_event_at(struct kn_recorder *r, const struct kn_obj *about, struct kn_sv field_path,
                 const char *type, const char *reason, const char *message, ...)
{
    va_list args;
    va_start(args, message);
    record(r, about, field_path, type, reason, message, args);
    va_end(args);
}

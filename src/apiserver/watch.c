// Watches: each lives in the loop thread of its connection, remembers the revision it has told, and
// is woken when its resource has changed. Events come from the ring, or from the store's history
// when the watcher is older than the ring; a slow reader is simply told later.
#include "apiserver/internal.h"
#include "base/num.h"
#include "meta/print.h"
#include "meta/proto.h"

#define PENDING_MAX (1u << 20) // bytes that wait for a slow client before we stop reading events
#define BOOKMARK_EVERY (60 * KN_SECOND)
#define DEFAULT_TIMEOUT (1800 * KN_SECOND)

struct kn_watcher {
    struct kn_list link; // in rest->watchers[thread]
    struct kn_request r; // its arena is the HTTP request's: lives as long as the watch
    struct kn_selector *labels, *fields;
    int64_t rev; // told up to here
    struct kn_timer end, bookmark;
    bool blocked; // too much is pending
    bool headers; // a table's columns have been sent
    bool initial_mark; // the bookmark that ends the initial events is still to come
    int thread;
};

static void end_watch(struct kn_watcher *w)
{
    struct kn_loop *loop = kn_http_loop(w->r.http);
    kn_timer_cancel(loop, &w->end);
    kn_timer_cancel(loop, &w->bookmark);
    kn_list_remove(&w->link);
    kn_rest_count_watcher(w->r.rest, w->thread, -1);
}

// -- one event -----------------------------------------------------------------------------------

static void release_obj(void *o)
{
    kn_obj_unref(o);
}

static void send_frame(struct kn_watcher *w, const char *type, struct kn_buf *object)
{
    struct kn_buf frame = KN_BUF(object->len + 256);
    if (w->r.media == KN_MEDIA_PROTOBUF) {
        KN_IGNORE(kn_proto_watch_frame(&frame, kn_sv_c(type), kn_buf_sv(object)));
    } else {
        kn_buf_addf(&frame, "{\"type\":\"%s\",\"object\":", type);
        kn_buf_add(&frame, kn_buf_sv(object));
        kn_buf_addc(&frame, "}\n");
    }
    kn_http_stream_copy(w->r.http, kn_buf_sv(&frame));
    kn_buf_done(&frame);
}

static void send_tree(struct kn_watcher *w, const char *type, const struct kn_json *tree)
{
    struct kn_buf body = KN_BUF(16u << 20);
    struct kn_status s = kn_answer_encode_tree(&w->r, tree, &body);
    if (kn_log_status(KN_LOG_ERROR, s, "encode a watch event"))
        send_frame(w, type, &body);
    kn_buf_done(&body);
}

static struct kn_json *table_row(struct kn_request *r, struct kn_watcher *w,
                                 const struct kn_json *tree, const struct kn_obj *obj)
{
    struct kn_json *table = kn_print_table(r->arena, r->resource, r->as_version);
    enum kn_table_include include = KN_TABLE_METADATA;
    KN_IGNORE(kn_table_include_parse(r->options.table_include, &include));
    kn_json_append(kn_json_ensure_array(r->arena, table, KN_K_rows),
                   kn_print_row(r->arena, r->resource, tree, include, kn_now()));
    struct kn_json *m = kn_json_ensure_object(r->arena, table, KN_K_metadata);
    kn_json_set_str(r->arena, m, KN_K_resourceVersion,
                    kn_arena_printf(r->arena, "%lld", (long long)obj->rev));
    if (w->headers)
        kn_json_set(r->arena, table, KN_K_columnDefinitions, kn_json_new_null(r->arena));
    w->headers = true;
    return table;
}

// In a form that is not the object's own bytes: made in an arena of its own.
static void send_converted(struct kn_watcher *w, const char *type, const struct kn_obj *obj)
{
    struct kn_request r = w->r;
    r.arena = kn_arena_new(4096, 64u << 20);
    struct kn_json *tree = NULL;
    struct kn_status s = kn_answer_tree(&r, obj, &tree);
    if (kn_ok(s)) {
        if (r.as == KN_AS_TABLE) {
            tree = table_row(&r, w, tree, obj);
        } else if (r.as == KN_AS_METADATA) {
            struct kn_json *o = kn_json_new_object(r.arena);
            kn_json_set_str(r.arena, o, KN_K_kind, KN_SV("PartialObjectMetadata"));
            kn_json_set_str(r.arena, o, KN_K_apiVersion, KN_SV("meta.k8s.io/v1"));
            kn_json_set(r.arena, o, KN_K_metadata,
                        kn_json_copy_shallow_text(r.arena, kn_json_get(tree, KN_K_metadata)));
            tree = o;
        }
        send_tree(w, type, tree);
    }
    kn_log_status(KN_LOG_ERROR, s, "convert a watch event");
    kn_arena_free(r.arena);
}

static void send_event(struct kn_watcher *w, const char *type, const struct kn_obj *obj)
{
    bool plain = w->r.media == KN_MEDIA_JSON && w->r.as == KN_AS_OBJECT &&
                 w->r.resource->hub == w->r.resource;
    if (!plain) {
        send_converted(w, type, obj);
        return;
    }
    static const struct {
        const char *type;
        struct kn_sv head;
    } heads[] = {{"ADDED", {"{\"type\":\"ADDED\",\"object\":", 25}},
                 {"MODIFIED", {"{\"type\":\"MODIFIED\",\"object\":", 28}},
                 {"DELETED", {"{\"type\":\"DELETED\",\"object\":", 27}}};
    struct kn_sv head = heads[0].head;
    for (size_t i = 0; i < KN_ARRAY_LEN(heads); i++)
        if (strcmp(type, heads[i].type) == 0)
            head = heads[i].head;
    struct kn_piece pieces[3] = {{.bytes = head},
                                 {obj->text, release_obj, (void *)(uintptr_t)kn_obj_ref(obj)},
                                 {.bytes = KN_SV("}\n")}};
    kn_http_stream_write(w->r.http, pieces, 3);
}

static bool matches(const struct kn_watcher *w, const struct kn_obj *o)
{
    return (w->r.ns.len == 0 || !w->r.resource->namespaced || kn_sv_eq(o->ns, w->r.ns)) &&
           kn_selector_matches_labels(w->labels, o->labels) &&
           kn_selector_matches_fields(w->fields, o->root);
}

// What a change of (old -> obj) is for somebody who sees only what his selectors match.
static void tell(struct kn_watcher *w, enum kn_event_type type, const struct kn_obj *obj,
                 const struct kn_obj *old)
{
    bool now = type != KN_EVENT_DELETED && matches(w, obj);
    bool before = old ? matches(w, old) : type == KN_EVENT_DELETED && matches(w, obj);
    if (now)
        send_event(w, before ? "MODIFIED" : "ADDED", obj);
    else if (before)
        send_event(w, "DELETED", obj);
    w->rev = obj->rev;
}

static void send_bookmark(struct kn_watcher *w, bool initial_end)
{
    struct kn_arena *a = kn_arena_new(1024, 16u << 10);
    struct kn_request *r = &w->r;
    struct kn_json *o = kn_json_new_object(a);
    char api[128];
    struct kn_sv kind = r->resource->kind, version = kn_resource_api_version(r->resource, api);
    if (r->as == KN_AS_METADATA) {
        kind = KN_SV("PartialObjectMetadata");
        version = KN_SV("meta.k8s.io/v1");
    } else if (r->as == KN_AS_TABLE) {
        kind = KN_SV("Table");
        version = KN_SV("meta.k8s.io/v1");
    }
    kn_json_set_str(a, o, KN_K_kind, kind);
    kn_json_set_str(a, o, KN_K_apiVersion, version);
    struct kn_json *m = kn_json_ensure_object(a, o, KN_K_metadata);
    kn_json_set_str(a, m, KN_K_resourceVersion, kn_arena_printf(a, "%lld", (long long)w->rev));
    if (initial_end)
        kn_json_set_sv(a, kn_json_ensure_object(a, m, KN_K_annotations),
                       KN_SV("k8s.io/initial-events-end"), kn_json_new_str(a, KN_SV("true")));
    if (r->as == KN_AS_TABLE)
        kn_json_set(a, o, KN_K_rows, kn_json_new_array(a));
    send_tree(w, "BOOKMARK", o);
    kn_arena_free(a);
}

// -- catching up -----------------------------------------------------------------------------------

struct replay {
    struct kn_watcher *w;
    struct kn_status status;
};

static bool replay_one(void *arg, const struct kn_store_event *e)
{
    struct replay *p = arg;
    struct kn_rest *rest = p->w->r.rest;
    const struct kn_obj *obj = NULL, *old = NULL;
    p->status = kn_rest_decode(rest, e->key, e->value, e->rev, &obj);
    if (kn_ok(p->status) && e->prev_rev)
        p->status = kn_rest_decode(rest, e->key, e->prev_value, e->prev_rev, &old);
    if (kn_ok(p->status))
        tell(p->w,
             e->change == KN_CHANGE_DELETE ? KN_EVENT_DELETED
             : old                         ? KN_EVENT_MODIFIED
                                           : KN_EVENT_ADDED,
             obj, old);
    kn_obj_unref(obj);
    kn_obj_unref(old);
    return kn_ok(p->status) && kn_http_stream_pending(p->w->r.http) < PENDING_MAX;
}

static struct kn_status replay_store(struct kn_watcher *w)
{
    struct kn_arena *a = kn_arena_new(512, 4096);
    struct kn_sv from = kn_arena_dup(a, kn_sv_c(w->r.rest->prefix));
    struct replay p = {w, KN_STATUS_OK};
    struct kn_status s = kn_store_replay(w->r.server->config.store, from,
                                         kn_store_prefix_end(a, from), w->rev, replay_one, &p);
    kn_arena_free(a);
    if (kn_ok(s))
        return p.status;
    kn_status_done(&p.status);
    return s;
}

static void fail_watch(struct kn_watcher *w, struct kn_status s)
{
    if (s.code == KN_EXPIRED) {
        kn_status_done(&s);
        s = kn_error(KN_EXPIRED, "too old resource version: %lld (%lld)", (long long)w->rev,
                     (long long)w->r.rest->ring_floor);
    }
    struct kn_arena *a = kn_arena_new(1024, 64u << 10);
    send_tree(w, "ERROR", kn_status_object(a, &s));
    kn_arena_free(a);
    kn_status_done(&s);
    end_watch(w);
    kn_http_stream_end(w->r.http);
}

// Copies up to n events after w->rev out of the ring. Returns -1 if the ring does not reach back.
#define CHUNK 32
static int from_ring(struct kn_watcher *w, struct kn_ring_event *out)
{
    struct kn_rest *rest = w->r.rest;
    int n = 0;
    KN_LOCKED(&rest->ring_lock)
    {
        if (w->rev < rest->ring_floor) {
            n = -1;
        } else {
            uint64_t have = rest->ring_next < KN_RING ? rest->ring_next : KN_RING;
            uint64_t lo = rest->ring_next - have, hi = rest->ring_next;
            while (lo < hi) { // the first event with rev > w->rev
                uint64_t mid = (lo + hi) / 2;
                if (rest->ring[mid % KN_RING].rev > w->rev)
                    hi = mid;
                else
                    lo = mid + 1;
            }
            for (; lo < rest->ring_next && n < CHUNK; lo++) {
                out[n] = rest->ring[lo % KN_RING];
                kn_obj_ref(out[n].obj);
                if (out[n].old)
                    kn_obj_ref(out[n].old);
                n++;
            }
        }
    }
    return n;
}

// Tells what there is to tell. False: the watch has ended.
static bool pump(struct kn_watcher *w)
{
    struct kn_ring_event events[CHUNK];
    for (;;) {
        if (kn_http_stream_pending(w->r.http) >= PENDING_MAX) {
            w->blocked = true; // on_drain goes on
            return true;
        }
        int n = from_ring(w, events);
        if (n < 0) {
            int64_t before = w->rev;
            struct kn_status s = replay_store(w);
            if (!kn_ok(s)) {
                fail_watch(w, s);
                return false;
            }
            if (w->rev == before) // nothing of this resource in between
                KN_LOCKED(&w->r.rest->ring_lock)
                w->rev = w->r.rest->ring_floor;
            continue;
        }
        for (int i = 0; i < n; i++) {
            tell(w, events[i].type, events[i].obj, events[i].old);
            kn_obj_unref(events[i].obj);
            kn_obj_unref(events[i].old);
        }
        if (n < CHUNK)
            break;
    }
    if (w->initial_mark) {
        w->initial_mark = false;
        send_bookmark(w, true);
    }
    return true;
}

void kn_watch_pump_all(struct kn_rest *rest, int thread)
{
    struct kn_watcher *w;
    KN_LIST_EACH(&rest->watchers[thread], w, struct kn_watcher, link)
    if (!w->blocked)
        pump(w);
}

static void on_drain(struct kn_http_req *http __attribute__((unused)), void *arg)
{
    struct kn_watcher *w = arg;
    if (w->blocked) {
        w->blocked = false;
        pump(w);
    }
}

static void on_close(struct kn_http_req *http, void *arg)
{
    end_watch(arg);
    kn_http_stream_abort(http);
}

static void on_end(struct kn_timer *t)
{
    struct kn_watcher *w = KN_CONTAINER_OF(t, struct kn_watcher, end);
    end_watch(w);
    kn_http_stream_end(w->r.http);
}

static void on_bookmark(struct kn_timer *t)
{
    struct kn_watcher *w = KN_CONTAINER_OF(t, struct kn_watcher, bookmark);
    // Nothing of this resource is newer than the cache, and all of it up to rev has been told.
    int64_t rev = kn_cache_rev(w->r.rest->cache);
    if (!w->blocked && w->rev >= rev)
        send_bookmark(w, false);
    struct kn_loop *loop = kn_http_loop(w->r.http);
    kn_timer_set(loop, t, kn_loop_now(loop) + BOOKMARK_EVERY);
}

// -- starting --------------------------------------------------------------------------------------

struct initial {
    struct kn_watcher *w;
    KN_VEC(const struct kn_obj *) objs;
};

static bool collect(void *arg, const struct kn_obj *o)
{
    struct initial *i = arg;
    if (matches(i->w, o))
        KN_VEC_PUSH(&i->objs, kn_obj_ref(o));
    return true;
}

// Everything there is, as ADDED.
static void send_state(struct kn_watcher *w)
{
    struct initial i = {.w = w};
    struct kn_sv ns = w->r.resource->namespaced && w->r.ns.len ? w->r.ns : KN_SV_NULL;
    w->rev = kn_cache_list(w->r.rest->cache, ns, KN_SV_NULL, KN_SV_NULL, collect, &i);
    int64_t rev = w->rev;
    for (size_t n = 0; n < i.objs.len; n++) {
        send_event(w, "ADDED", i.objs.ptr[n]);
        kn_obj_unref(i.objs.ptr[n]);
    }
    w->rev = rev;
    KN_VEC_DONE(&i.objs);
}

static struct kn_status prepare(struct kn_request *r, struct kn_watcher *w, bool *state)
{
    struct kn_options *o = &r->options;
    KN_TRY(kn_label_selector_parse(r->arena, o->label_selector, &w->labels));
    KN_TRY(kn_field_selector_parse(r->arena, o->field_selector, r->resource, &w->fields));
    *state = true;
    if (o->send_initial) {
        if (!kn_sv_is(o->version_match, "NotOlderThan"))
            return kn_error(KN_INVALID, "resourceVersionMatch: Forbidden: sendInitialEvents "
                                        "requires setting resourceVersionMatch to NotOlderThan");
        w->initial_mark = o->bookmarks;
        return KN_STATUS_OK;
    }
    if (o->version_match.len)
        return kn_error(KN_INVALID, "resourceVersionMatch: Forbidden: resourceVersionMatch is "
                                    "forbidden for watch unless sendInitialEvents is provided");
    if (o->resource_version.len == 0 || kn_sv_is(o->resource_version, "0"))
        return KN_STATUS_OK;
    *state = false;
    struct kn_status s = kn_num_parse(o->resource_version, 0, INT64_MAX, &w->rev);
    if (!kn_ok(s)) {
        kn_status_done(&s);
        return kn_error(KN_INVALID, "resourceVersion: Invalid value: \"%.*s\": must be a number",
                        KN_SV_ARG(o->resource_version));
    }
    return KN_STATUS_OK;
}

void kn_watch_start(struct kn_request *r)
{
    struct kn_watcher *w = KN_ARENA_NEW(r->arena, struct kn_watcher);
    bool state = false;
    struct kn_status s = w ? prepare(r, w, &state) : kn_arena_error(r->arena, "the watch");
    if (!kn_ok(s)) {
        r->answer->error = s;
        kn_answer_send(r);
        return;
    }
    w->r = *r;
    w->r.answer = NULL;
    w->r.options.pretty = false;
    w->thread = kn_http_thread(r->http);
    struct kn_http_header type = {KN_SV("Content-Type"), r->media == KN_MEDIA_PROTOBUF
                                      ? KN_SV("application/vnd.kubernetes.protobuf;stream=watch")
                                      : KN_SV("application/json")};
    kn_http_stream_begin(r->http, 200, &type, 1, on_drain, w);
    kn_http_on_close(r->http, on_close, w);
    struct kn_loop *loop = kn_http_loop(r->http);
    kn_list_append(&r->rest->watchers[w->thread], &w->link);
    kn_rest_count_watcher(r->rest, w->thread, 1);
    w->end.fire = on_end;
    w->bookmark.fire = on_bookmark;
    int64_t seconds = r->options.timeout_seconds;
    kn_timer_set(loop, &w->end,
                 kn_loop_now(loop) + (seconds > 0 ? seconds * KN_SECOND : DEFAULT_TIMEOUT));
    if (r->options.bookmarks)
        kn_timer_set(loop, &w->bookmark, kn_loop_now(loop) + BOOKMARK_EVERY);
    if (state)
        send_state(w);
    pump(w);
}

// Ends all watches of a thread: the server stops. In that thread.
void kn_watch_end_all(struct kn_apiserver *s, int thread)
{
    for (size_t i = 0; i < s->rest_count; i++) {
        struct kn_watcher *w;
        KN_LIST_EACH(&s->rests[i]->watchers[thread], w, struct kn_watcher, link)
        {
            end_watch(w);
            kn_http_stream_end(w->r.http);
        }
    }
}

// Watches: each lives in the loop thread of its connection, remembers the revision it has told, and
// is woken when its resource has changed. Events come from the ring, or from the store's history
// (read by a worker) when the watcher is older than the ring; a slow reader is simply told later.
#include "apiserver/watch.h"

#define PENDING_MAX (1u << 20) // bytes that wait for a slow client before we stop reading events
#define BOOKMARK_EVERY (60 * KN_SECOND)
#define DEFAULT_TIMEOUT (1800 * KN_SECOND)
#define REPLAY_EVENTS 1000 // of one replay job, and bytes: then it is told before the next is read
#define REPLAY_BYTES (4u << 20)

// Events out of the store's history. While `running`, a worker has it.
struct kn_watch_replay {
    struct kn_job job;
    struct kn_task back;
    struct kn_watcher *w;
    int64_t after, upto;
    KN_VEC(struct kn_ring_event) events;
    size_t next, bytes;
    struct kn_status status;
    bool running;
    bool whole; // all up to `upto`
};

static void free_replay(struct kn_watch_replay *p)
{
    if (!p)
        return;
    for (size_t i = p->next; i < p->events.len; i++) {
        kn_obj_unref(p->events.ptr[i].obj);
        kn_obj_unref(p->events.ptr[i].old);
    }
    KN_VEC_DONE(&p->events);
    kn_status_done(&p->status);
    free(p);
}

// Ends the watch; w is gone, unless a worker still has its replay.
static void finish(struct kn_watcher *w, enum kn_watch_finish how)
{
    if (w->finish == KN_WATCH_GOES_ON) {
        struct kn_loop *loop = kn_http_loop(w->r.http);
        kn_timer_cancel(loop, &w->end);
        kn_timer_cancel(loop, &w->bookmark);
        kn_list_remove(&w->link);
        kn_rest_count_watcher(w->r.rest, w->thread, -1);
        w->finish = how;
    }
    if (w->replay && w->replay->running)
        return;
    free_replay(w->replay);
    for (size_t i = w->state_next; i < w->state.len; i++)
        kn_obj_unref(w->state.ptr[i]);
    KN_VEC_DONE(&w->state);
    if (w->finish == KN_WATCH_BREAKS)
        kn_http_stream_abort(w->r.http);
    else
        kn_http_stream_end(w->r.http);
}

static bool matches(const struct kn_watcher *w, const struct kn_obj *o)
{
    return (w->r.ns.len == 0 || !w->r.resource->namespaced || kn_sv_eq(o->ns, w->r.ns)) &&
           kn_selector_matches_labels(w->labels, o->labels) &&
           kn_selector_matches_fields(w->fields, o->root);
}

// What a change is for somebody who sees only what his selectors match. Drops the references.
static void tell(struct kn_watcher *w, const struct kn_ring_event *e)
{
    bool deleted = e->type == KN_EVENT_DELETED;
    bool now = !deleted && matches(w, e->obj);
    bool before = e->old ? matches(w, e->old) : deleted && matches(w, e->obj);
    if (now)
        kn_watch_send(w, before ? "MODIFIED" : "ADDED", e->obj);
    else if (before)
        kn_watch_send(w, "DELETED", e->obj);
    w->rev = e->rev;
    kn_obj_unref(e->obj);
    kn_obj_unref(e->old);
}

static void fail_watch(struct kn_watcher *w, struct kn_status s, int64_t floor)
{
    if (s.code == KN_EXPIRED) {
        kn_status_done(&s);
        s = kn_error(KN_EXPIRED, "too old resource version: %lld (%lld)", (long long)w->rev,
                     (long long)floor);
    }
    struct kn_arena *a = kn_arena_new(1024, 64u << 10);
    kn_watch_send_tree(w, "ERROR", kn_status_object(a, &s));
    kn_arena_free(a);
    kn_status_done(&s);
    finish(w, KN_WATCH_ENDS);
}

// -- the store's history --------------------------------------------------------------------------

static bool replay_one(void *arg, const struct kn_store_event *e)
{
    struct kn_watch_replay *p = arg;
    struct kn_rest *rest = p->w->r.rest; // set before the job began, and kept until it is back
    if (e->rev > p->upto)
        return false;
    struct kn_ring_event event = {.rev = e->rev};
    p->status = kn_rest_decode(rest, e->key, e->value, e->rev, &event.obj);
    if (kn_ok(p->status) && e->prev_rev)
        p->status = kn_rest_decode(rest, e->key, e->prev_value, e->prev_rev, &event.old);
    if (!kn_ok(p->status)) {
        kn_obj_unref(event.obj);
        return false;
    }
    event.type = e->change == KN_CHANGE_DELETE ? KN_EVENT_DELETED
                 : event.old                   ? KN_EVENT_MODIFIED
                                               : KN_EVENT_ADDED;
    KN_VEC_PUSH(&p->events, event);
    p->bytes += e->value.len + e->prev_value.len;
    p->whole = p->events.len < REPLAY_EVENTS && p->bytes < REPLAY_BYTES;
    return p->whole;
}

static bool pump(struct kn_watcher *w);

static void replay_back(struct kn_task *t)
{
    struct kn_watch_replay *p = KN_CONTAINER_OF(t, struct kn_watch_replay, back);
    struct kn_watcher *w = p->w;
    p->running = false;
    if (w->finish != KN_WATCH_GOES_ON)
        finish(w, w->finish);
    else
        pump(w);
}

static void replay_job(struct kn_job *job)
{
    struct kn_watch_replay *p = KN_CONTAINER_OF(job, struct kn_watch_replay, job);
    struct kn_rest *rest = p->w->r.rest;
    struct kn_arena *a = kn_arena_new(512, 4096);
    struct kn_sv from = kn_arena_dup(a, kn_sv_c(rest->prefix));
    struct kn_status s = kn_store_replay(rest->server->config.store, from,
                                         kn_store_prefix_end(a, from), p->after, replay_one, p);
    kn_arena_free(a);
    if (kn_ok(p->status))
        p->status = s;
    else
        kn_status_done(&s);
    kn_loop_post(kn_http_loop(p->w->r.http), &p->back);
}

// Has a worker read what lies between the watcher and the ring. What is newer comes from the ring:
// nobody is told what the caches do not show yet.
static void start_replay(struct kn_watcher *w, int64_t floor)
{
    struct kn_watch_replay *p = KN_NEW(struct kn_watch_replay);
    *p = (struct kn_watch_replay){.job.run = replay_job,
                                  .back.run = replay_back,
                                  .w = w,
                                  .after = w->rev,
                                  .upto = floor,
                                  .running = true,
                                  .whole = true};
    w->replay = p;
    if (!kn_jobs_put(w->r.server->jobs, &p->job)) {
        p->status = kn_error(KN_UNAVAILABLE, "the server is stopping");
        kn_loop_post(kn_http_loop(w->r.http), &p->back);
    }
}

// -- telling --------------------------------------------------------------------------------------

// Copies up to n events after w->rev out of the ring. Returns -1 if the ring does not reach back.
#define CHUNK 32
static int from_ring(struct kn_watcher *w, struct kn_ring_event *out, int64_t *ret_floor)
{
    struct kn_rest *rest = w->r.rest;
    int n = 0;
    KN_LOCKED(&rest->ring_lock)
    {
        *ret_floor = rest->ring_floor;
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

static bool takes_more(struct kn_watcher *w)
{
    w->blocked = kn_http_stream_pending(w->r.http) >= PENDING_MAX;
    return !w->blocked;
}

// What was there when the watch began, as ADDED. False: it stopped before the end.
static bool tell_state(struct kn_watcher *w)
{
    while (w->state_next < w->state.len) {
        if (!takes_more(w))
            return false;
        const struct kn_obj *o = w->state.ptr[w->state_next++];
        kn_watch_send(w, "ADDED", o);
        kn_obj_unref(o);
    }
    if (w->state.ptr) {
        KN_VEC_DONE(&w->state);
        w->state_next = 0;
    }
    return true;
}

// False: it stopped before the end, or the watch has ended.
static bool tell_replay(struct kn_watcher *w)
{
    struct kn_watch_replay *p = w->replay;
    if (!p)
        return true;
    if (p->running)
        return false;
    while (p->next < p->events.len) {
        if (!takes_more(w))
            return false;
        tell(w, &p->events.ptr[p->next++]);
    }
    struct kn_status s = p->status;
    p->status = KN_STATUS_OK;
    int64_t upto = p->upto;
    if (kn_ok(s) && p->whole)
        w->rev = upto;
    w->replay = NULL;
    free_replay(p);
    if (kn_ok(s))
        return true;
    fail_watch(w, s, upto);
    return false;
}

// Tells what there is to tell. False: it goes on later (on_drain, replay_back), or has ended.
static bool pump(struct kn_watcher *w)
{
    struct kn_ring_event events[CHUNK];
    int n = CHUNK;
    while (n == CHUNK) {
        int64_t floor;
        if (!tell_state(w) || !tell_replay(w))
            return false;
        n = from_ring(w, events, &floor);
        if (n < 0) {
            start_replay(w, floor);
            return false;
        }
        int told = 0;
        while (told < n && takes_more(w))
            tell(w, &events[told++]);
        for (int i = told; i < n; i++) {
            kn_obj_unref(events[i].obj);
            kn_obj_unref(events[i].old);
        }
        if (told < n)
            return false;
    }
    if (w->initial_mark) {
        w->initial_mark = false;
        kn_watch_send_bookmark(w, true);
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
    if (w->blocked && w->finish == KN_WATCH_GOES_ON) {
        w->blocked = false;
        pump(w);
    }
}

static void on_close(struct kn_http_req *http __attribute__((unused)), void *arg)
{
    finish(arg, KN_WATCH_BREAKS);
}

static void on_end(struct kn_timer *t)
{
    finish(KN_CONTAINER_OF(t, struct kn_watcher, end), KN_WATCH_ENDS);
}

static void on_bookmark(struct kn_timer *t)
{
    struct kn_watcher *w = KN_CONTAINER_OF(t, struct kn_watcher, bookmark);
    // Nothing of this resource is newer than the cache, and all of it up to rev has been told.
    int64_t rev = kn_cache_rev(w->r.rest->cache);
    if (!w->blocked && !w->replay && w->rev >= rev)
        kn_watch_send_bookmark(w, false);
    struct kn_loop *loop = kn_http_loop(w->r.http);
    kn_timer_set(loop, t, kn_loop_now(loop) + BOOKMARK_EVERY);
}

// -- starting -------------------------------------------------------------------------------------

static bool collect(void *arg, const struct kn_obj *o)
{
    struct kn_watcher *w = arg;
    if (matches(w, o))
        KN_VEC_PUSH(&w->state, kn_obj_ref(o));
    return true;
}

static struct kn_status prepare(struct kn_request *r, struct kn_watcher *w, bool *state)
{
    struct kn_options *o = &r->options;
    KN_TRY(kn_label_selector_parse(r->arena, o->label_selector, &w->labels));
    KN_TRY(kn_field_selector_parse(r->arena, o->field_selector, r->resource, &w->fields));
    *state = true;
    if (o->send_initial) {
        w->initial_mark = o->bookmarks;
        return KN_STATUS_OK;
    }
    if (o->resource_version.len == 0 || kn_sv_is(o->resource_version, "0"))
        return KN_STATUS_OK;
    *state = false;
    return kn_options_rev(r, &w->rev);
}

static void set_timers(struct kn_watcher *w)
{
    struct kn_loop *loop = kn_http_loop(w->r.http);
    w->end.fire = on_end;
    w->bookmark.fire = on_bookmark;
    int64_t seconds = w->r.options.timeout_seconds;
    kn_timer_set(loop, &w->end,
                 seconds > 0 ? kn_later(kn_loop_now(loop), seconds)
                             : kn_loop_now(loop) + DEFAULT_TIMEOUT);
    if (w->r.options.bookmarks)
        kn_timer_set(loop, &w->bookmark, kn_loop_now(loop) + BOOKMARK_EVERY);
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
    kn_list_append(&r->rest->watchers[w->thread], &w->link);
    kn_rest_count_watcher(r->rest, w->thread, 1);
    set_timers(w);
    if (state) {
        struct kn_sv ns = r->resource->namespaced && r->ns.len ? r->ns : KN_SV_NULL;
        w->rev = kn_cache_list(r->rest->cache, ns, KN_SV_NULL, KN_SV_NULL, collect, w);
    }
    pump(w);
}

// Ends all watches of a thread: the server stops. In that thread.
void kn_watch_end_all(struct kn_apiserver *s, int thread)
{
    for (size_t i = 0; i < s->rest_count; i++) {
        struct kn_watcher *w;
        KN_LIST_EACH(&s->rests[i]->watchers[thread], w, struct kn_watcher, link)
        finish(w, KN_WATCH_ENDS);
    }
}

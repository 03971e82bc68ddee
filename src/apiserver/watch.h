// One watch: what watch.c (its life, what it is told) and watch_forms.c (how) share. Everything of
// a watcher is for the loop thread of its connection; a replay job has only its own fields.
#pragma once
#include "apiserver/internal.h"

struct kn_watch_replay;

enum kn_watch_finish { KN_WATCH_GOES_ON, KN_WATCH_ENDS, KN_WATCH_BREAKS };

struct kn_watcher {
    struct kn_list link; // in rest->watchers[thread]
    struct kn_request r; // its arena is the HTTP request's: lives as long as the watch
    struct kn_selector *labels, *fields;
    int64_t rev; // told up to here
    struct kn_timer end, bookmark;
    // References to what was there at the start and has not been told yet, from `state_next` on.
    KN_VEC(const struct kn_obj *) state;
    size_t state_next;
    struct kn_watch_replay *replay; // under way in a worker, or being told from
    enum kn_watch_finish finish;    // as soon as no worker has the replay any more
    bool blocked;                   // too much is pending: on_drain goes on
    bool headers;                   // a table's columns have been sent
    bool initial_mark;              // the bookmark that ends the initial events is still to come
    int thread;
};

// watch_forms.c
void kn_watch_send(struct kn_watcher *w, const char *type, const struct kn_obj *obj);
void kn_watch_send_tree(struct kn_watcher *w, const char *type, const struct kn_json *tree);
void kn_watch_send_bookmark(struct kn_watcher *w, bool initial_end);

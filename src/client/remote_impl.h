// Between remote.c (requests) and informer.c (caches that follow the server).
#pragma once
#include "base/thread.h"
#include "client/remote.h"

struct informer;

struct remote {
    struct kn_client base;
    struct kn_http_client *http;
    int64_t timeout;
    struct remote *reader; // whose caches learn of our writes; itself, mostly
    pthread_mutex_t lock; // of what follows
    pthread_cond_t changed;
    bool closing;
    struct kn_list informers;
};

// Appends the path of a resource, or of one object and its subresource.
void kn_remote_path(struct kn_buf *out, const struct kn_resource *r, struct kn_sv ns,
                    struct kn_sv name, const char *subresource);
// Appends "&labelSelector=..&fieldSelector=.." where they are set.
void kn_remote_selectors(struct kn_buf *out, const struct kn_list_options *o);
// The error that an answer other than 2xx is.
struct kn_status kn_remote_error(struct kn_arena *a, int http, struct kn_sv body);

// One line of a watch: its type, and its object (a new reference), or for ERROR the text of the
// Status, appended to *error. KN_SYNTAX, KN_INVALID.
struct kn_status kn_watch_event_parse(struct kn_sv line, char type[16], struct kn_buf *error,
                                      const struct kn_obj **ret);

struct kn_status kn_remote_list(struct kn_client *c, const struct kn_resource *r,
                                const struct kn_list_options *o, struct kn_obj_list *ret);
struct kn_status kn_remote_cache(struct kn_client *c, const struct kn_resource *r,
                                 const struct kn_list_options *o, int64_t deadline,
                                 struct kn_cache **ret);
// Something was written through this client: its caches show it at once, as in process. Controllers
// count on reading what they wrote.
void kn_informers_wrote(struct remote *c, const struct kn_resource *r, const struct kn_obj *o);
// `closing` has been set: ends all informers and frees them.
void kn_informers_stop(struct remote *c);

// Events (core/v1) about objects: what `kubectl describe` shows at its end. Repeated events are
// counted on one object (same involved object, reason, message and source), and one source is held
// to a burst of 25 and then one event in 5 minutes per object, as upstream does.
// Recording never blocks: a thread of the recorder writes. Any thread.
#pragma once
#include "client/client.h"

struct kn_recorder;

struct kn_status kn_recorder_start(struct kn_client *client, const char *component,
                                   struct kn_sv host, struct kn_recorder **ret);
void kn_recorder_stop(struct kn_recorder *r); // writes what waits, then frees

// type: "Normal" or "Warning". The message is printf. Only what is needed of the object is copied.
void kn_event(struct kn_recorder *r, const struct kn_obj *about, const char *type,
              const char *reason, const char *message, ...) __attribute__((format(printf, 5, 6)));
// About a part of it: field path such as "spec.containers{nginx}".
void kn_event_at(struct kn_recorder *r, const struct kn_obj *about, struct kn_sv field_path,
                 const char *type, const char *reason, const char *message, ...)
    __attribute__((format(printf, 6, 7)));

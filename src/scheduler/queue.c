// Pods that wait for a node: those to be scheduled next, by priority and age; those that back off;
// and those that wait until something happens that may help them.
#include "scheduler/sched_impl.h"

#define BACKOFF_FIRST KN_SECOND
#define BACKOFF_MAX (10 * KN_SECOND)
// Against events that nobody thought of, every waiting pod is tried again after this time.
#define WAIT_MAX (300 * KN_SECOND)

static bool active_before(const struct kn_sched_pod *a, const struct kn_sched_pod *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a->since < b->since;
}

static bool due_before(const struct kn_sched_pod *a, const struct kn_sched_pod *b)
{
    return a->due < b->due;
}

typedef bool before_fn(const struct kn_sched_pod *a, const struct kn_sched_pod *b);

static void heap_put(struct kn_sched_pod **heap, size_t i, struct kn_sched_pod *p)
{
    heap[i] = p;
    p->heap = i + 1;
}

static void heap_up(struct kn_sched_pod **heap, size_t i, struct kn_sched_pod *p, before_fn *before)
{
    for (; i > 0 && before(p, heap[(i - 1) / 2]); i = (i - 1) / 2)
        heap_put(heap, i, heap[(i - 1) / 2]);
    heap_put(heap, i, p);
}

static void heap_down(struct kn_sched_pod **heap, size_t len, size_t i, struct kn_sched_pod *p,
                      before_fn *before)
{
    for (size_t c; (c = 2 * i + 1) < len; i = c) {
        if (c + 1 < len && before(heap[c + 1], heap[c]))
            c++;
        if (!before(heap[c], p))
            break;
        heap_put(heap, i, heap[c]);
    }
    heap_put(heap, i, p);
}

static void heap_remove(struct kn_sched_pod **heap, size_t *len, struct kn_sched_pod *p,
                        before_fn *before)
{
    size_t i = p->heap - 1;
    struct kn_sched_pod *last = heap[--*len];
    p->heap = 0;
    if (last == p)
        return;
    if (i > 0 && before(last, heap[(i - 1) / 2]))
        heap_up(heap, i, last, before);
    else
        heap_down(heap, *len, i, last, before);
}

void kn_sched_queue_add(struct kn_sched *s, struct kn_sched_pod *p)
{
    kn_sched_queue_remove(s, p);
    if (!p->since)
        p->since = kn_mono();
    KN_VEC_PUSH(&s->active, p);
    heap_up(s->active.ptr, s->active.len - 1, p, active_before);
    p->place = KN_SCHED_ACTIVE;
}

static void back_off(struct kn_sched *s, struct kn_sched_pod *p)
{
    KN_VEC_PUSH(&s->backoff, p);
    heap_up(s->backoff.ptr, s->backoff.len - 1, p, due_before);
    p->place = KN_SCHED_BACKOFF;
}

void kn_sched_queue_remove(struct kn_sched *s, struct kn_sched_pod *p)
{
    if (p->place == KN_SCHED_ACTIVE)
        heap_remove(s->active.ptr, &s->active.len, p, active_before);
    else if (p->place == KN_SCHED_BACKOFF)
        heap_remove(s->backoff.ptr, &s->backoff.len, p, due_before);
    else if (p->place == KN_SCHED_WAITING) {
        kn_list_remove(&p->link);
        s->waiting_len--;
    } else
        return;
    p->place = KN_SCHED_NOWHERE;
}

struct kn_sched_pod *kn_sched_queue_take(struct kn_sched *s)
{
    if (s->active.len == 0)
        return NULL;
    struct kn_sched_pod *p = s->active.ptr[0];
    kn_sched_queue_remove(s, p);
    p->attempts++;
    return p;
}

void kn_sched_queue_back(struct kn_sched *s, struct kn_sched_pod *p, bool retry)
{
    int64_t wait = BACKOFF_FIRST;
    for (unsigned i = 1; i < p->attempts && wait < BACKOFF_MAX; i++)
        wait *= 2;
    p->due = kn_mono() + (wait < BACKOFF_MAX ? wait : BACKOFF_MAX);
    if (retry) {
        back_off(s, p);
        return;
    }
    kn_list_append(&s->waiting, &p->link);
    s->waiting_len++;
    p->place = KN_SCHED_WAITING;
}

static bool helps(const struct kn_sched_pod *p, uint32_t events)
{
    for (size_t i = 0; kn_sched_plugins[i].name; i++)
        if (p->rejected >> i & 1 && kn_sched_plugins[i].helped_by & events)
            return true;
    return p->rejected == 0;
}

void kn_sched_queue_event(struct kn_sched *s, uint32_t events)
{
    struct kn_sched_pod *p;
    int64_t now = s->waiting_len ? kn_mono() : 0;
    KN_LIST_EACH(&s->waiting, p, struct kn_sched_pod, link)
    if (helps(p, events)) {
        kn_sched_queue_remove(s, p);
        if (p->due <= now)
            kn_sched_queue_add(s, p);
        else
            back_off(s, p);
    }
}

int64_t kn_sched_queue_tick(struct kn_sched *s, int64_t now)
{
    while (s->backoff.len && s->backoff.ptr[0]->due <= now)
        kn_sched_queue_add(s, s->backoff.ptr[0]);
    // the list is in the order in which its pods came, and hence nearly in that of their times
    struct kn_sched_pod *first = KN_LIST_FIRST(&s->waiting, struct kn_sched_pod, link);
    while (first && first->due + WAIT_MAX <= now) {
        kn_sched_queue_add(s, first);
        first = KN_LIST_FIRST(&s->waiting, struct kn_sched_pod, link);
    }
    int64_t next = first ? first->due + WAIT_MAX : KN_FOREVER;
    if (s->backoff.len && s->backoff.ptr[0]->due < next)
        next = s->backoff.ptr[0]->due;
    return next;
}

#include "node/pod_pull.h"

#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/thread.h"

struct kn_pod_pull {
    const struct kn_node *n;
    const struct kn_obj *pod;
    char *image;
    int wake;
    pthread_t thread;
    struct kn_cancel cancel;
    int64_t begin;
    // the thread's, until it is over
    struct kn_status status;
    int64_t took;
    bool over; // atomic
};

static void *run(void *arg)
{
    struct kn_pod_pull *p = arg;
    p->status = p->n->api.pull(p->n->api.arg, p->pod, kn_sv_c(p->image), &p->cancel);
    p->took = kn_mono() - p->begin;
    __atomic_store_n(&p->over, true, __ATOMIC_RELEASE);
    eventfd_write(p->wake, 1);
    return NULL;
}

static void release(struct kn_pod_pull *p)
{
    kn_cancel_done(&p->cancel);
    kn_obj_unref(p->pod);
    free(p->image);
    free(p);
}

struct kn_status kn_pod_pull_start(const struct kn_node *n, const struct kn_obj *pod,
                                   struct kn_sv image, int wake, struct kn_pod_pull **ret)
{
    struct kn_pod_pull *p = KN_NEW(struct kn_pod_pull);
    p->n = n;
    p->pod = kn_obj_ref(pod);
    p->image = kn_sv_dup(image);
    p->wake = wake;
    p->begin = kn_mono();
    kn_cancel_init(&p->cancel);
    struct kn_status s = kn_thread_start(&p->thread, "pod-pull", 0, run, p);
    if (kn_ok(s))
        *ret = p;
    else
        release(p);
    return s;
}

bool kn_pod_pull_over(const struct kn_pod_pull *p)
{
    return __atomic_load_n(&p->over, __ATOMIC_ACQUIRE);
}

void kn_pod_pull_cancel(struct kn_pod_pull *p)
{
    if (p)
        kn_cancel_set(&p->cancel);
}

struct kn_status kn_pod_pull_end(struct kn_pod_pull *p, int64_t *ret_ns)
{
    kn_thread_join(p->thread);
    struct kn_status s = p->status;
    if (ret_ns)
        *ret_ns = p->took;
    release(p);
    return s;
}

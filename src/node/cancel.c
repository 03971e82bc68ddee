#include "node/cancel.h"

#include "base/thread.h"

void kn_cancel_init(struct kn_cancel *c)
{
    pthread_mutex_init(&c->lock, NULL);
    kn_list_init(&c->hooks);
    c->on = false;
}

void kn_cancel_done(struct kn_cancel *c)
{
    pthread_mutex_destroy(&c->lock);
}

void kn_cancel_set(struct kn_cancel *c)
{
    struct kn_cancel_hook *h;
    KN_LOCKED(&c->lock)
        if (!__atomic_exchange_n(&c->on, true, __ATOMIC_ACQ_REL))
            KN_LIST_EACH(&c->hooks, h, struct kn_cancel_hook, link)
                h->wake(h->arg);
}

void kn_cancel_add(struct kn_cancel *c, struct kn_cancel_hook *h, void (*wake)(void *arg),
                   void *arg)
{
    h->wake = wake;
    h->arg = arg;
    if (!c)
        return;
    KN_LOCKED(&c->lock) {
        kn_list_append(&c->hooks, &h->link);
        if (kn_cancel_is(c))
            wake(arg);
    }
}

void kn_cancel_remove(struct kn_cancel *c, struct kn_cancel_hook *h)
{
    if (c)
        KN_LOCKED(&c->lock)
            kn_list_remove(&h->link);
}

bool kn_cancel_is(struct kn_cancel *c)
{
    return c && __atomic_load_n(&c->on, __ATOMIC_ACQUIRE);
}

// Intrusive doubly linked lists: the links lie in the elements. A head is a kn_list that points at
// itself when the list is empty. One thread at a time.
#pragma once
#include "base/mem.h"

struct kn_list {
    struct kn_list *next, *prev;
};

static inline void kn_list_init(struct kn_list *l)
{
    l->next = l->prev = l;
}
static inline int kn_list_empty(const struct kn_list *l)
{
    return l->next == l;
}
static inline void kn_list_append(struct kn_list *head, struct kn_list *e)
{
    e->prev = head->prev;
    e->next = head;
    head->prev->next = e;
    head->prev = e;
}
static inline void kn_list_prepend(struct kn_list *head, struct kn_list *e)
{
    kn_list_append(head->next, e);
}
// Leaves e empty, so that removing twice is harmless.
static inline void kn_list_remove(struct kn_list *e)
{
    e->prev->next = e->next;
    e->next->prev = e->prev;
    kn_list_init(e);
}

// The element may be removed inside the loop.
#define KN_LIST_EACH(head, link, type, member)                                                     \
    for (struct kn_list *kn_l_ = (head)->next, *kn_n_ = kn_l_->next;                               \
         kn_l_ != (head) && ((link) = KN_CONTAINER_OF(kn_l_, type, member), 1);                    \
         kn_l_ = kn_n_, kn_n_ = kn_l_->next)
#define KN_LIST_FIRST(head, type, member)                                                          \
    (kn_list_empty(head) ? NULL : KN_CONTAINER_OF((head)->next, type, member))

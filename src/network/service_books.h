// What of the table is programmed, and for whom: the owner of every element, the numbers of the
// services' ports, and what an earlier process left behind. It turns "this owner wants these
// elements" into what has to be removed and added. No I/O.
// One thread at a time.
#pragma once
#include "base/map.h"
#include "network/nft.h"

struct kn_books;

struct kn_books_number {
    char *port;
    uint32_t number;
};

// An owner: a service ("s/ns/name") or a pod ("p/uid").
struct kn_books_owner {
    char *name; // the key of the map that it lies in
    struct kn_nft_elems elems; // programmed, sorted
    bool denied;               // wanted a key that another owner has
    KN_VEC(struct kn_books_number) numbers;
};

struct kn_books *kn_books_new(void);
void kn_books_free(struct kn_books *b);

// Forgets what is programmed and takes `found` (a dump, moved) for what the kernel has. Owners and
// numbers stay; each of their elements counts as programmed again when it is asked for again.
void kn_books_adopt(struct kn_books *b, struct kn_nft_elems *found);

struct kn_books_owner *kn_books_owner(struct kn_books *b, const char *name); // made if missing
struct kn_books_owner *kn_books_find(struct kn_books *b, const char *name);  // or NULL
// For kn_service_number: the owner's, or the one that `vip` has in what was found, or a new one.
uint32_t kn_books_number(struct kn_books *b, struct kn_books_owner *o, struct kn_sv port,
                         const struct kn_nft_elem *vip);
// The owner wants exactly these (sorted, each key once; moved). What another owner has is left out,
// and the owner is marked as denied. Appends what the kernel has to do.
void kn_books_want(struct kn_books *b, struct kn_books_owner *o, struct kn_nft_elems *want,
                   struct kn_nft_elems *remove, struct kn_nft_elems *add);
// Ends an owner that has no elements any more.
void kn_books_end(struct kn_books *b, struct kn_books_owner *o);
// What was found and nobody has asked for, of the sets from `first` to `last`: appended to remove
// and forgotten.
void kn_books_sweep(struct kn_books *b, enum kn_nft_set first, enum kn_nft_set last,
                    struct kn_nft_elems *remove);
// Walks over the owners: NULL at the end. Do not change them meanwhile.
struct kn_books_owner *kn_books_next(struct kn_books *b, size_t *it);
// Whether a key was freed since the last call: owners that were denied may try again.
bool kn_books_take_freed(struct kn_books *b);
size_t kn_books_len(const struct kn_books *b); // elements

#include "network/service_books.h"

#include "network/service_frame.h"

// One element that the kernel has.
struct entry {
    struct kn_nft_elem elem;
    struct kn_books_owner *owner; // NULL: found, and not asked for yet
};

struct kn_books {
    struct kn_map owners;  // struct kn_books_owner; key: .name
    struct kn_map entries; // struct entry; key: set and key of .elem
    struct kn_map numbers; // the owner that has a number; key: its 4 bytes, in the owner
    uint32_t next_number;
    bool freed;
};

static struct kn_sv key_of(const struct kn_nft_elem *e)
{
    return kn_sv((const char *)e, offsetof(struct kn_nft_elem, data)); // set and key;
}

struct kn_books *kn_books_new(void)
{
    struct kn_books *b = KN_NEW(struct kn_books);
    kn_map_init(&b->owners);
    kn_map_init(&b->entries);
    kn_map_init(&b->numbers);
    return b;
}

static void free_owner(struct kn_books_owner *o)
{
    for (size_t i = 0; i < o->numbers.len; i++)
        free(o->numbers.ptr[i].port);
    KN_VEC_DONE(&o->numbers);
    KN_VEC_DONE(&o->elems);
    free(o->name);
    free(o);
}

static void free_entries(struct kn_books *b)
{
    void *e;
    for (size_t it = 0; (e = kn_map_next(&b->entries, &it, NULL));)
        free(e);
    kn_map_done(&b->entries);
    kn_map_init(&b->entries);
}

static void free_numbers(struct kn_books *b)
{
    void *n;
    for (size_t it = 0; (n = kn_map_next(&b->numbers, &it, NULL));)
        free(n);
    kn_map_done(&b->numbers);
}

void kn_books_free(struct kn_books *b)
{
    if (!b)
        return;
    struct kn_books_owner *o;
    for (size_t it = 0; (o = kn_map_next(&b->owners, &it, NULL));)
        free_owner(o);
    kn_map_done(&b->owners);
    free_entries(b);
    kn_map_done(&b->entries);
    free_numbers(b);
    free(b);
}

void kn_books_adopt(struct kn_books *b, struct kn_nft_elems *found)
{
    struct kn_books_owner *o;
    for (size_t it = 0; (o = kn_map_next(&b->owners, &it, NULL));)
        o->elems.len = 0;
    free_entries(b);
    for (size_t i = 0; i < found->len; i++) {
        struct entry *e = KN_NEW(struct entry);
        e->elem = found->ptr[i];
        free(kn_map_put(&b->entries, key_of(&e->elem), e));
    }
    KN_VEC_DONE(found);
}

struct kn_books_owner *kn_books_find(struct kn_books *b, const char *name)
{
    return kn_map_get(&b->owners, kn_sv_c(name));
}

struct kn_books_owner *kn_books_owner(struct kn_books *b, const char *name)
{
    struct kn_books_owner *o = kn_books_find(b, name);
    if (o)
        return o;
    o = KN_NEW(struct kn_books_owner);
    o->name = kn_sv_dup(kn_sv_c(name));
    kn_map_put(&b->owners, kn_sv_c(o->name), o);
    return o;
}

// -- numbers ---------------------------------------------------------------------------------

static struct kn_sv number_key(const uint32_t *n)
{
    return kn_sv((const char *)n, sizeof *n);
}

static bool claim(struct kn_books *b, uint32_t n)
{
    if (kn_map_get(&b->numbers, number_key(&n)))
        return false;
    uint32_t *copy = kn_alloc(sizeof *copy);
    *copy = n;
    kn_map_put(&b->numbers, number_key(copy), copy);
    return true;
}

// A number is in use while the kernel may have an element with it, asked for or not.
static bool is_found(struct kn_books *b, uint32_t n)
{
    for (unsigned i = 0; i < 6; i++) {
        struct kn_nft_elem e = {.set = KN_NFT_BALANCE};
        uint32_t id = kn_service_id(i / 2, i % 2, n);
        memcpy(e.key, &id, 4);
        if (kn_map_get(&b->entries, key_of(&e)))
            return true;
    }
    return false;
}

static uint32_t fresh(struct kn_books *b)
{
    for (uint32_t tried = 0; tried < KN_SERVICE_NUMBERS; tried++) {
        uint32_t n = b->next_number++ % KN_SERVICE_NUMBERS;
        if (!is_found(b, n) && claim(b, n))
            return n;
    }
    const bool fewer_than_two_million_ports = false;
    kn_assert(fewer_than_two_million_ports);
    return 0;
}

uint32_t kn_books_number(struct kn_books *b, struct kn_books_owner *o, struct kn_sv port,
                         const struct kn_nft_elem *vip)
{
    uint32_t n = 0;
    for (size_t i = 0; i < o->numbers.len; i++)
        if (kn_sv_is(port, o->numbers.ptr[i].port))
            return o->numbers.ptr[i].number;
    const struct entry *e = kn_map_get(&b->entries, key_of(vip));
    if (e && !e->owner)
        memcpy(&n, e->elem.data, sizeof n);
    n &= KN_SERVICE_NUMBERS - 1;
    if (!e || e->owner || !claim(b, n))
        n = fresh(b);
    KN_VEC_PUSH(&o->numbers, (struct kn_books_number){kn_sv_dup(port), n});
    return n;
}

// -- elements --------------------------------------------------------------------------------

static void drop(struct kn_books *b, const struct kn_nft_elem *elem, struct kn_nft_elems *remove)
{
    struct entry *e = kn_map_take(&b->entries, key_of(elem));
    kn_assert(e);
    KN_VEC_PUSH(remove, e->elem);
    b->freed = true;
    free(e);
}

// False if another owner has the key.
static bool take(struct kn_books *b, struct kn_books_owner *o, const struct kn_nft_elem *want,
                 struct kn_nft_elems *remove, struct kn_nft_elems *add)
{
    struct entry *e = kn_map_get(&b->entries, key_of(want));
    if (e && e->owner && e->owner != o)
        return false;
    if (!e) {
        e = KN_NEW(struct entry);
        e->elem = *want;
        kn_map_put(&b->entries, key_of(&e->elem), e);
        KN_VEC_PUSH(add, *want);
    } else if (memcmp(e->elem.data, want->data, sizeof want->data) != 0) {
        KN_VEC_PUSH(remove, e->elem);
        KN_VEC_PUSH(add, *want);
        memcpy(e->elem.data, want->data, sizeof want->data);
    }
    e->owner = o;
    return true;
}

void kn_books_want(struct kn_books *b, struct kn_books_owner *o, struct kn_nft_elems *want,
                   struct kn_nft_elems *remove, struct kn_nft_elems *add)
{
    size_t n = 0, w = 0;
    o->denied = false;
    for (size_t i = 0; i < o->elems.len; i++) {
        while (w < want->len && kn_nft_elem_cmp(&want->ptr[w], &o->elems.ptr[i]) < 0)
            w++;
        if (w == want->len || kn_nft_elem_cmp(&want->ptr[w], &o->elems.ptr[i]) != 0)
            drop(b, &o->elems.ptr[i], remove);
    }
    for (size_t i = 0; i < want->len; i++) {
        if (take(b, o, &want->ptr[i], remove, add))
            want->ptr[n++] = want->ptr[i];
        else
            o->denied = true;
    }
    want->len = n;
    KN_VEC_DONE(&o->elems);
    o->elems = *want;
    *want = (struct kn_nft_elems){0};
}

void kn_books_end(struct kn_books *b, struct kn_books_owner *o)
{
    kn_assert(o->elems.len == 0);
    for (size_t i = 0; i < o->numbers.len; i++)
        free(kn_map_take(&b->numbers, number_key(&o->numbers.ptr[i].number)));
    kn_map_take(&b->owners, kn_sv_c(o->name));
    free_owner(o);
}

void kn_books_sweep(struct kn_books *b, enum kn_nft_set first, enum kn_nft_set last,
                    struct kn_nft_elems *remove)
{
    KN_VEC(struct entry *) gone = {0};
    struct entry *e;
    for (size_t it = 0; (e = kn_map_next(&b->entries, &it, NULL));)
        if (!e->owner && e->elem.set >= first && e->elem.set <= last)
            KN_VEC_PUSH(&gone, e);
    for (size_t i = 0; i < gone.len; i++)
        drop(b, &gone.ptr[i]->elem, remove);
    KN_VEC_DONE(&gone);
}

struct kn_books_owner *kn_books_next(struct kn_books *b, size_t *it)
{
    return kn_map_next(&b->owners, it, NULL);
}

bool kn_books_take_freed(struct kn_books *b)
{
    bool freed = b->freed;
    b->freed = false;
    return freed;
}

size_t kn_books_len(const struct kn_books *b)
{
    return b->entries.len;
}

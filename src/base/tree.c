#include "base/tree.h"

#include <string.h>

// A B-tree of minimum degree T: every node but the root holds between T-1 and 2T-1 elements.
#define T 16
#define MAX (2 * T - 1)

struct kn_tree_node {
    int n;
    int leaf;
    void *elems[MAX];
    struct kn_tree_node *kids[]; // MAX + 1, absent in leaves
};

static struct kn_tree_node *node_new(int leaf)
{
    size_t size = sizeof(struct kn_tree_node);
    if (!leaf)
        size += (MAX + 1) * sizeof(struct kn_tree_node *);
    struct kn_tree_node *x = kn_alloc(size);
    x->n = 0;
    x->leaf = leaf;
    return x;
}

void kn_tree_init(struct kn_tree *t, int (*compare)(const void *, const void *),
                  const void *(*key_of)(const void *))
{
    *t = (struct kn_tree){.compare = compare, .key_of = key_of};
}

static void node_free(struct kn_tree_node *x)
{
    if (!x->leaf)
        for (int i = 0; i <= x->n; i++)
            node_free(x->kids[i]);
    free(x);
}

void kn_tree_done(struct kn_tree *t)
{
    if (t->root)
        node_free(t->root);
    t->root = NULL;
    t->len = 0;
}

// Index of the first element that is not before the key; *equal says whether it is at the key.
static int search(const struct kn_tree *t, const struct kn_tree_node *x, const void *key,
                  int *equal)
{
    int lo = 0, hi = x->n;
    *equal = 0;
    while (lo < hi) {
        int mid = (lo + hi) / 2;
        int c = t->compare(key, x->elems[mid]);
        if (c == 0) {
            *equal = 1;
            return mid;
        }
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

void *kn_tree_get(const struct kn_tree *t, const void *key)
{
    for (const struct kn_tree_node *x = t->root; x;) {
        int equal, i = search(t, x, key, &equal);
        if (equal)
            return x->elems[i];
        x = x->leaf ? NULL : x->kids[i];
    }
    return NULL;
}

static void elems_insert(struct kn_tree_node *x, int i, void *e)
{
    memmove(&x->elems[i + 1], &x->elems[i], (size_t)(x->n - i) * sizeof x->elems[0]);
    x->elems[i] = e;
    x->n++;
}

// Splits the full child i of x in two around its middle element.
static void split(struct kn_tree_node *x, int i)
{
    struct kn_tree_node *y = x->kids[i], *z = node_new(y->leaf);
    z->n = T - 1;
    memcpy(z->elems, &y->elems[T], (T - 1) * sizeof y->elems[0]);
    if (!y->leaf)
        memcpy(z->kids, &y->kids[T], T * sizeof y->kids[0]);
    y->n = T - 1;
    memmove(&x->kids[i + 2], &x->kids[i + 1], (size_t)(x->n - i) * sizeof x->kids[0]);
    x->kids[i + 1] = z;
    elems_insert(x, i, y->elems[T - 1]);
}

void *kn_tree_put(struct kn_tree *t, void *element)
{
    const void *key = t->key_of(element);
    if (!t->root)
        t->root = node_new(1);
    if (t->root->n == MAX) {
        struct kn_tree_node *top = node_new(0);
        top->kids[0] = t->root;
        t->root = top;
        split(top, 0);
    }
    for (struct kn_tree_node *x = t->root;;) {
        int equal, i = search(t, x, key, &equal);
        if (equal) {
            void *old = x->elems[i];
            x->elems[i] = element;
            return old;
        }
        if (x->leaf) {
            elems_insert(x, i, element);
            t->len++;
            return NULL;
        }
        if (x->kids[i]->n == MAX) {
            split(x, i);
            continue; // the middle element that came up may be the one, or decides the side
        }
        x = x->kids[i];
    }
}

static void remove_at(struct kn_tree_node *x, int i)
{
    memmove(&x->elems[i], &x->elems[i + 1], (size_t)(x->n - i - 1) * sizeof x->elems[0]);
    x->n--;
}

// Joins child i, element i and child i + 1 of x into child i.
static void join(struct kn_tree_node *x, int i)
{
    struct kn_tree_node *y = x->kids[i], *z = x->kids[i + 1];
    y->elems[y->n] = x->elems[i];
    memcpy(&y->elems[y->n + 1], z->elems, (size_t)z->n * sizeof z->elems[0]);
    if (!y->leaf)
        memcpy(&y->kids[y->n + 1], z->kids, (size_t)(z->n + 1) * sizeof z->kids[0]);
    y->n += z->n + 1;
    memmove(&x->kids[i + 1], &x->kids[i + 2], (size_t)(x->n - i - 1) * sizeof x->kids[0]);
    remove_at(x, i);
    free(z);
}

// Makes sure that child i of x has at least T elements; returns the index where it is now.
static int fill(struct kn_tree_node *x, int i)
{
    struct kn_tree_node *c = x->kids[i];
    if (c->n >= T)
        return i;
    if (i > 0 && x->kids[i - 1]->n >= T) {
        struct kn_tree_node *l = x->kids[i - 1];
        if (!c->leaf) {
            memmove(&c->kids[1], &c->kids[0], (size_t)(c->n + 1) * sizeof c->kids[0]);
            c->kids[0] = l->kids[l->n];
        }
        elems_insert(c, 0, x->elems[i - 1]);
        x->elems[i - 1] = l->elems[--l->n];
        return i;
    }
    if (i < x->n && x->kids[i + 1]->n >= T) {
        struct kn_tree_node *r = x->kids[i + 1];
        c->elems[c->n++] = x->elems[i];
        x->elems[i] = r->elems[0];
        if (!c->leaf) {
            c->kids[c->n] = r->kids[0];
            memmove(&r->kids[0], &r->kids[1], (size_t)r->n * sizeof r->kids[0]);
        }
        remove_at(r, 0);
        return i;
    }
    if (i == x->n)
        i--;
    join(x, i);
    return i;
}

// Which element to take out of a subtree that has one to spare.
enum pick { PICK_KEY, PICK_FIRST, PICK_LAST };

static void *take_from(struct kn_tree *t, struct kn_tree_node *x, const void *key, enum pick pick)
{
    for (;;) {
        int equal = 0, i;
        if (pick == PICK_KEY)
            i = search(t, x, key, &equal);
        else
            i = pick == PICK_FIRST ? 0 : x->leaf ? x->n - 1 : x->n;
        if (x->leaf) {
            if (pick == PICK_KEY && !equal)
                return NULL;
            void *old = x->elems[i];
            remove_at(x, i);
            return old;
        }
        if (!equal) {
            x = x->kids[fill(x, i)];
            continue;
        }
        void *old = x->elems[i];
        if (x->kids[i]->n >= T) {
            x->elems[i] = take_from(t, x->kids[i], NULL, PICK_LAST);
            return old;
        }
        if (x->kids[i + 1]->n >= T) {
            x->elems[i] = take_from(t, x->kids[i + 1], NULL, PICK_FIRST);
            return old;
        }
        join(x, i);
        x = x->kids[i];
    }
}

void *kn_tree_take(struct kn_tree *t, const void *key)
{
    if (!t->root)
        return NULL;
    void *old = take_from(t, t->root, key, PICK_KEY);
    if (old)
        t->len--;
    if (t->root->n == 0) {
        struct kn_tree_node *r = t->root;
        t->root = r->leaf ? NULL : r->kids[0];
        free(r);
    }
    return old;
}

static int walk(const struct kn_tree *t, const struct kn_tree_node *x, const void *from,
                int (*visit)(void *, void *), void *arg)
{
    int equal = 0, i = from ? search(t, x, from, &equal) : 0;
    if (!x->leaf && !equal && !walk(t, x->kids[i], from, visit, arg))
        return 0;
    for (; i < x->n; i++) {
        if (!visit(x->elems[i], arg))
            return 0;
        if (!x->leaf && !walk(t, x->kids[i + 1], NULL, visit, arg))
            return 0;
    }
    return 1;
}

int kn_tree_walk(const struct kn_tree *t, const void *from, int (*visit)(void *, void *), void *arg)
{
    return t->root ? walk(t, t->root, from, visit, arg) : 1;
}

static int keep_first(void *element, void *arg)
{
    *(void **)arg = element;
    return 0;
}

void *kn_tree_first(const struct kn_tree *t, const void *from)
{
    void *e = NULL;
    kn_tree_walk(t, from, keep_first, &e);
    return e;
}

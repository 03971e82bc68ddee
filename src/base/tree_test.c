#include "base/tree.h"

#include "lib/ktest.h"

static int compare(const void *key, const void *element)
{
    int a = *(const int *)key, b = *(const int *)element;
    return a < b ? -1 : a > b;
}

static const void *key_of(const void *element)
{
    return element;
}

struct walk {
    int last;
    size_t seen;
    bool sorted;
};

static int check(void *element, void *arg)
{
    struct walk *w = arg;
    int n = *(int *)element;
    w->sorted = w->sorted && n > w->last;
    w->last = n;
    w->seen++;
    return 1;
}

#define RANGE 500

// Random insertions and removals beside a plain array that says what should be there.
KTEST(holds_the_same_as_a_plain_model)
{
    static int values[RANGE];
    static bool model[RANGE];
    struct kn_tree t;
    kn_tree_init(&t, compare, key_of);
    unsigned seed = 1;
    size_t count = 0;
    for (int step = 0; step < 40000; step++) {
        seed = seed * 1103515245u + 12345u;
        int n = (int)(seed >> 16) % RANGE;
        // phases that grow and phases that shrink
        bool put = (seed >> 8) % 100 < (step / 5000 % 2 ? 30u : 70u);
        values[n] = n;
        if (put) {
            ktest_true((kn_tree_put(&t, &values[n]) != NULL) == model[n]);
            count += !model[n];
            model[n] = true;
        } else {
            ktest_true(kn_tree_take(&t, &n) == (model[n] ? &values[n] : NULL));
            count -= model[n];
            model[n] = false;
        }
        ktest_eq_int(t.len, count);
        if (step % 500)
            continue;
        struct walk w = {-1, 0, true};
        kn_tree_walk(&t, NULL, check, &w);
        ktest_true(w.sorted);
        ktest_eq_int(w.seen, count);
        for (int i = 0; i < RANGE; i++)
            ktest_true((kn_tree_get(&t, &i) != NULL) == model[i]);
    }
    kn_tree_done(&t);
}

KTEST(walks_from_a_key_that_need_not_be_there)
{
    static int values[100];
    struct kn_tree t;
    kn_tree_init(&t, compare, key_of);
    for (int i = 0; i < 100; i++) {
        values[i] = i * 2;
        kn_tree_put(&t, &values[i]);
    }
    for (int from = -1; from < 200; from++) {
        int want = from < 0 ? 0 : from + from % 2;
        int *first = kn_tree_first(&t, &from);
        ktest_true(want >= 200 ? first == NULL : first && *first == want);
    }
    kn_tree_done(&t);
}

KTEST_MAIN(KTEST_CASE(holds_the_same_as_a_plain_model),
           KTEST_CASE(walks_from_a_key_that_need_not_be_there))

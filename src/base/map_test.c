#include "base/map.h"

#include "lib/ktest.h"

KTEST(holds_the_same_as_a_plain_model)
{
    static char names[300][8];
    static bool model[300];
    struct kn_map m;
    kn_map_init(&m);
    for (int i = 0; i < 300; i++)
        snprintf(names[i], sizeof names[i], "k%d", i);
    unsigned seed = 7;
    size_t count = 0;
    for (int step = 0; step < 30000; step++) {
        seed = seed * 1103515245u + 12345u;
        int n = (int)(seed >> 16) % 300;
        struct kn_sv key = kn_sv_c(names[n]);
        if ((seed >> 8) % 2) {
            ktest_true((kn_map_put(&m, key, names[n]) != NULL) == model[n]);
            count += !model[n];
            model[n] = true;
        } else {
            ktest_true((kn_map_take(&m, key) != NULL) == model[n]);
            count -= model[n];
            model[n] = false;
        }
        ktest_eq_int(m.len, count);
    }
    size_t it = 0, seen = 0;
    for (struct kn_sv key; kn_map_next(&m, &it, &key); seen++)
        ktest_true(kn_map_get(&m, key) != NULL);
    ktest_eq_int(seen, count);
    for (int i = 0; i < 300; i++)
        ktest_true((kn_map_get(&m, kn_sv_c(names[i])) != NULL) == model[i]);
    kn_map_done(&m);
}

KTEST(an_empty_map_has_nothing)
{
    struct kn_map m;
    kn_map_init(&m);
    ktest_true(!kn_map_get(&m, KN_SV("x")) && !kn_map_take(&m, KN_SV("x")));
    kn_map_put(&m, KN_SV_NULL, &m); // the empty name is a name
    ktest_true(kn_map_get(&m, KN_SV("")) == &m);
    kn_map_done(&m);
}

KTEST_MAIN(KTEST_CASE(holds_the_same_as_a_plain_model), KTEST_CASE(an_empty_map_has_nothing))

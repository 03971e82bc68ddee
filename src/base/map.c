#include "base/map.h"

#include <sys/random.h>

static uint64_t seed;

__attribute__((constructor)) static void seed_hash(void)
{
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed)
        seed = (uint64_t)(uintptr_t)&seed * 0x9E3779B97F4A7C15u;
}

static inline uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t m = (__uint128_t)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static inline uint64_t load(const unsigned char *p, size_t n)
{
    uint64_t v = 0;
    memcpy(&v, p, n);
    return v;
}

uint64_t kn_hash(const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    uint64_t h = seed ^ 0xA0761D6478BD642Fu;
    size_t n = len;
    while (n >= 16) {
        h = mix(load(p, 8) ^ 0xE7037ED1A0B428DBu, load(p + 8, 8) ^ h);
        p += 16;
        n -= 16;
    }
    uint64_t a = 0, b = 0;
    if (n >= 8) {
        a = load(p, 8);
        b = load(p + 8, n - 8);
    } else if (n) {
        a = load(p, n);
    }
    return mix(mix(a ^ 0x8EBC6AF09C88C6E3u, b ^ h), len ^ 0x589965CC75374CC3u ^ seed);
}

void kn_map_init(struct kn_map *m)
{
    *m = (struct kn_map){0};
}

void kn_map_done(struct kn_map *m)
{
    free(m->slots);
    *m = (struct kn_map){0};
}

static struct kn_map_slot *find(const struct kn_map *m, struct kn_sv key, uint32_t hash)
{
    for (uint32_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct kn_map_slot *s = &m->slots[i];
        if (!s->value || (s->hash == hash && kn_sv_eq(s->key, key)))
            return s;
    }
}

void *kn_map_get(const struct kn_map *m, struct kn_sv key)
{
    if (m->cap == 0)
        return NULL;
    return find(m, key, (uint32_t)kn_hash(key.ptr, key.len))->value;
}

static void grow(struct kn_map *m)
{
    struct kn_map old = *m;
    m->cap = old.cap ? old.cap * 2 : 8;
    m->slots = kn_calloc(m->cap, sizeof *m->slots);
    for (uint32_t i = 0; i < old.cap; i++)
        if (old.slots[i].value)
            *find(m, old.slots[i].key, old.slots[i].hash) = old.slots[i];
    free(old.slots);
}

void *kn_map_put(struct kn_map *m, struct kn_sv key, void *value)
{
    kn_assert(value);
    if (m->len + 1 > m->cap / 4 * 3)
        grow(m);
    uint32_t hash = (uint32_t)kn_hash(key.ptr, key.len);
    struct kn_map_slot *s = find(m, key, hash);
    void *old = s->value;
    if (!old)
        m->len++;
    *s = (struct kn_map_slot){key, value, hash};
    return old;
}

void *kn_map_take(struct kn_map *m, struct kn_sv key)
{
    if (m->cap == 0)
        return NULL;
    struct kn_map_slot *s = find(m, key, (uint32_t)kn_hash(key.ptr, key.len));
    void *old = s->value;
    if (!old)
        return NULL;
    // Close the gap: move back every slot of the run that may not lie beyond it.
    uint32_t mask = m->cap - 1, gap = (uint32_t)(s - m->slots);
    for (uint32_t i = (gap + 1) & mask; m->slots[i].value; i = (i + 1) & mask) {
        uint32_t home = m->slots[i].hash & mask;
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            m->slots[gap] = m->slots[i];
            gap = i;
        }
    }
    m->slots[gap].value = NULL;
    m->len--;
    return old;
}

void *kn_map_next(const struct kn_map *m, size_t *it, struct kn_sv *ret_key)
{
    for (; *it < m->cap; ++*it) {
        const struct kn_map_slot *s = &m->slots[*it];
        if (s->value) {
            if (ret_key)
                *ret_key = s->key;
            ++*it;
            return s->value;
        }
    }
    return NULL;
}

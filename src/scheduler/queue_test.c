#include "lib/ktest.h"
#include "scheduler/sched_impl.h"

static const struct kn_obj *object(const char *name, int priority)
{
    char text[256];
    snprintf(text, sizeof text,
             "{\"metadata\":{\"name\":\"%s\",\"uid\":\"%s\"},\"spec\":{\"priority\":%d}}", name,
             name, priority);
    const struct kn_obj *o;
    ktest_ok(kn_obj_parse(kn_sv_c(text), &o));
    return o;
}

static struct kn_sched_pod *pod(struct kn_sched *s, const char *name, int priority)
{
    const struct kn_obj *o = object(name, priority);
    struct kn_sched_pod *p = kn_sched_pod_new(o);
    kn_obj_unref(o);
    kn_map_put(&s->pods, p->obj->uid, p);
    kn_sched_queue_add(s, p);
    return p;
}

static struct kn_sched *begin(void)
{
    struct kn_sched *s = KN_NEW(struct kn_sched);
    kn_list_init(&s->waiting);
    return s;
}

static void end(struct kn_sched *s)
{
    kn_sched_done(s);
    free(s);
}

KTEST(higher_priority_comes_first_and_then_who_waits_longer)
{
    struct kn_sched *s = begin();
    static const struct {
        const char *name;
        int priority;
    } pods[] = {{"low", -5}, {"a", 0}, {"high", 1000}, {"b", 0}, {"top", 2000000000}, {"c", 0}};
    static const char *const order[] = {"top", "high", "a", "b", "c", "low"};
    for (size_t i = 0; i < KN_ARRAY_LEN(pods); i++)
        pod(s, pods[i].name, pods[i].priority)->since = (int64_t)i + 1;
    // `since` was set after they came: put each in its place anew
    struct kn_sched_pod *all[KN_ARRAY_LEN(pods)], *p;
    for (size_t i = 0; (p = kn_sched_queue_take(s)); i++)
        all[i] = p;
    for (size_t i = 0; i < KN_ARRAY_LEN(pods); i++)
        kn_sched_queue_add(s, all[i]);
    for (size_t i = 0; i < KN_ARRAY_LEN(order); i++)
        ktest_eq_sv(kn_sched_queue_take(s)->obj->name, order[i]);
    ktest_true(kn_sched_queue_take(s) == NULL);
    end(s);
}

// Each plugin is helped by its own events; a pod that it stood against comes back after its
// back-off.
KTEST(an_event_brings_back_only_whom_it_may_help)
{
    struct kn_sched *s = begin();
    size_t fit = 0, by_name = 0;
    for (size_t i = 0; kn_sched_plugins[i].name; i++) {
        fit = strcmp(kn_sched_plugins[i].name, "NodeResourcesFit") == 0 ? i : fit;
        by_name = strcmp(kn_sched_plugins[i].name, "NodeName") == 0 ? i : by_name;
    }
    pod(s, "room", 0);
    struct kn_sched_pod *room = kn_sched_queue_take(s);
    room->rejected = UINT64_C(1) << fit;
    kn_sched_queue_back(s, room, false);
    pod(s, "name", 0);
    struct kn_sched_pod *name = kn_sched_queue_take(s);
    name->rejected = UINT64_C(1) << by_name;
    kn_sched_queue_back(s, name, false);
    kn_sched_queue_event(s, KN_SCHED_VOLUME_CHANGED);
    ktest_eq_int(s->waiting_len, 2);
    kn_sched_queue_event(s, KN_SCHED_POD_GONE);
    ktest_eq_int(s->waiting_len, 1);
    ktest_eq_int(room->place, KN_SCHED_BACKOFF);
    ktest_true(kn_sched_queue_take(s) == NULL);
    ktest_eq_int(kn_sched_queue_tick(s, kn_mono()), room->due);
    kn_sched_queue_tick(s, room->due);
    ktest_true(kn_sched_queue_take(s) == room);
    end(s);
}

KTEST(a_pod_backs_off_longer_each_time_up_to_ten_seconds)
{
    static const int seconds[] = {1, 2, 4, 8, 10, 10};
    struct kn_sched *s = begin();
    pod(s, "p", 0);
    for (size_t i = 0; i < KN_ARRAY_LEN(seconds); i++) {
        struct kn_sched_pod *p = kn_sched_queue_take(s);
        int64_t before = kn_mono();
        kn_sched_queue_back(s, p, true);
        ktest_true(p->due >= before + seconds[i] * KN_SECOND);
        ktest_true(p->due < before + (seconds[i] + 1) * KN_SECOND);
        kn_sched_queue_tick(s, p->due);
    }
    end(s);
}

KTEST(who_waits_for_five_minutes_is_tried_again_in_any_case)
{
    struct kn_sched *s = begin();
    pod(s, "p", 0);
    struct kn_sched_pod *p = kn_sched_queue_take(s);
    p->rejected = 1;
    kn_sched_queue_back(s, p, false);
    int64_t when = kn_sched_queue_tick(s, kn_mono());
    ktest_true(when > kn_mono() + 299 * KN_SECOND && when < kn_mono() + 320 * KN_SECOND);
    kn_sched_queue_tick(s, when);
    ktest_true(kn_sched_queue_take(s) == p);
    end(s);
}

// What a pod asks for: the larger of its containers together and of any step of its initialization.
KTEST(counts_what_a_pod_asks_for)
{
    static const struct {
        const char *spec;
        int64_t cpu, memory;
    } cases[] = {
        {"{\"containers\":[{\"resources\":{\"requests\":{\"cpu\":\"100m\",\"memory\":\"1Mi\"}}},{"
         "\"resources\":{"
         "\"requests\":{\"cpu\":1}}}]}",
         1100, 1 << 20},
        {"{\"initContainers\":[{\"resources\":{\"requests\":{\"cpu\":\"2\"}}}],\"containers\":[{"
         "\"resources\":{"
         "\"requests\":{\"cpu\":\"500m\"}}}]}",
         2000, 0},
        {"{\"initContainers\":[{\"restartPolicy\":\"Always\",\"resources\":{\"requests\":{\"cpu\":"
         "\"1\"}}},{"
         "\"resources\":{\"requests\":{\"cpu\":\"2\"}}}],\"containers\":[{\"resources\":{"
         "\"requests\":{\"cpu\":"
         "\"1500m\"}}}],\"overhead\":{\"cpu\":\"10m\"}}",
         3010, 0},
        {"{\"resources\":{\"requests\":{\"cpu\":\"3\"}},\"containers\":[{\"resources\":{"
         "\"requests\":{\"cpu\":"
         "\"1\"}}}]}",
         3000, 0},
        {"{\"containers\":[{}]}", 0, 0},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        char text[1024];
        snprintf(text, sizeof text, "{\"metadata\":{\"name\":\"p\",\"uid\":\"u\"},\"spec\":%s}",
                 cases[i].spec);
        const struct kn_obj *o;
        ktest_ok(kn_obj_parse(kn_sv_c(text), &o));
        struct kn_sched_pod *p = kn_sched_pod_new(o);
        kn_obj_unref(o);
        ktest_eq_int(p->req.cpu, cases[i].cpu);
        ktest_eq_int(p->req.memory, cases[i].memory);
        kn_sched_pod_free(p);
    }
}

KTEST_MAIN(KTEST_CASE(higher_priority_comes_first_and_then_who_waits_longer),
           KTEST_CASE(an_event_brings_back_only_whom_it_may_help),
           KTEST_CASE(a_pod_backs_off_longer_each_time_up_to_ten_seconds),
           KTEST_CASE(who_waits_for_five_minutes_is_tried_again_in_any_case),
           KTEST_CASE(counts_what_a_pod_asks_for))

// How many pods a second the scheduler places: 5,000 nodes in three zones, default filters and
// scores, pods of deployments. The search alone: no API, no binding. scheduler_bench [nodes
// [pods]].
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "scheduler/sched_impl.h"

static const struct kn_obj *object(const char *text)
{
    const struct kn_obj *o = NULL;
    struct kn_status s = kn_obj_parse(kn_sv_c(text), &o);
    kn_assert(kn_ok(s));
    return o;
}

static void add_node(struct kn_sched *s, int i)
{
    char text[2048];
    snprintf(
        text, sizeof text,
        "{\"kind\":\"Node\",\"metadata\":{\"name\":\"node-%d\",\"labels\":{"
        "\"kubernetes.io/hostname\":\"node-%d\",\"kubernetes.io/os\":\"linux\","
        "\"topology.kubernetes.io/zone\":\"zone-%d\"}},\"spec\":{},\"status\":{\"allocatable\":{"
        "\"cpu\":\"16\",\"memory\":\"64Gi\",\"pods\":\"110\"},\"images\":[{\"names\":[\"nginx:1\"],"
        "\"sizeBytes\":%d}]}}",
        i, i, i % 3, i % 2 ? 50000000 : 0);
    const struct kn_obj *o = object(text);
    kn_sched_node_set(s, o);
    kn_obj_unref(o);
}

static void add_pod(struct kn_sched *s, int i)
{
    char text[2048];
    snprintf(
        text, sizeof text,
        "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"pod-%d\",\"namespace\":\"default\",\"uid\":"
        "\"uid-%d\",\"labels\":{\"app\":\"a%d\"},\"ownerReferences\":[{\"kind\":\"ReplicaSet\","
        "\"name\":\"rs%d\",\"uid\":\"owner-%d\",\"controller\":true}]},\"spec\":{\"containers\":[{"
        "\"name\":\"c\",\"image\":\"nginx:1\",\"resources\":{\"requests\":{\"cpu\":\"100m\","
        "\"memory\":\"128Mi\"}}}],\"tolerations\":[{\"key\":\"node.kubernetes.io/not-ready\","
        "\"operator\":\"Exists\",\"effect\":\"NoExecute\",\"tolerationSeconds\":300}]}}",
        i, i, i / 100, i / 100, i / 100);
    const struct kn_obj *o = object(text);
    struct kn_sched_pod *p = kn_sched_pod_new(o);
    kn_obj_unref(o);
    kn_map_put(&s->pods, p->obj->uid, p);
    kn_sched_queue_add(s, p);
}

int main(int argc, char **argv)
{
    int nodes = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 5000;
    int pods = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 20000;
    struct kn_sched *s = KN_NEW(struct kn_sched);
    kn_list_init(&s->waiting);
    for (int i = 0; i < nodes; i++)
        add_node(s, i);
    for (int i = 0; i < pods; i++)
        add_pod(s, i);
    int placed = 0;
    int64_t begun = kn_mono();
    for (struct kn_sched_pod *p; (p = kn_sched_queue_take(s)); placed++) {
        struct kn_sched_cycle c;
        kn_sched_cycle_init(&c, s, p);
        struct kn_sched_node *n = kn_sched_find(&c);
        kn_sched_cycle_done(&c);
        if (!n)
            break;
        kn_sched_place(s, p, n);
    }
    double seconds = (double)(kn_mono() - begun) / 1e9;
    printf(
        "scheduler: %d nodes, %d pods placed in %.3f s: %.0f pods/s (budget 10000, kube-scheduler "
        "680 to 810)\n",
        nodes, placed, seconds, placed / seconds);
    kn_sched_done(s);
    free(s);
    return placed == pods ? 0 : 1;
}

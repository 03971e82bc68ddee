// Inside the scheduler: what its thread knows of nodes and pods, and how plugins see it.
// All of it belongs to the scheduler's thread.
#pragma once
#include "base/map.h"
#include "base/thread.h"
#include "base/vec.h"
#include "client/client.h"
#include "meta/node_match.h"
#include "meta/selector.h"

// -- resources ------------------------------------------------------------------------------------

struct kn_res_item {
    struct kn_sv name;
    int64_t value;
};

struct kn_res {
    int64_t cpu;    // thousandths
    int64_t memory; // bytes
    int64_t ephemeral;
    const struct kn_res_item *items; // extended resources and huge pages
    size_t items_len;
};

// -- pods -----------------------------------------------------------------------------------------

struct kn_sched_port {
    struct kn_sv ip, protocol;
    int64_t port;
};

// One term of a pod's affinity or anti-affinity to other pods, or one spread constraint.
struct kn_sched_term {
    struct kn_selector *selector;    // NULL: nothing
    struct kn_selector *namespaces;  // selector of namespaces; NULL: none
    const struct kn_json *names;     // list of namespaces; NULL: see own_namespace
    bool own_namespace;              // neither list nor selector: the pod's own
    struct kn_sv topology_key;
    int64_t weight; // of a preferred term
    // of a spread constraint
    int64_t max_skew, min_domains;
    bool hard, honor_affinity, honor_taints;
};

typedef KN_VEC(struct kn_sched_term) kn_sched_terms;

enum kn_sched_place { // where a pod stands
    KN_SCHED_NOWHERE,  // not ours, gated, or being deleted
    KN_SCHED_ACTIVE,   // in the heap of those to schedule next
    KN_SCHED_BACKOFF,  // in the heap of those that come later
    KN_SCHED_WAITING,  // for an event that may help
    KN_SCHED_ON_NODE,  // bound, or assumed to be
};

struct kn_sched_node;

struct kn_sched_pod {
    const struct kn_obj *obj; // a reference
    struct kn_arena *arena;   // of what was parsed from it; NULL if nothing was
    enum kn_sched_place place;
    struct kn_sched_node *node;
    struct kn_list link; // of its node, or of those that wait
    bool assumed;        // chosen by us, binding not seen yet
    bool finished;       // Succeeded or Failed: needs nothing
    int32_t priority;
    struct kn_res req;
    int64_t nonzero_cpu, nonzero_memory; // as scores count containers that ask for nothing
    const struct kn_sched_port *ports;
    size_t ports_len;
    kn_sched_terms affinity, anti_affinity;           // required
    kn_sched_terms prefer_affinity, prefer_anti;      // preferred
    kn_sched_terms spread;
    struct kn_sv owner; // uid of its controller, or empty
    // of the queue
    size_t heap;      // 1-based place
    int64_t since;    // kn_mono when it came into the queue first: who waits longer comes first
    int64_t due;      // end of its back-off
    unsigned attempts;
    uint64_t rejected; // plugins that stood against it
};

// -- nodes ----------------------------------------------------------------------------------------

struct kn_sched_image {
    uint64_t hash; // of its name
    int64_t bytes;
};

struct kn_sched_node {
    const struct kn_obj *obj; // a reference; NULL: pods are on it, and it is not known
    // Read for every pod and every node, hence out of the object; what points, points into it.
    const struct kn_json *taints; // NULL: none
    bool unschedulable;
    uint32_t zone;        // number of its zone; 0: it has none
    bool has_hostname;
    uint64_t sibling_stamp; // of the attempt that counted `siblings`
    int64_t siblings;       // pods here of the controller of the pod that is being placed
    struct kn_sched_image *images; // in the order of their hashes; owned
    size_t images_len;
    char *name;
    size_t index; // in the list of known nodes
    struct kn_arena *arena; // of `allocatable`
    struct kn_res allocatable;
    int64_t max_pods;
    struct kn_res requested; // its items are owned here
    KN_VEC(struct kn_res_item) extended; // of `requested`; names are owned
    int64_t nonzero_cpu, nonzero_memory;
    struct kn_list pods;
    int64_t pod_count;
    size_t port_pods;     // pods with host ports
};

// -- plugins --------------------------------------------------------------------------------------

// Cluster events that may help pods that fit nowhere.
enum kn_sched_event {
    KN_SCHED_NODE_CHANGED = 1 << 0,  // a node came, or its resources, labels or taints changed
    KN_SCHED_POD_GONE = 1 << 1,      // something became free
    KN_SCHED_POD_PLACED = 1 << 2,    // a pod to be near to, or to be counted
    KN_SCHED_VOLUME_CHANGED = 1 << 3,
    KN_SCHED_ANY = 0xFF,
};

struct kn_sched_reason {
    struct kn_sv text;
    size_t count;
};

struct kn_sched_end {
    void (*end)(void *state);
    void *state;
};

// One attempt to place one pod.
struct kn_sched_cycle {
    struct kn_sched *sched;
    struct kn_sched_pod *pod;
    struct kn_arena *arena;
    KN_VEC(struct kn_sched_reason) reasons;
    size_t unresolvable; // nodes that no preemption would help
    size_t resolvable;
    bool node_unresolvable; // of the node that is being looked at
    uint64_t rejected;
    void *state[16]; // of each plugin, by its index
    struct kn_sv veto; // why no node can do; empty: go on
    struct kn_sched_end end[4]; // what plugins want to free; kn_sched_cycle_done calls them
    size_t end_len;
};

enum kn_sched_prepare { KN_SCHED_SKIP, KN_SCHED_GO, KN_SCHED_VETO };

struct kn_sched_plugin {
    const char *name;
    uint32_t helped_by; // enum kn_sched_event
    int64_t weight;
    // Once an attempt. NULL: always GO. SKIP: neither filter nor score is called. VETO: c->veto
    // says why.
    enum kn_sched_prepare (*prepare)(struct kn_sched_cycle *c, void **state);
    // Whether the pod may go to the node; says why not with kn_sched_reject.
    bool (*filter)(struct kn_sched_cycle *c, void *state, struct kn_sched_node *n);
    // A score of any range; then normalized to 0..100.
    int64_t (*score)(struct kn_sched_cycle *c, void *state, struct kn_sched_node *n);
    void (*normalize)(struct kn_sched_cycle *c, void *state, int64_t *scores, size_t len);
};

// In the order in which they are asked; ends with a NULL name.
extern const struct kn_sched_plugin kn_sched_plugins[];

// Adds a reason; returns false, so that a filter can return it. unresolvable: taking pods away from
// the node would not help.
bool kn_sched_reject(struct kn_sched_cycle *c, bool unresolvable, struct kn_sv why);
// Highest score becomes 100 (or 0, when reverse).
void kn_sched_normalize(int64_t *scores, size_t len, bool reverse);

struct kn_sched {
    struct kn_map nodes;                    // all, by name
    KN_VEC(struct kn_sched_node *) known;   // those with an object
    struct kn_map pods;                     // by uid
    struct kn_map owners;                   // uid of a controller -> struct kn_sched_owner
    KN_VEC(struct kn_sched_pod *) anti_pods;   // on nodes, with required anti-affinity
    KN_VEC(struct kn_sched_pod *) prefer_pods; // on nodes, with preferred or required terms
    struct kn_cache *namespaces, *claims, *volumes;
    size_t next_start; // node from which the next search begins
    uint64_t attempt;     // counts searches
    struct kn_map zones;  // name -> its number; names are owned
    uint32_t zones_len;
    // the queue
    KN_VEC(struct kn_sched_pod *) active, backoff;
    struct kn_list waiting;
    size_t waiting_len;
};

// Pods on nodes that have one controller.
struct kn_sched_owner {
    char *uid;
    KN_VEC(struct kn_sched_pod *) pods;
};

// pod.c
struct kn_sched_pod *kn_sched_pod_new(const struct kn_obj *obj);
void kn_sched_pod_parse(struct kn_sched_pod *p, const struct kn_obj *obj); // anew
void kn_sched_pod_free(struct kn_sched_pod *p);
struct kn_res kn_sched_resources(struct kn_arena *a, const struct kn_json *list); // a ResourceList
bool kn_sched_term_matches(struct kn_sched *s, const struct kn_sched_term *t, struct kn_sv own_ns,
                           const struct kn_obj *pod);

// node.c
struct kn_sched_node *kn_sched_node_of(struct kn_sched *s, struct kn_sv name); // makes it
// Whether something that matters to pods changed.
bool kn_sched_node_set(struct kn_sched *s, const struct kn_obj *obj);
void kn_sched_node_gone(struct kn_sched *s, struct kn_sv name);
void kn_sched_place(struct kn_sched *s, struct kn_sched_pod *p, struct kn_sched_node *n);
void kn_sched_displace(struct kn_sched *s, struct kn_sched_pod *p);
void kn_sched_done(struct kn_sched *s); // frees all nodes and pods
static inline struct kn_sv kn_sched_label(const struct kn_sched_node *n, struct kn_sv key)
{
    return kn_obj_label(n->obj, key);
}
static inline bool kn_sched_tolerates(const struct kn_obj *pod, const struct kn_json *taint)
{
    return kn_node_tolerated(KN_JSON_AT(pod->root, KN_K_spec, KN_K_tolerations), taint);
}
static inline bool kn_sched_has_label(const struct kn_sched_node *n, struct kn_sv key)
{
    return kn_json_get_sv(n->obj->labels, key) != NULL;
}

// queue.c
void kn_sched_queue_add(struct kn_sched *s, struct kn_sched_pod *p); // to be scheduled next
void kn_sched_queue_remove(struct kn_sched *s, struct kn_sched_pod *p);
struct kn_sched_pod *kn_sched_queue_take(struct kn_sched *s); // of the highest priority, or NULL
// It did not fit: waits for an event that helps the plugins in p->rejected. With `retry` it only
// backs off. No event is lost between: the thread that places pods is the one that hears of events.
void kn_sched_queue_back(struct kn_sched *s, struct kn_sched_pod *p, bool retry);
void kn_sched_queue_event(struct kn_sched *s, uint32_t events);
// Moves what is due; returns when to look again (kn_mono or KN_FOREVER).
int64_t kn_sched_queue_tick(struct kn_sched *s, int64_t now);

// plugins.c
// The best node, or NULL: then c has the reasons.
struct kn_sched_node *kn_sched_find(struct kn_sched_cycle *c);
void kn_sched_cycle_init(struct kn_sched_cycle *c, struct kn_sched *s, struct kn_sched_pod *p);
void kn_sched_cycle_done(struct kn_sched_cycle *c);
// "0/1 nodes are available: ..." as the event and the condition say it.
void kn_sched_explain(struct kn_sched_cycle *c, struct kn_buf *out);

// Plugins of other files.
enum kn_sched_prepare kn_sched_interpod_prepare(struct kn_sched_cycle *c, void **state);
bool kn_sched_interpod_filter(struct kn_sched_cycle *c, void *state, struct kn_sched_node *n);
int64_t kn_sched_interpod_score(struct kn_sched_cycle *c, void *state, struct kn_sched_node *n);
void kn_sched_interpod_normalize(struct kn_sched_cycle *c, void *state, int64_t *scores,
                                 size_t len);
enum kn_sched_prepare kn_sched_spread_prepare(struct kn_sched_cycle *c, void **state);
bool kn_sched_spread_filter(struct kn_sched_cycle *c, void *state, struct kn_sched_node *n);
int64_t kn_sched_spread_score(struct kn_sched_cycle *c, void *state, struct kn_sched_node *n);
void kn_sched_spread_normalize(struct kn_sched_cycle *c, void *state, int64_t *scores, size_t len);
enum kn_sched_prepare kn_sched_volumes_prepare(struct kn_sched_cycle *c, void **state);
bool kn_sched_volumes_filter(struct kn_sched_cycle *c, void *state, struct kn_sched_node *n);

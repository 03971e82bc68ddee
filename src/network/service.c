#include "network/service.h"

#include <limits.h>

#include "base/log.h"
#include "base/thread.h"
#include "network/conntrack.h"
#include "network/rtnl.h"
#include "network/service_books.h"
#include "network/service_frame.h"
#include "network/service_view.h"
#include "network/slice.h"
#include "network/sysctl.h"

#define CHECK_EVERY (30 * KN_SECOND) // whether table and route are still there
#define TRY_AGAIN KN_SECOND          // after the kernel refused a change
#define OWNER_TEXT 400

struct kn_services {
    struct kn_services_config config;
    char *node, *run_dir;
    char mark[KN_NFT_CHAIN_TEXT];
    unsigned by_service; // index of the slices
    pthread_t thread;

    pthread_mutex_t lock; // the kernel's side: held while it is changed; before `queue`
    struct kn_nl nl;
    struct kn_books *books;
    struct kn_map chains; // names that are there (char *)
    struct kn_nft_elems remove, add; // of the transaction that is being collected
    struct kn_nft_ways ways;
    struct kn_udp_places gone, fresh;
    struct kn_services_stats stats;
    bool broken;  // what the kernel has is not known: read it again
    unsigned in_row; // changes that it refused since the last pass that went well
    struct kn_map refused; // services that it was ("ns/name"): left out until they change
    bool sweep;  // the first pass after a reading: what nobody asked for goes

    pthread_mutex_t queue; // leaf
    pthread_cond_t more, done;
    struct kn_map dirty; // "ns/name" (char *)
    uint64_t asked, answered;
    bool stopping;
};

// -- the queue of services that changed ------------------------------------------------------

static void add_dirty(struct kn_services *s, struct kn_sv ns, struct kn_sv name)
{
    char *key;
    if (asprintf(&key, "%.*s/%.*s", KN_SV_ARG(ns), KN_SV_ARG(name)) < 0)
        abort();
    KN_LOCKED(&s->queue) {
        if (!kn_map_get(&s->dirty, kn_sv_c(key))) {
            kn_map_put(&s->dirty, kn_sv_c(key), key);
            key = NULL;
        }
        s->asked++;
        pthread_cond_signal(&s->more);
    }
    free(key);
}

static void on_service(void *arg, enum kn_event_type type, const struct kn_obj *obj,
                       const struct kn_obj *old)
{
    (void)old;
    if (type != KN_EVENT_BOOKMARK)
        add_dirty(arg, obj->ns, obj->name);
}

static void on_slice(void *arg, enum kn_event_type type, const struct kn_obj *obj,
                     const struct kn_obj *old)
{
    if (type == KN_EVENT_BOOKMARK)
        return;
    struct kn_sv now = kn_slice_service(obj), before = old ? kn_slice_service(old) : KN_SV_NULL;
    if (now.len)
        add_dirty(arg, obj->ns, now);
    if (before.len && !kn_sv_eq(before, now))
        add_dirty(arg, old->ns, before);
}

// -- reading the kernel ----------------------------------------------------------------------

static void note_chain(void *arg, struct kn_sv name)
{
    struct kn_services *s = arg;
    char *copy = kn_sv_dup(name);
    free(kn_map_put(&s->chains, kn_sv_c(copy), copy));
}

static void forget_chains(struct kn_services *s)
{
    void *name;
    for (size_t it = 0; (name = kn_map_next(&s->chains, &it, NULL));)
        free(name);
    kn_map_done(&s->chains);
    kn_map_init(&s->chains);
}

static struct kn_status list_chains(struct kn_services *s)
{
    forget_chains(s);
    struct kn_status st = kn_nft_chains(&s->nl, note_chain, s);
    if (st.code == KN_NOT_FOUND)
        kn_status_done(&st);
    return st;
}

static bool has_frame(const struct kn_services *s)
{
    return kn_map_get(&s->chains, kn_sv_c(s->mark)) != NULL;
}

static struct kn_status ensure_frame(struct kn_services *s)
{
    KN_TRY(list_chains(s));
    if (has_frame(s))
        return KN_STATUS_OK;
    struct kn_buf text = KN_BUF(256u << 10);
    kn_service_frame(&text, s->config.pods, s->config.services);
    struct kn_status st = kn_buf_status(&text, "the rules of services");
    if (kn_ok(st))
        st = kn_nft_run(kn_buf_sv(&text));
    kn_buf_done(&text);
    KN_TRY(st);
    return list_chains(s);
}

struct kept {
    struct kn_books_owner *owner;
    struct kn_nft_elems elems;
};

// What the kernel has becomes what the books say. Services are asked for anew; the pods' elements
// are known here alone, and are asked for at once.
static struct kn_status read_kernel(struct kn_services *s)
{
    struct kn_nft_elems found = {0};
    KN_VEC(struct kept) pods = {0};
    KN_TRY(ensure_frame(s));
    for (unsigned set = 0; set < KN_NFT_SETS; set++) {
        struct kn_status st = kn_nft_dump(&s->nl, (enum kn_nft_set)set, &found);
        if (!kn_ok(st)) {
            KN_VEC_DONE(&found);
            return st;
        }
    }
    struct kn_books_owner *o;
    for (size_t it = 0; (o = kn_books_next(s->books, &it));) {
        if (o->name[0] != 'p')
            continue;
        struct kept k = {.owner = o, .elems = o->elems};
        o->elems = (struct kn_nft_elems){0};
        KN_VEC_PUSH(&pods, k);
    }
    s->remove.len = s->add.len = s->gone.len = s->fresh.len = 0;
    kn_books_adopt(s->books, &found);
    for (size_t i = 0; i < pods.len; i++)
        kn_books_want(s->books, pods.ptr[i].owner, &pods.ptr[i].elems, &s->remove, &s->add);
    KN_VEC_DONE(&pods);
    s->sweep = true;
    s->broken = false;
    return KN_STATUS_OK;
}

// -- changing it -----------------------------------------------------------------------------

// The ways of choosing that are new become chains of the transaction.
static void find_new_ways(struct kn_services *s)
{
    s->ways.len = 0;
    for (size_t i = 0; i < s->add.len; i++) {
        struct kn_nft_way way;
        char name[KN_NFT_CHAIN_TEXT];
        if (s->add.ptr[i].set != KN_NFT_BALANCE)
            continue;
        memcpy(&way, s->add.ptr[i].data, sizeof way);
        kn_nft_way_chain(way, name);
        if (!way.slots || kn_map_get(&s->chains, kn_sv_c(name)))
            continue;
        KN_VEC_PUSH(&s->ways, way);
        note_chain(s, kn_sv_c(name));
    }
}

static struct kn_status commit(struct kn_services *s)
{
    struct kn_status st = KN_STATUS_OK;
    size_t changes = s->remove.len + s->add.len;
    find_new_ways(s);
    if (changes)
        st = kn_nft_commit(&s->nl, &s->ways, &s->remove, &s->add);
    if (kn_ok(st) && changes) {
        s->stats.commits++;
        s->stats.changes += changes;
    }
    if (kn_ok(st))
        kn_log_status(KN_LOG_WARN, kn_conntrack_forget(&s->gone, &s->fresh),
                      "UDP connections to former endpoints");
    else {
        s->stats.failures++;
        s->in_row++;
        s->broken = true;
    }
    s->remove.len = s->add.len = s->gone.len = s->fresh.len = 0;
    return st;
}

static bool has_place(const struct kn_udp_places *list, struct kn_udp_place p)
{
    for (size_t i = 0; i < list->len; i++)
        if (list->ptr[i].ip == p.ip && list->ptr[i].port == p.port)
            return true;
    return false;
}

// Appends what is in a and not in b.
static void difference(const struct kn_udp_places *a, const struct kn_udp_places *b,
                       struct kn_udp_places *out)
{
    for (size_t i = 0; i < a->len; i++)
        if (!has_place(b, a->ptr[i]))
            KN_VEC_PUSH(out, a->ptr[i]);
}

static void want(struct kn_services *s, struct kn_books_owner *o, struct kn_nft_elems *elems)
{
    struct kn_udp_places old_ep = {0}, old_vip = {0}, new_ep = {0}, new_vip = {0};
    kn_service_udp(&o->elems, &old_ep, &old_vip);
    kn_service_udp(elems, &new_ep, &new_vip);
    kn_books_want(s->books, o, elems, &s->remove, &s->add);
    difference(&old_ep, &new_ep, &s->gone);
    difference(&new_vip, &old_vip, &s->fresh);
    KN_VEC_DONE(&old_ep);
    KN_VEC_DONE(&old_vip);
    KN_VEC_DONE(&new_ep);
    KN_VEC_DONE(&new_vip);
}

static void sweep(struct kn_services *s, enum kn_nft_set first, enum kn_nft_set last)
{
    size_t before = s->remove.len;
    kn_books_sweep(s->books, first, last, &s->remove);
    struct kn_nft_elems swept = {.ptr = s->remove.ptr + before, .len = s->remove.len - before};
    struct kn_udp_places vips = {0};
    kn_service_udp(&swept, &s->gone, &vips);
    KN_VEC_DONE(&vips);
}

// -- one service -----------------------------------------------------------------------------

struct number_ctx {
    struct kn_books *books;
    struct kn_books_owner *owner;
};

static uint32_t number(void *ctx, struct kn_sv port, const struct kn_nft_elem *vip)
{
    const struct number_ctx *c = ctx;
    return kn_books_number(c->books, c->owner, port, vip);
}

static void update(struct kn_services *s, const char *key)
{
    char name[OWNER_TEXT + 4];
    struct kn_sv rest = kn_sv_c(key), ns = kn_sv_cut(&rest, '/');
    struct kn_nft_elems elems = {0};
    struct kn_slices slices = {0};
    snprintf(name, sizeof name, "s/%s", key);
    const struct kn_obj *service = kn_cache_get(s->config.service_cache, ns, rest);
    struct kn_books_owner *o =
        service ? kn_books_owner(s->books, name) : kn_books_find(s->books, name);
    bool left_out = kn_map_get(&s->refused, kn_sv_c(key)) != NULL;
    if (service && !left_out) {
        kn_slices_of(s->config.slice_cache, s->by_service, ns, rest, &slices);
        struct number_ctx ctx = {s->books, o};
        struct kn_service_input in = {.service = service,
                                      .slices = slices.ptr,
                                      .slices_len = slices.len,
                                      .node = kn_sv_c(s->node),
                                      .answered = s->config.dns,
                                      .number = number,
                                      .ctx = &ctx};
        kn_service_elems(&in, &elems);
    }
    if (o)
        want(s, o, &elems);
    if (o && o->denied)
        kn_warn("service %s: an address or port that it asks for belongs to another service", key);
    if (o && !service)
        kn_books_end(s->books, o);
    kn_slices_done(&slices);
    KN_VEC_DONE(&elems);
    kn_obj_unref(service);
}

// Those who were denied a key that is free now.
static void retry_denied(struct kn_services *s)
{
    KN_VEC(char *) keys = {0};
    struct kn_books_owner *o;
    if (!kn_books_take_freed(s->books))
        return;
    for (size_t it = 0; (o = kn_books_next(s->books, &it));)
        if (o->denied && o->name[0] == 's')
            KN_VEC_PUSH(&keys, kn_sv_dup(kn_sv_c(o->name + 2)));
    for (size_t i = 0; i < keys.len; i++) {
        update(s, keys.ptr[i]);
        free(keys.ptr[i]);
    }
    KN_VEC_DONE(&keys);
}

// -- the machine -----------------------------------------------------------------------------

// Calls of this node itself need a route to the services' addresses before they can be translated;
// a machine without a default route has none. source: see kn_services_config.node_ip.
static struct kn_status route_services(struct kn_services *s, struct kn_nl *nl, uint32_t source)
{
    struct kn_nl_msg m = KN_NL_MSG(4096);
    kn_rtnl_route(&m, true,
                  &(struct kn_route){.to = s->config.services.base,
                                     .bits = s->config.services.bits,
                                     .source = source,
                                     .index = 1});
    struct kn_status st = kn_nl_send(nl, &m, "route the addresses of services");
    kn_nl_msg_done(&m);
    return st;
}

// Answers to 127.0.0.1 may come in from other nodes.
static struct kn_status open_uplink(struct kn_services *s, struct kn_nl *nl)
{
    struct kn_link uplink;
    char dir[PATH_MAX], name[128];
    struct kn_status st = kn_link_default(nl, &uplink);
    if (st.code == KN_NOT_FOUND) {
        kn_status_done(&st);
        return st;
    }
    KN_TRY(st);
    snprintf(dir, sizeof dir, "%s/network/sysctl", s->run_dir);
    snprintf(name, sizeof name, "net/ipv4/conf/%s/route_localnet", uplink.name);
    return kn_sysctl_set(dir, name, "1");
}

// Again and again, because a machine's addresses and links come and go, and routes with them.
static struct kn_status prepare_machine(struct kn_services *s)
{
    struct kn_nl nl;
    KN_TRY(kn_nl_open(NETLINK_ROUTE, -1, &nl));
    struct kn_status st = route_services(s, &nl, s->config.node_ip);
    if (st.code == KN_INVALID && s->config.node_ip) { // the machine does not have this address now
        kn_status_done(&st);
        st = route_services(s, &nl, 0);
    }
    if (kn_ok(st))
        st = open_uplink(s, &nl);
    kn_nl_close(&nl);
    return st;
}

// -- the thread ------------------------------------------------------------------------------

static bool ask_for(void *arg, const struct kn_obj *service)
{
    add_dirty(arg, service->ns, service->name);
    return true;
}

static void ask_for_all(struct kn_services *s)
{
    struct kn_books_owner *o;
    kn_cache_list(s->config.service_cache, KN_SV_NULL, KN_SV_NULL, KN_SV_NULL, ask_for, s);
    for (size_t it = 0; (o = kn_books_next(s->books, &it));) {
        struct kn_sv rest = kn_sv_c(o->name + 2), ns = kn_sv_cut(&rest, '/');
        if (o->name[0] == 's')
            add_dirty(s, ns, rest);
    }
}

static uint64_t take_dirty(struct kn_services *s, struct kn_map *ret)
{
    uint64_t asked = 0;
    KN_LOCKED(&s->queue) {
        *ret = s->dirty;
        kn_map_init(&s->dirty);
        asked = s->asked;
    }
    return asked;
}

static void free_keys(struct kn_map *keys)
{
    void *key;
    for (size_t it = 0; (key = kn_map_next(keys, &it, NULL));)
        free(key);
    kn_map_done(keys);
}

// The kernel refused a change although it had been read afresh: then each service is a transaction
// of its own, and one that is refused is left out: nobody's service may keep others from working.
static struct kn_status update_one(struct kn_services *s, const char *key)
{
    update(s, key);
    if (s->in_row < 2)
        return KN_STATUS_OK;
    struct kn_status st = commit(s);
    if (!kn_ok(st) && !kn_map_get(&s->refused, kn_sv_c(key))) {
        char *copy = kn_sv_dup(kn_sv_c(key));
        kn_map_put(&s->refused, kn_sv_c(copy), copy);
        st = kn_wrap(st, "service %s is left out", key);
    }
    return st;
}

// A service that has changed may try again.
static void forgive(struct kn_services *s, const struct kn_map *keys)
{
    const char *key;
    for (size_t it = 0; s->refused.len && (key = kn_map_next(keys, &it, NULL));)
        free(kn_map_take(&s->refused, kn_sv_c(key)));
}

// Does all that is waiting. Under `lock`.
static struct kn_status work(struct kn_services *s)
{
    struct kn_map keys;
    const char *key;
    bool all = s->broken;
    if (all) {
        KN_TRY(read_kernel(s));
        ask_for_all(s);
    }
    uint64_t asked = take_dirty(s, &keys);
    if (!all)
        forgive(s, &keys);
    struct kn_status st = KN_STATUS_OK;
    for (size_t it = 0; kn_ok(st) && (key = kn_map_next(&keys, &it, NULL));)
        st = update_one(s, key);
    free_keys(&keys);
    KN_TRY(st);
    if (s->sweep)
        sweep(s, KN_NFT_EP, KN_NFT_REFUSED_PORT);
    s->sweep = false;
    retry_denied(s);
    KN_TRY(commit(s));
    s->in_row = 0;
    KN_LOCKED(&s->queue) {
        s->answered = asked;
        pthread_cond_broadcast(&s->done);
    }
    return KN_STATUS_OK;
}

static void check_machine(struct kn_services *s)
{
    kn_log_status(KN_LOG_WARN, prepare_machine(s), "prepare the machine for services");
    struct kn_status st = list_chains(s);
    if (kn_ok(st) && !has_frame(s)) {
        kn_warn("the table " KN_NFT_TABLE
                " of nftables has been removed by somebody: writing it again");
        s->broken = true;
    }
    kn_log_status(KN_LOG_WARN, st, "look for the table of services");
}

static void *run(void *arg)
{
    struct kn_services *s = arg;
    int64_t check_at = kn_mono() + CHECK_EVERY;
    bool again = false;
    for (;;) {
        bool stopping = false;
        KN_LOCKED(&s->queue) {
            int64_t until = again ? kn_mono() + TRY_AGAIN : check_at;
            while (!s->stopping && (again || s->dirty.len == 0) &&
                   kn_cond_wait(&s->more, &s->queue, until))
                ;
            stopping = s->stopping;
        }
        if (stopping)
            return NULL;
        KN_LOCKED(&s->lock) {
            if (kn_mono() >= check_at) {
                check_machine(s);
                check_at = kn_mono() + CHECK_EVERY;
            }
            again = !kn_log_status(KN_LOG_ERROR, work(s), "services: trying again");
            again = again || s->broken;
        }
    }
}

// -- pods ------------------------------------------------------------------------------------

static struct kn_status settle(struct kn_services *s)
{
    struct kn_status st = commit(s);
    if (kn_ok(st) || !s->broken)
        return st;
    // the books were wrong: the same once more, from what the kernel has
    kn_log_status(KN_LOG_WARN, st, "services: reading the kernel again");
    KN_TRY(read_kernel(s));
    ask_for_all(s);
    return commit(s);
}

static void want_pod(struct kn_services *s, const struct kn_lease *lease, bool present)
{
    char name[80];
    struct kn_nft_elems elems = {0};
    snprintf(name, sizeof name, "p/%s", lease->uid);
    struct kn_books_owner *o =
        present ? kn_books_owner(s->books, name) : kn_books_find(s->books, name);
    if (present)
        kn_pod_elems(lease, &elems);
    if (o)
        want(s, o, &elems);
    if (o && !present)
        kn_books_end(s->books, o);
    KN_VEC_DONE(&elems);
}

static struct kn_status set_pod(void *arg, const struct kn_lease *lease)
{
    struct kn_services *s = arg;
    struct kn_status st = KN_STATUS_OK;
    KN_LOCKED(&s->lock) {
        want_pod(s, lease, true);
        st = settle(s);
    }
    return kn_wrap(st, "host ports of pod %s", lease->pod);
}

static struct kn_status drop_pod(void *arg, const struct kn_lease *lease)
{
    struct kn_services *s = arg;
    struct kn_status st = KN_STATUS_OK;
    KN_LOCKED(&s->lock) {
        want_pod(s, lease, false);
        st = settle(s);
    }
    return kn_wrap(st, "host ports of pod %s", lease->pod);
}

static bool keep_one(void *arg, const struct kn_lease *lease)
{
    want_pod(arg, lease, true);
    return true;
}

static struct kn_status keep_pods(void *arg, struct kn_leases *leases)
{
    struct kn_services *s = arg;
    struct kn_status st = KN_STATUS_OK;
    KN_LOCKED(&s->lock) {
        kn_leases_each(leases, keep_one, s);
        sweep(s, KN_NFT_HAIRPIN, KN_NFT_HOSTPORT_IP);
        st = settle(s);
    }
    return kn_wrap(st, "host ports of pods");
}

struct kn_pod_sink kn_services_pod_sink(struct kn_services *s)
{
    return (struct kn_pod_sink){s, set_pod, drop_pod, keep_pods};
}

// -- start and stop --------------------------------------------------------------------------

static struct kn_status start(struct kn_services *s)
{
    KN_TRY(kn_nft_open(&s->nl));
    KN_TRY(prepare_machine(s));
    KN_TRY(read_kernel(s));
    s->by_service = kn_cache_add_index(s->config.slice_cache, kn_slice_by_service);
    kn_cache_subscribe(s->config.service_cache, on_service, s, true);
    kn_cache_subscribe(s->config.slice_cache, on_slice, s, true);
    struct kn_status st = kn_thread_start(&s->thread, "services", 0, run, s);
    if (!kn_ok(st)) {
        kn_cache_unsubscribe(s->config.service_cache, on_service, s);
        kn_cache_unsubscribe(s->config.slice_cache, on_slice, s);
    }
    return st;
}

static void end(struct kn_services *s)
{
    kn_nl_close(&s->nl);
    kn_books_free(s->books);
    forget_chains(s);
    kn_map_done(&s->chains);
    free_keys(&s->dirty);
    free_keys(&s->refused);
    KN_VEC_DONE(&s->remove);
    KN_VEC_DONE(&s->add);
    KN_VEC_DONE(&s->ways);
    KN_VEC_DONE(&s->gone);
    KN_VEC_DONE(&s->fresh);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->queue);
    pthread_cond_destroy(&s->more);
    pthread_cond_destroy(&s->done);
    free(s->node);
    free(s->run_dir);
    free(s);
}

struct kn_status kn_services_start(const struct kn_services_config *config,
                                   struct kn_services **ret)
{
    struct kn_services *s = KN_NEW(struct kn_services);
    s->config = *config;
    s->node = kn_sv_dup(config->node);
    s->run_dir = kn_sv_dup(kn_sv_c(config->run_dir));
    s->nl.fd = -1;
    s->books = kn_books_new();
    kn_map_init(&s->chains);
    kn_map_init(&s->dirty);
    kn_map_init(&s->refused);
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->queue, NULL);
    kn_cond_init(&s->more);
    kn_cond_init(&s->done);
    kn_service_frame_mark(config->pods, config->services, s->mark);
    struct kn_status st = start(s);
    if (!kn_ok(st)) {
        end(s);
        return kn_wrap(st, "start the services of this node");
    }
    // so that even without a service the first pass removes what is left of former ones
    add_dirty(s, KN_SV_NULL, KN_SV_NULL);
    *ret = s;
    return KN_STATUS_OK;
}

void kn_services_stop(struct kn_services *s)
{
    if (!s)
        return;
    kn_cache_unsubscribe(s->config.service_cache, on_service, s);
    kn_cache_unsubscribe(s->config.slice_cache, on_slice, s);
    KN_LOCKED(&s->queue) {
        s->stopping = true;
        pthread_cond_signal(&s->more);
    }
    kn_thread_join(s->thread);
    end(s);
}

struct kn_status kn_services_wait(struct kn_services *s, int64_t deadline)
{
    bool good = true;
    KN_LOCKED(&s->queue) {
        uint64_t want_answer = s->asked;
        while (s->answered < want_answer && good)
            good = kn_cond_wait(&s->done, &s->queue, deadline);
    }
    return good ? KN_STATUS_OK
                : kn_error(KN_TIMEOUT, "services: not everything is in the kernel yet");
}

void kn_services_get_stats(struct kn_services *s, struct kn_services_stats *ret)
{
    KN_LOCKED(&s->lock) {
        *ret = s->stats;
        ret->elements = kn_books_len(s->books);
        ret->services = 0;
        struct kn_books_owner *o;
        for (size_t it = 0; (o = kn_books_next(s->books, &it));)
            ret->services += o->name[0] == 's' && o->elems.len > 0;
    }
}

struct kn_status kn_services_reset(void)
{
    struct kn_nl nl;
    KN_TRY(kn_nft_open(&nl));
    struct kn_status s = kn_nft_remove_table(&nl);
    kn_nl_close(&nl);
    KN_TRY(s);
    KN_TRY(kn_nl_open(NETLINK_ROUTE, -1, &nl));
    s = kn_rtnl_routes_remove(&nl);
    kn_nl_close(&nl);
    return kn_wrap(s, "reset the services of this node");
}

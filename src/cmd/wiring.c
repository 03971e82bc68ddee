#include "cmd/wiring.h"

#include <stdlib.h>

#include "network/pod.h"

struct kn_wiring {
    struct kn_pod_nets *nets;
    struct kn_pod_network adapter;
};

static struct kn_pod_net request(const struct kn_pod_net_request *r)
{
    return (struct kn_pod_net){r->netns, r->ns, r->name, r->uid, r->spec};
}

static struct kn_status setup(void *arg, const struct kn_pod_net_request *r, struct kn_arena *a,
                              struct kn_sv *ret_ip)
{
    struct kn_wiring *w = arg;
    struct kn_pod_net pod = request(r);
    return kn_pod_nets_setup(w->nets, &pod, a, ret_ip);
}

static struct kn_status restore(void *arg, const struct kn_pod_net_request *r, struct kn_arena *a,
                                struct kn_sv *ret_ip)
{
    struct kn_wiring *w = arg;
    struct kn_pod_net pod = request(r);
    return kn_pod_nets_restore(w->nets, &pod, a, ret_ip);
}

static struct kn_status teardown(void *arg, const struct kn_pod_net_request *r)
{
    struct kn_wiring *w = arg;
    struct kn_pod_net pod = request(r);
    return kn_pod_nets_teardown(w->nets, &pod);
}

struct kn_status kn_wiring_open(const struct kn_site *s, struct kn_client *client,
                                struct kn_wiring **ret)
{
    (void)client;
    struct kn_wiring *w = KN_NEW(struct kn_wiring);
    struct kn_pod_nets_config config = {.run_dir = s->run};
    struct kn_status st = kn_net4_parse(kn_sv_c(s->pod_cidr), &config.net);
    if (kn_ok(st))
        st = kn_pod_nets_open(&config, &w->nets);
    if (!kn_ok(st)) {
        free(w);
        return kn_wrap(st, "the network of pods");
    }
    w->adapter = (struct kn_pod_network){w, setup, restore, teardown};
    *ret = w;
    return KN_STATUS_OK;
}

struct kn_pod_network *kn_wiring_pod_network(struct kn_wiring *w)
{
    return &w->adapter;
}

void kn_wiring_close(struct kn_wiring *w)
{
    if (!w)
        return;
    kn_pod_nets_close(w->nets);
    free(w);
}

struct kn_status kn_wiring_reset_network(const struct kn_site *s)
{
    return kn_pod_nets_reset(s->run);
}

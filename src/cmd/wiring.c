#include "cmd/wiring.h"

#include <stdlib.h>

#include <arpa/inet.h>

#include "network/dns.h"
#include "network/pod.h"
#include "network/service.h"

#define FILL_PATIENCE (30 * KN_SECOND)

struct kn_wiring {
    struct kn_services *services;
    struct kn_dns *dns;
    struct kn_pod_nets *nets;
    struct kn_pod_network adapter;
    struct kn_cache *service_cache;
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

static uint32_t ip_of(const char *text)
{
    struct in_addr a;
    return inet_pton(AF_INET, text, &a) == 1 ? ntohl(a.s_addr) : 0;
}

static struct kn_status start_services(const struct kn_site *s, struct kn_client *client,
                                       struct kn_net4 pods, struct kn_wiring *w)
{
    struct kn_services_config c = {.run_dir = s->run, .node = kn_sv_c(s->node_name), .pods = pods};
    c.node_ip = ip_of(s->host_ip);
    c.dns = ip_of(s->cluster_dns);
    KN_TRY(kn_net4_parse(kn_sv_c(s->service_cidr), &c.services));
    int64_t deadline = kn_mono() + FILL_PATIENCE;
    const struct kn_resource *slices =
        kn_resource_find(KN_SV("discovery.k8s.io"), KN_SV("v1"), KN_SV("endpointslices"));
    const struct kn_resource *services =
        kn_resource_find(KN_SV(""), KN_SV("v1"), KN_SV("services"));
    KN_TRY(kn_client_cache(client, services, NULL, deadline, &c.service_cache));
    KN_TRY(kn_client_cache(client, slices, NULL, deadline, &c.slice_cache));
    w->service_cache = c.service_cache;
    KN_TRY(kn_services_start(&c, &w->services));
    struct kn_dns_config d = {.domain = kn_sv_c(s->domain),
                              .address = c.dns,
                              .port = 53,
                              .pods = pods,
                              .services = c.services,
                              .service_cache = c.service_cache,
                              .slice_cache = c.slice_cache,
                              .resolv_conf = "/etc/resolv.conf"};
    return kn_wrap(kn_dns_start(&d, &w->dns), "the cluster's names");
}

struct kn_status kn_wiring_open(const struct kn_site *s, struct kn_client *client,
                                struct kn_wiring **ret)
{
    struct kn_wiring *w = KN_NEW(struct kn_wiring);
    struct kn_pod_nets_config config = {.run_dir = s->run};
    struct kn_status st = kn_net4_parse(kn_sv_c(s->pod_cidr), &config.net);
    if (kn_ok(st))
        st = kn_wrap(start_services(s, client, config.net, w), "the network of services");
    if (kn_ok(st)) {
        config.sink = kn_services_pod_sink(w->services);
        st = kn_wrap(kn_pod_nets_open(&config, &w->nets), "the network of pods");
    }
    if (!kn_ok(st)) {
        kn_wiring_close(w);
        return st;
    }
    w->adapter = (struct kn_pod_network){w, setup, restore, teardown};
    *ret = w;
    return KN_STATUS_OK;
}

struct kn_pod_network *kn_wiring_pod_network(struct kn_wiring *w)
{
    return &w->adapter;
}

struct kn_cache *kn_wiring_service_cache(struct kn_wiring *w)
{
    return w->service_cache;
}

void kn_wiring_close(struct kn_wiring *w)
{
    if (!w)
        return;
    if (w->nets)
        kn_pod_nets_close(w->nets);
    if (w->dns)
        kn_dns_stop(w->dns);
    if (w->services)
        kn_services_stop(w->services);
    free(w);
}

struct kn_status kn_wiring_reset_network(const struct kn_site *s)
{
    struct kn_status all[] = {kn_services_reset(), kn_dns_reset(ip_of(s->cluster_dns)),
                              kn_pod_nets_reset(s->run)};
    struct kn_status first = KN_STATUS_OK; // all are tried; the first failure is told
    for (size_t i = 0; i < KN_ARRAY_LEN(all); i++) {
        if (kn_ok(first))
            first = all[i];
        else
            kn_status_done(&all[i]);
    }
    return first;
}

// The packet filter and the name server of a node, in a network namespace of its own: 10,000
// services with three endpoints each are programmed; then one endpoint changes, many times, and the
// time from the change in the cache to the kernel's acknowledgement is measured; then names are
// asked. Run as root. DESIGN.md section 11: a change in 5 ms.
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/file.h"
#include "codec/dns.h"
#include "network/dns.h"
#include "network/service.h"
#include "network/testing.h"

#define SERVICES 10000
#define CHANGES 1000
#define QUESTIONS 20000

static void check(struct kn_status s)
{
    if (kn_ok(s))
        return;
    fprintf(stderr, "%s\n", kn_status_text(&s));
    exit(1);
}

static void put(struct kn_cache *c, const char *text)
{
    const struct kn_obj *o;
    check(kn_obj_parse(kn_sv_c(text), &o));
    kn_cache_put(c, o);
    kn_obj_unref(o);
}

static void put_service(struct kn_cache *c, int i)
{
    char text[512];
    snprintf(text, sizeof text,
             "{\"metadata\":{\"name\":\"s%d\",\"namespace\":\"d\",\"uid\":\"s%d\"},\"spec\":{"
             "\"clusterIP\":\"10.%d.%d.%d\",\"ports\":[{\"port\":80}]}}",
             i, i, 97 + i / 40000, i / 200 % 200, i % 200 + 1);
    put(c, text);
}

static void put_slice(struct kn_cache *c, int i, int last)
{
    char text[1024];
    snprintf(text, sizeof text,
             "{\"metadata\":{\"name\":\"s%d-x\",\"namespace\":\"d\",\"uid\":\"x%d\",\"labels\":{"
             "\"kubernetes.io/"
             "service-name\":\"s%d\"}},\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"\",\"port\":"
             "8080}],"
             "\"endpoints\":[{\"addresses\":[\"10.244.1.1\"]},{\"addresses\":[\"10.244.1.2\"]},{"
             "\"addresses\":"
             "[\"10.244.2.%d\"]}]}",
             i, i, i, last);
    put(c, text);
}

static int compare(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static void ask_names(struct kn_cache *services, struct kn_cache *slices)
{
    struct kn_dns *dns;
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(0x0a60000a)};
    char name[64], in[512];
    check(kn_dns_start(&(struct kn_dns_config){.domain = KN_SV("cluster.local"),
                                               .address = 0x0a60000a,
                                               .port = 53,
                                               .service_cache = services,
                                               .slice_cache = slices,
                                               .resolv_conf = "/dev/null"},
                       &dns));
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        exit(1);
    int64_t begin = kn_mono();
    for (int i = 0; i < QUESTIONS; i++) {
        struct kn_buf q = KN_BUF(4096);
        snprintf(name, sizeof name, "s%d.d.svc.cluster.local", i % SERVICES);
        kn_dns_query(&q, (uint16_t)i, kn_sv_c(name), KN_DNS_A, true);
        if (send(fd, q.ptr, q.len, 0) < 0 || recv(fd, in, sizeof in, 0) < 12)
            exit(1);
        kn_buf_done(&q);
    }
    printf("names, one at a time            %8.0f a second\n",
           QUESTIONS / ((double)(kn_mono() - begin) / 1e9));
    close(fd);
    kn_dns_stop(dns);
}

int main(void)
{
    static int64_t times[CHANGES];
    struct kn_cache *services = kn_cache_new(), *slices = kn_cache_new();
    struct kn_services *s;
    if (!kn_lab_begin())
        return 1;
    for (int i = 0; i < SERVICES; i++) {
        put_service(services, i);
        put_slice(slices, i, 3);
    }
    struct kn_services_config config = {.run_dir = kn_lab_dir(),
                                        .node = KN_SV("n"),
                                        .pods = {0x0af40000, 16},
                                        .services = {0x0a600000, 12},
                                        .service_cache = services,
                                        .slice_cache = slices};
    int64_t begin = kn_mono();
    check(kn_services_start(&config, &s));
    check(kn_services_wait(s, begin + 60 * KN_SECOND));
    printf("%d services, all new         %8.1f ms\n", SERVICES, (double)(kn_mono() - begin) / 1e6);
    kn_services_stop(s);
    begin = kn_mono();
    check(kn_services_start(&config, &s));
    check(kn_services_wait(s, begin + 60 * KN_SECOND));
    printf("%d services, adopted         %8.1f ms\n", SERVICES, (double)(kn_mono() - begin) / 1e6);
    for (int i = 0; i < CHANGES; i++) {
        begin = kn_mono();
        put_slice(slices, i % SERVICES, 4 + i % 200);
        check(kn_services_wait(s, begin + 60 * KN_SECOND));
        times[i] = kn_mono() - begin;
    }
    qsort(times, CHANGES, sizeof *times, compare);
    printf("one endpoint changes, p50 / p99 %8.3f / %.3f ms (budget 5 ms)\n",
           (double)times[CHANGES / 2] / 1e6, (double)times[CHANGES * 99 / 100] / 1e6);
    ask_names(services, slices);
    kn_services_stop(s);
    kn_cache_free(services);
    kn_cache_free(slices);
    return 0;
}

#include "node/service_env.h"

#include "lib/ktest.h"

static char text[4096];

static void take(void *ctx, struct kn_sv name, struct kn_sv value)
{
    size_t n = strlen(text);
    (void)ctx;
    snprintf(text + n, sizeof text - n, "%.*s=%.*s\n", KN_SV_ARG(name), KN_SV_ARG(value));
}

static void put(struct kn_cache *c, const char *ns, const char *name, const char *spec)
{
    char body[1024];
    const struct kn_obj *o;
    snprintf(body, sizeof body, "{\"metadata\":{\"namespace\":\"%s\",\"name\":\"%s\"},\"spec\":%s}", ns, name, spec);
    ktest_ok(kn_obj_parse(kn_sv_c(body), &o));
    kn_cache_put(c, o);
    kn_obj_unref(o);
}

#define KUBERNETES                                                                                 \
    "KUBERNETES_SERVICE_HOST=10.96.0.1\nKUBERNETES_SERVICE_PORT=443\nKUBERNETES_PORT=tcp://10.96.0.1:443\n" \
    "KUBERNETES_SERVICE_PORT_HTTPS=443\nKUBERNETES_PORT_443_TCP=tcp://10.96.0.1:443\n"             \
    "KUBERNETES_PORT_443_TCP_PROTO=tcp\nKUBERNETES_PORT_443_TCP_PORT=443\nKUBERNETES_PORT_443_TCP_ADDR=10.96.0.1\n"

KTEST(tells_of_the_api_always_and_of_the_namespace_when_links_are_wanted)
{
    struct kn_cache *c = kn_cache_new();
    put(c, "default", "kubernetes", "{\"clusterIP\":\"10.96.0.1\",\"ports\":[{\"name\":\"https\",\"port\":443}]}");
    put(c, "mine", "my-dns", "{\"clusterIP\":\"10.96.0.9\",\"ports\":[{\"port\":53,\"protocol\":\"UDP\"}]}");
    put(c, "mine", "headless", "{\"clusterIP\":\"None\",\"ports\":[{\"port\":1}]}");
    put(c, "mine", "outside", "{\"externalName\":\"example.com\"}");
    put(c, "other", "not-ours", "{\"clusterIP\":\"10.96.0.8\",\"ports\":[{\"port\":1}]}");
    text[0] = '\0';
    kn_service_env(c, KN_SV("mine"), false, take, NULL);
    ktest_eq_str(text, KUBERNETES);
    text[0] = '\0';
    kn_service_env(c, KN_SV("mine"), true, take, NULL);
    ktest_eq_str(text, KUBERNETES "MY_DNS_SERVICE_HOST=10.96.0.9\nMY_DNS_SERVICE_PORT=53\n"
                       "MY_DNS_PORT=udp://10.96.0.9:53\nMY_DNS_PORT_53_UDP=udp://10.96.0.9:53\n"
                       "MY_DNS_PORT_53_UDP_PROTO=udp\nMY_DNS_PORT_53_UDP_PORT=53\nMY_DNS_PORT_53_UDP_ADDR=10.96.0.9\n");
    kn_cache_free(c);
}

int main(void)
{
    const struct CMUnitTest all[] = {
        KTEST_CASE(tells_of_the_api_always_and_of_the_namespace_when_links_are_wanted),
    };
    return cmocka_run_group_tests_name("service_env", all, NULL, NULL);
}

#include "node/service_env.h"

#define NAME_MAX_TEXT 400 // a service's name has 63 bytes, a port's 15

struct walk {
    kn_env_add *add;
    void *ctx;
};

// "my-name" as a shell can call it: MY_NAME.
static void shout(struct kn_sv name, char out[64])
{
    size_t n = 0;
    for (; n < name.len && n < 63; n++) {
        char c = name.ptr[n];
        out[n] = (char)(c >= 'a' && c <= 'z'                               ? c - 32
                        : (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ? c
                                                                           : '_');
    }
    out[n] = '\0';
}

static void add(struct walk *w, struct kn_sv value, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void add(struct walk *w, struct kn_sv value, const char *format, ...)
{
    char name[NAME_MAX_TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    w->add(w->ctx, kn_sv_c(name), value);
}

static void add_port(struct walk *w, const char *service, struct kn_sv ip,
                     const struct kn_json *port, bool first)
{
    char number[24], name[64], protocol[64], lower[64], url[160];
    struct kn_sv wanted = kn_json_str(kn_json_get(port, KN_K_protocol));
    shout(wanted.len ? wanted : KN_SV("TCP"), protocol);
    snprintf(lower, sizeof lower, "%s", protocol);
    for (char *c = lower; *c; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
    snprintf(number, sizeof number, "%lld",
             (long long)kn_json_int(kn_json_get(port, KN_K_port), 0));
    snprintf(url, sizeof url, "%s://%.*s:%s", lower, (int)(ip.len < 64 ? ip.len : 64), ip.ptr,
             number);
    struct kn_sv called = kn_json_str(kn_json_get(port, KN_K_name));
    if (first) {
        add(w, kn_sv_c(number), "%s_SERVICE_PORT", service);
        add(w, kn_sv_c(url), "%s_PORT", service);
    }
    if (called.len) {
        shout(called, name);
        add(w, kn_sv_c(number), "%s_SERVICE_PORT_%s", service, name);
    }
    add(w, kn_sv_c(url), "%s_PORT_%s_%s", service, number, protocol);
    add(w, kn_sv_c(lower), "%s_PORT_%s_%s_PROTO", service, number, protocol);
    add(w, kn_sv_c(number), "%s_PORT_%s_%s_PORT", service, number, protocol);
    add(w, ip, "%s_PORT_%s_%s_ADDR", service, number, protocol);
}

static bool add_service(void *arg, const struct kn_obj *obj)
{
    struct walk *w = arg;
    const struct kn_json *spec = kn_json_get(obj->root, KN_K_spec), *port;
    struct kn_sv ip = kn_json_str(kn_json_get(spec, KN_K_clusterIP));
    char service[64];
    bool first = true;
    if (ip.len == 0 || kn_sv_is(ip, "None"))
        return true;
    shout(obj->name, service);
    add(w, ip, "%s_SERVICE_HOST", service);
    KN_JSON_EACH(port, kn_json_get(spec, KN_K_ports)) {
        add_port(w, service, ip, port, first);
        first = false;
    }
    return true;
}

void kn_service_env(struct kn_cache *services, struct kn_sv ns, bool links, kn_env_add *add_to,
                    void *ctx)
{
    struct walk w = {add_to, ctx};
    const struct kn_obj *own = kn_cache_get(services, KN_SV("default"), KN_SV("kubernetes"));
    if (own)
        add_service(&w, own);
    kn_obj_unref(own);
    if (links)
        kn_cache_list(services, ns, KN_SV_NULL, KN_SV_NULL, add_service, &w);
}

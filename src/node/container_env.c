#include "node/container_env.h"

#include "codec/base64.h"
#include "codec/quantity.h"

struct kn_sv kn_env_get(void *arg, struct kn_sv name)
{
    const struct kn_env *e = arg;
    for (size_t i = e->len; i-- > 0;)
        if (kn_sv_eq(e->ptr[i].name, name))
            return e->ptr[i].value.ptr ? e->ptr[i].value : KN_SV("");
    return KN_SV_NULL;
}

void kn_env_set(void *arg, struct kn_sv name, struct kn_sv value)
{
    struct kn_env *e = arg;
    for (size_t i = 0; i < e->len; i++)
        if (kn_sv_eq(e->ptr[i].name, name)) {
            e->ptr[i].value = kn_arena_dup(e->a, value);
            return;
        }
    if (e->len == e->cap) {
        size_t cap = e->cap ? e->cap * 2 : 32;
        struct kn_oci_pair *more = kn_arena_calloc(e->a, cap, sizeof *more);
        if (!more)
            return; // the arena remembers
        if (e->len)
            memcpy(more, e->ptr, e->len * sizeof *more);
        e->ptr = more;
        e->cap = cap;
    }
    e->ptr[e->len++] = (struct kn_oci_pair){kn_arena_dup(e->a, name), kn_arena_dup(e->a, value)};
}

struct kn_sv kn_expand(struct kn_arena *a, struct kn_sv text,
                       struct kn_sv (*lookup)(void *arg, struct kn_sv name), void *arg)
{
    if (kn_sv_find(text, '$') < 0)
        return text;
    struct kn_buf out = KN_BUF(1u << 20);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '$' || i + 1 == text.len) {
            kn_buf_add_byte(&out, text.ptr[i]);
            continue;
        }
        ptrdiff_t end = text.ptr[i + 1] == '(' ? kn_sv_find(kn_sv_from(text, i), ')') : -1;
        if (text.ptr[i + 1] == '$') {
            kn_buf_add_byte(&out, '$');
            i++;
        } else if (end < 0) {
            kn_buf_add_byte(&out, '$');
        } else {
            struct kn_sv name = kn_sv(text.ptr + i + 2, (size_t)end - 2);
            struct kn_sv value = lookup(arg, name);
            kn_buf_add(&out, value.ptr ? value : kn_sv(text.ptr + i, (size_t)end + 1));
            i += (size_t)end;
        }
    }
    struct kn_sv result = kn_arena_dup(a, kn_buf_sv(&out));
    kn_buf_done(&out);
    return result;
}

// -- fields of the pod -----------------------------------------------------------------------

static bool keyed(struct kn_sv path, const char *prefix, struct kn_sv *key)
{
    size_t n = strlen(prefix);
    if (!kn_sv_starts(path, kn_sv_c(prefix)) || path.len < n + 4 || path.ptr[n] != '[')
        return false;
    *key = kn_sv(path.ptr + n + 2, path.len - n - 4);
    return true;
}

static struct kn_sv map_text(struct kn_arena *a, const struct kn_json *map)
{
    struct kn_buf out = KN_BUF(1u << 20);
    const struct kn_json *m;
    KN_JSON_EACH(m, map) {
        kn_buf_addf(&out, "%s%.*s=", out.len ? "\n" : "", KN_SV_ARG(kn_json_key(m)));
        kn_json_encode_str(&out, kn_json_str(m));
    }
    struct kn_sv result = kn_arena_dup(a, kn_buf_sv(&out));
    kn_buf_done(&out);
    return result;
}

struct kn_status kn_pod_field(const struct kn_node *n, const struct kn_sandbox *s,
                              const struct kn_obj *pod, struct kn_sv path, struct kn_arena *a,
                              struct kn_sv *ret)
{
    struct kn_sv key;
    const struct kn_json *spec = kn_json_get(pod->root, KN_K_spec);
    if (kn_sv_is(path, "metadata.name"))
        *ret = pod->name;
    else if (kn_sv_is(path, "metadata.namespace"))
        *ret = pod->ns;
    else if (kn_sv_is(path, "metadata.uid"))
        *ret = pod->uid;
    else if (keyed(path, "metadata.labels", &key))
        *ret = kn_obj_label(pod, key);
    else if (keyed(path, "metadata.annotations", &key))
        *ret = kn_obj_annotation(pod, key);
    else if (kn_sv_is(path, "metadata.labels"))
        *ret = map_text(a, pod->labels);
    else if (kn_sv_is(path, "metadata.annotations"))
        *ret = map_text(a, kn_json_get(pod->metadata, KN_K_annotations));
    else if (kn_sv_is(path, "spec.nodeName"))
        *ret = kn_sv_c(n->name);
    else if (kn_sv_is(path, "spec.serviceAccountName"))
        *ret = kn_json_str(kn_json_get(spec, KN_K_serviceAccountName));
    else if (kn_sv_is(path, "status.hostIP") || kn_sv_is(path, "status.hostIPs"))
        *ret = n->host_ip;
    else if (kn_sv_is(path, "status.podIP") || kn_sv_is(path, "status.podIPs"))
        *ret = kn_arena_dup(a, kn_sv_c(s->ip));
    else
        return kn_error(KN_INVALID, "unsupported fieldPath: %.*s", KN_SV_ARG(path));
    return KN_STATUS_OK;
}

struct kn_status kn_pod_resource_field(const struct kn_node *n, const struct kn_obj *pod,
                                       const struct kn_json *container, const struct kn_json *ref,
                                       struct kn_arena *a, struct kn_sv *ret)
{
    struct kn_sv named = kn_json_str(kn_json_get(ref, KN_K_containerName));
    struct kn_sv resource = kn_json_str(kn_json_get(ref, KN_K_resource)), kind_rest = resource;
    const struct kn_json *c;
    if (named.len)
        KN_JSON_EACH(c, KN_JSON_AT(pod->root, KN_K_spec, KN_K_containers))
            if (kn_sv_eq(kn_json_str(kn_json_get(c, KN_K_name)), named))
                container = c;
    struct kn_sv kind = kn_sv_cut(&kind_rest, '.');
    bool limits = kn_sv_is(kind, "limits"), cpu = kn_sv_is(kind_rest, "cpu");
    const struct kn_json *r = kn_json_get(container, KN_K_resources);
    struct kn_sv text = kn_json_str(
        kn_json_get_sv(kn_json_get(r, limits ? KN_K_limits : KN_K_requests), kind_rest));
    struct kn_sv divisor = kn_json_str(kn_json_get(ref, KN_K_divisor));
    int64_t value = cpu ? kn_quantity_milli_of(text) : kn_quantity_value_of(text);
    if (!text.len && limits) // no limit: what the machine has
        value = cpu ? sysconf(_SC_NPROCESSORS_ONLN) * 1000 : n->memory_capacity;
    int64_t by = cpu ? kn_quantity_milli_of(divisor) : kn_quantity_value_of(divisor);
    if (by <= 0)
        by = cpu ? 1000 : 1;
    *ret = kn_arena_printf(a, "%lld", (long long)((value + by - 1) / by));
    return KN_STATUS_OK;
}

// -- sources ---------------------------------------------------------------------------------

static struct kn_status secret_value(struct kn_arena *a, struct kn_sv text, struct kn_sv *ret)
{
    struct kn_buf out = KN_BUF(2u << 20);
    struct kn_status s = kn_base64_decode(&out, text, KN_BASE64_STD);
    if (kn_ok(s))
        *ret = kn_arena_dup(a, kn_buf_sv(&out));
    kn_buf_done(&out);
    return s;
}

static struct kn_status from_key(struct kn_env *e, const struct kn_container_spec *c,
                                 struct kn_sv name, const struct kn_json *ref,
                                 enum kn_node_kind kind)
{
    const char *word = kind == KN_NODE_SECRET ? "Secret" : "ConfigMap";
    struct kn_sv object = kn_json_str(kn_json_get(ref, KN_K_name));
    struct kn_sv key = kn_json_str(kn_json_get(ref, KN_K_key));
    bool optional = kn_json_bool(kn_json_get(ref, KN_K_optional), false);
    KN_CLEANUP(kn_obj_cleanup) const struct kn_obj *o = NULL;
    struct kn_status s = c->node->api.get(c->node->api.arg, kind, c->pod->ns, object, &o);
    if (s.code == KN_NOT_FOUND && optional)
        kn_status_done(&s);
    KN_TRY(s);
    const struct kn_json *v = o ? kn_json_get_sv(kn_json_get(o->root, KN_K_data), key) : NULL;
    if (!v && optional)
        return KN_STATUS_OK;
    if (!v)
        return kn_error(KN_NOT_FOUND, "couldn't find key %.*s in %s %.*s/%.*s", KN_SV_ARG(key),
                        word, KN_SV_ARG(c->pod->ns), KN_SV_ARG(object));
    struct kn_sv value = kn_json_str(v);
    if (kind == KN_NODE_SECRET)
        KN_TRY(secret_value(e->a, value, &value));
    kn_env_set(e, name, value);
    return KN_STATUS_OK;
}

static struct kn_status from_all(struct kn_env *e, const struct kn_container_spec *c,
                                 const struct kn_json *source, enum kn_node_kind kind)
{
    const struct kn_json *ref =
        kn_json_get(source, kind == KN_NODE_SECRET ? KN_K_secretRef : KN_K_configMapRef);
    struct kn_sv prefix = kn_json_str(kn_json_get(source, KN_K_prefix));
    if (!ref)
        return KN_STATUS_OK;
    KN_CLEANUP(kn_obj_cleanup) const struct kn_obj *o = NULL;
    struct kn_status s = c->node->api.get(c->node->api.arg, kind, c->pod->ns,
                                          kn_json_str(kn_json_get(ref, KN_K_name)), &o);
    if (s.code == KN_NOT_FOUND && kn_json_bool(kn_json_get(ref, KN_K_optional), false))
        kn_status_done(&s);
    KN_TRY(s);
    const struct kn_json *v;
    KN_JSON_EACH(v, o ? kn_json_get(o->root, KN_K_data) : NULL) {
        struct kn_sv value = kn_json_str(v);
        if (kind == KN_NODE_SECRET)
            KN_TRY(secret_value(e->a, value, &value));
        kn_env_set(e,
                   kn_arena_printf(e->a, "%.*s%.*s", KN_SV_ARG(prefix), KN_SV_ARG(kn_json_key(v))),
                   value);
    }
    return KN_STATUS_OK;
}

static struct kn_status one(struct kn_env *e, const struct kn_container_spec *c,
                            const struct kn_json *v)
{
    struct kn_sv name = kn_json_str(kn_json_get(v, KN_K_name)), value;
    const struct kn_json *from = kn_json_get(v, KN_K_valueFrom), *ref;
    if (!from) {
        kn_env_set(e, name,
                   kn_expand(e->a, kn_json_str(kn_json_get(v, KN_K_value)), kn_env_get, e));
    } else if ((ref = kn_json_get(from, KN_K_fieldRef))) {
        KN_TRY(kn_pod_field(c->node, c->sandbox, c->pod,
                            kn_json_str(kn_json_get(ref, KN_K_fieldPath)), e->a, &value));
        kn_env_set(e, name, value);
    } else if ((ref = kn_json_get(from, KN_K_resourceFieldRef))) {
        KN_TRY(kn_pod_resource_field(c->node, c->pod, c->container, ref, e->a, &value));
        kn_env_set(e, name, value);
    } else if ((ref = kn_json_get(from, KN_K_configMapKeyRef))) {
        return from_key(e, c, name, ref, KN_NODE_CONFIG_MAP);
    } else if ((ref = kn_json_get(from, KN_K_secretKeyRef))) {
        return from_key(e, c, name, ref, KN_NODE_SECRET);
    } else {
        return kn_error(KN_NOT_SUPPORTED,
                        "environment variable %.*s: this kind of valueFrom is not supported",
                        KN_SV_ARG(name));
    }
    return KN_STATUS_OK;
}

struct kn_status kn_env_fill(struct kn_env *e, const struct kn_container_spec *c)
{
    const struct kn_json *v;
    const struct kn_json *spec = kn_json_get(c->pod->root, KN_K_spec);
    char host[65] = "";
    KN_JSON_EACH(v, kn_json_get(c->image->config, KN_K_Env)) {
        struct kn_sv value = kn_json_str(v);
        struct kn_sv name = kn_sv_cut(&value, '=');
        kn_env_set(e, name, value);
    }
    if (!kn_env_get(e, KN_SV("PATH")).ptr)
        kn_env_set(e, KN_SV("PATH"),
                   KN_SV("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
    struct kn_sv wanted = kn_json_str(kn_json_get(spec, KN_K_hostname));
    if (c->sandbox->host_network)
        gethostname(host, sizeof host - 1);
    kn_env_set(e, KN_SV("HOSTNAME"), host[0] ? kn_sv_c(host) : wanted.len ? wanted : c->pod->name);
    if (c->node->api.services)
        c->node->api.services(c->node->api.arg, c->pod->ns,
                              kn_json_bool(kn_json_get(spec, KN_K_enableServiceLinks), true),
                              kn_env_set, e);
    KN_JSON_EACH(v, kn_json_get(c->container, KN_K_envFrom)) {
        KN_TRY(from_all(e, c, v, KN_NODE_CONFIG_MAP));
        KN_TRY(from_all(e, c, v, KN_NODE_SECRET));
    }
    KN_JSON_EACH(v, kn_json_get(c->container, KN_K_env))
        KN_TRY(one(e, c, v));
    return kn_arena_failed(e->a) ? kn_arena_error(e->a, "the environment") : KN_STATUS_OK;
}

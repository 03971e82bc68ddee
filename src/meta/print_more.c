// The cells of workloads, services, nodes, events and the rest.
#include <ctype.h>

#include "base/mem.h"
#include "codec/quantity.h"
#include "meta/print_cells.h"

#define BUF(name) struct kn_buf name KN_CLEANUP(kn_buf_done) = KN_BUF(1u << 20)
#define NONE "<none>"

static struct kn_sv str(const struct kn_json *v, enum kn_atom key)
{
    return kn_json_str(kn_json_get(v, key));
}

static const struct kn_json *spec(const struct kn_print *p, enum kn_atom key)
{
    return KN_JSON_AT(p->obj, KN_K_spec, key);
}

static const struct kn_json *status(const struct kn_print *p, enum kn_atom key)
{
    return KN_JSON_AT(p->obj, KN_K_status, key);
}

static void add(struct kn_buf *b, struct kn_sv text)
{
    if (b->len)
        kn_buf_add_byte(b, ',');
    kn_buf_add(b, text);
}

// The member `key` of each element (KN_K_NONE: the element itself), with commas.
static void join(struct kn_buf *b, const struct kn_json *list, enum kn_atom key)
{
    const struct kn_json *c;
    KN_JSON_EACH (c, list)
        add(b, key == KN_K_NONE ? kn_json_str(c) : str(c, key));
}

// -- labels and selectors --------------------------------------------------------------------

static int by_key(const void *a, const void *b)
{
    return kn_sv_cmp(kn_json_key(*(const struct kn_json *const *)a),
                     kn_json_key(*(const struct kn_json *const *)b));
}

static void add_labels(const struct kn_print *p, struct kn_buf *b, const struct kn_json *labels)
{
    size_t n = kn_json_len(labels), i = 0;
    const struct kn_json **sorted = kn_arena_calloc(p->arena, n ? n : 1, sizeof *sorted), *c;
    if (!sorted)
        return;
    KN_JSON_EACH (c, labels)
        sorted[i++] = c;
    qsort(sorted, n, sizeof *sorted, by_key);
    for (i = 0; i < n; i++) {
        add(b, kn_json_key(sorted[i]));
        kn_buf_addf(b, "=%.*s", KN_SV_ARG(kn_json_str(sorted[i])));
    }
}

static struct kn_json *labels_cell(const struct kn_print *p, const struct kn_json *labels)
{
    BUF(b);
    add_labels(p, &b, labels);
    return kn_print_buf(p, &b, NONE);
}

static struct kn_json *selector_cell(const struct kn_print *p, const struct kn_json *selector)
{
    BUF(b);
    const struct kn_json *e;
    if (!kn_json_get(selector, KN_K_matchLabels) && !kn_json_get(selector, KN_K_matchExpressions))
        return labels_cell(p, selector); // a replication controller's is a map of labels
    add_labels(p, &b, kn_json_get(selector, KN_K_matchLabels));
    KN_JSON_EACH (e, kn_json_get(selector, KN_K_matchExpressions)) {
        BUF(values);
        struct kn_sv op = str(e, KN_K_operator), key = str(e, KN_K_key);
        join(&values, kn_json_get(e, KN_K_values), KN_K_NONE);
        if (b.len)
            kn_buf_add_byte(&b, ',');
        if (kn_sv_is(op, "In") || kn_sv_is(op, "NotIn"))
            kn_buf_addf(&b, "%.*s %s (%s)", KN_SV_ARG(key), kn_sv_is(op, "In") ? "in" : "notin",
                        kn_buf_cstr(&values));
        else
            kn_buf_addf(&b, "%s%.*s", kn_sv_is(op, "DoesNotExist") ? "!" : "", KN_SV_ARG(key));
    }
    return kn_print_buf(p, &b, NONE);
}

struct kn_json *kn_print_selector(const struct kn_print *p)
{
    return selector_cell(p, spec(p, KN_K_selector));
}
struct kn_json *kn_print_service_selector(const struct kn_print *p)
{
    return labels_cell(p, spec(p, KN_K_selector));
}
struct kn_json *kn_print_node_selector(const struct kn_print *p)
{
    return labels_cell(p,
                       KN_JSON_AT(p->obj, KN_K_spec, KN_K_template, KN_K_spec, KN_K_nodeSelector));
}
struct kn_json *kn_print_pod_selector(const struct kn_print *p)
{
    return selector_cell(p, spec(p, KN_K_podSelector));
}

// -- workloads -------------------------------------------------------------------------------

static struct kn_json *containers(const struct kn_print *p, const struct kn_json *template,
                                  enum kn_atom key)
{
    BUF(b);
    join(&b, KN_JSON_AT(template, KN_K_spec, KN_K_containers), key);
    return kn_print_buf(p, &b, "");
}

static const struct kn_json *template_of(const struct kn_print *p)
{
    const struct kn_json *t = spec(p, KN_K_template);
    return t ? t : kn_json_get(p->obj, KN_K_template);
}

struct kn_json *kn_print_template_containers(const struct kn_print *p)
{
    return containers(p, template_of(p), KN_K_name);
}
struct kn_json *kn_print_template_images(const struct kn_print *p)
{
    return containers(p, template_of(p), KN_K_image);
}
struct kn_json *kn_print_template_labels(const struct kn_print *p)
{
    return labels_cell(p, KN_JSON_AT(template_of(p), KN_K_metadata, KN_K_labels));
}
struct kn_json *kn_print_workload_ready(const struct kn_print *p)
{
    return kn_print_textf(p, "%lld/%lld", (long long)kn_json_int(status(p, KN_K_readyReplicas), 0),
                          (long long)kn_json_int(spec(p, KN_K_replicas), 0));
}
struct kn_json *kn_print_revision_controller(const struct kn_print *p)
{
    const struct kn_json *o;
    KN_JSON_EACH (o, KN_JSON_AT(p->obj, KN_K_metadata, KN_K_ownerReferences)) {
        if (!kn_json_bool(kn_json_get(o, KN_K_controller), false))
            continue;
        struct kn_sv api = str(o, KN_K_apiVersion);
        ptrdiff_t slash = kn_sv_find(api, '/');
        struct kn_sv group = slash < 0 ? KN_SV("") : kn_sv_first(api, (size_t)slash);
        BUF(kind);
        for (size_t i = 0; i < str(o, KN_K_kind).len; i++)
            kn_buf_add_byte(&kind, (char)tolower((unsigned char)str(o, KN_K_kind).ptr[i]));
        return kn_print_textf(p, "%s%s%.*s/%.*s", kn_buf_cstr(&kind), group.len ? "." : "",
                              KN_SV_ARG(group), KN_SV_ARG(str(o, KN_K_name)));
    }
    return kn_print_text(p, KN_SV(NONE));
}

static bool condition(const struct kn_print *p, const char *type)
{
    const struct kn_json *c;
    KN_JSON_EACH (c, status(p, KN_K_conditions))
        if (kn_sv_is(str(c, KN_K_type), type))
            return kn_sv_is(str(c, KN_K_status), "True");
    return false;
}

struct kn_json *kn_print_job_status(const struct kn_print *p)
{
    static const char *const before[] = {"Complete", "Failed"};
    static const char *const after[] = {"Suspended", "FailureTarget", "SuccessCriteriaMet"};
    for (size_t i = 0; i < KN_ARRAY_LEN(before); i++)
        if (condition(p, before[i]))
            return kn_print_text(p, kn_sv_c(before[i]));
    if (KN_JSON_AT(p->obj, KN_K_metadata, KN_K_deletionTimestamp))
        return kn_print_text(p, KN_SV("Terminating"));
    for (size_t i = 0; i < KN_ARRAY_LEN(after); i++)
        if (condition(p, after[i]))
            return kn_print_text(p, kn_sv_c(after[i]));
    return kn_print_text(p, KN_SV("Running"));
}
struct kn_json *kn_print_job_completions(const struct kn_print *p)
{
    long long done = (long long)kn_json_int(status(p, KN_K_succeeded), 0);
    long long parallel = (long long)kn_json_int(spec(p, KN_K_parallelism), 0);
    if (spec(p, KN_K_completions))
        return kn_print_textf(p, "%lld/%lld", done,
                              (long long)kn_json_int(spec(p, KN_K_completions), 0));
    return parallel > 1 ? kn_print_textf(p, "%lld/1 of %lld", done, parallel)
                        : kn_print_textf(p, "%lld/1", done);
}
struct kn_json *kn_print_job_duration(const struct kn_print *p)
{
    struct kn_print at = *p;
    if (!status(p, KN_K_startTime))
        return kn_print_text(p, KN_SV(""));
    if (status(p, KN_K_completionTime)) {
        struct kn_status s = kn_time_parse(kn_json_str(status(p, KN_K_completionTime)), &at.now);
        kn_status_done(&s);
    }
    return kn_print_text(p, kn_print_since(&at, status(p, KN_K_startTime)));
}
static const struct kn_json *cron_job(const struct kn_print *p)
{
    return KN_JSON_AT(p->obj, KN_K_spec, KN_K_jobTemplate, KN_K_spec);
}
struct kn_json *kn_print_cron_suspend(const struct kn_print *p)
{
    return kn_print_text(p, kn_json_bool(spec(p, KN_K_suspend), false) ? KN_SV("True")
                                                                       : KN_SV("False"));
}
struct kn_json *kn_print_cron_active(const struct kn_print *p)
{
    return kn_json_new_int(p->arena, kn_json_len(status(p, KN_K_active)));
}
struct kn_json *kn_print_cron_last(const struct kn_print *p)
{
    const struct kn_json *last = status(p, KN_K_lastScheduleTime);
    return kn_print_text(p, last ? kn_print_since(p, last) : KN_SV(NONE));
}
struct kn_json *kn_print_cron_containers(const struct kn_print *p)
{
    return containers(p, kn_json_get(cron_job(p), KN_K_template), KN_K_name);
}
struct kn_json *kn_print_cron_images(const struct kn_print *p)
{
    return containers(p, kn_json_get(cron_job(p), KN_K_template), KN_K_image);
}
struct kn_json *kn_print_cron_selector(const struct kn_print *p)
{
    return selector_cell(p, kn_json_get(cron_job(p), KN_K_selector));
}

struct kn_json *kn_print_scale_reference(const struct kn_print *p)
{
    const struct kn_json *r = spec(p, KN_K_scaleTargetRef);
    return kn_print_textf(p, "%.*s/%.*s", KN_SV_ARG(str(r, KN_K_kind)),
                          KN_SV_ARG(str(r, KN_K_name)));
}
struct kn_json *kn_print_scale_targets(const struct kn_print *p)
{
    BUF(b);
    const struct kn_json *m;
    KN_JSON_EACH (m, spec(p, KN_K_metrics)) {
        const struct kn_json *u =
            KN_JSON_AT(m, KN_K_resource, KN_K_target, KN_K_averageUtilization);
        add(&b, str(KN_JSON_AT(m, KN_K_resource), KN_K_name));
        kn_buf_addf(&b, ": <unknown>/%lld%%", (long long)kn_json_int(u, 0));
    }
    return kn_print_buf(p, &b, NONE);
}

// -- services and endpoints ------------------------------------------------------------------

struct kn_json *kn_print_service_cluster_ip(const struct kn_print *p)
{
    struct kn_sv ip = kn_json_str(kn_json_item(spec(p, KN_K_clusterIPs), 0));
    if (ip.len == 0)
        ip = kn_json_str(spec(p, KN_K_clusterIP));
    return kn_print_text(p, ip.len ? ip : KN_SV(NONE));
}
struct kn_json *kn_print_service_external_ip(const struct kn_print *p)
{
    BUF(b);
    const struct kn_json *i;
    struct kn_sv type = kn_json_str(spec(p, KN_K_type));
    if (kn_sv_is(type, "ExternalName"))
        return kn_print_text(p, kn_json_str(spec(p, KN_K_externalName)));
    if (kn_sv_is(type, "LoadBalancer"))
        KN_JSON_EACH (i, KN_JSON_AT(p->obj, KN_K_status, KN_K_loadBalancer, KN_K_ingress))
            add(&b, str(i, KN_K_ip).len ? str(i, KN_K_ip) : str(i, KN_K_hostname));
    join(&b, spec(p, KN_K_externalIPs), KN_K_NONE);
    return kn_print_buf(p, &b, kn_sv_is(type, "LoadBalancer") ? "<pending>" : NONE);
}
struct kn_json *kn_print_service_ports(const struct kn_print *p)
{
    BUF(b);
    const struct kn_json *port;
    KN_JSON_EACH (port, spec(p, KN_K_ports)) {
        int64_t node = kn_json_int(kn_json_get(port, KN_K_nodePort), 0);
        kn_buf_addf(&b, "%s%lld", b.len ? "," : "",
                    (long long)kn_json_int(kn_json_get(port, KN_K_port), 0));
        if (node > 0)
            kn_buf_addf(&b, ":%lld", (long long)node);
        kn_buf_addf(&b, "/%.*s", KN_SV_ARG(str(port, KN_K_protocol)));
    }
    return kn_print_buf(p, &b, NONE);
}

// "a,b,c + 2 more..."
static struct kn_json *first_three(const struct kn_print *p, const struct kn_buf *b, int count)
{
    if (count > 3)
        return kn_print_textf(p, "%s + %d more...", kn_buf_cstr(b), count - 3);
    return kn_print_buf(p, b, count ? "" : "<unset>");
}

static void add_address(struct kn_buf *b, int *count, struct kn_sv ip, const struct kn_json *port)
{
    if ((*count)++ >= 3)
        return;
    bool v6 = kn_sv_find(ip, ':') >= 0 && port;
    kn_buf_addf(b, "%s%s%.*s%s", b->len ? "," : "", v6 ? "[" : "", KN_SV_ARG(ip), v6 ? "]" : "");
    if (port)
        kn_buf_addf(b, ":%lld", (long long)kn_json_int(kn_json_get(port, KN_K_port), 0));
}

struct kn_json *kn_print_endpoints(const struct kn_print *p)
{
    BUF(b);
    const struct kn_json *subset, *port, *address;
    int count = 0;
    KN_JSON_EACH (subset, kn_json_get(p->obj, KN_K_subsets)) {
        const struct kn_json *list = kn_json_get(subset, KN_K_addresses);
        const struct kn_json *ports = kn_json_get(subset, KN_K_ports);
        if (kn_json_len(ports) == 0)
            KN_JSON_EACH (address, list)
                add_address(&b, &count, str(address, KN_K_ip), NULL);
        KN_JSON_EACH (port, ports)
            KN_JSON_EACH (address, list)
                add_address(&b, &count, str(address, KN_K_ip), port);
    }
    if (kn_json_len(kn_json_get(p->obj, KN_K_subsets)) == 0)
        return kn_print_text(p, KN_SV(NONE));
    return count ? first_three(p, &b, count) : kn_print_text(p, KN_SV(""));
}
struct kn_json *kn_print_slice_ports(const struct kn_print *p)
{
    BUF(b);
    const struct kn_json *port;
    int count = 0;
    KN_JSON_EACH (port, kn_json_get(p->obj, KN_K_ports)) {
        const struct kn_json *n = kn_json_get(port, KN_K_port);
        if (count++ >= 3)
            continue;
        if (n)
            kn_buf_addf(&b, "%s%lld", b.len ? "," : "", (long long)kn_json_int(n, 0));
        else
            add(&b, kn_json_get(port, KN_K_name) ? str(port, KN_K_name) : KN_SV("*"));
    }
    return first_three(p, &b, count);
}
struct kn_json *kn_print_slice_endpoints(const struct kn_print *p)
{
    BUF(b);
    const struct kn_json *e, *address;
    int count = 0;
    KN_JSON_EACH (e, kn_json_get(p->obj, KN_K_endpoints))
        KN_JSON_EACH (address, kn_json_get(e, KN_K_addresses))
            add_address(&b, &count, kn_json_str(address), NULL);
    return first_three(p, &b, count);
}

// -- ingress ---------------------------------------------------------------------------------

struct kn_json *kn_print_ingress_class(const struct kn_print *p)
{
    struct kn_sv c = kn_json_str(spec(p, KN_K_ingressClassName));
    if (c.len == 0)
        c = kn_json_str(kn_json_get_sv(KN_JSON_AT(p->obj, KN_K_metadata, KN_K_annotations),
                                       KN_SV("kubernetes.io/ingress.class")));
    return kn_print_text(p, c.len ? c : KN_SV(NONE));
}
struct kn_json *kn_print_ingress_hosts(const struct kn_print *p)
{
    BUF(b);
    const struct kn_json *r;
    int count = 0;
    KN_JSON_EACH (r, spec(p, KN_K_rules))
        if (str(r, KN_K_host).len && count++ < 3)
            add(&b, str(r, KN_K_host));
    return count ? first_three(p, &b, count) : kn_print_text(p, KN_SV("*"));
}
struct kn_json *kn_print_ingress_address(const struct kn_print *p)
{
    BUF(b);
    const struct kn_json *i;
    KN_JSON_EACH (i, KN_JSON_AT(p->obj, KN_K_status, KN_K_loadBalancer, KN_K_ingress))
        add(&b, str(i, KN_K_ip).len ? str(i, KN_K_ip) : str(i, KN_K_hostname));
    return kn_print_buf(p, &b, "");
}
struct kn_json *kn_print_ingress_ports(const struct kn_print *p)
{
    return kn_print_text(p, kn_json_len(spec(p, KN_K_tls)) ? KN_SV("80, 443") : KN_SV("80"));
}
struct kn_json *kn_print_ingress_class_parameters(const struct kn_print *p)
{
    const struct kn_json *r = spec(p, KN_K_parameters);
    struct kn_sv group = str(r, KN_K_apiGroup);
    if (!r)
        return kn_print_text(p, KN_SV(NONE));
    return kn_print_textf(p, "%.*s%s%.*s/%.*s", KN_SV_ARG(str(r, KN_K_kind)), group.len ? "." : "",
                          KN_SV_ARG(group), KN_SV_ARG(str(r, KN_K_name)));
}

// -- nodes -----------------------------------------------------------------------------------

struct kn_json *kn_print_node_status(const struct kn_print *p)
{
    const struct kn_json *c, *ready = NULL;
    KN_JSON_EACH (c, status(p, KN_K_conditions))
        if (kn_sv_is(str(c, KN_K_type), "Ready"))
            ready = c;
    const char *word = !ready                                      ? "Unknown"
                       : kn_sv_is(str(ready, KN_K_status), "True") ? "Ready"
                                                                   : "NotReady";
    bool off = kn_json_bool(spec(p, KN_K_unschedulable), false);
    return kn_print_textf(p, "%s%s", word, off ? ",SchedulingDisabled" : "");
}
struct kn_json *kn_print_node_roles(const struct kn_print *p)
{
    BUF(b);
    const struct kn_json *l;
    KN_JSON_EACH (l, KN_JSON_AT(p->obj, KN_K_metadata, KN_K_labels)) {
        struct kn_sv prefix = KN_SV("node-role.kubernetes.io/"), key = kn_json_key(l);
        if (kn_sv_starts(key, prefix) && key.len > prefix.len)
            add(&b, kn_sv_from(key, prefix.len));
        else if (kn_sv_is(key, "kubernetes.io/role") && kn_json_str(l).len)
            add(&b, kn_json_str(l));
    }
    return kn_print_buf(p, &b, NONE);
}
static struct kn_json *node_address(const struct kn_print *p, const char *type)
{
    const struct kn_json *a;
    KN_JSON_EACH (a, status(p, KN_K_addresses))
        if (kn_sv_is(str(a, KN_K_type), type))
            return kn_print_text(p, str(a, KN_K_address));
    return kn_print_text(p, KN_SV(NONE));
}
struct kn_json *kn_print_node_internal_ip(const struct kn_print *p)
{
    return node_address(p, "InternalIP");
}
struct kn_json *kn_print_node_external_ip(const struct kn_print *p)
{
    return node_address(p, "ExternalIP");
}
struct kn_json *kn_print_node_kernel(const struct kn_print *p)
{
    const struct kn_json *info = status(p, KN_K_nodeInfo);
    struct kn_sv kernel = str(info, KN_K_kernelVersion), arch = str(info, KN_K_architecture);
    if (kernel.len == 0)
        kernel = KN_SV("<unknown>");
    if (arch.len == 0)
        return kn_print_text(p, kernel);
    return kn_print_textf(p, "%.*s (%.*s)", KN_SV_ARG(kernel), KN_SV_ARG(arch));
}

// -- events: core/v1 and events.k8s.io/v1 call the same things by two names ------------------

static const struct kn_json *either(const struct kn_print *p, enum kn_atom a, enum kn_atom b)
{
    const struct kn_json *v = kn_json_get(p->obj, a);
    return v ? v : kn_json_get(p->obj, b);
}
static const struct kn_json *event_first(const struct kn_print *p)
{
    const struct kn_json *v = either(p, KN_K_firstTimestamp, KN_K_deprecatedFirstTimestamp);
    return v ? v : kn_json_get(p->obj, KN_K_eventTime);
}
struct kn_json *kn_print_event_first(const struct kn_print *p)
{
    return kn_print_text(p, kn_print_since(p, event_first(p)));
}
struct kn_json *kn_print_event_last(const struct kn_print *p)
{
    const struct kn_json *v = KN_JSON_AT(p->obj, KN_K_series, KN_K_lastObservedTime);
    if (!v)
        v = either(p, KN_K_lastTimestamp, KN_K_deprecatedLastTimestamp);
    return kn_print_text(p, kn_print_since(p, v ? v : event_first(p)));
}
struct kn_json *kn_print_event_object(const struct kn_print *p)
{
    BUF(b);
    const struct kn_json *o = either(p, KN_K_involvedObject, KN_K_regarding);
    struct kn_sv kind = str(o, KN_K_kind), name = str(o, KN_K_name);
    for (size_t i = 0; i < kind.len; i++)
        kn_buf_add_byte(&b, (char)tolower((unsigned char)kind.ptr[i]));
    if (name.len)
        kn_buf_addf(&b, "/%.*s", KN_SV_ARG(name));
    return kn_print_buf(p, &b, "");
}
struct kn_json *kn_print_event_subobject(const struct kn_print *p)
{
    return kn_print_text(p, str(either(p, KN_K_involvedObject, KN_K_regarding), KN_K_fieldPath));
}
struct kn_json *kn_print_event_source(const struct kn_print *p)
{
    const struct kn_json *source = either(p, KN_K_source, KN_K_deprecatedSource);
    struct kn_sv component = str(source, KN_K_component), host = str(source, KN_K_host);
    if (component.len == 0)
        component = kn_json_str(either(p, KN_K_reportingComponent, KN_K_reportingController));
    if (host.len == 0)
        host = str(p->obj, KN_K_reportingInstance);
    if (host.len == 0)
        return kn_print_text(p, component);
    return kn_print_textf(p, "%.*s, %.*s", KN_SV_ARG(component), KN_SV_ARG(host));
}
struct kn_json *kn_print_event_message(const struct kn_print *p)
{
    return kn_print_text(p, kn_sv_trim(kn_json_str(either(p, KN_K_message, KN_K_note))));
}
struct kn_json *kn_print_event_count(const struct kn_print *p)
{
    const struct kn_json *n = KN_JSON_AT(p->obj, KN_K_series, KN_K_count);
    int64_t count = kn_json_int(n ? n : either(p, KN_K_count, KN_K_deprecatedCount), 0);
    return kn_json_new_int(p->arena, count ? count : 1);
}

// -- the rest --------------------------------------------------------------------------------

struct kn_json *kn_print_secret_data(const struct kn_print *p)
{
    return kn_json_new_int(p->arena, kn_json_len(kn_json_get(p->obj, KN_K_data)));
}
struct kn_json *kn_print_config_map_data(const struct kn_print *p)
{
    return kn_json_new_int(p->arena, (int64_t)kn_json_len(kn_json_get(p->obj, KN_K_data)) +
                                         kn_json_len(kn_json_get(p->obj, KN_K_binaryData)));
}

static struct kn_json *modes(const struct kn_print *p, const struct kn_json *list)
{
    static const struct {
        const char *mode, *text;
    } known[] = {{"ReadWriteOnce", "RWO"}, {"ReadOnlyMany", "ROX"}, {"ReadWriteMany", "RWX"},
                 {"ReadWriteOncePod", "RWOP"}};
    BUF(b);
    const struct kn_json *m;
    for (size_t i = 0; i < KN_ARRAY_LEN(known); i++)
        KN_JSON_EACH (m, list)
            if (kn_sv_is(kn_json_str(m), known[i].mode)) {
                add(&b, kn_sv_c(known[i].text));
                break;
            }
    return kn_print_buf(p, &b, "");
}

struct kn_json *kn_print_volume_modes(const struct kn_print *p)
{
    return modes(p, spec(p, KN_K_accessModes));
}
struct kn_json *kn_print_claim_modes(const struct kn_print *p)
{
    return modes(p, kn_json_str(spec(p, KN_K_volumeName)).len ? status(p, KN_K_accessModes) : NULL);
}
struct kn_json *kn_print_volume_status(const struct kn_print *p)
{
    bool gone = KN_JSON_AT(p->obj, KN_K_metadata, KN_K_deletionTimestamp) != NULL;
    return kn_print_text(p, gone ? KN_SV("Terminating") : kn_json_str(status(p, KN_K_phase)));
}
struct kn_json *kn_print_claim_status(const struct kn_print *p)
{
    return kn_print_volume_status(p);
}
struct kn_json *kn_print_volume_claim(const struct kn_print *p)
{
    const struct kn_json *c = spec(p, KN_K_claimRef);
    if (!c)
        return kn_print_text(p, KN_SV(""));
    return kn_print_textf(p, "%.*s/%.*s", KN_SV_ARG(str(c, KN_K_namespace)),
                          KN_SV_ARG(str(c, KN_K_name)));
}
struct kn_json *kn_print_volume_class(const struct kn_print *p)
{
    struct kn_sv old =
        kn_json_str(kn_json_get_sv(KN_JSON_AT(p->obj, KN_K_metadata, KN_K_annotations),
                                   KN_SV("volume.beta.kubernetes.io/storage-class")));
    return kn_print_text(p, old.len ? old : kn_json_str(spec(p, KN_K_storageClassName)));
}
struct kn_json *kn_print_claim_capacity(const struct kn_print *p)
{
    if (kn_json_str(spec(p, KN_K_volumeName)).len == 0)
        return kn_print_text(p, KN_SV(""));
    return kn_print_text(p, str(status(p, KN_K_capacity), KN_K_storage));
}

static const struct kn_json *healthy(const struct kn_print *p)
{
    const struct kn_json *c;
    KN_JSON_EACH (c, kn_json_get(p->obj, KN_K_conditions))
        if (kn_sv_is(str(c, KN_K_type), "Healthy"))
            return c;
    return NULL;
}
struct kn_json *kn_print_component_status(const struct kn_print *p)
{
    struct kn_sv s = str(healthy(p), KN_K_status);
    return kn_print_text(p, kn_sv_is(s, "True")    ? KN_SV("Healthy")
                            : kn_sv_is(s, "False") ? KN_SV("Unhealthy")
                                                   : KN_SV("Unknown"));
}
struct kn_json *kn_print_component_message(const struct kn_print *p)
{
    return kn_print_text(p, str(healthy(p), KN_K_message));
}
struct kn_json *kn_print_component_error(const struct kn_print *p)
{
    return kn_print_text(p, str(healthy(p), KN_K_error));
}

struct kn_json *kn_print_binding_role(const struct kn_print *p)
{
    const struct kn_json *r = kn_json_get(p->obj, KN_K_roleRef);
    return kn_print_textf(p, "%.*s/%.*s", KN_SV_ARG(str(r, KN_K_kind)),
                          KN_SV_ARG(str(r, KN_K_name)));
}
static struct kn_json *subjects(const struct kn_print *p, const char *kind)
{
    BUF(b);
    const struct kn_json *s;
    bool account = strcmp(kind, "ServiceAccount") == 0;
    KN_JSON_EACH (s, kn_json_get(p->obj, KN_K_subjects)) {
        if (!kn_sv_is(str(s, KN_K_kind), kind))
            continue;
        kn_buf_addf(&b, "%s%.*s%s%.*s", b.len ? ", " : "",
                    KN_SV_ARG(account ? str(s, KN_K_namespace) : KN_SV("")), account ? "/" : "",
                    KN_SV_ARG(str(s, KN_K_name)));
    }
    return kn_print_buf(p, &b, "");
}
struct kn_json *kn_print_binding_users(const struct kn_print *p)
{
    return subjects(p, "User");
}
struct kn_json *kn_print_binding_groups(const struct kn_print *p)
{
    return subjects(p, "Group");
}
struct kn_json *kn_print_binding_accounts(const struct kn_print *p)
{
    return subjects(p, "ServiceAccount");
}

struct kn_json *kn_print_request_duration(const struct kn_print *p)
{
    const struct kn_json *s = spec(p, KN_K_expirationSeconds);
    return kn_print_text(p, s ? kn_print_duration(p->arena, kn_json_int(s, 0)) : KN_SV(NONE));
}
struct kn_json *kn_print_request_condition(const struct kn_print *p)
{
    bool approved = condition(p, "Approved"), denied = condition(p, "Denied");
    bool failed = condition(p, "Failed"), issued = kn_json_len(status(p, KN_K_certificate)) > 0;
    return kn_print_textf(p, "%s%s%s", denied ? "Denied" : approved ? "Approved" : "Pending",
                          failed ? ",Failed" : "", issued ? ",Issued" : "");
}
struct kn_json *kn_print_storage_class_name(const struct kn_print *p)
{
    const struct kn_json *a = KN_JSON_AT(p->obj, KN_K_metadata, KN_K_annotations);
    bool is = kn_sv_is(kn_json_str(kn_json_get_sv(
                           a, KN_SV("storageclass.kubernetes.io/is-default-class"))), "true");
    return kn_print_textf(p, "%.*s%s", KN_SV_ARG(KN_JSON_STR_AT(p->obj, KN_K_metadata, KN_K_name)),
                          is ? " (default)" : "");
}
struct kn_json *kn_print_storage_class_expansion(const struct kn_print *p)
{
    bool on = kn_json_bool(kn_json_get(p->obj, KN_K_allowVolumeExpansion), false);
    return kn_print_text(p, on ? KN_SV("true") : KN_SV("false"));
}
struct kn_json *kn_print_csi_drivers(const struct kn_print *p)
{
    return kn_json_new_int(p->arena, kn_json_len(spec(p, KN_K_drivers)));
}
struct kn_json *kn_print_csi_token_requests(const struct kn_print *p)
{
    BUF(b);
    join(&b, spec(p, KN_K_tokenRequests), KN_K_audience);
    return kn_print_buf(p, &b, "<unset>");
}
struct kn_json *kn_print_csi_modes(const struct kn_print *p)
{
    BUF(b);
    join(&b, spec(p, KN_K_volumeLifecycleModes), KN_K_NONE);
    return kn_print_buf(p, &b, NONE);
}
struct kn_json *kn_print_webhooks(const struct kn_print *p)
{
    return kn_json_new_int(p->arena, kn_json_len(kn_json_get(p->obj, KN_K_webhooks)));
}
struct kn_json *kn_print_api_service(const struct kn_print *p)
{
    const struct kn_json *s = spec(p, KN_K_service);
    if (!s)
        return kn_print_text(p, KN_SV("Local"));
    return kn_print_textf(p, "%.*s/%.*s", KN_SV_ARG(str(s, KN_K_namespace)),
                          KN_SV_ARG(str(s, KN_K_name)));
}
struct kn_json *kn_print_api_available(const struct kn_print *p)
{
    const struct kn_json *c;
    KN_JSON_EACH (c, status(p, KN_K_conditions))
        if (kn_sv_is(str(c, KN_K_type), "Available"))
            return kn_sv_is(str(c, KN_K_status), "True")
                       ? kn_print_text(p, KN_SV("True"))
                       : kn_print_textf(p, "%.*s (%.*s)", KN_SV_ARG(str(c, KN_K_status)),
                                        KN_SV_ARG(str(c, KN_K_reason)));
    return kn_print_text(p, KN_SV("Unknown"));
}

static struct kn_json *quota(const struct kn_print *p, bool limits)
{
    BUF(b);
    const struct kn_json *h, *used = status(p, KN_K_used);
    KN_JSON_EACH (h, status(p, KN_K_hard)) {
        if (kn_sv_starts(kn_json_key(h), KN_SV("limits")) != limits)
            continue;
        kn_buf_addf(&b, "%s%.*s: %.*s/%.*s", b.len ? ", " : "", KN_SV_ARG(kn_json_key(h)),
                    KN_SV_ARG(kn_json_str(kn_json_get_sv(used, kn_json_key(h)))),
                    KN_SV_ARG(kn_json_str(h)));
    }
    return kn_print_buf(p, &b, "");
}
struct kn_json *kn_print_quota_requests(const struct kn_print *p)
{
    return quota(p, false);
}
struct kn_json *kn_print_quota_limits(const struct kn_print *p)
{
    return quota(p, true);
}

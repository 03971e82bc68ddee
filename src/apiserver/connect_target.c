// Where a log or a stream of a pod is to be had: the node's agent, the container, and the options,
// checked here in upstream's words. What the agent is asked is written anew from what was
// understood, so that nothing of a client's URL reaches it unread.
#include "apiserver/internal.h"
#include "base/num.h"

#define KUBELET_PORT 10250
#define QUERY_MAX (64u << 10)

// -- the container --------------------------------------------------------------------------------

static const enum kn_atom container_lists[] = {KN_K_containers, KN_K_initContainers,
                                               KN_K_ephemeralContainers};

// The name as the pod has it; ptr is NULL if it has no such container.
static struct kn_sv find_container(const struct kn_json *spec, struct kn_sv wanted)
{
    const struct kn_json *c;
    for (size_t i = 0; wanted.len && i < KN_ARRAY_LEN(container_lists); i++)
        KN_JSON_EACH (c, kn_json_get(spec, container_lists[i]))
            if (kn_sv_eq(kn_json_str(kn_json_get(c, KN_K_name)), wanted))
                return kn_json_str(kn_json_get(c, KN_K_name));
    return KN_SV_NULL;
}

static void add_names(struct kn_buf *out, const struct kn_json *containers)
{
    const struct kn_json *c;
    const char *space = "[";
    KN_JSON_EACH (c, containers) {
        kn_buf_addf(out, "%s%.*s", space, KN_SV_ARG(kn_json_str(kn_json_get(c, KN_K_name))));
        space = " ";
    }
    kn_buf_addc(out, "]");
}

static struct kn_status must_be_named(const struct kn_obj *pod, const struct kn_json *spec)
{
    struct kn_buf names = KN_BUF(32u << 10);
    add_names(&names, kn_json_get(spec, KN_K_containers));
    if (kn_json_len(kn_json_get(spec, KN_K_initContainers))) {
        kn_buf_addc(&names, " or one of the init containers: ");
        add_names(&names, kn_json_get(spec, KN_K_initContainers));
    }
    struct kn_status s = kn_error(KN_BAD_REQUEST,
                                  "a container name must be specified for pod %.*s, "
                                  "choose one of: %.*s",
                                  KN_SV_ARG(pod->name), KN_SV_ARG(kn_buf_sv(&names)));
    kn_buf_done(&names);
    return s;
}

// The container that is meant: the one that is named, the annotated default if the pod has it, or
// the only one. *ret: a view into the pod.
static struct kn_status choose_container(struct kn_request *r, const struct kn_obj *pod,
                                         struct kn_sv *ret)
{
    static const char annotation[] = "kubectl.kubernetes.io/default-container";
    struct kn_sv wanted = kn_query_get(r->arena, r->query, "container");
    const struct kn_json *spec = kn_json_get(pod->root, KN_K_spec);
    const struct kn_json *containers = kn_json_get(spec, KN_K_containers);
    *ret = find_container(spec, wanted);
    if (wanted.len && !ret->ptr)
        return kn_error(KN_BAD_REQUEST, "container %.*s is not valid for pod %.*s",
                        KN_SV_ARG(wanted), KN_SV_ARG(pod->name));
    if (!ret->ptr)
        *ret = find_container(spec, kn_obj_annotation(pod, kn_sv_c(annotation)));
    if (!ret->ptr && kn_json_len(containers) == 1)
        *ret = KN_JSON_STR_AT(kn_json_first(containers), KN_K_name);
    return ret->ptr ? KN_STATUS_OK : must_be_named(pod, spec);
}

// -- the options of a log -------------------------------------------------------------------------

static struct kn_sv value_of(struct kn_request *r, const char *name)
{
    return kn_query_get(r->arena, r->query, name);
}

static bool is_true(struct kn_sv v) // as upstream reads it: "" and "yes" are true too
{
    return v.ptr && !kn_sv_ieq(v, KN_SV("false")) && !kn_sv_is(v, "0");
}

static bool only_digits(struct kn_sv v)
{
    if (v.len && (v.ptr[0] == '-' || v.ptr[0] == '+'))
        v = kn_sv_from(v, 1);
    for (size_t i = 0; i < v.len; i++)
        if (v.ptr[i] < '0' || v.ptr[i] > '9')
            return false;
    return v.len > 0;
}

// An integer that must be at least `min`; *ret stays if it is not given.
static struct kn_status parse_number(struct kn_request *r, const char *name, int64_t min,
                                     const char *rule, struct kn_problems *p, int64_t *ret)
{
    struct kn_sv v = value_of(r, name);
    if (!v.ptr)
        return KN_STATUS_OK;
    struct kn_sv digits = v.len > 1 && v.ptr[0] == '+' ? kn_sv_from(v, 1) : v;
    struct kn_status s = kn_num_parse(digits, INT64_MIN, INT64_MAX, ret);
    if (!kn_ok(s)) {
        kn_status_done(&s);
        return kn_error(KN_BAD_REQUEST, "strconv.ParseInt: parsing %.*s: %s",
                        KN_SV_ARG(kn_problem_quote(r->arena, kn_sv_first(v, 100))),
                        only_digits(v) ? "value out of range" : "invalid syntax");
    }
    if (*ret < min)
        kn_problem_add(p, KN_PROBLEM_INVALID, KN_PATH_SV(NULL, kn_sv_c(name)),
                       kn_arena_printf(r->arena, "%lld", (long long)*ret), "%s", rule);
    return KN_STATUS_OK;
}

static struct kn_status parse_since(struct kn_request *r, struct kn_sv v)
{
    struct kn_time t;
    struct kn_status s = kn_time_parse(v, &t);
    if (kn_ok(s))
        return s;
    kn_status_done(&s);
    struct kn_sv quoted = kn_problem_quote(r->arena, kn_sv_first(v, 100));
    return kn_error(KN_BAD_REQUEST,
                    "parsing time %.*s as \"2006-01-02T15:04:05Z07:00\": cannot parse "
                    "%.*s as \"2006\"",
                    KN_SV_ARG(quoted), KN_SV_ARG(quoted));
}

static struct kn_status log_query(struct kn_request *r, struct kn_buf *out)
{
    static const char *const flags[] = {"follow", "previous", "timestamps"};
    int64_t tail = -1, limit = -1, seconds = -1;
    struct kn_problems p;
    kn_problems_init(&p, r->arena);
    KN_TRY(parse_number(r, "tailLines", 0, "must be greater than or equal to 0", &p, &tail));
    KN_TRY(parse_number(r, "limitBytes", 1, "must be greater than 0", &p, &limit));
    struct kn_sv since = value_of(r, "sinceTime");
    bool both = since.len && value_of(r, "sinceSeconds").ptr;
    struct kn_problems unused;
    kn_problems_init(&unused, r->arena);
    KN_TRY(parse_number(r, "sinceSeconds", 1, "must be greater than 0", both ? &unused : &p,
                        &seconds));
    if (since.len)
        KN_TRY(parse_since(r, since));
    if (both)
        kn_problem_add(&p, KN_PROBLEM_FORBIDDEN, KN_PATH(NULL, ""), KN_SV_NULL,
                       "at most one of `sinceTime` or `sinceSeconds` may be specified");
    KN_TRY(kn_problems_status(&p, KN_SV(""), KN_SV("PodLogOptions"), r->name));
    for (size_t i = 0; i < KN_ARRAY_LEN(flags); i++)
        if (is_true(value_of(r, flags[i])))
            kn_buf_addf(out, "&%s=true", flags[i]);
    if (tail >= 0)
        kn_buf_addf(out, "&tailLines=%lld", (long long)tail);
    if (limit >= 0)
        kn_buf_addf(out, "&limitBytes=%lld", (long long)limit);
    if (seconds >= 0)
        kn_buf_addf(out, "&sinceSeconds=%lld", (long long)seconds);
    if (since.len) {
        kn_buf_addc(out, "&sinceTime=");
        kn_url_encode(out, since, false);
    }
    return kn_buf_status(out, "the query");
}

static struct kn_status add_port(struct kn_request *r, struct kn_sv port, const char *before,
                                 struct kn_buf *out)
{
    int64_t n;
    struct kn_status s = kn_num_parse(port, 0, UINT16_MAX, &n);
    if (kn_ok(s)) {
        kn_buf_addf(out, "%s%lld", before, (long long)n);
        return s;
    }
    kn_status_done(&s);
    bool number = only_digits(port) && port.ptr[0] != '-' && port.ptr[0] != '+';
    return kn_error(KN_BAD_REQUEST,
                    "cannot convert to []int32: strconv.ParseUint: parsing %.*s: %s",
                    KN_SV_ARG(kn_problem_quote(r->arena, kn_sv_first(port, 100))),
                    number ? "value out of range" : "invalid syntax");
}

// The ports of a port-forward, which its clients name again with every stream.
static struct kn_status forward_query(struct kn_request *r, struct kn_buf *out)
{
    struct kn_sv rest = r->query, name, value;
    const char *before = "&port=";
    while (kn_query_next(&rest, &name, &value)) {
        KN_TRY(kn_url_decode(r->arena, name, true, &name));
        if (!kn_sv_is(name, "ports"))
            continue;
        KN_TRY(kn_url_decode(r->arena, value, true, &value));
        do {
            KN_TRY(add_port(r, kn_sv_cut(&value, ','), before, out));
            before = ",";
        } while (value.ptr);
    }
    return kn_buf_status(out, "the query");
}

// What exec and attach take: anything else of the client's query stays here.
static struct kn_status stream_query(struct kn_request *r, struct kn_buf *out)
{
    static const char *const flags[] = {"stdin", "stdout", "stderr", "tty"};
    struct kn_sv rest = r->query, name, value;
    for (size_t i = 0; i < KN_ARRAY_LEN(flags); i++)
        if (is_true(value_of(r, flags[i])))
            kn_buf_addf(out, "&%s=true", flags[i]);
    while (kn_query_next(&rest, &name, &value)) {
        KN_TRY(kn_url_decode(r->arena, name, true, &name));
        if (!kn_sv_is(name, "command"))
            continue;
        KN_TRY(kn_url_decode(r->arena, value, true, &value));
        kn_buf_addf(out, "&%.*s=", KN_SV_ARG(name));
        kn_url_encode(out, value, false);
    }
    return kn_buf_status(out, "the query");
}

// -- the URL --------------------------------------------------------------------------------------

static struct kn_sv internal_ip(const struct kn_obj *node)
{
    const struct kn_json *list = KN_JSON_AT(node->root, KN_K_status, KN_K_addresses), *a;
    KN_JSON_EACH (a, list)
        if (kn_sv_is(kn_json_str(kn_json_get(a, KN_K_type)), "InternalIP"))
            return kn_json_str(kn_json_get(a, KN_K_address));
    return KN_SV_NULL;
}

static struct kn_status add_agent(struct kn_request *r, const struct kn_obj *pod,
                                  struct kn_buf *out)
{
    struct kn_sv name = KN_JSON_STR_AT(pod->root, KN_K_spec, KN_K_nodeName);
    if (name.len == 0)
        return kn_error(KN_BAD_REQUEST, "pod %.*s does not have a host assigned",
                        KN_SV_ARG(pod->name));
    KN_CLEANUP(kn_obj_cleanup)
    const struct kn_obj *node = kn_cache_get(kn_core_cache(r->server, "nodes"), KN_SV_NULL, name);
    struct kn_sv ip = node ? internal_ip(node) : KN_SV_NULL;
    if (ip.len == 0)
        return kn_error(KN_UNAVAILABLE, "the node %.*s has no address to reach its agent at",
                        KN_SV_ARG(name));
    int64_t port = kn_json_int(
        KN_JSON_AT(node->root, KN_K_status, KN_K_daemonEndpoints, KN_K_kubeletEndpoint, KN_K_Port),
        KUBELET_PORT);
    kn_buf_addf(out, "https://%.*s:%lld/", KN_SV_ARG(ip), (long long)port);
    return KN_STATUS_OK;
}

static struct kn_status add_target(struct kn_request *r, const struct kn_obj *pod,
                                   struct kn_sv query, struct kn_buf *out)
{
    bool forward = kn_sv_is(r->subresource, "portforward");
    struct kn_sv container = KN_SV_NULL;
    KN_TRY(add_agent(r, pod, out));
    if (!forward)
        KN_TRY(choose_container(r, pod, &container));
    struct kn_sv what = kn_sv_is(r->subresource, "log") ? KN_SV("containerLogs")
                        : forward                       ? KN_SV("portForward")
                                                        : r->subresource;
    struct kn_sv parts[] = {what, pod->ns, pod->name, container};
    for (size_t i = 0; i < (forward ? 3 : 4); i++) {
        if (i)
            kn_buf_addc(out, "/");
        kn_url_encode(out, parts[i], false);
    }
    if (query.len)
        kn_buf_addf(out, "?%.*s", KN_SV_ARG(kn_sv_from(query, 1))); // without its first '&'
    return kn_buf_status(out, "the agent's URL");
}

struct kn_status kn_connect_target(struct kn_request *r, struct kn_sv *ret_url)
{
    struct kn_buf query = KN_BUF(QUERY_MAX), url = KN_BUF(QUERY_MAX + 4096);
    bool log = kn_sv_is(r->subresource, "log");
    bool forward = kn_sv_is(r->subresource, "portforward");
    struct kn_status s = log       ? log_query(r, &query)
                         : forward ? forward_query(r, &query)
                                   : stream_query(r, &query);
    const struct kn_obj *pod = kn_cache_get(kn_core_cache(r->server, "pods"), r->ns, r->name);
    if (kn_ok(s) && !pod)
        s = kn_not_found(r, r->name);
    if (kn_ok(s))
        s = add_target(r, pod, kn_buf_sv(&query), &url);
    if (kn_ok(s)) {
        *ret_url = kn_arena_dup(r->arena, kn_buf_sv(&url));
        s = ret_url->ptr ? s : kn_arena_error(r->arena, "the request");
    }
    kn_obj_unref(pod);
    kn_buf_done(&query);
    kn_buf_done(&url);
    return s;
}

// Containers of a pod: names, images, ports, environment, probes and hooks.
#include "meta/validate_impl.h"

// -- ports ------------------------------------------------------------------------------------

static const char *const protocols[] = {"SCTP", "TCP", "UDP", NULL};

static void check_ports(struct kn_problems *p, const struct kn_path *path,
                        const struct kn_json *list)
{
    struct kn_names names = {0};
    const struct kn_json *port;
    int64_t i = 0;
    KN_JSON_EACH(port, list)
    {
        const struct kn_path *at = KN_PATH_AT(path, i++);
        struct kn_sv name = TEXT(port, name), protocol = TEXT(port, protocol);
        int64_t number = NUMBER(port, containerPort), host = NUMBER(port, hostPort);
        if (name.len && kn_check_text(p, SUB(at, name), name, kn_name_port_name_problem) &&
            !kn_names_add(p, &names, name))
            kn_check_duplicate(p, SUB(at, name), name);
        if (number == 0)
            kn_check_required(p, SUB(at, containerPort), "");
        else
            kn_check_port(p, SUB(at, containerPort), number);
        if (host)
            kn_check_port(p, SUB(at, hostPort), host);
        if (kn_check_present(p, SUB(at, protocol), protocol, ""))
            kn_check_one_of(p, SUB(at, protocol), protocol, protocols);
    }
}

// Two containers of a pod cannot have the same port of the host.
static void check_host_ports(struct kn_problems *p, const struct kn_path *at,
                             const struct kn_json *c, struct kn_names *seen)
{
    const struct kn_json *port;
    int64_t i = 0;
    KN_JSON_EACH(port, GET(c, ports))
    {
        const struct kn_path *path = KN_PATH_AT(SUB(at, ports), i++);
        if (!NUMBER(port, hostPort))
            continue;
        struct kn_sv text =
            kn_arena_printf(p->arena, "%.*s/%.*s/%lld", KN_SV_ARG(TEXT(port, protocol)),
                            KN_SV_ARG(TEXT(port, hostIP)), (long long)NUMBER(port, hostPort));
        if (!kn_names_add(p, seen, text))
            kn_check_duplicate(p, SUB(path, hostPort), text);
    }
}

static void check_host_network_ports(struct kn_problems *p, const struct kn_path *at,
                                     const struct kn_pod_check *pod, const struct kn_json *c)
{
    const struct kn_json *port;
    int64_t i = 0;
    KN_JSON_EACH(port, GET(c, ports))
    {
        const struct kn_path *path = KN_PATH_AT(SUB(at, ports), i++);
        int64_t host = NUMBER(port, hostPort);
        if ((pod->meta || host) && host != NUMBER(port, containerPort))
            kn_check_invalid_int(p, SUB(path, hostPort), host,
                                 "must match `containerPort` when `hostNetwork` is true");
    }
}

// -- environment ------------------------------------------------------------------------------

static void check_key_ref(struct kn_problems *p, const struct kn_path *path,
                          const struct kn_json *ref)
{
    kn_check_text(p, SUB(path, name), TEXT(ref, name), kn_name_dns_subdomain_problem);
    if (kn_check_present(p, SUB(path, key), TEXT(ref, key), ""))
        kn_check_text(p, SUB(path, key), TEXT(ref, key), kn_name_config_key_problem);
}

static void check_file_ref(struct kn_problems *p, const struct kn_path *path,
                           const struct kn_pod_check *pod, const struct kn_json *ref)
{
    struct kn_sv volume = TEXT(ref, volumeName);
    const struct kn_json *found;
    bool claim;
    if (kn_check_present(p, SUB(path, key), TEXT(ref, key), ""))
        kn_check_text(p, SUB(path, key), TEXT(ref, key), kn_name_env_var_problem);
    if (kn_check_present(p, SUB(path, volumeName), volume, ""))
        kn_check_text(p, SUB(path, volumeName), volume, kn_name_dns_label_problem);
    if (kn_check_present(p, SUB(path, path), TEXT(ref, path), ""))
        kn_check_no_backsteps(p, SUB(path, path), TEXT(ref, path));
    if (!kn_check_find_volume(pod, volume, &found, &claim))
        kn_check_not_found(p, SUB(path, volumeName), volume, "");
    else if (!GET(found, emptyDir))
        kn_check_invalid_text(p, SUB(path, volumeName), volume,
                              "referenced volume must be of type emptyDir");
}

static void check_env_source(struct kn_problems *p, const struct kn_path *path,
                             const struct kn_pod_check *pod, const struct kn_json *from,
                             struct kn_sv value)
{
    static const char *const fields[] = {"metadata.name",
                                         "metadata.namespace",
                                         "metadata.uid",
                                         "spec.nodeName",
                                         "spec.serviceAccountName",
                                         "status.hostIP",
                                         "status.hostIPs",
                                         "status.podIP",
                                         "status.podIPs",
                                         NULL};
    unsigned n = 0;
    const struct kn_json *ref;
    if ((ref = GET(from, fieldRef)) && ++n)
        kn_check_field_ref(p, SUB(path, fieldRef), ref, fields);
    if ((ref = GET(from, resourceFieldRef)) && ++n)
        kn_check_resource_ref(p, SUB(path, resourceFieldRef), ref, false);
    if ((ref = GET(from, configMapKeyRef)) && ++n)
        check_key_ref(p, SUB(path, configMapKeyRef), ref);
    if ((ref = GET(from, secretKeyRef)) && ++n)
        check_key_ref(p, SUB(path, secretKeyRef), ref);
    if ((ref = GET(from, fileKeyRef)) && ++n)
        check_file_ref(p, SUB(path, fileKeyRef), pod, ref);
    const char *wrong = n == 0      ? "must specify one of: `fieldRef`, `resourceFieldRef`, "
                                      "`configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
                        : value.len ? "may not be specified when `value` is not empty"
                        : n > 1     ? "may not have more than one field specified at a time"
                                    : NULL;
    if (wrong)
        kn_check_invalid_text(p, path, KN_SV(""), "%s", wrong);
}

static void check_env(struct kn_problems *p, const struct kn_path *path,
                      const struct kn_pod_check *pod, const struct kn_json *list)
{
    const struct kn_json *v;
    int64_t i = 0;
    KN_JSON_EACH(v, list)
    {
        const struct kn_path *at = KN_PATH_AT(path, i++);
        if (kn_check_present(p, SUB(at, name), TEXT(v, name), ""))
            kn_check_text(p, SUB(at, name), TEXT(v, name), kn_name_env_var_problem);
        if (GET(v, valueFrom))
            check_env_source(p, SUB(at, valueFrom), pod, GET(v, valueFrom), TEXT(v, value));
    }
}

static void check_env_from(struct kn_problems *p, const struct kn_path *path,
                           const struct kn_json *list)
{
    const struct kn_json *v;
    int64_t i = 0;
    KN_JSON_EACH(v, list)
    {
        const struct kn_path *at = KN_PATH_AT(path, i++);
        const struct kn_json *map = GET(v, configMapRef), *secret = GET(v, secretRef);
        if (TEXT(v, prefix).len)
            kn_check_text(p, SUB(at, prefix), TEXT(v, prefix), kn_name_env_var_problem);
        if (map && kn_check_present(p, SUB(SUB(at, configMapRef), name), TEXT(map, name), ""))
            kn_check_text(p, SUB(SUB(at, configMapRef), name), TEXT(map, name),
                          kn_name_dns_subdomain_problem);
        if (secret && kn_check_present(p, SUB(SUB(at, secretRef), name), TEXT(secret, name), ""))
            kn_check_text(p, SUB(SUB(at, secretRef), name), TEXT(secret, name),
                          kn_name_dns_subdomain_problem);
        // upstream names the list, not the element
        if (!map && !secret)
            kn_check_invalid_text(p, path, KN_SV(""),
                                  "must specify one of: `configMapRef` or `secretRef`");
        else if (map && secret)
            kn_check_invalid_text(p, path, KN_SV(""),
                                  "may not have more than one field specified at a time");
    }
}

// -- probes and hooks -------------------------------------------------------------------------

static struct kn_sv header_problem(struct kn_arena *a, struct kn_sv text)
{
    (void)a;
    bool ok = text.len > 0;
    for (size_t i = 0; i < text.len && ok; i++) {
        char c = text.ptr[i];
        ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
    }
    return ok ? KN_SV_NULL
              : KN_SV("a valid HTTP header must consist of alphanumeric characters or '-' (e.g. "
                      "'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')");
}

static void check_http(struct kn_problems *p, const struct kn_path *path, const struct kn_json *get)
{
    static const char *const schemes[] = {"HTTP", "HTTPS", NULL};
    const struct kn_json *h;
    kn_check_present(p, SUB(path, path), TEXT(get, path), "");
    kn_check_port_number_or_name(p, SUB(path, port), GET(get, port));
    kn_check_one_of(p, SUB(path, scheme), TEXT(get, scheme), schemes);
    KN_JSON_EACH(h, GET(get, httpHeaders))
    {
        kn_check_text(p, SUB(path, httpHeaders), TEXT(h, name), header_problem);
    }
}

static void check_sleep(struct kn_problems *p, const struct kn_path *path, const struct kn_json *v,
                        const struct kn_json *grace)
{
    int64_t seconds = NUMBER(v, seconds), limit = kn_json_int(grace, 0);
    if (grace && (seconds < 0 || seconds > limit))
        kn_check_invalid_int(
            p, path, seconds,
            "must be non-negative and less than terminationGracePeriodSeconds (%lld)",
            (long long)limit);
}

static void check_one_handler(struct kn_problems *p, const struct kn_path *path, enum kn_atom name,
                              const struct kn_json *v, const struct kn_json *grace)
{
    if (name == KN_K_exec && !kn_json_len(GET(v, command)))
        kn_check_required(p, SUB(path, command), "");
    else if (name == KN_K_httpGet)
        check_http(p, path, v);
    else if (name == KN_K_tcpSocket)
        kn_check_port_number_or_name(p, SUB(path, port), GET(v, port));
    else if (name == KN_K_grpc)
        kn_check_port(p, SUB(path, port), NUMBER(v, port));
    else if (name == KN_K_sleep)
        check_sleep(p, path, v, grace);
}

// Exactly one of the ways in which a probe asks or a hook acts.
static void check_handler(struct kn_problems *p, const struct kn_path *path,
                          const struct kn_json *h, const struct kn_json *grace, bool probe)
{
    static const enum kn_atom of_probe[] = {KN_K_exec, KN_K_httpGet, KN_K_tcpSocket, KN_K_grpc},
                              of_hook[] = {KN_K_exec, KN_K_httpGet, KN_K_tcpSocket, KN_K_sleep};
    const enum kn_atom *names = probe ? of_probe : of_hook;
    unsigned n = 0;
    for (size_t i = 0; i < 4; i++) {
        const struct kn_json *v = kn_json_get(h, names[i]);
        const struct kn_path *at = KN_PATH_SV(path, kn_atom_name(names[i]));
        if (!v)
            continue;
        if (n++)
            kn_check_forbidden(p, at, "may not specify more than 1 handler type");
        else
            check_one_handler(p, at, names[i], v, grace);
    }
    if (n == 0)
        kn_check_required(p, path, "must specify a handler type");
}

static void check_probe(struct kn_problems *p, const struct kn_path *path,
                        const struct kn_json *probe, bool readiness)
{
    static const enum kn_atom numbers[] = {KN_K_initialDelaySeconds, KN_K_timeoutSeconds,
                                           KN_K_periodSeconds, KN_K_successThreshold,
                                           KN_K_failureThreshold};
    if (!probe)
        return;
    check_handler(p, path, probe, NULL, true);
    for (size_t i = 0; i < KN_ARRAY_LEN(numbers); i++)
        kn_check_not_negative(p, KN_PATH_SV(path, kn_atom_name(numbers[i])),
                              kn_json_get(probe, numbers[i]));
    const struct kn_json *grace = GET(probe, terminationGracePeriodSeconds);
    if (grace && kn_json_int(grace, 0) <= 0)
        kn_check_invalid(p, SUB(path, terminationGracePeriodSeconds), grace,
                         "must be greater than 0");
    if (readiness && grace)
        kn_check_invalid(p, SUB(path, terminationGracePeriodSeconds), grace,
                         "must not be set for readinessProbes");
    if (!readiness && NUMBER(probe, successThreshold) != 1)
        kn_check_invalid_int(p, SUB(path, successThreshold), NUMBER(probe, successThreshold),
                             "must be 1");
}

static void check_probes_and_hooks(struct kn_problems *p, const struct kn_path *at,
                                   const struct kn_pod_check *pod, const struct kn_json *c)
{
    const struct kn_json *life = GET(c, lifecycle);
    const struct kn_json *grace = GET(pod->spec, terminationGracePeriodSeconds);
    if (GET(life, postStart))
        check_handler(p, SUB(SUB(at, lifecycle), postStart), GET(life, postStart), grace, false);
    if (GET(life, preStop))
        check_handler(p, SUB(SUB(at, lifecycle), preStop), GET(life, preStop), grace, false);
    if (GET(life, stopSignal) && !GET(pod->spec, os))
        kn_check_forbidden(p, SUB(SUB(at, lifecycle), stopSignal),
                           "may not be set for containers with empty `spec.os.name`");
    check_probe(p, SUB(at, livenessProbe), GET(c, livenessProbe), false);
    check_probe(p, SUB(at, readinessProbe), GET(c, readinessProbe), true);
    check_probe(p, SUB(at, startupProbe), GET(c, startupProbe), false);
}

static void forbid_probes_and_hooks(struct kn_problems *p, const struct kn_path *at,
                                    const struct kn_json *c)
{
    static const enum kn_atom names[] = {KN_K_lifecycle, KN_K_livenessProbe, KN_K_readinessProbe,
                                         KN_K_startupProbe};
    for (size_t i = 0; i < KN_ARRAY_LEN(names); i++)
        if (kn_json_get(c, names[i]))
            kn_check_forbidden(p, KN_PATH_SV(at, kn_atom_name(names[i])),
                               "may not be set for init containers without restartPolicy=Always");
}

// -- a container ------------------------------------------------------------------------------

static void check_resize(struct kn_problems *p, const struct kn_path *path,
                         const struct kn_json *list, bool never)
{
    static const char *const resources[] = {"cpu", "memory", NULL};
    static const char *const policies[] = {"NotRequired", "RestartContainer", NULL};
    struct kn_names names = {0};
    const struct kn_json *v;
    int64_t i = 0;
    KN_JSON_EACH(v, list)
    {
        struct kn_sv name = TEXT(v, resourceName), policy = TEXT(v, restartPolicy);
        if (!kn_names_add(p, &names, name))
            kn_check_duplicate(p, KN_PATH_AT(path, i), name);
        if (kn_check_present(p, path, name, ""))
            kn_check_one_of(p, path, name, resources);
        if (kn_check_present(p, path, policy, ""))
            kn_check_one_of(p, path, policy, policies);
        if (never && !kn_sv_is(policy, "NotRequired"))
            kn_check_invalid_text(p, path, policy,
                                  "must be 'NotRequired' when pod `restartPolicy` is 'Never'");
        i++;
    }
}

static void check_container(struct kn_problems *p, const struct kn_path *at,
                            const struct kn_pod_check *pod, const struct kn_json *c)
{
    static const char *const messages[] = {"File", "FallbackToLogsOnError", NULL};
    static const char *const pulls[] = {"Always", "IfNotPresent", "Never", NULL};
    struct kn_sv message = TEXT(c, terminationMessagePolicy), pull = TEXT(c, imagePullPolicy);
    const struct kn_json *users = GET(pod->spec, hostUsers);
    if (kn_check_present(p, SUB(at, name), TEXT(c, name), ""))
        kn_check_text(p, SUB(at, name), TEXT(c, name), kn_name_dns_label_problem);
    kn_check_present(p, SUB(at, image), TEXT(c, image), "");
    if (kn_check_present(p, SUB(at, terminationMessagePolicy), message, ""))
        kn_check_one_of(p, SUB(at, terminationMessagePolicy), message, messages);
    check_ports(p, SUB(at, ports), GET(c, ports));
    check_env(p, SUB(at, env), pod, GET(c, env));
    check_env_from(p, SUB(at, envFrom), GET(c, envFrom));
    kn_check_mounts(p, at, pod, c);
    if (kn_check_present(p, SUB(at, imagePullPolicy), pull, ""))
        kn_check_one_of(p, SUB(at, imagePullPolicy), pull, pulls);
    kn_check_requirements(p, SUB(at, resources), GET(c, resources), GET(pod->spec, resourceClaims));
    check_resize(p, SUB(at, resizePolicy), GET(c, resizePolicy),
                 kn_sv_is(TEXT(pod->spec, restartPolicy), "Never"));
    kn_check_container_security(p, SUB(at, securityContext), GET(c, securityContext),
                                kn_json_bool(users, true));
}

static void check_restart_rules(struct kn_problems *p, const struct kn_path *at,
                                const struct kn_json *c)
{
    static const char *const policies[] = {"Always", "Never", "OnFailure", NULL};
    static const char *const operators[] = {"In", "NotIn", NULL};
    static const char *const actions[] = {"Restart", "RestartAllContainers", NULL};
    const struct kn_json *policy = GET(c, restartPolicy), *rules = GET(c, restartPolicyRules),
                         *rule;
    if (policy)
        kn_check_one_of(p, SUB(at, restartPolicy), kn_json_str(policy), policies);
    else if (kn_json_len(rules))
        kn_check_required(p, SUB(at, restartPolicy),
                          "must specify restartPolicy when restart rules are used");
    if (kn_json_len(rules) > 20)
        kn_check_too_many(p, SUB(at, restartPolicyRules), kn_json_len(rules), 20);
    int64_t i = 0;
    KN_JSON_EACH(rule, rules)
    {
        const struct kn_path *path = KN_PATH_AT(SUB(at, restartPolicyRules), i++);
        const struct kn_json *codes = GET(rule, exitCodes);
        kn_check_one_of(p, SUB(path, action), TEXT(rule, action), actions);
        if (!codes)
            kn_check_required(p, SUB(path, exitCodes), "must be specified");
        else
            kn_check_one_of(p, SUB(SUB(path, exitCodes), operator), TEXT(codes, operator),
                            operators);
        if (kn_json_len(GET(codes, values)) > 255)
            kn_check_too_many(p, SUB(SUB(path, exitCodes), values), kn_json_len(GET(codes, values)),
                              255);
    }
}

static void check_main(struct kn_problems *p, const struct kn_path *path,
                       const struct kn_pod_check *pod, struct kn_names *names)
{
    const struct kn_json *list = GET(pod->spec, containers), *c;
    struct kn_names host_ports = {0};
    int64_t i = 0;
    if (!kn_json_len(list))
        kn_check_required(p, path, "");
    KN_JSON_EACH(c, list)
    {
        const struct kn_path *at = KN_PATH_AT(path, i++);
        check_container(p, at, pod, c);
        if (!kn_names_add(p, names, TEXT(c, name)))
            kn_check_duplicate(p, SUB(at, name), TEXT(c, name));
        check_probes_and_hooks(p, at, pod, c);
        check_restart_rules(p, at, c);
    }
    i = 0;
    KN_JSON_EACH(c, list)
    {
        check_host_ports(p, KN_PATH_AT(path, i++), c, &host_ports);
    }
}

static void check_init(struct kn_problems *p, const struct kn_path *path,
                       const struct kn_pod_check *pod, struct kn_names *names)
{
    const struct kn_json *c;
    int64_t i = 0;
    KN_JSON_EACH(c, GET(pod->spec, initContainers))
    {
        const struct kn_path *at = KN_PATH_AT(path, i++);
        struct kn_names host_ports = {0};
        check_container(p, at, pod, c);
        check_restart_rules(p, at, c);
        if (!kn_names_add(p, names, TEXT(c, name)))
            kn_check_duplicate(p, SUB(at, name), TEXT(c, name));
        check_host_ports(p, at, c, &host_ports);
        if (kn_sv_is(TEXT(c, restartPolicy), "Always"))
            check_probes_and_hooks(p, at, pod, c);
        else
            forbid_probes_and_hooks(p, at, c);
    }
}

static void check_ephemeral(struct kn_problems *p, const struct kn_path *path,
                            const struct kn_pod_check *pod, struct kn_names *names)
{
    static const enum kn_atom refused[] = {KN_K_ports,         KN_K_resources,
                                           KN_K_livenessProbe, KN_K_readinessProbe,
                                           KN_K_startupProbe,  KN_K_lifecycle};
    struct kn_names others = {0};
    const struct kn_json *c, *m;
    int64_t i = 0;
    KN_JSON_EACH(c, GET(pod->spec, containers))
    {
        kn_names_add(p, &others, TEXT(c, name));
    }
    KN_JSON_EACH(c, GET(pod->spec, initContainers))
    {
        kn_names_add(p, &others, TEXT(c, name));
    }
    KN_JSON_EACH(c, GET(pod->spec, ephemeralContainers))
    {
        const struct kn_path *at = KN_PATH_AT(path, i++);
        struct kn_sv target = TEXT(c, targetContainerName);
        check_container(p, at, pod, c);
        if (!kn_names_add(p, names, TEXT(c, name)))
            kn_check_duplicate(p, SUB(at, name), TEXT(c, name));
        if (target.len && !kn_names_has(&others, target))
            kn_check_not_found(p, SUB(at, targetContainerName), target, "");
        for (size_t k = 0; k < KN_ARRAY_LEN(refused); k++)
            if (kn_json_len(kn_json_get(c, refused[k])))
                kn_check_forbidden(p, KN_PATH_SV(at, kn_atom_name(refused[k])),
                                   "cannot be set for an Ephemeral Container");
        int64_t j = 0;
        KN_JSON_EACH(m, GET(c, volumeMounts))
        {
            const struct kn_path *mount = KN_PATH_AT(SUB(at, volumeMounts), j++);
            if (TEXT(m, subPath).len)
                kn_check_forbidden(p, SUB(mount, subPath),
                                   "cannot be set for an Ephemeral Container");
            if (TEXT(m, subPathExpr).len)
                kn_check_forbidden(p, SUB(mount, subPathExpr),
                                   "cannot be set for an Ephemeral Container");
        }
    }
}

void kn_check_containers(struct kn_problems *p, const struct kn_path *spec_path,
                         const struct kn_pod_check *pod)
{
    struct kn_names names = {0};
    const struct kn_json *c;
    check_main(p, SUB(spec_path, containers), pod, &names);
    check_init(p, SUB(spec_path, initContainers), pod, &names);
    check_ephemeral(p, SUB(spec_path, ephemeralContainers), pod, &names);
    if (!FLAG(pod->spec, hostNetwork))
        return;
    int64_t i = 0;
    KN_JSON_EACH(c, GET(pod->spec, containers))
    {
        check_host_network_ports(p, KN_PATH_AT(SUB(spec_path, containers), i++), pod, c);
    }
}

void kn_check_image_spaces(struct kn_problems *p, const struct kn_path *path,
                           const struct kn_json *containers)
{
    const struct kn_json *c;
    int64_t i = 0;
    KN_JSON_EACH(c, containers)
    {
        struct kn_sv image = TEXT(c, image);
        if (kn_sv_trim(image).len != image.len)
            kn_check_invalid_text(p, SUB(KN_PATH_AT(path, i), image), image,
                                  "must not have leading or trailing whitespace");
        i++;
    }
}

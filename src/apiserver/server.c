// The API server: from an accepted request to the code that answers it, and its start and stop.
#include "apiserver/alloc.h"
#include "apiserver/internal.h"

#define VERSION "v1.37.2+knarr." KN_VERSION

// -- dispatch -------------------------------------------------------------------------------------

static bool verb_served(const struct kn_request *r)
{
    bool one = r->action == KN_ACT_UPDATE || r->action == KN_ACT_PATCH;
    if ((one && r->name.len == 0) ||
        (r->action == KN_ACT_CREATE && r->name.len && r->subresource.len == 0 && r->http))
        return false; // PATCH of a list, POST to one object
    uint32_t verbs = r->sub ? r->sub->verbs : r->resource->verbs;
    static const uint32_t bits[] = {
        [KN_ACT_GET] = KN_VERB_GET,       [KN_ACT_LIST] = KN_VERB_LIST,
        [KN_ACT_WATCH] = KN_VERB_WATCH,   [KN_ACT_CREATE] = KN_VERB_CREATE,
        [KN_ACT_UPDATE] = KN_VERB_UPDATE, [KN_ACT_PATCH] = KN_VERB_PATCH,
        [KN_ACT_DELETE] = KN_VERB_DELETE, [KN_ACT_DELETECOLLECTION] = KN_VERB_DELETECOLLECTION,
    };
    return verbs & bits[r->action];
}

void kn_request_run(struct kn_request *r)
{
    if (r->action == KN_ACT_OTHER) {
        kn_other_run(r);
        return;
    }
    if (!verb_served(r)) {
        r->answer->error = kn_not_allowed(r);
        return;
    }
    if (kn_special(r))
        return;
    switch (r->action) {
    case KN_ACT_GET:
        kn_read_get(r);
        break;
    case KN_ACT_LIST:
        kn_read_list(r);
        break;
    case KN_ACT_CREATE:
        kn_write_create(r);
        break;
    case KN_ACT_UPDATE:
        kn_write_update(r);
        break;
    case KN_ACT_PATCH:
        kn_write_patch(r);
        break;
    case KN_ACT_DELETE:
        kn_write_delete(r);
        break;
    case KN_ACT_DELETECOLLECTION:
        kn_write_delete_collection(r);
        break;
    case KN_ACT_WATCH:
    case KN_ACT_CONNECT:
    case KN_ACT_OTHER:
        r->answer->error = kn_not_allowed(r);
        break;
    }
}

struct work {
    struct kn_job job;
    struct kn_request *r;
};

static void run_request(struct kn_job *job)
{
    struct kn_request *r = KN_CONTAINER_OF(job, struct work, job)->r;
    kn_request_run(r);
    kn_answer_send(r); // ends the HTTP request: r is gone
}

static void fail(struct kn_request *r, struct kn_status s)
{
    r->answer->error = s;
    kn_answer_send(r);
}

static void to_worker(struct kn_request *r)
{
    struct work *w = KN_ARENA_NEW(r->arena, struct work);
    if (!w) {
        fail(r, kn_arena_error(r->arena, "the request"));
        return;
    }
    *w = (struct work){.job.run = run_request, .r = r};
    if (!kn_jobs_put(r->server->jobs, &w->job))
        fail(r, kn_error(KN_UNAVAILABLE, "the server is stopping"));
}

struct kn_status kn_request_authorize(struct kn_request *r, const char *verb)
{
    struct kn_attributes q = {.user = r->user,
                              .verb = verb,
                              .is_resource = r->action != KN_ACT_OTHER,
                              .ns = r->ns,
                              .group = r->group,
                              .version = r->version,
                              .resource = r->plural,
                              .subresource = r->subresource,
                              .name = r->name,
                              .path = r->path};
    return kn_authorize(r->server, r->arena, &q);
}

// Who asks is known: what he asks for, whether he may, and in which form he wants the answer.
static struct kn_status admit_user(struct kn_request *r, struct kn_http_req *http)
{
    KN_TRY(kn_impersonate(r->server, http, r->arena, &r->user));
    struct kn_status routed = kn_route(r);
    if (!kn_ok(routed) && !kn_user_in(r->user, "system:authenticated")) {
        kn_status_done(&routed); // what exists is not told to strangers
        r->action = KN_ACT_OTHER;
        r->verb = "get";
        routed = kn_request_authorize(r, r->verb);
        return kn_ok(routed) ? kn_error(KN_NOT_FOUND, "the server could not find the requested "
                                                      "resource")
                             : routed;
    }
    if (kn_ok(routed) || (routed.code == KN_NOT_FOUND && r->plural.len)) {
        struct kn_status allowed = kn_request_authorize(r, r->verb);
        if (!kn_ok(allowed)) {
            kn_status_done(&routed);
            return allowed;
        }
    }
    KN_TRY(routed);
    if (r->action == KN_ACT_OTHER)
        return KN_STATUS_OK;
    if (r->action == KN_ACT_CONNECT)
        return KN_STATUS_OK;
    if (r->resource->deprecated)
        kn_answer_warn(r, "%s", r->resource->deprecated);
    KN_TRY(kn_answer_negotiate(r, kn_http_header(http, "Accept")));
    return kn_options_check(r);
}

// Everything before the work itself. Who came without credentials is told to bring some, whatever
// it is that he may not do.
static struct kn_status admit_request(struct kn_request *r, struct kn_http_req *http)
{
    KN_TRY(kn_authenticate(r->server, http, r->arena, &r->user));
    bool stranger = !kn_user_in(r->user, "system:authenticated");
    struct kn_status s = admit_user(r, http);
    if (!stranger || s.code != KN_FORBIDDEN)
        return s;
    kn_status_done(&s);
    return kn_error(KN_UNAUTHORIZED, "Unauthorized");
}

static void handle(struct kn_http_req *http, void *arg)
{
    struct kn_apiserver *s = arg;
    struct kn_arena *a = kn_http_arena(http);
    struct kn_request *r = KN_ARENA_NEW(a, struct kn_request);
    struct kn_answer *answer = KN_ARENA_NEW(a, struct kn_answer);
    if (!r || !answer) {
        kn_http_respond_text(http, 500, "text/plain", KN_SV("out of memory\n"));
        return;
    }
    kn_answer_init(answer);
    s->requests++;
    *r = (struct kn_request){.server = s,
                             .arena = a,
                             .http = http,
                             .answer = answer,
                             .method = kn_http_method(http),
                             .path = kn_http_path(http),
                             .query = kn_http_query(http),
                             .body = kn_http_body(http),
                             .content_type = kn_sv_trim(kn_http_header(http, "Content-Type"))};
    struct kn_status st = admit_request(r, http);
    if (!kn_ok(st)) {
        fail(r, st);
        return;
    }
    // from the watch cache: but lists of a past revision come from the store
    bool read = r->action == KN_ACT_GET ||
                (r->action == KN_ACT_LIST && r->options.continue_token.len == 0 &&
                 !kn_sv_is(r->options.version_match, "Exact"));
    if (r->action == KN_ACT_WATCH && !verb_served(r))
        fail(r, kn_not_allowed(r));
    else if (r->action == KN_ACT_WATCH)
        kn_watch_start(r);
    else if (r->action == KN_ACT_CONNECT)
        kn_connect_start(r);
    else if (read || (r->action == KN_ACT_OTHER && !kn_other_is_slow(r))) {
        kn_request_run(r);
        kn_answer_send(r);
    } else {
        to_worker(r);
    }
}

// -- start and stop -------------------------------------------------------------------------------

static struct kn_status open_tls(struct kn_apiserver *s, const struct kn_apiserver_config *c)
{
    KN_TRY(kn_tls_server_new(&s->tls));
    KN_TRY(kn_tls_set_identity(s->tls, c->server_chain, c->server_key));
    KN_TRY(kn_tls_set_cas(s->tls, c->client_cas));
    // Node agents present certificates of the cluster's own authority.
    KN_TRY(kn_tls_client_new(&(struct kn_tls_client_options){.http1_only = true}, &s->kubelet_tls));
    KN_TRY(kn_tls_set_cas(s->kubelet_tls, c->client_cas));
    if (c->kubelet_chain)
        KN_TRY(kn_tls_set_identity(s->kubelet_tls, c->kubelet_chain, c->kubelet_key));
    return KN_STATUS_OK;
}

static struct kn_status open_http(struct kn_apiserver *s, const struct kn_apiserver_config *c)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    int threads = c->threads ? c->threads : cpus < 1 ? 1 : cpus > 4 ? 4 : (int)cpus;
    if (threads > (int)KN_ARRAY_LEN(s->kubelets))
        threads = KN_ARRAY_LEN(s->kubelets);
    struct kn_http_config config = {
        .handle = handle, .arg = s, .name = "api", .threads = threads, .max_body = KN_OBJ_MAX};
    KN_TRY(kn_http_server_new(&config, &s->http));
    for (size_t i = 0; i < c->listen_fd_count; i++)
        KN_TRY(kn_http_listen_fd(s->http, c->listen_fds[i], s->tls));
    if (c->listen_fd_count == 0)
        KN_TRY(kn_http_listen_tcp(s->http, c->bind_address ? c->bind_address : "0.0.0.0", c->port,
                                  s->tls, &s->port));
    kn_rest_open_watchers(s);
    return KN_STATUS_OK;
}

static struct kn_status open_key_id(struct kn_apiserver *s)
{
    struct kn_buf der = KN_BUF(8192);
    struct kn_status st = kn_key_public_der(s->token_key, &der);
    if (kn_ok(st)) {
        uint8_t hash[KN_SHA256_LEN];
        kn_sha256(kn_buf_sv(&der), hash);
        kn_hex(hash, 16, s->token_key_id);
    }
    kn_buf_done(&der);
    return st;
}

static struct kn_status copy_config(struct kn_apiserver *s, const struct kn_apiserver_config *c)
{
    s->config = *c;
    s->config.token_issuer =
        strdup(c->token_issuer ? c->token_issuer : "https://kubernetes.default.svc.cluster.local");
    s->config.service_cidr = strdup(c->service_cidr ? c->service_cidr : "10.96.0.0/16");
    s->config.advertise_address = strdup(c->advertise_address ? c->advertise_address : "127.0.0.1");
    s->config.version = strdup(c->version ? c->version : VERSION);
    if (c->encryption_key)
        s->encryption_key = kn_secret_from(kn_sv((const char *)c->encryption_key, KN_GCM_KEY));
    s->config.encryption_key = NULL;
    s->token_key = kn_key_ref(c->token_key);
    s->config.listen_fds = NULL;
    s->config.server_chain = s->config.client_cas = s->config.kubelet_chain = NULL;
    s->config.server_key = s->config.kubelet_key = s->config.token_key = NULL;
    return open_key_id(s);
}

struct kn_status kn_apiserver_start(const struct kn_apiserver_config *c, struct kn_apiserver **ret)
{
    struct kn_apiserver *s = KN_NEW(struct kn_apiserver);
    s->started = kn_mono();
    pthread_mutex_init(&s->health_lock, NULL);
    struct kn_status st = copy_config(s, c);
    if (kn_ok(st))
        st = kn_rest_open(s);
    if (kn_ok(st))
        st = kn_prepare_open(s);
    if (kn_ok(st))
        st = open_tls(s, c);
    if (kn_ok(st))
        st = open_http(s, c);
    if (kn_ok(st))
        st = kn_jobs_new(c->workers > 0 ? (unsigned)c->workers : 0, &s->jobs);
    if (kn_ok(st) && s->config.advertise_port == 0)
        s->config.advertise_port = s->port;
    if (kn_ok(st))
        st = kn_bootstrap(s); // before anybody can ask: roles are there with the first request
    if (kn_ok(st))
        st = kn_own_service_start(s);
    if (kn_ok(st))
        st = kn_http_server_start(s->http);
    if (!kn_ok(st)) {
        kn_apiserver_stop(s);
        return kn_wrap(st, "start the API server");
    }
    s->ready = true;
    *ret = s;
    return KN_STATUS_OK;
}

uint16_t kn_apiserver_port(const struct kn_apiserver *s)
{
    return s->port ? s->port : s->config.advertise_port;
}

struct kn_status kn_apiserver_set_identity(struct kn_apiserver *s, const struct kn_certs *chain,
                                           struct kn_key *key)
{
    return kn_tls_set_identity(s->tls, chain, key);
}

struct kn_status kn_apiserver_set_kubelet_identity(struct kn_apiserver *s,
                                                   const struct kn_certs *chain, struct kn_key *key)
{
    return kn_tls_set_identity(s->kubelet_tls, chain, key);
}

struct end_watches {
    struct kn_task task;
    struct kn_apiserver *server;
    int thread;
};

static void end_watches(struct kn_task *t)
{
    struct end_watches *e = KN_CONTAINER_OF(t, struct end_watches, task);
    kn_watch_end_all(e->server, e->thread);
    kn_connect_end_all(e->server, e->thread);
    free(e);
}

static void stop_http(struct kn_apiserver *s)
{
    for (int i = 0; s->ready && i < kn_http_server_threads(s->http); i++) {
        struct end_watches *e = KN_NEW(struct end_watches);
        *e = (struct end_watches){.task = {.run = end_watches}, .server = s, .thread = i};
        kn_loop_post(kn_http_server_loop(s->http, i), &e->task);
    }
    kn_http_server_drain(s->http, kn_mono() + 2 * KN_SECOND);
}

void kn_apiserver_stop(struct kn_apiserver *s)
{
    if (!s)
        return;
    s->stopping = true;
    kn_own_service_stop(s);
    if (s->http)
        stop_http(s);
    kn_jobs_close(s->jobs);
    KN_IGNORE(kn_store_observe(s->config.store, NULL, NULL));
    kn_http_server_free(s->http);
    kn_rest_close(s);
    kn_alloc_free(s->alloc);
    kn_tls_ctx_free(s->tls);
    kn_tls_ctx_free(s->kubelet_tls);
    kn_key_free(s->token_key);
    kn_jobs_free(s->jobs);
    kn_secret_free(s->encryption_key);
    free((char *)(uintptr_t)s->config.token_issuer);
    free((char *)(uintptr_t)s->config.service_cidr);
    free((char *)(uintptr_t)s->config.advertise_address);
    free((char *)(uintptr_t)s->config.version);
    free(s);
}

#include "client/remote_impl.h"

#include "base/vec.h"

#define BODY_LIMIT ((size_t)512 << 20) // of a list
#define ARENA_LIMIT ((size_t)2 << 30)
#define OBJECT_LIMIT ((size_t)64 << 20)
#define PAGE 500
#define TRIES 6 // when the server says 429

// -- paths and errors -----------------------------------------------------------------------------

void kn_remote_path(struct kn_buf *out, const struct kn_resource *r, struct kn_sv ns,
                    struct kn_sv name, const char *subresource)
{
    if (r->group.len)
        kn_buf_addf(out, "/apis/%.*s/%.*s", KN_SV_ARG(r->group), KN_SV_ARG(r->version));
    else
        kn_buf_addf(out, "/api/%.*s", KN_SV_ARG(r->version));
    if (r->namespaced && ns.len) {
        kn_buf_addc(out, "/namespaces/");
        kn_url_encode(out, ns, false);
    }
    kn_buf_add_byte(out, '/');
    kn_buf_add(out, r->plural);
    if (name.len) {
        kn_buf_add_byte(out, '/');
        kn_url_encode(out, name, false);
    }
    if (subresource)
        kn_buf_addf(out, "/%s", subresource);
}

void kn_remote_selectors(struct kn_buf *out, const struct kn_list_options *o)
{
    if (o && o->label_selector.len) {
        kn_buf_addc(out, "&labelSelector=");
        kn_url_encode(out, o->label_selector, false);
    }
    if (o && o->field_selector.len) {
        kn_buf_addc(out, "&fieldSelector=");
        kn_url_encode(out, o->field_selector, false);
    }
}

struct kn_status kn_remote_error(struct kn_arena *a, int http, struct kn_sv body)
{
    struct kn_json *v = NULL;
    struct kn_status s = kn_json_parse(a, body, NULL, &v);
    bool is_status = kn_ok(s) && kn_sv_is(kn_json_str(kn_json_get(v, KN_K_kind)), "Status");
    kn_status_done(&s);
    if (!is_status) { // a proxy between, or no Kubernetes at all
        struct kn_sv text = kn_sv_trim(kn_sv_first(body, 200));
        return kn_error(kn_code_from_wire(http, KN_SV_NULL), "%d %s%s%.*s", http,
                        kn_http_phrase(http), text.len ? ": " : "", KN_SV_ARG(text));
    }
    struct kn_sv reason = kn_json_str(kn_json_get(v, KN_K_reason));
    int code = (int)kn_json_int(kn_json_get(v, KN_K_code), http);
    enum kn_code mapped = kn_code_from_wire(code, reason);
    if (mapped == KN_OK)
        mapped = KN_INTERNAL;
    s = kn_error(mapped, "%.*s", KN_SV_ARG(kn_json_str(kn_json_get(v, KN_K_message))));
    const struct kn_json *details = kn_json_get(v, KN_K_details);
    if (kn_json_is_object(details)) {
        struct kn_buf text = KN_BUF(1 << 20);
        kn_json_encode(&text, details);
        s = kn_status_with_details(s, kn_buf_sv(&text));
        kn_buf_done(&text);
    }
    return s;
}

// -- one request ----------------------------------------------------------------------------------

struct request {
    const char *method;
    const char *type; // of the body; NULL: no body
    struct kn_sv body;
    size_t limit;
};

// False if the client is being closed.
static bool wait_seconds(struct remote *c, int64_t seconds)
{
    int64_t until = kn_mono() + seconds * KN_SECOND;
    bool open;
    pthread_mutex_lock(&c->lock);
    while (!c->closing && kn_cond_wait(&c->changed, &c->lock, until))
        ;
    open = !c->closing;
    pthread_mutex_unlock(&c->lock);
    return open;
}

static int64_t retry_after(const struct kn_http_client_resp *resp)
{
    struct kn_sv text = kn_http_client_resp_get(resp, "Retry-After");
    int64_t seconds = 1;
    for (size_t i = 0; i < text.len && i < 3; i++)
        if (text.ptr[i] >= '0' && text.ptr[i] <= '9')
            seconds = (i ? seconds : 0) * 10 + text.ptr[i] - '0';
    return seconds < 1 ? 1 : seconds > 30 ? 30 : seconds;
}

// Sends; the answer's body, in the arena. Errors are the API's.
static struct kn_status send(struct remote *c, struct kn_arena *a, const struct request *q,
                             struct kn_buf *path, struct kn_sv *ret_body)
{
    struct kn_status s = kn_buf_status(path, "the path of a request");
    struct kn_http_header headers[2] = {{KN_SV("Accept"), KN_SV("application/json")}};
    if (q->type)
        headers[1] = (struct kn_http_header){KN_SV("Content-Type"), kn_sv_c(q->type)};
    for (int try = 0; kn_ok(s); try++) {
        struct kn_http_client_req req = {.method = q->method,
                                         .url = kn_buf_sv(path),
                                         .headers = headers,
                                         .headers_len = q->type ? 2 : 1,
                                         .body = q->body,
                                         .deadline = kn_mono() + c->timeout};
        struct kn_http_client_resp resp;
        s = kn_http_call(c->http, &req, q->limit, a, &resp);
        if (!kn_ok(s))
            break;
        if (resp.status == 429 && try + 1 < TRIES && wait_seconds(c, retry_after(&resp)))
            continue;
        if (resp.status < 200 || resp.status > 299)
            s = kn_remote_error(a, resp.status, resp.body);
        else
            *ret_body = resp.body;
        break;
    }
    kn_buf_done(path);
    return s;
}

// The same, for one object. written: what a write answers; NULL for a read.
static struct kn_status send_for_object(struct kn_client *client, const struct request *q,
                                        struct kn_buf *path, const struct kn_resource *written,
                                        const struct kn_obj **ret)
{
    struct remote *c = (struct remote *)client;
    struct kn_arena *a = kn_arena_new(4096, ARENA_LIMIT);
    struct kn_sv body;
    const struct kn_obj *o = NULL;
    struct kn_status s = send(c, a, q, path, &body);
    if (kn_ok(s) && ret) {
        s = kn_obj_parse(body, &o);
    } else if (kn_ok(s) && written) {
        KN_IGNORE(kn_obj_parse(body, &o)); // nobody asked for it, and it may be no object
    }
    kn_arena_free(a);
    if (!kn_ok(s))
        return s;
    if (o && written)
        kn_informers_wrote(c->reader, written, o);
    if (ret)
        *ret = o;
    else
        kn_obj_unref(o);
    return s;
}

static struct kn_status send_json(struct kn_client *client, const char *method, struct kn_buf *path,
                                  const struct kn_resource *r, const struct kn_json *body,
                                  const struct kn_obj **ret)
{
    struct kn_buf text = KN_BUF(KN_OBJ_MAX * 2);
    kn_json_encode(&text, body);
    struct kn_status s = kn_buf_status(&text, "the object");
    if (kn_ok(s))
        s = send_for_object(client,
                            &(struct request){.method = method,
                                              .type = "application/json",
                                              .body = kn_buf_sv(&text),
                                              .limit = OBJECT_LIMIT},
                            path, r, ret);
    else
        kn_buf_done(path);
    kn_buf_done(&text);
    return s;
}

// -- the contract ---------------------------------------------------------------------------------

#define PATH KN_BUF(8192)

static struct kn_status get(struct kn_client *c, const struct kn_resource *r, struct kn_sv ns,
                            struct kn_sv name, const struct kn_obj **ret)
{
    struct kn_buf path = PATH;
    kn_remote_path(&path, r, ns, name, NULL);
    return send_for_object(c, &(struct request){.method = "GET", .limit = OBJECT_LIMIT}, &path,
                           NULL, ret);
}

static struct kn_status create(struct kn_client *c, const struct kn_resource *r, struct kn_sv ns,
                               struct kn_sv name, const char *subresource,
                               const struct kn_json *body, const struct kn_obj **ret)
{
    struct kn_buf path = PATH;
    kn_remote_path(&path, r, ns, subresource ? name : KN_SV_NULL, subresource);
    return send_json(c, "POST", &path, r, body, ret);
}

static struct kn_status update(struct kn_client *c, const struct kn_resource *r, struct kn_sv ns,
                               struct kn_sv name, const char *subresource,
                               const struct kn_json *body, const struct kn_obj **ret)
{
    struct kn_buf path = PATH;
    kn_remote_path(&path, r, ns, name, subresource);
    return send_json(c, "PUT", &path, r, body, ret);
}

static struct kn_status patch(struct kn_client *c, const struct kn_resource *r, struct kn_sv ns,
                              struct kn_sv name, const char *subresource, enum kn_patch_type type,
                              struct kn_sv text, const struct kn_obj **ret)
{
    static const char *const types[] = {
        [KN_PATCH_JSON] = "application/json-patch+json",
        [KN_PATCH_MERGE] = "application/merge-patch+json",
        [KN_PATCH_STRATEGIC] = "application/strategic-merge-patch+json",
        [KN_PATCH_APPLY] = "application/apply-patch+yaml",
    };
    struct kn_buf path = PATH;
    kn_remote_path(&path, r, ns, name, subresource);
    if (type == KN_PATCH_APPLY)
        kn_buf_addc(&path, "?fieldManager=knarr&force=true");
    return send_for_object(c,
                           &(struct request){.method = "PATCH",
                                             .type = types[type],
                                             .body = text,
                                             .limit = OBJECT_LIMIT},
                           &path, r, ret);
}

static struct kn_status remove_one(struct kn_client *c, const struct kn_resource *r,
                                   struct kn_sv ns, struct kn_sv name,
                                   const struct kn_delete_options *o)
{
    struct kn_arena *a = kn_arena_new(1024, 1 << 20);
    struct kn_json *body = kn_json_new_object(a);
    kn_json_set_str(a, body, KN_K_kind, KN_SV("DeleteOptions"));
    kn_json_set_str(a, body, KN_K_apiVersion, KN_SV("v1"));
    if (o && o->grace_seconds >= 0)
        kn_json_set_int(a, body, KN_K_gracePeriodSeconds, o->grace_seconds);
    if (o && o->propagation)
        kn_json_set_str(a, body, KN_K_propagationPolicy, kn_sv_c(o->propagation));
    if (o && (o->uid.len || o->rev)) {
        struct kn_json *p = kn_json_ensure_object(a, body, KN_K_preconditions);
        if (o->uid.len)
            kn_json_set_str(a, p, KN_K_uid, o->uid);
        if (o->rev)
            kn_json_set_str(a, p, KN_K_resourceVersion,
                            kn_arena_printf(a, "%lld", (long long)o->rev));
    }
    struct kn_buf path = PATH;
    kn_remote_path(&path, r, ns, name, NULL);
    struct kn_status s = send_json(c, "DELETE", &path, NULL, body, NULL);
    kn_arena_free(a);
    return s;
}

// -- lists ----------------------------------------------------------------------------------------

typedef KN_VEC(const struct kn_obj *) obj_vec;

// Items of a list come without apiVersion and kind: they are those of the resource.
static struct kn_status take_items(struct kn_arena *a, const struct kn_resource *r,
                                   struct kn_json *list, obj_vec *out)
{
    char text[128];
    struct kn_sv api_version = kn_resource_api_version(r, text);
    struct kn_json *items = kn_json_get(list, KN_K_items), *item;
    KN_JSON_EACH(item, items)
    {
        if (!kn_json_get(item, KN_K_kind))
            kn_json_set_str(a, item, KN_K_kind, r->kind);
        if (!kn_json_get(item, KN_K_apiVersion))
            kn_json_set_str(a, item, KN_K_apiVersion, api_version);
        const struct kn_obj *o;
        KN_TRY(kn_obj_seal(item, &o));
        KN_VEC_PUSH(out, o);
    }
    return KN_STATUS_OK;
}

// One page, or everything when page is 0. *token: where to go on, in `a`; empty at the end.
static struct kn_status list_page(struct remote *c, struct kn_arena *a, const struct kn_resource *r,
                                  const struct kn_list_options *o, int page, struct kn_sv *token,
                                  obj_vec *out, int64_t *ret_rev)
{
    struct kn_buf path = KN_BUF(64 << 10);
    kn_remote_path(&path, r, o ? o->ns : KN_SV_NULL, KN_SV_NULL, NULL);
    kn_buf_addf(&path, "?limit=%d", page);
    kn_remote_selectors(&path, o);
    if (token->len) {
        kn_buf_addc(&path, "&continue=");
        kn_url_encode(&path, *token, false);
    }
    struct kn_sv body;
    KN_TRY(send(c, a, &(struct request){.method = "GET", .limit = BODY_LIMIT}, &path, &body));
    struct kn_json *list;
    KN_TRY(kn_json_parse(a, body, NULL, &list));
    KN_TRY(take_items(a, r, list, out));
    const struct kn_json *m = kn_json_get(list, KN_K_metadata);
    struct kn_sv rev = kn_json_str(kn_json_get(m, KN_K_resourceVersion));
    *token = kn_json_str(kn_json_get(m, KN_K_continue));
    *ret_rev = 0;
    for (size_t i = 0; i < rev.len && rev.ptr[i] >= '0' && rev.ptr[i] <= '9'; i++)
        *ret_rev = *ret_rev * 10 + (rev.ptr[i] - '0');
    return KN_STATUS_OK;
}

static void drop(obj_vec *v)
{
    for (size_t i = 0; i < v->len; i++)
        kn_obj_unref(v->ptr[i]);
    KN_VEC_DONE(v);
}

struct kn_status kn_remote_list(struct kn_client *client, const struct kn_resource *r,
                                const struct kn_list_options *o, struct kn_obj_list *ret)
{
    struct remote *c = (struct remote *)client;
    obj_vec out = {0};
    struct kn_status s = KN_STATUS_OK;
    struct kn_sv token = KN_SV_NULL;
    int64_t rev = 0;
    struct kn_arena *last = NULL; // the token lies in it
    int page = PAGE;
    do {
        struct kn_arena *a = kn_arena_new(64 << 10, ARENA_LIMIT);
        s = list_page(c, a, r, o, page, &token, &out, &rev);
        kn_arena_free(last);
        last = a;
        if (s.code == KN_EXPIRED && page) { // between two pages: all at once, then
            kn_status_done(&s);
            drop(&out);
            token = KN_SV_NULL;
            page = 0;
            kn_arena_free(last);
            last = NULL;
            continue;
        }
    } while (kn_ok(s) && (token.len || !last));
    kn_arena_free(last);
    if (!kn_ok(s)) {
        drop(&out);
        return s;
    }
    *ret = (struct kn_obj_list){.items = out.ptr, .len = out.len, .rev = rev};
    return KN_STATUS_OK;
}

// -- open and close -------------------------------------------------------------------------------

static void close_client(struct kn_client *client)
{
    struct remote *c = (struct remote *)client;
    KN_LOCKED(&c->lock)
    {
        c->closing = true;
        pthread_cond_broadcast(&c->changed);
    }
    kn_informers_stop(c);
    kn_http_client_free(c->http);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static const struct kn_client_ops ops = {close_client, get,   kn_remote_list, create,
                                         update,       patch, remove_one,     kn_remote_cache};

struct kn_status kn_remote_open(const struct kn_remote_config *config, struct kn_client **ret)
{
    struct remote *c = KN_NEW(struct remote);
    struct kn_http_client_config http = {.base = config->base,
                                         .tls = config->tls,
                                         .user_agent = config->user_agent,
                                         .token = config->token};
    struct kn_status s = kn_http_client_new(&http, &c->http);
    if (!kn_ok(s)) {
        free(c);
        return s;
    }
    c->base.ops = &ops;
    c->reader = c;
    c->timeout = config->timeout ? config->timeout : 30 * KN_SECOND;
    pthread_mutex_init(&c->lock, NULL);
    kn_cond_init(&c->changed);
    kn_list_init(&c->informers);
    *ret = &c->base;
    return KN_STATUS_OK;
}

struct kn_http_client *kn_remote_http(struct kn_client *c)
{
    kn_assert(c->ops == &ops);
    return ((struct remote *)c)->http;
}

void kn_remote_share(struct kn_client *c, struct kn_client *reader)
{
    kn_assert(c->ops == &ops && reader->ops == &ops);
    ((struct remote *)c)->reader = (struct remote *)reader;
}

void kn_remote_set_token(struct kn_client *c, const struct kn_secret *token)
{
    kn_http_client_set_token(kn_remote_http(c), token);
}

void kn_remote_renew(struct kn_client *c)
{
    kn_http_client_renew(kn_remote_http(c));
}

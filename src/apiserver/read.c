// get and list: from the watch cache, or from the store's history for a past revision.
#include "apiserver/internal.h"
#include "base/num.h"
#include "codec/base64.h"

// All changes up to this revision can be read from every cache.
static int64_t applied(struct kn_apiserver *s)
{
    int64_t rev = 0;
    for (size_t i = 0; i < s->rest_count; i++) {
        int64_t r = kn_cache_rev(s->rests[i]->cache);
        if (r > rev)
            rev = r;
    }
    return rev;
}

static struct kn_status check_version(struct kn_request *r, int64_t *ret)
{
    KN_TRY(kn_options_rev(r, ret));
    int64_t now = applied(r->server);
    if (*ret > now)
        return kn_error(KN_TIMEOUT, "Too large resource version: %lld, current: %lld",
                        (long long)*ret, (long long)now);
    return KN_STATUS_OK;
}

void kn_read_get(struct kn_request *r)
{
    int64_t rev;
    struct kn_status s = check_version(r, &rev);
    if (kn_ok(s)) {
        r->answer->obj = kn_cache_get(r->rest->cache, r->resource->namespaced ? r->ns : KN_SV_NULL,
                                      r->name);
        if (!r->answer->obj)
            s = kn_not_found(r, r->name);
    }
    r->answer->error = s;
}

// -- lists ----------------------------------------------------------------------------------------

struct lister {
    struct kn_request *r;
    struct kn_selector *labels, *fields;
    int64_t limit;     // 0: none
    size_t beyond;     // objects after the limit, without selectors
    bool full;
    struct kn_status status;
};

static bool selected(const struct lister *l, const struct kn_obj *o)
{
    const struct kn_request *r = l->r;
    return (!r->resource->namespaced || r->ns.len == 0 || kn_sv_eq(o->ns, r->ns)) &&
           kn_selector_matches_labels(l->labels, o->labels) &&
           kn_selector_matches_fields(l->fields, o->root);
}

static bool take(void *arg, const struct kn_obj *o)
{
    struct lister *l = arg;
    if (!selected(l, o))
        return true;
    if (l->limit && (int64_t)l->r->answer->list.len == l->limit) {
        l->full = true;
        if (!kn_selector_is_empty(l->labels) || !kn_selector_is_empty(l->fields))
            return false;
        l->beyond++; // counted on, for remainingItemCount
        return true;
    }
    KN_VEC_PUSH(&l->r->answer->list, kn_obj_ref(o));
    return true;
}

static bool take_stored(void *arg, const struct kn_kv *kv)
{
    struct lister *l = arg;
    if (l->full) { // only counted: what is beyond the page is not decoded
        l->beyond++;
        return true;
    }
    const struct kn_obj *o;
    l->status = kn_rest_decode(l->r->rest, kv->key, kv->value, kv->mod_rev, &o);
    if (!kn_ok(l->status))
        return false;
    bool go_on = take(l, o);
    kn_obj_unref(o);
    return go_on;
}

static struct kn_status list_past(struct lister *l, int64_t rev, struct kn_sv after_ns,
                                  struct kn_sv after_name)
{
    struct kn_request *r = l->r;
    struct kn_arena *a = r->arena;
    struct kn_sv from = r->ns.len && r->resource->namespaced
                            ? kn_arena_printf(a, "%s%.*s/", r->rest->prefix, KN_SV_ARG(r->ns))
                            : kn_arena_dup(a, kn_sv_c(r->rest->prefix));
    struct kn_sv to = kn_store_prefix_end(a, from);
    if (after_name.len) {
        from = kn_rest_key(a, r->rest, after_ns, after_name);
        from = kn_sv(from.ptr, from.len + 1); // the NUL behind it: the successor
    }
    int64_t got;
    bool more;
    KN_TRY(kn_store_range(r->server->config.store, from, to, rev, 0, take_stored, l, &got, &more));
    r->answer->rev = got;
    return l->status;
}

static struct kn_sv make_token(struct kn_request *r, const struct kn_obj *last)
{
    struct kn_buf plain = KN_BUF(1024), text = KN_BUF(2048);
    kn_buf_addf(&plain, "%lld\n%.*s\n%.*s", (long long)r->answer->rev, KN_SV_ARG(last->ns),
                KN_SV_ARG(last->name));
    kn_base64_encode(&text, kn_buf_sv(&plain), KN_BASE64_URL);
    struct kn_sv token = kn_arena_dup(r->arena, kn_buf_sv(&text));
    kn_buf_done(&plain);
    kn_buf_done(&text);
    return token;
}

static struct kn_status read_token(struct kn_request *r, int64_t *rev, struct kn_sv *ns,
                                   struct kn_sv *name)
{
    struct kn_buf plain = KN_BUF(1024);
    struct kn_status s = kn_base64_decode(&plain, r->options.continue_token, KN_BASE64_URL);
    struct kn_sv rest = kn_arena_dup(r->arena, kn_buf_sv(&plain));
    kn_buf_done(&plain);
    *ns = *name = KN_SV_NULL;
    if (kn_ok(s)) {
        struct kn_sv number = kn_sv_cut(&rest, '\n');
        *ns = kn_sv_cut(&rest, '\n');
        *name = rest;
        s = kn_num_parse(number, 1, INT64_MAX, rev);
    }
    // The token is the client's to write: it must not lead out of what the request may read.
    bool inside = !r->resource->namespaced || r->ns.len == 0 || kn_sv_eq(*ns, r->ns);
    bool plain_parts = kn_sv_find(*ns, '/') < 0 && kn_sv_find(*name, '/') < 0;
    if (!kn_ok(s) || name->len == 0 || !inside || !plain_parts) {
        kn_status_done(&s);
        return kn_error(KN_BAD_REQUEST, "invalid continue token: continue key is not valid");
    }
    return KN_STATUS_OK;
}

static struct kn_status list_all(struct kn_request *r, struct lister *l)
{
    struct kn_sv ns = r->ns.len && r->resource->namespaced ? r->ns : KN_SV_NULL;
    struct kn_options *o = &r->options;
    struct kn_sv after_ns = KN_SV_NULL, after_name = KN_SV_NULL;
    int64_t rev;
    if (o->continue_token.len) {
        KN_TRY(read_token(r, &rev, &after_ns, &after_name));
        if (o->resource_version.len && !kn_sv_is(o->resource_version, "0"))
            return kn_error(KN_BAD_REQUEST,
                            "specifying resource version is not allowed when using continue");
        if (kn_cache_rev(r->rest->cache) > rev) {
            struct kn_status s = list_past(l, rev, after_ns, after_name);
            if (s.code == KN_EXPIRED) {
                kn_status_done(&s);
                return kn_error(KN_EXPIRED,
                                "The provided continue parameter is too old to display a "
                                "consistent list result. You can start a new list without the "
                                "continue parameter.");
            }
            return s;
        }
        r->answer->rev = rev;
        kn_cache_list(r->rest->cache, ns, after_ns, after_name, take, l);
        return KN_STATUS_OK;
    }
    KN_TRY(check_version(r, &rev));
    if (kn_sv_is(o->version_match, "Exact")) {
        struct kn_status s = list_past(l, rev, after_ns, after_name);
        if (s.code == KN_EXPIRED) {
            kn_status_done(&s);
            return kn_error(KN_EXPIRED, "The resourceVersion for the provided list is too old.");
        }
        return s;
    }
    int64_t before = applied(r->server);
    int64_t seen = kn_cache_list(r->rest->cache, ns, after_ns, after_name, take, l);
    r->answer->rev = seen > before ? seen : before;
    return KN_STATUS_OK;
}

void kn_read_list(struct kn_request *r)
{
    struct lister l = {.r = r, .limit = r->options.limit > 0 ? r->options.limit : 0};
    r->answer->is_list = true;
    struct kn_status s =
        kn_label_selector_parse(r->arena, r->options.label_selector, &l.labels);
    if (kn_ok(s))
        s = kn_field_selector_parse(r->arena, r->options.field_selector, r->resource, &l.fields);
    if (kn_ok(s))
        s = list_all(r, &l);
    if (kn_ok(s) && l.full) {
        size_t n = r->answer->list.len;
        r->answer->continue_token = make_token(r, r->answer->list.ptr[n - 1]);
        if (l.beyond)
            r->answer->remaining = (int64_t)l.beyond;
    }
    r->answer->error = s;
}

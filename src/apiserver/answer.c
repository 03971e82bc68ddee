// From an answer to bytes: what the client accepts, conversions, tables, lists.
#include "apiserver/internal.h"
#include "meta/convert.h"
#include "meta/print.h"
#include "meta/proto.h"

#define LIST_MAX ((size_t)1 << 31)
#define GZIP_FROM (128u << 10)

static const char *const media_types[] = {"application/json", "application/yaml",
                                          "application/vnd.kubernetes.protobuf"};

// One media range of an Accept header. False: nothing that we can give.
static bool take_range(struct kn_request *r, struct kn_sv range)
{
    struct kn_sv rest = range, type = kn_sv_trim(kn_sv_cut(&rest, ';'));
    if (kn_sv_is(type, "*/*") || kn_sv_is(type, "application/*") ||
        kn_sv_ieq(type, KN_SV("application/json")))
        r->media = KN_MEDIA_JSON;
    else if (kn_sv_ieq(type, KN_SV("application/yaml")))
        r->media = KN_MEDIA_YAML;
    else if (kn_sv_ieq(type, KN_SV("application/vnd.kubernetes.protobuf")))
        r->media = KN_MEDIA_PROTOBUF;
    else
        return false;
    r->as = KN_AS_OBJECT;
    struct kn_sv as = KN_SV_NULL, v = KN_SV_NULL, g = KN_SV_NULL;
    while (rest.ptr) {
        struct kn_sv p = kn_sv_trim(kn_sv_cut(&rest, ';'));
        struct kn_sv name = kn_sv_trim(kn_sv_cut(&p, '='));
        if (kn_sv_is(name, "as"))
            as = kn_sv_trim(p);
        else if (kn_sv_is(name, "v"))
            v = kn_sv_trim(p);
        else if (kn_sv_is(name, "g"))
            g = kn_sv_trim(p);
    }
    if (as.len == 0)
        return true;
    if (!kn_sv_is(g, "meta.k8s.io") || !(kn_sv_is(v, "v1") || kn_sv_is(v, "v1beta1")))
        return false;
    r->as_version = v;
    r->as_list = kn_sv_ends(as, KN_SV("List"));
    if (kn_sv_is(as, "Table") && r->media != KN_MEDIA_PROTOBUF)
        r->as = KN_AS_TABLE;
    else if (kn_sv_is(as, "PartialObjectMetadata") || kn_sv_is(as, "PartialObjectMetadataList"))
        r->as = KN_AS_METADATA;
    else
        return false;
    return true;
}

// A list's metadata is a list, that of one object is not.
static struct kn_status check_metadata(const struct kn_request *r)
{
    bool list = r->action == KN_ACT_LIST;
    if (r->as != KN_AS_METADATA || r->as_list == list)
        return KN_STATUS_OK;
    struct kn_sv group = r->group.len ? r->group : KN_SV("core");
    ptrdiff_t dot = kn_sv_find(group, '.');
    return kn_error(KN_NOT_ACCEPTABLE,
                    "you requested PartialObjectMetadata%s, but the requested object is %s list "
                    "(*%.*s.%.*s%s)",
                    r->as_list ? "List" : "", list ? "a" : "not a",
                    KN_SV_ARG(dot < 0 ? group : kn_sv_first(group, (size_t)dot)),
                    KN_SV_ARG(r->resource->kind), list ? "List" : "");
}

struct kn_status kn_answer_negotiate(struct kn_request *r, struct kn_sv accept)
{
    r->media = KN_MEDIA_JSON;
    r->as = KN_AS_OBJECT;
    struct kn_sv rest = accept;
    if (kn_sv_trim(accept).len == 0)
        return KN_STATUS_OK;
    do {
        if (take_range(r, kn_sv_cut(&rest, ',')))
            return check_metadata(r);
    } while (rest.ptr);
    r->media = KN_MEDIA_JSON;
    r->as = KN_AS_OBJECT;
    struct kn_status s = kn_error(KN_NOT_ACCEPTABLE,
                                  "only the following media types are accepted: application/json, "
                                  "application/yaml, application/vnd.kubernetes.protobuf");
    return kn_sv_find(accept, '=') < 0 ? kn_status_with_details(s, KN_SV("{}")) : s;
}

struct kn_status kn_answer_tree(struct kn_request *r, const struct kn_obj *o, struct kn_json **ret)
{
    struct kn_json *copy = kn_json_copy_shallow_text(r->arena, o->root);
    if (!copy)
        return kn_arena_error(r->arena, "the answer");
    if (r->resource && r->resource->hub != r->resource)
        KN_TRY(kn_convert_from_hub(r->arena, r->resource, copy));
    *ret = copy;
    return KN_STATUS_OK;
}

static struct kn_json *metadata_only(struct kn_request *r, const struct kn_json *obj)
{
    struct kn_arena *a = r->arena;
    struct kn_json *o = kn_json_new_object(a);
    kn_json_set_str(a, o, KN_K_kind, KN_SV("PartialObjectMetadata"));
    kn_json_set_str(a, o, KN_K_apiVersion,
                    kn_arena_printf(a, "meta.k8s.io/%.*s", KN_SV_ARG(r->as_version)));
    kn_json_set(a, o, KN_K_metadata,
                kn_json_copy_shallow_text(a, kn_json_get(obj, KN_K_metadata)));
    return o;
}

static void list_metadata(struct kn_request *r, struct kn_json *list)
{
    struct kn_arena *a = r->arena;
    struct kn_json *m = kn_json_ensure_object(a, list, KN_K_metadata);
    kn_json_set_str(a, m, KN_K_resourceVersion,
                    kn_arena_printf(a, "%lld", (long long)r->answer->rev));
    if (r->answer->continue_token.len)
        kn_json_set_str(a, m, KN_K_continue, r->answer->continue_token);
    if (r->answer->remaining >= 0)
        kn_json_set_int(a, m, KN_K_remainingItemCount, r->answer->remaining);
}

static struct kn_status table_of(struct kn_request *r, struct kn_json **ret)
{
    enum kn_table_include include;
    KN_TRY(kn_table_include_parse(r->options.table_include, &include));
    struct kn_json *table = kn_print_table(r->arena, r->resource, r->as_version);
    struct kn_json *rows = kn_json_ensure_array(r->arena, table, KN_K_rows);
    struct kn_time now = kn_now();
    struct kn_answer *w = r->answer;
    if (w->is_list) {
        list_metadata(r, table);
    } else if (w->obj) {
        struct kn_json *m = kn_json_ensure_object(r->arena, table, KN_K_metadata);
        kn_json_set_str(r->arena, m, KN_K_resourceVersion,
                        kn_arena_printf(r->arena, "%lld", (long long)w->obj->rev));
    }
    size_t count = w->is_list ? w->list.len : 1;
    for (size_t i = 0; i < count; i++) {
        const struct kn_obj *o = w->is_list ? w->list.ptr[i] : w->obj;
        struct kn_json *tree = (struct kn_json *)(uintptr_t)o->root; // read only
        if (r->resource->hub != r->resource)
            KN_TRY(kn_answer_tree(r, o, &tree));
        kn_json_append(rows, kn_print_row(r->arena, r->resource, tree, include, now));
    }
    *ret = table;
    return kn_arena_failed(r->arena) ? kn_arena_error(r->arena, "the table") : KN_STATUS_OK;
}

// A list as a tree: for protobuf, YAML, partial metadata.
static struct kn_status list_tree(struct kn_request *r, struct kn_json **ret)
{
    struct kn_arena *a = r->arena;
    struct kn_json *list = kn_json_new_object(a);
    char api[128];
    bool partial = r->as == KN_AS_METADATA;
    kn_json_set_str(a, list, KN_K_kind,
                    partial ? KN_SV("PartialObjectMetadataList")
                            : kn_arena_printf(a, "%.*sList", KN_SV_ARG(r->resource->kind)));
    kn_json_set_str(a, list, KN_K_apiVersion,
                    partial ? kn_arena_printf(a, "meta.k8s.io/%.*s", KN_SV_ARG(r->as_version))
                            : kn_arena_dup(a, kn_resource_api_version(r->resource, api)));
    list_metadata(r, list);
    struct kn_json *items = kn_json_ensure_array(a, list, KN_K_items);
    for (size_t i = 0; i < r->answer->list.len; i++) {
        struct kn_json *item;
        if (partial)
            item = metadata_only(r, r->answer->list.ptr[i]->root);
        else
            KN_TRY(kn_answer_tree(r, r->answer->list.ptr[i], &item));
        kn_json_append(items, item);
    }
    *ret = list;
    return kn_arena_failed(a) ? kn_arena_error(a, "the list") : KN_STATUS_OK;
}

static struct kn_status list_json(struct kn_request *r, struct kn_buf *out)
{
    char api[128];
    kn_buf_addf(out, "{\"kind\":\"%.*sList\",\"apiVersion\":\"%.*s\",\"metadata\":{"
                     "\"resourceVersion\":\"%lld\"",
                KN_SV_ARG(r->resource->kind), KN_SV_ARG(kn_resource_api_version(r->resource, api)),
                (long long)r->answer->rev);
    if (r->answer->continue_token.len) {
        kn_buf_addc(out, ",\"continue\":");
        kn_json_encode_str(out, r->answer->continue_token);
    }
    if (r->answer->remaining >= 0)
        kn_buf_addf(out, ",\"remainingItemCount\":%lld", (long long)r->answer->remaining);
    kn_buf_addc(out, "},\"items\":[");
    bool same = r->resource->hub == r->resource;
    for (size_t i = 0; i < r->answer->list.len; i++) {
        const struct kn_obj *o = r->answer->list.ptr[i];
        if (i)
            kn_buf_add_byte(out, ',');
        if (same) {
            kn_buf_add(out, o->text);
        } else {
            struct kn_json *tree;
            KN_TRY(kn_answer_tree(r, o, &tree));
            kn_json_encode(out, tree);
        }
    }
    kn_buf_addc(out, "]}");
    return kn_buf_status(out, "the list");
}

struct kn_status kn_answer_encode_tree(struct kn_request *r, const struct kn_json *tree,
                                       struct kn_buf *out)
{
    if (r->media == KN_MEDIA_PROTOBUF) {
        const struct kn_type *type =
            kn_type_find_api(kn_json_str(kn_json_get(tree, KN_K_apiVersion)),
                             kn_json_str(kn_json_get(tree, KN_K_kind)));
        if (type)
            return kn_proto_encode(out, type, tree);
        r->media = KN_MEDIA_JSON;
    }
    if (r->options.pretty)
        kn_json_encode_pretty(out, tree, 2);
    else
        kn_json_encode(out, tree); // JSON is YAML too: what YAML asked for is answered so
    return kn_buf_status(out, "the answer");
}

static struct kn_status render(struct kn_request *r, struct kn_buf *out)
{
    struct kn_answer *w = r->answer;
    struct kn_json *tree = w->tree;
    if (w->is_list || w->obj) {
        if (r->as == KN_AS_TABLE)
            KN_TRY(table_of(r, &tree));
        else if (w->is_list && r->media == KN_MEDIA_JSON && r->as == KN_AS_OBJECT &&
                 !r->options.pretty)
            return list_json(r, out);
        else if (w->is_list)
            KN_TRY(list_tree(r, &tree));
        else if (r->as == KN_AS_METADATA)
            tree = metadata_only(r, w->obj->root);
        else
            KN_TRY(kn_answer_tree(r, w->obj, &tree));
    }
    return kn_answer_encode_tree(r, tree, out);
}

struct headers {
    struct kn_http_header list[24];
    size_t len;
};

static void add_header(struct headers *h, const char *name, struct kn_sv value)
{
    if (h->len < KN_ARRAY_LEN(h->list))
        h->list[h->len++] = (struct kn_http_header){kn_sv_c(name), value};
}

static void common_headers(struct kn_request *r, struct headers *h)
{
    add_header(h, "Cache-Control", KN_SV("no-cache, private"));
    struct kn_answer *w = r->answer;
    for (size_t i = 0; i < w->warning_count; i++) {
        struct kn_buf quoted = KN_BUF(4096);
        kn_buf_addc(&quoted, "299 - \"");
        for (const char *c = w->warnings[i]; *c; c++) {
            if (*c == '"' || *c == '\\')
                kn_buf_add_byte(&quoted, '\\');
            kn_buf_add_byte(&quoted, (unsigned char)*c < 0x20 ? ' ' : *c);
        }
        kn_buf_addc(&quoted, "\"");
        add_header(h, "Warning", kn_arena_dup(r->arena, kn_buf_sv(&quoted)));
        kn_buf_done(&quoted);
    }
    if (w->retry_after)
        add_header(h, "Retry-After", kn_arena_printf(r->arena, "%lld", (long long)w->retry_after));
}

static void respond(struct kn_request *r, int code, const struct headers *h,
                    const struct kn_piece *piece)
{
    struct kn_http_response response = {code, h->list, h->len, piece, piece ? 1 : 0};
    if (kn_loop_is_mine(kn_http_loop(r->http)))
        kn_http_respond(r->http, &response);
    else
        kn_http_respond_from(r->http, &response);
}

static void release_obj(void *o)
{
    kn_obj_unref(o);
}

static void send_buf(struct kn_request *r, int code, struct headers *h, const char *type,
                     struct kn_buf *body)
{
    add_header(h, "Content-Type", kn_sv_c(type));
    if (body->len > GZIP_FROM && kn_http_accepts_gzip(r->http)) {
        struct kn_buf packed = KN_BUF(body->max);
        if (kn_ok(kn_gzip(kn_buf_sv(body), &packed))) {
            kn_buf_done(body);
            *body = packed;
            add_header(h, "Content-Encoding", KN_SV("gzip"));
            add_header(h, "Vary", KN_SV("Accept-Encoding"));
        } else {
            kn_buf_done(&packed);
        }
    }
    size_t len;
    char *bytes = kn_buf_take(body, &len);
    struct kn_piece piece = {kn_sv(bytes, len), free, bytes};
    respond(r, code, h, bytes ? &piece : NULL);
}

static void send_error(struct kn_request *r)
{
    struct kn_answer *w = r->answer;
    struct headers h = {.len = 0};
    if (w->error.code == KN_TOO_MANY || w->error.code == KN_UNAVAILABLE)
        w->retry_after = w->retry_after ? w->retry_after : 1;
    if (w->error.code == KN_UNAUTHORIZED)
        add_header(&h, "Www-Authenticate", KN_SV("Bearer realm=\"knarr\""));
    common_headers(r, &h);
    struct kn_buf body = KN_BUF(1u << 20);
    struct kn_json *status = kn_status_object(r->arena, &w->error);
    int code = (int)kn_json_int(kn_json_get(status, KN_K_code), 500);
    r->options.pretty = false;
    KN_IGNORE(kn_answer_encode_tree(r, status, &body));
    if (code >= 500)
        r->server->errors++;
    const char *type = media_types[r->media == KN_MEDIA_YAML ? KN_MEDIA_JSON : r->media];
    kn_answer_done(w);
    send_buf(r, code, &h, type, &body);
}

void kn_answer_send(struct kn_request *r)
{
    struct kn_answer *w = r->answer;
    struct headers h = {.len = 0};
    if (!kn_ok(w->error)) {
        send_error(r);
        return;
    }
    bool plain = w->obj && !w->is_list && r->media == KN_MEDIA_JSON && r->as == KN_AS_OBJECT &&
                 !r->options.pretty && r->resource->hub == r->resource;
    common_headers(r, &h);
    if (plain) { // the bytes of the sealed object, shared
        const struct kn_obj *o = w->obj;
        w->obj = NULL;
        int code = w->code;
        add_header(&h, "Content-Type", KN_SV("application/json"));
        struct kn_piece piece = {o->text, release_obj, (void *)(uintptr_t)o};
        kn_answer_done(w);
        respond(r, code, &h, &piece);
        return;
    }
    struct kn_buf body = KN_BUF(LIST_MAX);
    int code = w->code;
    const char *type = NULL;
    if (w->text_type) {
        kn_buf_add(&body, w->text);
        type = w->text_type;
    } else {
        struct kn_status s = render(r, &body);
        if (!kn_ok(s)) {
            kn_buf_done(&body);
            kn_answer_done(w);
            w->error = s;
            send_error(r);
            return;
        }
        type = media_types[r->media];
    }
    kn_answer_done(w);
    send_buf(r, code, &h, type, &body);
}

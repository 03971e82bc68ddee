// The forms of a watch event on the wire: the object's own bytes where they can be used, else a
// conversion, a table's row or the metadata alone; JSON lines or protobuf frames.
#include "apiserver/watch.h"
#include "meta/print.h"
#include "meta/proto.h"

#define SMALL 2048u // bytes of an object that are rather copied than referred to

static void release_obj(void *o)
{
    kn_obj_unref(o);
}

static void send_frame(struct kn_watcher *w, const char *type, struct kn_buf *object)
{
    struct kn_buf frame = KN_BUF(object->len + 256);
    if (w->r.media == KN_MEDIA_PROTOBUF) {
        KN_IGNORE(kn_proto_watch_frame(&frame, kn_sv_c(type), kn_buf_sv(object)));
    } else {
        kn_buf_addf(&frame, "{\"type\":\"%s\",\"object\":", type);
        kn_buf_add(&frame, kn_buf_sv(object));
        kn_buf_addc(&frame, "}\n");
    }
    kn_http_stream_copy(w->r.http, kn_buf_sv(&frame));
    kn_buf_done(&frame);
}

void kn_watch_send_tree(struct kn_watcher *w, const char *type, const struct kn_json *tree)
{
    struct kn_buf body = KN_BUF(16u << 20);
    struct kn_status s = kn_answer_encode_tree(&w->r, tree, &body);
    if (kn_log_status(KN_LOG_ERROR, s, "encode a watch event"))
        send_frame(w, type, &body);
    kn_buf_done(&body);
}

static struct kn_json *table_row(struct kn_request *r, struct kn_watcher *w,
                                 const struct kn_json *tree, const struct kn_obj *obj)
{
    struct kn_json *table = kn_print_table(r->arena, r->resource, r->as_version);
    enum kn_table_include include = KN_TABLE_METADATA;
    KN_IGNORE(kn_table_include_parse(r->options.table_include, &include));
    kn_json_append(kn_json_ensure_array(r->arena, table, KN_K_rows),
                   kn_print_row(r->arena, r->resource, tree, include, kn_now()));
    struct kn_json *m = kn_json_ensure_object(r->arena, table, KN_K_metadata);
    kn_json_set_str(r->arena, m, KN_K_resourceVersion,
                    kn_arena_printf(r->arena, "%lld", (long long)obj->rev));
    if (w->headers)
        kn_json_set(r->arena, table, KN_K_columnDefinitions, kn_json_new_null(r->arena));
    w->headers = true;
    return table;
}

// In a form that is not the object's own bytes: made in an arena of its own.
static void send_converted(struct kn_watcher *w, const char *type, const struct kn_obj *obj)
{
    struct kn_request r = w->r;
    r.arena = kn_arena_new(4096, 64u << 20);
    struct kn_json *tree = NULL;
    struct kn_status s = kn_answer_tree(&r, obj, &tree);
    if (kn_ok(s)) {
        if (r.as == KN_AS_TABLE) {
            tree = table_row(&r, w, tree, obj);
        } else if (r.as == KN_AS_METADATA) {
            struct kn_json *o = kn_json_new_object(r.arena);
            kn_json_set_str(r.arena, o, KN_K_kind, KN_SV("PartialObjectMetadata"));
            kn_json_set_str(r.arena, o, KN_K_apiVersion, KN_SV("meta.k8s.io/v1"));
            kn_json_set(r.arena, o, KN_K_metadata,
                        kn_json_copy_shallow_text(r.arena, kn_json_get(tree, KN_K_metadata)));
            tree = o;
        }
        kn_watch_send_tree(w, type, tree);
    }
    kn_log_status(KN_LOG_ERROR, s, "convert a watch event");
    kn_arena_free(r.arena);
}

void kn_watch_send(struct kn_watcher *w, const char *type, const struct kn_obj *obj)
{
    bool plain = w->r.media == KN_MEDIA_JSON && w->r.as == KN_AS_OBJECT &&
                 w->r.resource->hub == w->r.resource;
    if (!plain) {
        send_converted(w, type, obj);
        return;
    }
    static const struct {
        const char *type;
        struct kn_sv head;
    } heads[] = {{"ADDED", {"{\"type\":\"ADDED\",\"object\":", 25}},
                 {"MODIFIED", {"{\"type\":\"MODIFIED\",\"object\":", 28}},
                 {"DELETED", {"{\"type\":\"DELETED\",\"object\":", 27}}};
    struct kn_sv head = heads[0].head;
    for (size_t i = 0; i < KN_ARRAY_LEN(heads); i++)
        if (strcmp(type, heads[i].type) == 0)
            head = heads[i].head;
    if (obj->text.len <= SMALL) {
        char event[SMALL + 64];
        size_t at = 0;
        const struct kn_sv parts[] = {head, obj->text, KN_SV("}\n")};
        for (size_t i = 0; i < KN_ARRAY_LEN(parts); at += parts[i++].len)
            memcpy(event + at, parts[i].ptr, parts[i].len);
        kn_http_stream_copy(w->r.http, kn_sv(event, at));
        return;
    }
    struct kn_piece pieces[3] = {{.bytes = head},
                                 {obj->text, release_obj, (void *)(uintptr_t)kn_obj_ref(obj)},
                                 {.bytes = KN_SV("}\n")}};
    kn_http_stream_write(w->r.http, pieces, 3);
}

void kn_watch_send_bookmark(struct kn_watcher *w, bool initial_end)
{
    struct kn_arena *a = kn_arena_new(1024, 16u << 10);
    struct kn_request *r = &w->r;
    struct kn_json *o = kn_json_new_object(a);
    char api[128];
    struct kn_sv kind = r->resource->kind, version = kn_resource_api_version(r->resource, api);
    if (r->as == KN_AS_METADATA) {
        kind = KN_SV("PartialObjectMetadata");
        version = KN_SV("meta.k8s.io/v1");
    } else if (r->as == KN_AS_TABLE) {
        kind = KN_SV("Table");
        version = KN_SV("meta.k8s.io/v1");
    }
    kn_json_set_str(a, o, KN_K_kind, kind);
    kn_json_set_str(a, o, KN_K_apiVersion, version);
    struct kn_json *m = kn_json_ensure_object(a, o, KN_K_metadata);
    kn_json_set_str(a, m, KN_K_resourceVersion, kn_arena_printf(a, "%lld", (long long)w->rev));
    if (initial_end)
        kn_json_set_sv(a, kn_json_ensure_object(a, m, KN_K_annotations),
                       KN_SV("k8s.io/initial-events-end"), kn_json_new_str(a, KN_SV("true")));
    if (r->as == KN_AS_TABLE)
        kn_json_set(a, o, KN_K_rows, kn_json_new_array(a));
    kn_watch_send_tree(w, "BOOKMARK", o);
    kn_arena_free(a);
}

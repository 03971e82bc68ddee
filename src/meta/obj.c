#include "meta/obj.h"

#include "base/clock.h"
#include "base/num.h"

#define ARENA_LIMIT ((size_t)KN_OBJ_MAX * 16)
#define SLACK 96 // alignment, and the names of a few members that are no atoms
#define STEP 256 // what is missing beyond that: labels and data have such names, too

// Bytes that the tree of a text will take: a value stands behind every opening and every comma.
// Commas within strings count as well, so no more than once the text is reserved for them.
static size_t tree_size(struct kn_sv text)
{
    size_t values = 1;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        values += (size_t)((c == ',') | (c == '{') | (c == '['));
    }
    size_t bytes = values * sizeof(struct kn_json);
    return bytes < text.len + 512 ? bytes : text.len + 512;
}

// Reserves the arena and the place for the text, which is about to be `text` with `more` bytes in
// it; the caller fills .text and calls finish.
static struct kn_obj *begin(struct kn_sv text, size_t more, char **ret_text)
{
    size_t text_len = text.len + more;
    struct kn_arena *a =
        kn_arena_new(sizeof(struct kn_obj) + text_len + tree_size(text) + SLACK, ARENA_LIMIT);
    kn_arena_set_step(a, text_len / 4 > STEP ? text_len / 4 : STEP);
    struct kn_obj *o = KN_ARENA_NEW(a, struct kn_obj);
    *ret_text = kn_arena_bytes(a, text_len);
    if (!o || !*ret_text) {
        kn_arena_free(a);
        return NULL;
    }
    o->refs = 1;
    o->arena = a;
    o->text = kn_sv(*ret_text, text_len);
    return o;
}

static void decode_metadata(struct kn_obj *o)
{
    const struct kn_json *m = o->metadata;
    o->api_version = kn_json_str(kn_json_get(o->root, KN_K_apiVersion));
    o->kind = kn_json_str(kn_json_get(o->root, KN_K_kind));
    o->ns = kn_json_str(kn_json_get(m, KN_K_namespace));
    o->name = kn_json_str(kn_json_get(m, KN_K_name));
    o->uid = kn_json_str(kn_json_get(m, KN_K_uid));
    const struct kn_json *labels = kn_json_get(m, KN_K_labels);
    o->labels = kn_json_is_object(labels) ? labels : NULL;
    o->generation = kn_json_int(kn_json_get(m, KN_K_generation), 0);
    o->deleting = kn_json_is_string(kn_json_get(m, KN_K_deletionTimestamp));
    struct kn_sv rev = kn_json_str(kn_json_get(m, KN_K_resourceVersion));
    if (rev.len)
        KN_IGNORE(kn_num_parse(rev, 0, INT64_MAX, &o->rev)); // foreign text: no revision
}

static struct kn_status finish(struct kn_obj *o, const struct kn_obj **ret)
{
    struct kn_json *root;
    struct kn_status s = kn_json_parse(o->arena, o->text, NULL, &root);
    if (kn_ok(s) && !kn_json_is_object(kn_json_get(root, KN_K_metadata)))
        s = kn_error(KN_INVALID, "an object has no metadata");
    if (!kn_ok(s)) {
        kn_arena_free(o->arena);
        return s;
    }
    o->root = root;
    o->metadata = kn_json_get(root, KN_K_metadata);
    decode_metadata(o);
    *ret = o;
    return KN_STATUS_OK;
}

static struct kn_status too_large(size_t len)
{
    return kn_error(KN_TOO_LARGE, "an object of %zu bytes is larger than the limit of %u", len,
                    KN_OBJ_MAX);
}

struct kn_status kn_obj_parse(struct kn_sv text, const struct kn_obj **ret)
{
    char *place;
    struct kn_obj *o = text.len <= 2 * (size_t)KN_OBJ_MAX ? begin(text, 0, &place) : NULL;
    if (!o)
        return too_large(text.len);
    memcpy(place, text.ptr, text.len);
    return finish(o, ret);
}

struct kn_status kn_obj_seal(const struct kn_json *root, const struct kn_obj **ret)
{
    struct kn_buf text = KN_BUF(KN_OBJ_MAX);
    kn_json_encode(&text, root);
    struct kn_status s = kn_buf_status(&text, "the object");
    if (kn_ok(s))
        s = kn_obj_parse(kn_buf_sv(&text), ret);
    kn_buf_done(&text);
    return s;
}

const struct kn_obj *kn_obj_ref(const struct kn_obj *o)
{
    // the count is the one thing of a sealed object that changes
    __atomic_fetch_add((uint32_t *)(uintptr_t)&o->refs, 1, __ATOMIC_RELAXED);
    return o;
}

void kn_obj_unref(const struct kn_obj *o)
{
    if (o && __atomic_fetch_sub((uint32_t *)(uintptr_t)&o->refs, 1, __ATOMIC_ACQ_REL) == 1)
        kn_arena_free(o->arena);
}

void kn_obj_key_text(const struct kn_obj *o, char *out)
{
    if (o->ns.len)
        snprintf(out, KN_OBJ_KEY_TEXT, "%.*s/%.*s", KN_SV_ARG(o->ns), KN_SV_ARG(o->name));
    else
        snprintf(out, KN_OBJ_KEY_TEXT, "%.*s", KN_SV_ARG(o->name));
}

// Stored form: 4 bytes little-endian, the place in the text where `"resourceVersion":"N",` goes;
// then the text, whose metadata is never empty.
#define STORED_HEAD 4

struct kn_status kn_obj_encode_stored(struct kn_json *root, struct kn_buf *out)
{
    struct kn_json *metadata = kn_json_get(root, KN_K_metadata);
    if (!kn_json_is_object(metadata))
        return kn_error(KN_INVALID, "an object has no metadata");
    kn_json_remove(metadata, KN_K_resourceVersion);
    if (kn_json_len(metadata) == 0)
        return kn_error(KN_INVALID, "an object has no name");
    size_t start = out->len;
    uint32_t splice = 0;
    kn_buf_add(out, kn_sv((const char *)&splice, STORED_HEAD));
    kn_buf_add_byte(out, '{');
    const struct kn_json *first = kn_json_first(root), *c;
    KN_JSON_EACH(c, root)
    {
        if (c != first)
            kn_buf_add_byte(out, ',');
        kn_json_encode_str(out, kn_json_key(c));
        kn_buf_add_byte(out, ':');
        if (c == metadata)
            splice = (uint32_t)(out->len + 1 - start - STORED_HEAD); // behind its brace
        kn_json_encode(out, c);
    }
    kn_buf_add_byte(out, '}');
    KN_TRY(kn_buf_status(out, "the object"));
    memcpy(out->ptr + start, &splice, STORED_HEAD);
    return KN_STATUS_OK;
}

struct kn_status kn_obj_from_stored(struct kn_sv value, int64_t rev, const struct kn_obj **ret)
{
    uint32_t splice = 0;
    if (value.len > STORED_HEAD)
        memcpy(&splice, value.ptr, STORED_HEAD);
    struct kn_sv text = kn_sv_from(value, STORED_HEAD);
    if (value.len <= STORED_HEAD || splice == 0 || splice >= text.len)
        return kn_error(KN_INTERNAL, "a stored object is damaged (%zu bytes)", value.len);
    char insert[48];
    int n = snprintf(insert, sizeof insert, "\"resourceVersion\":\"%lld\",", (long long)rev);
    char *place;
    struct kn_obj *o = begin(text, (size_t)n, &place);
    if (!o)
        return too_large(text.len);
    memcpy(place, text.ptr, splice);
    memcpy(place + splice, insert, (size_t)n);
    memcpy(place + splice + n, text.ptr + splice, text.len - splice);
    return finish(o, ret);
}

struct kn_sv kn_obj_label(const struct kn_obj *o, struct kn_sv name)
{
    return kn_json_str(kn_json_get_sv(o->labels, name));
}

struct kn_sv kn_obj_annotation(const struct kn_obj *o, struct kn_sv name)
{
    return kn_json_str(kn_json_get_sv(kn_json_get(o->metadata, KN_K_annotations), name));
}

const struct kn_json *kn_obj_controller(const struct kn_obj *o)
{
    const struct kn_json *owners = kn_json_get(o->metadata, KN_K_ownerReferences), *r;
    KN_JSON_EACH(r, owners)
    if (kn_json_bool(kn_json_get(r, KN_K_controller), false))
        return r;
    return NULL;
}

bool kn_obj_created(const struct kn_obj *o, struct kn_time *ret)
{
    struct kn_sv text = kn_json_str(kn_json_get(o->metadata, KN_K_creationTimestamp));
    if (text.len == 0)
        return false;
    struct kn_status s = kn_time_parse(text, ret);
    bool ok = kn_ok(s);
    kn_status_done(&s);
    return ok;
}

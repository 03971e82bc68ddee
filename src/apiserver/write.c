// create, update, patch, delete: the same steps whoever asks, from the body to the store.
#include "apiserver/internal.h"
#include "meta/convert.h"
#include "meta/defaults.h"
#include "meta/patch.h"
#include "meta/proto.h"
#include "meta/validate.h"
#include "codec/yaml.h"

#define RETRIES 8

// -- bodies ---------------------------------------------------------------------------------------

static bool is_media(struct kn_sv content_type, const char *name)
{
    struct kn_sv rest = content_type;
    return kn_sv_ieq(kn_sv_trim(kn_sv_cut(&rest, ';')), kn_sv_c(name));
}

static struct kn_status to_warnings(struct kn_request *r, const struct kn_decode_report *report)
{
    if (r->options.validation == KN_FIELDS_STRICT)
        return kn_decode_strict(report);
    if (r->options.validation == KN_FIELDS_WARN)
        for (const struct kn_decode_note *n = report->first; n; n = n->next)
            kn_answer_warn(r, "%.*s", KN_SV_ARG(n->text));
    return KN_STATUS_OK;
}

// YAML becomes JSON text first, so that both are decoded by the same code.
static struct kn_status yaml_to_json(struct kn_request *r, struct kn_sv *text)
{
    struct kn_json *tree;
    KN_TRY(kn_yaml_parse(r->arena, *text, &tree));
    struct kn_buf json = KN_BUF(KN_OBJ_MAX * 2);
    kn_json_encode(&json, tree);
    struct kn_status s = kn_buf_status(&json, "the body");
    if (kn_ok(s))
        *text = kn_arena_dup(r->arena, kn_buf_sv(&json));
    kn_buf_done(&json);
    return s;
}

// Bodies from this process may leave out what their type says already.
static void fill_kind(struct kn_arena *a, const struct kn_type *type, struct kn_json *v)
{
    struct kn_sv group = kn_type_group(type), version = kn_type_version(type);
    if (!kn_json_get(v, KN_K_kind))
        kn_json_set_str(a, v, KN_K_kind, kn_type_name(type));
    if (!kn_json_get(v, KN_K_apiVersion))
        kn_json_set_str(a, v, KN_K_apiVersion,
                        group.len
                            ? kn_arena_printf(a, "%.*s/%.*s", KN_SV_ARG(group), KN_SV_ARG(version))
                            : version);
}

struct kn_status kn_body_decode(struct kn_request *r, const struct kn_type *type,
                                struct kn_json **ret)
{
    if (!type)
        return kn_error(KN_NOT_SUPPORTED, "%.*s/%.*s takes no object", KN_SV_ARG(r->plural),
                        KN_SV_ARG(r->subresource));
    if (r->body_tree) {
        *ret = kn_json_copy_shallow_text(r->arena, r->body_tree);
        if (!*ret)
            return kn_arena_error(r->arena, "the object");
        fill_kind(r->arena, type, *ret);
        return kn_decode(r->arena, type, *ret, NULL);
    }
    if (r->body.len == 0)
        return kn_error(KN_BAD_REQUEST, "the body of the request is empty: an object of kind %.*s "
                                        "is expected", KN_SV_ARG(kn_type_name(type)));
    if (is_media(r->content_type, "application/vnd.kubernetes.protobuf"))
        return kn_proto_decode(r->arena, type, r->body, ret);
    struct kn_sv text = r->body;
    if (is_media(r->content_type, "application/yaml"))
        KN_TRY(yaml_to_json(r, &text));
    else if (r->content_type.len && !is_media(r->content_type, "application/json"))
        return kn_error(KN_UNSUPPORTED_MEDIA,
                        "the body of the request was in an unknown format - accepted media types "
                        "include: application/json, application/yaml, "
                        "application/vnd.kubernetes.protobuf");
    struct kn_decode_report report;
    kn_decode_report_init(&report, r->arena);
    KN_TRY(kn_decode_body(r->arena, type, text, r->options.validation, &report, ret));
    return to_warnings(r, &report);
}

struct kn_status kn_body_tree(struct kn_request *r, struct kn_json **ret)
{
    struct kn_status s;
    if (is_media(r->content_type, "application/yaml") ||
        is_media(r->content_type, "application/apply-patch+yaml"))
        s = kn_yaml_parse(r->arena, r->body, ret);
    else
        s = kn_json_parse(r->arena, r->body, NULL, ret);
    if (s.code == KN_SYNTAX)
        s.code = KN_BAD_REQUEST;
    return s;
}

// -- pieces ---------------------------------------------------------------------------------------

void kn_uuid(char out[37])
{
    uint8_t b[16];
    kn_random(b, sizeof b);
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    char hex[33];
    kn_hex(b, 16, hex);
    snprintf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

struct kn_cache *kn_core_cache(struct kn_apiserver *s, const char *plural)
{
    return kn_rest_find(s, kn_resource_find(KN_SV(""), KN_SV("v1"), kn_sv_c(plural)))->cache;
}

static struct kn_sv own_ns(const struct kn_request *r)
{
    return r->resource->namespaced ? r->ns : KN_SV_NULL;
}

#define NAME_TRIES 8 // as upstream (KEP-4420)

// A name for generateName: five letters and digits that make no words.
static struct kn_sv generated_name(struct kn_arena *a, struct kn_sv base)
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    uint8_t random[5];
    kn_random(random, sizeof random);
    char tail[6] = {0};
    for (int i = 0; i < 5; i++)
        tail[i] = letters[random[i] % (sizeof letters - 1)];
    return kn_arena_printf(a, "%.*s%s", KN_SV_ARG(kn_sv_first(base, 58)), tail);
}

static struct kn_sv now_text(struct kn_arena *a, int64_t plus_seconds)
{
    char text[KN_TIME_TEXT];
    kn_time_format((struct kn_time){kn_later(kn_now().ns, plus_seconds)}, KN_TIME_SECONDS, text);
    return kn_arena_dup(a, kn_sv_c(text));
}

// The decoded body in the version that was sent, to the hub's form with defaults.
static struct kn_status to_hub(struct kn_request *r, struct kn_json *obj)
{
    KN_TRY(kn_default(r->arena, r->resource->type, obj));
    if (r->resource->hub != r->resource)
        KN_TRY(kn_convert_to_hub(r->arena, r->resource, obj));
    return KN_STATUS_OK;
}

static struct kn_status match_names(struct kn_request *r, struct kn_json *obj)
{
    struct kn_arena *a = r->arena;
    struct kn_json *m = kn_json_ensure_object(a, obj, KN_K_metadata);
    struct kn_sv ns = kn_json_str(kn_json_get(m, KN_K_namespace));
    struct kn_sv name = kn_json_str(kn_json_get(m, KN_K_name));
    if (r->resource->namespaced) {
        if (ns.len && !kn_sv_eq(ns, r->ns))
            return kn_error(
                KN_BAD_REQUEST,
                "the namespace of the provided object does not match the namespace sent "
                "on the request");
        kn_json_set_str(a, m, KN_K_namespace, r->ns);
    } else {
        kn_json_remove(m, KN_K_namespace);
    }
    if (r->name.len && name.len && !kn_sv_eq(name, r->name))
        return kn_error(KN_BAD_REQUEST,
                        "the name of the object (%.*s) does not match the name on the URL (%.*s)",
                        KN_SV_ARG(name), KN_SV_ARG(r->name));
    if (r->name.len && name.len == 0)
        kn_json_set_str(a, m, KN_K_name, r->name);
    return KN_STATUS_OK;
}

static struct kn_status check_problems(struct kn_request *r, const struct kn_json *obj,
                                       const struct kn_json *old)
{
    struct kn_problems p;
    kn_problems_init(&p, r->arena);
    char sub[64];
    snprintf(sub, sizeof sub, "%.*s", KN_SV_ARG(r->subresource));
    const struct kn_resource *hub = r->resource->hub;
    kn_validate(hub, sub[0] ? sub : NULL, obj, old, &p);
    struct kn_sv name = KN_JSON_STR_AT(obj, KN_K_metadata, KN_K_name);
    return kn_problems_status(&p, r->group, r->resource->kind, name);
}

// Seals a tree that is not stored (dry run).
static struct kn_status seal_only(struct kn_request *r, struct kn_json *obj, int64_t rev)
{
    struct kn_json *m = kn_json_ensure_object(r->arena, obj, KN_K_metadata);
    if (rev)
        kn_json_set_str(r->arena, m, KN_K_resourceVersion,
                        kn_arena_printf(r->arena, "%lld", (long long)rev));
    else
        kn_json_remove(m, KN_K_resourceVersion);
    return kn_obj_seal(obj, &r->answer->obj);
}

// -- create ---------------------------------------------------------------------------------------

static struct kn_status stamp_new(struct kn_request *r, struct kn_json *obj, bool *generated)
{
    struct kn_arena *a = r->arena;
    struct kn_json *m = kn_json_get(obj, KN_K_metadata);
    struct kn_sv name = kn_json_str(kn_json_get(m, KN_K_name));
    struct kn_sv base = kn_json_str(kn_json_get(m, KN_K_generateName));
    *generated = name.len == 0 && base.len > 0;
    if (*generated)
        kn_json_set_str(a, m, KN_K_name, generated_name(a, base));
    if (kn_json_str(kn_json_get(m, KN_K_resourceVersion)).len)
        return kn_error(KN_BAD_REQUEST,
                        "resourceVersion should not be set on objects to be created");
    static const enum kn_atom dropped[] = {KN_K_deletionTimestamp, KN_K_deletionGracePeriodSeconds,
                                           KN_K_selfLink, KN_K_managedFields, KN_K_resourceVersion};
    for (size_t i = 0; i < KN_ARRAY_LEN(dropped); i++)
        kn_json_remove(m, dropped[i]);
    char uid[37];
    kn_uuid(uid);
    kn_json_set_str(a, m, KN_K_uid, kn_arena_dup(a, kn_sv_c(uid)));
    kn_json_set_str(a, m, KN_K_creationTimestamp, now_text(a, 0));
    return KN_STATUS_OK;
}

static struct kn_status create_decoded(struct kn_request *r, struct kn_json *obj)
{
    bool generated;
    KN_TRY(match_names(r, obj));
    KN_TRY(stamp_new(r, obj, &generated));
    KN_TRY(to_hub(r, obj));
    KN_TRY(kn_admit_mutate(r, obj, NULL));
    KN_TRY(kn_prepare_create(r, obj));
    struct kn_status s = check_problems(r, obj, NULL);
    if (kn_ok(s))
        s = kn_admit_validate(r, obj, NULL);
    if (kn_ok(s))
        kn_warn_unfulfilled(r, obj);
    if (kn_ok(s) && kn_arena_failed(r->arena))
        s = kn_arena_error(r->arena, "the object");
    struct kn_sv name = KN_JSON_STR_AT(obj, KN_K_metadata, KN_K_name);
    if (kn_ok(s) && r->options.dry_run) {
        const struct kn_obj *there = kn_cache_get(r->rest->cache, own_ns(r), name);
        s = there ? kn_already_exists(r, name) : seal_only(r, obj, 0);
        kn_obj_unref(there);
        kn_prepare_undo(r, obj, NULL);
        return s;
    }
    if (kn_ok(s)) {
        s = kn_rest_put(r->rest, own_ns(r), name, obj, 0, &r->answer->obj, NULL);
        // Among 100,000 objects one generated name in 140 is taken already.
        for (int tries = 1; generated && s.code == KN_CONFLICT && tries < NAME_TRIES; tries++) {
            kn_status_done(&s);
            name = generated_name(r->arena,
                                  kn_json_str(KN_JSON_AT(obj, KN_K_metadata, KN_K_generateName)));
            kn_json_set_str(r->arena, kn_json_get(obj, KN_K_metadata), KN_K_name, name);
            s = kn_rest_put(r->rest, own_ns(r), name, obj, 0, &r->answer->obj, NULL);
        }
        if (s.code == KN_CONFLICT) {
            kn_status_done(&s);
            s = generated ? kn_error(KN_ALREADY_EXISTS,
                                     "%.*s \"%.*s\" already exists, the server was "
                                     "not able to generate a unique name for the object",
                                     KN_SV_ARG(kn_qualified_resource(r->arena, r)), KN_SV_ARG(name))
                          : kn_already_exists(r, name);
        }
    }
    if (!kn_ok(s))
        kn_prepare_undo(r, obj, NULL);
    return s;
}

void kn_write_create(struct kn_request *r)
{
    struct kn_json *obj;
    struct kn_status s = kn_body_decode(r, r->resource->type, &obj);
    if (kn_ok(s))
        s = create_decoded(r, obj);
    r->answer->code = 201;
    r->answer->error = s;
}

// -- update ---------------------------------------------------------------------------------------

static bool is_main(const struct kn_request *r)
{
    return r->subresource.len == 0;
}

// What a write may not change is taken from the old object.
static void keep_system_fields(struct kn_request *r, struct kn_json *obj, const struct kn_obj *old)
{
    static const enum kn_atom kept[] = {KN_K_uid, KN_K_creationTimestamp, KN_K_deletionTimestamp,
                                        KN_K_deletionGracePeriodSeconds, KN_K_generation,
                                        KN_K_namespace, KN_K_name, KN_K_generateName};
    struct kn_arena *a = r->arena;
    struct kn_json *m = kn_json_ensure_object(a, obj, KN_K_metadata);
    for (size_t i = 0; i < KN_ARRAY_LEN(kept); i++) {
        const struct kn_json *v = kn_json_get(old->metadata, kept[i]);
        if (v)
            kn_json_set(a, m, kept[i], kn_json_copy_shallow_text(a, v));
        else
            kn_json_remove(m, kept[i]);
    }
    kn_json_remove(m, KN_K_selfLink);
    kn_json_remove(m, KN_K_managedFields);
}

static struct kn_status check_preconditions(struct kn_request *r, const struct kn_json *obj,
                                            const struct kn_obj *old, bool *ret_conditional)
{
    const struct kn_json *m = kn_json_get(obj, KN_K_metadata);
    struct kn_sv uid = kn_json_str(kn_json_get(m, KN_K_uid));
    struct kn_sv rev = kn_json_str(kn_json_get(m, KN_K_resourceVersion));
    char now[24];
    snprintf(now, sizeof now, "%lld", (long long)old->rev);
    if (uid.len && !kn_sv_eq(uid, old->uid))
        return kn_error(KN_CONFLICT,
                        "Operation cannot be fulfilled on %.*s \"%.*s\": StorageError: invalid "
                        "object, Code: 4, AdditionalErrorMsg: Precondition failed: UID in "
                        "precondition: %.*s, UID in object meta: %.*s",
                        KN_SV_ARG(kn_qualified_resource(r->arena, r)), KN_SV_ARG(r->name),
                        KN_SV_ARG(uid), KN_SV_ARG(old->uid));
    *ret_conditional = rev.len && !kn_sv_is(rev, "0");
    if (*ret_conditional && !kn_sv_is(rev, now))
        return kn_conflict(r, r->name);
    return KN_STATUS_OK;
}

// Is the object ready to go now that it is being deleted?
static bool nothing_holds(const struct kn_json *obj)
{
    const struct kn_json *m = kn_json_get(obj, KN_K_metadata);
    bool namespace_kind = kn_sv_is(kn_json_str(kn_json_get(obj, KN_K_kind)), "Namespace");
    return kn_json_is_string(kn_json_get(m, KN_K_deletionTimestamp)) &&
           kn_json_len(kn_json_get(m, KN_K_finalizers)) == 0 &&
           kn_json_int(kn_json_get(m, KN_K_deletionGracePeriodSeconds), 0) == 0 &&
           (!namespace_kind || kn_json_len(KN_JSON_AT(obj, KN_K_spec, KN_K_finalizers)) == 0);
}

// obj: the new state in hub form. Validates and writes it over `old`. KN_CONFLICT when somebody was
// faster (*raced).
static struct kn_status replace(struct kn_request *r, struct kn_json *obj, const struct kn_obj *old,
                                bool *raced)
{
    *raced = false;
    keep_system_fields(r, obj, old);
    KN_TRY(kn_prepare_update(r, obj, old));
    struct kn_status s = kn_admit_mutate(r, obj, old);
    if (kn_ok(s))
        s = check_problems(r, obj, old->root);
    if (kn_ok(s))
        s = kn_admit_validate(r, obj, old);
    if (kn_ok(s))
        kn_warn_unfulfilled(r, obj);
    if (kn_ok(s) && kn_arena_failed(r->arena))
        s = kn_arena_error(r->arena, "the object");
    if (!kn_ok(s) || r->options.dry_run) {
        kn_prepare_undo(r, obj, old);
        return kn_ok(s) ? seal_only(r, obj, old->rev) : s;
    }
    struct kn_json *m = kn_json_get(obj, KN_K_metadata);
    kn_json_set_str(r->arena, m, KN_K_resourceVersion,
                    kn_arena_printf(r->arena, "%lld", (long long)old->rev));
    if (nothing_holds(obj)) {
        s = kn_rest_delete(r->rest, own_ns(r), r->name, old->rev, &r->answer->obj, NULL);
    } else if (kn_json_equal(obj, old->root)) {
        r->answer->obj = kn_obj_ref(old); // nothing changes: no revision is spent
        return KN_STATUS_OK;
    } else {
        s = kn_rest_put(r->rest, own_ns(r), r->name, obj, old->rev, &r->answer->obj, NULL);
    }
    if (!kn_ok(s))
        kn_prepare_undo(r, obj, old);
    if (s.code == KN_CONFLICT) {
        kn_status_done(&s);
        *raced = true;
        s = kn_conflict(r, r->name);
    }
    return s;
}

static bool is_made_by_update(const struct kn_resource *hub)
{
    static const char *const plurals[] = {"endpoints", "events", "leases", "services", "roles",
                                          "rolebindings", "clusterroles", "clusterrolebindings"};
    for (size_t i = 0; i < KN_ARRAY_LEN(plurals); i++)
        if (kn_sv_is(hub->plural, plurals[i]))
            return true;
    return false;
}

static struct kn_status update_once(struct kn_request *r, const struct kn_json *body, bool *again)
{
    *again = false;
    const struct kn_obj *old = kn_cache_get(r->rest->cache, own_ns(r), r->name);
    if (!old && is_main(r) && is_made_by_update(r->resource->hub)) {
        KN_TRY(kn_request_authorize(r, "create")); // a PUT that makes the object
        struct kn_json *obj = kn_json_copy_shallow_text(r->arena, body);
        r->answer->code = 201;
        kn_json_remove(kn_json_get(obj, KN_K_metadata), KN_K_resourceVersion);
        return create_decoded(r, obj);
    }
    if (!old)
        return kn_not_found(r, r->name);
    bool conditional = false, raced = false;
    struct kn_json *obj = kn_json_copy_shallow_text(r->arena, body);
    struct kn_status s = check_preconditions(r, obj, old, &conditional);
    if (kn_ok(s))
        s = to_hub(r, obj);
    if (kn_ok(s))
        s = replace(r, obj, old, &raced);
    kn_obj_unref(old);
    *again = raced && !conditional;
    return s;
}

void kn_write_update(struct kn_request *r)
{
    struct kn_json *body;
    struct kn_status s = kn_body_decode(r, r->resource->type, &body);
    if (kn_ok(s))
        s = match_names(r, body);
    bool again = kn_ok(s);
    for (int i = 0; again && i < RETRIES; i++) {
        kn_status_done(&s);
        s = update_once(r, body, &again);
    }
    r->answer->error = s;
}

// -- patch ----------------------------------------------------------------------------------------

struct kn_status kn_write_apply_patch(struct kn_request *r, const struct kn_type *type,
                                      struct kn_json *target, const struct kn_json *patch)
{
    if (is_media(r->content_type, "application/json-patch+json"))
        return kn_patch_json(r->arena, target, patch);
    if (is_media(r->content_type, "application/merge-patch+json"))
        return kn_patch_merge(r->arena, target, patch);
    if (is_media(r->content_type, "application/strategic-merge-patch+json"))
        return kn_patch_strategic(r->arena, type, target, patch);
    if (is_media(r->content_type, "application/apply-patch+yaml"))
        return kn_error(KN_UNSUPPORTED_MEDIA,
                        "server-side apply is not supported by this server yet: use kubectl apply "
                        "without --server-side");
    return kn_error(KN_UNSUPPORTED_MEDIA,
                    "the body of the request was in an unknown format - accepted media types "
                    "include: application/json-patch+json, application/merge-patch+json, "
                    "application/strategic-merge-patch+json");
}

// What the patch has made is no object of the type: the patch is invalid, not the request.
static struct kn_status as_patch_problem(struct kn_request *r, struct kn_status s,
                                         const struct kn_json *patch)
{
    if (s.code != KN_BAD_REQUEST)
        return s;
    struct kn_problems p;
    kn_problems_init(&p, r->arena);
    struct kn_buf text = KN_BUF(KN_OBJ_MAX);
    kn_json_encode(&text, patch);
    kn_problem_add(&p, KN_PROBLEM_INVALID, KN_PATH(NULL, "patch"),
                   kn_problem_quote(r->arena, kn_buf_sv(&text)), "%s", kn_status_text(&s));
    kn_buf_done(&text);
    kn_status_done(&s);
    return kn_problems_status(&p, KN_SV(""), KN_SV(""), KN_SV(""));
}

static struct kn_status patch_once(struct kn_request *r, const struct kn_json *patch, bool *again)
{
    *again = false;
    const struct kn_obj *old = kn_cache_get(r->rest->cache, own_ns(r), r->name);
    if (!old)
        return kn_not_found(r, r->name);
    struct kn_json *obj = NULL;
    bool conditional = false, raced = false;
    struct kn_status s = kn_answer_tree(r, old, &obj); // in the version of the request
    bool has_rev = kn_json_is_array(patch) ||
                   KN_JSON_STR_AT(patch, KN_K_metadata, KN_K_resourceVersion).len > 0;
    if (kn_ok(s))
        s = kn_write_apply_patch(r, r->resource->type, obj, patch);
    struct kn_decode_report report;
    kn_decode_report_init(&report, r->arena);
    if (kn_ok(s))
        s = as_patch_problem(r, kn_decode(r->arena, r->resource->type, obj, &report), patch);
    if (kn_ok(s))
        s = to_warnings(r, &report);
    if (kn_ok(s))
        s = match_names(r, obj);
    if (kn_ok(s))
        s = check_preconditions(r, obj, old, &conditional);
    if (kn_ok(s))
        s = to_hub(r, obj);
    if (kn_ok(s))
        s = replace(r, obj, old, &raced);
    kn_obj_unref(old);
    *again = raced && !(has_rev && conditional && !kn_json_is_array(patch));
    return s;
}

void kn_write_patch(struct kn_request *r)
{
    struct kn_json *patch;
    struct kn_status s = kn_body_tree(r, &patch);
    size_t warnings = r->answer->warning_count; // of the request, not of an attempt
    bool again = kn_ok(s);
    for (int i = 0; again && i < RETRIES; i++) {
        kn_status_done(&s);
        r->answer->warning_count = warnings;
        s = patch_once(r, patch, &again);
    }
    r->answer->error = s;
}

// -- delete ---------------------------------------------------------------------------------------

static struct kn_status delete_options(struct kn_request *r)
{
    if (r->body.len == 0)
        return KN_STATUS_OK;
    const struct kn_type *type =
        kn_type_find(KN_SV("meta.k8s.io"), KN_SV("v1"), KN_SV("DeleteOptions"));
    if (!type)
        type = kn_type_find(KN_SV(""), KN_SV("v1"), KN_SV("DeleteOptions"));
    struct kn_json *o;
    if (is_media(r->content_type, "application/vnd.kubernetes.protobuf")) {
        KN_TRY(kn_proto_decode(r->arena, type, r->body, &o));
    } else {
        KN_TRY(kn_body_tree(r, &o));
        KN_TRY(kn_decode(r->arena, type, o, NULL));
    }
    struct kn_options *w = &r->options;
    w->grace_seconds = kn_json_int(kn_json_get(o, KN_K_gracePeriodSeconds), w->grace_seconds);
    if (w->grace_seconds < 0 && kn_json_get(o, KN_K_gracePeriodSeconds))
        w->grace_seconds = 1; // as upstream: soon, but not at once
    if (kn_json_get(o, KN_K_propagationPolicy))
        w->propagation = kn_json_str(kn_json_get(o, KN_K_propagationPolicy));
    if (kn_json_get(o, KN_K_orphanDependents))
        w->orphan_dependents = kn_json_bool(kn_json_get(o, KN_K_orphanDependents), false);
    w->precondition_uid = KN_JSON_STR_AT(o, KN_K_preconditions, KN_K_uid);
    w->precondition_rev = KN_JSON_STR_AT(o, KN_K_preconditions, KN_K_resourceVersion);
    w->dry_run = w->dry_run || kn_json_len(kn_json_get(o, KN_K_dryRun)) > 0;
    return KN_STATUS_OK;
}

static struct kn_status check_delete_options(struct kn_request *r)
{
    struct kn_options *o = &r->options;
    if (o->propagation.len && !kn_sv_is(o->propagation, "Background") &&
        !kn_sv_is(o->propagation, "Foreground") && !kn_sv_is(o->propagation, "Orphan"))
        return kn_error(KN_INVALID,
                        "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported "
                        "value: \"%.*s\": supported values: \"Background\", \"Foreground\", "
                        "\"Orphan\"", KN_SV_ARG(o->propagation));
    if (o->propagation.len && o->orphan_dependents >= 0)
        return kn_error(KN_INVALID,
                        "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid "
                        "value: \"%.*s\": orphanDependents and deletionPropagation cannot be both "
                        "set", KN_SV_ARG(o->propagation));
    if (o->orphan_dependents >= 0)
        o->propagation = o->orphan_dependents ? KN_SV("Orphan") : KN_SV("Background");
    return KN_STATUS_OK;
}

static void set_finalizer(struct kn_arena *a, struct kn_json *m, const char *name, bool on)
{
    struct kn_json *list = kn_json_ensure_array(a, m, KN_K_finalizers), *v, *found = NULL;
    KN_JSON_EACH(v, list)
    if (kn_sv_is(kn_json_str(v), name))
        found = v;
    if (on && !found)
        kn_json_append(list, kn_json_new_str(a, kn_sv_c(name)));
    else if (!on && found)
        kn_json_remove_child(list, found);
    if (kn_json_len(list) == 0)
        kn_json_remove(m, KN_K_finalizers);
}

static int64_t pod_grace(const struct kn_request *r, const struct kn_obj *old)
{
    struct kn_sv phase = KN_JSON_STR_AT(old->root, KN_K_status, KN_K_phase);
    if (KN_JSON_STR_AT(old->root, KN_K_spec, KN_K_nodeName).len == 0 || kn_sv_is(phase, "Failed") ||
        kn_sv_is(phase, "Succeeded"))
        return 0;
    int64_t own =
        kn_json_int(KN_JSON_AT(old->root, KN_K_spec, KN_K_terminationGracePeriodSeconds), 30);
    return r->options.grace_seconds >= 0 ? r->options.grace_seconds : own;
}

static bool returns_object(const struct kn_resource *hub)
{
    static const char *const plurals[] = {"pods", "services", "serviceaccounts", "podtemplates",
                                          "persistentvolumeclaims", "persistentvolumes",
                                          "resourcequotas", "podsecuritypolicies"};
    for (size_t i = 0; i < KN_ARRAY_LEN(plurals); i++)
        if (kn_sv_is(hub->plural, plurals[i]))
            return true;
    return false;
}

static void answer_deleted(struct kn_request *r, struct kn_sv name, struct kn_sv uid)
{
    struct kn_arena *a = r->arena;
    struct kn_status ok = KN_STATUS_OK;
    struct kn_json *o = kn_status_object(a, &ok);
    struct kn_json *d = kn_json_ensure_object(a, o, KN_K_details);
    kn_json_set_str(a, d, KN_K_name, kn_arena_dup(a, name));
    if (r->group.len)
        kn_json_set_str(a, d, KN_K_group, r->group);
    kn_json_set_str(a, d, KN_K_kind, r->plural);
    kn_json_set_str(a, d, KN_K_uid, kn_arena_dup(a, uid));
    kn_obj_unref(r->answer->obj);
    r->answer->obj = NULL;
    r->answer->tree = o;
}

static struct kn_status check_delete_preconditions(struct kn_request *r, const struct kn_obj *old)
{
    struct kn_options *o = &r->options;
    char rev[24];
    snprintf(rev, sizeof rev, "%lld", (long long)old->rev);
    const char *what = NULL;
    struct kn_sv want, have;
    if (o->precondition_uid.len && !kn_sv_eq(o->precondition_uid, old->uid)) {
        what = "UID";
        want = o->precondition_uid;
        have = old->uid;
    } else if (o->precondition_rev.len && !kn_sv_is(o->precondition_rev, rev)) {
        what = "ResourceVersion";
        want = o->precondition_rev;
        have = kn_sv_c(rev);
    }
    if (!what)
        return KN_STATUS_OK;
    return kn_error(KN_CONFLICT,
                    "Operation cannot be fulfilled on %.*s \"%.*s\": the %s in the precondition "
                    "(%.*s) does not match the %s in record (%.*s). The object might have been "
                    "deleted and then recreated",
                    KN_SV_ARG(kn_qualified_resource(r->arena, r)), KN_SV_ARG(r->name), what,
                    KN_SV_ARG(want), what, KN_SV_ARG(have));
}

// Marks the object as being deleted. *changed: whether that is news.
static void mark_deleting(struct kn_request *r, struct kn_json *obj, int64_t grace, bool *changed)
{
    struct kn_arena *a = r->arena;
    struct kn_json *m = kn_json_get(obj, KN_K_metadata);
    bool before = kn_json_is_string(kn_json_get(m, KN_K_deletionTimestamp));
    int64_t old_grace = kn_json_int(kn_json_get(m, KN_K_deletionGracePeriodSeconds), 0);
    if (before && grace >= old_grace)
        return;
    *changed = true;
    kn_json_set_str(a, m, KN_K_deletionTimestamp, now_text(a, grace));
    if (!kn_sv_is(r->plural, "namespaces"))
        kn_json_set_int(a, m, KN_K_deletionGracePeriodSeconds, grace);
    int64_t generation = kn_json_int(kn_json_get(m, KN_K_generation), 0);
    if (!before && generation > 0)
        kn_json_set_int(a, m, KN_K_generation, generation + 1);
    if (kn_sv_is(r->plural, "namespaces"))
        kn_json_set_str(a, kn_json_ensure_object(a, obj, KN_K_status), KN_K_phase,
                        KN_SV("Terminating"));
}

static struct kn_status delete_once(struct kn_request *r, bool *again)
{
    *again = false;
    const struct kn_obj *old = kn_cache_get(r->rest->cache, own_ns(r), r->name);
    if (!old)
        return kn_not_found(r, r->name);
    struct kn_arena *a = r->arena;
    struct kn_json *obj = kn_json_copy(a, old->root);
    struct kn_json *m = kn_json_get(obj, KN_K_metadata);
    bool pod = kn_sv_is(r->plural, "pods") && r->group.len == 0, changed = false;
    bool background = kn_sv_is(r->options.propagation, "Background");
    if (r->options.propagation.len) {
        set_finalizer(a, m, "foregroundDeletion", kn_sv_is(r->options.propagation, "Foreground"));
        set_finalizer(a, m, "orphan", kn_sv_is(r->options.propagation, "Orphan"));
        changed = !background && !old->deleting;
    }
    struct kn_status s = check_delete_preconditions(r, old);
    if (kn_ok(s))
        s = kn_admit_validate(r, NULL, old);
    bool allowed = kn_ok(s);
    mark_deleting(r, obj, pod ? pod_grace(r, old) : 0, &changed);
    if (!kn_ok(s)) {
        ;
    } else if (nothing_holds(obj)) {
        if (r->options.dry_run)
            s = seal_only(r, obj, old->rev);
        else
            s = kn_rest_delete(r->rest, own_ns(r), r->name, old->rev, &r->answer->obj, NULL);
        if (kn_ok(s) && !returns_object(r->resource->hub))
            answer_deleted(r, old->name, old->uid);
    } else if (!changed && kn_json_equal(obj, old->root)) {
        r->answer->obj = kn_obj_ref(old);
    } else if (r->options.dry_run) {
        s = seal_only(r, obj, old->rev);
    } else {
        s = kn_rest_put(r->rest, own_ns(r), r->name, obj, old->rev, &r->answer->obj, NULL);
    }
    kn_obj_unref(old);
    // a precondition that does not hold will not hold the next time either
    *again = s.code == KN_CONFLICT && allowed && !r->options.precondition_rev.len;
    return s;
}

static void delete_loop(struct kn_request *r)
{
    struct kn_status s = KN_STATUS_OK;
    bool again = true;
    for (int i = 0; again && i < RETRIES; i++) {
        kn_status_done(&s);
        s = delete_once(r, &again);
    }
    r->answer->error = s;
}

void kn_write_delete(struct kn_request *r)
{
    struct kn_status s = delete_options(r);
    if (kn_ok(s))
        s = check_delete_options(r);
    r->answer->error = s;
    if (kn_ok(s))
        delete_loop(r);
}

void kn_write_delete_collection(struct kn_request *r)
{
    struct kn_status s = delete_options(r);
    if (kn_ok(s))
        s = check_delete_options(r);
    if (kn_ok(s)) {
        kn_read_list(r);
        s = r->answer->error;
        r->answer->error = KN_STATUS_OK;
    }
    struct kn_sv ns = r->ns, name = r->name;
    for (size_t i = 0; kn_ok(s) && i < r->answer->list.len; i++) {
        struct kn_answer one;
        kn_answer_init(&one);
        struct kn_request each = *r;
        each.answer = &one;
        each.arena = kn_arena_new(4096, 64u << 20);
        each.ns = r->answer->list.ptr[i]->ns;
        each.name = r->answer->list.ptr[i]->name;
        delete_loop(&each);
        s = one.error;
        one.error = KN_STATUS_OK;
        if (s.code == KN_NOT_FOUND) // somebody was faster
            kn_status_done(&s);
        kn_answer_done(&one);
        kn_arena_free(each.arena);
    }
    r->ns = ns;
    r->name = name;
    r->answer->error = s;
}

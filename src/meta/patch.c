// JSON patch (RFC 6902) and JSON merge patch (RFC 7396).
#include "meta/patch.h"

#include "base/num.h"

// -- merge ----------------------------------------------------------------------------------------

static void merge(struct kn_arena *a, struct kn_json *target, const struct kn_json *patch)
{
    if (!kn_json_is_object(target))
        kn_json_assign(target, kn_json_new_object(a));
    const struct kn_json *m;
    KN_JSON_EACH(m, patch)
    {
        struct kn_sv name = kn_json_key(m);
        struct kn_json *old = kn_json_get_sv(target, name);
        if (kn_json_is_null(m)) {
            kn_json_remove_child(target, old);
        } else if (kn_json_is_object(m)) {
            if (!old)
                old = kn_json_set_sv(a, target, name, kn_json_new_object(a));
            if (old)
                merge(a, old, m);
        } else {
            kn_json_set_sv(a, target, name, kn_json_copy_shallow_text(a, m));
        }
    }
}

struct kn_status kn_patch_merge(struct kn_arena *a, struct kn_json *target,
                                const struct kn_json *patch)
{
    if (!kn_json_is_object(patch))
        return kn_error(KN_BAD_REQUEST, "a merge patch is a JSON object, not a %s",
                        kn_json_type_name(kn_json_type(patch)));
    merge(a, target, patch);
    return kn_arena_failed(a) ? kn_arena_error(a, "the patched object") : KN_STATUS_OK;
}

// -- JSON patch -----------------------------------------------------------------------------------

#define OPERATIONS_MAX 10000

// One step of a pointer, its escapes (~0, ~1) undone.
static struct kn_sv step_of(struct kn_arena *a, struct kn_sv *rest)
{
    struct kn_sv raw = kn_sv_cut(rest, '/');
    if (kn_sv_find(raw, '~') < 0)
        return raw;
    char *out = kn_arena_bytes(a, raw.len);
    size_t n = 0;
    for (size_t i = 0; out && i < raw.len; i++) {
        if (raw.ptr[i] == '~' && i + 1 < raw.len)
            out[n++] = raw.ptr[++i] == '1' ? '/' : '~';
        else
            out[n++] = raw.ptr[i];
    }
    return kn_sv(out, n);
}

struct place {
    struct kn_json *parent, *at; // at: what is there, or NULL
    struct kn_sv name;           // last step
    bool root, append;
};

static struct kn_json *child_of(struct kn_json *v, struct kn_sv step)
{
    if (kn_json_is_object(v))
        return kn_json_get_sv(v, step);
    int64_t i;
    struct kn_status s = kn_num_parse(step, 0, UINT32_MAX, &i);
    bool number = kn_ok(s);
    kn_status_done(&s);
    return number && kn_json_is_array(v) ? kn_json_item(v, (uint32_t)i) : NULL;
}

static struct kn_status find(struct kn_arena *a, struct kn_json *target, struct kn_sv pointer,
                             struct place *ret)
{
    *ret = (struct place){.at = target, .root = pointer.len == 0};
    if (pointer.len == 0)
        return KN_STATUS_OK;
    if (pointer.ptr[0] != '/')
        return kn_error(KN_INVALID, "the path \"%.*s\" does not begin with /", KN_SV_ARG(pointer));
    struct kn_sv rest = kn_sv_from(pointer, 1);
    do {
        if (!ret->at)
            return kn_error(KN_INVALID, "the path \"%.*s\" does not exist", KN_SV_ARG(pointer));
        ret->parent = ret->at;
        ret->name = step_of(a, &rest);
        ret->at = child_of(ret->parent, ret->name);
    } while (rest.ptr);
    ret->append = kn_json_is_array(ret->parent) && kn_sv_is(ret->name, "-");
    if (!kn_json_is_array(ret->parent) && !kn_json_is_object(ret->parent))
        return kn_error(KN_INVALID, "the path \"%.*s\" goes through a value that has no members",
                        KN_SV_ARG(pointer));
    return KN_STATUS_OK;
}

static struct kn_status no_path(struct kn_sv path)
{
    return kn_error(KN_INVALID, "the path \"%.*s\" does not exist", KN_SV_ARG(path));
}

// Puts a value before element i of an array, by moving the later ones behind it.
static void insert(struct kn_json *array, uint32_t index, struct kn_json *value)
{
    uint32_t after = kn_json_len(array) - index;
    kn_json_append(array, value);
    while (after--) {
        struct kn_json *moved = kn_json_item(array, index);
        kn_json_remove_child(array, moved);
        kn_json_append(array, moved);
    }
}

static struct kn_status add(struct kn_arena *a, struct kn_json *target, struct kn_sv path,
                            struct kn_json *value)
{
    struct place p;
    KN_TRY(find(a, target, path, &p));
    if (p.root) {
        kn_json_assign(target, value);
    } else if (kn_json_is_object(p.parent)) {
        kn_json_set_sv(a, p.parent, p.name, value);
    } else {
        int64_t i = kn_json_len(p.parent);
        if (!p.append)
            KN_TRY(kn_wrap(kn_num_parse(p.name, 0, i, &i), "the path \"%.*s\"", KN_SV_ARG(path)));
        insert(p.parent, (uint32_t)i, value);
    }
    return KN_STATUS_OK;
}

static struct kn_status take(struct kn_arena *a, struct kn_json *target, struct kn_sv path,
                             struct kn_json **ret)
{
    struct place p;
    KN_TRY(find(a, target, path, &p));
    if (!p.parent || !p.at)
        return no_path(path);
    *ret = kn_json_copy_shallow_text(a, p.at);
    kn_json_remove_child(p.parent, p.at);
    return KN_STATUS_OK;
}

static struct kn_status operate(struct kn_arena *a, struct kn_json *target,
                                const struct kn_json *op)
{
    struct kn_sv what = kn_json_str(kn_json_get(op, KN_K_op));
    const struct kn_json *path_value = kn_json_get(op, KN_K_path),
                         *given = kn_json_get(op, KN_K_value);
    struct kn_sv path = kn_json_str(path_value), from = kn_json_str(kn_json_get(op, KN_K_from));
    if (!kn_json_is_string(path_value))
        return kn_error(KN_BAD_REQUEST, "it has no path");
    struct kn_json *moved;
    struct place p;
    if (kn_sv_is(what, "remove"))
        return take(a, target, path, &moved);
    if (kn_sv_is(what, "move")) {
        KN_TRY(take(a, target, from, &moved));
        return add(a, target, path, moved);
    }
    if (kn_sv_is(what, "copy")) {
        KN_TRY(find(a, target, from, &p));
        return p.at ? add(a, target, path, kn_json_copy_shallow_text(a, p.at)) : no_path(from);
    }
    bool test = kn_sv_is(what, "test"), replaces = kn_sv_is(what, "replace");
    if (!test && !replaces && !kn_sv_is(what, "add"))
        return kn_error(KN_BAD_REQUEST, "unexpected kind: %.*s", KN_SV_ARG(what));
    if (!given)
        return kn_error(KN_BAD_REQUEST, "it has no value");
    if (kn_sv_is(what, "add"))
        return add(a, target, path, kn_json_copy_shallow_text(a, given));
    KN_TRY(find(a, target, path, &p));
    if (test)
        return kn_json_equal(p.at, given) && (p.at || kn_json_is_null(given))
                   ? KN_STATUS_OK
                   : kn_error(KN_INVALID, "testing value %.*s failed", KN_SV_ARG(path));
    if (!p.at)
        return no_path(path);
    kn_json_assign(p.at, kn_json_copy_shallow_text(a, given));
    return KN_STATUS_OK;
}

struct kn_status kn_patch_json(struct kn_arena *a, struct kn_json *target,
                               const struct kn_json *patch)
{
    if (!kn_json_is_array(patch))
        return kn_error(KN_BAD_REQUEST, "a JSON patch is an array of operations, not a %s",
                        kn_json_type_name(kn_json_type(patch)));
    if (kn_json_len(patch) > OPERATIONS_MAX)
        return kn_error(KN_TOO_LARGE,
                        "The allowed maximum operations in a JSON patch is %d, got %u",
                        OPERATIONS_MAX, kn_json_len(patch));
    const struct kn_json *op;
    unsigned n = 0;
    KN_JSON_EACH(op, patch)
    {
        KN_TRY(kn_wrap(operate(a, target, op), "operation %u of the JSON patch", n));
        n++;
    }
    return kn_arena_failed(a) ? kn_arena_error(a, "the patched object") : KN_STATUS_OK;
}

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
#define STEPS_MAX 20000000u // siblings that all operations together may pass: some 50 ms

// One JSON patch at work. Values hang in rings, so that finding one of them costs what lies before
// it: ten thousand operations on a long array would hold a thread for half a minute.
struct work {
    struct kn_arena *arena;
    struct kn_json *target;
    size_t steps; // siblings passed so far
};

static struct kn_status pass(struct work *w, size_t siblings)
{
    w->steps += siblings;
    if (w->steps <= STEPS_MAX)
        return KN_STATUS_OK;
    return kn_error(KN_TOO_LARGE,
                    "the patch goes through more than %u elements: send it in parts, or replace "
                    "the whole list",
                    STEPS_MAX);
}

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

static struct kn_status child_of(struct work *w, struct kn_json *v, struct kn_sv step,
                                 struct kn_json **ret)
{
    *ret = NULL;
    if (kn_json_is_object(v)) {
        KN_TRY(pass(w, kn_json_len(v)));
        *ret = kn_json_get_sv(v, step);
        return KN_STATUS_OK;
    }
    int64_t i;
    struct kn_status s = kn_num_parse(step, 0, UINT32_MAX, &i);
    bool number = kn_ok(s);
    kn_status_done(&s);
    if (number && kn_json_is_array(v) && i < kn_json_len(v)) {
        KN_TRY(pass(w, (size_t)i + 1));
        *ret = kn_json_item(v, (uint32_t)i);
    }
    return KN_STATUS_OK;
}

static struct kn_status find(struct work *w, struct kn_sv pointer, struct place *ret)
{
    *ret = (struct place){.at = w->target, .root = pointer.len == 0};
    if (pointer.len == 0)
        return KN_STATUS_OK;
    if (pointer.ptr[0] != '/')
        return kn_error(KN_INVALID, "the path \"%.*s\" does not begin with /", KN_SV_ARG(pointer));
    struct kn_sv rest = kn_sv_from(pointer, 1);
    do {
        if (!ret->at)
            return kn_error(KN_INVALID, "the path \"%.*s\" does not exist", KN_SV_ARG(pointer));
        ret->parent = ret->at;
        ret->name = step_of(w->arena, &rest);
        KN_TRY(child_of(w, ret->parent, ret->name, &ret->at));
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

static struct kn_status add(struct work *w, struct kn_sv path, struct kn_json *value)
{
    struct place p;
    KN_TRY(find(w, path, &p));
    if (p.root) {
        kn_json_assign(w->target, value);
    } else if (kn_json_is_object(p.parent)) {
        kn_json_set_sv(w->arena, p.parent, p.name, value);
    } else {
        int64_t i = kn_json_len(p.parent);
        if (!p.append)
            KN_TRY(kn_wrap(kn_num_parse(p.name, 0, i, &i), "the path \"%.*s\"", KN_SV_ARG(path)));
        if (i < kn_json_len(p.parent))
            KN_TRY(pass(w, (size_t)i));
        kn_json_insert(p.parent, (uint32_t)i, value);
    }
    return KN_STATUS_OK;
}

static struct kn_status take(struct work *w, struct kn_sv path, struct kn_json **ret)
{
    struct place p;
    size_t before = w->steps;
    KN_TRY(find(w, path, &p));
    if (!p.parent || !p.at)
        return no_path(path);
    KN_TRY(pass(w, w->steps - before)); // it is looked for once more
    *ret = kn_json_copy_shallow_text(w->arena, p.at);
    kn_json_remove_child(p.parent, p.at);
    return KN_STATUS_OK;
}

static struct kn_status operate(struct work *w, const struct kn_json *op)
{
    struct kn_sv what = kn_json_str(kn_json_get(op, KN_K_op));
    const struct kn_json *path_value = kn_json_get(op, KN_K_path),
                         *given = kn_json_get(op, KN_K_value);
    struct kn_sv path = kn_json_str(path_value), from = kn_json_str(kn_json_get(op, KN_K_from));
    if (!kn_json_is_string(path_value))
        return kn_error(KN_INVALID, "it has no path");
    struct kn_json *moved;
    struct place p;
    if (kn_sv_is(what, "remove"))
        return take(w, path, &moved);
    if (kn_sv_is(what, "move")) {
        KN_TRY(take(w, from, &moved));
        return add(w, path, moved);
    }
    if (kn_sv_is(what, "copy")) {
        KN_TRY(find(w, from, &p));
        return p.at ? add(w, path, kn_json_copy_shallow_text(w->arena, p.at)) : no_path(from);
    }
    bool test = kn_sv_is(what, "test"), replaces = kn_sv_is(what, "replace");
    if (!test && !replaces && !kn_sv_is(what, "add"))
        return kn_error(KN_INVALID, "unexpected kind: %.*s", KN_SV_ARG(what));
    if (!given)
        return kn_error(KN_INVALID, "it has no value");
    if (kn_sv_is(what, "add"))
        return add(w, path, kn_json_copy_shallow_text(w->arena, given));
    KN_TRY(find(w, path, &p));
    if (test)
        return kn_json_equal(p.at, given) && (p.at || kn_json_is_null(given))
                   ? KN_STATUS_OK
                   : kn_error(KN_INVALID, "testing value %.*s failed", KN_SV_ARG(path));
    if (!p.at)
        return no_path(path);
    kn_json_assign(p.at, kn_json_copy_shallow_text(w->arena, given));
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
    struct work w = {a, target, 0};
    const struct kn_json *op;
    unsigned n = 0;
    KN_JSON_EACH(op, patch)
    {
        KN_TRY(kn_wrap(operate(&w, op), "operation %u of the JSON patch", n));
        n++;
    }
    return kn_arena_failed(a) ? kn_arena_error(a, "the patched object") : KN_STATUS_OK;
}

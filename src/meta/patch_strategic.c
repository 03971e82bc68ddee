// Strategic merge patch: a merge patch that knows from the type which lists merge, by which key.
//
// An object merges member by member. A list that merges by a key pairs its elements by that key; a
// merging list without one is a set of plain values; every other list is replaced. Directives are
// members whose names begin with $: they steer the merge of the object in which they lie and never
// reach the target.
#include "meta/patch.h"

#define LIST_MAX 2000 // elements of a merging list: pairing them is quadratic

static const struct kn_sv patch_name = {"$patch", 6}, retain_name = {"$retainKeys", 11},
                          order_prefix = {"$setElementOrder/", 17},
                          delete_prefix = {"$deleteFromPrimitiveList/", 25};

// What an object is: a type, or a map whose values have that type. type NULL: nothing is known, and
// everything below merges as a JSON merge patch does.
struct shape {
    const struct kn_type *type;
    bool map;
};

// What is known of one member.
struct member {
    struct shape shape; // of it, or of its elements
    struct kn_sv key;   // merge key, empty: none
    bool merges, replaces;
};

static struct kn_status merge_object(struct kn_arena *a, struct shape shape, struct kn_json *target,
                                     const struct kn_json *patch);

static struct member member_of(struct shape shape, struct kn_sv name)
{
    if (!shape.type)
        return (struct member){0};
    if (shape.map)
        return (struct member){.shape = {shape.type, false}};
    const struct kn_field *f = kn_type_field_sv(shape.type, name);
    if (!f)
        return (struct member){0};
    struct member m = {.shape = {kn_field_type(shape.type, f), f->shape == KN_SHAPE_MAP},
                       .merges = f->flags & KN_FIELD_MERGE,
                       .replaces = f->flags & KN_FIELD_REPLACE};
    enum kn_atom key = kn_field_merge_key(shape.type, f);
    if (key != KN_K_NONE)
        m.key = kn_atom_name(key);
    return m;
}

static bool is_directive(struct kn_sv name)
{
    return kn_sv_eq(name, patch_name) || kn_sv_eq(name, retain_name) ||
           kn_sv_starts(name, order_prefix) || kn_sv_starts(name, delete_prefix);
}

static struct kn_sv directive_of(const struct kn_json *v)
{
    return kn_json_str(kn_json_get_sv(v, patch_name));
}

// Makes a value of a patch fit to be a value of the target, in place: without directives and
// without the nulls that would delete. False: it is not to be there at all.
static bool clean(struct kn_json *v)
{
    if (kn_json_is_object(v)) {
        if (kn_sv_is(directive_of(v), "delete"))
            return false;
        // an element that only says "replace the list"
        if (kn_sv_is(directive_of(v), "replace") && kn_json_len(v) == 1)
            return false;
    }
    bool object = kn_json_is_object(v);
    struct kn_json *child = kn_json_first(v), *next;
    for (; child; child = next) {
        next = kn_json_next(v, child);
        bool drop = object && (kn_json_is_null(child) || is_directive(kn_json_key(child)));
        if (drop || !clean(child))
            kn_json_remove_child(v, child);
    }
    return true;
}

static struct kn_json *cleaned_copy(struct kn_arena *a, const struct kn_json *v)
{
    struct kn_json *copy = kn_json_copy_shallow_text(a, v);
    return copy && clean(copy) ? copy : NULL;
}

// -- lists ------------------------------------------------------------------------------------

// Whether two elements are the same one: by the key, or, where there is none, by their value.
static bool same_element(struct kn_sv key, const struct kn_json *x, const struct kn_json *y)
{
    if (!key.len)
        return kn_json_equal(x, y);
    const struct kn_json *kx = kn_json_get_sv(x, key), *ky = kn_json_get_sv(y, key);
    return kx && ky && kn_json_equal(kx, ky);
}

// Position of the element of a list that is the same as v, or -1.
static int64_t position(const struct kn_json *list, struct kn_sv key, const struct kn_json *v)
{
    int64_t i = 0;
    const struct kn_json *element;
    KN_JSON_EACH(element, list)
    {
        if (same_element(key, element, v))
            return i;
        i++;
    }
    return -1;
}

static struct kn_json *find_element(struct kn_json *list, struct kn_sv key, const struct kn_json *v)
{
    int64_t i = position(list, key, v);
    return i < 0 ? NULL : kn_json_item(list, (uint32_t)i);
}

struct element {
    struct kn_json *value;
    int64_t wanted; // its place in the order that the patch asks for, -1: it says nothing of it
    int64_t was;    // its place before the patch, -1: it is new
    bool used;
};

// The next of one sort: the unused one whose place is the smallest.
static struct element *next_element(struct element *e, size_t n, bool of_patch)
{
    struct element *best = NULL;
    for (size_t i = 0; i < n; i++) {
        if (e[i].used || (e[i].wanted >= 0) != of_patch)
            continue;
        if (!best || (of_patch ? e[i].wanted < best->wanted : e[i].was < best->was))
            best = &e[i];
    }
    return best;
}

// Puts a merged list in order: those of which the patch speaks as it names them; between them the
// others, each before the first that it preceded when the list was `before`.
static void reorder(struct kn_arena *a, struct kn_json *list, struct kn_sv key,
                    const struct kn_json *wanted, const struct kn_json *before)
{
    size_t n = kn_json_len(list), i = 0;
    struct element *e = kn_arena_calloc(a, n ? n : 1, sizeof *e);
    if (!e)
        return;
    struct kn_json *v;
    KN_JSON_EACH(v, list)
    {
        e[i++] = (struct element){v, position(wanted, key, v), position(before, key, v), false};
    }
    kn_json_clear(list);
    for (i = 0; i < n; i++) {
        struct element *theirs = next_element(e, n, true), *ours = next_element(e, n, false);
        bool ours_first =
            !theirs || (ours && ours->was >= 0 && theirs->was >= 0 && ours->was < theirs->was);
        struct element *next = ours && ours_first ? ours : theirs;
        next->used = true;
        next->value->next = NULL; // it is in no container now
        kn_json_append(list, next->value);
    }
}

static struct kn_status no_key(struct kn_sv key, struct kn_sv name)
{
    return kn_error(KN_INVALID, "an element of %.*s does not contain declared merge key: %.*s",
                    KN_SV_ARG(name), KN_SV_ARG(key));
}

// What the elements with a directive do: delete others, or empty the list.
static struct kn_status obey_elements(struct kn_json *target, const struct kn_json *patch,
                                      struct kn_sv key, struct kn_sv name)
{
    const struct kn_json *p;
    bool replace = false;
    KN_JSON_EACH(p, patch)
    {
        struct kn_sv what = directive_of(p);
        if (!kn_json_get_sv(p, patch_name))
            continue;
        if (kn_sv_is(what, "replace")) {
            replace = true;
        } else if (kn_sv_is(what, "delete")) {
            if (!kn_json_get_sv(p, key))
                return no_key(key, name);
            struct kn_json *found;
            while ((found = find_element(target, key, p)))
                kn_json_remove_child(target, found);
        } else {
            return kn_error(KN_BAD_REQUEST, "unknown patch type: %.*s in an element of %.*s",
                            KN_SV_ARG(what), KN_SV_ARG(name));
        }
    }
    if (replace)
        kn_json_clear(target);
    return KN_STATUS_OK;
}

static struct kn_status merge_elements(struct kn_arena *a, const struct member *m,
                                       struct kn_json *target, const struct kn_json *patch,
                                       struct kn_sv name)
{
    const struct kn_json *p;
    KN_JSON_EACH(p, patch)
    {
        if (!kn_json_is_object(p))
            return kn_error(KN_BAD_REQUEST, "the elements of %.*s are objects", KN_SV_ARG(name));
        if (kn_json_get_sv(p, patch_name))
            continue;
        if (kn_json_is_null(kn_json_get_sv(p, m->key)))
            return no_key(m->key, name);
        struct kn_json *found = find_element(target, m->key, p);
        if (found) {
            KN_TRY(kn_wrap(merge_object(a, m->shape, found, p), "%.*s", KN_SV_ARG(name)));
        } else {
            struct kn_json *fresh = cleaned_copy(a, p);
            if (fresh)
                kn_json_append(target, fresh);
        }
    }
    return KN_STATUS_OK;
}

static void merge_values(struct kn_arena *a, struct kn_json *target, const struct kn_json *patch)
{
    const struct kn_json *p;
    KN_JSON_EACH(p, patch)
    {
        if (position(target, KN_SV_NULL, p) < 0)
            kn_json_append(target, kn_json_copy_shallow_text(a, p));
    }
}

static bool holds_objects(const struct kn_json *x, const struct kn_json *y)
{
    return kn_json_is_object(kn_json_first(x)) || kn_json_is_object(kn_json_first(y));
}

static struct kn_status merge_list(struct kn_arena *a, const struct member *m,
                                   struct kn_json *target, const struct kn_json *patch,
                                   struct kn_sv name, const struct kn_json *order)
{
    if (!m->merges) {
        if (patch)
            kn_json_assign(target, kn_json_copy_shallow_text(a, patch));
        return KN_STATUS_OK;
    }
    if (kn_json_len(target) > LIST_MAX || kn_json_len(patch) > LIST_MAX)
        return kn_error(KN_TOO_LARGE, "%.*s has more than %d elements to merge", KN_SV_ARG(name),
                        LIST_MAX);
    const struct kn_json *before = kn_json_copy_shallow_text(a, target);
    bool objects = holds_objects(target, patch);
    if (objects && !m->key.len)
        return kn_error(KN_INVALID, "cannot merge lists without merge key for %.*s",
                        KN_SV_ARG(name));
    struct kn_sv key = objects ? m->key : KN_SV_NULL;
    if (patch && objects) {
        KN_TRY(obey_elements(target, patch, key, name));
        KN_TRY(merge_elements(a, m, target, patch, name));
    } else if (patch) {
        merge_values(a, target, patch);
    }
    if (patch && !order)
        reorder(a, target, key, patch, before);
    else if (order)
        reorder(a, target, key, order, before);
    return KN_STATUS_OK;
}

// The elements of the patch that stay must come in the order that $setElementOrder names.
static struct kn_status check_order(const struct kn_json *patch, const struct kn_json *order,
                                    struct kn_sv key, struct kn_sv name)
{
    const struct kn_json *p;
    int64_t last = -1;
    KN_JSON_EACH(p, patch)
    {
        if (kn_json_get_sv(p, patch_name))
            continue;
        int64_t at = position(order, kn_json_is_object(p) ? key : KN_SV_NULL, p);
        if (at <= last)
            return kn_error(KN_BAD_REQUEST,
                            "the order in patch list %.*s doesn't match its $setElementOrder list",
                            KN_SV_ARG(name));
        last = at;
    }
    return KN_STATUS_OK;
}

// -- objects ----------------------------------------------------------------------------------

static bool lists_text(const struct kn_json *list, struct kn_sv text)
{
    const struct kn_json *v;
    KN_JSON_EACH(v, list)
    {
        if (kn_json_is_string(v) && kn_sv_eq(kn_json_str(v), text))
            return true;
    }
    return false;
}

// $retainKeys: the target keeps only the members that are named (unions: one of them at a time).
static struct kn_status retain_keys(struct kn_json *target, const struct kn_json *patch)
{
    const struct kn_json *keys = kn_json_get_sv(patch, retain_name), *p;
    if (!keys)
        return KN_STATUS_OK;
    if (!kn_json_is_array(keys))
        return kn_error(KN_BAD_REQUEST, "invalid patch format of retainKeys");
    KN_JSON_EACH(p, patch)
    {
        if (!kn_json_is_null(p) && !is_directive(kn_json_key(p)) &&
            !lists_text(keys, kn_json_key(p)))
            return kn_error(KN_BAD_REQUEST, "invalid patch format of retainKeys");
    }
    struct kn_json *child = kn_json_first(target), *next;
    for (; child; child = next) {
        next = kn_json_next(target, child);
        if (!lists_text(keys, kn_json_key(child)))
            kn_json_remove_child(target, child);
    }
    return KN_STATUS_OK;
}

static struct kn_json *order_for(const struct kn_json *patch, struct kn_sv name)
{
    struct kn_json *m;
    KN_JSON_EACH(m, patch)
    {
        struct kn_sv key = kn_json_key(m);
        if (kn_sv_starts(key, order_prefix) && kn_sv_eq(kn_sv_from(key, order_prefix.len), name))
            return m;
    }
    return NULL;
}

static struct kn_status set_order(struct kn_arena *a, struct shape shape, struct kn_json *target,
                                  const struct kn_json *patch, const struct kn_json *order)
{
    struct kn_sv name = kn_sv_from(kn_json_key(order), order_prefix.len);
    struct kn_json *old = kn_json_get_sv(target, name);
    const struct kn_json *given = kn_json_get_sv(patch, name);
    struct member m = member_of(shape, name);
    if (!kn_json_is_array(order) || (!kn_json_is_null(given) && !kn_json_is_array(given)))
        return kn_error(KN_BAD_REQUEST, "invalid patch format of setElementOrder list");
    if (given && kn_json_is_null(given)) {
        kn_json_remove_sv(target, name);
        return KN_STATUS_OK;
    }
    KN_TRY(check_order(given, order, m.key, name));
    if (kn_json_is_array(old))
        return merge_list(a, &m, old, given, name, order);
    struct kn_json *fresh = given ? cleaned_copy(a, given) : NULL;
    if (fresh)
        kn_json_set_sv(a, target, name, fresh);
    return KN_STATUS_OK;
}

static void delete_values(struct kn_json *target, struct kn_sv name, const struct kn_json *values)
{
    struct kn_json *list = kn_json_get_sv(target, name), *found;
    const struct kn_json *v;
    if (!kn_json_is_array(list))
        return;
    KN_JSON_EACH(v, values)
    {
        while ((found = find_element(list, KN_SV_NULL, v)))
            kn_json_remove_child(list, found);
    }
}

static struct kn_status merge_member(struct kn_arena *a, struct shape shape, struct kn_json *target,
                                     const struct kn_json *p)
{
    struct kn_sv name = kn_json_key(p);
    struct kn_json *old = kn_json_get_sv(target, name);
    if (kn_json_is_null(p)) {
        kn_json_remove_sv(target, name);
        return KN_STATUS_OK;
    }
    struct member m = member_of(shape, name);
    bool alike = old && kn_json_type(old) == kn_json_type(p) && !m.replaces;
    if (alike && kn_json_is_object(p))
        return kn_wrap(merge_object(a, m.shape, old, p), "%.*s", KN_SV_ARG(name));
    if (alike && kn_json_is_array(p))
        return merge_list(a, &m, old, p, name, NULL);
    struct kn_json *fresh = cleaned_copy(a, p);
    if (fresh)
        kn_json_set_sv(a, target, name, fresh);
    return KN_STATUS_OK;
}

static struct kn_status merge_object(struct kn_arena *a, struct shape shape, struct kn_json *target,
                                     const struct kn_json *patch)
{
    struct kn_sv what = directive_of(patch);
    if (kn_json_get_sv(patch, patch_name)) {
        struct kn_json *fresh = kn_sv_is(what, "delete")    ? kn_json_new_object(a)
                                : kn_sv_is(what, "replace") ? kn_json_copy_shallow_text(a, patch)
                                                            : NULL;
        if (!fresh)
            return kn_error(KN_BAD_REQUEST, "unknown patch type: %.*s", KN_SV_ARG(what));
        kn_json_remove_sv(fresh, patch_name);
        clean(fresh);
        kn_json_assign(target, fresh);
        return KN_STATUS_OK;
    }
    KN_TRY(retain_keys(target, patch));
    const struct kn_json *p;
    KN_JSON_EACH(p, patch)
    {
        if (kn_sv_starts(kn_json_key(p), order_prefix))
            KN_TRY(set_order(a, shape, target, patch, p));
    }
    KN_JSON_EACH(p, patch)
    {
        struct kn_sv name = kn_json_key(p);
        if (kn_sv_starts(name, delete_prefix)) {
            if (!kn_json_is_array(p))
                return kn_error(KN_BAD_REQUEST, "invalid patch format of primitive list");
            delete_values(target, kn_sv_from(name, delete_prefix.len), p);
        } else if (!is_directive(name) && !order_for(patch, name)) {
            KN_TRY(merge_member(a, shape, target, p));
        }
    }
    return KN_STATUS_OK;
}

struct kn_status kn_patch_strategic(struct kn_arena *a, const struct kn_type *type,
                                    struct kn_json *target, const struct kn_json *patch)
{
    if (!kn_json_is_object(patch) || !kn_json_is_object(target))
        return kn_error(KN_BAD_REQUEST, "a strategic merge patch is a JSON object, not a %s",
                        kn_json_type_name(kn_json_type(patch)));
    KN_TRY(merge_object(a, (struct shape){type, false}, target, patch));
    return kn_arena_failed(a) ? kn_arena_error(a, "the patched object") : KN_STATUS_OK;
}

#include "meta/schema.h"

#include "base/mem.h"
#include "meta/schema_tables.h"

static const struct kn_schema *schema_of(const struct kn_type *t)
{
    const char *first = (const char *)(t - t->self);
    return (const struct kn_schema *)(const void *)(first - sizeof(struct kn_schema));
}

static struct kn_sv text_at(const struct kn_schema *s, uint32_t offset)
{
    return kn_sv_c(s->text + offset);
}

static const struct kn_package *package_of(const struct kn_type *t)
{
    return &schema_of(t)->packages[t->package];
}

// -- types -----------------------------------------------------------------------------------

static const struct kn_type *find_in(const struct kn_package *p, struct kn_sv name)
{
    const struct kn_schema *s = &kn_schema_builtin.head;
    const struct kn_type *types = kn_schema_builtin.types + p->first;
    size_t low = 0, high = p->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int c = kn_sv_cmp(name, text_at(s, types[mid].name));
        if (c == 0)
            return &types[mid];
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

// The package of a group and version; by_tag: by what the package is called ("core", "rbac").
static const struct kn_package *find_package(struct kn_sv group, struct kn_sv version, bool by_tag)
{
    const struct kn_schema *s = &kn_schema_builtin.head;
    for (size_t i = 0; i < s->package_count; i++) {
        const struct kn_package *p = &s->packages[i];
        if (kn_sv_eq(group, text_at(s, by_tag ? p->tag : p->group)) &&
            kn_sv_eq(version, text_at(s, p->version)))
            return p;
    }
    return NULL;
}

const struct kn_type *kn_type_find_any(struct kn_sv group, struct kn_sv version, struct kn_sv name)
{
    const struct kn_package *p = find_package(group, version, true);
    return p ? find_in(p, name) : NULL;
}

// Kinds of meta/v1 that every group has.
static bool is_common(struct kn_sv kind)
{
    static const char *const common[] = {
        "APIGroup",      "APIGroupList", "APIResourceList", "APIVersions",
        "CreateOptions", "DeleteOptions", "GetOptions",     "ListOptions",
        "PatchOptions",  "Status",        "UpdateOptions",  "WatchEvent",
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(common); i++)
        if (kn_sv_is(kind, common[i]))
            return true;
    return false;
}

const struct kn_type *kn_type_find(struct kn_sv group, struct kn_sv version, struct kn_sv kind)
{
    const struct kn_package *p = find_package(group, version, false);
    const struct kn_type *t = p ? find_in(p, kind) : NULL;
    if (!t && p && is_common(kind))
        t = kn_type_find_any(KN_SV("meta"), KN_SV("v1"), kind);
    return t && (t->flags & KN_TYPE_KIND) ? t : NULL;
}

const struct kn_type *kn_type_find_api(struct kn_sv api_version, struct kn_sv kind)
{
    ptrdiff_t slash = kn_sv_find(api_version, '/');
    if (slash < 0)
        return kn_type_find(KN_SV(""), api_version, kind);
    return kn_type_find(kn_sv_first(api_version, (size_t)slash),
                        kn_sv_from(api_version, (size_t)slash + 1), kind);
}

struct kn_sv kn_type_name(const struct kn_type *t)
{
    return text_at(schema_of(t), t->name);
}

struct kn_sv kn_type_group(const struct kn_type *t)
{
    return text_at(schema_of(t), package_of(t)->group);
}

struct kn_sv kn_type_version(const struct kn_type *t)
{
    return text_at(schema_of(t), package_of(t)->version);
}

struct kn_sv kn_type_package(const struct kn_type *t)
{
    return text_at(schema_of(t), package_of(t)->name);
}

struct kn_sv kn_type_doc(const struct kn_type *t)
{
    const struct kn_schema *s = schema_of(t);
    return text_at(s, s->docs[t->doc]);
}

const struct kn_type *kn_type_at(size_t index)
{
    return index < kn_schema_builtin.head.type_count ? &kn_schema_builtin.types[index] : NULL;
}

// -- fields ----------------------------------------------------------------------------------

const struct kn_field *kn_type_member(const struct kn_type *t, size_t i)
{
    const struct kn_schema *s = schema_of(t);
    return &s->fields[s->members[t->members + i]];
}

const struct kn_field *kn_type_field(const struct kn_type *t, enum kn_atom name)
{
    const struct kn_schema *s = schema_of(t);
    const uint16_t *members = s->members + t->members;
    size_t low = 0, high = t->member_count;
    while (low < high) { // atoms are numbered in the order of their names
        size_t mid = (low + high) / 2;
        const struct kn_field *f = &s->fields[members[mid]];
        if (f->name == (uint16_t)name)
            return f;
        if ((uint16_t)name < f->name)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

const struct kn_field *kn_type_field_sv(const struct kn_type *t, struct kn_sv name)
{
    enum kn_atom atom = kn_atom_find(name);
    return atom == KN_K_NONE ? NULL : kn_type_field(t, atom);
}

const struct kn_field *kn_type_wire_field(const struct kn_type *t, size_t i)
{
    return &schema_of(t)->fields[t->fields + i];
}

const struct kn_field *kn_type_wire_find(const struct kn_type *t, uint32_t number)
{
    const struct kn_field *fields = &schema_of(t)->fields[t->fields];
    if (number == 0)
        return NULL;
    // numbers are dense in most types: look where it would be then, and go on from there
    size_t i = number - 1 < t->field_count ? number - 1 : t->field_count;
    while (i > 0 && (i == t->field_count || fields[i].number == 0 || fields[i].number > number))
        i--;
    for (; i < t->field_count; i++)
        if (fields[i].number == number)
            return &fields[i];
    return NULL;
}

const struct kn_type *kn_field_type(const struct kn_type *parent, const struct kn_field *f)
{
    bool has = f->kind == KN_KIND_OBJECT || f->kind >= KN_KIND_SCHEMA_OR_ARRAY;
    return has ? parent - parent->self + f->type : NULL;
}

struct kn_sv kn_field_name(const struct kn_type *parent, const struct kn_field *f)
{
    (void)parent; // types made at run time keep names that are no atoms in their own text
    return kn_atom_name((enum kn_atom)f->name);
}

struct kn_sv kn_field_doc(const struct kn_type *parent, const struct kn_field *f)
{
    const struct kn_schema *s = schema_of(parent);
    return text_at(s, s->docs[f->doc]);
}

static const struct kn_extra *extra_of(const struct kn_type *parent, const struct kn_field *f)
{
    return &schema_of(parent)->extras[f->extra];
}

struct kn_sv kn_field_type_name(const struct kn_type *parent, const struct kn_field *f)
{
    return text_at(schema_of(parent), extra_of(parent, f)->scalar);
}

enum kn_atom kn_field_merge_key(const struct kn_type *parent, const struct kn_field *f)
{
    return (enum kn_atom)extra_of(parent, f)->merge_key;
}

const uint16_t *kn_field_list_keys(const struct kn_type *parent, const struct kn_field *f,
                                   size_t *ret_len)
{
    const struct kn_extra *e = extra_of(parent, f);
    *ret_len = e->key_count;
    return schema_of(parent)->lists + e->keys;
}

bool kn_field_enum(const struct kn_type *parent, const struct kn_field *f, size_t i,
                   struct kn_sv *ret)
{
    const struct kn_schema *s = schema_of(parent);
    const struct kn_extra *e = extra_of(parent, f);
    if (i >= e->value_count)
        return false;
    const uint16_t *half = s->lists + e->values + 2 * i;
    *ret = text_at(s, half[0] | (uint32_t)half[1] << 16);
    return true;
}

struct kn_sv kn_field_default(const struct kn_type *parent, const struct kn_field *f)
{
    return text_at(schema_of(parent), extra_of(parent, f)->fallback);
}

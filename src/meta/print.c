#include "meta/print.h"

#include "base/mem.h"
#include "meta/print_cells.h"

#define CELL_MAX (1u << 20)

static const struct {
    const char *name;
    kn_print_fn *fn;
} functions[] = {
#define X(name) {#name, kn_print_##name},
    KN_PRINT_CELLS(X)
#undef X
};

static const struct kn_column plain[] = {
    {KN_SV("Name"), KN_SV("string"), KN_SV("name"), 0, false, KN_SV("name"), KN_SV("")},
    {KN_SV("Created At"), KN_SV("date"), KN_SV(""), 0, false, KN_SV(".metadata.creationTimestamp"),
     KN_SV("")},
};

static const struct kn_column *columns_of(const struct kn_resource *r, size_t *ret_count)
{
    *ret_count = r->column_count ? r->column_count : KN_ARRAY_LEN(plain);
    return r->column_count ? r->columns : plain;
}

// -- for cells -------------------------------------------------------------------------------

struct kn_json *kn_print_text(const struct kn_print *p, struct kn_sv text)
{
    return kn_json_new_str(p->arena, text.ptr ? text : KN_SV(""));
}

struct kn_json *kn_print_textf(const struct kn_print *p, const char *format, ...)
{
    struct kn_buf b KN_CLEANUP(kn_buf_done) = KN_BUF(CELL_MAX);
    va_list args;
    va_start(args, format);
    kn_buf_vaddf(&b, format, args);
    va_end(args);
    return kn_print_buf(p, &b, "");
}

struct kn_json *kn_print_buf(const struct kn_print *p, const struct kn_buf *b,
                             const char *otherwise)
{
    if (b->len == 0)
        return kn_print_text(p, kn_sv_c(otherwise));
    return kn_print_text(p, kn_arena_dup(p->arena, kn_buf_sv(b)));
}

struct kn_sv kn_print_duration(struct kn_arena *a, int64_t seconds)
{
    int64_t minutes = seconds / 60, hours = seconds / 3600, days = hours / 24, years = days / 365;
    if (seconds < -1)
        return KN_SV("<invalid>");
    if (seconds < 0)
        return KN_SV("0s");
#define D(...) kn_arena_printf(a, __VA_ARGS__)
#define LL(x) (long long)(x)
    if (seconds < 120)
        return D("%llds", LL(seconds));
    if (minutes < 10)
        return seconds % 60 ? D("%lldm%llds", LL(minutes), LL(seconds % 60))
                            : D("%lldm", LL(minutes));
    if (minutes < 180)
        return D("%lldm", LL(minutes));
    if (hours < 8)
        return minutes % 60 ? D("%lldh%lldm", LL(hours), LL(minutes % 60)) : D("%lldh", LL(hours));
    if (hours < 48)
        return D("%lldh", LL(hours));
    if (days < 8)
        return hours % 24 ? D("%lldd%lldh", LL(days), LL(hours % 24)) : D("%lldd", LL(days));
    if (days < 365 * 2)
        return D("%lldd", LL(days));
    if (years < 8)
        return days % 365 ? D("%lldy%lldd", LL(years), LL(days % 365)) : D("%lldy", LL(years));
    return D("%lldy", LL(years));
#undef D
#undef LL
}

struct kn_sv kn_print_since(const struct kn_print *p, const struct kn_json *time)
{
    struct kn_time t;
    if (kn_json_str(time).len == 0)
        return KN_SV("<unknown>");
    struct kn_status s = kn_time_parse(kn_json_str(time), &t);
    bool good = kn_ok(s);
    kn_status_done(&s);
    return good ? kn_print_duration(p->arena, (p->now.ns - t.ns) / KN_SECOND) : KN_SV("<unknown>");
}

struct kn_json *kn_print_name(const struct kn_print *p)
{
    return kn_print_text(p, KN_JSON_STR_AT(p->obj, KN_K_metadata, KN_K_name));
}

struct kn_json *kn_print_age(const struct kn_print *p)
{
    return kn_print_text(
        p, kn_print_since(p, KN_JSON_AT(p->obj, KN_K_metadata, KN_K_creationTimestamp)));
}

// -- cells -----------------------------------------------------------------------------------

static struct kn_json *path_cell(const struct kn_print *p, const struct kn_column *c)
{
    struct kn_sv otherwise = c->cell, rest, path = kn_sv_cut(&otherwise, '|');
    const struct kn_json *v = p->obj;
    rest = kn_sv_from(path, 1);
    while (rest.len)
        v = kn_json_get_sv(v, kn_sv_cut(&rest, '.'));
    bool empty = kn_json_is_null(v) || (kn_json_is_string(v) && kn_json_len(v) == 0);
    if (c->number || kn_sv_is(c->type, "integer"))
        return kn_json_new_int(p->arena, kn_json_int(v, 0));
    if (kn_sv_is(c->type, "boolean"))
        return kn_json_new_bool(p->arena, kn_json_bool(v, false));
    if (empty)
        return kn_print_text(p, otherwise);
    if (kn_json_is_string(v))
        return kn_print_text(p, kn_json_str(v));
    struct kn_buf b KN_CLEANUP(kn_buf_done) = KN_BUF(CELL_MAX);
    kn_json_encode(&b, v);
    return kn_print_buf(p, &b, "");
}

static struct kn_json *cell(const struct kn_print *p, const struct kn_column *c)
{
    if (c->cell.len && c->cell.ptr[0] == '.')
        return path_cell(p, c);
    size_t low = 0, high = KN_ARRAY_LEN(functions); // the generator sorts them
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = kn_sv_cmp(c->cell, kn_sv_c(functions[mid].name));
        if (order == 0)
            return functions[mid].fn(p);
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return kn_print_text(p, KN_SV("<unknown>"));
}

struct kn_json *kn_print_cells(struct kn_arena *a, const struct kn_resource *r,
                               const struct kn_json *obj, struct kn_time now)
{
    size_t n;
    const struct kn_column *columns = columns_of(r, &n);
    struct kn_json *cells = kn_json_new_array(a);
    struct kn_print p = {.arena = a, .obj = obj, .now = now, .wide = true};
    for (size_t i = 0; i < n; i++)
        kn_json_append(cells, cell(&p, &columns[i]));
    return cells;
}

// -- tables ----------------------------------------------------------------------------------

struct kn_status kn_table_include_parse(struct kn_sv text, enum kn_table_include *ret)
{
    if (text.len == 0 || kn_sv_is(text, "Metadata"))
        *ret = KN_TABLE_METADATA;
    else if (kn_sv_is(text, "Object"))
        *ret = KN_TABLE_OBJECT;
    else if (kn_sv_is(text, "None"))
        *ret = KN_TABLE_NONE;
    else
        return kn_error(KN_BAD_REQUEST, "unrecognized includeObject value: %.*s", KN_SV_ARG(text));
    return KN_STATUS_OK;
}

struct kn_json *kn_print_table(struct kn_arena *a, const struct kn_resource *r,
                               struct kn_sv version)
{
    size_t n;
    const struct kn_column *columns = columns_of(r, &n);
    struct kn_json *table = kn_json_new_object(a);
    kn_json_set_str(a, table, KN_K_kind, KN_SV("Table"));
    kn_json_set_str(a, table, KN_K_apiVersion,
                    kn_arena_printf(a, "meta.k8s.io/%.*s", KN_SV_ARG(version)));
    kn_json_set(a, table, KN_K_metadata, kn_json_new_object(a));
    struct kn_json *list = kn_json_ensure_array(a, table, KN_K_columnDefinitions);
    for (size_t i = 0; i < n; i++) {
        struct kn_json *c = kn_json_append(list, kn_json_new_object(a));
        kn_json_set_str(a, c, KN_K_name, columns[i].name);
        kn_json_set_str(a, c, KN_K_type, columns[i].type);
        kn_json_set_str(a, c, KN_K_format, columns[i].format);
        kn_json_set_str(a, c, KN_K_description, columns[i].doc);
        kn_json_set_int(a, c, KN_K_priority, columns[i].priority);
    }
    kn_json_ensure_array(a, table, KN_K_rows);
    return kn_arena_failed(a) ? NULL : table;
}

// Upstream marks pods that have ended, so that a client may leave them out.
static void conditions(struct kn_arena *a, const struct kn_resource *r, const struct kn_json *obj,
                       struct kn_json *row)
{
    struct kn_sv phase = KN_JSON_STR_AT(obj, KN_K_status, KN_K_phase);
    bool done = kn_sv_is(phase, "Succeeded"), failed = kn_sv_is(phase, "Failed");
    if (r->group.len || !kn_sv_is(r->kind, "Pod") || !(done || failed))
        return;
    struct kn_json *c =
        kn_json_append(kn_json_ensure_array(a, row, KN_K_conditions), kn_json_new_object(a));
    kn_json_set_str(a, c, KN_K_type, KN_SV("Completed"));
    kn_json_set_str(a, c, KN_K_status, KN_SV("True"));
    kn_json_set_str(a, c, KN_K_reason, phase);
    kn_json_set_str(a, c, KN_K_message,
                    done ? KN_SV("The pod has completed successfully.")
                         : KN_SV("The pod failed."));
}

struct kn_json *kn_print_row(struct kn_arena *a, const struct kn_resource *r,
                             const struct kn_json *obj, enum kn_table_include include,
                             struct kn_time now)
{
    struct kn_json *row = kn_json_new_object(a);
    kn_json_set(a, row, KN_K_cells, kn_print_cells(a, r, obj, now));
    conditions(a, r, obj, row);
    if (include == KN_TABLE_OBJECT) {
        kn_json_set(a, row, KN_K_object, kn_json_copy_shallow_text(a, obj));
    } else if (include == KN_TABLE_METADATA) {
        struct kn_json *o = kn_json_ensure_object(a, row, KN_K_object);
        kn_json_set_str(a, o, KN_K_kind, KN_SV("PartialObjectMetadata"));
        kn_json_set_str(a, o, KN_K_apiVersion, KN_SV("meta.k8s.io/v1"));
        kn_json_set(a, o, KN_K_metadata,
                    kn_json_copy_shallow_text(a, kn_json_get(obj, KN_K_metadata)));
    }
    return kn_arena_failed(a) ? NULL : row;
}

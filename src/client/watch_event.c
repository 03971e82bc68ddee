// One line of a watch.
#include "client/remote_impl.h"

#define LINE_MAX_BYTES ((size_t)64 << 20)

// {"type":"T","object":{...}}: as every server writes it, the object's text is found without
// parsing the line as a whole.
static bool cut_event(struct kn_sv line, struct kn_sv *ret_type, struct kn_sv *ret_object)
{
    const struct kn_sv head = KN_SV("{\"type\":\""), middle = KN_SV("\",\"object\":");
    if (!kn_sv_starts(line, head) || line.ptr[line.len - 1] != '}')
        return false;
    struct kn_sv rest = kn_sv_from(line, head.len);
    ptrdiff_t end = kn_sv_find(kn_sv_first(rest, 16), '"');
    if (end < 0 || !kn_sv_starts(kn_sv_from(rest, (size_t)end), middle))
        return false;
    *ret_type = kn_sv_first(rest, (size_t)end);
    rest = kn_sv_from(rest, (size_t)end + middle.len);
    *ret_object = kn_sv_first(rest, rest.len - 1);
    return true;
}

struct kn_status kn_watch_event_parse(struct kn_sv line, char type[16], struct kn_buf *error,
                                      const struct kn_obj **ret)
{
    struct kn_sv word, object;
    struct kn_arena *a = NULL;
    struct kn_status s = KN_STATUS_OK;
    struct kn_buf text = KN_BUF(LINE_MAX_BYTES);
    if (!cut_event(line, &word, &object)) { // another order, spaces
        struct kn_json *v;
        a = kn_arena_new(64 << 10, LINE_MAX_BYTES * 4);
        s = kn_json_parse(a, line, NULL, &v);
        if (kn_ok(s)) {
            word = kn_json_str(kn_json_get(v, KN_K_type));
            kn_json_encode(&text, kn_json_get(v, KN_K_object));
            object = kn_buf_sv(&text);
        }
    }
    if (kn_ok(s)) {
        snprintf(type, 16, "%.*s", KN_SV_ARG(kn_sv_first(word, 15)));
        if (kn_sv_is(word, "ERROR"))
            kn_buf_add(error, object);
        else
            s = kn_obj_parse(object, ret);
    }
    kn_buf_done(&text);
    kn_arena_free(a);
    return s;
}

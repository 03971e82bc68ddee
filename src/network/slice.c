#include "network/slice.h"

#include "base/vec.h"

#define KEY_TEXT 400

struct kn_sv kn_slice_service(const struct kn_obj *slice)
{
    return kn_obj_label(slice, KN_SV("kubernetes.io/service-name"));
}

static struct kn_sv key_of(struct kn_sv ns, struct kn_sv service, char out[KEY_TEXT])
{
    int len = snprintf(out, KEY_TEXT, "%.*s/%.*s", KN_SV_ARG(ns), KN_SV_ARG(service));
    return kn_sv(out, (size_t)len < KEY_TEXT ? (size_t)len : KEY_TEXT - 1);
}

void kn_slice_by_service(const struct kn_obj *slice, kn_index_emit *emit, void *ctx)
{
    char key[KEY_TEXT];
    struct kn_sv service = kn_slice_service(slice);
    if (service.len)
        emit(ctx, key_of(slice->ns, service, key));
}

bool kn_endpoint_ready(const struct kn_json *endpoint)
{
    return kn_json_bool(KN_JSON_AT(endpoint, KN_K_conditions, KN_K_ready), true);
}

static bool take(void *arg, const struct kn_obj *slice)
{
    struct kn_slices *out = arg;
    KN_VEC_PUSH(out, kn_obj_ref(slice));
    return true;
}

void kn_slices_of(struct kn_cache *c, unsigned by_service, struct kn_sv ns, struct kn_sv service,
                  struct kn_slices *ret)
{
    char key[KEY_TEXT];
    kn_cache_by_index(c, by_service, key_of(ns, service, key), take, ret);
}

void kn_slices_done(struct kn_slices *s)
{
    for (size_t i = 0; i < s->len; i++)
        kn_obj_unref(s->ptr[i]);
    KN_VEC_DONE(s);
}

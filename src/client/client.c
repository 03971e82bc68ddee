#include "client/client.h"

void kn_obj_list_done(struct kn_obj_list *l)
{
    for (size_t i = 0; i < l->len; i++)
        kn_obj_unref(l->items[i]);
    free(l->items);
    *l = (struct kn_obj_list){0};
}

void kn_client_close(struct kn_client *c)
{
    if (c)
        c->ops->close(c);
}

struct kn_status kn_client_get(struct kn_client *c, const struct kn_resource *r, struct kn_sv ns,
                               struct kn_sv name, const struct kn_obj **ret)
{
    return c->ops->get(c, r, ns, name, ret);
}

struct kn_status kn_client_list(struct kn_client *c, const struct kn_resource *r,
                                const struct kn_list_options *o, struct kn_obj_list *ret)
{
    return c->ops->list(c, r, o, ret);
}

struct kn_status kn_client_create(struct kn_client *c, const struct kn_resource *r, struct kn_sv ns,
                                  struct kn_sv name, const char *subresource,
                                  const struct kn_json *body, const struct kn_obj **ret)
{
    return c->ops->create(c, r, ns, name, subresource, body, ret);
}

struct kn_status kn_client_update(struct kn_client *c, const struct kn_resource *r, struct kn_sv ns,
                                  struct kn_sv name, const char *subresource,
                                  const struct kn_json *body, const struct kn_obj **ret)
{
    return c->ops->update(c, r, ns, name, subresource, body, ret);
}

struct kn_status kn_client_patch(struct kn_client *c, const struct kn_resource *r, struct kn_sv ns,
                                 struct kn_sv name, const char *subresource,
                                 enum kn_patch_type type, struct kn_sv patch,
                                 const struct kn_obj **ret)
{
    return c->ops->patch(c, r, ns, name, subresource, type, patch, ret);
}

struct kn_status kn_client_delete(struct kn_client *c, const struct kn_resource *r, struct kn_sv ns,
                                  struct kn_sv name, const struct kn_delete_options *o)
{
    return c->ops->remove(c, r, ns, name, o);
}

struct kn_status kn_client_cache(struct kn_client *c, const struct kn_resource *r,
                                 const struct kn_list_options *o, int64_t deadline,
                                 struct kn_cache **ret)
{
    return c->ops->cache(c, r, o, deadline, ret);
}

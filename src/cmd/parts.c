#include "cmd/parts.h"

#include <stdlib.h>

#include "base/mem.h"

struct kn_parts {
    struct kn_apiserver *api;
};

struct kn_status kn_parts_start(struct kn_apiserver *api, const struct kn_site *site,
                                struct kn_sv ca_pem, struct kn_parts **ret)
{
    (void)site;
    (void)ca_pem;
    *ret = KN_NEW(struct kn_parts);
    (*ret)->api = api;
    return KN_STATUS_OK;
}

void kn_parts_stop(struct kn_parts *p)
{
    free(p);
}

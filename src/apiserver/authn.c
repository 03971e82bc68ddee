// Who asks: a client certificate, or a bearer token of a service account; otherwise anonymous.
#include "apiserver/internal.h"

static struct kn_sv *add_group(struct kn_sv *groups, size_t *n, const char *name)
{
    groups[(*n)++] = kn_sv_c(name);
    return groups;
}

static struct kn_status by_certificate(struct kn_arena *a, const struct kn_cert *cert,
                                       const struct kn_user **ret)
{
    const struct kn_cert_info *info = kn_cert_info(cert);
    struct kn_user *u = KN_ARENA_NEW(a, struct kn_user);
    struct kn_sv *groups = kn_arena_calloc(a, info->orgs_len + 1, sizeof *groups);
    if (!u || !groups)
        return kn_arena_error(a, "the request");
    if (info->cn.len == 0)
        return kn_error(KN_UNAUTHORIZED, "the client certificate has no common name");
    size_t n = 0;
    for (; n < info->orgs_len; n++)
        groups[n] = kn_arena_dup(a, info->orgs[n]);
    add_group(groups, &n, "system:authenticated");
    *u = (struct kn_user){.name = kn_arena_dup(a, info->cn), .groups = groups, .group_count = n};
    *ret = u;
    return KN_STATUS_OK;
}

static struct kn_status anonymous(struct kn_arena *a, const struct kn_user **ret)
{
    static const struct kn_sv groups[] = {{"system:unauthenticated", 22}};
    struct kn_user *u = KN_ARENA_NEW(a, struct kn_user);
    if (!u)
        return kn_arena_error(a, "the request");
    *u = (struct kn_user){.name = KN_SV("system:anonymous"), .groups = groups, .group_count = 1};
    *ret = u;
    return KN_STATUS_OK;
}

struct kn_status kn_authenticate(struct kn_apiserver *s, struct kn_http_req *http,
                                 struct kn_arena *a, const struct kn_user **ret)
{
    const struct kn_http_peer *peer = kn_http_peer(http);
    if (peer->cert)
        return by_certificate(a, peer->cert, ret);
    struct kn_sv auth = kn_sv_trim(kn_http_header(http, "Authorization"));
    if (auth.len) {
        struct kn_sv rest = auth, scheme = kn_sv_cut(&rest, ' ');
        if (!kn_sv_ieq(scheme, KN_SV("Bearer")))
            return kn_error(KN_UNAUTHORIZED, "Unauthorized");
        struct kn_status status = kn_token_check(s, a, kn_sv_trim(rest), NULL, 0, ret, NULL);
        if (!kn_ok(status)) {
            kn_debug("a bearer token was refused: %s", kn_status_text(&status));
            kn_status_done(&status); // why is not told to a stranger
            return kn_error(KN_UNAUTHORIZED, "Unauthorized");
        }
        return KN_STATUS_OK;
    }
    // A certificate that did not verify is not anonymity: it is an error.
    if (peer->cert_problem[0])
        return kn_error(KN_UNAUTHORIZED, "Unauthorized");
    return anonymous(a, ret);
}

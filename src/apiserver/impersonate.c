// Acting as somebody else: the Impersonate-* headers, each of which needs the right to
// "impersonate" what it names. As upstream's "User impersonation" documentation says.
#include "apiserver/internal.h"

#define EXTRA "Impersonate-Extra-"
#define ACCOUNT "system:serviceaccount:"

static bool named(struct kn_sv name, const char *want)
{
    return kn_sv_ieq(name, kn_sv_c(want));
}

static bool is_extra(struct kn_sv name)
{
    size_t n = sizeof EXTRA - 1;
    return name.len > n && kn_sv_ieq(kn_sv(name.ptr, n), KN_SV(EXTRA));
}

static struct kn_status may(struct kn_apiserver *s, struct kn_arena *a, const struct kn_user *who,
                            struct kn_sv group, const char *resource, struct kn_sv sub,
                            struct kn_sv ns, struct kn_sv name)
{
    struct kn_attributes q = {.user = who,
                              .verb = "impersonate",
                              .is_resource = true,
                              .group = group,
                              .version = KN_SV("v1"),
                              .resource = kn_sv_c(resource),
                              .subresource = sub,
                              .ns = ns,
                              .name = name};
    return kn_authorize(s, a, &q);
}

// "system:serviceaccount:NAMESPACE:NAME"
static bool account_of(struct kn_sv user, struct kn_sv *ret_ns, struct kn_sv *ret_name)
{
    if (!kn_sv_starts(user, KN_SV(ACCOUNT)))
        return false;
    struct kn_sv rest = kn_sv_from(user, sizeof ACCOUNT - 1);
    *ret_ns = kn_sv_cut(&rest, ':');
    *ret_name = rest;
    return ret_ns->len && rest.len && kn_sv_find(rest, ':') < 0;
}

static struct kn_status add_extra(struct kn_apiserver *s, struct kn_arena *a,
                                  const struct kn_user *who, const struct kn_http_header *h,
                                  struct kn_json *extra)
{
    struct kn_sv raw = kn_sv_from(h->name, sizeof EXTRA - 1);
    char *key = kn_arena_alloc(a, raw.len + 1);
    if (!key)
        return kn_arena_error(a, "the request");
    for (size_t i = 0; i < raw.len; i++)
        key[i] = (char)(raw.ptr[i] >= 'A' && raw.ptr[i] <= 'Z' ? raw.ptr[i] + 32 : raw.ptr[i]);
    struct kn_sv name = kn_sv(key, raw.len), value = kn_arena_dup(a, h->value);
    KN_TRY(may(s, a, who, KN_SV("authentication.k8s.io"), "userextras", name, KN_SV_NULL, value));
    struct kn_json *list = kn_json_get_sv(extra, name);
    if (!list)
        list = kn_json_set_sv(a, extra, name, kn_json_new_array(a));
    kn_json_append(list, kn_json_new_str(a, value));
    return KN_STATUS_OK;
}

static struct kn_status take_headers(struct kn_apiserver *s, struct kn_http_req *http,
                                     struct kn_arena *a, const struct kn_user *who,
                                     struct kn_user *u, struct kn_sv *groups)
{
    struct kn_http_header h;
    struct kn_json *extra = kn_json_new_object(a);
    for (size_t i = 0; kn_http_header_at(http, i, &h); i++) {
        if (named(h.name, "Impersonate-Group")) {
            KN_TRY(may(s, a, who, KN_SV_NULL, "groups", KN_SV_NULL, KN_SV_NULL, h.value));
            groups[u->group_count++] = kn_arena_dup(a, h.value);
        } else if (named(h.name, "Impersonate-Uid")) {
            KN_TRY(may(s, a, who, KN_SV("authentication.k8s.io"), "uids", KN_SV_NULL, KN_SV_NULL,
                       h.value));
            u->uid = kn_arena_dup(a, h.value);
        } else if (is_extra(h.name)) {
            KN_TRY(add_extra(s, a, who, &h, extra));
        }
    }
    u->extra = kn_json_len(extra) ? extra : NULL;
    return KN_STATUS_OK;
}

static void add_groups_of_all(struct kn_arena *a, struct kn_user *u, struct kn_sv *groups)
{
    struct kn_sv ns, name;
    if (account_of(u->name, &ns, &name) && u->group_count == 0) {
        groups[u->group_count++] = KN_SV("system:serviceaccounts");
        groups[u->group_count++] = kn_arena_printf(a, "system:serviceaccounts:%.*s", KN_SV_ARG(ns));
    }
    u->groups = groups;
    bool told = kn_user_in(u, "system:authenticated") || kn_user_in(u, "system:unauthenticated");
    if (!told)
        groups[u->group_count++] = kn_sv_is(u->name, "system:anonymous")
                                       ? KN_SV("system:unauthenticated")
                                       : KN_SV("system:authenticated");
}

struct kn_status kn_impersonate(struct kn_apiserver *s, struct kn_http_req *http,
                                struct kn_arena *a, const struct kn_user **user)
{
    struct kn_http_header h;
    struct kn_sv name = kn_http_header(http, "Impersonate-User"), ns, account;
    size_t groups_max = 4;
    bool any = false;
    for (size_t i = 0; kn_http_header_at(http, i, &h); i++) {
        bool group = named(h.name, "Impersonate-Group");
        groups_max += group;
        any = any || group || named(h.name, "Impersonate-User") ||
              named(h.name, "Impersonate-Uid") || is_extra(h.name);
    }
    if (!any)
        return KN_STATUS_OK;
    if (name.len == 0)
        return kn_error(KN_BAD_REQUEST,
                        "requested groups, uid or extra without impersonating a user");
    struct kn_user *u = KN_ARENA_NEW(a, struct kn_user);
    struct kn_sv *groups = kn_arena_calloc(a, groups_max, sizeof *groups);
    if (!u || !groups)
        return kn_arena_error(a, "the request");
    if (account_of(name, &ns, &account))
        KN_TRY(may(s, a, *user, KN_SV_NULL, "serviceaccounts", KN_SV_NULL, ns, account));
    else
        KN_TRY(may(s, a, *user, KN_SV_NULL, "users", KN_SV_NULL, KN_SV_NULL, name));
    *u = (struct kn_user){.name = kn_arena_dup(a, name)};
    KN_TRY(take_headers(s, http, a, *user, u, groups));
    add_groups_of_all(a, u, groups);
    if (kn_arena_failed(a))
        return kn_arena_error(a, "the request");
    *user = u;
    return KN_STATUS_OK;
}

// Credentials as Docker's configuration holds them, and challenges of registries.
#include "codec/base64.h"
#include "node/image_pull_impl.h"

#define SECRET_MAX (1u << 20)

void kn_credentials_done(struct credentials *c)
{
    for (size_t i = 0; i < c->len; i++) {
        kn_secret_free(c->list[i].basic);
        kn_secret_free(c->list[i].bearer);
        kn_secret_free(c->list[i].identity);
    }
    c->len = 0;
}

// -- entries ----------------------------------------------------------------------------------

static struct kn_secret *user_and_password(struct kn_sv user, struct kn_sv password)
{
    struct kn_secret *s = kn_secret_new(user.len + 1 + password.len);
    uint8_t *p = kn_secret_bytes(s);
    memcpy(p, user.ptr, user.len);
    p[user.len] = ':';
    if (password.len)
        memcpy(p + user.len + 1, password.ptr, password.len);
    return s;
}

static struct kn_status decode_basic(struct kn_sv text, struct kn_secret **ret)
{
    struct kn_buf b = KN_BUF(SECRET_MAX);
    struct kn_status s = kn_base64_decode(&b, text, KN_BASE64_STD);
    if (kn_ok(s) && kn_sv_find(kn_buf_sv(&b), ':') < 0)
        s = kn_error(KN_INVALID, "\"auth\" is not user:password in base64");
    if (kn_ok(s))
        *ret = kn_secret_from(kn_buf_sv(&b));
    if (b.ptr)
        kn_wipe(b.ptr, b.len);
    kn_buf_done(&b);
    return s;
}

static struct kn_sv member(const struct kn_json *entry, const char *name)
{
    return kn_json_str(kn_json_get_sv(entry, kn_sv_c(name)));
}

// The longest first; equals in the order in which they came.
static void put(struct credentials *c, struct credential fresh)
{
    size_t i = c->len++;
    for (; i > 0 && c->list[i - 1].strength < fresh.strength; i--)
        c->list[i] = c->list[i - 1];
    c->list[i] = fresh;
}

struct kn_status kn_credentials_add_entry(struct credentials *c, const struct kn_json *entry,
                                          size_t strength, struct kn_arena *a)
{
    struct kn_sv user = member(entry, "username"), auth = member(entry, "auth");
    struct kn_sv identity = member(entry, "identitytoken"), bearer = member(entry, "registrytoken");
    struct credential fresh = {.strength = strength};
    (void)a;
    if (!identity.len)
        identity = member(entry, "identity_token");
    if (c->len == CREDENTIALS_MAX)
        return KN_STATUS_OK;
    if (user.len)
        fresh.basic = user_and_password(user, member(entry, "password"));
    else if (auth.len)
        KN_TRY(decode_basic(auth, &fresh.basic));
    if (identity.len)
        fresh.identity = kn_secret_from(identity);
    if (bearer.len)
        fresh.bearer = kn_secret_from(bearer);
    if (fresh.basic || fresh.identity || fresh.bearer)
        put(c, fresh);
    return KN_STATUS_OK;
}

// -- keys -------------------------------------------------------------------------------------

static bool is_docker_hub(struct kn_sv host)
{
    return kn_sv_is(host, "docker.io") || kn_sv_is(host, "index.docker.io") ||
           kn_sv_is(host, "registry-1.docker.io");
}

// "*.example.com" has as many parts as what it stands for.
static bool part_matches(struct kn_sv pattern, struct kn_sv text)
{
    ptrdiff_t star = kn_sv_find(pattern, '*');
    if (star < 0)
        return kn_sv_ieq(pattern, text);
    struct kn_sv head = kn_sv_first(pattern, (size_t)star),
                 tail = kn_sv_from(pattern, (size_t)star + 1);
    return text.len >= head.len + tail.len && kn_sv_starts(text, head) && kn_sv_ends(text, tail);
}

static bool host_matches(struct kn_sv pattern, struct kn_sv host)
{
    if (is_docker_hub(pattern) && is_docker_hub(host))
        return true;
    do {
        if (!part_matches(kn_sv_cut(&pattern, '.'), kn_sv_cut(&host, '.')))
            return false;
    } while (pattern.ptr && host.ptr);
    return !pattern.ptr && !host.ptr;
}

// Whether the key of an entry ("https://index.docker.io/v1/", "reg.example.com/team") is for it.
static bool key_matches(struct kn_sv key, struct kn_sv host, struct kn_sv repository)
{
    static const char *const schemes[] = {"https://", "http://"};
    for (size_t i = 0; i < 2; i++)
        if (kn_sv_starts(key, kn_sv_c(schemes[i])))
            key = kn_sv_from(key, strlen(schemes[i]));
    struct kn_sv path = key, name = kn_sv_cut(&path, '/');
    while (kn_sv_ends(path, KN_SV("/")))
        path.len--;
    if (kn_sv_is(path, "v1") || kn_sv_is(path, "v2"))
        path.len = 0;
    if (!host_matches(name, host))
        return false;
    return path.len == 0 || kn_sv_eq(path, repository) ||
           (kn_sv_starts(repository, path) && repository.ptr[path.len] == '/');
}

struct kn_status kn_credentials_add(struct credentials *c, const struct kn_pull_secret *secret,
                                    struct kn_sv host, struct kn_sv repository, struct kn_arena *a)
{
    struct kn_json *root;
    KN_TRY(kn_json_parse(a, secret->json, NULL, &root));
    const struct kn_json *entry,
        *all = secret->legacy ? root : kn_json_get_sv(root, KN_SV("auths"));
    KN_JSON_EACH(entry, all)
    {
        struct kn_sv key = kn_json_key(entry);
        if (key_matches(key, host, repository))
            KN_TRY(kn_wrap(kn_credentials_add_entry(c, entry, key.len, a), "the entry \"%.*s\"",
                           KN_SV_ARG(key)));
    }
    return KN_STATUS_OK;
}

// -- challenges -------------------------------------------------------------------------------

static void skip(struct kn_sv *rest, const char *set)
{
    while (rest->len && strchr(set, rest->ptr[0]) && rest->ptr[0])
        *rest = kn_sv_from(*rest, 1);
}

static struct kn_sv word(struct kn_sv *rest)
{
    size_t n = 0;
    while (n < rest->len && !memchr(" \t,=\"", rest->ptr[n], 5))
        n++;
    struct kn_sv w = kn_sv_first(*rest, n);
    *rest = kn_sv_from(*rest, n);
    return w;
}

static struct kn_sv quoted(struct kn_sv *rest, struct kn_arena *a)
{
    char *out = kn_arena_bytes(a, rest->len + 1);
    size_t n = 0, i = 1;
    for (; i < rest->len && rest->ptr[i] != '"'; i++) {
        if (rest->ptr[i] == '\\' && i + 1 < rest->len)
            i++;
        if (out)
            out[n++] = rest->ptr[i];
    }
    *rest = kn_sv_from(*rest, i + 1);
    return kn_sv(out, n);
}

// name=value pairs up to the next scheme or the end.
static void parameters(struct kn_sv *rest, struct kn_arena *a, struct challenge *ret)
{
    for (;;) {
        skip(rest, " \t,");
        struct kn_sv before = *rest, name = word(rest), value;
        if (!name.len || !rest->len || rest->ptr[0] != '=') {
            *rest = name.len ? before : kn_sv_from(*rest, 1);
            return;
        }
        *rest = kn_sv_from(*rest, 1);
        value = rest->len && rest->ptr[0] == '"' ? quoted(rest, a) : word(rest);
        if (kn_sv_ieq(name, KN_SV("realm")))
            ret->realm = value;
        else if (kn_sv_ieq(name, KN_SV("service")))
            ret->service = value;
        else if (kn_sv_ieq(name, KN_SV("scope")))
            ret->scope = value;
    }
}

bool kn_challenge_parse(struct kn_sv header, struct kn_arena *a, struct challenge *ret)
{
    struct kn_sv rest = header;
    while (rest.len) {
        skip(&rest, " \t,");
        struct kn_sv scheme = word(&rest);
        *ret = (struct challenge){.bearer = kn_sv_ieq(scheme, KN_SV("Bearer")),
                                  .basic = kn_sv_ieq(scheme, KN_SV("Basic"))};
        parameters(&rest, a, ret);
        if (ret->basic || (ret->bearer && ret->realm.len))
            return true;
    }
    return false;
}

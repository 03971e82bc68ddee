// Whether the server is well: /healthz, /livez, /readyz, each check below them by its name, and the
// old kind ComponentStatus. Names and words are upstream's where tools ask for them: the store
// answers to "etcd".
#include "apiserver/internal.h"

#define CATCH_UP (5 * KN_SECOND) // that watch caches may lag behind the store

enum { LIVE = 1, READY = 2 };

// -- the checks -----------------------------------------------------------------------------------

static struct kn_status always(struct kn_apiserver *s __attribute__((unused)))
{
    return KN_STATUS_OK;
}

// A cheap read of a key that is not there.
static struct kn_status store(struct kn_apiserver *s)
{
    struct kn_arena *a = kn_arena_new(512, 1u << 20);
    struct kn_kv kv;
    struct kn_status st = kn_store_get(s->config.store, KN_SV("/registry/health"), a, &kv);
    kn_arena_free(a);
    if (st.code == KN_NOT_FOUND)
        kn_status_done(&st);
    return st;
}

// Every watch cache has been filled, and none stays behind what the store has committed. The newest
// revision is in the cache of one resource alone, so the furthest of them is looked at.
static struct kn_status informers(struct kn_apiserver *s)
{
    int64_t newest, compacted, applied = 0, now = kn_mono();
    kn_store_revisions(s->config.store, &newest, &compacted);
    for (size_t i = 0; i < s->rest_count; i++) {
        int64_t rev = kn_cache_rev(s->rests[i]->cache);
        applied = rev > applied ? rev : applied;
    }
    struct kn_status st = KN_STATUS_OK;
    pthread_mutex_lock(&s->health_lock);
    if (applied >= s->behind_rev) { // what was awaited has come: await what is newest now
        s->behind_rev = newest;
        s->behind_since = now;
    } else if (now - s->behind_since > CATCH_UP) {
        st = kn_error(KN_UNAVAILABLE, "watch caches are at revision %lld, the store is at %lld",
                      (long long)applied, (long long)newest);
    }
    pthread_mutex_unlock(&s->health_lock);
    return st;
}

static struct kn_status bootstrap(struct kn_apiserver *s)
{
    return s->ready ? KN_STATUS_OK : kn_error(KN_UNAVAILABLE, "not finished");
}

static struct kn_status shutting_down(struct kn_apiserver *s)
{
    return s->stopping ? kn_error(KN_UNAVAILABLE, "process is shutting down") : KN_STATUS_OK;
}

static const struct {
    const char *name;
    struct kn_status (*run)(struct kn_apiserver *s);
    unsigned of; // beside /healthz, which has all but "shutdown"
} checks[] = {
    {"ping", always, LIVE | READY},      {"log", always, LIVE | READY},
    {"etcd", store, LIVE | READY},       {"etcd-readiness", store, READY},
    {"informer-sync", informers, READY}, {"poststarthook/bootstrap", bootstrap, LIVE | READY},
    {"shutdown", shutting_down, READY},
};

static bool belongs(size_t i, struct kn_sv endpoint)
{
    if (kn_sv_is(endpoint, "livez"))
        return checks[i].of & LIVE;
    return kn_sv_is(endpoint, "readyz") || checks[i].run != shutting_down;
}

// -- the endpoints --------------------------------------------------------------------------------

static void answer(struct kn_request *r, int code, struct kn_buf *text)
{
    r->answer->code = code;
    r->answer->text = kn_arena_dup(r->arena, kn_buf_sv(text));
    r->answer->text_type = "text/plain; charset=utf-8";
    if (!r->answer->text.ptr)
        r->answer->error = kn_arena_error(r->arena, "the answer");
    kn_buf_done(text);
}

static void answer_one(struct kn_request *r, size_t i)
{
    struct kn_buf text = KN_BUF(4096);
    struct kn_status s = checks[i].run(r->server);
    bool good = kn_ok(s);
    kn_buf_addf(&text, good ? "ok" : "internal server error: %s\n", kn_status_text(&s));
    kn_status_done(&s);
    answer(r, good ? 200 : 500, &text);
}

// Is the check named by ?exclude=? Counted in *used, so that names which fit nothing can be told.
static bool excluded(struct kn_request *r, const char *name, uint64_t *used)
{
    struct kn_sv rest = r->query, key, value;
    bool found = false;
    for (unsigned n = 0; kn_query_next(&rest, &key, &value); n++) {
        struct kn_status s = kn_url_decode(r->arena, value, true, &value);
        if (kn_ok(s) && kn_sv_is(key, "exclude") && kn_sv_is(value, name) && n < 64) {
            *used |= UINT64_C(1) << n;
            found = true;
        }
        kn_status_done(&s);
    }
    return found;
}

static void warn_unused(struct kn_request *r, uint64_t used, struct kn_buf *out)
{
    struct kn_sv rest = r->query, key, value;
    const char *before = "warn: some health checks cannot be excluded: no matches for ";
    bool any = false;
    for (unsigned n = 0; kn_query_next(&rest, &key, &value); n++) {
        if (!kn_sv_is(key, "exclude") || (n < 64 && used >> n & 1))
            continue;
        kn_buf_addf(out, "%s\"%.*s\"", any ? "," : before, KN_SV_ARG(kn_sv_first(value, 100)));
        any = true;
    }
    if (any)
        kn_buf_addc(out, "\n");
}

static void answer_all(struct kn_request *r, struct kn_sv endpoint)
{
    struct kn_buf text = KN_BUF(64u << 10);
    uint64_t used = 0;
    bool good = true;
    for (size_t i = 0; i < KN_ARRAY_LEN(checks); i++) {
        if (!belongs(i, endpoint))
            continue;
        if (excluded(r, checks[i].name, &used)) {
            kn_buf_addf(&text, "[+]%s excluded: ok\n", checks[i].name);
            continue;
        }
        struct kn_status s = checks[i].run(r->server);
        good = good && kn_ok(s);
        if (kn_ok(s)) {
            kn_buf_addf(&text, "[+]%s ok\n", checks[i].name);
        } else { // a stranger may ask: the reason is for the log
            kn_buf_addf(&text, "[-]%s failed: reason withheld\n", checks[i].name);
            kn_warn("%.*s: %s: %s", KN_SV_ARG(endpoint), checks[i].name, kn_status_text(&s));
        }
        kn_status_done(&s);
    }
    warn_unused(r, used, &text);
    if (!good) {
        kn_buf_addf(&text, "%.*s check failed\n", KN_SV_ARG(endpoint));
    } else if (kn_query_get(r->arena, r->query, "verbose").ptr) {
        kn_buf_addf(&text, "%.*s check passed\n", KN_SV_ARG(endpoint));
    } else {
        kn_buf_clear(&text);
        kn_buf_addc(&text, "ok");
    }
    answer(r, good ? 200 : 500, &text);
}

void kn_health(struct kn_request *r)
{
    struct kn_sv rest = kn_sv_from(r->path, 1), endpoint = kn_sv_cut(&rest, '/');
    if (!rest.ptr) {
        answer_all(r, endpoint);
        return;
    }
    for (size_t i = 0; i < KN_ARRAY_LEN(checks); i++)
        if (belongs(i, endpoint) && kn_sv_is(rest, checks[i].name)) {
            answer_one(r, i);
            return;
        }
    r->answer->error = kn_error(KN_NOT_FOUND, "the server could not find the requested resource");
}

// -- componentstatuses ----------------------------------------------------------------------------

void kn_apiserver_add_component(struct kn_apiserver *s, const struct kn_component *c)
{
    pthread_mutex_lock(&s->health_lock);
    kn_assert(s->component_count < KN_ARRAY_LEN(s->components));
    s->components[s->component_count++] = *c;
    pthread_mutex_unlock(&s->health_lock);
}

void kn_apiserver_remove_component(struct kn_apiserver *s, const char *name)
{
    pthread_mutex_lock(&s->health_lock);
    for (size_t i = 0; i < s->component_count; i++)
        if (strcmp(s->components[i].name, name) == 0)
            s->components[i--] = s->components[--s->component_count];
    pthread_mutex_unlock(&s->health_lock);
}

// Under the lock, so that a component is not removed while it is asked.
static struct kn_status ask(struct kn_apiserver *s, const char *name)
{
    struct kn_status st = kn_error(KN_UNAVAILABLE, "it does not run in this process");
    pthread_mutex_lock(&s->health_lock);
    for (size_t i = 0; i < s->component_count; i++)
        if (strcmp(s->components[i].name, name) == 0) {
            kn_status_done(&st);
            st = s->components[i].check(s->components[i].arg);
        }
    pthread_mutex_unlock(&s->health_lock);
    return st;
}

static struct kn_status seal_component(struct kn_request *r, const char *name,
                                       const struct kn_obj **ret)
{
    struct kn_arena *a = r->arena;
    struct kn_status s = strcmp(name, "etcd-0") == 0 ? store(r->server) : ask(r->server, name);
    struct kn_json *o = kn_json_new_object(a);
    kn_json_set_str(a, o, KN_K_kind, r->resource->kind);
    kn_json_set_str(a, o, KN_K_apiVersion, KN_SV("v1"));
    kn_json_set_str(a, kn_json_ensure_object(a, o, KN_K_metadata), KN_K_name, kn_sv_c(name));
    struct kn_json *c =
        kn_json_append(kn_json_ensure_array(a, o, KN_K_conditions), kn_json_new_object(a));
    kn_json_set_str(a, c, KN_K_type, KN_SV("Healthy"));
    kn_json_set_str(a, c, KN_K_status, kn_ok(s) ? KN_SV("True") : KN_SV("False"));
    kn_json_set_str(a, c, KN_K_message,
                    kn_ok(s) ? KN_SV("ok") : kn_arena_dup(a, kn_sv_c(kn_status_text(&s))));
    kn_status_done(&s);
    return kn_arena_failed(a) ? kn_arena_error(a, "the status") : kn_obj_seal(o, ret);
}

void kn_components(struct kn_request *r)
{
    static const char *const names[] = {"controller-manager", "etcd-0", "scheduler"};
    struct kn_answer *w = r->answer;
    w->is_list = r->action == KN_ACT_LIST;
    for (size_t i = 0; i < KN_ARRAY_LEN(names) && kn_ok(w->error); i++) {
        const struct kn_obj *o = NULL;
        if (!w->is_list && !kn_sv_is(r->name, names[i]))
            continue;
        w->error = seal_component(r, names[i], &o);
        if (kn_ok(w->error) && w->is_list)
            KN_VEC_PUSH(&w->list, o);
        else
            w->obj = o;
    }
    if (kn_ok(w->error) && !w->is_list && !w->obj)
        w->error = kn_not_found(r, r->name);
}

// Three tables: `kv` has the present (key -> revisions and value), `log` every change since the
// last compaction (big-endian revision -> history.h entry), `meta` two numbers.
#include "store/lmdb.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/file.h"
#include "store/history.h"
#include "store/writer.h"

// Address space, not memory and not disk: the file grows as it is written.
#define MAP_SIZE ((size_t)64 << 30)
#define READERS 512
#define COMPACT_CHUNK 2000
#define ENTRY_MAX ((size_t)32 << 20)
#define ROOM_MIN ((size_t)1 << 20) // with less, a failed write is for want of room
#define UNDO_MAX ((size_t)1 << 30)

struct lmdb_store {
    struct kn_store base;
    MDB_env *env;
    MDB_dbi kv, log, meta;
    int lock_fd;
    struct kn_store_writer writer;
    _Atomic int64_t now, compacted;
};

struct kv_head {
    int64_t create_rev, mod_rev;
};

static struct kn_status mdb_status(int err, const char *what)
{
    if (err == MDB_NOTFOUND)
        return kn_error(KN_NOT_FOUND, "%s: not found", what);
    if (err == MDB_MAP_FULL || err == ENOSPC || err == EDQUOT)
        return kn_error(KN_NO_SPACE, "%s: the disk of the database is full", what);
    return kn_error(KN_IO, "%s: %s", what, mdb_strerror(err));
}

static inline MDB_val val(struct kn_sv v)
{
    return (MDB_val){v.len, (void *)(uintptr_t)v.ptr};
}

static inline struct kn_sv view(MDB_val v)
{
    return kn_sv(v.mv_data, v.mv_size);
}

static struct kn_kv kv_of(MDB_val key, MDB_val value)
{
    struct kv_head h;
    kn_assert(value.mv_size >= sizeof h);
    memcpy(&h, value.mv_data, sizeof h);
    return (struct kn_kv){view(key), kn_sv_from(view(value), sizeof h), h.create_rev, h.mod_rev};
}

static int64_t rev_of(MDB_val key)
{
    uint64_t be;
    kn_assert(key.mv_size == sizeof be);
    memcpy(&be, key.mv_data, sizeof be);
    return (int64_t)be64toh(be);
}

// -- writing (the writer thread) -----------------------------------------------------------------

struct transaction {
    struct lmdb_store *s;
    MDB_txn *txn;
    struct kn_store_batch *batch;
    struct kn_buf scratch;
    int64_t rev;
};

// Puts a change into both tables. LMDB's own pages move under a write, so what the event needs of
// the old value is copied first.
static int put_change(struct transaction *t, struct kn_log_entry *e, struct kn_store_event *event)
{
    struct kn_arena *a = t->batch->arena;
    if (e->prev_value.len) {
        e->prev_value = kn_arena_dup(a, e->prev_value);
        if (!e->prev_value.ptr)
            return ENOMEM;
    }
    MDB_val key = val(e->key), data;
    int err;
    if (e->change == KN_CHANGE_PUT) {
        struct kv_head h = {e->create_rev, e->rev};
        data = (MDB_val){sizeof h + e->value.len, NULL};
        err = mdb_put(t->txn, t->s->kv, &key, &data, MDB_RESERVE);
        if (err)
            return err;
        memcpy(data.mv_data, &h, sizeof h);
        if (e->value.len)
            memcpy((char *)data.mv_data + sizeof h, e->value.ptr, e->value.len);
    } else {
        err = mdb_del(t->txn, t->s->kv, &key, NULL);
        if (err)
            return err;
    }
    kn_buf_clear(&t->scratch);
    kn_log_encode(&t->scratch, e);
    if (t->scratch.failed)
        return ENOMEM;
    uint64_t be = htobe64((uint64_t)e->rev);
    MDB_val log_key = {sizeof be, &be};
    data = val(kn_buf_sv(&t->scratch));
    err = mdb_put(t->txn, t->s->log, &log_key, &data, MDB_APPEND);
    if (err == 0)
        *event = kn_log_event(e);
    return err;
}

static int do_write(struct transaction *t, size_t i)
{
    struct kn_write *w = t->batch->writes[i];
    MDB_val key = val(w->key), data;
    int err = mdb_get(t->txn, t->s->kv, &key, &data);
    if (err && err != MDB_NOTFOUND)
        return err;
    struct kn_kv old = {0};
    if (err == 0)
        old = kv_of(key, data);
    if ((w->expected != KN_STORE_ANY && w->expected != old.mod_rev) ||
        (w->change == KN_CHANGE_DELETE && old.mod_rev == 0)) {
        w->rev = old.mod_rev;
        w->status = kn_error(KN_CONFLICT, "the key %.*s is at revision %lld, not at %lld",
                             KN_SV_ARG(w->key), (long long)old.mod_rev, (long long)w->expected);
        return 0;
    }
    struct kn_log_entry e = {.change = w->change,
                             .rev = t->rev + 1,
                             .create_rev = old.mod_rev ? old.create_rev : t->rev + 1,
                             .prev_rev = old.mod_rev,
                             .key = w->key,
                             .value = w->change == KN_CHANGE_PUT ? w->value : KN_SV_NULL,
                             .prev_value = old.value};
    struct kn_store_event *event = &t->batch->events[i];
    err = put_change(t, &e, event);
    if (err)
        return err;
    event->write = w;
    w->rev = ++t->rev;
    return 0;
}

static int put_number(MDB_txn *txn, MDB_dbi dbi, const char *name, int64_t n)
{
    MDB_val key = val(kn_sv_c(name)), data = {sizeof n, &n};
    return mdb_put(txn, dbi, &key, &data, 0);
}

// LMDB calls it EIO when the disk took a part of what was written.
static int tell_full_disk(const struct lmdb_store *s, int err)
{
    mdb_filehandle_t fd;
    struct statvfs fs;
    bool full = err == EIO && mdb_env_get_fd(s->env, &fd) == 0 && fstatvfs(fd, &fs) == 0 &&
                (uint64_t)fs.f_bavail * fs.f_frsize < ROOM_MIN;
    return full ? ENOSPC : err;
}

static void apply(struct kn_store *base, struct kn_store_batch *b)
{
    struct lmdb_store *s = (struct lmdb_store *)base;
    struct transaction t = {.s = s, .batch = b, .scratch = KN_BUF(ENTRY_MAX), .rev = s->now};
    int err = mdb_txn_begin(s->env, NULL, 0, &t.txn);
    if (err == 0) {
        for (size_t i = 0; i < b->len && err == 0; i++)
            err = do_write(&t, i);
        if (err == 0)
            err = put_number(t.txn, s->meta, "revision", t.rev);
        if (err == 0 && t.rev != s->now)
            err = mdb_txn_commit(t.txn); // the one flush
        else
            mdb_txn_abort(t.txn);
    }
    kn_buf_done(&t.scratch);
    if (err == 0) {
        s->now = t.rev;
        return;
    }
    err = tell_full_disk(s, err);
    for (size_t i = 0; i < b->len; i++) { // nothing of the batch happened
        b->events[i] = (struct kn_store_event){0};
        b->writes[i]->rev = 0;
        kn_status_done(&b->writes[i]->status);
        b->writes[i]->status = mdb_status(err, "write");
    }
}

static bool compact_some(struct kn_store *base, int64_t rev)
{
    struct lmdb_store *s = (struct lmdb_store *)base;
    MDB_txn *txn;
    if (mdb_txn_begin(s->env, NULL, 0, &txn) != 0)
        return false;
    MDB_cursor *c;
    bool more = false;
    int err = mdb_cursor_open(txn, s->log, &c);
    if (err == 0) {
        MDB_val key, data;
        int n = 0;
        while ((err = mdb_cursor_get(c, &key, &data, MDB_FIRST)) == 0 && rev_of(key) <= rev) {
            if (n++ == COMPACT_CHUNK) {
                more = true;
                break;
            }
            if ((err = mdb_cursor_del(c, 0)) != 0)
                break;
        }
        mdb_cursor_close(c);
        if (err == MDB_NOTFOUND)
            err = 0;
    }
    if (err == 0 && rev > s->compacted)
        err = put_number(txn, s->meta, "compacted", rev);
    if (err != 0) {
        mdb_txn_abort(txn);
        return false; // tried again with the next compaction
    }
    if (mdb_txn_commit(txn) == 0 && rev > s->compacted)
        s->compacted = rev;
    return more;
}

// -- reading -----------------------------------------------------------------------------------

static struct kn_status get(struct kn_store *base, struct kn_sv key, struct kn_arena *a,
                            struct kn_kv *ret)
{
    struct lmdb_store *s = (struct lmdb_store *)base;
    MDB_txn *txn;
    int err = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
    if (err)
        return mdb_status(err, "read");
    MDB_val k = val(key), data;
    err = mdb_get(txn, s->kv, &k, &data);
    struct kn_status status = KN_STATUS_OK;
    if (err) {
        status = mdb_status(err, "read");
    } else {
        *ret = kv_of(k, data);
        ret->key = kn_arena_dup(a, ret->key);
        ret->value = kn_arena_dup(a, ret->value);
        if (kn_arena_failed(a))
            status = kn_arena_error(a, "the value");
    }
    mdb_txn_abort(txn);
    return status;
}

// Visits log entries with revisions above `after` in one snapshot.
static int walk_log(struct lmdb_store *s, MDB_txn *txn, int64_t after,
                    bool (*visit)(void *arg, const struct kn_log_entry *e), void *arg)
{
    MDB_cursor *c;
    int err = mdb_cursor_open(txn, s->log, &c);
    if (err)
        return err;
    uint64_t be = htobe64((uint64_t)after + 1);
    MDB_val key = {sizeof be, &be}, data;
    err = mdb_cursor_get(c, &key, &data, MDB_SET_RANGE);
    while (err == 0) {
        struct kn_log_entry e;
        if (!kn_log_decode(view(data), rev_of(key), &e)) {
            err = MDB_CORRUPTED;
            break;
        }
        if (!visit(arg, &e))
            break;
        err = mdb_cursor_get(c, &key, &data, MDB_NEXT);
    }
    mdb_cursor_close(c);
    return err == MDB_NOTFOUND ? 0 : err;
}

struct undo_walk {
    struct kn_undo undo;
    struct kn_sv from, to;
};

static bool undo_visit(void *arg, const struct kn_log_entry *e)
{
    struct undo_walk *w = arg;
    return !kn_key_in(e->key, w->from, w->to) || kn_undo_add(&w->undo, e);
}

struct range {
    struct kn_sv from, to;
    size_t limit, seen;
    bool (*visit)(void *arg, const struct kn_kv *kv);
    void *arg;
    bool more;
};

// False: stop.
static bool give(struct range *r, const struct kn_kv *kv)
{
    if (r->limit && r->seen == r->limit) {
        r->more = true;
        return false;
    }
    r->seen++;
    if (!r->visit(r->arg, kv)) {
        r->more = true;
        return false;
    }
    return true;
}

// Merges the present (cursor) with what the undo items say was there instead.
static int walk_keys(struct lmdb_store *s, MDB_txn *txn, const struct kn_undo *undo,
                     struct range *r)
{
    MDB_cursor *c;
    int err = mdb_cursor_open(txn, s->kv, &c);
    if (err)
        return err;
    MDB_val key = val(r->from.len ? r->from : kn_sv("\0", 1)), data;
    err = mdb_cursor_get(c, &key, &data, MDB_SET_RANGE);
    const struct kn_undo_item *u = undo ? kn_undo_from(undo, r->from) : NULL;
    bool go_on = true;
    while (go_on && (err == 0 || u)) {
        struct kn_kv kv = {0};
        if (err == 0)
            kv = kv_of(key, data);
        int side = err ? 1 : !u ? -1 : kn_sv_cmp(kv.key, u->kv.key);
        struct kn_sv at = side <= 0 ? kv.key : u->kv.key;
        if (r->to.len && kn_sv_cmp(at, r->to) >= 0)
            break;
        if (side < 0)
            go_on = give(r, &kv);
        else if (u->existed)
            go_on = give(r, &u->kv);
        if (side >= 0) {
            // the successor of a key is the key with a NUL behind it
            struct kn_sv next = kn_arena_dup(undo->arena, u->kv.key);
            u = next.ptr ? kn_undo_from(undo, kn_sv(next.ptr, next.len + 1)) : NULL;
        }
        if (side <= 0)
            err = mdb_cursor_get(c, &key, &data, MDB_NEXT);
    }
    mdb_cursor_close(c);
    return err == MDB_NOTFOUND ? 0 : err;
}

static struct kn_status read_numbers(struct lmdb_store *s, MDB_txn *txn, int64_t *now,
                                     int64_t *compacted)
{
    const char *const names[] = {"revision", "compacted"};
    int64_t *const into[] = {now, compacted};
    for (int i = 0; i < 2; i++) {
        MDB_val key = val(kn_sv_c(names[i])), data;
        int err = mdb_get(txn, s->meta, &key, &data);
        *into[i] = 0;
        if (err == 0 && data.mv_size == sizeof(int64_t))
            memcpy(into[i], data.mv_data, sizeof(int64_t));
        else if (err != MDB_NOTFOUND)
            return mdb_status(err ? err : MDB_CORRUPTED, "read the revision");
    }
    return KN_STATUS_OK;
}

static struct kn_status expired(int64_t rev, int64_t compacted)
{
    return kn_error(KN_EXPIRED, "revision %lld has been compacted (the oldest is %lld)",
                    (long long)rev, (long long)compacted);
}

static struct kn_status range_in(struct lmdb_store *s, MDB_txn *txn, int64_t rev, struct range *r,
                                 int64_t *ret_rev)
{
    int64_t now, compacted;
    KN_TRY(read_numbers(s, txn, &now, &compacted));
    *ret_rev = rev ? rev : now;
    if (rev > now)
        return kn_error(KN_INVALID, "revision %lld is in the future (now is %lld)", (long long)rev,
                        (long long)now);
    if (rev && rev < compacted)
        return expired(rev, compacted);
    if (rev == 0 || rev == now) {
        int err = walk_keys(s, txn, NULL, r);
        return err ? mdb_status(err, "read a range") : KN_STATUS_OK;
    }
    struct kn_arena *arena = kn_arena_new(16u << 10, UNDO_MAX);
    struct undo_walk w = {.from = r->from, .to = r->to};
    kn_undo_init(&w.undo, arena);
    int err = walk_log(s, txn, rev, undo_visit, &w);
    if (err == 0 && !kn_arena_failed(arena))
        err = walk_keys(s, txn, &w.undo, r);
    struct kn_status status = kn_arena_failed(arena)
                                  ? kn_arena_error(arena, "the past of the range")
                              : err ? mdb_status(err, "read a past range")
                                    : KN_STATUS_OK;
    kn_undo_done(&w.undo);
    kn_arena_free(arena);
    return status;
}

static struct kn_status range(struct kn_store *base, struct kn_sv from, struct kn_sv to,
                              int64_t rev, size_t limit,
                              bool (*visit)(void *, const struct kn_kv *), void *arg,
                              int64_t *ret_rev, bool *ret_more)
{
    struct lmdb_store *s = (struct lmdb_store *)base;
    MDB_txn *txn;
    int err = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
    if (err)
        return mdb_status(err, "read a range");
    struct range r = {from, to, limit, 0, visit, arg, false};
    struct kn_status status = range_in(s, txn, rev, &r, ret_rev);
    *ret_more = r.more;
    mdb_txn_abort(txn);
    return status;
}

struct replay {
    struct kn_sv from, to;
    bool (*visit)(void *arg, const struct kn_store_event *e);
    void *arg;
};

static bool replay_visit(void *arg, const struct kn_log_entry *e)
{
    struct replay *r = arg;
    if (!kn_key_in(e->key, r->from, r->to))
        return true;
    struct kn_store_event event = kn_log_event(e);
    return r->visit(r->arg, &event);
}

static struct kn_status replay(struct kn_store *base, struct kn_sv from, struct kn_sv to,
                               int64_t after, bool (*visit)(void *, const struct kn_store_event *),
                               void *arg)
{
    struct lmdb_store *s = (struct lmdb_store *)base;
    MDB_txn *txn;
    int err = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
    if (err)
        return mdb_status(err, "read the history");
    int64_t now, compacted;
    struct kn_status status = read_numbers(s, txn, &now, &compacted);
    if (kn_ok(status) && after < compacted)
        status = expired(after, compacted);
    if (kn_ok(status)) {
        struct replay r = {from, to, visit, arg};
        err = walk_log(s, txn, after, replay_visit, &r);
        if (err)
            status = mdb_status(err, "read the history");
    }
    mdb_txn_abort(txn);
    return status;
}

static void revisions(struct kn_store *base, int64_t *ret_now, int64_t *ret_compacted)
{
    struct lmdb_store *s = (struct lmdb_store *)base;
    *ret_now = s->now;
    *ret_compacted = s->compacted;
}

// -- the rest ----------------------------------------------------------------------------------

static void submit(struct kn_store *base, struct kn_write *w)
{
    kn_store_writer_submit(&((struct lmdb_store *)base)->writer, w);
}

static struct kn_status observe(struct kn_store *base,
                                void (*observer)(void *, const struct kn_store_event *), void *arg)
{
    struct lmdb_store *s = (struct lmdb_store *)base;
    s->writer.observer_arg = arg;
    s->writer.observer = observer;
    return KN_STATUS_OK;
}

static struct kn_status compact(struct kn_store *base, int64_t rev)
{
    struct lmdb_store *s = (struct lmdb_store *)base;
    if (rev > s->now)
        return kn_error(KN_INVALID, "revision %lld is in the future", (long long)rev);
    kn_store_writer_compact(&s->writer, rev);
    return KN_STATUS_OK;
}

static void close_store(struct kn_store *base)
{
    struct lmdb_store *s = (struct lmdb_store *)base;
    kn_store_writer_stop(&s->writer);
    mdb_env_close(s->env);
    close(s->lock_fd);
    free(s);
}

static const struct kn_store_ops ops = {close_store, get,    range,   submit,
                                        observe,     replay, compact, revisions};

static struct kn_status lock_folder(const char *folder, int *ret)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/in-use", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return kn_error_errno(errno, "open %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        close(fd);
        return kn_error(KN_CONFLICT, "the database in %s is in use by another process", folder);
    }
    *ret = fd;
    return KN_STATUS_OK;
}

static int open_tables(struct lmdb_store *s, const char *folder)
{
    int err = mdb_env_create(&s->env);
    if (err)
        return err;
    MDB_txn *txn = NULL;
    if ((err = mdb_env_set_mapsize(s->env, MAP_SIZE)) || (err = mdb_env_set_maxdbs(s->env, 3)) ||
        (err = mdb_env_set_maxreaders(s->env, READERS)) ||
        (err = mdb_env_open(s->env, folder, MDB_NOTLS | MDB_NORDAHEAD, 0600)) ||
        (err = mdb_txn_begin(s->env, NULL, 0, &txn)))
        return err;
    if ((err = mdb_dbi_open(txn, "kv", MDB_CREATE, &s->kv)) ||
        (err = mdb_dbi_open(txn, "log", MDB_CREATE, &s->log)) ||
        (err = mdb_dbi_open(txn, "meta", MDB_CREATE, &s->meta))) {
        mdb_txn_abort(txn);
        return err;
    }
    return mdb_txn_commit(txn);
}

struct kn_status kn_store_lmdb_open(const char *folder, struct kn_store **ret)
{
    KN_TRY(kn_dir_make(folder, 0700));
    struct lmdb_store *s = KN_NEW(struct lmdb_store);
    s->base.ops = &ops;
    struct kn_status status = lock_folder(folder, &s->lock_fd);
    if (!kn_ok(status)) {
        free(s);
        return status;
    }
    int err = open_tables(s, folder);
    MDB_txn *txn;
    if (err == 0)
        err = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
    if (err) {
        status = kn_wrap(mdb_status(err, "open the database"), "%s", folder);
    } else {
        int64_t now, compacted;
        status = read_numbers(s, txn, &now, &compacted);
        s->now = now;
        s->compacted = compacted;
        mdb_txn_abort(txn);
    }
    if (kn_ok(status))
        status = kn_store_writer_start(&s->writer, &s->base, apply, compact_some);
    if (!kn_ok(status)) {
        if (s->env)
            mdb_env_close(s->env);
        close(s->lock_fd);
        free(s);
        return status;
    }
    *ret = &s->base;
    return KN_STATUS_OK;
}

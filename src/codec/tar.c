#include "codec/tar.h"

#include <limits.h>

#include "base/mem.h"
#include "base/num.h"

#define BLOCK 512

// Offsets of POSIX 1003.1 "ustar Interchange Format".
enum {
    AT_NAME = 0,
    AT_MODE = 100,
    AT_UID = 108,
    AT_GID = 116,
    AT_SIZE = 124,
    AT_MTIME = 136,
    AT_SUM = 148,
    AT_TYPE = 156,
    AT_LINK = 157,
    AT_MAGIC = 257,
    AT_MAJOR = 329,
    AT_MINOR = 337,
    AT_PREFIX = 345,
};

struct kn_tar {
    struct kn_source source;
    uint64_t left; // of the current content, padding not included
    size_t padding;
    bool ended;
    struct kn_tar_entry entry;
    char name[BLOCK], link[BLOCK];
    struct kn_buf long_name, long_link, pax;
    struct kn_tar_xattr xattrs[KN_TAR_XATTRS_MAX];
};

// What extended headers say about the entry after them.
struct extra {
    bool has_path, has_link, has_size, has_uid, has_gid, has_mtime;
    struct kn_sv path, link;
    uint64_t size;
    uint32_t uid, gid;
    int64_t mtime_ns;
};

struct kn_tar *kn_tar_new(struct kn_source source)
{
    struct kn_tar *t = KN_NEW(struct kn_tar);
    t->source = source;
    kn_buf_init(&t->long_name, KN_TAR_NAME_MAX);
    kn_buf_init(&t->long_link, KN_TAR_NAME_MAX);
    kn_buf_init(&t->pax, 1u << 20);
    return t;
}

void kn_tar_free(struct kn_tar *t)
{
    if (!t)
        return;
    kn_buf_done(&t->long_name);
    kn_buf_done(&t->long_link);
    kn_buf_done(&t->pax);
    free(t);
}

static struct kn_status read_all(struct kn_tar *t, void *out, size_t len, bool *ret_end)
{
    size_t got = 0;
    while (got < len) {
        size_t n;
        KN_TRY(t->source.read(t->source.arg, (char *)out + got, len - got, &n));
        if (n == 0 && got == 0 && ret_end) {
            *ret_end = true;
            return KN_STATUS_OK;
        }
        if (n == 0)
            return kn_error(KN_SYNTAX, "the archive ends in the middle of an entry");
        got += n;
    }
    return KN_STATUS_OK;
}

static struct kn_status skip(struct kn_tar *t, uint64_t len)
{
    char dump[8192];
    while (len) {
        size_t n = len < sizeof dump ? (size_t)len : sizeof dump;
        KN_TRY(read_all(t, dump, n, NULL));
        len -= n;
    }
    return KN_STATUS_OK;
}

// Octal, space or NUL padded; or, with the high bit set, binary.
static struct kn_status number(const unsigned char *at, size_t len, int64_t *ret)
{
    if (at[0] & 0x80) {
        bool negative = (at[0] & 0x40) != 0;
        int64_t v = negative ? -1 : 0;
        for (size_t i = 0; i < len; i++) {
            unsigned char b =
                i == 0 ? (unsigned char)(negative ? at[0] | 0x80 : at[0] & 0x7f) : at[i];
            if (v > (INT64_MAX >> 8) || v < (INT64_MIN >> 8))
                return kn_error(KN_SYNTAX, "a number in a header is too large");
            v = (int64_t)((uint64_t)v << 8 | b);
        }
        *ret = v;
        return KN_STATUS_OK;
    }
    size_t i = 0;
    int64_t v = 0;
    while (i < len && (at[i] == ' ' || at[i] == '\0'))
        i++;
    for (; i < len && at[i] >= '0' && at[i] <= '7'; i++) {
        if (v > (INT64_MAX >> 3))
            return kn_error(KN_SYNTAX, "a number in a header is too large");
        v = v * 8 + (at[i] - '0');
    }
    if (i < len && at[i] != ' ' && at[i] != '\0')
        return kn_error(KN_SYNTAX, "a number in a header is not octal");
    *ret = v;
    return KN_STATUS_OK;
}

static bool checksum_is_right(const unsigned char *block)
{
    int64_t want;
    struct kn_status s = number(block + AT_SUM, 8, &want);
    bool good = kn_ok(s);
    kn_status_done(&s);
    int64_t plain = 0, with_sign = 0;
    for (int i = 0; i < BLOCK; i++) {
        unsigned char b = i >= AT_SUM && i < AT_SUM + 8 ? ' ' : block[i];
        plain += b;
        with_sign += (signed char)b;
    }
    return good && (want == plain || want == with_sign);
}

static struct kn_status read_text(struct kn_tar *t, int64_t size, struct kn_buf *out)
{
    kn_buf_clear(out);
    if (size < 0 || (uint64_t)size >= out->max || !kn_buf_room(out, (size_t)size))
        return kn_error(KN_TOO_LARGE, "an extended header is longer than %zu bytes", out->max);
    KN_TRY(read_all(t, out->ptr, (size_t)size, NULL));
    out->len = (size_t)size;
    out->ptr[out->len] = '\0';
    return skip(t, kn_tar_padding((uint64_t)size));
}

static struct kn_sv until_nul(const char *text, size_t max)
{
    return kn_sv(text, strnlen(text, max));
}

// Seconds with decimals, as pax writes them.
static struct kn_status pax_time(struct kn_sv text, int64_t *ret)
{
    struct kn_sv rest = text;
    struct kn_sv whole = kn_sv_cut(&rest, '.');
    int64_t seconds, nanos = 0;
    KN_TRY(kn_num_parse(whole, -62135596800, INT64_C(9000000000), &seconds));
    for (size_t i = 0; i < 9; i++) {
        char c = i < rest.len ? rest.ptr[i] : '0';
        if (c < '0' || c > '9')
            return kn_error(KN_SYNTAX, "a time is malformed");
        nanos = nanos * 10 + (c - '0');
    }
    *ret = seconds * 1000000000 + (whole.len && whole.ptr[0] == '-' ? -nanos : nanos);
    return KN_STATUS_OK;
}

static struct kn_status pax_record(struct kn_tar *t, struct extra *x, struct kn_sv key,
                                   struct kn_sv value)
{
    int64_t n;
    if (kn_sv_is(key, "path")) {
        x->has_path = true;
        x->path = value;
    } else if (kn_sv_is(key, "linkpath")) {
        x->has_link = true;
        x->link = value;
    } else if (kn_sv_is(key, "size")) {
        KN_TRY(kn_num_parse(value, 0, INT64_MAX - BLOCK, &n));
        x->has_size = true;
        x->size = (uint64_t)n;
    } else if (kn_sv_is(key, "uid")) {
        KN_TRY(kn_num_parse(value, 0, UINT32_MAX, &n));
        x->has_uid = true;
        x->uid = (uint32_t)n;
    } else if (kn_sv_is(key, "gid")) {
        KN_TRY(kn_num_parse(value, 0, UINT32_MAX, &n));
        x->has_gid = true;
        x->gid = (uint32_t)n;
    } else if (kn_sv_is(key, "mtime")) {
        KN_TRY(pax_time(value, &x->mtime_ns));
        x->has_mtime = true;
    } else if (kn_sv_starts(key, KN_SV("SCHILY.xattr."))) {
        if (t->entry.xattrs_len == KN_TAR_XATTRS_MAX)
            return kn_error(KN_TOO_LARGE, "an entry has more than %d extended attributes",
                            KN_TAR_XATTRS_MAX);
        t->xattrs[t->entry.xattrs_len++] = (struct kn_tar_xattr){kn_sv_from(key, 13), value};
    } else if (kn_sv_starts(key, KN_SV("GNU.sparse."))) {
        return kn_error(KN_NOT_SUPPORTED, "sparse files in archives are not supported");
    }
    return KN_STATUS_OK;
}

// Records are "length key=value\n", the length being that of the whole record.
static struct kn_status pax_records(struct kn_tar *t, struct extra *x)
{
    struct kn_sv rest = kn_buf_sv(&t->pax);
    while (rest.len && rest.ptr[0] != '\0') {
        struct kn_sv tail = rest;
        struct kn_sv digits = kn_sv_cut(&tail, ' ');
        int64_t len;
        KN_TRY(kn_wrap(kn_num_parse(digits, 5, (int64_t)rest.len, &len), "a pax record"));
        if ((size_t)len <= digits.len + 1 || rest.ptr[len - 1] != '\n')
            return kn_error(KN_SYNTAX, "a pax record has the wrong length");
        struct kn_sv record = kn_sv(rest.ptr + digits.len + 1, (size_t)len - digits.len - 2);
        ptrdiff_t eq = kn_sv_find(record, '=');
        if (eq < 0)
            return kn_error(KN_SYNTAX, "a pax record has no value");
        KN_TRY(kn_wrap(pax_record(t, x, kn_sv_first(record, (size_t)eq),
                                  kn_sv_from(record, (size_t)eq + 1)),
                       "the pax record %.*s", KN_SV_ARG(kn_sv_first(record, (size_t)eq))));
        rest = kn_sv_from(rest, (size_t)len);
    }
    return KN_STATUS_OK;
}

static bool type_of(unsigned char flag, struct kn_sv path, enum kn_tar_type *ret)
{
    switch (flag) {
    case '0':
    case '\0':
    case '7':
        *ret = path.len && path.ptr[path.len - 1] == '/' ? KN_TAR_DIR : KN_TAR_FILE;
        return true;
    case '1':
        *ret = KN_TAR_HARD_LINK;
        return true;
    case '2':
        *ret = KN_TAR_SYMLINK;
        return true;
    case '3':
        *ret = KN_TAR_CHAR;
        return true;
    case '4':
        *ret = KN_TAR_BLOCK;
        return true;
    case '5':
        *ret = KN_TAR_DIR;
        return true;
    case '6':
        *ret = KN_TAR_FIFO;
        return true;
    default:
        return false;
    }
}

static struct kn_status plain_names(struct kn_tar *t, const unsigned char *block)
{
    struct kn_sv name = until_nul((const char *)block + AT_NAME, 100);
    struct kn_sv prefix = memcmp(block + AT_MAGIC, "ustar\0", 6) == 0
                              ? until_nul((const char *)block + AT_PREFIX, 155)
                              : KN_SV_NULL;
    int n = snprintf(t->name, sizeof t->name, "%.*s%s%.*s", KN_SV_ARG(prefix),
                     prefix.len ? "/" : "", KN_SV_ARG(name));
    t->entry.path = kn_sv(t->name, (size_t)n);
    struct kn_sv link = until_nul((const char *)block + AT_LINK, 100);
    n = snprintf(t->link, sizeof t->link, "%.*s", KN_SV_ARG(link));
    t->entry.link = kn_sv(t->link, (size_t)n);
    return KN_STATUS_OK;
}

static struct kn_status fill(struct kn_tar *t, const unsigned char *block, const struct extra *x)
{
    struct kn_tar_entry *e = &t->entry;
    int64_t mode, uid, gid, size, mtime, major = 0, minor = 0;
    KN_TRY(plain_names(t, block));
    KN_TRY(number(block + AT_MODE, 8, &mode));
    KN_TRY(number(block + AT_UID, 8, &uid));
    KN_TRY(number(block + AT_GID, 8, &gid));
    KN_TRY(number(block + AT_SIZE, 12, &size));
    KN_TRY(number(block + AT_MTIME, 12, &mtime));
    if (x->has_path)
        e->path = x->path;
    if (x->has_link)
        e->link = x->link;
    if (!type_of(block[AT_TYPE], e->path, &e->type))
        return kn_error(KN_NOT_SUPPORTED, "an entry of the type '%c' is not supported",
                        block[AT_TYPE] >= ' ' && block[AT_TYPE] < 127 ? block[AT_TYPE] : '?');
    if (e->type == KN_TAR_CHAR || e->type == KN_TAR_BLOCK) {
        KN_TRY(number(block + AT_MAJOR, 8, &major));
        KN_TRY(number(block + AT_MINOR, 8, &minor));
    }
    if (size < 0 || size > INT64_MAX - BLOCK)
        return kn_error(KN_SYNTAX, "the size of an entry is impossible");
    e->mode = (uint32_t)mode & 07777;
    e->uid = x->has_uid ? x->uid : (uint32_t)uid;
    e->gid = x->has_gid ? x->gid : (uint32_t)gid;
    e->major = (uint32_t)major;
    e->minor = (uint32_t)minor;
    if (mtime > INT64_C(9000000000) || mtime < 0)
        mtime = 0;
    e->mtime_ns = x->has_mtime ? x->mtime_ns : mtime * 1000000000;
    e->size = x->has_size ? x->size : (uint64_t)size;
    e->xattrs = t->xattrs;
    // Only files have content, whatever the header says; what it says of others is skipped.
    t->left = e->size;
    t->padding = kn_tar_padding(e->size);
    if (e->type != KN_TAR_FILE) {
        if (e->type != KN_TAR_HARD_LINK && e->type != KN_TAR_SYMLINK)
            KN_TRY(skip(t, t->left + t->padding));
        t->left = t->padding = 0;
        e->size = 0;
    }
    if (e->path.len == 0 || memchr(e->path.ptr, '\0', e->path.len) ||
        (e->link.len && memchr(e->link.ptr, '\0', e->link.len)))
        return kn_error(KN_SYNTAX, "the name of an entry is empty or contains a NUL byte");
    return KN_STATUS_OK;
}

static bool is_zero(const unsigned char *block)
{
    for (int i = 0; i < BLOCK; i++)
        if (block[i])
            return false;
    return true;
}

struct kn_status kn_tar_next(struct kn_tar *t, const struct kn_tar_entry **ret)
{
    unsigned char block[BLOCK];
    struct extra x = {0};
    *ret = &t->entry;
    if (!t->ended)
        KN_TRY(skip(t, t->left + t->padding));
    t->left = t->padding = 0;
    t->entry = (struct kn_tar_entry){.type = KN_TAR_END};
    for (int extended = 0; !t->ended; extended++) {
        KN_TRY(read_all(t, block, BLOCK, &t->ended));
        if (t->ended || is_zero(block)) {
            t->ended = true;
            break;
        }
        if (!checksum_is_right(block))
            return kn_error(KN_SYNTAX, "a header's checksum is wrong: this is no tar archive");
        if (extended > 8)
            return kn_error(KN_SYNTAX, "an entry has too many extended headers");
        int64_t size;
        KN_TRY(number(block + AT_SIZE, 12, &size));
        switch (block[AT_TYPE]) {
        case 'L':
            KN_TRY(read_text(t, size, &t->long_name));
            x.has_path = true;
            x.path = until_nul(kn_buf_cstr(&t->long_name), t->long_name.len);
            continue;
        case 'K':
            KN_TRY(read_text(t, size, &t->long_link));
            x.has_link = true;
            x.link = until_nul(kn_buf_cstr(&t->long_link), t->long_link.len);
            continue;
        case 'x':
            t->entry.xattrs_len = 0;
            KN_TRY(read_text(t, size, &t->pax));
            KN_TRY(pax_records(t, &x));
            continue;
        case 'g': // global records carry comments in practice
            if (size < 0 || size > (1 << 20))
                return kn_error(KN_TOO_LARGE, "a global header is too long");
            KN_TRY(skip(t, (uint64_t)size + kn_tar_padding((uint64_t)size)));
            continue;
        default:
            return fill(t, block, &x);
        }
    }
    return KN_STATUS_OK;
}

struct kn_status kn_tar_read(struct kn_tar *t, void *out, size_t max, size_t *ret_n)
{
    size_t n = t->left < max ? (size_t)t->left : max;
    *ret_n = 0;
    if (n == 0)
        return KN_STATUS_OK;
    KN_TRY(t->source.read(t->source.arg, out, n, ret_n));
    if (*ret_n == 0)
        return kn_error(KN_SYNTAX, "the archive ends in the middle of an entry");
    t->left -= *ret_n;
    return KN_STATUS_OK;
}

// -- writing ---------------------------------------------------------------------------------

static void put_octal(char *at, size_t len, uint64_t v)
{
    for (size_t i = len - 1; i-- > 0; v >>= 3)
        at[i] = (char)('0' + (v & 7));
}

static void pax_add(struct kn_buf *out, const char *prefix, struct kn_sv key, struct kn_sv value)
{
    size_t body = strlen(prefix) + key.len + value.len + 3; // space, =, line feed
    size_t total = body;
    for (size_t digits = 1, limit = 10;; digits++, limit *= 10)
        if (body + digits < limit) {
            total = body + digits;
            break;
        }
    kn_buf_addf(out, "%zu %s%.*s=", total, prefix, KN_SV_ARG(key));
    kn_buf_add(out, value);
    kn_buf_add_byte(out, '\n');
}

static void put_zeros(struct kn_buf *out, size_t n)
{
    static const char zeros[BLOCK];
    for (; n; n -= n < BLOCK ? n : BLOCK)
        kn_buf_add(out, kn_sv(zeros, n < BLOCK ? n : BLOCK));
}

static void put_block(struct kn_buf *out, const struct kn_tar_entry *e, struct kn_sv name,
                      char flag, uint64_t size)
{
    char b[BLOCK] = {0};
    memcpy(b + AT_NAME, name.ptr, name.len < 100 ? name.len : 100);
    put_octal(b + AT_MODE, 8, e->mode & 07777);
    put_octal(b + AT_UID, 8, e->uid > 07777777 ? 0 : e->uid);
    put_octal(b + AT_GID, 8, e->gid > 07777777 ? 0 : e->gid);
    put_octal(b + AT_SIZE, 12, size > 077777777777 ? 0 : size);
    put_octal(b + AT_MTIME, 12, e->mtime_ns > 0 ? (uint64_t)(e->mtime_ns / 1000000000) : 0);
    b[AT_TYPE] = flag;
    if (e->link.len)
        memcpy(b + AT_LINK, e->link.ptr, e->link.len < 100 ? e->link.len : 100);
    memcpy(b + AT_MAGIC, "ustar\0" "00", 8);
    put_octal(b + AT_MAJOR, 8, e->major);
    put_octal(b + AT_MINOR, 8, e->minor);
    memset(b + AT_SUM, ' ', 8);
    unsigned sum = 0;
    for (int i = 0; i < BLOCK; i++)
        sum += (unsigned char)b[i];
    put_octal(b + AT_SUM, 7, sum);
    b[AT_SUM + 6] = '\0';
    kn_buf_add(out, kn_sv(b, BLOCK));
}

void kn_tar_write_header(struct kn_buf *out, const struct kn_tar_entry *e)
{
    static const char flags[] = {[KN_TAR_FILE] = '0',  [KN_TAR_HARD_LINK] = '1',
                                 [KN_TAR_SYMLINK] = '2', [KN_TAR_CHAR] = '3',
                                 [KN_TAR_BLOCK] = '4', [KN_TAR_DIR] = '5',
                                 [KN_TAR_FIFO] = '6'};
    struct kn_buf pax = KN_BUF(1u << 20);
    char digits[24];
    if (e->path.len > 100)
        pax_add(&pax, "", KN_SV("path"), e->path);
    if (e->link.len > 100)
        pax_add(&pax, "", KN_SV("linkpath"), e->link);
    if (e->size > 077777777777) {
        snprintf(digits, sizeof digits, "%llu", (unsigned long long)e->size);
        pax_add(&pax, "", KN_SV("size"), kn_sv_c(digits));
    }
    if (e->uid > 07777777) {
        snprintf(digits, sizeof digits, "%u", (unsigned)e->uid);
        pax_add(&pax, "", KN_SV("uid"), kn_sv_c(digits));
    }
    if (e->gid > 07777777) {
        snprintf(digits, sizeof digits, "%u", (unsigned)e->gid);
        pax_add(&pax, "", KN_SV("gid"), kn_sv_c(digits));
    }
    for (size_t i = 0; i < e->xattrs_len; i++)
        pax_add(&pax, "SCHILY.xattr.", e->xattrs[i].name, e->xattrs[i].value);
    if (pax.len) {
        struct kn_tar_entry head = {.mode = 0644};
        put_block(out, &head, KN_SV("PaxHeaders/entry"), 'x', pax.len);
        kn_buf_add(out, kn_buf_sv(&pax));
        put_zeros(out, kn_tar_padding(pax.len));
    }
    if (pax.failed)
        out->failed = true;
    kn_buf_done(&pax);
    put_block(out, e, e->path, flags[e->type], e->type == KN_TAR_FILE ? e->size : 0);
}

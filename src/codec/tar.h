// Tar archives: ustar, pax (IEEE 1003.1) and GNU long names, read as a stream and written header by
// header. The reader asks for bytes through a function of the caller's and keeps nothing but the
// current entry, whose names are bounded. It says what the archive says: names may be absolute or
// contain "..", and whoever unpacks must not trust them. One thread at a time.
#pragma once
#include "base/buf.h"
#include "base/status.h"

// Where bytes come from. *ret_n 0: the end.
struct kn_source {
    struct kn_status (*read)(void *arg, void *out, size_t max, size_t *ret_n);
    void *arg;
};

enum kn_tar_type {
    KN_TAR_END, // no further entry
    KN_TAR_FILE,
    KN_TAR_HARD_LINK,
    KN_TAR_SYMLINK,
    KN_TAR_CHAR,
    KN_TAR_BLOCK,
    KN_TAR_DIR,
    KN_TAR_FIFO,
};

struct kn_tar_xattr {
    struct kn_sv name, value;
};

#define KN_TAR_NAME_MAX 65536
#define KN_TAR_XATTRS_MAX 64

// Views live until the next call of kn_tar_next.
struct kn_tar_entry {
    enum kn_tar_type type;
    struct kn_sv path, link;
    uint32_t mode; // permission bits, set-id and sticky bits
    uint32_t uid, gid;
    uint32_t major, minor;
    uint64_t size;    // of the content that follows (files only)
    int64_t mtime_ns; // since 1970
    const struct kn_tar_xattr *xattrs;
    size_t xattrs_len;
};

struct kn_tar;

struct kn_tar *kn_tar_new(struct kn_source source);
void kn_tar_free(struct kn_tar *t); // NULL is allowed
// The next entry; what was not read of the one before is skipped. KN_SYNTAX for what is no archive,
// KN_TOO_LARGE for names beyond the limit, KN_NOT_SUPPORTED for sparse and multi-volume archives.
struct kn_status kn_tar_next(struct kn_tar *t, const struct kn_tar_entry **ret);
// Content of the current entry. *ret_n 0: all was read.
struct kn_status kn_tar_read(struct kn_tar *t, void *out, size_t max, size_t *ret_n);

// Appends the header of an entry, with a pax header before it where ustar has no room. The content
// and kn_tar_padding(size) zero bytes follow. A whole archive ends with KN_TAR_TRAILER zero bytes.
void kn_tar_write_header(struct kn_buf *out, const struct kn_tar_entry *e);
static inline size_t kn_tar_padding(uint64_t size)
{
    return (size_t)(-size & 511);
}
#define KN_TAR_TRAILER 1024

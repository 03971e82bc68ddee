// Files and folders. Every descriptor closes on exec. Any thread.
#pragma once
#include <sys/types.h>

#include "base/buf.h"
#include "base/status.h"

// Reads a whole file of at most `max` bytes, appending to *out (its own maximum holds too).
struct kn_status kn_file_read(const char *path, size_t max, struct kn_buf *out);
// The same into memory for secrets: no copy of it lies anywhere else in this process.
struct kn_secret;
struct kn_status kn_file_read_secret(const char *path, size_t max, struct kn_secret **ret);
// Replaces a file so that a reader, and a machine that loses power, sees the old or the new one:
// temporary file, fsync, rename, fsync of the folder (the syncs only if `durable`).
struct kn_status kn_file_write(const char *path, struct kn_sv bytes, mode_t mode, bool durable);
bool kn_file_exists(const char *path);
// Like mkdir -p; folders that exist are left as they are.
struct kn_status kn_dir_make(const char *path, mode_t mode);
// Opens a path below the folder `root`, which somebody else may change meanwhile: `resolve` are the
// RESOLVE_ flags of openat2, magic links are never followed; "" is the folder itself. -1 and errno.
int kn_open_below(int root, const char *path, uint64_t flags, uint64_t resolve);
// The same for a folder (O_PATH), made with its parents where it is missing.
int kn_dir_open_below(int root, const char *path, mode_t mode, uint64_t resolve);
// Like rm -rf at any depth, but never crosses into another mount. A path that does not exist is
// fine.
struct kn_status kn_dir_remove(const char *path);
// Writes all bytes or fails.
struct kn_status kn_fd_write_all(int fd, struct kn_sv bytes);

// Unpacking a layer's archive into a folder, trusting nothing in it: every path is resolved inside
// the folder by the kernel (openat2, RESOLVE_IN_ROOT), so neither "..", nor an absolute name, nor a
// symbolic link that the archive made before can lead out of it.
#pragma once
#include "codec/tar.h"

struct kn_unpack_options {
    bool whiteouts;   // OCI whiteouts become overlay's (character device 0:0, opaque attribute)
    bool plain_owner; // everything belongs to the caller; no devices (import of archives)
    bool keep_links;    // a folder's entry does not replace a link to a folder (Debian packages)
    uint64_t max_bytes; // of all files together; 0: 64 GiB
};

// source: the archive, already decompressed. dir_fd: an empty folder.
struct kn_status kn_unpack(struct kn_source source, int dir_fd, const struct kn_unpack_options *o);

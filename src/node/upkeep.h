// What a node does for itself from time to time: it measures how short the machine is of memory,
// disk and processes, and takes away the bytes of images that nobody needs. Any thread.
#pragma once
#include "node/node.h"

struct kn_pressure {
    bool memory; // less than 100 MiB are available
    bool disk;   // below the data folder less than 10 % of the space, or 5 % of the inodes, is free
    bool pids;   // less than 5 % of the machine's process numbers are free
};

// What cannot be measured counts as no pressure.
void kn_pressure_measure(const char *data_dir, struct kn_pressure *ret);

// Blobs and layers of images without a name on which no container stands. KN_CONFLICT while an
// image comes in: later, then. ret_freed may be NULL.
struct kn_status kn_node_collect_images(const struct kn_node *n, int64_t *ret_freed);

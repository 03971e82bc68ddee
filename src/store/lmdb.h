// The store of one machine: a folder with one LMDB file. The file on disk is always valid, so there
// is no recovery step; a process killed at any instruction loses nothing that was acknowledged.
// One process at a time may have it open (a lock file says so).
#pragma once
#include "store/store.h"

// The folder is made if it is missing. KN_CONFLICT: another process has it open.
struct kn_status kn_store_lmdb_open(const char *folder, struct kn_store **ret);

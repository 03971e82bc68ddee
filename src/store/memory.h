// A store that lives in memory, for tests: the whole contract, nothing durable.
#pragma once
#include "store/store.h"

struct kn_status kn_store_memory_open(struct kn_store **ret);

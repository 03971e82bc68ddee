// Kubernetes quantities (resource.Quantity): "500m", "1.5Gi", "1e3". Exact decimal numbers of up to
// 128 bits in units of 10^-9; what is finer is rounded up, as upstream does. By value; any thread.
#pragma once
#include "base/status.h"

enum kn_quantity_format { KN_QUANTITY_DECIMAL_SI, KN_QUANTITY_BINARY_SI, KN_QUANTITY_EXPONENT };

struct kn_quantity {
    __int128 nano; // value * 10^9
    enum kn_quantity_format format;
};

#define KN_QUANTITY_TEXT 64

// KN_INVALID with upstream's sentence.
struct kn_status kn_quantity_parse(struct kn_sv text, struct kn_quantity *ret);
// The canonical form, with a NUL: "1000m" gives "1", "0.5" gives "500m". Returns its length.
size_t kn_quantity_format(struct kn_quantity q, char out[KN_QUANTITY_TEXT]);
// The text is in its canonical form already (so that it need not be rewritten).
bool kn_quantity_is_canonical(struct kn_sv text);

// Rounded up, as Value() and MilliValue() do; beyond int64: its limits.
int64_t kn_quantity_value(struct kn_quantity q);
int64_t kn_quantity_milli(struct kn_quantity q);
struct kn_quantity kn_quantity_of(int64_t value, enum kn_quantity_format format);
struct kn_quantity kn_quantity_of_milli(int64_t milli, enum kn_quantity_format format);
struct kn_quantity kn_quantity_add(struct kn_quantity a, struct kn_quantity b); // format of a
struct kn_quantity kn_quantity_sub(struct kn_quantity a, struct kn_quantity b);
int kn_quantity_cmp(struct kn_quantity a, struct kn_quantity b); // < 0, 0, > 0
// 0 for text that is no quantity: for values that were validated before.
int64_t kn_quantity_value_of(struct kn_sv text);
int64_t kn_quantity_milli_of(struct kn_sv text);

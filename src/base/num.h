// Numbers from text: the whole text must be the number, without spaces or a plus sign. Any thread.
#pragma once
#include "base/status.h"

struct kn_status kn_num_parse(struct kn_sv text, int64_t min, int64_t max, int64_t *ret);
// Octal, as file modes are written; a leading 0 or 0o is allowed.
struct kn_status kn_num_parse_octal(struct kn_sv text, uint32_t max, uint32_t *ret);

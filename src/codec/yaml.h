// YAML 1.1 as Kubernetes reads it (libyaml's events, go-yaml's rules for plain scalars), to JSON
// trees. Anchors and merges (<<) are followed, with a limit on what they may grow to; the depth is
// limited; tags other than the core ones are refused. Any thread.
#pragma once
#include "base/arena.h"
#include "codec/json.h"

// The one document of a text. KN_SYNTAX with line and column.
struct kn_status kn_yaml_parse(struct kn_arena *a, struct kn_sv text, struct kn_json **ret);

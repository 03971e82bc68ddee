// The process of a command that joins a running container: the container's own, as its bundle has
// it (environment, user, limits), with other arguments. Nobody else is asked: the API server may be
// away, and the image's name may mean another image by now. Any thread.
#pragma once
#include "codec/json.h"

// *ret, in the arena, may be changed further. args: an array of strings.
struct kn_status kn_exec_process_read(const char *bundle, const struct kn_json *args, bool terminal,
                                      struct kn_arena *a, struct kn_json **ret);
// Writes <bundle>/<exec_id>.json, which the runtime reads.
struct kn_status kn_exec_process_write(const char *bundle, const char *exec_id,
                                       const struct kn_json *process);

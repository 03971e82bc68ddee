// Image names as people write them, and what they mean: "nginx" is docker.io/library/nginx:latest.
// The grammar is that of the OCI distribution specification. Pure: any thread.
#pragma once
#include "base/arena.h"

struct kn_image_ref {
    struct kn_sv registry;   // "docker.io", "localhost:5000"
    struct kn_sv repository; // "library/nginx"
    struct kn_sv tag;        // "latest"; empty when there is only a digest
    struct kn_sv digest;     // "sha256:..."; empty if none was given
    struct kn_sv name;       // whole and normalised: the key of the store
};

// KN_INVALID in the kubelet's words ("couldn't parse image name ...: invalid reference format").
struct kn_status kn_image_ref_parse(struct kn_sv text, struct kn_arena *a,
                                    struct kn_image_ref *ret);
// "sha256:" and 64 lower-case hex digits.
bool kn_digest_is_valid(struct kn_sv digest);

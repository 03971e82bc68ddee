// The inside of image_build: what image_build.c and image_layer.c share.
#pragma once
#include <limits.h>

#include "node/image_build.h"

struct build {
    struct kn_images *s;
    const struct kn_image_build *o;
    struct kn_arena *a;
    const char *root;
    struct kn_sv tag;
    struct kn_json *config;
    int line;
};

// A path of the image as a path of the machine; KN_INVALID if it would lead out.
struct kn_status kn_build_path(const struct build *b, struct kn_sv path, char out[PATH_MAX]);
// Downloads Debian packages with what they depend on and unpacks them into the root.
struct kn_status kn_build_packages(struct build *b, const struct kn_sv *names, size_t len);
// Writes the root as a layer without compression: its digest is its diff id too.
struct kn_status kn_build_layer(struct build *b, struct kn_sv *ret_digest, int64_t *ret_size);

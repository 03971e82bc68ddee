// Building an image from a recipe: Debian packages, unpacked without running anything of them, and
// a few instructions. It needs apt-get and dpkg-deb, which every Debian has, and no container.
//
// The folder holds a file named `recipe`. One instruction a line; '#' begins a comment:
//
//   tag NAME                     what the image is called unless -t says otherwise
//   package NAME...              with everything that they depend on (not what they recommend)
//   remove PATH...               files and folders of the root that are not wanted
//   folder MODE PATH...          makes folders (octal mode)
//   file MODE SOURCE PATH        a file of the recipe's folder
//   copy SOURCE PATH             a file of the root, to another place in it
//   link TARGET PATH             symbolic link
//   owner UID:GID PATH...        numbers
//   text PATH LINE               appends a line to a file
//   applets PROGRAM FOLDER       links for every name that `PROGRAM --list` prints (busybox)
//   entrypoint JSON, cmd JSON    arrays of strings
//   env NAME=VALUE, expose PORT/PROTOCOL, user NAME, workdir PATH, stopsignal NAME
//
// Two builds of one recipe with the same packages give the same digest.
#pragma once
#include "node/image_store.h"

struct kn_image_build {
    const char *folder; // of the recipe
    struct kn_sv name;  // empty: the recipe's own tag
    const char *cache;  // folder that keeps downloaded packages; made if it is missing
    void (*progress)(void *arg, const char *sentence); // may be NULL
    void *arg;
};

// Blocks for seconds (longer when packages must be downloaded). KN_INVALID names file and line.
// ret_name (the normalised name) lives in the arena; may be NULL.
struct kn_status kn_image_build(struct kn_images *s, const struct kn_image_build *b,
                                struct kn_arena *a, struct kn_sv *ret_name);

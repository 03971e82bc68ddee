// The inside of the image store, shared by image_store.c, image_blob.c and image_archive.c.
#pragma once
#include <pthread.h>
#include <sys/stat.h>

#include "base/map.h"
#include "base/vec.h"
#include "node/image_store.h"

#define MANIFEST_MAX (4u << 20)
#define MEDIA_OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define MEDIA_OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define MEDIA_OCI_CONFIG "application/vnd.oci.image.config.v1+json"
#define MEDIA_OCI_TAR "application/vnd.oci.image.layer.v1.tar"
#define MEDIA_OCI_TAR_GZIP "application/vnd.oci.image.layer.v1.tar+gzip"
#define MEDIA_OCI_TAR_ZSTD "application/vnd.oci.image.layer.v1.tar+zstd"

struct image_name {
    char *name;
    char digest[72];
    int64_t size; // of the manifest
    bool local;
};

struct kn_images {
    char *dir;
    pthread_mutex_t lock; // names, seen
    KN_VEC(struct image_name) names; // in order, as the index file had them when it was `seen`
    struct stat seen;
    int open_fd; // a lock that tells other processes: the store is open
    pthread_mutex_t hold_lock; // holds, hold_fd
    int holds, hold_fd; // a lock that tells other processes: blobs come in
    pthread_mutex_t unpack_lock; // layers/; taken before lock
};

struct kn_status kn_image_decode(struct kn_images *s, struct kn_sv digest, struct kn_arena *a,
                                 struct kn_image *ret);
// Calls keep for every image among the blobs whose id in_use knows.
struct kn_status kn_images_each_manifest(struct kn_images *s, struct kn_arena *a,
                                         bool (*in_use)(void *arg, struct kn_sv id), void *arg,
                                         struct kn_map *blobs, struct kn_map *layers,
                                         void (*keep)(struct kn_map *blobs, struct kn_map *layers,
                                                      const struct kn_image *i));

// Images on this machine: an OCI image layout (blobs by digest, index.json) beside the layers,
// unpacked once each.
//
//   <dir>/index.json, oci-layout, blobs/sha256/<hex>   as the OCI image layout says
//   <dir>/layers/<32 hex digits of the diff id>/       the files of one layer, overlay's whiteouts
//   <dir>/tmp/                                         emptied at every start
//
// Every function may be called by any thread; changes of the index are made under one lock, and
// each file appears complete or not at all, so that a killed process leaves a usable store.
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "codec/json.h"

struct kn_images;

struct kn_image_layer {
    struct kn_sv digest, diff_id, media_type;
    int64_t size;
};

// One image, decoded into the caller's arena.
struct kn_image {
    struct kn_sv name;   // normalised
    struct kn_sv digest; // of the manifest, "sha256:..."
    struct kn_sv id;     // of the configuration: the image's identity
    bool local;          // imported or built here: no registry needs to be asked
    int64_t size;        // bytes of its blobs
    const struct kn_image_layer *layers;
    size_t layers_len;
    const struct kn_json *config; // the "config" object of the image; NULL if it has none
};

struct kn_status kn_images_open(const char *dir, struct kn_images **ret);
void kn_images_close(struct kn_images *s);
const char *kn_images_dir(const struct kn_images *s);

// The image of a name as people write it. KN_NOT_FOUND; KN_INVALID for a name that is none.
struct kn_status kn_images_get(struct kn_images *s, struct kn_sv name, struct kn_arena *a,
                               struct kn_image *ret);
// All of them, in order of name.
struct kn_status kn_images_list(struct kn_images *s, struct kn_arena *a, struct kn_image **ret,
                                size_t *ret_len);
// Names a manifest whose blobs are all there, replacing what the name meant before.
struct kn_status kn_images_name(struct kn_images *s, struct kn_sv name, struct kn_sv digest,
                                bool local);
// Takes the name away; the bytes go with kn_images_collect. KN_NOT_FOUND.
struct kn_status kn_images_remove(struct kn_images *s, struct kn_sv name);
// Removes blobs and layers that no name needs. in_use tells whether a container still stands on the
// image with this id (NULL: none does). ret_freed may be NULL.
struct kn_status kn_images_collect(struct kn_images *s,
                                   bool (*in_use)(void *arg, struct kn_sv id), void *arg,
                                   int64_t *ret_freed);
// Keeps kn_images_collect away while blobs come in that no name needs yet. Counted.
void kn_images_hold(struct kn_images *s);
void kn_images_unhold(struct kn_images *s);

// Unpacks the layers that are not unpacked, and gives the overlay's lowerdir (top layer first).
struct kn_status kn_images_unpack(struct kn_images *s, const struct kn_image *image,
                                  struct kn_arena *a, struct kn_sv *ret_lower);

// From a folder (OCI layout) or an archive of one, or a docker-archive; archives may be compressed.
// name: what to call it; empty: what it calls itself. `ret_name` may be NULL.
struct kn_status kn_images_import(struct kn_images *s, const char *path, struct kn_sv name,
                                  struct kn_arena *a, struct kn_sv *ret_name);
// Writes an OCI archive (tar) with one image to the descriptor.
struct kn_status kn_images_export(struct kn_images *s, struct kn_sv name, int fd);

// -- for those who bring blobs in ----------------------------------------------------------------

struct kn_blob; // one that is being written; one thread at a time
struct kn_status kn_blob_new(struct kn_images *s, struct kn_blob **ret);
// A download that may be broken off and gone on with: the file is named after the digest, and
// what is there already counts. ret_have: bytes there.
struct kn_status kn_blob_resume(struct kn_images *s, struct kn_sv digest, struct kn_blob **ret,
                                int64_t *ret_have);
struct kn_status kn_blob_add(struct kn_blob *b, struct kn_sv bytes);
struct kn_status kn_blob_restart(struct kn_blob *b); // forgets what was written
// Puts it into the store; frees b. expected: KN_INVALID if it is another digest ("" takes any).
// ret_digest (may be NULL) lives in the arena.
struct kn_status kn_blob_commit(struct kn_blob *b, struct kn_sv expected, struct kn_arena *a,
                                struct kn_sv *ret_digest, int64_t *ret_size);
void kn_blob_free(struct kn_blob *b, bool keep); // keep: a resumable one stays for later
bool kn_images_has_blob(struct kn_images *s, struct kn_sv digest);
void kn_images_blob_path(struct kn_images *s, struct kn_sv digest, char *out, size_t size);
// A small blob (manifest, configuration) as text in the arena. Its digest is checked.
struct kn_status kn_images_read_blob(struct kn_images *s, struct kn_sv digest, size_t max,
                                     struct kn_arena *a, struct kn_sv *ret);
struct kn_status kn_images_write_blob(struct kn_images *s, struct kn_sv bytes, struct kn_arena *a,
                                      struct kn_sv *ret_digest);
// The manifest of this machine's platform in an image index; `manifest` itself if it is none.
// Parsed trees live in the arena. KN_NOT_FOUND names the platforms that there are.
struct kn_status kn_image_choose_platform(const struct kn_json *index, struct kn_sv *ret_digest);
const char *kn_image_architecture(void); // "amd64", "arm64"

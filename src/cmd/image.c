// `knarr image`: the images of this machine.
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "cmd/options.h"
#include "cmd/say.h"
#include "cmd/site.h"
#include "cmd/verbs.h"
#include "node/image_build.h"
#include "node/image_store.h"

static const struct kn_verb_help help_text = {
    .usage = "image VERB [flags]",
    .summary = "Imports, builds, lists and removes the images of this machine.",
    .details =
        "  import FILE [-t NAME]    an OCI layout or archive, or a `docker save` archive\n"
        "  build FOLDER [-t NAME]   by the recipe in the folder, from Debian packages\n"
        "  list                     what is here\n"
        "  remove NAME...           takes names away; the agent removes the bytes within minutes,\n"
        "                           when no container stands on them",
    .examples = "  knarr image build images/nginx\n  knarr image import app.tar -t app:1.0\n"
                "  knarr image list\n",
};

static void tell(void *arg, const char *sentence)
{
    (void)arg;
    printf("  %s\n", sentence);
    fflush(stdout);
}

static struct kn_status import_one(struct kn_images *s, int argc, char **argv, const char *name,
                                   struct kn_arena *a)
{
    if (argc != 1)
        return kn_error(KN_BAD_REQUEST, "name one file or folder: knarr image import FILE");
    struct kn_sv got;
    KN_TRY(kn_images_import(s, argv[0], kn_sv_c(name), a, &got));
    printf("imported %.*s\n", KN_SV_ARG(got));
    return KN_STATUS_OK;
}

static struct kn_status build_one(struct kn_images *s, const struct kn_site *site, int argc,
                                  char **argv, const char *name, struct kn_arena *a)
{
    if (argc != 1)
        return kn_error(KN_BAD_REQUEST, "name one folder with a recipe: knarr image build FOLDER");
    char cache[KN_SITE_PATH];
    struct kn_image_build b = {.folder = argv[0],
                               .name = kn_sv_c(name),
                               .cache = kn_site_data(site, "packages", cache),
                               .progress = tell};
    struct kn_sv got;
    KN_TRY(kn_image_build(s, &b, a, &got));
    printf("built %.*s\n", KN_SV_ARG(got));
    return KN_STATUS_OK;
}

static struct kn_status list_all(struct kn_images *s, struct kn_arena *a)
{
    struct kn_image *images;
    size_t len, width = 4;
    KN_TRY(kn_images_list(s, a, &images, &len));
    for (size_t i = 0; i < len; i++)
        if (images[i].name.len > width)
            width = images[i].name.len;
    printf("%-*s  %-12s  %9s  %s\n", (int)width, "NAME", "ID", "SIZE", "FROM");
    for (size_t i = 0; i < len; i++) {
        struct kn_sv id = images[i].id;
        if (kn_sv_starts(id, KN_SV("sha256:")))
            id = kn_sv_from(id, 7);
        printf("%-*.*s  %.12s  %6.1f MB  %s\n", (int)width, KN_SV_ARG(images[i].name), id.ptr,
               (double)images[i].size / 1e6, images[i].local ? "this machine" : "registry");
    }
    return KN_STATUS_OK;
}

static struct kn_status remove_some(struct kn_images *s, int argc, char **argv)
{
    if (argc == 0)
        return kn_error(KN_BAD_REQUEST, "name at least one image: knarr image remove NAME");
    for (int i = 0; i < argc; i++) {
        KN_TRY(kn_images_remove(s, kn_sv_c(argv[i])));
        printf("removed %s\n", argv[i]);
    }
    return KN_STATUS_OK;
}

int kn_verb_image(int argc, char **argv)
{
    const char *data = KN_SITE_DATA, *name = NULL;
    bool help;
    const struct kn_option options[] = {
        {"tag", 't', KN_OPTION_TEXT, &name, "NAME", "what the image is called"},
        {"data", 0, KN_OPTION_TEXT, &data, "FOLDER",
         "the cluster's data (default " KN_SITE_DATA ")"},
    };
    struct kn_status st = kn_options_parse_args(options, 2, &argc, argv, &help);
    if (!kn_ok(st))
        return kn_say_failed(st, "image");
    if (help || argc == 0) {
        kn_options_help(help ? stdout : stderr, &help_text, options, 2);
        return help ? 0 : 2;
    }
    if (geteuid() != 0)
        return kn_say_failed(kn_error(KN_FORBIDDEN, "this needs root: try `sudo knarr image`"),
                             "image");
    struct kn_site *site = KN_NEW(struct kn_site);
    struct kn_arena *a = kn_arena_new(0, 256u << 20);
    struct kn_images *images = NULL;
    char dir[KN_SITE_PATH];
    st = kn_site_init(site, data, KN_SITE_RUN);
    if (kn_ok(st))
        st = kn_dir_make(kn_site_data(site, "node/images", dir), 0700);
    if (kn_ok(st))
        st = kn_images_open(dir, &images);
    if (!kn_ok(st))
        ;
    else if (strcmp(argv[0], "import") == 0)
        st = import_one(images, argc - 1, argv + 1, name, a);
    else if (strcmp(argv[0], "build") == 0)
        st = build_one(images, site, argc - 1, argv + 1, name, a);
    else if (strcmp(argv[0], "list") == 0 && argc > 1)
        st = kn_error(KN_BAD_REQUEST, "\"%s\" is not understood: list takes no name", argv[1]);
    else if (strcmp(argv[0], "list") == 0)
        st = list_all(images, a);
    else if (strcmp(argv[0], "remove") == 0)
        st = remove_some(images, argc - 1, argv + 1);
    else
        st = kn_error(KN_BAD_REQUEST, "there is no `image %s`: import, build, list, remove",
                      argv[0]);
    if (images)
        kn_images_close(images);
    int code = kn_ok(st) ? 0 : kn_say_failed(st, "image %s", argv[0]);
    kn_arena_free(a);
    free(site);
    return code;
}

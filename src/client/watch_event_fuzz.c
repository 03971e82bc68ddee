// Lines of a watch from a server that may say anything.
#include "client/remote_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kn_sv line = kn_sv_trim(kn_sv((const char *)data, size));
    if (line.len == 0)
        return 0;
    char type[16] = "";
    struct kn_buf error = KN_BUF(1 << 20);
    const struct kn_obj *o = NULL;
    struct kn_status s = kn_watch_event_parse(line, type, &error, &o);
    kn_assert(!kn_ok(s) || o || strcmp(type, "ERROR") == 0);
    kn_status_done(&s);
    kn_obj_unref(o);
    kn_buf_done(&error);
    return 0;
}

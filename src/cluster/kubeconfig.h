// The user's kubeconfig: a cluster, a user and a context of one name, beside whatever else is
// there. The file is YAML; it is read as such and written as JSON-compatible YAML, with everything
// that was in it. A file keeps its owner and its mode, a link stays a link; what is made anew
// belongs to the owner of the folder that it is made in, so that root does not take a person's
// kubeconfig over. Blocking; any thread.
#pragma once
#include "base/buf.h"
#include "base/status.h"

struct kn_kubeconfig {
    const char *name;   // of the context, the cluster and the user
    const char *server; // "https://127.0.0.1:6443"
    struct kn_sv ca_pem, cert_pem, key_pem;
};

// Appends a whole kubeconfig with this one context.
struct kn_status kn_kubeconfig_print(const struct kn_kubeconfig *k, struct kn_buf *out);
// Puts it into the file (made with mode 0600 if it is missing) and makes it the current context.
// KN_SYNTAX if the file is no kubeconfig: it is then not touched.
struct kn_status kn_kubeconfig_add(const char *path, const struct kn_kubeconfig *k);
// Takes the three entries of that name out; a file that then holds nothing is removed. A missing
// file is fine.
struct kn_status kn_kubeconfig_remove(const char *path, const char *name);

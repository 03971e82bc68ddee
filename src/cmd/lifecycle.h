// What `up`, `down`, `reset` and `status` share.
#pragma once
#include "base/buf.h"
#include "cmd/site.h"

#define KN_UNIT_PATH "/etc/systemd/system/knarr.service"

// The PEM texts of the authority and of the administrator.
struct kn_status kn_lifecycle_admin_pem(const struct kn_site *s, struct kn_buf *ca,
                                        struct kn_buf *cert, struct kn_buf *key);
// given, or $KUBECONFIG (its first file), or ~/.kube/config.
void kn_lifecycle_kubeconfig_path(const char *given, char out[KN_SITE_PATH]);
// Ends the supervisor and with it the two others; returns when they are gone.
struct kn_status kn_lifecycle_stop(const struct kn_site *s);
// 0 for root; else a sentence on standard error, and the exit code.
int kn_lifecycle_need_root(const char *verb);

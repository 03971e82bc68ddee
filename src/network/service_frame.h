// The rules of the services' table, as text for nft: written once, in the same form for any number
// of services. What they do is said in service_frame.c; what fills their maps is service_view.h.
// Pure.
#pragma once
#include "base/buf.h"
#include "network/ip4.h"
#include "network/nft.h"

// Ids of services are packet marks while a connection's first packet goes through the tables, and
// are wiped off it before it leaves:
//     0x6b......  ours
//     bits 22-23  the view: from where, and hence with which endpoints and whose address
//     bit 21      callers stay with their endpoint (session affinity)
//     bits 0-20   the number
enum kn_service_view { KN_VIEW_CLUSTER, KN_VIEW_EXTERNAL, KN_VIEW_LOCAL };
#define KN_SERVICE_MARK 0x6b000000u
#define KN_SERVICE_STICKY 0x00200000u
#define KN_SERVICE_NUMBERS 0x00200000u
static inline uint32_t kn_service_id(enum kn_service_view view, bool sticky, uint32_t number)
{
    return KN_SERVICE_MARK | (uint32_t)view << 22 | (sticky ? KN_SERVICE_STICKY : 0) | number;
}

// The whole table, replacing one that is there.
void kn_service_frame(struct kn_buf *out, struct kn_net4 pods, struct kn_net4 services);
// The name of an empty chain whose presence says that the table was written by this very text.
void kn_service_frame_mark(struct kn_net4 pods, struct kn_net4 services,
                           char out[KN_NFT_CHAIN_TEXT]);

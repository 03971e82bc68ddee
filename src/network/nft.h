// nftables: the table of this part, its maps and sets, and their elements, changed one by one as
// transactions of nfnetlink (8 microseconds each) and read back as dumps. The frame of chains is
// text for the program nft, which is started for it alone. One thread at a time.
#pragma once
#include "base/buf.h"
#include "base/vec.h"
#include "wire/netlink.h"

#define KN_NFT_TABLE "knarr"

// The maps and sets. Things that are pointed at come before what points at them: additions are
// written in this order and removals in the reverse one, so that a change too large for one
// transaction never leaves a pointer into nothing.
enum kn_nft_set {
    KN_NFT_EP,           // id, slot -> address, port
    KN_NFT_EP_STICKY,    // id, endpoint -> address, port
    KN_NFT_PICK,         // id, slot -> endpoint
    KN_NFT_BALANCE,      // id -> how to choose (see kn_nft_way)
    KN_NFT_GUARDED,      // address, protocol, port
    KN_NFT_ALLOWED,      // address, protocol, port, source network (its last address in data)
    KN_NFT_VIP,          // address, protocol, port -> id
    KN_NFT_VIP_EXT,      // the same, for callers from outside
    KN_NFT_PORT,         // protocol, port -> id: node ports
    KN_NFT_PORT_EXT,     // the same, for callers from outside
    KN_NFT_REFUSED,      // address, protocol, port
    KN_NFT_REFUSED_PORT, // protocol, port
    KN_NFT_HAIRPIN,      // address, the same address
    KN_NFT_HOSTPORT,     // protocol, port -> address, port
    KN_NFT_HOSTPORT_IP,  // address, protocol, port -> address, port
    KN_NFT_SETS
};

// Keys and data are the kernel's bytes: each part padded to four, addresses and ports in network
// order, ids, slots and endpoints in the machine's. Unused bytes are 0.
struct kn_nft_elem {
    uint8_t set; // enum kn_nft_set
    uint8_t key[16];
    uint8_t data[8];
};

// The data of KN_NFT_BALANCE.
struct kn_nft_way {
    uint32_t slots;   // among how many; 0: drop
    uint32_t timeout; // seconds that a caller stays with an endpoint; 0: no affinity
};
#define KN_NFT_CHAIN_TEXT 32
void kn_nft_way_chain(struct kn_nft_way way, char out[KN_NFT_CHAIN_TEXT]); // "lb3", "lb3_10800"

// By set and key; the data does not count.
int kn_nft_elem_cmp(const struct kn_nft_elem *a, const struct kn_nft_elem *b);

struct kn_nft_elems {
    struct kn_nft_elem *ptr;
    size_t len, cap;
};
void kn_nft_elems_sort(struct kn_nft_elems *e);

// NETLINK_NETFILTER, with room for large transactions.
struct kn_status kn_nft_open(struct kn_nl *ret);

struct kn_nft_ways {
    struct kn_nft_way *ptr;
    size_t len, cap;
};

// Makes the chains of `ways` (they must not be there), removes, then adds, as one transaction (as
// several if there are more than about 8,000 changes).
// An element that changes its data is in both lists. The lists are sorted by this. KN_NOT_FOUND
// and KN_ALREADY_EXISTS mean that the kernel's tables are not as they were thought to be.
struct kn_status kn_nft_commit(struct kn_nl *nl, const struct kn_nft_ways *ways,
                               struct kn_nft_elems *remove, struct kn_nft_elems *add);
// Appends all elements of one set.
struct kn_status kn_nft_dump(struct kn_nl *nl, enum kn_nft_set set, struct kn_nft_elems *ret);
// Calls each with the names of the table's chains. KN_NOT_FOUND if there is no such table.
struct kn_status kn_nft_chains(struct kn_nl *nl, void (*each)(void *arg, struct kn_sv name),
                               void *arg);
// Gives `text` to nft, as one transaction.
struct kn_status kn_nft_run(struct kn_sv text);
struct kn_status kn_nft_remove_table(struct kn_nl *nl); // fine if there is none

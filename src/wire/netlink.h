// Netlink: messages with nested attributes in a bounded buffer, batches with acknowledgements and
// the kernel's own words for what went wrong, dumps, and subscriptions. For NETLINK_ROUTE and
// NETLINK_NETFILTER; what the messages mean is the caller's (network, node).
// A socket belongs to one thread at a time. Calls block, but no longer than 10 seconds.
#pragma once
#include <linux/netlink.h>

#include "base/buf.h"
#include "base/status.h"

// ---- sockets ----

struct kn_nl {
    int fd;
    uint32_t seq, port;
};
// protocol: NETLINK_ROUTE or NETLINK_NETFILTER. netns: a descriptor of the network namespace to
// open it in, or -1 for the caller's own. (The socket stays in that namespace; the calling thread
// returns to its own.)
struct kn_status kn_nl_open(int protocol, int netns, struct kn_nl *ret);
void kn_nl_close(struct kn_nl *nl);

// ---- messages ----

// One or many messages in a row. Appending is sticky: too much, or an attribute beyond 64 KiB, is
// seen by kn_nl_send.
struct kn_nl_msg {
    struct kn_buf buf;
    size_t start; // of the message that is being built
    uint32_t count;
};
#define KN_NL_MSG(maximum) ((struct kn_nl_msg){.buf = KN_BUF(maximum)})
void kn_nl_msg_done(struct kn_nl_msg *m);

// Begins a message: the header, then `size` bytes of the family's own header (ifinfomsg, nfgenmsg,
// ...). flags: NLM_F_CREATE, NLM_F_DUMP, ...; NLM_F_REQUEST and, where it is no dump, NLM_F_ACK are
// added, unless KN_NL_NO_ACK is among them (nfnetlink's batch begin and end).
#define KN_NL_NO_ACK 0x8000
void kn_nl_begin(struct kn_nl_msg *m, uint16_t type, uint16_t flags, const void *head, size_t size);
void kn_nl_end(struct kn_nl_msg *m); // fixes its length; every begin has one
void kn_nl_put(struct kn_nl_msg *m, uint16_t type, const void *data, size_t len);
void kn_nl_put_u8(struct kn_nl_msg *m, uint16_t type, uint8_t v);
void kn_nl_put_u16(struct kn_nl_msg *m, uint16_t type, uint16_t v);
void kn_nl_put_u32(struct kn_nl_msg *m, uint16_t type, uint32_t v);
void kn_nl_put_u64(struct kn_nl_msg *m, uint16_t type, uint64_t v);
void kn_nl_put_be16(struct kn_nl_msg *m, uint16_t type, uint16_t v); // host order in
void kn_nl_put_be32(struct kn_nl_msg *m, uint16_t type, uint32_t v);
void kn_nl_put_be64(struct kn_nl_msg *m, uint16_t type, uint64_t v);
void kn_nl_put_str(struct kn_nl_msg *m, uint16_t type, struct kn_sv text); // with its NUL
// Nested attributes: NLA_F_NESTED is set. Returns a place for kn_nl_nest_end.
size_t kn_nl_nest(struct kn_nl_msg *m, uint16_t type);
void kn_nl_nest_end(struct kn_nl_msg *m, size_t place);

// ---- exchanges ----

// Sends everything in m and waits for the answer to each message that asks for one. The first
// refusal is returned: "<what>: message <n>: <errno text>: <kernel's extack text>"; ENOENT is
// KN_NOT_FOUND, EEXIST KN_ALREADY_EXISTS, EBUSY KN_CONFLICT, EPERM KN_FORBIDDEN. m can be cleared
// and used again.
struct kn_status kn_nl_send(struct kn_nl *nl, struct kn_nl_msg *m, const char *what);
// One request whose answers (a dump, or one object followed by its ack) go to `each`, with the
// payload after nlmsghdr; it returns a failure to stop (which is returned). A dump that was
// interrupted by a change is KN_CONFLICT: do it again.
struct kn_status kn_nl_dump(struct kn_nl *nl, struct kn_nl_msg *m, const char *what,
                            struct kn_status (*each)(void *arg, uint16_t type,
                                                     struct kn_sv payload),
                            void *arg);
// nfnetlink transaction: BATCH_BEGIN and BATCH_END for one subsystem (NFNL_SUBSYS_NFTABLES).
void kn_nl_batch_begin(struct kn_nl_msg *m, uint16_t subsystem);
void kn_nl_batch_end(struct kn_nl_msg *m, uint16_t subsystem);

// ---- subscriptions ----

// Joins a multicast group (RTNLGRP_LINK, NFNLGRP_...). Messages are then read with kn_nl_receive
// when the descriptor is readable.
struct kn_status kn_nl_subscribe(struct kn_nl *nl, unsigned group);
// Reads what is there, without waiting. KN_EXPIRED: messages were lost, take a dump again.
struct kn_status kn_nl_receive(struct kn_nl *nl,
                               void (*each)(void *arg, uint16_t type, struct kn_sv payload),
                               void *arg);

// ---- attributes: pure ----

struct kn_nl_attr {
    uint16_t type; // without the flag bits
    struct kn_sv data;
};
// The next attribute at the front of *rest; false at the end or at malformed bytes (then *rest is
// not empty). skip the family's header first: kn_sv_from(payload, NLMSG_ALIGN(sizeof(head))).
bool kn_nl_attr_next(struct kn_sv *rest, struct kn_nl_attr *ret);
// The first attribute of a type; ptr is NULL if there is none.
struct kn_sv kn_nl_attr_get(struct kn_sv attrs, uint16_t type);
// Numbers in the machine's order; 0 if the attribute has another size. text: without its NUL.
uint32_t kn_nl_attr_u32(struct kn_sv data);
struct kn_sv kn_nl_attr_str(struct kn_sv data);

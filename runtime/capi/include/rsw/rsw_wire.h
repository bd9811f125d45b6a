/* rsw_wire.h: what a client and the gateway of a swarm say to each other.
 *
 * Made by `cargo xtask header` from schemas/src; do not edit. Byte order is the machine's.
 *
 * Packets go over a SOCK_SEQPACKET socket of the Unix domain: swarm.sock in the swarm's run directory (`runtime ps
 * --json` names it), or the connected one that a launched agent inherits and RSW_SOCKET_FD names. A packet is one
 * message: struct rsw_packet, then the body that its kind names, with exactly len_bytes; descriptors come beside it
 * (SCM_RIGHTS). Whoever receives one checks magic, kind, length and the number of descriptors, and believes none that
 * is wrong.
 *
 *   hello          client to gateway   within 5 s; from an inherited socket also after the gateway was restarted
 *   welcome        gateway to client   plane; mailbox unless agent_id is 0; eventfd if wake_fd is 1: in this order
 *   refused        gateway to client   in the place of a welcome; then the socket closes
 *   plane_changed  gateway to client   plane; the kernel was restarted: any number of times
 *   welcome        gateway to client   again, on an inherited socket: the gateway was restarted, and all of it is new
 *   agent_report   client to gateway   any time after the welcome, at most 64 a second; not from an observer
 *
 * The end of the socket means that the gateway is gone: who came by the public one connects again, after a second; for
 * who inherited one, the swarm has ended. The gateway admits its own user alone (SO_PEERCRED), and 64 newcomers a
 * second. A plane is a sealed memory file; the client checks seals, size, magic, layout hash, checksum and every region
 * before it reads.
 *
 * Version: abi_major and layout_hash of the hello. Where either is not the gateway's, it answers refused with
 * RSW_REFUSED_LAYOUT and both of its own. The hash covers every struct here and in rsw_layout.h: names, sizes, and the
 * place of each field. A change of what is said when, or of a number below, raises abi_major; abi_minor counts
 * additions that older clients do not notice.
 */
#ifndef RSW_WIRE_H
#define RSW_WIRE_H

#include "rsw_layout.h"

/* First word of every packet, and the size that none exceeds. */
#define RSW_PACKET_MAGIC UINT32_C(0x31575352)
#define RSW_PACKET_BYTES_MAX 512

/* What a packet says; its body is the struct of that name. */
#define RSW_PACKET_HELLO 1
#define RSW_PACKET_WELCOME 2
#define RSW_PACKET_REFUSED 3
#define RSW_PACKET_PLANE_CHANGED 4
#define RSW_PACKET_REPORT 5

/* Flags of a hello. */
#define RSW_HELLO_OBSERVER 1
#define RSW_HELLO_WAKE_FD 2

/* Why a client is refused. */
#define RSW_REFUSED_LAYOUT 1
#define RSW_REFUSED_PROTOCOL 2
#define RSW_REFUSED_FULL 3
#define RSW_REFUSED_PERMISSION 4
#define RSW_REFUSED_NOT_RUNNING 5

/* Head of every packet. */
struct rsw_packet {
    /* PACKET_MAGIC. */
    uint32_t magic;
    /* A PacketKind as its number. */
    uint32_t kind;
    /* Bytes of the body. */
    uint32_t len_bytes;
    /* Zero. */
    uint32_t reserved;
};

/* A client's first words. */
struct rsw_hello {
    /* ABI_MAJOR of the client. */
    uint32_t abi_major;
    /* ABI_MINOR of the client. */
    uint32_t abi_minor;
    /* LAYOUT_HASH of the client. */
    uint64_t layout_hash;
    /* Bits of hello_flag. */
    uint32_t flags;
    /* Zero. */
    uint32_t reserved;
    /* What it calls itself; a launched agent already has a name and this one is ignored. */
    char name[64];
};

/* The gateway's answer. */
struct rsw_welcome {
    /* Id of the client, from 1; 0 for an observer. */
    uint32_t agent_id;
    /* An Isolation as its number. */
    uint32_t isolation;
    /* Generation of the plane beside this packet. */
    uint64_t generation;
    /* Size of that plane. */
    uint64_t total_bytes;
    /* Ticks in the synchronisation window. */
    uint32_t window_ticks;
    /* Ticks from one report to the next. */
    uint32_t report_ticks;
    /* Agents with a site (ids 1 to this). */
    uint32_t site_count;
    /* 1 if loans are offered to this client. */
    uint32_t loans;
    /* Incarnation of the gateway, part of the loan services' names. */
    uint64_t incarnation;
    /* Folder that holds the loans. */
    char loan_root[200];
    /* Name of the client. */
    char name[64];
    /* Wait strategy from the swarm file, as text; empty for the default. */
    char wait[32];
    /* Hello::flags of the hello that this answers; 0 if this gateway has heard none. */
    uint32_t hello_flags;
    /* 1 if an eventfd lies beside this packet. */
    uint32_t wake_fd;
};

/* Why the gateway says no. */
struct rsw_refused {
    /* A RefusalCode as its number. */
    uint32_t code;
    /* ABI_MAJOR of the gateway. */
    uint32_t abi_major;
    /* ABI_MINOR of the gateway. */
    uint32_t abi_minor;
    /* Zero. */
    uint32_t reserved;
    /* LAYOUT_HASH of the gateway. */
    uint64_t layout_hash;
    /* The reason and the way out, in words. */
    char text[192];
};

/* A new generation; its plane lies beside this packet. */
struct rsw_plane_changed {
    /* The generation. */
    uint64_t generation;
    /* Size of the plane. */
    uint64_t total_bytes;
    /* Its first sequence. */
    uint64_t first_sequence;
};

/* An agent's report, as it arrives: an allegation until the gateway has checked it. */
struct rsw_agent_report {
    /* The body; the gateway fills in nothing, the kernel adds the source. */
    struct rsw_report report;
};

/* What Rust has. */
RSW_STATIC_ASSERT(offsetof(struct rsw_packet, magic) == 0, "rsw_packet.magic");
RSW_STATIC_ASSERT(offsetof(struct rsw_packet, kind) == 4, "rsw_packet.kind");
RSW_STATIC_ASSERT(offsetof(struct rsw_packet, len_bytes) == 8, "rsw_packet.len_bytes");
RSW_STATIC_ASSERT(offsetof(struct rsw_packet, reserved) == 12, "rsw_packet.reserved");
RSW_STATIC_ASSERT(sizeof(struct rsw_packet) == 16, "rsw_packet");
RSW_STATIC_ASSERT(offsetof(struct rsw_hello, abi_major) == 0, "rsw_hello.abi_major");
RSW_STATIC_ASSERT(offsetof(struct rsw_hello, abi_minor) == 4, "rsw_hello.abi_minor");
RSW_STATIC_ASSERT(offsetof(struct rsw_hello, layout_hash) == 8, "rsw_hello.layout_hash");
RSW_STATIC_ASSERT(offsetof(struct rsw_hello, flags) == 16, "rsw_hello.flags");
RSW_STATIC_ASSERT(offsetof(struct rsw_hello, reserved) == 20, "rsw_hello.reserved");
RSW_STATIC_ASSERT(offsetof(struct rsw_hello, name) == 24, "rsw_hello.name");
RSW_STATIC_ASSERT(sizeof(struct rsw_hello) == 88, "rsw_hello");
RSW_STATIC_ASSERT(offsetof(struct rsw_welcome, agent_id) == 0, "rsw_welcome.agent_id");
RSW_STATIC_ASSERT(offsetof(struct rsw_welcome, isolation) == 4, "rsw_welcome.isolation");
RSW_STATIC_ASSERT(offsetof(struct rsw_welcome, generation) == 8, "rsw_welcome.generation");
RSW_STATIC_ASSERT(offsetof(struct rsw_welcome, total_bytes) == 16, "rsw_welcome.total_bytes");
RSW_STATIC_ASSERT(offsetof(struct rsw_welcome, window_ticks) == 24, "rsw_welcome.window_ticks");
RSW_STATIC_ASSERT(offsetof(struct rsw_welcome, report_ticks) == 28, "rsw_welcome.report_ticks");
RSW_STATIC_ASSERT(offsetof(struct rsw_welcome, site_count) == 32, "rsw_welcome.site_count");
RSW_STATIC_ASSERT(offsetof(struct rsw_welcome, loans) == 36, "rsw_welcome.loans");
RSW_STATIC_ASSERT(offsetof(struct rsw_welcome, incarnation) == 40, "rsw_welcome.incarnation");
RSW_STATIC_ASSERT(offsetof(struct rsw_welcome, loan_root) == 48, "rsw_welcome.loan_root");
RSW_STATIC_ASSERT(offsetof(struct rsw_welcome, name) == 248, "rsw_welcome.name");
RSW_STATIC_ASSERT(offsetof(struct rsw_welcome, wait) == 312, "rsw_welcome.wait");
RSW_STATIC_ASSERT(offsetof(struct rsw_welcome, hello_flags) == 344, "rsw_welcome.hello_flags");
RSW_STATIC_ASSERT(offsetof(struct rsw_welcome, wake_fd) == 348, "rsw_welcome.wake_fd");
RSW_STATIC_ASSERT(sizeof(struct rsw_welcome) == 352, "rsw_welcome");
RSW_STATIC_ASSERT(offsetof(struct rsw_refused, code) == 0, "rsw_refused.code");
RSW_STATIC_ASSERT(offsetof(struct rsw_refused, abi_major) == 4, "rsw_refused.abi_major");
RSW_STATIC_ASSERT(offsetof(struct rsw_refused, abi_minor) == 8, "rsw_refused.abi_minor");
RSW_STATIC_ASSERT(offsetof(struct rsw_refused, reserved) == 12, "rsw_refused.reserved");
RSW_STATIC_ASSERT(offsetof(struct rsw_refused, layout_hash) == 16, "rsw_refused.layout_hash");
RSW_STATIC_ASSERT(offsetof(struct rsw_refused, text) == 24, "rsw_refused.text");
RSW_STATIC_ASSERT(sizeof(struct rsw_refused) == 216, "rsw_refused");
RSW_STATIC_ASSERT(offsetof(struct rsw_plane_changed, generation) == 0, "rsw_plane_changed.generation");
RSW_STATIC_ASSERT(offsetof(struct rsw_plane_changed, total_bytes) == 8, "rsw_plane_changed.total_bytes");
RSW_STATIC_ASSERT(offsetof(struct rsw_plane_changed, first_sequence) == 16, "rsw_plane_changed.first_sequence");
RSW_STATIC_ASSERT(sizeof(struct rsw_plane_changed) == 24, "rsw_plane_changed");
RSW_STATIC_ASSERT(offsetof(struct rsw_agent_report, report) == 0, "rsw_agent_report.report");
RSW_STATIC_ASSERT(sizeof(struct rsw_agent_report) == 96, "rsw_agent_report");

#endif /* RSW_WIRE_H */

/* rsw_link.h: the gateway's client in rsw_reader.h: finds a swarm's socket, shakes hands, and hears of restarts.
 *
 * Programs include rsw_reader.h. The packets are those of rsw_wire.h; each is checked here before anybody looks at its
 * body, and no descriptor that came with one is lost, whatever it says. Nothing here waits but rsw_reader_attach_,
 * which says how long.
 */
#ifndef RSW_LINK_H
#define RSW_LINK_H

#include "rsw_plane.h"
#include "rsw_wire.h"

#include <dirent.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Least time between two looks at the socket: a look is a system call. */
#define RSW_READER_LOOK_NS 10000000
/* Time between two tries to come again. */
#define RSW_READER_RETRY_NS 1000000000
/* How long RSW_WAIT_HYBRID spins. */
#define RSW_READER_SPIN_NS 50000
/* No packet to a client carries more descriptors. */
#define RSW_READER_FDS_MAX 3
/* Most packets of one look: whoever sends more does not hold up his reader. */
#define RSW_READER_PACKETS_MAX 32
/* Room for a socket's path. */
#define RSW_READER_PATH_BYTES 108

/* A swarm that is looked at. */
typedef struct rsw_reader {
    /* Itself, and each of its rings. */
    uint64_t users;
    struct rsw_reader_plane *plane;
    /* Counts runs with other cells than the one before. */
    uint16_t shape;
    /* Nothing will come any more. */
    uint8_t ended;
    /* It came by a socket, and so hears of restarts. */
    uint8_t by_socket;
    /* The gateway, or -1. */
    int socket;
    /* Where to come again; empty: an inherited socket has no again. */
    char path[RSW_READER_PATH_BYTES];
    uint64_t retry_ns;
    uint64_t looked_ns;
    /* What the gateway announced last. */
    uint64_t incarnation;
    uint64_t generation;
    /* What the swarm file says about waiting. */
    int32_t strategy;
    uint64_t spin_ns;
} rsw_reader;

/* A packet as it came. */
struct rsw_reader_packet_ {
    struct rsw_packet head;
    char body[RSW_PACKET_BYTES_MAX];
    int fds[RSW_READER_FDS_MAX];
    size_t fd_count;
};

/* The status that goes with how the swarm is. */
static inline int32_t rsw_reader_status_(const rsw_reader *reader, const struct rsw_reader_plane *plane)
{
    uint64_t age_ns;
    if (reader->ended)
        return RSW_ENDED;
    int32_t state = rsw_reader_state_of_(plane, &age_ns);
    return state == RSW_STATE_SILENT || state == RSW_STATE_DEAD ? RSW_STALE : RSW_OK;
}

static inline void rsw_reader_close_fds_(struct rsw_reader_packet_ *packet)
{
    for (size_t at = 0; at < packet->fd_count; at++)
        close(packet->fds[at]);
    packet->fd_count = 0;
}

/* One packet, without waiting: RSW_OK, RSW_EMPTY, RSW_ENDED (the peer is gone), or what is wrong with it. */
static inline int32_t rsw_reader_receive_(int sock, struct rsw_reader_packet_ *packet)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(16 * sizeof(int))];
    } control;
    struct iovec parts[2] = {{&packet->head, sizeof packet->head}, {packet->body, sizeof packet->body}};
    struct msghdr message;
    ssize_t length = -1;
    int surplus = 0;
    memset(packet, 0, sizeof *packet);
    /* A peer that dies with packets of ours unread leaves ECONNRESET in front of its last words. */
    for (int tries = 0; tries < 2 && length < 0; tries++) {
        memset(&message, 0, sizeof message);
        message.msg_iov = parts;
        message.msg_iovlen = 2;
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        length = recvmsg(sock, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (length < 0 && errno != ECONNRESET)
            break;
    }
    if (length < 0) {
        if (errno == ECONNRESET)
            return RSW_ENDED;
        if (errno == EAGAIN || errno == EINTR)
            return RSW_EMPTY;
        return rsw_reader_fail_(RSW_E_SYSTEM, "gateway socket: %s", strerror(errno));
    }
    for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part != NULL; part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = 0; at < (part->cmsg_len - CMSG_LEN(0)) / sizeof(int); at++) {
            int fd;
            memcpy(&fd, CMSG_DATA(part) + at * sizeof fd, sizeof fd);
            if (packet->fd_count < RSW_READER_FDS_MAX) {
                packet->fds[packet->fd_count++] = fd;
            } else {
                close(fd);
                surplus = 1;
            }
        }
    }
    /* The end; or an empty packet, which nobody of ours sends. */
    if (length == 0) {
        rsw_reader_close_fds_(packet);
        return RSW_ENDED;
    }
    const struct rsw_packet *head = &packet->head;
    int cut = surplus || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
    if (!cut && (size_t)length >= sizeof *head && head->magic == RSW_PACKET_MAGIC &&
        head->len_bytes == (size_t)length - sizeof *head)
        return RSW_OK;
    rsw_reader_close_fds_(packet);
    if ((message.msg_flags & MSG_CTRUNC) != 0)
        return rsw_reader_fail_(RSW_E_SYSTEM,
                                "gateway: there was no room for the descriptors of a packet; has this process too many "
                                "open (ulimit -n)?");
    return rsw_reader_fail_(RSW_E_PROTOCOL,
                            "gateway: a packet of %zd bytes is cut off, or not of this protocol; is this socket "
                            "the swarm's?",
                            length);
}

/* Whether the body has that size and so many descriptors came with it; if not, they are closed and the words say so. */
static inline int rsw_reader_has_(struct rsw_reader_packet_ *packet, size_t bytes, size_t fd_count)
{
    if (packet->head.len_bytes == bytes && packet->fd_count == fd_count)
        return 1;
    rsw_reader_keep_("gateway: packet %u carries %u bytes and %zu descriptors, not %zu and %zu; it is of another build",
                     packet->head.kind, packet->head.len_bytes, packet->fd_count, bytes, fd_count);
    rsw_reader_close_fds_(packet);
    return 0;
}

/* The gateway's no, as a status with its words. */
static inline int32_t rsw_reader_refused_(struct rsw_reader_packet_ *packet)
{
    struct rsw_refused refused;
    int32_t status = RSW_E_PROTOCOL;
    if (!rsw_reader_has_(packet, sizeof refused, 0))
        return status;
    memcpy(&refused, packet->body, sizeof refused);
    refused.text[sizeof refused.text - 1] = 0;
    switch (refused.code) {
    case RSW_REFUSED_LAYOUT: status = RSW_E_VERSION; break;
    case RSW_REFUSED_FULL: status = RSW_E_LIMIT; break;
    case RSW_REFUSED_PERMISSION: status = RSW_E_PERMISSION; break;
    case RSW_REFUSED_NOT_RUNNING: status = RSW_E_STARTING; break;
    default: break;
    }
    return rsw_reader_fail_(
        status, "the gateway refused us: %s (gateway: abi %u.%u layout %016llx; we: abi %d.%d layout %016llx)",
        refused.text, refused.abi_major, refused.abi_minor, (unsigned long long)refused.layout_hash, RSW_ABI_MAJOR,
        RSW_ABI_MINOR, (unsigned long long)RSW_LAYOUT_HASH);
}

/* Says that an observer is here. */
static inline int32_t rsw_reader_hello_(int sock)
{
    struct {
        struct rsw_packet head;
        struct rsw_hello hello;
    } said;
    struct rsw_reader_packet_ words;
    memset(&said, 0, sizeof said);
    said.head.magic = RSW_PACKET_MAGIC;
    said.head.kind = RSW_PACKET_HELLO;
    said.head.len_bytes = sizeof said.hello;
    said.hello.abi_major = RSW_ABI_MAJOR;
    said.hello.abi_minor = RSW_ABI_MINOR;
    said.hello.layout_hash = RSW_LAYOUT_HASH;
    said.hello.flags = RSW_HELLO_OBSERVER;
    if (send(sock, &said, sizeof said, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof said)
        return RSW_OK;
    if (errno == EAGAIN || errno == ENOBUFS)
        return rsw_reader_fail_(RSW_E_SYSTEM,
                                "the gateway's socket is full before the first packet; see `runtime status`");
    /* A gateway that refuses closes at once; its words may still be waiting for us. */
    int32_t status = rsw_reader_fail_(RSW_E_DEAD, "gateway socket: %s; see `runtime status`", strerror(errno));
    if (rsw_reader_receive_(sock, &words) == RSW_OK) {
        if (words.head.kind == RSW_PACKET_REFUSED)
            return rsw_reader_refused_(&words);
        rsw_reader_close_fds_(&words);
    }
    return status;
}

/* "spin", "yield", "block", "hybrid:50us": how the swarm file wants us to wait. */
static inline void rsw_reader_strategy_(rsw_reader *reader, const char *text)
{
    char *unit = NULL;
    uint64_t spin = strncmp(text, "hybrid:", 7) == 0 ? strtoull(text + 7, &unit, 10) : 0;
    uint64_t unit_ns = 0;
    if (unit != NULL)
        unit_ns = !strcmp(unit, "ns") ? 1 : !strcmp(unit, "us") ? 1000 : !strcmp(unit, "ms") ? 1000000 : 0;
    reader->strategy = RSW_WAIT_HYBRID;
    if (!strcmp(text, "spin"))
        reader->strategy = RSW_WAIT_SPIN;
    else if (!strcmp(text, "yield"))
        reader->strategy = RSW_WAIT_YIELD;
    else if (!strcmp(text, "block"))
        reader->strategy = RSW_WAIT_BLOCK;
    reader->spin_ns = unit_ns != 0 && spin <= UINT64_MAX / unit_ns ? spin * unit_ns : RSW_READER_SPIN_NS;
}

static inline int rsw_reader_same_cells_(const struct rsw_reader_plane *one, const struct rsw_reader_plane *other)
{
    return one->cell_count == other->cell_count &&
           memcmp(one->cells, other->cells, one->cell_count * sizeof *one->cells) == 0;
}

/* Takes up a plane; RSW_OK if it is the one that is there already. */
static inline int32_t rsw_reader_take_up_(rsw_reader *reader, struct rsw_reader_plane *plane)
{
    struct rsw_reader_plane *old = reader->plane;
    if (old != NULL) {
        int same_run = memcmp(old->header.run_id, plane->header.run_id, sizeof plane->header.run_id) == 0;
        if (same_run && old->header.generation == plane->header.generation) {
            rsw_reader_plane_drop_(plane);
            return RSW_OK;
        }
        reader->shape = (uint16_t)(reader->shape + !rsw_reader_same_cells_(old, plane));
    }
    reader->plane = plane;
    rsw_reader_plane_drop_(old);
    return RSW_REATTACHED;
}

/* Maps the plane beside a packet, which must be the one that the packet speaks of; NULL: it speaks of no first
 * sequence. Closes all its descriptors. */
static inline int32_t rsw_reader_announced_(rsw_reader *reader, struct rsw_reader_packet_ *packet, uint64_t generation,
                                            uint64_t total_bytes, const uint64_t *first_sequence)
{
    struct rsw_reader_plane *plane = NULL;
    int32_t status = rsw_reader_plane_map_(packet->fds[0], &plane);
    rsw_reader_close_fds_(packet);
    if (status != RSW_OK)
        return status;
    if (plane->header.generation != generation || plane->header.total_bytes != total_bytes) {
        status = rsw_reader_fail_(RSW_E_PROTOCOL,
                                  "the gateway announced generation %llu of %llu bytes, the plane beside it is "
                                  "generation %llu of %llu; restart the swarm",
                                  (unsigned long long)generation, (unsigned long long)total_bytes,
                                  (unsigned long long)plane->header.generation,
                                  (unsigned long long)plane->header.total_bytes);
        rsw_reader_plane_drop_(plane);
        return status;
    }
    if (first_sequence != NULL && plane->header.first_sequence != *first_sequence) {
        status = rsw_reader_fail_(RSW_E_PROTOCOL,
                                  "the gateway announced a plane that begins at %llu, the one beside it begins at "
                                  "%llu; restart the swarm",
                                  (unsigned long long)*first_sequence,
                                  (unsigned long long)plane->header.first_sequence);
        rsw_reader_plane_drop_(plane);
        return status;
    }
    reader->generation = generation;
    return rsw_reader_take_up_(reader, plane);
}

/* All of it is new if the gateway is; a repetition is skipped. Mailbox and eventfd are closed unused. */
static inline int32_t rsw_reader_welcomed_(rsw_reader *reader, struct rsw_reader_packet_ *packet)
{
    struct rsw_welcome welcome;
    memcpy(&welcome, packet->body, sizeof welcome);
    if (!rsw_reader_has_(packet, sizeof welcome, 1u + (welcome.agent_id != 0) + (welcome.wake_fd != 0)))
        return RSW_E_PROTOCOL;
    if (reader->plane != NULL && welcome.incarnation == reader->incarnation &&
        welcome.generation == reader->generation) {
        rsw_reader_close_fds_(packet);
        return RSW_OK;
    }
    int32_t status = rsw_reader_announced_(reader, packet, welcome.generation, welcome.total_bytes, NULL);
    if (status >= 0) {
        reader->incarnation = welcome.incarnation;
        welcome.wait[sizeof welcome.wait - 1] = 0;
        rsw_reader_strategy_(reader, welcome.wait);
    }
    return status;
}

/* Before the welcome it says nothing: that one will bring this generation or a later one. */
static inline int32_t rsw_reader_plane_changed_(rsw_reader *reader, struct rsw_reader_packet_ *packet)
{
    struct rsw_plane_changed changed;
    if (!rsw_reader_has_(packet, sizeof changed, 1))
        return RSW_E_PROTOCOL;
    memcpy(&changed, packet->body, sizeof changed);
    if (reader->plane != NULL && changed.generation > reader->generation)
        return rsw_reader_announced_(reader, packet, changed.generation, changed.total_bytes, &changed.first_sequence);
    rsw_reader_close_fds_(packet);
    return RSW_OK;
}

/* What a packet brings: RSW_OK nothing new, RSW_REATTACHED another plane, or an error. It is consumed either way. */
static inline int32_t rsw_reader_hear_(rsw_reader *reader, struct rsw_reader_packet_ *packet)
{
    switch (packet->head.kind) {
    case RSW_PACKET_WELCOME: return rsw_reader_welcomed_(reader, packet);
    case RSW_PACKET_PLANE_CHANGED: return rsw_reader_plane_changed_(reader, packet);
    case RSW_PACKET_REFUSED: return rsw_reader_refused_(packet);
    default: break;
    }
    rsw_reader_close_fds_(packet);
    return rsw_reader_fail_(
        RSW_E_PROTOCOL, "the gateway sent a packet of kind %u, which clients never get; is this socket the swarm's?",
        packet->head.kind);
}

/* Nobody listens at `path`: not yet, not any more, or never. */
static inline int32_t rsw_reader_not_there_(const char *path)
{
    char lock[128], state = 0;
    const char *slash = strrchr(path, '/');
    unsigned pid = 0;
    uint64_t start_ticks;
    snprintf(lock, sizeof lock, "%.*slock", slash ? (int)(slash - path + 1) : 0, path);
    FILE *file = fopen(lock, "re");
    if (file != NULL) {
        if (fscanf(file, "%u", &pid) != 1)
            pid = 0;
        fclose(file);
    }
    if (pid != 0 && rsw_reader_process_(pid, &state, &start_ticks) == 0 && state != 'Z')
        return rsw_reader_fail_(RSW_E_STARTING, "the swarm at %s is not there yet (supervisor %u is): try again", path,
                                pid);
    if (pid != 0)
        return rsw_reader_fail_(
            RSW_E_DEAD, "the swarm at %s is dead (its supervisor was %u); start it again with `runtime up`", path, pid);
    if (access(path, F_OK) == 0)
        return rsw_reader_fail_(RSW_E_DEAD, "nobody listens at %s: its swarm is dead; `runtime up` starts one", path);
    return rsw_reader_fail_(RSW_E_NOT_FOUND, "no swarm at %s; start one with `runtime up`", path);
}

/* Connects to a public socket, or says which of the ways of not being there it is. */
static inline int32_t rsw_reader_dial_(const char *path, int *connected)
{
    struct stat file;
    struct sockaddr_un address;
    struct ucred peer;
    socklen_t peer_bytes = sizeof peer;
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    if (strlen(path) >= sizeof address.sun_path)
        return rsw_reader_fail_(RSW_E_ARGUMENT, "%.40s...: a socket's path has at most 107 bytes", path);
    memcpy(address.sun_path, path, strlen(path));
    if (stat(path, &file) != 0) {
        if (errno == EACCES)
            return rsw_reader_fail_(RSW_E_PERMISSION, "%s is in a folder of another user", path);
        return rsw_reader_not_there_(path);
    }
    if (file.st_uid != getuid())
        return rsw_reader_fail_(RSW_E_PERMISSION, "%s belongs to user %u; run as that user", path,
                                (unsigned)file.st_uid);
    /* A gateway that accepts nobody for a while is an error, not a wait. */
    int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (sock < 0)
        return rsw_reader_fail_(RSW_E_SYSTEM, "no socket: %s", strerror(errno));
    int refused = connect(sock, (const struct sockaddr *)&address, sizeof address);
    if (refused == 0 && getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &peer_bytes) == 0 && peer.uid == getuid()) {
        *connected = sock;
        return RSW_OK;
    }
    int why = errno;
    close(sock);
    if (refused == 0)
        return rsw_reader_fail_(RSW_E_PERMISSION, "%s is not held by this user; run as its owner", path);
    if (why == ECONNREFUSED || why == ENOENT)
        return rsw_reader_not_there_(path);
    if (why == EAGAIN || why == EINTR)
        return rsw_reader_fail_(RSW_E_LIMIT, "%s: too many wait for the gateway already; try again", path);
    return rsw_reader_fail_(why == EACCES ? RSW_E_PERMISSION : RSW_E_SYSTEM, "connect to %s: %s", path, strerror(why));
}

/* Without a gateway, a swarm whose kernel has stopped, or whose socket was inherited, is over; so is a plane without
 * any socket whose kernel has stopped. */
static inline void rsw_reader_end_if_over_(rsw_reader *reader)
{
    uint64_t state = rsw_reader_control_(reader->plane, offsetof(struct rsw_control_lines, state));
    reader->ended |= state == RSW_KERNEL_STOPPED || (reader->by_socket && reader->path[0] == 0);
}

/* Looks at the socket, and takes up what it brings; never waits. RSW_REATTACHED if the plane is another one. */
static inline int32_t rsw_reader_look_(rsw_reader *reader)
{
    struct rsw_reader_packet_ packet;
    int32_t changed = RSW_OK;
    for (int looks = 0; reader->socket >= 0; looks++) {
        int32_t status = looks < RSW_READER_PACKETS_MAX ? rsw_reader_receive_(reader->socket, &packet) : RSW_EMPTY;
        if (status == RSW_EMPTY)
            return changed;
        if (status < 0 && reader->path[0] == 0) {
            /* An inherited socket cannot be had again: what was lost with this packet, another welcome brings. */
            (void)rsw_reader_hello_(reader->socket);
            return status;
        }
        uint64_t retry_ns = rsw_reader_now_ns_();
        if (status == RSW_OK) {
            int refused = packet.head.kind == RSW_PACKET_REFUSED;
            status = rsw_reader_hear_(reader, &packet);
            changed = status == RSW_REATTACHED ? status : changed;
            if (!refused) {
                if (status < 0)
                    return status; /* The packet is consumed, and what we had still holds. */
                continue;
            }
            retry_ns += RSW_READER_RETRY_NS;
        }
        close(reader->socket);
        reader->socket = -1;
        reader->retry_ns = retry_ns;
        /* A gateway that has just begun: it will have room, and a plane. */
        if (status < 0 && status != RSW_E_LIMIT && status != RSW_E_STARTING)
            return status;
        break;
    }
    if (reader->path[0] != 0 && !reader->ended && rsw_reader_now_ns_() >= reader->retry_ns) {
        reader->retry_ns = rsw_reader_now_ns_() + RSW_READER_RETRY_NS;
        /* Whoever answers may be of another run, whose numbers begin anew. */
        reader->incarnation = reader->generation = 0;
        if (rsw_reader_dial_(reader->path, &reader->socket) == RSW_OK && rsw_reader_hello_(reader->socket) != RSW_OK) {
            close(reader->socket);
            reader->socket = -1;
        }
    }
    if (reader->socket < 0)
        rsw_reader_end_if_over_(reader);
    return changed;
}

/* The same, if nobody did in the last 10 ms. */
static inline int32_t rsw_reader_glance_(rsw_reader *reader)
{
    uint64_t now_ns = rsw_reader_now_ns_();
    if (now_ns - reader->looked_ns < RSW_READER_LOOK_NS)
        return RSW_OK;
    reader->looked_ns = now_ns;
    return rsw_reader_look_(reader);
}

static inline void rsw_reader_drop_(rsw_reader *reader)
{
    if (--reader->users > 0)
        return;
    if (reader->socket >= 0)
        close(reader->socket);
    rsw_reader_plane_drop_(reader->plane);
    free(reader);
}

static inline rsw_reader *rsw_reader_new_(void)
{
    rsw_reader *reader = (rsw_reader *)calloc(1, sizeof *reader);
    if (reader == NULL)
        return NULL;
    reader->users = 1;
    reader->socket = -1;
    reader->strategy = RSW_WAIT_HYBRID;
    reader->spin_ns = RSW_READER_SPIN_NS;
    return reader;
}

/* Says hello on a connected socket and waits for the welcome. The socket is the reader's from here on. */
static inline int32_t rsw_reader_attach_(int sock, const char *path, uint32_t timeout_ms, rsw_reader **opened)
{
    rsw_reader *reader = rsw_reader_new_();
    struct rsw_reader_packet_ packet;
    if (reader == NULL) {
        close(sock);
        return rsw_reader_fail_(RSW_E_SYSTEM, "no memory for a reader");
    }
    reader->socket = sock;
    reader->by_socket = 1;
    memcpy(reader->path, path, strlen(path));
    timeout_ms = timeout_ms ? timeout_ms : RSW_CONNECT_TIMEOUT_MS;
    uint64_t deadline_ns = rsw_reader_now_ns_() + UINT64_C(1000000) * timeout_ms;
    int32_t status = rsw_reader_hello_(sock);
    while (status == RSW_OK && reader->plane == NULL) {
        status = rsw_reader_now_ns_() < deadline_ns ? rsw_reader_receive_(sock, &packet) : RSW_EMPTY;
        if (status == RSW_OK) {
            status = rsw_reader_hear_(reader, &packet);
            status = status > 0 ? RSW_OK : status;
        } else if (status == RSW_ENDED) {
            status = rsw_reader_fail_(RSW_E_DEAD,
                                      "the gateway closed the socket before it said welcome; see `runtime status`");
        } else if (status == RSW_EMPTY) {
            struct pollfd readable = {sock, POLLIN, 0};
            uint64_t now_ns = rsw_reader_now_ns_();
            status = RSW_OK;
            if (now_ns >= deadline_ns)
                status = rsw_reader_fail_(RSW_E_TIMEOUT,
                                          "no welcome from the gateway within %u ms; see `runtime status` and `runtime "
                                          "logs gateway`",
                                          timeout_ms);
            else
                (void)poll(&readable, 1,
                           now_ns + 1000000000 < deadline_ns ? 1000 : (int)((deadline_ns - now_ns) / 1000000 + 1));
        }
    }
    if (status != RSW_OK) {
        rsw_reader_drop_(reader);
        return status;
    }
    *opened = reader;
    return RSW_OK;
}

/* The number in a run directory's name, of a project and a folder: FNV-1a, 48 bits of it. */
static inline uint64_t rsw_reader_hash_(const char *name, size_t name_bytes, const char *folder)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t at = 0; at < name_bytes; at++)
        hash = (hash ^ (unsigned char)name[at]) * UINT64_C(0x100000001b3);
    hash *= UINT64_C(0x100000001b3); /* A zero between the two. */
    for (; *folder; folder++)
        hash = (hash ^ (unsigned char)*folder) * UINT64_C(0x100000001b3);
    return hash & UINT64_C(0xffffffffffff);
}

/* The socket of the one swarm that runs in the working folder, as rsw_connect finds it. */
static inline int32_t rsw_reader_find_socket_(char *path, size_t path_bytes)
{
    char folder[4096], base[96];
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    struct stat found;
    unsigned swarms = 0;
    if (getcwd(folder, sizeof folder) == NULL)
        return rsw_reader_fail_(RSW_E_NOT_FOUND, "the working folder: %s", strerror(errno));
    int fits = runtime && *runtime && stat(runtime, &found) == 0 && S_ISDIR(found.st_mode)
                   ? snprintf(base, sizeof base, "%s/rsw", runtime)
                   : snprintf(base, sizeof base, "/tmp/rsw-%u", (unsigned)getuid());
    DIR *entries = fits < (int)sizeof base ? opendir(base) : NULL;
    for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
        const char *dash = strrchr(entry->d_name, '-');
        char number[16];
        if (dash == NULL || dash - entry->d_name > 24)
            continue;
        snprintf(number, sizeof number, "%012llx",
                 (unsigned long long)rsw_reader_hash_(entry->d_name, (size_t)(dash - entry->d_name), folder));
        if (strcmp(dash + 1, number) != 0)
            continue;
        swarms++;
        fits = snprintf(path, path_bytes, "%s/%s/swarm.sock", base, entry->d_name);
    }
    if (entries != NULL)
        closedir(entries);
    if (swarms == 1 && fits < (int)path_bytes)
        return RSW_OK;
    if (swarms > 1)
        return rsw_reader_fail_(RSW_E_ARGUMENT, "%u swarms run in %s; say which socket", swarms, folder);
    return rsw_reader_fail_(RSW_E_NOT_FOUND, "no swarm runs in %s; start one there with `runtime up`", folder);
}

#endif /* RSW_LINK_H */

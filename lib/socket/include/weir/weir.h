/* Weir: a TCP and UDP stack in user space, for C and whatever can call C.
 *
 * A weir_stack is one host: addresses, sockets, connections, timers. It has no thread, reads no
 * clock, opens no device and knows no global: packets and time are arguments. Any number of stacks
 * live in one process. The calls of one stack are not safe to be made from two threads at once;
 * those of different stacks are independent.
 *
 *   weir_stack *s = weir_stack_create(&config, error, sizeof error);
 *   weir_stack_input(s, packet, length, now);            a packet that came
 *   weir_stack_advance(s, now);                          the timers that are due
 *   while (weir_stack_output(s, buf, sizeof buf, &len, &when) == 1) send(buf, len);
 *   uint64_t then = weir_stack_next_deadline(s);         nothing happens before, without a packet
 *
 * Sockets are those of POSIX with the stack in front, and Linux's in what they return. No call ever
 * waits: what would block returns -1 with EAGAIN (connect: EINPROGRESS), whether O_NONBLOCK is set
 * or not. A caller that wants blocking calls waits for weir_stack_on_ready's callback and asks
 * again; O_NONBLOCK, SO_RCVTIMEO and SO_SNDTIMEO are kept for it. Errors: -1 and errno, to the
 * number as Linux has them. Constants and structures are the system's (SOL_SOCKET, struct msghdr,
 * struct tcp_info of <linux/tcp.h>).
 *
 * Time is microseconds on a clock of the caller's that never goes back. */
#ifndef WEIR_WEIR_H
#define WEIR_WEIR_H
/* clang-format off */
/* NOLINTBEGIN(modernize-*,readability-identifier-naming): as C is written */

#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define WEIR_API __attribute__((visibility("default")))
#else
#define WEIR_API
#endif

/* Raised when a program built with an older header would misread this one. */
#define WEIR_API_VERSION 1

/* "0.1.0": of the library, not of this header. */
WEIR_API const char *weir_version(void);

typedef struct weir_stack weir_stack;

#define WEIR_NEVER UINT64_MAX /* of a time: not at all */

/* -- Making a stack --------------------------------------------------------------------------- */

enum weir_link {
  WEIR_LINK_IP = 0,      /* packets begin with an IPv4 or IPv6 header; neighbours are not asked */
  WEIR_LINK_ETHERNET = 1 /* frames, not padded; ARP and neighbour discovery are the stack's */
};

/* One knob by its name and its value as text: {"syn_retries", "6"}, {"fin_timeout", "60s"}. Names
 * are those of the [tcp] table and of Linux's sysctls. Times take a unit (us, ms, s, m, h), or none:
 * then the unit of the table. weir_setting_name lists them. */
struct weir_setting {
  const char *name;
  const char *value;
};

struct weir_config {
  uint32_t api_version;         /* WEIR_API_VERSION */
  uint32_t link;                /* enum weir_link */
  uint32_t mtu;                 /* octets of IP packet, 576 (1280 with IPv6) to 65535 */
  uint8_t mac[6];               /* WEIR_LINK_ETHERNET: unicast, not zero */
  uint8_t reserved[2];          /* zero */
  uint64_t seed;                /* of every secret and random choice: the same seed, the same stack */
  uint64_t now;                 /* microseconds */
  const char *const *addresses; /* "192.0.2.1/24", "2001:db8::1/64" */
  size_t address_count;
  const char *gateway;   /* of IPv4; NULL: none. WEIR_LINK_IP needs none: all packets go out */
  const char *gateway6;  /* of IPv6 */
  uint32_t max_connections; /* of all states but half-open and TIME-WAIT */
  uint32_t max_sockets;     /* descriptors at one time; beyond them EMFILE */
  uint32_t first_descriptor; /* the lowest number a socket gets */
  uint32_t max_packet_buffers; /* 2 KiB each, for all that is queued; beyond them ENOBUFS or a drop */
  uint32_t raise_sigpipe;    /* 1: EPIPE raises SIGPIPE in the calling thread, unless MSG_NOSIGNAL */
  uint32_t dad_transmits;    /* WEIR_LINK_ETHERNET: probes of an IPv6 address before it is used */
  const struct weir_setting *settings; /* in this order; later ones win */
  size_t setting_count;
};

/* Defaults: WEIR_LINK_IP, MTU 1500, seed 0 (predictable: draw one where others may attack), 1,024
 * connections, 1,024 sockets from descriptor 3 on, 16,384 packet buffers, no signal, no setting. */
WEIR_API void weir_config_init(struct weir_config *config);

/* NULL when `config` is wrong or memory is short: errno is EINVAL or ENOMEM, and `error` (if not
 * NULL) holds one line that names key, value, what is allowed and the cure. */
WEIR_API weir_stack *weir_stack_create(const struct weir_config *config, char *error,
                                       size_t error_size);

/* Frees everything; nothing is sent. To reset what is open first: weir_stack_reset_all. */
WEIR_API void weir_stack_destroy(weir_stack *stack);

/* A RST for every connection, to be taken out by weir_stack_output; every socket then has
 * ECONNRESET... as if its peer had done it. */
WEIR_API void weir_stack_reset_all(weir_stack *stack);

/* Changes a knob while the stack runs, for all connections that have no setting of their own. 0, or
 * -1: EINVAL (unknown, or out of range), EBUSY (only when a stack is made), and a line in `error`. */
WEIR_API int weir_stack_set(weir_stack *stack, const char *name, const char *value, char *error,
                            size_t error_size);
/* The value as text that weir_stack_set takes. Octets written without the zero, or -1: EINVAL,
 * ERANGE. */
WEIR_API int weir_stack_get(const weir_stack *stack, const char *name, char *value, size_t size);
/* The name of knob `index`, from 0; NULL beyond the last. */
WEIR_API const char *weir_setting_name(size_t index);

/* -- Packets and time ------------------------------------------------------------------------- */

/* One packet, or frame, by config.link; copied. Time advances to `now` first. 0; -1: EINVAL (`now`
 * is before the stack's, `length` is 0 or beyond 65,549), ENOBUFS (dropped and counted). What is
 * wrong with the packet itself is the network's fault: dropped and counted, 0. */
WEIR_API int weir_stack_input(weir_stack *stack, const void *packet, size_t length, uint64_t now);

/* The next packet out, in the order sent, and when. 1, or 0 when there is none; -1 with EMSGSIZE
 * when `capacity` is below *length, and the packet stays. `when` may be NULL. */
WEIR_API int weir_stack_output(weir_stack *stack, void *packet, size_t capacity, size_t *length,
                               uint64_t *when);

/* The same in the other form than config.link: with IP packets for a stack of Ethernet frames, or
 * the reverse. The link header that this adds names config.mac and a fixed peer, 02:00:00:00:00:01. */
WEIR_API int weir_stack_input_ethernet(weir_stack *stack, const void *frame, size_t length,
                                       uint64_t now);
WEIR_API int weir_stack_output_ethernet(weir_stack *stack, void *frame, size_t capacity,
                                        size_t *length, uint64_t *when);

/* Every timer due up to `now`, in the order of their deadlines, each at its own deadline. 0; -1:
 * EINVAL when `now` is before the stack's. */
WEIR_API int weir_stack_advance(weir_stack *stack, uint64_t now);
/* Without a packet or a call nothing happens before; WEIR_NEVER when nothing is to come. */
WEIR_API uint64_t weir_stack_next_deadline(const weir_stack *stack);
WEIR_API uint64_t weir_stack_now(const weir_stack *stack);

/* `ready` is called from within input, advance and the calls of other sockets, when a socket gets
 * readier than it was: `events` holds EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLERR, EPOLLHUP, EPOLLRDHUP
 * as they are now. It may not call the stack: it is there to wake somebody up. NULL: nobody. */
typedef void weir_ready_fn(void *context, int fd, uint32_t events);
WEIR_API void weir_stack_on_ready(weir_stack *stack, weir_ready_fn *ready, void *context);

/* -- Sockets: AF_INET, AF_INET6; SOCK_STREAM, SOCK_DGRAM -------------------------------------- */

/* `type` may hold SOCK_NONBLOCK and SOCK_CLOEXEC. EAFNOSUPPORT, EPROTONOSUPPORT, ESOCKTNOSUPPORT,
 * EMFILE, EINVAL. */
WEIR_API int weir_socket(weir_stack *stack, int domain, int type, int protocol);
WEIR_API int weir_bind(weir_stack *stack, int fd, const struct sockaddr *addr, socklen_t length);
/* `backlog` + 1 connections may wait for accept, as on Linux, somaxconn at most (below 0: these). */
WEIR_API int weir_listen(weir_stack *stack, int fd, int backlog);
WEIR_API int weir_accept4(weir_stack *stack, int fd, struct sockaddr *addr, socklen_t *length,
                          int flags);
WEIR_API int weir_accept(weir_stack *stack, int fd, struct sockaddr *addr, socklen_t *length);
/* EINPROGRESS at first; EALREADY while it goes on; 0 once, when it has succeeded; then EISCONN. An
 * ICMP error that net or host is unreachable does not end it at once, as on Linux: the SYN is sent
 * again, and that error is told when all were in vain (RFC 9293 MUST-56). */
WEIR_API int weir_connect(weir_stack *stack, int fd, const struct sockaddr *addr, socklen_t length);

WEIR_API ssize_t weir_read(weir_stack *stack, int fd, void *buf, size_t count);
WEIR_API ssize_t weir_readv(weir_stack *stack, int fd, const struct iovec *iov, int count);
/* MSG_PEEK, MSG_DONTWAIT, MSG_TRUNC, MSG_WAITALL, MSG_OOB (EINVAL: urgent text is in line). With
 * MSG_WAITALL a socket without O_NONBLOCK gives EAGAIN until all is there (or a
 * quarter of SO_RCVBUF), or no more can come. */
WEIR_API ssize_t weir_recv(weir_stack *stack, int fd, void *buf, size_t count, int flags);
WEIR_API ssize_t weir_recvfrom(weir_stack *stack, int fd, void *buf, size_t count, int flags,
                               struct sockaddr *addr, socklen_t *length);
WEIR_API ssize_t weir_recvmsg(weir_stack *stack, int fd, struct msghdr *message, int flags);
WEIR_API ssize_t weir_write(weir_stack *stack, int fd, const void *buf, size_t count);
WEIR_API ssize_t weir_writev(weir_stack *stack, int fd, const struct iovec *iov, int count);
/* MSG_MORE (of datagrams too: several calls make one), MSG_NOSIGNAL, MSG_DONTWAIT, MSG_EOR, MSG_OOB
 * (urgent text). */
WEIR_API ssize_t weir_send(weir_stack *stack, int fd, const void *buf, size_t count, int flags);
WEIR_API ssize_t weir_sendto(weir_stack *stack, int fd, const void *buf, size_t count, int flags,
                             const struct sockaddr *addr, socklen_t length);
/* Control messages of datagrams: IP_TTL, IP_TOS, IP_PKTINFO, IPV6_HOPLIMIT, IPV6_TCLASS, IPV6_PKTINFO
 * (the source address; interfaces are not told apart); else EINVAL. */
WEIR_API ssize_t weir_sendmsg(weir_stack *stack, int fd, const struct msghdr *message, int flags);
/* From the kernel's descriptor `in_fd`, as sendfile(2). */
WEIR_API ssize_t weir_sendfile(weir_stack *stack, int fd, int in_fd, off_t *offset, size_t count);

WEIR_API int weir_shutdown(weir_stack *stack, int fd, int how);
WEIR_API int weir_close(weir_stack *stack, int fd);
WEIR_API int weir_getsockname(weir_stack *stack, int fd, struct sockaddr *addr, socklen_t *length);
WEIR_API int weir_getpeername(weir_stack *stack, int fd, struct sockaddr *addr, socklen_t *length);
WEIR_API int weir_getsockopt(weir_stack *stack, int fd, int level, int name, void *value,
                             socklen_t *length);
WEIR_API int weir_setsockopt(weir_stack *stack, int fd, int level, int name, const void *value,
                             socklen_t length);
/* F_GETFL, F_SETFL (O_NONBLOCK), F_GETFD, F_SETFD (FD_CLOEXEC); else EINVAL. */
WEIR_API int weir_fcntl(weir_stack *stack, int fd, int command, int argument);
/* SIOCINQ (FIONREAD), SIOCOUTQ (TIOCOUTQ), SIOCOUTQNSD, SIOCATMARK, FIONBIO; else ENOTTY. */
WEIR_API int weir_ioctl(weir_stack *stack, int fd, unsigned long request, void *argument);

/* -- Readiness: as the calls of those names, without their time-outs --------------------------- */

WEIR_API int weir_poll(weir_stack *stack, struct pollfd *fds, nfds_t count);
WEIR_API int weir_select(weir_stack *stack, int count, fd_set *read, fd_set *write, fd_set *except);
/* Level, EPOLLET, EPOLLONESHOT, EPOLLRDHUP, EPOLLEXCLUSIVE. An epoll descriptor is one of the
 * stack's, closed by weir_close, and may be watched itself. */
WEIR_API int weir_epoll_create1(weir_stack *stack, int flags);
WEIR_API int weir_epoll_ctl(weir_stack *stack, int epfd, int op, int fd, struct epoll_event *event);
WEIR_API int weir_epoll_wait(weir_stack *stack, int epfd, struct epoll_event *events, int count);
/* What poll would say of one socket: EPOLL* bits; POLLNVAL for none. */
WEIR_API uint32_t weir_ready(weir_stack *stack, int fd);

/* -- Control: what an `ss` shows ---------------------------------------------------------------- */

enum weir_timer { /* as in Linux's inet_diag */
  WEIR_TIMER_OFF = 0,
  WEIR_TIMER_ON = 1, /* retransmission, tail loss probe, reordering */
  WEIR_TIMER_KEEPALIVE = 2,
  WEIR_TIMER_TIMEWAIT = 3,
  WEIR_TIMER_PERSIST = 4
};

struct weir_socket_info {
  int32_t fd;       /* -1: no socket has it (closed by its program, half open, TIME-WAIT) */
  uint8_t family;   /* AF_INET, AF_INET6 */
  uint8_t type;     /* SOCK_STREAM, SOCK_DGRAM */
  uint8_t state;    /* TCP_ESTABLISHED ... as in <netinet/tcp.h> */
  uint8_t timer;    /* enum weir_timer */
  uint32_t receive_queue; /* octets not read; of a listener: connections that wait for accept */
  uint32_t send_queue;    /* octets not acknowledged; of a listener: its backlog */
  uint32_t not_sent;      /* of them, not sent yet */
  uint32_t retransmits;   /* of the timer, so far */
  uint64_t timer_us;      /* until it is due */
  uint64_t user;          /* what weir_set_user stored for the socket: its owner */
  struct sockaddr_storage local, peer;
};

/* Fills `out` with up to `count` of all sockets and connections, from *cursor on (0 at first), and
 * moves it. How many were written; 0 at the end. What comes or goes meanwhile may be missed. */
WEIR_API size_t weir_stack_sockets(const weir_stack *stack, uint64_t *cursor,
                                   struct weir_socket_info *out, size_t count);
WEIR_API int weir_set_user(weir_stack *stack, int fd, uint64_t user);
/* A counter by its name in the statistics ("in_segs", "drop_out_of_window"); -1 and EINVAL. */
WEIR_API int weir_stack_counter(const weir_stack *stack, const char *name, uint64_t *value);
WEIR_API const char *weir_counter_name(size_t index); /* NULL beyond the last */

#ifdef __cplusplus
}
#endif
/* NOLINTEND(modernize-*,readability-identifier-naming) */
/* clang-format on */
#endif /* WEIR_WEIR_H */

/* What a player of packet scripts wants of a stack under test: the calls of sockets, raw IP packets
 * both ways, and a clock. The layout is the one that players who load a shared object have agreed
 * on (packetdrill's, under the flag --so_filename): each call gets `userdata` first.
 *
 * script_player.c fills it from weir.h: with blocking calls, in virtual time. */
#ifndef WEIR_EXAMPLES_SCRIPT_PLAYER_H
#define WEIR_EXAMPLES_SCRIPT_PLAYER_H

#include <sys/time.h>
#include <unistd.h>
#include <weir/weir.h>

#ifdef __cplusplus
extern "C" {
#endif

struct script_player {
  void* userdata;
  void (*free)(void*);
  int (*socket)(void*, int domain, int type, int protocol);
  int (*bind)(void*, int fd, const struct sockaddr* addr, socklen_t length);
  int (*listen)(void*, int fd, int backlog);
  int (*accept)(void*, int fd, struct sockaddr* addr, socklen_t* length);
  int (*connect)(void*, int fd, const struct sockaddr* addr, socklen_t length);
  ssize_t (*read)(void*, int fd, void* buf, size_t count);
  ssize_t (*readv)(void*, int fd, const struct iovec* iov, int count);
  ssize_t (*recv)(void*, int fd, void* buf, size_t count, int flags);
  ssize_t (*recvfrom)(void*, int fd, void* buf, size_t count, int flags, struct sockaddr* addr,
                      socklen_t* length);
  ssize_t (*recvmsg)(void*, int fd, struct msghdr* message, int flags);
  ssize_t (*write)(void*, int fd, const void* buf, size_t count);
  ssize_t (*writev)(void*, int fd, const struct iovec* iov, int count);
  ssize_t (*send)(void*, int fd, const void* buf, size_t count, int flags);
  ssize_t (*sendto)(void*, int fd, const void* buf, size_t count, int flags,
                    const struct sockaddr* addr, socklen_t length);
  ssize_t (*sendmsg)(void*, int fd, const struct msghdr* message, int flags);
  int (*fcntl)(void*, int fd, int command, ...);
  int (*ioctl)(void*, int fd, unsigned long request, ...);
  int (*close)(void*, int fd);
  int (*shutdown)(void*, int fd, int how);
  int (*getsockopt)(void*, int fd, int level, int name, void* value, socklen_t* length);
  int (*setsockopt)(void*, int fd, int level, int name, const void* value, socklen_t length);
  int (*poll)(void*, struct pollfd* fds, nfds_t count, int milliseconds);
  /* One IP packet to the stack: 0, or -1. */
  int (*netdev_send)(void*, const void* packet, size_t length);
  /* The next IP packet of the stack: 0; -1 and *length 0 when none is to come. */
  int (*netdev_receive)(void*, void* packet, size_t* length, long long* microseconds);
  int (*usleep)(void*, useconds_t microseconds);
  int (*gettimeofday)(void*, struct timeval* tv, struct timezone* tz);
  int (*epoll_create)(void*, int size);
  int (*epoll_ctl)(void*, int epfd, int op, int fd, struct epoll_event* event);
  int (*epoll_wait)(void*, int epfd, struct epoll_event* events, int count, int milliseconds);
  int (*pipe)(void*, int fds[2]);
  ssize_t (*splice)(void*, int in, off_t* in_at, int out, off_t* out_at, size_t count,
                    unsigned flags);
};

/* `flags`: "key=value,key=value": ip (192.168.0.1/16, may come again), mtu, seed, and every setting
 * of weir_setting_name. NULL and "" are none. On a mistake it says so on stderr and exits. */
WEIR_API void packetdrill_interface_init(const char* flags, struct script_player* player);

#ifdef __cplusplus
}
#endif
#endif

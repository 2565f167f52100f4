// The calls of <weir/weir.h> as one table, so that a program can be run on the kernel's sockets and
// on a weir_stack without knowing which. What they return is -1 and errno, as ever.
#pragma once

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <string>

namespace weir::differential {

class Sockets {
 public:
  virtual ~Sockets() = default;

  virtual int socket(int domain, int type, int protocol) = 0;
  virtual int bind(int fd, const sockaddr* addr, socklen_t length) = 0;
  virtual int listen(int fd, int backlog) = 0;
  virtual int accept4(int fd, sockaddr* addr, socklen_t* length, int flags) = 0;
  virtual int connect(int fd, const sockaddr* addr, socklen_t length) = 0;
  virtual ssize_t read(int fd, void* buf, size_t n) = 0;
  virtual ssize_t readv(int fd, const iovec* iov, int n) = 0;
  virtual ssize_t recv(int fd, void* buf, size_t n, int flags) = 0;
  virtual ssize_t recvfrom(int fd, void* buf, size_t n, int flags, sockaddr* addr,
                           socklen_t* length) = 0;
  virtual ssize_t recvmsg(int fd, msghdr* m, int flags) = 0;
  virtual ssize_t write(int fd, const void* buf, size_t n) = 0;
  virtual ssize_t writev(int fd, const iovec* iov, int n) = 0;
  virtual ssize_t send(int fd, const void* buf, size_t n, int flags) = 0;
  virtual ssize_t sendto(int fd, const void* buf, size_t n, int flags, const sockaddr* addr,
                         socklen_t length) = 0;
  virtual ssize_t sendmsg(int fd, const msghdr* m, int flags) = 0;
  virtual int shutdown(int fd, int how) = 0;
  virtual int close(int fd) = 0;
  virtual int getsockname(int fd, sockaddr* addr, socklen_t* length) = 0;
  virtual int getpeername(int fd, sockaddr* addr, socklen_t* length) = 0;
  virtual int getsockopt(int fd, int level, int name, void* value, socklen_t* length) = 0;
  virtual int setsockopt(int fd, int level, int name, const void* value, socklen_t length) = 0;
  virtual int fcntl(int fd, int command, int argument) = 0;
  virtual int ioctl(int fd, unsigned long request, void* argument) = 0;
  virtual int poll(pollfd* fds, nfds_t n) = 0;
  virtual int select(int n, fd_set* read, fd_set* write, fd_set* except) = 0;
  virtual int epoll_create1(int flags) = 0;
  virtual int epoll_ctl(int epfd, int op, int fd, epoll_event* event) = 0;
  virtual int epoll_wait(int epfd, epoll_event* events, int n) = 0;

  // So much time passes.
  virtual void pass(std::uint64_t us) = 0;
  // This host's own address: the text of it, of one family or the other.
  [[nodiscard]] virtual std::string self(int family) const = 0;
};

// The kernel's, over its loopback. Nonblocking sockets only: nothing here waits.
std::unique_ptr<Sockets> kernel_sockets();
// One weir_stack that talks to itself, in virtual time.
std::unique_ptr<Sockets> weir_sockets(std::uint64_t seed, std::uint32_t mtu);

// A network namespace of this process's own, with its loopback up, where that is allowed: false
// when not, and the machine's loopback is used.
bool own_namespace();
[[nodiscard]] bool has_ipv6();
[[nodiscard]] std::uint32_t loopback_mtu();

}  // namespace weir::differential

#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstring>

#include "sockets.h"

namespace weir::differential {
namespace {

class Kernel final : public Sockets {
 public:
  int socket(int domain, int type, int protocol) override {
    return ::socket(domain, type, protocol);
  }
  int bind(int fd, const sockaddr* a, socklen_t n) override { return ::bind(fd, a, n); }
  int listen(int fd, int backlog) override { return ::listen(fd, backlog); }
  int accept4(int fd, sockaddr* a, socklen_t* n, int flags) override {
    return ::accept4(fd, a, n, flags);
  }
  int connect(int fd, const sockaddr* a, socklen_t n) override { return ::connect(fd, a, n); }
  ssize_t read(int fd, void* b, size_t n) override { return ::read(fd, b, n); }
  ssize_t readv(int fd, const iovec* v, int n) override { return ::readv(fd, v, n); }
  ssize_t recv(int fd, void* b, size_t n, int flags) override { return ::recv(fd, b, n, flags); }
  ssize_t recvfrom(int fd, void* b, size_t n, int flags, sockaddr* a, socklen_t* l) override {
    return ::recvfrom(fd, b, n, flags, a, l);
  }
  ssize_t recvmsg(int fd, msghdr* m, int flags) override { return ::recvmsg(fd, m, flags); }
  ssize_t write(int fd, const void* b, size_t n) override { return ::write(fd, b, n); }
  ssize_t writev(int fd, const iovec* v, int n) override { return ::writev(fd, v, n); }
  ssize_t send(int fd, const void* b, size_t n, int flags) override {
    return ::send(fd, b, n, flags);
  }
  ssize_t sendto(int fd, const void* b, size_t n, int flags, const sockaddr* a,
                 socklen_t l) override {
    return ::sendto(fd, b, n, flags, a, l);
  }
  ssize_t sendmsg(int fd, const msghdr* m, int flags) override { return ::sendmsg(fd, m, flags); }
  int shutdown(int fd, int how) override { return ::shutdown(fd, how); }
  int close(int fd) override { return ::close(fd); }
  int getsockname(int fd, sockaddr* a, socklen_t* n) override { return ::getsockname(fd, a, n); }
  int getpeername(int fd, sockaddr* a, socklen_t* n) override { return ::getpeername(fd, a, n); }
  int getsockopt(int fd, int level, int name, void* v, socklen_t* n) override {
    return ::getsockopt(fd, level, name, v, n);
  }
  int setsockopt(int fd, int level, int name, const void* v, socklen_t n) override {
    return ::setsockopt(fd, level, name, v, n);
  }
  int fcntl(int fd, int command, int argument) override { return ::fcntl(fd, command, argument); }
  int ioctl(int fd, unsigned long request, void* a) override { return ::ioctl(fd, request, a); }
  int poll(pollfd* fds, nfds_t n) override { return ::poll(fds, n, 0); }
  int select(int n, fd_set* r, fd_set* w, fd_set* x) override {
    timeval none{};
    return ::select(n, r, w, x, &none);
  }
  int epoll_create1(int flags) override { return ::epoll_create1(flags); }
  int epoll_ctl(int ep, int op, int fd, epoll_event* e) override {
    return ::epoll_ctl(ep, op, fd, e);
  }
  int epoll_wait(int ep, epoll_event* e, int n) override { return ::epoll_wait(ep, e, n, 0); }

  void pass(std::uint64_t us) override { ::usleep(static_cast<useconds_t>(us)); }
  [[nodiscard]] std::string self(int family) const override {
    return family == AF_INET6 ? "::1" : "127.0.0.1";
  }
};

// The flags of `lo`, or its MTU.
bool ask_loopback(unsigned long request, ifreq& r) {
  const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
  if (fd < 0) return false;
  std::strncpy(r.ifr_name, "lo", IFNAMSIZ - 1);
  const bool ok = ::ioctl(fd, request, &r) == 0;
  ::close(fd);
  return ok;
}

}  // namespace

std::unique_ptr<Sockets> kernel_sockets() {
  return std::make_unique<Kernel>();
}

bool own_namespace() {
  if (::unshare(CLONE_NEWNET) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return false;
  ifreq r{};
  if (!ask_loopback(SIOCGIFFLAGS, r)) return false;
  r.ifr_flags = static_cast<short>(r.ifr_flags | IFF_UP | IFF_RUNNING);
  return ask_loopback(SIOCSIFFLAGS, r);
}

bool has_ipv6() {
  const int fd = ::socket(AF_INET6, SOCK_STREAM, 0);
  if (fd < 0) return false;
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  in.sin6_addr = in6addr_loopback;
  const bool ok = ::bind(fd, reinterpret_cast<const sockaddr*>(&in), sizeof in) == 0;
  ::close(fd);
  return ok;
}

std::uint32_t loopback_mtu() {
  ifreq r{};
  return ask_loopback(SIOCGIFMTU, r) ? static_cast<std::uint32_t>(r.ifr_mtu) : 65'536;
}

}  // namespace weir::differential

// Listeners: each connection that the stack accepts goes through the gate with its stand-in, to the
// process that takes it first.
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

#include "preload/host.h"

namespace weir::preload {
namespace {

constexpr int kGateBuffer = 32'768;  // some dozens of connections wait there; the rest in the stack
constexpr std::array<std::byte, 2'048> kPadding{};
constexpr std::size_t kReserved = 32;  // descriptors, for all but connections

bool is_wildcard(const sockaddr_storage& address) {
  const ShortAddress a = shorten(address);
  return a.octets == decltype(a.octets){};
}

bool has_room(int fd) {
  pollfd p{fd, POLLOUT, 0};
  return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0;
}

// A listener is never writable: the program's end is filled with what nobody reads.
bool fill(int theirs) {
  const int least = 0;
  return setsockopt(theirs, SOL_SOCKET, SO_SNDBUF, &least, sizeof least) == 0 &&
         send(theirs, kPadding.data(), kPadding.size(), MSG_DONTWAIT) > 0;
}

}  // namespace

// The process's limit counts in the thread's table too. What asks at the door is to be answered
// yet.
bool Host::descriptors_left() const {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) != 0 || lines_.size() + kReserved < limit.rlim_cur;
}

bool Host::gate(Line& line, int& theirs) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) return false;
  theirs = ends[1];
  Name name;
  name.stack = token_;
  name.id = line.id;
  name.kind = Kind::kGate;
  name.local = shorten(line.bound);
  sockaddr_storage address;
  const socklen_t length = write_name(name, address);
  (void)setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &kGateBuffer, sizeof kGateBuffer);
  epoll_event e{EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {&line}};
  if (bind(theirs, reinterpret_cast<const sockaddr*>(&address), length) != 0 || !fill(theirs) ||
      epoll_ctl(epoll_, EPOLL_CTL_ADD, ends[0], &e) != 0) {
    const int why = errno;
    close(ends[0]);
    close(std::exchange(theirs, -1));
    errno = why;
    return false;
  }
  line.what = Line::What::kGate;
  line.fd = ends[0];
  queue(line);
  return true;
}

// Whether a listener on every address could be there: its port was drawn by the stack.
bool Host::free_in_kernel(const sockaddr_storage& address, socklen_t length) {
  if (!is_wildcard(address)) return true;
  const int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return true;
  const int on = 1;
  (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const bool good = bind(fd, reinterpret_cast<const sockaddr*>(&address), length) == 0;
  close(fd);
  return good;
}

// A program that listens on every address has those of the kernel too: the kernel's connections
// come through the same gate, as they are.
bool Host::listen_in_kernel(Line& line, int backlog) {
  if (!is_wildcard(line.bound)) return true;
  const int fd = socket(line.bound.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  const int on = 1;
  int v6only = 0;
  socklen_t size = sizeof v6only;
  (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  if (line.bound.ss_family == AF_INET6 &&
      weir_getsockopt(stack_, line.weir, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, &size) == 0) {
    (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only);
  }
  Line* kernel = nullptr;
  if (bind(fd, reinterpret_cast<const sockaddr*>(&line.bound), line.bound_length) == 0 &&
      listen(fd, backlog) == 0) {
    kernel = add(Line::What::kKernel, fd, EPOLLIN | EPOLLET);
  }
  if (kernel == nullptr) {
    const int why = errno;
    close(fd);
    errno = why;
    return false;
  }
  kernel->gate = &line;
  line.kernel_line = kernel;
  return true;
}

bool Host::hand_over(Line& gate, int fd, const ShortAddress& peer) {
  const Arrival arrival{peer};
  const bool sent = send_with(gate.fd, &arrival, sizeof arrival, fd);
  const int why = errno;
  close(fd);
  errno = why;
  return sent;
}

void Host::pass_on(Line& line) {
  if (line.program_gone) {
    if (line.kernel_line != nullptr) forget(*std::exchange(line.kernel_line, nullptr));
    close_socket(line, false);
    return forget(line);
  }
  for (;;) {
    if (!has_room(line.fd)) return;  // what is accepted has to go through
    if (!descriptors_left()) return starve(line);
    sockaddr_storage peer{};
    socklen_t length = sizeof peer;
    const int weir =
        weir_accept4(stack_, line.weir, reinterpret_cast<sockaddr*>(&peer), &length, 0);
    if (weir < 0) break;
    Line* const made = opened(weir);
    int theirs = -1;
    Name name = name_of(*made);
    name.peer = shorten(peer);
    if (!relay(*made, theirs, name, false) || !hand_over(line, theirs, name.peer)) {
      close_socket(*made, true);
      forget(*made);
    }
  }
  pass_on_kernels(line);
}

void Host::pass_on_kernels(Line& line) {
  while (line.kernel_line != nullptr) {
    if (!has_room(line.fd)) return;
    if (!descriptors_left()) return starve(line);
    sockaddr_storage peer{};
    socklen_t length = sizeof peer;
    const int fd =
        accept4(line.kernel_line->fd, reinterpret_cast<sockaddr*>(&peer), &length, SOCK_CLOEXEC);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE)) return starve(line);
    if (fd < 0) return;
    (void)hand_over(line, fd, shorten(peer));
  }
}

}  // namespace weir::preload

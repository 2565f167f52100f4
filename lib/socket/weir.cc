// The functions of weir.h: pointers are looked at, descriptors found, errnos set; what they do is
// elsewhere.
#include "socket/include/weir/weir.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <memory>
#include <new>
#include <string>

#include "socket/calls.h"
#include "socket/names.h"
#include "socket/options.h"
#include "socket/setup.h"
#include "socket/tcp_socket.h"

namespace {

using namespace weir;         // NOLINT(google-build-using-namespace): C names none
using namespace weir::posix;  // NOLINT(google-build-using-namespace): C names none

constexpr const char* kVersion = "0.1.0";

Instant instant(std::uint64_t us) {
  constexpr std::uint64_t kLatest = std::uint64_t{1} << 62U;
  return Instant(Duration(static_cast<Duration::rep>(std::min(us, kLatest))));
}

std::uint64_t microseconds(Instant t) {
  return t == kNever ? WEIR_NEVER : static_cast<std::uint64_t>(t.time_since_epoch().count());
}

Link other(Link link) {
  return link == Link::kIp ? Link::kEthernet : Link::kIp;
}

int input(weir_stack* stack, const void* packet, std::size_t length, std::uint64_t now, bool ip) {
  if (stack == nullptr || packet == nullptr) return answer(EFAULT);
  return answer(stack->input({static_cast<const std::byte*>(packet), length},
                             ip ? Link::kIp : Link::kEthernet, instant(now)));
}

int output(weir_stack* stack, void* packet, std::size_t capacity, std::size_t* length,
           std::uint64_t* when, bool ip) {
  if (stack == nullptr || packet == nullptr || length == nullptr) return answer(EFAULT);
  Instant at;
  const int n = stack->output({static_cast<std::byte*>(packet), capacity},
                              ip ? Link::kIp : Link::kEthernet, *length, at);
  if (n < 0) return answer(EMSGSIZE);
  if (n > 0 && when != nullptr) *when = microseconds(at);
  return n;
}

int check_type(int domain, int type, int protocol) {
  const int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (domain < 0 || domain >= AF_MAX) return EAFNOSUPPORT;
  if (kind < 0 || kind > SOCK_PACKET) return EINVAL;
  if (domain != AF_INET && domain != AF_INET6) return EAFNOSUPPORT;
  if (protocol < 0 || protocol >= IPPROTO_MAX) return EINVAL;
  if (kind != SOCK_STREAM && kind != SOCK_DGRAM) return ESOCKTNOSUPPORT;
  const int only = kind == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
  return protocol == 0 || protocol == only ? 0 : EPROTONOSUPPORT;
}

// A level that a socket does not have is said so before anything else is looked at.
int level_fault(bool tcp, int family, int level) {
  const bool known = level == SOL_SOCKET || level == IPPROTO_IP ||
                     level == (tcp ? IPPROTO_TCP : IPPROTO_UDP) ||
                     (level == IPPROTO_IPV6 && family == AF_INET6);
  return known ? 0 : ENOPROTOOPT;
}

// Nothing is read or written where nothing is asked for, whatever there is to tell (vfs_readv,
// vfs_writev, sock_read_iter).
int answer_nothing(weir_stack* stack, int fd) {
  if (udp_socket(stack, fd) != nullptr) return 0;
  return tcp_socket(stack, fd, EINVAL) == nullptr ? -1 : 0;
}

// A file without read and write.
bool is_epoll(weir_stack* stack, int fd) {
  const Descriptor* d = stack == nullptr ? nullptr : stack->descriptors().find(fd);
  return d != nullptr && d->kind == Kind::kEpoll;
}

bool all_empty(const iovec* iov, int count) {
  const auto empty = [](const iovec& v) { return v.iov_len == 0; };
  return count == 0 || (iov != nullptr && std::all_of(iov, iov + count, empty));
}

void tell(char* error, std::size_t size, const std::string& line) {
  if (error == nullptr || size == 0) return;
  const std::size_t n = std::min(size - 1, line.size());
  std::memcpy(error, line.data(), n);
  error[n] = '\0';
}

}  // namespace

extern "C" {

const char* weir_version(void) {
  return kVersion;
}

void weir_config_init(weir_config* config) {
  if (config == nullptr) return;
  std::memset(config, 0, sizeof *config);
  config->api_version = WEIR_API_VERSION;
  config->link = WEIR_LINK_IP;
  config->mtu = 1'500;
  config->max_connections = 1'024;
  config->max_sockets = 1'024;
  config->first_descriptor = 3;
  config->max_packet_buffers = 16'384;
  config->dad_transmits = 1;
}

weir_stack* weir_stack_create(const weir_config* config, char* error, size_t error_size) {
  Setup setup;
  std::string line = "config = NULL: must point to a struct weir_config";
  if (config == nullptr || !read_config(*config, setup, line)) {
    tell(error, error_size, line);
    errno = EINVAL;
    return nullptr;
  }
  try {
    return new weir_stack(setup);
  } catch (const std::bad_alloc&) {
    tell(error, error_size, "memory is short; lower max_connections or max_tw_buckets");
    errno = ENOMEM;
    return nullptr;
  }
}

void weir_stack_destroy(weir_stack* stack) {
  delete stack;
}

void weir_stack_reset_all(weir_stack* stack) {
  if (stack != nullptr) stack->reset_all();
}

int weir_stack_input(weir_stack* stack, const void* packet, size_t length, uint64_t now) {
  return input(stack, packet, length, now, stack == nullptr || stack->link() == Link::kIp);
}
int weir_stack_output(weir_stack* stack, void* packet, size_t capacity, size_t* length,
                      uint64_t* when) {
  return output(stack, packet, capacity, length, when,
                stack == nullptr || stack->link() == Link::kIp);
}
int weir_stack_input_ethernet(weir_stack* stack, const void* frame, size_t length, uint64_t now) {
  return input(stack, frame, length, now, stack == nullptr || other(stack->link()) == Link::kIp);
}
int weir_stack_output_ethernet(weir_stack* stack, void* frame, size_t capacity, size_t* length,
                               uint64_t* when) {
  return output(stack, frame, capacity, length, when,
                stack == nullptr || other(stack->link()) == Link::kIp);
}

int weir_stack_advance(weir_stack* stack, uint64_t now) {
  return stack == nullptr ? answer(EFAULT) : answer(stack->advance(instant(now)));
}
uint64_t weir_stack_next_deadline(const weir_stack* stack) {
  return stack == nullptr ? WEIR_NEVER : microseconds(stack->next_deadline());
}
uint64_t weir_stack_now(const weir_stack* stack) {
  return stack == nullptr ? 0 : microseconds(stack->now());
}

void weir_stack_on_ready(weir_stack* stack, weir_ready_fn* ready, void* context) {
  if (stack != nullptr) stack->on_ready(ready, context);
}

uint32_t weir_ready(weir_stack* stack, int fd) {
  const Descriptor* d = stack == nullptr ? nullptr : stack->descriptors().find(fd);
  return d == nullptr ? static_cast<uint32_t>(POLLNVAL) : ready_of(*stack, *d);
}

int weir_socket(weir_stack* stack, int domain, int type, int protocol) {
  if (stack == nullptr) return answer(EFAULT);
  if (const int fault = check_type(domain, type, protocol)) return answer(fault);
  std::unique_ptr<Descriptor> owned;
  if ((type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == SOCK_DGRAM) {
    owned.reset(new (std::nothrow) UdpSocket(domain));
  } else if (auto* made = new (std::nothrow) TcpSocket(domain)) {
    owned.reset(made);
    made->local.addr = any_of(domain == AF_INET);
  }
  if (owned == nullptr) return answer(ENOMEM);
  owned->nonblock = (type & SOCK_NONBLOCK) != 0;
  owned->cloexec = (type & SOCK_CLOEXEC) != 0;
  const Descriptor* d = stack->descriptors().add(owned);
  return d == nullptr ? answer(EMFILE) : d->fd;
}

int weir_bind(weir_stack* stack, int fd, const sockaddr* addr, socklen_t length) {
  UdpSocket* u = udp_socket(stack, fd);
  TcpSocket* s = u != nullptr ? nullptr : tcp_socket(stack, fd, EOPNOTSUPP);
  if (u == nullptr && s == nullptr) return -1;
  if (length == 0 || length > sizeof(sockaddr_storage)) return answer(EINVAL);
  if (addr == nullptr) return answer(EFAULT);
  if (length < sizeof(sa_family_t)) return answer(EINVAL);
  if (u != nullptr) return answer(udp_bind(*stack, *u, addr, length));
  return answer(tcp_bind(*stack, *s, addr, length));
}

int weir_listen(weir_stack* stack, int fd, int backlog) {
  TcpSocket* s = tcp_socket(stack, fd, EOPNOTSUPP);
  return s == nullptr ? -1 : answer(tcp_listen(*stack, *s, backlog));
}

int weir_accept4(weir_stack* stack, int fd, sockaddr* addr, socklen_t* length, int flags) {
  TcpSocket* s = tcp_socket(stack, fd, EOPNOTSUPP);
  if (s == nullptr) return -1;
  if (addr != nullptr && length == nullptr) return answer(EFAULT);
  if (addr != nullptr && static_cast<int>(*length) < 0) return answer(EINVAL);
  int error = 0;
  TcpSocket* child = tcp_accept(*stack, *s, flags, error);
  if (child == nullptr) return answer(error);
  if (addr != nullptr) (void)give_name(child->family, child->peer, addr, length);
  return child->fd;
}

int weir_accept(weir_stack* stack, int fd, sockaddr* addr, socklen_t* length) {
  return weir_accept4(stack, fd, addr, length, 0);
}

int weir_connect(weir_stack* stack, int fd, const sockaddr* addr, socklen_t length) {
  if (stack == nullptr || stack->descriptors().find(fd) == nullptr) return answer(EBADF);
  if (length > sizeof(sockaddr_storage)) return answer(EINVAL);
  if (addr == nullptr && length > 0) return answer(EFAULT);
  UdpSocket* u = udp_socket(stack, fd);
  TcpSocket* s = u != nullptr ? nullptr : tcp_socket(stack, fd, EOPNOTSUPP);
  if (u == nullptr && s == nullptr) return -1;
  if (length == 0) return answer(EINVAL);
  if (u != nullptr) return answer(udp_connect(*stack, *u, addr, length));
  return answer(tcp_connect(*stack, *s, addr, length));
}

ssize_t weir_read(weir_stack* stack, int fd, void* buf, size_t count) {
  if (is_epoll(stack, fd)) return answer(EINVAL);
  if (count == 0) return answer_nothing(stack, fd);
  return weir_recv(stack, fd, buf, count, 0);
}
ssize_t weir_readv(weir_stack* stack, int fd, const iovec* iov, int count) {
  if (count < 0 || count > IOV_MAX) return answer(EINVAL);
  if (is_epoll(stack, fd)) return answer(EINVAL);
  if (all_empty(iov, count)) return answer_nothing(stack, fd);
  return receive_pieces(stack, fd, iov, static_cast<std::size_t>(count), 0);
}
ssize_t weir_recv(weir_stack* stack, int fd, void* buf, size_t count, int flags) {
  const iovec one{buf, std::min<std::size_t>(count, SSIZE_MAX)};
  return receive_pieces(stack, fd, &one, 1, flags);
}
ssize_t weir_recvfrom(weir_stack* stack, int fd, void* buf, size_t count, int flags, sockaddr* addr,
                      socklen_t* length) {
  if (addr != nullptr && length == nullptr) return answer(EFAULT);
  if (udp_socket(stack, fd) != nullptr) {
    iovec one{buf, std::min<std::size_t>(count, SSIZE_MAX)};
    msghdr m{};
    m.msg_iov = &one;
    m.msg_iovlen = 1;
    m.msg_name = addr;
    m.msg_namelen = addr == nullptr ? 0 : *length;
    const ssize_t n = weir_recvmsg(stack, fd, &m, flags);
    if (n >= 0 && addr != nullptr) *length = m.msg_namelen;
    return n;
  }
  const ssize_t n = weir_recv(stack, fd, buf, count, flags);
  if (n >= 0 && addr != nullptr) *length = 0;  // a stream's text has no name with it
  return n;
}

ssize_t weir_write(weir_stack* stack, int fd, const void* buf, size_t count) {
  if (is_epoll(stack, fd)) return answer(EINVAL);
  return weir_send(stack, fd, buf, count, 0);
}
ssize_t weir_writev(weir_stack* stack, int fd, const iovec* iov, int count) {
  if (count < 0 || count > IOV_MAX) return answer(EINVAL);
  if (is_epoll(stack, fd)) return answer(EINVAL);
  if (all_empty(iov, count)) return answer_nothing(stack, fd);
  return send_pieces(stack, fd, iov, static_cast<std::size_t>(count), 0);
}
ssize_t weir_send(weir_stack* stack, int fd, const void* buf, size_t count, int flags) {
  const iovec one{const_cast<void*>(buf), std::min<std::size_t>(count, SSIZE_MAX)};
  return send_pieces(stack, fd, &one, 1, flags);
}
ssize_t weir_sendto(weir_stack* stack, int fd, const void* buf, size_t count, int flags,
                    const sockaddr* addr, socklen_t length) {
  if (UdpSocket* u = udp_socket(stack, fd)) {
    if (addr != nullptr && length > sizeof(sockaddr_storage)) return answer(EINVAL);
    const iovec one{const_cast<void*>(buf), std::min<std::size_t>(count, SSIZE_MAX)};
    return answer_octets(udp_send(*stack, *u, {&one, 1}, flags, addr, length));
  }
  if (addr != nullptr && length > sizeof(sockaddr_storage) &&
      tcp_socket(stack, fd, EOPNOTSUPP) != nullptr) {
    return answer(EINVAL);
  }
  return weir_send(stack, fd, buf, count, flags);  // a stream has its peer already
}

int weir_shutdown(weir_stack* stack, int fd, int how) {
  if (UdpSocket* u = udp_socket(stack, fd)) {
    const int error = udp_shutdown(*u, how);
    if (error != EINVAL) stack->changed(*u);
    return answer(error);
  }
  TcpSocket* s = tcp_socket(stack, fd, EOPNOTSUPP);
  return s == nullptr ? -1 : answer(tcp_shutdown(*stack, *s, how));
}

int weir_close(weir_stack* stack, int fd) {
  std::unique_ptr<Descriptor> d = stack == nullptr ? nullptr : stack->descriptors().remove(fd);
  if (d == nullptr) return answer(EBADF);
  if (d->kind == Kind::kTcp) tcp_close(*stack, static_cast<TcpSocket&>(*d));
  if (d->kind == Kind::kUdp) udp_close(*stack, static_cast<UdpSocket&>(*d));
  stack->settle();
  return 0;
}

int weir_getsockname(weir_stack* stack, int fd, sockaddr* addr, socklen_t* length) {
  if (const UdpSocket* u = udp_socket(stack, fd)) {
    return answer(give_name(u->family, udp_local(*stack, *u), addr, length));
  }
  const TcpSocket* s = tcp_socket(stack, fd, EOPNOTSUPP);
  return s == nullptr ? -1 : answer(give_name(s->family, s->local, addr, length));
}

int weir_getpeername(weir_stack* stack, int fd, sockaddr* addr, socklen_t* length) {
  if (const UdpSocket* u = udp_socket(stack, fd)) {
    const auto peer = udp_peer(*stack, *u);
    return answer(peer ? give_name(u->family, *peer, addr, length) : ENOTCONN);
  }
  const TcpSocket* s = tcp_socket(stack, fd, EOPNOTSUPP);
  if (s == nullptr) return -1;
  if (s->phase != Phase::kOpen) return answer(ENOTCONN);
  return answer(give_name(s->family, s->peer, addr, length));
}

int weir_getsockopt(weir_stack* stack, int fd, int level, int name, void* value,
                    socklen_t* length) {
  UdpSocket* u = udp_socket(stack, fd);
  TcpSocket* s = u != nullptr ? nullptr : tcp_socket(stack, fd, EOPNOTSUPP);
  if (u == nullptr && s == nullptr) return -1;
  const int family = u != nullptr ? u->family : s->family;
  if (const int fault = level_fault(u == nullptr, family, level)) {
    return answer(family == AF_INET ? EOPNOTSUPP : fault);
  }
  if (length == nullptr) return answer(EFAULT);
  // do_ipv6_getsockopt takes what is below 0 for a great length.
  if (static_cast<int>(*length) < 0 && level != IPPROTO_IPV6) return answer(EINVAL);
  if (u != nullptr) return answer(udp_get_option(*stack, *u, level, name, value, *length));
  return answer(get_option(*stack, *s, level, name, value, *length));
}

int weir_setsockopt(weir_stack* stack, int fd, int level, int name, const void* value,
                    socklen_t length) {
  UdpSocket* u = udp_socket(stack, fd);
  TcpSocket* s = u != nullptr ? nullptr : tcp_socket(stack, fd, EOPNOTSUPP);
  if (u == nullptr && s == nullptr) return -1;
  if (static_cast<int>(length) < 0) return answer(EINVAL);
  if (const int fault = level_fault(u == nullptr, u != nullptr ? u->family : s->family, level)) {
    return answer(fault);
  }
  const int zero = 0;
  // do_ipv6_setsockopt; and IPv4's have 0 where there is no value.
  if (level == IPPROTO_IPV6 || (level == IPPROTO_IP && length == 0)) {
    value = value == nullptr ? &zero : value;
  }
  if (value == nullptr) {
    const std::size_t least = level == IPPROTO_IP ? 1 : sizeof(int);
    return answer(length < least ? EINVAL : EFAULT);
  }
  if (u != nullptr) return answer(udp_set_option(*stack, *u, level, name, value, length));
  return answer(set_option(*stack, *s, level, name, value, length));
}

int weir_fcntl(weir_stack* stack, int fd, int command, int argument) {
  Descriptor* d = stack == nullptr ? nullptr : stack->descriptors().find(fd);
  if (d == nullptr) return answer(EBADF);
  switch (command) {
    case F_GETFL:
      return O_RDWR | (d->nonblock ? O_NONBLOCK : 0);
    case F_SETFL:
      d->nonblock = (argument & O_NONBLOCK) != 0;
      return 0;
    case F_GETFD:
      return d->cloexec ? FD_CLOEXEC : 0;
    case F_SETFD:
      d->cloexec = (argument & FD_CLOEXEC) != 0;
      return 0;
    default:
      return answer(EINVAL);
  }
}

}  // extern "C"

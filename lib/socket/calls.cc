#include "socket/calls.h"

#include <algorithm>
#include <climits>
#include <csignal>

namespace weir::posix {

TcpSocket* tcp_socket(weir_stack* stack, int fd, int otherwise) {
  Descriptor* d = stack == nullptr ? nullptr : stack->descriptors().find(fd);
  if (d == nullptr) {
    errno = EBADF;
    return nullptr;
  }
  if (d->kind == Kind::kTcp) {
    auto* s = static_cast<TcpSocket*>(d);
    forget_if_over(*stack, *s);  // TIME-WAIT may have come without an event
    return s;
  }
  errno = d->kind == Kind::kEpoll ? ENOTSOCK : otherwise;
  return nullptr;
}

UdpSocket* udp_socket(weir_stack* stack, int fd) {
  Descriptor* d = stack == nullptr ? nullptr : stack->descriptors().find(fd);
  return d != nullptr && d->kind == Kind::kUdp ? static_cast<UdpSocket*>(d) : nullptr;
}

bool vector_ok(const iovec* iov, std::size_t count) {
  if (count > IOV_MAX) return answer(EMSGSIZE) == 0;
  if (iov == nullptr && count > 0) return answer(EFAULT) == 0;
  std::size_t total = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (iov[i].iov_len > static_cast<std::size_t>(SSIZE_MAX) - total) return answer(EINVAL) == 0;
    total += iov[i].iov_len;
  }
  return true;
}

bool nowhere_within(std::span<const iovec> pieces, std::size_t octets) {
  for (const iovec& v : pieces) {
    if (octets == 0) return false;
    if (v.iov_base == nullptr && v.iov_len > 0) return true;
    octets -= std::min(octets, v.iov_len);
  }
  return false;
}

ssize_t send_pieces(weir_stack* stack, int fd, const iovec* iov, std::size_t count, int flags) {
  if (UdpSocket* u = udp_socket(stack, fd)) {
    if (!vector_ok(iov, count)) return -1;
    return answer_octets(udp_send(*stack, *u, {iov, count}, flags, nullptr, 0));
  }
  TcpSocket* s = tcp_socket(stack, fd, EOPNOTSUPP);
  if (s == nullptr || !vector_ok(iov, count)) return -1;
  const ssize_t n = tcp_send(*stack, *s, {iov, count}, flags);
  if (n == -EPIPE && stack->raises_sigpipe() && (flags & MSG_NOSIGNAL) == 0) (void)raise(SIGPIPE);
  return answer_octets(n);
}

ssize_t receive_pieces(weir_stack* stack, int fd, const iovec* iov, std::size_t count, int flags) {
  if (UdpSocket* u = udp_socket(stack, fd)) {
    if (!vector_ok(iov, count)) return -1;
    UdpArrival arrival;
    return answer_octets(udp_receive(*stack, *u, {iov, count}, flags, arrival));
  }
  TcpSocket* s = tcp_socket(stack, fd, EOPNOTSUPP);
  if (s == nullptr || !vector_ok(iov, count)) return -1;
  return answer_octets(tcp_receive(*stack, *s, {iov, count}, flags));
}

}  // namespace weir::posix

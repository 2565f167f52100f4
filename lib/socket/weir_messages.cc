// sendmsg, recvmsg, sendfile, ioctl of weir.h.
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "socket/calls.h"
#include "socket/include/weir/weir.h"
#include "socket/names.h"
#include "socket/options.h"

namespace {

using namespace weir::posix;  // NOLINT(google-build-using-namespace): C names none

// As Linux's put_cmsg: what does not fit is cut, and MSG_CTRUNC says so.
template <class T>
void put_control(msghdr& m, std::size_t& used, int level, int type, const T& value) {
  const std::size_t room = m.msg_controllen - used;
  if (m.msg_control == nullptr || room < sizeof(cmsghdr)) {
    m.msg_flags |= MSG_CTRUNC;
    return;
  }
  cmsghdr header{};
  header.cmsg_level = level;
  header.cmsg_type = type;
  header.cmsg_len = std::min(CMSG_LEN(sizeof value), room);
  if (header.cmsg_len < CMSG_LEN(sizeof value)) m.msg_flags |= MSG_CTRUNC;
  auto* at = static_cast<unsigned char*>(m.msg_control) + used;
  std::memcpy(at, &header, sizeof header);
  std::memcpy(at + CMSG_LEN(0), &value, header.cmsg_len - CMSG_LEN(0));
  used += std::min(CMSG_SPACE(sizeof value), room);
}

// What is left to read; at least 1 where only the end is (tcp_inq_hint).
int inq_of(const EmbeddedStack& e, const TcpSocket& s) {
  const auto left = static_cast<int>(unread(e, s));
  return left == 0 && s.fin_seen ? 1 : left;
}

// Whether a FIN of ours waits for its ACK: it counts as an octet.
bool fin_waits(const EmbeddedStack& e, const TcpSocket& s) {
  using enum weir::tcp::State;
  const weir::tcp::State state = e.tcp().state_of(*s.conn);
  return state == kFinWait1 || state == kClosing || state == kLastAck;
}

// What is read next is the last octet of urgent text (Linux counts to that octet, not behind it).
bool at_mark(const EmbeddedStack& e, const TcpSocket& s) {
  return s.conn && e.tcp().urgent(*s.conn).octets == 1;
}

int queued(const EmbeddedStack& e, const TcpSocket& s, unsigned long request, int& octets) {
  if (request == SIOCATMARK) return octets = at_mark(e, s) ? 1 : 0, 0;
  if (s.phase == Phase::kListening) return EINVAL;
  const bool open = s.phase == Phase::kOpen && s.conn;
  const int fin = open && fin_waits(e, s) ? 1 : 0;
  switch (request) {
    case SIOCINQ:
      octets = static_cast<int>(unread(e, s));
      return 0;
    case SIOCOUTQ:
      octets = open ? static_cast<int>(e.tcp().unacked(*s.conn)) + fin : 0;
      return 0;
    default:
      octets = open ? static_cast<int>(not_sent(e, s)) : 0;
      if (octets > 0) octets += fin;  // behind it
      return 0;
  }
}

// In the order of Linux's: sock_recv_timestamp, ip_cmsg_recv, ip6_datagram_recv_ctl.
void put_arrival(const UdpSocket& s, const UdpArrival& a, msghdr& m) {
  constexpr unsigned kInterface = 1;  // the one there is
  const UdpOptions& o = s.options;
  std::size_t used = 0;
  if (o.timestamp != 0) {
    const auto us = a.at.time_since_epoch().count();
    put_control(m, used, SOL_SOCKET, SO_TIMESTAMP, timeval{us / 1'000'000, us % 1'000'000});
  }
  if (s.family == AF_INET6) {
    if (o.pktinfo6 != 0) {
      in6_pktinfo info{};
      std::memcpy(&info.ipi6_addr, a.to.addr.octets().data(), sizeof info.ipi6_addr);
      info.ipi6_ifindex = kInterface;
      put_control(m, used, IPPROTO_IPV6, IPV6_PKTINFO, info);
    }
  }
  if (!a.to.addr.is_v4()) {
    if (o.recvhops != 0) put_control(m, used, IPPROTO_IPV6, IPV6_HOPLIMIT, int{a.ttl});
    if (o.recvtclass != 0) put_control(m, used, IPPROTO_IPV6, IPV6_TCLASS, int{a.tos});
  } else {  // to an IPv6 socket, too
    if (o.pktinfo != 0) {
      in_pktinfo info{};
      info.ipi_ifindex = kInterface;
      info.ipi_addr.s_addr = info.ipi_spec_dst.s_addr = htonl(a.to.addr.v4_value());
      put_control(m, used, IPPROTO_IP, IP_PKTINFO, info);
    }
    if (o.recvttl != 0) put_control(m, used, IPPROTO_IP, IP_TTL, int{a.ttl});
    if (o.recvtos != 0) put_control(m, used, IPPROTO_IP, IP_TOS, a.tos);
  }
  m.msg_controllen = used;
}

ssize_t receive_datagram(EmbeddedStack& e, UdpSocket& s, msghdr& m, int flags) {
  if (!vector_ok(m.msg_iov, m.msg_iovlen)) return -1;
  UdpArrival a;
  const ssize_t n = udp_receive(e, s, {m.msg_iov, m.msg_iovlen}, flags, a);
  if (n < 0) return answer_octets(n);
  if (m.msg_name != nullptr) {
    const int fault =
        give_name(s.family, a.from, static_cast<sockaddr*>(m.msg_name), &m.msg_namelen);
    if (fault != 0) return answer(fault);
  } else {
    m.msg_namelen = 0;
  }
  m.msg_flags = a.cut ? MSG_TRUNC : 0;
  put_arrival(s, a, m);
  return n;
}

}  // namespace

extern "C" {

ssize_t weir_sendmsg(weir_stack* stack, int fd, const msghdr* message, int flags) {
  if (message == nullptr) return answer(EFAULT);
  if (UdpSocket* u = udp_socket(stack, fd)) {
    if (!vector_ok(message->msg_iov, message->msg_iovlen)) return -1;
    if (message->msg_controllen > 0 && message->msg_control == nullptr) return answer(EFAULT);
    // A name without a length is none, and one that is too long is cut (__copy_msghdr).
    if (message->msg_name != nullptr && static_cast<int>(message->msg_namelen) < 0) {
      return answer(EINVAL);
    }
    const auto length = std::min<socklen_t>(message->msg_namelen, sizeof(sockaddr_storage));
    const auto* name = length == 0 ? nullptr : static_cast<const sockaddr*>(message->msg_name);
    const msghdr* control = message->msg_controllen > 0 ? message : nullptr;
    return answer_octets(udp_send(*stack, *u, {message->msg_iov, message->msg_iovlen}, flags, name,
                                  length, control));
  }
  return send_pieces(stack, fd, message->msg_iov, message->msg_iovlen, flags);
}

ssize_t weir_recvmsg(weir_stack* stack, int fd, msghdr* message, int flags) {
  if (message == nullptr) return answer(EFAULT);
  if (UdpSocket* u = udp_socket(stack, fd)) return receive_datagram(*stack, *u, *message, flags);
  const ssize_t n = receive_pieces(stack, fd, message->msg_iov, message->msg_iovlen, flags);
  if (n < 0) return n;
  message->msg_namelen = 0;  // a stream's text has no name with it
  message->msg_flags = 0;
  std::size_t used = 0;
  const TcpSocket* s = tcp_socket(stack, fd, EOPNOTSUPP);
  if (s != nullptr && s->options.inq != 0) {
    put_control(*message, used, IPPROTO_TCP, TCP_CM_INQ, inq_of(*stack, *s));
  }
  message->msg_controllen = used;
  return n;
}

// No more is read than the send buffer takes; what it did not take after all is not lost.
ssize_t weir_sendfile(weir_stack* stack, int fd, int in_fd, off_t* offset, size_t count) {
  constexpr std::size_t kPiece = 16'384, kMost = 0x7fff'f000;
  TcpSocket* s = tcp_socket(stack, fd, EINVAL);
  if (s == nullptr) return -1;
  if (send_pieces(stack, fd, nullptr, 0, 0) < 0) return -1;  // what forbids sending at all
  std::array<char, kPiece> piece;
  std::size_t done = 0;
  for (const std::size_t want = std::min(count, kMost); done < want;) {
    const std::size_t room = stack->tcp().send_room(*s->conn);
    const std::size_t some = std::min({want - done, room, kPiece});
    if (some == 0) break;
    const ssize_t got = offset != nullptr ? pread(in_fd, piece.data(), some, *offset)
                                          : read(in_fd, piece.data(), some);
    if (got <= 0) return done > 0 ? static_cast<ssize_t>(done) : got;
    const iovec one{piece.data(), static_cast<std::size_t>(got)};
    const ssize_t sent = send_pieces(stack, fd, &one, 1, 0);
    const ssize_t taken = std::max<ssize_t>(sent, 0);
    if (offset != nullptr) {
      *offset += taken;
    } else if (taken < got) {
      const int why = errno;
      (void)lseek(in_fd, taken - got, SEEK_CUR);
      errno = why;
    }
    done += static_cast<std::size_t>(taken);
    if (taken < got) return done > 0 ? static_cast<ssize_t>(done) : -1;
  }
  if (done > 0 || count == 0) return static_cast<ssize_t>(done);
  stack->tcp().want_room(*s->conn);
  return answer(EAGAIN);
}

int weir_ioctl(weir_stack* stack, int fd, unsigned long request, void* argument) {
  Descriptor* d = stack == nullptr ? nullptr : stack->descriptors().find(fd);
  if (d == nullptr) return answer(EBADF);
  constexpr std::array<unsigned long, 5> kKnown{FIONBIO, SIOCINQ, SIOCOUTQ, SIOCOUTQNSD,
                                                SIOCATMARK};
  if (std::find(kKnown.begin(), kKnown.end(), request) == kKnown.end()) {
    return answer(ENOTTY);
  }
  if (d->kind == Kind::kEpoll && request != FIONBIO) return answer(ENOTTY);
  int value = 0;
  if (request == FIONBIO) {
    if (argument == nullptr) return answer(EFAULT);
    std::memcpy(&value, argument, sizeof value);
    d->nonblock = value != 0;
    return 0;
  }
  const UdpSocket* u = udp_socket(stack, fd);
  if (u != nullptr && (request == SIOCOUTQNSD || request == SIOCATMARK)) {
    return answer(argument == nullptr ? EFAULT : ENOTTY);
  }
  if (u != nullptr) {
    if (argument == nullptr) return answer(EFAULT);
    value = request == SIOCINQ ? static_cast<int>(udp_next_size(*stack, *u)) : 0;
    std::memcpy(argument, &value, sizeof value);
    return 0;
  }
  const TcpSocket* s = tcp_socket(stack, fd, ENOTTY);
  if (s == nullptr) return -1;
  if (const int fault = queued(*stack, *s, request, value)) return answer(fault);
  if (argument == nullptr) return answer(EFAULT);
  std::memcpy(argument, &value, sizeof value);
  return 0;
}

}  // extern "C"

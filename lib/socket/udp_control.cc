// sendmsg's control messages (RFC 3542 §6; Linux's ip_cmsg_send, ip6_datagram_send_ctl,
// sock_cmsg_send).
#include "socket/udp_control.h"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

namespace weir::posix {
namespace {

template <class T>
std::optional<T> value_of(const cmsghdr& h) {
  if (h.cmsg_len != CMSG_LEN(sizeof(T))) return std::nullopt;
  T v{};
  std::memcpy(&v, CMSG_DATA(const_cast<cmsghdr*>(&h)), sizeof v);
  return v;
}

// An int from `least` to 255; -1 is as the socket has it.
int read_octet(const cmsghdr& h, int least, std::optional<std::uint8_t>& to) {
  const auto v = value_of<int>(h);
  if (!v || *v < least || *v > 255) return EINVAL;
  if (*v >= 0) to = static_cast<std::uint8_t>(*v);
  return 0;
}

int read_source6(const cmsghdr& h, bool v4, stack::UdpSend& how) {
  const auto v = value_of<in6_pktinfo>(h);
  if (!v) return EINVAL;
  std::array<std::uint8_t, 16> octets{};
  std::memcpy(octets.data(), &v->ipi6_addr, octets.size());
  const IpAddr source = IpAddr::v6(octets);
  if (source.is_v4() != v4 && !(source == IpAddr{})) return EINVAL;
  if (!source.is_unspecified()) how.source = source;
  return 0;
}

int read_ip(const cmsghdr& h, stack::UdpSend& how) {
  switch (h.cmsg_type) {
    case IP_TTL:
      return read_octet(h, 1, how.ttl);
    case IP_TOS:
      if (const auto octet = value_of<std::uint8_t>(h)) return how.tos = *octet, 0;
      return read_octet(h, 0, how.tos);
    case IP_PKTINFO: {
      const auto v = value_of<in_pktinfo>(h);
      if (!v) return EINVAL;
      if (v->ipi_spec_dst.s_addr != 0) how.source = IpAddr::v4(ntohl(v->ipi_spec_dst.s_addr));
      return 0;
    }
    default:
      return EINVAL;
  }
}

int read_ip6(const cmsghdr& h, stack::UdpSend& how) {
  switch (h.cmsg_type) {
    case IPV6_HOPLIMIT:
      return read_octet(h, -1, how.ttl);
    case IPV6_TCLASS:
      return read_octet(h, -1, how.tos);
    case IPV6_PKTINFO:
      return read_source6(h, false, how);
    default:
      return EINVAL;
  }
}

int read_one(const cmsghdr& h, bool v4, bool six, stack::UdpSend& how) {
  constexpr int kRights = 1, kCredentials = 2;  // SCM_RIGHTS, SCM_CREDENTIALS: for UNIX sockets
  switch (h.cmsg_level) {
    case SOL_SOCKET:
      return h.cmsg_type == kRights || h.cmsg_type == kCredentials ? 0 : EINVAL;
    case IPPROTO_IP:
      return v4 ? read_ip(h, how) : 0;
    case IPPROTO_IPV6:
      if (!v4) return read_ip6(h, how);
      return six && h.cmsg_type == IPV6_PKTINFO ? read_source6(h, true, how) : 0;
    case IPPROTO_UDP:  // UDP_SEGMENT
      return EINVAL;
    default:
      return 0;
  }
}

}  // namespace

int read_control(const msghdr& m, bool v4, bool six, stack::UdpSend& how) {
  const auto* const at = static_cast<const unsigned char*>(m.msg_control);
  for (std::size_t from = 0; from + sizeof(cmsghdr) <= m.msg_controllen;) {
    cmsghdr header{};
    std::memcpy(&header, at + from, sizeof header);
    if (header.cmsg_len < sizeof header || header.cmsg_len > m.msg_controllen - from) return EINVAL;
    alignas(cmsghdr) std::array<unsigned char, CMSG_SPACE(sizeof(in6_pktinfo))> whole{};
    std::memcpy(whole.data(), at + from, std::min<std::size_t>(header.cmsg_len, whole.size()));
    const auto& h = *reinterpret_cast<const cmsghdr*>(whole.data());
    if (const int fault = read_one(h, v4, six, how)) return fault;
    from += CMSG_ALIGN(header.cmsg_len);
  }
  return 0;
}

}  // namespace weir::posix

// Control messages that go with one datagram (lib/socket/udp_control.cc).
#include "harness.h"

namespace weir::posix::test {
namespace {

#define ERRNO_OF(call) ((call) < 0 ? errno : 0)

template <class T>
Octets control(int level, int type, const T& value, std::size_t less = 0) {
  Octets out(CMSG_SPACE(sizeof value));
  cmsghdr h{};
  h.cmsg_level = level;
  h.cmsg_type = type;
  h.cmsg_len = CMSG_LEN(sizeof value) - less;
  std::memcpy(out.data(), &h, sizeof h);
  std::memcpy(out.data() + CMSG_LEN(0), &value, sizeof value);
  return out;
}

struct Controls : testing::Test {
  // The errno of a datagram to the peer with that, 0 for one that came out as `sent`.
  int send(int family, Octets with, const IpAddr& to, std::size_t cut = 0) {
    const int fd = weir_socket(h, family, SOCK_DGRAM, 0);
    Name n(to, 53, family == AF_INET6);
    char text[] = "x";
    iovec one{text, 1};
    msghdr m{};
    m.msg_name = n.get();
    m.msg_namelen = n.length;
    m.msg_iov = &one;
    m.msg_iovlen = 1;
    m.msg_control = with.data();
    m.msg_controllen = with.size() - cut;
    const int fault = ERRNO_OF(weir_sendmsg(h, fd, &m, 0));
    sent = h.output();
    EXPECT_EQ(fault == 0, sent.has_value());
    (void)weir_close(h, fd);
    return fault;
  }
  static in_pktinfo from4(const IpAddr& a) {
    in_pktinfo info{};
    info.ipi_spec_dst.s_addr = htonl(a.v4_value());
    return info;
  }
  static in6_pktinfo from6(const IpAddr& a) {
    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, a.octets().data(), 16);
    return info;
  }
  Host h{{.addresses = {"192.0.2.1/24", "192.0.2.9/24", "2001:db8::1/64", "2001:db8::9/64"}}};
  std::optional<Sent> sent;
};

TEST_F(Controls, OneDatagramHasItsOwnTtlTosAndSource) {
  EXPECT_EQ(0, send(AF_INET, control(IPPROTO_IP, IP_TTL, 7), kPeer));
  EXPECT_EQ(std::byte{7}, sent->octets[8]);
  EXPECT_EQ(0, send(AF_INET, control(IPPROTO_IP, IP_TOS, 0x28), kPeer));
  EXPECT_EQ(std::byte{0x28}, sent->octets[1]);
  EXPECT_EQ(0, send(AF_INET, control(IPPROTO_IP, IP_TOS, std::uint8_t{0x48}), kPeer));
  EXPECT_EQ(std::byte{0x48}, sent->octets[1]);
  constexpr IpAddr kOther = IpAddr::v4(192, 0, 2, 9);
  EXPECT_EQ(0, send(AF_INET, control(IPPROTO_IP, IP_PKTINFO, from4(kOther)), kPeer));
  EXPECT_EQ(std::byte{9}, sent->octets[15]);
  EXPECT_EQ(0, send(AF_INET6, control(IPPROTO_IPV6, IPV6_PKTINFO, from6(kOther)), kPeer));
  EXPECT_EQ(std::byte{9}, sent->octets[15]);
  EXPECT_EQ(0, send(AF_INET6, control(IPPROTO_IPV6, IPV6_HOPLIMIT, 9), kPeer6));
  EXPECT_EQ(std::byte{9}, sent->octets[7]);
  EXPECT_EQ(0, send(AF_INET6, control(IPPROTO_IPV6, IPV6_TCLASS, 0x20), kPeer6));
  EXPECT_EQ(std::byte{0x62}, sent->octets[0]);
  IpAddr nine = *parse_ip("2001:db8::9");
  EXPECT_EQ(0, send(AF_INET6, control(IPPROTO_IPV6, IPV6_PKTINFO, from6(nine)), kPeer6));
  EXPECT_EQ(std::byte{9}, sent->octets[23]);
}

TEST_F(Controls, SeveralOfThem) {
  Octets both = control(IPPROTO_IP, IP_TOS, std::uint8_t{0x48});  // longer than it says
  const Octets ttl = control(IPPROTO_IP, IP_TTL, 7);
  both.insert(both.end(), ttl.begin(), ttl.end());
  EXPECT_EQ(0, send(AF_INET, both, kPeer));
  EXPECT_EQ(std::byte{0x48}, sent->octets[1]);
  EXPECT_EQ(std::byte{7}, sent->octets[8]);
}

TEST_F(Controls, WhatIsWrongIsSaid) {
  for (const int v : {0, 256, -1}) {
    EXPECT_EQ(EINVAL, send(AF_INET, control(IPPROTO_IP, IP_TTL, v), kPeer));
  }
  EXPECT_EQ(EINVAL, send(AF_INET, control(IPPROTO_IP, IP_TOS, 256), kPeer));
  EXPECT_EQ(EINVAL, send(AF_INET, control(IPPROTO_IP, IP_TTL, 7, 2), kPeer));
  EXPECT_EQ(EINVAL, send(AF_INET, control(IPPROTO_IP, IP_TTL, 7), kPeer, 8));  // cut
  EXPECT_EQ(EINVAL, send(AF_INET, control(IPPROTO_IP, IP_TTL, 7, 12), kPeer));
  EXPECT_EQ(EINVAL, send(AF_INET, control(IPPROTO_IP, 99, 7), kPeer));
  EXPECT_EQ(EINVAL, send(AF_INET, control(SOL_SOCKET, 99, 7), kPeer));
  EXPECT_EQ(EINVAL, send(AF_INET, control(IPPROTO_UDP, 103, 7), kPeer));  // UDP_SEGMENT
  EXPECT_EQ(EINVAL, send(AF_INET, control(IPPROTO_IP, IP_PKTINFO, from4(kPeer)), kPeer));
  EXPECT_EQ(EINVAL, send(AF_INET6, control(IPPROTO_IPV6, IPV6_PKTINFO, from6(kPeer6)), kPeer6));
  EXPECT_EQ(EINVAL, send(AF_INET6, control(IPPROTO_IPV6, IPV6_HOPLIMIT, 256), kPeer6));
  EXPECT_EQ(EINVAL, send(AF_INET6, control(IPPROTO_IPV6, 199, 1), kPeer6));
  EXPECT_EQ(EINVAL, send(AF_INET6, control(IPPROTO_IPV6, IPV6_PKTINFO, from6(kHost6)), kPeer));
}

TEST_F(Controls, OfAnotherFamilyOrLevelTheyAreNot) {
  EXPECT_EQ(0, send(AF_INET, control(IPPROTO_IPV6, IPV6_HOPLIMIT, 9), kPeer));
  EXPECT_EQ(std::byte{64}, sent->octets[8]);
  EXPECT_EQ(0, send(AF_INET6, control(IPPROTO_IP, IP_TTL, 9), kPeer6));
  EXPECT_EQ(std::byte{64}, sent->octets[7]);
  EXPECT_EQ(0, send(AF_INET, control(SOL_SOCKET, SCM_RIGHTS, 9), kPeer));
  EXPECT_EQ(0, send(AF_INET, control(IPPROTO_TCP, 9, 9), kPeer));
}

}  // namespace
}  // namespace weir::posix::test

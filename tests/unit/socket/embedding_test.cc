// Packets and time: what a stack is made of, when things come out, and that nothing stays behind.
#include <chrono>
#include <memory>

#include "harness.h"

namespace weir::posix::test {
namespace {

#define ERRNO_OF(call) ((call) < 0 ? errno : 0)

std::string pattern(std::size_t n, unsigned seed) {
  std::string s(n, '\0');
  std::uint64_t x = seed * 2'654'435'761ULL + 1;
  for (char& c : s) {
    x = x * 6'364'136'223'846'793'005ULL + 1'442'695'040'888'963'407ULL;
    c = static_cast<char>(x >> 56U);
  }
  return s;
}

std::string fault(const std::function<void(weir_config&)>& change) {
  const char* addresses[] = {"192.0.2.1/24", "2001:db8::1/64"};
  weir_config c;
  weir_config_init(&c);
  c.addresses = addresses;
  c.address_count = 2;
  change(c);
  char error[200] = "";
  weir_stack* s = weir_stack_create(&c, error, sizeof error);
  if (s == nullptr) {
    EXPECT_EQ(EINVAL, errno);
  }
  weir_stack_destroy(s);
  return error;
}

TEST(Setup, OneLineNamesKeyValueRangeAndCure) {
  EXPECT_EQ("", fault([](weir_config&) {}));
  EXPECT_EQ("mtu = 1279: must be 1280 to 65535; Ethernet's is 1500",
            fault([](weir_config& c) { c.mtu = 1'279; }));
  EXPECT_EQ("api_version = 7: must be 1 to 1; call weir_config_init first",
            fault([](weir_config& c) { c.api_version = 7; }));
  EXPECT_EQ("addresses: none; give at least one, as \"192.0.2.1/24\"",
            fault([](weir_config& c) { c.address_count = 0; }));
  const char* bad[] = {"192.0.2.1/33"};
  EXPECT_EQ(
      "addresses[0] = \"192.0.2.1/33\": must be a unicast address and its prefix's length, as "
      "\"192.0.2.1/24\" or \"2001:db8::1/64\"",
      fault([&](weir_config& c) {
        c.addresses = bad;
        c.address_count = 1;
      }));
  EXPECT_EQ(
      "mac = 01:00:00:00:00:00: must be a unicast address; clear the lowest bit of its first octet",
      fault([](weir_config& c) {
        c.link = WEIR_LINK_ETHERNET;
        c.mac[0] = 1;
      }));
  EXPECT_EQ("gateway = \"2001:db8::9\": must be a unicast IPv4 address; or leave it NULL",
            fault([](weir_config& c) {
              c.link = WEIR_LINK_ETHERNET;
              c.mac[0] = 2;
              c.gateway = "2001:db8::9";
            }));
}

TEST(Packets, OutputKeepsWhatDoesNotFit) {
  Host h;
  const int fd = h.tcp();
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(fd, kPeer, 80)));
  std::byte small[20], large[100];
  std::size_t length = 0;
  EXPECT_EQ(EMSGSIZE, ERRNO_OF(weir_stack_output(h, small, sizeof small, &length, nullptr)));
  EXPECT_EQ(60U, length);
  EXPECT_EQ(1, weir_stack_output(h, large, sizeof large, &length, nullptr));
  EXPECT_EQ(60U, length);  // not padded
  EXPECT_EQ(std::byte{0x45}, large[0]);
  EXPECT_EQ(0, weir_stack_output(h, large, sizeof large, &length, nullptr));
}

TEST(Packets, TheEthernetForm) {
  Host h;
  const int fd = h.tcp();
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(fd, kPeer, 80)));
  std::byte frame[100];
  std::size_t length = 0;
  EXPECT_EQ(1, weir_stack_output_ethernet(h, frame, sizeof frame, &length, nullptr));
  EXPECT_EQ(74U, length);
  const std::byte peer[6] = {std::byte{2}, {}, {}, {}, {}, std::byte{1}};
  EXPECT_EQ(0, std::memcmp(frame, peer, 6));
  EXPECT_EQ(std::byte{8}, frame[12]);
  Peer p(h, kPeer, 80, kHost, h.local(fd).port);
  Octets in(14);
  in[12] = std::byte{8};
  const Octets packet = p.packet_of({.seq = 0, .flags = SYN});  // crossing SYNs
  in.insert(in.end(), packet.begin(), packet.end());
  EXPECT_EQ(0, weir_stack_input_ethernet(h, in.data(), in.size(), kStart));
  EXPECT_EQ(SYN | ACK, p.expect().flags());
}

TEST(Packets, WhatIsWrongWithThemIsTheNetworksFault) {
  Host h;
  const std::byte junk[40] = {};
  EXPECT_EQ(0, weir_stack_input(h, junk, sizeof junk, kStart));
  EXPECT_EQ(0, weir_stack_input(h, junk, 1, kStart));
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_stack_input(h, junk, 0, kStart)));
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_stack_input(h, junk, 70'000, kStart)));
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_stack_input(h, junk, 40, kStart - 1)));
  EXPECT_EQ(EFAULT, ERRNO_OF(weir_stack_input(h, nullptr, 40, kStart)));
  EXPECT_FALSE(h.output());
}

TEST(Packets, AnEchoRequestOfAnySizeIsAnswered) {
  Host h({.mtu = 9'000});
  for (const std::size_t size : {8U, 3'000U, 8'900U}) {
    Octets icmp(20 + size);
    icmp[0] = std::byte{0x45};
    icmp[2] = static_cast<std::byte>(icmp.size() >> 8U);
    icmp[3] = static_cast<std::byte>(icmp.size());
    icmp[8] = std::byte{64};
    icmp[9] = std::byte{1};
    const auto put = [&](std::size_t at, const IpAddr& a) {
      for (std::size_t i = 0; i < 4; ++i) {
        icmp[at + i] = static_cast<std::byte>(a.v4_value() >> (24 - 8 * i));
      }
    };
    put(12, kPeer);
    put(16, kHost);
    const auto sum = [&](std::size_t from, std::size_t to) {
      std::uint32_t s = 0;
      for (std::size_t i = from; i < to; i += 2) {
        s += std::to_integer<std::uint32_t>(icmp[i]) << 8U |
             std::to_integer<std::uint32_t>(icmp[i + 1]);
      }
      while (s >> 16U != 0) s = (s & 0xffffU) + (s >> 16U);
      return ~s & 0xffffU;
    };
    icmp[20] = std::byte{8};
    const std::uint32_t ip = sum(0, 20), echo = sum(20, icmp.size());
    icmp[10] = static_cast<std::byte>(ip >> 8U);
    icmp[11] = static_cast<std::byte>(ip);
    icmp[22] = static_cast<std::byte>(echo >> 8U);
    icmp[23] = static_cast<std::byte>(echo);
    h.input(icmp);
    const auto s = h.output();
    ASSERT_TRUE(s) << size;
    EXPECT_EQ(wire::Kind::kIcmp4, s->frame.kind);
    EXPECT_EQ(0, s->frame.icmp.type);
    EXPECT_EQ(icmp.size(), s->octets.size());
  }
}

TEST(Packets, AFullPoolRefusesAndRecovers) {
  Host h({.max_packet_buffers = 64});
  const std::vector<std::byte> large(10'000 + 14);  // six buffers: no packet for this host
  EXPECT_EQ(0, weir_stack_input(h, large.data(), 10'000, kStart));
  const std::vector<std::byte> huge(65'535);
  EXPECT_EQ(0, weir_stack_input(h, huge.data(), huge.size(), kStart));
  EXPECT_EQ(0, weir_stack_input(h, large.data(), 10'000, kStart));
  const int l = h.listener(80);
  Peer p(h, kPeer, 4'000, kHost, 80);
  p.open();
  EXPECT_GT(h.write(h.accept(l), std::string(200'000, 'x')), 50'000);  // holds what it may
  EXPECT_EQ(ENOBUFS, ERRNO_OF(weir_stack_input(h, huge.data(), huge.size(), kStart)));
}

// Text that waits for its ACK leaves a buffer for the ACK to come in.
TEST(Packets, ASenderDoesNotLockItselfOut) {
  Host h({.max_packet_buffers = 64});
  const int l = h.listener(80);
  Peer p(h, kPeer, 4'000, kHost, 80);
  p.open();
  const int fd = h.accept(l);
  const std::string much(600'000, 'm');
  std::size_t written = 0;
  std::uint32_t acked = 1;
  for (int i = 0; i < 2'000 && acked < 1 + much.size(); ++i) {
    const ssize_t n = weir_send(h, fd, much.data() + written, much.size() - written, 0);
    if (n > 0) written += static_cast<std::size_t>(n);
    for (const Sent& s : h.drain()) {
      acked = std::max(
          acked, distance(p.iss(), s.frame.tcp.seq) + static_cast<std::uint32_t>(s.text.size()));
    }
    const Octets ack = p.packet_of({.seq = 1, .ack = acked});
    EXPECT_EQ(0, weir_stack_input(h, ack.data(), ack.size(), h.now()));
  }
  EXPECT_EQ(1 + much.size(), acked);
}

TEST(Ethernet, NeighboursAreAskedAndFramesAreWhole) {
  const char* address = "192.0.2.1/24";
  weir_config c;
  weir_config_init(&c);
  c.link = WEIR_LINK_ETHERNET;
  c.mac[0] = 2;
  c.mac[5] = 9;
  c.addresses = &address;
  c.address_count = 1;
  c.now = kStart;
  weir_stack* s = weir_stack_create(&c, nullptr, 0);
  ASSERT_NE(nullptr, s);
  const int fd = weir_socket(s, AF_INET, SOCK_STREAM, 0);
  const Name to(kPeer, 80);
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(weir_connect(s, fd, to.get(), to.length)));
  std::byte frame[1'600];
  std::size_t length = 0;
  ASSERT_EQ(1, weir_stack_output(s, frame, sizeof frame, &length, nullptr));
  EXPECT_EQ(std::byte{0x08}, frame[12]);
  EXPECT_EQ(std::byte{0x06}, frame[13]);  // ARP
  EXPECT_EQ(std::byte{9}, frame[11]);
  // The answer: who was asked is now the sender.
  std::byte reply[42];
  std::memcpy(reply, frame, 42);
  std::memcpy(reply, frame + 6, 6);
  const std::byte peer_mac[6] = {std::byte{2}, {}, {}, {}, {}, std::byte{7}};
  std::memcpy(reply + 6, peer_mac, 6);
  reply[21] = std::byte{2};
  std::memcpy(reply + 22, peer_mac, 6);
  std::memcpy(reply + 28, frame + 38, 4);
  std::memcpy(reply + 32, frame + 22, 10);
  EXPECT_EQ(0, weir_stack_input(s, reply, sizeof reply, kStart));
  ASSERT_EQ(1, weir_stack_output(s, frame, sizeof frame, &length, nullptr));
  EXPECT_EQ(0, std::memcmp(frame, peer_mac, 6));
  EXPECT_EQ(std::byte{0x00}, frame[13]);  // the SYN
  weir_stack_destroy(s);
}

TEST(Ethernet, InTheIpFormThereIsNoArp) {
  const char* address = "192.0.2.1/24";
  weir_config c;
  weir_config_init(&c);
  c.link = WEIR_LINK_ETHERNET;
  c.mac[0] = 2;
  c.addresses = &address;
  c.address_count = 1;
  weir_stack* s = weir_stack_create(&c, nullptr, 0);
  ASSERT_NE(nullptr, s);
  const int fd = weir_socket(s, AF_INET, SOCK_STREAM, 0);
  const Name to(kPeer, 80);
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(weir_connect(s, fd, to.get(), to.length)));
  std::byte packet[1'600];
  std::size_t length = 0;
  EXPECT_EQ(0, weir_stack_output_ethernet(s, packet, sizeof packet, &length, nullptr));
  weir_stack_destroy(s);
}

TEST(Time, SynBackOffIsAtItsOwnInstants) {
  Host h;
  h.at(12'345);
  const int fd = h.tcp();
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(fd, kPeer, 80)));
  h.pass(100 * kS);
  std::vector<std::uint64_t> at;
  for (const Sent& s : h.drain()) at.push_back(s.when - kStart);
  const std::uint64_t t = 12'345;
  EXPECT_EQ(
      (std::vector<std::uint64_t>{t, t + 1 * kS, t + 3 * kS, t + 7 * kS, t + 15 * kS, t + 31 * kS}),
      at);
}

TEST(Time, DeadlinesAreTakenOneByOne) {
  Host h;
  EXPECT_EQ(WEIR_NEVER, weir_stack_next_deadline(h));
  const int fd = h.tcp();
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(fd, kPeer, 80)));
  (void)h.drain();
  int steps = 0;
  while (!h.output()) {
    ASSERT_LT(++steps, 10);
    const std::uint64_t next = weir_stack_next_deadline(h);
    ASSERT_GT(next, h.now());
    ASSERT_LE(next, kStart + 1 * kS);
    EXPECT_EQ(0, weir_stack_advance(h, next));
  }
  EXPECT_EQ(kStart + 1 * kS, h.now());
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_stack_advance(h, kStart)));
  EXPECT_EQ(kStart + 1 * kS, weir_stack_now(h));
}

TEST(Time, SevenSecondsOfBackOffTakeNoTime) {
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 100; ++i) {
    Host h({.seed = static_cast<std::uint64_t>(i)});
    const int fd = h.tcp();
    EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(fd, kPeer, 80)));
    h.pass(7 * kS);
    EXPECT_EQ(4U, h.drain().size());
  }
  // A hundred of them; one alone may take 0.1 s.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST(Seed, TheSameIsTheSameAndAnotherAnother) {
  const auto syn = [](std::uint64_t seed) {
    Host h({.seed = seed});
    const int fd = h.tcp();
    (void)h.connect(fd, kPeer, 80);
    return h.output()->octets;
  };
  EXPECT_EQ(syn(1), syn(1));
  EXPECT_NE(syn(1), syn(2));
}

TEST(ManyStacks, AHundredInOneProcess) {
  std::vector<std::unique_ptr<Host>> hosts;
  for (std::uint64_t i = 0; i < 100; ++i) {
    hosts.push_back(std::make_unique<Host>(HostOptions{.seed = i}));
    hosts.back()->listener(80);
  }
  for (const auto& h : hosts) {
    Peer p(*h, kPeer, 4'000, kHost, 80);
    p.open();
    EXPECT_GE(h->accept(3), 0);
  }
}

// One end of a transfer: writes its text, reads the other's, and shuts down.
struct End {
  Host& h;
  int fd;
  std::string out, in{};
  std::size_t sent = 0;
  bool finished = false, shut = false;

  void step() {
    while (sent < out.size()) {
      const ssize_t n = weir_send(h, fd, out.data() + sent, out.size() - sent, 0);
      if (n < 0) break;
      sent += static_cast<std::size_t>(n);
    }
    if (sent == out.size() && !shut) shut = weir_shutdown(h, fd, SHUT_WR) == 0;
    char buf[5'000];
    for (ssize_t n = 1; n > 0;) {
      n = weir_recv(h, fd, buf, sizeof buf, 0);
      if (n > 0) in.append(buf, static_cast<std::size_t>(n));
      if (n == 0) finished = true;
    }
  }
};

void transfer(int family, unsigned loss_percent) {
  Host a({.addresses = {"192.0.2.2/24", "2001:db8::2/64"}, .seed = 7});
  Host b({.seed = 8});
  Wire wire(a, b);
  wire.drop([loss_percent](std::uint64_t n) { return n * 2'654'435'761U % 100 < loss_percent; });
  const bool six = family == AF_INET6;
  const int l = b.listener(80, 8, family);
  const int c = a.tcp(family);
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(a.connect(c, six ? kHost6 : kHost, 80)));
  int s = -1;
  ASSERT_TRUE(wire.run([&] {
    if (s < 0) s = b.accept(l);
    return s >= 0 && (weir_ready(a, c) & EPOLLOUT) != 0;
  }));
  End one{a, c, pattern(1 << 20, 1)}, two{b, s, pattern(1 << 20, 2)};
  EXPECT_TRUE(wire.run([&] {
    one.step();
    two.step();
    return one.finished && two.finished;
  }));
  EXPECT_TRUE(one.in == two.out);
  EXPECT_TRUE(two.in == one.out);
  EXPECT_EQ(0, weir_close(a, c));
  EXPECT_EQ(0, weir_close(b, s));
}

TEST(TwoStacks, AMegabyteEachWay) {
  transfer(AF_INET, 0);
}
TEST(TwoStacks, AMegabyteEachWayWithLoss) {
  transfer(AF_INET, 5);
}
TEST(TwoStacks, AMegabyteEachWayOverIpv6WithLoss) {
  transfer(AF_INET6, 3);
}

TEST(TwoStacks, LinkLocalAddressesWorkOnAnIpLink) {
  Host a({.addresses = {"fe80::2/64"}, .seed = 7});
  Host b({.addresses = {"fe80::1/64"}, .seed = 8});
  Wire wire(a, b);
  const int l = b.tcp(AF_INET6);
  const IpAddr to = IpAddr::v6({0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
  EXPECT_EQ(0, b.bind(l, to, 80));
  EXPECT_EQ(0, weir_listen(b, l, 1));
  const int c = a.tcp(AF_INET6);
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(a.connect(c, to, 80)));
  EXPECT_TRUE(wire.run([&] { return b.accept(l) >= 0; }, 1 * kS));
}

// Every end has to give its buffers back: a pool that does not get them asserts.
TEST(Destruction, InTheMiddleOfEverything) {
  Host h;
  const int l = h.listener(80);
  Peer p(h, kPeer, 4'000, kHost, 80), q(h, kPeer, 4'001, kHost, 80), r(h, kPeer, 4'002, kHost, 80);
  p.open();
  const int fd = h.accept(l);
  p.send({.seq = 1, .ack = 1, .text = "unread"});
  p.send({.seq = 100, .ack = 1, .text = "out of order"});
  EXPECT_GT(h.write(fd, std::string(100'000, 'u')), 0);  // unsent
  (void)h.drain();
  q.open();  // not accepted
  q.send({.seq = 1, .ack = 1, .text = "unaccepted"});
  r.send({.seq = 0, .flags = SYN});  // half open
  const int c = h.tcp();
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(c, kPeer, 90)));
  const int orphan = h.tcp();
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(orphan, kPeer, 91)));
  EXPECT_EQ(0, weir_close(h, orphan));
  weir_stack_destroy(nullptr);
}

TEST(ReadyCallback, IsToldOfWhatMayHaveChanged) {
  Host h;
  std::vector<std::pair<int, std::uint32_t>> told;
  weir_stack_on_ready(
      h,
      [](void* context, int fd, std::uint32_t events) {
        static_cast<decltype(told)*>(context)->push_back({fd, events});
      },
      &told);
  const int l = h.listener(80);
  Peer p(h, kPeer, 4'000, kHost, 80);
  p.open();
  ASSERT_EQ(1U, told.size());
  EXPECT_EQ(l, told[0].first);
  EXPECT_NE(0U, told[0].second & EPOLLIN);
  const int fd = h.accept(l);
  p.send({.seq = 1, .ack = 1, .text = "a"});
  p.send({.seq = 2, .ack = 1, .text = "b"});
  ASSERT_EQ(3U, told.size());
  EXPECT_EQ(fd, told[2].first);
  p.send({.seq = 3, .ack = 1, .flags = FIN | ACK});
  EXPECT_NE(0U, told.back().second & EPOLLRDHUP);
  weir_stack_on_ready(h, nullptr, nullptr);
  p.send({.seq = 4, .ack = 1, .flags = RST | ACK});
  EXPECT_EQ(4U, told.size());
}

}  // namespace
}  // namespace weir::posix::test

// Ports of the kernel's making, in this process's own network namespace: TAP and veth.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "harness.h"

namespace weir::dpdk::test {
namespace {

constexpr std::uint16_t kTestEtherType = 0x88b5;  // for local experiments (IEEE 802)

// The kernel's end of an interface, raw.
class Raw {
 public:
  explicit Raw(const std::string& interface) : fd_(socket(AF_PACKET, SOCK_RAW, 0)) {
    sockaddr_ll at{};
    at.sll_family = AF_PACKET;
    at.sll_protocol = htons(ETH_P_ALL);
    at.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&at), sizeof(at)), 0) << std::strerror(errno);
  }
  ~Raw() { close(fd_); }
  Raw(const Raw&) = delete;
  Raw& operator=(const Raw&) = delete;

  void send(std::span<const std::byte> frame) const {
    EXPECT_EQ(::send(fd_, frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
  }
  // The next TCP frame that arrives; empty when none does in time.
  [[nodiscard]] std::vector<std::byte> next_tcp() const {
    std::vector<std::byte> frame(70'000);
    for (const Instant until = Queue::now() + 5s; Queue::now() < until;) {
      pollfd p{fd_, POLLIN, 0};
      if (poll(&p, 1, 100) <= 0) continue;
      const ssize_t n = recv(fd_, frame.data(), frame.size(), 0);
      wire::Frame parsed;
      const auto size = static_cast<std::size_t>(std::max<ssize_t>(n, 0));
      wire::parse_frame({frame.data(), size}, size, {}, parsed);
      if (parsed.kind != wire::Kind::kTcp) continue;
      frame.resize(size);
      return frame;
    }
    return {};
  }

 private:
  int fd_;
};

std::vector<std::byte> test_frame(std::size_t size, unsigned serial) {
  std::vector<std::byte> f(size);
  std::memset(f.data(), 0xff, 6);
  f[6] = std::byte{2};
  f[12] = std::byte{kTestEtherType >> 8U};
  f[13] = std::byte{kTestEtherType & 0xffU};
  f[14] = static_cast<std::byte>(serial);
  for (std::size_t i = 15; i < size; ++i) f[i] = octet(i);
  return f;
}

// Frames of the kernel's own (neighbour discovery) may lie between: they are given back.
std::vector<std::vector<std::byte>> receive_tests(Port& port, std::size_t n) {
  std::vector<std::vector<std::byte>> got;
  std::array<Buf*, 32> burst{};
  for (const Instant until = Queue::now() + 5s; got.size() < n && Queue::now() < until;) {
    for (unsigned w = 0; w < port.workers(); ++w) {
      Queue& q = port.queue(w);
      const unsigned k = q.rx_burst(burst);
      for (unsigned i = 0; i < k; ++i) {
        std::vector<std::byte> f = take_octets(q, burst[i]);
        if (f.size() > 14 && f[12] == std::byte{kTestEtherType >> 8U}) got.push_back(std::move(f));
      }
    }
  }
  EXPECT_EQ(got.size(), n);
  return got;
}

// `unfinished`: frames whose buffers the port may still hold, until it sends or receives more.
void carries_both_ways(Port& port, const std::string& kernel_end, std::uint32_t unfinished = 0) {
  const std::uint32_t before = in_use(port);
  telemetry::Counters counters;
  Queue& q = port.queue(0);
  const Raw raw(kernel_end);
  for (const std::uint32_t len : {0U, 100U, 1'448U}) {
    BufChain chain = text(q, {700, 748});
    const std::array packets = {packet(chain, 0, len)};
    q.transmit(packets, {}, counters);
    q.release(std::move(chain));
    const std::vector<std::byte> frame = raw.next_tcp();
    wire::Frame parsed;
    wire::parse_frame(frame, frame.size(), {}, parsed);
    ASSERT_EQ(parsed.kind, wire::Kind::kTcp) << len;
    ASSERT_EQ(parsed.payload_len, len);
    for (std::uint32_t i = 0; i < len; ++i) ASSERT_EQ(frame[parsed.payload_offset + i], octet(i));
  }
  EXPECT_EQ(counters.tx_frames.get(), 3U);
  for (unsigned i = 0; i < 40; ++i) raw.send(test_frame(60 + i * 37, i));
  const std::vector<std::vector<std::byte>> got = receive_tests(port, 40);
  for (unsigned i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], test_frame(60 + i * 37, i));
  EXPECT_LE(in_use(port), before + unfinished);
}

bool usable() {
  return has_own_network_namespace() && access("/dev/net/tun", R_OK | W_OK) == 0;
}

TEST(Tap, CarriesBothWaysAndEndsWithThePort) {
  if (!usable()) GTEST_SKIP() << "no network namespace of our own, or no /dev/net/tun";
  std::unique_ptr<Port> port = open_or_fail(small("tap:weirtest0"));
  ASSERT_NE(port, nullptr);
  EXPECT_NE(if_nametoindex("weirtest0"), 0U);
  EXPECT_TRUE(port->stats().link_up);
  EXPECT_EQ(port->driver(), "net_tap");
  carries_both_ways(*port, "weirtest0");
  EXPECT_GT(port->stats().rx_frames, 0U);
  port.reset();
  EXPECT_EQ(if_nametoindex("weirtest0"), 0U);
}

TEST(Tap, OpensAgainUnderTheSameName) {
  if (!usable()) GTEST_SKIP() << "no network namespace of our own, or no /dev/net/tun";
  for (int i = 0; i < 3; ++i) ASSERT_NE(open_or_fail(small("tap:weirtest0")), nullptr);
}

TEST(Tap, MtuIsTheInterfacesToo) {
  if (!usable()) GTEST_SKIP() << "no network namespace of our own, or no /dev/net/tun";
  PortConfig c = small("tap:weirtest0");
  c.mtu = 1'400;
  const std::unique_ptr<Port> port = open_or_fail(c);
  ASSERT_NE(port, nullptr);
  ifreq r{};
  std::strcpy(r.ifr_name, "weirtest0");
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  EXPECT_EQ(ioctl(fd, SIOCGIFMTU, &r), 0);
  EXPECT_EQ(r.ifr_mtu, 1'400);
  // The kernel's end is another host: another address.
  EXPECT_EQ(ioctl(fd, SIOCGIFHWADDR, &r), 0);
  EXPECT_NE(std::memcmp(r.ifr_hwaddr.sa_data, port->mac().octets.data(), 6), 0);
  close(fd);
  const Raw raw("weirtest0");
  raw.send(test_frame(1'414, 1));
  const std::vector<std::vector<std::byte>> got = receive_tests(*port, 1);
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0], test_frame(1'414, 1));
}

TEST(Tap, SeveralWorkersReceiveEveryFrameOnce) {
  if (!usable()) GTEST_SKIP() << "no network namespace of our own, or no /dev/net/tun";
  PortConfig c = small("tap:weirtest0");
  c.workers = 2;
  const std::unique_ptr<Port> port = open_or_fail(c);
  ASSERT_NE(port, nullptr);
  EXPECT_EQ(port->rx_queues(), 2U);
  EXPECT_FALSE(port->rss().hardware);  // the kernel chooses the queue as it likes
  const Raw raw("weirtest0");
  for (unsigned i = 0; i < 20; ++i) raw.send(test_frame(100, i));
  receive_tests(*port, 20);
}

// The driver's own segmentation: what TSO asks of a port is right, checksums included.
TEST(Tap, SegmentsLargeTextWhenAskedTo) {
  if (!usable()) GTEST_SKIP() << "no network namespace of our own, or no /dev/net/tun";
  PortConfig c = small("tap:weirtest0");
  c.offloads = OffloadUse::kAll;
  const std::unique_ptr<Port> port = open_or_fail(c);
  ASSERT_NE(port, nullptr);
  ASSERT_GE(port->offloads().tso_max, 10'000U);
  const std::uint32_t before = in_use(*port);
  carries_both_ways(*port, "weirtest0");
  telemetry::Counters counters;
  Queue& q = port->queue(0);
  const Raw raw("weirtest0");
  for (const bool borrowed : {false, true}) {
    BufChain chain = text(q, std::vector<std::uint32_t>(10, 1'000));
    if (borrowed) chain.head()->flags |= Buf::kBorrowed;  // copied, into several mbufs
    std::array packets = {packet(chain, 500, 9'000)};
    packets[0].seg.mss = 1'400;  // the driver holds the whole frame, Ethernet and all, to the MTU
    q.transmit(packets, {}, counters);
    q.release(std::move(chain));
    std::uint32_t at = 500;
    while (at < 9'500) {
      const std::vector<std::byte> frame = raw.next_tcp();
      wire::Frame parsed;
      wire::parse_frame(frame, frame.size(), {}, parsed);
      ASSERT_EQ(parsed.kind, wire::Kind::kTcp) << at;
      ASSERT_EQ(parsed.payload_len, std::min(1'400U, 9'500 - at));
      ASSERT_EQ(parsed.tcp.seq, Seq{0xffff'ff00U} + (at - 500));
      for (std::uint32_t i = 0; i < parsed.payload_len; ++i) {
        ASSERT_EQ(frame[parsed.payload_offset + i], octet(at + i)) << at;
      }
      at += parsed.payload_len;
    }
  }
  EXPECT_EQ(in_use(*port), before);
}

bool make_veth() {
  return std::system(
             "ip link add wva type veth peer name wvb 2>/dev/null && ip link set wva up && "
             "ip link set wvb up") == 0;
}

class Veth : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_own_network_namespace()) GTEST_SKIP() << "no network namespace of our own";
    if (!make_veth()) GTEST_SKIP() << "no veth here";
  }
  void TearDown() override { [[maybe_unused]] int r = std::system("ip link del wva 2>/dev/null"); }
};

TEST_F(Veth, AfPacket) {
  const std::unique_ptr<Port> port = open_or_fail(small("af_packet:wva"));
  ASSERT_NE(port, nullptr);
  carries_both_ways(*port, "wvb");
}

TEST_F(Veth, AfPacketWithTwoQueues) {
  PortConfig c = small("af_packet:wva");
  c.workers = 2;
  const std::unique_ptr<Port> port = open_or_fail(c);
  ASSERT_NE(port, nullptr);
  const Raw raw("wvb");
  for (unsigned i = 0; i < 20; ++i) raw.send(test_frame(100, i));
  receive_tests(*port, 20);
}

TEST_F(Veth, Pcap) {
  const std::unique_ptr<Port> port = open_or_fail(small("pcap:wva"));
  ASSERT_NE(port, nullptr);
  carries_both_ways(*port, "wvb");
}

TEST_F(Veth, AfXdpWithTooFewBuffersIsRefused) {
  Result<std::unique_ptr<Port>, std::string> port = Port::open(eal(), small("af_xdp:wva"));
  ASSERT_FALSE(port.ok());
  EXPECT_NE(port.error().find("at least 2176"), std::string::npos) << port.error();
}

TEST_F(Veth, AfXdp) {
  PortConfig c = small("af_xdp:wva");
  c.rx_buffers = 8'191;
  Result<std::unique_ptr<Port>, std::string> port = Port::open(eal(), c);
  if (!port) GTEST_SKIP() << port.error();
  carries_both_ways(**port, "wvb", 8);
}

}  // namespace
}  // namespace weir::dpdk::test

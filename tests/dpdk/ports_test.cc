// The other ports that need nothing of the machine: null, memif.
#include <unistd.h>

#include <filesystem>

#include "dpdk/idle.h"
#include "harness.h"

namespace weir::dpdk::test {
namespace {

TEST(NullPort, TakesEverythingAndReceivesNothing) {
  const std::unique_ptr<Port> port = open_or_fail(small("null"));
  ASSERT_NE(port, nullptr);
  telemetry::Counters counters;
  Queue& q = port->queue(0);
  BufChain chain = text(q, {1'000, 448});
  const std::vector<tcp::TxPacket> packets(100, packet(chain, 0, 1'448));
  q.transmit(packets, {}, counters);
  q.release(std::move(chain));
  EXPECT_EQ(counters.tx_frames.get(), 100U);
  std::array<Buf*, 8> none{};
  EXPECT_EQ(q.rx_burst(none), 0U);
  EXPECT_EQ(in_use(*port), 0U);
  EXPECT_FALSE(port->mac().is_zero());
  EXPECT_FALSE(port->mac().is_multicast());
}

TEST(NullPort, OpensAgainAndAgain) {
  for (int i = 0; i < 5; ++i) ASSERT_NE(open_or_fail(small("null")), nullptr);
}

TEST(NullPort, MacAndMtuAreTheConfigs) {
  PortConfig c = small("null");
  c.mac = MacAddr{{2, 1, 2, 3, 4, 5}};
  c.mtu = 9'000;
  const std::unique_ptr<Port> port = open_or_fail(c);
  ASSERT_NE(port, nullptr);
  EXPECT_EQ(port->mac(), *c.mac);
  EXPECT_EQ(port->mtu(), 9'000);
  BufChain chain = text(port->queue(0), {9'000});
  port->queue(0).release(std::move(chain));
}

TEST(PoolStatistics, NameSizeAndUse) {
  const std::unique_ptr<Port> port = open_or_fail(small("null"));
  ASSERT_NE(port, nullptr);
  BufChain chain = text(port->queue(0), {1, 2, 3});
  const std::array<PoolStats, 4> pools = port->pool_stats();
  EXPECT_EQ(pools[0].name, "rx");
  EXPECT_EQ(pools[0].size, 2'047U);
  EXPECT_EQ(pools[1].name, "payload");
  EXPECT_EQ(pools[1].in_use, 3U);
  EXPECT_GE(pools[1].buffer_octets, 128U + 128U + 2'048U);  // mbuf, headroom, text
  EXPECT_LE(pools[1].buffer_octets, 2'560U);
  EXPECT_EQ(pools[2].name, "header");
  EXPECT_EQ(pools[3].name, "indirect");
  port->queue(0).release(std::move(chain));
  EXPECT_EQ(port->pool_stats()[1].in_use, 0U);
}

TEST(Memory, AnEstimateThatHolds) {
  EXPECT_GT(Port::memory_mb(small("null")), 5U);
  EXPECT_LT(Port::memory_mb(small("null")), 20U);
  PortConfig big = small("null");
  big.rx_buffers *= 10;
  EXPECT_GT(Port::memory_mb(big), Port::memory_mb(small("null")) + 30);
}

bool wait_for_link(const Port& a, const Port& b) {
  const Instant until = Queue::now() + 10s;
  while (Queue::now() < until) {
    if (a.stats().link_up && b.stats().link_up) return true;
    usleep(1'000);
  }
  return false;
}

TEST(Memif, BothEndsInOneProcess) {
  const std::string path = "/tmp/weir-memif-" + std::to_string(getpid()) + ".sock";
  {
    const std::unique_ptr<Port> server =
        open_or_fail(small("memif:socket=" + path + ",role=server,id=1"));
    const std::unique_ptr<Port> client =
        open_or_fail(small("memif:socket=" + path + ",role=client,id=1"));
    ASSERT_NE(server, nullptr);
    ASSERT_NE(client, nullptr);
    ASSERT_TRUE(wait_for_link(*server, *client));
    std::array<Buf*, 8> none{};  // a receiver's first poll offers its buffers to the sender
    EXPECT_EQ(server->queue(0).rx_burst(none) + client->queue(0).rx_burst(none), 0U);
    telemetry::Counters counters;
    for (const auto& [from, to] :
         {std::pair{server.get(), client.get()}, std::pair{client.get(), server.get()}}) {
      for (int round = 0; round < 10; ++round) {
        BufChain chain = text(from->queue(0), {700, 801, 1'001});
        const std::vector<tcp::TxPacket> packets(20, packet(chain, 699, 1'400));
        from->queue(0).transmit(packets, {}, counters);
        from->queue(0).release(std::move(chain));
        ASSERT_EQ(counters.drop_tx_full.get(), 0U);
        for (Buf* f : receive(to->queue(0), 20)) {
          const Parsed p = parse(to->queue(0), f);
          ASSERT_EQ(p.frame.kind, wire::Kind::kTcp) << static_cast<int>(p.frame.fault);
          ASSERT_EQ(p.frame.payload_len, 1'400U);
          for (std::uint32_t i = 0; i < 1'400; ++i) ASSERT_EQ(p.payload()[i], octet(699 + i)) << i;
        }
      }
    }
    EXPECT_EQ(in_use(*server), 0U);
    EXPECT_EQ(in_use(*client), 0U);
  }
  std::filesystem::remove(path);
}

// A host (vhost) and a guest (virtio) in one process: between them checksums and segmentation are
// left undone, and said to be good.
class Virtio : public ::testing::Test {
 protected:
  Virtio() : path_("/tmp/weir-vhost-" + std::to_string(getpid()) + ".sock") {}
  void SetUp() override {
    host_ = open_or_fail(small("vhost:" + path_));
    guest_ = open_or_fail(small("virtio-user:path=" + path_));
    ASSERT_NE(host_, nullptr);
    ASSERT_NE(guest_, nullptr);
    ASSERT_TRUE(wait_for_link(*host_, *guest_));
    std::array<Buf*, 8> none{};
    EXPECT_EQ(host_->queue(0).rx_burst(none) + guest_->queue(0).rx_burst(none), 0U);
  }
  void TearDown() override {
    guest_.reset();
    host_.reset();
    std::filesystem::remove(path_);
  }

  void carries(Port& from, Port& to, std::uint32_t len) {
    telemetry::Counters counters;
    BufChain chain = text(from.queue(0), {700, 801, 1'001, 1'500, 1'500});
    const std::array packets = {packet(chain, 699, len)};
    from.queue(0).transmit(packets, {}, counters);
    from.queue(0).release(std::move(chain));
    ASSERT_EQ(counters.tx_frames.get(), 1U);
    const std::vector<Buf*> got = receive(to.queue(0), 1);
    ASSERT_EQ(got.size(), 1U);
    wire::ParseOptions verified;
    verified.ip_checksum_verified = (got[0]->flags & Buf::kIpChecksumOk) != 0;
    verified.l4_checksum_verified = (got[0]->flags & Buf::kL4ChecksumOk) != 0;
    const std::vector<std::byte> octets = take_octets(to.queue(0), got[0]);
    wire::Frame f;
    wire::parse_frame(octets, octets.size(), verified, f);
    ASSERT_EQ(f.kind, wire::Kind::kTcp) << static_cast<int>(f.fault);
    ASSERT_EQ(f.payload_len, len);
    for (std::uint32_t i = 0; i < len; ++i) {
      ASSERT_EQ(octets[f.payload_offset + i], octet(699 + i)) << i;
    }
  }

  std::string path_;
  std::unique_ptr<Port> host_, guest_;
};

TEST_F(Virtio, CarriesBothWays) {
  EXPECT_TRUE(guest_->offloads().tx_tcp_checksum);
  EXPECT_TRUE(host_->offloads().rx_checksum);
  for (const std::uint32_t len : {0U, 100U, 1'448U}) {
    carries(*guest_, *host_, len);
    carries(*host_, *guest_, len);
  }
}

// Two workers at once, on threads of their own.
TEST(Workers, PassFramesBetweenThreads) {
  const std::unique_ptr<Port> a = open_or_fail(small("ring:threads/a"));
  const std::unique_ptr<Port> b = open_or_fail(small("ring:threads/b"));
  ASSERT_NE(a, nullptr);
  ASSERT_NE(b, nullptr);
  constexpr unsigned kFrames = 20'000;
  const Instant until = Queue::now() + 20s;
  telemetry::Counters sent;
  unsigned received = 0;
  unsigned wrong = 0;
  eal().launch(0, [&] {
    Queue& q = a->queue(0);
    IdleWaiter idle({});
    while (sent.tx_frames.get() < kFrames && Queue::now() < until) {
      BufChain chain = text(q, {1'000, 400});
      const std::uint64_t before = sent.tx_frames.get();
      const std::vector<tcp::TxPacket> packets(16, packet(chain, 0, 1'400));
      q.transmit(packets, {}, sent);
      q.release(std::move(chain));
      if (sent.tx_frames.get() < before + 16) idle.after(0, Queue::now(), kNever);
    }
  });
  eal().launch(1, [&] {
    Queue& q = b->queue(0);
    IdleWaiter idle({});
    std::array<Buf*, 32> burst{};
    while (received < kFrames && Queue::now() < until) {
      const unsigned n = q.rx_burst(burst);
      for (unsigned i = 0; i < n; ++i) {
        const Parsed p = parse(q, burst[i]);
        if (p.frame.kind != wire::Kind::kTcp || p.payload()[1'399] != octet(1'399)) ++wrong;
      }
      received += n;
      idle.after(n, Queue::now(), kNever);
    }
  });
  eal().join(0);
  eal().join(1);
  EXPECT_GE(received, kFrames);
  EXPECT_EQ(wrong, 0U);
  std::array<Buf*, 32> burst{};
  while (const unsigned n = b->queue(0).rx_burst(burst)) {
    for (unsigned i = 0; i < n; ++i) take_octets(b->queue(0), burst[i]);
  }
  EXPECT_EQ(in_use(*a), 0U);
}

}  // namespace
}  // namespace weir::dpdk::test

// The simulator itself: what it promises, so that a test that fails blames the stack rightly.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#include "sim/block_pool.h"
#include "sim/driver.h"
#include "sim/event_loop.h"
#include "sim/link.h"
#include "sim/network.h"
#include "sim/pcap_writer.h"
#include "wire/frame.h"

namespace weir::sim {
namespace {

Octets frame_of(std::uint8_t dst, std::uint8_t src, std::size_t size = 100, bool ip = true) {
  Octets f(size);
  f[0] = f[6] = std::byte{2};
  if (dst == 0xff) std::fill_n(f.begin(), 6, std::byte{0xff});
  f[5] = std::byte{dst};
  f[11] = std::byte{src};
  f[12] = std::byte{8};
  f[13] = std::byte{ip ? std::uint8_t{0} : std::uint8_t{6}};
  return f;
}

TEST(EventLoop, OrderIsByTimeThenByAge) {
  EventLoop loop;
  std::string said;
  loop.after(2s, [&] { said += 'c'; });
  loop.after(1s, [&] {
    said += 'a';
    loop.after(0s, [&] { said += 'A'; });
  });
  loop.after(1s, [&] { said += 'b'; });
  loop.at(Instant{0s}, [&] { said += '0'; });  // the past is now
  EXPECT_EQ(loop.next_event(), Instant{1s});
  loop.run_until(Instant{2s});
  EXPECT_EQ(said, "0abA");
  loop.run_until(Instant{10s});
  EXPECT_EQ(said, "0abAc");
  EXPECT_EQ(loop.now(), Instant{10s});
  EXPECT_EQ(loop.next_event(), kNever);
}

TEST(BlockPool, CountsToTheBlock) {
  BlockPool pool(100, 3);
  const BufSource source = pool.source();
  Buf* some[5];
  ASSERT_EQ(source.take(source.context, some, 5), 3U);
  EXPECT_EQ(pool.outstanding(), 3U);
  EXPECT_EQ(pool.in_use(), 0U);
  EXPECT_EQ(pool.refused(), 1U);
  EXPECT_EQ(some[0]->room, 100U);
  some[0]->len = 10;
  some[0]->room = 90;
  some[1]->data += 100;  // used up, and none left
  some[1]->room = 0;
  EXPECT_EQ(pool.in_use(), 2U);
  BufChain chain;
  for (unsigned i = 0; i < 3; ++i) chain.push_back(some[i]);
  pool.give(std::move(chain));
  EXPECT_EQ(pool.outstanding(), 0U);
  EXPECT_EQ(pool.peak(), 3U);
}

struct Outcome {
  std::vector<std::pair<Duration, Octets>> got;
  ChannelStats stats;
};

Outcome send_many(const Faults& faults, std::uint64_t seed, unsigned n, bool ip = true) {
  EventLoop loop;
  Outcome o;
  Channel channel(
      loop, [&](Octets&& f) { o.got.emplace_back(loop.now() - Instant{1s}, f); }, faults, seed);
  for (unsigned i = 0; i < n; ++i) {
    Octets f = frame_of(1, 2, 100, ip);
    std::memcpy(f.data() + 20, &i, sizeof i);
    channel.send(std::move(f));
    loop.run_until(loop.now() + 1ms);
  }
  loop.run_until(loop.now() + 10s);
  o.stats = channel.stats();
  return o;
}

TEST(Channel, WithoutFaultsDelaysAndNothingElse) {
  Faults f;
  f.delay = 3ms;
  const Outcome o = send_many(f, 1, 50);
  ASSERT_EQ(o.got.size(), 50U);
  EXPECT_EQ(o.got[0].first, 3ms);
  EXPECT_EQ(o.got[49].first, 49ms + 3ms);
}

TEST(Channel, FaultsComeAsOftenAsAskedAndFromTheSeedAlone) {
  Faults f;
  f.loss = 100'000;
  f.duplicate = 50'000;
  f.reorder = 200'000;
  f.reorder_delay = 20ms;
  f.corrupt = 30'000;
  const Outcome a = send_many(f, 7, 10'000), b = send_many(f, 7, 10'000),
                c = send_many(f, 8, 10'000);
  EXPECT_EQ(a.got, b.got);
  EXPECT_NE(a.got, c.got);
  EXPECT_NEAR(static_cast<double>(a.stats.lost), 1'000, 120);
  EXPECT_NEAR(static_cast<double>(a.stats.duplicated), 450, 80);
  EXPECT_NEAR(static_cast<double>(a.stats.reordered), 1'800, 200);
  EXPECT_NEAR(static_cast<double>(a.stats.corrupted), 270, 70);
  EXPECT_EQ(a.got.size(), a.stats.sent - a.stats.lost + a.stats.duplicated);
}

TEST(Channel, JitterAloneDoesNotReorder) {
  Faults f;
  f.jitter = 50ms;
  const Outcome o = send_many(f, 3, 1'000);
  unsigned last = 0;
  for (const auto& [when, frame] : o.got) {
    unsigned i = 0;
    std::memcpy(&i, frame.data() + 20, sizeof i);
    EXPECT_GE(i, last);
    last = i;
  }
  EXPECT_EQ(last, 999U);
}

TEST(Channel, CorruptionIsOneShortBurstBehindTheEthernetHeader) {
  Faults f;
  f.corrupt = 1'000'000;
  f.delay = 0us;
  const Outcome clean = send_many({}, 5, 3'000), bad = send_many(f, 5, 3'000);
  ASSERT_EQ(bad.got.size(), 3'000U);
  for (unsigned i = 0; i < 3'000; ++i) {
    const Octets &x = clean.got[i].second, &y = bad.got[i].second;
    std::vector<std::size_t> flipped;
    for (std::size_t bit = 0; bit < x.size() * 8; ++bit) {
      if (((x[bit / 8] ^ y[bit / 8]) & (std::byte{0x80} >> (bit % 8))) != std::byte{}) {
        flipped.push_back(bit);
      }
    }
    ASSERT_FALSE(flipped.empty());
    EXPECT_GE(flipped.front(), wire::kEthHeader * 8);
    EXPECT_LT(flipped.back() - flipped.front(), 16U);
  }
  EXPECT_TRUE(send_many(f, 5, 10, false).got.empty());  // ARP: the FCS would have found it
}

TEST(Channel, RateAndQueue) {
  EventLoop loop;
  Faults f;
  f.delay = 0us;
  f.rate = 1'000'000;  // 1000 octets take 8 ms
  f.queue = 5'000;
  std::vector<Duration> when;
  Channel channel(
      loop, [&](Octets&&) { when.push_back(loop.now() - Instant{1s}); }, f, 1);
  for (unsigned i = 0; i < 10; ++i) channel.send(frame_of(1, 2, 1'000));
  loop.run_until(Instant{10s});
  ASSERT_EQ(when.size(), 6U);  // one on the wire, five waiting
  EXPECT_EQ(when[0], 8ms);
  EXPECT_EQ(when[5], 48ms);
  EXPECT_EQ(channel.stats().queue_full, 4U);
}

TEST(Channel, NoMoreThanAskedOvertake) {
  Faults f;
  f.reorder = 100'000;
  f.reorder_by = 50;
  f.reorder_delay = 5s;
  f.delay = 0us;
  const Outcome o = send_many(f, 3, 5'000);
  ASSERT_EQ(o.got.size(), 5'000U);
  unsigned at = 0;
  long most = 0;
  for (const auto& [when, frame] : o.got) {
    unsigned i = 0;
    std::memcpy(&i, frame.data() + 20, sizeof i);
    most = std::max(most, long{at} - long{i});
    ++at;
  }
  EXPECT_GT(most, 30);
  EXPECT_LE(most, 50);
}

Octets tcp_frame(bool v4, std::uint8_t tos, std::uint32_t len = 1'000) {
  wire::TcpFrame f;
  f.src_mac = MacAddr{{2, 0, 0, 0, 0, 2}};
  f.dst_mac = MacAddr{{2, 0, 0, 0, 0, 1}};
  f.flow = v4 ? FlowKey{IpAddr::v4(10, 0, 0, 2), IpAddr::v4(10, 0, 0, 1), 1'234, 80}
              : FlowKey{*parse_ip("2001:db8::2"), *parse_ip("2001:db8::1"), 1'234, 80};
  f.tos = tos;
  f.tcp.seq = Seq{0x11223344};
  f.tcp.flags = wire::ACK;
  f.payload_len = len;
  const Octets text(len, std::byte{'x'});
  const wire::Piece piece{text.data(), len};
  Octets frame(wire::kMaxTcpFrameHeader);
  frame.resize(wire::write_tcp_frame(frame, f, wire::TxChecksum::kSoftware, {&piece, 1}));
  frame.insert(frame.end(), text.begin(), text.end());
  return frame;
}

wire::Frame parsed(const Octets& frame) {
  wire::Frame f;
  wire::parse_frame(frame, frame.size(), {}, f);
  return f;
}

TEST(Channel, MarksOnlyWhatSaysEct) {
  EventLoop loop;
  Faults f;
  f.ce = 1'000'000;
  std::vector<wire::Frame> got;
  Channel channel(
      loop, [&](Octets&& frame) { got.push_back(parsed(frame)); }, f, 1);
  for (const bool v4 : {true, false}) {
    for (const unsigned tos : {0U, 1U, 2U, 3U, 0xb8U, 0xbaU}) {
      channel.send(tcp_frame(v4, static_cast<std::uint8_t>(tos)));
    }
  }
  loop.run_until(Instant{2s});
  ASSERT_EQ(got.size(), 12U);
  for (unsigned i = 0; i < 12; ++i) {
    constexpr std::uint8_t kWant[] = {0, 3, 3, 3, 0xb8, 0xbb};
    EXPECT_EQ(got[i].kind, wire::Kind::kTcp) << i;  // its checksums hold
    EXPECT_EQ(got[i].tos, kWant[i % 6]) << i;
  }
  EXPECT_EQ(channel.stats().marked, 6U);
}

TEST(Channel, TellsTheSenderOfWhatIsTooLong) {
  for (const bool v4 : {true, false}) {
    EventLoop loop;
    Faults f;
    f.mtu = 1'300;
    std::vector<wire::Frame> got, back;
    Channel channel(
        loop, [&](Octets&& frame) { got.push_back(parsed(frame)); }, f, 1);
    channel.set_back([&](Octets&& frame) { back.push_back(parsed(frame)); });
    channel.send(tcp_frame(v4, 0, 1'200));
    channel.send(tcp_frame(v4, 0, 1'300));
    f.too_big = false;  // a black hole
    channel.set_faults(f);
    channel.send(tcp_frame(v4, 0, 1'300));
    loop.run_until(Instant{2s});
    EXPECT_EQ(got.size(), 1U);
    EXPECT_EQ(channel.stats().too_big, 2U);
    ASSERT_EQ(back.size(), 1U);
    const wire::Frame& b = back[0];
    EXPECT_EQ(b.kind, v4 ? wire::Kind::kIcmp4 : wire::Kind::kIcmp6);
    EXPECT_EQ(b.icmp.type, v4 ? 3 : 2);
    EXPECT_EQ(b.icmp.code, v4 ? 4 : 0);
    EXPECT_EQ(b.icmp.rest & 0xffffU, 1'300U);
    EXPECT_EQ(b.icmp.inner_seq, Seq{0x11223344});
    EXPECT_EQ(b.icmp.inner.local_port, 1'234);
  }
}

TEST(SimDriver, ScattersTcpBehindItsHeaders) {
  EventLoop loop;
  BlockPool pool;
  SimDriver driver(loop, pool, [](Octets&&) {});
  driver.set_scatter(333);
  const Octets sent = tcp_frame(true, 0);
  driver.deliver(Octets{sent});
  driver.deliver(frame_of(1, 2));
  std::vector<Buf*> got(8);
  ASSERT_EQ(driver.rx_burst(got), 2U);
  Octets all;
  unsigned pieces = 0;
  for (const Buf* b = got[0]; b != nullptr; b = b->next, ++pieces) {
    all.insert(all.end(), b->data, b->data + b->len);
  }
  EXPECT_EQ(all, sent);
  EXPECT_EQ(pieces, 4U);
  EXPECT_EQ(got[1]->next, nullptr);
  for (unsigned i = 0; i < 2; ++i) {
    for (Buf* b = got[i]; b != nullptr;) {
      Buf* next = b->next;
      pool.give(b);
      b = next;
    }
  }
  EXPECT_EQ(pool.outstanding(), 0U);
}

TEST(Network, LearnsAndFloods) {
  EventLoop loop;
  Network net(loop, 1);
  std::vector<std::string> got(3);
  for (unsigned i = 0; i < 3; ++i) {
    net.attach([&got, i](Octets&& f) { got[i] += std::to_string(std::to_integer<int>(f[11])); }, {},
               {});
  }
  const auto send = [&](unsigned from, std::uint8_t dst) {
    net.send(from, frame_of(dst, static_cast<std::uint8_t>(from)));
    loop.run_until(loop.now() + 1s);
  };
  send(0, 0xff);  // all others
  send(1, 0);     // known
  send(1, 2);     // not known yet: all others
  send(2, 1);
  EXPECT_EQ(got, (std::vector<std::string>{"11", "02", "01"}));
}

TEST(PcapWriter, WritesTheClassicFormat) {
  std::ostringstream out;
  PcapWriter pcap(out);
  const Octets f = frame_of(1, 2, 60);
  pcap.write(Instant{3s + 5us}, f);
  const std::string s = out.str();
  ASSERT_EQ(s.size(), 24U + 16U + 60U);
  const std::string head("\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x01\0\0\0", 24);
  EXPECT_EQ(s.substr(0, 24), head);
  EXPECT_EQ(s.substr(24, 16), std::string("\x03\0\0\0\x05\0\0\0\x3c\0\0\0\x3c\0\0\0", 16));
  EXPECT_EQ(std::memcmp(s.data() + 40, f.data(), 60), 0);
}

struct DriverWorld {
  EventLoop loop;
  BlockPool pool;
  std::vector<Octets> sent;
  telemetry::Counters counters;
  SimDriver driver{loop, pool, [this](Octets&& f) { sent.push_back(std::move(f)); }};
};

TEST(SimDriver, ReceivesEachFrameIntoABlockOfItsOwn) {
  DriverWorld w;
  w.driver.deliver(frame_of(1, 2, 77));
  w.driver.deliver(frame_of(1, 3, 60));
  Buf* b[4];
  ASSERT_EQ(w.driver.rx_burst({b, 1}), 1U);
  EXPECT_TRUE(w.driver.has_frames());
  ASSERT_EQ(w.driver.rx_burst({b + 1, 3}), 1U);
  EXPECT_EQ(b[0]->len, 77U);
  EXPECT_EQ(b[0]->room, 0U);
  EXPECT_EQ(b[1]->data[11], std::byte{3});
  BufChain chain;
  chain.push_back(b[0]);
  chain.push_back(b[1]);
  w.driver.release(std::move(chain));
  EXPECT_EQ(w.pool.outstanding(), 0U);
}

TEST(SimDriver, CutsLongSegmentsAsTsoWould) {
  DriverWorld w;
  std::vector<std::byte> text(2'500);
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<std::byte>(i * 7);
  BufChain queue;  // in two pieces, the segment begins inside the first
  queue.push_back(w.pool.take_copy(std::span{text}.first(900)));
  queue.push_back(w.pool.take_copy(std::span{text}.subspan(900)));
  tcp::TxPacket p;
  p.flow = {IpAddr::v4(10, 0, 0, 1), IpAddr::v4(10, 0, 0, 2), 1'000, 80};
  p.ip_id = 0xffff;
  p.seg.seq = Seq{0xffff'ff00};
  p.seg.flags = tcp::ACK | tcp::PSH | tcp::FIN | tcp::CWR;
  p.seg.payload = queue.head();
  p.seg.payload_offset = 100;
  p.seg.len = 2'400;
  p.seg.mss = 1'000;
  p.seg.options.has_timestamps = true;
  w.driver.transmit({&p, 1}, {}, w.counters);
  ASSERT_EQ(w.sent.size(), 3U);
  std::vector<std::byte> got;
  const unsigned flags[] = {tcp::ACK | tcp::CWR, tcp::ACK, tcp::ACK | tcp::PSH | tcp::FIN};
  for (unsigned i = 0; i < 3; ++i) {
    wire::Frame f;
    wire::parse_frame(w.sent[i], w.sent[i].size(), {}, f);  // checksums too
    ASSERT_EQ(f.kind, wire::Kind::kTcp);
    EXPECT_EQ(f.tcp.seq, p.seg.seq + i * 1'000);
    EXPECT_EQ(f.tcp.flags, flags[i]);
    EXPECT_TRUE(f.tcp.options.has_timestamps);
    got.insert(got.end(), w.sent[i].begin() + f.payload_offset,
               w.sent[i].begin() + f.payload_offset + f.payload_len);
  }
  EXPECT_TRUE(std::equal(got.begin(), got.end(), text.begin() + 100, text.end()));
  EXPECT_EQ(w.counters.tx_frames.get(), 3U);
  w.pool.give(std::move(queue));
}

}  // namespace
}  // namespace weir::sim

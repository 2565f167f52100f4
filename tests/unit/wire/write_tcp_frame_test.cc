// Whole TCP frames out: the golden octets, both families, checksums done here or left to the port.
#include "base/rng.h"
#include "frames.h"
#include "wire/sum.h"
#include "wire/write_tcp4.h"

namespace weir::wire::test {
namespace {

TcpFrame data4() {
  TcpFrame f;
  f.src_mac = kMacA;
  f.dst_mac = kMacB;
  f.flow = {kA4, kB4, 49'153, 80};
  f.tos = 2;
  f.ip_id = 0x1234;
  f.tcp.seq = Seq{0x1122'3345};
  f.tcp.ack = Seq{0x5566'7788};
  f.tcp.flags = ACK | PSH;
  f.tcp.wnd = 502;
  f.tcp.options.has_timestamps = true;
  f.tcp.options.ts_val = 200;
  f.tcp.options.ts_ecr = 500;
  f.payload_len = 5;
  return f;
}

TcpFrame sack6() {
  TcpFrame f = data4();
  f.flow = {kA6, kB6, 49'153, 443};
  f.tos = 0;
  f.tcp.seq = Seq{0x0102'0304};
  f.tcp.ack = Seq{0x0a0b'0c0d};
  f.tcp.flags = ACK;
  f.tcp.wnd = 1'000;
  f.tcp.options.sack_count = 1;
  f.tcp.options.sack[0] = {Seq{0x1000}, Seq{0x1400}};
  f.payload_len = 3;
  return f;
}

// Headers, then the payload split in pieces of one octet and the rest.
Octets frame_of(const TcpFrame& f, TxChecksum how, const Octets& payload) {
  Octets out(kMaxTcpFrameHeader, std::byte{0xee});
  std::vector<Piece> pieces;
  if (!payload.empty()) {
    pieces.push_back({payload.data(), 1});
    pieces.push_back({payload.data() + 1, static_cast<std::uint32_t>(payload.size() - 1)});
  }
  out.resize(write_tcp_frame(out, f, how, pieces));
  append(out, payload);
  return out;
}

const Octets kHello = hex("68 65 6c 6c 6f");

//= RFC9293 MUST-2 type=test
TEST(WriteTcpFrame, IsTheGoldenFrame) {
  EXPECT_EQ(frame_of(data4(), TxChecksum::kSoftware, kHello), golden_data4());
  EXPECT_EQ(frame_of(sack6(), TxChecksum::kSoftware, hex("61 62 63")), golden_sack6());
}

TEST(WriteTcpFrame, SynIsTheGoldenFrame) {
  TcpFrame f = data4();
  f.tos = 0;
  f.tcp = {};
  f.tcp.seq = Seq{0x1122'3344};
  f.tcp.flags = SYN;
  f.tcp.wnd = 64'240;
  f.tcp.options.mss = 1'460;
  f.tcp.options.window_scale = 7;
  f.tcp.options.sack_permitted = f.tcp.options.has_timestamps = true;
  f.tcp.options.ts_val = 100;
  f.payload_len = 0;
  EXPECT_EQ(frame_of(f, TxChecksum::kSoftware, {}), golden_syn4());
}

TEST(WriteTcpFrame, OffloadLeavesThePseudoHeadersSum) {
  Octets want = golden_data4();
  put16(want, 24, 0);
  Checksum pseudo;
  pseudo.add_pseudo_header(kA4, kB4, 6, 37);
  put16(want, 50, pseudo.sum());
  EXPECT_EQ(frame_of(data4(), TxChecksum::kOffload, kHello), want);
  put16(want, 24, 0x1487);
  EXPECT_EQ(frame_of(data4(), TxChecksum::kIpSoftware, kHello), want);
}

TEST(WriteTcpFrame, TsoLeavesTheLengthOut) {
  Octets want = golden_data4();
  put16(want, 24, 0);
  put16(want, 50, 0x1409);  // 0a00 + 0001 + 0a00 + 0002 + 0006
  EXPECT_EQ(frame_of(data4(), TxChecksum::kOffloadTso, kHello), want);
}

// What a port does with kOffload: sum the segment from its header on, put the complement in.
TEST(WriteTcpFrame, APortCompletesTheOffload) {
  for (const bool v6 : {false, true}) {
    const Octets payload = v6 ? hex("61 62 63") : kHello;
    Octets f = frame_of(v6 ? sack6() : data4(), TxChecksum::kIpSoftware, payload);
    const std::size_t l4 = v6 ? 54 : 34;
    put16(f, l4 + 16, checksum(std::span(f).subspan(l4)));
    EXPECT_EQ(f, v6 ? golden_sack6() : golden_data4());
  }
}

TEST(WriteTcpFrame, Ipv6TrafficClass) {
  TcpFrame f = sack6();
  f.tos = 0xb8;
  f.ttl = 7;
  const Frame parsed = parse(frame_of(f, TxChecksum::kSoftware, hex("61 62 63")));
  EXPECT_EQ(parsed.kind, Kind::kTcp);
  EXPECT_EQ(parsed.tos, 0xb8);
  EXPECT_EQ(parsed.ttl, 7);
}

TEST(WriteTcpFrame, RoundTripsThroughEveryPayloadLength) {
  for (std::uint32_t n = 0; n < 200; ++n) {
    TcpFrame f = n % 2 == 0 ? data4() : sack6();
    f.payload_len = n;
    Octets payload(n);
    for (std::uint32_t i = 0; i < n; ++i) payload[i] = static_cast<std::byte>(i * 37 & 0xffU);
    const Frame parsed = parse(frame_of(f, TxChecksum::kSoftware, payload));
    ASSERT_EQ(parsed.fault, Fault::kNone) << n;
    EXPECT_EQ(parsed.payload_len, n);
    EXPECT_EQ(parsed.tcp.seq, f.tcp.seq);
    EXPECT_EQ(parsed.tcp.src_port, f.flow.local_port);
  }
}

TcpOptions random_options(Rng& rng) {
  TcpOptions o;
  if (rng.below(3) == 0) o.mss = static_cast<std::uint16_t>(1 + rng.below(65'535));
  if (rng.below(3) == 0) o.window_scale = static_cast<std::uint8_t>(rng.below(15));
  o.sack_permitted = rng.below(3) == 0;
  o.has_timestamps = rng.below(2) == 0;
  if (o.has_timestamps) {
    o.ts_val = static_cast<std::uint32_t>(rng.next());
    o.ts_ecr = static_cast<std::uint32_t>(rng.next());
  }
  if (rng.below(3) == 0) o.sack_count = static_cast<std::uint8_t>(rng.below(5));
  for (SackBlock& b : o.sack) {
    b = {Seq{static_cast<std::uint32_t>(rng.next())}, Seq{static_cast<std::uint32_t>(rng.next())}};
  }
  return o;
}

TcpFrame random_frame(Rng& rng) {
  TcpFrame f = rng.below(3) == 0 ? sack6() : data4();
  f.flow.local_port = static_cast<std::uint16_t>(rng.next());
  f.flow.remote_port = static_cast<std::uint16_t>(rng.next());
  f.tos = static_cast<std::uint8_t>(rng.next());
  f.ttl = static_cast<std::uint8_t>(rng.next());
  f.ip_id = static_cast<std::uint16_t>(rng.next());
  f.tcp.seq = Seq{static_cast<std::uint32_t>(rng.next())};
  f.tcp.ack = Seq{static_cast<std::uint32_t>(rng.next())};
  f.tcp.wnd = static_cast<std::uint16_t>(rng.next());
  f.tcp.urgent = static_cast<std::uint16_t>(rng.next());
  f.tcp.flags = static_cast<std::uint8_t>(rng.next());
  f.tcp.options = random_options(rng);
  f.payload_len = rng.below(120);
  return f;
}

// What was written, the SACK blocks that found room included.
void expect_read_back(const TcpFrame& f, const Frame& r) {
  ASSERT_EQ(r.kind, Kind::kTcp);
  EXPECT_EQ(r.src, f.flow.local);
  EXPECT_EQ(r.dst, f.flow.remote);
  EXPECT_EQ(r.src_mac, f.src_mac);
  EXPECT_EQ(r.dst_mac, f.dst_mac);
  EXPECT_EQ(r.tos, f.tos);
  EXPECT_EQ(r.ttl, f.ttl);
  EXPECT_EQ(r.payload_len, f.payload_len);
  EXPECT_EQ(r.tcp.src_port, f.flow.local_port);
  EXPECT_EQ(r.tcp.dst_port, f.flow.remote_port);
  EXPECT_EQ(r.tcp.seq, f.tcp.seq);
  EXPECT_EQ(r.tcp.ack, f.tcp.ack);
  EXPECT_EQ(r.tcp.wnd, f.tcp.wnd);
  EXPECT_EQ(r.tcp.urgent, f.tcp.urgent);
  EXPECT_EQ(r.tcp.flags, f.tcp.flags);
  const TcpOptions &o = f.tcp.options, &p = r.tcp.options;
  EXPECT_EQ(p.mss, o.mss);
  EXPECT_EQ(p.window_scale, o.window_scale);
  EXPECT_EQ(p.sack_permitted, o.sack_permitted);
  EXPECT_EQ(p.has_timestamps, o.has_timestamps);
  EXPECT_EQ(p.ts_val, o.ts_val);
  EXPECT_EQ(p.ts_ecr, o.ts_ecr);
  const std::size_t header = r.payload_offset - r.l4_offset - std::size_t{kTcpMinHeader};
  EXPECT_EQ(header, tcp_options_size(o));
  ASSERT_LE(p.sack_count, o.sack_count);
  for (std::size_t i = 0; i < p.sack_count; ++i) {
    EXPECT_EQ(p.sack[i].left, o.sack[i].left);
    EXPECT_EQ(p.sack[i].right, o.sack[i].right);
  }
}

// parse_frame sums and reads by another way than the writer's.
TEST(WriteTcpFrame, RandomFramesAreReadBack) {
  Rng rng(1'624);
  for (int round = 0; round < 20'000; ++round) {
    const TcpFrame f = random_frame(rng);
    Octets payload(f.payload_len);
    for (auto& o : payload) o = static_cast<std::byte>(rng.next() & 0xffU);
    const Octets frame = frame_of(f, TxChecksum::kSoftware, payload);
    expect_read_back(f, parse(frame));
    const bool v4 = f.flow.local.is_v4();
    const std::size_t l4 = v4 ? 34 : 54;
    if (v4) {
      ASSERT_EQ(get16(frame, 18), f.ip_id);
    }
    // The text's sum later, and the port's: the same.
    Octets later(kMaxTcpFrameHeader);
    later.resize(write_tcp_frame(later, f, TxChecksum::kSoftware, std::uint16_t{0}));
    add_text_sum(later.data() + l4, sum_octets(payload.data(), payload.size()));
    append(later, payload);
    ASSERT_EQ(later, frame) << round;
    Octets ports = frame_of(f, TxChecksum::kIpSoftware, payload);
    put16(ports, l4 + 16, checksum(std::span(ports).subspan(l4)));
    ASSERT_EQ(ports, frame) << round;
    if (HasFailure()) FAIL() << round;
  }
}

TEST(WriteTcpFrameDeathTest, MisuseIsABug) {
  Octets out(kMaxTcpFrameHeader);
  const Piece four{kHello.data(), 4};
  EXPECT_DEATH(write_tcp_frame(out, data4(), TxChecksum::kSoftware, {&four, 1}), "bug");
  TcpFrame mixed = data4();
  mixed.flow.remote = kB6;
  EXPECT_DEATH(write_tcp_frame(out, mixed, TxChecksum::kOffload, {}), "bug");
  TcpFrame huge = data4();
  huge.payload_len = 65'536;
  EXPECT_DEATH(write_tcp_frame(out, huge, TxChecksum::kOffloadTso, {}), "bug");
}

}  // namespace
}  // namespace weir::wire::test

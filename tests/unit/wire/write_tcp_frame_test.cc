// Whole TCP frames out: the golden octets, both families, checksums done here or left to the port.
#include "frames.h"

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

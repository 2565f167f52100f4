// Known frames, field by field.
#include "frames.h"

namespace weir::wire::test {
namespace {

TEST(Golden, Syn4) {
  const Frame f = parse(golden_syn4());
  ASSERT_EQ(f.fault, Fault::kNone);
  ASSERT_EQ(f.kind, Kind::kTcp);
  EXPECT_EQ(f.src_mac, kMacA);
  EXPECT_EQ(f.dst_mac, kMacB);
  EXPECT_EQ(f.src, kA4);
  EXPECT_EQ(f.dst, kB4);
  EXPECT_EQ(f.ttl, 64);
  EXPECT_EQ(f.tos, 0);
  EXPECT_EQ(f.protocol, 6);
  EXPECT_EQ(f.l3_offset, 14);
  EXPECT_EQ(f.l4_offset, 34);
  EXPECT_EQ(f.l4_len, 40U);
  EXPECT_EQ(f.payload_offset, 74);
  EXPECT_EQ(f.payload_len, 0U);
  EXPECT_FALSE(f.checksum_pending);
  EXPECT_EQ(f.tcp.src_port, 49'153);
  EXPECT_EQ(f.tcp.dst_port, 80);
  EXPECT_EQ(f.tcp.seq, Seq{0x1122'3344});
  EXPECT_EQ(f.tcp.ack, Seq{0});
  EXPECT_EQ(f.tcp.flags, SYN);
  EXPECT_EQ(f.tcp.wnd, 64'240);
  EXPECT_EQ(f.tcp.urgent, 0);
  EXPECT_EQ(f.tcp.options.mss, 1'460);
  EXPECT_EQ(f.tcp.options.window_scale, 7);
  EXPECT_TRUE(f.tcp.options.sack_permitted);
  EXPECT_TRUE(f.tcp.options.has_timestamps);
  EXPECT_EQ(f.tcp.options.ts_val, 100U);
  EXPECT_EQ(f.tcp.options.ts_ecr, 0U);
  EXPECT_EQ(f.tcp.options.sack_count, 0);
}

TEST(Golden, Data4) {
  const Octets frame = golden_data4();
  const Frame f = parse(frame);
  ASSERT_EQ(f.kind, Kind::kTcp);
  EXPECT_EQ(f.tos, 2);
  EXPECT_EQ(f.tcp.flags, ACK | PSH);
  EXPECT_EQ(f.tcp.ack, Seq{0x5566'7788});
  EXPECT_EQ(f.tcp.options.mss, 0);
  EXPECT_EQ(f.tcp.options.window_scale, kNoWindowScale);
  EXPECT_EQ(f.tcp.options.ts_val, 200U);
  EXPECT_EQ(f.tcp.options.ts_ecr, 500U);
  ASSERT_EQ(f.payload_len, 5U);
  EXPECT_EQ(frame.at(f.payload_offset), std::byte{'h'});
}

TEST(Golden, Sack6) {
  const Frame f = parse(golden_sack6());
  ASSERT_EQ(f.kind, Kind::kTcp);
  EXPECT_EQ(f.src, kA6);
  EXPECT_EQ(f.dst, kB6);
  EXPECT_EQ(f.l4_offset, 54);
  EXPECT_EQ(f.payload_len, 3U);
  EXPECT_EQ(f.tcp.dst_port, 443);
  ASSERT_EQ(f.tcp.options.sack_count, 1);
  EXPECT_EQ(f.tcp.options.sack[0].left, Seq{0x1000});
  EXPECT_EQ(f.tcp.options.sack[0].right, Seq{0x1400});
  EXPECT_EQ(f.tcp.options.ts_ecr, 500U);
}

TEST(Golden, Echo) {
  for (const bool v6 : {false, true}) {
    const Frame f = parse(v6 ? golden_echo6() : golden_echo4());
    ASSERT_EQ(f.kind, v6 ? Kind::kIcmp6 : Kind::kIcmp4);
    EXPECT_EQ(f.icmp.type, v6 ? 128 : 8);
    EXPECT_EQ(f.icmp.code, 0);
    EXPECT_EQ(f.icmp.rest, 0x4242'0007U);
    EXPECT_FALSE(f.icmp.has_inner);
    EXPECT_EQ(f.l4_len, 17U);
  }
}

TEST(Golden, Arp) {
  const Frame f = parse(golden_arp());
  ASSERT_EQ(f.kind, Kind::kArp);
  EXPECT_EQ(f.dst_mac, MacAddr::broadcast());
  EXPECT_EQ(f.arp.op, 1);
  EXPECT_EQ(f.arp.sender_mac, kMacA);
  EXPECT_EQ(f.arp.sender_ip, kA4);
  EXPECT_TRUE(f.arp.target_mac.is_zero());
  EXPECT_EQ(f.arp.target_ip, kB4);
}

TEST(Ethernet, OtherTypesAreOther) {
  for (const unsigned type : {0x8100U, 0x88a8U, 0x88ccU, 0x0040U}) {
    Octets f = golden_syn4();
    put16(f, 12, type);
    EXPECT_EQ(parse(f).kind, Kind::kOther) << type;
    EXPECT_EQ(parse(f).fault, Fault::kNone);
  }
}

// Every golden frame, cut at every octet: never taken for whole, never read past the cut.
TEST(Ethernet, TruncatedFramesAreRefused) {
  for (const Octets& whole :
       {golden_syn4(), golden_data4(), golden_sack6(), golden_echo4(), golden_echo6()}) {
    for (std::size_t n = 0; n < whole.size(); ++n) {
      const Frame f = parse(Octets(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n)));
      EXPECT_EQ(f.kind, Kind::kMalformed) << n;
      EXPECT_NE(f.fault, Fault::kNone) << n;
    }
  }
}

// The parser leaves a Frame's other fields alone, so one may serve for many frames.
TEST(Ethernet, AReusedFrameShowsNothingOfTheLastOne) {
  Frame f;
  const Octets first = golden_sack6();
  parse_frame(first, first.size(), {}, f);
  const Octets second = golden_data4();
  parse_frame(second, second.size(), {}, f);
  EXPECT_EQ(f.tcp.options.sack_count, 0);
  const Octets third = ipv4_frame(6, tcp_segment({}, false));
  parse_frame(third, third.size(), {}, f);
  EXPECT_FALSE(f.tcp.options.has_timestamps);
  EXPECT_EQ(f.tcp.options.ts_val, 0U);
  EXPECT_EQ(f.payload_len, 0U);
}

}  // namespace
}  // namespace weir::wire::test

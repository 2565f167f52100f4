// ARP, in and out.
#include "frames.h"

namespace weir::wire::test {
namespace {

TEST(Arp, WritesTheGoldenFrame) {
  const ArpPacket arp{
      .op = 1, .sender_mac = kMacA, .target_mac = {}, .sender_ip = kA4, .target_ip = kB4};
  Octets out(kMinFrame, std::byte{0xee});
  EXPECT_EQ(write_arp_frame(out, kMacA, MacAddr::broadcast(), arp), kMinFrame);
  EXPECT_EQ(out, golden_arp());
}

TEST(Arp, RoundTripOfAReply) {
  const ArpPacket arp{
      .op = 2, .sender_mac = kMacB, .target_mac = kMacA, .sender_ip = kB4, .target_ip = kA4};
  Octets out(kMinFrame);
  write_arp_frame(out, kMacB, kMacA, arp);
  const Frame f = parse(out);
  ASSERT_EQ(f.kind, Kind::kArp);
  EXPECT_EQ(f.src_mac, kMacB);
  EXPECT_EQ(f.dst_mac, kMacA);
  EXPECT_EQ(f.arp.op, 2);
  EXPECT_EQ(f.arp.sender_mac, kMacB);
  EXPECT_EQ(f.arp.target_mac, kMacA);
  EXPECT_EQ(f.arp.sender_ip, kB4);
  EXPECT_EQ(f.arp.target_ip, kA4);
}

TEST(Arp, NeedsNoPadding) {
  Octets f = golden_arp();
  f.resize(42);
  EXPECT_EQ(parse(f).kind, Kind::kArp);
  f.resize(41);
  EXPECT_EQ(parse(f).fault, Fault::kShortFrame);
}

//= RFC826 reception-a type=test
TEST(Arp, OtherHardwareProtocolsLengthsAndOperations) {
  for (const std::size_t at : {15U, 17U, 18U, 19U, 20U}) {
    Octets f = golden_arp();
    put8(f, at, get8(f, at) ^ 0x40U);
    EXPECT_EQ(parse(f).fault, Fault::kArpMalformed) << at;
  }
  for (const unsigned op : {0U, 3U}) {
    Octets f = golden_arp();
    put16(f, 20, op);
    EXPECT_EQ(parse(f).fault, Fault::kArpMalformed) << op;
  }
}

TEST(Arp, SendersThatNoHostCanBe) {
  Octets f = golden_arp();
  put8(f, 22, 0x01);  // a group address
  EXPECT_EQ(parse(f).fault, Fault::kArpMalformed);
  f = golden_arp();
  std::fill(f.begin() + 22, f.begin() + 28, std::byte{0});
  EXPECT_EQ(parse(f).fault, Fault::kArpMalformed);
}

}  // namespace
}  // namespace weir::wire::test

// Whole frames and TSO in software: every octet from its buffer, and pieces as Linux's
// tcp_gso_segment makes them.
#include "tcp/tx_frame.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "base/buf.h"

namespace weir::tcp {
namespace {

// Buffers of these lengths in a chain; octet i of the whole is i modulo 251.
struct Text {
  explicit Text(const std::vector<std::uint32_t>& lengths) : bufs(lengths.size()) {
    for (const std::uint32_t n : lengths) octets.emplace_back(n);
    std::uint32_t at = 0;
    for (std::size_t i = 0; i < bufs.size(); ++i) {
      for (std::byte& b : octets[i]) b = std::byte(at++ % 251);
      bufs[i].data = octets[i].data();
      bufs[i].len = lengths[i];
      if (i + 1 < bufs.size()) bufs[i].next = &bufs[i + 1];
    }
  }
  std::vector<std::vector<std::byte>> octets;  // of exactly their size, for a sanitizer to see
  std::vector<Buf> bufs;
};

TxPacket packet_of(const Text& text, std::uint32_t offset, std::uint32_t len, bool ipv6 = false) {
  TxPacket p;
  p.flow = {IpAddr::v4(0x0a00'0001), IpAddr::v4(0x0a00'0002), 80, 12'345};
  if (ipv6) {
    p.flow.local = IpAddr::v6({0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
    p.flow.remote = IpAddr::v6({0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2});
  }
  p.ip_id = 0xffff;
  p.seg.seq = Seq{0xffff'ff00};
  p.seg.ack = Seq{77};
  p.seg.wnd = 500;
  p.seg.flags = ACK;
  p.seg.len = len;
  p.seg.payload = len > 0 ? text.bufs.data() : nullptr;
  p.seg.payload_offset = offset;
  return p;
}

// Its frame, read as a peer reads it: both checksums are right, and nothing is beyond it.
void expect_frame(const TxPacket& p, std::size_t header, std::uint32_t first) {
  std::vector<std::byte> out(wire::kMaxTcpFrameHeader + p.seg.len, std::byte{0xee});
  const std::size_t n = write_frame(out, p);
  ASSERT_EQ(n, header + p.seg.len);
  wire::Frame f;
  wire::parse_frame(std::span(out).first(n), n, {}, f);
  ASSERT_EQ(f.kind, wire::Kind::kTcp) << static_cast<int>(f.fault);
  EXPECT_FALSE(f.checksum_pending);
  ASSERT_EQ(f.payload_offset, header);
  ASSERT_EQ(f.payload_len, p.seg.len);
  EXPECT_EQ(f.tcp.seq, p.seg.seq);
  EXPECT_EQ(f.tcp.flags, p.seg.flags);
  for (std::uint32_t i = 0; i < p.seg.len; ++i) {
    ASSERT_EQ(out[header + i], std::byte((first + i) % 251)) << i;
  }
  for (std::size_t i = n; i < out.size(); ++i) ASSERT_EQ(out[i], std::byte{0xee}) << i;
}

TEST(TxFrame, TextIsGatheredAcrossBuffers) {
  const Text text({100, 1, 50, 200});
  for (const bool ipv6 : {false, true}) {
    const std::size_t header = ipv6 ? 74 : 54;
    expect_frame(packet_of(text, 0, 0, ipv6), header, 0);
    expect_frame(packet_of(text, 0, 100, ipv6), header, 0);      // one buffer, and no more
    expect_frame(packet_of(text, 10, 20, ipv6), header, 10);     // inside
    expect_frame(packet_of(text, 99, 3, ipv6), header, 99);      // three of them
    expect_frame(packet_of(text, 100, 1, ipv6), header, 100);    // begins with the second
    expect_frame(packet_of(text, 130, 221, ipv6), header, 130);  // up to the last octet
    expect_frame(packet_of(text, 0, 351, ipv6), header, 0);      // all there is
  }
}

TEST(TxFrame, OptionsAddToTheHeader) {
  const Text text({300});
  TxPacket p = packet_of(text, 7, 200);
  p.seg.options.has_timestamps = true;
  p.seg.options.ts_val = 1;
  expect_frame(p, 66, 7);
  p.seg.options.sack_count = 2;
  p.seg.options.sack[0] = {Seq{1}, Seq{2}};
  p.seg.options.sack[1] = {Seq{5}, Seq{9}};
  expect_frame(p, 86, 7);  // with the two NOPs before the blocks
}

struct PieceWant {
  std::uint32_t at, len;
  std::uint16_t ip_id;
  std::uint8_t flags;
};

void expect_pieces(const TxPacket& whole, std::span<const PieceWant> want) {
  for (const PieceWant& w : want) {
    const TxPacket piece = cut_segment(whole, w.at);
    EXPECT_EQ(piece.seg.seq, whole.seg.seq + w.at);
    EXPECT_EQ(piece.seg.payload, whole.seg.payload);
    EXPECT_EQ(piece.seg.payload_offset, whole.seg.payload_offset + w.at);
    EXPECT_EQ(piece.seg.len, w.len);
    EXPECT_EQ(piece.ip_id, w.ip_id);
    EXPECT_EQ(piece.seg.flags, w.flags);
    EXPECT_EQ(piece.seg.ack, whole.seg.ack);
    EXPECT_EQ(piece.seg.wnd, whole.seg.wnd);
    EXPECT_EQ(piece.flow, whole.flow);
    expect_frame(piece, 54, whole.seg.payload_offset + w.at);
  }
}

TEST(TxFrame, ALongSegmentIsCutAtItsMss) {
  const Text text({1'000, 1'500, 500});
  TxPacket whole = packet_of(text, 30, 2'500);
  whole.seg.mss = 1'000;
  whole.seg.flags = ACK | PSH | FIN | CWR;
  const std::array<PieceWant, 3> want{
      {{0, 1'000, 0xffff, ACK | CWR}, {1'000, 1'000, 0, ACK}, {2'000, 500, 1, ACK | PSH | FIN}}};
  expect_pieces(whole, want);
  whole.seg.len = 2'000;  // in whole ones
  const std::array<PieceWant, 2> two{
      {{0, 1'000, 0xffff, ACK | CWR}, {1'000, 1'000, 0, ACK | PSH | FIN}}};
  expect_pieces(whole, two);
}

TEST(TxFrame, OneThatFitsStaysWhole) {
  const Text text({3'000});
  TxPacket whole = packet_of(text, 0, 1'000);
  whole.seg.flags = ACK | PSH | CWR;
  for (const std::uint16_t mss :
       std::to_array<std::uint16_t>({0, 1'000, 1'001})) {  // 0: nobody cuts it
    whole.seg.mss = mss;
    const std::array<PieceWant, 1> want{{{0, 1'000, 0xffff, ACK | PSH | CWR}}};
    expect_pieces(whole, want);
    // As it is, from wherever: there is no second piece.
    EXPECT_EQ(cut_segment(whole, 1'000).seg.seq, whole.seg.seq);
  }
}

}  // namespace
}  // namespace weir::tcp

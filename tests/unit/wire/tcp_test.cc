// The TCP header and its options: what a peer may send, and what Weir sends.
#include "wire/tcp.h"

#include <memory>

#include "base/rng.h"
#include "frames.h"

namespace weir::wire::test {
namespace {

// Parses a header whose options are `options`, padded with `pad` to a multiple of 4.
TcpOptions parse_options(const Octets& options, unsigned pad = 0) {
  Octets segment = tcp_segment({}, false);
  append(segment, options);
  while (segment.size() % 4 != 0) segment.push_back(static_cast<std::byte>(pad));
  put8(segment, 12, static_cast<unsigned>(segment.size() / 4) << 4U);
  const auto exact = std::make_unique<std::byte[]>(segment.size());
  std::copy(segment.begin(), segment.end(), exact.get());
  TcpHeader h;
  EXPECT_EQ(parse_tcp({exact.get(), segment.size()}, h), segment.size());
  return h.options;
}
TcpOptions parse_options(const char* options) {
  return parse_options(hex(options));
}

Octets written(const TcpOptions& o) {
  TcpHeader h;
  h.options = o;
  Octets out(kTcpMaxHeader, std::byte{0xee});
  const std::size_t n = write_tcp(out, h);
  EXPECT_EQ(n, kTcpMinHeader + tcp_options_size(o));
  EXPECT_EQ(get8(out, 12), n / 4 << 4U);
  return {out.begin() + kTcpMinHeader, out.begin() + static_cast<std::ptrdiff_t>(n)};
}

//= RFC9293 MUST-4 type=test
TEST(TcpOptions, EndNopAndMss) {
  EXPECT_EQ(parse_options("02 04 05 b4").mss, 1'460);
  EXPECT_EQ(parse_options("01 01 02 04 05 b4 00").mss, 1'460);
  EXPECT_EQ(parse_options("00 02 02 04 05 b4").mss, 0) << "read beyond the end of the list";
  EXPECT_EQ(parse_options("").mss, 0);
}

//= RFC9293 MUST-64 type=test
TEST(TcpOptions, Unaligned) {
  const TcpOptions o = parse_options("01 03 03 05 08 0a 00 00 00 01 00 00 00 02 02 04 02 18 04 02");
  EXPECT_EQ(o.window_scale, 5);
  EXPECT_EQ(o.ts_val, 1U);
  EXPECT_EQ(o.ts_ecr, 2U);
  EXPECT_EQ(o.mss, 536);
  EXPECT_TRUE(o.sack_permitted);
}

//= RFC9293 MUST-6 type=test
//= RFC9293 MUST-68 type=test
TEST(TcpOptions, UnknownOnesAreSkipped) {
  const TcpOptions o = parse_options("fd 06 de ad be ef 1e 02 22 03 ff 02 04 05 b4");
  EXPECT_EQ(o.mss, 1'460);
}

TEST(TcpOptions, KnownOnesOfAnotherLengthAreSkipped) {
  const TcpOptions o =
      parse_options("02 03 05 03 02 04 04 00 00 08 06 00 00 00 00 05 06 00 00 00 00 02 04 05 b4");
  EXPECT_EQ(o.mss, 1'460);
  EXPECT_EQ(o.window_scale, kNoWindowScale);
  EXPECT_FALSE(o.sack_permitted);
  EXPECT_FALSE(o.has_timestamps);
  EXPECT_EQ(o.sack_count, 0);
}

//= RFC9293 MUST-7 type=test
TEST(TcpOptions, IllegalLengthsEndTheList) {
  for (const char* bad :
       {"02 04 05 b4 03 00 03 07", "02 04 05 b4 03 01 03 07", "02 04 05 b4 fd 05 03 03",
        "02 04 05 b4 01 01 01 03", "02 04 05 b4 fd ff 03 03", "02 04 05 b4 08 0a 00 00"}) {
    const TcpOptions o = parse_options(bad);
    EXPECT_EQ(o.mss, 1'460) << bad;
    EXPECT_EQ(o.window_scale, kNoWindowScale) << bad;
    EXPECT_FALSE(o.has_timestamps) << bad;
  }
}

// RFC 7323 §2.3.
TEST(TcpOptions, WindowScaleIsAtMost14) {
  EXPECT_EQ(parse_options("03 03 00").window_scale, 0);
  EXPECT_EQ(parse_options("03 03 0e").window_scale, 14);
  EXPECT_EQ(parse_options("03 03 0f").window_scale, 14);
  EXPECT_EQ(parse_options("03 03 ff").window_scale, 14);
}

//= RFC9293 MUST-5 type=test
//= RFC7323 3.2-b type=test
TEST(TcpOptions, TimestampsAloneAndInOtherCompany) {
  for (const char* form : {"01 01 08 0a 00 00 00 07 00 00 00 09", "08 0a 00 00 00 07 00 00 00 09",
                           "08 0a 00 00 00 07 00 00 00 09 01 01"}) {
    const TcpOptions o = parse_options(form);
    EXPECT_TRUE(o.has_timestamps) << form;
    EXPECT_EQ(o.ts_val, 7U) << form;
    EXPECT_EQ(o.ts_ecr, 9U) << form;
  }
}

TEST(TcpOptions, SackBlocks) {
  for (unsigned n = 1; n <= 4; ++n) {
    Octets option{std::byte{5}, static_cast<std::byte>(2 + 8 * n)};
    for (unsigned i = 0; i < n; ++i) append(option, hex("ff ff ff f0 00 00 00 10"));
    const TcpOptions o = parse_options(option, 1);
    ASSERT_EQ(o.sack_count, n);
    EXPECT_EQ(o.sack[n - 1].left, Seq{0xffff'fff0U});
    EXPECT_EQ(o.sack[n - 1].right, Seq{0x10});
  }
}

TEST(TcpHeader, DataOffsetBeyondOrBelow) {
  TcpHeader h;
  Octets s = tcp_segment({}, false);
  EXPECT_EQ(parse_tcp(s, h), 20U);
  EXPECT_EQ(parse_tcp(std::span(s).first(19), h), 0U);
  EXPECT_EQ(parse_tcp({}, h), 0U);
  put8(s, 12, 0x4f);
  EXPECT_EQ(parse_tcp(s, h), 0U);
  put8(s, 12, 0xf0);
  EXPECT_EQ(parse_tcp(s, h), 0U);
}

TEST(TcpHeader, ReservedBitsSayNothing) {
  Octets s = tcp_segment({}, false);
  put8(s, 12, 0x5f);
  put8(s, 13, 0xff);
  TcpHeader h;
  EXPECT_EQ(parse_tcp(s, h), 20U);
  EXPECT_EQ(h.flags, 0xff);
}

TEST(TcpWrite, EveryField) {
  TcpHeader h;
  h.src_port = 0xc001;
  h.dst_port = 80;
  h.seq = Seq{0x1122'3344};
  h.ack = Seq{0x5566'7788};
  h.wnd = 502;
  h.urgent = 0x0a0b;
  h.flags = ACK | URG;
  Octets out(kTcpMaxHeader, std::byte{0xee});
  ASSERT_EQ(write_tcp(out, h), 20U);
  out.resize(20);
  EXPECT_EQ(out, hex("c0 01 00 50 11 22 33 44 55 66 77 88 50 30 01 f6 00 00 0a 0b"));
}

TEST(TcpWrite, OptionsInLinuxOrder) {
  TcpOptions o;
  o.mss = 1'460;
  EXPECT_EQ(written(o), hex("02 04 05 b4"));
  o.sack_permitted = true;
  EXPECT_EQ(written(o), hex("02 04 05 b4 01 01 04 02"));
  o.window_scale = 7;
  EXPECT_EQ(written(o), hex("02 04 05 b4 01 01 04 02 01 03 03 07"));
  o.has_timestamps = true;
  o.ts_val = 100;
  EXPECT_EQ(written(o), hex("02 04 05 b4 04 02 08 0a 00 00 00 64 00 00 00 00 01 03 03 07"));
  o.sack_permitted = false;
  EXPECT_EQ(written(o), hex("02 04 05 b4 01 01 08 0a 00 00 00 64 00 00 00 00 01 03 03 07"));
}

TEST(TcpWrite, WindowScaleOfZeroIsStillAnOffer) {
  TcpOptions o;
  o.window_scale = 0;
  EXPECT_EQ(written(o), hex("01 03 03 00"));
}

// RFC 2018 §3: four blocks alone, three beside timestamps.
TEST(TcpWrite, SackBlocksThatFit) {
  TcpOptions o;
  o.sack_count = 4;
  for (std::uint32_t i = 0; i < 4; ++i) o.sack[i] = {Seq{2 * i}, Seq{2 * i + 1}};
  EXPECT_EQ(tcp_options_size(o), 36U);
  EXPECT_EQ(parse_options(written(o)).sack_count, 4);
  o.has_timestamps = true;
  EXPECT_EQ(tcp_options_size(o), 40U);
  const TcpOptions back = parse_options(written(o));
  EXPECT_EQ(back.sack_count, 3);
  EXPECT_EQ(back.sack[2].right, Seq{5});
  EXPECT_TRUE(back.has_timestamps);
}

TEST(TcpWrite, SackIsTheGoldenOne) {
  TcpOptions o;
  o.has_timestamps = true;
  o.ts_val = 200;
  o.ts_ecr = 500;
  o.sack_count = 1;
  o.sack[0] = {Seq{0x1000}, Seq{0x1400}};
  EXPECT_EQ(written(o),
            hex("01 01 08 0a 00 00 00 c8 00 00 01 f4 01 01 05 0a 00 00 10 00 00 00 14 00"));
}

// Whatever combination is written comes back, and is a whole number of words.
//= RFC9293 MUST-69 type=test
TEST(TcpWrite, RoundTripsEveryCombination) {
  for (unsigned bits = 0; bits < 16; ++bits) {
    for (std::uint8_t blocks = 0; blocks <= 2; ++blocks) {
      TcpOptions o;
      if ((bits & 1U) != 0) o.mss = 8'960;
      if ((bits & 2U) != 0) o.window_scale = 14;
      o.sack_permitted = (bits & 4U) != 0;
      o.has_timestamps = (bits & 8U) != 0;
      o.ts_val = o.has_timestamps ? 0xdead'beefU : 0;
      o.sack_count = blocks;
      const Octets wire = written(o);
      EXPECT_EQ(wire.size() % 4, 0U);
      const TcpOptions back = parse_options(wire);
      EXPECT_EQ(back.mss, o.mss);
      EXPECT_EQ(back.window_scale, o.window_scale);
      EXPECT_EQ(back.sack_permitted, o.sack_permitted);
      EXPECT_EQ(back.has_timestamps, o.has_timestamps);
      EXPECT_EQ(back.ts_val, o.ts_val);
      EXPECT_EQ(back.sack_count, o.sack_count);
    }
  }
}

}  // namespace
}  // namespace weir::wire::test

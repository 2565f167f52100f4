// ICMP and ICMPv6: echo, errors about our packets, errors about theirs.
#include "frames.h"

namespace weir::wire::test {
namespace {

// An ICMP message from A to B with `body` behind the first 8 octets.
Octets icmp_frame(bool v6, unsigned type, unsigned code, std::uint32_t rest, const Octets& body) {
  Octets l4(8);
  put8(l4, 0, type);
  put8(l4, 1, code);
  put16(l4, 4, rest >> 16U);
  put16(l4, 6, rest & 0xffffU);
  append(l4, body);
  const std::uint8_t protocol = v6 ? 58 : 1;
  mend_l4(l4, 2, protocol, v6);
  return v6 ? ipv6_frame(protocol, l4) : ipv4_frame(protocol, l4);
}

// `n` octets of what follows Ethernet in `frame`.
Octets quote(const Octets& frame, std::size_t n) {
  return {frame.begin() + kEthHeader, frame.begin() + kEthHeader + static_cast<std::ptrdiff_t>(n)};
}

TEST(IcmpError, QuotesOurSegment) {
  const Frame f = parse(icmp_frame(false, 3, 4, 1'400, quote(golden_data4(), 28)));
  ASSERT_EQ(f.kind, Kind::kIcmp4);
  EXPECT_EQ(f.icmp.type, 3);
  EXPECT_EQ(f.icmp.code, 4);
  EXPECT_EQ(f.icmp.rest, 1'400U);
  ASSERT_TRUE(f.icmp.has_inner);
  EXPECT_EQ(f.icmp.inner_protocol, 6);
  EXPECT_EQ(f.icmp.inner, (FlowKey{kA4, kB4, 49'153, 80}));
  EXPECT_EQ(f.icmp.inner_seq, Seq{0x1122'3345});
}

TEST(IcmpError, QuotesOurSegment6) {
  const Frame f = parse(icmp_frame(true, 2, 0, 1'280, quote(golden_sack6(), 48)));
  ASSERT_EQ(f.kind, Kind::kIcmp6);
  EXPECT_EQ(f.icmp.rest, 1'280U);
  ASSERT_TRUE(f.icmp.has_inner);
  EXPECT_EQ(f.icmp.inner, (FlowKey{kA6, kB6, 49'153, 443}));
  EXPECT_EQ(f.icmp.inner_seq, Seq{0x0102'0304});
}

TEST(IcmpError, QuoteWithIpOptionsOrExtensionHeaders) {
  const Octets with_options = ipv4_frame(6, tcp_segment({}, false), hex("01 01 01 00"));
  Frame f = parse(icmp_frame(false, 11, 0, 0, quote(with_options, 32)));
  ASSERT_TRUE(f.icmp.has_inner);
  EXPECT_EQ(f.icmp.inner.remote_port, 80);
  Octets behind = hex("06 00 01 04 00 00 00 00");
  append(behind, tcp_segment({}, true));
  f = parse(icmp_frame(true, 1, 4, 0, quote(ipv6_frame(60, behind), 56)));
  ASSERT_TRUE(f.icmp.has_inner);
  EXPECT_EQ(f.icmp.inner.remote_port, 80);
}

TEST(IcmpError, QuoteOfAnotherProtocolHasNoPorts) {
  Frame f;
  const Octets first = icmp_frame(false, 3, 3, 0, quote(golden_data4(), 28));
  parse_frame(first, first.size(), {}, f);
  const Octets second = icmp_frame(false, 3, 2, 0, quote(golden_echo4(), 28));
  parse_frame(second, second.size(), {}, f);
  ASSERT_TRUE(f.icmp.has_inner);
  EXPECT_EQ(f.icmp.inner_protocol, 1);
  EXPECT_EQ(f.icmp.inner.local_port, 0);
  EXPECT_EQ(f.icmp.inner_seq, Seq{0});
}

TEST(IcmpError, QuoteOfALaterFragmentIsNoFlow) {
  Octets inner = golden_data4();
  put16(inner, 20, 0x0001);
  const Frame f = parse(icmp_frame(false, 3, 4, 1'400, quote(inner, 28)));
  EXPECT_EQ(f.kind, Kind::kIcmp4);
  EXPECT_FALSE(f.icmp.has_inner);
}

TEST(IcmpError, EveryErrorTypeIsRead) {
  for (const unsigned type : {3U, 4U, 5U, 11U, 12U}) {
    EXPECT_TRUE(parse(icmp_frame(false, type, 0, 0, quote(golden_data4(), 28))).icmp.has_inner)
        << type;
  }
  for (const unsigned type : {1U, 2U, 3U, 4U, 127U}) {
    EXPECT_TRUE(parse(icmp_frame(true, type, 0, 0, quote(golden_sack6(), 48))).icmp.has_inner)
        << type;
  }
  EXPECT_FALSE(parse(icmp_frame(false, 13, 0, 0, Octets(12))).icmp.has_inner);
  EXPECT_FALSE(parse(icmp_frame(true, 135, 0, 0, Octets(16))).icmp.has_inner);
}

TEST(IcmpError, MalformedQuotes) {
  for (std::size_t n = 0; n < 28; ++n) {
    EXPECT_EQ(parse(icmp_frame(false, 3, 3, 0, quote(golden_data4(), n))).fault,
              Fault::kIcmpMalformed)
        << n;
  }
  for (std::size_t n = 0; n < 48; ++n) {
    EXPECT_EQ(parse(icmp_frame(true, 1, 4, 0, quote(golden_sack6(), n))).fault,
              Fault::kIcmpMalformed)
        << n;
  }
  for (const unsigned version_ihl : {0x65U, 0x44U, 0x4fU}) {
    Octets inner = golden_data4();
    put8(inner, 14, version_ihl);
    EXPECT_EQ(parse(icmp_frame(false, 3, 3, 0, quote(inner, 28))).fault, Fault::kIcmpMalformed);
  }
  EXPECT_EQ(parse(icmp_frame(true, 1, 4, 0, quote(golden_data4(), 48))).fault,
            Fault::kIcmpMalformed);
}

TEST(Icmp, ShorterThanItsHeader) {
  Octets l4 = hex("08 00 00 00 00 00 00");
  mend_l4(l4, 2, 1, false);
  EXPECT_EQ(parse(ipv4_frame(1, l4)).fault, Fault::kIcmpMalformed);
}

TEST(Icmp, ChecksumIsAlwaysVerified) {
  for (Octets f : {golden_echo4(), golden_echo6()}) {
    put8(f, f.size() - 1, 0);
    EXPECT_EQ(parse(f).fault, Fault::kIcmpChecksum);
    EXPECT_EQ(parse(f, {.l4_checksum_verified = true}).fault, Fault::kIcmpChecksum);
  }
  Octets f = golden_echo6();  // ICMPv6 has a pseudo header
  put8(f, 23, 9);
  EXPECT_EQ(parse(f).fault, Fault::kIcmpChecksum);
}

TEST(Icmp, MustLieInTheFirstPart) {
  const Octets whole = golden_echo4();
  Frame f;
  parse_frame(std::span(whole).first(50), whole.size(), {}, f);
  EXPECT_EQ(f.fault, Fault::kShortFrame);
}

TEST(EchoReply, IsTheRequestTurnedAround) {
  for (const bool v6 : {false, true}) {
    const Octets request = v6 ? golden_echo6() : golden_echo4();
    Octets f = request;
    f.resize(request.size() + 9, std::byte{0xee});  // padding, to be cut
    f.resize(make_echo_reply(f, parse(f), kMacB));
    ASSERT_EQ(f.size(), request.size());
    const Frame reply = parse(f);
    ASSERT_EQ(reply.fault, Fault::kNone);
    EXPECT_EQ(reply.icmp.type, v6 ? 129 : 0);
    EXPECT_EQ(reply.icmp.rest, 0x4242'0007U);
    EXPECT_EQ(reply.src, v6 ? kB6 : kB4);
    EXPECT_EQ(reply.dst, v6 ? kA6 : kA4);
    EXPECT_EQ(reply.src_mac, kMacB);
    EXPECT_EQ(reply.dst_mac, kMacA);
    EXPECT_EQ(reply.ttl, 64);
    EXPECT_TRUE(std::equal(f.end() - 9, f.end(), request.end() - 9))
        << "the data came back altered";
  }
}

TEST(EchoReply, EveryChecksumIsMendedRight) {
  for (std::uint32_t rest = 0; rest < 0x2'0000; rest += 7) {
    Octets f = icmp_frame(false, 8, 0, rest << 15U, hex("ff ff"));
    f.resize(make_echo_reply(f, parse(f), kMacB));
    ASSERT_EQ(parse(f).fault, Fault::kNone) << rest;
    f = icmp_frame(true, 128, 0, rest << 15U, hex("ff ff"));
    f.resize(make_echo_reply(f, parse(f), kMacB));
    ASSERT_EQ(parse(f).fault, Fault::kNone) << rest;
  }
}

// Found by the mutation test: the reply to an empty ping with id and sequence 0 is all zeros, and
// its checksum is 0xffff, not 0.
TEST(EchoReply, OfZerosAlone) {
  Octets f = icmp_frame(false, 8, 0, 0, {});
  f.resize(make_echo_reply(f, parse(f), kMacB));
  EXPECT_EQ(get16(f, 36), 0xffffU);
  EXPECT_EQ(parse(f).fault, Fault::kNone);
}

TEST(EchoReply, CutsOptionsAndExtensionHeaders) {
  const Octets echo = quote(golden_echo4(), 37);
  Octets f = ipv4_frame(1, Octets(echo.begin() + 20, echo.end()), hex("94 04 00 00"));
  f.resize(make_echo_reply(f, parse(f), kMacB));
  EXPECT_EQ(f.size(), golden_echo4().size());
  EXPECT_EQ(parse(f).fault, Fault::kNone);
  const Octets echo6 = quote(golden_echo6(), 57);
  Octets behind = hex("3a 00 01 04 00 00 00 00");
  append(behind, Octets(echo6.begin() + 40, echo6.end()));
  f = ipv6_frame(60, behind);
  f.resize(make_echo_reply(f, parse(f), kMacB));
  EXPECT_EQ(f.size(), golden_echo6().size());
  EXPECT_EQ(parse(f).icmp.type, 129);
}

TEST(EchoReplyDeathTest, OfAnythingElseIsABug) {
  Octets f = golden_syn4();
  const Frame parsed = parse(f);
  EXPECT_DEATH(make_echo_reply(f, parsed, kMacB), "bug");
}

// What B writes about A's packet, A can read.
TEST(IcmpErrorWrite, GoesBackAndCanBeRead) {
  for (const bool v6 : {false, true}) {
    const Octets offender = v6 ? golden_sack6() : golden_data4();
    Octets out(kMaxIcmpErrorFrame, std::byte{0xee});
    const std::uint8_t type = v6 ? kIcmp6Unreachable : kIcmp4Unreachable;
    const std::uint8_t code = v6 ? 4 : 3;
    out.resize(write_icmp_error(out, kMacB, v6 ? kB6 : kB4, type, code, offender, parse(offender)));
    const Frame f = parse(out);
    ASSERT_EQ(f.fault, Fault::kNone);
    EXPECT_EQ(f.kind, v6 ? Kind::kIcmp6 : Kind::kIcmp4);
    EXPECT_EQ(f.dst, v6 ? kA6 : kA4);
    EXPECT_EQ(f.dst_mac, kMacA);
    EXPECT_EQ(f.src_mac, kMacB);
    EXPECT_EQ(f.icmp.type, type);
    EXPECT_EQ(f.icmp.code, code);
    EXPECT_EQ(f.icmp.rest, 0U);
    EXPECT_EQ(f.icmp.inner.local, v6 ? kA6 : kA4);
    EXPECT_EQ(f.icmp.inner.remote_port, v6 ? 443 : 80);
    EXPECT_TRUE(std::equal(offender.begin() + kEthHeader, offender.end(),
                           out.begin() + f.l4_offset + 8, out.end()));
  }
}

TEST(IcmpErrorWrite, QuotesNoMoreThanFitsAndNoPadding) {
  for (const bool v6 : {false, true}) {
    const std::size_t most = kEthHeader + (v6 ? 1'280 : 576);
    for (const std::size_t text : {0U, 500U, 527U, 528U, 529U, 1'400U}) {
      const Octets segment = tcp_segment(Octets(text), v6);
      Octets offender = v6 ? ipv6_frame(6, segment) : ipv4_frame(6, segment);
      const std::size_t whole = offender.size() + (v6 ? 48 : 28);
      offender.resize(offender.size() + 6, std::byte{0xee});
      Octets out(kMaxIcmpErrorFrame);
      const std::size_t n =
          write_icmp_error(out, kMacB, v6 ? kB6 : kB4, v6 ? 1 : 3, 3, offender, parse(offender));
      EXPECT_EQ(n, std::min(whole, most)) << text;
      out.resize(n);
      EXPECT_EQ(parse(out).fault, Fault::kNone) << text;
    }
  }
}

}  // namespace
}  // namespace weir::wire::test

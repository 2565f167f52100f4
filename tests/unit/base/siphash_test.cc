// SipHash against its authors' vectors, and what of a flow is hashed.
#include "base/siphash.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace weir {
namespace {

constexpr SipKey kKey{0x0706'0504'0302'0100U, 0x0f0e'0d0c'0b0a'0908U};  // octets 00 .. 0f

std::vector<std::byte> counting(std::size_t n) {
  std::vector<std::byte> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<std::byte>(i);
  return out;
}

// vectors.h of the reference implementation: message 00 01 02 .. of each length from 0.
TEST(SipHash24, MatchesTheReferenceVectors) {
  constexpr std::array<std::uint64_t, 16> kWant{
      0x726f'db47'dd0e'0e31U, 0x74f8'39c5'93dc'67fdU, 0x0d6c'8009'd9a9'4f5aU,
      0x8567'6696'd7fb'7e2dU, 0xcf27'94e0'2771'87b7U, 0x1876'5564'cd99'a68dU,
      0xcbc9'466e'58fe'e3ceU, 0xab02'00f5'8b01'd137U, 0x93f5'f579'9a93'2462U,
      0x9e00'82df'0ba9'e4b0U, 0x7a5d'bbc5'94dd'b9f3U, 0xf4b3'2f46'226b'ada7U,
      0x751e'8fbc'860e'e5fbU, 0x14ea'5627'c084'3d90U, 0xf723'ca90'8e7a'f2eeU,
      0xa129'ca61'49be'45e5U};
  for (std::size_t n = 0; n < kWant.size(); ++n) {
    EXPECT_EQ(siphash24(kKey, counting(n)), kWant[n]) << "length " << n;
  }
}

// The first two are the reference vectors; the rest is what CPython 3.11, whose hash of bytes is
// SipHash-1-3, says under the key of zeros (PYTHONHASHSEED=0).
TEST(SipHash13, MatchesOtherImplementations) {
  EXPECT_EQ(siphash13(kKey, counting(0)), 0xabac'0158'050f'c4dcU);
  EXPECT_EQ(siphash13(kKey, counting(1)), 0xc9f4'9bf3'7d57'ca93U);
  EXPECT_EQ(siphash13({0, 0}, counting(7)), 0x2f09'8ab0'c751'325aU);
  EXPECT_EQ(siphash13({0, 0}, counting(8)), 0xead4'11e6'7ebe'2eeaU);
  EXPECT_EQ(siphash13({0, 0}, counting(12)), 0xa6ba'f4fb'0f9f'e1c2U);
  EXPECT_EQ(siphash13({0, 0}, counting(36)), 0xac77'921f'cc64'2bd3U);
}

void append_port(std::vector<std::byte>& out, std::uint16_t port) {
  out.push_back(static_cast<std::byte>(port >> 8U));
  out.push_back(static_cast<std::byte>(port & 0xffU));
}

std::vector<std::byte> canonical(const FlowKey& flow, unsigned from) {
  std::vector<std::byte> out;
  for (const IpAddr& addr : {flow.local, flow.remote}) {
    for (unsigned i = from; i < 16; ++i) out.push_back(std::byte{addr.octets()[i]});
  }
  append_port(out, flow.local_port);
  append_port(out, flow.remote_port);
  return out;
}

TEST(SipHashFlow, HashesTheCanonicalOctets) {
  const FlowKey v4{IpAddr::v4(10, 1, 2, 3), IpAddr::v4(192, 0, 2, 77), 443, 51'234};
  EXPECT_EQ(siphash24(kKey, v4), siphash24(kKey, canonical(v4, 12)));
  EXPECT_EQ(siphash13(kKey, v4), siphash13(kKey, canonical(v4, 12)));
  const FlowKey v6{*parse_ip("2001:db8::1"), *parse_ip("2001:db8:1:2:3:4:5:6"), 443, 51'234};
  EXPECT_EQ(siphash24(kKey, v6), siphash24(kKey, canonical(v6, 0)));
  EXPECT_EQ(siphash13(kKey, v6), siphash13(kKey, canonical(v6, 0)));
}

TEST(SipHashFlow, EveryFieldCounts) {
  const FlowKey base{IpAddr::v4(10, 0, 0, 1), IpAddr::v4(10, 0, 0, 2), 80, 1'024};
  const std::uint64_t h = siphash13(kKey, base);
  FlowKey f = base;
  f.local = IpAddr::v4(10, 0, 0, 9);
  EXPECT_NE(siphash13(kKey, f), h);
  f = base;
  f.remote = IpAddr::v4(10, 0, 0, 9);
  EXPECT_NE(siphash13(kKey, f), h);
  f = base;
  f.local_port = 81;
  EXPECT_NE(siphash13(kKey, f), h);
  f = base;
  f.remote_port = 1'025;
  EXPECT_NE(siphash13(kKey, f), h);
  EXPECT_NE(siphash13(kKey, base.reversed()), h);
  EXPECT_NE(siphash13({1, 2}, base), h);
  f = base;  // the same last four octets, but not mapped
  f.local = *parse_ip("2001::10.0.0.1");
  f.remote = *parse_ip("2001::10.0.0.2");
  EXPECT_NE(siphash13(kKey, f), h);
}

TEST(SipHashFlow, NeighbouringFlowsDoNotCollide) {
  std::set<std::uint64_t> seen;
  for (std::uint16_t port = 0; port < 20'000; ++port) {
    seen.insert(siphash13(kKey, {IpAddr::v4(10, 0, 0, 1), IpAddr::v4(10, 0, 0, 2), 80, port}));
  }
  EXPECT_EQ(seen.size(), 20'000U);
}

}  // namespace
}  // namespace weir

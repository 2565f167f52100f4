// Neighbour solicitations and advertisements, in and out (RFC 4861 §4.3, §4.4, §7.1; RFC 6980).
#include "frames.h"

namespace weir::wire::test {
namespace {

constexpr IpAddr kGroupOfB = IpAddr::v6({0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 2});
constexpr std::size_t kTtl = 14 + 7, kNextHeader = 14 + 6, kIcmp = 14 + 40;

// Who has 2001:db8::2, from 2001:db8::1 to its solicited-node group.
Octets golden_solicitation() {
  return hex(
      "33 33 ff 00 00 02 02 00 00 00 00 a1 86 dd 60 00 00 00 00 20 3a ff "
      "20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 01 "
      "ff 02 00 00 00 00 00 00 00 00 00 01 ff 00 00 02 "
      "87 00 1b 87 00 00 00 00 20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 02 "
      "01 01 02 00 00 00 00 a1");
}

struct Message {
  NdPacket nd;
  IpAddr src = kA6, dst = kB6;
  MacAddr dst_mac = kMacB;
};

Message solicitation() {
  Message m;
  m.nd.has_lladdr = true;
  m.nd.lladdr = kMacA;
  m.nd.target = kB6;
  m.dst = kGroupOfB;
  m.dst_mac = multicast_mac(kGroupOfB);
  return m;
}

Message advertisement() {
  Message m;
  m.nd.advertisement = m.nd.solicited = m.nd.override_flag = m.nd.has_lladdr = true;
  m.nd.lladdr = kMacA;
  m.nd.target = kA6;
  return m;
}

Octets written(const Message& m) {
  Octets f(kMaxNdFrame);
  f.resize(write_nd_frame(f, {kMacA, m.dst_mac, m.src, m.dst}, m.nd));
  return f;
}

// Sets payload length and ICMPv6 checksum to what is right.
Octets mended(Octets f) {
  put16(f, 18, static_cast<unsigned>(f.size() - kIcmp));
  put16(f, kIcmp + 2, 0);
  const Frame parsed = parse(f);  // for its addresses
  Checksum sum;
  sum.add_pseudo_header(parsed.src, parsed.dst, 58, static_cast<std::uint32_t>(f.size() - kIcmp));
  sum.add(std::span<const std::byte>(f).subspan(kIcmp));
  put16(f, kIcmp + 2, sum.finish());
  return f;
}

Octets with_options(const Message& m, std::string_view options) {
  Message bare = m;
  bare.nd.has_lladdr = false;
  Octets f = written(bare);
  append(f, hex(options));
  return mended(f);
}

//= RFC6980 5-b type=test
TEST(Nd, WritesTheGoldenSolicitation) {
  EXPECT_EQ(written(solicitation()), golden_solicitation());
  EXPECT_EQ(solicited_node(kB6), kGroupOfB);
}

TEST(Nd, ReadsTheGoldenSolicitation) {
  const Frame f = parse(golden_solicitation());
  ASSERT_EQ(f.kind, Kind::kNd);
  EXPECT_FALSE(f.nd.advertisement);
  EXPECT_EQ(f.nd.target, kB6);
  ASSERT_TRUE(f.nd.has_lladdr);
  EXPECT_EQ(f.nd.lladdr, kMacA);
  EXPECT_EQ(f.src, kA6);
  EXPECT_EQ(f.dst, kGroupOfB);
  EXPECT_EQ(f.ttl, 255);
}

TEST(Nd, AdvertisementsKeepTheirFlags) {
  for (unsigned bits = 0; bits < 8; ++bits) {
    Message m = advertisement();
    m.nd.router = (bits & 1U) != 0;
    m.nd.solicited = (bits & 2U) != 0;
    m.nd.override_flag = (bits & 4U) != 0;
    const Frame f = parse(written(m));
    ASSERT_EQ(f.kind, Kind::kNd);
    EXPECT_TRUE(f.nd.advertisement);
    EXPECT_EQ(f.nd.router, m.nd.router);
    EXPECT_EQ(f.nd.solicited, m.nd.solicited);
    EXPECT_EQ(f.nd.override_flag, m.nd.override_flag);
    EXPECT_EQ(f.nd.target, kA6);
  }
}

//= RFC4861 7.1-a type=test
TEST(Nd, WhatCameThroughARouterIsRefused) {
  for (const unsigned hops : {0U, 1U, 64U, 254U}) {
    for (const Message& m : {solicitation(), advertisement()}) {
      Octets f = written(m);
      put8(f, kTtl, hops);
      EXPECT_EQ(parse(f).fault, Fault::kNdMalformed) << hops;
    }
  }
}

//= RFC4861 7.1-a type=test
TEST(Nd, CodeChecksumAndLengthAreChecked) {
  for (const Message& m : {solicitation(), advertisement()}) {
    Octets f = written(m);
    put8(f, kIcmp + 1, 1);
    EXPECT_EQ(parse(mended(f)).fault, Fault::kNdMalformed);
    f = written(m);
    put8(f, kIcmp + 8, get8(f, kIcmp + 8) ^ 1U);
    EXPECT_EQ(parse(f).fault, Fault::kIcmpChecksum);
    for (std::size_t len = 8; len < 24; ++len) {
      f = written(m);
      f.resize(kIcmp + len);
      EXPECT_EQ(parse(mended(f)).fault, Fault::kNdMalformed) << len;
    }
  }
}

//= RFC4861 7.1-a type=test
TEST(Nd, TargetIsNoGroup) {
  Message m = solicitation();
  m.nd.target = kGroupOfB;
  EXPECT_EQ(parse(written(m)).fault, Fault::kNdMalformed);
  m = advertisement();
  m.nd.target = kAllNodes;
  EXPECT_EQ(parse(written(m)).fault, Fault::kNdMalformed);
}

//= RFC4861 7.1-b type=test
TEST(Nd, OptionOfLengthZeroEndsIt) {
  const Message m = solicitation();
  EXPECT_EQ(parse(with_options(m, "01 00 02 00 00 00 00 a1")).fault, Fault::kNdMalformed);
  EXPECT_EQ(parse(with_options(m, "01 01 02 00 00 00 00 a1 07 00 00 00 00 00 00 00")).fault,
            Fault::kNdMalformed);
  EXPECT_EQ(parse(with_options(m, "01 02 02 00 00 00 00 a1")).fault, Fault::kNdMalformed);
  EXPECT_EQ(parse(with_options(m, "01 01 02 00")).fault, Fault::kNdMalformed);
}

//= RFC4861 4.6 type=test
TEST(Nd, UnknownOptionsArePassedOver) {
  const Frame f = parse(
      with_options(solicitation(),
                   "0e 01 11 22 33 44 55 66 fd 02 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
                   "01 01 02 00 00 00 00 a1 02 01 02 00 00 00 00 ff 01 01 02 00 00 00 00 ee"));
  ASSERT_EQ(f.kind, Kind::kNd);
  ASSERT_TRUE(f.nd.has_lladdr);
  EXPECT_EQ(f.nd.lladdr, kMacA);
  // The other message's option is as unknown as any.
  EXPECT_FALSE(parse(with_options(solicitation(), "02 01 02 00 00 00 00 a1")).nd.has_lladdr);
  EXPECT_FALSE(parse(with_options(advertisement(), "01 01 02 00 00 00 00 a1")).nd.has_lladdr);
}

TEST(Nd, LinkLayerAddressIsOneHosts) {
  for (const char* option :
       {"01 01 ff ff ff ff ff ff", "01 01 33 33 00 00 00 01", "01 01 00 00 00 00 00 00",
        "01 02 02 00 00 00 00 a1 00 00 00 00 00 00 00 00"}) {
    EXPECT_EQ(parse(with_options(solicitation(), option)).fault, Fault::kNdMalformed) << option;
  }
}

TEST(Nd, OptionsWithoutEndAreNotFollowed) {
  std::string many;
  for (unsigned i = 0; i < 33; ++i) many += "0e 01 00 00 00 00 00 00 ";
  EXPECT_EQ(parse(with_options(solicitation(), many)).fault, Fault::kNdMalformed);
  many.resize(many.size() - 24);
  EXPECT_EQ(parse(with_options(solicitation(), many)).kind, Kind::kNd);
}

//= RFC4861 7.1.1 type=test
TEST(Nd, ProbeGoesToTheGroupAndNamesNoAddress) {
  Message m = solicitation();
  m.src = IpAddr{};
  EXPECT_EQ(parse(written(m)).fault, Fault::kNdMalformed);  // names one
  m.nd.has_lladdr = false;
  EXPECT_EQ(parse(written(m)).kind, Kind::kNd);
  for (const IpAddr& dst : {kB6, kAllNodes}) {
    m.dst = dst;
    EXPECT_EQ(parse(written(m)).fault, Fault::kNdMalformed);
  }
}

//= RFC4861 7.1.2 type=test
TEST(Nd, AdvertisementToAGroupAnswersNobody) {
  Message m = advertisement();
  m.dst = kAllNodes;
  EXPECT_EQ(parse(written(m)).fault, Fault::kNdMalformed);
  m.nd.solicited = false;
  EXPECT_EQ(parse(written(m)).kind, Kind::kNd);
}

//= RFC6980 5-a type=test
TEST(Nd, AFragmentHeaderMakesItVoid) {
  for (const Message& m : {solicitation(), advertisement()}) {
    Octets f = written(m);
    const Octets fragment = hex("3a 00 00 00 12 34 56 78");  // atomic: offset 0, no more
    put8(f, kNextHeader, 44);
    put16(f, 18, static_cast<unsigned>(f.size() + 8 - kIcmp));
    f.insert(f.begin() + kIcmp, fragment.begin(), fragment.end());
    const Frame parsed = parse(f);
    EXPECT_EQ(parsed.fault, Fault::kNdMalformed);
    EXPECT_TRUE(parsed.had_fragment_header);
  }
}

TEST(Nd, RouterMessagesAndRedirectsAreNotSpoken) {
  for (const unsigned type : {133U, 134U, 137U}) {
    Octets f = written(advertisement());
    put8(f, kIcmp, type);
    const Frame parsed = parse(mended(f));
    EXPECT_EQ(parsed.kind, Kind::kIcmp6);
    EXPECT_EQ(parsed.icmp.type, type);
  }
}

}  // namespace
}  // namespace weir::wire::test

// Random and mutated frames, parsed from heap buffers of exactly their size: under a sanitizer an
// overrun stops the test, and what is taken must lie within the frame.
#include <algorithm>
#include <memory>

#include "base/rng.h"
#include "frames.h"

namespace weir::wire::test {
namespace {

constexpr int kRounds = 200'000;

void check(const Frame& f, std::size_t frame_len) {
  ASSERT_EQ(f.kind == Kind::kMalformed, f.fault != Fault::kNone);
  switch (f.kind) {
    case Kind::kUdp:
      ASSERT_EQ(f.payload_offset, f.l4_offset + 8);
      ASSERT_LE(f.payload_offset + std::size_t{f.payload_len}, f.l4_offset + std::size_t{f.l4_len});
      ASSERT_LE(f.l4_offset + std::size_t{f.l4_len}, frame_len);
      break;
    case Kind::kTcp:
      ASSERT_GE(f.payload_offset, f.l4_offset + 20);
      ASSERT_LE(f.payload_offset, f.l4_offset + 60);
      ASSERT_LE(f.payload_offset + std::size_t{f.payload_len}, frame_len);
      ASSERT_LE(f.tcp.options.sack_count, 4);
      ASSERT_TRUE(f.tcp.options.window_scale <= kMaxWindowScale ||
                  f.tcp.options.window_scale == kNoWindowScale);
      [[fallthrough]];
    case Kind::kIcmp4:
    case Kind::kIcmp6:
    case Kind::kNd:
    case Kind::kOtherIp:
      ASSERT_EQ(f.l3_offset, kEthHeader);
      ASSERT_LE(f.l4_offset + std::size_t{f.l4_len}, frame_len);
      ASSERT_EQ(f.src.is_v4(), f.dst.is_v4());
      break;
    default:
      break;
  }
}

std::vector<Octets> seeds() {
  Octets chain = hex("3c 00 05 02 00 00 01 00 2b 00 01 04 00 00 00 00 06 00 00 00 00 00 00 00");
  append(chain, tcp_segment({}, true));
  Octets error(8);
  put8(error, 0, 3);
  const Octets inner = golden_data4();
  append(error, Octets(inner.begin() + 14, inner.begin() + 42));
  Octets error6(8);
  put8(error6, 0, 1);
  const Octets inner6 = golden_sack6();
  append(error6, Octets(inner6.begin() + 14, inner6.begin() + 62));
  Octets udp6 = hex("c0 01 00 35 00 0c 00 00 61 62 63 64");
  mend_l4(udp6, 6, 17, true);
  Octets solicitation(kMaxNdFrame);
  NdPacket nd;
  nd.target = kB6;
  nd.has_lladdr = true;
  nd.lladdr = kMacA;
  const IpAddr group = solicited_node(kB6);
  write_nd_frame(solicitation, {kMacA, multicast_mac(group), kA6, group}, nd);
  return {golden_syn4(),
          golden_data4(),
          golden_sack6(),
          golden_echo4(),
          golden_echo6(),
          golden_arp(),
          ipv4_frame(6, tcp_segment({}, false), hex("94 04 00 00 01 07 07 04 00 00 00 00")),
          ipv6_frame(0, chain),
          ipv4_frame(1, error),
          ipv6_frame(58, error6),
          ipv4_frame(17, hex("c0 01 00 35 00 0d e7 c8 68 65 6c 6c 6f")),
          ipv6_frame(17, udp6),
          solicitation};
}

void mend(Octets& f, Rng& rng) {  // so that mutants get past the checksums
  if (f.size() < 34 || rng.below(4) == 0) return;
  const std::size_t header = (get8(f, 14) & 0x0fU) * 4;
  if (get16(f, 12) == 0x0800 && header >= 20 && f.size() >= 14 + header) mend_ipv4(f);
  if (get16(f, 12) == 0x0800 && get8(f, 23) == 1 && f.size() >= 42 && header == 20) {
    put16(f, 36, 0);
    put16(f, 36, checksum(std::span(f).subspan(34)));
  }
}

Octets mutant(const std::vector<Octets>& seeds, Rng& rng) {
  Octets f = seeds[rng.below(static_cast<std::uint32_t>(seeds.size()))];
  for (std::uint32_t n = rng.below(6); n > 0 && !f.empty(); --n) {
    const auto at = rng.below(static_cast<std::uint32_t>(f.size()));
    switch (rng.below(4)) {
      case 0:
        put8(f, at, get8(f, at) ^ 1U << rng.below(8));
        break;
      case 1:
        put8(f, at, rng.below(256));
        break;
      case 2:
        put8(f, at, rng.below(2) == 0 ? 0 : 0xff);
        break;
      default:
        f.resize(rng.below(2) == 0 ? at : f.size() + rng.below(40));
        break;
    }
  }
  mend(f, rng);
  return f;
}

TEST(Mutation, NoFrameIsReadBeyondItsEnd) {
  const std::vector<Octets> all = seeds();
  Rng rng(20'240);
  std::array<int, static_cast<std::size_t>(Kind::kOther) + 1> kinds{};
  for (int round = 0; round < kRounds; ++round) {
    const Octets f = mutant(all, rng);
    const ParseOptions options{rng.below(2) == 0, rng.below(2) == 0};
    const Frame parsed = parse(f, options);
    ASSERT_NO_FATAL_FAILURE(check(parsed, f.size())) << "round " << round;
    ++kinds[static_cast<std::size_t>(parsed.kind)];
  }
  for (std::size_t kind = 0; kind < kinds.size(); ++kind) {
    EXPECT_GT(kinds[kind], kRounds / 20'000) << "hardly ever reached: kind " << kind;
  }
}

TEST(Mutation, RandomOctetsBehindAKnownEtherType) {
  constexpr std::array<unsigned, 4> kTypes{0x0800, 0x86dd, 0x0806, 0x8100};
  Rng rng(7);
  for (int round = 0; round < kRounds / 4; ++round) {
    Octets f(rng.below(120));
    for (auto& o : f) o = static_cast<std::byte>(rng.below(256));
    if (f.size() >= 15) {
      put16(f, 12, kTypes[rng.below(4)]);
      put8(f, 14, get16(f, 12) == 0x86dd ? 0x60 : 0x40 + rng.below(16));
    }
    if (f.size() >= 20 && rng.below(2) == 0) put16(f, 16, static_cast<unsigned>(f.size() - 14));
    ASSERT_NO_FATAL_FAILURE(check(parse(f, {true, true}), f.size())) << "round " << round;
  }
}

// Whatever first part a scattered frame has, nothing behind it is read.
TEST(Mutation, ScatteredFrames) {
  const std::vector<Octets> all = seeds();
  Rng rng(9);
  for (int round = 0; round < kRounds / 4; ++round) {
    const Octets f = mutant(all, rng);
    const std::size_t first = rng.below(static_cast<std::uint32_t>(f.size() + 1));
    const auto exact = std::make_unique<std::byte[]>(first);
    std::copy_n(f.begin(), first, exact.get());
    Frame parsed;
    parse_frame({exact.get(), first}, f.size(), {true, false}, parsed);
    ASSERT_NO_FATAL_FAILURE(check(parsed, f.size())) << "round " << round;
    const bool sums = parsed.kind == Kind::kTcp || parsed.kind == Kind::kUdp;
    if (sums && parsed.checksum_pending) {
      const Piece rest{f.data() + first, static_cast<std::uint32_t>(f.size() - first)};
      (void)l4_checksum_ok({exact.get(), first}, parsed, {&rest, 1});
    }
  }
}

// A frame that was taken can be answered: the writers stay within what they are given.
TEST(Mutation, AnswersStayInBounds) {
  const std::vector<Octets> all = seeds();
  Rng rng(11);
  for (int round = 0; round < kRounds / 4; ++round) {
    Octets f = mutant(all, rng);
    const Frame parsed = parse(f);
    const bool ip = parsed.kind >= Kind::kTcp && parsed.kind <= Kind::kOtherIp;
    if (!ip) continue;
    const auto out = std::make_unique<std::byte[]>(kMaxIcmpErrorFrame);
    const std::span<std::byte> room{out.get(), kMaxIcmpErrorFrame};
    const std::size_t n = write_icmp_error(room, kMacB, parsed.dst, 3, 3, f, parsed);
    ASSERT_LE(n, kMaxIcmpErrorFrame);
    const bool echo = (parsed.kind == Kind::kIcmp4 && parsed.icmp.type == kIcmp4Echo) ||
                      (parsed.kind == Kind::kIcmp6 && parsed.icmp.type == kIcmp6Echo);
    if (!echo) continue;
    f.resize(make_echo_reply(f, parsed, kMacB));
    ASSERT_EQ(parse(f).fault, Fault::kNone) << "round " << round;
  }
}

}  // namespace
}  // namespace weir::wire::test

// The straight way through a frame against the general one, frame by frame: what it takes the other
// takes too, and makes the same of it; and of IPv4 with TCP it leaves only what is out of the
// ordinary.
#include "wire/plain.h"

#include <memory>
#include <tuple>

#include "base/rng.h"
#include "frames.h"

namespace weir::wire::test {
namespace {

constexpr int kRounds = 600'000;
constexpr std::size_t kIp = kEthHeader, kTcp = kEthHeader + kIpv4MinHeader;

// A segment behind 20 octets of IPv4, with both checksums right.
Octets frame_with(const Octets& options, std::size_t text) {
  Octets l4 = hex("c0 01 00 50 11 22 33 44 55 66 77 88 00 18 01 f6 00 00 00 00");
  append(l4, options);
  put8(l4, 12, static_cast<unsigned>(l4.size() << 2U));
  for (std::size_t i = 0; i < text; ++i) l4.push_back(static_cast<std::byte>(i * 29 & 0xffU));
  mend_l4(l4, 16, 6, false);
  return ipv4_frame(6, l4);
}

std::vector<Octets> seeds() {
  const Octets syn = hex("02 04 05 b4 04 02 08 0a 00 00 00 64 00 00 00 c8 01 03 03 07");
  const Octets times = hex("01 01 08 0a 00 00 00 c8 00 00 01 f4");
  Octets sack = times;
  append(sack, hex("01 01 05 0a 00 00 10 00 00 00 14 00"));
  Octets padded = frame_with({}, 0);
  padded.resize(kMinFrame);
  return {golden_syn4(),
          golden_data4(),
          padded,
          frame_with({}, 3),
          frame_with(times, 1'448),
          frame_with(times, 64),
          frame_with(syn, 0),
          frame_with(hex("02 04 05 b4"), 0),
          frame_with(hex("02 04 05 b4 01 03 03 0f"), 0),
          frame_with(hex("04 02 08 0a 00 00 00 64 00 00 00 c8 02 04 05 b4 01 03 03 02"), 0),
          frame_with(sack, 5),
          ipv4_frame(6, tcp_segment({}, false), hex("94 04 00 00")),
          ipv4_frame(17, hex("c0 01 00 35 00 0d e7 c8 68 65 6c 6c 6f")),
          golden_echo4(),
          golden_sack6(),
          golden_arp()};
}

// Checksums made right again, now and then, for a frame whose lengths allow it.
void mend(Octets& f, Rng& rng) {
  if (f.size() < kTcp || get16(f, 12) != 0x0800) return;
  const std::size_t header = (get8(f, kIp) & 0x0fU) * 4;
  const std::size_t total = get16(f, kIp + 2);
  if (header < kIpv4MinHeader || f.size() < kIp + header) return;
  if (rng.below(16) != 0) mend_ipv4(f);
  if (header != kIpv4MinHeader || total < 40 || kIp + total > f.size()) return;
  if (get8(f, kIp + 9) != 6 || rng.below(16) == 0) return;
  put16(f, kTcp + 16, 0);
  Checksum sum;
  sum.add_pseudo_header(load_ipv4(&f[kIp + 12]), load_ipv4(&f[kIp + 16]), 6,
                        static_cast<std::uint32_t>(total - kIpv4MinHeader));
  sum.add(std::span(f).subspan(kTcp, total - kIpv4MinHeader));
  put16(f, kTcp + 16, sum.finish());
}

Octets mutant(const std::vector<Octets>& seeds, Rng& rng) {
  Octets f = seeds[rng.below(static_cast<std::uint32_t>(seeds.size()))];
  for (std::uint32_t n = rng.below(4); n > 0 && !f.empty(); --n) {
    // Most in the headers, where the text is long.
    const auto reach = static_cast<std::uint32_t>(std::min<std::size_t>(f.size(), 80));
    const auto at =
        rng.below(8) == 0 ? rng.below(static_cast<std::uint32_t>(f.size())) : rng.below(reach);
    switch (rng.below(6)) {
      case 0:
        put8(f, at, rng.below(256));
        break;
      case 1:
        put8(f, at, rng.below(2) == 0 ? 0 : 0xff);
        break;
      case 2:
        f.resize(rng.below(2) == 0 ? at : f.size() + rng.below(20));
        break;
      case 3:  // the lengths that must fit each other
        if (f.size() > kTcp) put16(f, kIp + 2, static_cast<unsigned>(f.size() - kIp));
        break;
      default:
        put8(f, at, get8(f, at) ^ 1U << rng.below(8));
        break;
    }
  }
  mend(f, rng);
  return f;
}

auto fields(const TcpHeader& t) {
  const TcpOptions& o = t.options;
  return std::tuple(t.src_port, t.dst_port, t.seq.raw(), t.ack.raw(), t.wnd, t.urgent, t.flags,
                    o.mss, o.window_scale, o.sack_permitted, o.has_timestamps, o.sack_count,
                    o.ts_val, o.ts_ecr);
}

// All that a Frame of this kind names.
bool same(const Frame& a, const Frame& b) {
  const auto of = [](const Frame& f) {
    return std::tuple(f.kind, f.fault, f.tos, f.ttl, f.protocol, f.had_fragment_header,
                      f.checksum_pending, f.l3_offset, f.l4_offset, f.payload_offset, f.payload_len,
                      f.l4_len, f.problem.due, f.problem.even_to_multicast, f.problem.code,
                      f.problem.pointer);
  };
  if (a.src != b.src || a.dst != b.dst || a.src_mac != b.src_mac || a.dst_mac != b.dst_mac) {
    return false;
  }
  for (std::size_t i = 0; i < a.tcp.options.sack_count; ++i) {
    const SackBlock &x = a.tcp.options.sack[i], &y = b.tcp.options.sack[i];
    if (x.left != y.left || x.right != y.right) return false;
  }
  return of(a) == of(b) && fields(a.tcp) == fields(b.tcp);
}

// What held before, to be kept or to be written over.
Frame stale() {
  Frame f;
  f.kind = Kind::kOther;
  f.fault = Fault::kNdMalformed;
  f.problem = {true, true, 7, 77};
  f.had_fragment_header = f.checksum_pending = true;
  f.tcp.options = {.mss = 1,
                   .window_scale = 1,
                   .sack_permitted = true,
                   .has_timestamps = true,
                   .sack_count = 4,
                   .ts_val = 1,
                   .ts_ecr = 1};
  return f;
}

struct Ways {
  Frame plain = stale(), general = stale();
  FlowKey flow{};
  bool taken = false;
};

Ways both(const Octets& f, ParseOptions verified) {
  const auto exact = std::make_unique<std::byte[]>(f.size());
  std::copy(f.begin(), f.end(), exact.get());
  Ways w;
  w.taken = parse_plain({exact.get(), f.size()}, verified, w.plain, w.flow);
  parse_frame({exact.get(), f.size()}, f.size(), verified, w.general);
  return w;
}

TEST(Plain, IsTheGeneralWay) {
  const std::vector<Octets> all = seeds();
  Rng rng(793);
  int taken = 0, other = 0;
  for (int round = 0; round < kRounds; ++round) {
    const Octets f = mutant(all, rng);
    const Ways w = both(f, {rng.below(4) == 0, rng.below(4) == 0});
    const bool ordinary =
        w.general.kind == Kind::kTcp && w.general.src.is_v4() && w.general.l4_offset == kTcp;
    ASSERT_EQ(w.taken, ordinary) << "round " << round;
    ++(w.taken ? taken : other);
    if (!w.taken) {
      ASSERT_EQ(w.plain.kind, Kind::kOther) << "round " << round;
      ASSERT_EQ(w.flow, FlowKey{}) << "round " << round;
      continue;
    }
    ASSERT_TRUE(same(w.plain, w.general)) << "round " << round;
    const FlowKey flow{w.general.dst, w.general.src, w.general.tcp.dst_port,
                       w.general.tcp.src_port};
    ASSERT_EQ(w.flow, flow) << "round " << round;
  }
  EXPECT_GT(taken, kRounds / 4);
  EXPECT_GT(other, kRounds / 4);
}

// One bit wrong anywhere that a checksum covers: not taken, and behind the datagram it is nobody's.
TEST(Plain, EveryBitCounts) {
  for (const Octets& seed : {frame_with(hex("01 01 08 0a 00 00 00 c8 00 00 01 f4"), 37),
                             frame_with({}, 66), golden_syn4()}) {
    Octets f = seed;
    f.resize(f.size() + 5);
    for (std::size_t bit = 0; bit < 8 * f.size(); ++bit) {
      Octets flipped = f;
      put8(flipped, bit / 8, get8(f, bit / 8) ^ 1U << bit % 8);
      const bool covered = bit / 8 >= 12 && bit / 8 < seed.size();
      ASSERT_EQ(both(flipped, {}).taken, !covered) << "bit " << bit;
    }
  }
}

TEST(Plain, NothingIsReadBeyondTheFrame) {
  const Octets whole = frame_with(hex("01 01 08 0a 00 00 00 c8 00 00 01 f4"), 70);
  for (std::size_t n = 0; n <= whole.size(); ++n) {
    const Octets cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
    EXPECT_EQ(both(cut, {true, true}).taken, n == whole.size()) << n;
  }
}

}  // namespace
}  // namespace weir::wire::test

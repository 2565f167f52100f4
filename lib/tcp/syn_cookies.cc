// RFC 4987 §3.6.
#include "tcp/syn_cookies.h"

#include <array>
#include <span>

namespace weir::tcp {
namespace {

// What a cookie has room for: the largest that is not above the peer's. Ethernet, PPPoE, tunnels.
constexpr std::array<std::uint16_t, 8> kMss = {88, 536, 1'220, 1'360, 1'400, 1'440, 1'460, 8'960};

// From the top: 5 bits of age, 3 of MSS, 24 of hash.
constexpr unsigned kAgeShift = 27, kMssShift = 24;
constexpr std::uint32_t kHashMask = (1U << kMssShift) - 1, kAgeMask = 31;

// Low bits of the timestamp: 4 of window scale, SACK-permitted, ECN.
constexpr std::uint32_t kStampBits = 6, kStampMask = (1U << kStampBits) - 1;
constexpr std::uint32_t kStampSack = 1U << 4U, kStampEcn = 1U << 5U;
constexpr std::uint32_t kNoStamp = 0xff;

std::uint32_t age_of(Instant now) {  // in steps
  return static_cast<std::uint32_t>(now.time_since_epoch() / kCookieStep);
}

enum class Use : std::uint8_t { kMask = 1, kHash = 2 };

std::uint32_t hash(const SipKey& key, Use use, const FlowKey& flow, Seq irs, std::uint32_t age,
                   std::uint32_t mss, std::uint32_t stamp) {
  const std::uint64_t of_flow = siphash24(key, flow);
  const std::array<std::uint32_t, 7> in = {static_cast<std::uint32_t>(use),
                                           static_cast<std::uint32_t>(of_flow),
                                           static_cast<std::uint32_t>(of_flow >> 32U),
                                           irs.raw(),
                                           age,
                                           mss,
                                           stamp};
  return static_cast<std::uint32_t>(siphash24(key, std::as_bytes(std::span(in))));
}

// Our own scale, where the SYN-ACK tells one: beside the stamp's bits. A listener with another must
// not take it for its own.
std::uint32_t told(const SynEntry& e, std::uint8_t scale) {
  return e.scale() == SynEntry::kNoScale ? 0 : (scale + 1U) << 8U;
}

}  // namespace

//= RFC4987 3.6-e
std::uint32_t make_cookie(const SipKey& key, SynEntry& e, std::uint8_t scale, std::uint32_t ts_now,
                          Instant now) {
  std::uint32_t stamp = kNoStamp;
  if ((e.bits & SynEntry::kTimestampsOffered) != 0) {
    stamp = e.scale() | ((e.bits & SynEntry::kSackOffered) != 0 ? kStampSack : 0) |
            (e.ecn_offered() ? kStampEcn : 0);
    const std::uint32_t marked = (ts_now & ~kStampMask) | stamp;
    ts_now = marked <= ts_now ? marked : marked - (1U << kStampBits);  // never ahead of the clock
  } else {
    e.scale_and_retries = SynEntry::kNoScale;
    e.offer(false, false);
  }
  const std::uint16_t peer = e.mss != 0 ? e.mss : std::uint16_t{536};
  std::uint32_t mss = kMss.size() - 1;
  while (mss > 0 && kMss[mss] > peer) --mss;
  e.mss = kMss[mss];
  const std::uint32_t age = age_of(now);
  const std::uint32_t mac =
      hash(key, Use::kHash, e.flow, e.irs, age, mss, stamp | told(e, scale)) & kHashMask;
  e.iss = Seq{hash(key, Use::kMask, e.flow, e.irs, 0, 0, 0)} +
          ((age & kAgeMask) << kAgeShift | mss << kMssShift | mac);
  return ts_now;
}

//= RFC4987 3.6-b
//= RFC4987 3.6-c
bool open_cookie(const SipKey& key, SynEntry& e, const FlowKey& flow, const RxSegment& seg,
                 std::uint8_t scale, const Config& config, Instant now) {
  if ((seg.flags & (SYN | RST | ACK)) != ACK) return false;
  const Seq irs = seg.seq - 1, iss = seg.ack - 1;
  const std::uint32_t bits = distance(Seq{hash(key, Use::kMask, flow, irs, 0, 0, 0)}, iss);
  const std::uint32_t old = (age_of(now) - (bits >> kAgeShift)) & kAgeMask;
  if (old > 1) return false;
  const std::uint32_t mss = bits >> kMssShift & 7U;
  const bool stamped = config.timestamps && seg.options.has_timestamps;
  const std::uint32_t stamp = stamped ? seg.options.ts_ecr & kStampMask : kNoStamp;
  e = {};
  e.scale_and_retries = stamped ? stamp & 15U : SynEntry::kNoScale;
  const std::uint32_t mac =
      hash(key, Use::kHash, flow, irs, age_of(now) - old, mss, stamp | told(e, scale));
  if ((mac & kHashMask) != (bits & kHashMask)) return false;
  e.flow = flow;
  e.iss = iss;
  e.irs = irs;
  e.mss = kMss[mss];
  e.offer(stamped, stamped && (stamp & kStampSack) != 0);
  if (config.ecn != 0 && stamped && (stamp & kStampEcn) != 0) e.offer_ecn();
  e.ts_recent = seg.options.ts_val;  // of the SYN it is not known any more
  return true;
}

}  // namespace weir::tcp

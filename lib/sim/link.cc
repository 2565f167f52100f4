#include "sim/link.h"

#include <algorithm>
#include <utility>

#include "wire/checksum.h"
#include "wire/frame.h"
#include "wire/octets.h"

namespace weir::sim {
namespace {

constexpr unsigned kBurstBits = 15;  // the Internet checksum finds every burst below 16 bits

bool is_ip(const Octets& frame) {
  if (frame.size() <= wire::kEthHeader) return false;
  const auto type =
      std::to_integer<unsigned>(frame[12]) << 8U | std::to_integer<unsigned>(frame[13]);
  return type == 0x0800 || type == 0x86dd;
}

constexpr std::size_t kIp = wire::kEthHeader;

bool is_v4(const Octets& frame) {
  return is_ip(frame) && wire::load8(&frame[kIp]) >> 4U == 4 && frame.size() >= kIp + 20;
}
bool is_v6(const Octets& frame) {
  return is_ip(frame) && wire::load8(&frame[kIp]) >> 4U == 6 && frame.size() >= kIp + 40;
}

void mend_ipv4(Octets& frame, std::size_t ip) {
  const std::size_t header = 4 * (wire::load8(&frame[ip]) & 15U);
  if (ip + header > frame.size()) return;
  wire::store16(&frame[ip + 10], 0);
  wire::store16(&frame[ip + 10], wire::checksum(std::span{frame}.subspan(ip, header)));
}

// ECT(0) and ECT(1) to CE. False where neither stands.
bool mark_ce(Octets& frame) {
  if (is_v4(frame)) {
    const unsigned tos = wire::load8(&frame[kIp + 1]);
    if ((tos & 3U) == 0 || (tos & 3U) == 3) return false;
    wire::store8(&frame[kIp + 1], static_cast<std::uint8_t>(tos | 3U));
    mend_ipv4(frame, kIp);
    return true;
  }
  if (!is_v6(frame)) return false;
  const unsigned word = wire::load16(&frame[kIp]);  // version, traffic class, flow label
  const unsigned ecn = word >> 4U & 3U;
  if (ecn == 0 || ecn == 3) return false;
  wire::store16(&frame[kIp], static_cast<std::uint16_t>(word | 0x30U));
  return true;
}

// What a router answers to `frame`, or nothing when it is not of a kind to be answered.
Octets packet_too_big(const Octets& frame, std::uint16_t mtu) {
  wire::Frame f;
  wire::parse_frame(frame, frame.size(), {}, f);
  if (f.kind != wire::Kind::kTcp && f.kind != wire::Kind::kUdp) return {};
  const bool v4 = f.src.is_v4();
  const IpAddr router = v4 ? IpAddr::v4(10, 0, 0, 254) : *parse_ip("2001:db8::fe");
  Octets out(wire::kMaxIcmpErrorFrame);
  out.resize(wire::write_icmp_error(out, MacAddr{{2, 0, 0, 0, 0, 0xfe}}, router,
                                    v4 ? std::uint8_t{3} : wire::kIcmp6PacketTooBig,
                                    v4 ? std::uint8_t{4} : std::uint8_t{0}, frame, f));
  const std::size_t icmp = kIp + (v4 ? 20 : 40);
  wire::store32(&out[icmp + 4], mtu);
  // The checksum of what was 0 there (RFC 1624): the new field's complement added.
  const std::uint32_t sum =
      std::uint32_t{wire::load16(&out[icmp + 2])} + static_cast<std::uint16_t>(~mtu);
  wire::store16(&out[icmp + 2], static_cast<std::uint16_t>(sum + (sum >> 16U)));
  return out;
}

}  // namespace

bool Channel::fits(const Octets& frame) {
  if (faults_.mtu == 0 || frame.size() <= kIp + faults_.mtu) return true;
  ++stats_.too_big;
  if (!faults_.too_big || !back_) return false;
  if (Octets told = packet_too_big(frame, faults_.mtu); !told.empty()) back_(std::move(told));
  return false;
}

// Held back until it is due, or until as many frames as may have overtaken it.
void Channel::hold(Instant when, Octets&& frame) {
  const std::uint64_t id = holds_++;
  held_.emplace(id, Held{std::move(frame), 1 + rng_.below(faults_.reorder_by)});
  loop_.at(when, [this, id] { release(id); });
}

void Channel::release(std::uint64_t id) {
  const auto it = held_.find(id);
  if (it == held_.end()) return;  // enough have overtaken it
  Octets frame = std::move(it->second.frame);
  held_.erase(it);
  ++stats_.delivered;
  sink_(std::move(frame));
  overtake();
}

void Channel::overtake() {
  for (auto& [id, held] : held_) {
    if (held.left > 0 && --held.left == 0) loop_.at(loop_.now(), [this, id = id] { release(id); });
  }
}

void Channel::send(Octets&& frame) {
  ++stats_.sent;
  if (!fits(frame)) return;
  const Instant now = loop_.now();
  Instant sent = now;
  if (faults_.rate != 0) {
    const auto time_of = [&](std::uint64_t octets) {
      return Duration{static_cast<Duration::rep>(octets * 8 * 1'000'000 / faults_.rate)};
    };
    free_at_ = std::max(free_at_, now);
    if (free_at_ - now > time_of(faults_.queue)) {
      ++stats_.queue_full;
      return;
    }
    sent = free_at_ += time_of(frame.size());
  }
  // Each fault draws its numbers whether it strikes or not: to turn one off leaves the others.
  const bool lost = rng_.chance(faults_.loss);
  const bool doubled = rng_.chance(faults_.duplicate);
  const bool late = rng_.chance(faults_.reorder);
  const bool damaged = rng_.chance(faults_.corrupt);
  Instant when = sent + faults_.delay + up_to(faults_.jitter);
  const Duration behind = up_to(faults_.reorder_delay);
  if (lost || (damaged && !is_ip(frame))) {
    ++stats_.lost;
    return;
  }
  if (faults_.ce != 0 && rng_.chance(faults_.ce) && mark_ce(frame)) ++stats_.marked;
  if (damaged) corrupt(frame);
  if (late && faults_.reorder_by != 0) {
    ++stats_.reordered;
    return hold(when + behind, std::move(frame));
  }
  if (late) {
    ++stats_.reordered;
    when += behind;
  } else {
    when = last_ = std::max(when, last_);
  }
  if (doubled) {
    ++stats_.duplicated;
    arrive(when + up_to(faults_.reorder_delay), Octets{frame});
  }
  arrive(when, std::move(frame));
}

void Channel::arrive(Instant when, Octets&& frame) {
  loop_.at(when, [this, f = std::move(frame)]() mutable {
    ++stats_.delivered;
    sink_(std::move(f));
    overtake();
  });
}

void Channel::corrupt(Octets& frame) {
  ++stats_.corrupted;
  const auto bits = static_cast<std::uint32_t>((frame.size() - wire::kEthHeader) * 8);
  const std::uint32_t start = rng_.below(bits);
  const std::uint32_t flips = 1 + rng_.below(3);
  std::uint32_t done = 0;
  for (std::uint32_t i = 0; i < flips; ++i) {
    const std::uint32_t step = rng_.below(kBurstBits);
    if ((done >> step & 1U) != 0 || start + step >= bits) continue;  // not back again
    done |= 1U << step;
    const std::uint32_t bit = start + step;
    frame[wire::kEthHeader + bit / 8] ^= std::byte{0x80} >> (bit % 8);
  }
  if (done == 0) frame[wire::kEthHeader + start / 8] ^= std::byte{0x80} >> (start % 8);
}

Duration Channel::up_to(Duration bound) {
  const std::uint64_t draw = rng_.next();
  return bound <= 0us ? 0us
                      : Duration{static_cast<Duration::rep>(
                            draw % static_cast<std::uint64_t>(bound.count()))};
}

}  // namespace weir::sim

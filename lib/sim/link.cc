#include "sim/link.h"

#include <algorithm>
#include <utility>

#include "wire/frame.h"

namespace weir::sim {
namespace {

constexpr unsigned kBurstBits = 15;  // the Internet checksum finds every burst below 16 bits

bool is_ip(const Octets& frame) {
  if (frame.size() <= wire::kEthHeader) return false;
  const auto type =
      std::to_integer<unsigned>(frame[12]) << 8U | std::to_integer<unsigned>(frame[13]);
  return type == 0x0800 || type == 0x86dd;
}

}  // namespace

void Channel::send(Octets&& frame) {
  ++stats_.sent;
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
  if (damaged) corrupt(frame);
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

// CUBIC (RFC 9438).
#include "tcp/cc/cubic.h"

#include <algorithm>

namespace weir::tcp {
namespace {

constexpr std::uint32_t kMaxElapsed = 1'000'000'000;  // us; the curve has left every window by then

void begin_epoch(Cubic& c, std::uint32_t cwnd, const CubicAck& a) {
  c.running = true;
  //= RFC9438 4.10
  if (c.w_max <= cwnd) c.w_max = cwnd;  // §4.8, §4.10: K is 0
  // K = cubic_root((W_max - cwnd_epoch) / C), C = 0.4 segments a cubic second: in ms^3.
  //= RFC9438 4.2-b
  c.k_ms = cube_root(std::uint64_t{c.w_max - cwnd} * 2'500'000'000U / a.mss);
  c.w_est = cwnd;
  c.est_acked = 0;
  c.elapsed_us = 0;
  c.last_us = a.now_us;
}

// §4.3: alpha = 3 * (1 - beta) / (1 + beta) = 9/17, and 1 once W_est is where cwnd was.
//= RFC9438 4.3-a
void grow_estimate(Cubic& c, std::uint32_t cwnd, const CubicAck& a) {
  const std::uint64_t need =
      c.w_est >= a.prior ? cwnd : std::uint64_t{cwnd} * 17 / 9;  // octets for one segment
  const std::uint64_t have = std::uint64_t{c.est_acked} + a.acked;
  const std::uint64_t segments = have / need;
  c.est_acked = static_cast<std::uint32_t>(have - segments * need);
  c.w_est =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(c.w_est + segments * a.mss, kMaxCwnd));
}

}  // namespace

// Digit by digit, from the highest of the 22 bits that a root of 64 bits can have.
std::uint32_t cube_root(std::uint64_t n) {
  std::uint64_t root = 0;
  for (int bit = 21; bit >= 0; --bit) {
    const std::uint64_t next = root | std::uint64_t{1} << static_cast<unsigned>(bit);
    if (next * next <= n / next) root = next;
  }
  return static_cast<std::uint32_t>(root);
}

// C * (t - K)^3 + W_max.
//= RFC9438 4.2-a
std::uint32_t cubic_window(const Cubic& c, std::uint32_t mss, std::uint32_t t_us) {
  const std::int64_t ms =
      std::clamp<std::int64_t>(std::int64_t{t_us / 1'000} - c.k_ms, -1'000'000, 1'000'000);
  // 10^6 ms^3 are 10^-3 cubic seconds; divided in two steps, lest 64 bits overflow.
  const std::int64_t grown = ms * ms * ms / 1'000'000 * std::int64_t{mss} * 4 / 10 / 1'000;
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(c.w_max + grown, 0, kMaxCwnd));
}

//= RFC9438 4.7
void cubic_reduce(Cubic& c, std::uint32_t cwnd) {
  c.w_max = cwnd < c.w_max ? static_cast<std::uint32_t>(std::uint64_t{cwnd} * 17 / 20) : cwnd;
  c.running = false;
}

//= RFC9438 4.8-b
void cubic_forget(Cubic& c) {
  c.w_max = 0;
  c.running = false;
}

//= RFC9438 4.2-c
void cubic_pause(Cubic& c, std::uint32_t now_us) {
  c.last_us = now_us;
}

std::uint32_t cubic_grow(Cubic& c, std::uint32_t cwnd, std::uint32_t& counted, const CubicAck& a) {
  if (!c.running) {
    begin_epoch(c, cwnd, a);
    counted = 0;
  }
  const std::uint32_t passed = std::min(a.now_us - c.last_us, kMaxElapsed);
  c.elapsed_us = std::min(c.elapsed_us + passed, kMaxElapsed);
  c.last_us = a.now_us;
  grow_estimate(c, cwnd, a);
  //= RFC9438 4.2-d
  const std::uint32_t target =
      std::clamp(cubic_window(c, a.mss, c.elapsed_us + a.rtt_us), cwnd, cwnd + cwnd / 2);
  // §4.4, §4.5: (target - cwnd) / cwnd for each segment that is acknowledged.
  //= RFC9438 4.4
  const std::uint64_t have = counted + std::uint64_t{target - cwnd} * a.acked / cwnd * 256 +
                             std::uint64_t{target - cwnd} * a.acked % cwnd * 256 / cwnd;
  const std::uint64_t segments = have / (std::uint64_t{a.mss} * 256);
  counted = static_cast<std::uint32_t>(have - segments * a.mss * 256);
  std::uint64_t grown = cwnd + segments * a.mss;
  //= RFC9438 4.3-b
  if (cubic_window(c, a.mss, c.elapsed_us) < c.w_est)
    grown = std::max<std::uint64_t>(grown, c.w_est);
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(grown, kMaxCwnd));
}

}  // namespace weir::tcp

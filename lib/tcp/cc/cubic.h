// CUBIC (RFC 9438): in congestion avoidance the window follows a cubic curve of the time since the
// last congestion event, and never less than what Reno would have.
//
// Pure arithmetic on integers: octets, microseconds, and a curve in milliseconds. Reads no clock,
// allocates nothing. The caller says when congestion avoidance goes on and when something was lost.
#pragma once

#include <cstdint>

namespace weir::tcp {

struct Cubic {
  std::uint32_t w_max = 0;       // octets; 0: none is known (§4.8, §4.10)
  std::uint32_t w_est = 0;       // octets: what Reno would have (§4.3)
  std::uint32_t est_acked = 0;   // octets towards its next segment
  std::uint32_t k_ms = 0;        // K: from the epoch to where the curve is flat
  std::uint32_t elapsed_us = 0;  // t: since the epoch, while cwnd was in use
  std::uint32_t last_us = 0;     // when elapsed_us was true; low bits of an instant
  bool running = false;          // the epoch has begun
};

struct CubicAck {           // of something new, in congestion avoidance
  std::uint32_t acked = 0;  // octets
  std::uint32_t mss = 0;    // octets, not 0
  std::uint32_t rtt_us = 0;
  std::uint32_t now_us = 0;  // low bits of the instant
  std::uint32_t prior = 0;   // cwnd_prior: before the last congestion event; 0: there was none
};

inline constexpr std::uint32_t kMaxCwnd = 1U << 30U;  // no window is larger (RFC 7323 §2.3)

// beta_cubic * octets (§4.6).
[[nodiscard]] constexpr std::uint32_t cubic_beta(std::uint32_t octets) {
  return static_cast<std::uint32_t>(std::uint64_t{octets} * 7 / 10);
}

// A congestion event at `cwnd`: W_max, with fast convergence (§4.7). Ends the epoch.
void cubic_reduce(Cubic& c, std::uint32_t cwnd);
// The timer fired: W_max is not known (§4.8). Ends the epoch.
void cubic_forget(Cubic& c);
// The new cwnd. `counted` holds 1/256 octets towards the next segment. Pre: cwnd > 0.
[[nodiscard]] std::uint32_t cubic_grow(Cubic& c, std::uint32_t cwnd, std::uint32_t& counted,
                                       const CubicAck& a);
// Until `now_us` cwnd was not in use: that time does not count (§4.2, §5.8).
void cubic_pause(Cubic& c, std::uint32_t now_us);

// W_cubic(t) of §4.2, in octets.
[[nodiscard]] std::uint32_t cubic_window(const Cubic& c, std::uint32_t mss, std::uint32_t t_us);
[[nodiscard]] std::uint32_t cube_root(std::uint64_t n);  // rounded down

}  // namespace weir::tcp

// Retransmission timeout (RFC 6298).
//
// Turns round-trip samples into the timeout (RTO). Pure arithmetic: reads no clock, arms no
// timer, allocates nothing. The caller owns the timer and applies Karn's rule (§3): samples
// come only from segments sent once, or from timestamps.
#pragma once

#include "base/time.h"

namespace weir::tcp {

struct RtoConfig {
  //= RFC6298 2.1
  //= RFC8961 4-1
  Micros rto_initial = 1s;         // §2.1
  Micros rto_min = 200ms;          // above SRTT; Linux's. §2.4 says 1 s in all: docs/adr/0003
                                   //= RFC6298 2.5
  Micros rto_max = 120s;           // §2.5: at least 60 s
  Micros clock_granularity = 1ms;  // G, §2
};

class RtoEstimator {
 public:
  explicit RtoEstimator(const RtoConfig& config) noexcept;  // shared by every connection
  explicit RtoEstimator(RtoConfig&&) = delete;              // it would dangle

  // Folds in one sample: §2.2 for the first, §2.3 afterwards. Pre: sample >= 0.
  void on_sample(Micros sample) noexcept;

  // The timer expired: doubles the timeout, up to rto_max (§5.5).
  void back_off() noexcept;

  // Undoes back_off: the peer was alive behind a closed window. Keeps what samples said.
  void restore() noexcept;

  // As another was left: what its accessors said.
  void resume(Micros srtt, Micros rttvar, Micros rto, bool sampled) noexcept {
    srtt_ = srtt;
    rttvar_ = rttvar;
    rto_ = rto;
    sampled_ = sampled;
  }

  // Our SYN was resent before it was acknowledged: data starts with 3 s (§5.7).
  void on_syn_timeout() noexcept;

  [[nodiscard]] Micros rto() const noexcept { return rto_; }
  [[nodiscard]] Micros srtt() const noexcept { return srtt_; }
  [[nodiscard]] Micros rttvar() const noexcept { return rttvar_; }
  [[nodiscard]] bool sampled() const noexcept { return sampled_; }

 private:
  void compute() noexcept;

  const RtoConfig* config_;
  Micros srtt_{};
  Micros rttvar_{};
  Micros rto_;
  bool sampled_ = false;
};

static_assert(sizeof(RtoEstimator) == 24, "budget in the Tcb transmit line");

}  // namespace weir::tcp

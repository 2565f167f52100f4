// A connection at rest (RFC 9293 §3.3.1): of its control block what the next segment, timer or user
// call needs to know, in 184 octets.
//
// Plain data. Resting means ESTABLISHED, nothing queued, nothing in flight, nothing owed and no
// recovery under way; then most of a control block says nothing, or says again what another field
// says. What is left out is put back such that the connection goes on as if it had never rested:
// frozen.cc names each field and why.
#pragma once

#include <array>
#include <cstdint>

#include "base/seq.h"
#include "base/time.h"
#include "tcp/tcb.h"

namespace weir::tcp {

// The low 48 bits of an instant in microseconds: good while it is not four years away.
class Moment {
 public:
  static constexpr Duration kReach = std::chrono::hours(24 * 365 * 4);

  Moment() = default;
  explicit Moment(Instant t) {
    const auto us = static_cast<std::uint64_t>(t.time_since_epoch().count());
    for (unsigned i = 0; i < words_.size(); ++i) {
      words_[i] = static_cast<std::uint16_t>(us >> (16 * i));
    }
  }
  // The nearest to `now` with these bits.
  [[nodiscard]] Instant near(Instant now) const {
    std::uint64_t us = 0;
    for (unsigned i = 0; i < words_.size(); ++i) us |= std::uint64_t{words_[i]} << (16 * i);
    const auto from = static_cast<std::uint64_t>(now.time_since_epoch().count());
    const auto ahead = static_cast<std::int64_t>((us - from) << 16U) >> 16U;
    return now + Duration(ahead);
  }

 private:
  std::array<std::uint16_t, 3> words_{};
};

struct Frozen {
  Seq rcv_nxt, snd_una, rcv_adv, snd_wl1, pushed, read_mark;
  std::uint32_t snd_wnd, max_snd_wnd;
  std::uint32_t cwnd, ssthresh, cwnd_acked, cwnd_used;
  std::uint32_t prior_cwnd;  // undo.cwnd: what CUBIC's estimate grows to
  Micros srtt, rttvar, rto;
  std::uint32_t w_max, w_est, est_acked, k_ms, elapsed_us, last_us;  // of Cubic
  std::uint32_t min_rtt_us, min_rtt_late_us, min_rtt_since_s;
  // With timestamps ts_recent and its age; without them the receive buffer's clock.
  std::array<std::uint32_t, 2> stamps;
  std::uint32_t ts_offset;
  std::uint32_t challenge_ms;
  std::uint32_t rcv_buf, read_mark_us, read_before, rcv_rtt_us;
  std::uint32_t max_pacing_rate;
  std::uint32_t mss_lowered_s;
  std::uint16_t flags;
  std::uint16_t mss, rcv_mss, peer_seg, full_mss, mtu_low, mtu_high;
  std::uint16_t bits;  // FrozenBit, frozen.cc
  Moment last_sent, last_received, life_deadline;
  std::uint8_t wscales;  // rcv_wscale in the upper four bits, snd_wscale in the lower
  std::uint8_t ecn, modes, tos_in;
  std::uint8_t quick_acks, keepalive_unanswered;
  std::uint8_t soft_error;
  std::uint8_t reo_mult, reo_persist;
};
static_assert(sizeof(Frozen) == 184, "budget: 256 octets for a connection at rest, all in");

// True when freeze loses nothing.
[[nodiscard]] bool may_freeze(const Tcb& tcb, Instant now);
// Pre: may_freeze.
[[nodiscard]] Frozen freeze(const Tcb& tcb);
// kNever where there is none.
[[nodiscard]] Instant life_deadline(const Frozen& frozen, Instant now);
// Pre: `tcb` was just constructed, with the Config that it had.
void thaw(Tcb& tcb, const Frozen& frozen, Instant now);

}  // namespace weir::tcp

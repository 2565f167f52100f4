// HyStart++ (RFC 9406): ends slow start when the round trip grows, before the queue overflows.
//
// Pure arithmetic. A round lasts until what was SND.NXT at its beginning is acknowledged. Lives
// with the log of a flight, since it wants a round-trip sample of every ACK; a flight that ends
// takes what is known of its rounds along.
#pragma once

#include <cstdint>

#include "base/seq.h"

namespace weir::tcp {

struct HyStart {
  static constexpr std::uint32_t kNone = 0xffff'ffffU;
  Seq window_end;                     // windowEnd
  std::uint32_t last_us = kNone;      // lastRoundMinRTT
  std::uint32_t current_us = kNone;   // currentRoundMinRTT
  std::uint32_t baseline_us = kNone;  // cssBaselineMinRtt
  std::uint8_t samples = 0;           // rttSampleCount, saturating
  std::uint8_t css_rounds = 0;        // begun
  bool running = false;               // a round has begun
  bool css = false;                   // conservative slow start
};

enum class SlowStart : std::uint8_t {
  kFull,
  kConservative,  // a quarter of the growth
  kOver,          // congestion avoidance follows
};

// An ACK of something new in the initial slow start. `snd_una` after it; `rtt_us` 0 if it gives no
// sample.
[[nodiscard]] SlowStart hystart_on_ack(HyStart& h, Seq snd_una, Seq snd_nxt, std::uint32_t rtt_us);

}  // namespace weir::tcp

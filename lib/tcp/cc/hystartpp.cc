// HyStart++ (RFC 9406).
#include "tcp/cc/hystartpp.h"

#include <algorithm>

namespace weir::tcp {
namespace {

// §4.3.
//= RFC9406 4.3-a
constexpr std::uint32_t kMinRttThresh = 4'000;   // us
constexpr std::uint32_t kMaxRttThresh = 16'000;  // us
constexpr std::uint32_t kMinRttDivisor = 8;
constexpr std::uint8_t kRttSamples = 8;
constexpr std::uint8_t kCssRounds = 5;

//= RFC9406 4.2-a
void begin_round(HyStart& h, Seq snd_nxt) {
  h.window_end = snd_nxt;
  h.last_us = h.current_us;
  h.current_us = HyStart::kNone;
  h.samples = 0;
  h.running = true;
}

void judge(HyStart& h) {
  if (h.samples < kRttSamples || h.current_us == HyStart::kNone) return;
  if (h.css) {
    //= RFC9406 4.2-d
    if (h.current_us < h.baseline_us) h.css = false;  // the delay was a passing one
    return;
  }
  if (h.last_us == HyStart::kNone) return;
  //= RFC9406 4.2-b
  const std::uint32_t thresh = std::clamp(h.last_us / kMinRttDivisor, kMinRttThresh, kMaxRttThresh);
  if (h.current_us < h.last_us + thresh) return;
  h.css = true;
  h.css_rounds = 1;  // the rest of this one counts as a round
  h.baseline_us = h.current_us;
}

}  // namespace

SlowStart hystart_on_ack(HyStart& h, Seq snd_una, Seq snd_nxt, std::uint32_t rtt_us) {
  if (!h.running) begin_round(h, snd_nxt);
  if (rtt_us != 0) {
    h.current_us = std::min(h.current_us, rtt_us);
    if (h.samples < 0xff) ++h.samples;
  }
  judge(h);
  if (at_or_after(snd_una, h.window_end)) {
    //= RFC9406 4.2-e
    if (h.css && h.css_rounds++ >= kCssRounds) return SlowStart::kOver;
    begin_round(h, snd_nxt);
  }
  return h.css ? SlowStart::kConservative : SlowStart::kFull;
}

}  // namespace weir::tcp

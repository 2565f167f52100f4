// Timestamps and PAWS (RFC 7323 §3-5). The clock ticks in milliseconds from an offset that is
// random for each connection (§5.4), so that it tells nothing about the host.
#include "tcp/internal.h"

namespace weir::tcp {
namespace {

//= RFC7323 5.5
constexpr std::uint32_t kIdleLimit = 24 * 24 * 3600;  // s: §5.5, after which TS.Recent is void

std::uint32_t seconds(Instant now) {
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count());
}

}  // namespace

//= RFC7323 5.4
std::uint32_t ts_now(const Tcb& t, Instant now) {
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
  return static_cast<std::uint32_t>(ms) + t.ts_offset;
}

void store_ts_recent(Tcb& t, std::uint32_t ts_val, Instant now) {
  t.ts_recent = ts_val;
  t.ts_recent_age_s = seconds(now);
}

//= RFC7323 3.2-c
//= RFC7323 5.2
//= RFC7323 5.3-a
//= RFC7323 5.3-b
bool check_timestamps(Tcb& t, const RxSegment& seg, Instant now, Outbox& out) {
  if (!t.has(kTimestamps) || (seg.flags & RST) != 0) return true;  // §5.2: RST is exempt
  if (!seg.options.has_timestamps) {
    if (!t.config->timestamps_required) return true;
    out.counters->drop_no_timestamp.add();  // §3.2: SHOULD silently drop
    return false;
  }
  const bool older = before(Seq{seg.options.ts_val}, Seq{t.ts_recent});
  if (!older || seconds(now) - t.ts_recent_age_s > kIdleLimit) return true;
  out.counters->drop_paws.add();
  if (seg_len(seg) > 0) {
    t.set(kAckNow);
  } else {
    challenge_ack(t, now, out);
  }
  return false;
}

// §4.3: only a segment that begins at or before what the last ACK acknowledged moves TS.Recent.
// check_timestamps has let it pass: it is no older than what is there, or that is void, where it is
// stamped at all.
//= RFC7323 4.3-a
//= RFC7323 4.3-b
void update_ts_recent(Tcb& t, const RxSegment& seg, Instant now) {
  if (t.has(kTimestamps) && seg.options.has_timestamps && !after(seg.seq, t.last_ack_sent)) {
    store_ts_recent(t, seg.options.ts_val, now);
  }
}

}  // namespace weir::tcp

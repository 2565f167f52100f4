// Keepalives (RFC 9293 §3.8.4). Off unless the configuration or the connection's own user turns
// them on (MUST-24, MUST-25).
#include <algorithm>

#include "tcp/internal.h"

namespace weir::tcp {

namespace {

//= RFC9293 MUST-24
bool keepalive_on(const Tcb& t) {
  const OwnSettings* own = own_settings(t);
  if (own == nullptr || own->keepalive == OwnSettings::kAsConfig) return t.config->keepalive;
  return own->keepalive == OwnSettings::kOn;
}

// While the application is there. A half-closed connection needs them most: it sends nothing else.
bool wants_keepalive(const Tcb& t) {
  return keepalive_on(t) && t.synchronized() && t.state != State::kTimeWait && !t.has(kUserClosed);
}

Duration keepalive_time(const Tcb& t) {
  const OwnSettings* own = own_settings(t);
  return own != nullptr && own->keepalive_time_s != 0 ? std::chrono::seconds(own->keepalive_time_s)
                                                      : t.config->keepalive_time;
}

Duration keepalive_intvl(const Tcb& t) {
  const OwnSettings* own = own_settings(t);
  return own != nullptr && own->keepalive_intvl_s != 0
             ? std::chrono::seconds(own->keepalive_intvl_s)
             : t.config->keepalive_intvl;
}

// A user timeout judges what is idle as it judges what is not (RFC 5482 §4.2).
//= RFC9293 MUST-29
//= RFC5482 4.2
bool peer_is_dead(const Tcb& t, Instant now) {
  if (t.keepalive_unanswered == 0) return false;
  if (const Duration limit = user_timeout(t); limit > Duration::zero()) {
    return now - t.last_received >= limit;
  }
  const std::uint8_t own = t.own != nullptr ? t.own->set.keepalive_probes : std::uint8_t{0};
  return t.keepalive_unanswered >= (own != 0 ? own : t.config->keepalive_probes);
}

std::uint16_t whole_seconds(Duration d) {
  constexpr Duration kLeast = 1s, kMost = 32'767s;
  if (d == Duration::zero()) return 0;
  const auto s = std::chrono::ceil<std::chrono::seconds>(std::clamp(d, kLeast, kMost));
  return static_cast<std::uint16_t>(s.count());
}

}  // namespace

void begin_keepalive(Tcb& t, Instant now) {
  if (wants_keepalive(t)) t.life_deadline = now + keepalive_time(t);
}

// As Linux has it: what turns them on begins to count now, another time counts from the last
// segment, and the rest waits for its turn.
bool user_set_keepalive(Tcb& t, const Keepalive& k, Instant now, Outbox& out) {
  const bool was_armed = keepalive_on(t) && t.life_deadline != kNever;
  const Duration was_time = keepalive_time(t);
  if (lend_own(t, out) == nullptr) return false;
  OwnSettings& own = t.own->set;
  own.keepalive = k.on ? OwnSettings::kOn : OwnSettings::kOff;
  own.keepalive_time_s = whole_seconds(k.time);
  own.keepalive_intvl_s = whole_seconds(k.intvl);
  own.keepalive_probes = k.probes;
  if (!wants_keepalive(t)) return true;
  const Duration time = keepalive_time(t);
  if (!was_armed) {
    t.life_deadline = now + time;
  } else if (time != was_time) {
    t.life_deadline = std::max(now, t.last_received + time);
  }
  return true;
}

//= RFC9293 MAY-5
void on_keepalive_deadline(Tcb& t, Instant now, Outbox& out) {
  if (!wants_keepalive(t)) return;
  const Instant due = t.last_received + keepalive_time(t);
  //= RFC9293 MUST-26
  if (t.snd_una != t.snd_nxt) {  // the retransmission timer judges
    t.life_deadline = std::max<Instant>(due, now + keepalive_intvl(t));
    return;
  }
  if (t.keepalive_unanswered == 0 && now < due) {
    t.life_deadline = due;
    return;
  }
  if (peer_is_dead(t, now)) {
    send_reset(t, now, out);
    return close_now(t, CloseReason::kTimedOut, out);
  }
  if (t.keepalive_unanswered < 0xff) ++t.keepalive_unanswered;
  out.counters->keepalive_probes.add();
  //= RFC9293 SHLD-12
  TxSegment probe;  // SHLD-12: no text, SEG.SEQ = SND.NXT-1
  probe.seq = t.snd_nxt - 1;
  probe.ack = t.rcv_nxt;
  probe.flags = ecn_ack_flags(t);
  probe.wnd = static_cast<std::uint16_t>(rcv_wnd(t) >> t.rcv_wscale);
  if (t.has(kTimestamps)) {
    probe.options.has_timestamps = true;
    probe.options.ts_val = ts_now(t, now);
    probe.options.ts_ecr = t.ts_recent;
  }
  out.tx.push(probe);
  t.life_deadline = now + keepalive_intvl(t);
}

}  // namespace weir::tcp

// What happens when a deadline passes (RFC 9293 §3.10.8, RFC 6298 §5).
#include <algorithm>

#include "tcp/internal.h"
#include "tcp/time_wait.h"

namespace weir::tcp {

void send_probe(Tcb& t, Instant now, Outbox& out);             // output.cc
void send_tail_probe(Tcb& t, Instant now, Outbox& out);        // output.cc
void on_keepalive_deadline(Tcb& t, Instant now, Outbox& out);  // keepalive.cc

namespace {

void count_retry(Tcb& t) {  // a user timeout may be longer than what it counts
  if (t.retries < 0xff) ++t.retries;
}

// R2 of a SYN in minutes rather than in retries: who asks for more than Linux's five waits as long
// as the RFC wants. The default keeps Linux's 63 s (docs/rfc/not-yet.md).
constexpr unsigned kPatientRetries = 6;
constexpr Duration kSynR2 = 180s;

// RFC 9293 §3.8.3: nothing was heard for R1 transmissions, so that the next hop may be dead, or the
// path too narrow. IP is told, and the application (SHLD-9).
//= RFC9293 MUST-20
//= RFC9293 SHLD-9
//= RFC9293 SHLD-10
void doubt_path(Tcb& t, Outbox& out) {
  if (t.retries != t.config->retries1) return;
  t.path_news = kPathDoubted;
  if (t.soft_error == CloseReason::kNone) note_soft_error(t, CloseReason::kTimedOut);
  out.counters->r1_reached.add();
}

// The SYN, or the SYN-ACK of a simultaneous open, was not answered (MUST-22).
//= RFC9293 MUST-22
//= RFC9293 MUST-23
void on_syn_timeout(Tcb& t, Instant now, Outbox& out) {
  if (user_timeout_over(t, now)) return close_now(t, CloseReason::kTimedOut, out);
  const std::uint8_t own = t.own != nullptr ? t.own->set.syn_retries : std::uint8_t{0};
  const std::uint8_t limit = own != 0 ? own : t.config->syn_retries;
  if (t.retries >= limit && user_timeout(t) == Duration::zero()) {
    const Instant r2 = t.last_received + kSynR2;  // since OPEN: nothing has come
    if (limit < kPatientRetries || now >= r2) {
      return close_now(t, CloseReason::kTimedOut, out);
    }
    t.rtx_deadline = r2;
    return;
  }
  doubt_path(t, out);
  if (t.own != nullptr) count_rto(t, now);
  count_retry(t);
  t.set(kSynResent | kSynDue);
  t.rto.back_off();
}

//= RFC9293 SHLD-29
void on_persist_timeout(Tcb& t, Instant now, Outbox& out) {
  if (gives_up(t, now)) {
    if (t.has(kUserClosed)) send_reset(t, now, out);  // the peer is there: it learns
    return close_now(t, CloseReason::kTimedOut, out);
  }
  if (t.retries == 0) note_progress(t, now);  // the peer owes an answer from here on
  count_retry(t);                             // an answer sets it back to 0: MUST-37
  send_probe(t, now, out);
  t.rto.back_off();  //= RFC9293 SHLD-30
  t.rtx_deadline = no_later_than_user_timeout(t, now, now + t.rto.rto());
}

//= RFC9293 MUST-20
void on_retransmission_timeout(Tcb& t, Instant now, Outbox& out) {
  if (gives_up(t, now)) return close_now(t, CloseReason::kTimedOut, out);
  doubt_path(t, out);
  if (t.mtu_probe != 0) mtu_probe_timed_out(t, out);
  if (t.retries >= t.config->retries1) mtu_black_hole(t, now, out);
  if (t.own != nullptr) count_rto(t, now);
  count_retry(t);
  out.counters->rto_timeouts.add();
  frto_begin(t);
  if (t.log != nullptr) mark_lost_on_rto(t, now, out);
  //= RFC6298 5.4
  cc_on_rto(t);  // RFC 6298 §5.4, RFC 5681 §3.1
  ecn_window_cut(t);
  t.rto.back_off();  // §5.5
                     //= RFC6298 5.6
  arm_rtx(t, now);   // §5.6
  t.rtx_deadline = no_later_than_user_timeout(t, now, t.rtx_deadline);
}

void on_rtx_deadline(Tcb& t, Instant now, Outbox& out) {
  t.rtx_deadline = kNever;
  t.ecn_clear(kEcnWait);
  if (!t.synchronized()) return on_syn_timeout(t, now, out);
  if (t.has(kPersisting)) return on_persist_timeout(t, now, out);
  if (t.snd_una != t.snd_nxt) on_retransmission_timeout(t, now, out);
}

void on_probe_deadline(Tcb& t, Instant now, Outbox& out) {
  t.probe_deadline = kNever;
  if (t.log == nullptr) return;
  if (t.probe_is_tlp) {
    send_tail_probe(t, now, out);
  } else {
    on_reordering_timeout(t, now, out);
  }
}

void on_linger_over(Tcb& t, Instant now, Outbox& out) {
  const OwnSettings* own = own_settings(t);  // else it is a keepalive's deadline, from before
  if (own == nullptr || own->linger_s == OwnSettings::kNoLinger) return;
  out.counters->linger_resets.add();
  send_reset(t, now, out);
  close_now(t, CloseReason::kAborted, out);
}

void on_life_deadline(Tcb& t, Instant now, Outbox& out) {
  t.life_deadline = kNever;
  if (t.state == State::kTimeWait) {
    return end_time_wait(t, out);
  }
  if (t.state == State::kFinWait2 && t.has(kUserClosed)) {
    return close_now(t, CloseReason::kTimedOut, out);
  }
  if (t.has(kUserClosed)) return on_linger_over(t, now, out);
  on_keepalive_deadline(t, now, out);
}

}  // namespace

void on_timeout(Tcb& t, Instant now, Outbox& out) {
  if (now >= t.delack_deadline) {
    t.delack_deadline = kNever;
    t.set(kAckNow);
    out.counters->delayed_acks.add();
  }
  if (now >= t.probe_deadline) on_probe_deadline(t, now, out);  // before the RTO: RFC 8985 §7.2
  if (now >= t.rtx_deadline) on_rtx_deadline(t, now, out);
  if (now >= t.cork_deadline) on_cork_deadline(t, out);
  if (now >= t.life_deadline) on_life_deadline(t, now, out);
  poll_transmit(t, now, out);
}

void on_next_hop_known(Tcb& t, Instant now) {
  if (t.rtx_deadline == kNever || !t.synchronized()) return;
  if (t.retries > 0) --t.retries;  // the one that never left this host
  t.rtx_deadline = now;
}

Instant next_deadline(const Tcb& t) {
  const Instant pace = t.pace_waits ? t.pace_next : kNever;
  return std::min({t.rtx_deadline, t.probe_deadline, t.delack_deadline, t.life_deadline,
                   t.cork_deadline, pace});
}

}  // namespace weir::tcp

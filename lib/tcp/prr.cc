// The congestion window where the peer tells what it has (RFC 6675 §5, RFC 6937).
#include <algorithm>

#include "tcp/internal.h"

namespace weir::tcp {
namespace {

void enter_recovery(Tcb& t, Outbox& out) {
  const std::uint32_t outstanding = distance(t.snd_una, t.snd_nxt);
  t.may_undo = !ecn_covers_loss(t);  // what the peer told of stands
  if (t.may_undo) cc_reduce(t, std::min(outstanding, t.cwnd));
  t.recover = t.snd_nxt;
  t.recovery = Recovery::kFast;
  t.tlp_out =
      false;  // the loss that a tail probe told of is this one: no second cut (RFC 8985 §7.4.2)
  //= RFC6937 3-a
  t.log->prr = {.delivered = 0, .sent = 0, .flight = outstanding};
  out.counters->fast_retransmits.add();
}

// RFC 6937 §3: sends in proportion to what arrives, so that the window shrinks without a pause.
void reduce_in_proportion(Tcb& t, const SackNews& news) {
  SentLog& log = *t.log;
  log.prr.delivered += news.delivered;
  const std::uint32_t pipe = log.pipe();
  std::uint32_t send = 0;
  //= RFC6937 3-b
  if (pipe > t.ssthresh) {
    const std::uint64_t due =
        (std::uint64_t{log.prr.delivered} * t.ssthresh + log.prr.flight - 1) / log.prr.flight;
    send = due > log.prr.sent ? static_cast<std::uint32_t>(due - log.prr.sent) : 0;
    //= RFC6937 3-c
  } else {  // slow start reduction bound
    const std::uint32_t owed =
        log.prr.delivered > log.prr.sent ? log.prr.delivered - log.prr.sent : 0;
    // One more only while recovery gets on and finds nothing else lost; otherwise the conservative
    // bound (as Linux has it).
    const std::uint32_t more = news.acked > 0 && !news.lost_more ? t.mss : 0;
    send = std::min(t.ssthresh - pipe, std::max(owed, news.delivered) + more);
  }
  //= RFC6937 3-d
  if (log.prr.sent == 0) send = std::max<std::uint32_t>(send, t.mss);  // the first goes at once
  t.cwnd = std::max<std::uint32_t>(pipe + send, t.mss);
}

// The first ACK of something new answers what was sent before it was taken for lost (RFC 3522
// §3.2): it came late, and nothing was lost.
void undo_if_spurious(Tcb& t, const SackNews& news, Instant now, Outbox& out) {
  if (!t.may_undo) return;
  t.may_undo = false;
  if (!news.of_first_sending) return;
  t.log->forget_lost();
  t.reordering_seen = true;
  cc_undo(t, now);
  out.counters->spurious_recoveries.add();
}

void leave_recovery(Tcb& t) {
  //= RFC6937 3-e
  if (t.recovery == Recovery::kFast) t.cwnd = std::max<std::uint32_t>(t.ssthresh, t.mss);
  t.recovery = Recovery::kNone;
  //= RFC8985 6.2-g
  if (t.reo_persist > 0 && --t.reo_persist == 0) t.reo_mult = 1;  // RFC 8985 §6.2, step 4
}

}  // namespace

void cc_on_sack(Tcb& t, const SackNews& news, Instant now, Outbox& out) {
  // Old marks stay close behind, lest the sequence space wraps round them.
  t.recover = later_of(t.recover, t.snd_una - 1);
  if (t.recovery == Recovery::kFast && news.acked > 0) undo_if_spurious(t, news, now, out);
  const Recovery before = t.recovery;
  if (before != Recovery::kNone && at_or_after(t.snd_una, t.recover)) leave_recovery(t);
  // What was lost for its size is sent again, and that is all (RFC 4821 §3, RFC 1191 §6.5).
  //= RFC4821 7.6.2-b
  const bool congestion = t.log->lost() > t.log->excused();
  if (t.recovery == Recovery::kNone && congestion) enter_recovery(t, out);
  if (t.recovery == Recovery::kFast) return reduce_in_proportion(t, news);
  if (before == Recovery::kFast) return;  // what ended it does not grow the window as well
  if (news.acked == 0) return;            // RFC 5681 §3.1: what is acknowledged cumulatively
  cc_grow(t,
          {.acked = news.delivered, .rtt_us = news.rtt_us, .after_rto = before == Recovery::kRto},
          now);
}

// A probe mended the loss of the flight's tail (RFC 8985 §7.4.2): the window answers as to any.
//= RFC8985 7.4.2
void cc_on_hidden_loss(Tcb& t) {
  cc_reduce(t, t.cwnd);
  t.cwnd = t.ssthresh;
}

}  // namespace weir::tcp

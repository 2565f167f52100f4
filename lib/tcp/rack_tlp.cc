// Loss found by time: RACK-TLP (RFC 8985), on the records of what is in flight.
#include <algorithm>

#include "tcp/internal.h"

namespace weir::tcp {
namespace {

constexpr std::uint8_t kReoPersist = 16;      // recoveries: §6.2, step 4
constexpr std::uint8_t kMaxReoMult = 20;      // min_RTT / 4 times this: SRTT is the limit anyway
constexpr Duration kMaxAckDelay = 200ms;      // TLP.max_ack_delay, §7.2
constexpr Duration kProbeSlack = 2ms;         // for the peer's and our own timers
constexpr Duration kProbeWithoutSample = 1s;  // §7.2

std::uint32_t us_of(Instant t) {
  return static_cast<std::uint32_t>(t.time_since_epoch().count());
}

// RACK_sent_after of §6.2.
bool sent_after(std::uint32_t a_us, Seq a_end, std::uint32_t b_us, Seq b_end) {
  if (a_us != b_us) return static_cast<std::int32_t>(a_us - b_us) > 0;
  return after(a_end, b_end);
}

// The ACK under way, and what was known before it.
struct Ack {
  const RxSegment& seg;
  Instant now;
  bool any;  // RACK.fack was set
  Seq fack;
  SackNews& news;
};

// The least of the last min_rtt_wlen, kept in two halves: a path that got longer is believed in the
// end. Linux's tcp_min_rtt_wlen.
//= RFC8985 6.2-a
void note_min_rtt(Tcb& t, std::uint32_t rtt_us, Instant now) {
  using std::chrono::seconds;
  const auto now_s = static_cast<std::uint32_t>(
      std::chrono::duration_cast<seconds>(now.time_since_epoch()).count());
  const seconds age(now_s - t.min_rtt_since_s);
  if (t.min_rtt_us == kNoRtt || age >= t.config->min_rtt_wlen / 2) {
    const bool stale = t.min_rtt_us == kNoRtt || age >= t.config->min_rtt_wlen;
    t.min_rtt_us = stale ? rtt_us : t.min_rtt_late_us;
    t.min_rtt_late_us = rtt_us;
    t.min_rtt_since_s = now_s;
  }
  t.min_rtt_us = std::min(t.min_rtt_us, rtt_us);
  t.min_rtt_late_us = std::min(t.min_rtt_late_us, rtt_us);
}

// Step 2, but for one segment; and step 3. A block of this ACK may lie below another: only what
// lies below the ACKs before it was overtaken.
void on_delivered(Tcb& t, const SentSegment& s, const Ack& a) {
  SentLog& log = *t.log;
  const std::uint32_t rtt = us_of(a.now) - s.sent_us;
  if (!s.is(kSentAgain)) {
    note_min_rtt(t, rtt, a.now);
    a.news.rtt_us = rtt;
    //= RFC8985 6.2-d
    if (a.any && before(s.end(), a.fack)) {
      t.reordering_seen = true;
      if (t.own != nullptr) count_reordering(t, distance(s.end(), a.fack) + t.mss);
    }
  } else {
    //= RFC8985 6.2-c
    // It may answer the segment's first sending.
    const std::uint32_t stamp = ts_now(t, a.now - Duration(rtt));
    const bool echoed = t.has(kTimestamps) && a.seg.options.ts_ecr != 0;
    if (echoed && before(Seq{a.seg.options.ts_ecr}, Seq{stamp})) {
      if (!s.is(kSentUntimed)) a.news.of_first_sending = true;
      return;
    }
    if (rtt < t.min_rtt_us) return;
  }
  log.rack.rtt_us = rtt;
  if (!log.rack.any || sent_after(s.sent_us, s.end(), log.rack.sent_us, log.rack.end)) {
    log.rack.sent_us = s.sent_us;
    log.rack.end = s.end();
  }
  log.rack.fack = log.rack.any ? later_of(log.rack.fack, s.end()) : s.end();
  log.rack.any = true;
}

// Octets that this ACK acknowledges and that no SACK had told of.
std::uint32_t take_acked(Tcb& t, const Ack& a) {
  SentLog& log = *t.log;
  const Seq ack = a.seg.ack;
  if (!after(ack, log.una())) return 0;
  std::uint32_t delivered = 0;
  for (unsigned i = 0; i < log.size() && before(log.begin_of(i), ack); ++i) {
    const SentSegment& s = log[i];
    if (s.is(kSentSacked)) continue;
    delivered += distance(log.begin_of(i), earlier_of(s.end(), ack));
    if (before(ack, s.end())) break;
    ++a.news.segments;
    on_delivered(t, s, a);
  }
  log.drop_before(ack);
  return delivered;
}

// A block tells of records that lie in it whole. Returns the octets it tells of for the first time.
//= RFC2018 5-b
std::uint32_t take_block(Tcb& t, const wire::SackBlock& b, const Ack& a) {
  SentLog& log = *t.log;
  std::uint32_t delivered = 0;
  for (unsigned i = log.first_from(b.left); i < log.size(); ++i) {
    if (after(log[i].end(), b.right)) break;
    if (log[i].is(kSentSacked)) continue;
    delivered += log.length_of(i);
    ++a.news.segments;
    on_delivered(t, log[i], a);
    const bool old = at_or_before(log[i].end(), t.recover);
    if (!old) a.news.sacked_new = true;
    if (old && !log[i].is(kSentAgain)) a.news.sacked_old = true;
    log.mark_sacked(i);
  }
  return delivered;
}

}  // namespace

//= RFC2883 5
bool is_dsack(const RxSegment& seg) {
  const auto& o = seg.options;
  if (o.sack_count == 0) return false;
  if (before(o.sack[0].left, seg.ack)) return true;
  return o.sack_count > 1 && at_or_after(o.sack[0].left, o.sack[1].left) &&
         at_or_before(o.sack[0].right, o.sack[1].right);
}

namespace {

bool plausible(const Tcb& t, const wire::SackBlock& b) {
  return before(b.left, b.right) && at_or_after(b.left, t.log->una()) &&
         at_or_before(b.right, t.snd_nxt);
}

// Step 4: how long a segment may be overtaken before it counts as lost.
std::uint32_t reordering_window(const Tcb& t) {
  const SentLog& log = *t.log;
  //= RFC8985 6.2-b
  const bool many = log.sacked() >= t.config->reordering * std::uint32_t{t.mss};
  if (!t.reordering_seen && (t.recovery != Recovery::kNone || many)) return 0;
  //= RFC8985 6.2-e
  const std::uint32_t window = t.min_rtt_us == kNoRtt ? 0 : t.min_rtt_us / 4 * t.reo_mult;
  if (!t.rto.sampled()) return window;
  return std::min(window, static_cast<std::uint32_t>(t.rto.srtt().count()));
}

// A peer that had a segment already shows that we took it for lost too early.
//= RFC8985 6.2-f
void widen_reordering(Tcb& t) {
  if (t.reo_round && after(t.reo_round_end, t.snd_una)) return;
  t.reo_round = true;
  t.reo_round_end = t.snd_nxt;
  t.reo_mult = std::min<std::uint8_t>(static_cast<std::uint8_t>(t.reo_mult + 1), kMaxReoMult);
  t.reo_persist = kReoPersist;
}

// Step 5. Marks what is lost and sets the timer for what may be soon.
//= RFC8985 6.2-h
//= RFC8985 8
void detect_loss(Tcb& t, Instant now) {
  SentLog& log = *t.log;
  if (!log.rack.any) return;
  const std::uint32_t patience = log.rack.rtt_us + reordering_window(t);
  std::int32_t longest = 0;
  for (unsigned i = 0; i < log.size(); ++i) {
    const SentSegment& s = log[i];
    if (s.is(kSentSacked | kSentLost)) continue;
    if (!sent_after(log.rack.sent_us, log.rack.end, s.sent_us, s.end())) continue;
    const auto left = static_cast<std::int32_t>(s.sent_us + patience - us_of(now));
    if (left <= 0) {
      log.mark_lost(i);
    } else {
      longest = std::max(longest, left);
    }
  }
  if (longest > 0) {
    t.probe_deadline = now + Duration(longest);
    t.probe_is_tlp = false;
  } else if (!t.probe_is_tlp) {
    t.probe_deadline = kNever;
  }
}

}  // namespace

namespace {

bool may_log(const Tcb& t, const Outbox& out) {
  const bool calm = t.recovery == Recovery::kNone && at_or_after(t.rtx_nxt, t.rtx_end);
  return t.has(kSack) && t.config->recovery && out.logs != nullptr && calm;
}

}  // namespace

void log_begin(Tcb& t, Instant now, Outbox& out) {
  if (t.log != nullptr || !may_log(t, out)) return;
  const std::uint32_t flight = distance(t.snd_una, t.snd_nxt);
  if (flight > SentLog::kCapacity / 2 * std::uint32_t{t.mss}) return;
  const std::uint32_t index = out.logs->take();
  if (index == kNoIndex) return;
  t.log = ::new (out.logs->slot(index)) SentLog(t.snd_una);
  // What went out before cannot be told apart: any answer may be to an earlier sending.
  for (Seq at = t.snd_una; before(at, t.snd_nxt);) {
    at = earlier_of(at + t.mss, t.snd_nxt);
    t.log->push(at, us_of(now), kSentAgain | kSentUntimed);
  }
}

void log_end(Tcb& t, Outbox& out) {
  if (t.log == nullptr) return;
  out.logs->give(static_cast<std::uint32_t>(t.log - &(*out.logs)[0]));
  t.log = nullptr;
  t.probe_deadline = kNever;
  t.dup_acks = 0;
}

// What is left is recovered as after a time-out, without the peer's SACKs.
void log_abandon(Tcb& t, Outbox& out) {
  t.frto = Frto::kOff;
  t.mtu_probe = 0;  // it goes again in usual segments, whose arrival says nothing of its size
  if (t.recovery == Recovery::kFast || t.log->lost() > 0) {
    t.recovery = Recovery::kRto;
    t.recover = t.snd_nxt;
    t.rtx_nxt = t.snd_una;
    t.rtx_end = t.snd_nxt;
  }
  log_end(t, out);
}

//= RFC8985 6.1
void log_sent(Tcb& t, std::uint32_t len, bool fin, bool push, Instant now) {
  SentLog& log = *t.log;
  log.prr.sent += len;
  const std::uint32_t us = us_of(now);
  for (; len > t.mss; len -= t.mss) log.push(log.end() + t.mss, us);  // the port segments these
  log.push(log.end() + len + (fin ? 1U : 0U), us, push ? std::uint8_t{kSentPush} : std::uint8_t{0});
}

// log_begin and log_sent of what is in flight by itself, when it was sent.
void log_alone(Tcb& t, std::uint32_t len, Instant now, Outbox& out) {
  if (!may_log(t, out)) return;
  const std::uint32_t index = out.logs->take();
  if (index == kNoIndex) return;
  t.log = ::new (out.logs->slot(index)) SentLog(t.snd_una);
  t.log->prr.sent = len;
  t.log->push(t.snd_nxt, us_of(now), len > 0 ? std::uint8_t{kSentPush} : std::uint8_t{0});
}

void log_sent_again(Tcb& t, unsigned i, Instant now) {
  t.log->prr.sent += t.log->length_of(i);
  t.log->mark_sent_again(i, us_of(now));
}

SackNews take_sack(Tcb& t, const RxSegment& seg, Instant now, Outbox& out) {
  SackNews news;
  const Ack a{seg, now, t.log->rack.any, t.log->rack.fack, news};
  if (after(seg.ack, t.snd_una)) news.acked = distance(t.snd_una, seg.ack);
  news.delivered = take_acked(t, a);
  for (unsigned i = 0; i < seg.options.sack_count; ++i) {
    const wire::SackBlock& b = seg.options.sack[i];
    if (plausible(t, b)) news.delivered += take_block(t, b, a);
  }
  if (is_dsack(seg)) {
    out.counters->dsacks_in.add();
    widen_reordering(t);
  }
  return news;
}

void after_sack(Tcb& t, SackNews& news, Instant now, Outbox& out) {
  SentLog& log = *t.log;
  frto_on_ack(t,
              {.acked = news.acked,
               .of_first_sending = news.of_first_sending,
               .sacked_old = news.sacked_old,
               .sacked_new = news.sacked_new},
              now, out);
  // Without a hole and without a retransmission nothing can have been overtaken.
  if (news.delivered > 0 && (log.sacked() > 0 || t.recovery != Recovery::kNone)) {
    const std::uint32_t lost = log.lost();
    detect_loss(t, now);
    news.lost_more = log.lost() > lost;
  }
  if (t.mtu_probe != 0) mtu_probe_on_loss(t, out);
  cc_on_sack(t, news, now, out);
  if (t.snd_una == t.snd_nxt) return log_end(t, out);
  // Only what tells something new: an ACK that repeats itself must not put the probe off (§7.2).
  //= RFC8985 7.2-a
  if (news.delivered > 0) arm_tlp(t, now);
}

bool is_only_segment(const Tcb& t, const RxSegment& seg) {
  return t.log->size() == 1 && seg.ack == t.snd_nxt && !(*t.log)[0].is(kSentAgain);
}

// The log ends: what it would know of this delivery nobody asks for.
void take_only_segment(Tcb& t, const RxSegment& seg, Instant now, Outbox& out) {
  const std::uint32_t rtt = us_of(now) - (*t.log)[0].sent_us;
  const std::uint32_t acked = distance(t.snd_una, seg.ack);
  note_min_rtt(t, rtt, now);
  on_ack_advance(t, seg, now, out);
  if (t.log == nullptr) return;  // CLOSED: it ended the connection
  t.recover = later_of(t.recover, t.snd_una - 1);
  cc_grow(t, {.acked = acked, .rtt_us = rtt}, now);
  log_end(t, out);
}

// §7.4.2: what became of the probe. May be told long after the flight that it ended.
void end_tlp(Tcb& t, const RxSegment& seg, bool advances) {
  if (!t.tlp_out || before(seg.ack, t.tlp_end)) return;
  //= RFC8985 7.4.1
  if (!t.tlp_again || is_dsack(seg)) {
    t.tlp_out = false;  // new text, or both copies came: nothing was lost
  } else if (after(seg.ack, t.tlp_end)) {
    t.tlp_out = false;  // the probe mended a loss that nothing else told of
    cc_on_hidden_loss(t);
    ecn_window_cut(t);
  } else if (!advances && seg_len(seg) == 0 && seg.options.sack_count == 0) {
    t.tlp_out = false;  // a duplicate ACK: the probe's copy was one too many
  }
}

// §7.2.
void arm_tlp(Tcb& t, Instant now) {
  const SentLog& log = *t.log;
  //= RFC8985 7.2-b
  if (t.recovery != Recovery::kNone || log.sacked() > 0 || t.tlp_out || t.has(kPersisting)) {
    if (t.probe_is_tlp) t.probe_deadline = kNever;
    return;
  }
  //= RFC8985 7.2-c
  //= RFC8985 7.2-d
  Duration wait = kProbeWithoutSample;
  if (t.rto.sampled()) {
    wait = 2 * Duration(t.rto.srtt()) + (log.size() == 1 ? kMaxAckDelay : kProbeSlack);
  }
  t.probe_deadline = std::min(now + wait, t.rtx_deadline);
  t.probe_is_tlp = true;
}

void on_reordering_timeout(Tcb& t, Instant now, Outbox& out) {
  if (t.log->stale) return log_abandon(t, out);
  const Recovery before = t.recovery;
  detect_loss(t, now);
  if (t.mtu_probe != 0) mtu_probe_on_loss(t, out);
  cc_on_sack(t, {}, now, out);
  ecn_after_loss(t, before);
}

//= RFC8985 6.3
void mark_lost_on_rto(Tcb& t, Instant now, Outbox& out) {
  SentLog& log = *t.log;
  if (log.size() > 0 && log[0].is(kSentSacked)) {
    out.counters->sack_reneged.add();
    log.forget_sacked();
    fit_log(t, false);  // what the peer had kept the size that it was sent in
  }
  const std::uint32_t patience = log.rack.rtt_us + reordering_window(t);
  //= RFC2018 5.1-b
  for (unsigned i = 0; i < log.size(); ++i) {  // §6.3
    const auto left = static_cast<std::int32_t>(log[i].sent_us + patience - us_of(now));
    if (i == 0 || left <= 0) log.mark_lost(i);
  }
  log.first_due = true;
  t.tlp_out = false;
  t.probe_deadline = kNever;
}

}  // namespace weir::tcp

// What the files of this module share and nobody else may use.
#pragma once

#include "tcp/core.h"
#include "tcp/listen.h"
#include "tcp/tcb.h"

namespace weir::tcp {

// -- window.cc (§3.8.6) ----------------------------------------------------------------------
[[nodiscard]] inline std::uint32_t rcv_wnd(const Tcb& t) {  // RCV.WND as advertised
  return after(t.rcv_adv, t.rcv_nxt) ? distance(t.rcv_nxt, t.rcv_adv) : 0;
}
// The window field of the next segment; moves rcv_adv (SWS avoidance, MUST-39; never shrinks,
// SHLD-14).
std::uint16_t advertise_window(Tcb& t);
// True when a window update is worth a segment of its own.
[[nodiscard]] bool window_update_due(const Tcb& t);
[[nodiscard]] std::uint8_t window_scale_for(std::uint32_t rmem);

// -- statistics.cc: each is for a connection that has a record of its own ------------------------
struct SackNews;
void count_open(Tcb& t);  // its sequence numbers are known
void count_established(Tcb& t, Instant now);
void count_segment(Tcb& t, const RxSegment& seg, Instant now);  // before it is looked at
void count_ack(Tcb& t, const SackNews* news, const RxSegment& seg, Instant now);  // after it
void count_rtt(Tcb& t, Micros rtt);
void count_rto(Tcb& t, Instant now);                  // before retries counts it
void count_reordering(Tcb& t, std::uint32_t octets);  // one was overtaken by so many
void count_limits(Tcb& t, Instant now);               // all that may go has gone

// -- own.cc ----------------------------------------------------------------------------------
[[nodiscard]] std::uint8_t own_window_scale(const Config& c, const OwnSettings& own);
void fit_window(Tcb& t);                                   // max_rcv_wnd; after rcv_wscale changed
[[nodiscard]] std::uint32_t offered_in_syn(const Tcb& t);  // the window of our SYN or SYN-ACK
[[nodiscard]] std::uint32_t send_buffer(const Tcb& t);     // octets
[[nodiscard]] bool lowat_reached(const Tcb& t);            // few enough octets wait to be sent
void note_room(Tcb& t);                                    // ack_advance.cc: kNoticeWritable
void begin_fin_wait_2(Tcb& t, Instant now, Outbox& out);   // of an orphan

// -- receive_buffer.cc -----------------------------------------------------------------------
void begin_receive_buffer(Tcb& t, Instant now);
// Text came in order: rounds are measured, and the buffer grows with what is read in one.
void moderate_receive_buffer(Tcb& t, const RxSegment& seg, Instant now);
// More memory is held than text that short accounts for: what arrives is copied together.
[[nodiscard]] bool holds_much(const Tcb& t);
[[nodiscard]] bool may_hold_early(const Tcb& t);  // one out-of-order piece more

// -- user_timeout.cc (RFC 9293 §3.8.3, RFC 5482) ----------------------------------------------
[[nodiscard]] Duration user_timeout(const Tcb& t);  // zero: none
void note_progress(Tcb& t, Instant now);            // the user timeout begins again
[[nodiscard]] bool user_timeout_over(const Tcb& t, Instant now);
// The same, or where there is none R2 in retransmissions.
[[nodiscard]] bool gives_up(const Tcb& t, Instant now);
// `due`, or the end of the user timeout where that is earlier.
[[nodiscard]] Instant no_later_than_user_timeout(const Tcb& t, Instant now, Instant due);

// -- timestamps.cc (RFC 7323) ----------------------------------------------------------------
[[nodiscard]] std::uint32_t ts_now(const Tcb& t, Instant now);
// PAWS: false when the segment is to be answered by an ACK, or dropped.
[[nodiscard]] bool check_timestamps(Tcb& t, const RxSegment& seg, Instant now, Outbox& out);
void store_ts_recent(Tcb& t, std::uint32_t ts_val, Instant now);
void update_ts_recent(Tcb& t, const RxSegment& seg, Instant now);

// -- reassembly.cc ---------------------------------------------------------------------------
// Takes the chain over: what is in order goes to rcvq, the rest waits or is released.
void receive_text(Tcb& t, BufChain&& text, Outbox& out);
// Gives back what waits out of order.
void drop_early(Tcb& t, Outbox& out);

void append_in_order(Tcb& t, Buf* b, Outbox& out);  // Pre: it begins at RCV.NXT

// -- sack_blocks.cc (RFC 2018 §4, RFC 2883) --------------------------------------------------
void note_early(Tcb& t, Seq begin);            // a segment came early
void note_twice(Tcb& t, Seq left, Seq right);  // these octets came twice
// The blocks that are due, as far as `room` octets of options reach.
void add_sack_blocks(Tcb& t, TxOptions& o, std::uint32_t room);

// -- send_queue.cc ---------------------------------------------------------------------------
void drop_acked(Tcb& t, std::uint32_t octets, Outbox& out);
// Points `seg` at the text of [seq, seq + seg.len). Pre: it lies in the queue.
void attach_text(const Tcb& t, Seq seq, TxSegment& seg);
void advance_cursor(Tcb& t, std::uint32_t octets);
// How many of the `len` octets from `seq` on belong to the record that goes on there.
[[nodiscard]] std::uint32_t record_length(const Tcb& t, Seq seq, std::uint32_t len);

// -- rack_tlp.cc (RFC 8985) -------------------------------------------------------------------
struct SackNews {                 // of one ACK
  std::uint32_t delivered = 0;    // octets that it acknowledges or tells of for the first time
  std::uint32_t acked = 0;        // octets by which SND.UNA moves
  std::uint32_t rtt_us = 0;       // of what was sent once; 0: it tells of no round trip
  bool of_first_sending = false;  // a timestamp shows that it answers what was sent before the last
  bool sacked_old = false;        // it tells of text below `recover` that was sent once
  bool sacked_new = false;        // and of text above
  std::uint32_t segments = 0;     // that it acknowledges or tells of for the first time
  bool lost_more = false;         // and with it something was taken for lost
};
// RFC 2883 §5: the first block lies below the ACK, or inside the second.
[[nodiscard]] bool is_dsack(const RxSegment& seg);
// Lends a log where there is none, the peer sends SACKs, and nothing is being recovered.
void log_begin(Tcb& t, Instant now, Outbox& out);
void log_end(Tcb& t, Outbox& out);
void log_abandon(Tcb& t, Outbox& out);  // Pre: there is a log
// Text, FIN or both were sent for the first time from the log's end on, in segments of the MSS.
void log_sent(Tcb& t, std::uint32_t len, bool fin, bool push, Instant now);
void log_alone(Tcb& t, std::uint32_t len, Instant now, Outbox& out);  // with PSH, if it is text
void log_sent_again(Tcb& t, unsigned i, Instant now);
// The ACK and its blocks into the log; before SND.UNA moves. Pre: there is a log.
[[nodiscard]] SackNews take_sack(Tcb& t, const RxSegment& seg, Instant now, Outbox& out);
// What follows from it, when SND.UNA has moved.
void after_sack(Tcb& t, SackNews& news, Instant now, Outbox& out);  // Pre: as above
// All of the three for an ACK of everything, where that is one segment which was sent once.
[[nodiscard]] bool is_only_segment(const Tcb& t, const RxSegment& seg);  // Pre: there is a log
void take_only_segment(Tcb& t, const RxSegment& seg, Instant now, Outbox& out);
void end_tlp(Tcb& t, const RxSegment& seg, bool advances);
void arm_tlp(Tcb& t, Instant now);  // Pre: there is a log and something is in flight
void on_reordering_timeout(Tcb& t, Instant now, Outbox& out);
void mark_lost_on_rto(Tcb& t, Instant now, Outbox& out);

// -- path_mtu.cc (RFC 1191, 8201), mtu_probe.cc (RFC 4821) ------------------------------------
bool on_packet_too_big(Tcb& t, const IcmpError& e, Instant now, Outbox& out);  // false: ignored
void path_mtu_expire(Tcb& t, Instant now);  // Pre: mss < full_mss
void set_mss(Tcb& t, std::uint32_t mss);
void fit_log(Tcb& t, bool lost);  // no segment in flight counts as longer than the MSS
[[nodiscard]] std::uint32_t seconds_of(Instant t);
void mtu_search_begin(Tcb& t, Instant now);
[[nodiscard]] std::uint32_t mtu_probe_due(const Tcb& t, std::uint32_t unsent, std::uint32_t window);
void mtu_black_hole(Tcb& t, Instant now, Outbox& out);
void mtu_probe_forget(Tcb& t);
// Pre of the rest: a probe is out.
void mtu_probe_acked(Tcb& t, Outbox& out);
void mtu_probe_on_loss(Tcb& t, Outbox& out);
[[nodiscard]] bool mtu_probe_on_dup_acks(Tcb& t, Outbox& out);
void mtu_probe_timed_out(Tcb& t, Outbox& out);
void mtu_probe_refused(Tcb& t, std::uint32_t mss, Instant now, Outbox& out);

// -- prr.cc (RFC 6937) ------------------------------------------------------------------------
void cc_on_sack(Tcb& t, const SackNews& news, Instant now, Outbox& out);
void cc_on_hidden_loss(Tcb& t);

// -- cc/reno.cc (RFC 5681 §3.2, RFC 6582): recovery without SACK --------------------------------
void cc_on_dup_ack(Tcb& t, Instant now, Outbox& out);
void cc_on_ack(Tcb& t, std::uint32_t acked, Instant now, Outbox& out);

// -- cc/congestion.cc (RFC 5681, 6928, 3042, 3465, 9438, 9406) --------------------------------
void cc_init(Tcb& t);
struct Growth {              // an ACK of something new
  std::uint32_t acked = 0;   // octets of it that no duplicate ACK and no SACK had told of
  std::uint32_t rtt_us = 0;  // 0: none
  bool after_rto = false;    // of what was in flight when the timer fired
};
void cc_grow(Tcb& t, const Growth& g, Instant now);
void note_cwnd_use(Tcb& t);  // something was sent, and now all that may go has gone
// A congestion event with `out` octets in flight: ssthresh. The caller sets cwnd.
void cc_reduce(Tcb& t, std::uint32_t out);
void cc_undo(Tcb& t, Instant now);  // there was no congestion: cwnd, ssthresh, no recovery
void cc_on_rto(Tcb& t);
void cc_restart_after_idle(Tcb& t, Instant now);
void cc_on_ecn(Tcb& t, std::uint32_t flight);  // the peer told of congestion; `flight` before it
[[nodiscard]] std::uint32_t flight(const Tcb& t);     // octets presumed in the network
[[nodiscard]] std::uint32_t cwnd_room(const Tcb& t);  // octets cwnd lets go now

// -- frto.cc (RFC 5682) -------------------------------------------------------------------------
struct FrtoAck {
  std::uint32_t acked = 0;  // octets by which it moved SND.UNA; 0: a duplicate, or SACKs alone
  bool of_first_sending = false, sacked_old = false, sacked_new = false;  // as SackNews has them
};
void frto_begin(Tcb& t);  // the timer fired; before cc_on_rto
void frto_on_ack(Tcb& t, const FrtoAck& a, Instant now, Outbox& out);
void frto_give_up(Tcb& t);
[[nodiscard]] std::uint32_t frto_room(const Tcb& t);  // Pre: kProbing

// -- pacing.cc ----------------------------------------------------------------------------------
[[nodiscard]] std::uint64_t pacing_rate(const Tcb& t);  // octets a second; all ones: no limit
[[nodiscard]] bool pacing_holds(Tcb& t, Instant now);
[[nodiscard]] std::uint32_t pacing_quantum(const Tcb& t, std::uint32_t longest);
void pacing_sent(Tcb& t, std::uint32_t octets, Instant now);
[[nodiscard]] std::uint32_t burst_length(const Tcb& t);  // octets of a piece that Linux would send

// -- delayed_ack.cc (§3.8.6.3) ---------------------------------------------------------------
// `octets` more lie in order; the segment that brought them had `in_segment`.
void on_text_received(Tcb& t, std::uint32_t octets, std::uint32_t in_segment, Instant now);

void on_fin_received(Tcb& t, bool was_early, Instant now);  // RCV.NXT is behind it, the state old
[[nodiscard]] Micros ack_delay(const Tcb& t);
void begin_quick_acks(Tcb& t);
void on_text_sent(Tcb& t);  // text goes both ways: ACKs have company
void on_ack_sent(Tcb& t);
// -- keepalive.cc (§3.8.4) -------------------------------------------------------------------
void begin_keepalive(Tcb& t, Instant now);

// -- challenge_ack.cc (RFC 5961) -------------------------------------------------------------
void challenge_ack(Tcb& t, Instant now, Outbox& out);

// -- ecn.cc (RFC 3168) -----------------------------------------------------------------------
inline constexpr std::uint8_t kNotEct = 0, kEct1 = 1, kEct0 = 2, kCe = 3, kEcnMask = 3;
//= RFC3168 6.1.1-b
[[nodiscard]] inline bool is_ecn_setup_syn(const RxSegment& seg) {
  return (seg.flags & (ECE | CWR)) == (ECE | CWR);
}
[[nodiscard]] inline bool is_ecn_setup_syn_ack(const RxSegment& seg) {
  return (seg.flags & (ECE | CWR)) == ECE;
}
void ecn_open(Tcb& t);  // of an active open
[[nodiscard]] std::uint8_t ecn_syn_flags(Tcb& t, bool again, Outbox& out);
void ecn_on_syn(Tcb& t, const RxSegment& seg);  // the peer's SYN, with ACK or without
void ecn_accept(Tcb& t);                        // of a passive open: both have agreed
void ecn_on_text(Tcb& t, bool cwr, std::uint8_t tos);
void ecn_mark_new(Tcb& t, TxSegment& s);  // text that is sent for the first time
void ecn_note_echo(Tcb& t, std::uint8_t flags, Seq ack);
// After an ACK was taken: `before` and `flight` as they were before it.
void ecn_after_loss(Tcb& t, Recovery before);
void ecn_after_ack(Tcb& t, Recovery before, std::uint32_t flight, Instant now, Outbox& out);
// ACK, with ECE where the peer must be told.
[[nodiscard]] inline std::uint8_t ecn_ack_flags(const Tcb& t) {
  return t.ecn_has(kEcnDemand) ? ACK | ECE : ACK;
}
void ecn_window_cut(Tcb& t);  // for whatever reason: CWR is due
// A loss now at SND.UNA is in a window that was already cut for its congestion (§6.1.2); that of
// the text with CWR is not.
//= RFC3168 6.1.2-f
[[nodiscard]] inline bool ecn_covers_loss(const Tcb& t) {
  return t.ecn_has(kEcnSend) && before(t.snd_una, t.ecn_high);
}

// -- urgent.cc (§3.8.5) ----------------------------------------------------------------------
void urgent_arrives(Tcb& t, Seq up, Outbox& out);
void urgent_read(Tcb& t);   // the application has read
void urgent_acked(Tcb& t);  // SND.UNA has moved
void mark_urgent(const Tcb& t, TxSegment& s);

// -- cork.cc ---------------------------------------------------------------------------------
[[nodiscard]] bool cork_holds(const Tcb& t, bool fin);
void cork_text_held(Tcb& t, Instant now);
void cork_nothing_held(Tcb& t);
void cork_on_ack(Tcb& t);
void on_cork_deadline(Tcb& t, Outbox& out);

// -- push.cc ---------------------------------------------------------------------------------
struct Burst {               // what one call sends
  std::uint32_t octets = 0;  // of the piece that is not full yet
  std::uint32_t most = 0;    // octets of a piece; 0: nobody has asked
  bool any = false;
};
void push_or_not(Tcb& t, TxSegment& s);  // new text
// `len` octets more were sent just now; `record`: which end one.
void push_burst(Tcb& t, Burst& b, std::uint32_t len, bool record, Outbox& out);
void push_burst_over(Tcb& t, const Burst& b, Outbox& out);

// -- output.cc -------------------------------------------------------------------------------
void transmit(Tcb& t, Instant now, Outbox& out);  // poll_transmit, but for what it counts
// The same for all that is queued in one segment, when nothing is in flight; and when that is so.
[[nodiscard]] bool goes_alone(const Tcb& t, const Outbox& out);
void send_alone(Tcb& t, Instant now, Outbox& out);
void arm_rtx(Tcb& t, Instant now);
void send_reset(Tcb& t, Instant now, Outbox& out);

[[nodiscard]] inline std::uint32_t ms_of(Instant t) {
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(t.time_since_epoch()).count());
}

// -- header_prediction.cc ------------------------------------------------------------------------
[[nodiscard]] bool predicted(const Tcb& t, const RxSegment& seg);
void predicted_arrives(Tcb& t, const RxSegment& seg, Instant now, Outbox& out);

// -- segment_arrives.cc (§3.10.7.4) ----------------------------------------------------------
void segment_arrives(Tcb& t, const RxSegment& seg, Instant now, Outbox& out);  // whatever comes
// The ACK of our SYN; `seq` and `wnd` as they count. False: it acknowledges something else.
[[nodiscard]] bool finish_open(Tcb& t, const RxSegment& seg, Seq seq, std::uint32_t wnd,
                               Instant now, Outbox& out);
// The peer's FIN, if it is known and its turn; whether the segment under way brought it.
void check_fin(Tcb& t, bool in_segment, Instant now, Outbox& out);

// -- Shared by several -----------------------------------------------------------------------
void apply_syn_options(Tcb& t, const RxSegment& seg, Instant now);
void establish(Tcb& t, Trigger trigger, Instant now);
void close_now(Tcb& t, CloseReason reason, Outbox& out);  // CLOSED, buffers back, timers off
void enter_time_wait(Tcb& t, Instant now);
void on_ack_advance(Tcb& t, const RxSegment& seg, Instant now, Outbox& out);
void sample_rtt(Tcb& t, const RxSegment& seg, Instant now);
void syn_sent_arrives(Tcb& t, const RxSegment& seg, Instant now, Outbox& out);  // §3.10.7.3
// What a SYN-ACK carries besides: text, FIN. Pre: its SYN and ACK are processed.
void rest_of_syn_arrives(Tcb& t, const RxSegment& seg, Instant now, Outbox& out);
[[nodiscard]] inline bool takes_text(State s) {  // the peer has not sent its FIN
  return s == State::kEstablished || s == State::kFinWait1 || s == State::kFinWait2;
}
void release_segment(const RxSegment& seg, Outbox& out);

}  // namespace weir::tcp

// The transmission control block (RFC 9293 §3.3.1): what one connection remembers.
//
// Plain data, changed by the functions of this module only. Deadlines are absolute; the caller's
// timer wheel only has to call on_timeout at or after the earliest of them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "base/buf.h"
#include "base/seq.h"
#include "base/time.h"
#include "tcp/cc/cubic.h"
#include "tcp/config.h"
#include "tcp/core.h"
#include "tcp/own.h"
#include "tcp/rto.h"
#include "tcp/sent_log.h"
#include "tcp/state.h"

namespace weir::tcp {

// What the application has not been told yet. A stack reads and clears them.
enum Notice : std::uint8_t {
  kNoticeConnected = 1,
  kNoticeReadable = 2,
  kNoticeWritable = 4,
  kNoticePeerClosed = 8,
  kNoticeClosed = 16,     // state is CLOSED; close_reason says why
  kNoticeUrgent = 32,     // urgent text is on its way, or more of it (MUST-32)
  kNoticeSoftError = 64,  // soft_error was set (MUST-47)
};

// What a stack tells the next hop's neighbour entry of. A stack reads and clears them.
enum PathNews : std::uint8_t {
  kPathDoubted = 1,  // R1 was reached (MUST-20)
  kPathProven = 2,   // something new was acknowledged (RFC 4861 §7.3.1)
};

enum TcbFlag : std::uint16_t {
  kAckNow = 1,       // an ACK is due at the next poll_transmit
  kSynDue = 2,       // our SYN, or SYN-ACK, is due
  kFinQueued = 4,    // the application has nothing more to send
  kUserClosed = 8,   // the application has let go: text that comes is lost (SHLD-3)
  kNoDelay = 16,     // Nagle is off (MUST-17)
  kTimestamps = 32,  // negotiated (RFC 7323 §3.2)
  kWantWritable = 64,
  kTiming = 128,        // a round-trip measurement is under way (Karn)
  kPersisting = 256,    // rtx_deadline is the persist timer
  kPeerFinKnown = 512,  // peer_fin holds the peer's FIN, perhaps out of order
  kPassive = 1024,      // opened by a listener (MUST-11)
  kSynResent = 2048,    // RFC 6298 §5.7, RFC 6928 §2
  kScaling = 4096,      // window scaling negotiated, or offered by our SYN (RFC 7323 §2.2)
  kIpv6 = 8192,
  kSack = 16384,      // negotiated, or offered by our SYN (RFC 2018 §2)
  kDsackDue = 32768,  // dsack_left, dsack_right wait for an ACK (RFC 2883)
};

enum EcnFlag : std::uint8_t {  // RFC 3168; see ecn.cc
  kEcnAsked = 1,               // a SYN of ours asked for it
  kEcnPlainSyn = 2,            // and a later one did not (§6.1.1.1)
  kEcnEcho = 4,                // negotiated, or offered: CE is told to the peer
  kEcnSend = 8,                // new text goes as ECT(0)
  kEcnDemand = 16,             // CE came: ECE on every ACK until the peer's CWR
  kEcnCwrDue = 32,             // the window was cut: CWR with the next new text
  kEcnTold = 64,               // the ACK under way carries ECE
  kEcnWait = 128,              // told with a window of one segment: new text waits for the timer
};

enum ModeFlag : std::uint8_t {
  kCork = 1,       // small text is held back for a while (Linux's TCP_CORK)
  kCorkFlush = 2,  // but what is queued now goes
  kUrgentIn = 4,   // rcv_up lies ahead of what the application has read
  kUrgentOut = 8,  // snd_up lies ahead of SND.UNA
  kReno = 16,      // not CUBIC
  kModerate = 32,  // the receive buffer grows with what is read
  kLowat = 64,     // of its own: see OwnSettings::notsent_lowat
  kMore = 128,     // the last SEND said that more follows (Linux's MSG_MORE)
};

inline constexpr std::uint32_t kNoRtt = 0xffff'ffffU;
inline constexpr std::uint8_t kInteractive = 0x80;  // text goes both ways (Linux's pingpong)

//= RFC5681 3.1-h
inline constexpr std::uint32_t kNoSsthresh = 0xffff'ffffU;  // nothing was ever lost

enum class Recovery : std::uint8_t { kNone, kFast, kRto };

// RFC 5682, between a time-out and the verdict on it.
enum class Frto : std::uint8_t {
  kOff,
  kResent,   // the first segment was sent again (step 1)
  kProbing,  // its ACK left something: new text goes (step 2)
};

struct Tcb {
  explicit Tcb(const Config& c)
      : modes(static_cast<std::uint8_t>(
            (c.congestion_control == CongestionControl::kReno ? kReno : 0) |
            (c.moderate_rcvbuf ? kModerate : 0))),
        rto(c),
        config(&c),
        rcv_buf(first_rcv_buf(c)) {}
  Tcb(const Tcb&) = delete;
  Tcb& operator=(const Tcb&) = delete;

  // A plain exchange touches the first four parts, of a line each or two, and none of the last.
  // -- Read for every segment ----------------------------------------------------------------
  Seq rcv_nxt, snd_una, snd_nxt;
  Seq rcv_adv;        // right edge of the window we advertised
  Seq last_ack_sent;  // RFC 7323 §4.3
  Seq snd_wl1, snd_wl2;
  std::uint32_t snd_wnd = 0;  // scaled
  std::uint32_t max_snd_wnd = 0;
  std::uint32_t ts_recent = 0;
  std::uint16_t flags = 0;  // TcbFlag
  std::uint16_t mss = 536;  // effective send MSS: options subtracted (§3.7.1)
  State state = State::kClosed;
  std::uint8_t notices = 0;  // Notice
  std::uint8_t snd_wscale = 0, rcv_wscale = 0;
  std::uint8_t dup_acks = 0;
  Recovery recovery = Recovery::kNone;
  std::uint16_t ofo_count = 0;
  std::uint8_t ecn = 0;          // EcnFlag
  std::uint8_t modes;            // ModeFlag
  std::uint8_t tos_in = 0;       // DSCP and ECN of the last acceptable segment (MAY-9)
  std::uint8_t path_news = 0;    // PathNews
  std::uint32_t unacked_in = 0;  // octets received since the last ACK we sent
  Seq pushed;                    // behind the last new text that went with PSH

  // -- Queues and deadlines ------------------------------------------------------------------
  BufChain sndq;                 // from SND.UNA: what is sent and not acknowledged, then the rest
  SentLog* log = nullptr;        // what is in flight, where the peer's SACKs are used
  Own* own = nullptr;            // lent: what it has of its own
  const Buf* nxt_buf = nullptr;  // where SND.NXT lies in sndq; null: at its front
  std::uint32_t nxt_offset = 0;
  std::uint32_t cwnd = 0, ssthresh = kNoSsthresh;
  Seq snd_small;  // the end of the last segment below the MSS (Nagle)
  RtoEstimator rto;
  Instant rtt_start{};
  Instant rtx_deadline = kNever;    // retransmission, SYN, or persist
  Instant probe_deadline = kNever;  // tail loss probe, or reordering (RFC 8985)
  Instant delack_deadline = kNever;
  Instant life_deadline = kNever;  // 2MSL, FIN-WAIT-2, keepalive
  Instant cork_deadline = kNever;  // then what kCork holds back goes
  Instant last_sent{};             // of text: restart after idle (RFC 5681 §4.1)
  Instant last_received{};         // keepalive (MUST-26)
  BufChain rcvq;                   // in order, unread
  const Config* config;
  Seq rtt_seq;               // the ACK that ends the measurement
  std::uint32_t una_ms = 0;  // since when the peer owes an answer, if it does (user_timeout.cc)

  // -- What else an ACK, text in order and its answer touch ------------------------------------
  Seq cwnd_mark;                // SND.NXT when its use was judged last (note_cwnd_use)
  std::uint32_t cwnd_used = 0;  // of cwnd_mark: octets out, at most
  Seq recover;                  // RFC 6582: SND.NXT when loss was found
  Seq rtx_nxt, rtx_end;         // what is to be retransmitted: [rtx_nxt, rtx_end)
  Seq irs;
  std::uint32_t ts_offset = 0;
  std::uint32_t ts_recent_age_s = 0;   // second at which ts_recent was stored
  std::uint32_t rcv_buf;               // receive buffer, octets: first_rcv_buf to rmem
  std::uint32_t max_rcv_wnd = 0xffff;  // what the window field can tell, or a clamp below it
  std::uint32_t max_pacing_rate = 0;   // octets a second; 0: none
  std::uint16_t rcv_mss = 536;         // what our SYN offered
  std::uint16_t peer_seg = 536;        // the longest text seen in one segment (delayed ACK)
  std::uint16_t full_mss = 536;        // what the peer and our port take: mss is never more
  std::uint16_t mtu_probe = 0;         // octets of the probe that is out; 0: none (mtu_probe.cc)
  std::uint8_t quick_acks = 0;         // ACKs left to be sent at once; kInteractive: not now
  std::uint8_t retries = 0;            // of the timer that rtx_deadline is
  std::uint8_t keepalive_unanswered = 0;
  std::uint8_t dup_acks_due = 0;  // segments that came early since the last ACK (RFC 5681 §4.2)
  bool probe_is_tlp = false;      // what probe_deadline is
  bool tlp_out = false, tlp_again = false;  // a probe is out; TLP.is_retrans
  bool pace_waits = false;                  // something waits for pace_next
  Frto frto = Frto::kOff;
  CloseReason soft_error = CloseReason::kNone;  // what a time-out would be for (icmp_errors.cc)
  bool fin_taken : 1 = false;      // the peer's FIN has one of the numbers before RCV.NXT
  bool late_open : 1 = false;      // what ends the handshake says nothing of a round trip
  bool reo_round : 1 = false;      // reo_round_end is set
  bool undo_running : 1 = false;   // of undo: cubic.running
  bool undo_cwr : 1 = false;       // of undo: a CWR was due
  bool partial_acked : 1 = false;  // RFC 6582 §3.2, step 3: the first one restarted the timer
  bool cwnd_filled : 1 = false;    // of cwnd_mark: there was no room for another segment
  bool records : 1 = false;        // some of sndq's Bufs end a record (Linux's MSG_EOR)
  CloseReason close_reason = CloseReason::kNone;
  Cubic cubic;
  // RFC 8985 §5.2: RACK.min_RTT and what decides RACK.reo_wnd.
  std::uint32_t min_rtt_us = kNoRtt;       // of the last min_rtt_wlen
  std::uint32_t min_rtt_late_us = kNoRtt;  // since min_rtt_since_s, half of that at most
  std::uint32_t min_rtt_since_s = 0;
  // What is read in a round trip decides rcv_buf (receive_buffer.cc).
  Seq read_mark;                   // how far the application had read when the round began
  std::uint32_t read_mark_us = 0;  // when that was
  std::uint32_t read_before = 0;   // octets read in the best round so far
  std::uint32_t rcv_rtt_us = 0;    // 0: none measured
  Seq rcv_rtt_edge;                // without timestamps: RCV.NXT there ends the measurement
  std::uint32_t rcv_rtt_edge_us = 0;

  // -- Loss, early text, the two ends, what is seldom used -------------------------------------
  Buf* ofo_head = nullptr;  // out of order: sorted, disjoint, none touching RCV.NXT
  Buf* ofo_tail = nullptr;
  Instant pace_next{};           // nothing of a paced connection goes before
  std::uint32_t cwnd_acked = 0;  // towards the next cwnd increase: octets, or as cubic_grow says
  Seq ecn_high;                  // where the last cut of the window ends: SND.NXT then, or CWR's
  Seq snd_up;                    // SND.UP, with kUrgentOut
  Seq iss, peer_fin;
  Seq rcv_up;                      // RCV.UP, with kUrgentIn
  std::array<Seq, 4> early;        // where the latest early segments began (RFC 2018 §4)
  Seq dsack_left, dsack_right;     // what came twice
  std::uint32_t challenge_ms = 0;  // when the last challenge ACK went
  struct {
    std::uint32_t cwnd = 0, ssthresh = 0, w_max = 0;
  } undo;                        // as they were before the last congestion event
  Seq reo_round_end;             // RACK.dsack_round, where reo_round
  Seq tlp_end;                   // TLP.end_seq: SND.NXT behind the probe
  std::uint8_t reo_mult = 1;     // RACK.reo_wnd_mult
  std::uint8_t reo_persist = 0;  // RACK.reo_wnd_persist
  bool reordering_seen = false;
  bool may_undo = false;  // the first ACK of this recovery has not come
  // The path (path_mtu.cc, mtu_probe.cc). Octets of text in one segment, as `mss` counts them.
  std::uint16_t mtu_low = 0;        // RFC 4821 §7.2, search_low: 0 while nothing is searched for
  std::uint16_t mtu_high = 0;       // search_high
  Seq mtu_probe_end;                // SND.NXT behind it
  std::uint32_t mss_lowered_s = 0;  // second at which mss or mtu_high was lowered last

  [[nodiscard]] bool has(std::uint16_t flag) const { return (flags & flag) != 0; }
  void set(std::uint16_t flag) { flags = static_cast<std::uint16_t>(flags | flag); }
  void clear(std::uint16_t flag) {
    flags = static_cast<std::uint16_t>(flags & ~static_cast<unsigned>(flag));
  }
  [[nodiscard]] bool ecn_has(std::uint8_t flag) const { return (ecn & flag) != 0; }
  void ecn_set(std::uint8_t flag) { ecn = static_cast<std::uint8_t>(ecn | flag); }
  void ecn_clear(std::uint8_t flag) {
    ecn = static_cast<std::uint8_t>(ecn & ~static_cast<unsigned>(flag));
  }
  [[nodiscard]] bool in_mode(std::uint8_t flag) const { return (modes & flag) != 0; }
  void enter_mode(std::uint8_t flag) { modes = static_cast<std::uint8_t>(modes | flag); }
  void leave_mode(std::uint8_t flag) {
    modes = static_cast<std::uint8_t>(modes & ~static_cast<unsigned>(flag));
  }
  void note(std::uint8_t notice) { notices = static_cast<std::uint8_t>(notices | notice); }

  // The sequence number of our FIN. Pre: kFinQueued, SYN acknowledged.
  [[nodiscard]] Seq fin_seq() const { return snd_una + sndq.bytes(); }
  // True from the moment our FIN was first sent until it is acknowledged.
  [[nodiscard]] bool fin_sent() const {
    return has(kFinQueued) && distance(snd_una, snd_nxt) == sndq.bytes() + 1;
  }
  [[nodiscard]] bool synchronized() const { return state >= State::kEstablished; }
};
static_assert(sizeof(Tcb) <= 496);

// -- User calls (§3.10.1-6) ------------------------------------------------------------------
struct OpenArgs {
  Seq iss;
  std::uint32_t ts_offset = 0;  // of our timestamp clock, RFC 7323 §5.4
  std::uint16_t mtu = 1500;     // octets of IP packet
  bool ipv6 = false;
  Instant syn_ack_sent = kNever;  // of open_passive: when the SYN-ACK went, where it went once
};
// SYN-SENT; the SYN goes with the next poll_transmit.
void user_open(Tcb& tcb, const OpenArgs& args, Instant now);
// Queues text. Pre: not closed for sending. May exceed wmem: the caller asks send_room first.
void user_send(Tcb& tcb, BufChain&& text);
[[nodiscard]] bool may_send(const Tcb& tcb);
[[nodiscard]] std::uint32_t send_room(const Tcb& tcb);
[[nodiscard]] std::uint32_t unsent_octets(const Tcb& tcb);  // of text: of those queued
// Up to `max` octets in order, in whole Bufs; at least one Buf when any is there.
[[nodiscard]] BufChain user_receive(Tcb& tcb, std::uint32_t max);
// The first `into.size()` octets in order, or what there is of them, copied; what is left of a Buf
// stays queued. Octets.
std::uint32_t user_receive_copy(Tcb& tcb, std::span<std::byte> into, Outbox& out);
// The same from `offset` octets on, and everything stays.
[[nodiscard]] std::uint32_t user_peek(const Tcb& tcb, std::uint32_t offset,
                                      std::span<std::byte> into);
// The text queued last is urgent up to its end (RFC 9293 §3.8.5). Pre: user_send was called.
void user_urgent(Tcb& tcb);
[[nodiscard]] Urgent urgent_unread(const Tcb& tcb);
// The text queued last ends a record: no segment has some of it and some of what follows (Linux's
// MSG_EOR).
void user_end_record(Tcb& tcb);
// Nagle off (MUST-17); what kCork holds back goes at once, as Linux does it.
void user_nodelay(Tcb& tcb, bool on);
// Holds text below a full segment back, until a time-out after the last ACK at most; off: it goes
// (Linux's TCP_CORK).
void user_cork(Tcb& tcb, bool on);
// What was queued last is followed by more, or is not (Linux's MSG_MORE): the same for it alone,
// until the next SEND or the next ACK.
void user_more(Tcb& tcb, bool more);
void user_shutdown(Tcb& tcb);  // FIN after what is queued
void user_close(Tcb& tcb, Instant now, Outbox& out);
void user_abort(Tcb& tcb, Instant now, Outbox& out);
// No more than so many octets a second, whatever cwnd lets go (Linux's SO_MAX_PACING_RATE); 0: no
// limit.
void user_pace(Tcb& tcb, std::uint32_t octets_per_second);

// -- What a connection has of its own (own.cc) -------------------------------------------------
// Lends the record, unless it has one. Null when none is left.
Own* lend_own(Tcb& tcb, Outbox& out);
void give_own(Tcb& tcb, Outbox& out);
[[nodiscard]] inline const OwnSettings* own_settings(const Tcb& t) {
  return t.own != nullptr ? &t.own->set : nullptr;
}
// Those of a listener, before open_passive; or of a program, between user_open and the SYN. False
// when no record is left.
[[nodiscard]] bool user_configure(Tcb& tcb, const OwnSettings& s, Instant now, Outbox& out);

// Each of these says false, and changes nothing, when no record is left. 0: as the Config says.
bool user_set_keepalive(Tcb& tcb, const Keepalive& k, Instant now, Outbox& out);  // MUST-24
// Text that is not acknowledged for so long ends the connection, whatever retries2 says (RFC 5482
// §3; 9293 §3.9.1.1, OPEN). Milliseconds.
bool user_set_timeout(Tcb& tcb, Duration timeout, Outbox& out);
bool user_set_retries(Tcb& tcb, std::uint8_t retries, Outbox& out);  // R2 (MUST-21)
bool user_set_syn_retries(Tcb& tcb, std::uint8_t retries, Outbox& out);
// What CLOSE leaves behind: nullopt, the default, all is sent; zero: nothing, CLOSE is ABORT; else
// what is unacknowledged after that time is given up with a RST. In whole seconds, up to 18 h.
bool user_set_linger(Tcb& tcb, std::optional<Duration> linger, Outbox& out);
// FIN-WAIT-2 after CLOSE, in whole seconds up to 120 s; below zero: none, CLOSE ends it there.
bool user_set_fin_timeout(Tcb& tcb, Duration timeout, Outbox& out);
// Octets of text, fixed from here on. Before the SYN it decides the window's scale; after it more
// than that scale can tell is of no use. What was offered is still taken.
bool user_set_receive_buffer(Tcb& tcb, std::uint32_t octets, Outbox& out);
bool user_set_send_buffer(Tcb& tcb, std::uint32_t octets, Outbox& out);
bool user_set_window_clamp(Tcb& tcb, std::uint32_t octets, Outbox& out);
// No more than so many octets not yet sent: send_room and kNoticeWritable follow.
bool user_set_notsent_lowat(Tcb& tcb, std::uint32_t octets, Outbox& out);
// Offered at most, and sent at most; of use before the SYN.
bool user_set_mss(Tcb& tcb, std::uint16_t mss, Outbox& out);
// These need no record.
void user_set_congestion_control(Tcb& tcb, CongestionControl algorithm);
// On: the ACK that waits goes, and as many more at once as the connection has left, until text goes
// the other way; off: they are delayed (Linux's TCP_QUICKACK).
void user_quickack(Tcb& tcb, bool on);

// For the counts, where there are any: what is on its way out.
void count_sent(Own& own, const TxSegment& seg);

// -- When buffers run short -------------------------------------------------------------------
// Text that waits is put together in fewer buffers; with `early_too` what came out of order goes
// back, SACKed or not (RFC 2018 §8 allows it). Octets of text in order are never lost.
void shrink_receive_queue(Tcb& tcb, bool early_too, Outbox& out);
// Ends a connection that holds buffers and gets nowhere: RST, and the application is told.
void end_stalled(Tcb& tcb, Instant now, Outbox& out);

// An open that cannot succeed: ARP said so, or a hard ICMP error. Pre: SYN-SENT.
void fail_open(Tcb& tcb, CloseReason reason, Outbox& out);

// -- What the network says of a segment that was sent (§3.9.2.2) -------------------------------
enum class PathError : std::uint8_t {
  kTooBig,           // ICMP 3/4, ICMPv6 2
  kNetUnreachable,   // ENETUNREACH
  kHostUnreachable,  // EHOSTUNREACH; filtered, time exceeded, and no neighbour answered
  kProblem,          // a header that somebody could not read: EPROTO
  kPortUnreachable,  // nobody there to talk to, the protocol included: ECONNREFUSED
};
struct IcmpError {
  PathError what{};
  Seq seq;                   // of the segment that it quotes
  std::uint32_t mtu = 0;     // with kTooBig: of the next hop; 0: the router is too old to say
  std::uint32_t packet = 0;  // with kTooBig: octets of the packet that it quotes
};
enum class IcmpVerdict : std::uint8_t {
  kTaken,
  kForged,   // it quotes nothing that is under way: made up, or too late (RFC 5927 §4.1)
  kIgnored,  // it says nothing new
};
IcmpVerdict on_icmp_error(Tcb& tcb, const IcmpError& error, Instant now, Outbox& out);
// The same for a connection that is half open, whose SYN-ACK has the number `iss`.
enum class HalfOpenVerdict : std::uint8_t { kForged, kKeep, kAbandon };
[[nodiscard]] HalfOpenVerdict half_open_icmp(Seq iss, const IcmpError& error);
// Remembered, and told as `Notice`: the connection goes on (MUST-47, MUST-56).
void note_soft_error(Tcb& tcb, CloseReason what);
// The next hop's address is known (again): what was sent in vain goes again at the next on_timeout,
// instead of after a time-out that has been backed off.
void on_next_hop_known(Tcb& tcb, Instant now);

// The RST that ABORT sends, of a state beyond SYN-SENT. Changes nothing.
[[nodiscard]] TxSegment make_reset(const Tcb& tcb, Instant now);

// Gives every buffer back. The state must be CLOSED or the connection on its way to TIME-WAIT.
void release_buffers(Tcb& tcb, Outbox& out);

// Asserts what must hold between events (house rule 11).
void check_invariants(const Tcb& tcb);

}  // namespace weir::tcp

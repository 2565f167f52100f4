// LISTEN and the passive half of SYN-RECEIVED (RFC 9293 §3.10.7.2, §3.10.7.4; RFC 4987 §3.4).
//
// A half-open connection is a 64-byte entry, not a control block: that comes with the last ACK.
// These functions judge; tables, queues and timers belong to the stack.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/addr.h"
#include "tcp/core.h"
#include "tcp/tcb.h"

namespace weir::tcp {

//= RFC4987 3.4-a
struct SynEntry {
  FlowKey flow;
  Seq iss, irs;
  std::uint32_t ts_recent = 0;
  std::uint32_t deadline_ms = 0;       // of the next SYN-ACK, on the stack's millisecond clock
  std::uint16_t mss = 0;               // the peer's option; 0: it sent none
  std::uint8_t scale_and_retries = 0;  // window scale in the low 4 bits (15: none)
  std::uint8_t bits = 0;
  std::uint64_t prev : 24 = 0, next : 24 = 0;  // the stack's retransmission queue
  std::uint64_t listener : 10 = 0;             // the stack's
  std::uint64_t sent_64ths : 6 = 0;            // of a millisecond, at which its first SYN-ACK went

  static constexpr std::uint8_t kTimestampsOffered = 1, kSackOffered = 2, kEcnOffered = 4;
  // How often the SYN-ACK went again, 7 times or more as 7. Not each retry is one: see kAnswered.
  static constexpr std::uint8_t kResentOne = 8, kResentMask = 7 * kResentOne;
  // A challenge ACK went since the last SYN-ACK; the last ACK came, and found the accept queue
  // full, or was not enough (TCP_DEFER_ACCEPT).
  static constexpr std::uint8_t kChallenged = 64, kAnswered = 128;
  static constexpr std::uint8_t kNoScale = 15;
  void offer(bool timestamps, bool sack) {
    bits = static_cast<std::uint8_t>((timestamps ? kTimestampsOffered : 0) |
                                     (sack ? kSackOffered : 0));
  }
  void offer_ecn() { bits = static_cast<std::uint8_t>(bits | kEcnOffered); }
  void withdraw_ecn() { bits = static_cast<std::uint8_t>(bits & ~unsigned{kEcnOffered}); }
  [[nodiscard]] bool ecn_offered() const { return (bits & kEcnOffered) != 0; }
  [[nodiscard]] std::uint8_t scale() const { return scale_and_retries & 15U; }
  [[nodiscard]] std::uint8_t retries() const {
    return static_cast<std::uint8_t>(scale_and_retries >> 4U);
  }
  [[nodiscard]] std::uint8_t resent() const { return (bits & kResentMask) / kResentOne; }
  void add_resent() {
    if (resent() < 7) bits = static_cast<std::uint8_t>(bits + kResentOne);
  }
  void add_retry() { scale_and_retries = static_cast<std::uint8_t>(scale_and_retries + 16U); }
};
static_assert(sizeof(SynEntry) == 64, "budget of a half-open connection");
inline constexpr std::uint32_t kSynNone = (1U << 24U) - 1;  // the end of the queue

//= RFC4987 3.3
// How often the SYN-ACK of `e` is resent at most. RFC 4987 §3.3, and ADR 8: a source that has not
// answered may be a forgery, and what we send reaches somebody else.
[[nodiscard]] inline std::uint8_t synack_limit(const SynEntry& e, const Config& c) {
  constexpr std::uint8_t kMost = 15;       // an entry counts them in 4 bits
  constexpr std::uint8_t kAnsweredTo = 5;  // Linux's tcp_synack_retries
  const bool answered = (e.bits & SynEntry::kAnswered) != 0;
  const std::uint8_t limit = answered ? std::max(c.synack_retries, kAnsweredTo) : c.synack_retries;
  return std::min(limit, kMost);
}

// SEG.LEN (RFC 9293 §3.3.1).
[[nodiscard]] inline std::uint32_t seg_len(const RxSegment& s) {
  return s.len + ((s.flags & SYN) != 0 ? 1U : 0U) + ((s.flags & FIN) != 0 ? 1U : 0U);
}

// What a listener does with a segment that no connection claims.
enum class ListenAnswer : std::uint8_t { kDrop, kReset, kSyn };
[[nodiscard]] ListenAnswer listen_arrives(const RxSegment& seg);

// The SYN came again. Once it did not ask for ECN, nobody is to use it (RFC 3168 §6.1.1).
void syn_came_again(SynEntry& e, const RxSegment& syn);

// Fills the entry from the SYN. prev, next and deadline stay the caller's.
void open_syn_entry(SynEntry& e, const RxSegment& syn, const FlowKey& flow, Seq iss,
                    const Config& config);

// `own`: what the listener has in place of the Config's; null: nothing.
// The scale that its SYN-ACKs tell.
[[nodiscard]] std::uint8_t window_scale_of(const Config& config, const OwnSettings* own);

[[nodiscard]] TxSegment make_syn_ack(const SynEntry& e, const Config& config, std::uint16_t mtu,
                                     std::uint32_t ts_now, const OwnSettings* own = nullptr);

enum class SynAnswer : std::uint8_t {
  kDrop,
  kResendSynAck,  // the SYN came again
  kChallenge,     // RFC 5961: an ACK, the entry stays
  kReset,         // RST in answer, the entry stays (§3.10.7.4, fifth)
  kAbandon,       // the peer's RST: the entry goes, silently
  kEstablish,     // the last ACK: make a control block and give it this segment
};
[[nodiscard]] SynAnswer syn_entry_arrives(const SynEntry& e, const RxSegment& seg,
                                          const Config& config, std::uint16_t mtu,
                                          const OwnSettings* own = nullptr);

// The control block of an entry whose last ACK has come, in ESTABLISHED. What `t` has of its own it
// must have by now.
void open_passive(Tcb& t, const SynEntry& e, const OpenArgs& args, Instant now);

}  // namespace weir::tcp

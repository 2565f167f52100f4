// What of one connection is in flight, segment by segment: when each was sent last, and what the
// peer has said of it. The scoreboard of RFC 6675 and the send times of RFC 8985 in one ring.
//
// Records lie in sequence order and cover [una, SND.NXT) without a gap. A log exists only while
// something is in flight: a stack keeps a slab of them and lends one to a connection that sends.
// Where none is left the connection recovers as if its peer knew no SACK (RFC 6582).
#pragma once

#include <array>
#include <cstdint>

#include "base/assert.h"
#include "base/seq.h"
#include "base/slab.h"
#include "tcp/cc/hystartpp.h"

namespace weir::tcp {

enum SentFlag : std::uint8_t {
  kSentSacked = 1,   // the peer has it, out of order
  kSentLost = 2,     // taken for lost, and not sent again since
  kSentAgain = 4,    // sent more than once, so an answer may be to either
  kSentUntimed = 8,  // before the log began: nobody knows when
  kSentTooBig = 16,  // lost for its size, which is no sign of congestion; with kSentLost only
  kSentPush = 32,    // with PSH: so it goes again
};

struct SentSegment {
  std::uint32_t end_raw;  // it begins where the one before it ends
                          //= RFC8985 5.1
  std::uint32_t sent_us;  // low bits of the instant in microseconds
  std::uint8_t flags;
  [[nodiscard]] Seq end() const { return Seq{end_raw}; }
  [[nodiscard]] bool is(std::uint8_t flag) const { return (flags & flag) != 0; }
};

class SentLog {
 public:
  static constexpr unsigned kCapacity = 256;  // segments in flight, at most

  explicit SentLog(Seq una) : una_(una) {}

  [[nodiscard]] unsigned size() const { return count_; }
  [[nodiscard]] unsigned room() const { return kCapacity - count_; }
  [[nodiscard]] const SentSegment& operator[](unsigned i) const {
    return ring_[(head_ + i) % kCapacity];
  }
  [[nodiscard]] Seq begin_of(unsigned i) const { return i == 0 ? una_ : (*this)[i - 1].end(); }
  [[nodiscard]] std::uint32_t length_of(unsigned i) const {
    return distance(begin_of(i), (*this)[i].end());
  }
  [[nodiscard]] Seq una() const { return una_; }
  [[nodiscard]] Seq end() const { return count_ == 0 ? una_ : (*this)[count_ - 1U].end(); }
  [[nodiscard]] std::uint32_t sacked() const { return sacked_; }    // octets
  [[nodiscard]] std::uint32_t lost() const { return lost_; }        // octets
  [[nodiscard]] std::uint32_t excused() const { return excused_; }  // of lost(): kSentTooBig
  [[nodiscard]] std::uint32_t pipe() const {  // octets presumed in the network (RFC 6675 §4)
    return distance(una_, end()) - sacked_ - lost_;
  }
  // The first record that begins at or after `s`; size() if none does.
  [[nodiscard]] unsigned first_from(Seq s) const;

  void push(Seq end, std::uint32_t sent_us, std::uint8_t flags = 0) {  // Pre: room() > 0
    WEIR_ASSERT(count_ < kCapacity);
    ring_[(head_ + count_) % kCapacity] = {end.raw(), sent_us, flags};
    ++count_;
  }
  void mark_pushed() {  // what was sent last. Pre: size() > 0
    SentSegment& s = at(count_ - 1U);
    s.flags = static_cast<std::uint8_t>(s.flags | kSentPush);
  }
  void mark_sacked(unsigned i);
  void mark_lost(unsigned i);
  void mark_sent_again(unsigned i, std::uint32_t sent_us);
  // Cuts what is longer than `mss` octets of text, unless the peer has it; `lost` says that it was
  // lost for its size. `fin`: the last record ends with our FIN. False, and nothing done, when the
  // pieces would be too many.
  [[nodiscard]] bool fit(std::uint32_t mss, bool fin, bool lost);
  void forget_sacked();  // the peer went back on what it said (RFC 2018 §8)
  void forget_lost();    // nothing was lost (RFC 5682)
  // Everything before `ack` was received. Takes whole records off the front and trims the next.
  void drop_before(Seq ack);

  // -- RFC 8985 and RFC 6937, for as long as something is in flight ----------------------------
  struct {
    std::uint32_t sent_us = 0;  // RACK.xmit_ts: of the segment sent last of those delivered
    std::uint32_t rtt_us = 0;   // RACK.rtt
    Seq end;                    // RACK.end_seq
    Seq fack;                   // the highest sequence number delivered
    bool any = false;           // the above are set
  } rack;
  struct {
    std::uint32_t delivered = 0, sent = 0, flight = 0;  // octets, since recovery began
  } prr;
  HyStart hystart;         // RFC 9406
  bool stale = false;      // segments changed their size: to be dropped
  bool first_due = false;  // the timer fired: the first goes, whatever the window says

 private:
  [[nodiscard]] unsigned pieces_of(unsigned i, std::uint32_t mss, bool fin) const;
  void no_longer_lost(SentSegment& s, std::uint32_t octets);
  [[nodiscard]] SentSegment& at(unsigned i) { return ring_[(head_ + i) % kCapacity]; }

  Seq una_;
  std::uint32_t sacked_ = 0, lost_ = 0, excused_ = 0;
  std::uint16_t head_ = 0, count_ = 0;
  std::array<SentSegment, kCapacity> ring_;  // not initialised: written as it is used
};

using SentLogs = Slab<SentLog>;

}  // namespace weir::tcp

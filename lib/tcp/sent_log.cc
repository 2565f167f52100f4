#include "tcp/sent_log.h"

namespace weir::tcp {

unsigned SentLog::first_from(Seq s) const {
  unsigned low = 0, high = count_;
  while (low < high) {
    const unsigned mid = (low + high) / 2;
    if (before(begin_of(mid), s)) {
      low = mid + 1;
    } else {
      high = mid;
    }
  }
  return low;
}

void SentLog::no_longer_lost(SentSegment& s, std::uint32_t octets) {
  if (s.is(kSentLost)) lost_ -= octets;
  if (s.is(kSentTooBig)) excused_ -= octets;
  s.flags = static_cast<std::uint8_t>(s.flags & ~unsigned{kSentLost | kSentTooBig});
}

void SentLog::mark_sacked(unsigned i) {
  SentSegment& s = at(i);
  if (s.is(kSentSacked)) return;
  const std::uint32_t n = length_of(i);
  no_longer_lost(s, n);
  sacked_ += n;
  s.flags |= kSentSacked;
}

void SentLog::mark_lost(unsigned i) {
  SentSegment& s = at(i);
  if (s.is(kSentLost | kSentSacked)) return;
  lost_ += length_of(i);
  s.flags |= kSentLost;
}

void SentLog::mark_sent_again(unsigned i, std::uint32_t sent_us) {
  SentSegment& s = at(i);
  no_longer_lost(s, length_of(i));
  s.flags = static_cast<std::uint8_t>((s.flags & ~unsigned{kSentUntimed}) | kSentAgain);
  s.sent_us = sent_us;
}

unsigned SentLog::pieces_of(unsigned i, std::uint32_t mss, bool fin) const {
  const std::uint32_t text = length_of(i) - (fin && i + 1 == count_ ? 1U : 0U);
  return (*this)[i].is(kSentSacked) || text <= mss ? 1 : (text + mss - 1) / mss;
}

bool SentLog::fit(std::uint32_t mss, bool fin, bool lost) {
  unsigned to = 0;
  for (unsigned i = 0; i < count_; ++i) to += pieces_of(i, mss, fin);
  if (to > kCapacity) return false;
  const unsigned total = to;
  for (unsigned i = count_; i-- > 0;) {  // from behind: no record moves to the front
    SentSegment s = (*this)[i];
    const Seq begin = begin_of(i);
    const unsigned pieces = pieces_of(i, mss, fin);
    if (pieces > 1 && lost) {
      const std::uint32_t n = length_of(i);
      no_longer_lost(s, n);
      lost_ += n;
      excused_ += n;
      s.flags |= kSentLost | kSentTooBig;
    }
    for (unsigned p = pieces; p > 0; --p) {
      at(--to) = s;
      s.end_raw = (begin + (p - 1) * mss).raw();
      s.flags = static_cast<std::uint8_t>(s.flags & ~unsigned{kSentPush});  // the last has it
    }
  }
  count_ = static_cast<std::uint16_t>(total);
  return true;
}

void SentLog::forget_sacked() {
  for (unsigned i = 0; i < count_; ++i) {
    at(i).flags = static_cast<std::uint8_t>(at(i).flags & ~unsigned{kSentSacked});
  }
  sacked_ = 0;
}

void SentLog::forget_lost() {
  for (unsigned i = 0; i < count_; ++i) {
    at(i).flags = static_cast<std::uint8_t>(at(i).flags & ~unsigned{kSentLost | kSentTooBig});
  }
  lost_ = excused_ = 0;
}

void SentLog::drop_before(Seq ack) {
  while (count_ > 0 && after(ack, una_)) {
    const SentSegment& s = (*this)[0];
    const Seq upto = earlier_of(ack, s.end());
    const std::uint32_t n = distance(una_, upto);
    if (s.is(kSentSacked)) sacked_ -= n;
    if (s.is(kSentLost)) lost_ -= n;
    if (s.is(kSentTooBig)) excused_ -= n;
    una_ = upto;
    if (una_ != s.end()) return;
    head_ = static_cast<std::uint16_t>((head_ + 1U) % kCapacity);
    --count_;
  }
}

}  // namespace weir::tcp

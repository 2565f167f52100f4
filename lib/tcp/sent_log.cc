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

void SentLog::mark_sacked(unsigned i) {
  SentSegment& s = at(i);
  if (s.is(kSentSacked)) return;
  const std::uint32_t n = length_of(i);
  if (s.is(kSentLost)) lost_ -= n;
  sacked_ += n;
  s.flags = static_cast<std::uint8_t>((s.flags & ~unsigned{kSentLost}) | kSentSacked);
}

void SentLog::mark_lost(unsigned i) {
  SentSegment& s = at(i);
  if (s.is(kSentLost | kSentSacked)) return;
  lost_ += length_of(i);
  s.flags |= kSentLost;
}

void SentLog::mark_sent_again(unsigned i, std::uint32_t sent_us) {
  SentSegment& s = at(i);
  if (s.is(kSentLost)) lost_ -= length_of(i);
  s.flags = static_cast<std::uint8_t>((s.flags & ~unsigned{kSentLost | kSentUntimed}) | kSentAgain);
  s.sent_us = sent_us;
}

void SentLog::forget_sacked() {
  for (unsigned i = 0; i < count_; ++i) {
    at(i).flags = static_cast<std::uint8_t>(at(i).flags & ~unsigned{kSentSacked});
  }
  sacked_ = 0;
}

void SentLog::forget_lost() {
  for (unsigned i = 0; i < count_; ++i) {
    at(i).flags = static_cast<std::uint8_t>(at(i).flags & ~unsigned{kSentLost});
  }
  lost_ = 0;
}

void SentLog::drop_before(Seq ack) {
  while (count_ > 0 && after(ack, una_)) {
    const SentSegment& s = (*this)[0];
    const Seq upto = earlier_of(ack, s.end());
    const std::uint32_t n = distance(una_, upto);
    if (s.is(kSentSacked)) sacked_ -= n;
    if (s.is(kSentLost)) lost_ -= n;
    una_ = upto;
    if (una_ != s.end()) return;
    head_ = static_cast<std::uint16_t>((head_ + 1U) % kCapacity);
    --count_;
  }
}

}  // namespace weir::tcp

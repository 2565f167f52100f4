// Sequence numbers (RFC 9293 §3.4): 32 bits, compared modulo 2^32.
//
// Never ordered with `<`: a comparison that forgets the wrap must not compile.
#pragma once

#include <cstdint>

namespace weir {

class Seq {
 public:
  constexpr Seq() = default;
  constexpr explicit Seq(std::uint32_t raw) : raw_(raw) {}

  [[nodiscard]] constexpr std::uint32_t raw() const { return raw_; }

  constexpr Seq& operator+=(std::uint32_t n) {
    raw_ += n;
    return *this;
  }
  friend constexpr Seq operator+(Seq s, std::uint32_t n) { return Seq{s.raw_ + n}; }
  friend constexpr Seq operator-(Seq s, std::uint32_t n) { return Seq{s.raw_ - n}; }
  friend constexpr bool operator==(Seq, Seq) = default;

 private:
  std::uint32_t raw_ = 0;
};

// Octets from `from` forward to `to`, modulo 2^32.
[[nodiscard]] constexpr std::uint32_t distance(Seq from, Seq to) {
  return to.raw() - from.raw();
}

// a < b, a <= b, a > b, a >= b of RFC 9293 §3.4, true when the two lie within 2^31 of each other.
[[nodiscard]] constexpr bool before(Seq a, Seq b) {
  return static_cast<std::int32_t>(a.raw() - b.raw()) < 0;
}
[[nodiscard]] constexpr bool at_or_before(Seq a, Seq b) {
  return !before(b, a);
}
[[nodiscard]] constexpr bool after(Seq a, Seq b) {
  return before(b, a);
}
[[nodiscard]] constexpr bool at_or_after(Seq a, Seq b) {
  return !before(a, b);
}

// start =< s < start + len.
[[nodiscard]] constexpr bool in_window(Seq s, Seq start, std::uint32_t len) {
  return distance(start, s) < len;
}

[[nodiscard]] constexpr Seq later_of(Seq a, Seq b) {
  return before(a, b) ? b : a;
}
[[nodiscard]] constexpr Seq earlier_of(Seq a, Seq b) {
  return before(a, b) ? a : b;
}

}  // namespace weir

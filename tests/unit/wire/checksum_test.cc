// The Internet checksum, against RFC 1071's example and a naive twin.
#include "wire/checksum.h"

#include "base/rng.h"
#include "frames.h"
#include "wire/sum.h"

namespace weir::wire::test {
namespace {

// 16-bit words one after the other, as RFC 1071 §4.1 has it.
std::uint16_t naive_sum(const Octets& octets) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < octets.size(); ++i) {
    sum += get8(octets, i) << (i % 2 == 0 ? 8U : 0U);
    sum = (sum & 0xffffU) + (sum >> 16U);
  }
  return static_cast<std::uint16_t>(sum);
}

Octets random_octets(Rng& rng, std::size_t n) {
  Octets out(n);
  for (auto& o : out) o = static_cast<std::byte>(rng.below(256));
  return out;
}

TEST(Checksum, Rfc1071Example) {
  Checksum sum;
  sum.add(hex("00 01 f2 03 f4 f5 f6 f7"));
  EXPECT_EQ(sum.sum(), 0xddf2);
  EXPECT_EQ(sum.finish(), 0x220d);
}

TEST(Checksum, OfNothing) {
  EXPECT_EQ(checksum({}), 0xffff);
  EXPECT_EQ(checksum(hex("00 00")), 0xffff);
  EXPECT_EQ(checksum(hex("ff ff")), 0);
}

TEST(Checksum, PadsAnOddEndWithZero) {
  EXPECT_EQ(checksum(hex("12 34 56")), checksum(hex("12 34 56 00")));
}

// RFC 1071 §2(B): a span after an odd one is shifted by an octet.
TEST(Checksum, SpansOfAnyLengthSumAsOne) {
  Rng rng(1);
  for (int round = 0; round < 2'000; ++round) {
    const Octets all = random_octets(rng, rng.below(200));
    Checksum sum;
    for (std::size_t at = 0; at < all.size();) {
      const std::size_t n = std::min<std::size_t>(all.size() - at, rng.below(9));
      sum.add(std::span(all).subspan(at, n));
      at += n;
    }
    ASSERT_EQ(sum.sum(), naive_sum(all)) << "round " << round;
  }
}

// Whatever is left behind whole words, wherever the first octet lies.
TEST(Checksum, EveryLengthAndAlignment) {
  Rng rng(2);
  const Octets all = random_octets(rng, 300);
  for (std::size_t at = 0; at < 8; ++at) {
    for (std::size_t n = 0; n < 280; ++n) {
      const auto begin = all.begin() + static_cast<std::ptrdiff_t>(at);
      const Octets part(begin, begin + static_cast<std::ptrdiff_t>(n));
      Checksum sum;
      sum.add(std::span(all).subspan(at, n));
      ASSERT_EQ(sum.sum(), naive_sum(part)) << at << " " << n;
      ASSERT_EQ(checksum(std::span(all).subspan(at, n)), naive_sum(part) ^ 0xffff) << n;
    }
  }
}

TEST(Checksum, CopiesAndSumsAtOnce) {
  Rng rng(3);
  const Octets all = random_octets(rng, 300);
  for (std::size_t n = 0; n < 280; ++n) {
    const std::size_t at = n % 9;
    Octets copy(n + 2, std::byte{0xee});
    const std::uint64_t sum = copy_and_sum(copy.data() + 1, all.data() + at, n);
    ASSERT_EQ(fold_ones(sum), fold_ones(sum_octets(all.data() + at, n))) << n;
    Octets want(n + 2, std::byte{0xee});
    std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(at), n, want.begin() + 1);
    ASSERT_EQ(copy, want) << n;
  }
}

TEST(Checksum, LongSpansCarry) {
  for (const std::size_t n : {1'500U, 9'000U, 65'535U}) {
    const Octets ones(n, std::byte{0xff});
    Checksum sum;
    sum.add(ones);
    EXPECT_EQ(sum.sum(), naive_sum(ones)) << n;
  }
}

TEST(Checksum, PseudoHeaderOfIpv4) {
  Checksum sum;
  sum.add_pseudo_header(kA4, kB4, 6, 0x1'0203);  // a long length wraps into two words
  EXPECT_EQ(sum.sum(), naive_sum(hex("0a 00 00 01 0a 00 00 02 00 06 00 01 02 03")));
}

TEST(Checksum, PseudoHeaderOfIpv6) {
  Checksum sum;
  sum.add_pseudo_header(kA6, kB6, 58, 17);
  Octets layout = golden_echo6();  // the addresses as they stand there
  layout = Octets(layout.begin() + 22, layout.begin() + 54);
  append(layout, hex("00 00 00 11 00 00 00 3a"));
  EXPECT_EQ(sum.sum(), naive_sum(layout));
}

}  // namespace
}  // namespace weir::wire::test

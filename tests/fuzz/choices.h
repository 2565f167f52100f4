// A fuzzer's input read as a row of choices: the interface of Rng, so that one driver serves both a
// seeded run and a fuzzer, which then steers it instead of merely feeding it.
//
// Takes as few octets a choice as its bound needs, so that a mutated octet changes one choice.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weir::test {

class Choices {
 public:
  Choices(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

  [[nodiscard]] bool done() const { return at_ >= size_; }  // from here on every choice is 0
  std::uint64_t next() { return take(8); }
  // In [0, bound). Pre: bound > 0.
  std::uint32_t below(std::uint32_t bound) {
    if (bound == 1) return 0;
    return static_cast<std::uint32_t>(take(bound <= 256 ? 1 : bound <= 65'536 ? 2 : 4) % bound);
  }
  bool chance(std::uint32_t parts_per_million) {
    return take(1) * 1'000'000U / 256U < parts_per_million;
  }

 private:
  std::uint64_t take(unsigned octets) {
    std::uint64_t v = 0;
    for (; octets > 0 && at_ < size_; --octets) v = v << 8U | data_[at_++];
    return v;
  }

  const std::uint8_t* data_;
  std::size_t size_, at_ = 0;
};

}  // namespace weir::test

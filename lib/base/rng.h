// A small deterministic generator (xoshiro256**, Blackman and Vigna) seeded by its owner, for
// jitter, simulation and tests. Not for secrets.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace weir {

class Rng {
 public:
  explicit constexpr Rng(std::uint64_t seed) {
    for (auto& word : state_) {  // splitmix64
      seed += 0x9e3779b97f4a7c15U;
      std::uint64_t z = seed;
      z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
      z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
      word = z ^ (z >> 31U);
    }
  }

  constexpr std::uint64_t next() {
    const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t t = state_[1] << 17U;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }
  // Uniform in [0, bound). Pre: bound > 0.
  constexpr std::uint32_t below(std::uint32_t bound) {
    return static_cast<std::uint32_t>(((next() >> 32U) * bound) >> 32U);
  }
  // True with probability `parts_per_million` / 10^6.
  constexpr bool chance(std::uint32_t parts_per_million) {
    return below(1'000'000) < parts_per_million;
  }

 private:
  std::array<std::uint64_t, 4> state_{};
};

}  // namespace weir

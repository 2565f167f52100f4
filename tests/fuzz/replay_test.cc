// A fuzz target without libFuzzer, in every build: its corpus, and inputs made from it by a seed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>
#include <vector>

#include "base/rng.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace weir::test {
namespace {

constexpr unsigned kMutants = 2'000;
constexpr std::size_t kOctets = 400'000;  // of them all: a stateful target does much with each

using Input = std::vector<std::uint8_t>;

// Of the target that this program, replay_TARGET, is linked with.
std::vector<Input> corpus() {
  constexpr std::string_view kPrefix = "replay_";
  const std::string_view program = program_invocation_short_name;
  if (!program.starts_with(kPrefix)) return {};
  const auto folder = std::filesystem::path(WEIR_CORPORA) / program.substr(kPrefix.size());
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    files.push_back(entry.path());
  }
  std::ranges::sort(files);
  std::vector<Input> all;
  for (const auto& path : files) {
    std::ifstream in(path, std::ios::binary);
    all.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return all;
}

void mutate(Input& input, const Input& other, Rng& rng) {
  for (unsigned n = 1 + rng.below(4); n > 0 && !input.empty(); --n) {
    const std::uint32_t at = rng.below(static_cast<std::uint32_t>(input.size()));
    switch (rng.below(5)) {
      case 0:
        input[at] ^= static_cast<std::uint8_t>(1U << rng.below(8));
        break;
      case 1:
        input[at] = static_cast<std::uint8_t>(rng.below(256));
        break;
      case 2:
        input.resize(at);
        break;
      case 3:
        input.insert(input.begin() + at, static_cast<std::uint8_t>(rng.below(256)));
        break;
      default:  // goes on as another one
        input.resize(at);
        input.insert(input.end(), other.begin() + std::min<long>(at, std::ssize(other)),
                     other.end());
    }
  }
}

TEST(Corpus, HasNoFinding) {
  const std::vector<Input> all = corpus();
  ASSERT_FALSE(all.empty()) << WEIR_CORPORA;
  LLVMFuzzerTestOneInput(nullptr, 0);
  for (const Input& input : all) LLVMFuzzerTestOneInput(input.data(), input.size());
}

TEST(Corpus, NorHaveItsMutants) {
  const std::vector<Input> all = corpus();
  ASSERT_FALSE(all.empty()) << WEIR_CORPORA;
  Rng rng(1);
  const auto some = [&] { return all[rng.below(static_cast<std::uint32_t>(all.size()))]; };
  std::size_t octets = 0;
  for (unsigned i = 0; i < kMutants && octets < kOctets; ++i) {
    Input input = some();
    mutate(input, some(), rng);
    octets += input.size();
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
}

}  // namespace
}  // namespace weir::test

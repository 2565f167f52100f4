// libFuzzer: one stack, its users and its network, every frame and call a choice of the input. What
// is asserted stands in unit/stack/harness.h and random_frames.h.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>

#include "fuzz/choices.h"
#include "unit/stack/random_frames.h"

namespace {

constexpr unsigned kMostFrames = 4'000;  // of one input: it must not look like a hang

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  GTEST_FLAG_SET(break_on_failure, true);  // an EXPECT that fails is a finding
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  weir::test::Choices choices(data, size);
  weir::stack::test::RandomFrames<weir::test::Choices> life(choices);
  while (!choices.done() && life.frames < kMostFrames) life.step();
  life.end();
  return 0;
}

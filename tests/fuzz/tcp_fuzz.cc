// libFuzzer: one connection of lib/tcp from its handshake to its end, every event a choice of the
// input. What is asserted stands in script/random_life.h.
#include <cstddef>
#include <cstdint>

#include "fuzz/choices.h"
#include "script/random_life.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  weir::test::Choices choices(data, size);
  weir::test::RandomLife<weir::test::Choices> life(choices);
  while (!choices.done()) life.step();
  life.end();
  return 0;
}

// Duplicate ACKs (RFC 5681 §4.2): a sender without SACK counts them.
#include "script/script.h"

namespace weir::test {
namespace {

//= RFC5681 4.2-b type=test
TEST(DuplicateAcks, OneForEachEarlySegmentOfABurst) {
  Script s{Established{}};
  s.receives_burst({{.seq = 1'000, .len = 1'000},
                    {.seq = 2'000, .len = 1'000},
                    {.seq = 3'000, .len = 1'000},
                    {.seq = 4'000, .len = 1'000}});
  for (int i = 0; i < 4; ++i) s.sends({.seq = 0, .ack = 0, .len = 0, .flags = ACK});
  s.quiet().receives({.seq = 0, .len = 1'000}).sends({.ack = 5'000}).quiet();
}

TEST(DuplicateAcks, WhatAFilledHoleMadeMootIsNotSent) {
  Script s{Established{}};
  s.receives_burst({{.seq = 1'000, .len = 1'000},
                    {.seq = 0, .len = 1'000},
                    {.seq = 3'000, .len = 1'000},
                    {.seq = 4'000, .len = 1'000}});
  // One that tells of the progress, then the two duplicates.
  for (int i = 0; i < 3; ++i) s.sends({.ack = 2'000, .len = 0, .flags = ACK});
  s.quiet();
}

// As many as a batch takes: the rest is not owed for ever.
TEST(DuplicateAcks, NoMoreThanABatchTakes) {
  Script s{Established{}};
  std::vector<Peer> burst;
  for (std::uint32_t i = 1; i <= 100; ++i) burst.push_back({.seq = 200 * i, .len = 100});
  s.receives_burst(burst);
  EXPECT_EQ(s.pending(), 64U);
  s.skip().at(10s).quiet();
}

}  // namespace
}  // namespace weir::test

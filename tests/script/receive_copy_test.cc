// Receiving by copy: user_receive_copy and user_peek of lib/tcp/user_calls.cc. Reads need not end
// where buffers do, and the window opens as if whole buffers had been taken.
#include "script/script.h"

namespace weir::test {
namespace {

TEST(ReceiveCopy, ReadsEndAnywhere) {
  Script s{Established{}};
  s.receives({.len = 1'000, .chunk = 300}).app_copies(1, 999).app_copies(298, 701);
  s.app_copies(1, 700).app_copies(500, 200).app_copies(200, 0).app_copies(0, 0);
  s.at(40ms).sends({.ack = 1'000});
}

TEST(ReceiveCopy, TakesWhatThereIs) {
  Script s{Established{}};
  s.receives({.len = 700, .chunk = 300});
  s.app([](tcp::Tcb& t, Instant, tcp::Outbox& out) {
    std::array<std::byte, 900> into{};
    EXPECT_EQ(tcp::user_receive_copy(t, into, out), 700U);
    EXPECT_EQ(tcp::user_receive_copy(t, into, out), 0U);
  });
  s.at(40ms).sends({.ack = 700});
}

TEST(ReceiveCopy, PeekLeavesEverythingWhereItIs) {
  Script s{Established{}};
  s.receives({.len = 1'000, .chunk = 300})
      .app_peeks(0, 1'000)
      .app_peeks(299, 2)
      .app_peeks(600, 400);
  s.app_copies(350, 650).app_peeks(0, 650).app_peeks(649, 1).app_peeks(650, 0);
  s.app([](tcp::Tcb& t, Instant, tcp::Outbox&) {
    std::array<std::byte, 10> into{};
    EXPECT_EQ(tcp::user_peek(t, 645, into), 5U);
    EXPECT_EQ(tcp::user_peek(t, 5'000, into), 0U);
  });
  s.app_copies(650, 0).at(40ms).sends({.ack = 1'000});
}

// Text that follows lies behind what is left of a buffer.
TEST(ReceiveCopy, TextThatFollowsAPartlyReadBuffer) {
  Script s{Established{.rx_room = 500}};
  s.receives({.len = 200}).app_copies(150, 50).receives({.seq = 200, .len = 100});
  s.app_peeks(0, 150).app_copies(60, 90).receives({.seq = 300, .len = 1'000}).app_copies(1'090, 0);
  s.at(40ms).sends({.ack = 1'300});
}

// §3.8.6.2.2: the window that was closed is told of when a read has opened it by enough, and not by
// every read.
//= RFC9293 MUST-39 type=test
TEST(ReceiveCopy, WindowOpensWhenEnoughWasRead) {
  Script s{Established{.tune = [](tcp::Config& c) { c.rmem = c.rmem_default = 4'000; }}};
  for (std::uint32_t i = 0; i < 4; ++i) s.receives({.seq = 1'000 * i, .len = 1'000}).skip();
  s.at(100ms).skip();
  s.app_peeks(0, 4'000).quiet();  // what was only looked at opens nothing
  s.app_copies(999, 3'001).quiet();
  s.app_copies(1'000, 2'001).quiet().app_copies(1, 2'000).sends({.ack = 4'000, .wnd = 2'000});
  s.app_copies(2'000, 0).quiet();
}

TEST(ReceiveCopy, WhatUrgentTextIsLeft) {
  Script s{Established{}};
  s.receives({.len = 100, .flags = ACK | URG, .urgent = 60}).urgent(60, false);
  s.app_copies(20, 80).urgent(40, false).app_copies(40, 40).urgent(0, false);
  s.app_copies(40, 0).at(40ms).sends({.ack = 100});
}

// RFC 9293 §3.10.5: what came before the FIN may be read after it.
TEST(ReceiveCopy, AfterThePeersFin) {
  Script s{Established{}};
  s.receives({.len = 500, .flags = ACK | FIN}).at(40ms).sends({.ack = 501}).state(kCloseWait);
  s.app_copies(499, 1).quiet().app_copies(1, 0).quiet();
}

}  // namespace
}  // namespace weir::test

// The record of what one connection has of its own: lib/tcp/own.cc, where none is left, and what is
// derived from it.
#include "script/script.h"

namespace weir::test {
namespace {

// Every setter says so, and nothing changes.
TEST(Own, NoRecordLeft) {
  Script s{Established{}};
  s.app([](tcp::Tcb& t, Instant now, tcp::Outbox& out) {
    tcp::Owns none(0);
    tcp::Owns* const all = std::exchange(out.owns, &none);
    EXPECT_EQ(tcp::lend_own(t, out), nullptr);
    EXPECT_FALSE(tcp::user_configure(t, {.rcvbuf = 1}, now, out));
    EXPECT_FALSE(tcp::user_set_receive_buffer(t, 1, out));
    EXPECT_FALSE(tcp::user_set_send_buffer(t, 1, out));
    EXPECT_FALSE(tcp::user_set_window_clamp(t, 1, out));
    EXPECT_FALSE(tcp::user_set_notsent_lowat(t, 1, out));
    EXPECT_FALSE(tcp::user_set_mss(t, 1, out));
    EXPECT_FALSE(tcp::user_set_syn_retries(t, 1, out));
    EXPECT_FALSE(tcp::user_set_fin_timeout(t, 1s, out));
    EXPECT_FALSE(tcp::user_set_keepalive(t, {}, now, out));
    EXPECT_FALSE(tcp::user_set_timeout(t, 1s, out));
    EXPECT_FALSE(tcp::user_set_retries(t, 1, out));
    EXPECT_FALSE(tcp::user_set_linger(t, 1s, out));
    EXPECT_EQ(t.own, nullptr);
    EXPECT_EQ(t.rcv_buf, 131'072U);
    EXPECT_EQ(tcp::send_room(t), 262'144U);
    EXPECT_EQ(t.life_deadline, kNever);
    out.owns = nullptr;  // nobody lends any
    EXPECT_FALSE(tcp::user_set_mss(t, 1, out));
    out.owns = all;
  });
}

TEST(Own, OneRecordIsEnough) {
  Script s{Established{}};
  s.app([](tcp::Tcb& t, Instant, tcp::Outbox& out) {
    EXPECT_TRUE(tcp::user_set_retries(t, 3, out));
    const tcp::Own* const first = t.own;
    EXPECT_TRUE(tcp::user_set_send_buffer(t, 5'000, out));
    EXPECT_EQ(t.own, first);
    EXPECT_EQ(out.owns->size(), 1U);
    EXPECT_EQ(t.own->set.retries, 3);
    EXPECT_EQ(t.own->set.sndbuf, 5'000U);
    tcp::give_own(t, out);
    EXPECT_EQ(out.owns->size(), 0U);
    EXPECT_EQ(tcp::send_room(t), 262'144U);
  });
}

// What was offered stays offered, however small the buffer becomes (SHLD-14).
//= RFC9293 SHLD-14 type=test
TEST(Own, ABufferThatShrinksTakesNothingBack) {
  Script s{Established{}};
  s.app([](tcp::Tcb& t, Instant, tcp::Outbox& out) {
    EXPECT_TRUE(tcp::user_set_receive_buffer(t, 2'000, out));
    EXPECT_TRUE(tcp::user_set_window_clamp(t, 1'000, out));
  });
  s.receives({.len = 1'000}).receives({.seq = 1'000, .len = 1'000});
  s.sends({.ack = 2'000, .wnd = 63'000});
  s.receives({.seq = 64'000, .len = 1'000}).sends({.ack = 2'000});  // within what was offered
  s.app_reads(600).app_copies(1'400, 0);
}

TEST(Own, RenoKeepsHalfOfAWindowAndCubicMore) {
  for (const bool reno : {false, true}) {
    Script s{Established{}};
    tcp::user_set_congestion_control(
        s.tcb(), reno ? tcp::CongestionControl::kReno : tcp::CongestionControl::kCubic);
    s.app_send(10'000).skip().at(1s).skip().ssthresh(reno ? 5'000 : 7'000);
    s.receives({.ack = 10'000});
  }
}

TEST(Own, LowWaterMark) {
  Script s{Established{.wnd = 1'000}};
  s.app([](tcp::Tcb& t, Instant, tcp::Outbox& out) {
    EXPECT_TRUE(tcp::user_set_notsent_lowat(t, 600, out));
    EXPECT_EQ(tcp::send_room(t), 600U);
    t.set(tcp::kWantWritable);
  });
  s.app_send(1'400).skip().notices(0);  // 400 wait
  s.app([](tcp::Tcb& t, Instant, tcp::Outbox&) {
    EXPECT_EQ(tcp::send_room(t), 200U);
    EXPECT_EQ(tcp::unsent_octets(t), 400U);
  });
  s.receives({.ack = 1'000, .wnd = 0}).notices(0);  // acknowledged, and still 400 wait
  s.receives({.ack = 1'000, .wnd = 1'000}).skip().notices(tcp::kNoticeWritable);
  s.receives({.ack = 1'400});
}

}  // namespace
}  // namespace weir::test

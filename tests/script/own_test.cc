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

// -- Before the SYN
// ---------------------------------------------------------------------------------

// user_open was called, and nothing was sent.
struct Opening {
  explicit Opening(tcp::Config c = {}) : config(c), t(config) {
    out.counters = &counters;
    out.owns = &owns;
    tcp::user_open(t, {.iss = Seq{1'000}, .mtu = 1'500}, now);
  }
  Opening(const Opening&) = delete;
  Opening& operator=(const Opening&) = delete;
  ~Opening() { tcp::give_own(t, out); }
  tcp::TxSegment syn() {
    tcp::poll_transmit(t, now, out);
    const tcp::TxSegment s = out.tx.items()[0];
    out.tx.clear();
    return s;
  }
  tcp::Config config;
  tcp::Tcb t;
  telemetry::Counters counters;
  tcp::Owns owns{1};
  tcp::Outbox out;
  Instant now{1h};
};

TEST(Own, TheMssOfTheSyn) {
  Opening o;
  EXPECT_TRUE(tcp::user_set_mss(o.t, 20, o.out));  // Linux's least
  EXPECT_EQ(o.t.rcv_mss, 88);
  EXPECT_TRUE(tcp::user_set_mss(o.t, 5'000, o.out));  // the path's most
  EXPECT_EQ(o.t.rcv_mss, 1'460);
  EXPECT_TRUE(tcp::user_set_mss(o.t, 0, o.out));
  EXPECT_EQ(o.t.own->set.user_mss, 0);
  EXPECT_TRUE(tcp::user_set_mss(o.t, 1'000, o.out));
  EXPECT_EQ(o.t.own->set.user_mss, 1'000);
  EXPECT_EQ(o.t.mss, 1'000);
  EXPECT_EQ(o.syn().options.mss, 1'000);
  EXPECT_TRUE(tcp::user_set_mss(o.t, 500, o.out));  // the peer was told another
  EXPECT_EQ(o.t.rcv_mss, 1'000);
}

TEST(Own, TheWindowScaleOfTheSyn) {
  Opening o;
  EXPECT_TRUE(tcp::user_set_receive_buffer(o.t, 4'000'000, o.out));
  EXPECT_EQ(o.t.rcv_buf, 4'000'000U);
  EXPECT_FALSE(o.t.in_mode(tcp::kModerate));
  EXPECT_EQ(o.t.max_rcv_wnd, 0xffffU << 6U);
  const tcp::TxSegment syn = o.syn();
  EXPECT_EQ(syn.options.window_scale, 6);
  EXPECT_EQ(syn.wnd, 44 * 1'460);
  EXPECT_TRUE(tcp::user_set_receive_buffer(o.t, 0, o.out));  // grows again, from where it is
  EXPECT_TRUE(o.t.in_mode(tcp::kModerate));
  EXPECT_EQ(o.t.rcv_wscale, 6);
  Opening clamped;
  EXPECT_TRUE(tcp::user_set_window_clamp(clamped.t, 3'000, clamped.out));
  EXPECT_EQ(clamped.t.max_rcv_wnd, 3'000U);
  const tcp::TxSegment small = clamped.syn();
  EXPECT_EQ(small.options.window_scale, 0);
  EXPECT_EQ(small.wnd, 2 * 1'460);
}

TEST(Own, AClampAboveTheFieldIsNone) {
  Script s{Established{}};
  s.app([](tcp::Tcb& t, Instant, tcp::Outbox& out) {
    EXPECT_TRUE(tcp::user_set_window_clamp(t, 100'000, out));
    EXPECT_EQ(t.max_rcv_wnd, 65'535U);
    EXPECT_TRUE(tcp::user_set_window_clamp(t, 500, out));
    EXPECT_EQ(t.max_rcv_wnd, 500U);
    EXPECT_TRUE(tcp::user_set_window_clamp(t, 0, out));
    EXPECT_EQ(t.max_rcv_wnd, 65'535U);
  });
}

TEST(Own, WhatAListenerTellsOfItsWindow) {
  const tcp::Config c;  // rmem wants a scale of 3
  EXPECT_EQ(tcp::window_scale_of(c, nullptr), 3);
  const auto scale = [&c](const tcp::OwnSettings& own) { return tcp::window_scale_of(c, &own); };
  EXPECT_EQ(scale({}), 3);
  EXPECT_EQ(scale({.window_scale = 0}), 0);
  EXPECT_EQ(scale({.window_scale = 9}), 9);
  EXPECT_EQ(scale({.rcvbuf = 4'000'000}), 6);
  EXPECT_EQ(scale({.window_clamp = 1'000}), 0);
  EXPECT_EQ(scale({.rcvbuf = 100'000, .window_clamp = 4'000'000}), 1);
  tcp::Config field;
  field.rmem = 65'535;  // what the field holds without
  EXPECT_EQ(tcp::window_scale_of(field, nullptr), 0);
  field.rmem = 65'536;
  EXPECT_EQ(tcp::window_scale_of(field, nullptr), 1);
}

TEST(Own, LimitsOfWhatIsAskedFor) {
  EXPECT_EQ(tcp::within_limits({.user_mss = 20}).user_mss, 88);
  EXPECT_EQ(tcp::within_limits({.user_mss = 89}).user_mss, 89);
  EXPECT_EQ(tcp::within_limits({}).user_mss, 0);
  EXPECT_EQ(tcp::within_limits({.window_scale = 15}).window_scale, 14);
  EXPECT_EQ(tcp::within_limits({.window_scale = 3}).window_scale, 3);
  EXPECT_EQ(tcp::within_limits({}), tcp::OwnSettings{});
}

// The window of a SYN-ACK is in whole segments as its ACKs' text will be: without the timestamps.
TEST(Own, TheWindowOfASynAckIsInWholeSegments) {
  Script s{SynSent{.timestamps = true}};
  s.sends({.flags = SYN, .wnd = 44 * 1'460});
  s.receives({.flags = SYN, .ts = Ts{7, 0}, .mss = 1'460});
  s.sends({.flags = SYN | ACK, .wnd = 45 * 1'448}).app_abort().skip();
}

// -- Of a connection that is open
// -------------------------------------------------------------------

TEST(Own, EachSettingIsKept) {
  Script s{Established{}};
  s.app([](tcp::Tcb& t, Instant, tcp::Outbox& out) {
    EXPECT_TRUE(tcp::user_set_syn_retries(t, 3, out));
    EXPECT_TRUE(tcp::user_set_fin_timeout(t, 30s, out));
    EXPECT_TRUE(tcp::user_set_receive_buffer(t, 5'000, out));
    EXPECT_TRUE(tcp::user_set_send_buffer(t, 6'000, out));
    EXPECT_TRUE(tcp::user_set_window_clamp(t, 7'000, out));
    EXPECT_EQ(t.own->set.syn_retries, 3);
    EXPECT_EQ(t.own->set.fin_timeout_s, 30);
    EXPECT_EQ(t.own->set.rcvbuf, 5'000U);
    EXPECT_EQ(t.rcv_buf, 5'000U);
    EXPECT_EQ(t.own->set.sndbuf, 6'000U);
    EXPECT_EQ(t.own->set.window_clamp, 7'000U);
    EXPECT_TRUE(tcp::user_set_fin_timeout(t, 1ms, out));
    EXPECT_EQ(t.own->set.fin_timeout_s, 1);
    EXPECT_TRUE(tcp::user_set_fin_timeout(t, 121s, out));
    EXPECT_EQ(t.own->set.fin_timeout_s, 120);  // Linux's most
    EXPECT_TRUE(tcp::user_set_linger(t, 9'000h, out));
    EXPECT_EQ(t.own->set.linger_s, 0xfffe);
  });
}

TEST(Own, AllOfThemAtOnce) {
  constexpr auto kToReno = [](tcp::Config& c) {
    c.congestion_control = tcp::CongestionControl::kReno;
  };
  for (const bool reno : {false, true}) {
    Established e;
    if (reno) e.tune = kToReno;
    Script s{e};
    s.app([reno](tcp::Tcb& t, Instant now, tcp::Outbox& out) {
      EXPECT_TRUE(tcp::user_configure(t, {.rcvbuf = 5'000, .user_mss = 20}, now, out));
      EXPECT_EQ(t.own->set, (tcp::OwnSettings{.rcvbuf = 5'000, .user_mss = 88}));
      EXPECT_EQ(t.rcv_buf, 5'000U);
      EXPECT_EQ(t.in_mode(tcp::kReno), reno);  // as it was
      EXPECT_FALSE(t.has(tcp::kNoDelay));
      using enum tcp::OwnSettings::Algorithm;
      EXPECT_TRUE(
          tcp::user_configure(t, {.congestion_control = kReno, .no_delay = true}, now, out));
      EXPECT_TRUE(t.in_mode(tcp::kReno));
      EXPECT_TRUE(t.has(tcp::kNoDelay));
      EXPECT_TRUE(tcp::user_configure(t, {.congestion_control = kCubic}, now, out));
      EXPECT_FALSE(t.in_mode(tcp::kReno));
    });
  }
}

// What one algorithm has learned means nothing to the other; the same one again changes nothing.
TEST(Own, AnotherAlgorithmBeginsAnew) {
  Script s{Established{}};
  using enum tcp::CongestionControl;
  s.tcb().cubic.w_max = 7;
  s.tcb().cwnd_acked = 500;
  tcp::user_set_congestion_control(s.tcb(), kCubic);
  EXPECT_EQ(s.tcb().cubic.w_max, 7U);
  EXPECT_EQ(s.tcb().cwnd_acked, 500U);
  tcp::user_set_congestion_control(s.tcb(), kReno);
  EXPECT_EQ(s.tcb().cubic.w_max, 0U);
  EXPECT_EQ(s.tcb().cwnd_acked, 0U);
}

// Told when less than half of the mark waits, the mark's half rounded up.
TEST(Own, LowWaterMarkIsReachedBelowHalfOfIt) {
  for (const auto& [mark, waits, told] :
       {std::tuple{600U, 300U, false}, std::tuple{600U, 299U, true}, std::tuple{601U, 300U, true},
        std::tuple{601U, 301U, false}, std::tuple{1U, 1U, false}, std::tuple{1U, 0U, true}}) {
    Script s{Established{.wnd = 1'000}};
    s.app([mark = mark](tcp::Tcb& t, Instant, tcp::Outbox& out) {
      EXPECT_TRUE(tcp::user_set_notsent_lowat(t, mark, out));
      t.set(tcp::kWantWritable);
    });
    s.app_send(1'000 + waits).skip().notices(told ? tcp::kNoticeWritable : 0);
    s.app([](tcp::Tcb& t, Instant, tcp::Outbox& out) {
      EXPECT_TRUE(tcp::user_set_notsent_lowat(t, 0, out));  // as it was: the send buffer alone
      EXPECT_GT(tcp::send_room(t), 200'000U);
    });
    s.app_abort().skip();
  }
}

// Linux's TCP_LINGER2 below zero: no FIN-WAIT-2, and the peer learns.
TEST(Own, WithoutFinWait2ThePeerIsReset) {
  Script s{Established{}};
  s.app([](tcp::Tcb& t, Instant, tcp::Outbox& out) {
    EXPECT_TRUE(tcp::user_set_fin_timeout(t, -1s, out));
  });
  s.app_close().sends({.flags = ACK | FIN}).receives({.ack = 1});
  s.sends({.seq = 1, .flags = RST | ACK}).closed(CloseReason::kNormal);
}

}  // namespace
}  // namespace weir::test

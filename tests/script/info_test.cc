// What is told of one connection: lib/tcp/info.cc and statistics.cc, each field by something that
// moves it. The names are those of Linux's struct tcp_info.
#include "script/script.h"

namespace weir::test {
namespace {

using tcp::CaState;
using tcp::Info;

Script& five_segments(Script& s) {
  return s.app_send(5'000).skip();
}

// -- What the handshake settled -----------------------------------------------------------------

TEST(Info, Options) {
  Script s{Established{.ts = Ts{1, 0}, .wscale = 4, .sack = true, .ecn = true, .counted = true}};
  Info i = s.info();
  EXPECT_EQ(i.state, kEstablished);
  EXPECT_EQ(i.options, tcp::kInfoTimestamps | tcp::kInfoSack | tcp::kInfoScaling | tcp::kInfoEcn);
  EXPECT_EQ(i.snd_wscale, 4);
  EXPECT_EQ(i.rcv_wscale, 3);
  s.receives({.len = 10, .ts = Ts{1, 0}, .tos = kEct0}).at(40ms).skip().app_reads(10);
  EXPECT_TRUE((s.info().options & tcp::kInfoEcnSeen) != 0);

  Script plain{Established{}};
  i = plain.info();
  EXPECT_EQ(i.options, 0);
  EXPECT_EQ(i.snd_wscale, 0);
  EXPECT_EQ(i.rcv_wscale, 0);
}

TEST(Info, SizesOfSegments) {
  Script s{Established{.ts = Ts{1, 0}}};
  EXPECT_EQ(s.info().snd_mss, 1'000U);
  EXPECT_EQ(s.info().advmss, 1'012U);
  EXPECT_EQ(s.info().pmtu, 1'052U);
  EXPECT_EQ(s.info().rcv_mss, 536U);
  s.receives({.len = 700, .ts = Ts{1, 0}}).at(40ms).skip().app_reads(600).app_copies(100, 0);
  EXPECT_EQ(s.info().rcv_mss, 700U);
  Script six{Established{.ipv6 = true}};
  EXPECT_EQ(six.info().pmtu, 1'060U);
}

// -- Times ---------------------------------------------------------------------------------------

TEST(Info, RoundTripTimes) {
  Script s{Established{.sack = true, .counted = true}};
  EXPECT_EQ(s.info().rtt, Duration::zero());
  EXPECT_EQ(s.info().rto, Duration(1s));
  EXPECT_FALSE(s.info().min_rtt);
  s.app_send(100).skip().at(50ms).receives({.ack = 100});
  EXPECT_EQ(s.info().rtt, Duration(50ms));
  EXPECT_EQ(s.info().rttvar, Duration(25ms));
  EXPECT_EQ(s.info().min_rtt, Duration(50ms));
  EXPECT_EQ(s.info().rto, Duration(250ms));
  s.app_send(100).skip().at(130ms).receives({.ack = 200});
  EXPECT_GT(s.info().rtt, Duration(50ms));
  EXPECT_EQ(s.info().min_rtt, Duration(50ms));
}

TEST(Info, MinRttWithoutSackIsOfAllSamples) {
  Script s{Established{.counted = true}};
  s.app_send(100).skip().at(80ms).receives({.ack = 100});
  s.app_send(100).skip().at(110ms).receives({.ack = 200});
  s.app_send(100).skip().at(200ms).receives({.ack = 300});
  EXPECT_EQ(s.info().min_rtt, Duration(30ms));
}

TEST(Info, HowLongAgo) {
  Script s{Established{.counted = true}};
  s.at(10ms).app_send(100).skip();
  s.at(25ms).receives({.ack = 100, .len = 50}).at(65ms).skip().app_reads(50);
  s.at(100ms);
  EXPECT_EQ(s.info().last_data_sent, Duration(90ms));
  EXPECT_EQ(s.info().last_data_recv, Duration(75ms));
  EXPECT_EQ(s.info().last_ack_recv, Duration(75ms));
  s.receives({.seq = 50, .ack = 100}).at(110ms);
  EXPECT_EQ(s.info().last_data_recv, Duration(85ms));
  EXPECT_EQ(s.info().last_ack_recv, Duration(10ms));
}

TEST(Info, AtoIsSetByText) {
  Script s{Established{}};
  EXPECT_EQ(s.info().ato, Duration::zero());
  s.receives({.len = 10}).at(40ms).skip().app_reads(10);
  EXPECT_EQ(s.info().ato, Duration(40ms));
}

// -- What is in flight, and how it fares
// --------------------------------------------------------------

// A tail loss probe only asks: its segment is not taken for lost (Linux's lost_out).
TEST(Info, ATailProbeIsSentAgainAndNotLost) {
  Script s{Established{.sack = true, .counted = true}};
  s.app_send(1'000).skip().at(50ms).receives({.ack = 1'000});
  s.app_send(1'000).skip().next_timer(300ms).at(300ms).sends({.seq = 1'000, .len = 1'000});
  EXPECT_EQ(s.info().retrans, 1U);
  EXPECT_EQ(s.info().lost, 0U);
}

TEST(Info, InFlightWithSack) {
  Script s{Established{.sack = true, .counted = true}};
  five_segments(s);
  EXPECT_EQ(s.info().unacked, 5U);
  EXPECT_EQ(s.info().ca_state, CaState::kOpen);
  s.at(10ms).receives({.ack = 0, .sack = {{1'000, 2'000}}}).quiet();
  EXPECT_EQ(s.info().sacked, 1U);
  EXPECT_EQ(s.info().lost, 0U);
  EXPECT_EQ(s.info().ca_state, CaState::kDisorder);
  EXPECT_EQ(s.info().snd_cwnd, 10U);
  s.receives({.ack = 0, .sack = {{1'000, 4'000}}}).sends({.seq = 0, .len = 1'000});
  const Info i = s.info();
  EXPECT_EQ(i.unacked, 5U);
  EXPECT_EQ(i.sacked, 3U);
  EXPECT_EQ(i.lost, 1U);  // it went again, and nobody knows yet whether it came
  EXPECT_EQ(i.retrans, 1U);
  EXPECT_EQ(i.ca_state, CaState::kRecovery);
  EXPECT_EQ(i.total_retrans, 1U);
  EXPECT_EQ(i.bytes_retrans, 1'000U);
  EXPECT_EQ(i.bytes_sent, 6'000U);
  EXPECT_LT(i.snd_ssthresh, 10U);
  EXPECT_EQ(i.delivered, 1U + 3U);
  s.at(20ms).receives({.ack = 5'000}).quiet();
  EXPECT_EQ(s.info().ca_state, CaState::kOpen);
  EXPECT_EQ(s.info().unacked, 0U);
  EXPECT_EQ(s.info().delivered, 1U + 5U);
}

// A time-out of three segments: what is lost waits for cwnd.
TEST(Info, LossByTimeOut) {
  Script s{Established{
      .sack = true, .counted = true, .tune = [](tcp::Config& c) { c.recovery = false; }}};
  s.app_send(3'000).skip().at(1s).sends({.seq = 0, .len = 1'000});
  Info i = s.info();
  EXPECT_EQ(i.ca_state, CaState::kLoss);
  EXPECT_EQ(i.unacked, 3U);
  EXPECT_EQ(i.retrans, 1U);
  EXPECT_EQ(i.lost, 2U);
  EXPECT_EQ(i.retransmits, 1);
  EXPECT_EQ(i.backoff, 1);
  EXPECT_EQ(i.rto, Duration(2s));
  EXPECT_EQ(i.snd_cwnd, 1U);
  EXPECT_EQ(i.total_rto, 1);
  EXPECT_EQ(i.total_rto_recoveries, 1);
  s.at(3s).sends({.seq = 0, .len = 1'000}).at(3'500ms);
  EXPECT_EQ(s.info().total_rto, 2);
  EXPECT_EQ(s.info().total_rto_recoveries, 1);
  EXPECT_EQ(s.info().total_rto_time, Duration(2'500ms));
  EXPECT_EQ(s.info().total_retrans, 2U);
  s.at(4s).receives({.ack = 3'000}).at(9s);
  i = s.info();
  EXPECT_EQ(i.ca_state, CaState::kOpen);
  EXPECT_EQ(i.total_rto_time, Duration(3s));
  EXPECT_EQ(i.retransmits, 0);
  EXPECT_EQ(i.delivered, 1U + 3U);  // of octets, as nothing tells of segments
}

TEST(Info, DuplicateAcksWithoutSack) {
  Script s{Established{}};
  five_segments(s).receives({.ack = 0}).quiet();
  EXPECT_EQ(s.info().ca_state, CaState::kDisorder);
  EXPECT_EQ(s.info().sacked, 1U);
  s.receives({.ack = 0}).receives({.ack = 0}).sends({.seq = 0});
  EXPECT_EQ(s.info().ca_state, CaState::kRecovery);
  EXPECT_EQ(s.info().unacked, 5U);
  s.receives({.ack = 5'000}).skip();
  EXPECT_EQ(s.info().ca_state, CaState::kOpen);
}

// Duplicate ACKs that come after a time-out are for what counts as lost already.
TEST(Info, NoSegmentCountsTwice) {
  Script s{Established{}};
  s.app_send(3'000).skip().at(1s).sends({.seq = 0});
  for (int k = 0; k < 4; ++k) s.receives({.ack = 0}).skip();
  const Info i = s.info();
  EXPECT_EQ(i.unacked, 3U);
  EXPECT_EQ(i.lost, 2U);
  EXPECT_LE(i.sacked, 1U);
  s.receives({.ack = 3'000});
}

//= RFC3168 6.1.2-a type=test
TEST(Info, WindowCutForAnEcho) {
  Script s{Established{.ecn = true, .counted = true}};
  five_segments(s).at(10ms).receives({.ack = 2'000, .flags = ACK | ECE}).skip();
  const Info i = s.info();
  EXPECT_EQ(i.ca_state, CaState::kCwr);
  EXPECT_EQ(i.delivered_ce, 2U);
  EXPECT_EQ(i.delivered, 3U);
  s.receives({.ack = 5'000}).skip();
  EXPECT_EQ(s.info().ca_state, CaState::kOpen);
  EXPECT_EQ(s.info().delivered_ce, 2U);
}

TEST(Info, ProbesOfAClosedWindow) {
  Script s{Established{.wnd = 0, .counted = true}};
  s.app_send(100).quiet();
  EXPECT_EQ(s.info().notsent_bytes, 100U);
  s.at(1s).sends({.len = 1}).at(3s).sends({.len = 1});
  const Info i = s.info();
  EXPECT_EQ(i.probes, 2);
  EXPECT_EQ(i.backoff, 2);
  EXPECT_EQ(i.retransmits, 0);
  EXPECT_EQ(i.snd_wnd, 0U);
  s.receives({.ack = 1, .wnd = 1'000}).skip();
  EXPECT_EQ(s.info().probes, 0);
  EXPECT_EQ(s.info().snd_wnd, 1'000U);
  s.receives({.ack = 100});
}

TEST(Info, ProbesOfAnIdlePeer) {
  Script s{Established{.tune = [](tcp::Config& c) {
    c.keepalive = true;
    c.keepalive_time = 10s;
  }}};
  s.at(10s).skip();
  EXPECT_EQ(s.info().probes, 1);
  s.receives({}).quiet();
  EXPECT_EQ(s.info().probes, 0);
}

TEST(Info, SynThatIsNotAnswered) {
  Script s{SynSent{.counted = true}};
  s.skip().at(1s).skip();
  Info i = s.info();
  EXPECT_EQ(i.state, kSynSent);
  EXPECT_EQ(i.unacked, 1U);
  EXPECT_EQ(i.retransmits, 1);
  EXPECT_EQ(i.total_rto, 1);
  EXPECT_EQ(i.total_retrans, 1U);
  EXPECT_EQ(i.segs_out, 2U);
  s.at(1'200ms).receives({.seq = 0, .ack = 1, .flags = SYN | ACK, .mss = 1'460}).skip();
  i = s.info();
  EXPECT_EQ(i.total_rto_time, Duration(200ms));
  EXPECT_EQ(i.bytes_acked, 1U);  // the SYN, as Linux has it
  EXPECT_EQ(i.bytes_received, 0U);
  EXPECT_EQ(i.delivered, 1U);
  EXPECT_EQ(i.segs_in, 1U);
  EXPECT_EQ(i.unacked, 0U);
}

// -- Counts --------------------------------------------------------------------------------------

TEST(Info, SegmentsAndOctets) {
  Script s{Established{.counted = true}};
  Info i = s.info();
  EXPECT_EQ(i.segs_in, 1U);  // the last of the handshake
  EXPECT_EQ(i.bytes_acked, 0U);
  s.app_send(2'500).skip().receives({.ack = 1'500, .len = 300}).at(40ms).skip().app_reads(300);
  i = s.info();
  EXPECT_EQ(i.data_segs_out, 3U);
  EXPECT_EQ(i.segs_out, 4U);
  EXPECT_EQ(i.bytes_sent, 2'500U);
  EXPECT_EQ(i.bytes_acked, 1'500U);
  EXPECT_EQ(i.bytes_received, 300U);
  EXPECT_EQ(i.segs_in, 2U);
  EXPECT_EQ(i.data_segs_in, 1U);
  EXPECT_EQ(i.total_retrans, 0U);
  s.app_shutdown().skip().receives({.seq = 300, .ack = 2'501, .flags = ACK | FIN}).skip();
  i = s.info();
  EXPECT_EQ(i.bytes_acked, 2'501U);
  EXPECT_EQ(i.bytes_received, 301U);
  EXPECT_EQ(i.segs_in, 3U);
  EXPECT_EQ(i.data_segs_in, 1U);
}

TEST(Info, WithoutARecordNothingIsCounted) {
  Script s{Established{}};
  s.app_send(2'500).skip().receives({.ack = 2'500, .len = 300}).at(40ms).skip().app_reads(300);
  const Info i = s.info();
  EXPECT_EQ(i.segs_in + i.segs_out + i.delivered + i.total_retrans, 0U);
  EXPECT_EQ(i.bytes_acked + i.bytes_received + i.bytes_sent, 0U);
  EXPECT_EQ(i.snd_mss, 1'000U);
}

// Lent in the middle: counts what comes, and nothing of before.
TEST(Info, CountsBeginWithTheRecord) {
  Script s{Established{}};
  s.app_send(1'000).skip().receives({.ack = 1'000, .len = 100}).at(40ms).skip().app_reads(100);
  s.app([](tcp::Tcb& t, Instant, tcp::Outbox& out) { tcp::user_set_retries(t, 9, out); });
  s.app_send(500).skip().receives({.seq = 100, .ack = 1'500, .len = 30});
  s.at(80ms).skip().app_reads(30);
  const Info i = s.info();
  EXPECT_EQ(i.bytes_acked, 500U);
  EXPECT_EQ(i.bytes_received, 30U);
  EXPECT_EQ(i.bytes_sent, 500U);
  EXPECT_EQ(i.total_retrans, 0U);
  EXPECT_EQ(i.last_data_recv, Duration(40ms));
}

TEST(Info, WhatCameOutOfOrderAndTwice) {
  Script s{Established{.sack = true, .counted = true}};
  s.receives({.seq = 1'000, .len = 500}).skip().receives({.seq = 1'500, .len = 500}).skip();
  EXPECT_EQ(s.info().rcv_ooopack, 2U);
  EXPECT_EQ(s.info().bytes_received, 0U);
  s.receives({.seq = 0, .len = 1'000}).skip().app_reads(2'000);
  EXPECT_EQ(s.info().rcv_ooopack, 2U);
  EXPECT_EQ(s.info().bytes_received, 2'000U);
  EXPECT_EQ(s.info().data_segs_in, 3U);
  five_segments(s).at(10ms).receives({.seq = 2'000, .ack = 5'000}).skip();
  s.receives({.seq = 2'000, .ack = 5'000, .sack = {{0, 1'000}}});  // long after the log ended
  EXPECT_EQ(s.info().dsack_dups, 1U);
}

TEST(Info, ReorderingThatWasSeen) {
  Script s{Established{.sack = true, .counted = true}};
  five_segments(s).at(10ms);
  s.receives({.ack = 0, .sack = {{4'000, 5'000}}}).skip();
  EXPECT_EQ(s.info().reord_seen, 0U);
  EXPECT_EQ(s.info().reordering, 3U);
  s.receives({.ack = 1'000, .sack = {{4'000, 5'000}}}).skip();  // overtaken by all of them
  EXPECT_EQ(s.info().reord_seen, 1U);
  EXPECT_EQ(s.info().reordering, 5U);
  s.receives({.ack = 5'000}).skip();
}

// -- What held the sender back --------------------------------------------------------------------

TEST(Info, BusyWhileTextWaitsForItsAck) {
  Script s{Established{.counted = true}};
  s.at(100ms).app_send(1'000).skip().at(130ms);
  EXPECT_EQ(s.info().busy_time, Duration(30ms));
  s.receives({.ack = 1'000}).at(500ms);
  EXPECT_EQ(s.info().busy_time, Duration(30ms));
  EXPECT_EQ(s.info().rwnd_limited, Duration::zero());
  EXPECT_EQ(s.info().sndbuf_limited, Duration::zero());
}

TEST(Info, LimitedByThePeersWindow) {
  Script s{Established{.wnd = 2'000, .counted = true}};
  s.app_send(3'000).skip().at(50ms);
  EXPECT_EQ(s.info().rwnd_limited, Duration(50ms));
  s.receives({.ack = 2'000, .wnd = 2'000}).skip().at(80ms);
  EXPECT_EQ(s.info().rwnd_limited, Duration(50ms));
  EXPECT_EQ(s.info().busy_time, Duration(80ms));
  s.receives({.ack = 3'000});
}

// More than cwnd lets go is the path's fault, however small the window.
TEST(Info, NotLimitedByAWindowThatCwndDoesNotFill) {
  Script s{Established{.wnd = 10'500, .counted = true}};
  s.app_send(20'000).skip().at(50ms);
  EXPECT_EQ(s.info().rwnd_limited, Duration::zero());
  EXPECT_EQ(s.info().busy_time, Duration(50ms));
  s.receives({.ack = 10'000, .wnd = 10'500}).skip().receives({.ack = 20'000}).skip();
}

TEST(Info, LimitedByTheSendBuffer) {
  Script s{Established{.counted = true, .tune = [](tcp::Config& c) { c.wmem = 3'000; }}};
  s.app_send(3'000).skip();
  s.app([](tcp::Tcb& t, Instant, tcp::Outbox&) { t.set(tcp::kWantWritable); }).at(40ms);
  EXPECT_EQ(s.info().sndbuf_limited, Duration(40ms));
  s.receives({.ack = 2'000}).notices(tcp::kNoticeWritable).at(70ms);
  EXPECT_EQ(s.info().sndbuf_limited, Duration(40ms));
  EXPECT_EQ(s.info().busy_time, Duration(70ms));
  s.receives({.ack = 3'000});
}

TEST(Info, NothingIsBusyAfterTheEnd) {
  Script s{Established{.counted = true}};
  s.app_send(1'000).skip().at(30ms).receives({.flags = RST | ACK}).at(9s);
  EXPECT_EQ(s.info().busy_time, Duration(30ms));
  EXPECT_EQ(s.info().state, kClosed);
}

// -- Rates ---------------------------------------------------------------------------------------

TEST(Info, DeliveryRateOfAFlight) {
  Script s{Established{.counted = true}};
  s.app_send(20'000).skip();
  EXPECT_EQ(s.info().delivery_rate, 0U);
  s.at(50ms).receives({.ack = 5'000}).skip();
  EXPECT_EQ(s.info().delivery_rate, 0U);  // the flight is not whole
  s.at(100ms).receives({.ack = 10'000}).skip();
  EXPECT_EQ(s.info().delivery_rate, 100'000U);  // 10 segments in 100 ms
  EXPECT_FALSE(s.info().delivery_rate_app_limited);
  s.receives({.ack = 20'000}).skip();
}

// One that had no more to send does not lower what is known, and says so when it raises it.
TEST(Info, DeliveryRateOfAStarvedSender) {
  Script s{Established{.counted = true}};
  s.app_send(2'000).skip().at(100ms).receives({.ack = 2'000});
  EXPECT_EQ(s.info().delivery_rate, 20'000U);
  EXPECT_TRUE(s.info().delivery_rate_app_limited);
  s.app_send(1'000).skip().at(200ms).receives({.ack = 3'000});
  EXPECT_EQ(s.info().delivery_rate, 20'000U);
  s.app_send(1'000).skip().at(210ms).receives({.ack = 4'000});
  EXPECT_EQ(s.info().delivery_rate, 100'000U);
}

TEST(Info, DeliveryRateCountsWhatIsSacked) {
  Script s{Established{.sack = true, .counted = true}};
  s.app_send(20'000).skip().at(100ms);
  s.receives({.ack = 0, .sack = {{1'000, 10'000}}}).skip();
  s.at(200ms).receives({.ack = 10'000}).skip();
  EXPECT_EQ(s.info().delivery_rate, 50'000U);
  s.app_abort().skip();
}

TEST(Info, PacingRate) {
  Script s{Established{}};
  EXPECT_EQ(s.info().pacing_rate, Info::kUnlimited);
  EXPECT_EQ(s.info().max_pacing_rate, Info::kUnlimited);
  tcp::user_pace(s.tcb(), 100'000);
  EXPECT_EQ(s.info().max_pacing_rate, 100'000U);
  EXPECT_EQ(s.info().pacing_rate, 100'000U);
  Script t{Established{.tune = [](tcp::Config& c) { c.pacing = true; }}};
  EXPECT_EQ(t.info().pacing_rate, Info::kUnlimited);  // no round trip is known
  t.app_send(100).skip().at(100ms).receives({.ack = 100});
  EXPECT_EQ(t.info().pacing_rate, 2U * t.info().snd_cwnd * 1'000 * 10);
}

// -- Receiving ------------------------------------------------------------------------------------

TEST(Info, ReceiveWindowAndBuffer) {
  Script s{Established{.tune = [](tcp::Config& c) { c.rmem = 4'000; }}};
  EXPECT_EQ(s.info().rcv_wnd, 4'000U);
  EXPECT_EQ(s.info().rcv_ssthresh, 4'000U);
  EXPECT_EQ(s.info().rcv_space, 10'000U);
  s.receives({.len = 1'000}).at(40ms).skip();
  EXPECT_EQ(s.info().rcv_wnd, 3'000U);
  s.app_reads(600).app_copies(400, 0).skip();
}

TEST(Info, RoundTripOfTheReceiver) {
  Script s{Established{.ts = Ts{1, 0}}};
  EXPECT_EQ(s.info().rcv_rtt, Duration::zero());
  s.at(30ms).receives({.len = 1'000, .ts = Ts{2, 1}}).at(70ms).skip().app_reads(600);
  EXPECT_EQ(s.info().rcv_rtt, Duration(29ms));
  s.app_copies(400, 0);
}

// -- Edges of what is counted
// ------------------------------------------------------------------------

// Since it was established, as long as no text went or came.
TEST(Info, BeforeTheFirstText) {
  Script s{SynSent{.counted = true}};
  s.skip().at(1s).skip();
  s.at(1'100ms).receives({.ack = 1, .flags = SYN | ACK, .mss = 1'460}).skip().at(1'300ms);
  EXPECT_EQ(s.info().last_data_sent, Duration(200ms));
  EXPECT_EQ(s.info().last_data_recv, Duration(200ms));
  EXPECT_EQ(s.info().busy_time, Duration(0ms));
  EXPECT_EQ(s.info().total_rto_time, Duration(100ms));
}

// A duplicate ACK answers no time-out.
TEST(Info, ATimeOutLastsUntilSomethingNewIsAcknowledged) {
  Script s{Established{.counted = true}};
  s.app_send(3'000).skip().at(1s).sends({.seq = 0}).at(1'400ms).receives({}).skip();
  s.at(1'500ms).receives({.ack = 1'000}).skip().at(1'900ms);
  EXPECT_EQ(s.info().total_rto_time, Duration(500ms));
  s.receives({.ack = 3'000}).skip();
}

// What a port merges or cuts counts as the segments that it was, or will be.
TEST(Info, SegmentsOfAPortThatMergesAndCuts) {
  for (const auto& [octets, segments] :
       {std::pair{999U, 1U}, std::pair{1'000U, 1U}, std::pair{1'001U, 2U}, std::pair{2'000U, 2U},
        std::pair{2'500U, 3U}}) {
    Script s{Established{.counted = true}};
    s.receives({.len = octets}).runs_until(1s);
    EXPECT_EQ(s.info().data_segs_in, segments) << octets;
    tcp::Own own;
    tcp::TxSegment out;
    out.seq = Seq{1};
    out.len = octets;
    out.mss = 1'000;
    tcp::count_sent(own, out);
    EXPECT_EQ(own.stats.data_segs_out, segments) << octets;
    out.mss = 0;  // nobody cuts it
    tcp::count_sent(own, out);
    EXPECT_EQ(own.stats.data_segs_out, segments + 1) << octets;
    s.app_copies(octets, 0);
  }
}

// cwnd is asked first, and has room for one segment: it is the window that holds the rest.
TEST(Info, LimitedByAWindowOneSegmentBelowCwnd) {
  Script s{Established{.wnd = 9'000, .counted = true}};
  s.app_send(20'000).skip().at(40ms);
  EXPECT_EQ(s.info().rwnd_limited, Duration(40ms));
  s.app_abort().skip();
}

// What waits would fit into the window: something else holds it.
TEST(Info, NotLimitedByAWindowThatHoldsWhatWaits) {
  for (const std::uint32_t wnd : {1'499U, 1'500U, 1'700U}) {
    Script s{Established{.wnd = wnd, .counted = true}};
    s.app_cork(true).app_send(1'500).skip().at(40ms);
    EXPECT_EQ(s.info().rwnd_limited > Duration(0ms), wnd == 1'499) << wnd;
    s.app_abort().skip();
  }
}

// A sample begins where something is sent, not where one has ended.
TEST(Info, DeliveryRateOfWhatIsSentBetweenSamples) {
  Script s{Established{.counted = true}};
  s.app_send(5'000).skip().at(50ms).app_send(5'000).skip();
  s.at(100ms).receives({.ack = 5'000}).skip();
  EXPECT_EQ(s.info().delivery_rate, 50'000U);
  s.at(150ms).receives({.ack = 10'000}).skip();
  EXPECT_EQ(s.info().delivery_rate, 50'000U);
}

// Who fills cwnd to its last octet is not starved, nor who waits for the peer's window.
TEST(Info, NotStarvedWhereSomethingElseHoldsItBack) {
  Script full{Established{.counted = true}};
  full.app_send(10'000).skip().at(100ms).receives({.ack = 10'000});
  EXPECT_EQ(full.info().delivery_rate, 100'000U);
  EXPECT_FALSE(full.info().delivery_rate_app_limited);
  Script small{Established{.wnd = 5'000, .counted = true}};
  small.app_send(20'000).skip().at(100ms).receives({.ack = 5'000, .wnd = 5'000}).skip();
  EXPECT_EQ(small.info().delivery_rate, 50'000U);
  EXPECT_FALSE(small.info().delivery_rate_app_limited);
  small.app_abort().skip();
}

// An answer within a microsecond is a rate without end, and none.
TEST(Info, DeliveryRateOfNoTimeIsNone) {
  Script s{Established{.counted = true}};
  s.app_send(2'000).skip().at(100ms).receives({.ack = 2'000});
  s.app_send(5'000).skip().receives({.ack = 7'000});
  EXPECT_EQ(s.info().delivery_rate, 20'000U);
}

TEST(Info, PacingRateNeedsARoundTripAndASetting) {
  Script fast{Established{.tune = [](tcp::Config& c) { c.pacing = true; }}};
  fast.app_send(100).skip().receives({.ack = 100});  // in no time at all
  EXPECT_EQ(fast.info().pacing_rate, Info::kUnlimited);
  Script off{Established{}};
  off.app_send(100).skip().at(100ms).receives({.ack = 100});
  EXPECT_EQ(off.info().pacing_rate, Info::kUnlimited);
}

}  // namespace
}  // namespace weir::test

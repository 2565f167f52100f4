// Sending text: lib/tcp/output.cc (RFC 9293 §3.7, §3.8.6.2.1), without loss.
#include "script/script.h"

namespace weir::test {
namespace {

// §3.7: full segments, and PSH where the queue ends.
//= RFC9293 MUST-60 type=test
//= RFC9293 MUST-61 type=test
//= RFC9293 SHLD-27 type=test
//= RFC9293 SHLD-28 type=test
TEST(Output, TextGoesInFullSegments) {
  Script s{Established{}};
  s.app_send(2'500)
      .sends({.seq = 0, .ack = 0, .len = 1'000, .flags = ACK})
      .sends({.seq = 1'000, .ack = 0, .len = 1'000, .flags = ACK})
      .sends({.seq = 2'000, .ack = 0, .len = 500, .flags = ACK | PSH});
  s.receives({.ack = 2'500});
}

TEST(Output, BuffersAndSegmentsNeedNotMatch) {
  for (const std::uint32_t chunk : {1U, 7U, 999U, 1'000U, 1'001U, 4'000U}) {
    Script s{Established{}};
    s.app_send(4'000, chunk);
    for (const std::uint32_t at : {0U, 1'000U, 2'000U}) s.sends({.seq = at, .len = 1'000});
    s.sends({.seq = 3'000, .len = 1'000, .flags = ACK | PSH});
    s.receives({.ack = 1'500}).receives({.ack = 4'000});
  }
}

// A peer that waits for PSH within a write longer than its window (MUST-60); where Linux has it:
// its buffers of whole segments reach half the largest window, the second ends beyond that half.
//= RFC9293 MUST-60 type=test
TEST(Output, PushWithinALongWriteAtWhatEndsBeyondHalfTheWindow) {
  Script s{Established{.wnd = 5'100}};
  s.app_send(4'500);  // buffers of 2'000: PSH at 4'000
  for (const std::uint32_t at : {0U, 1'000U, 2'000U}) {
    s.sends({.seq = at, .len = 1'000, .flags = ACK});
  }
  s.sends({.seq = 3'000, .len = 1'000, .flags = ACK | PSH});
  s.sends({.seq = 4'000, .len = 500, .flags = ACK | PSH});
  s.receives({.ack = 4'500, .wnd = 5'100}).app_send(3'500);  // counted from the last PSH
  for (const std::uint32_t at : {4'500U, 5'500U, 6'500U}) {
    s.sends({.seq = at, .len = 1'000, .flags = ACK});
  }
  s.sends({.seq = 7'500, .len = 500, .flags = ACK | PSH});
  s.receives({.ack = 8'000, .wnd = 5'100});
}

TEST(Output, PushWithinALongWriteToATinyWindow) {
  Script s{Established{.wnd = 1'000}};
  s.app_send(1'500).sends({.seq = 0, .len = 1'000, .flags = ACK | PSH});
  s.receives({.ack = 1'000, .wnd = 1'000}).sends({.seq = 1'000, .len = 500, .flags = ACK | PSH});
  s.receives({.ack = 1'500});
}

// What was sent with PSH goes again with it, though more was written since.
//= RFC9293 MUST-60 type=test
TEST(Output, PushGoesAgainWithItsSegment) {
  Script s{Established{.sack = true}};
  s.app_send(1'500).sends({.len = 1'000, .flags = ACK});
  s.sends({.seq = 1'000, .len = 500, .flags = ACK | PSH});
  s.app_send(3'000)
      .sends({.seq = 1'500})
      .sends({.seq = 2'500})
      .sends({.seq = 3'500, .flags = ACK | PSH});
  s.at(10ms).receives({.ack = 1'000, .sack = {{1'500, 4'500}}});
  s.sends({.seq = 1'000, .len = 500, .flags = ACK | PSH});
  s.receives({.ack = 4'500});
}

// A partial ACK frees what it covers, in the middle of a buffer, and resending starts there.
TEST(Output, PartlyAcknowledgedBufferIsResentFromTheMiddle) {
  Script s{Established{}};
  s.app_send(3'000).sends({.seq = 0}).sends({.seq = 1'000}).sends({.seq = 2'000});
  s.at(100ms).receives({.ack = 1'333});  // sample 100 ms: RTO 300 ms
  s.at(400ms).sends({.seq = 1'333, .len = 1'000});
  s.receives({.ack = 3'000});
}

TEST(Output, WritesWhileTextIsInFlightAreAppended) {
  Script s{Established{.no_delay = true}};
  for (std::uint32_t i = 0; i < 9; ++i) s.app_send(10).sends({.seq = 10 * i, .len = 10});
  s.receives({.ack = 45});
  s.app_send(10).sends({.seq = 90, .len = 10});
  s.receives({.ack = 100});
}

// -- Nagle (§3.7.4) --------------------------------------------------------------------------

//= RFC9293 SHLD-7 type=test
TEST(Nagle, SmallTextWaitsForTheAck) {
  Script s{Established{}};
  s.app_send(100).sends({.seq = 0, .len = 100, .flags = ACK | PSH});
  s.at(1ms).app_send(100).at(2ms).app_send(50).quiet();
  s.at(30ms).receives({.ack = 100}).sends({.seq = 100, .len = 150, .flags = ACK | PSH});
  s.receives({.ack = 250});
}

TEST(Nagle, FullSegmentsDoNotWait) {
  Script s{Established{}};
  s.app_send(100).sends({.len = 100});
  s.app_send(2'300).sends({.seq = 100, .len = 1'000}).sends({.seq = 1'100, .len = 1'000}).quiet();
  s.receives({.ack = 50}).quiet();
  s.receives({.ack = 100}).sends({.seq = 2'100, .len = 300});
}

// Appendix A.3: the tail of a message does not wait for the ACK of its full segments.
TEST(Nagle, OneSmallSegmentMayBeOut) {
  Script s{Established{}};
  s.app_send(1'300).sends({.len = 1'000}).sends({.seq = 1'000, .len = 300});
  s.app_send(10).quiet();
  s.receives({.ack = 1'000}).quiet();
  s.receives({.ack = 1'300}).sends({.seq = 1'300, .len = 10});
}

//= RFC9293 MUST-17 type=test
TEST(Nagle, CanBeTurnedOff) {
  Script s{Established{.no_delay = true}};
  s.app_send(100).sends({.len = 100}).app_send(50).sends({.seq = 100, .len = 50});
}

TEST(Nagle, FinDoesNotWait) {
  Script s{Established{}};
  s.app_send(100).sends({.len = 100}).app_send(50).quiet();
  s.app_shutdown().sends({.seq = 100, .len = 50, .flags = ACK | PSH | FIN});
}

// -- The peer's window, sender's silly window avoidance (§3.8.6.2.1) ----------------------------

// The window has room for half a segment more: not worth a segment.
//= RFC813 4-b type=test
//= RFC9293 MUST-38 type=test
TEST(SenderSws, ARemnantOfTheWindowIsNotFilled) {
  Script s{Established{.wnd = 2'500}};
  s.app_send(4'000).sends({.seq = 0, .len = 1'000}).sends({.seq = 1'000, .len = 1'000}).quiet();
  s.receives({.ack = 1'000, .wnd = 2'500}).sends({.seq = 2'000, .len = 1'000}).quiet();
}

//= RFC9293 MUST-38 type=test
TEST(SenderSws, TheGreatestWindowIsRemembered) {
  Script s{Established{.wnd = 100}};
  s.receives({.ack = 0, .wnd = 10'000}).receives({.ack = 0, .wnd = 200}).app_send(1'000).quiet();
}

//= RFC9293 MUST-38 type=test
TEST(SenderSws, HalfTheGreatestWindowIsWorthASegment) {
  Script s{Established{.wnd = 600}};
  s.app_send(1'000).sends({.seq = 0, .len = 600}).quiet();
  s.receives({.ack = 600, .wnd = 300}).sends({.seq = 600, .len = 300}).quiet();
  s.receives({.ack = 900, .wnd = 300}).sends({.seq = 900, .len = 100});
}

// The override timeout: less than half the window goes once the persist timer has run.
//= RFC9293 MUST-38 type=test
TEST(SenderSws, OverrideSendsWhatTheWindowTakes) {
  Script s{Established{}};
  s.receives({.ack = 0, .wnd = 200});
  s.app_send(1'000).quiet();
  s.at(1s).sends({.seq = 0, .len = 200, .flags = ACK}).quiet();
  s.at(1100ms).receives({.ack = 200, .wnd = 65'535}).sends({.seq = 200, .len = 800});
}

// A peer with a small buffer takes each: the next waits no longer than the one before.
//= RFC9293 MUST-38 type=test
TEST(SenderSws, OverridesThatAreTakenDoNotBackOff) {
  Script s{Established{}};
  s.receives({.ack = 0, .wnd = 200});
  s.app_send(1'000).quiet();
  for (std::uint32_t i = 0; i < 4; ++i) {
    s.at((i + 1) * 1s).sends({.seq = 200 * i, .len = 200, .flags = ACK}).quiet();
    s.receives({.ack = 200 * (i + 1), .wnd = 200});
    if (i < 3) s.quiet();
  }
  s.sends({.seq = 800, .len = 200});  // all the rest
}

TEST(SenderSws, NoDelayFillsHalfTheGreatestWindow) {
  Script s{Established{.mss = 4'000, .wnd = 3'000, .no_delay = true}};
  s.app_send(1'000).sends({.len = 1'000});
  s.app_send(6'000).sends({.seq = 1'000, .len = 2'000}).quiet();
}

//= RFC9293 MUST-1 type=test
TEST(Window, IsUnsigned) {
  Script s{Established{.wnd = 0xffff, .wscale = 14}};
  EXPECT_EQ(s.tcb().snd_wnd, 0x3fff'c000U);
  s.app_send(3'000).sends({.seq = 0}).sends({.seq = 1'000}).sends({.seq = 2'000});
}

// §3.10.7.4, fifth: SND.WL1 and SND.WL2 keep old segments from bringing old windows.
TEST(Window, OldSegmentsDoNotUpdateIt) {
  Script s{Established{}};
  s.receives({.seq = 0, .ack = 0, .len = 100, .wnd = 5'000}).receives({.seq = 100, .wnd = 7'000});
  EXPECT_EQ(s.tcb().snd_wnd, 7'000U);
  s.receives({.seq = 50, .len = 50, .wnd = 1'000}).sends({.ack = 100});
  EXPECT_EQ(s.tcb().snd_wnd, 7'000U);
  s.app_send(100).sends({.len = 100}).receives({.seq = 100, .ack = 100, .wnd = 9'000});
  s.receives({.seq = 100, .ack = 0, .wnd = 10});
  EXPECT_EQ(s.tcb().snd_wnd, 9'000U);
}

TEST(Window, AnOldAckDoesNotUpdateIt) {
  Script s{Established{}};
  s.app_send(100).sends({}).receives({.ack = 100}).receives({.seq = 10, .ack = 50, .wnd = 10});
  EXPECT_EQ(s.tcb().snd_wnd, 65'535U);
}

// §3.8.6: the window shrinks below what is out. Nothing new goes, the old is resent inside it.
//= RFC9293 MUST-34 type=test
//= RFC9293 SHLD-15 type=test
//= RFC9293 SHLD-16 type=test
TEST(Window, ShrinksBelowWhatIsOut) {
  Script s{Established{}};
  s.app_send(3'000).sends({.seq = 0}).sends({.seq = 1'000}).sends({.seq = 2'000});
  s.receives({.ack = 0, .wnd = 1'000});
  s.app_send(2'000).quiet();
  s.at(1s).sends({.seq = 0, .len = 1'000}).quiet();
  s.at(1100ms).receives({.ack = 1'000, .wnd = 500}).sends({.seq = 1'000, .len = 500}).quiet();
  s.at(1200ms).receives({.ack = 3'000, .wnd = 65'535}).sends({.seq = 3'000}).sends({.seq = 4'000});
}

// A window shut on text in flight is not a reason to give the connection up.
//= RFC9293 SHLD-17 type=test
TEST(Window, ShutOnTextInFlightNeverTimesOut) {
  Script s{Established{.tune = [](tcp::Config& c) { c.retries2 = 3; }}};
  s.app_send(1'000).sends({.len = 1'000});
  s.receives({.ack = 0, .wnd = 0});
  for (const auto t : {1s, 3s, 7s, 15s, 31s, 63s, 127s}) {
    s.at(t).sends({.seq = 0, .len = 1}).receives({.ack = 0, .wnd = 0}).state(kEstablished);
  }
  s.at(130s).receives({.ack = 0, .wnd = 65'535}).sends({.seq = 0, .len = 1'000});
  s.receives({.ack = 1'000});
}

// -- Zero window: the persist timer (§3.8.6.1) --------------------------------------------------

//= RFC9293 MUST-35 type=test
//= RFC9293 MUST-36 type=test
//= RFC9293 SHLD-29 type=test
//= RFC9293 SHLD-30 type=test
TEST(Persist, ProbesAfterOneRtoThenDoubles) {
  Script s{Established{.wnd = 0}};
  s.app_send(500).quiet();
  for (const auto t : {1s, 3s, 7s, 15s, 31s, 63s, 127s, 247s, 367s}) {
    s.at(t - 1us).quiet();
    s.at(t).sends({.seq = 0, .len = 1}).quiet().receives({.ack = 0, .wnd = 0});
  }
}

//= RFC9293 MUST-37 type=test
TEST(Persist, LastsAsLongAsThePeerAnswers) {
  Script s{Established{.wnd = 0, .tune = [](tcp::Config& c) { c.retries2 = 2; }}};
  s.app_send(500);
  s.at(1s).sends({.len = 1}).receives({.ack = 0, .wnd = 0});
  s.at(3s).sends({.len = 1}).receives({.ack = 0, .wnd = 0});
  Duration t = 3s;
  for (Duration wait = 4s; t < 24h; t += wait, wait = std::min<Duration>(wait * 2, 120s)) {
    if (t > 3s) s.at(t).sends({.seq = 0, .len = 1}).receives({.ack = 0, .wnd = 0});
  }
  s.state(kEstablished);
}

TEST(Persist, EndsWhenThePeerIsSilent) {
  Script s{Established{.wnd = 0, .tune = [](tcp::Config& c) { c.retries2 = 2; }}};
  s.app_send(500);
  s.at(1s).sends({.len = 1});
  s.at(3s).sends({.len = 1});
  s.at(7s).quiet().closed(CloseReason::kTimedOut);
}

// Once the application has let go, nobody waits for the text: orphan_retries probes, then RST.
TEST(Persist, AnOrphanEndsThoughThePeerAnswers) {
  Script s{Established{.wnd = 0, .tune = [](tcp::Config& c) { c.orphan_retries = 2; }}};
  s.app_send(500).app_close();
  s.at(1s).sends({.seq = 0, .len = 1}).receives({.ack = 0, .wnd = 0});
  s.at(3s).sends({.seq = 0, .len = 1}).receives({.ack = 0, .wnd = 0});
  s.at(7s).sends({.seq = 0, .len = 0, .flags = RST | ACK}).closed(CloseReason::kTimedOut);
}

// A RST beyond the peer's window would be dropped there: behind a probe it goes at its edge.
TEST(Persist, AnAbortStaysInsideThePeersWindow) {
  Script s{Established{.wnd = 0}};
  s.app_send(500);
  s.at(1s).sends({.seq = 0, .len = 1}).receives({.ack = 0, .wnd = 0});
  s.app_abort().sends({.seq = 0, .len = 0, .flags = RST | ACK});
}

TEST(Persist, OpeningWithTheOctetRefused) {
  Script s{Established{.wnd = 0}};
  s.app_send(2'500);
  s.at(1s).sends({.seq = 0, .len = 1}).receives({.ack = 0, .wnd = 0});
  s.at(2s).receives({.ack = 0, .wnd = 65'535});
  s.sends({.seq = 0, .len = 1}).sends({.seq = 1, .len = 1'000}).sends({.seq = 1'001, .len = 1'000});
  s.sends({.seq = 2'001, .len = 499});
}

TEST(Persist, OpeningWithTheOctetTaken) {
  Script s{Established{.wnd = 0}};
  s.app_send(2'500);
  s.at(1s).sends({.seq = 0, .len = 1}).receives({.ack = 1, .wnd = 0}).quiet();
  s.at(3s).sends({.seq = 1, .len = 1}).receives({.ack = 2, .wnd = 5'000});
  s.sends({.seq = 2, .len = 1'000}).sends({.seq = 1'002, .len = 1'000}).sends({.seq = 2'002});
}

// The window update itself was lost: the answer to the next probe brings it.
TEST(Persist, ALostUpdateIsFoundByTheNextProbe) {
  Script s{Established{.wnd = 0}};
  s.app_send(100);
  s.at(1s).sends({.seq = 0, .len = 1});
  s.at(1010ms).receives({.ack = 1, .wnd = 65'535}).sends({.seq = 1, .len = 99});
  s.receives({.ack = 100});
}

// What the peer's silence behind a closed window did to the RTO is undone when it opens.
TEST(Persist, OpeningRestoresTheRto) {
  Script s{Established{.wnd = 0}};
  s.app_send(3'000);
  s.at(1s).sends({.len = 1}).receives({.wnd = 0});
  s.at(3s).sends({.len = 1}).receives({.wnd = 0});
  s.at(4s).receives({.ack = 0, .wnd = 1'001}).sends({.seq = 0, .len = 1});
  s.sends({.seq = 1, .len = 1'000}).quiet();
  s.at(5s).sends({.seq = 0});
}

// Both windows are shut, our probe's octet is out. Our ACK must be in the peer's window, or it is
// dropped and the peer's text is resent until it gives up.
TEST(Persist, AcksStayInsideThePeersWindow) {
  Script s{Established{.wnd = 0}};
  s.app_send(500);
  s.at(1s).sends({.seq = 0, .len = 1}).receives({.ack = 0, .wnd = 0});
  s.receives_burst({{.len = 1'000, .wnd = 0}, {.seq = 1'000, .len = 1'000, .wnd = 0}});
  s.sends({.seq = 0, .ack = 2'000, .len = 0, .flags = ACK}).app_reads(600);
}

TEST(Persist, NothingToSendNothingToProbe) {
  Script s{Established{.wnd = 0}};
  s.at(1h);
  s.app_send(10).at(1h + 1s).sends({.len = 1}).receives({.ack = 1, .wnd = 0});
}

// The FIN needs no room.
TEST(Persist, FinPassesAClosedWindow) {
  Script s{Established{.wnd = 0}};
  s.app_shutdown().sends({.seq = 0, .len = 0, .flags = ACK | FIN});
  s.receives({.ack = 1, .wnd = 0}).state(kFinWait2);
}

// -- TSO --------------------------------------------------------------------------------------

// More segments than one Outbox holds: nothing is lost or reordered.
TEST(Output, ALongQueueFillsSeveralBatches) {
  Script s{Established{.mss = 100, .tune = [](tcp::Config& c) { c.initial_cwnd = 250; }}};
  s.app_send(14'600);
  for (std::uint32_t i = 0; i < 146; ++i) s.sends({.seq = 100 * i, .len = 100});
  s.receives({.ack = 14'600});
}

// A peer that closes its window and opens it cannot have the flight sent as often as it likes.
TEST(Window, ClosingAndOpeningItDrawsNothing) {
  Script s{Established{}};
  s.app_send(10'000).skip();
  for (int i = 0; i < 3; ++i) {
    s.at(std::chrono::milliseconds(10 + i)).receives({.ack = 0, .wnd = 0});
    s.receives({.ack = 0, .wnd = 60'000}).quiet();
  }
  s.receives({.ack = 10'000});
}

// -- Segments that the port cuts (TSO) ------------------------------------------------------------

Script& port_cuts(Script& s, std::uint32_t octets) {
  return s.app([octets](tcp::Tcb&, Instant, tcp::Outbox& out) { out.tso_max = octets; });
}

TEST(Tso, WholeSegmentsAsManyAsThePortTakes) {
  Script s{Established{}};
  port_cuts(s, 3'500).app_send(9'400).sends({.seq = 0, .len = 3'000, .flags = ACK});
  s.sends({.len = 3'000}).sends({.len = 3'000}).sends({.seq = 9'000, .len = 400}).quiet();
  s.receives({.ack = 9'400});
}

TEST(Tso, APortThatTakesNoMoreThanASegment) {
  Script s{Established{}};
  port_cuts(s, 999).app_send(2'000).sends({.len = 1'000}).sends({.len = 1'000}).quiet();
  s.receives({.ack = 2'000});
}

// URG, like CWR, would stand on every piece or on none.
TEST(Tso, UrgentTextGoesPieceByPiece) {
  Script s{Established{}};
  port_cuts(s, 10'000).app_urgent(3'000);
  for (int i = 0; i < 3; ++i) s.sends({.len = 1'000});
  s.quiet().receives({.ack = 3'000});
  s.app_send(3'000).sends({.len = 3'000}).receives({.ack = 6'000});
}

TEST(Tso, TheSegmentWithCwrGoesAlone) {
  Script s{Established{.ecn = true}};
  port_cuts(s, 10'000).app_send(4'000).sends({.len = 4'000});
  s.receives({.ack = 1'000, .flags = ACK | tcp::ECE}).receives({.ack = 4'000}).app_send(2'500);
  s.sends({.len = 1'000, .flags = ACK | tcp::CWR}).sends({.len = 1'000, .flags = ACK | PSH});
  s.sends({.len = 500}).receives({.ack = 6'500});
}

// A window is not filled to the last octet, nor does a small tail ride along where Nagle holds it.
TEST(Tso, NoSmallPieceAtTheEnd) {
  Script s{Established{.wnd = 2'500}};
  port_cuts(s, 10'000).app_send(5'000).sends({.len = 2'000}).quiet();
  s.receives({.ack = 2'000, .wnd = 2'500}).sends({.len = 2'000}).skip();
  s.receives({.ack = 4'000}).skip().receives({.ack = 5'000});
  Script t{Established{}};
  port_cuts(t, 10'000).app_send(100).sends({.len = 100}).app_send(2'500).sends({.len = 2'000});
  t.quiet().receives({.ack = 2'100}).sends({.len = 500}).receives({.ack = 2'600});
}

// Each piece takes a record of its own.
TEST(Tso, NoMorePiecesThanTheLogHasRoomFor) {
  Script s{Established{.sack = true, .no_delay = true}};
  s.tcb().cwnd = 60'000;
  for (int i = 0; i < 254; ++i) s.app_send(10).skip();
  port_cuts(s, 20'000).app_send(5'000).sends({.seq = 2'540, .len = 2'000}).quiet();
  s.receives({.ack = 2'540}).skip().receives({.ack = 7'540});
}

// -- Room for the ACK -----------------------------------------------------------------------------

// With one place left in a batch nothing goes but an ACK.
//= RFC9293 MUST-59 type=test
TEST(Output, TheLastPlaceOfABatchIsTheAcks) {
  const auto full = [](tcp::Tcb& t, Instant now, tcp::Outbox& out) {
    while (out.tx.room() > 1) out.tx.push(tcp::TxSegment{});
    t.set(tcp::kAckNow);
    tcp::poll_transmit(t, now, out);
    EXPECT_EQ(out.tx.room(), 0U);
    EXPECT_EQ(out.tx.items().back().len, 0U);
    EXPECT_EQ(out.tx.items().back().flags, ACK);
    out.counters->out_segs.add(63);  // what was put there
  };
  Script s{Established{.tune = [](tcp::Config& c) { c.frto = false; }}};
  s.app_send(3'000).skip().at(1s).skip();
  s.tcb().cwnd = 10'000;  // two segments are to go again
  s.app(full).skip();
  Script t{Established{.sack = true}};
  t.app_send(10'000).skip().app([&](tcp::Tcb& tcb, Instant now, tcp::Outbox& out) {
    tcb.log->mark_lost(0);
    tcb.log->mark_lost(1);
    full(tcb, now, out);
  });
  t.skip().receives({.ack = 10'000});
}

// -- What is sent again --------------------------------------------------------------------------

// A window that shrank meanwhile holds retransmissions as it holds what is new.
TEST(Window, HoldsRetransmissionsToo) {
  Script s{Established{.tune = [](tcp::Config& c) { c.frto = false; }}};
  s.app_send(5'000).skip().at(1s).sends({.seq = 0, .len = 1'000}).at(1'100ms);
  s.receives({.ack = 1'000, .wnd = 1'500}).sends({.seq = 1'000, .len = 1'000});
  s.sends({.seq = 2'000, .len = 500}).quiet().receives({.ack = 5'000}).skip();
}

// Our FIN is no text that would need company: ACKs of the peer's text stay quick.
TEST(Fin, AloneIsNoText) {
  Script s{Established{.sack = true, .tune = [](tcp::Config& c) { c.quickacks = 16; }}};
  s.receives({.len = 1'000}).sends({.ack = 1'000}).app_shutdown().sends({.flags = ACK | FIN});
  s.receives({.seq = 1'000, .ack = 1, .len = 1'000}).sends({.ack = 2'000}).app_reads(2'000).skip();
}

// A FIN goes again where it stands, behind all text, and not before it is asked for.
TEST(Fin, GoesAgainBehindTheText) {
  Script s{Established{}};
  s.app_send(3'000).app_close().skip();
  s.at(1s).sends({.seq = 0, .len = 1'000, .flags = ACK}).quiet().receives({.ack = 3'001});
  Script t{Established{}};
  t.app_send(5'000).skip().app_shutdown().sends({.seq = 5'000, .flags = ACK | FIN});
  t.receives({.ack = 4'000});
  for (int i = 0; i < 3; ++i) t.receives({.ack = 4'000});
  t.sends({.seq = 4'000, .len = 1'000, .flags = ACK | PSH}).quiet().receives({.ack = 5'001});
}

TEST(Persist, AProbeAgainIsTheSameOctet) {
  Script s{Established{}};
  s.receives({.wnd = 0}).app_send(2);
  for (const auto t : {1s, 3s, 7s}) s.at(t).sends({.seq = 0, .len = 1, .flags = ACK}).quiet();
  s.receives({.ack = 2}).skip();
}

// Who probes is not idle: what the window was is still known.
TEST(Persist, IsNoIdleTime) {
  Script s{Established{}};
  s.app_send(1'000).skip().receives({.ack = 1'000, .wnd = 0}).app_send(20'000);
  s.tcb().cwnd = 20'000;
  s.at(200ms).sends({.len = 1}).at(300ms).receives({.ack = 1'001});  // the RTO is 200 ms
  s.skip().cwnd(20'000).receives({.ack = 21'000});
}

// And in a batch that is full not even a SYN: it stays due.
TEST(Output, AFullBatchTakesNothing) {
  Script s{SynSent{}};
  s.sends({.flags = SYN}).app([](tcp::Tcb& t, Instant now, tcp::Outbox& out) {
    while (out.tx.room() > 0) out.tx.push(tcp::TxSegment{});
    t.set(tcp::kSynDue);
    tcp::poll_transmit(t, now, out);
    EXPECT_TRUE(t.has(tcp::kSynDue));
    t.clear(tcp::kSynDue);
    out.counters->out_segs.add(64);  // what was put there
  });
  s.skip().app_abort();
}

}  // namespace
}  // namespace weir::test

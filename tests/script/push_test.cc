// PSH where Linux has it, and records (MSG_EOR): lib/tcp/push.cc, output.cc, send_queue.cc.
#include "script/script.h"

namespace weir::test {
namespace {

constexpr std::uint8_t kPushed = ACK | PSH;

void many(Script& s, std::uint32_t from, unsigned segments) {  // without PSH
  for (unsigned i = 0; i < segments; ++i) {
    s.sends({.seq = from + 1'000 * i, .len = 1'000, .flags = ACK});
  }
}

// Half of cwnd is a piece: five of ten, three of seven, and the seventh is alone.
//= RFC9293 MUST-60 type=test
TEST(Push, TheLastOfSeveralHasIt) {
  Script s{Established{}};
  s.app_send(20'000);
  many(s, 0, 4);
  s.sends({.seq = 4'000, .len = 1'000, .flags = kPushed});
  many(s, 5'000, 4);
  s.sends({.seq = 9'000, .len = 1'000, .flags = kPushed}).quiet().receives({.ack = 20'000}).skip();
}

TEST(Push, WhatGoesAloneHasNone) {
  Script s{Established{}};
  s.tcb().cwnd = 7'000;
  s.app_send(20'000);
  many(s, 0, 2);
  s.sends({.seq = 2'000, .flags = kPushed});
  many(s, 3'000, 2);
  s.sends({.seq = 5'000, .flags = kPushed});
  s.sends({.seq = 6'000, .len = 1'000, .flags = ACK}).quiet();
  s.receives({.ack = 20'000}).skip();
}

// Below four segments of cwnd each goes alone.
TEST(Push, ASmallWindowHasNone) {
  Script s{Established{}};
  s.tcb().cwnd = 3'000;
  s.app_send(20'000);
  many(s, 0, 3);
  s.quiet().receives({.ack = 20'000}).skip();
}

// What a millisecond lets go is a piece, two segments at least, or as many as are asked for.
TEST(Push, AFarPeerMakesPiecesSmall) {
  Script s{Established{}};
  s.app_send(1'000).skip().at(100ms).receives({.ack = 1'000}).app_send(20'000);
  for (std::uint32_t i = 0; i < 10; ++i) {
    s.sends({.seq = 1'000 + 1'000 * i, .flags = i % 2 == 1 ? kPushed : std::uint8_t{ACK}});
  }
  s.quiet().receives({.ack = 21'000}).skip();
}

TEST(Push, PiecesHaveTheSegmentsThatAreAskedFor) {
  Script s{Established{.tune = [](tcp::Config& c) { c.min_tso_segs = 4; }}};
  s.app_send(1'000).skip().at(100ms).receives({.ack = 1'000}).app_send(20'000);
  for (std::uint32_t i = 0; i < 10; ++i) {
    const bool ends = i == 3 || i == 7 || i == 9;
    s.sends({.seq = 1'000 + 1'000 * i, .flags = ends ? kPushed : std::uint8_t{ACK}});
  }
  s.quiet().receives({.ack = 21'000}).skip();
}

// Near by more goes in one piece than a millisecond's worth, which is four here.
TEST(Push, ANearPeerMakesPiecesLarge) {
  Script s{Established{.sack = true}};
  s.app_send(1'000).skip().at(4'050us).receives({.ack = 1'000}).app_send(20'000);
  for (std::uint32_t i = 0; i < 10; ++i) {
    s.sends({.seq = 1'000 + 1'000 * i, .flags = i % 5 == 4 ? kPushed : std::uint8_t{ACK}});
  }
  s.quiet().receives({.ack = 21'000}).skip();
}

// It is not of the text: what goes again alone has none, unless a write ended there.
TEST(Push, GoesAgainOnlyWhereAWriteEnded) {
  Script s{Established{.sack = true}};
  s.app_send(20'000).skip();
  s.at(100ms).receives({.ack = 4'000, .sack = {{5'000, 10'000}}});
  s.sends({.seq = 4'000, .len = 1'000, .flags = ACK}).skip();
  s.receives({.ack = 20'000}).skip();
}

TEST(Push, UrgentTextGoesSegmentBySegment) {
  Script s{Established{}};
  s.app_urgent(15'000);
  for (std::uint32_t i = 0; i < 10; ++i) s.sends({.flags = ACK | URG});
  s.receives({.ack = 15'000}).skip();
}

// -- Records
// ---------------------------------------------------------------------------------------

// While nothing may go: a write, whose end is a record's.
void record(Script& s, std::uint32_t octets) {
  s.app_send(octets).quiet();
  s.app([](tcp::Tcb& t, Instant, tcp::Outbox&) { user_end_record(t); });
}

// Linux's MSG_EOR: what was queued before is in its last segment, what follows is not, however
// small that is, and neither Nagle nor cwnd's grain holds it back.
TEST(Record, NoSegmentGoesBeyondItsEnd) {
  Script s{Established{.sack = true}};
  s.app_send(10'400).skip();
  record(s, 400);
  record(s, 400);
  s.app_send(1'000).quiet().receives({.ack = 10'000});
  s.sends({.seq = 10'000, .len = 800, .flags = kPushed});
  s.sends({.seq = 10'800, .len = 400, .flags = kPushed});
  s.sends({.seq = 11'200, .len = 1'000, .flags = kPushed}).quiet();
  // Nor when it goes again.
  s.receives({.ack = 10'000, .sack = {{11'200, 12'200}}});
  s.sends({.seq = 10'000, .len = 800, .flags = kPushed}).quiet();
  s.receives({.ack = 12'200});
  EXPECT_FALSE(s.tcb().records);
}

// Without SACK, too, where what goes again is cut anew.
TEST(Record, NoneGoesAgainWithWhatFollows) {
  Script s{Established{}};
  s.app_nodelay(true).app_send(10'000).skip();
  record(s, 400);
  s.app_send(400).quiet().receives({.ack = 10'000});
  s.sends({.seq = 10'000, .len = 400, .flags = kPushed});
  s.sends({.seq = 10'400, .len = 400, .flags = kPushed});
  s.receives({.ack = 10'000}).receives({.ack = 10'000}).receives({.ack = 10'000});
  s.sends({.seq = 10'000, .len = 400}).skip().receives({.ack = 10'800});
}

TEST(Record, ATailProbeTakesOne) {
  Script s{Established{.sack = true}};
  s.app_send(1'000).skip().at(100ms).receives({.ack = 1'000});
  s.app_send(10'000).skip();
  record(s, 400);
  s.app_send(400).quiet().at(302ms).sends({.seq = 11'000, .len = 400}).quiet();
  s.receives({.ack = 11'400}).skip().receives({.ack = 11'800});
}

TEST(Record, ALongOneIsCutAsUsual) {
  Script s{Established{}};
  s.app_send(10'000).skip();
  record(s, 2'500);
  s.app_send(600).quiet().receives({.ack = 10'000});
  s.sends({.seq = 10'000, .len = 1'000}).sends({.seq = 11'000, .len = 1'000});
  s.sends({.seq = 12'000, .len = 500, .flags = kPushed});
  s.quiet().receives({.ack = 12'500}).sends({.seq = 12'500, .len = 600, .flags = kPushed});
  s.receives({.ack = 13'100});
}

// Whose end is a full segment's, and one of which cwnd takes a part.
TEST(Record, EndsWhereASegmentEnds) {
  Script s{Established{}};
  s.app_send(10'000).skip();
  record(s, 1'000);
  record(s, 1'000);
  s.receives({.ack = 500}).sends({.seq = 10'000, .len = 1'000, .flags = kPushed}).quiet();
  s.receives({.ack = 1'000}).sends({.seq = 11'000, .len = 1'000, .flags = kPushed}).quiet();
  s.receives({.ack = 12'000});
}

// One that was sent whole does not hold up what follows; and one of which little may go waits for a
// full segment's room.
TEST(Record, OneThatHasGoneHoldsNothingUp) {
  Script s{Established{}};
  s.app_nodelay(true).app_send(500).sends({.len = 500});
  s.app([](tcp::Tcb& t, Instant, tcp::Outbox&) { user_end_record(t); });
  s.app_send(300).sends({.seq = 500, .len = 300}).receives({.ack = 800});
  Script t{Established{}};
  t.app_send(10'000).skip();
  record(t, 4'000);
  t.app_send(1'000).quiet().receives({.ack = 250}).quiet();
  t.receives({.ack = 15'000}).skip();
}

// A port that segments by itself gets no more than a record.
TEST(Record, IsAllThatGoesToAPortThatCuts) {
  Script s{Established{}};
  s.app_send(10'000).skip();
  record(s, 3'200);
  s.app_send(2'000).quiet();
  s.app([](tcp::Tcb&, Instant, tcp::Outbox& o) { o.tso_max = 60'000; });
  s.receives({.ack = 10'000}).sends({.seq = 10'000, .len = 3'200, .flags = kPushed});
  s.sends({.seq = 13'200, .len = 2'000, .flags = kPushed}).quiet().receives({.ack = 15'200});
}

}  // namespace
}  // namespace weir::test

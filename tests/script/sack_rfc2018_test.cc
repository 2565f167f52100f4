// What this end tells of text that came early or twice (RFC 2018, RFC 2883). Texts are counted from
// the first octet, segments are of 1,000.
#include "script/script.h"

namespace weir::test {
namespace {

using Blocks = std::vector<Block>;

Peer text(std::uint32_t seq, std::uint32_t len = 1'000) {
  return {.seq = seq, .len = len};
}

//= RFC2018 2 type=test
TEST(SackPermitted, IsOnTheSynAndOnTheSynAckOfOneWhoAsked) {
  Script s(SynSent{.sack = true});
  s.sends({.flags = SYN, .sack_permitted = true});
  Script off(SynSent{});
  off.sends({.flags = SYN, .sack_permitted = false});
}

//= RFC2018 3-a type=test
TEST(SackPermitted, APeerThatDidNotAskGetsNoBlocks) {
  Script s(SynSent{.sack = true});
  s.sends({.flags = SYN});
  s.receives({.seq = 0, .ack = 1, .flags = SYN | ACK, .mss = 1'000});
  s.sends({.flags = ACK});
  s.receives({.seq = 1'001, .ack = 1, .len = 1'000});
  s.sends({.ack = 1, .sack = Blocks{}});
}

TEST(SackPermitted, APeerThatAskedGetsThem) {
  Script s(SynSent{.sack = true});
  s.sends({.flags = SYN});
  s.receives({.seq = 0, .ack = 1, .flags = SYN | ACK, .mss = 1'000, .sack_permitted = true});
  s.sends({.flags = ACK, .sack = Blocks{}});
  s.receives({.seq = 1'001, .ack = 1, .len = 1'000});
  s.sends({.ack = 1, .sack = Blocks{{1'001, 2'001}}});
}

TEST(SackPermitted, TheSettingSwitchesItOff) {
  Script s(Established{.sack = false});
  s.receives(text(1'000)).sends({.ack = 0, .sack = Blocks{}});
}

//= RFC2018 3-b type=test
TEST(SackBlocks, AnEarlySegmentIsTold) {
  Script s(Established{.sack = true});
  s.receives(text(1'000)).sends({.ack = 0, .len = 0, .sack = Blocks{{1'000, 2'000}}});
}

//= RFC2018 4-d type=test
TEST(SackBlocks, AdjacentSegmentsAreOneBlock) {
  Script s(Established{.sack = true});
  s.receives(text(1'000)).skip();
  s.receives(text(2'000)).sends({.ack = 0, .sack = Blocks{{1'000, 3'000}}});
}

// RFC 2018 §4: the first block holds the segment that triggered the ACK, then the latest told.
//= RFC2018 4-a type=test
//= RFC2018 4-c type=test
TEST(SackBlocks, TheLatestComesFirst) {
  Script s(Established{.sack = true});
  s.receives(text(1'000)).skip();
  s.receives(text(5'000)).sends({.sack = Blocks{{5'000, 6'000}, {1'000, 2'000}}});
  s.receives(text(3'000)).sends({.sack = Blocks{{3'000, 4'000}, {5'000, 6'000}, {1'000, 2'000}}});
  s.receives(text(2'000)).sends({.sack = Blocks{{1'000, 4'000}, {5'000, 6'000}}});
}

//= RFC2018 4-b type=test
TEST(SackBlocks, FourFitWithoutTimestamps) {
  Script s(Established{.sack = true});
  for (std::uint32_t at : {2'000U, 4'000U, 6'000U, 8'000U}) s.receives(text(at)).skip();
  s.receives(text(10'000));
  s.sends({.sack = Blocks{{10'000, 11'000}, {8'000, 9'000}, {6'000, 7'000}, {4'000, 5'000}}});
}

TEST(SackBlocks, ThreeFitBesideTimestamps) {
  Script s(Established{.ts = Ts{1, 0}, .sack = true});
  for (std::uint32_t at : {2'000U, 4'000U, 6'000U, 8'000U}) {
    s.receives({.seq = at, .len = 1'000, .ts = Ts{1, 0}}).skip();
  }
  s.receives({.seq = 10'000, .len = 1'000, .ts = Ts{1, 0}});
  s.sends({.has_ts = true, .sack = Blocks{{10'000, 11'000}, {8'000, 9'000}, {6'000, 7'000}}});
}

TEST(SackBlocks, AFilledHoleEndsThem) {
  Script s(Established{.sack = true});
  s.receives(text(1'000)).skip();
  s.receives(text(0)).sends({.ack = 2'000, .sack = Blocks{}});
}

TEST(SackBlocks, WhatIsStillEarlyIsToldWithTheAckOfTheFilling) {
  Script s(Established{.sack = true});
  s.receives(text(1'000)).skip();
  s.receives(text(3'000)).skip();
  s.receives(text(0)).sends({.ack = 2'000, .sack = Blocks{{3'000, 4'000}}});
}

TEST(SackBlocks, RideOnTextWhereTheyFit) {
  Script s(Established{.sack = true, .no_delay = true});
  s.receives(text(1'000)).skip();
  s.app_send(100).sends({.len = 100, .sack = Blocks{{1'000, 2'000}}});
}

// RFC 9293 §3.7.1: options and text together stay inside the MSS.
TEST(SackBlocks, NeverMakeASegmentTooLong) {
  Script s(Established{.sack = true});
  s.receives(text(1'000)).skip();
  s.app_send(1'000).sends({.len = 1'000, .sack = Blocks{}});
  Script tight(Established{.sack = true, .no_delay = true});
  tight.receives(text(1'000)).skip();
  tight.receives(text(3'000)).skip();
  tight.app_send(988).sends({.len = 988, .sack = Blocks{{3'000, 4'000}}});
}

//= RFC2883 4-a type=test
//= RFC2883 4-b type=test
TEST(Dsack, AWholeDuplicateIsToldOnce) {
  Script s(Established{.sack = true});
  s.receives(text(0)).app_reads(1'000).skip();
  s.receives(text(0)).sends({.ack = 1'000, .sack = Blocks{{0, 1'000}}});
  s.receives(text(2'000)).sends({.ack = 1'000, .sack = Blocks{{2'000, 3'000}}});
}

//= RFC2883 4.1.2 type=test
TEST(Dsack, APartialDuplicateNamesWhatCameTwice) {
  Script s(Established{.sack = true});
  s.receives(text(0)).skip();
  s.receives(text(500)).sends({.ack = 1'500, .sack = Blocks{{500, 1'000}}});
}

// RFC 2883 §4.2: then the block that holds it.
//= RFC2883 4-c type=test
TEST(Dsack, ADuplicateOfEarlyTextStandsBeforeItsBlock) {
  Script s(Established{.sack = true});
  s.receives(text(1'000)).skip();
  s.receives(text(2'000)).skip();
  s.receives(text(2'000)).sends({.ack = 0, .sack = Blocks{{2'000, 3'000}, {1'000, 3'000}}});
}

TEST(Dsack, TheSettingSwitchesItOff) {
  Script s(Established{.sack = true, .tune = [](tcp::Config& c) { c.dsack = false; }});
  s.receives(text(0)).skip();
  s.receives(text(0)).sends({.ack = 1'000, .sack = Blocks{}});
}

TEST(Dsack, WhatNeverCameBeforeIsNotToldAsADuplicate) {
  Script s(Established{.sack = true});
  s.receives(text(1'000)).skip();
  s.receives(text(0, 1'000)).sends({.ack = 2'000, .sack = Blocks{}});
}

// The early copy was the first.
//= RFC2883 4.1.2 type=test
TEST(Dsack, TextInOrderThatReachesIntoEarlyTextNamesWhatCameTwice) {
  Script s(Established{.sack = true});
  s.receives(text(1'000)).skip();
  s.receives(text(0, 1'500)).sends({.ack = 2'000, .sack = Blocks{{1'000, 1'500}}});
}

// Of several pieces that one segment covers the first is told of, as Linux does.
//= RFC2883 4.1.2 type=test
TEST(Dsack, TextThatCoversTwoPiecesNamesTheFirst) {
  Script s(Established{.sack = true});
  s.receives(text(1'000, 500)).skip();
  s.receives(text(1'500, 500)).skip();
  s.receives(text(3'000, 200)).skip();
  s.receives(text(0, 3'500)).sends({.ack = 3'500, .sack = Blocks{{1'000, 2'000}}});
}

}  // namespace
}  // namespace weir::test

// The state table against its golden graph, and against RFC 9293's figure 5 by hand.
#include "tcp/state.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tcp/tcb.h"

namespace weir::tcp {
namespace {

// To accept a change: unit_tcp --gtest_filter='StateGraph.*' prints the new file's text.
TEST(StateGraph, IsTheGoldenFile) {
  const std::string path = std::string(WEIR_SOURCE_ROOT) + "/docs/rfc/tcp-states.dot";
  std::ifstream file(path);
  ASSERT_TRUE(file) << path;
  std::stringstream golden;
  golden << file.rdbuf();
  EXPECT_EQ(state_graph(), golden.str()) << state_graph();
}

TEST(StateTable, ResetLeadsToClosedFromEverywhere) {
  for (unsigned s = 0; s < kStates; ++s) {
    EXPECT_EQ(next_state(static_cast<State>(s), Trigger::kReset), State::kClosed);
  }
}

TEST(StateTable, Figure5) {
  using enum State;
  using enum Trigger;
  EXPECT_EQ(next_state(kClosed, kPassiveOpen), kListen);
  EXPECT_EQ(next_state(kClosed, kActiveOpen), kSynSent);
  EXPECT_EQ(next_state(kListen, kRcvSyn), kSynReceived);
  EXPECT_EQ(next_state(kSynSent, kRcvSyn), kSynReceived);
  EXPECT_EQ(next_state(kSynSent, kRcvSynAck), kEstablished);
  EXPECT_EQ(next_state(kSynReceived, kRcvAckOfSyn), kEstablished);
  EXPECT_EQ(next_state(kSynReceived, kClose), kFinWait1);
  EXPECT_EQ(next_state(kEstablished, kClose), kFinWait1);
  EXPECT_EQ(next_state(kEstablished, kRcvFin), kCloseWait);
  EXPECT_EQ(next_state(kFinWait1, kRcvAckOfFin), kFinWait2);
  EXPECT_EQ(next_state(kFinWait1, kRcvFin), kClosing);
  EXPECT_EQ(next_state(kFinWait2, kRcvFin), kTimeWait);
  EXPECT_EQ(next_state(kClosing, kRcvAckOfFin), kTimeWait);
  EXPECT_EQ(next_state(kCloseWait, kClose), kLastAck);
  EXPECT_EQ(next_state(kLastAck, kRcvAckOfFin), kClosed);
  EXPECT_EQ(next_state(kTimeWait, kTimeout2Msl), kClosed);
}

TEST(StateTable, HasNoOtherArrows) {
  unsigned arrows = 0;
  for (unsigned s = 0; s < kStates; ++s) {
    for (unsigned t = 0; t < kTriggers; ++t) {
      arrows += has_transition(static_cast<State>(s), static_cast<Trigger>(t)) ? 1U : 0U;
    }
  }
  EXPECT_EQ(arrows, kStates + 19U);
}

TEST(StateTableDeathTest, AnImpossibleArrowIsABug) {
  EXPECT_DEATH((void)next_state(State::kTimeWait, Trigger::kClose), "weir: bug");
}

TEST(StateNames, AreTheRfcs) {
  EXPECT_EQ(to_string(State::kSynReceived), "SYN-RECEIVED");
  EXPECT_EQ(to_string(State::kTimeWait), "TIME-WAIT");
  EXPECT_EQ(to_string(CloseReason::kAborted), "aborted");
  EXPECT_EQ(to_string(Trigger::kReset), "reset");
}

}  // namespace
}  // namespace weir::tcp

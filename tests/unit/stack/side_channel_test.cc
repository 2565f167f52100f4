// What one peer's segments let another learn (RFC 5961 §7, CVE-2016-5696, ADR 9): an attacker that
// guesses at a connection of somebody else must see nothing of the outcome in its own answers.
#include <cmath>

#include "base/rng.h"
#include "harness.h"

namespace weir::stack::test {
namespace {

using C = telemetry::Counters;

constexpr unsigned kTrials = 200;
constexpr unsigned kGuesses = 150;  // more than any budget of challenges or RSTs in a second

// How many of the attacker's own segments are answered after it has sent `guesses` in the victim's
// name to the victim's port `port`.
unsigned answers(World& w, Rng& rng, const Peer& victim, std::uint16_t port, unsigned guesses) {
  std::vector<Octets> frames;
  for (unsigned i = 0; i < guesses; ++i) {
    Peer forged(w, {.addr = victim.at.addr, .port = port});
    const Seq seq{static_cast<std::uint32_t>(rng.next())};
    frames.push_back(forged.make(i % 2 == 0 ? SYN : ACK, seq, Seq{7}));
  }
  for (std::size_t i = 0; i < frames.size(); i += 50) {
    w.iterate({frames.begin() + static_cast<std::ptrdiff_t>(i),
               frames.begin() + static_cast<std::ptrdiff_t>(std::min(i + 50, frames.size()))});
  }
  w.tcp.clear();  // they go to the victim
  const IpAddr me = IpAddr::v4(10, 0, 0, 66);
  for (unsigned i = 0; i < 20; ++i) {
    Peer probe(w, {.addr = me, .port = static_cast<std::uint16_t>(100 + i), .local_port = 81});
    w.feed(probe.make(ACK, Seq{static_cast<std::uint32_t>(rng.next())}, Seq{9}));
  }
  const auto mine = static_cast<unsigned>(w.tcp.size());
  w.tcp.clear();
  return mine;
}

// Kolmogorov and Smirnov's distance of two samples of equal size.
double distance_of(std::vector<unsigned> a, std::vector<unsigned> b) {
  double most = 0;
  for (unsigned x = 0; x <= 20; ++x) {
    const auto below = [x](const std::vector<unsigned>& v) {
      return static_cast<double>(
                 std::count_if(v.begin(), v.end(), [x](unsigned y) { return y <= x; })) /
             static_cast<double>(v.size());
    };
    most = std::max(most, std::abs(below(a) - below(b)));
  }
  return most;
}

// p = 0.01 for two samples of n.
const double kLimit = 1.63 * std::sqrt(2.0 / kTrials);

//= RFC5961 7-a type=test
TEST(SideChannel, AnOpenConnectionLooksLikeNoneFromElsewhere) {
  World w;
  w.listen();
  w.meet(IpAddr::v4(10, 0, 0, 66));
  Peer victim(w);
  const ConnId c = victim.open();
  Rng rng(5'961);
  std::vector<unsigned> open, none, idle;
  for (unsigned i = 0; i < kTrials; ++i) {
    open.push_back(answers(w, rng, victim, victim.at.port, kGuesses));
    none.push_back(answers(w, rng, victim, 1, kGuesses));
    idle.push_back(answers(w, rng, victim, 1, 0));
    w.run_for(i % 2 == 0 ? 10ms : 1s);
    w.tcp.clear();
  }
  EXPECT_LT(distance_of(open, none), kLimit);
  EXPECT_LT(distance_of(open, idle), kLimit);
  EXPECT_EQ(idle.front(), 20U);  // and the measure sees something at all
  EXPECT_TRUE(w.stack->alive(c));
  EXPECT_GT(w.count(&C::drop_challenge_rate), 1'000U);
}

// The same of half-open connections: B's challenges are none of A's business.
//= RFC5961 7-a type=test
TEST(SideChannel, ChallengesOfOneHalfOpenConnectionDoNotCostAnother) {
  Config config = small_config();
  config.tcp.synack_retries = 0;
  World w(config);
  w.listen();
  for (const unsigned noise : {0U, 50U}) {
    Peer a(w, {.port = 1}), b(w, {.port = 2});
    a.syn();
    b.syn();
    for (unsigned i = 0; i < noise; ++i) w.feed(b.make(RST, b.snd_nxt + 9 + i, Seq{}));
    unsigned of_b = 0;
    while (b.take()) ++of_b;
    EXPECT_EQ(of_b, noise == 0 ? 0U : 1U);  // by its own bit
    w.feed(a.make(RST, a.snd_nxt + 9, Seq{}));
    a.expect(ACK);
    w.run_for(2s);
    EXPECT_EQ(w.stack->gauges().half_open, 0U);
  }
}

// One more for every SYN-ACK: a client that starts anew is answered in the end.
//= RFC5961 7-a type=test
TEST(SideChannel, EachSynAckAllowsOneChallenge) {
  World w;
  w.listen();
  Peer p(w);
  p.syn();
  for (unsigned i = 0; i < 3; ++i) {
    for (unsigned j = 0; j < 5; ++j) w.feed(p.make(SYN, p.snd_nxt + 100, Seq{}));
    const Sent s = p.expect(ACK);
    EXPECT_EQ(s.tcp().ack, p.snd_nxt);
    EXPECT_EQ(s.tcp().options.mss, 0);
    if (i == 2) break;
    p.expect_quiet();
    w.run_to(i == 0 ? 1s : 3s);
    p.expect(SYN | ACK);
  }
  EXPECT_EQ(w.count(&C::challenge_acks), 3U);
  EXPECT_EQ(w.count(&C::drop_challenge_rate), 12U);
}

}  // namespace
}  // namespace weir::stack::test

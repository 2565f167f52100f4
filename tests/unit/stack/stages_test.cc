// The stages of an iteration: what is charged to which, and that nothing is lost between them.
#include "telemetry/stages.h"

#include <numeric>

#include "harness.h"
#include "socket/worker.h"
#include "tcp/tcb.h"

namespace weir::stack::test {
namespace {

using telemetry::Stage;
using telemetry::StageMeter;

std::uint64_t ticks = 0;
std::uint64_t counted_tick() {
  return ++ticks;
}
std::uint64_t given_tick() {
  return ticks;
}

std::uint64_t of(const StageMeter& m, Stage s) {
  return m.sums().stages[static_cast<std::size_t>(s)];
}
std::uint64_t together(const StageMeter& m) {
  const auto& s = m.sums().stages;
  return std::accumulate(s.begin(), s.end(), std::uint64_t{0});
}

// A port whose frames the test gives, and whose work takes as many ticks as it says.
struct Port {
  World& w;
  std::vector<Octets> frames;

  [[nodiscard]] Instant now() const { return w.now; }
  unsigned rx_burst(std::span<Buf*> out) {
    ticks += 3;
    unsigned n = 0;
    for (const Octets& f : std::exchange(frames, {})) out[n++] = w.pool.take_copy(f);
    return n;
  }
  void transmit(std::span<const tcp::TxPacket> packets, BufChain chain, telemetry::Counters&) {
    ticks += 1'000 * packets.size();
    w.pool.give(std::move(chain));
  }
  void hand_over(std::span<const tcp::HandOver>, telemetry::Counters&) {}
  void release(BufChain chain) { w.pool.give(std::move(chain)); }
};
static_assert(Driver<Port>);

struct Program {
  World& w;
  void on_accept(Connection c, ListenerId) {
    ticks += 70;
    w.end_later(c.id());
  }
  void on_connected(Connection, std::uint64_t) {}
  void on_readable(Connection, std::uint64_t) {}
  void on_writable(Connection, std::uint64_t) {}
  void on_peer_closed(Connection, std::uint64_t) {}
  void on_timer(Connection, std::uint64_t) {}
  void on_closed(Connection, std::uint64_t, CloseReason) {}
};

struct Stages : testing::Test {
  Stages() : program{w}, port{w, {}}, worker(port, *w.stack, program) {
    w.listen();
    w.meet(kPeer);
  }
  World w;
  Program program;
  Port port;
  Worker<Port, Program> worker;
  Peer peer{w};
};

TEST_F(Stages, EachBoundaryIsMarkedOnceAnIteration) {
  StageMeter meter(&counted_tick);
  worker.set_meter(&meter);
  port.frames = {peer.next(SYN), arp_frame(1, kPeer, mac_of(kPeer), kHost, MacAddr::broadcast())};
  EXPECT_EQ(worker.run_once(), 2U);
  EXPECT_EQ(of(meter, Stage::kRx), 1U + 3U);
  EXPECT_EQ(of(meter, Stage::kParse), 1U);
  EXPECT_EQ(of(meter, Stage::kLookup), 1U);
  EXPECT_EQ(of(meter, Stage::kTimers), 1U);
  EXPECT_EQ(of(meter, Stage::kApplication), 1U);
  EXPECT_EQ(of(meter, Stage::kTcp), 2U);  // segments in, segments out
  EXPECT_EQ(of(meter, Stage::kTx), 1U + 1'000U);
  EXPECT_EQ(together(meter), meter.sums().busy);
  EXPECT_EQ(meter.sums().busy_iterations, 1U);
  EXPECT_EQ(meter.sums().idle, 0U);
  worker.set_meter(nullptr);
}

TEST_F(Stages, EmptyPollsCountApart) {
  StageMeter meter(&counted_tick);
  worker.set_meter(&meter);
  EXPECT_EQ(worker.run_once(), 0U);
  EXPECT_EQ(worker.run_once(), 0U);
  EXPECT_EQ(together(meter), 0U);
  EXPECT_EQ(meter.sums().busy, 0U);
  EXPECT_EQ(meter.sums().busy_iterations, 0U);
  EXPECT_EQ(meter.sums().idle_iterations, 2U);
  EXPECT_EQ(meter.sums().idle, 2U * (3U + 5U));  // no frame: nothing parsed, looked up, delivered
  worker.set_meter(nullptr);
}

// What a timer sends is work, though no frame came and no handler was called.
TEST_F(Stages, ARetransmissionIsWork) {
  port.frames = {peer.next(SYN)};
  EXPECT_EQ(worker.run_once(), 1U);
  StageMeter meter(&given_tick);
  worker.set_meter(&meter);
  w.now += 2s;
  EXPECT_EQ(worker.run_once(), 0U);  // the SYN-ACK again
  EXPECT_EQ(meter.sums().busy_iterations, 1U);
  EXPECT_EQ(of(meter, Stage::kTx), 1'000U);
  worker.set_meter(nullptr);
}

TEST_F(Stages, TheHandlersTimeIsTheApplications) {
  port.frames = {peer.next(SYN)};
  EXPECT_EQ(worker.run_once(), 1U);
  w.now += 2s;
  w.iterate();  // the SYN-ACK again, this time where the test sees it
  peer.expect(SYN | ACK);
  StageMeter meter(&given_tick);
  worker.set_meter(&meter);
  port.frames = {peer.next(ACK)};
  EXPECT_EQ(worker.run_once(), 2U);
  EXPECT_EQ(of(meter, Stage::kApplication), 70U);
  EXPECT_EQ(of(meter, Stage::kRx), 3U);
  EXPECT_EQ(together(meter), meter.sums().busy);
  worker.set_meter(nullptr);
}

// A program that acts of its own accord.
struct Pacer : Program {
  unsigned on_turn(Instant now) {
    ticks += 7;
    return now >= next ? 1 : 0;
  }
  [[nodiscard]] Instant next_turn() const { return next; }
  Instant next = kStart + 5s;
};

TEST_F(Stages, ATurnOfTheProgramIsItsOwnTimeAndItsWork) {
  Pacer pacer{{w}};
  Worker<Port, Pacer> paced(port, *w.stack, pacer);
  StageMeter meter(&given_tick);
  paced.set_meter(&meter);
  EXPECT_EQ(paced.run_once(), 0U);
  EXPECT_EQ(meter.sums().idle, 3U + 7U);
  EXPECT_EQ(paced.next_deadline(), kStart + 5s);
  w.now += 5s;
  EXPECT_EQ(paced.run_once(), 1U);
  EXPECT_EQ(of(meter, Stage::kApplication), 7U);
  pacer.next = kNever;
  EXPECT_EQ(paced.next_deadline(), w.stack->next_deadline());
  paced.set_meter(nullptr);
}

TEST_F(Stages, AnIterationBeyondTheLimitWasInterrupted) {
  StageMeter meter(&given_tick, {true, 1'002});
  worker.set_meter(&meter);
  port.frames = {peer.next(SYN)};
  EXPECT_EQ(worker.run_once(), 1U);  // 3 ticks for the port, 1,000 for the SYN-ACK
  EXPECT_EQ(meter.sums().interrupted, 1'003U);
  EXPECT_EQ(meter.sums().interrupted_iterations, 1U);
  EXPECT_EQ(meter.sums().busy + meter.sums().busy_iterations + together(meter), 0U);
  EXPECT_EQ(worker.run_once(), 0U);
  port.frames = {arp_frame(1, kPeer, mac_of(kPeer), kGateway, MacAddr::broadcast())};
  EXPECT_EQ(worker.run_once(), 1U);
  EXPECT_EQ(meter.sums().busy, 3U);
  EXPECT_EQ(meter.sums().busy_iterations, 1U);
  EXPECT_EQ(meter.sums().idle, 3U);
  EXPECT_EQ(meter.sums().span, 1'003U + 3U + 3U);
  worker.set_meter(nullptr);
}

TEST_F(Stages, WithoutASplitTheWholeIsCountedAllTheSame) {
  StageMeter meter(&counted_tick, {false, StageMeter::kNoLimit});
  worker.set_meter(&meter);
  port.frames = {peer.next(SYN)};
  EXPECT_EQ(worker.run_once(), 1U);
  EXPECT_EQ(worker.run_once(), 0U);
  EXPECT_EQ(together(meter), 0U);
  EXPECT_EQ(meter.sums().busy, 3U + 1'000U + 1U);
  EXPECT_EQ(meter.sums().idle, 3U + 1U);
  worker.set_meter(nullptr);
}

TEST(Footprint, WithinTheBudgets) {
  const Footprint f = Stack::footprint();
  EXPECT_EQ(f.half_open, 64U + 10U);
  EXPECT_EQ(f.time_wait, 28U + 10U);
  EXPECT_EQ(f.resting, 256U + 16U + 4U + 10U);
  EXPECT_GT(f.connection, f.resting + sizeof(tcp::Tcb));
  EXPECT_LT(f.connection, sizeof(tcp::Tcb) + 512U);
}

}  // namespace
}  // namespace weir::stack::test

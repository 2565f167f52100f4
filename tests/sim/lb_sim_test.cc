// The balancer between simulated clients and backends: what a client sees when a backend refuses,
// says nothing, resets or is slow, and that nothing is left behind.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "balancer.h"
#include "base/rng.h"
#include "lb/lb.h"
#include "sim_world.h"

namespace weir::test {
namespace {

constexpr std::uint16_t kFront = 80, kBack = 8080;

std::string text_of(std::size_t n, std::uint64_t seed) {
  Rng rng(seed);
  std::string s(n, '\0');
  for (char& c : s) c = static_cast<char>(rng.next());
  return s;
}

// One end of a connection that a test looks at.
struct Stream {
  Connection conn;
  std::string out;       // to be sent
  std::size_t sent = 0;  // of it
  bool fin_when_sent = false;
  bool fin_sent = false;
  bool reading = true;
  std::string in;
  bool connected = false, peer_closed = false;
  std::optional<CloseReason> closed;
};

// A client or a backend: sends what it is told to, reads what comes.
class Peer : public App {
 public:
  // What a backend does with a connection that it accepts.
  struct Reply {
    std::string text;
    bool after_peer_closed = false;  // else at once
    bool fin = true;
    bool reading = true;
    bool reset = false;
  };
  Reply reply;
  std::vector<std::unique_ptr<Stream>> streams;

  Stream& add(Connection c) {
    streams.push_back(std::make_unique<Stream>());
    streams.back()->conn = c;
    c.set_user(streams.size() - 1);
    return *streams.back();
  }
  void push(Stream& s) {
    if (s.closed || s.fin_sent) return;
    s.sent += s.conn.send(std::as_bytes(std::span(s.out).subspan(s.sent)));
    if (s.sent < s.out.size()) return s.conn.want_writable();
    if (!s.fin_when_sent) return;
    s.fin_sent = true;
    s.conn.shutdown_send();
  }
  void pull(Stream& s) {
    while (s.reading && s.conn.readable() > 0) {
      BufChain loan = s.conn.receive(s.conn.readable());
      for (const Buf* b = loan.head(); b != nullptr; b = b->next) {
        s.in.append(reinterpret_cast<const char*>(b->data), b->len);
      }
      s.conn.release(std::move(loan));
    }
  }

  void on_accept(Connection c, ListenerId) override {
    Stream& s = add(c);
    s.reading = reply.reading;
    if (reply.reset) {
      s.closed = CloseReason::kAborted;
      return c.abort();
    }
    if (!reply.after_peer_closed) answer(s);
  }
  void on_connected(Connection, std::uint64_t user) override {
    streams[user]->connected = true;
    push(*streams[user]);
  }
  void on_readable(Connection, std::uint64_t user) override { pull(*streams[user]); }
  void on_writable(Connection, std::uint64_t user) override { push(*streams[user]); }
  void on_peer_closed(Connection, std::uint64_t user) override {
    Stream& s = *streams[user];
    s.peer_closed = true;
    if (reply.after_peer_closed) answer(s);
    finish(s);
  }
  void on_closed(Connection, std::uint64_t user, CloseReason reason) override {
    streams[user]->closed = reason;
  }

 private:
  void answer(Stream& s) {
    s.out = reply.text;
    s.fin_when_sent = reply.fin;
    push(s);
  }
  // Both FINs are out: no need to wait out TIME-WAIT.
  void finish(Stream& s) {
    if (!s.fin_sent || s.closed || !s.reading || s.conn.unacked() > 0) return;
    s.conn.close();
    s.closed = CloseReason::kNormal;
  }
};

using Balancer = BalancerOf<lb::Handler>;

// Host 0 is the client, host 1 the balancer, the rest are backends.
class Lab {
 public:
  explicit Lab(unsigned backends, std::uint64_t seed = 1, const HostSpec& spec = {})
      : world(seed), backend(backends) {
    world.add_host(client, spec);
    world.add_host(front, spec);
    config.pools.resize(1);
    for (unsigned i = 0; i < backends; ++i) {
      backend[i] = std::make_unique<Peer>();
      Host& h = world.add_host(*backend[i], spec);
      config.pools[0].backends.push_back({h.addr(), kBack});
    }
    config.listeners.push_back({"front", {world.host(1).addr(), kFront}, 0, 64});
    config.max_sessions = 16;
  }

  void start(std::vector<bool> listening = {}) {
    front.lb.emplace(world.host(1).stack(), config);
    ASSERT_TRUE(front.lb->start().ok());
    for (unsigned i = 0; i < backend.size(); ++i) {
      if (!listening.empty() && !listening[i]) continue;
      ASSERT_TRUE(backend_host(i).stack().listen({backend_host(i).addr(), kBack}).ok());
    }
  }
  Host& backend_host(unsigned i) { return world.host(2 + i); }
  // A client that sends `text`, and its FIN behind it if told to.
  Stream& request(std::string text, bool fin = true) {
    auto id = world.connect(world.host(0), world.host(1), kFront);
    EXPECT_TRUE(id.ok());
    Stream& s = client.add(Connection{world.host(0).stack(), *id});
    s.out = std::move(text);
    s.fin_when_sent = fin;
    return s;
  }
  void lose_all_to_backend(unsigned i) {
    sim::Faults f;
    f.loss = 1'000'000;
    world.network().down(2 + i).set_faults(f);
  }
  [[nodiscard]] const lb::Counters& counters() const { return front.lb->counters(); }
  [[nodiscard]] const lb::BackendCounters& of_backend(std::uint32_t i) const {
    return front.lb->pools()[0].counters(i);
  }
  // Nothing left anywhere: no connection, no session, no buffer.
  void expect_at_rest() {
    EXPECT_TRUE(world.run_until([&] { return world.at_rest(); }, 5min));
    world.expect_at_rest();
    EXPECT_EQ(counters().sessions.get(), 0U);
    for (std::uint32_t i = 0; i < backend.size(); ++i) EXPECT_EQ(of_backend(i).active.get(), 0U);
  }

  World world;
  Peer client;
  Balancer front;
  std::vector<std::unique_ptr<Peer>> backend;
  lb::Config config;
};

TEST(Lb, CarriesBothWaysAndTheHalfClose) {
  Lab lab(1);
  const std::string up = text_of(700'000, 1), down = text_of(900'000, 2);
  lab.backend[0]->reply = {.text = down, .after_peer_closed = true};
  lab.start();
  Stream& c = lab.request(up);
  ASSERT_TRUE(lab.world.run_until([&] { return c.closed.has_value(); }, 60s));
  EXPECT_EQ(c.closed, CloseReason::kNormal);
  EXPECT_EQ(c.in, down);  // sent only after the backend had seen the client's FIN
  ASSERT_EQ(lab.backend[0]->streams.size(), 1U);
  EXPECT_EQ(lab.backend[0]->streams[0]->in, up);
  EXPECT_EQ(lab.counters().bytes_to_backend.get(), up.size());
  EXPECT_EQ(lab.counters().bytes_to_client.get(), down.size());
  lab.expect_at_rest();
}

TEST(Lb, TheBackendMayCloseFirst) {
  Lab lab(1);
  lab.backend[0]->reply = {.text = "hello and goodbye"};
  lab.start();
  Stream& c = lab.request("question", false);
  ASSERT_TRUE(lab.world.run_until([&] { return c.peer_closed; }, 10s));
  EXPECT_EQ(c.in, "hello and goodbye");
  c.fin_when_sent = true;
  lab.client.push(c);
  lab.world.host(0).poke();
  ASSERT_TRUE(lab.world.run_until([&] { return lab.backend[0]->streams[0]->peer_closed; }, 10s));
  EXPECT_EQ(lab.backend[0]->streams[0]->in, "question");
  c.conn.close();
  lab.expect_at_rest();
}

TEST(Lb, TakesTurns) {
  Lab lab(3);
  for (auto& b : lab.backend) b->reply = {.text = "x"};
  lab.start();
  for (unsigned i = 0; i < 6; ++i) lab.request("q");
  lab.expect_at_rest();
  for (std::uint32_t i = 0; i < 3; ++i) EXPECT_EQ(lab.of_backend(i).total.get(), 2U) << i;
}

TEST(Lb, LeastConnectionsPrefersTheIdle) {
  Lab lab(2);
  lab.config.pools[0].balance = lb::Balance::kLeastConnections;
  for (auto& b : lab.backend) b->reply = {.text = "", .fin = false};
  lab.start();
  for (unsigned i = 0; i < 4; ++i) lab.request("q", false);
  lab.world.run_for(4s);
  EXPECT_EQ(lab.of_backend(0).active.get(), 2U);
  EXPECT_EQ(lab.of_backend(1).active.get(), 2U);
  for (auto& s : lab.backend[1]->streams) s->conn.abort();
  lab.backend_host(1).poke();
  lab.world.run_for(4s);
  EXPECT_EQ(lab.of_backend(1).active.get(), 0U);
  for (unsigned i = 0; i < 2; ++i) lab.request("q", false);
  lab.world.run_for(4s);
  EXPECT_EQ(lab.of_backend(0).active.get(), 2U);
  EXPECT_EQ(lab.of_backend(1).active.get(), 2U);
  lab.front.lb->abort_all();
  lab.world.host(1).poke();
  lab.expect_at_rest();
}

TEST(Lb, ARefusedConnectGoesToTheNextBackend) {
  Lab lab(2);
  lab.backend[1]->reply = {.text = "answer"};
  lab.start({false, true});
  Stream& c = lab.request("question");
  ASSERT_TRUE(lab.world.run_until([&] { return c.peer_closed; }, 500ms));
  EXPECT_EQ(c.in, "answer");
  EXPECT_EQ(lab.backend[1]->streams[0]->in, "question");
  EXPECT_EQ(lab.of_backend(0).failed.get(), 1U);
  EXPECT_EQ(lab.counters().backend_retries.get(), 1U);
  // Put aside: the next two do not try it.
  lab.request("q");
  lab.request("q");
  lab.world.run_for(500ms);
  EXPECT_EQ(lab.of_backend(0).failed.get(), 1U);
  EXPECT_EQ(lab.of_backend(1).total.get(), 3U);
  // Its time is over: one tries, and is none the worse for it.
  lab.world.run_for(1s);
  for (unsigned i = 0; i < 4; ++i) lab.request("q");
  lab.world.run_for(500ms);
  EXPECT_EQ(lab.of_backend(0).failed.get(), 2U);
  EXPECT_EQ(lab.of_backend(1).total.get(), 7U);
  lab.expect_at_rest();
}

TEST(Lb, ABackendThatComesBackIsUsedAgain) {
  Lab lab(2);
  for (auto& b : lab.backend) b->reply = {.text = "x"};
  lab.start({false, true});
  lab.request("q");
  lab.world.run_for(100ms);
  EXPECT_EQ(lab.of_backend(0).failed.get(), 1U);
  ASSERT_TRUE(lab.backend_host(0).stack().listen({lab.backend_host(0).addr(), kBack}).ok());
  lab.world.run_for(1s);
  for (unsigned i = 0; i < 4; ++i) lab.request("q");
  lab.world.run_for(1s);
  for (unsigned i = 0; i < 4; ++i) lab.request("q");
  lab.expect_at_rest();
  EXPECT_EQ(lab.of_backend(0).failed.get(), 1U);
  EXPECT_GE(lab.of_backend(0).total.get(), 3U);
}

TEST(Lb, ASilentBackendGivesWayToTheNext) {
  Lab lab(2);
  lab.backend[1]->reply = {.text = "answer"};
  lab.start();
  lab.lose_all_to_backend(0);
  const std::string up = text_of(400'000, 3);  // more than the window: it waits, closed
  Stream& c = lab.request(up);
  lab.world.run_for(900ms);
  EXPECT_TRUE(c.connected);
  EXPECT_FALSE(c.peer_closed);
  ASSERT_TRUE(lab.world.run_until([&] { return c.peer_closed; }, 30s));
  EXPECT_EQ(c.in, "answer");
  lab.expect_at_rest();
  EXPECT_EQ(lab.backend[1]->streams[0]->in, up);
  EXPECT_EQ(lab.of_backend(0).failed.get(), 1U);
}

// The SYN goes again after rto_initial, which must lie well inside connect_timeout.
TEST(Lb, ASynThatIsLostOnceCondemnsNoBackend) {
  Lab lab(1);
  lab.backend[0]->reply = {.text = "answer"};
  lab.start();
  lab.request("the neighbour is known");
  lab.world.run_for(1s);
  lab.lose_all_to_backend(0);
  Stream& c = lab.request("q");
  lab.world.run_for(500ms);
  lab.world.network().down(2).set_faults({});
  ASSERT_TRUE(lab.world.run_until([&] { return c.peer_closed; }, 1s));
  EXPECT_EQ(c.in, "answer");
  EXPECT_EQ(lab.of_backend(0).failed.get(), 0U);
}

TEST(Lb, AMissingHostGivesWayToTheNext) {
  Lab lab(1);
  lab.config.pools[0].backends.insert(lab.config.pools[0].backends.begin(),
                                      {IpAddr::v4(10, 0, 0, 200), kBack});
  lab.backend[0]->reply = {.text = "answer"};
  lab.start();
  Stream& c = lab.request("q");
  ASSERT_TRUE(lab.world.run_until([&] { return c.peer_closed; }, 10s));
  EXPECT_EQ(c.in, "answer");
  EXPECT_EQ(lab.of_backend(0).failed.get(), 1U);
  lab.world.run_until([&] { return lab.world.at_rest(); }, 60s);
}

TEST(Lb, WithoutABackendTheClientIsReset) {
  Lab lab(3);
  lab.start({false, false, false});
  Stream& c = lab.request("question");
  ASSERT_TRUE(lab.world.run_until([&] { return c.closed.has_value(); }, 5s));
  EXPECT_EQ(c.closed, CloseReason::kReset);
  EXPECT_TRUE(c.in.empty());
  EXPECT_EQ(lab.counters().no_backend.get(), 1U);
  EXPECT_EQ(lab.counters().backend_retries.get(), 2U);
  lab.expect_at_rest();
}

TEST(Lb, RetriesHaveALimit) {
  Lab lab(3);
  lab.config.pools[0].retries = 1;
  lab.start({false, false, true});
  Stream& c = lab.request("question");
  ASSERT_TRUE(lab.world.run_until([&] { return c.closed.has_value(); }, 5s));
  EXPECT_EQ(c.closed, CloseReason::kReset);
  EXPECT_EQ(lab.counters().backend_retries.get(), 1U);
  lab.expect_at_rest();
}

// The peak of the balancer's blocks while one side does not read, in octets.
std::uint64_t held_for_slow_reader(bool slow_backend) {
  HostSpec spec;
  spec.stack.tcp.rmem = 64 * 1024;
  spec.stack.tcp.wmem = 64 * 1024;
  Lab lab(1, 1, spec);
  const std::string text = text_of(1'000'000, 4);
  lab.backend[0]->reply = {.text = slow_backend ? "" : text, .reading = !slow_backend};
  lab.start();
  Stream& c = lab.request(slow_backend ? text : "");
  c.reading = slow_backend;
  lab.world.run_for(20s);
  const std::uint64_t held = std::uint64_t{lab.world.host(1).pool().in_use()} * 1'448;
  EXPECT_GT(held, 64U * 1024U);  // it did fill up
  Stream& slow = slow_backend ? *lab.backend[0]->streams.at(0) : c;
  Peer& peer = slow_backend ? *lab.backend[0] : lab.client;
  EXPECT_TRUE(slow.in.empty());
  slow.reading = true;  // and now it reads: all of it is there
  peer.pull(slow);
  lab.world.host(slow_backend ? 2 : 0).poke();
  EXPECT_TRUE(lab.world.run_until([&] { return slow.in.size() == text.size(); }, 60s));
  EXPECT_EQ(slow.in, text);
  EXPECT_TRUE(lab.world.run_until([&] { return slow.peer_closed; }, 60s));
  return held;
}

TEST(Lb, ASlowBackendBoundsWhatASessionHolds) {
  EXPECT_LT(held_for_slow_reader(true), 2U * 64U * 1024U + 16'384U);
}

TEST(Lb, ASlowClientBoundsWhatASessionHolds) {
  EXPECT_LT(held_for_slow_reader(false), 2U * 64U * 1024U + 16'384U);
}

TEST(Lb, AResetByTheBackendReachesTheClient) {
  Lab lab(1);
  lab.backend[0]->reply = {.text = "half an ans", .fin = false};
  lab.start();
  Stream& c = lab.request("q", false);
  ASSERT_TRUE(lab.world.run_until([&] { return !c.in.empty(); }, 5s));
  lab.backend[0]->streams[0]->conn.abort();
  lab.backend_host(0).poke();
  ASSERT_TRUE(lab.world.run_until([&] { return c.closed.has_value(); }, 5s));
  EXPECT_EQ(c.closed, CloseReason::kReset);
  EXPECT_EQ(lab.counters().backend_resets.get(), 1U);
  lab.expect_at_rest();
}

TEST(Lb, AResetByTheClientReachesTheBackend) {
  Lab lab(1);
  lab.backend[0]->reply = {.text = "x", .fin = false};
  lab.start();
  Stream& c = lab.request("q", false);
  ASSERT_TRUE(lab.world.run_until([&] { return !c.in.empty(); }, 5s));
  c.conn.abort();
  lab.world.host(0).poke();
  Stream& b = *lab.backend[0]->streams.at(0);
  ASSERT_TRUE(lab.world.run_until([&] { return b.closed.has_value(); }, 5s));
  EXPECT_EQ(b.closed, CloseReason::kReset);
  EXPECT_EQ(lab.counters().client_resets.get(), 1U);
  lab.expect_at_rest();
}

// A backend may reset what it does not read any more after it said all: the answer survives.
TEST(Lb, AResetBehindTheLastWordCostsNothing) {
  HostSpec spec;
  spec.stack.tcp.rmem = 16 * 1024;
  Lab lab(1, 1, spec);
  const std::string answer = text_of(30'000, 5);
  lab.backend[0]->reply = {.text = answer, .reading = false};
  lab.start();
  Stream& c = lab.request("q", false);
  c.reading = false;
  ASSERT_TRUE(lab.world.run_until(
      [&] {
        const auto& s = lab.backend[0]->streams;
        return !s.empty() && s[0]->fin_sent && s[0]->conn.unacked() == 0;
      },
      5s));
  lab.world.run_for(1s);
  lab.backend[0]->streams[0]->conn.abort();
  lab.backend_host(0).poke();
  lab.world.run_for(1s);
  EXPECT_EQ(lab.counters().backend_resets.get(), 1U);
  c.reading = true;
  lab.client.pull(c);
  lab.world.host(0).poke();
  ASSERT_TRUE(lab.world.run_until([&] { return c.peer_closed || c.closed; }, 30s));
  EXPECT_TRUE(c.peer_closed);
  EXPECT_EQ(c.in, answer);
  c.conn.close();
  lab.expect_at_rest();
}

TEST(Lb, AnIdleSessionEnds) {
  Lab lab(1);
  lab.config.idle_timeout = 10s;
  lab.backend[0]->reply = {.text = "x", .fin = false};
  lab.start();
  Stream& c = lab.request("q", false);
  lab.world.run_for(8s);
  c.out += "more";  // activity puts it off
  lab.client.push(c);
  lab.world.host(0).poke();
  lab.world.run_for(8s);
  EXPECT_FALSE(c.closed.has_value());
  ASSERT_TRUE(lab.world.run_until([&] { return c.closed.has_value(); }, 5s));
  EXPECT_EQ(c.closed, CloseReason::kReset);
  EXPECT_EQ(lab.counters().idle_timeouts.get(), 1U);
  lab.expect_at_rest();
}

// Issue: a client that never reads ends by a timer, though it acknowledges probes for ever.
TEST(Lb, AClientThatNeverReadsEnds) {
  Lab lab(1);
  lab.config.idle_timeout = 10s;
  lab.backend[0]->reply = {.text = text_of(2'000'000, 6)};
  lab.start();
  Stream& c = lab.request("q");
  c.reading = false;
  const auto ended = [&] { return lab.world.host(1).stack().gauges().connections == 0; };
  lab.world.run_for(1s);
  EXPECT_FALSE(ended());
  EXPECT_TRUE(lab.world.run_until(ended, 60s));
  EXPECT_EQ(lab.counters().idle_timeouts.get(), 1U);
  EXPECT_EQ(lab.world.host(1).pool().in_use(), 0U);
  c.reading = true;  // it learns of it at the latest when it speaks
  lab.client.pull(c);
  lab.world.host(0).poke();
  EXPECT_TRUE(lab.world.run_until([&] { return c.closed.has_value(); }, 60s));
  lab.expect_at_rest();
}

TEST(Lb, ADrainLetsSessionsFinish) {
  Lab lab(1);
  lab.backend[0]->reply = {.text = "answer", .after_peer_closed = true};
  lab.start();
  Stream& old = lab.request("question", false);
  lab.world.run_for(1s);
  lab.front.lb->stop_accepting();
  lab.world.host(1).poke();
  Stream& late = lab.request("question");
  ASSERT_TRUE(lab.world.run_until([&] { return late.closed.has_value(); }, 5s));
  EXPECT_EQ(late.closed, CloseReason::kRefused);
  EXPECT_FALSE(old.closed.has_value());
  old.fin_when_sent = true;
  lab.client.push(old);
  lab.world.host(0).poke();
  ASSERT_TRUE(lab.world.run_until([&] { return old.closed.has_value(); }, 5s));
  EXPECT_EQ(old.in, "answer");
  lab.expect_at_rest();
}

TEST(Lb, TheLimitOfADrainResets) {
  Lab lab(1);
  lab.backend[0]->reply = {.text = "x", .fin = false};
  lab.start();
  Stream& c = lab.request("q", false);
  lab.world.run_for(1s);
  lab.front.lb->stop_accepting();
  lab.front.lb->abort_all();
  lab.world.host(1).poke();
  ASSERT_TRUE(lab.world.run_until([&] { return c.closed.has_value(); }, 5s));
  EXPECT_EQ(c.closed, CloseReason::kReset);
  EXPECT_EQ(lab.counters().aborted.get(), 1U);
  lab.expect_at_rest();
}

TEST(Lb, BeyondMaxSessionsClientsWait) {
  Lab lab(1);
  lab.config.max_sessions = 2;
  lab.backend[0]->reply = {.text = "x", .after_peer_closed = true};
  lab.start();
  Stream& first = lab.request("q", false);
  lab.request("q", false);
  lab.world.run_for(1s);
  Stream& third = lab.request("q");
  lab.world.run_for(1s);
  EXPECT_EQ(lab.counters().sessions.get(), 2U);
  EXPECT_TRUE(third.connected);  // the backlog holds it
  EXPECT_TRUE(third.in.empty());
  first.fin_when_sent = true;
  lab.client.push(first);
  lab.world.host(0).poke();
  ASSERT_TRUE(lab.world.run_until([&] { return third.peer_closed; }, 5s));
  EXPECT_EQ(third.in, "x");
  EXPECT_EQ(lab.counters().refused.get(), 0U);
}

// Bad links, several sessions, text both ways: every octet arrives.
class LbSeeds : public testing::TestWithParam<std::uint64_t> {};

TEST_P(LbSeeds, CarryEveryOctet) {
  Rng rng(GetParam());
  HostSpec spec;
  spec.up.loss = spec.down.loss = rng.below(40'000);
  spec.up.reorder = spec.down.reorder = rng.below(50'000);
  spec.up.duplicate = spec.down.duplicate = rng.below(20'000);
  spec.up.delay = spec.down.delay = 10us + Duration{rng.below(20'000)};
  spec.stack.tcp.rmem = 8'000 + rng.below(200'000);
  spec.stack.tcp.wmem = 8'000 + rng.below(200'000);
  spec.stack.tcp.syn_retries = spec.stack.tcp.synack_retries = 15;
  Lab lab(2, GetParam(), spec);
  lab.config.pools[0].connect_timeout = 20s;
  lab.config.idle_timeout = 600s;
  for (auto& b : lab.backend) {
    b->reply = {.text = text_of(rng.below(150'000), 7), .after_peer_closed = rng.below(2) == 0};
  }
  lab.start();
  std::vector<Stream*> clients;
  for (unsigned i = 0; i < 4; ++i) clients.push_back(&lab.request(text_of(rng.below(150'000), i)));
  const auto all_closed = [&] {
    for (const Stream* c : clients) {
      if (!c->peer_closed && !c->closed) return false;
    }
    return true;
  };
  ASSERT_TRUE(lab.world.run_until(all_closed, 30min));
  // A link that loses every ARP request or reply makes a host unreachable: no fault of ours.
  std::size_t lost = 0;
  for (const Stream* c : clients) {
    if (c->closed == CloseReason::kUnreachable) {
      ++lost;
      continue;
    }
    SCOPED_TRACE(c->closed ? std::string(tcp::to_string(*c->closed)) : "open");
    EXPECT_TRUE(c->in == lab.backend[0]->reply.text || c->in == lab.backend[1]->reply.text);
  }
  EXPECT_TRUE(lab.world.run_until([&] { return lab.counters().sessions.get() == 0; }, 30min));
  std::size_t found = 0;
  for (const auto& b : lab.backend) {
    for (const auto& s : b->streams) {
      for (const Stream* c : clients) found += c->out == s->in ? 1 : 0;
    }
  }
  EXPECT_GE(found + lost, clients.size());
}

INSTANTIATE_TEST_SUITE_P(All, LbSeeds,
                         testing::Range<std::uint64_t>(1, 1 + env_number("WEIR_SIM_LB_SEEDS", 60)));

}  // namespace
}  // namespace weir::test

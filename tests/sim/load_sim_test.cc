// The generator of `weir load` before the server of `weir serve`, in virtual time: its pace, what
// it counts, and that it finds what is wrong.
#include <gtest/gtest.h>

#include "load_lab.h"

namespace weir::test {
namespace {

using app::LoadClose;
using app::LoadMode;

TEST(Load, ARateIsKeptAndEveryAnswerChecked) {
  Lab lab;
  lab.serve();
  lab.config.rate_from = lab.config.rate_to = 500;
  lab.run(4s);
  // The first one ahead of the schedule, then 0, 2, 4 ... ms from its answer on.
  EXPECT_NEAR(static_cast<double>(lab.counters().opened.get()), 2'001, 3);
  lab.drain();
  EXPECT_EQ(lab.counters().answers.get(), lab.counters().opened.get());
  EXPECT_EQ(lab.counters().completed.get(), lab.counters().opened.get());
  EXPECT_EQ(lab.server.serve->counters().requests.get(), lab.counters().requests.get());
  EXPECT_EQ(lab.errors(), 0U);
  const auto connect = lab.latency(lab.generator.load->latency().connect);
  EXPECT_EQ(connect.count() + 1, lab.counters().opened.get());
  // The server closes: the TIME-WAIT is there.
  EXPECT_EQ(lab.world.host(0).counters().time_wait_entered.get(), 0U);
}

TEST(Load, ARampGrowsByTheSquareOfTime) {
  Lab lab;
  lab.serve();
  lab.config.rate_from = 0;
  lab.config.rate_to = 400;
  lab.config.ramp = 2s;
  lab.start();
  lab.world.run_for(1s);
  EXPECT_NEAR(static_cast<double>(lab.counters().opened.get()), 101, 3);
  lab.world.run_for(1s);
  EXPECT_NEAR(static_cast<double>(lab.counters().opened.get()), 401, 3);
  lab.world.run_for(1s);
  EXPECT_NEAR(static_cast<double>(lab.counters().opened.get()), 801, 3);
  lab.drain();
  EXPECT_EQ(lab.errors(), 0U);
}

TEST(Load, WithoutARateTheNextBeginsWhenOneEnds) {
  Lab lab;
  lab.serve();
  lab.config.concurrency = 7;
  lab.config.requests = 3;
  lab.config.connections_total = 100;
  lab.start();
  std::uint32_t most = 0;
  EXPECT_TRUE(lab.world.run_until(
      [&] {
        most = std::max(most, lab.counters().open.get() + lab.counters().connecting.get());
        return lab.generator.load->finished();
      },
      60s));
  EXPECT_EQ(most, 7U);
  EXPECT_EQ(lab.counters().completed.get(), 100U);
  EXPECT_EQ(lab.counters().answers.get(), 300U);
  EXPECT_EQ(lab.errors(), 0U);
  lab.drain();
}

TEST(Load, ConnectionsAreHeldAndAskedNowAndThen) {
  Lab lab;
  lab.serve();
  lab.config.mode = LoadMode::kHold;
  lab.config.concurrency = 300;
  lab.config.requests = 0;
  lab.config.interval = 5s;
  lab.config.rate_from = lab.config.rate_to = 300;
  lab.start();
  lab.world.run_for(2s);
  EXPECT_EQ(lab.counters().open.get(), 300U);
  EXPECT_EQ(lab.counters().requests.get(), 0U);
  lab.world.run_for(20s);
  EXPECT_EQ(lab.counters().open.get(), 300U);
  EXPECT_EQ(lab.counters().opened.get(), 300U);
  EXPECT_NEAR(static_cast<double>(lab.counters().answers.get()), 1'200, 301);
  lab.drain();
  EXPECT_EQ(lab.counters().completed.get(), 300U);
  EXPECT_EQ(lab.errors(), 0U);
}

TEST(Load, HeldConnectionsThatAreLostAreErrorsAndOpenedAgain) {
  Lab lab;
  app::ServeConfig c;
  c.listeners.push_back({"web", lab.config.targets[0], 64});
  c.idle_timeout = 3s;  // the server's
  lab.server.serve = std::make_unique<app::ServeHandler>(lab.world.host(1).stack(), c, 64U);
  ASSERT_TRUE(lab.server.serve->start().ok());
  lab.config.mode = LoadMode::kHold;
  lab.config.concurrency = 10;
  lab.config.requests = 0;
  lab.run(5s);
  EXPECT_EQ(lab.counters().lost.get(), 10U);
  EXPECT_EQ(lab.counters().open.get(), 10U);
  EXPECT_EQ(lab.counters().opened.get(), 20U);
  lab.drain();
}

TEST(Load, KeptConnectionsAreAskedOverAndOver) {
  Lab lab;
  lab.serve();
  lab.config.mode = LoadMode::kRequests;
  lab.config.concurrency = 5;
  lab.config.requests = 0;
  lab.run(2s);
  EXPECT_EQ(lab.counters().opened.get(), 5U);
  EXPECT_GT(lab.counters().answers.get(), 100U);
  lab.drain();
  EXPECT_EQ(lab.counters().answers.get(), lab.counters().requests.get());
  EXPECT_EQ(lab.errors(), 0U);
}

TEST(Load, RequestsAreDueWhetherOrNotTheServerAnswers) {
  sim::Faults slow;
  slow.delay = 100ms;  // a round trip is 200 ms: 4 connections carry 20 requests a second
  Lab lab(slow);
  lab.serve();
  lab.config.mode = LoadMode::kRequests;
  lab.config.concurrency = 4;
  lab.config.requests = 0;
  lab.config.rate_from = lab.config.rate_to = 40;
  lab.config.paths = {{"/bytes/10"}};
  lab.config.expect_size = 10;
  lab.config.timeout = 60s;
  lab.run(10s);
  EXPECT_NEAR(static_cast<double>(lab.counters().answers.get()), 190, 20);
  // Half of what was due in 10 s had to wait: a closed loop would have said 200 ms of each.
  EXPECT_GT(lab.latency(lab.generator.load->latency().request).percentile(0.9), 3'500'000U);
  lab.drain();
  EXPECT_EQ(lab.errors(), 0U);
}

TEST(Load, RequestsKeepTheirRate) {
  Lab lab;
  lab.serve();
  lab.config.mode = LoadMode::kRequests;
  lab.config.concurrency = 20;
  lab.config.requests = 0;
  lab.config.rate_from = lab.config.rate_to = 250;
  lab.run(4s);
  EXPECT_NEAR(static_cast<double>(lab.counters().requests.get()), 1'000, 20);
  EXPECT_EQ(lab.counters().opened.get(), 20U);
  lab.drain();
  EXPECT_EQ(lab.errors(), 0U);
}

// The server ends what is idle: it is not asked any more, and opened again without an error.
TEST(Load, AConnectionThatTheServerEndsBetweenRequestsIsReplaced) {
  Lab lab;
  app::ServeConfig c;
  c.listeners.push_back({"web", lab.config.targets[0], 64});
  c.idle_timeout = 2s;
  lab.server.serve = std::make_unique<app::ServeHandler>(lab.world.host(1).stack(), c, 64U);
  ASSERT_TRUE(lab.server.serve->start().ok());
  lab.config.mode = LoadMode::kRequests;
  lab.config.concurrency = 10;
  lab.config.requests = 0;
  lab.config.rate_from = lab.config.rate_to = 3;  // each would wait for 3.3 s
  lab.run(30s);
  EXPECT_NEAR(static_cast<double>(lab.counters().answers.get()), 90, 3);
  EXPECT_GT(lab.counters().server_closed.get(), 50U);
  EXPECT_EQ(lab.counters().open.get(), 10U);
  EXPECT_EQ(lab.errors(), 0U);
  lab.drain();
}

TEST(Load, ADeadTargetHoldsUpTheOthersForASecond) {
  Lab lab;
  lab.serve();
  lab.config.targets.push_back({IpAddr::v4(10, 0, 0, 99), 80});
  lab.config.rate_from = lab.config.rate_to = 100;
  lab.run(2s);
  EXPECT_NEAR(static_cast<double>(lab.counters().opened.get()), 102, 3);
  lab.drain();
  EXPECT_NEAR(static_cast<double>(lab.counters().completed.get()), 51, 3);
  EXPECT_EQ(lab.counters().completed.get() + lab.counters().connect_errors(),
            lab.counters().opened.get());
}

TEST(Load, SharesAddUp) {
  double opened = 0;
  std::uint64_t total = 0;
  for (std::uint32_t i = 0; i < 3; ++i) {
    Lab lab;
    lab.serve();
    lab.config.rate_from = lab.config.rate_to = 100;
    lab.start({i, 3});
    lab.world.run_for(3s);
    opened += static_cast<double>(lab.counters().opened.get());
    lab.drain();
    Lab ends;
    ends.serve();
    ends.config.concurrency = 8;
    ends.config.connections_total = 100;
    ends.start({i, 3});
    ends.world.run_for(10s);
    EXPECT_TRUE(ends.generator.load->finished());
    total += ends.counters().completed.get();
    ends.drain();
  }
  EXPECT_NEAR(opened, 303, 4);
  EXPECT_EQ(total, 100U);
}

TEST(Load, LossCostsTimeAndNoAnswer) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    sim::Faults lossy;
    lossy.loss = 50'000;
    lossy.delay = 5ms;
    Lab lab(lossy, seed);
    lab.serve();
    lab.config.rate_from = lab.config.rate_to = 100;
    lab.config.requests = 2;
    lab.config.timeout = 120s;
    lab.config.connect_timeout = 120s;
    lab.run(2s);
    EXPECT_NEAR(static_cast<double>(lab.counters().opened.get()), 200, 110);
    lab.drain();
    EXPECT_EQ(lab.counters().completed.get(), lab.counters().connected.get());
    EXPECT_EQ(lab.counters().wrong_body.get() + lab.counters().wrong_size.get(), 0U);
    EXPECT_EQ(lab.counters().answer_errors(), 0U);
    EXPECT_GT(lab.world.host(0).counters().retrans_segs.get() +
                  lab.world.host(1).counters().retrans_segs.get(),
              0U);
  }
}

struct Wrong {
  const char* name;
  const char* says;
  Server::End ends;
  lb::Counter app::LoadCounters::*counted;
};
void PrintTo(const Wrong& w, std::ostream* out) {
  *out << w.name;
}

class LoadFinds : public testing::TestWithParam<Wrong> {};

constexpr const char* kGood = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
const Wrong kWrong[] = {
    {"Status", "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nabc", Server::End::kNone,
     &app::LoadCounters::wrong_status},
    {"Size", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd", Server::End::kNone,
     &app::LoadCounters::wrong_size},
    {"SizeChunked",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n",
     Server::End::kNone, &app::LoadCounters::wrong_size},
    {"Body", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", Server::End::kNone,
     &app::LoadCounters::wrong_body},
    {"NoHttp", "SSH-2.0-OpenSSH\r\n", Server::End::kNone, &app::LoadCounters::wrong_framing},
    {"TextBehind", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcx", Server::End::kNone,
     &app::LoadCounters::wrong_framing},
    {"CutShort", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", Server::End::kFin,
     &app::LoadCounters::cut_short},
    {"CutInHead", "HTTP/1.1 200 OK\r\nContent-Le", Server::End::kFin,
     &app::LoadCounters::cut_short},
    {"NoAnswer", "", Server::End::kFin, &app::LoadCounters::cut_short},
    {"Reset", "", Server::End::kRst, &app::LoadCounters::resets},
    {"Silence", "", Server::End::kNone, &app::LoadCounters::request_timeouts}};

TEST_P(LoadFinds, WhatIsWrong) {
  Lab lab;
  lab.say(GetParam().says, GetParam().ends);
  lab.config.requests = 1;
  lab.config.timeout = 5s;
  lab.config.concurrency = 4;
  lab.config.connections_total = 10;
  if (GetParam().counted == &app::LoadCounters::wrong_size) lab.config.expect_size = 3;
  if (GetParam().counted == &app::LoadCounters::wrong_body) lab.config.expect_pattern = true;
  lab.start();
  EXPECT_TRUE(lab.world.run_until([&] { return lab.generator.load->finished(); }, 120s));
  EXPECT_EQ((lab.counters().*GetParam().counted).get(), 10U);
  EXPECT_EQ(lab.errors(), 10U);
  lab.drain();
}
INSTANTIATE_TEST_SUITE_P(Each, LoadFinds, testing::ValuesIn(kWrong),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Load, AnAnswerWithoutALengthEndsWithTheConnection) {
  Lab lab;
  lab.say("HTTP/1.0 200 OK\r\n\r\nabc", Server::End::kFin);
  lab.config.expect_size = 3;
  lab.config.connections_total = 10;
  lab.run(10s);
  EXPECT_EQ(lab.counters().completed.get(), 10U);
  EXPECT_EQ(lab.counters().answers.get(), 10U);
  EXPECT_EQ(lab.errors(), 0U);
  lab.drain();
}

TEST(Load, AServerThatSaysSoClosesAndHasTheTimeWait) {
  for (const char* path : {"/bytes/64", "/bytes/3000"}) {  // in one piece, in several
    Lab lab;
    lab.serve();
    lab.config.paths = {{path}};
    lab.config.expect_size.reset();
    lab.config.connections_total = 10;
    lab.run(1s);
    EXPECT_EQ(lab.counters().completed.get(), 10U);
    EXPECT_EQ(lab.errors(), 0U);
    EXPECT_EQ(lab.world.host(0).stack().gauges().time_wait, 0U);
    EXPECT_EQ(lab.world.host(1).stack().gauges().time_wait, 10U);
    lab.drain();
  }
}

TEST(Load, AServerThatSaysThatItClosesIsWaitedFor) {
  Lab lab;
  lab.say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
          Server::End::kNone);
  lab.config.connections_total = 1;
  lab.config.timeout = 5s;
  lab.run(4s);
  EXPECT_EQ(lab.counters().answers.get(), 1U);
  EXPECT_EQ(lab.counters().completed.get(), 0U);
  lab.world.run_for(4s);
  EXPECT_EQ(lab.counters().completed.get(), 1U);
  EXPECT_EQ(lab.errors(), 0U);
  lab.drain();
}

// The second segment of the answer is an answer by itself.
TEST(Load, AnAnswerWithinAnAnswerIsItsBody) {
  constexpr std::size_t kSegment = 1'448;
  const std::string good = kGood;
  const std::string first = "HTTP/1.1 200 OK\r\nContent-Length: ";
  const std::size_t pad = kSegment - first.size() - 8;  // 4 digits, the end of line, an empty one
  Lab lab;
  const std::string says = first + std::to_string(pad + good.size()) + "\r\n\r\n";
  ASSERT_EQ(says.size() + pad, kSegment);
  lab.say(says + std::string(pad, 'x') + good, Server::End::kNone);
  lab.config.connections_total = 10;
  lab.config.expect_size = pad + good.size();
  lab.run(10s);
  EXPECT_EQ(lab.counters().answers.get(), 10U);
  EXPECT_EQ(lab.errors(), 0U);
  lab.drain();
}

TEST(Load, AnInterimAnswerIsNone) {
  Lab lab;
  lab.say(std::string("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n") + kGood,
          Server::End::kNone);
  lab.config.connections_total = 10;
  lab.run(10s);
  EXPECT_EQ(lab.counters().answers.get(), 10U);
  EXPECT_EQ(lab.errors(), 0U);
  lab.drain();
}

TEST(Load, ARefusedConnectIsNamed) {
  Lab lab;  // nobody listens
  lab.config.connections_total = 10;
  lab.config.rate_from = lab.config.rate_to = 100;
  lab.run(5s);
  EXPECT_EQ(lab.counters().connect_refused.get(), 10U);
  EXPECT_EQ(lab.errors(), 10U);
  EXPECT_TRUE(lab.generator.load->finished());
  lab.drain();
}

TEST(Load, ASilentHostIsUnreachable) {
  Lab lab;
  lab.config.targets = {{IpAddr::v4(10, 0, 0, 99), 80}};
  lab.config.connections_total = 5;
  lab.config.connect_timeout = 60s;
  lab.run(120s);
  EXPECT_EQ(lab.counters().connect_unreachable.get(), 5U);
  lab.drain();
}

TEST(Load, PortsThatRunOutAreNamedAndTheRateGoesOnWhenTheyComeBack) {
  Lab::low_port = 60'980;  // 20 ports
  Lab lab;
  Lab::low_port = 32'768;
  lab.serve();
  lab.config.close = LoadClose::kFin;  // the TIME-WAIT is here
  lab.config.rate_from = lab.config.rate_to = 10;
  lab.run(10s);
  EXPECT_EQ(lab.counters().opened.get(), 20U);
  EXPECT_GT(lab.counters().connect_no_port.get(), 10U);
  EXPECT_EQ(lab.world.host(0).stack().gauges().time_wait, 20U);
  lab.world.run_for(60s);
  EXPECT_GT(lab.counters().opened.get(), 20U);
  EXPECT_EQ(lab.counters().completed.get(), lab.counters().connected.get());
  lab.drain();
}

TEST(Load, AResetLeavesNoTimeWait) {
  Lab lab;
  lab.serve();
  lab.config.close = LoadClose::kRst;
  lab.config.connections_total = 50;
  lab.run(5s);
  EXPECT_EQ(lab.counters().completed.get(), 50U);
  EXPECT_EQ(lab.world.time_wait(), 0U);
  EXPECT_EQ(lab.world.host(1).counters().estab_resets.get(), 50U);
  EXPECT_EQ(lab.errors(), 0U);
  lab.drain();
}

TEST(Load, WhatIsUnderWayAtTheEndIsAnError) {
  Lab lab;
  lab.say("", Server::End::kNone);
  lab.config.concurrency = 6;
  lab.run(1s);
  lab.generator.load->stop_accepting();
  lab.generator.load->abort_all();
  lab.world.host(0).poke();
  EXPECT_EQ(lab.counters().unfinished.get(), 6U);
  lab.drain();
}

TEST(Load, NothingIsMeasuredBeforeTheWarmUpEnds) {
  Lab lab;
  lab.serve();
  lab.config.rate_from = lab.config.rate_to = 100;
  lab.config.warmup = 2s;
  lab.run(3s);
  lab.drain();
  EXPECT_NEAR(static_cast<double>(lab.latency(lab.generator.load->latency().connect).count()), 100,
              2);
  EXPECT_EQ(lab.errors(), 0U);
}

}  // namespace
}  // namespace weir::test

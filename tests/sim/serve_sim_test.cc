// The HTTP server of `weir serve` before a simulated client: what it answers, and how it ends.
#include "serve.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "sim_world.h"

namespace weir::test {
namespace {

// Sends one text in pieces, keeps all that comes.
class Client : public App {
 public:
  Connection conn;
  std::string out, in;
  std::size_t piece = 1U << 20U, sent = 0;
  bool reading = true, peer_closed = false, closes = true;
  std::optional<CloseReason> closed;

  void push() {
    while (sent < out.size()) {
      const std::size_t n = std::min(piece, out.size() - sent);
      const std::size_t took = conn.send(std::as_bytes(std::span(out).subspan(sent, n)));
      sent += took;
      if (took < n) return conn.want_writable();
    }
  }
  void pull() {
    while (reading && conn.readable() > 0) {
      BufChain loan = conn.receive(conn.readable());
      for (const Buf* b = loan.head(); b != nullptr; b = b->next) {
        in.append(reinterpret_cast<const char*>(b->data), b->len);
      }
      conn.release(std::move(loan));
    }
  }
  void on_connected(Connection, std::uint64_t) override { push(); }
  void on_writable(Connection, std::uint64_t) override { push(); }
  void on_readable(Connection, std::uint64_t) override { pull(); }
  void on_peer_closed(Connection c, std::uint64_t) override {
    peer_closed = true;
    if (closes) c.close();
  }
  void on_closed(Connection, std::uint64_t, CloseReason r) override { closed = r; }
};

class Server : public App {
 public:
  std::optional<app::ServeHandler> serve;
  void on_accept(Connection c, ListenerId l) override { serve->on_accept(c, l); }
  void on_readable(Connection c, std::uint64_t u) override { serve->on_readable(c, u); }
  void on_writable(Connection c, std::uint64_t u) override { serve->on_writable(c, u); }
  void on_peer_closed(Connection c, std::uint64_t u) override { serve->on_peer_closed(c, u); }
  void on_timer(Connection c, std::uint64_t u) override { serve->on_timer(c, u); }
  void on_closed(Connection c, std::uint64_t u, CloseReason r) override {
    serve->on_closed(c, u, r);
  }
};

struct Lab {
  explicit Lab(const HostSpec& server_spec = {}, bool resets_end = false) : world(1) {
    world.add_host(client);
    world.add_host(server, server_spec);
    app::ServeConfig config;
    config.listeners.push_back({"web", {world.host(1).addr(), 80}, 16});
    config.body_size = 10;
    config.idle_timeout = 10s;
    config.resets_end = resets_end;
    server.serve.emplace(world.host(1).stack(), config, 16U);
    EXPECT_TRUE(server.serve->start().ok());
  }
  // Everything that the server says to `text` until it closes, or for `time`.
  std::string ask(std::string text, Duration time = 9s) {
    client.out = std::move(text);
    client.conn =
        Connection{world.host(0).stack(), *world.connect(world.host(0), world.host(1), 80)};
    (void)world.run_until([&] { return client.peer_closed || client.closed.has_value(); }, time);
    return client.in;
  }
  void expect_at_rest() {
    EXPECT_TRUE(world.run_until([&] { return world.at_rest(); }, 60s));
    EXPECT_EQ(server.serve->sessions(), 0U);
    EXPECT_EQ(world.host(1).pool().in_use(), 0U);
  }
  Client client;
  Server server;
  World world;
};

std::string body(std::size_t n) {
  std::string s(n, '\0');
  for (std::size_t i = 0; i < n; ++i) {
    s[i] = static_cast<char>(app::pattern(static_cast<std::uint32_t>(i % app::kPatternSize)));
  }
  return s;
}

std::string head(const char* status, std::size_t length, bool keep, const char* type) {
  return std::string("HTTP/1.1 ") + status + "\r\nServer: weir\r\nContent-Type: " + type +
         "\r\nContent-Length: " + std::to_string(length) +
         "\r\nConnection: " + (keep ? "keep-alive" : "close") + "\r\n\r\n";
}
std::string ok(std::size_t n, bool keep) {
  return head("200 OK", n, keep, "application/octet-stream");
}

TEST(Serve, AnswersAndCloses) {
  Lab lab;
  EXPECT_EQ(lab.ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
            ok(10, false) + body(10));
  EXPECT_TRUE(lab.client.peer_closed);
  lab.expect_at_rest();
}

TEST(Serve, Http10IsClosed) {
  Lab lab;
  EXPECT_EQ(lab.ask("GET / HTTP/1.0\r\n\r\n"), ok(10, false) + body(10));
  EXPECT_TRUE(lab.client.peer_closed);
}

TEST(Serve, ALongBodyIsThePatternOverAndOver) {
  Lab lab;
  const std::size_t n = 2 * app::kPatternSize + 12'345;
  const std::string got = lab.ask("GET /bytes/" + std::to_string(n) +
                                  " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(got == ok(n, false) + body(n));
  lab.expect_at_rest();
}

TEST(Serve, PipelinedRequestsAreAnsweredInOrder) {
  Lab lab;
  std::string ask, want;
  for (unsigned i = 0; i < 200; ++i) {
    ask += "GET /bytes/" + std::to_string(i * 37) + " HTTP/1.1\r\nHost: a\r\n\r\n";
    want += ok(i * 37, true) + body(i * 37);
  }
  ask += "HEAD /bytes/5 HTTP/1.1\r\nConnection: close\r\nHost: a\r\n\r\n";
  EXPECT_TRUE(lab.ask(ask) == want + ok(5, false));
  EXPECT_EQ(lab.server.serve->counters().requests.get(), 201U);
  lab.expect_at_rest();
}

TEST(Serve, ARequestMayComeOctetByOctet) {
  Lab lab;
  lab.client.piece = 1;
  EXPECT_EQ(lab.ask("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /bytes/3 "
                    "HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
            head("200 OK", 11, true, "text/plain") + "received 5\n" + ok(3, false) + body(3));
}

TEST(Serve, AChunkedBodyIsCounted) {
  Lab lab;
  EXPECT_EQ(lab.ask("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                    "Connection: close\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"),
            head("200 OK", 11, false, "text/plain") + "received 7\n");
}

// FIPS 180-4's example "abc", once in chunks and once, on the same connection, whole.
TEST(Serve, ABodySentToSha256IsDigested) {
  Lab lab;
  const std::string said =
      "received 3 sha256 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n";
  const std::string empty =
      "received 0 sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n";
  EXPECT_EQ(lab.ask("POST /sha256 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"
                    "PUT /sha256 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
                    "PUT /sha256x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
                    "PUT /sha256 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
            head("200 OK", said.size(), true, "text/plain") + said +
                head("200 OK", said.size(), true, "text/plain") + said +
                head("200 OK", 11, true, "text/plain") + "received 3\n" +
                head("200 OK", empty.size(), false, "text/plain") + empty);
  lab.expect_at_rest();
}

TEST(Serve, ABodyThatWaitsForLeaveGetsIt) {
  Lab lab;
  const std::string leave = "HTTP/1.1 100 Continue\r\n\r\n";
  EXPECT_EQ(lab.ask("PUT /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\n"
                    "Content-Length: 5\r\n\r\n",
                    1s),
            leave);
  lab.client.out += "hello";
  lab.client.push();
  lab.world.host(0).poke();
  lab.world.run_for(1s);
  EXPECT_EQ(lab.client.in, leave + head("200 OK", 11, false, "text/plain") + "received 5\n");
}

TEST(Serve, BadRequestsAreRefused) {
  const auto status = [](const std::string& ask) {
    Lab lab;
    const std::string got = lab.ask(ask);
    EXPECT_TRUE(lab.client.peer_closed) << ask;
    lab.expect_at_rest();
    return got.substr(0, 12);
  };
  EXPECT_EQ(status("GARBAGE\r\n\r\n"), "HTTP/1.1 400");
  EXPECT_EQ(status("GET / HTTP/1.1\r\nbad header\r\n\r\n"), "HTTP/1.1 400");
  EXPECT_EQ(status("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
            "HTTP/1.1 400");
  EXPECT_EQ(status("GET / HTTP/1.1\r\nA: " + std::string(20'000, 'a') + "\r\n\r\n"),
            "HTTP/1.1 431");
  EXPECT_EQ(status("GET /bytes/1x HTTP/1.1\r\nConnection: close\r\n\r\n"), "HTTP/1.1 404");
  EXPECT_EQ(status("GET /bytes/99999999999999 HTTP/1.1\r\nConnection: close\r\n\r\n"),
            "HTTP/1.1 404");
  EXPECT_EQ(status("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP/1.1 501");
  EXPECT_EQ(status("DELETE / HTTP/1.1\r\nConnection: close\r\n\r\n"), "HTTP/1.1 501");
}

TEST(Serve, AClientThatNeverReadsEnds) {
  Lab lab;
  lab.client.reading = false;
  lab.ask("GET /bytes/10000000 HTTP/1.1\r\nHost: a\r\n\r\n", 8s);
  EXPECT_EQ(lab.server.serve->sessions(), 1U);
  // One send buffer at most, by reference: the blocks hold no body.
  EXPECT_LT(lab.world.host(1).pool().in_use(), 32U);
  lab.world.run_for(20s);
  EXPECT_EQ(lab.server.serve->sessions(), 0U);
  EXPECT_EQ(lab.server.serve->counters().idle_timeouts.get(), 1U);
  EXPECT_EQ(lab.world.host(1).stack().gauges().connections, 0U);
}

TEST(Serve, AnIdleConnectionIsClosed) {
  Lab lab;
  EXPECT_EQ(lab.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 30s), ok(10, true) + body(10));
  EXPECT_TRUE(lab.client.peer_closed);
  EXPECT_FALSE(lab.client.closed.has_value());  // by FIN, not by RST
  lab.expect_at_rest();
}

TEST(Serve, AHalfClosedClientGetsItsAnswer) {
  Lab lab;
  lab.client.out = "GET /bytes/3000000 HTTP/1.1\r\nHost: a\r\n\r\n";
  lab.client.conn = Connection{lab.world.host(0).stack(),
                               *lab.world.connect(lab.world.host(0), lab.world.host(1), 80)};
  lab.client.conn.shutdown_send();  // the text is queued once connected: FIN comes behind nothing
  lab.world.run_for(1s);
  EXPECT_TRUE(lab.client.peer_closed);
  lab.expect_at_rest();
}

TEST(Serve, ADrainEndsIdleOnesAtOnceAndOthersWithTheirAnswer) {
  Lab lab;
  lab.client.reading = false;
  lab.ask("GET /bytes/1000000 HTTP/1.1\r\nHost: a\r\n\r\n", 1s);
  lab.server.serve->stop_accepting();
  lab.world.host(1).poke();
  lab.world.run_for(1s);
  EXPECT_EQ(lab.server.serve->sessions(), 1U);
  lab.client.reading = true;
  lab.client.pull();
  lab.world.host(0).poke();
  EXPECT_TRUE(lab.world.run_until([&] { return lab.client.in.size() > 1'000'000; }, 60s));
  lab.world.run_for(1s);
  Lab idle;
  idle.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1s);
  idle.server.serve->stop_accepting();
  idle.world.host(1).poke();
  EXPECT_TRUE(idle.world.run_until([&] { return idle.client.peer_closed; }, 1s));
  idle.expect_at_rest();
}

// The server is told between the first answer's head and its end.
TEST(Serve, ADrainEndsWithTheAnswerUnderWay) {
  const std::string second = "GET /bytes/5 HTTP/1.1\r\nHost: a\r\n\r\n";
  for (const std::string& behind : {std::string(), second}) {
    Lab lab;
    lab.client.reading = false;
    lab.ask("GET /bytes/1000000 HTTP/1.1\r\nHost: a\r\n\r\n" + behind, 1s);
    lab.server.serve->stop_accepting();
    lab.client.reading = true;
    lab.client.pull();
    lab.world.host(0).poke();
    EXPECT_TRUE(lab.world.run_until([&] { return lab.client.peer_closed; }, 1s));
    const std::string last = behind.empty() ? "" : ok(5, false) + body(5);
    EXPECT_TRUE(lab.client.in == ok(1'000'000, true) + body(1'000'000) + last);
    lab.expect_at_rest();
  }
}

TEST(Serve, AResetBetweenRequestsIsAnEndWhereItIsMeant) {
  for (const bool meant : {false, true}) {
    for (const char* ask : {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHo"}) {
      Lab lab({}, meant);
      lab.ask(ask, 1s);
      lab.client.conn.abort();
      lab.world.host(0).poke();
      lab.expect_at_rest();
      const bool whole = std::string_view(ask).ends_with("\r\n\r\n");
      EXPECT_EQ(lab.server.serve->counters().resets.get(), meant && whole ? 0U : 1U) << ask;
    }
  }
}

// More often than there are records.
TEST(Serve, WhatIsLentComesBack) {
  Lab lab;
  for (unsigned i = 0; i < 40; ++i) {
    const std::string ask = "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    if (i == 0) {
      lab.ask(ask, 100ms);
    } else {
      lab.client.out += ask;
      lab.client.push();
      lab.world.host(0).poke();
      lab.world.run_for(100ms);
    }
  }
  EXPECT_EQ(lab.server.serve->counters().requests.get(), 40U);
  lab.server.serve->abort_all();
}

TEST(Serve, ADrainWaitsForTheRestOfAnUpload) {
  Lab lab;
  lab.ask("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe", 1s);
  lab.server.serve->stop_accepting();
  lab.world.host(1).poke();
  lab.world.run_for(1s);
  EXPECT_FALSE(lab.client.peer_closed);
  lab.client.out += "llo";
  lab.client.push();
  lab.world.host(0).poke();
  EXPECT_TRUE(lab.world.run_until([&] { return lab.client.peer_closed; }, 1s));
  EXPECT_EQ(lab.client.in, head("200 OK", 11, false, "text/plain") + "received 5\n");
  lab.expect_at_rest();
}

// A whole request lies before a part of the next one, and behind one that came in parts.
TEST(Serve, WholeAndPartialRequestsMix) {
  Lab lab;
  const std::string whole = "GET /bytes/300 HTTP/1.1\r\nHost: a\r\n\r\n";
  const std::string last = "GET /bytes/7 HTTP/1.1\r\nConnection: close\r\nHost: a\r\n\r\n";
  lab.ask(whole + whole.substr(0, 9), 1s);
  for (const std::string& piece :
       {whole.substr(9) + whole + "\r\n", whole + last.substr(0, 1), last.substr(1)}) {
    lab.client.out += piece;
    lab.client.push();
    lab.world.host(0).poke();
    lab.world.run_for(1s);
  }
  std::string want;
  for (int i = 0; i < 4; ++i) want += ok(300, true) + body(300);
  EXPECT_TRUE(lab.client.in == want + ok(7, false) + body(7));
  EXPECT_EQ(lab.server.serve->counters().body_bytes_out.get(), 1'207U);
  lab.expect_at_rest();
}

TEST(Serve, ATargetLongerThanWhatIsLookedAtIsCut) {
  for (const char* also : {"", "Expect: nothing\r\n"}) {  // read straight, and by the parser
    Lab lab;
    EXPECT_EQ(lab.ask("GET /bytes/" + std::string(56, '0') + "1x HTTP/1.1\r\n" + also +
                      "Connection: close\r\n\r\n")
                  .substr(lab.client.in.size() - 1),
              body(1));
  }
}

TEST(Serve, AnEmptyPoolDelaysAndLosesNothing) {
  HostSpec spec;
  spec.pool_limit = 48;
  Lab lab(spec);
  const std::string got =
      lab.ask("GET /bytes/200000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(got == ok(200'000, false) + body(200'000));
}

}  // namespace
}  // namespace weir::test

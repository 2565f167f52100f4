// Clients, a balancer that reads HTTP and origins on a simulated network, for http_sim_test.cc.
//
// The origins' reader is naive on purpose: it shares nothing with the balancer's.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "balancer.h"
#include "lb/front.h"
#include "match/rules.h"
#include "sim_world.h"

namespace weir::test {

inline constexpr std::uint16_t kFront = 80, kBack = 8080;

[[nodiscard]] std::string octets_of(std::size_t n, std::uint64_t seed);

// One end of a connection: text to send, text that came.
struct Stream {
  Connection conn;
  std::string out;
  std::size_t sent = 0;
  bool fin_when_sent = false, fin_sent = false;
  bool reading = true;
  std::string in;
  std::size_t parsed = 0;  // of `in`, by an origin
  std::size_t requests = 0;
  bool peer_closed = false, tunnel = false;
  std::optional<CloseReason> closed;
};

// What both kinds of end do: send as there is room, keep what comes.
class End : public App {
 public:
  std::vector<std::unique_ptr<Stream>> streams;

  Stream& add(Connection c);
  void push(Stream& s);
  void pull(Stream& s);
  void on_connected(Connection, std::uint64_t user) override { push(*streams[user]); }
  void on_writable(Connection, std::uint64_t user) override { push(*streams[user]); }
  void on_readable(Connection, std::uint64_t user) override { pull(*streams[user]); }
  void on_peer_closed(Connection c, std::uint64_t user) override {
    streams[user]->peer_closed = true;
    if (streams[user]->reading) {
      c.close();
      streams[user]->closed = CloseReason::kNormal;
    }
  }
  void on_closed(Connection, std::uint64_t user, CloseReason reason) override {
    streams[user]->closed = reason;
  }
};

// Answers by the path of a request. Says "ORIGIN: name" in each head.
//   /echo         the request's body, length-framed     /chunked     the same in chunks of 1,000
//   /until-close  the same, framed by the close         /len/N       N octets
//   /204 /304     no body                               /interim     100, 103, then /len/3
//   /silent       nothing                               /fin /reset  ends without a word
//   /half         half a response, then a reset         /half-fin    the same, then a FIN
//   /garbage      what is no HTTP                       /extra       a response and a half
//   /bye          /len/3, and closes without having said so
//   /says-close   /len/3, and does not close, having said so
//   /until-reset  an unframed body, then a reset
//   /once         /len/3; a second request on the connection finds it reset
//   /upgrade      101, then echoes octets               /early       answers before the body came
class Origin : public End {
 public:
  std::string name;
  std::vector<std::string> heads;  // as they came
  std::vector<std::string> bodies;
  bool reading = true;

  void on_accept(Connection c, ListenerId) override { add(c).reading = reading; }
  void on_readable(Connection c, std::uint64_t user) override;
  void on_timer(Connection c, std::uint64_t user) override;
  void on_peer_closed(Connection c, std::uint64_t user) override;

 private:
  bool serve(Stream& s);  // one request, if it is here whole
  void answer(Stream& s, const std::string& method, const std::string& path,
              const std::string& body);
  void say(Stream& s, const std::string& status, const std::string& fields,
           const std::string& body);
};

using Balancer = BalancerOf<lb::Front>;

// Host 0 is the client, host 1 the balancer, then one origin a pool: "a", "b", ...
class HttpLab {
 public:
  explicit HttpLab(unsigned origins = 1, std::uint64_t seed = 1, const HostSpec& spec = {});
  void rule(match::Subject subject, const std::string& pattern, std::uint32_t pool);
  void deny(match::Subject subject, const std::string& pattern, std::uint16_t status);
  void start(bool listening = true);
  Stream& ask(std::string text, bool fin = false);
  // What came for `text` until the balancer closes, or for `time`.
  std::string answer_to(const std::string& text, Duration time = 3s);
  void send_more(Stream& s, const std::string& text);
  Host& host_of(unsigned origin) { return world.host(2 + origin); }
  [[nodiscard]] const lb::HttpCounters& counters() const { return front.lb->http().counters(); }
  // The clients close; nothing is left anywhere: no connection, no session, no buffer.
  void expect_at_rest();

  World world;
  End client;
  Balancer front;
  std::vector<std::unique_ptr<Origin>> origin;
  lb::Config config;
  std::vector<match::Rule> rules;
};

// The status codes of the responses in `text`, and their bodies; naive.
struct Response {
  int status = 0;
  std::string head, body;
};
[[nodiscard]] std::vector<Response> responses_in(const std::string& text, bool head = false);
[[nodiscard]] std::string statuses_in(const std::string& text);  // "200 404"

}  // namespace weir::test

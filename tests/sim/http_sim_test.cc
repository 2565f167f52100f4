// The balancer that reads HTTP between simulated clients and origins: order, routing, reuse, what a
// client sees when an origin misbehaves, and that nothing is left behind.
#include <gtest/gtest.h>

#include "base/rng.h"
#include "http_world.h"

namespace weir::test {
namespace {

using match::Subject;

std::string get(const std::string& path, const std::string& fields = "") {
  return "GET " + path + " HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n";
}
std::string post(const std::string& path, const std::string& body, const std::string& fields = "") {
  return "POST " + path + " HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + fields + "\r\n" + body;
}
std::string chunked(const std::string& path, const std::string& body) {
  std::string out = "POST " + path + " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (std::size_t at = 0; at < body.size(); at += 700) {
    const std::string piece = body.substr(at, 700);
    char size[32];
    std::snprintf(size, sizeof size, "%zX;x=y\r\n", piece.size());
    out += size + piece + "\r\n";
  }
  return out + "0\r\nX-Sum: 1\r\n\r\n";
}
const std::string kClose = "Connection: close\r\n";

TEST(HttpLb, PipelinedRequestsAreAnsweredInOrder) {
  HttpLab lab(2);
  lab.rule(Subject::kPath, "^/echo$", 1);
  lab.config.listeners[0].pool = 0;
  lab.start();
  const std::string big = octets_of(300'000, 1);
  const std::string in =
      lab.answer_to(get("/len/10") + post("/echo", big) + get("/len/0") + chunked("/echo", "ab") +
                    "HEAD /len/9 HTTP/1.1\r\nHost: h\r\n" + kClose + "\r\n");
  const auto r = responses_in(in);
  ASSERT_EQ(r.size(), 4U);  // and the one to HEAD
  EXPECT_EQ(r[0].body, octets_of(10, 10));
  EXPECT_EQ(r[1].body, big);
  EXPECT_NE(r[1].head.find("ORIGIN: b"), std::string::npos);
  EXPECT_EQ(r[2].body, "");
  EXPECT_EQ(r[3].body, "ab");
  EXPECT_EQ(responses_in(in.substr(in.rfind("HTTP/1.1")), true)[0].status, 200);
  EXPECT_EQ(lab.counters().backend_fresh.get(), 2U);
  EXPECT_EQ(lab.counters().backend_reused.get(), 3U);
  EXPECT_EQ(lab.counters().requests.get(), 5U);
  lab.expect_at_rest();
}

TEST(HttpLb, BodiesOfEveryFramingPassBothWays) {
  HttpLab lab;
  lab.start();
  const std::string body = octets_of(123'457, 2);
  for (const std::string path : {"/echo", "/chunked", "/until-close"}) {
    for (const std::string& request : {post(path, body), chunked(path, body)}) {
      const auto r = responses_in(lab.answer_to(request));
      ASSERT_EQ(r.size(), 1U) << path;
      EXPECT_EQ(r[0].status, 200);
      EXPECT_TRUE(r[0].body == body) << path;
    }
  }
  for (const std::string& b : lab.origin[0]->bodies) EXPECT_TRUE(b == body);
  lab.expect_at_rest();
}

TEST(HttpLb, TrailersPass) {
  HttpLab lab;
  lab.start();
  const std::string in = lab.answer_to(post("/chunked", "abc", kClose));
  EXPECT_TRUE(in.ends_with("3\r\nabc\r\n0\r\nX-Trailer: t\r\n\r\n")) << in;
  lab.expect_at_rest();
}

TEST(HttpLb, ResponsesWithoutABodyAreFollowedByTheNext) {
  HttpLab lab;
  lab.start();
  EXPECT_EQ(statuses_in(
                lab.answer_to(get("/204") + get("/304") + get("/interim") + get("/len/1", kClose))),
            "204 304 100 103 200 200");
  lab.expect_at_rest();
}

TEST(HttpLb, Http10IsServedInItsOwnTerms) {
  HttpLab lab;
  lab.start();
  const std::string once = lab.answer_to("POST /chunked HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_EQ(once, "HTTP/1.1 200 OK\r\nORIGIN: a\r\nConnection: close\r\n\r\nabc");
  const std::string keep = "Connection: keep-alive\r\n";
  const std::string two =
      lab.answer_to("GET /len/1 HTTP/1.0\r\n" + keep + "\r\nGET /interim HTTP/1.0\r\n\r\n");
  EXPECT_EQ(statuses_in(two), "200 200");
  EXPECT_NE(two.find("Connection: keep-alive"), std::string::npos);
  EXPECT_NE(lab.origin[0]->heads[0].find("Host: 10.0.0.3:8080\r\n"), std::string::npos);
  lab.expect_at_rest();
}

// -- Routing --------------------------------------------------------------------------------

void expect_straddling_patterns(std::uint16_t mtu) {
  HostSpec spec;
  spec.stack.mtu = mtu;
  HttpLab lab(3, 1, spec);
  for (unsigned i = 0; i < 20; ++i) {
    lab.rule(Subject::kPath, "^/" + std::string(70, 'p') + "/" + std::to_string(i) + "(/|$)",
             i % 3);
  }
  lab.deny(Subject::kHeader, "^forbidden-value$", 403);
  lab.rules.back().header = "x-guard";
  lab.config.listeners[0].pool = lb::kNoPool;
  lab.start();
  std::string text;
  for (unsigned i = 0; i < 20; ++i) {
    text += get("/" + std::string(70, 'p') + "/" + std::to_string(i) + "/len");
  }
  text += get("/" + std::string(70, 'p') + "/20");
  text +=
      get("/q", "X-Pad: " + std::string(41, 'x') + "\r\nX-Guard:  forbidden-value \r\n" + kClose);
  const auto r = responses_in(lab.answer_to(text, 30s));
  ASSERT_EQ(r.size(), 22U);
  for (unsigned i = 0; i < 20; ++i) {
    const std::string want = std::string("ORIGIN: ") + static_cast<char>('a' + i % 3) + "\r\n";
    EXPECT_NE(r[i].head.find(want), std::string::npos) << i << r[i].head;
  }
  EXPECT_EQ(r[20].status, 404);
  EXPECT_EQ(r[21].status, 403);
  EXPECT_EQ(lab.counters().denied.get(), 1U);
  lab.expect_at_rest();
}

TEST(HttpLb, EachRequestIsRoutedByItself) {
  expect_straddling_patterns(1500);
}
TEST(HttpLb, PatternsStraddleSegments) {
  expect_straddling_patterns(128);
}

TEST(HttpLb, TagsAreToldToTheBackendAndOnlyByUs) {
  HttpLab lab;
  lab.rule(Subject::kPath, "^/len", 0);
  lab.rules.back().action = match::Action::kTag;
  lab.start();
  lab.answer_to(get("/len/1", "Weir-Tag: forged\r\nX-Forwarded-For: 1.1.1.1\r\n") +
                get("/echo", kClose));
  ASSERT_EQ(lab.origin[0]->heads.size(), 2U);
  const std::string& head = lab.origin[0]->heads[0];
  EXPECT_NE(head.find("\r\nWeir-Tag: rule-0\r\n"), std::string::npos) << head;
  EXPECT_EQ(head.find("forged"), std::string::npos);
  EXPECT_NE(head.find("\r\nX-Forwarded-For: 1.1.1.1, 10.0.0.1\r\n"), std::string::npos) << head;
  EXPECT_EQ(lab.origin[0]->heads[1].find("Weir-Tag"), std::string::npos);
  EXPECT_EQ(lab.counters().tagged.get(), 1U);
  lab.expect_at_rest();
}

TEST(HttpLb, ATagByTheBodyIsToldInTheHead) {
  HttpLab lab;
  lab.rule(Subject::kBody, "mark", 0);
  lab.rules.back().action = match::Action::kTag;
  lab.start();
  EXPECT_EQ(statuses_in(lab.answer_to(post("/echo", "a mark") + post("/echo", "none", kClose))),
            "200 200");
  EXPECT_NE(lab.origin[0]->heads.at(0).find("Weir-Tag: rule-0"), std::string::npos);
  EXPECT_EQ(lab.origin[0]->heads.at(1).find("Weir-Tag"), std::string::npos);
  lab.expect_at_rest();
}

TEST(HttpLb, RulesOnTheBodyHoldTheRequest) {
  HttpLab lab(2);
  lab.deny(Subject::kBody, "evil", 403);
  lab.rule(Subject::kBody, "second", 1);
  lab.config.listeners[0].inspect_body = 4'000;
  lab.start();
  Stream& s = lab.ask("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nxxev");
  lab.world.run_for(1s);
  EXPECT_TRUE(lab.origin[0]->heads.empty());  // it waits
  lab.send_more(s, "il yy" + get("/len/1"));
  lab.world.run_for(1s);
  EXPECT_EQ(statuses_in(s.in), "403");  // and what may follow the body is not looked at
  EXPECT_TRUE(lab.origin[0]->heads.empty());
  EXPECT_TRUE(s.peer_closed);
  EXPECT_EQ(statuses_in(lab.answer_to(chunked("/echo",
                                              "ev"
                                              "i"
                                              "1 second"))),
            "200");
  EXPECT_EQ(lab.origin[1]->bodies.at(0), "evi1 second");
  EXPECT_EQ(lab.counters().held.get(), 2U);
  lab.expect_at_rest();
}

TEST(HttpLb, ABodyIsHeldOnlySoFarAndCutLater) {
  HttpLab lab;
  lab.deny(Subject::kBody, "evil", 451);
  lab.config.listeners[0].inspect_body = 4'000;
  lab.start();
  const std::string clean(100'000, '.');
  EXPECT_EQ(statuses_in(lab.answer_to(post("/echo", clean + clean))), "200");
  Stream& s = lab.ask("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n" + clean);
  lab.world.run_for(1s);
  EXPECT_EQ(lab.origin[0]->streams.back()->in.size() > 50'000, true);  // it went on
  lab.send_more(s, "and then evil");
  lab.world.run_for(1s);
  EXPECT_EQ(statuses_in(s.in), "451");
  EXPECT_EQ(lab.origin[0]->bodies.size(), 1U);  // never whole
  EXPECT_EQ(lab.origin[0]->streams.back()->closed, CloseReason::kReset);
  lab.expect_at_rest();
}

TEST(HttpLb, ContinueIsSaidByWhoeverMustSayIt) {
  const std::string head =
      "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
  for (const bool held : {false, true}) {
    HttpLab lab;
    if (held) lab.deny(Subject::kBody, "evil", 403);
    lab.start();
    Stream& s = lab.ask(head);
    lab.world.run_for(1s);
    EXPECT_EQ(statuses_in(s.in), held ? "100" : "");  // the naive origin never says it
    EXPECT_EQ(lab.origin[0]->streams.size(), held ? 0U : 1U);
    lab.send_more(s, "abc");
    lab.world.run_for(1s);
    EXPECT_EQ(statuses_in(s.in), held ? "100 200" : "200");
    const bool passed = lab.origin[0]->heads.at(0).find("Expect") != std::string::npos;
    EXPECT_EQ(passed, !held);
    lab.expect_at_rest();
  }
}

// -- Origins that misbehave -----------------------------------------------------------------

TEST(HttpLb, AnOriginThatEndsWithoutAWordIsA502) {
  HttpLab lab;
  lab.start();
  EXPECT_EQ(statuses_in(lab.answer_to(get("/fin") + get("/reset") + get("/len/1", kClose))),
            "502 502 200");
  EXPECT_EQ(lab.counters().answers_502.get(), 2U);
  EXPECT_EQ(lab.counters().request_retries.get(), 0U);  // both were fresh
  lab.expect_at_rest();
}

TEST(HttpLb, HalfAResponseEndsTheClientsConnection) {
  for (const std::string path : {"/half", "/half-fin"}) {
    HttpLab lab;
    lab.start();
    Stream& s = lab.ask(get(path) + get("/len/1"));
    ASSERT_TRUE(lab.world.run_until([&] { return s.closed.has_value(); }, 5s));
    EXPECT_TRUE(s.in.ends_with("half")) << s.in;  // and nothing behind it
    EXPECT_EQ(lab.counters().cut.get(), 1U);
    lab.expect_at_rest();
  }
}

TEST(HttpLb, AMalformedResponseIsA502AndItsConnectionIsNotUsedAgain) {
  HttpLab lab;
  lab.start();
  EXPECT_EQ(statuses_in(lab.answer_to(get("/garbage") + get("/len/1", kClose))), "502 200");
  EXPECT_EQ(lab.counters().backend_malformed.get(), 1U);
  EXPECT_EQ(lab.origin[0]->streams.size(), 2U);
  EXPECT_EQ(lab.origin[0]->streams[0]->closed, CloseReason::kReset);
  lab.expect_at_rest();
}

// Response splitting: what stands behind a response is nobody's answer.
TEST(HttpLb, TextBehindAResponseReachesNobody) {
  HttpLab lab;
  lab.start();
  const std::string in = lab.answer_to(get("/extra") + get("/len/2", kClose));
  EXPECT_EQ(statuses_in(in), "200 200");
  EXPECT_EQ(in.find("evil"), std::string::npos);
  EXPECT_EQ(lab.counters().unsolicited.get(), 1U);
  EXPECT_EQ(lab.origin[0]->streams.size(), 2U);
  lab.expect_at_rest();
}

TEST(HttpLb, TextOnAnIdleConnectionEndsIt) {
  HttpLab lab;
  lab.start();
  EXPECT_EQ(statuses_in(lab.answer_to(get("/len/1", kClose))), "200");
  EXPECT_EQ(lab.counters().idle_backends.get(), 1U);
  Stream& o = *lab.origin[0]->streams[0];
  o.out += "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
  lab.origin[0]->push(o);
  lab.host_of(0).poke();
  lab.world.run_for(100ms);
  EXPECT_EQ(o.closed, CloseReason::kReset);
  EXPECT_EQ(lab.counters().idle_backends.get(), 0U);
  EXPECT_EQ(lab.counters().unsolicited.get(), 1U);
  const std::string in = lab.answer_to(get("/len/1", kClose));
  EXPECT_EQ(in.find("evil"), std::string::npos);
  lab.expect_at_rest();
}

TEST(HttpLb, AReusedConnectionThatDiedIsTriedAgainOnceWhereItCanBe) {
  HttpLab lab;
  lab.start();
  EXPECT_EQ(statuses_in(lab.answer_to(get("/once") + get("/len/1", kClose))), "200 200");
  EXPECT_EQ(lab.counters().request_retries.get(), 1U);
  EXPECT_EQ(lab.origin[0]->streams.size(), 2U);
  // What cannot be repeated is not.
  EXPECT_EQ(statuses_in(lab.answer_to(get("/once") + post("/echo", "x") + get("/len/1", kClose))),
            "200 502 200");
  EXPECT_EQ(statuses_in(lab.answer_to(get("/once") + "POST /echo HTTP/1.1\r\nHost: h\r\n" + kClose +
                                      "\r\n")),
            "200 502");
  EXPECT_EQ(lab.counters().request_retries.get(), 1U);
  lab.expect_at_rest();
}

TEST(HttpLb, AnOriginThatClosesBehindItsResponseIsNotUsedAgain) {
  HttpLab lab;
  lab.start();
  Stream& s = lab.ask(get("/bye"));
  lab.world.run_for(1s);
  lab.send_more(s, get("/bye"));
  lab.world.run_for(1s);
  EXPECT_EQ(statuses_in(s.in), "200 200");
  EXPECT_EQ(lab.origin[0]->streams.size(), 2U);
  EXPECT_EQ(lab.counters().request_retries.get(), 0U);
  lab.expect_at_rest();
}

TEST(HttpLb, AConnectionThatItsOriginGivesUpIsNotUsedAgain) {
  HttpLab lab;
  lab.start();
  EXPECT_EQ(statuses_in(lab.answer_to(get("/says-close") + get("/len/1", kClose))), "200 200");
  EXPECT_EQ(lab.origin[0]->streams.size(), 2U);
  EXPECT_EQ(lab.counters().backend_reused.get(), 0U);
  lab.expect_at_rest();
}

// A client to whom the end is the length must not take a reset for it.
TEST(HttpLb, AResetBehindAnUnframedBodyReachesTheClient) {
  HttpLab lab;
  lab.start();
  Stream& s = lab.ask(get("/until-reset"));
  ASSERT_TRUE(lab.world.run_until([&] { return s.closed.has_value(); }, 5s));
  EXPECT_EQ(s.closed, CloseReason::kReset);
  EXPECT_TRUE(s.in.ends_with("half"));
  lab.expect_at_rest();
}

TEST(HttpLb, AnAnswerBeforeTheBodyEndsTheConnection) {
  HttpLab lab;
  lab.start();
  Stream& s = lab.ask("POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nfirst");
  ASSERT_TRUE(lab.world.run_until([&] { return s.peer_closed; }, 5s));
  EXPECT_EQ(statuses_in(s.in), "413");
  EXPECT_EQ(lab.counters().idle_backends.get(), 0U);
  lab.expect_at_rest();
}

TEST(HttpLb, WithoutABackendTheAnswerIs503) {
  HttpLab lab;
  lab.start(false);
  EXPECT_EQ(statuses_in(lab.answer_to(get("/len/1") + get("/len/1", kClose))), "503 503");
  EXPECT_EQ(lab.counters().no_backend.get(), 2U);
  lab.expect_at_rest();
}

TEST(HttpLb, ARefusedConnectGoesToTheNextBackend) {
  HttpLab lab(2);
  lab.config.pools[0].backends.push_back(lab.config.pools[1].backends[0]);
  lab.config.pools[0].backends[0].port = 1;  // nobody listens
  lab.start();
  EXPECT_EQ(statuses_in(lab.answer_to(post("/echo", "abc", kClose))), "200");
  EXPECT_EQ(lab.origin[1]->bodies.at(0), "abc");
  EXPECT_EQ(lab.counters().backend_retries.get(), 1U);
  lab.expect_at_rest();
}

// -- Limits and time ------------------------------------------------------------------------

TEST(HttpLb, LimitsHaveTheirAnswers) {
  HttpLab lab;
  lab.config.listeners[0].max_head = 1'024;
  lab.config.listeners[0].max_body = 1'000;
  lab.start();
  EXPECT_EQ(statuses_in(lab.answer_to(get("/len/1", "X: " + std::string(1'100, 'x') + "\r\n"))),
            "431");
  EXPECT_EQ(statuses_in(lab.answer_to(post("/echo", std::string(1'001, 'x')))), "413");
  EXPECT_EQ(statuses_in(lab.answer_to(chunked("/echo", std::string(1'001, 'x')))), "413");
  EXPECT_EQ(statuses_in(lab.answer_to(chunked("/echo", std::string(1'000, 'x')))), "200");
  EXPECT_EQ(statuses_in(lab.answer_to("GET / HTTP/3.0\r\n\r\n")), "505");
  EXPECT_EQ(statuses_in(lab.answer_to("BREW / HTTP/1.1\r\nHost: h\r\n\r\n")), "501");
  EXPECT_EQ(statuses_in(lab.answer_to("GET / HTTP/1.1\r\nHost : h\r\n\r\n")), "400");
  EXPECT_EQ(statuses_in(lab.answer_to(get("/len/1") +
                                      "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n"
                                      "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" +
                                      get("/len/2"))),
            "200 400");
  EXPECT_EQ(lab.counters().smuggling_rejects.get(), 1U);
  // A chunk that is none, once the request is on its way: refused, and its backend never sees an
  // end.
  EXPECT_EQ(
      statuses_in(lab.answer_to(
          "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nx")),
      "400");
  lab.expect_at_rest();
}

TEST(HttpLb, AHeadThatDoesNotComeIs408) {
  HttpLab lab;
  lab.start();
  Stream& s = lab.ask(get("/len/1") + "GET / HT");
  lab.world.run_for(3s);
  EXPECT_FALSE(s.peer_closed);
  ASSERT_TRUE(lab.world.run_until([&] { return s.peer_closed; }, 2s));
  EXPECT_EQ(statuses_in(s.in), "200 408");
  // Nothing begun: closed in silence, and later.
  Stream& idle = lab.ask(get("/len/1"));
  lab.world.run_for(10s);
  EXPECT_FALSE(idle.peer_closed);
  ASSERT_TRUE(lab.world.run_until([&] { return idle.peer_closed; }, 12s));
  EXPECT_EQ(statuses_in(idle.in), "200");
  // A body that does not come.
  Stream& body = lab.ask("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc");
  ASSERT_TRUE(lab.world.run_until([&] { return body.peer_closed; }, 30s));
  EXPECT_EQ(statuses_in(body.in), "408");
  lab.expect_at_rest();
}

TEST(HttpLb, ASilentOriginIs504) {
  HttpLab lab;
  lab.start();
  Stream& s = lab.ask(get("/silent") + get("/len/1", kClose));
  lab.world.run_for(9s);
  EXPECT_TRUE(s.in.empty());
  ASSERT_TRUE(lab.world.run_until([&] { return s.peer_closed; }, 5s));
  EXPECT_EQ(statuses_in(s.in), "504 200");
  lab.expect_at_rest();
}

TEST(HttpLb, IdleConnectionsAreBoundedInNumberAndTime) {
  HttpLab lab;
  lab.config.idle_backends = 2;
  lab.start();
  for (unsigned i = 0; i < 5; ++i) lab.ask(get("/len/50000"));
  lab.world.run_for(2s);
  EXPECT_EQ(lab.counters().backend_fresh.get(), 5U);
  EXPECT_EQ(lab.counters().idle_backends.get(), 2U);
  lab.world.run_for(4s);
  EXPECT_EQ(lab.counters().idle_backends.get(), 0U);
  lab.expect_at_rest();
}

TEST(HttpLb, WhenRecordsRunOutClientsWait) {
  HttpLab lab;
  lab.config.max_sessions = 3;
  lab.config.idle_timeout = 3s;
  lab.start();
  for (unsigned i = 0; i < 9; ++i) lab.ask(get("/len/10", i % 2 == 0 ? kClose : ""));
  lab.world.run_for(20s);
  for (const auto& s : lab.client.streams) EXPECT_EQ(statuses_in(s->in), "200");
  lab.expect_at_rest();
}

std::uint64_t held_for_slow_end(bool slow_origin) {
  HostSpec spec;
  spec.stack.tcp.rmem = spec.stack.tcp.wmem = 64 * 1024;
  HttpLab lab(1, 1, spec);
  lab.origin[0]->reading = !slow_origin;
  lab.start();
  const std::string body = octets_of(1'000'000, 4);
  Stream& s = lab.ask(slow_origin ? post("/echo", body) : get("/len/1000000"));
  s.reading = slow_origin;
  lab.world.run_for(8s);
  const std::uint64_t held = std::uint64_t{lab.world.host(1).pool().in_use()} * 1'448;
  EXPECT_GT(held, 64U * 1024U);
  if (slow_origin) {
    Stream& o = *lab.origin[0]->streams.at(0);
    o.reading = true;
    lab.origin[0]->on_readable(o.conn, 0);
    lab.host_of(0).poke();
  } else {
    s.reading = true;
    lab.client.pull(s);
    lab.world.host(0).poke();
  }
  EXPECT_TRUE(lab.world.run_until([&] { return statuses_in(s.in) == "200"; }, 60s));
  EXPECT_TRUE(responses_in(s.in)[0].body == (slow_origin ? body : octets_of(1'000'000, 1'000'000)));
  lab.expect_at_rest();
  return held;
}

TEST(HttpLb, ASlowOriginBoundsWhatASessionHolds) {
  EXPECT_LT(held_for_slow_end(true), 2U * 64U * 1024U + 16'384U);
}
TEST(HttpLb, ASlowClientBoundsWhatASessionHolds) {
  EXPECT_LT(held_for_slow_end(false), 2U * 64U * 1024U + 16'384U);
}

// -- The ends of clients --------------------------------------------------------------------

TEST(HttpLb, AClientMayCloseItsHalfBehindItsRequest) {
  HttpLab lab;
  lab.start();
  Stream& s = lab.ask(get("/len/5"), true);
  ASSERT_TRUE(lab.world.run_until([&] { return s.peer_closed; }, 5s));
  EXPECT_EQ(statuses_in(s.in), "200");
  Stream& half = lab.ask("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc", true);
  ASSERT_TRUE(lab.world.run_until([&] { return half.closed.has_value(); }, 5s));
  EXPECT_EQ(half.in, "");
  Stream& head = lab.ask("GET / HTTP/1.1\r\nHo", true);
  ASSERT_TRUE(lab.world.run_until([&] { return head.peer_closed || head.closed; }, 5s));
  EXPECT_EQ(head.in, "");
  lab.expect_at_rest();
}

TEST(HttpLb, AClientMayResetAtAnyStage) {
  const std::string upload = chunked("/echo", octets_of(200'000, 5));
  for (const std::string& text :
       {std::string("GET / HT"), get("/silent"), get("/len/900000"), upload.substr(0, 100'000),
        upload, get("/len/3"), get("/upgrade", "Connection: upgrade\r\nUpgrade: echo\r\n")}) {
    for (const Duration when : {0us, 150us, 1000us, 50'000us, 500'000us}) {
      HttpLab lab;
      lab.start();
      Stream& s = lab.ask(text);
      s.reading = false;
      lab.world.run_for(when);
      s.conn.abort();
      s.closed = CloseReason::kAborted;
      lab.world.host(0).poke();
      lab.expect_at_rest();
    }
  }
}

TEST(HttpLb, ATunnelCarriesBothWaysAndTheHalfClose) {
  HttpLab lab;
  lab.start();
  const std::string octets = octets_of(150'000, 6);
  Stream& s = lab.ask(get("/upgrade", "Connection: upgrade\r\nUpgrade: echo\r\n") + "early");
  lab.world.run_for(1s);
  lab.send_more(s, octets);
  lab.world.run_for(1s);
  s.fin_when_sent = true;
  lab.client.push(s);
  lab.world.host(0).poke();
  ASSERT_TRUE(lab.world.run_until([&] { return s.peer_closed; }, 10s));
  const std::size_t end = s.in.find("\r\n\r\n");
  EXPECT_EQ(s.in.substr(0, end).find("HTTP/1.1 101"), 0U);
  EXPECT_NE(s.in.find("Upgrade: echo"), std::string::npos);
  EXPECT_TRUE(s.in.substr(end + 4) == "early" + octets);
  EXPECT_EQ(lab.counters().upgrades.get(), 1U);
  lab.expect_at_rest();
  EXPECT_EQ(lab.front.lb->tcp().counters().sessions.get(), 0U);
}

TEST(HttpLb, WhenTunnelsRunOutAnUpgradeIsReset) {
  HttpLab lab;
  lab.config.max_sessions = 1;
  lab.start();
  const std::string text = get("/upgrade", "Connection: upgrade\r\nUpgrade: echo\r\n") + "octets";
  Stream& first = lab.ask(text);
  lab.world.run_for(1s);
  Stream& second = lab.ask(text);
  ASSERT_TRUE(lab.world.run_until([&] { return second.closed.has_value(); }, 5s));
  EXPECT_EQ(second.closed, CloseReason::kReset);
  EXPECT_TRUE(first.in.ends_with("octets"));
  EXPECT_EQ(lab.origin[0]->streams.at(1)->closed, CloseReason::kReset);
  first.fin_when_sent = true;
  lab.client.push(first);
  lab.world.host(0).poke();
  ASSERT_TRUE(lab.world.run_until([&] { return first.peer_closed; }, 5s));
  lab.expect_at_rest();
}

// What follows a request for an upgrade is not passed on before the origin has agreed.
TEST(HttpLb, ARefusedUpgradeIsAnOrdinaryExchange) {
  HttpLab lab;
  lab.start();
  EXPECT_EQ(statuses_in(lab.answer_to(get("/len/1", "Connection: upgrade\r\nUpgrade: echo\r\n") +
                                      get("/len/2", kClose))),
            "200 200");
  EXPECT_EQ(lab.origin[0]->heads.size(), 2U);
  lab.expect_at_rest();
}

TEST(HttpLb, DrainingFinishesWhatIsUnderWay) {
  HttpLab lab;
  lab.start();
  Stream& busy = lab.ask("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc");
  Stream& idle = lab.ask(get("/len/1"));
  lab.world.run_for(1s);
  lab.front.lb->stop_accepting();
  lab.world.host(1).poke();
  lab.world.run_for(1s);
  EXPECT_TRUE(idle.peer_closed);
  EXPECT_FALSE(busy.peer_closed);
  EXPECT_EQ(lab.counters().idle_backends.get(), 0U);
  lab.send_more(busy, "def" + get("/len/1"));
  ASSERT_TRUE(lab.world.run_until([&] { return busy.peer_closed; }, 5s));
  EXPECT_EQ(statuses_in(busy.in), "200");
  EXPECT_NE(busy.in.find("Connection: close"), std::string::npos);
  lab.expect_at_rest();
}

TEST(HttpLb, AbortingLeavesNothing) {
  HttpLab lab;
  lab.start();
  lab.ask(get("/silent"));
  lab.ask(get("/len/1"));
  lab.ask("GET / HT");
  lab.ask(get("/len/900000")).reading = false;
  lab.world.run_for(500ms);
  lab.front.lb->abort_all();
  lab.world.host(1).poke();
  lab.world.run_for(100ms);
  EXPECT_EQ(lab.counters().aborted.get(), 4U);
  lab.expect_at_rest();
}

// -- Lossy links ----------------------------------------------------------------------------

class HttpSeeds : public testing::TestWithParam<std::uint64_t> {};

HostSpec lossy(std::uint64_t seed) {
  Rng rng(seed);
  HostSpec spec;
  for (sim::Faults* f : {&spec.up, &spec.down}) {
    f->loss = rng.below(30'000);
    f->duplicate = rng.below(10'000);
    f->reorder = rng.below(30'000);
    f->corrupt = rng.below(5'000);
    f->jitter = Duration(rng.below(500));
  }
  spec.stack.tcp.keepalive = true;  // a lost RST leaves the other side open and idle
  spec.stack.tcp.keepalive_time = 300s;
  if (rng.chance(300'000)) spec.stack.mtu = 128;
  if (rng.chance(300'000)) spec.pool_limit = 150 + rng.below(400);  // buffers run out
  if (rng.chance(300'000)) spec.stack.tcp.rmem = spec.stack.tcp.wmem = 4'096 + rng.below(60'000);
  return spec;
}

// Every client gets its own answers in order, or a prefix of them where an origin or a link failed
// it.
TEST_P(HttpSeeds, EveryClientGetsItsOwnAnswers) {
  SCOPED_TRACE("replay: sim_http --gtest_filter=*Seeds*/" + std::to_string(GetParam() - 1));
  Rng rng(GetParam());
  const HostSpec spec = lossy(GetParam());
  const bool scarce = spec.pool_limit != sim::BlockPool::kNoLimit;
  HttpLab lab(3, GetParam(), spec);
  lab.rule(Subject::kPath, "^/chunked", 1);
  lab.rule(Subject::kHost, "^c$", 2);
  lab.deny(Subject::kBody, "forbidden-in-a-body", 403);
  lab.config.idle_timeout = 600s;
  lab.config.request_timeout = lab.config.response_timeout = 300s;
  for (auto& p : lab.config.pools) p.connect_timeout = 60s;
  lab.start();
  std::vector<std::vector<std::string>> wanted;
  for (unsigned i = 0; i < 6; ++i) {
    std::string text;
    wanted.emplace_back();
    for (unsigned n = 1 + rng.below(6); n > 0; --n) {
      const std::string body = octets_of(rng.below(rng.chance(200'000) ? 60'000 : 900), rng.next());
      const std::string path = rng.chance(500'000) ? "/echo" : "/chunked";
      text += rng.chance(500'000) ? post(path, body) : chunked(path, body);
      wanted.back().push_back(body);
    }
    lab.ask(text, rng.chance(300'000));
  }
  const auto all = [&] {
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const Stream& s = *lab.client.streams[i];
      if (!s.closed && responses_in(s.in).size() < wanted[i].size()) return false;
    }
    return true;
  };
  EXPECT_TRUE(lab.world.run_until(all, 60min));
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const Stream& s = *lab.client.streams[i];
    const auto r = responses_in(s.in);
    for (std::size_t n = 0; n < std::min(r.size(), wanted[i].size()); ++n) {
      if (r[n].status != 200) break;
      EXPECT_TRUE(r[n].body == wanted[i][n]) << "client " << i << " answer " << n;
    }
    // A link that loses every ARP request or reply makes an origin unreachable.
    // Where buffers run out, time limits end what then does not move.
    const bool failed = scarce || (s.closed && *s.closed != CloseReason::kNormal) ||
                        (!r.empty() && r.back().status == 503);
    EXPECT_TRUE(failed || r.size() == wanted[i].size())
        << "client " << i << ": " << statuses_in(s.in) << " of " << wanted[i].size();
  }
  lab.expect_at_rest();
}

INSTANTIATE_TEST_SUITE_P(All, HttpSeeds,
                         testing::Range<std::uint64_t>(1,
                                                       1 + env_number("WEIR_SIM_HTTP_SEEDS", 60)));

}  // namespace
}  // namespace weir::test

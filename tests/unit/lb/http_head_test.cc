// Heads written anew: what the other side gets to see, and that it reads it as it was meant.
#include "lb/http_head.h"

#include <gtest/gtest.h>

#include "framed.h"

namespace weir::lb::http::test {
namespace {

const Endpoint kBackend{IpAddr::v4(10, 99, 0, 1), 8081};

std::string rewritten(const std::string& text, std::vector<std::string_view> tags = {},
                      bool continued = false) {
  Feeder f;
  f.request();
  f.feed(text);
  EXPECT_NE(f.framer().state(), Framer::State::kFault) << text;
  std::vector<char> out(kBlock + kHeadSlack);
  const RequestExtras extras{.client = IpAddr::v4(192, 0, 2, 7),
                             .backend = kBackend,
                             .tags = tags,
                             .continued = continued};
  return {out.data(), write_request(out, f.framer().head(), f.framer().facts(), extras)};
}

std::string rewritten_response(const std::string& text, const ResponseExtras& extras,
                               const Facts& request = {}) {
  Feeder f;
  f.response(request);
  f.feed(text);
  EXPECT_NE(f.framer().state(), Framer::State::kFault) << text;
  std::vector<char> out(kBlock + kHeadSlack);
  return {out.data(), write_response(out, f.framer().head(), f.framer().facts(), extras)};
}

TEST(HttpHead, ARequestIsWrittenAnew) {
  EXPECT_EQ(
      rewritten("\r\nGET /a?b HTTP/1.1\r\nAccept:  x \r\nHost: a.example\r\n\r\n"),
      "GET /a?b HTTP/1.1\r\nHost: a.example\r\nAccept: x\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n");
  EXPECT_EQ(rewritten("GET http://a.example HTTP/1.1\r\nHost: A.EXAMPLE\r\n\r\n"),
            "GET / HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n");
  EXPECT_EQ(rewritten("GET / HTTP/1.0\r\n\r\n"),
            "GET / HTTP/1.1\r\nHost: 10.99.0.1:8081\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n");
}

TEST(HttpHead, WhatIsOfOneConnectionStaysOnIt) {
  const std::string out = rewritten(
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Mine\r\nConnection: Other\r\n"
      "Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\nX-Mine: 1\r\n"
      "Upgrade: h2c\r\nContent_Length: 9\r\nTransfer_Encoding: chunked\r\nother: 2\r\nKept: "
      "3\r\n\r\n");
  EXPECT_EQ(out, "GET / HTTP/1.1\r\nHost: a\r\nKept: 3\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n");
  // A client cannot take out by Connection what the balancer says itself.
  EXPECT_EQ(rewritten("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
                      "Connection: Host, Content-Length, X-Forwarded-For, Weir-Tag\r\n\r\nabc",
                      {"t"}),
            "POST / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\nWeir-Tag: t\r\n"
            "Content-Length: 3\r\n\r\n");
}

TEST(HttpHead, WhatIsOursToSayIsNotTheClients) {
  EXPECT_EQ(rewritten("GET / HTTP/1.1\r\nHost: a\r\nWeir-Tag: admin\r\nweir_tag: x\r\n"
                      "x-forwarded-for: 1.2.3.4\r\nX_Forwarded_For: 5.6.7.8\r\n\r\n",
                      {"beta", "new\r\nX: y"}),
            "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4, 5.6.7.8, 192.0.2.7\r\n"
            "Weir-Tag: beta\r\nWeir-Tag: new__X:_y\r\n\r\n");
}

TEST(HttpHead, FramingIsWrittenFromWhatWasRead) {
  EXPECT_NE(rewritten("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0005\r\n\r\nabcde")
                .find("\r\nContent-Length: 5\r\n"),
            std::string::npos);
  EXPECT_NE(rewritten("PUT / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: CHUNKED\r\n\r\n0\r\n\r\n")
                .find("\r\nTransfer-Encoding: chunked\r\n"),
            std::string::npos);
  const std::string expects =
      "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nabcde";
  EXPECT_NE(rewritten(expects).find("expect"), rewritten(expects).find("Expect: 100-continue"));
  EXPECT_EQ(rewritten(expects, {}, true).find("Expect"), std::string::npos);
}

TEST(HttpHead, AnUpgradeIsPassedOnlyWhereItCanBe) {
  const std::string ws =
      "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
  EXPECT_EQ(rewritten(ws),
            "GET /ws HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\nConnection: upgrade\r\n"
            "Upgrade: websocket\r\n\r\n");
  for (const char* refused : {"h2c", "H2C", "websocket, h2c", "HTTP/2.0", "TLS/1.0"}) {
    const std::string out = rewritten(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings"
        "\r\nHTTP2-Settings: x\r\nUpgrade: " +
        std::string(refused) + "\r\n\r\n");
    EXPECT_EQ(out, "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n") << refused;
  }
}

// What is sent to a backend is read by the same rules as what came, and says the same.
TEST(HttpHead, WritingAnewChangesNothingTwice) {
  for (const std::string text :
       {"GET /a HTTP/1.1\r\nHost: a:80\r\nX: y\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 17\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"}) {
    const Framed first = request(text), second = request(rewritten(text));
    EXPECT_EQ(first.method, second.method);
    EXPECT_EQ(first.target, second.target);
    EXPECT_EQ(first.host, second.host);
    EXPECT_EQ(first.facts.framing, second.facts.framing);
    EXPECT_EQ(first.facts.length, second.facts.length);
    EXPECT_EQ(first.facts.upgrade, second.facts.upgrade);
  }
}

TEST(HttpHead, AResponseIsWrittenAnew) {
  const std::string text =
      "HTTP/1.0 200 Fine thing\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\n"
      "Set-Cookie: a=b\r\nContent-Length: 3\r\n\r\nabc";
  EXPECT_EQ(rewritten_response(text, {.framing = Framing::kLength}),
            "HTTP/1.1 200 Fine thing\r\nSet-Cookie: a=b\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(rewritten_response(text, {.close = true, .framing = Framing::kLength}),
            "HTTP/1.1 200 Fine thing\r\nSet-Cookie: a=b\r\nContent-Length: 3\r\n"
            "Connection: close\r\n\r\n");
  EXPECT_EQ(rewritten_response(text, {.say_keep_alive = true, .framing = Framing::kLength}),
            "HTTP/1.1 200 Fine thing\r\nSet-Cookie: a=b\r\nContent-Length: 3\r\n"
            "Connection: keep-alive\r\n\r\n");
  // To a client of HTTP/1.0 a chunked body is framed by the end of the connection.
  EXPECT_EQ(rewritten_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                               {.close = true, .framing = Framing::kUntilClose}),
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(rewritten_response("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", {}),
            "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(rewritten_response("HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", {}),
            "HTTP/1.1 204 No\r\n\r\n");
  Facts head;
  head.head = true;
  EXPECT_EQ(rewritten_response("HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n", {}, head),
            "HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n");
}

// The largest that a head can grow by stays within the room that writers are promised.
TEST(HttpHead, AHeadGrowsLessThanItsSlack) {
  std::string text = "GET / HTTP/1.0\r\nConnection:keep-alive\r\nX-Forwarded-For:1\r\n";
  for (std::uint32_t i = 2; i < kMaxFields; ++i) text += "X:\r\n";
  text += "\r\n";
  const std::string tag(2 * kMaxTagOctets, 't');
  const std::vector<std::string_view> tags(kMaxTags + 3, tag);
  Feeder f;
  f.request();
  f.feed(text);
  ASSERT_EQ(f.framer().state(), Framer::State::kDone);
  std::vector<char> out(text.size() + kHeadSlack);
  const IpAddr client = IpAddr::v4(255, 255, 255, 255);
  const std::size_t n = write_request(
      out, f.framer().head(), f.framer().facts(),
      {.client = client, .backend = {client, 65'535}, .tags = tags, .continued = false});
  EXPECT_GT(n, text.size());
}

TEST(HttpHead, OurOwnAnswersAreFramed) {
  std::vector<char> out(1024);
  constexpr std::uint16_t kStatuses[] = {400, 403, 404, 408, 413, 431,
                                         501, 502, 503, 504, 505, 499};
  for (const std::uint16_t status : kStatuses) {
    for (const bool head : {false, true}) {
      const std::string text(out.data(), write_answer(out, status, head, !head));
      Facts asked;
      asked.head = head;
      const Framed f = response(text, asked);
      EXPECT_EQ(f.state, Framer::State::kDone) << text;
      EXPECT_EQ(f.consumed, text.size()) << text;
      EXPECT_EQ(f.facts.status, status);
      EXPECT_EQ(f.facts.keep_alive, head);
      EXPECT_EQ(f.data.empty(), head);
    }
  }
}

}  // namespace
}  // namespace weir::lb::http::test

// Where messages end, what is refused, and that it does not matter where the text is cut.
#include "lb/http_framing.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "framed.h"

namespace weir::lb::http::test {
namespace {

using State = Framer::State;
using namespace std::string_literals;

struct Example {
  bool response;
  std::string text;
};

const std::vector<Example>& examples() {
  static const std::vector<Example> e = {
      {false, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\nGET /next HTTP/1.1\r\n"},
      {false, "\r\nGET /with/crlf?before=it HTTP/1.1\r\nHost: a\r\n\r\n"},
      {false, "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n"},
      {false, "POST /p HTTP/1.1\r\nhost: [::1]:8080\r\nContent-Length: 0\r\n\r\nX"},
      {false,
       "PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
       "5\r\nhello\r\n0A;name=value;q=\"x y\";z\r\n0123456789\r\n0\r\nX-Sum: 7\r\nX-Two: "
       "b\r\n\r\nGET "},
      {false,
       "PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\t Chunked \r\n\r\n1\r\nA\r\n000\r\n\r\n"},
      {false, "GET http://a.example:80/x HTTP/1.1\r\nHost: A.example\r\nConnection: close\r\n\r\n"},
      {false, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"},
      {false, "GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"},
      {false,
       "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: "
       "websocket\r\n\r\n\x81"},
      {false, "GET / HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nX-Obs: \x80\xff\r\nX-Tab: a\tb \t\r\n\r\n"},
      {true, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\n"},
      {true, "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\n\r\nHTTP/1.1"},
      {true, "HTTP/1.1 204 No Content\r\nX: y\r\n\r\nmore"},
      {true, "HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\nHTTP/1.1"},
      {true, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"},
      {true, "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"},
      {true, "HTTP/1.0 200 OK\r\nServer: x\r\n\r\nuntil the end\r\n\r\n"},
      {true,
       "HTTP/1.1 502 B\xc3\xa4"
       "d\r\nContent-Length: 0\r\n\r\n"},
  };
  return e;
}

TEST(HttpFraming, ItDoesNotMatterWhereTheTextIsCut) {
  for (const Example& e : examples()) {
    const Framed whole = frame(e.response, e.text);
    ASSERT_NE(whole.state, State::kFault) << e.text << " " << static_cast<int>(whole.fault);
    ASSERT_NE(whole.state, State::kHead) << e.text;
    for (std::size_t cut = 0; cut <= e.text.size(); ++cut) {
      ASSERT_EQ(frame(e.response, e.text, {cut}), whole) << e.text << " cut at " << cut;
    }
    std::vector<std::size_t> all;
    for (std::size_t i = 1; i < e.text.size(); ++i) all.push_back(i);
    EXPECT_EQ(frame(e.response, e.text, all), whole) << e.text << " octet by octet";
  }
}

TEST(HttpFraming, AMessageEndsWhereItEnds) {
  const Framed get = request(examples()[0].text);
  EXPECT_EQ(get.state, State::kDone);
  EXPECT_EQ(get.consumed, 35U);
  EXPECT_EQ(get.method, "GET");
  EXPECT_EQ(get.host, "a.example");
  const Framed post = request(examples()[2].text);
  EXPECT_EQ(post.state, State::kDone);
  EXPECT_EQ(post.data, "hello");
  EXPECT_EQ(examples()[2].text.substr(post.consumed), "GET / HTTP/1.1\r\n");
  const Framed chunked = request(examples()[4].text);
  EXPECT_EQ(chunked.state, State::kDone);
  EXPECT_EQ(chunked.data, "hello0123456789");
  EXPECT_EQ(examples()[4].text.substr(chunked.consumed), "GET ");
  EXPECT_EQ(request(examples()[6].text).target, "/x");
  EXPECT_FALSE(request(examples()[6].text).facts.keep_alive);
  EXPECT_TRUE(request(examples()[8].text).facts.keep_alive);
  const Framed ws = request(examples()[9].text);
  EXPECT_EQ(ws.state, State::kDone);
  EXPECT_TRUE(ws.facts.upgrade);
  EXPECT_EQ(examples()[9].text.substr(ws.consumed), "\x81");
}

TEST(HttpFraming, AResponseEndsAsItsRequestAndStatusSay) {
  const auto rest = [](const Example& e, const Framed& f) { return e.text.substr(f.consumed); };
  const Example& length = examples()[11];
  EXPECT_EQ(rest(length, response(length.text)), "HTTP/1.1 200 OK\r\n");
  Facts head;
  head.head = true;
  EXPECT_EQ(response(length.text, head).data, "");
  EXPECT_EQ(response(length.text, head).state, State::kDone);
  for (const std::size_t i : {13U, 14U, 15U, 16U}) {
    const Framed f = response(examples()[i].text);
    EXPECT_EQ(f.state, State::kDone) << i;
    EXPECT_EQ(f.data, "") << i;
    EXPECT_TRUE(f.head.ends_with("\r\n\r\n")) << i;
  }
  const Framed until = response(examples()[17].text);
  EXPECT_EQ(until.state, State::kBody);
  EXPECT_EQ(until.facts.framing, Framing::kUntilClose);
  EXPECT_FALSE(until.facts.keep_alive);
  EXPECT_EQ(until.data, "until the end\r\n\r\n");
}

TEST(HttpFraming, TheEndOfTheConnectionEndsOnlyWhatIsFramedByIt) {
  for (const auto& [text, want] :
       {std::pair{"HTTP/1.1 200 OK\r\n\r\nabc", State::kDone},
        std::pair{"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", State::kFault},
        std::pair{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
                  State::kFault},
        std::pair{"HTTP/1.1 200 OK\r\nX: ", State::kFault}}) {
    Feeder f;
    f.response({});
    f.feed(text);
    f.framer().finish();
    EXPECT_EQ(f.framer().state(), want) << text;
  }
}

// -- What is refused ------------------------------------------------------------------------

struct Refused {
  std::string text;
  Fault fault;
};

std::string with(const std::string& fields) {
  return "POST /x HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
}
std::string chunks(const std::string& body) {
  return with("Transfer-Encoding: chunked\r\n") + body;
}

TEST(HttpFraming, SmugglingFormsAreRefused) {
  const std::vector<Refused> forms = {
      // Two ways to say where the body ends.
      {with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), Fault::kLength},
      {with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), Fault::kLength},
      {with("Content-Length: 5\r\nContent-Length: 6\r\n"), Fault::kLength},
      {with("Content-Length: 5\r\nContent-Length: 5\r\n"), Fault::kLength},
      {with("Content-Length: 5, 5\r\n"), Fault::kLength},
      {with("Content-Length: 5,6\r\n"), Fault::kLength},
      // Lengths that are none.
      {with("Content-Length: +5\r\n"), Fault::kLength},
      {with("Content-Length: -5\r\n"), Fault::kLength},
      {with("Content-Length: 0x5\r\n"), Fault::kLength},
      {with("Content-Length: 5 5\r\n"), Fault::kLength},
      {with("Content-Length: 5a\r\n"), Fault::kLength},
      {with("Content-Length: 5.0\r\n"), Fault::kLength},
      {with("Content-Length:\r\n"), Fault::kLength},
      {with("Content-Length: 18446744073709551617\r\n"), Fault::kLength},
      {with("Content-Length: 9999999999999999999\r\n"), Fault::kLength},
      // Codings other than exactly chunked.
      {with("Transfer-Encoding: gzip, chunked\r\n"), Fault::kLength},
      {with("Transfer-Encoding: chunked, chunked\r\n"), Fault::kLength},
      {with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), Fault::kLength},
      {with("Transfer-Encoding: identity\r\n"), Fault::kLength},
      {with("Transfer-Encoding: xchunked\r\n"), Fault::kLength},
      {with("Transfer-Encoding: chunked;q=1\r\n"), Fault::kLength},
      {with("Transfer-Encoding: \"chunked\"\r\n"), Fault::kLength},
      {with("Transfer-Encoding:\r\n"), Fault::kLength},
      {with("Transfer-Encoding: \x0b"
            "chunked\r\n"),
       Fault::kMalformed},
      {with("Transfer_Encoding: chunked\r\nTransfer-Encoding: x\r\n"), Fault::kLength},
      {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Fault::kLength},
      // Lines that two readers take differently.
      {with("X: a\r\n b\r\n"), Fault::kMalformed},
      {with("X: a\r\n\tb\r\n"), Fault::kMalformed},
      {with(" X: a\r\n"), Fault::kMalformed},
      {with("X: a\nContent-Length: 5\r\n"), Fault::kMalformed},
      {with("X: a\rContent-Length: 5\r\n"), Fault::kMalformed},
      {with("X: a\r\r\n"), Fault::kMalformed},
      {with("Content-Length : 5\r\n"), Fault::kMalformed},
      {with("Content-Length\t: 5\r\n"), Fault::kMalformed},
      {with("Content Length: 5\r\n"), Fault::kMalformed},
      {with("Content-Length\r\n"), Fault::kMalformed},
      {with(": 5\r\n"), Fault::kMalformed},
      {with("X: a\0b\r\n"s), Fault::kMalformed},
      {with("X\0: a\r\n"s), Fault::kMalformed},
      {with("X: a\x01\r\n"), Fault::kMalformed},
      {with("X: a\x7f\r\n"), Fault::kMalformed},
      {with("X\x80: a\r\n"), Fault::kMalformed},
      {with("X(y): a\r\n"), Fault::kMalformed},
      {"GET / HTTP/1.1\nHost: a\n\n", Fault::kMalformed},
      {"GET / HTTP/1.1\r\nHost: a\r\n\n", Fault::kMalformed},
      {"GET / HTTP/1.1\r\nHost: a\n\r\n", Fault::kMalformed},
      {"GET / HTTP/1.1\r\n\r\r\nHost: a\r\n\r\n", Fault::kMalformed},
      {"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::kMalformed},
      {"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::kMalformed},
      // Request lines.
      {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::kMalformed},
      {"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", Fault::kMalformed},
      {"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", Fault::kMalformed},
      {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Fault::kMalformed},
      {" GET / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::kMalformed},
      {"GET /\r\nHost: a\r\n\r\n", Fault::kMalformed},
      {"GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n", Fault::kMalformed},
      {"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"s, Fault::kMalformed},
      {"GET /#f HTTP/1.1\r\nHost: a\r\n\r\n", Fault::kMalformed},
      {"GET x HTTP/1.1\r\nHost: a\r\n\r\n", Fault::kMalformed},
      {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", Fault::kMalformed},
      {"GET / http/1.1\r\nHost: a\r\n\r\n", Fault::kMalformed},
      {"GET / HTTP/1.11\r\nHost: a\r\n\r\n", Fault::kMalformed},
      {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", Fault::kVersion},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Fault::kVersion},
      {"GET / HTTP/1.2\r\nHost: a\r\n\r\n", Fault::kVersion},
      {"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", Fault::kMethod},
      {"BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", Fault::kMethod},
      // Hosts.
      {"GET / HTTP/1.1\r\n\r\n", Fault::kHost},
      {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Fault::kHost},
      {"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", Fault::kHost},
      {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Fault::kHost},
      {"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", Fault::kHost},
      {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", Fault::kHost},
      {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Fault::kHost},
      {"GET / HTTP/1.1\r\nHost: a:80:90\r\n\r\n", Fault::kHost},
      {"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", Fault::kHost},
      {"GET / HTTP/1.1\r\nHost:\r\n\r\n", Fault::kHost},
      {"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", Fault::kHost},
      {"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", Fault::kHost},
      {"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", Fault::kMalformed},
      {"GET http://a?x HTTP/1.1\r\nHost: a\r\n\r\n", Fault::kMalformed},
      {"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Fault::kMalformed},
      // Chunks.
      {chunks("5 \r\nhello\r\n"), Fault::kMalformed},
      {chunks(" 5\r\nhello\r\n"), Fault::kMalformed},
      {chunks("0x5\r\nhello\r\n"), Fault::kMalformed},
      {chunks("+5\r\nhello\r\n"), Fault::kMalformed},
      {chunks("-1\r\n"), Fault::kMalformed},
      {chunks("\r\nhello\r\n"), Fault::kMalformed},
      {chunks(";x\r\nhello\r\n"), Fault::kMalformed},
      {chunks("5\nhello\r\n"), Fault::kMalformed},
      {chunks("5\rhello\r\n"), Fault::kMalformed},
      {chunks("5\r\nhello\n"), Fault::kMalformed},
      {chunks("5\r\nhello0\r\n"), Fault::kMalformed},
      {chunks("5\r\nhelloworld\r\n"), Fault::kMalformed},
      {chunks("5;a\nb\r\nhello\r\n"), Fault::kMalformed},
      {chunks("5;a\x01\r\nhello\r\n"), Fault::kMalformed},
      {chunks("5;" + std::string(300, 'x') + "\r\n"), Fault::kMalformed},
      {chunks("0000000000000005\r\nhello\r\n"), Fault::kMalformed},
      {chunks("fffffffffffffffff\r\n"), Fault::kMalformed},
      {chunks("5_0\r\n"), Fault::kMalformed},
      // Trailers.
      {chunks("0\r\nContent-Length: 5\r\n\r\n"), Fault::kMalformed},
      {chunks("0\r\nTransfer-Encoding: chunked\r\n\r\n"), Fault::kMalformed},
      {chunks("0\r\nHOST: b\r\n\r\n"), Fault::kMalformed},
      {chunks("0\r\nWeir_Tag: b\r\n\r\n"), Fault::kMalformed},
      {chunks("0\r\nX: a\r\n b\r\n\r\n"), Fault::kMalformed},
      {chunks("0\r\nX : a\r\n\r\n"), Fault::kMalformed},
      {chunks("0\r\nX: a\n\r\n"), Fault::kMalformed},
      {chunks("0\r\n\n"), Fault::kMalformed},
      {chunks("0\r\nX: " + std::string(5000, 'x') + "\r\n\r\n"), Fault::kMalformed},
  };
  for (const Refused& r : forms) {
    const Framed f = request(r.text);
    EXPECT_EQ(f.state, State::kFault) << r.text;
    EXPECT_EQ(static_cast<int>(f.fault), static_cast<int>(r.fault)) << r.text;
    std::vector<std::size_t> all;
    for (std::size_t i = 1; i < r.text.size(); ++i) all.push_back(i);
    EXPECT_EQ(frame(false, r.text, all).fault, f.fault) << "octet by octet: " << r.text;
  }
}

TEST(HttpFraming, ResponsesAreHeldToTheSame) {
  const auto r = [](const std::string& fields) {
    return "HTTP/1.1 200 OK\r\n" + fields + "\r\nabcde";
  };
  for (const std::string& text : {r("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
                                  r("Content-Length: 5\r\nContent-Length: 5\r\n"),
                                  r("Content-Length: +5\r\n"),
                                  r("Transfer-Encoding: gzip\r\n"),
                                  r("Transfer-Encoding: gzip, chunked\r\n"),
                                  r("X: a\r\n b\r\n"),
                                  r("X: a\nY: b\r\n"),
                                  r("X : a\r\n"),
                                  r("X: a\0\r\n"s),
                                  r("X y: a\r\n"),
                                  "HTTP/1.1 200 OK\nContent-Length: 5\n\nabcde"s,
                                  "HTTP/2.0 200 OK\r\n\r\n"s,
                                  "HTTP/1.1 20 OK\r\n\r\n"s,
                                  "HTTP/1.1 2000 OK\r\n\r\n"s,
                                  "HTTP/1.1 099 OK\r\n\r\n"s,
                                  "HTTP/1.1 600 OK\r\n\r\n"s,
                                  "HTTP/1.1  200 OK\r\n\r\n"s,
                                  "ICY 200 OK\r\n\r\n"s,
                                  "\r\nHTTP/1.1 200 OK\r\n\r\n"s,
                                  "HTTP/1.1 101 Switching Protocols\r\n\r\n"s,
                                  "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"s}) {
    EXPECT_EQ(response(text).state, State::kFault) << text;
  }
  Facts asks;
  asks.upgrade = true;
  const std::string granted =
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x01";
  EXPECT_EQ(response(granted, asks).state, State::kDone);
  EXPECT_TRUE(response(granted, asks).facts.upgrade);
  EXPECT_EQ(response(granted).state, State::kFault);  // nobody asked
}

TEST(HttpFraming, HeadsHaveALimit) {
  const std::string head = "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(200, 'x') + "\r\n\r\n";
  EXPECT_EQ(frame(false, head, {}, {}, head.size()).state, State::kDone);
  const Framed over = frame(false, head, {}, {}, head.size() - 1);
  EXPECT_EQ(over.state, State::kFault);
  EXPECT_EQ(over.fault, Fault::kHeadTooLong);
  std::string many = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (std::uint32_t i = 0; i < kMaxFields; ++i) many += "X: y\r\n";
  EXPECT_EQ(request(many + "\r\n").fault, Fault::kHeadTooLong);
  std::string nominated = "GET / HTTP/1.1\r\nHost: a\r\nConnection: a";
  for (std::uint32_t i = 0; i < kMaxNominated; ++i) nominated += ", x" + std::to_string(i);
  EXPECT_EQ(request(nominated + "\r\n\r\n").fault, Fault::kHeadTooLong);
}

// Random damage to good messages: whatever becomes of one, it becomes of it in any pieces; and what
// is taken is never more than what was fed.
TEST(HttpFraming, DamageIsJudgedAlikeInAnyPieces) {
  Rng rng(7);
  const std::string spice = "\r\n\t :;,05aZ\x80"s + '\0';
  for (unsigned i = 0; i < 60'000; ++i) {
    const Example& e = examples()[rng.below(static_cast<std::uint32_t>(examples().size()))];
    std::string text = e.text;
    for (std::uint32_t n = 1 + rng.below(3); n > 0 && !text.empty(); --n) {
      const std::size_t at = rng.below(static_cast<std::uint32_t>(text.size()));
      const char c = spice[rng.below(static_cast<std::uint32_t>(spice.size()))];
      switch (rng.below(3)) {
        case 0:
          text[at] = c;
          break;
        case 1:
          text.insert(at, 1, c);
          break;
        default:
          text.erase(at, 1 + rng.below(3));
          break;
      }
    }
    std::vector<std::size_t> cuts;
    for (std::size_t at = 0; at < text.size();) {
      at += 1 + rng.below(12);
      if (at < text.size()) cuts.push_back(at);
    }
    const Framed whole = frame(e.response, text);
    ASSERT_EQ(frame(e.response, text, cuts), whole) << i << ": " << text;
    ASSERT_LE(whole.consumed, text.size());
  }
}

}  // namespace
}  // namespace weir::lb::http::test

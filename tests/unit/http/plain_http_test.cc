// The straight way through a usual head against llhttp, which decides whatever is unusual.
#include "plain_http.h"

#include <gtest/gtest.h>
#include <llhttp/llhttp.h>

#include <array>
#include <string>

#include "base/rng.h"

namespace weir::app {
namespace {

// What llhttp tells of one message.
struct Read {
  bool complete = false, keep_alive = false, has_body = false;
  unsigned method = 0, status = 0;
  std::size_t octets = 0;
  std::string target, body, field;
  bool expects = false;
};

int on_url(llhttp_t* p, const char* at, std::size_t n) {
  static_cast<Read*>(p->data)->target.append(at, n);
  return 0;
}
int on_field(llhttp_t* p, const char* at, std::size_t n) {
  static_cast<Read*>(p->data)->field.append(at, n);
  return 0;
}
int on_value_done(llhttp_t* p) {
  auto& r = *static_cast<Read*>(p->data);
  r.expects = r.expects || strcasecmp(r.field.c_str(), "expect") == 0;
  r.field.clear();
  return 0;
}
int on_body(llhttp_t* p, const char* at, std::size_t n) {
  static_cast<Read*>(p->data)->body.append(at, n);
  return 0;
}
int on_complete(llhttp_t* p) {
  auto& r = *static_cast<Read*>(p->data);
  if (p->type == HTTP_RESPONSE && p->status_code < 200 && p->status_code != 101) return 0;
  r.complete = true;
  r.keep_alive = llhttp_should_keep_alive(p) != 0;
  return HPE_PAUSED;
}

Read read_slowly(llhttp_type_t type, std::string_view text) {
  llhttp_settings_t s;
  llhttp_settings_init(&s);
  s.on_url = on_url;
  s.on_header_field = on_field;
  s.on_header_value_complete = on_value_done;
  s.on_body = on_body;
  s.on_message_complete = on_complete;
  llhttp_t p;
  llhttp_init(&p, type, &s);
  Read r;
  p.data = &r;
  const llhttp_errno_t e = llhttp_execute(&p, text.data(), text.size());
  r.octets =
      e == HPE_OK ? text.size() : static_cast<std::size_t>(llhttp_get_error_pos(&p) - text.data());
  r.method = p.method;
  r.status = p.status_code;
  return r;
}

// Whether it was read straight; then llhttp must say the same.
bool agrees_on_request(std::string_view text) {
  const auto plain = read_plain_request(text);
  if (!plain) return false;
  const Read r = read_slowly(HTTP_REQUEST, text);
  EXPECT_TRUE(r.complete) << text;
  EXPECT_EQ(r.method, unsigned{HTTP_GET}) << text;
  EXPECT_EQ(r.target, plain->target) << text;
  EXPECT_EQ(r.octets, plain->octets) << text;
  EXPECT_EQ(r.keep_alive, plain->keep_alive) << text;
  EXPECT_FALSE(r.expects) << text;
  EXPECT_TRUE(r.body.empty()) << text;
  return true;
}

bool agrees_on_answer(std::string_view text) {
  const auto plain = read_plain_answer(text);
  if (!plain) return false;
  const Read r = read_slowly(HTTP_RESPONSE, text);
  EXPECT_TRUE(r.complete) << text;
  EXPECT_EQ(r.status, plain->status) << text;
  EXPECT_EQ(r.octets, text.size()) << text;
  EXPECT_EQ(r.body, plain->body) << text;
  EXPECT_EQ(r.keep_alive, plain->keep_alive) << text;
  return true;
}

const std::string kLoad = "GET / HTTP/1.1\r\nHost: 198.18.0.1:8000\r\nUser-Agent: weir\r\n\r\n";
const std::array kRequests = {
    kLoad,
    std::string("GET /bytes/12 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    std::string("GET /a?b=c&d=%20 HTTP/1.1\r\nhost:a\r\nconnection:keep-alive\r\n\r\n"),
    std::string("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: Mozilla/5.0 (X11; Linux)\r\n"
                "Accept: */*\r\nAccept-Encoding: gzip, br\r\nCookie: a=b; c=\"d\"\r\nX-Y:\r\n\r\n"),
    kLoad + kLoad,
    std::string("GET / HTTP/1.1\r\n\r\n")};

std::string answer(const char* status, const char* fields, const char* body) {
  return std::string("HTTP/1.1 ") + status + "\r\n" + fields + "\r\n" + body;
}
const std::array kAnswers = {
    answer("200 OK", "Content-Length: 4\r\n", "abcd"),
    answer("200 OK",
           "Server: weir\r\nContent-Type: application/octet-stream\r\nContent-Length: 10\r\n"
           "Connection: close\r\n",
           "0123456789"),
    answer("404 Not Found", "content-length: 0\r\nconnection: keep-alive\r\n", ""),
    answer("503 ", "X: y\r\nContent-Length: 1\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "z")};

TEST(PlainHttp, UsualMessagesAreReadAsLlhttpReadsThem) {
  for (const std::string& r : kRequests) EXPECT_TRUE(agrees_on_request(r)) << r;
  for (const std::string& a : kAnswers) EXPECT_TRUE(agrees_on_answer(a)) << a;
}

TEST(PlainHttp, ARequestIsTakenApart) {
  const std::string both = kRequests[1] + kLoad;
  const auto r = read_plain_request(both);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->target, "/bytes/12");
  EXPECT_EQ(r->octets, kRequests[1].size());
  EXPECT_FALSE(r->keep_alive);
  EXPECT_TRUE(read_plain_request(kLoad)->keep_alive);
}

TEST(PlainHttp, AnAnswerIsTakenApart) {
  const auto a = read_plain_answer(kAnswers[1]);
  ASSERT_TRUE(a);
  EXPECT_EQ(a->status, 200U);
  EXPECT_EQ(a->body, "0123456789");
  EXPECT_FALSE(a->keep_alive);
  EXPECT_TRUE(read_plain_answer(kAnswers[2])->keep_alive);
}

TEST(PlainHttp, APartIsNone) {
  for (std::size_t n = 0; n < kLoad.size(); ++n) {
    EXPECT_FALSE(read_plain_request(std::string_view(kLoad).substr(0, n))) << n;
  }
  for (std::size_t n = 0; n < kAnswers[1].size(); ++n) {
    EXPECT_FALSE(read_plain_answer(std::string_view(kAnswers[1]).substr(0, n))) << n;
  }
}

TEST(PlainHttp, TheUnusualIsLeftToTheParser) {
  const auto get = [](const std::string& fields) {
    return read_plain_request("GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n").has_value();
  };
  EXPECT_TRUE(get(""));
  EXPECT_TRUE(get("Expecta: 1\r\nUpgrades: 1\r\nXonnection: q\r\nTransferxEncoding: q\r\n"));
  for (const char* f : {"Expect: 100-continue\r\n",
                        "EXPECT: x\r\n",
                        "Upgrade: h2c\r\n",
                        "Content-Length: 0\r\n",
                        "Transfer-Encoding: chunked\r\n",
                        "Proxy-Connection: close\r\n",
                        "Connection: Close\r\n",
                        "Connection: close, x\r\n",
                        "Connection: upgrade\r\n",
                        "Connection: close \r\n",
                        "Connection: close\r\nConnection: keep-alive\r\n",
                        "A: b\r\n c\r\n",
                        "A : b\r\n",
                        ": b\r\n",
                        "A\r\n",
                        "A: b\n",
                        "A: \x7f\r\n",
                        "A: \xc3\xa4\r\n",
                        "A: 1234567\x01ijk\r\n",
                        "A: 1234567\x7fijk\r\n",
                        "A: 1234567\xff"
                        "ijk\r\n",
                        "A: b\rc\r\n",
                        "A: b\tc\r\n"}) {
    EXPECT_FALSE(get(f)) << f;
  }
  for (const char* line : {"HEAD / HTTP/1.1", "get / HTTP/1.1", "GET  / HTTP/1.1", "GET / HTTP/1.0",
                           "GET http://a/ HTTP/1.1", "GET * HTTP/1.1", "GET /#a HTTP/1.1",
                           "GET / HTTP/1.1 ", "GET /", "\r\nGET / HTTP/1.1"}) {
    EXPECT_FALSE(read_plain_request(std::string(line) + "\r\nHost: a\r\n\r\n")) << line;
  }
  EXPECT_FALSE(get("A: " + std::string(5'000, 'a') + "\r\n"));
  EXPECT_TRUE(get("A: " + std::string(3'000, 'a') + "\r\n"));
  const std::string length = "Content-Length: 1\r\n";
  for (const auto& a :
       {answer("204 No Content", "Content-Length: 0\r\n", ""), answer("200 OK", "", ""),
        answer("304 Not Modified", "Content-Length: 0\r\n", ""),
        answer("101 Switching Protocols", "Content-Length: 0\r\n", ""),
        answer("600 What", length.c_str(), "a"), answer("200 OK", length.c_str(), "ab"),
        answer("200 OK", (length + length).c_str(), "a"), answer("20x OK", length.c_str(), "a"),
        answer("200 OK", "Content-Length: 0\r\nContent-Length: 1\r\n", "a"),
        answer("200 OK", "Content-Length: +1\r\n", "a"),
        answer("200 OK", "Content-Length: 0000000000000001\r\n", "a"),
        answer("200 OK", (length + "Transfer-Encoding: chunked\r\n").c_str(), "a"),
        answer("200 OK", (length + "Upgrade: x\r\n").c_str(), "a")}) {
    EXPECT_FALSE(read_plain_answer(a)) << a;
  }
}

// One to three places changed: what is still read straight, llhttp reads alike.
std::string mutated(std::string text, Rng& rng) {
  constexpr std::string_view kLikely = "\r\n \t:,-/0123456789azAZ\x7f\x80\x01\"%#?";
  for (std::uint32_t n = 1 + rng.below(3); n > 0 && !text.empty(); --n) {
    const auto at = rng.below(static_cast<std::uint32_t>(text.size()));
    const char c = rng.below(4) == 0
                       ? static_cast<char>(rng.below(256))
                       : kLikely[rng.below(static_cast<std::uint32_t>(kLikely.size()))];
    switch (rng.below(3)) {
      case 0:
        text[at] = c;
        break;
      case 1:
        text.insert(at, 1, c);
        break;
      default:
        text.erase(at, 1);
    }
  }
  return text;
}

TEST(PlainHttp, MutatedHeadsAreReadAsLlhttpReadsThem) {
  Rng rng(6);
  std::uint32_t straight = 0;
  for (std::uint32_t i = 0; i < 200'000; ++i) {
    const auto& request = kRequests[rng.below(kRequests.size())];
    const auto& answer = kAnswers[rng.below(kAnswers.size())];
    if (agrees_on_request(mutated(request, rng))) ++straight;
    if (agrees_on_answer(mutated(answer, rng))) ++straight;
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(straight, 60'000U);
}

}  // namespace
}  // namespace weir::app

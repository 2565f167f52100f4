// One message, fed to a Framer in pieces, each from a heap block of its exact size so that ASan
// sees the first octet read beyond it.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lb/http_framing.h"
#include "lb/http_route.h"

namespace weir::lb::http::test {

struct Framed {
  Framer::State state = Framer::State::kHead;
  Fault fault = Fault::kNone;
  std::string head, data, framing;  // as they were reported
  std::size_t consumed = 0;
  Facts facts;  // its views are gone
  std::string method, target, host;

  friend bool operator==(const Framed& a, const Framed& b) {
    if (a.state != b.state || a.fault != b.fault) return false;
    if (a.state == Framer::State::kFault) return true;  // found sooner or later
    return a.head == b.head && a.data == b.data && a.framing == b.framing &&
           a.consumed == b.consumed && a.method == b.method && a.target == b.target &&
           a.host == b.host && a.facts.framing == b.facts.framing &&
           a.facts.length == b.facts.length && a.facts.keep_alive == b.facts.keep_alive &&
           a.facts.status == b.facts.status && a.facts.upgrade == b.facts.upgrade;
  }
};

inline constexpr std::size_t kBlock = 4096;

class Feeder {
 public:
  explicit Feeder(std::size_t block = kBlock)
      : block_(std::make_unique<char[]>(block)), size_(block) {}

  Framer& request(Routing* routing = nullptr) {
    framer_.begin_request({block_.get(), size_}, routing);
    return framer_;
  }
  Framer& response(const Facts& request) {
    framer_.begin_response({block_.get(), size_}, request);
    return framer_;
  }
  // Until everything is taken, or the message is done or refused.
  void feed(std::string_view piece) {
    const auto exact = std::make_unique<char[]>(piece.size());
    if (!piece.empty()) std::memcpy(exact.get(), piece.data(), piece.size());
    std::size_t at = 0;
    while (at < piece.size() && !framer_.done() && framer_.state() != Framer::State::kFault) {
      const Run run = framer_.feed(exact.get() + at, static_cast<std::uint32_t>(piece.size() - at));
      const std::string_view text(exact.get() + at, run.octets);
      if (run.kind == Run::kData) out_.data += text;
      if (run.kind == Run::kFraming) out_.framing += text;
      at += run.octets;
      out_.consumed += run.octets;
    }
  }
  Framed result() {
    out_.state = framer_.state();
    out_.fault = framer_.fault();
    out_.head = framer_.head();
    if (out_.state == Framer::State::kDone || out_.state == Framer::State::kBody) {
      out_.facts = framer_.facts();
      out_.method = out_.facts.method;
      out_.target = out_.facts.target;
      out_.host = out_.facts.host;
    }
    return out_;
  }
  Framer& framer() { return framer_; }

 private:
  std::unique_ptr<char[]> block_;
  std::size_t size_;
  Framer framer_;
  Framed out_;
};

// `cuts`: offsets, ascending, at which the text is cut.
inline Framed frame(bool response, std::string_view text, const std::vector<std::size_t>& cuts = {},
                    const Facts& request = {}, std::size_t block = kBlock) {
  Feeder f(block);
  if (response) {
    f.response(request);
  } else {
    f.request();
  }
  std::size_t from = 0;
  for (const std::size_t cut : cuts) {
    f.feed(text.substr(from, cut - from));
    from = cut;
  }
  f.feed(text.substr(from));
  return f.result();
}
inline Framed request(std::string_view text) {
  return frame(false, text);
}
inline Framed response(std::string_view text, const Facts& request = {}) {
  return frame(true, text, {}, request);
}

}  // namespace weir::lb::http::test

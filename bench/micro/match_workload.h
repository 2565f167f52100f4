// Patterns as a front end has them and requests as browsers send them: one workload for lib/match
// and for Hyperscan by itself.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "match/rules.h"

namespace weir::bench {

// Pronounceable and repeatable: word 0..19'999 differ.
inline std::string word(std::uint32_t i) {
  constexpr std::string_view kSyllables[] = {"ba", "ce",  "di",  "fo", "gu",  "ha", "ke",
                                             "li", "mo",  "nu",  "pa", "re",  "si", "to",
                                             "vu", "wen", "xar", "yo", "zil", "qu"};
  std::string w;
  for (std::uint32_t n = i % 20'000 + 160'000; n > 0; n /= 20) w += kSyllables[n % 20];
  return w;
}

// Six in ten rules look at the path, two at the host, two at a header. `action` is that of all.
inline std::vector<match::Rule> make_rules(std::uint32_t n, match::Action action) {
  std::vector<match::Rule> rules;
  for (std::uint32_t i = 0; i < n; ++i) {
    match::Rule r;
    r.name = std::to_string(i);
    r.action = action;
    r.pool = i % 3;
    switch (i % 10) {
      case 0:
      case 1:
      case 2:
        r.pattern = "^/" + word(i) + "/";
        break;
      case 3:
        r.pattern = "^/api/v[0-9]+/" + word(i) + "/[0-9]+$";
        break;
      case 4:
        r.pattern = "^/static/.*" + word(i) + "\\.(css|js|png)$";
        break;
      case 5:
        r.pattern = "[?&]" + word(i) + "=[^&]*(%3C|<)script";
        r.caseless = true;
        break;
      case 6:
      case 7:
        r.subject = match::Subject::kHost;
        r.pattern = "^(www\\.)?" + word(i) + "\\.example$";
        break;
      case 8:
        r.subject = match::Subject::kHeader;
        r.header = "user-agent";
        r.pattern = "\\b" + word(i) + "bot/[0-9]+\\.[0-9]+";
        r.caseless = true;
        break;
      default:
        r.subject = match::Subject::kHeader;
        r.header = "cookie";
        r.pattern = "(^|; )" + word(i) + "=[0-9a-f]{8}(;|$)";
    }
    rules.push_back(std::move(r));
  }
  return rules;
}

struct Field {
  std::string name, value;
};

struct Request {
  std::string path, host;
  std::vector<Field> fields;

  [[nodiscard]] std::string text() const {
    std::string t = "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n";
    for (const Field& f : fields) t += f.name + ": " + f.value + "\r\n";
    return t + "\r\n";
  }
};

// About one request in four is one that a rule of a set of `n` is after.
inline Request make_request(std::uint32_t i, std::uint32_t n, Rng& rng) {
  const auto hex = [&](std::size_t digits) {
    std::string s(digits, '0');
    for (char& c : s) c = "0123456789abcdef"[rng.below(16)];
    return s;
  };
  const std::uint32_t known = rng.below(n), other = 10'000 + rng.below(10'000);
  Request r;
  r.host = (i % 8 == 3 ? word(known - known % 10 + 6) : word(other)) + ".example";
  r.path = "/" + (i % 8 == 1 ? word(known - known % 10) : word(other)) + "/" + word(other + 1) +
           "/item-" + std::to_string(rng.below(100'000)) +
           "?page=" + std::to_string(rng.below(100)) + "&sort=" + word(rng.below(20'000)) +
           "&session=" + hex(24);
  r.fields = {
      {"User-Agent",
       "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
       "Chrome/120.0.0.0 Safari/537.36"},
      {"Accept",
       "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"},
      {"Accept-Language", "en-GB,en;q=0.7,de;q=0.3"},
      {"Accept-Encoding", "gzip, deflate, br"},
      {"Referer", "https://" + r.host + "/" + word(rng.below(20'000)) + "/"},
      {"Cookie", "id=" + hex(32) + "; " + word(rng.below(20'000)) + "=" + hex(8) +
                     "; theme=dark; consent=" + hex(40)}};
  return r;
}

struct MatchWorkload {
  explicit MatchWorkload(std::uint32_t n) {
    Rng rng(n);
    for (std::uint32_t i = 0; i < 1'500; ++i) {
      requests.push_back(make_request(i, n, rng));
      text += requests.back().text();
    }
  }
  std::vector<Request> requests;
  std::string text;  // all of them, as on a connection
};

}  // namespace weir::bench

#include "plain_http.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <type_traits>

namespace weir::app {
namespace {

constexpr std::size_t kLongestHead = 4'096;
constexpr std::size_t kMostDigits = 15;  // of a length: what fits without a look at overflow
constexpr std::string_view kGet = "GET ", kVersion = " HTTP/1.1\r\n", kAnswer = "HTTP/1.1 ";

// Eight octets at a time, as a number. A bit that marks an octet is its highest; of a word's marks
// the lowest is exact, what a borrow or a carry spoils is above it.
static_assert(std::endian::native == std::endian::little);
constexpr std::uint64_t kOnes = 0x0101'0101'0101'0101U, kTops = kOnes << 7U;

std::uint64_t word_at(const char* at) {
  std::uint64_t x = 0;
  std::memcpy(&x, at, sizeof x);
  return x;
}
constexpr std::uint64_t marks_not_ascii(std::uint64_t x) {
  return x & kTops;
}
constexpr std::uint64_t marks_below(std::uint64_t x, unsigned least) {
  return (x - kOnes * least) & ~x & kTops;
}
constexpr std::uint64_t marks_equal(std::uint64_t x, unsigned octet) {
  return marks_below(x ^ (kOnes * octet), 1);
}
// Pre: ASCII, up to what matters.
constexpr std::uint64_t marks_from_to(std::uint64_t x, unsigned from, unsigned to) {
  return (x + kOnes * (0x80 - from)) & ~(x + kOnes * (0x7f - to)) & kTops;
}

constexpr std::uint64_t marks_not_printable(std::uint64_t x) {
  return marks_not_ascii(x) | marks_below(x, 0x20) | marks_equal(x, 0x7f);
}
// Letters, digits and "-" are what names are made of; others may be (RFC 9110 §5.6.2). What is not
// ASCII is in none of the ranges.
constexpr std::uint64_t marks_not_in_name(std::uint64_t x) {
  const std::uint64_t good = marks_from_to(x | (kOnes * 0x20), 'a', 'z') |
                             marks_from_to(x, '0', '9') | marks_from_to(x, '-', '-');
  return ~good & kTops;
}

// The first octet in at..end that `marks` marks, or end.
template <class Marks>
const char* find_mark(const char* at, const char* end, Marks marks) {
  for (; end - at >= 8; at += 8) {
    if (const std::uint64_t m = marks(word_at(at)); m != 0) return at + std::countr_zero(m) / 8;
  }
  for (; at != end; ++at) {
    if ((marks(static_cast<unsigned char>(*at)) & 0x80U) != 0) break;
  }
  return at;
}

using Octets = std::array<bool, 256>;
constexpr Octets octets_of(std::string_view others) {
  Octets is{};
  for (unsigned c = 0; c < is.size(); ++c) {
    const bool letter = (c | 0x20U) >= 'a' && (c | 0x20U) <= 'z';
    is[c] = letter || (c >= '0' && c <= '9');
  }
  for (const char c : others) is[static_cast<unsigned char>(c)] = true;
  return is;
}
constexpr Octets kInTarget = octets_of("-._~!$&'()*+,;=:@%/?[]");  // RFC 3986 §3.3, §3.4

// A name of letters and "-", in any case. `name` is of what names are made of: what differs from
// such an octet in this bit alone is none.
template <std::size_t N>
bool is_named(std::string_view name, const char (&lower)[N]) {
  constexpr std::size_t kSize = N - 1;
  using Part = std::conditional_t<kSize >= 8, std::uint64_t, std::uint32_t>;
  static_assert(kSize >= sizeof(Part));
  const auto differ = [&](std::size_t at) {
    Part x = 0, y = 0;
    std::memcpy(&x, name.data() + at, sizeof x);
    std::memcpy(&y, lower + at, sizeof y);
    return (x | static_cast<Part>(kOnes * 0x20)) ^ y;
  };
  if (name.size() != kSize) return false;
  Part all = differ(0) | differ(kSize - sizeof(Part));
  if constexpr (kSize > 2 * sizeof(Part)) all |= differ(sizeof(Part));
  return all == 0;
}

struct Head {
  bool says_connection = false, close = false;
  bool says_length = false;
  std::uint64_t length = 0;
};

bool read_length(std::string_view value, Head& h) {
  if (h.says_length || value.empty() || value.size() > kMostDigits) return false;
  for (const char c : value) {
    if (c < '0' || c > '9') return false;
    h.length = h.length * 10 + static_cast<unsigned>(c - '0');
  }
  return h.says_length = true;
}

bool read_connection(std::string_view value, Head& h) {
  if (h.says_connection) return false;
  h.close = value == "close";
  return h.says_connection = h.close || value == "keep-alive";
}

// False where the field says what is not read here. By their lengths: most are passed over at once.
bool read_field(std::string_view name, std::string_view value, Head& h) {
  switch (name.size()) {
    case 6:
      return !is_named(name, "expect");
    case 7:
      return !is_named(name, "upgrade");
    case 10:
      return !is_named(name, "connection") || read_connection(value, h);
    case 14:
      return !is_named(name, "content-length") || read_length(value, h);
    case 16:
      return !is_named(name, "proxy-connection");
    case 17:
      return !is_named(name, "transfer-encoding");
    default:
      return true;
  }
}

// From the first field's first octet to behind the empty line; null where there is none, or a field
// that is not read here.
const char* read_fields(const char* at, const char* end, Head& h) {
  while (end - at >= 2) {
    if (*at == '\r') return at[1] == '\n' ? at + 2 : nullptr;
    const char* const name = at;
    at = find_mark(at, end, marks_not_in_name);
    if (at == name || at == end || *at != ':') return nullptr;
    const std::string_view named(name, static_cast<std::size_t>(at - name));
    ++at;
    while (at != end && *at == ' ') ++at;
    const char* const value = at;
    at = find_mark(at, end, marks_not_printable);
    if (end - at < 2 || at[0] != '\r' || at[1] != '\n') return nullptr;
    if (!read_field(named, {value, static_cast<std::size_t>(at - value)}, h)) return nullptr;
    at += 2;
  }
  return nullptr;
}

const char* head_end(std::string_view text) {
  return text.data() + std::min(text.size(), kLongestHead);
}

}  // namespace

std::optional<PlainRequest> read_plain_request(std::string_view text) {
  if (!text.starts_with(kGet)) return std::nullopt;
  const char* const end = head_end(text);
  const char* const target = text.data() + kGet.size();
  const char* at = target;
  while (at != end && kInTarget[static_cast<unsigned char>(*at)]) ++at;
  if (at == target || *target != '/') return std::nullopt;
  const auto left = static_cast<std::size_t>(end - at);
  if (!std::string_view(at, left).starts_with(kVersion)) return std::nullopt;
  Head h;
  const char* const behind = read_fields(at + kVersion.size(), end, h);
  if (behind == nullptr || h.says_length) return std::nullopt;
  return PlainRequest{{target, static_cast<std::size_t>(at - target)},
                      static_cast<std::uint32_t>(behind - text.data()),
                      !h.close};
}

std::optional<PlainAnswer> read_plain_answer(std::string_view text) {
  constexpr std::size_t kStatus = kAnswer.size();
  if (text.size() < kStatus + 4 || !text.starts_with(kAnswer)) return std::nullopt;
  unsigned status = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    const char c = text[kStatus + i];
    if (c < '0' || c > '9') return std::nullopt;
    status = status * 10 + static_cast<unsigned>(c - '0');
  }
  // RFC 9112 §6.3: these have no body, whatever their fields say.
  if (status < 200 || status > 599 || status == 204 || status == 304) return std::nullopt;
  if (text[kStatus + 3] != ' ') return std::nullopt;
  const char* const end = head_end(text);
  const char* at = find_mark(text.data() + kStatus + 4, end, marks_not_printable);
  if (end - at < 2 || at[0] != '\r' || at[1] != '\n') return std::nullopt;
  Head h;
  at = read_fields(at + 2, end, h);
  if (at == nullptr || !h.says_length) return std::nullopt;
  const auto body = static_cast<std::size_t>(text.data() + text.size() - at);
  if (body != h.length) return std::nullopt;
  return PlainAnswer{status, {at, body}, !h.close};
}

}  // namespace weir::app

#include "plain_http.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace weir::app {
namespace {

constexpr std::size_t kLongestHead = 4'096;
constexpr std::size_t kMostDigits = 15;  // of a length: what fits without a look at overflow
constexpr std::string_view kGet = "GET ", kVersion = " HTTP/1.1\r\n", kAnswer = "HTTP/1.1 ";

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
constexpr Octets kInName = octets_of("!#$%&'*+-.^_`|~");           // RFC 9110 §5.6.2
constexpr Octets kInTarget = octets_of("-._~!$&'()*+,;=:@%/?[]");  // RFC 3986 §3.3, §3.4

constexpr bool is_in(const Octets& set, char c) {
  return set[static_cast<unsigned char>(c)];
}

const char* skip(const Octets& set, const char* at, const char* end) {
  while (at != end && is_in(set, *at)) ++at;
  return at;
}

// The first octet that is not printable ASCII, eight at a time. The lowest bit set is exact: what a
// borrow spoils is above it.
const char* skip_printable(const char* at, const char* end) {
  static_assert(std::endian::native == std::endian::little);
  constexpr std::uint64_t kOnes = 0x0101'0101'0101'0101U, kTops = kOnes << 7U;
  for (; end - at >= 8; at += 8) {
    std::uint64_t x = 0;
    std::memcpy(&x, at, 8);
    const std::uint64_t del = x ^ (kOnes * 0x7fU);
    const std::uint64_t stop = (((x - kOnes * 0x20U) & ~x) | x | ((del - kOnes) & ~del)) & kTops;
    if (stop != 0) return at + std::countr_zero(stop) / 8;
  }
  while (at != end && *at >= 0x20 && *at < 0x7f) ++at;
  return at;
}

// `lower` is in lower case, and has letters and "-" only, which differ from others in more than
// this bit where both are in a name.
bool is_named(std::string_view name, std::string_view lower) {
  if (name.size() != lower.size()) return false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = lower[i] == '-' ? name[i] : static_cast<char>(name[i] | 0x20);
    if (c != lower[i]) return false;
  }
  return true;
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
    at = skip(kInName, at, end);
    if (at == name || at == end || *at != ':') return nullptr;
    const std::string_view named(name, static_cast<std::size_t>(at - name));
    ++at;
    while (at != end && *at == ' ') ++at;
    const char* const value = at;
    at = skip_printable(at, end);
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
  const char* at = skip(kInTarget, target, end);
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
  const char* at = skip_printable(text.data() + kStatus + 4, end);
  if (end - at < 2 || at[0] != '\r' || at[1] != '\n') return std::nullopt;
  Head h;
  at = read_fields(at + 2, end, h);
  if (at == nullptr || !h.says_length) return std::nullopt;
  const auto body = static_cast<std::size_t>(text.data() + text.size() - at);
  if (body != h.length) return std::nullopt;
  return PlainAnswer{status, {at, body}, !h.close};
}

}  // namespace weir::app

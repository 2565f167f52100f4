#include "base/addr.h"

#include <arpa/inet.h>

#include <cstdio>

namespace weir {
namespace {

// One decimal part of dotted-quad text: "0" to "255" without a leading zero, which some parsers
// read as octal. Cuts it off the front of `text`; nothing when it is not such a number.
std::optional<std::uint32_t> take_decimal(std::string_view& text) {
  std::uint32_t value = 0;
  std::size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') {
    if (++digits > 3) return std::nullopt;
    value = value * 10 + static_cast<std::uint32_t>(text[digits - 1] - '0');
  }
  if (digits == 0 || value > 255 || (digits > 1 && text[0] == '0')) return std::nullopt;
  text.remove_prefix(digits);
  return value;
}

std::optional<IpAddr> parse_v4(std::string_view text) {
  std::uint32_t value = 0;
  for (unsigned part = 0; part < 4; ++part) {
    if (part > 0) {
      if (text.empty() || text[0] != '.') return std::nullopt;
      text.remove_prefix(1);
    }
    const auto octet = take_decimal(text);
    if (!octet) return std::nullopt;
    value = value << 8U | *octet;
  }
  if (!text.empty()) return std::nullopt;
  return IpAddr::v4(value);
}

std::optional<IpAddr> parse_v6(std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN> terminated{};
  // A NUL inside would end the text early for inet_pton.
  if (text.size() >= terminated.size() || text.find('\0') != std::string_view::npos) {
    return std::nullopt;
  }
  text.copy(terminated.data(), text.size());
  std::array<std::uint8_t, 16> octets{};
  if (inet_pton(AF_INET6, terminated.data(), octets.data()) != 1) return std::nullopt;
  return IpAddr::v6(octets);
}

std::optional<std::uint8_t> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<std::uint8_t>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<std::uint8_t>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<std::uint8_t>(c - 'A' + 10);
  return std::nullopt;
}

}  // namespace

std::optional<IpAddr> parse_ip(std::string_view text) {
  return text.find(':') == std::string_view::npos ? parse_v4(text) : parse_v6(text);
}

std::optional<MacAddr> parse_mac(std::string_view text) {
  MacAddr mac;
  if (text.size() != 17) return std::nullopt;
  for (std::size_t i = 0; i < mac.octets.size(); ++i) {
    const auto high = hex_digit(text[3 * i]);
    const auto low = hex_digit(text[3 * i + 1]);
    if (!high || !low || (i > 0 && text[3 * i - 1] != ':')) return std::nullopt;
    mac.octets[i] = static_cast<std::uint8_t>(*high << 4U | *low);
  }
  return mac;
}

std::string to_string(const IpAddr& addr) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const int family = addr.is_v4() ? AF_INET : AF_INET6;
  const std::uint8_t* octets = addr.octets().data() + (addr.is_v4() ? 12 : 0);
  return inet_ntop(family, octets, text.data(), text.size());
}

std::string to_string(const MacAddr& addr) {
  const auto& o = addr.octets;
  std::array<char, 18> text{};
  std::snprintf(text.data(), text.size(), "%02x:%02x:%02x:%02x:%02x:%02x", unsigned{o[0]},
                unsigned{o[1]}, unsigned{o[2]}, unsigned{o[3]}, unsigned{o[4]}, unsigned{o[5]});
  return text.data();
}

std::string to_string(const Endpoint& endpoint) {
  const std::string addr = to_string(endpoint.addr);
  const std::string port = std::to_string(endpoint.port);
  return endpoint.addr.is_v4() ? addr + ":" + port : "[" + addr + "]:" + port;
}

}  // namespace weir

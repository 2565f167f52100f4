// Addresses and flow keys, IPv4 and IPv6 alike. An IPv4 address is held as an IPv4-mapped IPv6
// address (RFC 4291 §2.5.5.2), so that every table has one key type. Ports are in host order.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace weir {

struct MacAddr {
  std::array<std::uint8_t, 6> octets{};

  static constexpr MacAddr broadcast() { return {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}; }
  [[nodiscard]] constexpr bool is_zero() const { return *this == MacAddr{}; }
  [[nodiscard]] constexpr bool is_multicast() const { return (octets[0] & 1U) != 0; }
  friend constexpr bool operator==(const MacAddr&, const MacAddr&) = default;
};

class IpAddr {
 public:
  constexpr IpAddr() = default;  // "::", the unspecified address

  // `host_order`: 10.0.0.1 is 0x0a000001.
  static constexpr IpAddr v4(std::uint32_t host_order) {
    IpAddr a;
    a.octets_[10] = a.octets_[11] = 0xff;
    for (unsigned i = 0; i < 4; ++i) {
      a.octets_[12 + i] = static_cast<std::uint8_t>(host_order >> (24 - 8 * i));
    }
    return a;
  }
  static constexpr IpAddr v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    return v4(std::uint32_t{a} << 24U | std::uint32_t{b} << 16U | std::uint32_t{c} << 8U | d);
  }
  static constexpr IpAddr v6(const std::array<std::uint8_t, 16>& octets) {
    IpAddr a;
    a.octets_ = octets;
    return a;
  }

  [[nodiscard]] constexpr bool is_v4() const {  // asked several times a packet: two words
    const Words w = words();
    if constexpr (std::endian::native == std::endian::big) {
      return w[0] == 0 && w[1] >> 32U == 0xffffU;
    }
    return w[0] == 0 && (w[1] & 0xffff'ffffU) == 0xffff'0000U;
  }
  // Host order. Pre: is_v4().
  [[nodiscard]] constexpr std::uint32_t v4_value() const {
    return std::uint32_t{octets_[12]} << 24U | std::uint32_t{octets_[13]} << 16U |
           std::uint32_t{octets_[14]} << 8U | octets_[15];
  }
  [[nodiscard]] constexpr const std::array<std::uint8_t, 16>& octets() const { return octets_; }
  // :: or 0.0.0.0
  [[nodiscard]] constexpr bool is_unspecified() const {
    return *this == IpAddr{} || *this == v4(std::uint32_t{0});
  }
  // 224/4 or ff00::/8
  [[nodiscard]] constexpr bool is_multicast() const {
    return is_v4() ? octets_[12] >= 224 && octets_[12] < 240 : octets_[0] == 0xff;
  }
  // fe80::/10 (RFC 4291 §2.5.6)
  [[nodiscard]] constexpr bool is_link_local6() const {
    return octets_[0] == 0xfe && (octets_[1] & 0xc0U) == 0x80;
  }
  // An address that may stand as the source of a unicast segment: not unspecified, multicast,
  // loopback, 0/8, 240/4 or the limited broadcast (RFC 1122 §3.2.1.3).
  [[nodiscard]] constexpr bool is_unicast() const {
    if (!is_v4()) {
      constexpr IpAddr kLoopback6 = v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
      return !is_unspecified() && octets_[0] != 0xff && *this != kLoopback6;
    }
    return octets_[12] != 0 && octets_[12] != 127 && octets_[12] < 224;
  }

  friend constexpr bool operator==(const IpAddr& a, const IpAddr& b) {  // no call of memcmp
    const Words x = a.words(), y = b.words();
    return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
  }
  friend constexpr auto operator<=>(const IpAddr&, const IpAddr&) = default;

 private:
  using Words = std::array<std::uint64_t, 2>;
  [[nodiscard]] constexpr Words words() const { return std::bit_cast<Words>(octets_); }

  std::array<std::uint8_t, 16> octets_{};
};

// "10.0.0.1" strictly (four decimal parts without leading zeros), or any RFC 4291 §2.2 text of
// IPv6.
[[nodiscard]] std::optional<IpAddr> parse_ip(std::string_view text);
[[nodiscard]] std::optional<MacAddr> parse_mac(std::string_view text);  // "02:00:00:00:00:01"
[[nodiscard]] std::string to_string(const IpAddr& addr);                // RFC 5952 for IPv6
[[nodiscard]] std::string to_string(const MacAddr& addr);

struct Endpoint {
  IpAddr addr;
  std::uint16_t port = 0;
  friend constexpr bool operator==(const Endpoint&, const Endpoint&) = default;
};

[[nodiscard]] std::string to_string(const Endpoint& endpoint);  // "10.0.0.1:80", "[::1]:80"

// The 4-tuple of a connection as this host sees it.
struct FlowKey {
  IpAddr local, remote;
  std::uint16_t local_port = 0, remote_port = 0;

  [[nodiscard]] constexpr FlowKey reversed() const {
    return {remote, local, remote_port, local_port};
  }
  friend constexpr bool operator==(const FlowKey&, const FlowKey&) = default;
};
static_assert(sizeof(FlowKey) == 36, "fits a 64-byte SYN queue entry");

}  // namespace weir

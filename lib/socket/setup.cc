#include "socket/setup.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include <utility>
#include "tcp/settings.h"

namespace weir::posix {
namespace {

constexpr MacAddr kThisEnd{{2, 0, 0, 0, 0, 2}}, kOtherEnd{{2, 0, 0, 0, 0, 1}};

bool fail(std::string& error, std::string line) {
  error = std::move(line);
  return false;
}

bool in_range(std::string_view key, std::uint64_t value, std::uint64_t least, std::uint64_t most,
              std::string_view cure, std::string& error) {
  if (value >= least && value <= most) return true;
  return fail(error, std::string(key) + " = " + std::to_string(value) + ": must be " +
                         std::to_string(least) + " to " + std::to_string(most) + "; " +
                         std::string(cure));
}

std::optional<stack::IpPrefix> parse_prefix(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto addr = parse_ip(text.substr(0, slash));
  if (!addr || !addr->is_unicast()) return std::nullopt;
  const std::string_view bits = text.substr(slash + 1);
  unsigned n = 0;
  const auto [end, ec] = std::from_chars(bits.data(), bits.data() + bits.size(), n);
  if (ec != std::errc{} || end != bits.data() + bits.size()) return std::nullopt;
  if (n == 0 || n > (addr->is_v4() ? 32U : 128U)) return std::nullopt;
  return stack::IpPrefix{*addr, static_cast<std::uint8_t>(n)};
}

bool read_addresses(const weir_config& c, Setup& s, std::string& error) {
  if (c.address_count == 0 || c.addresses == nullptr) {
    return fail(error, "addresses: none; give at least one, as \"192.0.2.1/24\"");
  }
  for (std::size_t i = 0; i < c.address_count; ++i) {
    const std::string text = c.addresses[i] == nullptr ? "" : c.addresses[i];
    const auto prefix = parse_prefix(text);
    if (!prefix) {
      return fail(error, "addresses[" + std::to_string(i) + "] = \"" + text +
                             "\": must be a unicast address and its prefix's length, as "
                             "\"192.0.2.1/24\" or \"2001:db8::1/64\"");
    }
    s.stack.addrs.push_back(*prefix);
  }
  return true;
}

bool read_gateway(const char* text, bool v4, std::optional<IpAddr>& out, std::string& error) {
  if (text == nullptr) return true;
  out = parse_ip(text);
  if (out && out->is_v4() == v4 && out->is_unicast()) return true;
  return fail(error, std::string(v4 ? "gateway" : "gateway6") + " = \"" + text +
                         "\": must be a unicast " + (v4 ? "IPv4" : "IPv6") +
                         " address; or leave it NULL");
}

// No neighbour is asked for: all packets go to the other end, whose addresses are nobody's.
void make_ip_link(Setup& s) {
  stack::Config& c = s.stack;
  c.mac = kThisEnd;
  c.point_to_point = true;
  c.gateway = IpAddr::v4(192, 0, 0, 8);  // RFC 7600: of an interface that has no address
  c.gateway6 = IpAddr::v6({0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 1});
  c.gateway_mac = c.gateway6_mac = kOtherEnd;
  c.dad_transmits = 0;
}

bool read_ethernet(const weir_config& c, Setup& s, std::string& error) {
  std::copy_n(c.mac, 6, s.stack.mac.octets.begin());
  if (s.stack.mac.is_zero() || s.stack.mac.is_multicast()) {
    return fail(error, "mac = " + to_string(s.stack.mac) +
                           ": must be a unicast address; clear the lowest bit of its first octet");
  }
  if (!in_range("dad_transmits", c.dad_transmits, 0, 255, "RFC 4862 has 1", error)) return false;
  s.stack.dad_transmits = static_cast<std::uint8_t>(c.dad_transmits);
  return read_gateway(c.gateway, true, s.stack.gateway, error) &&
         read_gateway(c.gateway6, false, s.stack.gateway6, error);
}

bool read_sizes(const weir_config& c, Setup& s, std::string& error) {
  bool v6 = false;
  for (const stack::IpPrefix& p : s.stack.addrs) v6 = v6 || !p.addr.is_v4();
  const bool fits =
      in_range("mtu", c.mtu, v6 ? 1'280 : 576, 65'535, "Ethernet's is 1500", error) &&
      in_range("max_connections", c.max_connections, 1, 1U << 24U, "1024 is the default", error) &&
      in_range("max_sockets", c.max_sockets, 1, 1U << 24U, "1024 is the default", error) &&
      in_range("first_descriptor", c.first_descriptor, 0, 1U << 24U, "3 is the default", error) &&
      in_range("max_packet_buffers", c.max_packet_buffers, 64, 1U << 24U, "16384 is the default",
               error);
  if (!fits) return false;
  s.stack.mtu = static_cast<std::uint16_t>(c.mtu);
  s.stack.max_connections = c.max_connections;
  s.stack.max_udp_sockets = c.max_sockets;
  s.max_sockets = c.max_sockets;
  s.first_descriptor = c.first_descriptor;
  s.max_packet_buffers = c.max_packet_buffers;
  return true;
}

bool read_settings(const weir_config& c, Setup& s, std::string& error) {
  if (c.setting_count > 0 && c.settings == nullptr) {
    return fail(error, "settings = NULL: must point to setting_count of them");
  }
  for (std::size_t i = 0; i < c.setting_count; ++i) {
    if (!read_setting(s.stack.tcp, c.settings[i], error)) return false;
  }
  return settings_fit(s.stack.tcp, error);
}

}  // namespace

bool read_setting(tcp::Config& config, const weir_setting& setting, std::string& error) {
  const std::string name = setting.name == nullptr ? "" : setting.name;
  const std::string value = setting.value == nullptr ? "" : setting.value;
  const tcp::Setting* knob = tcp::find_setting(name);
  if (knob == nullptr) {
    return fail(error, "\"" + name + "\": no such setting; weir_setting_name lists them");
  }
  const auto wrong = tcp::set_by_text(config, *knob, value);
  return !wrong || fail(error, name + " = \"" + value + "\": " + *wrong);
}

bool settings_fit(const tcp::Config& config, std::string& error) {
  const auto bad = tcp::misfit(config);
  if (!bad) return true;
  const std::string value = tcp::value_text(config, *tcp::find_setting(bad->name));
  return fail(error, std::string(bad->name) + " = \"" + value + "\": " + bad->what);
}

bool read_config(const weir_config& c, Setup& s, std::string& error) {
  constexpr std::uint64_t kLatest = std::uint64_t{1} << 62U;
  if (!in_range("api_version", c.api_version, WEIR_API_VERSION, WEIR_API_VERSION,
                "call weir_config_init first", error) ||
      !in_range("link", c.link, WEIR_LINK_IP, WEIR_LINK_ETHERNET, "see enum weir_link", error) ||
      !in_range("now", c.now, 0, kLatest, "count microseconds from a nearer epoch", error)) {
    return false;
  }
  s.link = c.link == WEIR_LINK_IP ? Link::kIp : Link::kEthernet;
  s.seed = c.seed;
  s.now = Instant(Duration(static_cast<Duration::rep>(c.now)));
  s.raise_sigpipe = c.raise_sigpipe != 0;
  s.stack.socket_info = true;
  s.stack.tick = Duration(1);  // scripts compare instants in microseconds
  if (!read_addresses(c, s, error) || !read_sizes(c, s, error)) return false;
  if (!read_settings(c, s, error)) return false;
  if (s.link == Link::kEthernet) return read_ethernet(c, s, error);
  make_ip_link(s);
  return true;
}

}  // namespace weir::posix

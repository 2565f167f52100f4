// Where a packet goes next (RFC 1122 §3.3.1) and which addresses are this host's: the connected
// prefixes and a gateway of each family. Filled before use; lookups neither allocate nor change it.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/addr.h"

namespace weir::ip {

struct Route {
  IpAddr next_hop;  // the destination itself when it is on a connected prefix, else the gateway
  IpAddr source;    // this host's address to send from (RFC 1122 §3.3.4.3)
};

class Routes {
 public:
  // An address of this host and its network. The first of a family is its default source (of IPv6
  // the first that is not link-local). `prefix_len` counts in the family's own bits: 24 for a /24,
  // at most 32 or 128. One that is not `usable` (yet) is nobody's source nor destination.
  void add_address(const IpAddr& addr, std::uint8_t prefix_len, bool usable = true);
  void set_usable(const IpAddr& addr, bool usable);  // one that was added
  // One of each family; a later one replaces it.
  void set_gateway(const IpAddr& gateway);
  // From here on all goes to the gateways, link-local addresses and those on a prefix included: the
  // link has one other end. The prefixes still choose the source.
  void set_point_to_point() { point_to_point_ = true; }

  // Nothing for an address that no unicast packet may go to, for this host's own addresses (there
  // is no loopback), and where neither a prefix nor a gateway fits.
  [[nodiscard]] std::optional<Route> lookup(const IpAddr& dst) const;
  // The next hop alone; null where lookup finds nothing. Pre: `dst` sent what is answered, and was
  // found to be a unicast address and nobody of ours. May point at `dst`.
  [[nodiscard]] const IpAddr* next_hop(const IpAddr& dst) const {
    const std::optional<IpAddr>& via = dst.is_v4() ? gateway4_ : gateway6_;
    if (point_to_point_) return to_other_end(dst) ? &*via : nullptr;
    if (const Network* n = longest_match(dst)) return n->source ? &dst : nullptr;
    return source_beyond(dst) ? &*via : nullptr;
  }
  // Asked of each packet's addresses. An IPv4 address is known by its last octet, unless several of
  // ours share that.
  [[nodiscard]] bool is_local(const IpAddr& addr) const {  // and usable
    return is_ours(addr) && is_usable(addr);
  }
  [[nodiscard]] bool is_ours(const IpAddr& addr) const {  // usable or not
    const std::uint8_t last = addr.octets()[15];
    if (!has_bit(last_octets_, last)) return false;
    if (addr.is_v4() && by_last_octet_[last] != 0) {
      if (by_last_octet_[last] == addr.v4_value()) return true;
      if (!has_bit(shared_octets_, last)) return false;
    }
    return is_listed(addr);
  }
  // That may stand as the source of a segment to us from elsewhere: unicast, neither ours nor a
  // broadcast.
  [[nodiscard]] bool is_other_host(const IpAddr& addr) const {
    return addr.is_unicast() && !is_ours(addr) &&
           !(has_bit(broadcast_octets_, addr.octets()[15]) && is_broadcast(addr));
  }
  // All nodes of the link, or the solicited-node group of one of ours, usable or not (RFC 4862
  // §5.4.2).
  [[nodiscard]] bool is_our_group(const IpAddr& group) const;
  // Limited, or directed to a connected network (RFC 1122 §3.2.1.3; not for /31 and /32, RFC 3021).
  [[nodiscard]] bool is_broadcast(const IpAddr& addr) const;
  // What to send from to one of these.
  [[nodiscard]] std::optional<IpAddr> broadcast_source(const IpAddr& addr) const;
  [[nodiscard]] bool is_on_link(const IpAddr& addr) const;  // on a connected prefix
  [[nodiscard]] std::optional<IpAddr> default_source(bool v4) const;
  [[nodiscard]] std::optional<IpAddr> gateway(bool v4) const;

 private:
  using Bits = std::array<std::uint64_t, 2>;  // of an address, the first octet highest

  struct Network {
    Bits prefix{}, mask{};
    std::optional<IpAddr> source;  // the first usable address of this host on it
    unsigned bits = 0;             // of 128
    bool v4 = false;

    [[nodiscard]] bool holds(const IpAddr& addr, const Bits& of_addr) const {
      return (of_addr[0] & mask[0]) == prefix[0] && (of_addr[1] & mask[1]) == prefix[1] &&
             addr.is_v4() == v4;
    }
  };
  [[nodiscard]] static Bits bits_of(const IpAddr& addr) {
    const auto words = std::bit_cast<Bits>(addr.octets());
    if constexpr (std::endian::native == std::endian::big) return words;
    return {__builtin_bswap64(words[0]), __builtin_bswap64(words[1])};
  }
  using OctetSet = std::array<std::uint64_t, 4>;  // a bit for each last octet of an address
  [[nodiscard]] static bool has_bit(const OctetSet& of, std::uint8_t octet) {
    return (of[octet / 64] >> (octet % 64) & 1U) != 0;
  }
  [[nodiscard]] bool is_listed(const IpAddr& addr) const;
  [[nodiscard]] bool is_usable(const IpAddr& addr) const {
    return unusable_.empty() || is_listed_usable(addr);
  }
  [[nodiscard]] bool is_listed_usable(const IpAddr& addr) const;
  [[nodiscard]] static Network network_of(const IpAddr& addr, std::uint8_t prefix_len);
  void choose_sources();
  // An IPv4 network is held under ::ffff:0:0/96, which an IPv6 /0 to /96 could seem to hold: one
  // family's networks say nothing of the other's addresses.
  [[nodiscard]] const Network* longest_match(const IpAddr& dst) const {
    const Bits bits = bits_of(dst);
    for (const Network& n : networks_) {
      if (n.holds(dst, bits)) return &n;
    }
    return nullptr;
  }
  // What is sent to `dst` by way of the gateway has it as its source; nothing: it cannot be sent.
  // RFC 4291 §2.5.6: what is of the link stays on it, as a destination and as a source.
  [[nodiscard]] const std::optional<IpAddr>& source_beyond(const IpAddr& dst) const {
    const bool v4 = dst.is_v4();
    return v4 ? beyond4_ : dst.is_link_local6() ? nowhere_ : beyond6_;
  }
  [[nodiscard]] std::optional<IpAddr> source_by(const std::optional<IpAddr>& gateway) const;
  void choose_beyond();  // after every change
  [[nodiscard]] std::optional<Route> to_other_end(const IpAddr& dst) const;

  // Many addresses are on few networks: these are asked about for every packet.
  std::vector<Network> networks_;                   // each once, the longest first
  std::vector<std::uint32_t> broadcast_;            // each once
  std::vector<std::uint32_t> local4_;               // sorted
  std::vector<IpAddr> local6_;                      // sorted
  OctetSet last_octets_{};                          // of ours
  OctetSet shared_octets_{};                        // of several of ours in IPv4
  OctetSet broadcast_octets_{};                     // of broadcasts to us
  std::array<std::uint32_t, 256> by_last_octet_{};  // the first of ours in IPv4, or 0
  std::vector<IpAddr> in_order_;                    // all of them as they were added
  std::vector<IpAddr> unusable_;                    // sorted, seldom any
  std::vector<IpAddr> groups_;                      // sorted
  std::optional<IpAddr> source4_, source6_;
  std::optional<IpAddr> gateway4_, gateway6_;
  std::optional<IpAddr> beyond4_, beyond6_, nowhere_;  // see source_beyond
  bool point_to_point_ = false;
};

}  // namespace weir::ip

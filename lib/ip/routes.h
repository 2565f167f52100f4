// Where a packet goes next (RFC 1122 §3.3.1) and which addresses are this host's: the connected
// prefixes and a gateway of each family. Filled before use; lookups neither allocate nor change it.
#pragma once

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
  // An address of this host and its network. The first of a family is its default source.
  // `prefix_len` counts in the family's own bits: 24 for a /24, at most 32 or 128.
  void add_address(const IpAddr& addr, std::uint8_t prefix_len);
  // One of each family; a later one replaces it.
  void set_gateway(const IpAddr& gateway);

  // Nothing for an address that no unicast packet may go to, for this host's own addresses (there
  // is no loopback), and where neither a prefix nor a gateway fits.
  [[nodiscard]] std::optional<Route> lookup(const IpAddr& dst) const;
  [[nodiscard]] bool is_local(const IpAddr& addr) const;
  // Limited, or directed to a connected network (RFC 1122 §3.2.1.3; not for /31 and /32, RFC 3021).
  [[nodiscard]] bool is_broadcast(const IpAddr& addr) const;
  [[nodiscard]] bool is_on_link(const IpAddr& addr) const;  // on a connected prefix
  [[nodiscard]] std::optional<IpAddr> default_source(bool v4) const;
  [[nodiscard]] std::optional<IpAddr> gateway(bool v4) const;

 private:
  struct Prefix {
    IpAddr addr;            // this host's
    std::uint8_t len = 32;  // of its family
  };
  [[nodiscard]] const Prefix* longest_match(const IpAddr& dst) const;

  std::vector<Prefix> prefixes_;  // in the order given
  std::vector<IpAddr> local_;     // sorted
  std::optional<IpAddr> gateway4_, gateway6_;
};

}  // namespace weir::ip

#include "ip/routes.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"

namespace weir::ip {
namespace {

template <class T>
void insert_sorted(std::vector<T>& into, const T& value) {
  into.insert(std::lower_bound(into.begin(), into.end(), value), value);
}

}  // namespace

Routes::Bits Routes::bits_of(const IpAddr& addr) {
  const auto words = std::bit_cast<Bits>(addr.octets());
  if constexpr (std::endian::native == std::endian::big) return words;
  return {__builtin_bswap64(words[0]), __builtin_bswap64(words[1])};
}

void Routes::add_address(const IpAddr& addr, std::uint8_t prefix_len) {
  const bool v4 = addr.is_v4();
  WEIR_ASSERT(prefix_len <= (v4 ? 32 : 128));
  std::optional<IpAddr>& source = v4 ? source4_ : source6_;
  if (!source) source = addr;
  if (v4) {
    insert_sorted(local4_, addr.v4_value());
  } else {
    insert_sorted(local6_, addr);
  }
  if (v4 && prefix_len < 31) {
    const std::uint32_t value = addr.v4_value() | 0xffff'ffffU >> prefix_len;
    if (std::find(broadcast_.begin(), broadcast_.end(), value) == broadcast_.end()) {
      broadcast_.push_back(value);
    }
  }
  Network n;
  n.source = addr;
  n.bits = prefix_len + (v4 ? 96U : 0U);
  for (unsigned i = 0; i < n.bits; ++i) n.mask[i / 64] |= std::uint64_t{1} << (63 - i % 64);
  const Bits bits = bits_of(addr);
  n.prefix = {bits[0] & n.mask[0], bits[1] & n.mask[1]};
  const auto known = [&](const Network& o) { return o.bits == n.bits && o.prefix == n.prefix; };
  if (std::any_of(networks_.begin(), networks_.end(), known)) return;
  const auto shorter = [&](const Network& o) { return o.bits < n.bits; };
  networks_.insert(std::find_if(networks_.begin(), networks_.end(), shorter), n);
}

void Routes::set_gateway(const IpAddr& gateway) {
  (gateway.is_v4() ? gateway4_ : gateway6_) = gateway;
}

std::optional<Route> Routes::lookup(const IpAddr& dst) const {
  if (!dst.is_unicast() || is_broadcast(dst) || is_local(dst)) return std::nullopt;
  if (const Network* n = longest_match(dst)) return Route{dst, n->source};
  const std::optional<IpAddr>& via = dst.is_v4() ? gateway4_ : gateway6_;
  if (!via) return std::nullopt;
  if (const Network* n = longest_match(*via)) return Route{*via, n->source};
  const std::optional<IpAddr> source = default_source(dst.is_v4());
  if (!source) return std::nullopt;
  return Route{*via, *source};
}

bool Routes::is_local(const IpAddr& addr) const {
  if (addr.is_v4()) return std::binary_search(local4_.begin(), local4_.end(), addr.v4_value());
  return std::binary_search(local6_.begin(), local6_.end(), addr);
}

bool Routes::is_broadcast(const IpAddr& addr) const {
  if (!addr.is_v4()) return false;
  const std::uint32_t value = addr.v4_value();
  return value == 0xffff'ffffU ||
         std::find(broadcast_.begin(), broadcast_.end(), value) != broadcast_.end();
}

bool Routes::is_on_link(const IpAddr& addr) const {
  return longest_match(addr) != nullptr;
}

std::optional<IpAddr> Routes::default_source(bool v4) const {
  return v4 ? source4_ : source6_;
}

std::optional<IpAddr> Routes::gateway(bool v4) const {
  return v4 ? gateway4_ : gateway6_;
}

// An IPv4 network is held under ::ffff:0:0/96, which an IPv6 /0 to /96 could seem to hold: one
// family's networks say nothing of the other's addresses.
const Routes::Network* Routes::longest_match(const IpAddr& dst) const {
  const bool v4 = dst.is_v4();
  const Bits bits = bits_of(dst);
  for (const Network& n : networks_) {
    const bool fits = (bits[0] & n.mask[0]) == n.prefix[0] && (bits[1] & n.mask[1]) == n.prefix[1];
    if (fits && n.source.is_v4() == v4) return &n;
  }
  return nullptr;
}

}  // namespace weir::ip

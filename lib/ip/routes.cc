#include "ip/routes.h"

#include <algorithm>

#include "base/assert.h"

namespace weir::ip {
namespace {

// Do the first `bits` of two addresses, counted in the family's own bits, agree?
bool same_prefix(const IpAddr& a, const IpAddr& b, std::uint8_t bits) {
  if (a.is_v4() != b.is_v4()) return false;
  const unsigned n = bits + (a.is_v4() ? 96U : 0U);
  for (unsigned i = 0; i < 16; ++i) {
    if (n <= 8 * i) return true;
    const unsigned left = std::min(8U, n - 8 * i);
    const unsigned diff = a.octets()[i] ^ b.octets()[i];
    if ((diff >> (8 - left)) != 0) return false;
  }
  return true;
}

}  // namespace

void Routes::add_address(const IpAddr& addr, std::uint8_t prefix_len) {
  WEIR_ASSERT(prefix_len <= (addr.is_v4() ? 32 : 128));
  prefixes_.push_back({addr, prefix_len});
  local_.insert(std::lower_bound(local_.begin(), local_.end(), addr), addr);
}

void Routes::set_gateway(const IpAddr& gateway) {
  (gateway.is_v4() ? gateway4_ : gateway6_) = gateway;
}

std::optional<Route> Routes::lookup(const IpAddr& dst) const {
  if (!dst.is_unicast() || is_broadcast(dst) || is_local(dst)) return std::nullopt;
  if (const Prefix* p = longest_match(dst)) return Route{dst, p->addr};
  const std::optional<IpAddr>& via = dst.is_v4() ? gateway4_ : gateway6_;
  if (!via) return std::nullopt;
  if (const Prefix* p = longest_match(*via)) return Route{*via, p->addr};
  const std::optional<IpAddr> source = default_source(dst.is_v4());
  if (!source) return std::nullopt;
  return Route{*via, *source};
}

bool Routes::is_local(const IpAddr& addr) const {
  return std::binary_search(local_.begin(), local_.end(), addr);
}

bool Routes::is_broadcast(const IpAddr& addr) const {
  if (!addr.is_v4()) return false;
  const std::uint32_t value = addr.v4_value();
  if (value == 0xffff'ffffU) return true;
  return std::any_of(prefixes_.begin(), prefixes_.end(), [&](const Prefix& p) {
    if (!p.addr.is_v4() || p.len >= 31) return false;
    const std::uint32_t host = 0xffff'ffffU >> p.len;
    return value == (p.addr.v4_value() | host);
  });
}

bool Routes::is_on_link(const IpAddr& addr) const {
  return longest_match(addr) != nullptr;
}

std::optional<IpAddr> Routes::default_source(bool v4) const {
  for (const Prefix& p : prefixes_) {
    if (p.addr.is_v4() == v4) return p.addr;
  }
  return std::nullopt;
}

std::optional<IpAddr> Routes::gateway(bool v4) const {
  return v4 ? gateway4_ : gateway6_;
}

const Routes::Prefix* Routes::longest_match(const IpAddr& dst) const {
  const Prefix* best = nullptr;
  for (const Prefix& p : prefixes_) {
    if (same_prefix(p.addr, dst, p.len) && (best == nullptr || p.len > best->len)) best = &p;
  }
  return best;
}

}  // namespace weir::ip

#include "ip/routes.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"
#include "wire/frame.h"

namespace weir::ip {
namespace {

template <class T>
void insert_sorted(std::vector<T>& into, const T& value) {
  into.insert(std::lower_bound(into.begin(), into.end(), value), value);
}

void set_bit(std::array<std::uint64_t, 4>& of, std::uint32_t octet) {
  of[octet / 64] |= std::uint64_t{1} << (octet % 64);
}

}  // namespace

void Routes::add_address(const IpAddr& addr, std::uint8_t prefix_len, bool usable) {
  const bool v4 = addr.is_v4();
  WEIR_ASSERT(prefix_len <= (v4 ? 32 : 128));
  const std::uint8_t last = addr.octets()[15];
  set_bit(last_octets_, last);
  if (v4) {
    insert_sorted(local4_, addr.v4_value());
    if (by_last_octet_[last] == 0) {
      by_last_octet_[last] = addr.v4_value();
    } else {
      set_bit(shared_octets_, last);
    }
  } else {
    insert_sorted(local6_, addr);
    insert_sorted(groups_, wire::solicited_node(addr));
  }
  in_order_.push_back(addr);
  if (!usable) insert_sorted(unusable_, addr);
  if (v4 && prefix_len < 31) {
    const std::uint32_t value = addr.v4_value() | 0xffff'ffffU >> prefix_len;
    set_bit(broadcast_octets_, value & 0xffU);
    if (std::find(broadcast_.begin(), broadcast_.end(), value) == broadcast_.end()) {
      broadcast_.push_back(value);
    }
  }
  std::optional<IpAddr>& source = v4 ? source4_ : source6_;
  if (usable && (!source || (source->is_link_local6() && !addr.is_link_local6()))) source = addr;
  Network n = network_of(addr, prefix_len);
  if (usable) n.source = addr;
  const auto known = [&](const Network& o) { return o.bits == n.bits && o.prefix == n.prefix; };
  const auto same = std::find_if(networks_.begin(), networks_.end(), known);
  if (same != networks_.end()) {
    if (!same->source) same->source = n.source;
  } else {
    const auto shorter = [&](const Network& o) { return o.bits < n.bits; };
    networks_.insert(std::find_if(networks_.begin(), networks_.end(), shorter), n);
  }
  choose_beyond();
}

Routes::Network Routes::network_of(const IpAddr& addr, std::uint8_t prefix_len) {
  Network n;
  n.v4 = addr.is_v4();
  n.bits = prefix_len + (n.v4 ? 96U : 0U);
  for (unsigned i = 0; i < n.bits; ++i) n.mask[i / 64] |= std::uint64_t{1} << (63 - i % 64);
  const Bits bits = bits_of(addr);
  n.prefix = {bits[0] & n.mask[0], bits[1] & n.mask[1]};
  return n;
}

void Routes::set_usable(const IpAddr& addr, bool usable) {
  const auto at = std::lower_bound(unusable_.begin(), unusable_.end(), addr);
  const bool listed = at != unusable_.end() && *at == addr;
  if (!is_ours(addr) || usable != listed) return;
  if (usable) {
    unusable_.erase(at);
  } else {
    unusable_.insert(at, addr);
  }
  choose_sources();
}

void Routes::choose_sources() {
  const auto first = [this](const auto& fits) -> std::optional<IpAddr> {
    const auto good = [&](const IpAddr& a) { return fits(a) && is_local(a); };
    const auto at = std::find_if(in_order_.begin(), in_order_.end(), good);
    return at == in_order_.end() ? std::nullopt : std::optional(*at);
  };
  for (Network& n : networks_) {
    n.source = first([&](const IpAddr& a) { return n.holds(a, bits_of(a)); });
  }
  source4_ = first([](const IpAddr& a) { return a.is_v4(); });
  source6_ = first([](const IpAddr& a) { return !a.is_v4() && !a.is_link_local6(); });
  if (!source6_) source6_ = first([](const IpAddr& a) { return !a.is_v4(); });
  choose_beyond();
}

void Routes::choose_beyond() {
  beyond4_ = source_by(gateway4_);
  beyond6_ = source_by(gateway6_);
}

std::optional<IpAddr> Routes::source_by(const std::optional<IpAddr>& gateway) const {
  if (!gateway) return std::nullopt;
  std::optional<IpAddr> source = default_source(gateway->is_v4());
  const Network* n = longest_match(*gateway);
  if (n != nullptr && n->source && !n->source->is_link_local6()) source = n->source;
  return source && source->is_link_local6() ? std::nullopt : source;
}

void Routes::set_gateway(const IpAddr& gateway) {
  (gateway.is_v4() ? gateway4_ : gateway6_) = gateway;
  choose_beyond();
}

std::optional<Route> Routes::lookup(const IpAddr& dst) const {
  if (!dst.is_unicast() || is_broadcast(dst) || is_ours(dst)) return std::nullopt;
  if (point_to_point_) return to_other_end(dst);
  if (const Network* n = longest_match(dst)) {
    return n->source ? std::optional(Route{dst, *n->source}) : std::nullopt;
  }
  const std::optional<IpAddr>& source = source_beyond(dst);
  if (!source) return std::nullopt;
  return Route{dst.is_v4() ? *gateway4_ : *gateway6_, *source};
}

std::optional<Route> Routes::to_other_end(const IpAddr& dst) const {
  const std::optional<IpAddr>& via = dst.is_v4() ? gateway4_ : gateway6_;
  const Network* n = longest_match(dst);
  const std::optional<IpAddr> source = n != nullptr ? n->source : default_source(dst.is_v4());
  if (!via || !source) return std::nullopt;
  if (source->is_link_local6() && !dst.is_link_local6()) return std::nullopt;
  return Route{*via, *source};
}

bool Routes::is_listed_usable(const IpAddr& addr) const {
  return !std::binary_search(unusable_.begin(), unusable_.end(), addr);
}

bool Routes::is_listed(const IpAddr& addr) const {
  if (addr.is_v4()) return std::binary_search(local4_.begin(), local4_.end(), addr.v4_value());
  return std::binary_search(local6_.begin(), local6_.end(), addr);
}

//= RFC4861 7.2.1
bool Routes::is_our_group(const IpAddr& group) const {
  if (group == wire::kAllNodes) return !local6_.empty();
  return std::binary_search(groups_.begin(), groups_.end(), group);
}

bool Routes::is_broadcast(const IpAddr& addr) const {
  if (!addr.is_v4()) return false;
  const std::uint32_t value = addr.v4_value();
  return value == 0xffff'ffffU ||
         std::find(broadcast_.begin(), broadcast_.end(), value) != broadcast_.end();
}

std::optional<IpAddr> Routes::broadcast_source(const IpAddr& addr) const {
  const Network* n = longest_match(addr);
  return n != nullptr && n->source ? n->source : default_source(true);
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

}  // namespace weir::ip

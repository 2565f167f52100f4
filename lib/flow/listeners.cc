// Who listens where. See listeners.h.
#include "flow/listeners.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace weir::flow {

namespace {

constexpr IpAddr kAny4Addr = IpAddr::v4(std::uint32_t{0});

// The finaliser of MurmurHash3 over the octets, enough to spread what a configuration contains.
std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 33U)) * 0xff51afd7ed558ccdU;
  x = (x ^ (x >> 33U)) * 0xc4ceb9fe1a85ec53U;
  return x ^ (x >> 33U);
}

std::uint64_t hash_of(const IpAddr& addr, std::uint16_t port) {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  std::memcpy(&high, addr.octets().data(), sizeof high);
  std::memcpy(&low, addr.octets().data() + sizeof high, sizeof low);
  return mix(mix(mix(high + port) ^ low) + port);
}

}  // namespace

Listeners::Sort Listeners::sort_of(const IpAddr& addr) {
  if (addr == kAny4Addr) return kAny4;
  return addr == IpAddr{} ? kAny : kExact;
}

Listeners::Listeners(std::uint32_t capacity) : entries_(capacity), table_(capacity) {}

bool Listeners::add(const IpAddr& addr, std::uint16_t port, std::uint32_t id, bool v6_only) {
  if (entry(addr, port) != kNoIndex) return false;
  const std::uint32_t index = entries_.take();
  if (index == kNoIndex) return false;
  ::new (entries_.slot(index)) Entry{{addr, port}, id, v6_only};
  if (!table_.insert(hash_of(addr, port), index)) {
    entries_.give(index);
    return false;
  }
  ++count_[sort_of(addr)];
  lowest_ = std::min(lowest_, port);
  highest_ = std::max(highest_, port);
  return true;
}

bool Listeners::remove(const IpAddr& addr, std::uint16_t port) {
  const std::uint32_t index = entry(addr, port);
  if (index == kNoIndex) return false;
  table_.erase(hash_of(addr, port), index);
  entries_.give(index);
  --count_[sort_of(addr)];
  return true;
}

std::uint32_t Listeners::find(const IpAddr& local, std::uint16_t port) const {
  if (port < lowest_ || port > highest_) return kNoIndex;
  const bool v4 = local.is_v4();
  std::uint32_t index = count_[kExact] > 0 ? entry(local, port) : kNoIndex;
  if (index == kNoIndex && v4 && count_[kAny4] > 0) index = entry(kAny4Addr, port);
  if (index == kNoIndex && count_[kAny] > 0) {
    index = entry(IpAddr{}, port);
    if (index != kNoIndex && v4 && entries_[index].v6_only) return kNoIndex;
  }
  return index == kNoIndex ? kNoIndex : entries_[index].id;
}

std::uint32_t Listeners::entry(const IpAddr& addr, std::uint16_t port) const {
  return table_.find(hash_of(addr, port), [&](std::uint32_t index) {
    const Entry& e = entries_[index];
    return e.at.port == port && e.at.addr == addr;
  });
}

}  // namespace weir::flow

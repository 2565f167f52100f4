// Who listens where: (local address, port) to a listener's id.
//
// Finds the most specific listener and knows nothing else of it. Fixed in size; a lookup reads at
// most three short chains of the flow table. Its hash is not keyed: only this host adds listeners,
// so no peer can make a chain long. Ids belong to the caller.
#pragma once

#include <array>
#include <cstdint>

#include "base/addr.h"
#include "base/slab.h"
#include "flow/table.h"

namespace weir::flow {

class Listeners {
 public:
  explicit Listeners(std::uint32_t capacity);

  // False when exactly this (addr, port) is taken, or there is no room. IpAddr{} listens on every
  // address of both families, or with `v6_only` of IPv6 alone (IPV6_V6ONLY); 0.0.0.0 on every IPv4
  // address.
  [[nodiscard]] bool add(const IpAddr& addr, std::uint16_t port, std::uint32_t id,
                         bool v6_only = false);

  // False when there was none. The wildcard is removed by naming the wildcard.
  bool remove(const IpAddr& addr, std::uint16_t port);

  // The listener for a segment to (local, port): the exact address first, then 0.0.0.0 if local is
  // IPv4, then ::. kNoIndex when nobody listens.
  [[nodiscard]] std::uint32_t find(const IpAddr& local, std::uint16_t port) const;

  // Who listens at exactly this; kNoIndex when nobody does.
  [[nodiscard]] std::uint32_t exact(const IpAddr& addr, std::uint16_t port) const {
    const std::uint32_t index = entry(addr, port);
    return index == kNoIndex ? kNoIndex : entries_[index].id;
  }

  [[nodiscard]] std::uint32_t size() const { return table_.size(); }
  [[nodiscard]] std::uint32_t capacity() const { return table_.capacity(); }

 private:
  struct Entry {
    Endpoint at;
    std::uint32_t id;
    bool v6_only;
  };
  enum Sort : std::uint8_t { kExact, kAny4, kAny };
  [[nodiscard]] static Sort sort_of(const IpAddr& addr);
  [[nodiscard]] std::uint32_t entry(const IpAddr& addr, std::uint16_t port) const;

  // Most questions need no look at the table, or one.
  std::array<std::uint32_t, 3> count_{};         // of entries, by Sort
  std::uint16_t lowest_ = 0xffff, highest_ = 0;  // ports that were ever listened on
  Slab<Entry> entries_;
  Table table_;  // to an index in entries_
};

}  // namespace weir::flow

// Ephemeral local ports that an attacker off the path cannot guess (RFC 6056 §3.3.4, with the
// random increments of §3.3.5).
//
// Proposes; the caller decides: `usable(port)` says whether the 4-tuple is free and whether its
// packets would come back to this core. Keeps no record of ports in use. Reads no entropy: the key
// is an argument, and two cores are given different ones.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/addr.h"
#include "base/siphash.h"

namespace weir::flow {

class PortPicker {
 public:
  static constexpr std::uint32_t kCounters = 1024;   // TABLE_LENGTH of RFC 6056 §3.3.4
  static constexpr std::uint32_t kMaxIncrement = 8;  // N of §3.3.5: unguessable against reuse

  // Ports low .. high, both included. Pre: 0 < low <= high.
  PortPicker(std::uint16_t low, std::uint16_t high, SipKey key);

  // From here on; what was picked before stays counted.
  void set_range(std::uint16_t low, std::uint16_t high);

  // What pick would propose first: the same until it has picked one for this destination, or for
  // another that shares its counter.
  [[nodiscard]] std::uint16_t first(const IpAddr& local, const Endpoint& remote) {
    return static_cast<std::uint16_t>(low_ + start_for(local, remote).offset);
  }

  //= RFC6056 3.3-a
  // The first usable port from a place that depends on (local, remote) and on how many ports were
  // picked for it. Asks `usable` once about each port of the range at most.
  template <class Usable>
  [[nodiscard]] std::optional<std::uint16_t> pick(const IpAddr& local, const Endpoint& remote,
                                                  Usable&& usable) {
    const Start start = start_for(local, remote);
    std::uint32_t at = start.offset;
    for (std::uint32_t tried = 0; tried < range_; ++tried) {
      const auto port = static_cast<std::uint16_t>(low_ + at);
      if (usable(port)) {
        counters_[start.counter] += tried + increment();
        return port;
      }
      if (++at == range_) at = 0;
    }
    return std::nullopt;
  }

 private:
  struct Start {
    std::uint32_t offset;   // F(tuple) + table[G(tuple)], modulo the range
    std::uint32_t counter;  // G(tuple)
  };
  struct Known {  // a destination that was asked about, and its hash
    IpAddr local;
    Endpoint remote;
    std::uint64_t hash = 0;
  };
  static constexpr std::size_t kKnown = 16;
  [[nodiscard]] Start start_for(const IpAddr& local, const Endpoint& remote);
  [[nodiscard]] std::uint64_t hash_of(const IpAddr& local, const Endpoint& remote) const;
  [[nodiscard]] std::uint32_t increment();  // 1 .. kMaxIncrement

  std::uint16_t low_;
  std::uint32_t range_;
  SipKey tuple_key_, step_key_;
  std::uint64_t steps_ = 0;
  std::uint64_t draws_ = 0;  // random bits for increments to come
  unsigned draws_left_ = 0;  // how many
  std::array<std::uint32_t, kCounters> counters_;
  std::array<Known, kKnown> known_;
};

}  // namespace weir::flow

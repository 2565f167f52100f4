// A rest of no time: a control block that may be frozen is, and put together again in its place.
#pragma once

#include <cstdlib>
#include <memory>
#include <utility>

#include "base/assert.h"
#include "tcp/frozen.h"

namespace weir::test {

// WEIR_REST: after every event. Nothing that a test can see may differ by it.
[[nodiscard]] inline bool always_rests() {
  static const bool wanted = std::getenv("WEIR_REST") != nullptr;
  return wanted;
}

// False where it may not rest. What waits to be told does not hinder it here.
inline bool rest(tcp::Tcb& t, Instant now) {
  const std::uint8_t notices = std::exchange(t.notices, std::uint8_t{0});
  const std::uint8_t news = std::exchange(t.path_news, std::uint8_t{0});
  const bool may = tcp::may_freeze(t, now);
  if (may) {
    const tcp::Config& config = *t.config;
    const tcp::Frozen frozen = tcp::freeze(t);
    const Seq iss = t.iss, irs = t.irs;  // that a test counts from
    const bool fresh = t.rcv_nxt == irs + 1;
    std::destroy_at(&t);
    std::construct_at(&t, config);
    tcp::thaw(t, frozen, now);
    WEIR_ASSERT((t.rcv_nxt == t.irs + 1) == fresh);
    t.iss = iss;
    t.irs = irs;
  }
  t.notices = notices;
  t.path_news = news;
  return may;
}

}  // namespace weir::test

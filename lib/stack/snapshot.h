// What a stack tells of one of its connections to whoever looks at all of them: the base for an
// `ss`. Half-open connections and those in TIME-WAIT are among them.
#pragma once

#include <cstdint>
#include <optional>

#include "base/addr.h"
#include "base/time.h"
#include "tcp/state.h"

namespace weir::stack {

enum class TimerKind : std::uint8_t {
  kNone,
  kRetransmit,  // of text, SYN, SYN-ACK or FIN
  kPersist,
  kProbe,  // tail loss, or reordering (RFC 8985)
  kDelayedAck,
  kKeepalive,
  kFinWait2,
  kLinger,
  kTimeWait,
  kCork,
  kPace,
};

struct ConnSnapshot {
  FlowKey flow;
  tcp::State state = tcp::State::kClosed;
  TimerKind timer = TimerKind::kNone;  // the next to go off
  Duration timer_left{};
  std::uint32_t rcvq = 0;        // octets of text received, and not yet read
  std::uint32_t sndq = 0;        // octets of text written, and not yet acknowledged
  std::uint32_t notsent = 0;     // of them
  std::uint8_t retransmits = 0;  // of the retransmission or persist timer
  bool orphan = false;           // its program has let go
  bool waits_accept = false;
  std::optional<std::uint32_t> listener =
      std::nullopt;  // that it came by; none: the program's own connect
  std::optional<std::uint32_t> index =
      std::nullopt;  // of its ConnId; none: half open, or TIME-WAIT
  std::uint32_t generation = 0;
  std::uint64_t user = 0;  // of set_user
};

// Where to go on. Connections that come and go between two calls may be missed or told of twice.
struct SnapshotCursor {
  std::uint8_t kind = 0;
  std::uint32_t index = 0;
};

}  // namespace weir::stack

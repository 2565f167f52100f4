// The eleven states (RFC 9293 §3.3.2) and the one table through which they change.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace weir::tcp {

struct Tcb;

//= RFC9293 MUST-42
enum class State : std::uint8_t {
  kClosed,
  kListen,
  kSynSent,
  kSynReceived,
  kEstablished,
  kFinWait1,
  kFinWait2,
  kCloseWait,
  kClosing,
  kLastAck,
  kTimeWait,
};
inline constexpr unsigned kStates = 11;

enum class Trigger : std::uint8_t {
  kPassiveOpen,  // OPEN call, passive
  kActiveOpen,   // OPEN call, active: SYN goes out
  kRcvSyn,       // SYN without an acceptable ACK
  kRcvSynAck,    // SYN that acknowledges ours
  kRcvAckOfSyn,  // our SYN is acknowledged
  kClose,        // CLOSE or shutdown of the sending side: FIN is queued
  kRcvFin,
  kRcvAckOfFin,
  kTimeout2Msl,
  kReset,  // RST received or sent, user timeout, ABORT: the connection is gone
};
inline constexpr unsigned kTriggers = 10;

// How a connection ended (MUST-12: the application learns which).
enum class CloseReason : std::uint8_t {
  kNone,
  kNormal,          // both FINs exchanged
  kReset,           // RST from the peer: ECONNRESET
  kRefused,         // RST, or a hard ICMP error, in answer to our SYN: ECONNREFUSED
  kTimedOut,        // R2, syn_retries or keepalive_probes ran out: ETIMEDOUT
  kUnreachable,     // no neighbour, or ICMP said so, until time ran out: EHOSTUNREACH
  kAborted,         // the local application's abort, or text for a closed receiver
  kNetUnreachable,  // as kUnreachable, of the whole network: ENETUNREACH
  kProtocol,        // time ran out while ICMP spoke of parameter problems: EPROTO
};

[[nodiscard]] std::string_view to_string(State s);
[[nodiscard]] std::string_view to_string(Trigger t);
[[nodiscard]] std::string_view to_string(CloseReason r);
// As a program on a kernel's socket would see it: "ETIMEDOUT"; "0" for an orderly end.
[[nodiscard]] std::string_view errno_name(CloseReason r);

// The state after `trigger`; asserts when the table has no such arrow (a bug of ours).
[[nodiscard]] State next_state(State from, Trigger trigger);
[[nodiscard]] bool has_transition(State from, Trigger trigger);

// The only writers of Tcb::state.
void transition(Tcb& tcb, Trigger trigger);
// Of a control block just constructed, for a connection that was put away in that state: it never
// left it.
void resume_established(Tcb& tcb);

// The whole graph in Graphviz' dot, for the golden file docs/rfc/tcp-states.dot.
[[nodiscard]] std::string state_graph();

}  // namespace weir::tcp

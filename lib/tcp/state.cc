// State changes (RFC 9293 §3.3.2, figure 5, and the transitions of §3.10).
#include "tcp/state.h"

#include <array>

#include "base/assert.h"
#include "tcp/tcb.h"

namespace weir::tcp {
namespace {

using enum State;
using enum Trigger;

struct Arrow {
  State from;
  Trigger trigger;
  State to;
};

// kReset leads from every state to CLOSED and is not repeated here.
constexpr std::array kArrows = {
    Arrow{kClosed, kPassiveOpen, kListen},
    Arrow{kClosed, kActiveOpen, kSynSent},
    Arrow{kListen, kRcvSyn, kSynReceived},
    Arrow{kListen, kClose, kClosed},
    Arrow{kSynSent, kRcvSyn, kSynReceived},  // simultaneous open
    Arrow{kSynSent, kRcvSynAck, kEstablished},
    Arrow{kSynSent, kClose, kClosed},
    Arrow{kSynReceived, kRcvAckOfSyn, kEstablished},
    Arrow{kSynReceived, kClose, kFinWait1},
    Arrow{kSynReceived, kRcvFin, kCloseWait},
    Arrow{kEstablished, kClose, kFinWait1},
    Arrow{kEstablished, kRcvFin, kCloseWait},
    Arrow{kFinWait1, kRcvFin, kClosing},
    Arrow{kFinWait1, kRcvAckOfFin, kFinWait2},
    Arrow{kFinWait2, kRcvFin, kTimeWait},
    Arrow{kCloseWait, kClose, kLastAck},
    Arrow{kClosing, kRcvAckOfFin, kTimeWait},
    Arrow{kLastAck, kRcvAckOfFin, kClosed},
    Arrow{kTimeWait, kTimeout2Msl, kClosed},
};

constexpr std::uint8_t kNone = 0xff;
using Table = std::array<std::array<std::uint8_t, kTriggers>, kStates>;

constexpr Table make_table() {
  Table t{};
  for (auto& row : t) {
    row.fill(kNone);
    row[static_cast<unsigned>(kReset)] = static_cast<std::uint8_t>(kClosed);
  }
  for (const Arrow& a : kArrows) {
    t[static_cast<unsigned>(a.from)][static_cast<unsigned>(a.trigger)] =
        static_cast<std::uint8_t>(a.to);
  }
  return t;
}

constexpr Table kTable = make_table();

constexpr std::array<std::string_view, kStates> kStateNames = {
    "CLOSED",     "LISTEN",     "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1",
    "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING",  "LAST-ACK",     "TIME-WAIT"};
constexpr std::array<std::string_view, kTriggers> kTriggerNames = {
    "passive OPEN", "active OPEN", "rcv SYN",        "rcv SYN,ACK",  "rcv ACK of SYN",
    "CLOSE",        "rcv FIN",     "rcv ACK of FIN", "2MSL timeout", "reset"};
constexpr std::array<std::string_view, 9> kReasonNames = {
    "none",        "normal",  "reset by peer",       "refused",         "timed out",
    "unreachable", "aborted", "network unreachable", "protocol problem"};
constexpr std::array<std::string_view, 9> kErrnoNames = {"0",
                                                         "0",
                                                         "ECONNRESET",
                                                         "ECONNREFUSED",
                                                         "ETIMEDOUT",
                                                         "EHOSTUNREACH",
                                                         "ECONNABORTED",
                                                         "ENETUNREACH",
                                                         "EPROTO"};

}  // namespace

std::string_view to_string(State s) {
  return kStateNames[static_cast<unsigned>(s)];
}
std::string_view to_string(Trigger t) {
  return kTriggerNames[static_cast<unsigned>(t)];
}
std::string_view to_string(CloseReason r) {
  return kReasonNames[static_cast<unsigned>(r)];
}
std::string_view errno_name(CloseReason r) {
  return kErrnoNames[static_cast<unsigned>(r)];
}

bool has_transition(State from, Trigger trigger) {
  return kTable[static_cast<unsigned>(from)][static_cast<unsigned>(trigger)] != kNone;
}

State next_state(State from, Trigger trigger) {
  WEIR_ASSERT(has_transition(from, trigger));
  return static_cast<State>(kTable[static_cast<unsigned>(from)][static_cast<unsigned>(trigger)]);
}

void transition(Tcb& tcb, Trigger trigger) {
  tcb.state = next_state(tcb.state, trigger);
}

void resume_established(Tcb& tcb) {
  WEIR_ASSERT(tcb.state == kClosed);
  tcb.state = kEstablished;
}

std::string state_graph() {
  std::string dot = "digraph tcp {\n";
  for (unsigned s = 0; s < kStates; ++s) {
    for (unsigned t = 0; t < kTriggers; ++t) {
      if (kTable[s][t] == kNone) continue;
      dot += "  \"" + std::string(kStateNames[s]) + "\" -> \"" +
             std::string(kStateNames[kTable[s][t]]) + "\" [label=\"" +
             std::string(kTriggerNames[t]) + "\"];\n";
    }
  }
  return dot + "}\n";
}

}  // namespace weir::tcp

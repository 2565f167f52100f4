// TIME-WAIT (RFC 9293 §3.6.1, RFC 1337, RFC 6191) in 28 octets (52 for IPv6), without a control
// block.
//
// Judges segments; the table and the queue of deadlines belong to the stack.
#pragma once

#include <cstdint>

#include "base/addr.h"
#include "tcp/config.h"
#include "tcp/core.h"
#include "tcp/tcb.h"

namespace weir::tcp {

struct TwState {
  std::uint16_t local_port = 0, remote_port = 0;
  Seq snd_nxt, rcv_nxt;
  std::uint32_t ts_recent = 0;
  // On the stack's millisecond clock, of which 29 bits tell 3 days, before and after.
  std::uint32_t deadline_ms : 29 = 0;
  std::uint32_t restarted : 1 = 0;  // 2MSL anew since it took its place in the stack's queue
  std::uint32_t has_timestamps : 1 = 0;
  std::uint32_t dead : 1 = 0;  // replaced by a new connection: the queue frees it in its turn

  void set_deadline(std::uint32_t ms) { deadline_ms = ms & ((1U << 29U) - 1); }
  // Milliseconds to the deadline; none or fewer: it is over.
  [[nodiscard]] std::int32_t left_ms(std::uint32_t now_ms) const {
    return static_cast<std::int32_t>((std::uint32_t{deadline_ms} - now_ms) << 3U) / 8;
  }
};

struct TwRecord : TwState {             // IPv4
  std::uint32_t local = 0, remote = 0;  // host order

  [[nodiscard]] FlowKey flow() const {
    return {IpAddr::v4(local), IpAddr::v4(remote), local_port, remote_port};
  }
  void set_addresses(const FlowKey& f) {
    local = f.local.v4_value();
    remote = f.remote.v4_value();
  }
};
static_assert(sizeof(TwRecord) == 28, "budget: 60 million of them are the design case");

struct TwRecord6 : TwState {  // IPv6
  IpAddr local, remote;

  [[nodiscard]] FlowKey flow() const { return {local, remote, local_port, remote_port}; }
  void set_addresses(const FlowKey& f) {
    local = f.local;
    remote = f.remote;
  }
};
static_assert(sizeof(TwRecord6) == 52);

// What is remembered of `t`, but the deadline. Pre: state TIME-WAIT.
void make_tw_state(TwState& r, const Tcb& t, const FlowKey& flow);

enum class TwAnswer : std::uint8_t {
  kDrop,
  kAck,         // acknowledge what is known
  kAckRestart,  // the peer's FIN once more: acknowledge, wait 2MSL again
  kNewSyn,      // a new incarnation (RFC 6191, MAY-2)
  kEnd,         // RST, and rfc1337 is off
};
[[nodiscard]] TwAnswer tw_arrives(const TwState& r, const RxSegment& seg, const Config& config);

// What 2MSL does, before its time. Pre: state TIME-WAIT.
void end_time_wait(Tcb& t, Outbox& out);

[[nodiscard]] TxSegment make_tw_ack(const TwState& r, std::uint32_t ts_now);

}  // namespace weir::tcp

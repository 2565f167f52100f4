// What there is to know of one connection: everything that Linux's struct tcp_info has, up to
// tcpi_total_rto_time, under its names. Times are durations, windows are segments where Linux has
// segments.
//
// What is counted is so only of a connection that has a record of its own (own.h), and from there
// on; else those fields are 0. All others are always true.
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"
#include "tcp/state.h"

namespace weir::tcp {

struct Tcb;

enum class CaState : std::uint8_t {  // Linux's numbers
  kOpen,                             // nothing out of the ordinary
  kDisorder,                         // duplicate ACKs or SACKs, and nothing lost yet
  kCwr,                              // the window was cut for an ECE
  kRecovery,                         // fast retransmit
  kLoss,                             // a time-out
};

enum InfoOption : std::uint8_t {  // Linux's TCPI_OPT_*
  kInfoTimestamps = 1,
  kInfoSack = 2,
  kInfoScaling = 4,
  kInfoEcn = 8,
  kInfoEcnSeen = 16,  // counted: a segment came with an ECN codepoint
};

struct Info {
  static constexpr std::uint32_t kInfinite = 0x7fff'ffff;         // of snd_ssthresh
  static constexpr std::uint64_t kUnlimited = ~std::uint64_t{0};  // of a rate

  State state = State::kClosed;
  CaState ca_state = CaState::kOpen;
  std::uint8_t retransmits = 0;  // time-outs since something was acknowledged
  std::uint8_t probes = 0;       // of a closed window, or keepalives, that nothing has answered
  std::uint8_t backoff = 0;      // doublings of the RTO
  std::uint8_t options = 0;      // InfoOption
  std::uint8_t snd_wscale = 0, rcv_wscale = 0;
  bool delivery_rate_app_limited = false;
  Duration rto{}, ato{};               // ato: 0 until text came
  std::uint32_t snd_mss = 0;           // text that a segment takes
  std::uint32_t rcv_mss = 0;           // the longest that came
  std::uint32_t advmss = 0;            // offered
  std::uint32_t pmtu = 0;              // octets of packet
  std::uint32_t unacked = 0;           // segments in flight; of them:
  std::uint32_t sacked = 0, lost = 0;  //   told of by SACK, taken for lost
  std::uint32_t retrans = 0;           //   sent again and not answered
  Duration last_data_sent{}, last_data_recv{}, last_ack_recv{};  // since then
  Duration rtt{}, rttvar{};                                      // 0: no sample
  std::optional<Duration> min_rtt = std::nullopt;                // none: no sample
  std::uint32_t snd_ssthresh = kInfinite, snd_cwnd = 0;          // segments
  std::uint32_t reordering = 0;            // segments by which one may be overtaken
  std::uint32_t rcv_ssthresh = 0;          // the window that the receive buffer allows, octets
  std::uint32_t rcv_space = 0;             // octets that the program read in the best round trip
  Duration rcv_rtt{};                      // 0: not measured
  std::uint32_t snd_wnd = 0, rcv_wnd = 0;  // octets
  std::uint32_t notsent_bytes = 0;
  std::uint64_t pacing_rate = kUnlimited, max_pacing_rate = kUnlimited;  // octets a second
  // Counted.
  std::uint64_t bytes_acked = 0, bytes_received = 0;  // our SYN and FIN, the peer's FIN included
  std::uint64_t bytes_sent = 0, bytes_retrans = 0;    // text
  std::uint32_t segs_out = 0, segs_in = 0, data_segs_out = 0, data_segs_in = 0;
  std::uint32_t total_retrans = 0;                // segments
  std::uint32_t delivered = 0, delivered_ce = 0;  // segments, the SYN included
  std::uint32_t dsack_dups = 0, reord_seen = 0, rcv_ooopack = 0;
  // Octets a second of what was sent at one instant, to the ACK of all of it
  // (draft-ietf-ccwg-ratesampling §2, once a round trip); 0: no sample.
  std::uint64_t delivery_rate = 0;
  Duration busy_time{}, rwnd_limited{}, sndbuf_limited{};  // the latter two are part of the first
  std::uint16_t total_rto = 0, total_rto_recoveries = 0;
  Duration total_rto_time{};
};

[[nodiscard]] Info info_of(const Tcb& tcb, Instant now);

}  // namespace weir::tcp

// The settings of the protocol, under the names operators know from Linux, with Linux's defaults
// unless an RFC forbids them. One Config serves every connection of a stack and outlives them.
#pragma once

#include <cstdint>

#include "base/time.h"
#include "tcp/rto.h"

namespace weir::tcp {

enum class CongestionControl : std::uint8_t { kReno, kCubic };  // RFC 5681, RFC 9438

struct Config : RtoConfig {              // rto_initial, rto_min, rto_max
  std::uint8_t syn_retries = 5;          // SYNs resent before connect fails; from 6 on, 3 minutes
  std::uint8_t synack_retries = 2;       // SYN-ACKs resent to who never answered (Linux: 5), ADR 8
  std::uint8_t orphan_retries = 8;       // as retries2, once the application has closed
  std::uint8_t retries1 = 3;             // R1 of RFC 9293 §3.8.3: the path is doubted
  std::uint8_t retries2 = 15;            // R2 of RFC 9293 §3.8.3
  Duration user_timeout = 0s;            // in place of retries2 (RFC 5482); 0: off
  Duration fin_timeout = 60s;            // FIN-WAIT-2 after close
  std::uint32_t somaxconn = 4096;        // ceiling of every backlog
  std::uint32_t max_syn_backlog = 4096;  // half-open connections of one stack
  std::uint8_t syncookies = 1;           // when the SYN queue is full; 0 never, 2 always
  bool abort_on_overflow = false;        // accept queue full: RST instead of silence
  Duration msl = 30s;                    // TIME-WAIT lasts twice this; Linux's 60 s in all
  std::uint32_t max_tw_buckets = 262'144;
  std::uint8_t tw_reuse = 2;  // connect takes a 4-tuple in TIME-WAIT: 0 no, 1 yes, 2 to this host
  Duration tw_reuse_delay = 1s;  // not before, so that the timestamps' clock has surely ticked
  bool timestamps = true;
  bool timestamps_required = true;  // where agreed on: a segment without is dropped (Linux: taken)
  bool window_scaling = true;
  bool sack = true;                      // RFC 2018
  bool recovery = true;                  // RACK and TLP, RFC 8985
  bool dsack = true;                     // RFC 2883
  std::uint8_t ecn = 2;                  // RFC 3168: 0 off, 1 asked for and accepted, 2 accepted
  bool ecn_fallback = true;              // a SYN that nobody answered is resent without (§6.1.1.1)
  std::uint8_t tos = 0;                  // DSCP of every packet in the upper 6 bits; ECN apart
  bool rfc1337 = true;                   // RST in TIME-WAIT is ignored (Linux: off)
  std::uint32_t rmem = 262'144;          // receive buffer, octets, at its largest
  std::uint32_t rmem_default = 131'072;  // the same when a connection begins; rmem if that is less
  bool moderate_rcvbuf = true;           // grows with what is read; off: rmem from the beginning
  std::uint32_t wmem = 262'144;          // send buffer, octets
  std::uint8_t initial_cwnd = 10;        // segments, RFC 6928
  CongestionControl congestion_control = CongestionControl::kCubic;
  bool hystart = true;                // HyStart++, RFC 9406, where CUBIC is used
  std::uint8_t slow_start_limit = 0;  // L of RFC 9406: segments an ACK adds; 0: all, ADR 15
  bool frto = true;                   // RFC 5682
  std::uint8_t reordering = 3;        // DupThresh, segments: RFC 5681 §3.2, RFC 8985 §6.2
  Duration min_rtt_wlen = 300s;       // RACK.min_RTT is the least of so long, RFC 8985 §6.2
  bool pacing = false;                // cwnd spread over the round trip
  std::uint16_t min_tso_segs = 2;     // segments of what goes in one piece, at least
  std::uint16_t pacing_ss_ratio = 200, pacing_ca_ratio = 120;  // percent of cwnd a round trip
  std::uint8_t quickacks = 16;  // ACKs sent at once when a connection begins
  Micros delack_min = 40ms;
  Micros delack_max = 40ms;  // RFC 9293 MUST-40: below 500 ms
  bool slow_start_after_idle = true;
  Duration challenge_ack_interval = 500ms;  // at most one a connection in this time, RFC 5961 §7
  std::uint16_t port_low = 32'768, port_high = 60'999;  // ip_local_port_range
  std::uint8_t ttl = 64;
  Duration ipfrag_time = 60s;  // IPv4 reassembly, RFC 1122 §3.3.2 (Linux: 30 s); IPv6's is 60 s
  std::uint32_t ipfrag_high_thresh = 4U << 20U;  // octets held for it, a stack; 0: none is done
  std::uint32_t udp_mem = 4U << 20U;  // octets of datagrams nobody has received yet, a stack
  bool bindv6only = false;            // listeners on :: take no IPv4
  //= RFC9293 MUST-25
  bool keepalive = false;  // MUST-25: off unless asked for
  //= RFC9293 MUST-27
  //= RFC9293 MUST-28
  Duration keepalive_time = 7200s;
  Duration keepalive_intvl = 75s;
  std::uint8_t keepalive_probes = 9;
  std::uint8_t mtu_probing = 0;      // RFC 4821: 0 never, 1 once a black hole shows, 2 always
  std::uint16_t base_mss = 1024;     // where a search begins
  std::uint16_t min_pmtu = 552;      // no ICMP message lowers an IPv4 path below it
  Duration mtu_expires = 600s;       // until a larger segment is tried again (RFC 1191 §6.3)
  std::uint8_t probe_threshold = 8;  // a search ends when it is known to within this
};

// What one connection asks for in place of keepalive, keepalive_time, _intvl and _probes. Zero: as
// the Config says; a time beyond the limits counts as the limit.
struct Keepalive {
  bool on = true;
  Duration time{}, intvl{};  // in whole seconds, 1 s to 32767 s
  std::uint8_t probes = 0;
};

}  // namespace weir::tcp

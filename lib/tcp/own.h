// What one connection has of its own: settings in place of the Config's, and what is counted of it
// (RFC 4898's names where it has one, else those of Linux's struct tcp_info).
//
// Kept out of the control block: a stack keeps a slab of these and lends one to a connection that
// asks for either. Most have none. Where there is none the Config holds and nothing is counted;
// where it was lent later than at the beginning, the counts begin there.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "base/seq.h"
#include "base/slab.h"
#include "base/time.h"
#include "tcp/config.h"

namespace weir::tcp {

// 0, or what is said: as the Config has it.
struct OwnSettings {
  static constexpr std::uint16_t kNoLinger = 0xffff;
  static constexpr std::int16_t kNoFinWait2 = -1;
  enum Keepalives : std::uint8_t { kAsConfig, kOff, kOn };
  enum Algorithm : std::uint8_t { kAnyAlgorithm, kReno, kCubic };

  std::uint32_t rcvbuf = 0;         // octets of text, and the buffer does not grow (SO_RCVBUF)
  std::uint32_t sndbuf = 0;         // octets of text (SO_SNDBUF)
  std::uint32_t window_clamp = 0;   // the largest window to offer, octets (TCP_WINDOW_CLAMP)
  std::uint32_t notsent_lowat = 0;  // octets not sent above which no more is taken
  std::uint32_t user_timeout_ms = 0;
  std::uint16_t user_mss = 0;  // offered at most, and sent at most, options not counted
  std::uint16_t keepalive_time_s = 0, keepalive_intvl_s = 0;
  std::uint16_t linger_s = kNoLinger;
  std::int16_t fin_timeout_s = 0;  // FIN-WAIT-2 after close (TCP_LINGER2); kNoFinWait2: none
  std::uint8_t keepalive_probes = 0;
  Keepalives keepalive = kAsConfig;
  std::uint8_t retries = 0;      // R2
  std::uint8_t syn_retries = 0;  // of this connect (TCP_SYNCNT)
  Algorithm congestion_control = kAnyAlgorithm;
  std::int8_t window_scale = -1;  // that our SYN or SYN-ACK tells; below 0: what the buffer needs
  bool no_delay = false;          // of what a listener hands on

  friend bool operator==(const OwnSettings&, const OwnSettings&) = default;
};

// What holds a sender back, while it has text.
enum class Limit : std::uint8_t {
  kIdle,     // nothing is queued
  kPath,     // cwnd, the network, or nothing at all: Linux's "busy" without the two below
  kRcvWnd,   // the peer's window
  kSendBuf,  // the program would write, and our send buffer is full
};

struct Statistics {
  std::uint64_t bytes_acked = 0;     // of the sequence space, as Linux: our SYN and FIN count
  std::uint64_t bytes_received = 0;  // likewise: the peer's FIN counts
  std::uint64_t bytes_sent = 0;      // text, what is sent again included
  std::uint64_t bytes_retrans = 0;   // of it
  std::uint64_t delivered_octets = 0;
  std::array<std::uint64_t, 4> limit_us{};  // by Limit, without the one that holds now
  Instant since{};                          // established
  Instant limit_since{};
  Instant last_data_in{};
  Instant rto_since = kNever;  // the first of time-outs that nothing has answered yet
  Instant rate_begin{};
  std::uint64_t rate_delivered = 0;            // delivered_octets when the sample under way began
  Seq rate_end;                                // the ACK that ends it
  Seq una_mark, rcv_mark;                      // up to where bytes_acked, bytes_received count
  Seq sent_high;                               // behind the last text that was counted as sent
  std::uint32_t rate_octets = 0, rate_us = 0;  // the last sample
  std::uint32_t segs_in = 0, segs_out = 0, data_segs_in = 0, data_segs_out = 0;
  std::uint32_t total_retrans = 0;                // segments
  std::uint32_t delivered = 0, delivered_ce = 0;  // segments that the peer told of
  std::uint32_t dsack_dups = 0, reord_seen = 0, rcv_ooopack = 0;
  std::uint32_t total_rto_ms = 0;
  std::uint32_t min_rtt_us = 0xffff'ffffU;  // of all samples; none yet
  std::uint16_t total_rto = 0, total_rto_recoveries = 0;
  std::uint16_t reordering = 0;  // segments by which one was overtaken, at most
  Limit limit = Limit::kIdle;
  bool rate_running = false, rate_starved = false;  // starved: the program had no more to send
  bool rate_app_limited = false;                    // of the last sample
  bool ect_in = false;                              // a segment came with an ECN codepoint
};

struct Own {
  OwnSettings set;
  Statistics stats;
};

using Owns = Slab<Own>;

// The same with an MSS of 88 octets at least, Linux's TCP_MIN_MSS, and a window scale of 14 at most
// (RFC 7323 §2.3): what a stack takes over.
[[nodiscard]] OwnSettings within_limits(OwnSettings s);

// -- What the settings make of a handshake, before there is a control block ----------------------
// The octets of a receive buffer when a connection begins.
[[nodiscard]] constexpr std::uint32_t first_rcv_buf(const Config& c,
                                                    const OwnSettings* own = nullptr) {
  if (own != nullptr && own->rcvbuf != 0) return own->rcvbuf;
  return c.moderate_rcvbuf && c.rmem_default < c.rmem ? c.rmem_default : c.rmem;
}

// The MSS to offer on a path of `mtu` octets.
[[nodiscard]] constexpr std::uint16_t offered_mss(std::uint16_t mtu, bool ipv6,
                                                  const OwnSettings* own = nullptr) {
  const auto fits = static_cast<std::uint16_t>(mtu - (ipv6 ? 60 : 40));
  return own != nullptr && own->user_mss != 0 ? std::min(fits, own->user_mss) : fits;
}

// The window of a SYN or SYN-ACK, as Linux has it: 64 KiB at most, in whole segments.
[[nodiscard]] constexpr std::uint32_t syn_window(std::uint32_t rcv_buf, std::uint32_t clamp,
                                                 std::uint32_t mss) {
  std::uint32_t wnd = std::min<std::uint32_t>(rcv_buf, 0x1'0000);
  if (clamp != 0) wnd = std::min(wnd, clamp);
  if (wnd > mss) wnd -= wnd % mss;
  return std::min<std::uint32_t>(wnd, 0xffff);
}

}  // namespace weir::tcp

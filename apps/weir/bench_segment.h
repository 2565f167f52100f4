// The benchmarks that have no port: who their host and its gateway are, and what a peer behind the
// gateway sends, which has the options that Linux has.
#pragma once

#include <cstdint>

#include "base/addr.h"
#include "base/seq.h"
#include "wire/frame.h"

namespace weir::app {

inline constexpr IpAddr kHost = IpAddr::v4(10, 0, 0, 1), kGateway = IpAddr::v4(10, 0, 0, 254);
inline constexpr MacAddr kHostMac{{2, 0, 0, 0, 0, 1}}, kGatewayMac{{2, 0, 0, 0, 0, 254}};

// Without text. `flow`: the host's. With ACK among `flags`, it acknowledges up to `ack`.
inline wire::TcpFrame peer_segment(const FlowKey& flow, Seq seq, Seq ack, std::uint32_t ts_ecr,
                                   unsigned flags) {
  wire::TcpFrame f;
  f.src_mac = kGatewayMac;
  f.dst_mac = kHostMac;
  f.flow = flow.reversed();
  f.tcp.seq = seq;
  f.tcp.ack = (flags & wire::ACK) != 0 ? ack : Seq{};
  f.tcp.wnd = 65'535;
  f.tcp.flags = static_cast<std::uint8_t>(flags);
  if ((flags & wire::SYN) != 0) {
    f.tcp.options.mss = 1'460;
    f.tcp.options.sack_permitted = true;
    f.tcp.options.window_scale = 7;
  }
  f.tcp.options.has_timestamps = true;
  f.tcp.options.ts_val = 1'000;
  f.tcp.options.ts_ecr = ts_ecr;
  return f;
}

}  // namespace weir::app

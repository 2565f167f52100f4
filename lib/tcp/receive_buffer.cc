// The size of the receive buffer (RFC 9293 §3.8.6.2.2, RFC 7323 §2; Linux's tcp_moderate_rcvbuf,
// which is Fisk's and Feng's dynamic right-sizing), and the memory that its text really takes.
//
// The application reads at most a window in a round trip. When it reads nearly that much the window
// is what limits the peer, and grows; a connection that is idle never asks for more than it began
// with. It never shrinks.
#include <algorithm>

#include "tcp/internal.h"

namespace weir::tcp {
namespace {

constexpr std::uint32_t kBlock = 2'304;  // octets of a port's buffer, whatever it holds of text
constexpr std::uint32_t kSpareBlocks = 16;

std::uint32_t us_of(Instant t) {
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(t.time_since_epoch()).count());
}

std::uint64_t held(const Tcb& t) {
  return std::uint64_t{t.rcvq.bufs() + t.ofo_count} * kBlock;
}

// From the ACK that let a segment go to the segment. Small ones may have waited for the peer's
// application.
void measure_by_timestamps(Tcb& t, const RxSegment& seg, Instant now) {
  if (seg.options.ts_ecr == 0 || seg.len < t.peer_seg) return;
  const auto ms = static_cast<std::int32_t>(ts_now(t, now) - seg.options.ts_ecr);
  if (ms < 0 || ms > 60'000) return;
  const std::uint32_t us = std::max<std::uint32_t>(static_cast<std::uint32_t>(ms), 1) * 1'000;
  t.rcv_rtt_us = t.rcv_rtt_us == 0 ? us : (7 * t.rcv_rtt_us + us) / 8;
}

// A window's text takes a round trip at least; the least of several is the one.
void measure_by_window(Tcb& t, Instant now) {
  const bool begun = t.rcv_rtt_edge_us != 0;
  if (begun && before(t.rcv_nxt, t.rcv_rtt_edge)) return;
  const std::uint32_t at = us_of(now) | 1U;
  const std::uint32_t us = std::max<std::uint32_t>(at - t.rcv_rtt_edge_us, 1);
  if (begun) t.rcv_rtt_us = t.rcv_rtt_us == 0 ? us : std::min(t.rcv_rtt_us, us);
  t.rcv_rtt_edge = t.rcv_nxt + rcv_wnd(t);
  t.rcv_rtt_edge_us = at;
}

// Twice what was read, and more while that grows: a peer in slow start sends twice as much before
// it is measured.
void grow(Tcb& t, std::uint32_t read) {
  std::uint64_t want = 2 * std::uint64_t{read} + 16 * std::uint64_t{t.rcv_mss};
  want += 2 * (want * (read - t.read_before) / t.read_before);
  t.rcv_buf = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(t.config->rmem, std::max<std::uint64_t>(t.rcv_buf, want)));
}

}  // namespace

void begin_receive_buffer(Tcb& t, Instant now) {
  t.read_mark = t.rcv_nxt;
  t.read_mark_us = us_of(now);
  t.read_before = 10 * std::uint32_t{t.rcv_mss};  // what nobody needs a larger buffer for
}

void moderate_receive_buffer(Tcb& t, const RxSegment& seg, Instant now) {
  if (t.rcv_buf >= t.config->rmem || !t.in_mode(kModerate)) return;
  if (t.has(kTimestamps)) {
    measure_by_timestamps(t, seg, now);
  } else {
    measure_by_window(t, now);
  }
  const std::uint32_t at = us_of(now);
  if (t.rcv_rtt_us == 0 || at - t.read_mark_us < t.rcv_rtt_us) return;
  const Seq read = t.rcv_nxt - t.rcvq.bytes();
  const std::uint32_t octets = distance(t.read_mark, read);
  t.read_mark = read;
  t.read_mark_us = at;
  if (octets <= t.read_before) return;
  grow(t, octets);
  t.read_before = octets;
}

bool holds_much(const Tcb& t) {
  return held(t) > t.rcv_buf / 4;
}

bool may_hold_early(const Tcb& t) {
  return held(t) < 2 * std::uint64_t{t.rcv_buf} + kSpareBlocks * kBlock;
}

}  // namespace weir::tcp

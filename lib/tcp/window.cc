// The receive window (RFC 9293 §3.8.6) and its scale (RFC 7323 §2).
#include <algorithm>

#include "tcp/internal.h"

namespace weir::tcp {
namespace {

// Octets that the receive buffer holds and the window field can tell.
std::uint32_t buffer(const Tcb& t) {
  return std::min(t.rcv_buf, t.max_rcv_wnd);
}

//= RFC813 6
// Octets that may be offered now, before the window's right edge is considered.
std::uint32_t free_space(const Tcb& t) {
  const std::uint32_t used = t.rcvq.bytes();
  return t.rcv_buf > used ? std::min(t.rcv_buf - used, buffer(t)) : 0;
}

// The least advance of the right edge worth telling (§3.8.6.2.2).
std::uint32_t worth_telling(const Tcb& t) {
  return std::min<std::uint32_t>(buffer(t) / 2, t.rcv_mss);
}

// RCV.WND to offer: never less than was offered (SHLD-14), more only when it is worth it.
//= RFC813 4-a
//= RFC9293 MUST-39
//= RFC9293 SHLD-14
std::uint32_t window_to_offer(const Tcb& t, std::uint32_t space) {
  const std::uint32_t offered = rcv_wnd(t);
  return space >= offered + worth_telling(t) ? space : offered;
}

}  // namespace

std::uint8_t window_scale_for(std::uint32_t rmem) {
  std::uint8_t scale = 0;
  while (scale < wire::kMaxWindowScale && (rmem >> scale) > 0xffff) ++scale;
  return scale;
}

//= RFC9293 MUST-1
//= RFC7323 2.3-b
//= RFC7323 2.4
std::uint16_t advertise_window(Tcb& t) {
  const std::uint32_t rest = (1U << t.rcv_wscale) - 1;
  const std::uint32_t space = free_space(t);
  const std::uint32_t offer = window_to_offer(t, space);
  std::uint32_t field = std::min<std::uint32_t>((offer + rest) >> t.rcv_wscale, 0xffff);
  // Rounded up, the edge stays; but octet by octet that would lead it on for ever. So no further
  // than the buffer and one unit: then rounded down, and what was offered is still taken
  // (RFC 7323 §2.4).
  if ((field << t.rcv_wscale) > space + rest) field = offer >> t.rcv_wscale;
  t.rcv_adv = later_of(t.rcv_adv, t.rcv_nxt + (field << t.rcv_wscale));
  return static_cast<std::uint16_t>(field);
}

//= RFC9293 MAY-8
bool window_update_due(const Tcb& t) {
  const std::uint32_t offered = rcv_wnd(t);
  const std::uint32_t step = std::min<std::uint32_t>(buffer(t) / 2, 2 * std::uint32_t{t.rcv_mss});
  return offered < buffer(t) / 2 && window_to_offer(t, free_space(t)) >= offered + step;
}

}  // namespace weir::tcp

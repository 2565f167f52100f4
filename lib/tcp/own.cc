// The settings of one connection (RFC 9293 §3.9.1; Linux's setsockopt), and the record that holds
// them. What the hot path reads of them is kept in the control block, derived here.
#include "tcp/own.h"

#include <algorithm>

#include "tcp/internal.h"

namespace weir::tcp {
namespace {

constexpr std::uint16_t kLeastMss = 88;  // Linux's TCP_MIN_MSS

bool syn_is_ahead(const Tcb& t) {
  return t.state == State::kSynSent && t.snd_nxt == t.iss;
}

void derive_buffer(Tcb& t) {
  const std::uint32_t own = t.own->set.rcvbuf;
  if (own != 0) {
    t.rcv_buf = own;
    t.leave_mode(kModerate);
  } else if (t.config->moderate_rcvbuf) {
    t.enter_mode(kModerate);
  }
}

// Where the SYN is still ahead, what it says.
void derive_syn(Tcb& t) {
  if (!syn_is_ahead(t)) return;
  const std::uint16_t own = t.own->set.user_mss;
  t.rcv_mss = own != 0 ? std::min(t.full_mss, own) : t.full_mss;
  t.mss = t.rcv_mss;
  if (t.has(kScaling)) t.rcv_wscale = window_scale_of(*t.config, own_settings(t));
}

std::uint32_t half_of(std::uint32_t octets) {  // rounded up; of all ones too
  return octets / 2 + (octets & 1U);
}

void derive(Tcb& t) {
  derive_buffer(t);
  derive_syn(t);
  fit_window(t);
  t.leave_mode(kLowat);
  if (t.own->set.notsent_lowat != 0) t.enter_mode(kLowat);
}

}  // namespace

OwnSettings within_limits(OwnSettings s) {
  if (s.user_mss != 0) s.user_mss = std::max(s.user_mss, kLeastMss);
  s.window_scale = std::min(s.window_scale, static_cast<std::int8_t>(wire::kMaxWindowScale));
  return s;
}

std::uint8_t own_window_scale(const Config& c, const OwnSettings& own) {
  if (own.window_scale >= 0) return static_cast<std::uint8_t>(own.window_scale);
  const std::uint32_t most = own.rcvbuf != 0 ? own.rcvbuf : c.rmem;
  return window_scale_for(own.window_clamp != 0 ? std::min(most, own.window_clamp) : most);
}

void fit_window(Tcb& t) {
  t.max_rcv_wnd = 0xffffU << t.rcv_wscale;
  const OwnSettings* own = own_settings(t);
  if (own != nullptr && own->window_clamp != 0) {
    t.max_rcv_wnd = std::min(t.max_rcv_wnd, own->window_clamp);
  }
}

std::uint32_t offered_in_syn(const Tcb& t) {
  const OwnSettings* own = own_settings(t);
  const bool stamped = t.has(kTimestamps) && t.state != State::kSynSent;
  return syn_window(t.rcv_buf, own != nullptr ? own->window_clamp : 0,
                    t.rcv_mss - (stamped ? 12U : 0U));
}

std::uint32_t send_buffer(const Tcb& t) {
  const OwnSettings* own = own_settings(t);
  return own != nullptr && own->sndbuf != 0 ? own->sndbuf : t.config->wmem;
}

// As Linux: what may be written again is less than half of the mark.
bool lowat_reached(const Tcb& t) {
  return !t.in_mode(kLowat) || unsent_octets(t) < half_of(t.own->set.notsent_lowat);
}

void begin_fin_wait_2(Tcb& t, Instant now, Outbox& out) {
  const std::int16_t own = t.own != nullptr ? t.own->set.fin_timeout_s : std::int16_t{0};
  if (own == OwnSettings::kNoFinWait2) {  // Linux resets then: what the peer still sends is lost
    send_reset(t, now, out);
    return close_now(t, CloseReason::kNormal, out);
  }
  t.life_deadline = now + (own != 0 ? Duration(std::chrono::seconds(own)) : t.config->fin_timeout);
}

Own* lend_own(Tcb& t, Outbox& out) {
  if (t.own != nullptr) return t.own;
  const std::uint32_t index = out.owns != nullptr ? out.owns->take() : kNoIndex;
  if (index == kNoIndex) return nullptr;
  t.own = ::new (out.owns->slot(index)) Own;
  count_open(t);
  return t.own;
}

void give_own(Tcb& t, Outbox& out) {
  if (t.own == nullptr) return;
  out.owns->give(static_cast<std::uint32_t>(t.own - &(*out.owns)[0]));
  t.own = nullptr;
}

bool user_configure(Tcb& t, const OwnSettings& s, Instant now, Outbox& out) {
  if (lend_own(t, out) == nullptr) return false;
  t.own->set = within_limits(s);
  derive(t);
  if (s.congestion_control != OwnSettings::kAnyAlgorithm) {
    user_set_congestion_control(t, s.congestion_control == OwnSettings::kReno
                                       ? CongestionControl::kReno
                                       : CongestionControl::kCubic);
  }
  if (s.no_delay) t.set(kNoDelay);
  if (t.synchronized()) begin_keepalive(t, now);
  return true;
}

bool user_set_receive_buffer(Tcb& t, std::uint32_t octets, Outbox& out) {
  if (lend_own(t, out) == nullptr) return false;
  t.own->set.rcvbuf = octets;
  return derive(t), true;
}

bool user_set_send_buffer(Tcb& t, std::uint32_t octets, Outbox& out) {
  if (lend_own(t, out) == nullptr) return false;
  t.own->set.sndbuf = octets;
  if (t.has(kWantWritable)) note_room(t);
  return true;
}

bool user_set_window_clamp(Tcb& t, std::uint32_t octets, Outbox& out) {
  if (lend_own(t, out) == nullptr) return false;
  t.own->set.window_clamp = octets;
  return derive(t), true;
}

bool user_set_notsent_lowat(Tcb& t, std::uint32_t octets, Outbox& out) {
  if (lend_own(t, out) == nullptr) return false;
  t.own->set.notsent_lowat = octets;
  derive(t);
  if (t.has(kWantWritable)) note_room(t);
  return true;
}

bool user_set_mss(Tcb& t, std::uint16_t mss, Outbox& out) {
  if (lend_own(t, out) == nullptr) return false;
  t.own->set.user_mss = mss != 0 ? std::max(mss, kLeastMss) : mss;
  return derive(t), true;
}

bool user_set_syn_retries(Tcb& t, std::uint8_t retries, Outbox& out) {
  if (lend_own(t, out) == nullptr) return false;
  t.own->set.syn_retries = retries;
  return true;
}

bool user_set_fin_timeout(Tcb& t, Duration timeout, Outbox& out) {
  constexpr Duration kMost = 120s;  // Linux's TCP_FIN_TIMEOUT_MAX
  if (lend_own(t, out) == nullptr) return false;
  const auto s = std::chrono::ceil<std::chrono::seconds>(std::min(timeout, kMost));
  t.own->set.fin_timeout_s =
      timeout < Duration::zero() ? OwnSettings::kNoFinWait2 : static_cast<std::int16_t>(s.count());
  return true;
}

void user_set_congestion_control(Tcb& t, CongestionControl algorithm) {
  const bool reno = algorithm == CongestionControl::kReno;
  if (reno == t.in_mode(kReno)) return;
  t.cubic = {};  // what one has learned means nothing to the other
  t.cwnd_acked = 0;
  reno ? t.enter_mode(kReno) : t.leave_mode(kReno);
}

}  // namespace weir::tcp

// Connections without a half-open one (RFC 4987 §3.6): what the SYN queue has no room for, or none
// at all of it. The cookies themselves are lib/tcp's.
#include "tcp/syn_cookies.h"

#include <utility>

#include "stack/impl.h"

namespace weir::stack {

//= RFC4987 3.6-f
bool Stack::Impl::cookie_due() const {
  if (config.tcp.syncookies == 1) return syns.size() >= config.tcp.max_syn_backlog;
  return config.tcp.syncookies == 2;
}

// RFC 4987 §3.6: nothing is kept, so nothing is resent: the peer sends its SYN again.
//= RFC4987 3.6-a
void Stack::Impl::send_cookie(Arrival& a, ListenerId listener) {
  tcp::SynEntry e;
  tcp::open_syn_entry(e, header_of(a), a.flow, Seq{}, config.tcp);
  const std::uint8_t scale = window_scale(listeners[listener]);
  const std::uint32_t stamp = tcp::make_cookie(secrets.cookies, e, scale, ts_clock(a.flow), now);
  send_stray(tcp::make_syn_ack(e, config.tcp, config.mtu, stamp, settings_of(listener)), a.flow,
             fields_of(listener));
  cookies_until = now + tcp::kCookieLife;
  counters.syncookies_sent.add();
  counters.out_segs.add();
  consume(a.buf);
}

// An ACK that no connection knows. True when it was a cookie's answer, and is dealt with.
bool Stack::Impl::on_cookie(ListenerId id, Arrival& a, const tcp::RxSegment& seg) {
  if (now >= cookies_until) return false;
  tcp::SynEntry e;
  const std::uint8_t scale = window_scale(listeners[id]);
  const auto opens = [&](const SipKey& key) {
    return tcp::open_cookie(key, e, a.flow, seg, scale, config.tcp, now);
  };
  if (!opens(secrets.cookies) && !(cookie_key_before && opens(*cookie_key_before))) {
    counters.drop_syncookie_bad.add();
    return false;
  }
  if (telemetry::Counter* why = no_room_to_accept(listeners[id])) {
    if (config.tcp.abort_on_overflow) send_reset(a);
    return drop(a.buf, *why), true;
  }
  e.bits |= tcp::SynEntry::kAnswered;  // its timestamp told of options, too: no clock to time by
  const std::uint32_t conn = conns.take(a.flow);
  if (!table.insert(a.hash, handle_of(Kind::kConn, conn))) {
    conns.give(conn);
    return drop(a.buf, counters.drop_conn_table_full), true;
  }
  make_passive(conn, e, id, a);
  counters.syncookies_recv.add();
  return on_conn(conn, a), true;
}

//= RFC4987 3.6-d
void Stack::rotate_cookie_key(const SipKey& fresh) {
  impl_->cookie_key_before = std::exchange(impl_->secrets.cookies, fresh);
}

}  // namespace weir::stack

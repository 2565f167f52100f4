// What setsockopt was told goes to the connection, or to those that a listener will have.
#include <linux/tcp.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstdint>

#include "socket/options.h"

namespace weir::posix {
namespace {

// Octets of text: Linux's figure is twice that.
std::uint32_t half(int octets) {
  return static_cast<std::uint32_t>(octets) / 2;
}

std::uint8_t octet(int v) {
  return static_cast<std::uint8_t>(std::clamp(v, 0, 255));
}

std::uint16_t word(int v) {
  return static_cast<std::uint16_t>(std::clamp(v, 0, 65'535));
}

tcp::Keepalive keepalive_of(const TcpOptions& o) {
  return {o.keepalive != 0, std::chrono::seconds(o.keepidle), std::chrono::seconds(o.keepintvl),
          octet(o.keepcnt)};
}

void apply_socket(stack::Stack& t, stack::ConnId id, const TcpOptions& o, int name) {
  switch (name) {
    case SO_KEEPALIVE:
      t.set_keepalive(id, keepalive_of(o));
      return;
    case SO_SNDBUF:
    case SO_SNDBUFFORCE:
      t.set_send_buffer(id, half(o.sndbuf));
      return;
    case SO_RCVBUF:
    case SO_RCVBUFFORCE:
      t.set_receive_buffer(id, half(o.rcvbuf));
      return;
    case SO_MAX_PACING_RATE:  // none where it is more than can be told
      t.set_pacing_rate(
          id, o.max_pacing_rate > 0xffff'ffffU ? 0 : static_cast<std::uint32_t>(o.max_pacing_rate));
      return;
    default:
      return;
  }
}

void apply_tcp(stack::Stack& t, stack::ConnId id, const TcpOptions& o, int name) {
  switch (name) {
    case TCP_NODELAY:
      return t.set_nodelay(id, o.nodelay != 0);
    case TCP_CORK:
      return t.set_cork(id, o.cork != 0);
    case TCP_KEEPIDLE:
    case TCP_KEEPINTVL:
    case TCP_KEEPCNT:
      if (o.keepalive != 0) t.set_keepalive(id, keepalive_of(o));
      return;
    case TCP_QUICKACK:
      return t.set_quickack(id, o.quickack != 0);
    case TCP_CONGESTION:
      return t.set_congestion_control(id, static_cast<tcp::CongestionControl>(o.congestion));
    case TCP_MAXSEG:
      t.set_mss(id, word(o.maxseg));
      return;
    case TCP_SYNCNT:
      t.set_syn_retries(id, octet(o.syncnt));
      return;
    case TCP_USER_TIMEOUT:
      t.set_user_timeout(id, std::chrono::milliseconds(o.user_timeout));
      return;
    case TCP_LINGER2:
      t.set_fin_timeout(id, std::chrono::seconds(o.linger2));
      return;
    case TCP_WINDOW_CLAMP:
      t.set_window_clamp(id, static_cast<std::uint32_t>(o.window_clamp));
      return;
    case TCP_NOTSENT_LOWAT:
      t.set_notsent_lowat(id, static_cast<std::uint32_t>(o.notsent_lowat));
      return;
    default:
      return;
  }
}

// Of one family or the other: a connection has one of each.
int tos_of(const TcpOptions& o, bool v4) {
  return v4 ? o.tos : o.tclass;
}
int ttl_of(const TcpOptions& o, bool v4) {
  return v4 ? o.ttl : o.hops;
}

void apply_ip(stack::Stack& t, stack::ConnId id, const TcpOptions& o) {
  const bool v4 = t.flow_of(id).local.is_v4();
  if (tos_of(o, v4) >= 0) t.set_tos(id, octet(tos_of(o, v4)));
  t.set_ttl(id, octet(ttl_of(o, v4)));
}

}  // namespace

stack::ConnOptions conn_options(const TcpSocket& s, bool v4) {
  using tcp::OwnSettings;
  const TcpOptions& o = s.options;
  stack::ConnOptions c;
  OwnSettings& own = c.tcp;
  own.rcvbuf = half(o.rcvbuf);
  own.sndbuf = half(o.sndbuf);
  own.window_clamp = static_cast<std::uint32_t>(o.window_clamp);
  own.notsent_lowat = static_cast<std::uint32_t>(o.notsent_lowat);
  own.user_timeout_ms = static_cast<std::uint32_t>(o.user_timeout);
  own.user_mss = word(o.maxseg);
  own.keepalive_time_s = word(o.keepidle);
  own.keepalive_intvl_s = word(o.keepintvl);
  own.keepalive_probes = octet(o.keepcnt);
  if (o.keepalive != 0) own.keepalive = OwnSettings::kOn;
  own.fin_timeout_s = o.linger2 < 0 ? OwnSettings::kNoFinWait2
                                    : static_cast<std::int16_t>(o.linger2);  // 120 at most
  own.syn_retries = octet(o.syncnt);
  if (o.congestion >= 0) {
    const auto cc = static_cast<tcp::CongestionControl>(o.congestion);
    own.congestion_control =
        cc == tcp::CongestionControl::kCubic ? OwnSettings::kCubic : OwnSettings::kReno;
  }
  own.no_delay = o.nodelay != 0;
  if (tos_of(o, v4) >= 0) c.tos = octet(tos_of(o, v4));
  c.ttl = octet(ttl_of(o, v4));
  return c;
}

void apply_option(EmbeddedStack& e, TcpSocket& s, int level, int name) {
  if (s.phase == Phase::kListening) {
    e.tcp().configure(s.listener, conn_options(s, s.v4_only()));
    e.tcp().set_defer_accept(s.listener, std::chrono::seconds(s.options.defer_accept));
  }
  if (!s.conn) return;
  switch (level) {
    case SOL_SOCKET:
      return apply_socket(e.tcp(), *s.conn, s.options, name);
    case IPPROTO_TCP:
      return apply_tcp(e.tcp(), *s.conn, s.options, name);
    case IPPROTO_IP:
    case IPPROTO_IPV6:
      return apply_ip(e.tcp(), *s.conn, s.options);
    default:
      return;
  }
}

void apply_rest(EmbeddedStack& e, TcpSocket& s) {
  const TcpOptions& o = s.options;
  if (o.cork != 0) apply_option(e, s, IPPROTO_TCP, TCP_CORK);
  if (o.max_pacing_rate != TcpOptions::kNoRate) {
    apply_option(e, s, SOL_SOCKET, SO_MAX_PACING_RATE);
  }
  if (o.quickack >= 0) apply_option(e, s, IPPROTO_TCP, TCP_QUICKACK);
  if (!s.v4_only() && s.local.addr.is_v4()) apply_option(e, s, IPPROTO_IP, IP_TOS);
}

}  // namespace weir::posix

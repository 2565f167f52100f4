// What setsockopt was told goes to the connection.
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

void apply_socket(stack::Stack& t, stack::ConnId id, const TcpOptions& o, int name) {
  switch (name) {
    case SO_KEEPALIVE:
      t.set_keepalive(id, {o.keepalive != 0, std::chrono::seconds(o.keepidle),
                           std::chrono::seconds(o.keepintvl), octet(o.keepcnt)});
      return;
    case SO_SNDBUF:
    case SO_SNDBUFFORCE:
      if (o.sndbuf != 0) t.set_send_buffer(id, half(o.sndbuf));
      return;
    case SO_RCVBUF:
    case SO_RCVBUFFORCE:
      if (o.rcvbuf != 0) t.set_receive_buffer(id, half(o.rcvbuf));
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
      if (o.keepalive != 0) apply_socket(t, id, o, SO_KEEPALIVE);
      return;
    case TCP_QUICKACK:
      if (o.quickack >= 0) t.set_quickack(id, o.quickack != 0);
      return;
    case TCP_CONGESTION:
      if (o.congestion < 0) return;
      return t.set_congestion_control(id, static_cast<tcp::CongestionControl>(o.congestion));
    case TCP_MAXSEG:
      if (o.maxseg != 0) t.set_mss(id, static_cast<std::uint16_t>(o.maxseg));
      return;
    case TCP_SYNCNT:
      if (o.syncnt != 0) t.set_syn_retries(id, octet(o.syncnt));
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

// One record of the connection holds both: which of them is meant says its family.
void apply_ip(stack::Stack& t, stack::ConnId id, const TcpOptions& o) {
  const bool v4 = t.flow_of(id).local.is_v4();
  const int tos = v4 ? o.tos : o.tclass;
  const int ttl = v4 ? o.ttl : o.hops;
  if (tos >= 0) t.set_tos(id, octet(tos));
  t.set_ttl(id, octet(ttl));
}

}  // namespace

void apply_option(EmbeddedStack& e, TcpSocket& s, int level, int name) {
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

// Only what was set: a connection without settings of its own needs no record for them.
void apply_options(EmbeddedStack& e, TcpSocket& s) {
  const TcpOptions& o = s.options;
  const auto apply = [&](bool is_set, int level, int name) {
    if (is_set) apply_option(e, s, level, name);
  };
  apply(o.keepalive != 0, SOL_SOCKET, SO_KEEPALIVE);
  apply(o.sndbuf != 0, SOL_SOCKET, SO_SNDBUF);
  apply(o.rcvbuf != 0, SOL_SOCKET, SO_RCVBUF);
  apply(o.nodelay != 0, IPPROTO_TCP, TCP_NODELAY);
  apply(o.cork != 0, IPPROTO_TCP, TCP_CORK);
  apply(o.quickack >= 0, IPPROTO_TCP, TCP_QUICKACK);
  apply(o.congestion >= 0, IPPROTO_TCP, TCP_CONGESTION);
  apply(o.maxseg != 0, IPPROTO_TCP, TCP_MAXSEG);
  apply(o.syncnt != 0, IPPROTO_TCP, TCP_SYNCNT);
  apply(o.user_timeout != 0, IPPROTO_TCP, TCP_USER_TIMEOUT);
  apply(o.linger2 != 0, IPPROTO_TCP, TCP_LINGER2);
  apply(o.window_clamp != 0, IPPROTO_TCP, TCP_WINDOW_CLAMP);
  apply(o.notsent_lowat != 0, IPPROTO_TCP, TCP_NOTSENT_LOWAT);
  const bool ip = o.tos >= 0 || o.ttl >= 0 || o.tclass >= 0 || o.hops >= 0;
  apply(ip, IPPROTO_IP, IP_TOS);
}

}  // namespace weir::posix

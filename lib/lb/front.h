// All listeners of one core, of both modes: a socket Handler that hands each connection to the
// sessions it belongs to. Owns both; the pools are shared by them.
#pragma once

#include <cstdint>

#include "lb/http_sessions.h"
#include "lb/lb.h"

namespace weir::lb {

class Front {
 public:
  Front(stack::Stack& s, const Config& config) : tcp_(s, config), http_(s, config, tcp_) {}

  [[nodiscard]] Result<std::uint32_t, Handler::ListenError> start() {
    auto tcp = tcp_.start();
    if (!tcp) return tcp.error();
    auto http = http_.start();
    if (!http) return http.error();
    return *tcp + *http;
  }
  void stop_accepting() {
    tcp_.stop_accepting();
    http_.stop_accepting();
  }
  void abort_all() {
    tcp_.abort_all();
    http_.abort_all();
  }
  [[nodiscard]] const Handler& tcp() const { return tcp_; }
  [[nodiscard]] const http::Sessions& http() const { return http_; }

  void on_accept(Connection c, ListenerId l) {
    http_.owns(l) ? http_.on_accept(c, l) : tcp_.on_accept(c, l);
  }
  void on_connected(Connection c, std::uint64_t u) {
    ours(u) ? http_.on_connected(c, u) : tcp_.on_connected(c, u);
  }
  void on_readable(Connection c, std::uint64_t u) {
    ours(u) ? http_.on_readable(c, u) : tcp_.on_readable(c, u);
  }
  void on_writable(Connection c, std::uint64_t u) {
    ours(u) ? http_.on_writable(c, u) : tcp_.on_writable(c, u);
  }
  void on_peer_closed(Connection c, std::uint64_t u) {
    ours(u) ? http_.on_peer_closed(c, u) : tcp_.on_peer_closed(c, u);
  }
  void on_timer(Connection c, std::uint64_t u) {
    ours(u) ? http_.on_timer(c, u) : tcp_.on_timer(c, u);
  }
  void on_closed(Connection c, std::uint64_t u, CloseReason r) {
    ours(u) ? http_.on_closed(c, u, r) : tcp_.on_closed(c, u, r);
  }

 private:
  static bool ours(std::uint64_t user) { return http::Sessions::is_ours(user); }

  Handler tcp_;
  http::Sessions http_;
};

}  // namespace weir::lb

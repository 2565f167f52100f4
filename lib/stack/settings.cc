// What one connection has its own way, as its program asks for it: each call finds the connection
// and leaves the rest to lib/tcp.
#include "stack/impl.h"

namespace weir::stack {

bool Stack::Impl::configure(Conn& c, const ConnOptions& options) {
  if (!tcp::user_configure(c.tcb, options.tcp, now, outbox)) return false;
  if (options.tos) c.tos = *options.tos & 0xfcU;
  c.ttl = options.ttl;
  return true;
}

bool Stack::configure(ConnId id, const ConnOptions& options) {
  Conn* c = impl_->find(id);
  if (c == nullptr || !impl_->configure(*c, options)) return false;
  impl_->settle(id.index);
  return true;
}

bool Stack::set_keepalive(ConnId id, const tcp::Keepalive& k) {
  Impl& s = *impl_;
  Conn* c = s.find(id);
  if (c == nullptr || !tcp::user_set_keepalive(c->tcb, k, s.now, s.outbox)) return false;
  s.settle(id.index);
  return true;
}

bool Stack::set_user_timeout(ConnId id, Duration timeout) {
  Conn* c = impl_->find(id);
  return c != nullptr && tcp::user_set_timeout(c->tcb, timeout, impl_->outbox);
}

bool Stack::set_retries(ConnId id, std::uint8_t retries) {
  Conn* c = impl_->find(id);
  return c != nullptr && tcp::user_set_retries(c->tcb, retries, impl_->outbox);
}

bool Stack::set_syn_retries(ConnId id, std::uint8_t retries) {
  Conn* c = impl_->find(id);
  return c != nullptr && tcp::user_set_syn_retries(c->tcb, retries, impl_->outbox);
}

bool Stack::set_linger(ConnId id, std::optional<Duration> linger) {
  Conn* c = impl_->find(id);
  return c != nullptr && tcp::user_set_linger(c->tcb, linger, impl_->outbox);
}

bool Stack::set_fin_timeout(ConnId id, Duration timeout) {
  Conn* c = impl_->find(id);
  return c != nullptr && tcp::user_set_fin_timeout(c->tcb, timeout, impl_->outbox);
}

bool Stack::set_receive_buffer(ConnId id, std::uint32_t octets) {
  Conn* c = impl_->find(id);
  return c != nullptr && tcp::user_set_receive_buffer(c->tcb, octets, impl_->outbox);
}

bool Stack::set_send_buffer(ConnId id, std::uint32_t octets) {
  Conn* c = impl_->find(id);
  if (c == nullptr || !tcp::user_set_send_buffer(c->tcb, octets, impl_->outbox)) return false;
  return impl_->tell(id.index), true;  // perhaps of room
}

bool Stack::set_window_clamp(ConnId id, std::uint32_t octets) {
  Conn* c = impl_->find(id);
  return c != nullptr && tcp::user_set_window_clamp(c->tcb, octets, impl_->outbox);
}

bool Stack::set_notsent_lowat(ConnId id, std::uint32_t octets) {
  Conn* c = impl_->find(id);
  if (c == nullptr || !tcp::user_set_notsent_lowat(c->tcb, octets, impl_->outbox)) return false;
  return impl_->tell(id.index), true;
}

bool Stack::set_mss(ConnId id, std::uint16_t mss) {
  Conn* c = impl_->find(id);
  return c != nullptr && tcp::user_set_mss(c->tcb, mss, impl_->outbox);
}

void Stack::set_congestion_control(ConnId id, tcp::CongestionControl algorithm) {
  if (Conn* c = impl_->find(id)) tcp::user_set_congestion_control(c->tcb, algorithm);
}

void Stack::set_quickack(ConnId id, bool on) {
  Conn* c = impl_->find(id);
  if (c == nullptr) return;
  tcp::user_quickack(c->tcb, on);
  impl_->mark_output(id.index);
}

//= RFC9293 MUST-49
void Stack::set_ttl(ConnId id, std::uint8_t ttl) {
  if (Conn* c = impl_->find(id)) c->ttl = ttl;
}

tcp::OwnSettings Stack::settings_of(ConnId id) const {
  const Conn* c = impl_->find(id);
  return c == nullptr || c->tcb.own == nullptr ? tcp::OwnSettings{} : c->tcb.own->set;
}

}  // namespace weir::stack

// Who listens: one at an address and port, or a group that shares them (SO_REUSEPORT). A flow goes
// to the same member of its group as long as the group stays the same.
#include <algorithm>

#include "stack/impl.h"

namespace weir::stack {
namespace {

constexpr std::uint32_t kMaxListeners = 1'024;

// How many SYN-ACKs are resent before `wait` is over, as Linux counts them (secs_to_retrans); an
// entry counts 15.
std::uint8_t retries_in(Duration wait, const tcp::Config& c) {
  if (wait <= Duration::zero()) return 0;
  Duration step = c.rto_initial, period = step;
  std::uint8_t n = 1;
  for (; wait > period && n < 15; ++n) {
    step = std::min<Duration>(2 * step, c.rto_max);
    period += step;
  }
  return n;
}

}  // namespace

ListenerId Stack::Impl::listener_for(const FlowKey& flow, std::uint64_t hash) const {
  const ListenerId first = listening.find(flow.local, flow.local_port);
  if (first == kNoIndex) return kNoIndex;
  const std::vector<ListenerId>& group = listeners[first].group;
  // The table's hash is keyed: no peer chooses its listener. Its low bits choose the bucket there.
  return group.size() == 1 ? first : group[(hash >> 40U) % group.size()];
}

//= RFC9293 MUST-41
Result<ListenerId, Error> Stack::Impl::listen(const Endpoint& local, const ListenOptions& options) {
  if (!local.addr.is_unspecified() && !routes.is_ours(local.addr)) {
    return Error::kAddressNotLocal;
  }
  ListenerId id = 0;
  while (id < listeners.size() && listeners[id].used) ++id;
  if (id == kMaxListeners) return Error::kFull;
  const ListenerId first = listening.exact(local.addr, local.port);
  if (first != kNoIndex && !(options.reuse_port && listeners[first].reuse_port)) {
    return Error::kAddressInUse;
  }
  const bool v6_only = options.v6_only.value_or(config.tcp.bindv6only);
  if (first == kNoIndex && !listening.add(local.addr, local.port, id, v6_only)) {
    return Error::kFull;
  }
  if (id == listeners.size()) listeners.emplace_back();
  close_waits.of_listener.resize(listeners.size());
  accepting.resize(listeners.size() / kWordBits + 1);
  Listener& l = listeners[id];
  l = Listener{};
  l.local = local;
  l.backlog = std::max<std::uint32_t>(1, std::min(options.backlog, config.tcp.somaxconn));
  l.used = true;
  l.reuse_port = options.reuse_port;
  l.v6_only = v6_only;
  take_over(l, options.conn);
  l.defer_retries = retries_in(options.defer_accept, config.tcp);
  listeners[first == kNoIndex ? id : first].group.push_back(id);
  return id;
}

std::uint8_t Stack::Impl::window_scale(const Listener& l) const {
  return tcp::window_scale_of(config.tcp, l.has_own ? &l.conn.tcp : nullptr);
}

Stack::Impl::IpFields Stack::Impl::fields_of(ListenerId id) const {
  const ConnOptions& own = listeners[id].conn;
  IpFields f = default_fields();
  if (own.tos) f.tos = *own.tos & 0xfcU;
  if (own.ttl != 0) f.ttl = own.ttl;
  return f;
}

void Stack::Impl::take_over(Listener& l, const ConnOptions& conn) {
  l.conn = conn;
  l.conn.tcp = tcp::within_limits(conn.tcp);
  l.has_own = l.conn != ConnOptions{};
}

// Peers who are half open, or have a cookie, know the scale by now: it stays as it was told.
void Stack::Impl::configure(Listener& l, const ConnOptions& conn) {
  const bool told = l.half_open > 0 || now < cookies_until;
  const auto scale = static_cast<std::int8_t>(window_scale(l));
  take_over(l, conn);
  if (!told) return;
  l.conn.tcp.window_scale = scale;
  l.has_own = true;
}

void Stack::configure(ListenerId id, const ConnOptions& conn) {
  if (id < impl_->listeners.size() && impl_->listeners[id].used) {
    impl_->configure(impl_->listeners[id], conn);
  }
}

void Stack::set_defer_accept(ListenerId id, Duration wait) {
  if (id >= impl_->listeners.size()) return;
  impl_->listeners[id].defer_retries = retries_in(wait, impl_->config.tcp);
}

void Stack::Impl::leave_group(ListenerId id) {
  const Endpoint at = listeners[id].local;
  const ListenerId first = listening.exact(at.addr, at.port);
  std::vector<ListenerId> group = std::move(listeners[first].group);
  std::erase(group, id);
  if (first == id) {
    listening.remove(at.addr, at.port);
    if (group.empty()) return;
    const bool v6_only = listeners[group.front()].v6_only;
    const bool added =
        listening.add(at.addr, at.port, group.front(), v6_only);  // the place just left
    WEIR_ASSERT(added);
  }
  listeners[group.front()].group = std::move(group);
}

void Stack::Impl::stop_listening(ListenerId id) {
  if (id >= listeners.size() || !listeners[id].used) return;
  Listener& l = listeners[id];
  leave_group(id);
  l.used = false;
  while (!l.accept_queue.empty()) {
    const std::uint32_t index = l.accept_queue.pop(conns);
    Conn& c = conns[index];
    c.waits_accept = false;
    --l.waiting;
    --accept_waiting;
    if (c.doomed) {
      free_if_unlisted(index);
    } else {
      leave(index, Leaving::kAbort);
    }
  }
  forget_unwanted_syns();
}

std::optional<ConnId> Stack::accept_one(ListenerId id) {
  Impl& s = *impl_;
  if (id >= s.listeners.size() || !s.listeners[id].used) return std::nullopt;
  Listener& l = s.listeners[id];
  const std::uint32_t index = s.pop_accepted(l);
  if (index == kNoIndex) return std::nullopt;
  ++l.accepted;
  s.mark_output(index);  // which tells what was kept back
  return s.id_of(index);
}

void Stack::set_backlog(ListenerId id, std::uint32_t backlog) {
  if (id >= impl_->listeners.size()) return;
  impl_->listeners[id].backlog =
      std::max<std::uint32_t>(1, std::min(backlog, impl_->config.tcp.somaxconn));
}

std::optional<ListenerStats> Stack::listener_stats(ListenerId id) const {
  const Impl& s = *impl_;
  if (id >= s.listeners.size() || !s.listeners[id].used) return std::nullopt;
  const Listener& l = s.listeners[id];
  return ListenerStats{
      l.local,         l.backlog,
      l.waiting,       l.half_open,
      l.accepted,      l.accept_overflows,
      l.syn_overflows, id < s.close_waits.of_listener.size() ? s.close_waits.of_listener[id] : 0};
}

}  // namespace weir::stack

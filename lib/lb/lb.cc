#include "lb/lb.h"

#include <algorithm>
#include <new>
#include <utility>

#include "base/assert.h"

namespace weir::lb {

Handler::Handler(stack::Stack& s, const Config& config)
    : stack_(s), config_(config), sessions_(config.max_sessions) {
  pools_.reserve(config_.pools.size());
  for (const PoolConfig& p : config_.pools) pools_.emplace_back(p);
}

Result<std::uint32_t, Handler::ListenError> Handler::start() {
  for (std::uint32_t i = 0; i < config_.listeners.size(); ++i) {
    const ListenerConfig& l = config_.listeners[i];
    if (l.mode != Mode::kTcp) continue;
    auto id = stack_.listen(l.address, {.backlog = l.backlog});
    if (!id) return ListenError{i, id.error()};
    open_.push_back({*id, i});
  }
  return static_cast<std::uint32_t>(open_.size());
}

void Handler::stop_accepting() {
  for (const Open& o : open_) stack_.stop_listening(o.id);
  open_.clear();
}

void Handler::abort_all() {
  for (std::uint32_t i = 0; i < high_water_; ++i) {
    if (!sessions_[i].live) continue;
    counters_.aborted.add();
    end(i);
  }
}

void Handler::pause(bool paused) {
  if (paused_ == paused) return;
  paused_ = paused;
  for (const Open& o : open_) stack_.pause_accept(o.id, paused);
}

Handler::Session& Handler::session_of(std::uint64_t user) {
  Session& s = sessions_[index_of(user)];
  WEIR_ASSERT(s.live);
  return s;
}

// -- The way to a backend -------------------------------------------------------------------

void Handler::on_accept(Connection c, ListenerId listener) {
  const auto open =
      std::find_if(open_.begin(), open_.end(), [&](const Open& o) { return o.id == listener; });
  const std::uint32_t index = open == open_.end() ? kNoIndex : take_session();
  if (index == kNoIndex) {  // full, or the listener was closed earlier in this burst
    counters_.refused.add();
    return c.abort();
  }
  Session& s = sessions_[index];
  s.pool = config_.listeners[open->config].pool;
  s.legs[kClient] = {.conn = c, .open = true};
  s.last_moved = stack_.now();
  c.set_user(user_of(index, kClient));
  c.set_nodelay(true);  // the client's and the backend's own Nagle decide
  c.set_timer(s.last_moved + config_.idle_timeout);
  counters_.sessions_total.add();
  try_backend(index);
}

std::uint32_t Handler::take_session() {
  const std::uint32_t index = sessions_.take();
  if (index == kNoIndex) return kNoIndex;
  high_water_ = std::max(high_water_, index + 1);
  ::new (sessions_.slot(index)) Session{};
  sessions_[index].live = true;
  counters_.sessions.up();
  if (sessions_.full()) pause(true);
  return index;
}

bool Handler::adopt(Adopted& a) {
  const std::uint32_t index = take_session();
  if (index == kNoIndex) return false;
  Session& s = sessions_[index];
  s.pool = a.pool;
  s.backend = a.pick;
  s.connected = true;
  s.last_moved = stack_.now();
  s.legs[kClient] = {.conn = a.client, .open = true, .fin_in = a.client_fin};
  s.legs[kBackend] = {.conn = a.backend, .open = true, .fin_in = a.backend_fin};
  a.client.set_user(user_of(index, kClient));
  a.backend.set_user(user_of(index, kBackend));
  a.backend.set_timer(kNever);
  watch(s, kClient);
  counters_.bytes_to_backend.add(a.from_client.bytes());
  counters_.bytes_to_client.add(a.from_backend.bytes());
  a.backend.send(std::move(a.from_client));
  a.client.send(std::move(a.from_backend));
  move(s, kClient);
  move(s, kBackend);
  settle(index);
  return true;
}

// Connects to the next backend that was not tried; with none left the client is reset.
void Handler::try_backend(std::uint32_t index) {
  Session& s = sessions_[index];
  Pool& pool = pools_[s.pool];
  const Instant now = stack_.now();
  while (s.tries <= pool.config().retries) {
    const std::uint32_t b = pool.pick(s.tried, now);
    if (b == kNoBackend) break;
    s.backend = b;
    s.tried.set(b);
    if (s.tries++ > 0) counters_.backend_retries.add();
    auto id = stack_.connect(pool.endpoint(b), std::nullopt, now);
    if (id) {
      Connection c{stack_, *id};
      s.legs[kBackend] = {.conn = c, .open = true};
      c.set_user(user_of(index, kBackend));
      c.set_nodelay(true);
      return c.set_timer(now + pool.config().connect_timeout);
    }
    counters_.connect_errors.add();  // ours, not the backend's: its health is not touched
    release_backend(s);
    if (id.error() == stack::Error::kFull) break;
  }
  counters_.no_backend.add();
  end(index);
}

void Handler::on_backend_failed(std::uint32_t index) {
  Session& s = sessions_[index];
  pools_[s.pool].on_connect_failed(s.backend, stack_.now());
  release_backend(s);
  s.legs[kBackend] = {};
  try_backend(index);
}

void Handler::release_backend(Session& s) {
  if (s.backend == kNoBackend) return;
  pools_[s.pool].on_released(s.backend);
  s.backend = kNoBackend;
}

void Handler::on_connected(Connection c, std::uint64_t user) {
  Session& s = session_of(user);
  s.connected = true;
  s.last_moved = stack_.now();
  pools_[s.pool].on_connected(s.backend);
  c.set_timer(kNever);
  move(s, kClient);  // what came while nobody was there to take it
}

// -- Bytes ----------------------------------------------------------------------------------

void Handler::on_readable(Connection, std::uint64_t user) {
  move(session_of(user), side_of(user));
}

void Handler::on_writable(Connection, std::uint64_t user) {
  Session& s = session_of(user);
  move(s, other(side_of(user)));
  if (s.legs[side_of(user)].fin_in) settle(index_of(user));
}

void Handler::on_peer_closed(Connection, std::uint64_t user) {
  Session& s = session_of(user);
  s.legs[side_of(user)].fin_in = true;
  move(s, side_of(user));
  settle(index_of(user));
}

// Moves what the other leg has room for. What is left keeps `from`'s window closed until the other
// leg says that there is room again.
void Handler::move(Session& s, Side from) {
  const Side to = other(from);
  if (!s.connected || !s.legs[from].open || !s.legs[to].open) return;
  Connection in = s.legs[from].conn;
  Connection out = s.legs[to].conn;
  const std::size_t n = std::min(in.readable(), out.send_room());
  if (n > 0) {
    BufChain chain = in.receive(n);
    (from == kClient ? counters_.bytes_to_backend : counters_.bytes_to_client).add(chain.bytes());
    out.send(std::move(chain));
    s.last_moved = stack_.now();
  }
  if (in.readable() > 0) return out.want_writable();
  pass_fin(s, from);
}

// A leg that is gone cannot wait for room: its last text overshoots the other's send buffer by one
// receive buffer at most.
void Handler::move_rest(Session& s, Side from) {
  if (!s.connected || !s.legs[other(from)].open) return;
  Connection in = s.legs[from].conn;
  if (const std::size_t n = in.readable(); n > 0) {
    (from == kClient ? counters_.bytes_to_backend : counters_.bytes_to_client).add(n);
    s.legs[other(from)].conn.send(in.receive(n));
  }
  pass_fin(s, from);
}

void Handler::pass_fin(Session& s, Side from) {
  Leg& to = s.legs[other(from)];
  if (!s.legs[from].fin_in || to.fin_out) return;
  to.fin_out = true;
  to.conn.shutdown_send();
}

// -- The end --------------------------------------------------------------------------------

void Handler::on_timer(Connection c, std::uint64_t user) {
  const auto index = index_of(user);
  if (side_of(user) == kClient || session_of(user).connected) return check_idle(index);
  c.abort();  // the backend said nothing
  on_backend_failed(index);
}

// Lets go of each leg that has nothing left to do: both FINs passed and its text acknowledged. The
// stack sees to the rest. A leg with text that nobody takes stays, for the idle timer to end.
void Handler::settle(std::uint32_t index) {
  Session& s = sessions_[index];
  for (const Side side : {kClient, kBackend}) {
    Leg& leg = s.legs[side];
    const Leg& opposite = s.legs[other(side)];
    if (!leg.open || !leg.fin_in || !leg.fin_out || (opposite.open && !opposite.fin_out)) continue;
    if (leg.conn.unacked() > 0) {
      leg.conn.want_writable();
      continue;
    }
    leg.conn.close();
    leg.open = false;
    if (opposite.open) watch(s, other(side));
  }
  if (!s.legs[kClient].open && !s.legs[kBackend].open) end(index);
}

// The timer is armed once and looks back: moving text costs one store.
void Handler::check_idle(std::uint32_t index) {
  Session& s = sessions_[index];
  const Instant now = stack_.now();
  std::uint64_t unacked = 0;
  for (const Leg& leg : s.legs) unacked += leg.open ? leg.conn.unacked() : 0;
  if (unacked != std::exchange(s.last_unacked, unacked)) s.last_moved = now;
  if (now - s.last_moved >= config_.idle_timeout) {
    counters_.idle_timeouts.add();
    return end(index);
  }
  watch(s, s.legs[kClient].open ? kClient : kBackend);
}

// The idle timer runs on the client's leg while there is one.
void Handler::watch(Session& s, Side side) {
  s.legs[side].conn.set_timer(s.last_moved + config_.idle_timeout);
}

void Handler::on_closed(Connection, std::uint64_t user, CloseReason reason) {
  const auto index = index_of(user);
  const Side side = side_of(user);
  Session& s = session_of(user);
  s.legs[side].open = false;
  if (side == kBackend && !s.connected) return on_backend_failed(index);
  if (reason == CloseReason::kNormal) return on_leg_done(index, side);
  (side == kClient ? counters_.client_resets : counters_.backend_resets).add();
  Leg& leg = s.legs[other(side)];
  if (leg.open && leg.fin_out) {
    // It had said all it had to say: what the other side has yet to read of that is not lost.
    leg.conn.release(leg.conn.receive(leg.conn.readable()));
    leg.conn.close();
    leg.open = false;
  }
  end(index);
}

// One leg closed in both directions; the other one follows, or has.
void Handler::on_leg_done(std::uint32_t index, Side side) {
  Session& s = sessions_[index];
  s.legs[side].fin_in = true;
  move_rest(s, side);
  if (!s.legs[other(side)].open) return end(index);
  watch(s, other(side));
  settle(index);
}

void Handler::end(std::uint32_t index) {
  Session& s = sessions_[index];
  for (Leg& leg : s.legs) {
    if (leg.open) leg.conn.abort();
  }
  release_backend(s);
  s.live = false;
  sessions_.give(index);
  counters_.sessions.down();
  pause(false);
}

}  // namespace weir::lb

// The clients' side: connections, turns, timers, answers of our own, the end.
#include "lb/http_sessions.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>
#include <utility>

#include "base/assert.h"

namespace weir::lb::http {
namespace {

constexpr Duration kLinger = 2s;
constexpr std::uint32_t kScans = 256;  // of one listener with rules
constexpr unsigned kTurns = 256;       // steps of one client in one call
constexpr std::uint32_t kResponseHead = 16'384;

// Of a block: any listener's requests, and responses that no listener's max_head limits.
std::uint32_t largest_head(const Config& config) {
  std::uint32_t most = kResponseHead;
  for (const ListenerConfig& l : config.listeners) most = std::max(most, l.max_head);
  return most;
}

}  // namespace

HeadBlocks::HeadBlocks(std::uint32_t count, std::uint32_t size) : count_(count), size_(size) {
  void* p = mmap(nullptr, std::size_t{count} * size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  base_ = static_cast<char*>(p);
  free_.reserve(count);
}

HeadBlocks::~HeadBlocks() {
  munmap(base_, std::size_t{count_} * size_);
}

std::uint32_t HeadBlocks::take() {
  if (free_.empty()) {
    WEIR_ASSERT(fresh_ < count_);
    return fresh_++;
  }
  const std::uint32_t index = free_.back();
  free_.pop_back();
  return index;
}

Sessions::Sessions(stack::Stack& s, const Config& config, Handler& tunnels)
    : stack_(s),
      config_(config),
      tunnels_(tunnels),
      pools_(tunnels.pools()),
      sessions_(config.max_sessions),
      blocks_(config.max_sessions, largest_head(config)),
      backends_(s, config, tunnels.pools()),
      scratch_(largest_head(config) + kHeadSlack) {
  for (const ListenerConfig& l : config_.listeners) {
    if (l.rules == nullptr) {
      banks_.push_back(nullptr);
    } else {
      banks_.push_back(std::make_unique<ScanBank>(l.rules, std::min(kScans, config.max_sessions)));
    }
  }
}

Result<std::uint32_t, Handler::ListenError> Sessions::start() {
  for (std::uint32_t i = 0; i < config_.listeners.size(); ++i) {
    const ListenerConfig& l = config_.listeners[i];
    if (l.mode != Mode::kHttp) continue;
    auto id = stack_.listen(l.address, {.backlog = l.backlog});
    if (!id) return Handler::ListenError{i, id.error()};
    open_.push_back({*id, i});
  }
  return static_cast<std::uint32_t>(open_.size());
}

bool Sessions::owns(ListenerId id) const {
  return std::any_of(open_.begin(), open_.end(), [&](const Open& o) { return o.id == id; });
}

void Sessions::stop_accepting() {
  for (const Open& o : open_) stack_.stop_listening(o.id);
  open_.clear();
  draining_ = true;
  backends_.close_idle();
  counters_.idle_backends.set(0);
  for (std::uint32_t i = 0; i < high_water_; ++i) {
    Session& s = sessions_[i];
    if (!s.live) continue;
    s.close_after = true;
    const bool idle = s.state == State::kHead && !s.begun && s.in.empty();
    if (idle && s.client.readable() == 0) linger(i);
  }
}

void Sessions::abort_all() {
  for (std::uint32_t i = 0; i < high_water_; ++i) {
    if (!sessions_[i].live) continue;
    counters_.aborted.add();
    end(i, true);
  }
  backends_.abort_all();
  counters_.idle_backends.set(0);
}

void Sessions::pause(bool paused) {
  if (paused_ == paused) return;
  paused_ = paused;
  for (const Open& o : open_) stack_.pause_accept(o.id, paused);
}

// -- Events ---------------------------------------------------------------------------------

void Sessions::on_accept(Connection c, ListenerId id) {
  const auto open =
      std::find_if(open_.begin(), open_.end(), [&](const Open& o) { return o.id == id; });
  const std::uint32_t index = open == open_.end() ? kNoIndex : sessions_.take();
  if (index == kNoIndex) {  // full, or the listener was closed earlier in this burst
    counters_.refused.add();
    return c.abort();
  }
  high_water_ = std::max(high_water_, index + 1);
  auto& s = *::new (sessions_.slot(index)) Session;
  s.client = c;
  s.listener = open->config;
  s.last_moved = stack_.now();
  c.set_user(user_of(index));
  c.set_nodelay(true);
  counters_.sessions.up();
  counters_.sessions_total.add();
  if (sessions_.full()) pause(true);
  arm(index);
}

void Sessions::on_connected(Connection, std::uint64_t user) {
  const std::uint32_t backend = index_of(user);
  Backend& b = backends_[backend];
  b.connected = true;
  b.last_moved = stack_.now();
  b.conn.set_timer(b.last_moved + config_.response_timeout);
  pools_[b.pool].on_connected(b.pick);
  counters_.backend_fresh.add();
  sessions_[b.session].state = State::kExchange;
  pump(b.session);
}

void Sessions::on_readable(Connection, std::uint64_t user) {
  const std::uint32_t index = index_of(user);
  if (!is_backend(user)) return pump(index);
  if (!backends_[index].parked) return pump(backends_[index].session);
  // The event may be older than the parking, by what was read since.
  if (backends_[index].conn.readable() == 0) return;
  counters_.unsolicited.add();
  counters_.idle_backends.down();
  backends_.abort(index);
}

void Sessions::on_writable(Connection, std::uint64_t user) {
  const std::uint32_t index = index_of(user);
  if (!is_backend(user)) return pump(index);
  if (!backends_[index].parked) pump(backends_[index].session);
}

void Sessions::on_peer_closed(Connection, std::uint64_t user) {
  const std::uint32_t index = index_of(user);
  if (!is_backend(user)) {
    sessions_[index].client_fin = true;
    return pump(index);
  }
  if (!backends_[index].parked) {
    backends_[index].fin = true;
    return pump(backends_[index].session);
  }
  counters_.idle_backends.down();
  backends_.close(index);
}

void Sessions::on_timer(Connection, std::uint64_t user) {
  if (is_backend(user)) return on_backend_timer(index_of(user));
  on_client_timer(index_of(user));
}

void Sessions::on_closed(Connection, std::uint64_t user, CloseReason reason) {
  const std::uint32_t index = index_of(user);
  if (!is_backend(user)) {
    if (reason != CloseReason::kNormal) counters_.client_resets.add();
    return end(index, true);
  }
  Backend& b = backends_[index];
  if (b.parked) {
    counters_.idle_backends.down();
    return backends_.remove(index);
  }
  if (!b.connected) return on_connect_failed(b.session);
  b.fin = true;
  b.lost = reason != CloseReason::kNormal;
  if (b.lost) counters_.backend_resets.add();
  pump(b.session);  // what was received of it before may still be passed on
}

// -- Turns ----------------------------------------------------------------------------------

void Sessions::pump(std::uint32_t index) {
  for (unsigned turn = 0; step(index); ++turn) {
    if (turn == kTurns) {  // others wait: go on in the next iteration
      Session& s = sessions_[index];
      s.timer = stack_.now();
      return s.client.set_timer(s.timer);
    }
  }
  if (sessions_[index].live) arm(index);
}

bool Sessions::step(std::uint32_t index) {
  if (!sessions_[index].live) return false;
  switch (sessions_[index].state) {
    case State::kHead:
      return read_head(index);
    case State::kHold:
      return hold(index);
    case State::kConnect:
      return false;
    case State::kExchange:
      return exchange(index);
    case State::kAnswer:
      return answering(index);
    default:
      return lingering(index);
  }
}

bool Sessions::exchange(std::uint32_t index) {
  if (send_request(index)) return true;
  Session& s = sessions_[index];
  if (!s.live || s.state != State::kExchange) return false;
  return take_response(index);
}

bool Sessions::answering(std::uint32_t index) {
  Session& s = sessions_[index];
  if (!flush(s)) return false;
  return s.close_after ? linger(index) : next_request(index);
}

// Throws away what comes until the client closes too, so that our last word is not lost to a reset.
bool Sessions::lingering(std::uint32_t index) {
  Session& s = sessions_[index];
  if (const std::size_t n = s.client.readable(); n > 0) s.client.release(s.client.receive(n));
  if (!s.client_fin) return false;
  s.client.close();
  end(index, false);
  return false;
}

// -- Moving octets --------------------------------------------------------------------------

void Sessions::drop_front(BufChain& in, std::uint32_t n) {
  BufChain done;
  while (n > 0) {
    if (n < in.head()->len) {
      in.trim_head(n);
      break;
    }
    n -= in.head()->len;
    done.push_back(in.pop_front());
  }
  if (!done.empty()) stack_.release(std::move(done));
}

bool Sessions::pass(BufChain& in, std::uint32_t& parsed, Connection out, Counter& counter) {
  const std::uint32_t before = parsed;
  BufChain whole;
  std::size_t room = out.send_room();
  while (parsed > 0 && room > 0 && in.head()->len <= parsed) {
    const std::uint32_t n = in.head()->len;
    parsed -= n;
    room -= std::min<std::size_t>(room, n);
    whole.push_back(in.pop_front());
  }
  if (!whole.empty()) out.send(std::move(whole));
  if (parsed > 0 && room > 0) {  // the buffer's rest is the next message's
    const auto* text = in.head()->data;
    const auto n =
        static_cast<std::uint32_t>(out.send({text, std::min<std::size_t>(parsed, room)}));
    if (n > 0) in.trim_head(n);
    parsed -= n;
  }
  if (parsed > 0) out.want_writable();
  counter.add(before - parsed);
  return parsed < before;
}

// Writes what is due to the client besides a body. True when nothing of it is left.
bool Sessions::flush(Session& s) {
  if (s.writing == Writing::kNothing) return true;
  std::size_t size = 0;
  if (s.writing == Writing::kContinue) {
    constexpr std::string_view kText = "HTTP/1.1 100 Continue\r\n\r\n";
    size = kText.copy(scratch_.data(), kText.size());
  } else if (s.writing == Writing::kAnswer) {
    size = write_answer(scratch_, s.status, s.request.facts().head, s.close_after);
  } else {
    const Facts& f = s.response.facts();
    const bool interim = f.status < 200;
    const ResponseExtras extras{.close = s.close_after && !interim,
                                .say_keep_alive = s.request.facts().http10 && !s.close_after,
                                .framing = s.dechunk ? Framing::kUntilClose : f.framing};
    size = write_response(scratch_, s.response.head(), f, extras);
  }
  const std::span<const char> left(scratch_.data() + s.to_client, size - s.to_client);
  s.to_client += static_cast<std::uint32_t>(s.client.send(std::as_bytes(left)));
  if (s.to_client < size) {
    s.client.want_writable();
    return false;
  }
  s.last_moved = stack_.now();
  s.to_client = 0;
  s.writing = Writing::kNothing;
  return true;
}

// -- Answers of our own ---------------------------------------------------------------------

void Sessions::count_answer(std::uint16_t status) {
  HttpCounters& c = counters_;
  switch (status) {
    case 400:
      return c.answers_400.add();
    case 404:
      return c.answers_404.add();
    case 408:
      return c.answers_408.add();
    case 413:
      return c.answers_413.add();
    case 431:
      return c.answers_431.add();
    case 501:
      return c.answers_501.add();
    case 502:
      return c.answers_502.add();
    case 503:
      return c.answers_503.add();
    case 504:
      return c.answers_504.add();
    case 505:
      return c.answers_505.add();
    default:
      return;  // a rule's: counted as denied
  }
}

// Always true: the answer is to be written. Its connection ends where more of the request may come.
bool Sessions::reject(std::uint32_t index, std::uint16_t status, bool close) {
  Session& s = sessions_[index];
  if (s.responded || (s.writing != Writing::kNothing && s.to_client > 0)) return cut(index);
  count_answer(status);
  s.close_after = s.close_after || close || draining_ || !s.request.done() || s.parsed > 0;
  drop_backend(s);
  s.routing.end();
  s.status = status;
  s.writing = Writing::kAnswer;
  s.state = State::kAnswer;
  return true;
}

bool Sessions::on_fault(std::uint32_t index, Fault fault) {
  if (fault == Fault::kLength || fault == Fault::kHost) counters_.smuggling_rejects.add();
  std::uint16_t status = 400;
  if (fault == Fault::kHeadTooLong) status = 431;
  if (fault == Fault::kVersion) status = 505;
  if (fault == Fault::kMethod) status = 501;
  return reject(index, status, true);
}

// A client that knows how long the response was to be sees by a FIN that it is not whole, and keeps
// what came; another one has to be told by a reset.
bool Sessions::cut(std::uint32_t index) {
  counters_.cut.add();
  Session& s = sessions_[index];
  const Framing framing = s.response.facts().framing;
  const bool framed = framing == Framing::kLength || framing == Framing::kChunked;
  if (s.responded && s.writing == Writing::kNothing && framed && !s.dechunk) {
    drop_backend(s);
    return linger(index);
  }
  end(index, true);
  return false;
}

// -- The end --------------------------------------------------------------------------------

void Sessions::drop_backend(Session& s) {
  if (s.backend != kNoIndex) backends_.abort(s.backend);
  s.backend = kNoIndex;
  release_pick(s);
}

void Sessions::end_request(Session& s) {
  s.routing.end();
  if (s.block != kNoIndex) blocks_.give(s.block);
  s.block = kNoIndex;
  s.tried.reset();
  s.tries = s.tag_count = s.interims = 0;
  s.to_backend = s.to_client = 0;
  s.writing = Writing::kNothing;
  s.begun = s.head_out = s.reading_response = s.responded = s.continued = false;
  s.dechunk = s.fresh_only = false;
}

bool Sessions::next_request(std::uint32_t index) {
  Session& s = sessions_[index];
  WEIR_ASSERT(s.parsed == 0 && s.backend == kNoIndex);
  end_request(s);
  s.state = State::kHead;
  s.last_moved = stack_.now();
  return true;
}

bool Sessions::linger(std::uint32_t index) {
  Session& s = sessions_[index];
  end_request(s);
  if (!s.in.empty()) s.client.release(std::move(s.in));
  s.parsed = 0;
  s.state = State::kLinger;
  s.last_moved = stack_.now();
  s.client.shutdown_send();
  arm(index);
  return true;
}

void Sessions::end(std::uint32_t index, bool reset) {
  Session& s = sessions_[index];
  if (reset) s.client.abort();
  drop_backend(s);
  end_request(s);
  if (!s.in.empty()) stack_.release(std::move(s.in));
  s.live = false;
  sessions_.give(index);
  counters_.sessions.down();
  pause(false);
}

// -- Time -----------------------------------------------------------------------------------

// Armed once and looking back: moving octets costs one store.
void Sessions::arm(std::uint32_t index) {
  Session& s = sessions_[index];
  const Instant when = deadline(s);
  if (when >= s.timer) return;
  s.timer = when;
  s.client.set_timer(when);
}

Instant Sessions::deadline(const Session& s) const {
  if (s.state == State::kHead && s.begun) return s.head_began + config_.request_timeout;
  const bool gone = s.state == State::kLinger && s.client.unacked() == 0;
  return s.last_moved + (gone ? std::min(kLinger, config_.idle_timeout) : config_.idle_timeout);
}

// Nothing can move before a backend does something.
bool Sessions::waits_for_backend(Session& s) {
  if (s.state == State::kConnect) return true;
  if (s.state != State::kExchange) return false;
  const Backend& b = backends_[s.backend];
  const bool client_slow = s.client.unacked() > 0 || s.writing != Writing::kNothing ||
                           !b.in.empty() || b.conn.readable() > 0;
  if (client_slow) return false;
  return s.request.done() || s.parsed > 0 || !s.head_out || b.conn.unacked() > 0;
}

void Sessions::on_client_timer(std::uint32_t index) {
  Session& s = sessions_[index];
  const Instant now = stack_.now();
  s.timer = kNever;
  const std::uint64_t unacked = s.client.unacked();
  if (unacked != std::exchange(s.last_unacked, unacked)) s.last_moved = now;
  if (waits_for_backend(s)) s.last_moved = now;  // response_timeout judges that
  if (now < deadline(s)) return pump(index);
  switch (s.state) {
    case State::kHead:
      if (!s.begun || s.request.head() == "\r\n") {
        counters_.idle_timeouts.add();
        (void)linger(index);
        return pump(index);
      }
      (void)reject(index, 408, true);
      return pump(index);
    case State::kHold:
    case State::kExchange:
      counters_.idle_timeouts.add();
      if (!s.request.done()) {
        if (reject(index, 408, true)) pump(index);
        return;
      }
      return end(index, true);
    case State::kLinger:
      if (unacked == 0) {
        s.client.close();
        return end(index, false);
      }
      [[fallthrough]];
    default:
      counters_.idle_timeouts.add();
      return end(index, true);
  }
}

void Sessions::on_backend_timer(std::uint32_t backend) {
  Backend& b = backends_[backend];
  const Instant now = stack_.now();
  if (b.parked) {
    counters_.idle_backends.down();
    return backends_.close(backend);
  }
  const std::uint32_t index = b.session;
  if (!b.connected) {  // it said nothing
    b.conn.abort();
    return on_connect_failed(index);
  }
  Session& s = sessions_[index];
  const std::uint64_t unacked = b.conn.unacked();
  if (unacked != std::exchange(b.last_unacked, unacked)) b.last_moved = now;
  const bool ours =
      !s.request.done() || s.writing != Writing::kNothing || !b.in.empty() || b.conn.readable() > 0;
  if (ours) b.last_moved = now;
  const Instant due = b.last_moved + config_.response_timeout;
  if (now < due) return b.conn.set_timer(due);
  if (reject(index, 504, false)) pump(index);
}

}  // namespace weir::lb::http

// The way out: a request's head, the rules, the connection to a backend, the body.
#include <algorithm>
#include <array>
#include <utility>

#include "base/assert.h"
#include "lb/http_sessions.h"

namespace weir::lb::http {
namespace {

constexpr std::uint32_t kReadAtOnce = 65'536;

const char* text_of(const Buf& b) {
  return reinterpret_cast<const char*>(b.data);
}

}  // namespace

// -- The head -------------------------------------------------------------------------------

void Sessions::begin_head(Session& s) {
  s.begun = true;
  s.head_began = stack_.now();
  s.block = blocks_.take();
  const std::span<char> block = blocks_[s.block];
  s.routing.begin(banks_[s.listener].get());
  s.request.begin_request(block.first(std::min<std::size_t>(listener(s).max_head, block.size())),
                          &s.routing);
}

bool Sessions::read_head(std::uint32_t index) {
  Session& s = sessions_[index];
  if (s.in.empty() && !receive_request(s, kReadAtOnce)) {
    if (!s.client_fin) return false;
    s.client.close();  // between requests, or in half a head: nobody waits for an answer
    end(index, false);
    return false;
  }
  if (!s.begun) begin_head(s);
  const Buf* b = s.in.head();
  const Run run = s.request.feed(text_of(*b), b->len);
  drop_front(s.in, run.octets);
  switch (s.request.state()) {
    case Framer::State::kHead:
      return true;
    case Framer::State::kFault:
      return on_fault(index, s.request.fault());
    default:
      return on_head(index);
  }
}

bool Sessions::on_head(std::uint32_t index) {
  Session& s = sessions_[index];
  const Facts& f = s.request.facts();
  counters_.requests.add();
  s.last_moved = stack_.now();
  s.close_after = s.close_after || !f.keep_alive || draining_;
  if (f.framing == Framing::kLength && f.length > listener(s).max_body) {
    return reject(index, 413, true);
  }
  if (!s.routing.on_head(s.request.head(), f)) return reject(index, 503, true);
  return decide(index);
}

// -- The rules ------------------------------------------------------------------------------

// A rule on the body that stands before the verdict keeps the request back, as far as is allowed.
bool Sessions::decide(std::uint32_t index) {
  Session& s = sessions_[index];
  const Verdict v = s.routing.verdict();
  const bool more = !s.request.done() && s.parsed < listener(s).inspect_body;
  if (v.body_may_decide && more) {
    if (s.state == State::kHold) return true;
    s.state = State::kHold;
    counters_.held.add();
    if (s.request.facts().expects_continue) {  // else its body never comes
      s.continued = true;
      s.writing = Writing::kContinue;
    }
    return true;
  }
  if (!v.body_may_decide || s.request.done()) s.routing.end();
  return route(index, v);
}

bool Sessions::route(std::uint32_t index, const Verdict& v) {
  Session& s = sessions_[index];
  s.tag_count = std::min(v.tag_count, kMaxTags);
  std::copy_n(v.tags, s.tag_count, s.tags);
  counters_.tagged.add(s.tag_count);
  counters_.tags_over.add(v.tag_count - s.tag_count);
  if (v.kind == Verdict::kDeny) {
    counters_.denied.add();
    return reject(index, v.status, false);
  }
  s.pool = v.kind == Verdict::kPool ? v.pool : listener(s).pool;
  if (s.pool == kNoPool) return reject(index, 404, false);
  return connect(index);
}

bool Sessions::hold(std::uint32_t index) {
  Session& s = sessions_[index];
  if (!flush(s)) return false;
  if (s.parsed == s.in.bytes() && !receive_request(s, kReadAtOnce)) {
    if (s.client_fin) end(index, true);
    return false;
  }
  if (!parse_request(s)) return on_fault(index, s.request.fault());
  if (s.request.body_octets() > listener(s).max_body) return reject(index, 413, true);
  return decide(index);
}

// A deny that matches behind what was held: the rules are asked at each piece.
bool Sessions::scan_body(Session& s, const char* text, std::uint32_t n) {
  if (!s.routing.scanning()) return true;
  s.routing.on_body(text, n);
  if (s.state == State::kHold) return true;
  const Verdict v = s.routing.verdict();
  if (v.kind == Verdict::kDeny) s.status = v.status;
  return v.kind != Verdict::kDeny;
}

// -- The body -------------------------------------------------------------------------------

// Takes what has come, at most about `room`. True when there is something.
bool Sessions::receive_request(Session& s, std::size_t room) {
  const std::size_t n = std::min(s.client.readable(), room);
  if (n == 0) return false;
  s.in.append(s.client.receive(n));
  s.last_moved = stack_.now();
  return true;
}

// Looks at the octets that were not looked at yet, up to the end of their buffer or of the request.
// False: a fault, or a rule denies (s.status is set then).
bool Sessions::parse_request(Session& s) {
  std::uint32_t skip = s.parsed;
  const Buf* b = s.in.head();
  while (b != nullptr && skip >= b->len) {
    skip -= b->len;
    b = b->next;
  }
  if (b == nullptr) return true;
  while (skip < b->len && s.request.state() == Framer::State::kBody) {
    const Run run = s.request.feed(text_of(*b) + skip, b->len - skip);
    if (s.request.state() == Framer::State::kFault) return false;
    if (run.kind == Run::kData && !scan_body(s, text_of(*b) + skip, run.octets)) return false;
    skip += run.octets;
    s.parsed += run.octets;
  }
  if (s.request.done()) s.routing.on_body_end();
  return true;
}

bool Sessions::send_head(Session& s) {
  if (s.head_out) return true;
  Connection out = backends_[s.backend].conn;
  std::array<std::string_view, kMaxTags> tags;
  for (std::uint32_t i = 0; i < s.tag_count; ++i) {
    tags[i] = banks_[s.listener]->rules().rules()[s.tags[i]].name;
  }
  const RequestExtras extras{.client = s.client.flow().remote,
                             .backend = pools_[s.pool].endpoint(s.pick),
                             .tags = std::span(tags).first(s.tag_count),
                             .continued = s.continued};
  const std::size_t size = write_request(scratch_, s.request.head(), s.request.facts(), extras);
  const std::span<const char> left(scratch_.data() + s.to_backend, size - s.to_backend);
  s.to_backend += static_cast<std::uint32_t>(out.send(std::as_bytes(left)));
  s.head_out = s.to_backend == size;
  if (!s.head_out) out.want_writable();
  return s.head_out;
}

// As far as the backend has room. True when something moved and the exchange goes on.
bool Sessions::send_request(std::uint32_t index) {
  Session& s = sessions_[index];
  if (!send_head(s)) return false;
  if (s.parsed == 0 && s.request.done()) return false;
  Backend& b = backends_[s.backend];
  if (s.parsed == 0) {
    const std::size_t room = b.conn.send_room();
    if (room == 0) {
      b.conn.want_writable();
      return false;
    }
    if (s.in.empty() && !receive_request(s, room)) {
      if (s.client_fin) {  // half a request
        end(index, true);
      }
      return false;
    }
    if (!parse_request(s)) {
      if (s.request.state() == Framer::State::kFault) return on_fault(index, s.request.fault());
      counters_.denied.add();
      return reject(index, s.status, true);
    }
    if (s.request.body_octets() > listener(s).max_body) return reject(index, 413, true);
    if (s.request.done()) s.routing.end();
  }
  if (!pass(s.in, s.parsed, b.conn, counters_.bytes_to_backend)) return false;
  b.last_moved = s.last_moved = stack_.now();
  return true;
}

// -- The connection -------------------------------------------------------------------------

void Sessions::release_pick(Session& s) {
  if (s.pick != kNoBackend) pools_[s.pool].on_released(s.pick);
  s.pick = kNoBackend;
}

bool Sessions::use(std::uint32_t index, std::uint32_t backend) {
  Session& s = sessions_[index];
  s.backend = backend;
  backends_[backend].session = index;
  return true;
}

// A backend that was not tried: a connection that waits, or a new one. With none left: 503.
bool Sessions::connect(std::uint32_t index) {
  Session& s = sessions_[index];
  Pool& pool = pools_[s.pool];
  const Instant now = stack_.now();
  s.state = State::kConnect;
  while (s.tries <= pool.config().retries) {
    const std::uint32_t pick = pool.pick(s.tried, now);
    if (pick == kNoBackend) break;
    s.pick = pick;
    s.tried.set(pick);
    if (s.tries++ > 0) counters_.backend_retries.add();
    const std::uint32_t idle = s.fresh_only ? kNoIndex : backends_.take_idle(s.pool, pick);
    counters_.idle_backends.set(backends_.idle());
    if (idle != kNoIndex) {
      counters_.backend_reused.add();
      backends_[idle].conn.set_timer(now + config_.response_timeout);
      s.state = State::kExchange;
      return use(index, idle);
    }
    auto id = stack_.connect(pool.endpoint(pick), std::nullopt, now);
    if (!id && id.error() == stack::Error::kFull && backends_.idle() > 0) {
      backends_.close_idle();  // their records come back with their last ACK
      counters_.idle_backends.set(0);
    }
    if (id) {
      Connection c{stack_, *id};
      const std::uint32_t backend = backends_.add(c, s.pool, pick);
      counters_.idle_backends.set(backends_.idle());
      if (backend != kNoIndex) {
        c.set_timer(now + pool.config().connect_timeout);
        (void)use(index, backend);
        return false;
      }
      c.abort();
    }
    counters_.connect_errors.add();  // ours, not the backend's: its health is not touched
    release_pick(s);
    if (id || id.error() == stack::Error::kFull) break;
  }
  counters_.no_backend.add();
  return reject(index, 503, false);
}

// Nothing was sent yet: the next backend.
void Sessions::on_connect_failed(std::uint32_t index) {
  Session& s = sessions_[index];
  pools_[s.pool].on_connect_failed(s.pick, stack_.now());
  backends_.remove(s.backend);
  s.backend = kNoIndex;
  release_pick(s);
  if (connect(index)) pump(index);
}

}  // namespace weir::lb::http

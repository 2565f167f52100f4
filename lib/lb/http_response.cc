// The way back: a response's head, its body, and what becomes of the backend's connection.
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "lb/http_sessions.h"

namespace weir::lb::http {
namespace {

constexpr std::uint32_t kReadAtOnce = 65'536;
constexpr std::uint32_t kMaxInterims = 16;  // 1xx responses to one request

const char* text_of(const Buf& b) {
  return reinterpret_cast<const char*>(b.data);
}

}  // namespace

// One step. True when something moved and the exchange, or what follows it, goes on.
bool Sessions::take_response(std::uint32_t index) {
  Session& s = sessions_[index];
  const bool head_was_due = s.writing == Writing::kResponseHead;
  if (!flush(s)) return false;
  if (head_was_due) {
    s.responded = true;
    if (s.response.facts().status == 101) return tunnel(index);
    if (s.response.facts().status < 200) s.reading_response = false;
    return true;
  }
  Backend& b = backends_[s.backend];
  if (!s.head_out)
    return b.lost ? backend_lost(index) : false;  // an answer before its question waits
  if (s.reading_response && (b.parsed > 0 || s.response.state() == Framer::State::kBody)) {
    return pass_response(index);
  }
  if (s.reading_response && s.response.done()) return finish(index);
  return read_response_head(index);
}

bool Sessions::read_response_head(std::uint32_t index) {
  Session& s = sessions_[index];
  Backend& b = backends_[s.backend];
  if (b.in.empty()) {
    const std::size_t n = std::min<std::size_t>(b.conn.readable(), kReadAtOnce);
    if (n == 0) return b.fin ? backend_lost(index) : false;
    b.in.append(b.conn.receive(n));
  }
  b.last_moved = stack_.now();
  if (!b.spoke) on_first_octet(s);
  if (!s.reading_response) {
    s.reading_response = true;
    s.response.begin_response(blocks_[s.block], s.request.facts());
  }
  const Buf* front = b.in.head();
  const Run run = s.response.feed(text_of(*front), front->len);
  drop_front(b.in, run.octets);
  switch (s.response.state()) {
    case Framer::State::kHead:
      return true;
    case Framer::State::kFault:
      counters_.backend_malformed.add();
      return reject(index, 502, false);
    default:
      return on_response_head(index);
  }
}

// From here on the request cannot be sent again, and its head's block is the response's.
void Sessions::on_first_octet(Session& s) {
  Backend& b = backends_[s.backend];
  b.spoke = true;
  if (b.reused) pools_[b.pool].on_connected(b.pick);
}

bool Sessions::on_response_head(std::uint32_t index) {
  Session& s = sessions_[index];
  const Facts& f = s.response.facts();
  counters_.responses[f.status / 100 - 1].add();
  if (f.status < 200 && f.status != 101) {
    if (on_interim(s)) return true;
    counters_.backend_malformed.add();
    return reject(index, 502, false);
  }
  s.dechunk = f.framing == Framing::kChunked && s.request.facts().http10;
  const bool until_close = s.dechunk || f.framing == Framing::kUntilClose;
  s.close_after = s.close_after || until_close || draining_;
  s.to_client = 0;
  s.writing = Writing::kResponseHead;
  return true;
}

// A 1xx response. HTTP/1.0 knows none, and the client that we told to go on is not told twice.
bool Sessions::on_interim(Session& s) {
  if (++s.interims > kMaxInterims) return false;
  const bool ours = s.continued && s.response.facts().status == 100;
  if (s.request.facts().http10 || ours) {
    s.reading_response = false;
    return true;
  }
  s.to_client = 0;
  s.writing = Writing::kResponseHead;
  return true;
}

bool Sessions::pass_response(std::uint32_t index) {
  Session& s = sessions_[index];
  Backend& b = backends_[s.backend];
  if (b.parsed == 0) {
    if (b.in.empty()) {
      const std::size_t room = s.client.send_room();
      if (room == 0) {
        s.client.want_writable();
        return false;
      }
      const std::size_t n = std::min(b.conn.readable(), room);
      if (n == 0) return b.fin ? response_ended(index) : false;
      b.in.append(b.conn.receive(n));
      b.last_moved = stack_.now();
    }
    const Buf& front = *b.in.head();
    do {
      const Run run = s.response.feed(text_of(front) + b.parsed, front.len - b.parsed);
      if (s.response.state() == Framer::State::kFault) {
        counters_.backend_malformed.add();
        return reject(index, 502, true);
      }
      if (s.dechunk && run.kind == Run::kFraming) {
        drop_front(b.in, run.octets);
        return true;
      }
      b.parsed += run.octets;
    } while (!s.dechunk && b.parsed < front.len && s.response.state() == Framer::State::kBody);
  }
  const bool moved = pass(b.in, b.parsed, s.client, counters_.bytes_to_client);
  if (moved) s.last_moved = stack_.now();
  return moved || (b.parsed == 0 && s.response.done());
}

bool Sessions::response_ended(std::uint32_t index) {
  Session& s = sessions_[index];
  if (backends_[s.backend].lost) return cut(index);
  s.response.finish();
  return s.response.done() ? true : cut(index);
}

// The response is passed on whole. Its connection is kept only if it stands between two exchanges.
bool Sessions::finish(std::uint32_t index) {
  Session& s = sessions_[index];
  const std::uint32_t backend = std::exchange(s.backend, kNoIndex);
  Backend& b = backends_[backend];
  const bool extra = !b.in.empty() || b.conn.readable() > 0;
  if (extra) counters_.unsolicited.add();
  const bool whole = s.request.done() && s.parsed == 0;
  const bool keep = whole && !extra && !b.fin && !draining_ && s.response.facts().keep_alive;
  if (keep) {
    backends_.park(backend);
    counters_.idle_backends.set(backends_.idle());
  } else if (whole && !extra) {
    backends_.close(backend);
  } else {
    backends_.abort(backend);
  }
  release_pick(s);
  s.close_after = s.close_after || !whole;
  return s.close_after ? linger(index) : next_request(index);
}

// It closed, or is gone, before its response was whole.
bool Sessions::backend_lost(std::uint32_t index) {
  Session& s = sessions_[index];
  Backend& b = backends_[s.backend];
  const Facts& f = s.request.facts();
  const bool again = b.reused && !b.spoke && f.idempotent && f.framing == Framing::kNone &&
                     s.request.done() && !s.fresh_only;
  if (!again) return reject(index, 502, false);
  counters_.request_retries.add();
  drop_backend(s);
  s.fresh_only = true;
  s.head_out = false;
  s.to_backend = 0;
  s.tries = 0;
  s.tried.reset();
  return connect(index);
}

// Both legs carry another protocol from here on: not ours to read.
bool Sessions::tunnel(std::uint32_t index) {
  Session& s = sessions_[index];
  const std::uint32_t backend = std::exchange(s.backend, kNoIndex);
  Backend& b = backends_[backend];
  Handler::Adopted a{.client = s.client,
                     .backend = b.conn,
                     .from_client = std::move(s.in),
                     .from_backend = std::move(b.in),
                     .client_fin = s.client_fin,
                     .backend_fin = b.fin,
                     .pool = s.pool,
                     .pick = s.pick};
  s.pick = kNoBackend;
  counters_.upgrades.add();
  if (tunnels_.adopt(a)) {
    backends_.remove(backend);
    end(index, false);
    return false;
  }
  pools_[a.pool].on_released(a.pick);
  b.in = std::move(a.from_backend);
  s.in = std::move(a.from_client);
  backends_.abort(backend);
  return cut(index);
}

}  // namespace weir::lb::http

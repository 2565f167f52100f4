#include "serve.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <new>
#include <optional>
#include <string_view>
#include <utility>

#include "base/assert.h"

namespace weir::app {
namespace {

constexpr Duration kLinger = 2s;
constexpr Duration kRetry = 10ms;

// N of "/bytes/N".
std::optional<std::uint64_t> bytes_of(std::string_view digits) {
  std::uint64_t n = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return n;
}

}  // namespace

std::uint32_t ServeHandler::record_octets() {
  return sizeof(Client);
}

// What llhttp calls. 0 goes on; HPE_PAUSED stops behind the request.
struct ServeHandler::Callbacks {
  static Client& client(llhttp_t* p) { return *static_cast<Client*>(p->data); }

  static int on_begin(llhttp_t* p) {
    Client& c = client(p);
    c.in_head = true;
    c.head_size = c.target_size = c.field_size = 0;
    c.received = 0;
    c.expects_continue = false;
    return 0;
  }
  template <std::size_t N>
  static void append(std::array<char, N>& to, std::uint32_t& size, const char* at, std::size_t n) {
    const std::size_t take = std::min(n, N - size);
    std::memcpy(to.data() + size, at, take);
    size += static_cast<std::uint32_t>(take);
  }
  static int on_url(llhttp_t* p, const char* at, std::size_t n) {
    append(client(p).target, client(p).target_size, at, n);
    return 0;
  }
  static int on_field(llhttp_t* p, const char* at, std::size_t n) {
    append(client(p).field, client(p).field_size, at, n);
    return 0;
  }
  static int on_value_done(llhttp_t* p) {
    Client& c = client(p);
    const bool expect = c.field_size == 6 && strncasecmp(c.field.data(), "expect", 6) == 0;
    c.expects_continue = c.expects_continue || expect;
    c.field_size = 0;
    return 0;
  }
  static int on_head(llhttp_t* p) {
    Client& c = client(p);
    c.in_head = false;
    c.digest = std::string_view(c.target.data(), c.target_size) == "/sha256";
    if (c.digest) SHA256Init(&c.sha256);
    return 0;
  }
  static int on_body(llhttp_t* p, const char* at, std::size_t n) {
    client(p).received += n;
    if (client(p).digest) {
      SHA256Update(&client(p).sha256, reinterpret_cast<const std::uint8_t*>(at), n);
    }
    client(p).owner->counters_.body_bytes_in.add(n);
    return 0;
  }
  static int on_complete(llhttp_t* p) {
    client(p).complete = true;
    return HPE_PAUSED;
  }
  static const llhttp_settings_t* settings() {
    static const llhttp_settings_t s = [] {
      llhttp_settings_t t;
      llhttp_settings_init(&t);
      t.on_message_begin = on_begin;
      t.on_url = on_url;
      t.on_header_field = on_field;
      t.on_header_value_complete = on_value_done;
      t.on_headers_complete = on_head;
      t.on_body = on_body;
      t.on_message_complete = on_complete;
      return t;
    }();
    return &s;
  }
};

ServeHandler::ServeHandler(stack::Stack& s, const ServeConfig& config, std::uint32_t max_sessions)
    : stack_(s), config_(config), clients_(max_sessions) {
  (void)pattern_octets();  // made before the first request
}

Result<std::uint32_t, lb::Handler::ListenError> ServeHandler::start() {
  for (std::uint32_t i = 0; i < config_.listeners.size(); ++i) {
    const ServeListener& l = config_.listeners[i];
    auto id = stack_.listen(l.address, {.backlog = l.backlog});
    if (!id) return lb::Handler::ListenError{i, id.error()};
    listeners_.push_back(*id);
  }
  return static_cast<std::uint32_t>(listeners_.size());
}

void ServeHandler::stop_accepting() {
  for (const ListenerId l : listeners_) stack_.stop_listening(l);
  listeners_.clear();
  draining_ = true;
  for (std::uint32_t i = 0; i < high_water_; ++i) {
    Client& c = clients_[i];
    if (c.live && idle(c) && !c.lingering) linger(c);
  }
}

void ServeHandler::abort_all() {
  for (std::uint32_t i = 0; i < high_water_; ++i) {
    if (!clients_[i].live) continue;
    counters_.aborted.add();
    clients_[i].conn.abort();
    end(i);
  }
}

// Between two requests, with nothing to send.
bool ServeHandler::idle(const Client& c) const {
  return !c.in_head && c.out_sent == c.out_size && c.body_left == 0 && c.rest.empty();
}

void ServeHandler::on_accept(Connection conn, ListenerId) {
  const std::uint32_t index = draining_ ? kNoIndex : clients_.take();
  if (index == kNoIndex) {
    counters_.refused.add();
    return conn.abort();
  }
  high_water_ = std::max(high_water_, index + 1);
  auto& c = *::new (clients_.slot(index)) Client{};
  llhttp_init(&c.parser, HTTP_REQUEST, Callbacks::settings());
  c.parser.data = &c;
  c.owner = this;
  c.conn = conn;
  c.live = true;
  c.last_active = stack_.now();
  conn.set_user(index);
  conn.set_nodelay(true);
  conn.set_timer(c.last_active + config_.idle_timeout);
  counters_.sessions.up();
  counters_.sessions_total.add();
  if (clients_.full()) {
    paused_ = true;
    for (const ListenerId l : listeners_) stack_.pause_accept(l, true);
  }
}

// As far as the text that is here and the room for answers go.
void ServeHandler::serve(std::uint32_t index) {
  Client& c = clients_[index];
  WEIR_ASSERT(c.live);
  if (!c.lingering) c.last_active = stack_.now();
  while (flush(c)) {
    if (c.close_after && !c.lingering) linger(c);
    if (c.lingering) {
      if (const std::size_t n = c.conn.readable(); n > 0) c.conn.release(c.conn.receive(n));
      break;
    }
    if (c.rest.empty()) {
      const std::size_t n = c.conn.readable();
      if (n == 0) break;
      c.rest = c.conn.receive(std::min<std::size_t>(n, kReadAtOnce));
      if (c.rest.empty()) break;
    }
    parse(c);
  }
  if (!c.peer_closed || !(idle(c) || c.lingering)) return;
  if (c.conn.unacked() > 0) {  // stays, so that the idle timer ends a client that never reads
    if (!c.lingering) linger(c);
    return c.conn.want_writable();
  }
  c.conn.close();
  end(index);
}

// True when everything of the answer is queued.
bool ServeHandler::flush(Client& c) {
  if (c.out_sent < c.out_size) {
    const std::span<const char> left(c.out.data() + c.out_sent, c.out_size - c.out_sent);
    c.out_sent += static_cast<std::uint32_t>(c.conn.send(std::as_bytes(left)));
  }
  while (c.out_sent == c.out_size && c.body_left > 0) {
    const std::uint64_t here = std::min<std::uint64_t>(c.body_left, kPatternSize - c.body_at);
    const std::size_t room = c.conn.send_room();
    const std::size_t sent = c.conn.send_borrowed(
        pattern_octets().subspan(c.body_at, std::min<std::uint64_t>(here, room)));
    if (sent == 0) break;
    counters_.body_bytes_out.add(sent);
    c.body_left -= sent;
    c.body_at = static_cast<std::uint32_t>((c.body_at + sent) % kPatternSize);
  }
  if (c.out_sent == c.out_size && c.body_left == 0) return true;
  if (c.conn.unacked() > 0) {
    c.conn.want_writable();
  } else {  // not a buffer is left, and no ACK will come that frees one
    c.retry = true;
    c.conn.set_timer(stack_.now() + kRetry);
  }
  return false;
}

void ServeHandler::discard_front(Client& c, std::uint32_t n) {
  if (n < c.rest.head()->len) return c.rest.trim_head(n);
  BufChain done;
  done.push_back(c.rest.pop_front());
  c.conn.release(std::move(done));
}

// Feeds the parser until a request is complete or nothing is left.
void ServeHandler::parse(Client& c) {
  while (!c.rest.empty()) {
    const Buf* b = c.rest.head();
    const char* at = reinterpret_cast<const char*>(b->data);
    const llhttp_errno_t e = llhttp_execute(&c.parser, at, b->len);
    std::uint32_t used = b->len;
    if (e != HPE_OK) used = static_cast<std::uint32_t>(llhttp_get_error_pos(&c.parser) - at);
    if (c.in_head) c.head_size += used;
    if (e == HPE_OK || e == HPE_PAUSED || e == HPE_PAUSED_UPGRADE) discard_front(c, used);
    if (e == HPE_PAUSED_UPGRADE) llhttp_resume_after_upgrade(&c.parser);
    if (c.complete) {
      if (e == HPE_PAUSED) llhttp_resume(&c.parser);
      c.complete = false;
      return answer(c);
    }
    if (e != HPE_OK && e != HPE_PAUSED_UPGRADE) return on_parse_error(c);
    if (c.in_head && c.head_size > kMaxHead) {
      return answer_status(c, "431 Request Header Fields Too Large", true);
    }
    if (!c.in_head && c.expects_continue) {
      c.expects_continue = false;
      constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
      c.conn.send(std::as_bytes(std::span(kContinue)));
    }
  }
}

void ServeHandler::on_parse_error(Client& c) {
  const llhttp_errno_t e = llhttp_get_errno(&c.parser);
  if (e == HPE_CLOSED_CONNECTION) return linger(c);  // text behind "Connection: close"
  answer_status(c, e == HPE_INVALID_VERSION ? "505 HTTP Version Not Supported" : "400 Bad Request",
                true);
}

void ServeHandler::put_head(Client& c, const char* status, std::uint64_t length, const char* type) {
  const int n = std::snprintf(c.out.data(), c.out.size(),
                              "HTTP/1.1 %s\r\nServer: weir\r\nContent-Type: %s\r\n"
                              "Content-Length: %llu\r\nConnection: %s\r\n\r\n",
                              status, type, static_cast<unsigned long long>(length),
                              c.close_after ? "close" : "keep-alive");
  WEIR_ASSERT(n > 0 && static_cast<std::size_t>(n) < c.out.size());
  c.out_size = static_cast<std::uint32_t>(n);
  c.out_sent = 0;
}

// An answer whose body is its own status line, for errors.
void ServeHandler::answer_status(Client& c, const char* status, bool close) {
  counters_.bad_requests.add();
  c.close_after = c.close_after || close;
  const bool head = llhttp_get_method(&c.parser) == HTTP_HEAD;
  const std::size_t length = std::strlen(status);
  put_head(c, status, length + 1, "text/plain");
  if (head) return;
  WEIR_ASSERT(c.out_size + length + 1 <= c.out.size());
  std::memcpy(c.out.data() + c.out_size, status, length);
  c.out[c.out_size + length] = '\n';
  c.out_size += static_cast<std::uint32_t>(length + 1);
}

void ServeHandler::answer_upload(Client& c) {
  std::array<char, 128> text;
  int n = std::snprintf(text.data(), text.size(), "received %llu",
                        static_cast<unsigned long long>(c.received));
  const auto at = [&] { return text.data() + n; };
  if (c.digest) {
    std::array<std::uint8_t, SHA256_DIGEST_LENGTH> digest;
    SHA256Final(digest.data(), &c.sha256);
    n += std::snprintf(at(), 9, " sha256 ");
    for (const unsigned octet : digest) n += std::snprintf(at(), 3, "%02x", octet);
  }
  *at() = '\n';
  ++n;
  put_head(c, "200 OK", static_cast<std::uint64_t>(n), "text/plain");
  std::memcpy(c.out.data() + c.out_size, text.data(), static_cast<std::size_t>(n));
  c.out_size += static_cast<std::uint32_t>(n);
}

void ServeHandler::answer(Client& c) {
  counters_.requests.add();
  c.close_after = draining_ || llhttp_should_keep_alive(&c.parser) == 0;
  const std::uint8_t method = llhttp_get_method(&c.parser);
  if (method == HTTP_POST || method == HTTP_PUT) return answer_upload(c);
  if (method != HTTP_GET && method != HTTP_HEAD) {
    return answer_status(c, "501 Not Implemented", method == HTTP_CONNECT);
  }
  std::uint64_t length = config_.body_size;
  const std::string_view target(c.target.data(), c.target_size);
  if (target.starts_with("/bytes/")) {
    const auto n = bytes_of(target.substr(7));
    if (!n || *n > config_.max_body_size) return answer_status(c, "404 Not Found", false);
    length = *n;
  }
  put_head(c, "200 OK", length, "application/octet-stream");
  c.body_left = method == HTTP_HEAD ? 0 : length;
  c.body_at = 0;
}

// No more is said; what the client still says is thrown away until it closes, so that the answer
// is not lost to a reset (RFC 9112 §9.6).
void ServeHandler::linger(Client& c) {
  c.lingering = true;
  if (!c.rest.empty()) c.conn.release(std::move(c.rest));
  c.conn.shutdown_send();
  c.conn.set_timer(stack_.now() + kLinger);
}

void ServeHandler::on_peer_closed(Connection, std::uint64_t user) {
  Client& c = clients_[static_cast<std::uint32_t>(user)];
  c.peer_closed = true;
  serve(static_cast<std::uint32_t>(user));
  if (!c.live || !c.in_head) return;
  c.conn.close();  // half a request: nobody waits for an answer
  end(static_cast<std::uint32_t>(user));
}

void ServeHandler::on_timer(Connection, std::uint64_t user) {
  const auto index = static_cast<std::uint32_t>(user);
  Client& c = clients_[index];
  if (std::exchange(c.retry, false)) {
    const Instant active = c.last_active;
    serve(index);
    if (!c.live || c.retry) return;
    c.last_active = active;
  }
  const Instant now = stack_.now();
  const std::uint64_t unacked = c.conn.unacked();
  if (unacked != std::exchange(c.last_unacked, unacked)) c.last_active = now;
  const bool done = c.lingering && unacked == 0;
  const Duration limit = done ? std::min(kLinger, config_.idle_timeout) : config_.idle_timeout;
  if (now - c.last_active < limit) return c.conn.set_timer(c.last_active + limit);
  counters_.idle_timeouts.add();
  if (done || (idle(c) && unacked == 0)) {
    c.conn.close();
  } else {
    c.conn.abort();
  }
  end(index);
}

void ServeHandler::on_closed(Connection, std::uint64_t user, CloseReason reason) {
  if (reason != CloseReason::kNormal) counters_.resets.add();
  end(static_cast<std::uint32_t>(user));
}

void ServeHandler::end(std::uint32_t index) {
  Client& c = clients_[index];
  if (!c.rest.empty()) stack_.release(std::move(c.rest));
  c.live = false;
  clients_.give(index);
  counters_.sessions.down();
  if (!paused_) return;
  paused_ = false;
  for (const ListenerId l : listeners_) stack_.pause_accept(l, false);
}

}  // namespace weir::app

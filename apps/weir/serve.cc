#include "serve.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <new>
#include <optional>
#include <string_view>
#include <utility>

#include "base/assert.h"
#include "plain_http.h"

namespace weir::app {
namespace {

constexpr Duration kLinger = 2s;
constexpr Duration kRetry = 10ms;
constexpr std::size_t kMostTarget = 64;  // octets that are looked at

// N of "/bytes/N".
std::optional<std::uint64_t> bytes_of(std::string_view digits) {
  std::uint64_t n = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return n;
}

std::string_view text_of(const Buf& b) {
  return {reinterpret_cast<const char*>(b.data), b.len};
}

}  // namespace

void ServeHandler::Text::add(std::uint64_t number) {
  char* const at = octets.data() + size;
  const auto [end, error] = std::to_chars(at, octets.data() + octets.size(), number);
  WEIR_ASSERT(error == std::errc());
  size += static_cast<std::uint32_t>(end - at);
}

std::uint32_t ServeHandler::record_octets() {
  return sizeof(Client);
}

// What llhttp calls. 0 goes on; HPE_PAUSED stops behind the request.
struct ServeHandler::Callbacks {
  static Work& work(llhttp_t* p) { return *static_cast<Work*>(p->data); }

  static int on_begin(llhttp_t* p) {
    Work& w = work(p);
    w.begun = w.in_head = true;
    w.head_size = w.target_size = w.field_size = 0;
    w.received = 0;
    w.complete = w.expects_continue = w.digest = false;
    return 0;
  }
  template <std::size_t N>
  static void append(std::array<char, N>& to, std::uint32_t& size, const char* at, std::size_t n) {
    const std::size_t take = std::min(n, N - size);
    std::memcpy(to.data() + size, at, take);
    size += static_cast<std::uint32_t>(take);
  }
  static int on_url(llhttp_t* p, const char* at, std::size_t n) {
    append(work(p).target, work(p).target_size, at, n);
    return 0;
  }
  static int on_field(llhttp_t* p, const char* at, std::size_t n) {
    append(work(p).field, work(p).field_size, at, n);
    return 0;
  }
  static int on_value_done(llhttp_t* p) {
    Work& w = work(p);
    const bool expect = w.field_size == 6 && strncasecmp(w.field.data(), "expect", 6) == 0;
    w.expects_continue = w.expects_continue || expect;
    w.field_size = 0;
    return 0;
  }
  static int on_head(llhttp_t* p) {
    Work& w = work(p);
    w.in_head = false;
    w.digest = std::string_view(w.target.data(), w.target_size) == "/sha256";
    if (w.digest) SHA256Init(&w.sha256);
    return 0;
  }
  static int on_body(llhttp_t* p, const char* at, std::size_t n) {
    Work& w = work(p);
    w.received += n;
    if (w.digest) SHA256Update(&w.sha256, reinterpret_cast<const std::uint8_t*>(at), n);
    w.owner->counters_.body_bytes_in.add(n);
    return 0;
  }
  static int on_complete(llhttp_t* p) {
    work(p).complete = true;
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
    : stack_(s), config_(config), clients_(max_sessions), works_(max_sessions) {
  (void)pattern_octets();  // made before the first request
  for (const bool close : {false, true}) {
    put_answer(usual_[close ? 1 : 0], config_.body_size, close);
  }
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
    conn(clients_[i]).abort();
    end(i);
  }
}

void ServeHandler::on_accept(Connection accepted, ListenerId) {
  const std::uint32_t index = draining_ ? kNoIndex : clients_.take();
  if (index == kNoIndex) {
    counters_.refused.add();
    return accepted.abort();
  }
  high_water_ = std::max(high_water_, index + 1);
  auto& c = *::new (clients_.slot(index)) Client{};
  c.id = accepted.id();
  c.last_active = stack_.now();
  accepted.set_user(index);
  accepted.set_nodelay(true);
  accepted.set_timer(c.last_active + config_.idle_timeout);
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
      Connection from = conn(c);
      if (const std::size_t n = from.readable(); n > 0) stack_.release(from.receive(n));
      break;
    }
    if (!read(c)) break;
  }
  give_back(c);
  if (draining_ && idle(c) && !c.lingering) linger(c);
  if (!c.peer_closed || !(idle(c) || c.lingering)) return;
  if (conn(c).unacked() > 0) {  // stays, so that the idle timer ends a client that never reads
    if (!c.lingering) linger(c);
    return conn(c).want_writable();
  }
  conn(c).close();
  end(index);
}

ServeHandler::Work& ServeHandler::work_of(Client& c) {
  if (c.work != kNoIndex) return works_[c.work];
  c.work = works_.take();
  WEIR_ASSERT(c.work != kNoIndex);  // there is one for each
  Work& w = *::new (works_.slot(c.work)) Work;
  w.owner = this;
  return w;
}

// What is lent, where it is of no more use.
void ServeHandler::give_back(Client& c) {
  if (c.work == kNoIndex) return;
  const Work& w = works_[c.work];
  if (w.begun || !w.rest.empty() || w.out_sent < w.out.size || w.body_left > 0) return;
  works_.give(std::exchange(c.work, kNoIndex));
}

// Octets of the body that were queued, of `left` from `at` in the pattern on.
std::uint64_t ServeHandler::send_body(const Client& c, std::uint32_t at, std::uint64_t left) {
  std::uint64_t done = 0;
  while (done < left) {
    const std::uint64_t here = std::min<std::uint64_t>(left - done, kPatternSize - at);
    const std::uint64_t room = conn(c).send_room();
    const std::size_t sent =
        conn(c).send_borrowed(pattern_octets().subspan(at, std::min(here, room)));
    if (sent == 0) break;
    done += sent;
    at = static_cast<std::uint32_t>((at + sent) % kPatternSize);
  }
  counters_.body_bytes_out.add(done);
  return done;
}

// True when everything of the answer is queued.
bool ServeHandler::flush(Client& c) {
  if (c.work == kNoIndex) return true;
  Work& w = works_[c.work];
  if (w.out_sent < w.out.size) {
    const std::span<const char> left(w.out.octets.data() + w.out_sent, w.out.size - w.out_sent);
    w.out_sent += static_cast<std::uint32_t>(conn(c).send(std::as_bytes(left)));
  }
  if (w.out_sent == w.out.size && w.body_left > 0) {
    const std::uint64_t sent = send_body(c, w.body_at, w.body_left);
    w.body_left -= sent;
    w.body_at = static_cast<std::uint32_t>((w.body_at + sent) % kPatternSize);
  }
  if (w.out_sent == w.out.size && w.body_left == 0) return true;
  if (conn(c).unacked() > 0) {
    conn(c).want_writable();
  } else {  // not a buffer is left, and no ACK will come that frees one
    c.retry = true;
    conn(c).set_timer(stack_.now() + kRetry);
  }
  return false;
}

// Answers a request of what is here, or keeps what is none yet. False: nothing is here.
bool ServeHandler::read(Client& c) {
  if (c.work == kNoIndex || works_[c.work].rest.empty()) {
    const std::size_t n = conn(c).readable();
    if (n == 0) return false;
    BufChain text = conn(c).receive(std::min<std::size_t>(n, kReadAtOnce));
    if (text.empty()) return false;
    if (c.work == kNoIndex && text.bufs() == 1) {
      const auto request = read_plain_request(text_of(*text.head()));
      if (request && request->octets == text.bytes()) {
        answer_plain(c, *request);
        stack_.release(std::move(text));
        return true;
      }
    }
    work_of(c).rest = std::move(text);
  }
  parse(c, works_[c.work]);
  return true;
}

void ServeHandler::discard_front(Work& w, std::uint32_t n) {
  if (n < w.rest.head()->len) return w.rest.trim_head(n);
  BufChain done;
  done.push_back(w.rest.pop_front());
  stack_.release(std::move(done));
}

// Feeds the parser until a request is complete or nothing is left.
void ServeHandler::parse(Client& c, Work& w) {
  while (!w.rest.empty()) {
    const Buf* b = w.rest.head();
    if (!w.begun) {
      if (const auto request = read_plain_request(text_of(*b))) {
        answer_plain(c, *request);
        return discard_front(w, request->octets);
      }
      llhttp_init(&w.parser, HTTP_REQUEST, Callbacks::settings());
      w.parser.data = &w;
      w.in_head = w.complete = w.expects_continue = false;
    }
    const char* at = text_of(*b).data();
    const llhttp_errno_t e = llhttp_execute(&w.parser, at, b->len);
    std::uint32_t used = b->len;
    if (e != HPE_OK) used = static_cast<std::uint32_t>(llhttp_get_error_pos(&w.parser) - at);
    if (w.in_head) w.head_size += used;
    if (e == HPE_OK || e == HPE_PAUSED || e == HPE_PAUSED_UPGRADE) discard_front(w, used);
    if (e == HPE_PAUSED_UPGRADE) llhttp_resume_after_upgrade(&w.parser);
    if (w.complete) return answer(c, w);
    if (e != HPE_OK && e != HPE_PAUSED_UPGRADE) return on_parse_error(c, w);
    if (w.in_head && w.head_size > kMaxHead) {
      w.begun = false;
      return answer_status(c, "431 Request Header Fields Too Large", true, false);
    }
    if (w.begun && !w.in_head && w.expects_continue) {
      w.expects_continue = false;
      constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
      conn(c).send(std::as_bytes(std::span(kContinue)));
    }
  }
}

void ServeHandler::on_parse_error(Client& c, Work& w) {
  const bool version = llhttp_get_errno(&w.parser) == HPE_INVALID_VERSION;
  const bool head = llhttp_get_method(&w.parser) == HTTP_HEAD;
  w.begun = false;
  answer_status(c, version ? "505 HTTP Version Not Supported" : "400 Bad Request", true, head);
}

void ServeHandler::put_head(Text& t, std::string_view status, std::uint64_t length,
                            std::string_view type, bool close) {
  t.add("HTTP/1.1 ");
  t.add(status);
  t.add("\r\nServer: weir\r\nContent-Type: ");
  t.add(type);
  t.add("\r\nContent-Length: ");
  t.add(length);
  t.add(close ? "\r\nConnection: close\r\n\r\n" : "\r\nConnection: keep-alive\r\n\r\n");
}

// A head, and the body where that is short.
void ServeHandler::put_answer(Text& t, std::uint64_t length, bool close) {
  put_head(t, "200 OK", length, "application/octet-stream", close);
  if (length > kCopied) return;
  const auto body = pattern_octets().first(length);
  t.add({reinterpret_cast<const char*>(body.data()), body.size()});
}

// Queues an answer, with `body` octets of the pattern behind it. What finds no room waits.
void ServeHandler::send(Client& c, std::string_view text, std::uint64_t body) {
  const std::size_t sent = conn(c).send(std::as_bytes(std::span(text)));
  const std::uint64_t queued = sent == text.size() && body > 0 ? send_body(c, 0, body) : 0;
  if (sent == text.size() && queued == body) return;
  Work& w = work_of(c);
  w.out.size = w.out_sent = 0;
  w.out.add(text.substr(sent));
  w.body_left = body - queued;
  w.body_at = static_cast<std::uint32_t>(queued % kPatternSize);
}

// An answer whose body is its own status line, for errors.
void ServeHandler::answer_status(Client& c, std::string_view status, bool close, bool head) {
  counters_.bad_requests.add();
  c.close_after = c.close_after || close;
  Text text;
  put_head(text, status, status.size() + 1, "text/plain", c.close_after);
  if (!head) {
    text.add(status);
    text.add("\n");
  }
  send(c, text.view(), 0);
}

void ServeHandler::answer_upload(Client& c, Work& w) {
  constexpr std::string_view kHex = "0123456789abcdef";
  Text said;
  said.add("received ");
  said.add(w.received);
  if (w.digest) {
    std::array<std::uint8_t, SHA256_DIGEST_LENGTH> digest;
    SHA256Final(digest.data(), &w.sha256);
    said.add(" sha256 ");
    for (const unsigned octet : digest) {
      said.add(kHex.substr(octet >> 4U, 1));
      said.add(kHex.substr(octet & 15U, 1));
    }
  }
  said.add("\n");
  Text text;
  put_head(text, "200 OK", said.size, "text/plain", c.close_after);
  text.add(said.view());
  send(c, text.view(), 0);
}

// What the parser has read.
void ServeHandler::answer(Client& c, Work& w) {
  w.begun = false;
  counters_.requests.add();
  c.close_after = draining_ || llhttp_should_keep_alive(&w.parser) == 0;
  const std::uint8_t method = llhttp_get_method(&w.parser);
  if (method == HTTP_POST || method == HTTP_PUT) return answer_upload(c, w);
  if (method != HTTP_GET && method != HTTP_HEAD) {
    return answer_status(c, "501 Not Implemented", method == HTTP_CONNECT, false);
  }
  answer_get(c, {w.target.data(), w.target_size}, method == HTTP_HEAD);
}

void ServeHandler::answer_plain(Client& c, const PlainRequest& request) {
  counters_.requests.add();
  c.close_after = draining_ || !request.keep_alive;
  answer_get(c, request.target, false);
}

void ServeHandler::answer_get(Client& c, std::string_view target, bool head) {
  std::uint64_t length = config_.body_size;
  if (target.starts_with("/bytes/")) {
    const auto n = bytes_of(target.substr(7, kMostTarget - 7));
    if (!n || *n > config_.max_body_size) return answer_status(c, "404 Not Found", false, head);
    length = *n;
  }
  Text text;
  if (head) {
    put_head(text, "200 OK", length, "application/octet-stream", c.close_after);
    return send(c, text.view(), 0);
  }
  if (length <= kCopied) counters_.body_bytes_out.add(length);
  const std::uint64_t behind = length <= kCopied ? 0 : length;
  if (length == config_.body_size) return send(c, usual_[c.close_after ? 1 : 0].view(), behind);
  put_answer(text, length, c.close_after);
  send(c, text.view(), behind);
}

// No more is said; what the client still says is thrown away until it closes, so that the answer
// is not lost to a reset (RFC 9112 §9.6).
void ServeHandler::linger(Client& c) {
  c.lingering = true;
  if (c.work != kNoIndex) stack_.release(std::move(works_[c.work].rest));
  conn(c).shutdown_send();
  conn(c).set_timer(stack_.now() + kLinger);
}

void ServeHandler::on_peer_closed(Connection, std::uint64_t user) {
  Client& c = clients_[static_cast<std::uint32_t>(user)];
  c.peer_closed = true;
  serve(static_cast<std::uint32_t>(user));
  if (!c.live || !half_asked(c)) return;
  conn(c).close();  // half a request: nobody waits for an answer
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
  const auto unacked = static_cast<std::uint32_t>(conn(c).unacked());
  if (unacked != std::exchange(c.last_unacked, unacked)) c.last_active = now;
  const bool done = c.lingering && unacked == 0;
  const Duration limit = done ? std::min(kLinger, config_.idle_timeout) : config_.idle_timeout;
  if (now - c.last_active < limit) return conn(c).set_timer(c.last_active + limit);
  counters_.idle_timeouts.add();
  if (done || (idle(c) && unacked == 0)) {
    conn(c).close();
  } else {
    conn(c).abort();
  }
  end(index);
}

void ServeHandler::on_closed(Connection, std::uint64_t user, CloseReason reason) {
  const auto index = static_cast<std::uint32_t>(user);
  const bool meant = reason == CloseReason::kReset && config_.resets_end && idle(clients_[index]);
  if (reason != CloseReason::kNormal && !meant) counters_.resets.add();
  end(index);
}

void ServeHandler::end(std::uint32_t index) {
  Client& c = clients_[index];
  if (c.work != kNoIndex) {
    stack_.release(std::move(works_[c.work].rest));
    works_.give(c.work);
  }
  c.live = false;
  clients_.give(index);
  counters_.sessions.down();
  if (!paused_) return;
  paused_ = false;
  for (const ListenerId l : listeners_) stack_.pause_accept(l, false);
}

}  // namespace weir::app

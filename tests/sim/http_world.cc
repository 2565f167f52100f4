#include "http_world.h"

#include <algorithm>

#include "base/rng.h"

namespace weir::test {

std::string octets_of(std::size_t n, std::uint64_t seed) {
  Rng rng(seed);
  std::string s(n, '\0');
  for (char& c : s) c = static_cast<char>(rng.next());
  return s;
}

// -- Both ends ------------------------------------------------------------------------------

Stream& End::add(Connection c) {
  streams.push_back(std::make_unique<Stream>());
  streams.back()->conn = c;
  c.set_user(streams.size() - 1);
  c.set_nodelay(true);
  return *streams.back();
}

void End::push(Stream& s) {
  if (s.closed || s.fin_sent) return;
  s.sent += s.conn.send(std::as_bytes(std::span(s.out).subspan(s.sent)));
  if (s.sent < s.out.size()) return s.conn.want_writable();
  if (!s.fin_when_sent) return;
  s.fin_sent = true;
  s.conn.shutdown_send();
}

void End::pull(Stream& s) {
  while (s.reading && s.conn.readable() > 0) {
    BufChain loan = s.conn.receive(s.conn.readable());
    for (const Buf* b = loan.head(); b != nullptr; b = b->next) {
      s.in.append(reinterpret_cast<const char*>(b->data), b->len);
    }
    s.conn.release(std::move(loan));
  }
}

// -- Origins --------------------------------------------------------------------------------

namespace {

// The body of a request, or nothing while it is not whole. `end`: behind it.
std::optional<std::string> body_at(const std::string& text, const std::string& head,
                                   std::size_t from, std::size_t& end) {
  end = from;
  if (const std::size_t at = head.find("Content-Length: "); at != std::string::npos) {
    const std::size_t n = std::stoul(head.substr(at + 16));
    if (text.size() < from + n) return std::nullopt;
    end = from + n;
    return text.substr(from, n);
  }
  if (head.find("Transfer-Encoding: chunked") == std::string::npos) return "";
  std::string body;
  for (;;) {
    const std::size_t line = text.find("\r\n", end);
    if (line == std::string::npos) return std::nullopt;
    const std::size_t n = std::stoul(text.substr(end, line - end), nullptr, 16);
    if (n == 0) {
      const std::size_t last = text.find("\r\n\r\n", line);
      if (last == std::string::npos) return std::nullopt;
      end = last + 4;
      return body;
    }
    if (text.size() < line + 2 + n + 2) return std::nullopt;
    body += text.substr(line + 2, n);
    end = line + 2 + n + 2;
  }
}

std::string in_chunks(const std::string& body) {
  std::string out;
  for (std::size_t at = 0; at < body.size(); at += 1'000) {
    const std::string piece = body.substr(at, 1'000);
    char size[16];
    std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
    out += size + piece + "\r\n";
  }
  return out + "0\r\nX-Trailer: t\r\n\r\n";
}

}  // namespace

void Origin::say(Stream& s, const std::string& status, const std::string& fields,
                 const std::string& body) {
  s.out += "HTTP/1.1 " + status + "\r\nORIGIN: " + name + "\r\n" + fields + "\r\n" + body;
}

void Origin::answer(Stream& s, const std::string& method, const std::string& path,
                    const std::string& body) {
  const auto length = [](std::size_t n) { return "Content-Length: " + std::to_string(n) + "\r\n"; };
  const bool head = method == "HEAD";
  if (path.starts_with("/len/")) {
    const std::size_t n = std::stoul(path.substr(5));
    say(s, "200 OK", length(n), head ? "" : octets_of(n, n));
  } else if (path == "/chunked") {
    say(s, "200 OK", "Transfer-Encoding: chunked\r\n", in_chunks(body));
  } else if (path == "/until-close") {
    say(s, "200 OK", "", body);
    s.fin_when_sent = true;
  } else if (path == "/204") {
    say(s, "204 No Content", "", "");
  } else if (path == "/304") {
    say(s, "304 Not Modified", length(500), "");
  } else if (path == "/interim") {
    s.out += "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    say(s, "200 OK", length(3), "abc");
  } else if (path == "/says-close") {
    say(s, "200 OK", length(3) + "Connection: close\r\n", "abc");
  } else if (path == "/until-reset") {
    say(s, "200 OK", "", "half");
  } else if (path.starts_with("/half")) {
    say(s, "200 OK", length(100), "half");
    s.fin_when_sent = path == "/half-fin";
  } else if (path == "/garbage") {
    s.out += "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc";
  } else if (path == "/extra") {
    say(s, "200 OK", length(3), "abcHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
  } else if (path == "/bye" || path == "/once") {
    say(s, "200 OK", length(3), "abc");
    s.fin_when_sent = path == "/bye";
  } else if (path == "/upgrade") {
    say(s, "101 Switching Protocols", "Connection: upgrade\r\nUpgrade: echo\r\n", "");
    s.tunnel = true;
  } else if (path == "/fin") {
    s.fin_when_sent = true;
  } else if (path != "/silent") {
    say(s, "200 OK", length(body.size()), body);
  }
}

bool Origin::serve(Stream& s) {
  if (s.closed) return false;
  if (s.tunnel) {
    s.out += s.in.substr(s.parsed);
    s.parsed = s.in.size();
    push(s);
    return false;
  }
  const std::size_t end = s.in.find("\r\n\r\n", s.parsed);
  if (end == std::string::npos) return false;
  const std::string head = s.in.substr(s.parsed, end + 4 - s.parsed);
  const std::size_t space = head.find(' ');
  const std::string path = head.substr(space + 1, head.find(' ', space + 1) - space - 1);
  const bool once = s.requests > 0 && heads.back().find(" /once ") != std::string::npos;
  if (path == "/reset" || once) {
    heads.push_back(head);
    s.closed = CloseReason::kAborted;
    s.conn.abort();
    return false;
  }
  if (path == "/early" && s.requests == 0) {
    ++s.requests;
    say(s, "413 Too Much", "Content-Length: 2\r\n", "no");
    push(s);
    return false;
  }
  std::size_t next = 0;
  const auto body = body_at(s.in, head, end + 4, next);
  if (!body) return false;
  ++s.requests;
  heads.push_back(head);
  bodies.push_back(*body);
  s.parsed = next;
  answer(s, head.substr(0, space), path, *body);
  push(s);
  if (path == "/half" || path == "/until-reset") {
    s.conn.set_timer(s.conn.owner().now() + 100ms);
  }
  return true;
}

void Origin::on_readable(Connection, std::uint64_t user) {
  Stream& s = *streams[user];
  pull(s);
  while (serve(s)) {
  }
}

void Origin::on_peer_closed(Connection c, std::uint64_t user) {
  Stream& s = *streams[user];
  s.peer_closed = true;
  if (s.tunnel && !s.fin_sent) {
    s.fin_when_sent = true;
    push(s);
  }
  if (s.closed) return;
  c.close();
  s.closed = CloseReason::kNormal;
}

void Origin::on_timer(Connection c, std::uint64_t user) {
  streams[user]->closed = CloseReason::kAborted;
  c.abort();
}

// -- The lab --------------------------------------------------------------------------------

HttpLab::HttpLab(unsigned origins, std::uint64_t seed, const HostSpec& spec) : world(seed) {
  world.add_host(client, spec);
  world.add_host(front, spec);
  for (unsigned i = 0; i < origins; ++i) {
    origin.push_back(std::make_unique<Origin>());
    origin[i]->name = std::string(1, static_cast<char>('a' + i));
    Host& h = world.add_host(*origin[i], spec);
    config.pools.emplace_back();
    config.pools[i].name = origin[i]->name;
    config.pools[i].backends.push_back({h.addr(), kBack});
  }
  lb::ListenerConfig l;
  l.name = "web";
  l.address = {world.host(1).addr(), kFront};
  l.backlog = 64;
  l.mode = lb::Mode::kHttp;
  config.listeners.push_back(l);
  config.max_sessions = 24;
  config.idle_backend_timeout = 5s;
  config.idle_timeout = 20s;
  config.response_timeout = 10s;
  config.request_timeout = 4s;
}

void HttpLab::rule(match::Subject subject, const std::string& pattern, std::uint32_t pool) {
  match::Rule r;
  r.name = "rule-" + std::to_string(rules.size());
  r.subject = subject;
  r.pattern = pattern;
  r.pool = pool;
  rules.push_back(r);
}

void HttpLab::deny(match::Subject subject, const std::string& pattern, std::uint16_t status) {
  rule(subject, pattern, 0);
  rules.back().action = match::Action::kDeny;
  rules.back().status = status;
}

void HttpLab::start(bool listening) {
  if (!rules.empty()) {
    auto set = match::RuleSet::compile(rules, "");
    ASSERT_TRUE(set.ok());
    config.listeners[0].rules = std::make_shared<const match::RuleSet>(std::move(set.value()));
  }
  front.lb.emplace(world.host(1).stack(), config);
  ASSERT_TRUE(front.lb->start().ok());
  for (unsigned i = 0; listening && i < origin.size(); ++i) {
    ASSERT_TRUE(host_of(i).stack().listen({host_of(i).addr(), kBack}).ok());
  }
}

Stream& HttpLab::ask(std::string text, bool fin) {
  auto id = world.connect(world.host(0), world.host(1), kFront);
  EXPECT_TRUE(id.ok());
  Stream& s = client.add(Connection{world.host(0).stack(), *id});
  s.out = std::move(text);
  s.fin_when_sent = fin;
  return s;
}

std::string HttpLab::answer_to(const std::string& text, Duration time) {
  Stream& s = ask(text);
  (void)world.run_until([&] { return s.peer_closed || s.closed.has_value(); }, time);
  return s.in;
}

void HttpLab::send_more(Stream& s, const std::string& text) {
  s.out += text;
  client.push(s);
  world.host(0).poke();
}

void HttpLab::expect_at_rest() {
  for (auto& s : client.streams) {
    if (s->closed) continue;
    s->reading = true;
    client.pull(*s);
    s->conn.close();
    s->closed = CloseReason::kNormal;
  }
  world.host(0).poke();
  EXPECT_TRUE(world.run_until([&] { return world.at_rest(); }, 40min));
  world.expect_at_rest();
  EXPECT_EQ(counters().sessions.get(), 0U);
  EXPECT_EQ(counters().idle_backends.get(), 0U);
  for (const lb::Pool& p : front.lb->tcp().pools()) {
    for (std::uint32_t b = 0; b < p.config().backends.size(); ++b) {
      EXPECT_EQ(p.counters(b).active.get(), 0U);
    }
  }
}

std::vector<Response> responses_in(const std::string& text, bool head) {
  std::vector<Response> out;
  std::size_t at = 0;
  while (text.compare(at, 9, "HTTP/1.1 ") == 0) {
    const std::size_t end = text.find("\r\n\r\n", at);
    if (end == std::string::npos) break;
    Response r;
    r.status = std::stoi(text.substr(at + 9, 3));
    r.head = text.substr(at, end + 4 - at);
    at = end + 4;
    std::size_t next = at;
    const bool bodyless = head || r.status < 200 || r.status == 204 || r.status == 304;
    if (!bodyless && r.head.find("Content-Length: ") == std::string::npos &&
        r.head.find("Transfer-Encoding: chunked") == std::string::npos) {
      r.body = text.substr(at);
      next = text.size();
    } else if (!bodyless) {
      const auto body = body_at(text, r.head, at, next);
      if (!body) break;
      r.body = *body;
    }
    out.push_back(r);
    at = next;
  }
  if (at < text.size()) out.push_back({-1, "", text.substr(at)});
  return out;
}

std::string statuses_in(const std::string& text) {
  std::string out;
  for (const Response& r : responses_in(text)) {
    out += (out.empty() ? "" : " ") + std::to_string(r.status);
  }
  return out;
}

}  // namespace weir::test

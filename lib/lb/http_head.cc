#include "lb/http_head.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "base/assert.h"

namespace weir::lb::http {
namespace {

constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}
constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_alpha(char c) {
  return lower(c) >= 'a' && lower(c) <= 'z';
}
constexpr bool is_space(char c) {
  return c == ' ' || c == '\t';
}

std::string_view trim(std::string_view v) {
  while (!v.empty() && is_space(v.front())) v.remove_prefix(1);
  while (!v.empty() && is_space(v.back())) v.remove_suffix(1);
  return v;
}

std::string_view first_line(std::string_view head) {
  if (head.starts_with("\r\n")) head.remove_prefix(2);  // RFC 9112 §2.2
  return head.substr(0, head.find("\r\n"));
}

// One element of a comma-separated list after the other; empty ones are passed over.
bool next_element(std::string_view& list, std::string_view& element) {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    element = trim(list.substr(0, comma));
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    if (!element.empty()) return true;
  }
  return false;
}

// What Connection says (RFC 9110 §7.6.1).
struct Nominated {
  std::array<std::string_view, kMaxNominated> names;
  std::uint32_t count = 0;
  bool close = false, keep_alive = false, upgrade = false;

  bool add(std::string_view list) {
    std::string_view name;
    while (next_element(list, name)) {
      close = close || same_name(name, "close");
      keep_alive = keep_alive || same_name(name, "keep-alive");
      upgrade = upgrade || same_name(name, "upgrade");
      if (count == kMaxNominated) return false;
      names[count++] = name;
    }
    return true;
  }
  [[nodiscard]] bool has(std::string_view name) const {
    return std::any_of(names.begin(), names.begin() + count,
                       [&](std::string_view n) { return same_name(n, name); });
  }
};

// Digits and nothing else: no sign, no list, no white space (RFC 9110 §8.6, RFC 9112 §6.3).
bool read_length(std::string_view text, std::uint64_t& length) {
  if (text.empty() || text.size() > 18 || !std::all_of(text.begin(), text.end(), is_digit)) {
    return false;
  }
  return std::from_chars(text.data(), text.data() + text.size(), length).ec == std::errc();
}

// A name or an address, and perhaps a port (RFC 3986 §3.2.2). No user, no percent-encoding.
bool is_host(std::string_view h) {
  std::string_view port;
  if (h.starts_with('[')) {
    const std::size_t end = h.find(']');
    if (end == std::string_view::npos || end < 3) return false;
    const std::string_view inside = h.substr(1, end - 1);
    if (inside.find_first_not_of("0123456789abcdefABCDEF:.") != std::string_view::npos) {
      return false;
    }
    port = h.substr(end + 1);
  } else {
    const std::size_t colon = std::min(h.find(':'), h.size());
    const std::string_view name = h.substr(0, colon);
    const auto allowed = [](char c) {
      return is_alpha(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
    };
    if (name.empty() || !std::all_of(name.begin(), name.end(), allowed)) return false;
    port = h.substr(colon);
  }
  if (port.empty()) return true;
  return port[0] == ':' && port.size() <= 6 && std::all_of(port.begin() + 1, port.end(), is_digit);
}

std::string_view without_port_80(std::string_view host) {
  return host.ends_with(":80") ? host.substr(0, host.size() - 3) : host;
}

// What both kinds of head share.
struct Common {
  Nominated nominated;
  std::uint32_t lengths = 0, codings = 0, hosts = 0, upgrades = 0;
  bool chunked = false;
  bool upgrade_refused = false;
};

// A protocol under which requests of our own rules would pass unseen, or which we cannot carry.
bool may_upgrade_to(std::string_view protocols) {
  std::string_view one;
  while (next_element(protocols, one)) {
    for (const std::string_view refused : {"h2", "http", "tls"}) {
      if (same_name(one.substr(0, refused.size()), refused)) return false;
    }
  }
  return true;
}

Fault read_field(std::string_view name, std::string_view value, Common& c, Facts& f) {
  if (same_name(name, "content-length")) {
    if (++c.lengths > 1 || !read_length(value, f.length)) return Fault::kLength;
    f.has_length = true;
  } else if (same_name(name, "transfer-encoding")) {
    c.chunked = same_name(value, "chunked");
    if (++c.codings > 1 || !c.chunked) return Fault::kLength;
  } else if (same_name(name, "connection")) {
    if (!c.nominated.add(value)) return Fault::kHeadTooLong;
  } else if (same_name(name, "host")) {
    ++c.hosts;
    f.host = value;
  } else if (same_name(name, "upgrade")) {
    ++c.upgrades;
    c.upgrade_refused = c.upgrade_refused || !may_upgrade_to(value);
  } else if (same_name(name, "expect")) {
    f.expects_continue = same_name(value, "100-continue");
  }
  return Fault::kNone;
}

Fault read_fields(std::string_view head, Common& c, Facts& f) {
  Fields fields(head);
  std::string_view name, value;
  for (std::uint32_t n = 0; fields.next(name, value); ++n) {
    if (n == kMaxFields) return Fault::kHeadTooLong;
    if (const Fault fault = read_field(name, value, c, f); fault != Fault::kNone) return fault;
  }
  if (c.lengths > 0 && c.codings > 0) return Fault::kLength;  // RFC 9112 §11.2
  if (c.chunked && f.http10) return Fault::kLength;           // RFC 9112 §6.1
  const bool asked = f.http10 ? c.nominated.keep_alive : true;
  f.keep_alive = asked && !c.nominated.close;
  f.upgrade = c.upgrades > 0 && c.nominated.upgrade && !c.upgrade_refused && !f.http10;
  return Fault::kNone;
}

// "HTTP/1.0" or "HTTP/1.1".
Fault read_version(std::string_view v, Facts& f) {
  f.http10 = v == "HTTP/1.0";
  if (f.http10 || v == "HTTP/1.1") return Fault::kNone;
  const bool form =
      v.size() == 8 && v.starts_with("HTTP/") && is_digit(v[5]) && v[6] == '.' && is_digit(v[7]);
  return form ? Fault::kVersion : Fault::kMalformed;
}

// Leaves the target in origin form (RFC 9112 §3.2); `authority` is what an absolute one names.
Fault read_target(std::string_view target, Facts& f, std::string_view& authority) {
  const auto plain = [](char c) { return c > ' ' && c < 0x7f && c != '#'; };
  if (target.empty() || !std::all_of(target.begin(), target.end(), plain)) {
    return Fault::kMalformed;
  }
  f.target = target;
  if (target[0] == '/') return Fault::kNone;
  if (target == "*") return f.method == "OPTIONS" ? Fault::kNone : Fault::kMalformed;
  constexpr std::string_view kScheme = "http://";
  if (!same_name(target.substr(0, kScheme.size()), kScheme)) return Fault::kMalformed;
  target.remove_prefix(kScheme.size());
  const std::size_t end = target.find_first_of("/?");
  authority = target.substr(0, end);
  if (authority.empty()) return Fault::kMalformed;
  f.target = end == std::string_view::npos ? "/" : target.substr(end);
  return f.target[0] == '/' ? Fault::kNone : Fault::kMalformed;
}

Fault read_request_line(std::string_view line, Facts& f, std::string_view& authority) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return Fault::kMalformed;
  f.method = line.substr(0, first);
  const auto token = [](char c) { return is_token_octet(static_cast<unsigned char>(c)); };
  if (f.method.empty() || !std::all_of(f.method.begin(), f.method.end(), token)) {
    return Fault::kMalformed;
  }
  if (const Fault v = read_version(line.substr(last + 1), f); v != Fault::kNone) return v;
  if (f.method == "CONNECT") return Fault::kMethod;
  f.head = f.method == "HEAD";
  constexpr std::string_view kIdempotent[] = {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"};
  f.idempotent =
      std::find(std::begin(kIdempotent), std::end(kIdempotent), f.method) != std::end(kIdempotent);
  return read_target(line.substr(first + 1, last - first - 1), f, authority);
}

}  // namespace

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return lower(x) == lower(y); });
}

bool is_token_octet(unsigned char c) {
  static constexpr auto kTable = [] {
    std::array<bool, 256> t{};
    for (const char x : std::string_view("!#$%&'*+-.^_`|~0123456789"
                                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")) {
      t[static_cast<unsigned char>(x)] = true;
    }
    return t;
  }();
  return kTable[c];
}

Fields::Fields(std::string_view head) {
  const std::size_t from = head.starts_with("\r\n") ? 2 : 0;
  const std::size_t line = head.find("\r\n", from);
  rest_ = line == std::string_view::npos ? std::string_view() : head.substr(line + 2);
}

bool Fields::next(std::string_view& name, std::string_view& value) {
  const std::size_t end = rest_.find("\r\n");
  if (end == 0 || end == std::string_view::npos) return false;
  const std::string_view line = rest_.substr(0, end);
  const std::size_t colon = std::min(line.find(':'), line.size());
  name = line.substr(0, colon);
  value = trim(line.substr(std::min(colon + 1, line.size())));
  rest_.remove_prefix(end + 2);
  return true;
}

Fault read_request(std::string_view head, Facts& f) {
  f = {};
  std::string_view authority;
  Fault fault = read_request_line(first_line(head), f, authority);
  if (fault != Fault::kNone) return fault;
  Common c;
  if (fault = read_fields(head, c, f); fault != Fault::kNone) return fault;
  // RFC 9112 §3.2: exactly one, and of a form that no two readers take differently
  if (c.hosts > 1 || (c.hosts == 0 && !f.http10)) return Fault::kHost;
  if (c.hosts == 1 && !is_host(f.host)) return Fault::kHost;
  if (!authority.empty()) {
    if (!is_host(authority)) return Fault::kHost;
    const bool same = same_name(without_port_80(authority), without_port_80(f.host));
    if (c.hosts == 1 && !same) return Fault::kHost;
    f.host = authority;
  }
  if (c.chunked) f.framing = Framing::kChunked;
  if (c.lengths > 0 && f.length > 0) f.framing = Framing::kLength;
  f.upgrade = f.upgrade && f.framing == Framing::kNone;
  f.expects_continue = f.expects_continue && !f.http10 && f.framing != Framing::kNone;
  return Fault::kNone;
}

Fault read_response(std::string_view head, const Facts& request, Facts& f) {
  f = {};
  const std::string_view line = first_line(head);
  if (const Fault v = read_version(line.substr(0, 8), f); v != Fault::kNone) return v;
  const bool form = line.size() >= 12 && line[8] == ' ' && is_digit(line[9]) &&
                    is_digit(line[10]) && is_digit(line[11]) &&
                    (line.size() == 12 || line[12] == ' ') && line[9] >= '1' && line[9] <= '5';
  if (!form) return Fault::kMalformed;
  f.status =
      static_cast<std::uint16_t>((line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0'));
  Common c;
  if (const Fault fault = read_fields(head, c, f); fault != Fault::kNone) return fault;
  if (f.status == 101 && !(request.upgrade && f.upgrade)) return Fault::kMalformed;
  f.upgrade = f.upgrade && f.status == 101;
  // RFC 9112 §6.3, in its order.
  if (request.head || f.status < 200 || f.status == 204 || f.status == 304) {
    if (f.status < 200 || f.status == 204) f.has_length = false;
    return Fault::kNone;
  }
  if (c.chunked) {
    f.framing = Framing::kChunked;
  } else if (c.lengths > 0) {
    f.framing = f.length > 0 ? Framing::kLength : Framing::kNone;
  } else {
    f.framing = Framing::kUntilClose;
    f.keep_alive = false;
  }
  return Fault::kNone;
}

namespace {

class Writer {
 public:
  explicit Writer(std::span<char> out) : out_(out) {}
  Writer& put(std::string_view text) {
    WEIR_ASSERT(text.size() <= out_.size() - size_);
    std::memcpy(out_.data() + size_, text.data(), text.size());
    size_ += text.size();
    return *this;
  }
  Writer& number(std::uint64_t n) {
    char text[24];
    const auto end = std::to_chars(text, text + sizeof text, n).ptr;
    return put({text, static_cast<std::size_t>(end - text)});
  }
  Writer& address(const IpAddr& a) {
    if (a.is_v4()) {
      const std::uint32_t v = a.v4_value();
      for (const unsigned shift : {24U, 16U, 8U, 0U}) {
        number((v >> shift) & 0xffU);
        if (shift > 0) put(".");
      }
      return *this;
    }
    char text[INET6_ADDRSTRLEN];  // RFC 5952's form
    return put(inet_ntop(AF_INET6, a.octets().data(), text, sizeof text));
  }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  std::span<char> out_;
  std::size_t size_ = 0;
};

// A backend may read `_` as `-`: what is ours to say is taken out in both spellings.
bool is_ours(std::string_view name, std::string_view ours) {
  return name.size() == ours.size() &&
         std::equal(name.begin(), name.end(), ours.begin(),
                    [](char x, char y) { return lower(x) == y || (x == '_' && y == '-'); });
}

// Of one connection only (RFC 9110 §7.6.1), or written anew from what was read.
bool is_hop_by_hop(std::string_view name) {
  for (const std::string_view n : {"connection", "keep-alive", "proxy-connection", "te", "upgrade",
                                   "transfer-encoding", "content-length"}) {
    if (is_ours(name, n)) return true;
  }
  return false;
}

constexpr std::string_view kForwardedFor = "x-forwarded-for";

void write_framing(Writer& w, Framing framing, std::uint64_t length, bool has_length) {
  if (framing == Framing::kChunked) {
    w.put("Transfer-Encoding: chunked\r\n");
  } else if (has_length) {
    w.put("Content-Length: ").number(length).put("\r\n");
  }
}

Nominated nominated_of(std::string_view head) {
  Nominated n;
  Fields fields(head);
  std::string_view name, value;
  while (fields.next(name, value)) {
    if (same_name(name, "connection")) (void)n.add(value);
  }
  return n;
}

void write_upgrade(Writer& w, std::string_view head) {
  w.put("Connection: upgrade\r\n");
  Fields fields(head);
  std::string_view name, value;
  while (fields.next(name, value)) {
    if (same_name(name, "upgrade")) w.put("Upgrade: ").put(value).put("\r\n");
  }
}

void write_forwarded_for(Writer& w, std::string_view head, const IpAddr& client) {
  w.put("X-Forwarded-For: ");
  Fields fields(head);
  std::string_view name, value;
  while (fields.next(name, value)) {
    if (is_ours(name, kForwardedFor) && !value.empty()) w.put(value).put(", ");
  }
  w.address(client).put("\r\n");
}

void write_tags(Writer& w, std::span<const std::string_view> tags) {
  for (const std::string_view tag : tags.first(std::min<std::size_t>(tags.size(), kMaxTags))) {
    w.put("Weir-Tag: ");
    for (const char c : tag.substr(0, kMaxTagOctets)) {
      const bool plain = c > ' ' && c < 0x7f;  // a name is a config's: it breaks no line here
      w.put(plain ? std::string_view(&c, 1) : "_");
    }
    w.put("\r\n");
  }
}

}  // namespace

std::size_t write_request(std::span<char> out, std::string_view head, const Facts& f,
                          const RequestExtras& extras) {
  Writer w(out);
  w.put(f.method).put(" ").put(f.target).put(" HTTP/1.1\r\nHost: ");
  if (f.host.empty()) {
    const bool v4 = extras.backend.addr.is_v4();
    w.put(v4 ? "" : "[").address(extras.backend.addr).put(v4 ? ":" : "]:");
    w.number(extras.backend.port);
  } else {
    w.put(f.host);
  }
  w.put("\r\n");
  const Nominated nominated = nominated_of(head);
  Fields fields(head);
  std::string_view name, value;
  while (fields.next(name, value)) {
    if (is_hop_by_hop(name) || same_name(name, "host") || nominated.has(name)) continue;
    if (is_ours(name, kForwardedFor) || is_ours(name, kTagField)) continue;
    if (same_name(name, "expect") && (extras.continued || !f.expects_continue)) continue;
    w.put(name).put(": ").put(value).put("\r\n");
  }
  write_forwarded_for(w, head, extras.client);
  write_tags(w, extras.tags);
  write_framing(w, f.framing, f.length, f.has_length);
  if (f.upgrade) write_upgrade(w, head);
  return w.put("\r\n").size();
}

std::size_t write_response(std::span<char> out, std::string_view head, const Facts& f,
                           const ResponseExtras& extras) {
  Writer w(out);
  const std::string_view line = first_line(head);
  w.put("HTTP/1.1 ").put(line.substr(9, 3)).put(" ");
  if (line.size() > 13) w.put(line.substr(13));
  w.put("\r\n");
  const Nominated nominated = nominated_of(head);
  Fields fields(head);
  std::string_view name, value;
  while (fields.next(name, value)) {
    if (is_hop_by_hop(name) || nominated.has(name)) continue;
    w.put(name).put(": ").put(value).put("\r\n");
  }
  write_framing(w, extras.framing, f.length, f.has_length);
  if (f.upgrade) {
    write_upgrade(w, head);
  } else if (f.status >= 200 && extras.close) {
    w.put("Connection: close\r\n");
  } else if (f.status >= 200 && extras.say_keep_alive) {
    w.put("Connection: keep-alive\r\n");
  }
  return w.put("\r\n").size();
}

std::size_t write_answer(std::span<char> out, std::uint16_t status, bool head, bool close) {
  Writer w(out);
  const std::string_view reason = reason_of(status);
  w.put("HTTP/1.1 ").number(status).put(" ").put(reason);
  w.put("\r\nServer: weir\r\nContent-Type: text/plain\r\nContent-Length: ");
  w.number(reason.size() + 5).put("\r\n");
  w.put(close ? "Connection: close\r\n\r\n" : "Connection: keep-alive\r\n\r\n");
  if (!head) w.number(status).put(" ").put(reason).put("\n");
  return w.size();
}

std::string_view reason_of(std::uint16_t status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 410:
      return "Gone";
    case 413:
      return "Content Too Large";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 451:
      return "Unavailable For Legal Reasons";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return status >= 500 ? "Server Error" : "Refused";
  }
}

}  // namespace weir::lb::http

// The kernel's side of a comparison: what a lean server costs on Linux's own TCP.
//
// Edge-triggered epoll, non-blocking sockets, a listener of its own for each worker thread
// (SO_REUSEPORT), answers from memory; octet for octet what `weir serve` answers to GET and HEAD,
// but for the Server field, which is as long. It knows no more of HTTP than that takes: a head
// beyond 16 KiB, another method or a body ends the connection.
//
//   epoll_server ADDRESS:PORT [--workers N] [--body OCTETS]
//
// Prints `ready` when it listens; SIGTERM ends it. Exit code 2: a bad command line, or no listener.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace weir::bench {
namespace {

constexpr std::uint32_t kPatternSize = 1'048'573;  // apps/weir/serve.h
constexpr std::size_t kMaxHead = 16'384;
constexpr int kBacklog = 4'096;
constexpr int kEvents = 256;

struct Options {
  sockaddr_in address{};
  std::uint64_t workers = 1;
  std::uint64_t body = 1'024;
};

template <class T>
std::optional<T> number(std::string_view text) {
  T n{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return n;
}

std::vector<char> make_pattern() {
  std::vector<char> p(kPatternSize);
  for (std::uint32_t i = 0; i < kPatternSize; ++i) {
    p[i] = static_cast<char>((i * 31U + (i >> 8U) * 17U + (i >> 16U) * 7U) & 0xffU);
  }
  return p;
}

struct Client {
  std::array<char, kMaxHead> in;
  std::size_t in_size = 0;
  std::array<char, 192> head;
  std::size_t head_size = 0, head_sent = 0;
  std::uint64_t body_left = 0;
  std::uint32_t body_at = 0;
  bool close_after = false, wants_room = false;
};

struct Request {
  std::string_view method, target, rest;
};

std::optional<Request> request_of(std::string_view head) {
  const std::size_t line = head.find("\r\n");
  const std::size_t a = head.find(' ');
  const std::size_t b = a < line ? head.find(' ', a + 1) : std::string_view::npos;
  if (b >= line) return std::nullopt;
  return Request{head.substr(0, a), head.substr(a + 1, b - a - 1), head.substr(b + 1)};
}

// As HTTP/1.0 and HTTP/1.1 have it by default, or as the Connection field says.
bool keeps_alive(std::string_view version_and_fields) {
  constexpr std::string_view kField = "\r\nconnection:";
  bool keep = !version_and_fields.starts_with("HTTP/1.0");
  for (std::size_t at = version_and_fields.find("\r\n"); at != std::string_view::npos;
       at = version_and_fields.find("\r\n", at + 2)) {
    std::string_view line = version_and_fields.substr(at);
    if (line.size() < kField.size() || strncasecmp(line.data(), kField.data(), kField.size()) != 0)
      continue;
    line = line.substr(kField.size(), line.find("\r\n", 2) - kField.size());
    while (line.starts_with(' ')) line.remove_prefix(1);
    if (strncasecmp(line.data(), "close", 5) == 0) keep = false;
    if (strncasecmp(line.data(), "keep-alive", 10) == 0) keep = true;
  }
  return keep;
}

epoll_event events_of(int fd) {
  epoll_event e{};
  e.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
  e.data.fd = fd;
  return e;
}

class Server {
 public:
  Server(const Options& options, const std::vector<char>& pattern)
      : options_(options), pattern_(pattern) {}

  [[nodiscard]] bool start();  // false: errno says why
  void run();

 private:
  void on_listener();
  void on_client(int fd, Client& c, bool peer_closed);
  void want_room(int fd, Client& c, bool on);
  [[nodiscard]] bool answer_all(int fd, Client& c);
  [[nodiscard]] bool put_answer(Client& c, std::string_view head);
  [[nodiscard]] bool flush(int fd, Client& c);  // false: gone
  void end(int fd);
  [[nodiscard]] static bool pending(const Client& c) {
    return c.head_sent < c.head_size || c.body_left > 0;
  }

  const Options& options_;
  const std::vector<char>& pattern_;
  int listener_ = -1, epoll_ = -1;
  std::vector<std::unique_ptr<Client>> clients_;  // by file descriptor
  std::vector<std::unique_ptr<Client>> spare_;
};

bool Server::start() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(listener_, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  setsockopt(listener_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // inherited on accept
  epoll_event e = events_of(listener_);
  const auto* at = reinterpret_cast<const sockaddr*>(&options_.address);
  return bind(listener_, at, sizeof options_.address) == 0 && listen(listener_, kBacklog) == 0 &&
         epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &e) == 0;
}

void Server::run() {
  std::array<epoll_event, kEvents> events;
  for (;;) {
    const int n = epoll_wait(epoll_, events.data(), kEvents, -1);
    for (int i = 0; i < n; ++i) {
      const epoll_event& e = events[static_cast<unsigned>(i)];
      if (e.data.fd == listener_) {
        on_listener();
      } else {
        on_client(e.data.fd, *clients_[static_cast<unsigned>(e.data.fd)],
                  (e.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
      }
    }
  }
}

void Server::on_listener() {
  for (;;) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    const auto index = static_cast<unsigned>(fd);
    if (clients_.size() <= index) clients_.resize(2 * std::size_t{index} + 64);
    if (spare_.empty()) spare_.push_back(std::make_unique_for_overwrite<Client>());
    clients_[index] = std::move(spare_.back());
    spare_.pop_back();
    Client& c = *clients_[index];
    c.in_size = c.head_size = c.head_sent = 0;
    c.body_left = 0;
    c.close_after = c.wants_room = false;
    epoll_event e = events_of(fd);
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &e) != 0) end(fd);
  }
}

void Server::end(int fd) {
  spare_.push_back(std::move(clients_[static_cast<unsigned>(fd)]));
  close(fd);
}

void Server::on_client(int fd, Client& c, bool peer_closed) {
  for (bool drained = false;;) {
    if (!flush(fd, c)) return end(fd);
    want_room(fd, c, pending(c));
    if (pending(c)) return;
    if (c.close_after || !answer_all(fd, c)) return end(fd);
    if (pending(c) || c.close_after) continue;
    if (drained) return;
    const ssize_t n = read(fd, c.in.data() + c.in_size, c.in.size() - c.in_size);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) return end(fd);
    c.in_size += static_cast<std::size_t>(n);
    // A short read emptied the socket: for what comes now there is a new edge, but not for a FIN
    // that this edge told of already.
    drained = c.in_size < c.in.size() && !peer_closed;
  }
}

// EPOLLOUT only while an answer waits for it: else each ACK would wake us.
void Server::want_room(int fd, Client& c, bool on) {
  if (c.wants_room == on) return;
  c.wants_room = on;
  epoll_event e = events_of(fd);
  if (on) e.events |= EPOLLOUT;
  epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &e);
}

// Every request that is here whole, one after the other. False: the connection is to end.
bool Server::answer_all(int fd, Client& c) {
  std::size_t used = 0;
  while (!pending(c) && !c.close_after) {
    const std::string_view left(c.in.data() + used, c.in_size - used);
    const std::size_t end_of_head = left.find("\r\n\r\n");
    if (end_of_head == std::string_view::npos) break;
    if (!put_answer(c, left.substr(0, end_of_head + 4))) return false;
    used += end_of_head + 4;
    if (!flush(fd, c)) return false;
  }
  c.in_size -= used;
  std::memmove(c.in.data(), c.in.data() + used, c.in_size);
  return c.in_size < c.in.size();
}

bool Server::put_answer(Client& c, std::string_view head) {
  constexpr std::string_view kBytes = "/bytes/";
  const auto request = request_of(head);
  if (!request || (request->method != "GET" && request->method != "HEAD")) return false;
  std::uint64_t length = options_.body;
  if (request->target.starts_with(kBytes)) {
    const auto n = number<std::uint64_t>(request->target.substr(kBytes.size()));
    if (!n) return false;
    length = *n;
  }
  c.close_after = !keeps_alive(request->rest);
  const int n = std::snprintf(c.head.data(), c.head.size(),
                              "HTTP/1.1 200 OK\r\nServer: lean\r\n"
                              "Content-Type: application/octet-stream\r\n"
                              "Content-Length: %llu\r\nConnection: %s\r\n\r\n",
                              static_cast<unsigned long long>(length),
                              c.close_after ? "close" : "keep-alive");
  c.head_size = static_cast<std::size_t>(n);
  c.head_sent = 0;
  c.body_left = request->method == "HEAD" ? 0 : length;
  c.body_at = 0;
  return true;
}

bool Server::flush(int fd, Client& c) {
  while (pending(c)) {
    std::array<iovec, 2> parts{};
    parts[0] = {c.head.data() + c.head_sent, c.head_size - c.head_sent};
    const std::uint64_t body = std::min<std::uint64_t>(c.body_left, kPatternSize - c.body_at);
    parts[1] = {const_cast<char*>(pattern_.data()) + c.body_at, static_cast<std::size_t>(body)};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    const ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    const auto sent = static_cast<std::size_t>(n);
    const std::size_t of_head = std::min(sent, parts[0].iov_len);
    c.head_sent += of_head;
    c.body_left -= sent - of_head;
    c.body_at = static_cast<std::uint32_t>((c.body_at + (sent - of_head)) % kPatternSize);
  }
  return true;
}

int complain(const std::string& what) {
  std::fprintf(stderr, "epoll_server: %s\n", what.c_str());
  return 2;
}

// An error in one line, or nothing.
std::optional<std::string> read_options(const std::vector<std::string>& args, Options& o) {
  for (std::size_t i = 0; i < args.size(); ++i) {
    const bool workers = args[i] == "--workers", body = args[i] == "--body";
    if (workers || body) {
      const std::uint64_t least = workers ? 1 : 0, most = workers ? 64 : 1ULL << 40U;
      const std::string_view value = i + 1 < args.size() ? args[i + 1] : std::string_view{};
      const std::uint64_t n = number<std::uint64_t>(value).value_or(most + 1);
      if (n < least || n > most) {
        return args[i] + (workers ? " takes 1..64" : " takes 0..1099511627776");
      }
      (workers ? o.workers : o.body) = n;
      ++i;
      continue;
    }
    const std::size_t colon = args[i].rfind(':');
    const auto port = colon == std::string::npos
                          ? std::nullopt
                          : number<std::uint16_t>(std::string_view(args[i]).substr(colon + 1));
    o.address.sin_family = AF_INET;
    if (!port || inet_pton(AF_INET, args[i].substr(0, colon).c_str(), &o.address.sin_addr) != 1) {
      return "'" + args[i] + "' is no ADDRESS:PORT; write it like 10.0.0.1:80";
    }
    o.address.sin_port = htons(*port);
  }
  if (o.address.sin_family == 0) return "which ADDRESS:PORT? As in epoll_server 10.0.0.1:80";
  return std::nullopt;
}

int main(int argc, char** argv) {
  Options options;
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (const auto error = read_options(args, options)) return complain(*error);
  const std::vector<char> pattern = make_pattern();
  std::vector<std::unique_ptr<Server>> servers;
  for (std::uint64_t i = 0; i < options.workers; ++i) {
    servers.push_back(std::make_unique<Server>(options, pattern));
    if (!servers.back()->start()) return complain(std::string("listen: ") + std::strerror(errno));
  }
  std::puts("ready");
  std::fflush(stdout);
  std::vector<std::thread> threads;
  for (auto& s : servers) threads.emplace_back([&s] { s->run(); });
  for (std::thread& t : threads) t.join();
  return 0;
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  return weir::bench::main(argc, argv);
}

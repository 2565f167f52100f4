// One message to and fro, over and over, by the kernel's sockets: what a peer of Weir waits.
//
//   tcp_ping ADDRESS:PORT SECONDS [--udp] [--size OCTETS]    asks, and prints percentiles as JSON
//   tcp_ping --serve ADDRESS:PORT                            sends back what comes (TCP), until
//   SIGTERM
//
// Both poll, so that no wake-up is in the figures; all servers are asked by this one client. Each
// octet is compared. Exit code 2: a bad command line, or nobody there; 1: a wrong or missing
// answer.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kSilence = std::chrono::seconds(2);  // without an answer: it is lost
constexpr auto kWarm = std::chrono::milliseconds(200);
constexpr std::size_t kMostSamples = 4'000'000;

struct Options {
  sockaddr_in address{};
  unsigned seconds = 1, size = 64;
  bool udp = false, serves = false;
};

std::optional<unsigned> number(std::string_view text, unsigned least, unsigned most) {
  unsigned n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && n >= least && n <= most ? std::optional(n) : std::nullopt;
}

std::optional<std::string> read_address(const std::string& text, sockaddr_in& out) {
  const std::size_t colon = std::min(text.rfind(':'), text.size());
  const auto port =
      number(std::string_view(text).substr(std::min(colon + 1, text.size())), 1, 65'535);
  out.sin_family = AF_INET;
  if (!port || inet_pton(AF_INET, text.substr(0, colon).c_str(), &out.sin_addr) != 1) {
    return "'" + text + "' is no ADDRESS:PORT; write it like 10.0.0.1:7";
  }
  out.sin_port = htons(static_cast<std::uint16_t>(*port));
  return std::nullopt;
}

// An error in one line, or nothing.
std::optional<std::string> read_options(const std::vector<std::string>& args, Options& o) {
  if (args.size() == 2 && args[0] == "--serve") {
    o.serves = true;
    return read_address(args[1], o.address);
  }
  if (args.size() < 2) {
    return "usage: tcp_ping ADDRESS:PORT SECONDS [--udp] [--size OCTETS] or --serve ADDRESS:PORT";
  }
  if (auto error = read_address(args[0], o.address)) return error;
  const auto seconds = number(args[1], 1, 3'600);
  if (!seconds) return "SECONDS = " + args[1] + ": 1..3600";
  o.seconds = *seconds;
  for (std::size_t i = 2; i < args.size(); ++i) {
    if (args[i] == "--udp") {
      o.udp = true;
    } else if (args[i] == "--size" && i + 1 < args.size()) {
      const auto n = number(args[++i], 4, 1'400);
      if (!n) return std::string("--size takes 4..1400");
      o.size = *n;
    } else {
      return args[i] + ": --udp or --size OCTETS";
    }
  }
  return std::nullopt;
}

int complain(const std::string& what, int code) {
  std::fprintf(stderr, "tcp_ping: %s\n", what.c_str());
  return code;
}

void set_nodelay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// One connection at a time.
int serve(const Options& o) {
  const int on = 1;
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, reinterpret_cast<const sockaddr*>(&o.address), sizeof o.address) != 0 ||
      listen(listener, 16) != 0) {
    return complain(std::strerror(errno), 2);
  }
  std::puts("ready");
  std::fflush(stdout);
  for (std::vector<char> text(65'536);;) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    set_nodelay(fd);
    for (;;) {
      const ssize_t n = recv(fd, text.data(), text.size(), MSG_DONTWAIT);
      if (n > 0) {
        if (send(fd, text.data(), static_cast<std::size_t>(n), MSG_NOSIGNAL) != n) break;
      } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        break;
      }
    }
    close(fd);
  }
}

class Pinger {
 public:
  Pinger(int fd, unsigned size) : fd_(fd), sent_(size), got_(size) { times.reserve(kMostSamples); }

  // False: what came back is not what was sent, or nothing came.
  bool run_for(Clock::duration time) {
    for (const Clock::time_point end = Clock::now() + time; Clock::now() < end;) {
      if (!once()) return false;
    }
    return true;
  }
  std::vector<std::uint32_t> times;  // nanoseconds

 private:
  bool once() {
    ++number_;
    for (std::size_t i = 0; i < sent_.size(); ++i) sent_[i] = static_cast<char>(number_ + i);
    const Clock::time_point began = Clock::now();
    if (send(fd_, sent_.data(), sent_.size(), MSG_NOSIGNAL) < 0) return false;
    for (std::size_t have = 0; have < got_.size();) {
      const ssize_t n = recv(fd_, got_.data() + have, got_.size() - have, MSG_DONTWAIT);
      if (n > 0) {
        have += static_cast<std::size_t>(n);
      } else if (n == 0 || (errno != EAGAIN && errno != EINTR) || Clock::now() - began > kSilence) {
        return false;
      }
    }
    const auto took = std::chrono::nanoseconds(Clock::now() - began).count();
    if (times.size() < kMostSamples) times.push_back(static_cast<std::uint32_t>(took));
    return sent_ == got_;
  }

  int fd_;
  unsigned number_ = 0;
  std::vector<char> sent_, got_;
};

std::uint32_t percentile(const std::vector<std::uint32_t>& sorted, double share) {
  const auto at = static_cast<std::size_t>(share * static_cast<double>(sorted.size()));
  return sorted[std::min(at, sorted.size() - 1)];
}

int ask(const Options& o) {
  const int fd = socket(AF_INET, (o.udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&o.address), sizeof o.address) != 0) {
    return complain(std::strerror(errno), 2);
  }
  if (!o.udp) set_nodelay(fd);
  Pinger pinger(fd, o.size);
  if (!pinger.run_for(kWarm)) return complain("no answer, or a wrong one", 1);
  pinger.times.clear();
  if (!pinger.run_for(std::chrono::seconds(o.seconds)) || pinger.times.empty()) {
    return complain("no answer, or a wrong one", 1);
  }
  close(fd);
  std::sort(pinger.times.begin(), pinger.times.end());
  std::printf("{\"count\":%zu,\"p50\":%u,\"p99\":%u,\"p999\":%u}\n", pinger.times.size(),
              percentile(pinger.times, 0.5), percentile(pinger.times, 0.99),
              percentile(pinger.times, 0.999));
  return 0;
}

int main(int argc, char** argv) {
  Options o;
  if (const auto error = read_options({argv + 1, argv + argc}, o)) return complain(*error, 2);
  return o.serves ? serve(o) : ask(o);
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  return weir::bench::main(argc, argv);
}

// How many packets a path carries when nobody does more with them than send them back.
//
//   udp_ping ADDRESS:PORT SECONDS [--window N] [--size OCTETS]
//
// Keeps N datagrams of OCTETS on their way to an echo and back, in batches (sendmmsg, recvmmsg),
// and prints the answers per second as one JSON object. What is not answered within 20 ms of
// silence counts as lost and is sent again. Exit code 2: a bad command line; 1: nothing came back.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned kBatch = 64;
constexpr int kSilence = 20;  // milliseconds

struct Options {
  sockaddr_in address{};
  unsigned seconds = 1, window = 256, size = 64;
};

std::optional<unsigned> number(std::string_view text, unsigned least, unsigned most) {
  unsigned n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && n >= least && n <= most ? std::optional(n) : std::nullopt;
}

// An error in one line, or nothing.
std::optional<std::string> read_options(const std::vector<std::string>& args, Options& o) {
  if (args.size() < 2) return "usage: udp_ping ADDRESS:PORT SECONDS [--window N] [--size OCTETS]";
  const std::size_t colon = std::min(args[0].rfind(':'), args[0].size());
  const auto port =
      number(std::string_view(args[0]).substr(std::min(colon + 1, args[0].size())), 1, 65'535);
  o.address.sin_family = AF_INET;
  if (!port || inet_pton(AF_INET, args[0].substr(0, colon).c_str(), &o.address.sin_addr) != 1) {
    return "'" + args[0] + "' is no ADDRESS:PORT; write it like 10.0.0.1:7";
  }
  o.address.sin_port = htons(static_cast<std::uint16_t>(*port));
  const auto seconds = number(args[1], 1, 3'600);
  if (!seconds) return "SECONDS = " + args[1] + ": 1..3600";
  o.seconds = *seconds;
  for (std::size_t i = 2; i < args.size(); i += 2) {
    const bool window = args[i] == "--window";
    if (!window && args[i] != "--size") return args[i] + ": --window or --size";
    const auto n = number(i + 1 < args.size() ? args[i + 1] : "", 1, window ? 4'096 : 1'472);
    if (!n) return args[i] + (window ? " takes 1..4096" : " takes 1..1472");
    (window ? o.window : o.size) = *n;
  }
  return std::nullopt;
}

class Pinger {
 public:
  Pinger(int fd, const Options& o) : fd_(fd), options_(o), text_(o.size, 'x'), room_(o.size) {
    for (unsigned i = 0; i < kBatch; ++i) {
      out_part_ = {text_.data(), text_.size()};
      in_part_ = {room_.data(), room_.size()};
      out_[i].msg_hdr.msg_iov = &out_part_;
      in_[i].msg_hdr.msg_iov = &in_part_;
      out_[i].msg_hdr.msg_iovlen = in_[i].msg_hdr.msg_iovlen = 1;
    }
  }

  void run_for(std::chrono::milliseconds time) {
    const Clock::time_point end = Clock::now() + time;
    while (Clock::now() < end) turn();
  }
  std::uint64_t answers = 0, lost = 0;

 private:
  void turn() {
    unsigned left = options_.window - under_way_;
    while (left > 0) {
      const int n = sendmmsg(fd_, out_.data(), std::min(left, kBatch), MSG_DONTWAIT);
      if (n <= 0) break;
      under_way_ += static_cast<unsigned>(n);
      left -= static_cast<unsigned>(n);
    }
    pollfd p{fd_, POLLIN, 0};
    if (poll(&p, 1, kSilence) == 0) {
      lost += under_way_;
      under_way_ = 0;
      return;
    }
    const int n = recvmmsg(fd_, in_.data(), kBatch, MSG_DONTWAIT, nullptr);
    if (n <= 0) return;
    answers += static_cast<unsigned>(n);
    under_way_ -= std::min(under_way_, static_cast<unsigned>(n));
  }

  int fd_;
  const Options& options_;
  std::vector<char> text_, room_;
  iovec out_part_{}, in_part_{};
  std::array<mmsghdr, kBatch> out_{}, in_{};
  unsigned under_way_ = 0;
};

int main(int argc, char** argv) {
  Options o;
  if (const auto error = read_options({argv + 1, argv + argc}, o)) {
    std::fprintf(stderr, "udp_ping: %s\n", error->c_str());
    return 2;
  }
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&o.address), sizeof o.address) != 0) {
    std::fprintf(stderr, "udp_ping: %s\n", std::strerror(errno));
    return 2;
  }
  Pinger pinger(fd, o);
  pinger.run_for(std::chrono::milliseconds(200));  // the path warms up
  pinger.answers = pinger.lost = 0;
  const Clock::time_point start = Clock::now();
  pinger.run_for(std::chrono::seconds(o.seconds));
  const std::chrono::duration<double> took = Clock::now() - start;
  std::printf("{\"answers_per_second\":%.1f,\"lost\":%llu,\"size\":%u,\"window\":%u}\n",
              static_cast<double>(pinger.answers) / took.count(),
              static_cast<unsigned long long>(pinger.lost), o.size, o.window);
  close(fd);
  return pinger.answers > 0 ? 0 : 1;
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  return weir::bench::main(argc, argv);
}

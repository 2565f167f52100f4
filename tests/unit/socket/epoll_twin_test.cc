// epoll and its naive twin: a list of all that is watched, asked one by one whenever it matters.
// Random sockets, epolls and calls; what epoll_wait tells must lie between what the twin knows that
// it must tell and what it may tell.
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/rng.h"
#include "harness.h"

namespace weir::posix::test {
namespace {

constexpr std::uint32_t kFlags = EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE;

struct Watched {
  std::uint32_t events = 0;  // as asked for, ERR and HUP with it; 0 when a one-shot was told
  bool edge = false, once = false, exclusive = false;
  std::uint32_t seen = 0;  // bits that held when last looked at
  bool due = false;        // an edge that must be told
};

// Per epoll: fd and what it is watched for.
struct Twin {
  std::map<int, Watched> all;

  // After every step: bits that were not there before make an edge.
  void look(const Host& h) {
    for (auto& [fd, w] : all) {
      const std::uint32_t bits = weir_ready(h, fd) & w.events;
      if ((bits & ~w.seen) != 0) w.due = true;
      if (bits == 0) w.due = false;
      w.seen = bits;
    }
  }
  [[nodiscard]] bool must(int fd) const {
    const Watched& w = all.at(fd);
    return w.seen != 0 && (w.edge ? w.due : true);
  }
  [[nodiscard]] std::size_t due() const {
    return static_cast<std::size_t>(std::count_if(
        all.begin(), all.end(), [this](const auto& item) { return must(item.first); }));
  }
};

class Life {
 public:
  explicit Life(std::uint64_t seed)
      : rng_(seed),
        host_({.seed = seed, .settings = {{"rmem", "16384"}, {"wmem", "8192"}}}),
        listener_(host_.listener(80, 16)) {
    for (int& ep : epolls_) ep = weir_epoll_create1(host_, 0);
    sockets_.push_back(listener_);
  }

  ~Life() {
    for (const int fd : sockets_) weir_close(host_, fd);
  }
  Life(const Life&) = delete;
  Life& operator=(const Life&) = delete;

  void step() {
    const auto roll = rng_.below(100);
    if (roll < 8) {
      open();
    } else if (roll < 30) {
      control();
    } else if (roll < 60) {
      collect(static_cast<std::size_t>(rng_.below(3)));
    } else if (roll < 75) {
      (void)host_.write(pick(), std::string(1 + rng_.below(3'000), 'x'));
    } else if (roll < 90) {
      (void)host_.read(pick(), 1 + rng_.below(6'000));
    } else if (roll < 94) {
      (void)weir_shutdown(host_, pick(), static_cast<int>(rng_.below(3)));
    } else if (roll < 97) {
      end();
    } else {
      host_.pass(rng_.below(300) * kMs);
    }
    (void)host_.drain();
    for (Twin& t : twins_) t.look(host_);
  }

 private:
  int pick() { return sockets_[rng_.below(static_cast<std::uint32_t>(sockets_.size()))]; }

  // Two ends of one connection, both of this host.
  void open() {
    if (sockets_.size() > 20) return;
    const int fd = host_.tcp();
    (void)host_.connect(fd, kHost, 80);
    sockets_.push_back(fd);
    if (rng_.below(2) == 0) return;
    if (const int other = host_.accept(listener_); other >= 0) sockets_.push_back(other);
  }

  void end() {
    const int fd = pick();
    if (fd == listener_) return;
    EXPECT_EQ(0, weir_close(host_, fd));
    std::erase(sockets_, fd);
    for (Twin& t : twins_) t.all.erase(fd);
  }

  void control() {
    const auto at = static_cast<std::size_t>(rng_.below(3));
    const int fd = pick();
    static constexpr std::array<int, 4> kOps{EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD,
                                             EPOLL_CTL_DEL};
    const int op = kOps[rng_.below(4)];
    epoll_event ev{};
    if (rng_.below(3) != 0) ev.events |= EPOLLIN;
    if (rng_.below(3) == 0) ev.events |= EPOLLOUT;
    if (rng_.below(4) == 0) ev.events |= EPOLLRDHUP;
    if (rng_.below(2) == 0) ev.events |= EPOLLET;
    if (rng_.below(4) == 0) ev.events |= EPOLLONESHOT;
    if (rng_.below(8) == 0) ev.events |= EPOLLEXCLUSIVE;
    ev.data.fd = fd;
    const int got = weir_epoll_ctl(host_, epolls_[at], op, fd, &ev) == 0 ? 0 : errno;
    EXPECT_EQ(expected(twins_[at], op, fd, ev.events), got);
    if (got != 0) return;
    if (op == EPOLL_CTL_DEL) {
      twins_[at].all.erase(fd);
      return;
    }
    twins_[at].all[fd] = {.events = (ev.events & ~kFlags) | EPOLLERR | EPOLLHUP,
                          .edge = (ev.events & EPOLLET) != 0,
                          .once = (ev.events & EPOLLONESHOT) != 0,
                          .exclusive = (ev.events & EPOLLEXCLUSIVE) != 0};
  }

  static int expected(const Twin& t, int op, int fd, std::uint32_t events) {
    const bool shares = (events & EPOLLEXCLUSIVE) != 0;
    const auto found = t.all.find(fd);
    if (shares && op == EPOLL_CTL_MOD) return EINVAL;
    if (shares && op == EPOLL_CTL_ADD && (events & (EPOLLONESHOT | EPOLLRDHUP)) != 0) return EINVAL;
    if (op == EPOLL_CTL_ADD) return found == t.all.end() ? 0 : EEXIST;
    if (found == t.all.end()) return ENOENT;
    return op == EPOLL_CTL_MOD && found->second.exclusive ? EINVAL : 0;
  }

  void collect(std::size_t at) {
    Twin& t = twins_[at];
    std::array<epoll_event, 32> out{};
    const std::size_t most = 1 + rng_.below(rng_.below(2) == 0 ? 3 : 32);
    const std::size_t due = t.due();
    const int n = weir_epoll_wait(host_, epolls_[at], out.data(), static_cast<int>(most));
    ASSERT_GE(n, 0);
    EXPECT_GE(static_cast<std::size_t>(n), std::min(most, due));
    std::set<int> told;
    for (int i = 0; i < n; ++i) {
      const epoll_event& e = out[static_cast<std::size_t>(i)];
      const int fd = e.data.fd;
      EXPECT_TRUE(told.insert(fd).second) << fd << " told twice";
      ASSERT_TRUE(t.all.contains(fd)) << fd << " is not watched";
      Watched& w = t.all[fd];
      EXPECT_EQ(weir_ready(host_, fd) & w.events, e.events) << fd;
      EXPECT_NE(0U, e.events);
      w.due = false;
      if (w.once) w.events = 0;
    }
    if (static_cast<std::size_t>(n) == most) return;
    for (const auto& [fd, w] : t.all) EXPECT_TRUE(!t.must(fd) || told.contains(fd)) << fd;
  }

  Rng rng_;
  Host host_;
  int listener_;
  std::array<int, 3> epolls_{};
  std::array<Twin, 3> twins_;
  std::vector<int> sockets_;
};

TEST(EpollTwin, TellsWhatItsTwinTells) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Life life(seed);
    for (int i = 0; i < 600 && !testing::Test::HasFailure(); ++i) life.step();
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace weir::posix::test

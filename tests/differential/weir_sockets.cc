#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <utility>
#include <vector>

#include "socket/include/weir/weir.h"
#include "sockets.h"

namespace weir::differential {
namespace {

// What a program can see of this kernel's sysctls is set here, too.
const std::vector<std::pair<const char*, std::string>>& of_kernel() {
  static const std::vector<std::pair<const char*, std::string>> all = [] {
    std::vector<std::pair<const char*, std::string>> found;
    for (const char* name :
         {"syn_retries", "fin_timeout", "keepalive_time", "keepalive_intvl", "keepalive_probes"}) {
      std::ifstream file(std::string("/proc/sys/net/ipv4/tcp_") + name);
      std::string value;
      const bool seconds =
          std::strncmp(name, "syn", 3) != 0 && std::strstr(name, "probes") == nullptr;
      if (file >> value) found.emplace_back(name, value + (seconds ? "s" : ""));
    }
    return found;
  }();
  return all;
}

class Stack final : public Sockets {
 public:
  Stack(std::uint64_t seed, std::uint32_t mtu) {
    weir_config c;
    weir_config_init(&c);
    const char* addresses[] = {"192.0.2.1/24", "2001:db8::1/64"};
    c.addresses = addresses;
    c.address_count = 2;
    c.mtu = std::min(mtu, 65'535U);
    c.seed = seed;
    c.now = 1'000'000'000;
    c.raise_sigpipe = 1;
    c.max_connections = 64;
    c.max_sockets = 64;
    c.max_packet_buffers = 2'048;
    std::vector<weir_setting> settings{{"max_tw_buckets", "64"}, {"max_syn_backlog", "64"}};
    for (const auto& [name, value] : of_kernel()) settings.push_back({name, value.c_str()});
    c.settings = settings.data();
    c.setting_count = settings.size();
    char error[256] = "";
    s_ = weir_stack_create(&c, error, sizeof error);
    if (s_ == nullptr) {
      std::fprintf(stderr, "%s\n", error);
      std::abort();
    }
  }
  ~Stack() override { weir_stack_destroy(s_); }

  int socket(int domain, int type, int protocol) override {
    return weir_socket(s_, domain, type, protocol);
  }
  int bind(int fd, const sockaddr* a, socklen_t n) override { return weir_bind(s_, fd, a, n); }
  int listen(int fd, int backlog) override { return weir_listen(s_, fd, backlog); }
  int accept4(int fd, sockaddr* a, socklen_t* n, int flags) override {
    return weir_accept4(s_, fd, a, n, flags);
  }
  int connect(int fd, const sockaddr* a, socklen_t n) override {
    return weir_connect(s_, fd, a, n);
  }
  ssize_t read(int fd, void* b, size_t n) override { return weir_read(s_, fd, b, n); }
  ssize_t readv(int fd, const iovec* v, int n) override { return weir_readv(s_, fd, v, n); }
  ssize_t recv(int fd, void* b, size_t n, int flags) override {
    return weir_recv(s_, fd, b, n, flags);
  }
  ssize_t recvfrom(int fd, void* b, size_t n, int flags, sockaddr* a, socklen_t* l) override {
    return weir_recvfrom(s_, fd, b, n, flags, a, l);
  }
  ssize_t recvmsg(int fd, msghdr* m, int flags) override { return weir_recvmsg(s_, fd, m, flags); }
  ssize_t write(int fd, const void* b, size_t n) override { return weir_write(s_, fd, b, n); }
  ssize_t writev(int fd, const iovec* v, int n) override { return weir_writev(s_, fd, v, n); }
  ssize_t send(int fd, const void* b, size_t n, int flags) override {
    return weir_send(s_, fd, b, n, flags);
  }
  ssize_t sendto(int fd, const void* b, size_t n, int flags, const sockaddr* a,
                 socklen_t l) override {
    return weir_sendto(s_, fd, b, n, flags, a, l);
  }
  ssize_t sendmsg(int fd, const msghdr* m, int flags) override {
    return weir_sendmsg(s_, fd, m, flags);
  }
  int shutdown(int fd, int how) override { return weir_shutdown(s_, fd, how); }
  int close(int fd) override { return weir_close(s_, fd); }
  int getsockname(int fd, sockaddr* a, socklen_t* n) override {
    return weir_getsockname(s_, fd, a, n);
  }
  int getpeername(int fd, sockaddr* a, socklen_t* n) override {
    return weir_getpeername(s_, fd, a, n);
  }
  int getsockopt(int fd, int level, int name, void* v, socklen_t* n) override {
    return weir_getsockopt(s_, fd, level, name, v, n);
  }
  int setsockopt(int fd, int level, int name, const void* v, socklen_t n) override {
    return weir_setsockopt(s_, fd, level, name, v, n);
  }
  int fcntl(int fd, int command, int argument) override {
    return weir_fcntl(s_, fd, command, argument);
  }
  int ioctl(int fd, unsigned long request, void* a) override {
    return weir_ioctl(s_, fd, request, a);
  }
  int poll(pollfd* fds, nfds_t n) override { return weir_poll(s_, fds, n); }
  int select(int n, fd_set* r, fd_set* w, fd_set* x) override {
    return weir_select(s_, n, r, w, x);
  }
  int epoll_create1(int flags) override { return weir_epoll_create1(s_, flags); }
  int epoll_ctl(int ep, int op, int fd, epoll_event* e) override {
    return weir_epoll_ctl(s_, ep, op, fd, e);
  }
  int epoll_wait(int ep, epoll_event* e, int n) override { return weir_epoll_wait(s_, ep, e, n); }

  // What goes to nobody is forgotten: it would fill the queue.
  void pass(std::uint64_t us) override {
    weir_stack_advance(s_, weir_stack_now(s_) + us);
    char packet[65'536];
    size_t n = 0;
    while (weir_stack_output(s_, packet, sizeof packet, &n, nullptr) == 1) {
    }
  }
  [[nodiscard]] std::string self(int family) const override {
    return family == AF_INET6 ? "2001:db8::1" : "192.0.2.1";
  }

 private:
  weir_stack* s_ = nullptr;
};

}  // namespace

std::unique_ptr<Sockets> weir_sockets(std::uint64_t seed, std::uint32_t mtu) {
  return std::make_unique<Stack>(seed, mtu);
}

}  // namespace weir::differential

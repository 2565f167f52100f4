// One embedded stack, which weir.h calls a weir_stack: a stack::Stack whose packets and time are
// arguments, and the descriptors of the program that it is embedded in.
//
// Never reads a clock, opens anything, starts a thread; two of them share nothing. Owns the pool
// that its packets lie in. The parts:
//   embedded_stack.cc  packets in and out, time, what became of connections
//   packet_pool.h, output_queue.h, descriptors.h, names.h
//   setup.cc           from struct weir_config
//   tcp_socket.h       a socket and its states; tcp_calls.cc, tcp_stream.cc the calls
//   udp_socket.h       datagrams; udp_options.cc, udp_control.h what goes with one
//   ports_in_use.cc    who may bind what
//   options.cc         setsockopt and getsockopt
//   readiness.cc       what poll says of a socket, and who is told; epoll.h who watches whom
//   weir.cc            the functions of weir.h; weir_*.cc more of them
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "socket/descriptors.h"
#include "socket/include/weir/weir.h"
#include "socket/output_queue.h"
#include "socket/packet_pool.h"
#include "stack/stack.h"

namespace weir::posix {

struct TcpSocket;

inline constexpr std::uint32_t kAnyReason = ~std::uint32_t{0};  // of EPOLL* bits

enum class Link : std::uint8_t { kIp, kEthernet };

struct Setup {
  stack::Config stack;
  Link link = Link::kIp;
  std::uint64_t seed = 0;
  Instant now;
  std::uint32_t max_sockets = 1'024;
  std::uint32_t first_descriptor = 3;
  std::uint32_t max_packet_buffers = 16'384;
  bool raise_sigpipe = false;
};

class EmbeddedStack {
 public:
  explicit EmbeddedStack(const Setup& setup);  // throws std::bad_alloc
  ~EmbeddedStack();
  EmbeddedStack(const EmbeddedStack&) = delete;
  EmbeddedStack& operator=(const EmbeddedStack&) = delete;

  // -- Packets and time (weir.h). What they return are errnos, 0 for none.
  // `passed_on`: by another stack of this host, which has no connection that it is for.
  int input(std::span<const std::byte> packet, Link form, Instant when, bool passed_on = false);
  int advance(Instant when);
  [[nodiscard]] Instant next_deadline() const { return stack_.next_deadline(); }
  [[nodiscard]] Instant now() const { return now_; }
  // The packet that is next out, in `form`: its octets, into `out`. 1, 0 for none, -1 when it is
  // longer than `out`; its length is told in both cases.
  int output(std::span<std::byte> out, Link form, std::size_t& length, Instant& when);
  void reset_all();

  // Stacks of other processes have the same addresses on the same link: frames for a connection
  // that is not one here are told of, and not answered unless they were passed on. Null: there are
  // none.
  using StrayFn = void(void* context, std::span<const std::byte> frame);
  void on_stray(StrayFn* fn, void* context);

  // After a call of the program's: what it gave rise to at this instant happens, and its packets
  // are out.
  void settle() { turn(now_); }

  // -- For the calls
  [[nodiscard]] stack::Stack& tcp() { return stack_; }
  [[nodiscard]] const stack::Stack& tcp() const { return stack_; }
  [[nodiscard]] const stack::Config& config() const { return config_; }  // as it was made
  [[nodiscard]] const tcp::Config& tcp_config() const { return stack_.tcp_config(); }
  [[nodiscard]] Descriptors& descriptors() { return descriptors_; }
  [[nodiscard]] const Descriptors& descriptors() const { return descriptors_; }
  [[nodiscard]] Link link() const { return link_; }
  [[nodiscard]] bool raises_sigpipe() const { return raise_sigpipe_; }
  [[nodiscard]] const PacketPool& pool() const { return pool_; }
  // Of the host's secrets: a value that nobody can foresee who does not know the seed.
  [[nodiscard]] std::uint64_t draw();

  // -- Readiness (readiness.cc)
  // To be called whenever something happened that may have made `d` readier than it was, whether a
  // bit changes or not: more text, room, an end. `why`: the bits that it is about, for epoll's
  // edges.
  void changed(Descriptor& d, std::uint32_t why = kAnyReason);
  void on_ready(weir_ready_fn* fn, void* context) {
    ready_fn_ = fn;
    ready_context_ = context;
  }
  // Sockets that listen, for accept queues fill without an event.
  void listens(TcpSocket& s) { listening_.push_back(&s); }
  void listens_no_more(TcpSocket& s) { std::erase(listening_, &s); }

 private:
  void tell_strays();
  void turn(Instant when);
  void turn_once(Instant when);
  void drain_events();
  void look_at_accept_queues();
  void transmit();
  void put_out(std::size_t header, std::size_t size);
  [[nodiscard]] bool is_ip(std::span<const std::byte> frame) const;

  stack::Config config_;
  PacketPool pool_;
  OutputQueue out_;
  Descriptors descriptors_;
  Link link_;
  MacAddr peer_mac_;  // of whoever sends IP packets that have no link header
  bool raise_sigpipe_;
  Instant now_;
  SipKey secret_;
  std::uint64_t drawn_ = 0;
  stack::Stack stack_;
  std::vector<TcpSocket*> listening_;
  weir_ready_fn* ready_fn_ = nullptr;
  void* ready_context_ = nullptr;
  StrayFn* stray_fn_ = nullptr;
  void* stray_context_ = nullptr;
};

// What becomes of a socket when its connection does something (tcp_socket.cc).
void on_event(EmbeddedStack& e, const stack::Ready& r);

}  // namespace weir::posix

// What a program holds a pointer to.
struct weir_stack : weir::posix::EmbeddedStack {
  using EmbeddedStack::EmbeddedStack;
};

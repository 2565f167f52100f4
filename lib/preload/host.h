// The stack thread's loop: one weir_stack, its wire, and a line to every socket that a program has
// on it.
//
// One thread, which nothing else shares a datum with: programs reach it through UNIX sockets alone,
// and it waits in epoll when there is nothing to do. The parts:
//   host.cc      the loop: wait, hear, receive, advance, move, transmit
//   relay.cc     connections: text both ways between a stack's socket and its stand-in
//   gate.cc      listeners: connections given to whoever accepts
//   requests.cc  what programs ask for (protocol.h)
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "preload/protocol.h"
#include "preload/siblings.h"
#include "preload/stand_in.h"
#include "preload/wire.h"
#include "socket/include/weir/weir.h"

namespace weir::preload {

// What one descriptor of the thread's epoll is about.
struct Line {
  enum class What : std::uint8_t {
    kWire,
    kSiblings,
    kDoor,
    kCaller,
    kOpened,
    kRelay,
    kGate,
    kKernel
  };
  What what = What::kCaller;
  int fd = -1;    // the kernel's; of a relay: its stand-in's
  int weir = -1;  // the stack's descriptor
  std::uint64_t id = 0;
  StandIn stand_in;
  bool connecting = false;
  bool queued = false;          // to be looked at in this turn
  bool text_ended = false;      // the peer's FIN was told
  bool fin_sent = false;        // the program's end of text was
  bool program_shut = false;    // it writes no more
  bool program_gone = false;    // it has closed
  bool broken = false;          // it closed over text that it had not read
  bool gone = false;            // to be forgotten after this turn
  Line* kernel_line = nullptr;  // of a gate: its kernel's listener, if it has one
  Line* gate = nullptr;         // of a kernel's listener
  sockaddr_storage bound{};     // of a gate: what the program bound
  socklen_t bound_length = 0;
};

class Host {
 public:
  // `stack` is one of Ethernet frames, and outlives this, as `wire` does and `siblings`, which may
  // be null: then no other process has a stack on that wire.
  Host(weir_stack* stack, Wire& wire, Siblings* siblings, std::uint64_t token);
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  // Opens the door. False: errno says why.
  [[nodiscard]] bool open();
  // Until a program says that it ends, and what it left is sent or `patience` is over.
  void run(std::uint64_t patience_us);
  // One turn of that loop, which waits for `wait_us` at most. False at the end.
  bool turn(std::uint64_t wait_us);

  [[nodiscard]] std::uint64_t connections() const { return connections_; }

  static std::uint64_t clock_us();  // CLOCK_MONOTONIC

 private:
  static constexpr std::size_t kRoom = 65'600;  // a frame of any size, too

  // host.cc
  Line* add(Line::What what, int fd, std::uint32_t events);
  void forget(Line& line);
  void sweep();
  void starve(Line& line);
  void feed();
  void queue(Line& line);
  static void on_ready(void* self, int fd, std::uint32_t events);
  void hear(Line& line, std::uint32_t events);
  void receive();
  void receive_passed_on();
  static void on_stray(void* self, std::span<const std::byte> frame);
  void answer_strays();
  void look_at_queued();
  void transmit();
  [[nodiscard]] std::uint64_t wait_for(std::uint64_t most) const;
  void begin_end();
  [[nodiscard]] bool at_rest();

  // relay.cc
  bool relay(Line& line, int& theirs, const Name& name, bool connecting);
  void move(Line& line);
  bool move_out(Line& line);  // program to stack; true: there may be more
  bool move_in(Line& line);   // stack to program
  void connected(Line& line);
  void fail(Line& line, int error);
  void close_socket(Line& line, bool reset);

  // gate.cc
  [[nodiscard]] bool descriptors_left() const;
  bool gate(Line& line, int& theirs);
  void pass_on(Line& line);
  void pass_on_kernels(Line& line);
  bool hand_over(Line& gate, int fd, const ShortAddress& peer);
  bool listen_in_kernel(Line& line, int backlog);
  static bool free_in_kernel(const sockaddr_storage& address, socklen_t length);

  // requests.cc
  void open_door(Line& door);
  void hear_callers(std::size_t count);
  void hear_caller(Line& line);
  int answer(const Request& request, Reply& reply, int& fd);
  Line* opened(int weir);
  [[nodiscard]] Name name_of(const Line& line);
  int do_open(const Request& request, Reply& reply);
  int open_one(const Request& request, int& weir);
  bool is_taken(const Request& request, int weir);
  int do_listen(const Request& request, Reply& reply, int& fd);
  int do_connect(const Request& request, Reply& reply, int& fd);
  int do_option(const Request& request, Reply& reply);
  int do_out_queue(const Request& request, Reply& reply);
  [[nodiscard]] Line* find(std::uint64_t id);
  int apply_options(int weir, std::span<const std::byte> options);

  weir_stack* stack_;
  Wire& wire_;
  Siblings* siblings_;
  std::uint32_t visited_ = 0;  // slots that know nothing of the frame that is received now
  std::vector<std::vector<std::byte>> unanswered_;  // nobody is left to ask: answered here
  std::uint64_t token_;
  int epoll_ = -1;
  std::uint64_t next_id_ = 1;
  std::unordered_map<Line*, std::unique_ptr<Line>> lines_;
  std::unordered_map<std::uint64_t, Line*> by_id_;
  std::vector<Line*> by_weir_;  // by the stack's descriptor
  std::vector<Line*> queued_, queued_next_, gone_;
  std::vector<Line*> starved_;  // gates and the door: they accept when a connection has ended,
  std::uint64_t feed_us_ = 0;   // or then
  std::vector<Line*> asking_;   // callers: answered when all that happened before is done
  std::unordered_map<std::uint64_t, int> errors_;  // of connections that are no more, until told
  std::deque<std::uint64_t> told_;                 // their order
  std::vector<int> finishing_;                     // callers that wait for the end
  bool ending_ = false;
  bool more_frames_ = false;  // there may be
  std::uint64_t connections_ = 0;
  std::array<std::byte, kRoom> room_;
};

}  // namespace weir::preload

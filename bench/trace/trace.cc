// Fixed traces for callgrind: two stacks in one thread and virtual time, of which one's turns alone
// are counted (`weir_measured`: the server's; of `connects` the client's), from a frame in a block
// to headers on the wire. The same work every time, instruction by instruction:
// scripts/instructions compares it with bench/baseline/instructions.json.
//
//   trace NAME OPERATIONS     NAME: connections connects requests receive send idle
#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "socket/worker.h"
#include "tcp/tx_frame.h"

namespace {

using namespace weir;  // NOLINT

constexpr std::uint32_t kRoom = 2'048, kBlocks = 8'192;
constexpr unsigned kOpen = 128;                        // at one time
constexpr std::uint32_t kRequest = 64, kAnswer = 128;  // octets
constexpr std::uint32_t kBulk = 1'448;                 // an operation of `receive` and `send`
constexpr Endpoint kServer{IpAddr::v4(10, 0, 0, 2), 80};

struct Block {
  Buf buf;  // first: a Buf's address is its block's
  std::array<std::byte, kRoom> octets;
};

class Pool {
 public:
  Pool() : blocks_(std::make_unique<Block[]>(kBlocks)) {
    for (std::uint32_t i = kBlocks; i-- > 0;) free_.push_back(&blocks_[i]);
  }
  Buf* take() {
    if (free_.empty()) return nullptr;
    Block* b = free_.back();
    free_.pop_back();
    b->buf = Buf{};
    b->buf.data = b->octets.data();
    b->buf.room = kRoom;
    return &b->buf;
  }
  void give(Buf* b) { free_.push_back(reinterpret_cast<Block*>(b)); }
  void give(BufChain&& chain) {
    while (Buf* b = chain.pop_front()) give(b);
  }
  BufSource source() {
    return {this, [](void* context, Buf** out, unsigned n) {
              unsigned got = 0;
              while (got < n && (out[got] = static_cast<Pool*>(context)->take()) != nullptr) ++got;
              return got;
            }};
  }

 private:
  std::unique_ptr<Block[]> blocks_;
  std::vector<Block*> free_;
};

// One end, with its frames in and out.
struct Side {
  Side(std::uint8_t n, Pool& p, Instant now)
      : pool(p), stack(std::make_unique<stack::Stack>(config(n), secrets(n), p.source(), now)) {}
  static stack::Config config(std::uint8_t n) {
    stack::Config c;
    c.mac = {{2, 0, 0, 0, 0, n}};
    c.addrs = {{IpAddr::v4(10, 0, 0, n), 24}};
    c.gateway = IpAddr::v4(10, 0, 0, static_cast<std::uint8_t>(3 - n));
    c.gateway_mac = MacAddr{{2, 0, 0, 0, 0, static_cast<std::uint8_t>(3 - n)}};
    c.max_connections = 16'384;
    return c;
  }
  static stack::Secrets secrets(std::uint64_t n) { return {{n, 1}, {n, 2}, {n, 3}, {n, 5}, n}; }
  std::vector<Buf*> in;
  Pool& pool;
  std::unique_ptr<stack::Stack> stack;
};

// What a driver does for each packet, DMA apart: headers, checksum left to the port.
Buf* to_frame(Pool& pool, const tcp::TxPacket& p) {
  Buf* b = pool.take();
  WEIR_ASSERT(b != nullptr);
  b->len = static_cast<std::uint32_t>(
      tcp::write_headers({b->data, b->room}, p, wire::TxChecksum::kOffload));
  return b;
}

void add_text(Buf* b, const tcp::TxSegment& seg) {
  const Buf* from = seg.payload;
  std::uint32_t skip = seg.payload_offset;
  for (std::uint32_t left = seg.len; left > 0; from = from->next) {
    if (skip >= from->len) {
      skip -= from->len;
      continue;
    }
    const std::uint32_t n = std::min(left, from->len - skip);
    std::copy_n(from->data + skip, n, b->data + b->len);
    b->len += n;
    left -= n;
    skip = 0;
  }
}

using React = std::function<void(stack::Stack&, const stack::Ready&)>;

template <class F>
void turn(Side& s, Instant now, F&& react, std::vector<Buf*>& frames) {
  const std::size_t n = std::min<std::size_t>(s.in.size(), 32);
  s.stack->receive({s.in.data(), n}, now);
  s.stack->advance(now);
  stack::Ready r;
  while (s.stack->next_ready(r)) react(*s.stack, r);
  s.stack->poll_output(now);
  for (const tcp::TxPacket& p : s.stack->tx_packets()) frames.push_back(to_frame(s.pool, p));
  s.in.erase(s.in.begin(), s.in.begin() + static_cast<std::ptrdiff_t>(n));
}

enum class Trace : std::uint8_t { kConnections, kConnects, kRequests, kReceive, kSend, kIdle };
constexpr std::array<std::string_view, 6> kNames = {"connections", "connects", "requests",
                                                    "receive",     "send",     "idle"};

// A request on each connection, which the server closes.
bool closes(Trace t) {
  return t == Trace::kConnections || t == Trace::kConnects;
}

std::array<std::byte, 65'536> g_text{};

// Answers, and closes where every request has a connection of its own.
void serve(Trace trace, stack::Stack& s, const stack::Ready& r) {
  if ((r.events & stack::kReadable) != 0) {
    BufChain text = s.receive_buffers(r.conn, 1U << 20U);
    s.release(std::move(text));
    const bool answers = closes(trace) || trace == Trace::kRequests;
    if (answers) s.send_copy(r.conn, std::span(g_text).first(kAnswer));
    if (closes(trace)) s.close(r.conn);
  }
  if (trace == Trace::kSend && (r.events & (stack::kAccepted | stack::kWritable)) != 0) {
    s.send_copy(r.conn, g_text);
    s.want_writable(r.conn);
  }
  if ((r.events & (stack::kPeerClosed | stack::kClosed)) != 0) s.close(r.conn);
}

class Run;

}  // namespace

// The only things that are counted, one of them in a trace: callgrind --toggle-collect.
extern "C" [[gnu::noinline]] void weir_measured(Side& server, Instant now, Trace trace,
                                                std::vector<Buf*>& frames) {
  turn(
      server, now, [trace](stack::Stack& s, const stack::Ready& r) { serve(trace, s, r); }, frames);
}
extern "C" [[gnu::noinline]] void weir_measured_client(Run& run);

namespace {

class Run {
 public:
  Run(Trace trace, std::uint64_t wanted)
      : trace_(trace), wanted_(wanted), client_(1, pool_, now_), server_(2, pool_, now_) {
    frames_.reserve(1'024);
    client_.in.reserve(1'024);
    server_.in.reserve(1'024);
  }

  int run() {
    if (!server_.stack->listen(kServer).ok()) return 1;
    const unsigned open = trace_ == Trace::kReceive || trace_ == Trace::kSend ? 1 : kOpen;
    for (unsigned i = 0; i < open; ++i) connect();
    for (std::uint64_t turns = 0; done_ < wanted_; ++turns) {
      if (turns > 100 * wanted_ + 1'000'000) return 1;  // it hangs
      step();
    }
    std::printf("%llu\n", static_cast<unsigned long long>(done_));
    return 0;
  }
  void client_turn() {
    turn(
        client_, now_, [this](stack::Stack& s, const stack::Ready& r) { use(s, r); }, frames_);
  }

 private:
  void connect() {
    const bool ok = client_.stack->connect(kServer, {}, now_).ok();
    WEIR_ASSERT(ok);
  }
  void request(stack::Stack& s, stack::ConnId c) {
    s.send_copy(c, std::span(g_text).first(kRequest));
  }

  void use(stack::Stack& s, const stack::Ready& r) {
    if ((r.events & stack::kConnected) != 0) start(s, r.conn);
    if ((r.events & stack::kWritable) != 0 && trace_ == Trace::kReceive) push(s, r.conn);
    if ((r.events & stack::kReadable) != 0) {
      BufChain text = s.receive_buffers(r.conn, 1U << 20U);
      received_ += text.bytes();
      s.release(std::move(text));
      if (trace_ == Trace::kRequests) {
        ++done_;
        request(s, r.conn);
      }
      if (trace_ == Trace::kSend) done_ = received_ / kBulk;
    }
    if ((r.events & (stack::kPeerClosed | stack::kClosed)) != 0) {
      s.close(r.conn);
      ++done_;
      connect();
    }
  }
  void start(stack::Stack& s, stack::ConnId c) {
    if (trace_ == Trace::kReceive) return push(s, c);
    if (closes(trace_) || trace_ == Trace::kRequests) request(s, c);
  }
  void push(stack::Stack& s, stack::ConnId c) {
    sent_ += s.send_copy(c, g_text);
    done_ = sent_ / kBulk;
    s.want_writable(c);
  }

  void server_turn() {
    const auto react = [this](stack::Stack& s, const stack::Ready& r) { serve(trace_, s, r); };
    turn(server_, now_, react, frames_);
  }

  // An idle server's turns are counted by themselves.
  void step() {
    const bool connects = trace_ == Trace::kConnects;
    connects ? server_turn() : weir_measured(server_, now_, trace_, frames_);
    pass(server_, client_);
    connects ? weir_measured_client(*this) : client_turn();
    pass(client_, server_);
    now_ += trace_ == Trace::kIdle ? 1ms : 20us;
    if (trace_ == Trace::kIdle) ++done_;
  }
  void pass(Side& from, Side& to) {
    std::size_t i = 0;
    for (const tcp::TxPacket& p : from.stack->tx_packets()) {
      Buf* b = frames_[i++];
      add_text(b, p.seg);
      b->len = std::max<std::uint32_t>(b->len, wire::kMinFrame);
      b->room = kRoom - b->len;
      b->flags = Buf::kIpChecksumOk | Buf::kL4ChecksumOk;
      to.in.push_back(b);
    }
    frames_.clear();
    BufChain whole = from.stack->take_tx_frames();
    while (Buf* b = whole.pop_front()) to.in.push_back(b);
    from.stack->clear_tx();
    pool_.give(from.stack->take_released());
  }

  Trace trace_;
  std::uint64_t wanted_, done_ = 0, sent_ = 0, received_ = 0;
  Instant now_{1'000s};
  Pool pool_;
  Side client_, server_;
  std::vector<Buf*> frames_;
};

}  // namespace

extern "C" void weir_measured_client(Run& run) {
  run.client_turn();
}

int main(int argc, char** argv) {
  for (std::size_t i = 0; argc == 3 && i < kNames.size(); ++i) {
    const std::uint64_t n = std::strtoull(argv[2], nullptr, 10);
    if (kNames[i] == argv[1] && n > 0) return Run(static_cast<Trace>(i), n).run();
  }
  std::fprintf(stderr, "usage: trace connections|connects|requests|receive|send|idle OPERATIONS\n");
  return 2;
}

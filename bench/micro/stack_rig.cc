#include "stack_rig.h"

#include <algorithm>
#include <span>

#include "base/assert.h"

namespace weir::bench {
namespace {

using enum wire::TcpFlags;

constexpr IpAddr kHost = IpAddr::v4(10, 0, 0, 1);
constexpr IpAddr kGateway = IpAddr::v4(10, 0, 0, 254);
constexpr MacAddr kHostMac{{2, 0, 0, 0, 0, 1}};
constexpr MacAddr kGatewayMac{{2, 0, 0, 0, 0, 254}};
constexpr std::uint16_t kPort = 80;
constexpr std::uint32_t kBlocks = 1'024;

stack::Config config_of(const StackRig::Sizes& sizes) {
  stack::Config c;
  c.mac = kHostMac;
  c.addrs = {{kHost, 24}};
  c.gateway = kGateway;
  c.max_connections = std::max(sizes.connections, kFrames);
  c.tcp.max_syn_backlog = sizes.half_open;
  c.tcp.somaxconn = c.max_connections;
  return c;
}

stack::Secrets secrets() {
  stack::Secrets s;
  s.isn = {1, 2};
  s.table = {3, 4};
  s.ports = {5, 6};
  s.cookies = {10, 11};
  s.seed = 9;
  return s;
}

}  // namespace

FramePool::FramePool(std::uint32_t blocks)
    : blocks_(std::make_unique<Block[]>(blocks)), size_(blocks) {
  free_.reserve(blocks);
  for (std::uint32_t i = blocks; i-- > 0;) free_.push_back(&blocks_[i]);
}

Buf* FramePool::take() {
  if (free_.empty()) return nullptr;
  Block* block = free_.back();
  free_.pop_back();
  block->buf = Buf{};
  block->buf.data = block->octets.data();
  block->buf.room = kRoom;
  return &block->buf;
}

void FramePool::give(Buf* b) {
  static_assert(offsetof(Block, buf) == 0);
  free_.push_back(reinterpret_cast<Block*>(b));
}

void FramePool::give(BufChain&& chain) {
  while (Buf* b = chain.pop_front()) give(b);
}

BufSource FramePool::source() {
  return {this, [](void* context, Buf** out, unsigned n) {
            unsigned got = 0;
            while (got < n && (out[got] = static_cast<FramePool*>(context)->take()) != nullptr) {
              ++got;
            }
            return got;
          }};
}

StackRig::StackRig(const Sizes& sizes)
    : pool_(kBlocks),
      stack_(std::make_unique<stack::Stack>(config_of(sizes), secrets(), pool_.source(), now_)) {
  accepted_.reserve(kFrames);
  const auto listener = stack_->listen({kHost, kPort}, {.backlog = config_of(sizes).tcp.somaxconn});
  WEIR_ASSERT(listener.ok());
  meet_gateway();
}

FlowKey StackRig::flow(std::uint32_t i) {
  constexpr std::uint32_t kPortsAHost = 1U << 14U;
  return {.local = kHost,
          .remote = IpAddr::v4(0x0b00'0000U + i / kPortsAHost),
          .local_port = kPort,
          .remote_port = static_cast<std::uint16_t>(1'024 + i % kPortsAHost)};
}

void StackRig::add(const Remote& from, unsigned flags, std::uint32_t text) {
  WEIR_ASSERT(count_ < kFrames);
  wire::TcpFrame f;
  f.src_mac = kGatewayMac;
  f.dst_mac = kHostMac;
  f.flow = from.flow.reversed();
  f.tcp.seq = from.snd_nxt;
  f.tcp.ack = (flags & ACK) != 0 ? from.rcv_nxt : Seq{};
  f.tcp.wnd = 65'535;
  f.tcp.flags = static_cast<std::uint8_t>(flags);
  if ((flags & SYN) != 0) {  // Linux's options
    f.tcp.options.mss = 1'460;
    f.tcp.options.sack_permitted = true;
    f.tcp.options.window_scale = 7;
  }
  f.tcp.options.has_timestamps = (flags & RST) == 0;
  f.tcp.options.ts_val = static_cast<std::uint32_t>(now_.time_since_epoch().count() / 1'000);
  f.tcp.options.ts_ecr = from.ts_ecr;
  f.payload_len = text;
  Buf* b = pool_.take();
  WEIR_ASSERT(b != nullptr);
  const std::size_t header =
      wire::write_tcp_frame({b->data, b->room}, f, wire::TxChecksum::kOffload, {});
  b->len = std::max(static_cast<std::uint32_t>(header) + text,
                    static_cast<std::uint32_t>(wire::kMinFrame));
  b->room -= b->len;
  b->flags = Buf::kIpChecksumOk | Buf::kL4ChecksumOk;
  burst_[count_++] = b;
}

void StackRig::handle_events() {
  stack::Ready r;
  while (stack_->next_ready(r)) {
    if ((r.events & stack::kAccepted) != 0) accepted_.push_back(r.conn);
    if ((r.events & stack::kReadable) != 0) {
      BufChain text = stack_->receive_buffers(r.conn, FramePool::kRoom * kFrames);
      read_ += text.bytes();
      stack_->release(std::move(text));
    }
    if ((r.events & stack::kClosed) != 0) stack_->close(r.conn);
  }
}

std::uint64_t StackRig::run() {
  const std::uint64_t start = tsc();
  stack_->receive({burst_.data(), count_}, now_);
  stack_->advance(now_);
  handle_events();
  stack_->poll_output(now_);
  const std::uint64_t ticks = tsc() - start;
  count_ = 0;
  return ticks;
}

void StackRig::settle() {
  BufChain frames = stack_->take_tx_frames();
  const bool asked = !frames.empty();  // an ARP request for the gateway, all that is ever sent
  pool_.give(std::move(frames));
  stack_->clear_tx();
  pool_.give(stack_->take_released());
  accepted_.clear();
  now_ += step;
  if (asked) meet_gateway();
}

// Its ARP reply; unasked for, an ARP request of its own does the same.
void StackRig::meet_gateway() {
  for (const std::uint16_t op : {std::uint16_t{1}, std::uint16_t{2}}) {
    wire::ArpPacket arp;
    arp.op = op;
    arp.sender_mac = kGatewayMac;
    arp.sender_ip = kGateway;
    arp.target_mac = op == 2 ? kHostMac : MacAddr{};
    arp.target_ip = kHost;
    Buf* b = pool_.take();
    WEIR_ASSERT(b != nullptr);
    b->len = static_cast<std::uint32_t>(
        wire::write_arp_frame({b->data, b->room}, kGatewayMac, kHostMac, arp));
    b->room -= b->len;
    stack_->receive({&b, 1}, now_);
    stack_->poll_output(now_);
    pool_.give(stack_->take_tx_frames());
    stack_->clear_tx();
    pool_.give(stack_->take_released());
  }
}

void StackRig::establish(std::vector<Remote>& remotes) {
  for (std::size_t at = 0; at < remotes.size(); at += kFrames) {
    const std::span<Remote> some =
        std::span(remotes).subspan(at, std::min<std::size_t>(kFrames, remotes.size() - at));
    for (Remote& r : some) add(r, SYN);
    run();
    WEIR_ASSERT(tx().size() == some.size());
    for (std::size_t i = 0; i < some.size(); ++i) {  // SYN-ACKs come in the order of the SYNs
      const tcp::TxPacket& p = tx()[i];
      WEIR_ASSERT(p.flow == some[i].flow && p.seg.flags == (SYN | ACK));
      some[i].rcv_nxt = p.seg.seq + 1;
      some[i].snd_nxt += 1;
      some[i].ts_ecr = p.seg.options.ts_val;
    }
    settle();
    for (Remote& r : some) add(r, ACK);
    run();
    WEIR_ASSERT(accepted_.size() == some.size());
    for (std::size_t i = 0; i < some.size(); ++i) {
      WEIR_ASSERT(stack_->flow_of(accepted_[i]) == some[i].flow);
      some[i].conn = accepted_[i];
    }
    settle();
  }
}

}  // namespace weir::bench

#include "sim/driver.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/assert.h"
#include "tcp/tx_frame.h"
#include "wire/frame.h"

namespace weir::sim {
namespace {

Octets frame_of(const tcp::TxPacket& packet) {
  Octets frame(std::max(wire::kMaxTcpFrameHeader + packet.seg.len, wire::kMinFrame));
  const std::size_t n = tcp::write_frame(frame, packet);
  std::fill(frame.begin() + static_cast<std::ptrdiff_t>(n), frame.end(), std::byte{0});
  frame.resize(std::max(n, wire::kMinFrame));  // padded, as every port does
  return frame;
}

bool is_tcp(const Octets& frame) {
  constexpr std::size_t kV4Protocol = 14 + 9, kV6Next = 14 + 6;
  const auto at = [&frame](std::size_t i) { return std::to_integer<unsigned>(frame[i]); };
  if (frame.size() < 54) return false;
  return (at(12) == 0x08 && at(13) == 0x00 && at(kV4Protocol) == 6) ||
         (at(12) == 0x86 && at(13) == 0xdd && at(kV6Next) == 6);
}

}  // namespace

SimDriver::~SimDriver() {
  for (Buf* b : handed_) pool_.give(b);
}

unsigned SimDriver::rx_burst(std::span<Buf*> out) {
  unsigned n = 0;
  for (; n < out.size() && !handed_.empty(); ++n) {
    out[n] = handed_.front();
    handed_.pop_front();
  }
  while (n < out.size() && !rx_.empty()) {
    const Octets frame = std::move(rx_.front());
    rx_.pop_front();
    if (capture_ != nullptr) capture_->write(now(), frame);
    Buf* b = to_blocks(frame);
    if (b == nullptr) {
      ++rx_no_block_;
    } else {
      b->flags = static_cast<std::uint8_t>(b->flags | scarcity());
      out[n++] = b;
    }
  }
  return n;
}

Buf* SimDriver::to_blocks(const Octets& frame) {
  constexpr std::size_t kMaxPieces = 32;
  constexpr std::size_t kHeaders = wire::kMaxTcpFrameHeader + 40;  // IPv4's options too
  if (scatter_ == 0 || frame.size() <= kHeaders || !is_tcp(frame)) return pool_.take_copy(frame);
  const std::size_t piece = std::max<std::size_t>(scatter_, frame.size() / kMaxPieces);
  const std::span octets{frame};
  BufChain chain;
  for (std::size_t at = 0; at < frame.size();) {
    const std::size_t n = std::min<std::size_t>(at == 0 ? kHeaders : piece, frame.size() - at);
    Buf* b = pool_.take_copy(octets.subspan(at, n));
    if (b == nullptr) {
      pool_.give(std::move(chain));
      return nullptr;
    }
    chain.push_back(b);
    at += n;
  }
  return chain.head();  // the chain was but a way to link them
}

// The same marks as a real port's, in the same quarters and eighths of the pool.
std::uint8_t SimDriver::scarcity() const {
  const std::uint32_t limit = pool_.limit();
  const std::uint32_t free = limit - std::min(limit, pool_.outstanding());
  unsigned flags = 0;
  if (free < limit / 4) flags |= Buf::kScarce;
  if (free < limit / 8) flags |= Buf::kLast;
  return static_cast<std::uint8_t>(flags);
}

void SimDriver::transmit(std::span<const tcp::TxPacket> packets, BufChain frames,
                         telemetry::Counters& counters) {
  for (const tcp::TxPacket& packet : packets) send_packet(packet, counters);
  while (Buf* b = frames.pop_front()) {
    put_on_wire(Octets(b->data, b->data + b->len), counters);
    pool_.give(b);
  }
}

void SimDriver::send_packet(const tcp::TxPacket& packet, telemetry::Counters& counters) {
  std::uint32_t at = 0;
  do {
    const tcp::TxPacket piece = tcp::cut_segment(packet, at);
    put_on_wire(frame_of(piece), counters);
    at += piece.seg.len;
  } while (at < packet.seg.len);
}

void SimDriver::put_on_wire(Octets&& frame, telemetry::Counters& counters) {
  WEIR_ASSERT(frame.size() <= wire::kEthHeader + mtu_);
  counters.tx_frames.add();
  counters.tx_bytes.add(frame.size());
  if (capture_ != nullptr) capture_->write(now(), frame);
  wire_(std::move(frame));
}

void SimDriver::hand_over(std::span<const tcp::HandOver> frames, telemetry::Counters& counters) {
  for (const tcp::HandOver& h : frames) {
    WEIR_ASSERT(h.shard < shards_.size());
    counters.handed_over.add();
    shards_[h.shard]->handed_.push_back(h.frame);
  }
}

}  // namespace weir::sim

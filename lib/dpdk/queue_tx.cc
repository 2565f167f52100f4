// From the stack to the port: a TxPacket becomes a header mbuf with the text copied or attached.
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/assert.h"
#include "dpdk/mbuf.h"
#include "dpdk/queue.h"
#include "tcp/tx_frame.h"
#include "wire/frame.h"

namespace weir::dpdk {
namespace {

constexpr unsigned kBurst = 64;
constexpr unsigned kTries = 4;             // calls of tx_burst before the rest is dropped
constexpr std::uint32_t kCopyLimit = 256;  // octets of text that cost less to copy than to attach
constexpr std::size_t kMaxPieces = 64;     // a frame of text in more pieces than this is copied
constexpr std::size_t kIpv4Header = wire::kIpv4MinHeader;

// The pieces of a segment's text, in order, straight from the send queue's Bufs.
class TextWalk {
 public:
  explicit TextWalk(const tcp::TxSegment& seg)
      : buf_(seg.payload), offset_(seg.payload_offset), left_(seg.len) {}

  // False at the end of the text.
  bool next(wire::Piece& piece, const Buf*& of) {
    while (left_ > 0) {
      WEIR_ASSERT(buf_ != nullptr && offset_ <= buf_->len);
      const std::uint32_t n = std::min(buf_->len - offset_, left_);
      piece = {buf_->data + offset_, n};
      of = buf_;
      left_ -= n;
      offset_ = 0;
      buf_ = buf_->next;
      if (n > 0) return true;
    }
    return false;
  }

 private:
  const Buf* buf_;
  std::uint32_t offset_;
  std::uint32_t left_;
};

void append(rte_mbuf* head, rte_mbuf* tail, rte_mbuf* m) {
  tail->next = m;
  head->nb_segs = static_cast<std::uint16_t>(head->nb_segs + 1);
}

// The header's length, known before it is written: the text is placed first, to be summed.
std::size_t header_length(const wire::TcpFrame& f) {
  const std::size_t ip = f.flow.local.is_v4() ? kIpv4Header : wire::kIpv6Header;
  return wire::kEthHeader + ip + wire::kTcpMinHeader + wire::tcp_options_size(f.tcp.options);
}

wire::TxChecksum checksum_mode(const Offloads& o, bool v4, bool tso) {
  if (tso) return wire::TxChecksum::kOffloadTso;
  if (!o.tx_tcp_checksum) return wire::TxChecksum::kSoftware;
  return o.tx_ip_checksum || !v4 ? wire::TxChecksum::kOffload : wire::TxChecksum::kIpSoftware;
}

// Tells the port what `how` leaves to it, and where the headers lie.
void set_offload(rte_mbuf* m, wire::TxChecksum how, bool v4, std::size_t header,
                 std::uint16_t mss) {
  if (how == wire::TxChecksum::kSoftware) return;
  std::uint64_t flags = RTE_MBUF_F_TX_TCP_CKSUM | (v4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6);
  if (v4 && how != wire::TxChecksum::kIpSoftware) flags |= RTE_MBUF_F_TX_IP_CKSUM;
  if (how == wire::TxChecksum::kOffloadTso) {
    flags |= RTE_MBUF_F_TX_TCP_SEG;
    m->tso_segsz = mss;
  }
  m->ol_flags |= flags;
  const std::size_t ip = v4 ? kIpv4Header : wire::kIpv6Header;
  m->l2_len = wire::kEthHeader;
  m->l3_len = ip & 0x1ffU;                               // 9 bits wide
  m->l4_len = (header - wire::kEthHeader - ip) & 0xffU;  // 8 bits wide
}

// The pieces behind the header, for a checksum in software. Pre: no more than kMaxPieces.
std::size_t collect(const rte_mbuf* m, std::size_t header, std::span<wire::Piece> out) {
  std::size_t n = 0;
  std::size_t skip = header;
  for (; m != nullptr; m = m->next, skip = 0) {
    if (m->data_len == skip) continue;
    out[n++] = {rte_pktmbuf_mtod_offset(m, const std::byte*, skip),
                static_cast<std::uint32_t>(m->data_len - skip)};
  }
  return n;
}

// A whole frame in its own Buf, made an mbuf again.
rte_mbuf* frame_mbuf(const Buf* b) {
  rte_mbuf* const m = mbuf_of(b);
  m->data_off = offset_in(m, b->data);
  m->data_len = static_cast<std::uint16_t>(b->len);
  m->pkt_len = b->len;
  m->next = nullptr;
  m->nb_segs = 1;
  m->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
  return m;
}

}  // namespace

struct Queue::TxBurst {
  std::array<rte_mbuf*, kBurst> mbufs;
  std::array<std::uint32_t, kBurst> octets;
  std::uint16_t n = 0;
};

bool Queue::must_copy(const tcp::TxSegment& seg) const {
  if (!s_.offloads.multi_seg || seg.len <= kCopyLimit) return true;
  const std::size_t limit = std::min<std::size_t>(s_.offloads.max_segs - 1U, kMaxPieces);
  std::size_t pieces = 0;
  TextWalk walk(seg);
  wire::Piece piece{};
  for (const Buf* of = nullptr; walk.next(piece, of);) {
    if ((of->flags & Buf::kBorrowed) != 0 || ++pieces > limit) return true;
  }
  return false;
}

// Copies the text behind the header, into further header mbufs when the first is full (TSO only).
bool Queue::add_copied(rte_mbuf* head, const tcp::TxSegment& seg) {
  rte_mbuf* tail = head;
  TextWalk walk(seg);
  wire::Piece piece{};
  for (const Buf* of = nullptr; walk.next(piece, of);) {
    while (piece.len > 0) {
      const std::uint32_t n = std::min<std::uint32_t>(piece.len, rte_pktmbuf_tailroom(tail));
      std::memcpy(rte_pktmbuf_mtod_offset(tail, std::byte*, tail->data_len), piece.data, n);
      tail->data_len = static_cast<std::uint16_t>(tail->data_len + n);
      head->pkt_len += n;
      piece = {piece.data + n, piece.len - n};
      if (piece.len == 0) break;
      rte_mbuf* const m = rte_pktmbuf_alloc(s_.header);
      if (m == nullptr) return false;
      append(head, tail, m);
      tail = m;
    }
  }
  return true;
}

// Attaches each piece of the text through an indirect mbuf: the block lives until the port is done
// with it, whoever gives it back before.
bool Queue::add_attached(rte_mbuf* head, const tcp::TxSegment& seg) {
  rte_mbuf* tail = head;
  TextWalk walk(seg);
  wire::Piece piece{};
  for (const Buf* of = nullptr; walk.next(piece, of);) {
    rte_mbuf* const m = rte_pktmbuf_alloc(s_.indirect);
    if (m == nullptr) return false;
    rte_pktmbuf_attach(m, mbuf_of(of));
    m->data_off = offset_in(m, piece.data);
    m->data_len = static_cast<std::uint16_t>(piece.len);
    m->pkt_len = piece.len;
    append(head, tail, m);
    tail = m;
    head->pkt_len += piece.len;
  }
  return true;
}

// Null when a pool is empty.
rte_mbuf* Queue::build(const tcp::TxPacket& p) {
  rte_mbuf* const m = rte_pktmbuf_alloc(s_.header);
  if (m == nullptr) return nullptr;
  const wire::TcpFrame frame = tcp::to_frame(p);
  const std::size_t header = header_length(frame);
  m->data_len = static_cast<std::uint16_t>(header);
  m->pkt_len = static_cast<std::uint32_t>(header);
  if (!(must_copy(p.seg) ? add_copied(m, p.seg) : add_attached(m, p.seg))) {
    rte_pktmbuf_free(m);
    return nullptr;
  }
  const bool v4 = p.flow.local.is_v4();
  const bool tso = p.seg.mss != 0 && p.seg.len > p.seg.mss;
  WEIR_ASSERT(!tso || s_.offloads.tso_max >= p.seg.len);
  const wire::TxChecksum how = checksum_mode(s_.offloads, v4, tso);
  set_offload(m, how, v4, header, p.seg.mss);
  std::array<wire::Piece, kMaxPieces + 1> pieces;
  const std::size_t n = how == wire::TxChecksum::kSoftware ? collect(m, header, pieces) : 0;
  const std::size_t written = wire::write_tcp_frame(
      {rte_pktmbuf_mtod(m, std::byte*), wire::kMaxTcpFrameHeader}, frame, how, {pieces.data(), n});
  WEIR_ASSERT(written == header);
  return m;
}

// Ports in memory send a frame as short as it is, and some NICs pad it with what their buffer held
// before (CVE-2003-0001): so the padding is made here, of zeros.
void Queue::pad(rte_mbuf* m) {
  if (m->pkt_len >= wire::kMinFrame || m->nb_segs != 1) return;
  const auto missing = static_cast<std::uint16_t>(wire::kMinFrame - m->pkt_len);
  if (rte_pktmbuf_tailroom(m) < missing) return;
  std::memset(rte_pktmbuf_mtod_offset(m, std::byte*, m->data_len), 0, missing);
  m->data_len = static_cast<std::uint16_t>(m->data_len + missing);
  m->pkt_len += missing;
}

void Queue::add(TxBurst& burst, rte_mbuf* m, telemetry::Counters& c) {
  pad(m);
  if (burst.n == kBurst) flush(burst, c);
  burst.octets[burst.n] = m->pkt_len;
  burst.mbufs[burst.n++] = m;
}

void Queue::flush(TxBurst& burst, telemetry::Counters& c) {
  if (burst.n == 0) return;
  std::uint16_t ready = burst.n;
  if (s_.offloads.tx_tcp_checksum || s_.offloads.tso_max > 0) {
    ready = rte_eth_tx_prepare(s_.port_id, s_.index, burst.mbufs.data(), burst.n);
  }
  std::uint16_t sent = 0;
  for (unsigned i = 0; i < kTries && sent < ready; ++i) {
    sent = static_cast<std::uint16_t>(
        sent + rte_eth_tx_burst(s_.port_id, s_.index, burst.mbufs.data() + sent,
                                static_cast<std::uint16_t>(ready - sent)));
  }
  std::uint64_t octets = 0;
  for (unsigned i = 0; i < sent; ++i) octets += burst.octets[i];
  c.tx_frames.add(sent);
  c.tx_bytes.add(octets);
  if (sent < burst.n) {
    c.drop_tx_full.add(burst.n - static_cast<unsigned>(sent));
    rte_pktmbuf_free_bulk(burst.mbufs.data() + sent, burst.n - static_cast<unsigned>(sent));
  }
  burst.n = 0;
}

void Queue::transmit(std::span<const tcp::TxPacket> packets, BufChain frames,
                     telemetry::Counters& c) {
  TxBurst burst;
  for (const tcp::TxPacket& p : packets) {
    rte_mbuf* const m = build(p);
    if (m == nullptr) {
      c.drop_no_buffer.add();
      continue;
    }
    add(burst, m, c);
  }
  while (const Buf* b = frames.pop_front()) add(burst, frame_mbuf(b), c);
  flush(burst, c);
}

}  // namespace weir::dpdk

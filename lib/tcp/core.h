// Everything that crosses between the TCP core and the world that drives it.
//
// Segments come in parsed, decisions go out undelivered: the core reads no clock, draws no random
// number, owns no socket, and frees nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/addr.h"
#include "base/assert.h"
#include "base/batch.h"
#include "base/buf.h"
#include "base/seq.h"
#include "base/slab.h"
#include "base/time.h"
#include "telemetry/counters.h"
#include "wire/tcp.h"

namespace weir::tcp {

using wire::TcpFlags;
using enum wire::TcpFlags;

struct Tcb;
class SentLog;
struct Own;

// SEG.* of RFC 9293 §3.3.1 in host order, parsed once. on_segment takes `buf` over: it is queued or
// given back through Outbox::release.
struct RxSegment {
  Seq seq, ack;
  std::uint32_t wnd = 0;  // SEG.WND as on the wire, unscaled
  std::uint32_t len = 0;  // octets of text; SYN and FIN are not counted
  std::uint16_t urgent = 0;
  std::uint8_t flags = 0;
  std::uint8_t tos = 0;
  Buf* buf = nullptr;  // a chain of views holding exactly `len` octets, or null
  wire::TcpOptions options{};
};

struct TxOptions {
  std::uint32_t ts_val = 0, ts_ecr = 0;
  std::uint16_t mss = 0;  // 0: absent
  std::uint8_t window_scale = wire::kNoWindowScale;
  bool sack_permitted = false;
  bool has_timestamps = false;
  std::uint8_t sack_count = 0;
  std::array<wire::SackBlock, 4> sack;  // the first `sack_count` of them
};

// A decision to transmit, not bytes: a driver turns it into a frame.
struct TxSegment {
  Seq seq, ack;
  std::uint32_t len = 0;             // octets of text
  const Buf* payload = nullptr;      // the first Buf they lie in; the rest follow by Buf::next
  std::uint32_t payload_offset = 0;  // of the first octet in *payload
  std::uint16_t wnd = 0;             // as on the wire, scaled
  std::uint16_t mss = 0;             // text longer than this is for the port to segment (TSO)
  std::uint16_t urgent = 0;
  std::uint8_t flags = 0;
  std::uint8_t ecn = 0;  // the ECN codepoint of its IP header (RFC 3168 §5)
  TxOptions options{};
};

// A TxSegment with its addresses: what a stack hands to a driver. Valid until the stack's released
// buffers are freed: the driver transmits first, then frees.
struct TxPacket {
  TxSegment seg;
  FlowKey flow;  // local is the source
  MacAddr src_mac, dst_mac;
  std::uint16_t ip_id = 0;
  std::uint8_t tos = 0;
  std::uint8_t ttl = 64;
};

// A frame of a flow that another core owns, on its way there. Owns `frame`.
struct HandOver {
  std::uint16_t shard = 0;
  Buf* frame = nullptr;
};

// What of the unread text is urgent, and whether more of it is on its way (RFC 9293 §3.8.5).
struct Urgent {
  std::uint32_t octets = 0;  // of the unread text, from its front
  bool more = false;         // the peer's pointer lies beyond them
};

// The segments of one call, each written where it stays: as the front of a packet whose other
// fields its caller fills in.
class TxList {
 public:
  static constexpr std::size_t kCapacity = 64;

  class Items {  // the segments alone
   public:
    class Iterator {
     public:
      explicit Iterator(TxPacket* at) : at_(at) {}
      TxSegment& operator*() const { return at_->seg; }
      Iterator& operator++() {
        ++at_;
        return *this;
      }
      friend bool operator==(Iterator, Iterator) = default;

     private:
      TxPacket* at_;
    };
    explicit Items(std::span<TxPacket> packets) : packets_(packets) {}
    [[nodiscard]] Iterator begin() const { return Iterator(packets_.data()); }
    [[nodiscard]] Iterator end() const { return Iterator(packets_.data() + packets_.size()); }
    [[nodiscard]] std::size_t size() const { return packets_.size(); }
    [[nodiscard]] TxSegment& operator[](std::size_t i) const { return packets_[i].seg; }
    [[nodiscard]] TxSegment& back() const { return packets_.back().seg; }

   private:
    std::span<TxPacket> packets_;
  };

  TxList() = default;
  TxList(const TxList&) = delete;
  TxList& operator=(const TxList&) = delete;

  // From here on in these places, kCapacity of them, the caller's. Until then in its own. Pre:
  // empty.
  void write_to(TxPacket* places) {
    WEIR_ASSERT(size_ == 0);
    places_ = places;
  }
  [[nodiscard]] const TxPacket* places() const { return places_; }
  // The place behind the last, as it was left: for the caller to fill, whole.
  TxSegment& add() {
    WEIR_ASSERT(size_ < kCapacity);
    return places_[size_++].seg;
  }
  TxSegment& push(const TxSegment& seg) { return add() = seg; }
  [[nodiscard]] Items items() const { return Items({places_, size_}); }
  [[nodiscard]] std::size_t room() const { return kCapacity - size_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  void clear() { size_ = 0; }

 private:
  std::array<TxPacket, kCapacity> own_;
  TxPacket* places_ = own_.data();
  std::size_t size_ = 0;
};

// Filled by one call into the core, emptied by its caller.
struct Outbox {
  TxList tx;
  BufChain release;  // the core never frees: it gives back here
  telemetry::Counters* counters = nullptr;
  Slab<SentLog>* logs = nullptr;  // lent to connections that have text in flight; null: to none
  Slab<Own>* owns = nullptr;      // lent to connections with settings or counts of their own
  std::uint32_t tso_max = 0;      // octets of text that the port segments by itself; 0: none
};

void on_segment(Tcb& tcb, const RxSegment& seg, Instant now, Outbox& out);  // §3.10.7.3-4
void on_timeout(Tcb& tcb, Instant now, Outbox& out);                        // §3.10.8
void poll_transmit(Tcb& tcb, Instant now, Outbox& out);                     // §3.7, §3.8
[[nodiscard]] Instant next_deadline(const Tcb& tcb);                        // kNever if none

}  // namespace weir::tcp

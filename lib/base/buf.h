// A buffer's view: one node of every queue that holds packet bytes.
//
// A driver keeps one Buf with each block of memory it owns (in an mbuf's private area, or at the
// head of a heap block) and finds the block from the Buf's address. The core links, trims and
// splits views; it never allocates or frees a block: it takes from a BufSource and gives back
// through the release chain. Every Buf has one owner at a time: driver, core queue, application
// loan, or the release chain.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/assert.h"
#include "base/seq.h"

namespace weir {

struct Buf {
  Buf* next = nullptr;
  std::byte* data = nullptr;  // the first octet in use
  std::uint32_t len = 0;      // octets in use
  std::uint32_t room = 0;     // octets that may be written behind data + len
  Seq seq;                    // SEG.SEQ of data[0] while in a receive queue
  enum Flag : std::uint8_t {
    kIpChecksumOk = 1,   // the port verified it
    kL4ChecksumOk = 2,   // the port verified it
    kChecksumBad = 4,    // the port found the IP or the TCP checksum wrong
    kBorrowed = 8,       // data points at the application's memory, not into the block
    kHandedOver = 16,    // came from the core that received it, not from the port
    kScarce = 32,        // received while its pool ran low: kept only where it soon moves on
    kLast = 64,          // received into the last of its pool: read, not kept
    kEndOfRecord = 128,  // to be sent: no segment goes on behind it
  };
  std::uint8_t flags = 0;

  void trim_front(std::uint32_t n) {
    WEIR_ASSERT(n <= len);
    data += n;
    len -= n;
    seq += n;
  }
  void trim_back(std::uint32_t n) {
    WEIR_ASSERT(n <= len);
    len -= n;
    room += n;
  }
};
static_assert(sizeof(Buf) <= 40);

// A singly linked list of Bufs with its octet count. Moves, never copies.
class BufChain {
 public:
  BufChain() = default;
  BufChain(const BufChain&) = delete;
  BufChain& operator=(const BufChain&) = delete;
  BufChain(BufChain&& o) noexcept
      : head_(o.head_), tail_(o.tail_), bytes_(o.bytes_), bufs_(o.bufs_) {
    o.reset();
  }
  BufChain& operator=(BufChain&& o) noexcept {
    WEIR_ASSERT(head_ == nullptr);  // a chain that still owns Bufs would leak them
    head_ = o.head_;
    tail_ = o.tail_;
    bytes_ = o.bytes_;
    bufs_ = o.bufs_;
    o.reset();
    return *this;
  }

  [[nodiscard]] bool empty() const { return head_ == nullptr; }
  [[nodiscard]] std::uint32_t bytes() const { return bytes_; }
  [[nodiscard]] std::uint32_t bufs() const { return bufs_; }
  [[nodiscard]] Buf* head() const { return head_; }
  [[nodiscard]] Buf* tail() const { return tail_; }

  void push_back(Buf* b) {
    b->next = nullptr;
    (head_ == nullptr ? head_ : tail_->next) = b;
    tail_ = b;
    bytes_ += b->len;
    ++bufs_;
  }
  Buf* pop_front() {
    Buf* b = head_;
    if (b == nullptr) return nullptr;
    head_ = b->next;
    if (head_ == nullptr) tail_ = nullptr;
    bytes_ -= b->len;
    --bufs_;
    b->next = nullptr;
    return b;
  }
  void append(BufChain&& o) {
    if (o.empty()) return;
    (head_ == nullptr ? head_ : tail_->next) = o.head_;
    tail_ = o.tail_;
    bytes_ += o.bytes_;
    bufs_ += o.bufs_;
    o.reset();
  }
  // Accounts for `n` octets written behind the tail's last, or (negative use) none. Pre: room.
  void grow_tail(std::uint32_t n) {
    WEIR_ASSERT(tail_ != nullptr && tail_->room >= n);
    tail_->len += n;
    tail_->room -= n;
    bytes_ += n;
  }
  // Drops `n` octets from the front view. Pre: n <= head()->len.
  void trim_head(std::uint32_t n) {
    head_->trim_front(n);
    bytes_ -= n;
  }

 private:
  void reset() {
    head_ = tail_ = nullptr;
    bytes_ = bufs_ = 0;
  }
  Buf* head_ = nullptr;
  Buf* tail_ = nullptr;
  std::uint32_t bytes_ = 0;
  std::uint32_t bufs_ = 0;
};

// Where a stack takes fresh Bufs from, in bulk: one call for many, so it may be indirect.
struct BufSource {
  void* context = nullptr;
  // Fills up to `n` of `out` with empty Bufs (len 0, room as the block has); returns how many.
  unsigned (*take)(void* context, Buf** out, unsigned n) = nullptr;
};

}  // namespace weir

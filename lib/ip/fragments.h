// Datagrams that came in parts, put together again (RFC 791 §3.2, 1122 §3.3.2; RFC 8200 §4.5,
// 5722).
//
// What parts may do here is bounded: octets held, counted with the buffers they lie in; a share of
// them for any one source; parts and buffers of one datagram; the time from its first part on.
// Parts that overlap end their datagram, IPv4's too: no sender makes such, and what they would add
// up to depends on who adds (RFC 5722 §3). Reads no clock, allocates nothing once made. Owns the
// buffers of the parts it holds; gives each back through the chain that every call takes.
#pragma once

#include <cstdint>
#include <vector>

#include "base/addr.h"
#include "base/buf.h"
#include "base/siphash.h"
#include "base/slab.h"
#include "base/time.h"
#include "wire/frame.h"

namespace weir::ip {

struct FragmentConfig {
  std::uint32_t high_thresh = 4U << 20U;  // octets held, with buffers; 0 reassembles nothing
  Duration ipv4_time = 60s;               // RFC 1122 §3.3.2: 60 to 120 s, fixed; Linux's 30 s
  SipKey key{};                           // of the hash table
};

class Fragments {
 public:
  static constexpr Duration kIpv6Time = 60s;  // RFC 8200 §4.5
  static constexpr unsigned kMaxBufs = 60;    // of one datagram: what TCP's checksum can walk
  // A source may hold this part of high_thresh, and of the datagrams under way; beyond it loses its
  // own oldest.
  static constexpr std::uint32_t kShare = 4;

  // What became of a part. All but kHeld and kWhole gave its buffers back.
  enum class Fate : std::uint8_t {
    kHeld,
    kWhole,      // the last one wanted: call assemble at once
    kDuplicate,  // the same octets again: the datagram waits on
    kOverlap,    // overlaps another, or disagrees on the end: the datagram is given up
    kEcn,        // its ECN field and the others' cannot be of one packet (RFC 3168 §5.3)
    kTooMany,    // more than kMaxBufs: the datagram is given up
    kNoRoom,     // high_thresh, or the source's share of it: this datagram alone would fill it
  };
  struct Outcome {
    Fate fate = Fate::kHeld;
    std::uint32_t id = kNoIndex;  // with kWhole
    std::uint32_t given_up = 0;   // parts of this datagram that were given back, this one included
    std::uint32_t made_room = 0;  // parts of older datagrams that were given back for this one
  };
  // A datagram whose time ran out.
  struct Expired {
    std::uint32_t parts = 0;
    Buf* first =
        nullptr;  // the first part as the frame that it was, to be quoted: now the caller's
  };

  explicit Fragments(const FragmentConfig& config);

  // Takes over `frame`, a chain whose headers lie in its first Buf. Pre: parsed as kFragment.
  Outcome add(Buf* frame, const wire::Frame& f, Instant now, BufChain& release);

  // The datagram of an Outcome with kWhole, as a frame without fragmentation to be parsed again:
  // its headers and what else has room are copied into `into`, the rest follows as it lies. Without
  // an `into`, or one too small for the headers, null: the datagram is given up. Not called: leaks.
  Buf* assemble(std::uint32_t id, Buf* into, BufChain& release);

  // Takes away one datagram whose time is over; false when there is none.
  [[nodiscard]] bool expire(Instant now, Expired& out, BufChain& release);
  [[nodiscard]] Instant next_deadline() const;

  // Gives up what has waited for longest; how many parts that was. For when buffers run short.
  std::uint32_t give_up_oldest(BufChain& release);

  [[nodiscard]] std::uint32_t size() const { return datagrams_.size(); }
  [[nodiscard]] std::uint32_t octets() const { return octets_; }  // held, with buffers
  void check_invariants() const;                                  // walks everything: for tests

 private:
  struct Links {
    std::uint32_t prev = kNoIndex, next = kNoIndex;
  };
  struct Datagram {
    IpAddr src, dst;
    Instant since, deadline;
    Buf* head = nullptr;  // parts in the order of Buf::seq, their octet's place; no headers
    std::uint32_t id = 0;
    std::uint32_t hash_next = kNoIndex;
    Links family, own;         // by age: of all in its family, of those of its share
    std::uint32_t end = 0;     // octets of the whole; 0 while the last part is missing
    std::uint32_t have = 0;    // octets held
    std::uint32_t charge = 0;  // octets held, with buffers and this record
    std::uint16_t header = 0;  // octets of frame before the text of the first part
    std::uint16_t fragment_header = 0, named_at = 0;  // as in wire::FragmentFields, of the first
    std::uint16_t parts = 0;
    std::uint16_t share = 0;  // index in shares_
    std::uint8_t bufs = 0;
    std::uint8_t protocol = 0;  // IPv4; RFC 8200 §4.5 leaves it out
    std::uint8_t ecn_seen = 0;  // a bit for each ECN field that came
    bool given_up = false;      // IPv6: what still comes of it is dropped (RFC 5722 §4)
  };
  struct Ends {
    std::uint32_t head = kNoIndex, tail = kNoIndex;
  };
  // Where a part goes: the link that will point to it, or why it may not.
  struct Place {
    Fate fate = Fate::kHeld;
    Buf** link = nullptr;
  };
  static constexpr unsigned kShares = 256;
  struct Share {  // of the sources that a hash of their address puts here
    std::uint32_t octets = 0;
    std::uint32_t datagrams = 0;  // those given up included, as long as they are remembered
    Ends ages;                    // the oldest first
  };

  [[nodiscard]] std::uint32_t& bucket(const wire::Frame& f);
  [[nodiscard]] std::uint32_t find_or_create(const wire::Frame& f, Instant now, BufChain& release,
                                             Outcome& out);
  [[nodiscard]] std::uint16_t share_of(const IpAddr& src) const;
  [[nodiscard]] bool make_room(std::uint32_t id, std::uint32_t charge, BufChain& release,
                               Outcome& out);
  [[nodiscard]] static Place place_of(Datagram& d, const Buf* part, std::uint32_t offset,
                                      std::uint32_t len);
  [[nodiscard]] static bool end_agrees(const Datagram& d, std::uint32_t end, bool more);
  [[nodiscard]] static Fate judge(const Datagram& d, const wire::Frame& f, unsigned bufs);
  void keep(Datagram& d, const wire::Frame& f, Buf* part, Buf** link, unsigned bufs,
            std::uint32_t charge);
  std::uint32_t drop_parts(Datagram& d, BufChain& release);
  std::uint32_t give_up(std::uint32_t id, BufChain& release);
  std::uint32_t remove(std::uint32_t id, BufChain& release);
  void link(Ends& ends, Links Datagram::*in, std::uint32_t id);  // as the youngest
  void unlink(Ends& ends, Links Datagram::*in, std::uint32_t id);
  void forget(std::uint32_t id);
  void charge(Datagram& d, std::uint32_t octets);
  void discharge(Datagram& d, std::uint32_t octets);
  [[nodiscard]] std::uint32_t oldest() const;
  static void write_headers(const Datagram& d, std::byte* at, std::uint32_t header);

  FragmentConfig config_;
  Slab<Datagram> datagrams_;
  std::vector<std::uint32_t> buckets_;
  std::vector<Share> shares_;
  Ends ages_[2];  // IPv4, IPv6: the oldest first
  std::uint32_t octets_ = 0;
};

}  // namespace weir::ip

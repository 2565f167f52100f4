// The neighbour table: which MAC address a next hop has (RFC 826, RFC 1122 §2.3.2, RFC 5227 §2.4,
// and for IPv6 RFC 4861 §7; the states are RFC 4861 §7.3.2's for both).
//
// Says what is to be asked and answered; writes no frame, reads no clock. All memory is taken at
// construction. Learns from strangers only within bounds: an answer counts when a question is out,
// a question to this host makes an entry, and anything else can only cast doubt on an entry.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/addr.h"
#include "base/batch.h"
#include "base/siphash.h"
#include "base/slab.h"
#include "base/time.h"
#include "ip/routes.h"
#include "wire/frame.h"

namespace weir::ip {

using NeighbourId = std::uint32_t;  // kNoIndex: none

struct NeighbourConfig {
  Duration reachable_time = 30s;  // an answer is trusted this long, then asked for again when used
  bool vary_reachable_time = false;      // between half and three halves of it (RFC 4861 §6.3.2)
  Duration retrans_timer = 1s;           // between requests to one destination (RFC 1122 §2.3.2.1)
  Duration delay_first_probe_time = 5s;  // IPv6: in which TCP may spare us the question
  Duration failed_time = 1s;             // no new question for a destination that has just failed
  Duration defend_interval = 10s;        // RFC 5227 §1.1, DEFEND_INTERVAL
  // Requests that go unanswered. A new entry is asked for by broadcast or multicast alone; a known
  // one by unicast, then (ARP) as often by broadcast.
  std::uint32_t max_probes = 3;
  std::uint32_t queue_len = 3;  // packets that wait for one entry
  std::uint32_t pool = 256;     // packets that wait for all entries together
  SipKey key{};                 // of the hash table
};

// A question to put on the wire: "who has `target`?" to `dst_mac`.
struct Solicit {
  NeighbourId id = kNoIndex;
  IpAddr target;
  // A group's (broadcast, or the solicited-node group), or the neighbour's while an old address is
  // being confirmed.
  MacAddr dst_mac;
};

struct NeighbourWork {  // filled by advance, emptied by its caller
  Batch<Solicit, 32> solicits;
  Batch<NeighbourId, 32> failed;
};

// What one ARP packet asks of this host.
struct ArpOutcome {
  NeighbourId resolved = kNoIndex;  // an entry that has just become usable
  bool reply = false;               // answer it: see arp_reply
  bool conflict = false;            // somebody else claims an address of this host
  bool defend = false;              // ... and it is time to announce it (RFC 5227 §2.4 (b))
};

// What one neighbour solicitation or advertisement asks of this host.
struct NdOutcome {
  NeighbourId resolved = kNoIndex;  // an entry that has just become usable
  bool reply = false;               // advertise the target
  bool conflict = false;            // somebody else advertises an address of this host
};

class Neighbours {
 public:
  enum class State : std::uint8_t {
    kUnused,      // made by lookup_or_create, not used yet
    kIncomplete,  // asked, not answered: packets wait
    kReachable,   // answered within reachable_time
    kStale,       // usable; the next use asks again
    kDelay,       // usable; asked again soon, unless it proves itself before (IPv6)
    kProbe,       // usable while being asked again
    kFailed,      // nobody answered
    kPermanent,   // given by the operator: never asked, never learned
  };
  enum class Use : std::uint8_t { kReady, kWait, kFailed };

  Neighbours(std::uint32_t capacity, const NeighbourConfig& config);

  // The entry of an on-link address, made if need be. When the table is full the entry unused for
  // longest makes room, failed ones first, never one that is being asked for nor a pinned one.
  // kNoIndex when none can, or when half the table waits for answers already. An id stays valid
  // until its entry is evicted: use it at once, or check that address(id) is still yours.
  [[nodiscard]] NeighbourId lookup_or_create(const IpAddr& next_hop) {
    const NeighbourId id = recent_[recent_of(next_hop)];
    if (id != kNoIndex && entries_[id].addr == next_hop) return id;
    return look_further(next_hop);
  }
  [[nodiscard]] NeighbourId find(const IpAddr& next_hop) const;  // kNoIndex if there is none
  // For the gateway: never evicted, and strangers cannot change its MAC, only have it asked again.
  void pin(NeighbourId id);
  void set_permanent(NeighbourId id, const MacAddr& mac);  // pinned, and its MAC is this for ever

  // Call for every packet sent: says whether mac(id) may be used, and sees to it that it will be.
  [[nodiscard]] Use use(NeighbourId id, Instant now);
  [[nodiscard]] const MacAddr* mac(NeighbourId id) const;  // null unless usable
  [[nodiscard]] State state(NeighbourId id) const { return entries_[id].state; }
  // Its last advertisement said so (RFC 4861 §7.2.5).
  [[nodiscard]] bool is_router(NeighbourId id) const { return entries_[id].router; }
  [[nodiscard]] const IpAddr& address(NeighbourId id) const { return entries_[id].addr; }
  // The peer behind `id` has just acknowledged something new (RFC 4861 §7.3.1): no need to ask.
  void confirm(NeighbourId id, Instant now);
  // Nothing gets through by way of `id` (RFC 9293 §3.8.3, RFC 1122 §3.3.1.4): it is asked again.
  void doubt(NeighbourId id, Instant now);
  // Nobody answered the last question that came to an end.
  [[nodiscard]] bool has_failed(NeighbourId id) const { return entries_[id].failed; }

  // `routes` says which addresses are ours; `local_mac` is the port's.
  ArpOutcome on_arp(const wire::ArpPacket& arp, const Routes& routes, const MacAddr& local_mac,
                    Instant now);

  // RFC 4861 §7.2.3, §7.2.5. Pre: f.kind is kNd.
  NdOutcome on_nd(const wire::Frame& f, const Routes& routes, const MacAddr& local_mac,
                  Instant now);

  // Requests now due, and entries that failed. Stops when `out` is full: next_deadline then says
  // "at once". What `use` started is due at once too: call this after sending as well.
  void advance(Instant now, NeighbourWork& out);
  [[nodiscard]] Instant next_deadline() const;

  [[nodiscard]] std::uint32_t size() const { return entries_.size(); }
  [[nodiscard]] std::uint32_t capacity() const { return entries_.capacity(); }
  [[nodiscard]] const NeighbourConfig& config() const { return config_; }
  void check_invariants() const;

 private:
  // kNone: pinned and not being asked.
  enum class List : std::uint8_t { kNone, kIdle, kAsked, kDelayed };
  struct Entry {
    IpAddr addr;
    MacAddr mac;
    State state = State::kUnused;
    List list = List::kNone;
    bool pinned = false;
    bool router = false;
    bool failed = false;      // the last question was not answered
    std::uint8_t probes = 0;  // sent since the question was opened
    std::uint32_t hash_next = kNoIndex;
    std::uint32_t prev = kNoIndex, next = kNoIndex;  // in `list`
    Instant deadline = kNever;       // of the next request; kAsked and kDelayed only
    Instant since{};                 // of the last proof, or of the failure
    Instant used = Instant::min();   // to within kUsedGrain
    Instant asked = Instant::min();  // the last request, for the rate limit
  };
  struct Ends {
    std::uint32_t head = kNoIndex, tail = kNoIndex;
  };

  static constexpr Duration kUsedGrain = 1s;  // saves a list move per packet
  static constexpr std::size_t kRecent = 16;

  [[nodiscard]] std::uint32_t& bucket(const IpAddr& addr);
  [[nodiscard]] NeighbourId create(const IpAddr& addr);
  [[nodiscard]] NeighbourId look_further(const IpAddr& next_hop);
  [[nodiscard]] static std::size_t recent_of(const IpAddr& addr) {
    return addr.octets()[15] % kRecent;
  }
  [[nodiscard]] bool may_wait(const Entry& e) const;
  void evict(NeighbourId id);
  void append(NeighbourId id, List list);
  void prepend(NeighbourId id, List list);
  void unlink(NeighbourId id);
  void rest(NeighbourId id, bool evict_first = false);
  void touch(NeighbourId id, Instant now);
  void set_state(Entry& e, State state);
  void ask(NeighbourId id, State state, Instant now);
  void settle(NeighbourId id, State state, const MacAddr& mac, Instant now);
  void fail(NeighbourId id, Instant now);
  void ask_or_fail(NeighbourId id, Instant now, NeighbourWork& out);
  void ask_after_delay(NeighbourId id, Instant now);
  void forget_mac(NeighbourId id);
  void vary_reachable_time(Instant now);
  void learn_stranger(const IpAddr& addr, const MacAddr& mac, Instant now);
  [[nodiscard]] NeighbourId learn_awaited(NeighbourId id, const wire::ArpPacket& arp, bool to_us,
                                          Instant now);
  void learn_known(NeighbourId id, const wire::ArpPacket& arp, Instant now);
  [[nodiscard]] NeighbourId learn_from_solicit(NeighbourId id, const MacAddr& mac, Instant now);
  [[nodiscard]] NeighbourId learn_from_advert(NeighbourId id, const wire::NdPacket& nd,
                                              Instant now);
  void update_from_advert(NeighbourId id, const wire::NdPacket& nd, Instant now);

  NeighbourConfig config_;
  Slab<Entry> entries_;
  std::vector<std::uint32_t> buckets_;
  std::array<NeighbourId, kRecent> recent_;  // by address: who was looked up last
  // Idle: the longest unused first; asked and delayed: the next due first.
  std::array<Ends, 4> lists_;
  std::uint32_t incomplete_ = 0;
  Duration reachable_time_;                   // of now
  Instant reachable_until_ = Instant::min();  // when it is drawn again
  std::uint64_t drawn_ = 0;
  Instant defended_ = Instant::min();
};

// The answer to a request for an address of this host, and the announcement that defends one.
[[nodiscard]] wire::ArpPacket arp_reply(const wire::ArpPacket& request, const MacAddr& local_mac);
[[nodiscard]] wire::ArpPacket arp_request(const IpAddr& target, const IpAddr& local_ip,
                                          const MacAddr& local_mac);
[[nodiscard]] wire::ArpPacket arp_announcement(const IpAddr& local_ip, const MacAddr& local_mac);
[[nodiscard]] wire::ArpPacket arp_probe(const IpAddr& wanted, const MacAddr& local_mac);

}  // namespace weir::ip

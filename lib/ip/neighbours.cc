#include "ip/neighbours.h"

#include <algorithm>
#include <bit>
#include <new>
#include <span>

#include "base/assert.h"

namespace weir::ip {
namespace {

constexpr std::uint16_t kRequest = 1, kReply = 2;

std::uint64_t hash(const SipKey& key, const IpAddr& addr) {
  return siphash13(key, std::as_bytes(std::span{addr.octets()}));
}

}  // namespace

Neighbours::Neighbours(std::uint32_t capacity, const NeighbourConfig& config)
    : config_(config),
      entries_(capacity),
      buckets_(std::bit_ceil(std::max(2U, 2 * capacity)), kNoIndex),
      reachable_time_(config.reachable_time) {
  recent_.fill(kNoIndex);
}

// -- The table -----------------------------------------------------------------------------------

std::uint32_t& Neighbours::bucket(const IpAddr& addr) {
  return buckets_[hash(config_.key, addr) & (buckets_.size() - 1)];
}

NeighbourId Neighbours::find(const IpAddr& next_hop) const {
  NeighbourId id = buckets_[hash(config_.key, next_hop) & (buckets_.size() - 1)];
  while (id != kNoIndex && entries_[id].addr != next_hop) id = entries_[id].hash_next;
  return id;
}

// A flood of destinations that do not exist must not push out those that do.
//= RFC6583 7.1-a
bool Neighbours::may_wait(const Entry& e) const {
  return e.pinned || incomplete_ < std::max(1U, capacity() / 2);
}

NeighbourId Neighbours::look_further(const IpAddr& next_hop) {
  const NeighbourId found = find(next_hop);
  if (found != kNoIndex) return recent_[recent_of(next_hop)] = found;
  if (!may_wait({})) return kNoIndex;
  NeighbourId oldest = lists_[static_cast<unsigned>(List::kIdle)].head;
  if (oldest == kNoIndex) oldest = lists_[static_cast<unsigned>(List::kDelayed)].head;
  if (entries_.full() && oldest != kNoIndex && !entries_[oldest].pinned) evict(oldest);
  return create(next_hop);
}

NeighbourId Neighbours::create(const IpAddr& addr) {
  const NeighbourId id = entries_.take();
  if (id == kNoIndex) return id;
  std::uint32_t& head = bucket(addr);
  Entry& e = *::new (entries_.slot(id)) Entry;
  e.addr = addr;
  e.hash_next = head;
  head = id;
  append(id, List::kIdle);
  return id;
}

void Neighbours::evict(NeighbourId id) {
  Entry& e = entries_[id];
  WEIR_ASSERT((e.list == List::kIdle || e.list == List::kDelayed) && !e.pinned);
  NeighbourId& recent = recent_[recent_of(e.addr)];
  if (recent == id) recent = kNoIndex;
  unlink(id);
  std::uint32_t* link = &bucket(e.addr);
  while (*link != id) link = &entries_[*link].hash_next;
  *link = e.hash_next;
  entries_.give(id);
}

void Neighbours::pin(NeighbourId id) {
  Entry& e = entries_[id];
  e.pinned = true;
  if (e.list == List::kIdle) unlink(id);
}

void Neighbours::set_permanent(NeighbourId id, const MacAddr& mac) {
  Entry& e = entries_[id];
  set_state(e, State::kPermanent);
  e.mac = mac;
  e.pinned = true;
  rest(id);
}

// -- The lists -----------------------------------------------------------------------------------

void Neighbours::append(NeighbourId id, List list) {
  Entry& e = entries_[id];
  Ends& ends = lists_[static_cast<unsigned>(list)];
  e.list = list;
  e.prev = ends.tail;
  e.next = kNoIndex;
  (ends.tail == kNoIndex ? ends.head : entries_[ends.tail].next) = id;
  ends.tail = id;
}

void Neighbours::prepend(NeighbourId id, List list) {
  Entry& e = entries_[id];
  Ends& ends = lists_[static_cast<unsigned>(list)];
  e.list = list;
  e.prev = kNoIndex;
  e.next = ends.head;
  (ends.head == kNoIndex ? ends.tail : entries_[ends.head].prev) = id;
  ends.head = id;
}

void Neighbours::unlink(NeighbourId id) {
  Entry& e = entries_[id];
  if (e.list == List::kNone) return;
  Ends& ends = lists_[static_cast<unsigned>(e.list)];
  (e.prev == kNoIndex ? ends.head : entries_[e.prev].next) = e.next;
  (e.next == kNoIndex ? ends.tail : entries_[e.next].prev) = e.prev;
  e.list = List::kNone;
  e.prev = e.next = kNoIndex;
}

void Neighbours::rest(NeighbourId id, bool evict_first) {
  unlink(id);
  entries_[id].deadline = kNever;
  if (entries_[id].pinned) return;
  evict_first ? prepend(id, List::kIdle) : append(id, List::kIdle);
}

void Neighbours::touch(NeighbourId id, Instant now) {
  Entry& e = entries_[id];
  if (e.used != Instant::min() && now - e.used < kUsedGrain) return;
  e.used = now;
  if (e.list == List::kIdle) rest(id);
}

// -- The states (RFC 4861 §7.3.2) ----------------------------------------------------------------

void Neighbours::set_state(Entry& e, State state) {
  if (e.state == State::kIncomplete) --incomplete_;
  if (state == State::kIncomplete) ++incomplete_;
  e.state = state;
}

// Opens a question. The list stays in order of deadlines as every one is `now` or one whole
// retrans_timer away.
void Neighbours::ask(NeighbourId id, State state, Instant now) {
  Entry& e = entries_[id];
  set_state(e, state);
  e.probes = 0;
  unlink(id);
  const bool at_once = e.asked == Instant::min() || now - e.asked >= config_.retrans_timer;
  e.deadline = at_once ? now : now + config_.retrans_timer;
  at_once ? prepend(id, List::kAsked) : append(id, List::kAsked);
}

// RFC 4861 §7.3.3: the next packet to a stale neighbour goes out at once; the question waits, as
// what TCP hears meanwhile may answer it.
//= RFC4861 7.3.3-a
void Neighbours::ask_after_delay(NeighbourId id, Instant now) {
  Entry& e = entries_[id];
  set_state(e, State::kDelay);
  unlink(id);
  e.deadline = now + config_.delay_first_probe_time;
  append(id, List::kDelayed);
}

// RFC 4861 §7.3.3: it no longer answers at its address; what is sent to it next asks the link.
void Neighbours::forget_mac(NeighbourId id) {
  set_state(entries_[id], State::kUnused);
  entries_[id].router = false;
  rest(id, true);
}

// RFC 4861 §6.3.2: drawn anew every two hours, lest all hosts of a link ask at once.
//= RFC4861 6.3.2
void Neighbours::vary_reachable_time(Instant now) {
  if (!config_.vary_reachable_time || now < reachable_until_) return;
  reachable_until_ = now + 2h;
  const std::uint64_t draw = siphash13(config_.key, std::as_bytes(std::span{&++drawn_, 1}));
  const Duration half = config_.reachable_time / 2;
  reachable_time_ =
      half +
      Duration(static_cast<std::int64_t>(draw % static_cast<std::uint64_t>(2 * half.count() + 1)));
}

void Neighbours::settle(NeighbourId id, State state, const MacAddr& mac, Instant now) {
  Entry& e = entries_[id];
  set_state(e, state);
  e.failed = false;
  e.mac = mac;
  e.since = now;
  if (state == State::kReachable) vary_reachable_time(now);
  rest(id);
}

void Neighbours::fail(NeighbourId id, Instant now) {
  Entry& e = entries_[id];
  set_state(e, State::kFailed);
  e.failed = true;
  e.since = now;
  rest(id, true);
}

Neighbours::Use Neighbours::use(NeighbourId id, Instant now) {
  Entry& e = entries_[id];
  touch(id, now);
  switch (e.state) {
    case State::kReachable:
      if (now - e.since < reachable_time_) return Use::kReady;
      [[fallthrough]];
    case State::kStale:
      e.addr.is_v4() ? ask(id, State::kProbe, now) : ask_after_delay(id, now);
      return Use::kReady;
    case State::kDelay:
    case State::kProbe:
    case State::kPermanent:
      return Use::kReady;
    case State::kIncomplete:
      return Use::kWait;
    case State::kFailed:
      if (now - e.since < config_.failed_time) return Use::kFailed;
      [[fallthrough]];
    case State::kUnused:
      if (!may_wait(e)) return Use::kFailed;
      ask(id, State::kIncomplete, now);
      return Use::kWait;
  }
  return Use::kFailed;
}

const MacAddr* Neighbours::mac(NeighbourId id) const {
  const Entry& e = entries_[id];
  const bool none =
      e.state == State::kUnused || e.state == State::kIncomplete || e.state == State::kFailed;
  return none ? nullptr : &e.mac;
}

//= RFC4861 7.3.1
void Neighbours::confirm(NeighbourId id, Instant now) {
  Entry& e = entries_[id];
  if (e.state == State::kPermanent) return;
  if (e.state == State::kReachable) {
    e.since = now;
  } else if (mac(id) != nullptr) {
    settle(id, State::kReachable, e.mac, now);
  }
}

void Neighbours::doubt(NeighbourId id, Instant now) {
  const State s = state(id);
  if (s == State::kReachable || s == State::kStale) ask(id, State::kProbe, now);
}

// -- Time ----------------------------------------------------------------------------------------

void Neighbours::advance(Instant now, NeighbourWork& out) {
  while (next_deadline() <= now && out.solicits.room() > 0 && out.failed.room() > 0) {
    const NeighbourId delayed = lists_[static_cast<unsigned>(List::kDelayed)].head;
    if (delayed != kNoIndex && entries_[delayed].deadline <= now) {
      ask(delayed, State::kProbe, now);
      continue;
    }
    ask_or_fail(lists_[static_cast<unsigned>(List::kAsked)].head, now, out);
  }
}

//= RFC1122 2.3.2.1-a
//= RFC1122 2.3.2.1-b
//= RFC4861 7.2.2-c
void Neighbours::ask_or_fail(NeighbourId id, Instant now, NeighbourWork& out) {
  Entry& e = entries_[id];
  // A neighbour that had an address is asked there first (RFC 1122 §2.3.2.1 (2), unicast poll).
  const std::uint32_t unicast = e.state == State::kProbe ? config_.max_probes : 0;
  const bool v4 = e.addr.is_v4();
  //= RFC4861 7.3.3-b
  if (!v4 && unicast > 0 && e.probes >= unicast) return forget_mac(id);
  if (e.probes >= unicast + config_.max_probes) {
    fail(id, now);
    out.failed.push(id);
    return;
  }
  //= RFC4861 7.2.2-a
  const MacAddr group =
      v4 ? MacAddr::broadcast() : wire::multicast_mac(wire::solicited_node(e.addr));
  out.solicits.push({id, e.addr, e.probes < unicast ? e.mac : group});
  ++e.probes;
  e.asked = now;
  e.deadline = now + config_.retrans_timer;
  unlink(id);
  append(id, List::kAsked);
}

Instant Neighbours::next_deadline() const {
  const auto of = [this](List list) {
    const NeighbourId head = lists_[static_cast<unsigned>(list)].head;
    return head == kNoIndex ? kNever : entries_[head].deadline;
  };
  return std::min(of(List::kAsked), of(List::kDelayed));
}

// -- ARP (RFC 826, "Packet Reception") -----------------------------------------------------------

//= RFC826 reception-b
//= RFC826 reception-c
//= RFC5227 2.5
ArpOutcome Neighbours::on_arp(const wire::ArpPacket& arp, const Routes& routes,
                              const MacAddr& local_mac, Instant now) {
  ArpOutcome outcome;
  const MacAddr& mac = arp.sender_mac;
  if (mac.is_zero() || mac.is_multicast() || mac == local_mac) return outcome;
  if (arp.op != kRequest && arp.op != kReply) return outcome;
  if (routes.is_local(arp.sender_ip)) {
    outcome.conflict = true;
    outcome.defend = defended_ == Instant::min() || now - defended_ >= config_.defend_interval;
    if (outcome.defend) defended_ = now;
    return outcome;
  }
  const bool to_us = routes.is_local(arp.target_ip);
  outcome.reply = to_us && arp.op == kRequest;  // an RFC 5227 probe (sender 0.0.0.0) included
  if (!arp.sender_ip.is_unicast() || routes.is_broadcast(arp.sender_ip)) return outcome;

  const NeighbourId id = find(arp.sender_ip);
  if (id == kNoIndex) {
    if (outcome.reply && routes.is_on_link(arp.sender_ip)) {
      learn_stranger(arp.sender_ip, arp.sender_mac, now);
    }
    return outcome;
  }
  const State state = entries_[id].state;
  if (state == State::kPermanent) return outcome;
  if (state == State::kReachable || state == State::kStale) {
    learn_known(id, arp, now);
  } else {
    outcome.resolved = learn_awaited(id, arp, to_us, now);
  }
  return outcome;
}

// Whoever asks for us is about to talk to us. It may take the place of an entry that failed or
// that has been of no use for long, and of no other.
//= RFC6583 7.1-b
void Neighbours::learn_stranger(const IpAddr& addr, const MacAddr& mac, Instant now) {
  if (entries_.full()) {
    const NeighbourId oldest = lists_[static_cast<unsigned>(List::kIdle)].head;
    if (oldest == kNoIndex) return;
    const Entry& e = entries_[oldest];
    const bool unused = e.used == Instant::min() || now - e.used >= config_.reachable_time;
    if (!unused && e.state != State::kFailed) return;
    evict(oldest);
  }
  const NeighbourId id = create(addr);
  if (id == kNoIndex) return;
  entries_[id].used = now;
  settle(id, State::kStale, mac, now);
}

// There is no address, or it is in doubt. An answer to our question proves one; anything else that
// the neighbour says gives one that is yet to be proven.
NeighbourId Neighbours::learn_awaited(NeighbourId id, const wire::ArpPacket& arp, bool to_us,
                                      Instant now) {
  Entry& e = entries_[id];
  const bool answer = arp.op == kReply && to_us && arp.sender_ip != arp.target_ip;
  if (e.state != State::kProbe) {
    const bool waited = e.state == State::kIncomplete;
    settle(id, answer && waited ? State::kReachable : State::kStale, arp.sender_mac, now);
    return waited ? id : kNoIndex;
  }
  const bool same = arp.sender_mac == e.mac;
  // While the gateway is asked at its own address, nobody else's answer counts.
  const bool open = !e.pinned || e.probes > config_.max_probes;
  if (answer && (same || open)) {
    settle(id, State::kReachable, arp.sender_mac, now);
  } else if (!answer && !same && !e.pinned) {
    settle(id, State::kStale, arp.sender_mac, now);
  }
  return kNoIndex;
}

// The address is settled. A host that has changed its interface says so by a gratuitous ARP, or
// shows it by asking; a reply to a question that nobody asked is worth nothing.
void Neighbours::learn_known(NeighbourId id, const wire::ArpPacket& arp, Instant now) {
  Entry& e = entries_[id];
  const bool gratuitous = arp.sender_ip == arp.target_ip;
  if (arp.sender_mac == e.mac || (arp.op == kReply && !gratuitous)) return;
  if (e.pinned) {
    ask(id, State::kProbe, now);
  } else {
    settle(id, State::kStale, arp.sender_mac, now);
  }
}

// -- Neighbour discovery (RFC 4861 §7.2) ---------------------------------------------------------

NdOutcome Neighbours::on_nd(const wire::Frame& f, const Routes& routes, const MacAddr& local_mac,
                            Instant now) {
  const wire::NdPacket& nd = f.nd;
  NdOutcome outcome;
  if (f.src_mac == local_mac) return outcome;  // our own, come back
  if (nd.advertisement) {
    outcome.conflict = routes.is_local(nd.target);
    const NeighbourId id = outcome.conflict ? kNoIndex : find(nd.target);
    //= RFC4861 7.2.5-a
    if (id != kNoIndex) outcome.resolved = learn_from_advert(id, nd, now);
    return outcome;
  }
  //= RFC4861 7.2.3-a
  outcome.reply = routes.is_local(nd.target);
  //= RFC4861 7.2.3-b
  if (!outcome.reply || !nd.has_lladdr || !routes.is_on_link(f.src)) return outcome;
  const NeighbourId id = find(f.src);
  if (id == kNoIndex) {
    learn_stranger(f.src, nd.lladdr, now);
  } else {
    outcome.resolved = learn_from_solicit(id, nd.lladdr, now);
  }
  return outcome;
}

// A solicitation gives an address that is yet to be proven; the gateway's it only casts doubt on.
//= RFC4861 7.2.3-c
NeighbourId Neighbours::learn_from_solicit(NeighbourId id, const MacAddr& mac, Instant now) {
  const Entry& e = entries_[id];
  const MacAddr* known = this->mac(id);
  if (e.state == State::kPermanent || (known != nullptr && *known == mac)) return kNoIndex;
  if (known != nullptr && e.pinned) {
    if (e.state != State::kProbe) ask(id, State::kProbe, now);
    return kNoIndex;
  }
  const bool waited = e.state == State::kIncomplete;
  settle(id, State::kStale, mac, now);
  return waited ? id : kNoIndex;
}

// The entry that an answer resolves, if one was waited for.
//= RFC4861 7.2.5-b
NeighbourId Neighbours::learn_from_advert(NeighbourId id, const wire::NdPacket& nd, Instant now) {
  Entry& e = entries_[id];
  if (e.state == State::kPermanent) return kNoIndex;
  if (mac(id) != nullptr) {
    update_from_advert(id, nd, now);
    return kNoIndex;
  }
  if (e.state != State::kIncomplete || !nd.has_lladdr) return kNoIndex;
  e.router = nd.router;
  settle(id, nd.solicited ? State::kReachable : State::kStale, nd.lladdr, now);
  return id;
}

// There is an address already. What does not say that it overrides can only cast doubt on it; and
// while the gateway is asked at its own address, nobody else's answer counts.
//= RFC4861 7.2.5-c
void Neighbours::update_from_advert(NeighbourId id, const wire::NdPacket& nd, Instant now) {
  Entry& e = entries_[id];
  const bool other = nd.has_lladdr && nd.lladdr != e.mac;
  if (other && e.pinned) {
    if (e.state != State::kProbe) ask(id, State::kProbe, now);
    return;
  }
  if (other && !nd.override_flag) {
    if (e.state == State::kReachable) settle(id, State::kStale, e.mac, now);
    return;
  }
  const MacAddr lladdr = nd.has_lladdr ? nd.lladdr : e.mac;
  //= RFC4861 7.2.5-d
  e.router = nd.router;
  if (nd.solicited) {
    settle(id, State::kReachable, lladdr, now);
  } else if (other) {
    settle(id, State::kStale, lladdr, now);
  }
}

// -- For tests -----------------------------------------------------------------------------------

void Neighbours::check_invariants() const {
  for (const NeighbourId id : recent_) {
    WEIR_ASSERT(id == kNoIndex || find(entries_[id].addr) == id);
  }
  std::uint32_t hashed = 0, unlisted = 0, incomplete = 0;
  for (NeighbourId id : buckets_) {
    for (; id != kNoIndex; id = entries_[id].hash_next, ++hashed) {
      const Entry& e = entries_[id];
      const bool asked = e.state == State::kIncomplete || e.state == State::kProbe;
      WEIR_ASSERT(find(e.addr) == id);
      const bool delayed = e.state == State::kDelay;
      WEIR_ASSERT(asked == (e.list == List::kAsked));
      WEIR_ASSERT(delayed == (e.list == List::kDelayed));
      WEIR_ASSERT((asked || delayed) == (e.deadline != kNever));
      WEIR_ASSERT(e.list != List::kNone || e.pinned);
      if (e.list == List::kNone) ++unlisted;
      if (e.state == State::kIncomplete) ++incomplete;
    }
  }
  WEIR_ASSERT(hashed == size() && incomplete == incomplete_);
  std::uint32_t listed = 0;
  for (const List list : {List::kIdle, List::kAsked, List::kDelayed}) {
    NeighbourId prev = kNoIndex;
    for (NeighbourId id = lists_[static_cast<unsigned>(list)].head; id != kNoIndex; ++listed) {
      WEIR_ASSERT(entries_[id].list == list && entries_[id].prev == prev);
      prev = id;
      id = entries_[id].next;
    }
    WEIR_ASSERT(lists_[static_cast<unsigned>(list)].tail == prev);
  }
  WEIR_ASSERT(listed + unlisted == size());
}

// -- Packets -------------------------------------------------------------------------------------

wire::ArpPacket arp_reply(const wire::ArpPacket& request, const MacAddr& local_mac) {
  return {kReply, local_mac, request.sender_mac, request.target_ip, request.sender_ip};
}

wire::ArpPacket arp_request(const IpAddr& target, const IpAddr& local_ip,
                            const MacAddr& local_mac) {
  return {kRequest, local_mac, MacAddr{}, local_ip, target};
}

wire::ArpPacket arp_announcement(const IpAddr& local_ip, const MacAddr& local_mac) {
  return arp_request(local_ip, local_ip, local_mac);  // RFC 5227 §2.3
}

wire::ArpPacket arp_probe(const IpAddr& wanted, const MacAddr& local_mac) {
  return arp_request(wanted, IpAddr::v4(std::uint32_t{0}), local_mac);  // RFC 5227 §2.1.1
}

}  // namespace weir::ip

// The public face: each call finds its connection, acts through lib/tcp, and settles it.
#include "stack/stack.h"

#include <algorithm>
#include <cstring>

#include "stack/impl.h"
#include "tcp/settings.h"

namespace weir::stack {
namespace {

constexpr std::uint32_t kMaxListeners = 1'024;

ip::FragmentConfig fragment_config(const Config& c, const Secrets& s) {
  return {c.tcp.ipfrag_high_thresh, c.tcp.ipfrag_time, s.table};
}

ip::NeighbourConfig neighbour_config(const Secrets& s) {
  ip::NeighbourConfig c;
  c.key = s.table;
  c.queue_len = 64;  // a burst of connects to one backend that is not resolved yet
  c.pool = 1'024;
  c.vary_reachable_time = true;
  return c;
}

UdpSockets::Ports udp_ports(const Config& c) {
  return {c.tcp.port_low, c.tcp.port_high, c.shard, c.shards};
}

// Of its own, and another in each shard.
SipKey udp_port_key(const Config& c, const Secrets& s) {
  return {s.ports[0] ^ c.shard, ~s.ports[1]};
}

ip::DadConfig dad_config(const Config& c, const Secrets& s) {
  ip::DadConfig d;
  d.transmits = c.dad_transmits;
  d.arp_probes = c.arp_probes;
  d.seed = s.seed;
  return d;
}

}  // namespace

std::string_view to_string(Error e) {
  switch (e) {
    case Error::kAddressInUse:
      return "address in use";
    case Error::kAddressNotLocal:
      return "address not available";
    case Error::kNoPort:
      return "no local port left to this remote";
    case Error::kInvalidRemote:
      return "invalid remote address";
    case Error::kNoRoute:
      return "network unreachable";
    case Error::kFull:
      return "no connection record left";
  }
  return "unknown";
}

Stack::Impl::Impl(const Config& c, const Secrets& s, BufSource src, Instant start)
    : config(c),
      secrets(s),
      source(src),
      now(start),
      neighbours(c.max_neighbours, neighbour_config(s)),
      dad(dad_config(c, s)),
      table(c.max_connections + c.tcp.max_syn_backlog + c.tcp.max_tw_buckets),
      listening(kMaxListeners),
      // Shards differ, lest what one picks tells what another will.
      ports(c.tcp.port_low, c.tcp.port_high, {s.ports[0] ^ c.shard, s.ports[1]}),
      wheel(c.max_connections, start, c.tick),
      conns(c.max_connections),
      logs(c.max_connections),
      owns(c.max_connections),
      syns(c.tcp.max_syn_backlog),
      tws(c.tcp.max_tw_buckets),
      tws6(c.tcp.max_tw_buckets),
      generations(c.max_connections),
      fragments(fragment_config(c, s)),
      udp(c.max_udp_sockets, c.max_udp_datagrams, udp_ports(c), udp_port_key(c, s)) {
  conflicts.reserve(kMaxConflicts);
  add_addresses();
  add_gateway(c.gateway, c.gateway_mac);
  add_gateway(c.gateway6, c.gateway6_mac);
  if (c.point_to_point) routes.set_point_to_point();
  aim();
  outbox.counters = &counters;
  outbox.logs = &logs;
  outbox.owns = &owns;
  outbox.tso_max = c.tso_max;
}

Stack::Impl::~Impl() {
  // Buffers still held belong to the driver's pools, which end with it.
}

Stack::Stack(const Config& config, const Secrets& secrets, BufSource source, Instant now)
    : impl_(std::make_unique<Impl>(config, secrets, source, now)) {}
Stack::~Stack() = default;

void Stack::receive(std::span<Buf* const> frames, Instant now) {
  impl_->now = now;
  impl_->receive(frames);
}

void Stack::advance(Instant now) {
  Impl& s = *impl_;
  s.now = now;
  s.receive_looped();
  if (s.udp_tx < Impl::kTxBatch) s.udp.unblock_all();
  for (unsigned left = Impl::kTimersPerCall; left > 0 && s.tx.room() > 2 * Impl::kOneCall; --left) {
    std::uint32_t due = 0;
    if (s.wheel.advance(now, {&due, 1}) == 0) break;
    s.on_timer(due);
  }
  s.advance_syns();
  s.advance_time_wait();
  s.advance_dad();
  s.advance_neighbours();
  s.advance_pressure();
  s.advance_room();
  s.expire_fragments();
}

bool Stack::next_ready(Ready& out) {
  return impl_->next_ready(out);
}

void Stack::poll_output(Instant now) {
  impl_->now = now;
  impl_->poll_output();
  impl_->advance_rest();
}

std::span<const tcp::TxPacket> Stack::tx_packets() const {
  return impl_->tx.items();
}
BufChain Stack::take_tx_frames() {
  impl_->udp_tx = 0;
  return std::move(impl_->tx_frames);
}
BufChain Stack::take_released() {
  return std::move(impl_->released);
}
void Stack::clear_tx() {
  impl_->tx.clear();
  impl_->aim();
}
std::span<const tcp::HandOver> Stack::hand_over() const {
  return impl_->handed.items();
}
void Stack::share_addresses(bool on) {
  impl_->has_siblings = on;
}
void Stack::clear_hand_over() {
  impl_->handed.clear();
}
bool Stack::has_pending_output() const {
  return impl_->output_pending;
}

Instant Stack::next_deadline() const {
  const Impl& s = *impl_;
  const bool at_once = !s.output.empty() || !s.ready.empty() || !s.looped.empty() ||
                       s.udp.any_ready() || s.udp.any_blocked() ||
                       s.room_cursor < s.generations.size();
  if (at_once || s.may_accept()) return s.now;
  return std::min({s.wheel.next_deadline(), s.next_syn_deadline(), s.next_tw_deadline(),
                   s.neighbours.next_deadline(), s.dad.next_deadline(),
                   s.fragments.next_deadline()});
}

bool Stack::addresses_settled() const {
  return impl_->dad.settled();
}

std::span<const AddressConflict> Stack::address_conflicts() const {
  return impl_->conflicts;
}

Result<ListenerId, Error> Stack::listen(const Endpoint& local, const ListenOptions& options) {
  return impl_->listen(local, options);
}

void Stack::stop_listening(ListenerId id) {
  impl_->stop_listening(id);
}

void Stack::pause_accept(ListenerId id, bool paused) {
  if (id >= impl_->listeners.size()) return;
  impl_->listeners[id].paused = paused;
  if (!paused) impl_->note_waiting(id);
}

Result<ConnId, Error> Stack::connect(const Endpoint& remote, std::optional<IpAddr> local,
                                     Instant now, std::uint16_t local_port,
                                     const ConnOptions* own) {
  impl_->now = now;
  return impl_->connect(remote, local, local_port, own);
}

bool Stack::is_local(const IpAddr& addr) const {
  return impl_->routes.is_local(addr);
}

std::optional<IpAddr> Stack::default_source(bool v4) const {
  return impl_->routes.default_source(v4);
}

bool Stack::alive(ConnId id) const {
  return impl_->alive(id);
}

std::size_t Stack::send_room(ConnId id) const {
  const Conn* c = impl_->find(id);
  return c == nullptr ? 0 : tcp::send_room(c->tcb);
}

std::size_t Stack::send_copy(ConnId id, std::span<const std::byte> octets) {
  Impl& s = *impl_;
  Conn* c = s.find(id);
  if (c == nullptr) return 0;
  const std::size_t want = std::min<std::size_t>(octets.size(), tcp::send_room(c->tcb));
  std::size_t done = 0;
  while (done < want) {
    Buf* tail = c->tcb.sndq.tail();
    constexpr auto kClosed = Buf::kBorrowed | Buf::kEndOfRecord;
    if (tail == nullptr || tail->room == 0 || (tail->flags & kClosed) != 0) {
      tail = s.take_buf();
      if (tail == nullptr) break;
      BufChain one;
      one.push_back(tail);
      s.queue_text(*c, std::move(one));
    }
    const auto n = static_cast<std::uint32_t>(std::min<std::size_t>(want - done, tail->room));
    std::memcpy(tail->data + tail->len, octets.data() + done, n);
    c->tcb.sndq.grow_tail(n);
    done += n;
  }
  if (done > 0) s.mark_output(id.index);
  return done;
}

std::size_t Stack::send_borrowed(ConnId id, std::span<const std::byte> octets) {
  Impl& s = *impl_;
  Conn* c = s.find(id);
  if (c == nullptr) return 0;
  const std::size_t n = std::min<std::size_t>(octets.size(), tcp::send_room(c->tcb));
  Buf* b = n == 0 ? nullptr : s.take_buf();
  if (b == nullptr) return 0;
  // Never written through: room is 0, and only what a stack owns is written to.
  b->data = const_cast<std::byte*>(octets.data());
  b->len = static_cast<std::uint32_t>(n);
  b->room = 0;
  b->flags = Buf::kBorrowed;
  BufChain one;
  one.push_back(b);
  s.queue_text(*c, std::move(one));
  s.mark_output(id.index);
  return n;
}

void Stack::send_buffers(ConnId id, BufChain&& chain) {
  Impl& s = *impl_;
  Conn* c = s.find(id);
  if (c == nullptr || !tcp::may_send(c->tcb)) return s.released.append(std::move(chain));
  s.queue_text(*c, std::move(chain));
  s.mark_output(id.index);
}

std::size_t Stack::unacked(ConnId id) const {
  const Conn* c = impl_->find(id);
  return c == nullptr ? 0 : c->tcb.sndq.bytes();
}

std::size_t Stack::readable(ConnId id) const {
  const Conn* c = impl_->find(id);
  return c == nullptr ? 0 : c->tcb.rcvq.bytes();
}

BufChain Stack::receive_buffers(ConnId id, std::size_t max) {
  Conn* c = impl_->find(id);
  if (c == nullptr || max == 0) return {};
  c->read_ms = impl_->now_ms();
  BufChain loan =
      tcp::user_receive(c->tcb, static_cast<std::uint32_t>(std::min<std::size_t>(max, 1U << 30U)));
  impl_->mark_output(id.index);
  return loan;
}

std::size_t Stack::receive_copy(ConnId id, std::span<std::byte> into) {
  Impl& s = *impl_;
  Conn* c = s.find(id);
  if (c == nullptr || into.empty()) return 0;
  c->read_ms = s.now_ms();
  const std::uint32_t done = tcp::user_receive_copy(c->tcb, into, s.outbox);
  s.released.append(std::move(s.outbox.release));
  if (done > 0) s.mark_output(id.index);
  return done;
}

std::size_t Stack::peek(ConnId id, std::size_t offset, std::span<std::byte> into) const {
  const Conn* c = impl_->find(id);
  if (c == nullptr || offset >= c->tcb.rcvq.bytes()) return 0;
  return tcp::user_peek(c->tcb, static_cast<std::uint32_t>(offset), into);
}

void Stack::release(BufChain&& loan) {
  impl_->released.append(std::move(loan));
}

void Stack::shutdown_send(ConnId id) {
  Conn* c = impl_->find(id);
  if (c == nullptr) return;
  tcp::user_shutdown(c->tcb);
  impl_->mark_output(id.index);
}

void Stack::close(ConnId id) {
  if (impl_->find(id) == nullptr) return;
  impl_->leave(id.index, Leaving::kClose);
}

void Stack::abort(ConnId id) {
  if (impl_->find(id) == nullptr) return;
  impl_->leave(id.index, Leaving::kAbort);
}

void Stack::set_user(ConnId id, std::uint64_t user) {
  if (Conn* c = impl_->find(id)) c->user = user;
}

std::uint64_t Stack::user_of(ConnId id) const {
  if (!impl_->alive(id)) return 0;
  const Conns& all = impl_->conns;
  return all.resting(id.index) ? all.seat(id.index).user : all[id.index].user;
}

void Stack::set_timer(ConnId id, Instant when) {
  Conn* c = impl_->find(id);
  if (c == nullptr) return;
  c->user_deadline = when;
  if (!c->in_output) impl_->wheel.arm(id.index, when);  // else poll_output settles it, armed once
}

void Stack::set_nodelay(ConnId id, bool on) {
  Conn* c = impl_->find(id);
  if (c == nullptr) return;
  tcp::user_nodelay(c->tcb, on);
  impl_->mark_output(id.index);
}

void Stack::set_cork(ConnId id, bool on) {
  Conn* c = impl_->find(id);
  if (c == nullptr) return;
  tcp::user_cork(c->tcb, on);
  impl_->mark_output(id.index);
}

void Stack::end_record(ConnId id) {
  Conn* c = impl_->find(id);
  if (c != nullptr) tcp::user_end_record(c->tcb);
}

void Stack::set_more(ConnId id, bool more) {
  Conn* c = impl_->find(id);
  if (c == nullptr) return;
  tcp::user_more(c->tcb, more);
  impl_->mark_output(id.index);
}

//= RFC9293 MUST-48
//= RFC9293 SHLD-21
void Stack::set_tos(ConnId id, std::uint8_t tos) {
  if (Conn* c = impl_->find(id)) c->tos = tos & 0xfcU;
}

std::uint8_t Stack::tos_in(ConnId id) const {
  const Conn* c = impl_->find(id);
  return c == nullptr ? std::uint8_t{0} : c->tcb.tos_in;
}

std::size_t Stack::send_urgent(ConnId id, std::span<const std::byte> octets) {
  const std::size_t done = send_copy(id, octets);
  if (done > 0) tcp::user_urgent(impl_->find(id)->tcb);
  return done;
}

tcp::Urgent Stack::urgent(ConnId id) const {
  const Conn* c = impl_->find(id);
  return c == nullptr ? tcp::Urgent{} : tcp::urgent_unread(c->tcb);
}

void Stack::set_pacing_rate(ConnId id, std::uint32_t octets_per_second) {
  Conn* c = impl_->find(id);
  if (c == nullptr) return;
  tcp::user_pace(c->tcb, octets_per_second);
  impl_->mark_output(id.index);  // what waited for the old pace
}

void Stack::want_room(ConnId id) {
  if (Conn* c = impl_->find(id)) c->tcb.set(tcp::kWantWritable);
}

void Stack::want_writable(ConnId id) {
  Conn* c = impl_->find(id);
  if (c == nullptr) return;
  c->tcb.set(tcp::kWantWritable);
  if (!Impl::has_room(c->tcb)) return;  // the ACK that makes more tells
  // There is room: it was buffers that the caller lacked, and no ACK may be on its way to tell.
  c->retry_deadline = impl_->now + Impl::kBufferRetry;
  impl_->wheel.arm(id.index, c->retry_deadline);
}

FlowKey Stack::flow_of(ConnId id) const {
  return impl_->alive(id) ? impl_->conns.seat(id.index).flow : FlowKey{};
}

std::uint32_t Stack::timestamp(ConnId id, Instant now) const {
  const Conn* c = impl_->find(id);
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch());
  return c == nullptr ? 0 : static_cast<std::uint32_t>(ms.count()) + c->tcb.ts_offset;
}

tcp::CloseReason Stack::soft_error(ConnId id) const {
  const Conn* c = impl_->find(id);
  return c == nullptr ? tcp::CloseReason::kNone : c->tcb.soft_error;
}

tcp::State Stack::state_of(ConnId id) const {
  if (!impl_->alive(id)) return tcp::State::kClosed;
  const Conns& all = impl_->conns;
  return all.resting(id.index) ? tcp::State::kEstablished : all[id.index].tcb.state;
}

const telemetry::Counters& Stack::counters() const {
  return impl_->counters;
}
telemetry::Counters& Stack::counters() {
  return impl_->counters;
}
Instant Stack::now() const {
  return impl_->now;
}

Gauges Stack::gauges() const {
  const Impl& s = *impl_;
  std::array<CloseWait, 1> oldest;
  (void)oldest_close_waits(oldest);
  return {s.conns.size(),      s.established,       s.syns.size(),
          s.tw_live,           s.neighbours.size(), s.accept_waiting,
          s.close_waits.count, oldest[0].age,       s.conns.size() - s.conns.lent()};
}

Footprint Stack::footprint() {
  constexpr std::uint32_t kMany = 100'000;  // the table's octets are counted in whole lines
  constexpr std::uint32_t kEntry = (flow::Table::bytes_for(kMany) + kMany / 2) / kMany;
  constexpr std::uint32_t kGeneration = sizeof(std::uint32_t);
  constexpr std::uint32_t kResting = sizeof(Seat) + timer::Wheel::kNodeSize + kGeneration + kEntry;
  static_assert(kResting <= 320, "budget: an idle connection with all its parts");
  return {kResting + sizeof(Conn) + kGeneration, kResting, sizeof(tcp::SynEntry) + kEntry,
          sizeof(tcp::TwRecord) + kEntry};
}

void Stack::configure(const tcp::Config& wanted) {
  const std::uint32_t wmem = impl_->config.tcp.wmem;
  tcp::take_live(impl_->config.tcp, wanted);
  if (impl_->config.tcp.wmem > wmem) impl_->room_cursor = 0;
  impl_->ports.set_range(impl_->config.tcp.port_low, impl_->config.tcp.port_high);
  impl_->udp.set_range(impl_->config.tcp.port_low, impl_->config.tcp.port_high);
}

const tcp::Config& Stack::tcp_config() const {
  return impl_->config.tcp;
}

void Stack::set_meter(telemetry::StageMeter* meter) {
  impl_->meter = meter;
}

void Stack::release_spare() {
  while (!impl_->fresh.empty()) impl_->released.push_back(impl_->fresh.pop());
  while (impl_->fragments.size() > 0) (void)impl_->fragments.give_up_oldest(impl_->released);
  while (!impl_->looped.empty()) impl_->consume(impl_->looped.pop());
  (void)impl_->udp.give_back_older(kNever, impl_->released);
}

bool Stack::abort_all(std::uint32_t& from) {
  Impl& s = *impl_;
  for (; from < s.generations.size(); ++from) {
    if (s.tx.room() < 2 * Impl::kOneCall) return true;
    if (!s.alive(from) || s.awake(from).doomed) continue;
    s.leave(from, Leaving::kAbort);
  }
  return false;
}

void Stack::release_all() {
  Impl& s = *impl_;
  for (std::uint32_t i = 0; i < s.generations.size(); ++i) {
    if (s.alive(i) && !s.conns.resting(i)) tcp::release_buffers(s.conns[i].tcb, s.outbox);
  }
  s.released.append(std::move(s.outbox.release));
  s.released.append(std::move(s.tx_frames));
  s.neighbours.drop_all([&s](const Impl::HeldPacket& held) {
    if (held.datagram != nullptr) s.forget_held(held, s.counters.drop_neigh_queue);
  });
  release_spare();
}

void Stack::check_invariants() const {
  const Impl& s = *impl_;
  std::uint32_t live = 0;
  std::uint32_t in_table = 0;
  std::uint32_t established = 0;
  std::uint32_t close_wait = 0;
  for (std::uint32_t i = 0; i < s.generations.size(); ++i) {
    if (!s.alive(i)) continue;
    ++live;
    s.look_at(i, [&](const Conn& c) {
      if (c.doomed) return;
      tcp::check_invariants(c.tcb);
      if (c.counted) ++established;
      WEIR_ASSERT(c.in_output || c.in_close_wait == (c.tcb.state == tcp::State::kCloseWait));
      if (c.in_close_wait) ++close_wait;
      WEIR_ASSERT(c.flow == s.conns.seat(i).flow && c.hash == s.hash_of(c.flow));
      const std::uint32_t handle =
          s.table.find(c.hash, [&](std::uint32_t h) { return h == handle_of(Kind::kConn, i); });
      WEIR_ASSERT((handle != kNoIndex) == (c.tcb.state != tcp::State::kClosed));
      if (handle != kNoIndex) ++in_table;
      const Instant due = s.deadline_of(c);
      WEIR_ASSERT(due == kNever || s.wheel.armed(i) || c.in_output);
    });
  }
  WEIR_ASSERT(live == s.conns.size());
  WEIR_ASSERT(established == s.established);
  WEIR_ASSERT(close_wait == s.close_waits.count);
  WEIR_ASSERT(in_table + s.syns.size() + s.tw_live == s.table.size());
  s.neighbours.check_invariants();
  s.fragments.check_invariants();
  s.udp.check_invariants();
}

}  // namespace weir::stack

// The parts of one stack, and which file does what with them:
//   receive.cc      frames in: parse, look up, hand to TCP, ARP or ICMP
//   icmp_errors.cc  ICMP errors about connections, doubts about next hops
//   syn_queue.cc    half-open connections and their SYN-ACKs
//   syn_cookies.cc  connections that never were half-open here
//   time_wait.cc    records of 28 or 52 octets, in the order of their deadlines
//   listeners.cc    who listens, alone or in a group; what a listener tells of itself
//   loopback.cc     segments from this host to itself
//   rest.cc         who goes to rest, and what wakes it; conns.h: where both are kept
//   connections.cc  control blocks: made, settled after every event, freed; the user's calls
//   settings.cc     what one connection has its own way
//   snapshot.cc     what is told of connections, one by one and all of them
//   fragments.cc    parts of datagrams, and what is told to those who send what cannot be taken
//   output.cc       segments to packets: next hop, neighbours
//   neighbours.cc   ARP and neighbour discovery, in and out; which addresses may be used
//   pressure.cc     what gives way when buffers run short
//   close_wait.cc   which connections their program does not close
//   last_resets.cc  what a dying process says
//   udp.cc          datagrams in and out, the user's calls; udp_sockets.h: whose they are
//   udp_errors.cc   ICMP errors about datagrams
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "base/batch.h"
#include "base/fifo.h"
#include "base/slab.h"
#include "flow/listeners.h"
#include "flow/ports.h"
#include "flow/table.h"
#include "flow/toeplitz.h"
#include "ip/dad.h"
#include "ip/fragments.h"
#include "ip/neighbour_table.h"
#include "ip/routes.h"
#include "ip/token_bucket.h"
#include "stack/conns.h"
#include "stack/stack.h"
#include "stack/udp_sockets.h"
#include "tcp/isn.h"
#include "tcp/listen.h"
#include "tcp/time_wait.h"
#include "timer/wheel.h"
#include "wire/frame.h"
#include "wire/udp.h"

namespace weir::stack {

struct Listener {
  Endpoint local;
  std::uint32_t backlog = 0;
  std::uint32_t waiting = 0;  // in the accept queue
  std::uint32_t half_open = 0;
  std::uint64_t accepted = 0, accept_overflows = 0, syn_overflows = 0;
  bool used = false;
  bool paused = false;
  bool reuse_port = false;
  bool v6_only = false;
  bool has_own = false;            // conn says something
  std::uint8_t defer_retries = 0;  // SYN-ACKs resent before a bare ACK is enough
  ConnOptions conn;
  std::vector<ListenerId> group;  // of the first at an address and port: all there, itself included
  ConnList<&Conn::ready_next> accept_queue;
};

struct Stack::Impl {
  static constexpr unsigned kMaxFrames = 64;  // of one receive
  static constexpr unsigned kTxBatch = 512;   // packets of one iteration
  static constexpr unsigned kOneCall = 64;    // packets that one call into the core may make
  static constexpr unsigned kTimersPerCall = 64;
  static constexpr Duration kBufferRetry = 10ms;
  static constexpr unsigned kMaxConflicts = 64;  // that are told of
  static constexpr unsigned kSynLevels = 16;     // by SYN-ACKs resent so far
  static constexpr unsigned kMaxHeld = 256;      // datagrams that wait for next hops

  Impl(const Config& c, const Secrets& s, BufSource src, Instant start);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  struct IpFields {  // of a packet, that its connection decides
    std::uint8_t tos, ttl;
  };
  // A TCP segment under way from parsing to TCP.
  struct alignas(64) Arrival {
    Buf* buf = nullptr;
    std::uint64_t hash = 0;
    FlowKey flow;
    std::uint32_t seat = kNoIndex;  // of a connection that is likely its own
    bool looped = false;            // this host sent it to itself
    alignas(64) wire::Frame frame;
  };

  // -- receive.cc
  void receive(std::span<Buf* const> frames);
  void receive_parsed(unsigned n);
  unsigned parse(std::span<Buf* const> frames, bool looped);
  void mark(telemetry::Stage ended) {
    if (meter != nullptr) meter->mark(ended);
  }
  bool admit(Arrival& a);
  bool admit_plain(Arrival& a);
  void admit_flow(Arrival& a);
  [[nodiscard]] static bool scattered_checksum_ok(const Arrival& a);
  void look_up(Arrival& a);
  void fetch(const Arrival& a);
  // What is hot here GCC takes for cold otherwise, and its copies for size (rep movs).
  [[gnu::hot]] void deliver(Arrival& a);
  void on_tcp(Arrival& a);
  void on_conn(std::uint32_t index, Arrival& a);
  void count_ecn(std::uint8_t tos);
  void on_no_connection(Arrival& a);
  bool hand_to_sibling(Arrival& a);
  void on_icmp(Arrival& a);
  [[nodiscard]] bool may_answer_icmp() {  // what it costs is known to nobody outside
    const auto draw = siphash13(secrets.ports, std::as_bytes(std::span(&++icmp_draws, 1)));
    return icmp_limit.allow(now, static_cast<unsigned>(draw % 3));
  }
  void on_other_protocol(Arrival& a);
  void send_icmp_error(const Arrival& about, std::uint8_t type, std::uint8_t code,
                       std::uint32_t rest, telemetry::Counter& sent);
  [[nodiscard]] bool is_own(Arrival& a, const FlowKey& flow);
  [[nodiscard]] bool stays_here(Arrival& a, std::uint16_t owner);
  void drop(Buf* b, telemetry::Counter& why);
  void consume(Buf* b);  // done with: to be released
  [[nodiscard]] static tcp::RxSegment header_of(const Arrival& a);
  tcp::RxSegment to_segment(Arrival& a);
  [[nodiscard]] Buf* take_text(Arrival& a);

  // -- icmp_errors.cc
  void on_icmp_error(Arrival& a);
  tcp::IcmpVerdict judge_error(std::uint32_t handle, const tcp::IcmpError& e);
  tcp::IcmpVerdict judge_half_open(std::uint32_t index, const tcp::IcmpError& e);
  void tell_neighbour(Conn& c);

  // -- fragments.cc
  [[nodiscard]] bool on_fragment(Arrival& a);
  [[nodiscard]] bool make_whole(Arrival& a, std::uint32_t id);
  void count_fragments(const ip::Fragments::Outcome& o);
  void expire_fragments();
  void tell_timeout(const Buf* first);
  void tell_problem(const Arrival& a);
  struct IcmpError {
    std::uint8_t type, code;
    std::uint32_t rest;
  };
  void send_icmp_error(std::span<const std::byte> offender, const wire::Frame& f,
                       const IpAddr& from, const IcmpError& error, telemetry::Counter& sent);

  // -- syn_queue.cc
  struct SynQueue {
    std::uint32_t head = tcp::kSynNone, tail = tcp::kSynNone;
  };
  // `beyond`: what an old connection of this 4-tuple used up, when there is one in TIME-WAIT.
  [[gnu::hot]] void on_syn(Arrival& a, ListenerId listener, std::optional<Seq> beyond);
  [[gnu::hot]] void on_syn_entry(std::uint32_t index, Arrival& a);
  void challenge_half_open(tcp::SynEntry& e);
  void promote(std::uint32_t index, Arrival& a);
  [[nodiscard]] telemetry::Counter* no_room_to_accept(Listener& l);
  [[nodiscard]] static bool accept_queue_full(Listener& l);
  [[gnu::hot]] void make_passive(std::uint32_t conn, const tcp::SynEntry& e, ListenerId id,
                                 const Arrival& a);
  [[nodiscard]] bool defers(tcp::SynEntry& e, const tcp::RxSegment& seg) const;
  void send_syn_ack(const tcp::SynEntry& e, std::uint32_t ts_now);
  void resend_syn_ack(tcp::SynEntry& e);
  [[nodiscard]] Duration syn_ack_wait(unsigned level) const;
  [[nodiscard]] Instant syn_ack_sent(const tcp::SynEntry& e) const;
  void syn_link(std::uint32_t index);
  void syn_unlink(std::uint32_t index);
  void syn_free(std::uint32_t index, bool erase_from_table);
  void evict_oldest_syn();
  void forget_unwanted_syns();
  void advance_syns();
  [[nodiscard]] Instant next_syn_deadline() const;

  // -- syn_cookies.cc
  [[nodiscard]] bool cookie_due() const;
  void send_cookie(Arrival& a, ListenerId listener);
  [[nodiscard]] bool on_cookie(ListenerId id, Arrival& a, const tcp::RxSegment& seg);

  // -- time_wait.cc
  [[gnu::hot]] void enter_time_wait(std::uint32_t index);
  template <class Record>
  void make_time_wait(Fifo<Record>& tws, Kind kind, std::uint32_t conn);
  template <class Record>
  void on_time_wait(Fifo<Record>& tws, Kind kind, std::uint32_t index, Arrival& a);
  [[nodiscard]] bool reopens(std::uint32_t conn, Arrival& a);
  void tw_forget(tcp::TwState& r, std::uint64_t hash, std::uint32_t handle);
  template <class Record>
  void expire_time_wait(Fifo<Record>& tws, Kind kind, std::uint64_t hash);
  template <class Record>
  void advance_time_wait(Fifo<Record>& tws, Kind kind);
  void advance_time_wait();
  [[nodiscard]] Instant next_tw_deadline() const;
  [[nodiscard]] Instant deadline_of(const tcp::TwState& r) const {
    return now + std::chrono::milliseconds(r.left_ms(now_ms()));
  }
  // The record a handle means, null when it is none of TIME-WAIT.
  [[nodiscard]] tcp::TwState* tw_of(std::uint32_t handle);
  // Whether connect may take the 4-tuple over (tw_reuse).
  [[nodiscard]] bool tw_reusable(const tcp::TwState& r, const FlowKey& flow) const;

  // -- rest.cc
  [[nodiscard]] bool may_rest(const Conn& c) const;
  void rest(std::uint32_t index);  // Pre: may_rest
  void restore(Conn& c, std::uint32_t index) const;
  void wake(std::uint32_t index);  // Pre: resting
  Conn& awake(std::uint32_t index) {
    if (conns.resting(index)) wake(index);
    return conns[index];
  }
  [[nodiscard]] bool sleeps_on(std::uint32_t index);  // nothing is due for it, and it rests
  void advance_rest();
  void fetch_for_hand(std::uint32_t at, Duration patience) const;
  [[nodiscard]] Duration idle_for(const Conn& c) const {
    return now - std::max(c.tcb.last_received, c.tcb.last_sent);
  }
  // One that is not at rest, nor about to be freed.
  [[nodiscard]] bool busy(std::uint32_t index) const {
    return alive(index) && !conns.resting(index) && !conns[index].doomed;
  }
  // f(const Conn&), at rest or not; wakes nobody.
  template <class F>
  void look_at(std::uint32_t index, F&& f) const {
    if (!conns.resting(index)) return f(conns[index]);
    Conn c(config.tcp);
    restore(c, index);
    f(std::as_const(c));
  }

  // -- connections.cc
  void settle(std::uint32_t index);
  void tell(std::uint32_t index);  // of a connection that is marked for output: settled there
  void collect_notices(Conn& c);
  void mark_ready(std::uint32_t index);
  void mark_output(std::uint32_t index);
  void leave(std::uint32_t index, Leaving how);
  void let_go(std::uint32_t index);  // the record is not needed any more
  void free_if_unlisted(std::uint32_t index);
  [[nodiscard]] static bool has_room(const tcp::Tcb& t);
  void advance_room();
  void on_timer(std::uint32_t index);
  [[nodiscard]] bool may_accept() const;
  [[nodiscard]] Conn* find(ConnId id);
  [[nodiscard]] std::uint32_t pop_accepted(Listener& l);
  bool next_accepted(Ready& out);
  void note_waiting(ListenerId id) {
    accepting[id / kWordBits] |= std::uint64_t{1} << (id % kWordBits);
  }
  bool next_ready(Ready& out);
  [[nodiscard]] ConnId id_of(std::uint32_t index) const { return {index, generations[index]}; }
  [[nodiscard]] bool alive(std::uint32_t index) const { return (generations[index] & 1U) != 0; }
  [[nodiscard]] bool alive(ConnId id) const {  // to its user
    return id.index < generations.size() && generations[id.index] == id.generation &&
           (id.generation & 1U) != 0 && (conns.resting(id.index) || !conns[id.index].user_gone);
  }
  void count_established(Conn& c);
  void close_unreachable(const FlowKey& flow);
  [[gnu::hot]] Result<ConnId, Error> connect(const Endpoint& remote, std::optional<IpAddr> local,
                                             std::uint16_t local_port, const ConnOptions* own);
  struct Place {  // of a flow in the table
    std::uint64_t hash = 0;
    std::uint32_t old = kNoIndex;  // who has it now
  };
  struct Ahead {  // the flow that connect is thought to ask about next
    FlowKey flow;
    std::uint64_t hash = 0;
  };
  [[nodiscard]] Ahead& ahead_of(const FlowKey& f) {
    return aheads[(f.remote.octets()[15] ^ f.remote_port) % aheads.size()];
  }
  void look_ahead(FlowKey flow);
  [[nodiscard]] std::optional<Error> choose_port(FlowKey& flow, Place& at);
  [[nodiscard]] bool tuple_free(const FlowKey& flow, Place& at);

  // -- listeners.cc
  [[nodiscard]] ListenerId listener_for(const FlowKey& flow, std::uint64_t hash) const;
  Result<ListenerId, Error> listen(const Endpoint& local, const ListenOptions& options);
  void stop_listening(ListenerId id);
  void leave_group(ListenerId id);
  void configure(Listener& l, const ConnOptions& conn);
  static void take_over(Listener& l, const ConnOptions& conn);
  [[nodiscard]] std::uint8_t window_scale(const Listener& l) const;
  // What it has in place of the Config's; null: nothing.
  [[nodiscard]] const tcp::OwnSettings* settings_of(ListenerId id) const {
    return listeners[id].has_own ? &listeners[id].conn.tcp : nullptr;
  }
  [[nodiscard]] IpFields fields_of(ListenerId id) const;

  // -- settings.cc
  [[nodiscard]] bool configure(Conn& c, const ConnOptions& options);

  // -- last_resets.cc
  void push_last_reset(const Conn& c);

  // -- snapshot.cc
  void describe(std::uint32_t index, const Conn& c, ConnSnapshot& out) const;
  [[nodiscard]] bool describe(Kind kind, std::uint32_t index, ConnSnapshot& out) const;
  [[nodiscard]] bool describe_half_open(std::uint32_t index, ConnSnapshot& out) const;
  template <class Record>
  [[nodiscard]] bool describe_time_wait(const Fifo<Record>& of, Kind kind, std::uint32_t index,
                                        ConnSnapshot& out) const;
  [[nodiscard]] bool in_table(const FlowKey& flow, std::uint32_t handle) const;
  [[nodiscard]] std::uint32_t records_of(Kind kind) const;

  // -- loopback.cc
  [[nodiscard]] bool loops(const FlowKey& flow) const { return routes.is_local(flow.remote); }
  void loop_back(const tcp::TxSegment& seg, const FlowKey& flow, std::uint8_t tos);
  void receive_looped();

  void loop_frame(Buf* frame);

  // -- udp.cc
  using Text = std::span<const std::span<const std::byte>>;
  struct HeldPacket {  // what waits for a next hop
    tcp::TxPacket packet;
    Buf* datagram = nullptr;  // in place of the packet: a frame that is whole but for the MAC
    std::uint32_t neighbour = kNoIndex;
  };
  [[nodiscard]] std::uint16_t udp_owner(const FlowKey& flow) const;
  [[nodiscard]] bool admit_udp(Arrival& a);
  void on_udp(Arrival& a);
  void on_no_socket(Arrival& a);
  [[nodiscard]] telemetry::Counter* no_room_for(const UdpSocket& s, const Buf* b,
                                                std::uint32_t charge);
  Result<UdpId, Error> udp_bind(const Endpoint& local, UdpOptions options);
  std::optional<Error> udp_connect(std::uint32_t index, const Endpoint& remote);
  UdpError udp_send(std::uint32_t index, Text text, const UdpSend& how);
  [[nodiscard]] UdpError udp_flow(const UdpSocket& s, const UdpSend& how, FlowKey& flow,
                                  IpAddr& next_hop) const;
  [[nodiscard]] UdpError broadcast_flow(const UdpSend& how, FlowKey& flow) const;
  [[nodiscard]] UdpStats describe_udp(std::uint32_t index) const;
  [[nodiscard]] std::uint16_t path_mtu(const UdpSocket& s) const;
  [[nodiscard]] std::size_t udp_limit(const UdpSocket& s, const FlowKey& flow) const;
  Buf* make_datagram(Text text, std::size_t len, wire::UdpFrame& f);
  void send_datagram(Buf* frame, std::uint32_t neighbour);
  void forget_held(const HeldPacket& held, telemetry::Counter& why);

  // -- udp_errors.cc
  void on_udp_error(Arrival& a);
  void fail_datagram(Buf* frame);
  bool tell_udp(const FlowKey& flow, UdpError error, bool hard, std::uint32_t mtu);

  // -- pressure.cc
  struct Pressure {
    Instant until = Instant::min();  // as long as no frame says so again
    bool last = false;               // the last of the pool
    std::uint32_t cursor = 0;        // of the sweep over the connections
    ConnId oldest;                   // standing still longest, of those that it has seen
    Duration oldest_for{};
  };
  void note_pressure(std::uint8_t buf_flags);
  void advance_pressure();
  void relieve(std::uint32_t index);
  void forget_unread(std::uint32_t index);
  void end_sweep();
  [[nodiscard]] Duration standing_still(const Conn& c) const;
  void queue_text(Conn& c, BufChain&& text) {  // text that waits from here on, if none did
    if (c.tcb.sndq.empty()) c.acked_ms = now_ms();
    tcp::user_send(c.tcb, std::move(text));
  }

  // -- close_wait.cc
  struct CloseWaits {  // a list in the order of their beginnings
    std::uint32_t head = kNoIndex, tail = kNoIndex;
    std::uint32_t count = 0;
    std::uint32_t of_connects = 0;           // of them, opened by connect
    std::vector<std::uint32_t> of_listener;  // the others
  };
  void note_close_wait(std::uint32_t index);
  [[nodiscard]] std::uint32_t& close_wait_count(const Conn& c);
  [[nodiscard]] CloseWait close_wait_of(const Conn& c) const;

  // -- output.cc
  void poll_output();
  void flush(std::uint32_t index);  // outbox of a connection to packets
  [[nodiscard]] IpFields default_fields() const { return {config.tcp.tos, config.tcp.ttl}; }
  void send_packet(const tcp::TxSegment& seg, const FlowKey& flow, std::uint32_t neighbour,
                   IpFields ip);
  void deliver_held(const HeldPacket& held);
  void send_stray(const tcp::TxSegment& seg, const FlowKey& flow) {  // of no connection
    send_stray(seg, flow, default_fields());
  }
  void send_stray(const tcp::TxSegment& seg, const FlowKey& flow, IpFields ip);
  // The same of what make() returns, which is written where it stays.
  template <class Make>
  void send_made(const FlowKey& flow, IpFields ip, Make&& make) {
    tcp::TxPacket* const packet = place_for(flow, ip);
    if (packet == nullptr) return send_stray(make(), flow, ip);
    const tcp::TxSegment& seg = *::new (&packet->seg) tcp::TxSegment(make());
    packet->tos = static_cast<std::uint8_t>(packet->tos | seg.ecn);
  }
  [[nodiscard]] tcp::TxPacket* place_for(const FlowKey& flow, IpFields ip);
  void complete(tcp::TxPacket& packet, const FlowKey& flow, IpFields ip, const MacAddr& dst) const;
  void aim() { outbox.tx.write_to(tx.behind()); }  // whenever tx has changed
  void send_reset(const Arrival& a);
  std::uint32_t neighbour_of(Conn& c);
  [[nodiscard]] IpAddr packet_next_hop(const tcp::TxPacket& packet) const;
  Buf* take_buf();

  // -- neighbours.cc
  [[nodiscard]] IpAddr link_local_address() const;
  void add_addresses();
  void add_gateway(const std::optional<IpAddr>& gateway, const std::optional<MacAddr>& mac);
  void on_address_conflict(const IpAddr& addr, const MacAddr& other);
  void advance_dad();
  void send_dad(const ip::DadMessage& m);
  void on_arp(Arrival& a);
  [[nodiscard]] bool on_arp_while_tentative(const Arrival& a);
  void send_arp(const wire::ArpPacket& arp, const MacAddr& dst);
  [[nodiscard]] bool admit_nd(Arrival& a);
  void on_nd(Arrival& a);
  void on_nd_while_tentative(const wire::Frame& f);
  void send_advertisement(const wire::Frame& asked);
  void send_nd(const wire::NdPacket& nd, const IpAddr& src, const IpAddr& dst,
               const MacAddr& dst_mac);
  void send_solicitation(const ip::Solicit& s, const IpAddr& source);
  void advance_neighbours();
  void copy_to_other_shards(const Buf* b);

  // -- small things
  [[nodiscard]] static Instant deadline_of(const Conn& c) {
    return std::min({tcp::next_deadline(c.tcb), c.user_deadline, c.retry_deadline});
  }
  [[nodiscard]] std::uint64_t hash_of(const FlowKey& f) const {
    return siphash13(secrets.table, f);
  }
  [[nodiscard]] std::uint32_t now_ms() const { return ms_of(now); }
  [[nodiscard]] static std::uint32_t ms_of(Instant t) {
    return static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(t.time_since_epoch()).count());
  }
  [[nodiscard]] Instant instant_of(std::uint32_t ms) const {  // the nearest with these low bits
    return now + std::chrono::milliseconds(static_cast<std::int32_t>(ms - now_ms()));
  }
  [[nodiscard]] std::uint32_t ts_clock(const FlowKey& f) const;
  [[nodiscard]] bool same_flow(std::uint32_t handle, const FlowKey& f) const;
  [[nodiscard]] tcp::OpenArgs open_args(const FlowKey& f, const tcp::Numbers& first) const;

  Config config;
  Secrets secrets;
  BufSource source;
  Instant now;

  ip::Routes routes;
  ip::NeighbourTable<HeldPacket> neighbours;
  ip::Dad dad;
  std::optional<IpAddr> made_link_local;  // the one that nobody configured
  std::vector<AddressConflict> conflicts;
  flow::Table table;
  flow::Listeners listening;
  flow::PortPicker ports;
  std::array<Ahead, 16> aheads{};  // by remote; a remote's port is never 0
  timer::Wheel wheel;
  Conns conns;
  struct {
    std::uint32_t at = 0;
    Instant turned{};
  } hand;                   // over the records that are lent
  Slab<tcp::SentLog> logs;  // one a connection at most, touched only while text is in flight
  Slab<tcp::Own> owns;      // one a connection at most, touched only where one has its own way
  Slab<tcp::SynEntry> syns;
  Fifo<tcp::TwRecord> tws;  // in the order of their deadlines
  Fifo<tcp::TwRecord6> tws6;
  std::vector<std::uint32_t> generations;  // odd while alive
  std::vector<Listener> listeners;
  std::array<SynQueue, kSynLevels> syn_queues{};
  Instant cookies_until = Instant::min();  // while those sent may come back
  std::optional<SipKey> cookie_key_before;
  std::uint32_t tw_live = 0;  // records that are not dead

  ConnList<&Conn::ready_next> ready;
  ConnList<&Conn::output_next> output;
  std::uint32_t accept_waiting = 0;
  static constexpr unsigned kWordBits = 64;
  // A bit a listener: of one that is not paused and has connections to hand out, and perhaps of
  // others.
  std::vector<std::uint64_t> accepting;
  bool output_pending = false;
  std::uint32_t established = 0;

  ip::TokenBucket icmp_limit{1'000, 100};
  std::uint64_t icmp_draws = 0;
  ip::NeighbourWork neighbour_work;
  ip::DadWork dad_work;
  ip::Fragments fragments;

  std::array<Arrival, kMaxFrames> arrivals;
  tcp::Outbox outbox;  // of the call into the core under way
  // What the core decides on is written behind them at once: see aim.
  Batch<tcp::TxPacket, kTxBatch, tcp::TxList::kCapacity> tx;
  BufChain tx_frames;
  BufChain released;
  Batch<Buf*, kTxBatch> looped;  // frames to this host, received with the next advance
  Batch<tcp::HandOver, 4 * kMaxFrames> handed;
  bool has_siblings = false;  // stacks of other processes, with these addresses
  Batch<Buf*, 32> fresh;      // taken from the source, not used yet
  telemetry::Counters counters;
  Pressure pressure;
  std::uint32_t room_cursor = kNoIndex;  // of the sweep after wmem was raised
  CloseWaits close_waits;
  UdpSockets udp;
  unsigned udp_tx = 0;                     // datagrams among tx_frames
  unsigned udp_held = 0;                   // that wait for next hops
  telemetry::StageMeter* meter = nullptr;  // see set_meter
};

}  // namespace weir::stack

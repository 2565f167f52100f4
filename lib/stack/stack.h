// One core's endpoint: connection table, listeners, SYN and accept queues, TIME-WAIT, neighbours,
// timers, and the list of connections that have something to say.
//
// A Stack does no I/O and has no thread. Whoever drives it (see socket/worker.h) calls, in order,
// once per iteration: receive, advance, next_ready until it is done, poll_output; then takes what
// is to be transmitted, then what is to be freed. Nothing here reads a clock; not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/addr.h"
#include "base/batch.h"
#include "base/buf.h"
#include "base/result.h"
#include "base/siphash.h"
#include "base/time.h"
#include "stack/snapshot.h"
#include "stack/udp.h"
#include "tcp/config.h"
#include "tcp/core.h"
#include "tcp/info.h"
#include "tcp/own.h"
#include "tcp/state.h"
#include "telemetry/counters.h"
#include "telemetry/stages.h"

namespace weir::flow {
struct RssMap;
}

namespace weir::stack {

struct IpPrefix {
  IpAddr addr;                   // an address of this host
  std::uint8_t prefix_len = 32;  // of the network it is on, counted in the family's own bits
};

struct Config {
  MacAddr mac;
  std::uint16_t mtu = 1500;        // IP octets
  std::vector<IpPrefix> addrs;     // the first of a family is the default source
  std::optional<IpAddr> gateway;   // of either family
  std::optional<IpAddr> gateway6;  // of IPv6, where `gateway` is of IPv4
  // The gateways' MAC addresses where they are pinned: never asked for, never learned.
  std::optional<MacAddr> gateway_mac, gateway6_mac;
  // A link with one other end, as a tunnel's is: every packet goes to the gateway of its family,
  // whatever prefix it is for. Where both are pinned nobody is asked for an address.
  bool point_to_point = false;
  // Tests of an address before it is used: neighbour solicitations of RFC 4862 §5.4 for IPv6,
  // probes of RFC 5227 §2.1 (which wants 3, and Linux sends none) for IPv4; 0: none.
  std::uint8_t dad_transmits = 1;
  std::uint8_t arp_probes = 0;
  std::uint32_t max_connections = 65'536;
  std::uint32_t max_neighbours = 1'024;
  std::uint32_t tso_max = 0;  // octets of text a port segments by itself; 0: no TSO
  // What connections' deadlines are rounded up to. Finer costs a few more wake-ups a timer.
  Duration tick = 1ms;
  // A connection that did nothing for so long is put away until something comes for it, in less
  // memory. Nothing else shows it. 0: each time that nothing is under way; Duration::max(): never.
  Duration rest_after = 1s;
  std::uint32_t max_udp_sockets = 4'096;
  std::uint32_t max_udp_datagrams = 16'384;  // that wait to be received, in all sockets
  tcp::Config tcp;
  // Each connection has a record in which it is counted from its beginning: all of tcp::Info holds.
  bool socket_info = false;
  // Where several stacks share a port: this one's number, and which one a flow belongs to.
  std::uint16_t shard = 0;
  std::uint16_t shards = 1;
  const flow::RssMap* rss = nullptr;  // null when shards == 1; outlives the stack
};

// Drawn from the system's entropy by whoever makes the stack; all different.
struct Secrets {
  SipKey isn{};  // and timestamp offsets: tcp::first_numbers
  SipKey table{}, ports{}, cookies{};
  std::uint64_t seed = 0;  // jitter
};

struct ConnId {
  std::uint32_t index = 0xffff'ffffU;
  std::uint32_t generation = 0;
  friend constexpr bool operator==(ConnId, ConnId) = default;
};

using ListenerId = std::uint32_t;

inline constexpr std::uint16_t kSibling = 0xffff;  // HandOver::shard: a stack of another process

enum class Error : std::uint8_t {
  kAddressInUse,     // EADDRINUSE: of a listener, or of a connection with this very 4-tuple
  kAddressNotLocal,  // EADDRNOTAVAIL: not an address of this stack
  kNoPort,           // EADDRNOTAVAIL: no local port to this remote is left (on this core)
  kInvalidRemote,    // EINVAL: broadcast, multicast, unspecified
  kNoRoute,          // ENETUNREACH
  kFull,             // ENOBUFS: every connection record is in use
};
[[nodiscard]] std::string_view to_string(Error e);

// What became of a connection since it was last looked at.
enum Event : std::uint16_t {
  kConnected = 1,   // the connect succeeded
  kReadable = 2,    // text to receive
  kWritable = 4,    // room in the send buffer after it had run out
  kPeerClosed = 8,  // the peer's FIN: after the text that is queued there is no more
  kTimer = 16,      // the instant given to set_timer came
  kClosed = 32,     // gone; `reason` says how. The last event of a connection; once more only where
                    // a normal end left text unread, and it had to be given back: kAborted
  kAccepted = 64,   // a new connection from a listener. The first event of it
  kUrgent = 128,    // urgent text is on its way, or more of it: see urgent()
  kSoftError = 256,  // nothing gets through at present: see soft_error. Nobody need do anything
};

struct Ready {
  ConnId conn;
  std::uint16_t events = 0;
  tcp::CloseReason reason{};  // with kClosed
  ListenerId listener = 0;    // with kAccepted
};

// Another host on the link has an address of this one.
struct AddressConflict {
  IpAddr addr;
  MacAddr other;
  bool in_use = false;  // it had been free before, and stays in use; else it is not used
};

struct Gauges {                   // of the moment
  std::uint32_t connections = 0;  // control blocks, whatever their state
  std::uint32_t established = 0;
  std::uint32_t half_open = 0;
  std::uint32_t time_wait = 0;
  std::uint32_t neighbours = 0;
  std::uint32_t accept_waiting = 0;  // established, and not yet handed to the program
  std::uint32_t close_wait = 0;      // the peer has closed, the program has not
  Duration oldest_close_wait{};      // how long the first of them has been so
  std::uint32_t resting = 0;         // of connections: those that take no more than a seat
};

// A connection that its peer has closed and its program has not (CLOSE-WAIT).
struct CloseWait {
  FlowKey flow;
  Duration age{};                      // since the peer's FIN
  std::optional<ListenerId> listener;  // none: the program's own connect
};

// Octets that one of each takes with all its parts: record, timer, table entry; buffers apart.
struct Footprint {
  std::uint32_t connection = 0;  // with what it has only while it is not at rest
  std::uint32_t resting = 0;
  std::uint32_t half_open = 0;
  std::uint32_t time_wait = 0;
};

// What a connection has in place of what the stack's Config says.
struct ConnOptions {
  tcp::OwnSettings tcp;
  std::optional<std::uint8_t> tos = std::nullopt;  // as set_tos
  std::uint8_t ttl = 0;                            // 0: as the Config says
  friend bool operator==(const ConnOptions&, const ConnOptions&) = default;
};

// An address and port in TIME-WAIT, or with connections, may always be listened on (SO_REUSEADDR is
// implied); the same address and port twice only where every listener says reuse_port.
struct ListenOptions {
  std::uint32_t backlog = 4096;  // min(backlog, somaxconn) connections may wait for accept
  bool reuse_port = false;       // SO_REUSEPORT: shares with others, each flow going to one of them
  // Of a listener on ::, IPV6_V6ONLY: takes no IPv4. None: as tcp::Config::bindv6only says.
  std::optional<bool> v6_only = std::nullopt;
  ConnOptions conn = {};  // of its connections, from the SYN-ACK on
  // TCP_DEFER_ACCEPT: a connection is handed out once text came, or after so many seconds' worth
  // of SYN-ACKs; zero: at once. Those that SYN cookies made are handed out at once.
  Duration defer_accept{};
};

struct ListenerStats {
  Endpoint local;
  std::uint32_t backlog = 0;           // the accept queue's limit
  std::uint32_t waiting = 0;           // in the accept queue
  std::uint32_t half_open = 0;         // in the SYN queue, of this listener
  std::uint64_t accepted = 0;          // handed to the program
  std::uint64_t accept_overflows = 0;  // SYNs and last ACKs that found the accept queue full
  std::uint64_t syn_overflows = 0;     // SYNs that found the SYN queue full
  std::uint32_t close_wait = 0;        // its connections that only the peer has closed
};

class Stack {
 public:
  // Throws std::bad_alloc when the tables cannot be reserved. `config` is copied.
  Stack(const Config& config, const Secrets& secrets, BufSource source, Instant now);
  ~Stack();
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  // -- One iteration, in this order ---------------------------------------------------------
  // Takes over `frames`, each a Buf chain that begins with an Ethernet header. At most 64.
  void receive(std::span<Buf* const> frames, Instant now);
  void advance(Instant now);      // timers due
  bool next_ready(Ready& out);    // false when nothing more is ready
  void poll_output(Instant now);  // segments that the above made due
  [[nodiscard]] std::span<const tcp::TxPacket> tx_packets() const;
  [[nodiscard]] BufChain take_tx_frames();  // whole frames (ARP, ICMP): the driver's to free
  [[nodiscard]] BufChain take_released();   // to free, once tx_packets are transmitted
  void clear_tx();
  // Frames of flows that another shard owns, taken out of `receive`.
  [[nodiscard]] std::span<const tcp::HandOver> hand_over() const;
  void clear_hand_over();
  // Where stacks of other processes have the same addresses on the same link: what is for a
  // connection that is not one here is handed over, to kSibling, and not answered, unless it came
  // by hand-over itself (Buf::kHandedOver).
  void share_addresses(bool on);
  // True when poll_output stopped for want of room: call the iteration again at once.
  [[nodiscard]] bool has_pending_output() const;
  [[nodiscard]] Instant next_deadline() const;  // nothing happens before it without a frame

  // False while addresses wait to be found free (Config::dad_transmits, arp_probes): until then
  // they are neither source nor destination.
  [[nodiscard]] bool addresses_settled() const;
  [[nodiscard]] std::span<const AddressConflict> address_conflicts() const;  // one an address

  // -- Calls of the user (RFC 9293 §3.10.1-6) -----------------------------------------------
  Result<ListenerId, Error> listen(const Endpoint& local, const ListenOptions& options = {});
  void stop_listening(ListenerId id);             // half-open and unaccepted connections are reset
  void pause_accept(ListenerId id, bool paused);  // kAccepted is withheld; the backlog fills
  // The connection that has waited longest for its accept, of a listener that is paused; nothing
  // when none waits. One that ended meanwhile is handed out too, and its kClosed follows.
  std::optional<ConnId> accept_one(ListenerId id);
  void set_backlog(ListenerId id, std::uint32_t backlog);  // as ListenOptions::backlog
  [[nodiscard]] std::optional<ListenerStats> listener_stats(ListenerId id) const;
  // ListenOptions::conn and ::defer_accept of those that come from here on. While half-open ones
  // wait for their last ACK the window scale stays as these were told.
  void configure(ListenerId id, const ConnOptions& conn);
  void set_defer_accept(ListenerId id, Duration wait);
  // The first listeners with an id of `from` or more; how many were written.
  std::size_t listeners(ListenerId from, std::span<ListenerId> out) const;
  // From the address `local`, else the route's; from `local_port`, else one by RFC 6056. An address
  // of this stack itself is reached without the port.
  Result<ConnId, Error> connect(const Endpoint& remote, std::optional<IpAddr> local, Instant now,
                                std::uint16_t local_port = 0, const ConnOptions* own = nullptr);

  [[nodiscard]] bool is_local(const IpAddr& addr) const;  // an address of this host, in use
  [[nodiscard]] std::optional<IpAddr> default_source(bool v4) const;

  // Every call below takes a stale ConnId quietly: it does nothing and returns 0 or nothing.
  [[nodiscard]] bool alive(ConnId id) const;
  std::size_t send_copy(ConnId id, std::span<const std::byte> octets);      // octets taken
  std::size_t send_borrowed(ConnId id, std::span<const std::byte> octets);  // octets taken
  void send_buffers(ConnId id, BufChain&& chain);  // takes all; may overshoot send_room once
  [[nodiscard]] std::size_t send_room(ConnId id) const;
  [[nodiscard]] std::size_t unacked(ConnId id) const;  // octets sent or queued, not yet ACKed
  [[nodiscard]] std::size_t readable(ConnId id) const;
  [[nodiscard]] BufChain receive_buffers(ConnId id, std::size_t max);  // on loan
  // The first octets, as many as there are and `into` holds, copied; the rest stays. Octets.
  std::size_t receive_copy(ConnId id, std::span<std::byte> into);
  // The same from `offset` octets on, and all of it stays to be received (MSG_PEEK).
  [[nodiscard]] std::size_t peek(ConnId id, std::size_t offset, std::span<std::byte> into) const;
  void release(BufChain&& loan);
  void shutdown_send(ConnId id);  // FIN after what is queued
  // No more calls, no more events: FIN after what is queued, or RST if text is left unread
  // (SHLD-3).
  void close(ConnId id);
  void abort(ConnId id);  // RST. No more events
  void set_user(ConnId id, std::uint64_t user);
  [[nodiscard]] std::uint64_t user_of(ConnId id) const;
  void set_timer(ConnId id, Instant when);  // one a connection; kNever takes it back
  void set_nodelay(ConnId id, bool on);
  // At most so many octets of text a second, as SO_MAX_PACING_RATE; 0: no limit.
  void set_pacing_rate(ConnId id, std::uint32_t octets_per_second);
  // Settings of this connection alone; may be called as soon as there is a ConnId, and before the
  // first poll_output after connect they reach the SYN. 0: as the stack's Config says. False, and
  // nothing changed, when the ConnId is stale or no record for them is left. See tcp/tcb.h.
  bool configure(ConnId id, const ConnOptions& options);  // all at once
  bool set_keepalive(ConnId id, const tcp::Keepalive& k);
  bool set_user_timeout(ConnId id, Duration timeout);
  bool set_retries(ConnId id, std::uint8_t retries);      // R2
  bool set_syn_retries(ConnId id, std::uint8_t retries);  // as TCP_SYNCNT
  // Zero: close sends a RST; a time: what is unacknowledged then is given up with one.
  bool set_linger(ConnId id, std::optional<Duration> linger);
  bool set_fin_timeout(ConnId id, Duration timeout);  // as TCP_LINGER2; below zero: none
  // Octets of text: a fixed receive buffer, a send buffer, the largest window to offer, what may
  // wait to be sent for the first time (SO_RCVBUF and SO_SNDBUF without Linux's doubling,
  // TCP_WINDOW_CLAMP, TCP_NOTSENT_LOWAT).
  bool set_receive_buffer(ConnId id, std::uint32_t octets);
  bool set_send_buffer(ConnId id, std::uint32_t octets);
  bool set_window_clamp(ConnId id, std::uint32_t octets);
  bool set_notsent_lowat(ConnId id, std::uint32_t octets);
  bool set_mss(ConnId id, std::uint16_t mss);  // as TCP_MAXSEG: of use before the SYN
  void set_congestion_control(ConnId id, tcp::CongestionControl algorithm);
  // On: the ACK that waits goes, and while quick ACKs are left the next go at once, until text goes
  // the other way; off: they are delayed (TCP_QUICKACK).
  void set_quickack(ConnId id, bool on);
  void set_ttl(ConnId id, std::uint8_t ttl);  // TTL or hop limit; 0: as the Config says
  [[nodiscard]] tcp::OwnSettings settings_of(ConnId id) const;
  // Holds text below a full segment for more of it, until a time-out after the last ACK at most;
  // `on` = false sends what is held, and so does set_nodelay (Linux's TCP_CORK).
  void set_cork(ConnId id, bool on);
  // The same for the text queued last, until more is queued or an ACK comes (Linux's MSG_MORE).
  void set_more(ConnId id, bool more);
  // What was queued last ends a record: no segment goes on behind it (Linux's MSG_EOR).
  void end_record(ConnId id);
  // DSCP in the upper 6 bits, as in IPv4's TOS; the lower 2 are ECN's and ignored. For what is sent
  // from here on; at first `tos` of the configuration.
  void set_tos(ConnId id, std::uint8_t tos);
  [[nodiscard]] std::uint8_t tos_in(ConnId id) const;  // DSCP and ECN that came last (MAY-9)
  // Urgent text, for protocols that have always had it: new ones do without (RFC 6093 §5, SHLD-13).
  // As send_copy; the receiver is told that text up to its end is urgent. It stays in line.
  std::size_t send_urgent(ConnId id, std::span<const std::byte> octets);
  // How much of readable() is urgent, and whether more is on its way.
  [[nodiscard]] tcp::Urgent urgent(ConnId id) const;
  void want_writable(ConnId id);  // asks for kWritable when there is room again
  void want_room(ConnId id);      // the same when a third of the buffer is free, whatever is now
  [[nodiscard]] FlowKey flow_of(ConnId id) const;
  // What a time-out would be put down to now: an ICMP error, a next hop that does not answer, or
  // retries1 retransmissions in vain (kTimedOut). kNone once something gets through (MUST-47).
  [[nodiscard]] tcp::CloseReason soft_error(ConnId id) const;
  // What a segment sent now would have as its TSval (RFC 7323 §3.2); 0: no such connection.
  [[nodiscard]] std::uint32_t timestamp(ConnId id, Instant now) const;
  [[nodiscard]] tcp::State state_of(ConnId id) const;
  [[nodiscard]] std::optional<tcp::Info> info(ConnId id) const;  // TCP_INFO; none: stale
  // The next connections, half-open ones and those in TIME-WAIT included, from where `from` stands;
  // moves it. How many were written: perhaps none, until at_end(from). Looks at a bounded number of
  // records.
  std::size_t each_connection(SnapshotCursor& from, std::span<ConnSnapshot> out) const;
  [[nodiscard]] static bool at_end(const SnapshotCursor& cursor);

  // -- UDP (see stack/udp.h). A stale UdpId is taken quietly here too ------------------------
  // `local` of one of this stack's addresses or a wildcard; port 0: one that is free.
  Result<UdpId, Error> udp_bind(const Endpoint& local, const UdpOptions& options = {});
  // From here on this remote alone is heard, and sent to where `to` is left out. A wildcard becomes
  // the route's source. Nothing when it is done.
  std::optional<Error> udp_connect(UdpId id, const Endpoint& remote);
  void udp_disconnect(UdpId id);  // back to what it was bound to
  void udp_close(UdpId id);       // with what waits in it
  // One datagram, whole or not at all; its octets are copied.
  UdpError udp_send(UdpId id, std::span<const std::byte> octets, const UdpSend& how = {});
  UdpError udp_send_pieces(UdpId id, std::span<const std::span<const std::byte>> octets,
                           const UdpSend& how = {});
  std::optional<Datagram> udp_receive(UdpId id);
  [[nodiscard]] std::optional<DatagramView> udp_peek(UdpId id) const;  // valid until received
  [[nodiscard]] UdpError udp_error(UdpId id) const;                    // what ICMP told last
  UdpError udp_take_error(UdpId id);                                   // the same, and forgets it
  bool next_udp_ready(UdpReady& out);  // as next_ready: false when there is nothing more
  [[nodiscard]] bool udp_alive(UdpId id) const;
  void set_udp_user(UdpId id, std::uint64_t user);
  [[nodiscard]] std::uint64_t udp_user_of(UdpId id) const;
  void set_udp_rcvbuf(UdpId id, std::uint32_t octets);
  void set_udp_tos(UdpId id, std::uint8_t tos);  // DSCP and ECN
  void set_udp_ttl(UdpId id, std::uint8_t ttl);  // 0: as the Config says
  void set_udp_errors(UdpId id, UdpErrors errors);
  void set_udp_broadcast(UdpId id, bool allowed);  // as UdpOptions::broadcast
  [[nodiscard]] std::optional<UdpStats> udp_stats(UdpId id) const;
  [[nodiscard]] std::uint32_t udp_sockets() const;
  // The next sockets from the record `from` on, which it moves; how many were written, 0 at the
  // end.
  std::size_t each_udp_socket(std::uint32_t& from, std::span<UdpStats> out) const;

  [[nodiscard]] const telemetry::Counters& counters() const;
  [[nodiscard]] telemetry::Counters& counters();
  [[nodiscard]] Gauges gauges() const;
  // The first out.size() connections in CLOSE-WAIT, the oldest first; how many were written.
  std::size_t oldest_close_waits(std::span<CloseWait> out) const;
  [[nodiscard]] static Footprint footprint();
  // From here on `receive` marks the ends of its stages; null: no more. Outlives the stack.
  void set_meter(telemetry::StageMeter* meter);
  [[nodiscard]] Instant now() const;  // of the iteration under way

  // What tcp/settings.h calls live becomes as `wanted` has it, for all connections that have no
  // setting of their own, but that each keeps the congestion control that it began with, and
  // whether its receive buffer grows; the rest stays. Pre: nothing in it is a tcp::misfit.
  void configure(const tcp::Config& wanted);
  [[nodiscard]] const tcp::Config& tcp_config() const;

  // SYN cookies are made with `fresh` from here on; those of the key before it stay good for their
  // time, at most kCookieLife. All cores of a port must change at once.
  void rotate_cookie_key(const SipKey& fresh);

  // Gives back the buffers taken from the source and not used yet, and those of datagrams that are
  // not whole or not received, with the next take_released.
  void release_spare();

  // A RST for every connection `from`.., those that their programs have closed included, as `abort`
  // sends it; as many as there is room for, to be taken out before the next call. Moves `from` on;
  // false when these are the last. Handshakes under way are forgotten with their listeners.
  [[nodiscard]] bool abort_all(std::uint32_t& from);
  // Before the end: every buffer that the stack holds comes with the next take_released. Only its
  // destruction may follow.
  void release_all();

  // For a process that is about to die of a fault: the packets that reset connections `from`.. into
  // tx_packets, instead of what was there. Moves `from` on; false when these are the last. Changes
  // nothing else, as nothing else may be as it should.
  [[nodiscard]] bool poll_last_resets(std::uint32_t& from);

  // Asserts what must hold between two iterations (house rule 11). Walks everything: for tests.
  void check_invariants() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::stack

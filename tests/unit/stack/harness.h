// One Stack between a test's hands: frames go in as octets, and what comes out is read back from
// the octets a driver would have put on the wire. Time is virtual; every block must come back.
//
// A World owns the stack, its pool and its clock. A Peer is one remote end: it keeps its own
// sequence numbers, makes frames, and takes what the stack sent to it.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "sim/block_pool.h"
#include "stack/stack.h"
#include "wire/frame.h"

namespace weir::stack::test {

using namespace std::chrono_literals;
using enum wire::TcpFlags;
using Octets = std::vector<std::byte>;

inline constexpr IpAddr kHost = IpAddr::v4(10, 0, 0, 1);
inline constexpr IpAddr kGateway = IpAddr::v4(10, 0, 0, 254);
inline constexpr IpAddr kPeer = IpAddr::v4(10, 0, 0, 2);
inline constexpr MacAddr kHostMac{{2, 0, 0, 0, 0, 1}};
inline constexpr Instant kStart{1'000s};

// 2001:db8::/64 with the same hosts, and fe80::/64 with the addresses that their MACs give.
[[nodiscard]] constexpr IpAddr global6(unsigned host) {
  return IpAddr::v6({0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                     static_cast<std::uint8_t>(host >> 8U), static_cast<std::uint8_t>(host)});
}
[[nodiscard]] constexpr IpAddr link_local6(unsigned host) {
  return IpAddr::v6({0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0,
                     static_cast<std::uint8_t>(host >> 8U), static_cast<std::uint8_t>(host)});
}
inline constexpr IpAddr kHost6 = global6(1), kHostLocal6 = link_local6(1);
inline constexpr IpAddr kGateway6 = link_local6(254);
inline constexpr IpAddr kPeer6 = global6(2);

[[nodiscard]] MacAddr mac_of(const IpAddr& addr);  // of any host but ours
[[nodiscard]] Config small_config();               // 10.0.0.1/24 and a gateway; small tables
[[nodiscard]] Config config6();                    // the same with 2001:db8::1/64, no DAD
[[nodiscard]] Octets octets_of(std::string_view text);
[[nodiscard]] std::string text_of(std::span<const std::byte> octets);
[[nodiscard]] std::string pattern(std::size_t n, unsigned seed = 1);  // text that repeats nowhere
[[nodiscard]] wire::Frame parse(const Octets& frame);

// -- Frames ----------------------------------------------------------------------------------
// From `src` to `dst` with the MAC addresses these have here; lengths and checksums right.
[[nodiscard]] Octets ipv4_frame(const IpAddr& src, const IpAddr& dst, std::uint8_t protocol,
                                const Octets& l4);
[[nodiscard]] Octets udp_frame(const IpAddr& src, const IpAddr& dst, std::string_view text);
// The same or IPv6, from any port to any port, with its checksum.
[[nodiscard]] Octets udp_frame(const Endpoint& from, const Endpoint& to, std::string_view text);
[[nodiscard]] Octets icmp_frame(const IpAddr& src, const IpAddr& dst, std::uint8_t type,
                                std::uint8_t code, std::uint32_t rest, const Octets& body);
[[nodiscard]] Octets arp_frame(std::uint16_t op, const IpAddr& sender, const MacAddr& sender_mac,
                               const IpAddr& target, const MacAddr& dst_mac);
// A neighbour solicitation or advertisement; the frame's source is `nd.lladdr`.
[[nodiscard]] Octets nd_frame(const wire::NdPacket& nd, const IpAddr& src, const IpAddr& dst,
                              const MacAddr& dst_mac);
// Who has `target`? `asker` has the MAC address mac_of(asker).
[[nodiscard]] Octets solicitation(const IpAddr& asker, const IpAddr& target);
[[nodiscard]] Octets advertisement(const IpAddr& target, const MacAddr& mac, const IpAddr& dst,
                                   bool solicited = true, bool override_flag = true);
// An IPv6 packet to the MAC address of `dst`, or of its group.
[[nodiscard]] Octets ipv6_frame(const IpAddr& src, const IpAddr& dst, std::uint8_t next_header,
                                const Octets& behind);
[[nodiscard]] Octets icmp6_frame(const IpAddr& src, const IpAddr& dst, std::uint8_t type,
                                 std::uint8_t code, std::uint32_t rest, const Octets& body);
void mend_ipv4(Octets& frame);  // its header checksum
inline void put8(Octets& f, std::size_t at, unsigned v) {
  f.at(at) = static_cast<std::byte>(v);
}

// -- The world -------------------------------------------------------------------------------
struct Sent {
  Instant at;
  wire::Frame frame;
  Octets octets;
  std::string text;  // of a TCP segment or a UDP datagram

  [[nodiscard]] const wire::TcpHeader& tcp() const { return frame.tcp; }
};

class World {
 public:
  explicit World(const Config& config = small_config(), sim::BlockPool* shared = nullptr);
  ~World();  // ends every connection and lets time pass: nothing may be left
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // One iteration as a worker makes it, and more while output is pending.
  void iterate(const std::vector<Octets>& frames = {});
  void iterate_bufs(std::span<Buf* const> frames);
  void feed(const Octets& frame) { iterate({frame}); }
  // Lets time pass up to `since_start` or by `by`, stopping at each of the stack's deadlines.
  void run_to(Duration since_start);
  void run_for(Duration by) { run_to(now - kStart + by); }

  // An ARP request of that host: its address is known from here on.
  void meet(const IpAddr& host);

  // -- The user
  ListenerId listen(std::uint16_t port = 80, std::uint32_t backlog = 4096);
  ConnId connect(const Endpoint& to);                      // must succeed
  void end_later(ConnId conn) { known_.push_back(conn); }  // one that connect() here did not make
  [[nodiscard]] std::optional<Ready> next_event();
  // The next event must be of `conn` and exactly these.
  Ready expect_event(ConnId conn, unsigned events, const char* file = __builtin_FILE(),
                     int line = __builtin_LINE());
  void expect_no_event(const char* file = __builtin_FILE(), int line = __builtin_LINE());
  std::size_t send(ConnId conn, std::string_view text);  // and one iteration
  std::string read(ConnId conn, std::size_t max = 1U << 30U);

  // Nothing of TCP, UDP or ICMP was sent that nobody took.
  void expect_quiet(const char* file = __builtin_FILE(), int line = __builtin_LINE());
  [[nodiscard]] std::uint64_t count(telemetry::Counter telemetry::Counters::*which) const {
    return (stack->counters().*which).get();
  }

  sim::BlockPool own_pool;
  sim::BlockPool& pool;
  std::unique_ptr<Stack> stack;
  Instant now = kStart;
  std::deque<Sent> tcp, udp, icmp, arp, nd;    // what was sent and not taken yet
  std::deque<Ready> events;                    // not taken yet
  std::deque<UdpReady> udp_events;             // not taken yet
  std::vector<tcp::HandOver> handed;           // for other shards: the test's to pass on
  std::function<void(const Ready&)> on_ready;  // called instead of queueing, when set
  std::set<IpAddr> silent;                     // hosts that answer no ARP request nor solicitation
  bool check = true;                           // invariants after every iteration
  bool close_at_end = true;                    // what ended is closed, as socket/dispatch.h does
  unsigned frames_per_receive = 64;

 private:
  void step(std::span<Buf* const> frames);
  void collect();
  void answer_arp_or_nd(const Sent& sent);
  void take_events();
  void answer_arp();
  void finish();

  std::vector<Octets> arp_answers_;
  std::vector<ConnId> known_;
  std::vector<ListenerId> listeners_;
};

// -- A remote end ----------------------------------------------------------------------------
class Peer {
 public:
  struct Where {
    IpAddr addr = kPeer;
    std::uint16_t port = 40'000;
    std::uint16_t local_port = 80;  // of the stack
    IpAddr local = kHost;
  };
  Peer(World& world, const Where& where) : w(world), at(where) {}
  explicit Peer(World& world) : Peer(world, Where{}) {}

  // A frame of this peer, not sent and not counted.
  [[nodiscard]] Octets make(unsigned flags, Seq seq, Seq ack, std::string_view text = {}) const;
  [[nodiscard]] Octets make(unsigned flags, std::string_view text = {}) const {
    return make(flags, snd_nxt, rcv_nxt, text);
  }
  // Counts what it takes of the sequence space.
  Octets next(unsigned flags, std::string_view text = {});
  void send(unsigned flags, std::string_view text = {}) { w.feed(next(flags, text)); }

  // The next segment to this peer, PSH aside exactly with these flags. Moves rcv_nxt.
  Sent expect(unsigned flags, const char* file = __builtin_FILE(), int line = __builtin_LINE());
  std::optional<Sent> take();  // the next one, if any
  std::string take_text();     // all there is, in order; not acknowledged
  void expect_quiet(const char* file = __builtin_FILE(), int line = __builtin_LINE());

  void syn();           // SYN, and the SYN-ACK taken
  ConnId open();        // the whole handshake with a listener, accepted
  void answer(ConnId);  // of a connect: SYN taken, SYN-ACK, ACK taken, kConnected taken
  // The stack closes first: afterwards it is in TIME-WAIT.
  void close_after_stack(ConnId conn);

  [[nodiscard]] FlowKey flow() const { return {at.local, at.addr, at.local_port, at.port}; }

  World& w;
  Where at;
  Seq snd_nxt{5'000}, rcv_nxt;
  std::uint16_t wnd = 65'535;
  wire::TcpOptions syn_options{};
  std::uint8_t tos = 0;
  std::uint16_t urgent = 0;
  bool stamped = false;  // timestamps on every segment
  std::uint32_t ts_val = 1'000, ts_ecr = 0;
};

}  // namespace weir::stack::test

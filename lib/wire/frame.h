// An Ethernet frame, parsed once into validated fields, and the writers for what Weir sends.
//
// Raw octets stop here. Nothing is read beyond the frame, nor beyond the length that IP states.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/addr.h"
#include "wire/tcp.h"

namespace weir::wire {

inline constexpr std::size_t kEthHeader = 14;
inline constexpr std::size_t kIpv4MinHeader = 20;
inline constexpr std::size_t kIpv6Header = 40;
inline constexpr std::size_t kMinFrame = 60;  // without FCS
inline constexpr std::size_t kMaxTcpFrameHeader = kEthHeader + kIpv6Header + kTcpMaxHeader;

enum class Kind : std::uint8_t {
  kMalformed,  // see Frame::fault
  kArp,
  kTcp,  // IPv4 or IPv6
  kUdp,  // IPv4 or IPv6
  kIcmp4,
  kIcmp6,
  kNd,        // a neighbour solicitation or advertisement that passed RFC 4861 §7.1
  kFragment,  // a part of an IP datagram: its upper layer is not looked at
  kOtherIp,   // a protocol Weir does not speak
  kOther,     // another EtherType
};

// Why a frame is not taken. Each has a counter of the same name.
enum class Fault : std::uint8_t {
  kNone,
  kShortFrame,      // no room for the headers it claims
  kIpVersion,       // version is not what the EtherType says, or IPv6 with IPv4-mapped addresses
  kIpHeaderLength,  // IHL below 5 or beyond the packet, or an option's length is illegal
  kIpTotalLength,   // total length below the header or beyond the frame
  kIpChecksum,
  kFragmentLength,  // a part without octets, beyond 65,535, or of no multiple of 8 with more behind
  kFragmentChain,   // a first IPv6 fragment without the whole header chain (RFC 7112)
  kIpSourceRoute,   // LSRR or SSRR (RFC 7126), or an IPv6 route with segments left (RFC 5095)
  kIpExtension,     // an IPv6 extension header chain that is malformed, too long, or asks for more
  kTcpHeader,       // data offset below 5 or beyond the segment
  kTcpChecksum,
  kUdpLength,      // no room for its header, or Length below 8 or beyond what IP carries
  kUdpChecksum,    // wrong, or none in IPv6
  kArpMalformed,   // not Ethernet and IPv4, no such operation, or a sender no host can have
  kIcmpMalformed,  // below 8 octets, or an error that does not quote 8 octets of the culprit
  kIcmpChecksum,
  kNdMalformed,  // a solicitation or advertisement that RFC 4861 §7.1 or RFC 6980 §5 forbids
};

struct UdpPorts {  // RFC 768
  std::uint16_t src_port = 0, dst_port = 0;
};

struct ArpPacket {       // RFC 826, Ethernet and IPv4 only
  std::uint16_t op = 0;  // 1 request, 2 reply
  MacAddr sender_mac, target_mac;
  IpAddr sender_ip, target_ip;
};

struct IcmpPacket {  // RFC 792, RFC 4443
  std::uint8_t type = 0, code = 0;
  std::uint32_t rest = 0;  // octets 4..7, host order: id and sequence, or the next-hop MTU
  // For errors: the packet that caused it, as this host sent it (local = its source).
  bool has_inner = false;
  std::uint8_t inner_protocol = 0;
  std::uint32_t inner_len = 0;  // octets of that packet, by its IP header
  FlowKey inner;                // ports set when inner_protocol is TCP or UDP
  Seq inner_seq;                // TCP
};

struct NdPacket {                                                 // RFC 4861 §4.3, §4.4
  bool advertisement = false;                                     // else a solicitation
  bool router = false, solicited = false, override_flag = false;  // of an advertisement
  bool has_lladdr = false;  // the source's (solicitation), the target's (advertisement)
  MacAddr lladdr;
  IpAddr target;
};

struct FragmentFields {      // RFC 791 §3.1, RFC 8200 §4.5
  std::uint32_t id = 0;      // 16 bits of it in IPv4
  std::uint16_t offset = 0;  // in octets
  bool more = false;
  // IPv6: where in the frame the Fragment header lies, and the octet whose Next Header names it.
  std::uint16_t header = 0, named_at = 0;
};

// An ICMPv6 parameter problem that RFC 8200 wants told to the source of a malformed packet.
struct ParameterProblem {
  bool due = false;
  bool even_to_multicast = false;  // RFC 8200 §4.2: the option's type begins with 10
  std::uint8_t code = 0;
  std::uint32_t pointer = 0;  // from the IPv6 header
};

// Always set: kind, fault and problem. With every kind but kMalformed: the MAC addresses. With the
// kinds that IP carries, and while problem.due: src to l4_len. The rest as noted. What the kind
// does not name keeps what it held.
// What every TCP segment brings stands first, in two lines of the cache.
struct Frame {
  IpAddr src, dst;
  Kind kind = Kind::kMalformed;
  Fault fault = Fault::kNone;
  std::uint8_t tos = 0;  // DSCP and ECN
  std::uint8_t ttl = 0;
  std::uint8_t protocol = 0;
  bool had_fragment_header = false;  // IPv6: a part, an atomic fragment, or put together
  bool checksum_pending = false;     // kTcp, kUdp: not checked, as the frame is scattered
  std::uint16_t l3_offset = 0;       // of the IP header in the frame
  std::uint16_t l4_offset = 0;       // of what IP carries
  std::uint16_t payload_offset = 0;  // of the text (kTcp, kUdp)
  std::uint16_t next_header_at = 0;  // IPv6: of the field that named `protocol`, in the packet
  std::uint32_t payload_len = 0;     // octets of it by IP's (and UDP's) length: no padding
  std::uint32_t l4_len = 0;          // octets that IP carries
  ParameterProblem problem;
  MacAddr dst_mac, src_mac;
  TcpHeader tcp;            // kTcp
  FragmentFields fragment;  // kFragment
  UdpPorts udp;             // kUdp
  ArpPacket arp;            // kArp
  IcmpPacket icmp;          // kIcmp4, kIcmp6
  NdPacket nd;              // kNd
};

struct ParseOptions {
  bool ip_checksum_verified = false;  // the port did it
  bool l4_checksum_verified = false;
  bool put_together = false;  // of parts: RFC 6980 asks whether it was
};

// Parses `first`, the first contiguous part of a frame of `frame_len` octets in all (equal to
// first.size() unless the frame is scattered). All headers must lie in `first`, ICMP packets whole.
// A TCP or UDP checksum that covers octets beyond `first` is left to the caller: checksum_pending,
// l4_checksum_ok. ICMP is summed even when l4_checksum_verified. Pre: frame_len >= first.size().
void parse_frame(std::span<const std::byte> first, std::size_t frame_len, ParseOptions options,
                 Frame& out);

// A run of octets that follows others.
struct Piece {
  const std::byte* data;
  std::uint32_t len;
};

// Sums a scattered TCP segment (RFC 9293 MUST-3) or UDP datagram: `parsed` is what parse_frame made
// of `first`, `rest` are the pieces that follow it. Octets beyond IP's (UDP's) length are left out.
[[nodiscard]] bool l4_checksum_ok(std::span<const std::byte> first, const Frame& parsed,
                                  std::span<const Piece> rest);

// What a driver needs to know to put TCP headers before a payload.
struct TcpFrame {
  MacAddr src_mac, dst_mac;
  FlowKey flow;  // local is the source
  std::uint8_t tos = 0;
  std::uint8_t ttl = 64;
  std::uint16_t ip_id = 0;
  TcpHeader tcp;  // ports are taken from `flow`
  std::uint32_t payload_len = 0;
};

enum class TxChecksum : std::uint8_t {
  kSoftware,    // both checksums computed; `payload` is summed
  kOffload,     // IP checksum 0, TCP field holds the pseudo header's sum with length (DPDK's rule)
  kOffloadTso,  // as kOffload, pseudo header without length
  kIpSoftware,  // IP computed, TCP as kOffload
};

// Writes Ethernet, IP (DF set for IPv4) and TCP headers. Returns the octets written. `payload` are
// the pieces whose octets follow, payload_len in all, read only under kSoftware. Pre: both
// addresses of one family; out.size() >= kMaxTcpFrameHeader; what IP carries fits its 16-bit
// length.
std::size_t write_tcp_frame(std::span<std::byte> out, const TcpFrame& f, TxChecksum how,
                            std::span<const Piece> payload);
// The same where the text's sum is known: one's complement, folded, as it lies in memory.
std::size_t write_tcp_frame(std::span<std::byte> out, const TcpFrame& f, TxChecksum how,
                            std::uint16_t text);

// A whole ARP frame of kMinFrame octets, padded with zeros. Pre: out.size() >= kMinFrame.
std::size_t write_arp_frame(std::span<std::byte> out, const MacAddr& src_mac,
                            const MacAddr& dst_mac, const ArpPacket& arp);

// ff02::1, and an address's solicited-node group ff02::1:ffXX:XXXX (RFC 4291 §2.7.1).
inline constexpr IpAddr kAllNodes = IpAddr::v6({0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
[[nodiscard]] IpAddr solicited_node(const IpAddr& addr);
[[nodiscard]] bool is_solicited_node(const IpAddr& addr);
[[nodiscard]] MacAddr multicast_mac(const IpAddr& group);  // RFC 2464 §7

// A whole solicitation or advertisement with hop limit 255. Returns the frame's length. Pre:
// out.size() >= kMaxNdFrame, all addresses IPv6.
inline constexpr std::size_t kMaxNdFrame = kEthHeader + kIpv6Header + 32;
struct NdAddresses {
  const MacAddr& src_mac;
  const MacAddr& dst_mac;
  const IpAddr& src;
  const IpAddr& dst;
};
std::size_t write_nd_frame(std::span<std::byte> out, const NdAddresses& at, const NdPacket& nd);

inline constexpr std::uint8_t kIcmp4EchoReply = 0;
inline constexpr std::uint8_t kIcmp4Unreachable = 3;  // codes 2 protocol, 3 port, 4 too big with DF
inline constexpr std::uint8_t kIcmp4Echo = 8;
inline constexpr std::uint8_t kIcmp4TimeExceeded = 11;  // code 1: reassembly
inline constexpr std::uint8_t kIcmp6Unreachable = 1;    // code 4 port
inline constexpr std::uint8_t kIcmp6PacketTooBig = 2;
inline constexpr std::uint8_t kIcmp6TimeExceeded = 3;  // code 1: reassembly
// Codes: 0 erroneous field, 1 unknown next header, 2 unknown option (RFC 4443 §3.4), 3 a first
// fragment without the whole header chain (RFC 7112 §5).
inline constexpr std::uint8_t kIcmp6ParameterProblem = 4;
inline constexpr std::uint8_t kIcmp6Echo = 128;
inline constexpr std::uint8_t kIcmp6EchoReply = 129;

// Turns an ICMP or ICMPv6 echo request, in place, into its reply: addresses swapped, type changed,
// checksums mended, IPv4 options and IPv6 extension headers cut. Pre: `frame` parsed as
// kIcmp4/kIcmp6 with an echo request's type; `local_mac` and `local_ip` become the source: the
// latter is the request's destination unless that was a group. The octets behind IP's length are
// cut; returns the new length.
std::size_t make_echo_reply(std::span<std::byte> frame, const Frame& parsed,
                            const MacAddr& local_mac, const IpAddr& local_ip);
inline std::size_t make_echo_reply(std::span<std::byte> frame, const Frame& parsed,
                                   const MacAddr& local_mac) {
  return make_echo_reply(frame, parsed, local_mac, parsed.dst);
}

// Whether what the packet carries is itself an ICMP error, about which none is sent (RFC 1122
// §3.2.2, RFC 4443 §2.4e). `frame` as for write_icmp_error.
[[nodiscard]] bool carries_icmp_error(std::span<const std::byte> frame, const Frame& parsed);

// An ICMP or ICMPv6 error about `offender`, quoting its IP header and as much as fits (RFC 792: at
// least 8 octets; at most 576 octets in all for IPv4, 1280 for IPv6). `type`, `code` are given by
// the caller for the address family at hand, and so is the judgement whether to answer at all (RFC
// 1122 §3.2.2, RFC 4443 §2.4e). `rest` are octets 4 to 7: a pointer or an MTU. Returns the frame's
// length. Pre: `offender` parsed as one of the kinds that IP carries or with problem.due,
// `local_ip` of its family; out.size() >= kMaxIcmpErrorFrame.
inline constexpr std::size_t kMaxIcmpErrorFrame = 1280 + kEthHeader;
std::size_t write_icmp_error(std::span<std::byte> out, const MacAddr& local_mac,
                             const IpAddr& local_ip, std::uint8_t type, std::uint8_t code,
                             std::span<const std::byte> offender, const Frame& parsed,
                             std::uint32_t rest = 0);

}  // namespace weir::wire

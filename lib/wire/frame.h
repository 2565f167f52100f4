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
  kTcp,    // IPv4 or IPv6
  kUdp,    // header not parsed further: only to answer port unreachable
  kIcmp4,
  kIcmp6,
  kOtherIp,  // a protocol Weir does not speak
  kOther,    // another EtherType
};

// Why a frame is not taken. Each has a counter of the same name.
enum class Fault : std::uint8_t {
  kNone,
  kShortFrame,        // no room for the headers it claims
  kIpVersion,         // version is not what the EtherType says
  kIpHeaderLength,    // IHL below 5 or beyond the packet
  kIpTotalLength,     // total length below the header or beyond the frame
  kIpChecksum,
  kIpFragment,        // a fragment: reassembly is not done
  kIpSourceRoute,     // LSRR or SSRR (RFC 1122 §3.2.1.8, RFC 7126)
  kIpExtension,       // an IPv6 extension header chain that is malformed or too long
  kTcpHeader,         // data offset below 5 or beyond the segment
  kTcpChecksum,
  kArpMalformed,
  kIcmpMalformed,
  kIcmpChecksum,
};

struct ArpPacket {  // RFC 826, Ethernet and IPv4 only
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
  FlowKey inner;     // ports set when inner_protocol is TCP or UDP
  Seq inner_seq;     // TCP
};

struct Frame {
  Kind kind = Kind::kMalformed;
  Fault fault = Fault::kNone;
  MacAddr src_mac, dst_mac;
  IpAddr src, dst;
  std::uint8_t tos = 0;  // DSCP and ECN
  std::uint8_t ttl = 0;
  std::uint8_t protocol = 0;
  std::uint16_t l3_offset = 0;       // of the IP header in the frame
  std::uint16_t l4_offset = 0;       // of what IP carries
  std::uint16_t payload_offset = 0;  // of the TCP payload (kTcp only)
  std::uint32_t payload_len = 0;     // octets of it by IP's length: padding is excluded (kTcp only)
  std::uint32_t l4_len = 0;          // octets that IP carries
  TcpHeader tcp;    // kTcp
  ArpPacket arp;    // kArp
  IcmpPacket icmp;  // kIcmp4, kIcmp6
};

struct ParseOptions {
  bool ip_checksum_verified = false;  // the port did it
  bool l4_checksum_verified = false;
};

// Parses `first`, the first contiguous part of a frame of `frame_len` octets in all (equal to
// first.size() unless the frame is scattered; then l4_checksum_verified must be set, or the caller
// verifies by tcp_checksum_ok with the rest). All headers must lie in `first`. Fills `out` fully.
void parse_frame(std::span<const std::byte> first, std::size_t frame_len, ParseOptions options,
                 Frame& out);

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
  kSoftware,      // both checksums computed; `payload` is summed
  kOffload,       // IP checksum 0, TCP field holds the pseudo header's sum with length (DPDK's rule)
  kOffloadTso,    // as kOffload, pseudo header without length
  kIpSoftware,    // IP computed, TCP as kOffload
};

// Writes Ethernet, IP (DF set for IPv4) and TCP headers. Returns the octets written. `payload` are
// the pieces whose octets follow, read only under kSoftware. Pre: out.size() >= kMaxTcpFrameHeader.
struct Piece {
  const std::byte* data;
  std::uint32_t len;
};
std::size_t write_tcp_frame(std::span<std::byte> out, const TcpFrame& f, TxChecksum how,
                            std::span<const Piece> payload);

// A whole ARP frame of kMinFrame octets, padded with zeros. Pre: out.size() >= kMinFrame.
std::size_t write_arp_frame(std::span<std::byte> out, const MacAddr& src_mac,
                            const MacAddr& dst_mac, const ArpPacket& arp);

// Turns an ICMP or ICMPv6 echo request, in place, into its reply: addresses swapped, type changed,
// checksums mended. Pre: `frame` parsed as kIcmp4/kIcmp6 with an echo request's type; `local_mac`
// becomes the source. The octets behind IP's length are cut; returns the frame's new length.
std::size_t make_echo_reply(std::span<std::byte> frame, const Frame& parsed,
                            const MacAddr& local_mac);

// An ICMP or ICMPv6 error about `offender`, quoting its IP header and as much as fits (RFC 792: at
// least 8 octets; at most 576 for IPv4, 1280 for IPv6). `type`, `code` as for IPv4 destination
// unreachable are given by the caller for the address family at hand. Returns the frame's length.
// Pre: out.size() >= 1280 + kEthHeader.
std::size_t write_icmp_error(std::span<std::byte> out, const MacAddr& local_mac,
                             const IpAddr& local_ip, std::uint8_t type, std::uint8_t code,
                             std::span<const std::byte> offender, const Frame& parsed);

}  // namespace weir::wire

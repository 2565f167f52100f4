// SipHash (Aumasson and Bernstein, 2012): a keyed pseudorandom function of short inputs.
// SipHash-2-4 where the output faces the network (initial sequence numbers, RFC 6528), SipHash-1-3
// for hash tables, whose output never leaves the host.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/addr.h"

namespace weir {

using SipKey = std::array<std::uint64_t, 2>;

namespace detail {

static_assert(std::endian::native == std::endian::little, "words are read as SipHash orders them");

// SipHash-C-D of the paper's §2: C rounds for each word of the message, D to finish.
template <unsigned C, unsigned D>
class Sip {
 public:
  explicit Sip(const SipKey& key)
      : v0_(key[0] ^ 0x736f6d6570736575U),
        v1_(key[1] ^ 0x646f72616e646f6dU),
        v2_(key[0] ^ 0x6c7967656e657261U),
        v3_(key[1] ^ 0x7465646279746573U) {}

  void word(std::uint64_t m) {
    v3_ ^= m;
    rounds<C>();
    v0_ ^= m;
  }
  // `tail`: the last length % 8 octets, little-endian; the length goes into the top octet.
  std::uint64_t finish(std::uint64_t tail, std::size_t length) {
    word(tail | static_cast<std::uint64_t>(length) << 56U);
    v2_ ^= 0xffU;
    rounds<D>();
    return v0_ ^ v1_ ^ v2_ ^ v3_;
  }

 private:
  template <unsigned N>
  void rounds() {
    for (unsigned i = 0; i < N; ++i) {
      v0_ += v1_;
      v1_ = std::rotl(v1_, 13) ^ v0_;
      v0_ = std::rotl(v0_, 32);
      v2_ += v3_;
      v3_ = std::rotl(v3_, 16) ^ v2_;
      v0_ += v3_;
      v3_ = std::rotl(v3_, 21) ^ v0_;
      v2_ += v1_;
      v1_ = std::rotl(v1_, 17) ^ v2_;
      v2_ = std::rotl(v2_, 32);
    }
  }
  std::uint64_t v0_, v1_, v2_, v3_;
};

template <class T>
[[nodiscard]] inline T load_word(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

// SipHash of local address, remote address, local port, remote port, in network order: 12 octets
// for IPv4, 36 otherwise. The length is part of what is hashed, so the families never hash one
// string.
template <unsigned C, unsigned D>
[[nodiscard]] inline std::uint64_t hash_flow(const SipKey& key, const FlowKey& flow) {
  Sip<C, D> sip(key);
  const std::uint64_t ports = std::uint64_t{__builtin_bswap16(flow.remote_port)} << 16U |
                              std::uint64_t{__builtin_bswap16(flow.local_port)};
  const std::uint8_t* local = flow.local.octets().data();
  const std::uint8_t* remote = flow.remote.octets().data();
  if (flow.local.is_v4() && flow.remote.is_v4()) {
    sip.word(std::uint64_t{load_word<std::uint32_t>(remote + 12)} << 32U |
             load_word<std::uint32_t>(local + 12));
    return sip.finish(ports, 12);
  }
  sip.word(load_word<std::uint64_t>(local));
  sip.word(load_word<std::uint64_t>(local + 8));
  sip.word(load_word<std::uint64_t>(remote));
  sip.word(load_word<std::uint64_t>(remote + 8));
  return sip.finish(ports, 36);
}

}  // namespace detail

[[nodiscard]] std::uint64_t siphash24(const SipKey& key, std::span<const std::byte> in);
[[nodiscard]] std::uint64_t siphash13(const SipKey& key, std::span<const std::byte> in);

// Over the 36 octets of the 4-tuple; an IPv4 flow costs less, having fewer octets that vary.
[[nodiscard]] std::uint64_t siphash24(const SipKey& key, const FlowKey& flow);
[[nodiscard]] std::uint64_t siphash13(const SipKey& key, const FlowKey& flow);

// siphash13 where a call costs as much as the hash, several of them going on at once.
[[nodiscard]] inline std::uint64_t siphash13_inline(const SipKey& key, const FlowKey& flow) {
  return detail::hash_flow<1, 3>(key, flow);
}

}  // namespace weir

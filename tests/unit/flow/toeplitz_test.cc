// The Toeplitz hash against Microsoft's verification suite and a bit-by-bit twin.
#include "flow/toeplitz.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "base/rng.h"

namespace weir::flow {
namespace {

constexpr std::array<std::uint8_t, 40> kMicrosoftKey{
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

// Eight groups, as in the text of an IPv6 address.
constexpr IpAddr v6(std::array<std::uint16_t, 8> groups) {
  std::array<std::uint8_t, 16> octets{};
  for (std::size_t i = 0; i < 8; ++i) {
    octets[2 * i] = static_cast<std::uint8_t>(groups[i] >> 8U);
    octets[2 * i + 1] = static_cast<std::uint8_t>(groups[i] & 0xffU);
  }
  return IpAddr::v6(octets);
}

constexpr FlowKey received(IpAddr src, std::uint16_t src_port, IpAddr dst, std::uint16_t dst_port) {
  return {.local = dst, .remote = src, .local_port = dst_port, .remote_port = src_port};
}

// "Verifying the RSS Hash Calculation", the columns with TCP ports.
TEST(Toeplitz, MicrosoftVerificationSuite) {
  const RssHash hash(std::as_bytes(std::span(kMicrosoftKey)));
  const auto v4 = [](auto... octets) { return IpAddr::v4(static_cast<std::uint8_t>(octets)...); };
  EXPECT_EQ(hash(received(v4(66, 9, 149, 187), 2794, v4(161, 142, 100, 80), 1766)), 0x51ccc178U);
  EXPECT_EQ(hash(received(v4(199, 92, 111, 2), 14230, v4(65, 69, 140, 83), 4739)), 0xc626b0eaU);
  EXPECT_EQ(hash(received(v4(24, 19, 198, 95), 12898, v4(12, 22, 207, 184), 38024)), 0x5c2b394aU);
  EXPECT_EQ(hash(received(v4(38, 27, 205, 30), 48228, v4(209, 142, 163, 6), 2217)), 0xafc7327fU);
  EXPECT_EQ(hash(received(v4(153, 39, 163, 191), 44251, v4(202, 188, 127, 2), 1303)), 0x10e828a2U);
  EXPECT_EQ(hash(received(v6({0x3ffe, 0x2501, 0x200, 0x1fff, 0, 0, 0, 7}), 2794,
                          v6({0x3ffe, 0x2501, 0x200, 3, 0, 0, 0, 1}), 1766)),
            0x40207d3dU);
  EXPECT_EQ(hash(received(v6({0x3ffe, 0x501, 8, 0, 0x260, 0x97ff, 0xfe40, 0xefab}), 14230,
                          v6({0xff02, 0, 0, 0, 0, 0, 0, 1}), 4739)),
            0xdde51bbfU);
  EXPECT_EQ(hash(received(v6({0x3ffe, 0x1900, 0x4545, 3, 0x200, 0xf8ff, 0xfe21, 0x67cf}), 44251,
                          v6({0xfe80, 0, 0, 0, 0x200, 0xf8ff, 0xfe21, 0x67cf}), 38024)),
            0x02d1feefU);
}

// The definition: for each bit set in the input, the 32 bits of the key that begin there.
std::uint32_t naive(const std::vector<std::uint8_t>& key, const FlowKey& rx) {
  std::vector<std::uint8_t> in;
  const std::size_t skip = rx.remote.is_v4() ? 12 : 0;
  for (std::size_t i = skip; i < 16; ++i) in.push_back(rx.remote.octets()[i]);
  for (std::size_t i = skip; i < 16; ++i) in.push_back(rx.local.octets()[i]);
  for (const std::uint16_t port : {rx.remote_port, rx.local_port}) {
    in.push_back(static_cast<std::uint8_t>(port >> 8U));
    in.push_back(static_cast<std::uint8_t>(port & 0xffU));
  }
  const auto key_bit = [&](std::size_t at) -> std::uint32_t {
    return key[at / 8] >> (7 - at % 8) & 1U;
  };
  std::uint32_t hash = 0;
  for (std::size_t bit = 0; bit < in.size() * 8; ++bit) {
    if ((in[bit / 8] >> (7 - bit % 8) & 1U) == 0) continue;
    for (std::size_t i = 0; i < 32; ++i) hash ^= key_bit(bit + i) << (31 - i);
  }
  return hash;
}

TEST(Toeplitz, AgreesWithTheNaiveTwin) {
  Rng rng(11);
  for (const std::size_t length : {40U, 52U}) {
    std::vector<std::uint8_t> key(length);
    for (auto& octet : key) octet = static_cast<std::uint8_t>(rng.next());
    const RssHash hash(std::as_bytes(std::span(key)));
    for (unsigned i = 0; i < 2'000; ++i) {
      FlowKey flow = received(IpAddr::v4(rng.below(~0U)), static_cast<std::uint16_t>(rng.next()),
                              IpAddr::v4(rng.below(~0U)), static_cast<std::uint16_t>(rng.next()));
      if (i % 2 == 0) {
        std::array<std::uint8_t, 16> a{}, b{};
        for (auto& octet : a) octet = static_cast<std::uint8_t>(rng.next());
        for (auto& octet : b) octet = static_cast<std::uint8_t>(rng.next());
        flow.local = IpAddr::v6(a);
        flow.remote = IpAddr::v6(b);
      }
      ASSERT_EQ(hash(flow), naive(key, flow));
    }
  }
}

TEST(RssMap, QueueByTheRedirectionTable) {
  RssMap map{RssHash(std::as_bytes(std::span(kMicrosoftKey))), {}};
  const FlowKey flow =
      received(IpAddr::v4(66, 9, 149, 187), 2794, IpAddr::v4(161, 142, 100, 80), 1766);
  EXPECT_EQ(map.queue(flow), 0U);
  map.reta.resize(128);
  map.reta[0x51ccc178U % 128] = 3;
  EXPECT_EQ(map.queue(flow), 3U);
}

}  // namespace
}  // namespace weir::flow

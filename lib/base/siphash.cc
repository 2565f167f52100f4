#include "base/siphash.h"

namespace weir {
namespace {

template <unsigned C, unsigned D>
std::uint64_t hash_octets(const SipKey& key, std::span<const std::byte> in) {
  detail::Sip<C, D> sip(key);
  const std::size_t whole = in.size() & ~std::size_t{7};
  for (std::size_t i = 0; i < whole; i += 8)
    sip.word(detail::load_word<std::uint64_t>(in.data() + i));
  std::uint64_t tail = 0;
  for (std::size_t i = whole; i < in.size(); ++i) {
    tail |= static_cast<std::uint64_t>(in[i]) << (8 * (i - whole));
  }
  return sip.finish(tail, in.size());
}

}  // namespace

std::uint64_t siphash24(const SipKey& key, std::span<const std::byte> in) {
  return hash_octets<2, 4>(key, in);
}
std::uint64_t siphash13(const SipKey& key, std::span<const std::byte> in) {
  return hash_octets<1, 3>(key, in);
}
std::uint64_t siphash24(const SipKey& key, const FlowKey& flow) {
  return detail::hash_flow<2, 4>(key, flow);
}
std::uint64_t siphash13(const SipKey& key, const FlowKey& flow) {
  return detail::hash_flow<1, 3>(key, flow);
}

}  // namespace weir

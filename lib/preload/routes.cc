#include "preload/routes.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "preload/settings.h"

namespace weir::preload {
namespace {

using Octets = std::array<std::uint8_t, 16>;
constexpr Octets kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr unsigned kMappedBits = 96;

bool matches(const Octets& a, const Octets& b, unsigned bits) {
  for (unsigned i = 0; i < bits; ++i) {
    if (((a[i / 8] ^ b[i / 8]) & 0x80U >> i % 8) != 0) return false;
  }
  return true;
}

bool octets_of(const sockaddr_storage& address, Octets& out) {
  if (address.ss_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, &address, sizeof in);
    out = kMapped;
    std::memcpy(out.data() + 12, &in.sin_addr, 4);
    return true;
  }
  if (address.ss_family != AF_INET6) return false;
  sockaddr_in6 in;
  std::memcpy(&in, &address, sizeof in);
  std::memcpy(out.data(), &in.sin6_addr, 16);
  return true;
}

bool unspecified(const Octets& a) {
  Octets any{};
  if (a == any) return true;
  any = kMapped;
  return a == any;
}

bool loopback(const Octets& a) {
  Octets one{};
  one[15] = 1;
  return a == one || (matches(a, kMapped, kMappedBits) && a[12] == 127);
}

}  // namespace

Routes::Routes(std::string_view settings) {
  for_each_setting(settings, [this](std::string_view key, std::string_view value) {
    if (key == "address") add(value);
    if (key == "gateway") gateway4_ = true;
    if (key == "gateway6") gateway6_ = true;
  });
}

void Routes::add(std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN + 1> digits{};
  const std::size_t slash = text.find('/');
  if (slash >= digits.size() || count_ == prefixes_.size()) return;
  std::copy_n(text.data(), slash, digits.data());
  Prefix p{};
  std::from_chars(text.data() + slash + 1, text.data() + text.size(), p.bits);
  if (inet_pton(AF_INET, digits.data(), p.octets.data() + 12) == 1) {
    std::copy_n(kMapped.data(), 12, p.octets.data());
    p.bits += kMappedBits;
  } else if (inet_pton(AF_INET6, digits.data(), p.octets.data()) != 1) {
    return;
  }
  prefixes_[count_++] = p;
}

Where Routes::of_local(const sockaddr_storage& address) const {
  Octets a;
  if (!octets_of(address, a)) return Where::kKernel;
  if (unspecified(a)) return Where::kBoth;
  for (std::size_t i = 0; i < count_; ++i) {
    if (prefixes_[i].octets == a) return Where::kWeir;
  }
  return Where::kKernel;
}

Where Routes::of_peer(const sockaddr_storage& address) const {
  Octets a;
  if (!octets_of(address, a) || unspecified(a) || loopback(a)) return Where::kKernel;
  for (std::size_t i = 0; i < count_; ++i) {
    if (matches(prefixes_[i].octets, a, prefixes_[i].bits)) return Where::kWeir;
  }
  const bool v4 = matches(a, kMapped, kMappedBits);
  const bool link_local = a[0] == 0xfe && (a[1] & 0xc0U) == 0x80;
  if (link_local) return Where::kKernel;
  return (v4 ? gateway4_ : gateway6_) ? Where::kWeir : Where::kKernel;
}

}  // namespace weir::preload

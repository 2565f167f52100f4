// Which addresses are Weir's: where a program's socket goes.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace weir::preload {

enum class Where : std::uint8_t {
  kKernel,
  kWeir,
  kBoth,  // every address there is
};

class Routes {
 public:
  // Text of settings.h: address=, gateway=, gateway6=.
  explicit Routes(std::string_view settings);

  // Whose address a program binds.
  [[nodiscard]] Where of_local(const sockaddr_storage& address) const;
  // Who reaches it: Weir what is on a link of its own, and with a gateway all but loopback.
  [[nodiscard]] Where of_peer(const sockaddr_storage& address) const;

 private:
  struct Prefix {
    std::array<std::uint8_t, 16> octets;  // IPv4 as mapped (RFC 4291 §2.5.5.2)
    unsigned bits;
  };
  void add(std::string_view text);

  std::array<Prefix, 64> prefixes_{};
  std::size_t count_ = 0;
  bool gateway4_ = false, gateway6_ = false;
};

}  // namespace weir::preload

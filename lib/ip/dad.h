// Whether an address is free before it is used: duplicate address detection (RFC 4862 §5.4) for
// IPv6, probes and announcements (RFC 5227 §2.1, §2.3) for IPv4.
//
// Says what is to be asked and which addresses have passed; writes no frame, reads no clock or
// entropy. All addresses of a family go through it together. Who hears of a conflict tells it.
#pragma once

#include <cstdint>
#include <vector>

#include "base/addr.h"
#include "base/batch.h"
#include "base/rng.h"
#include "base/time.h"

namespace weir::ip {

struct DadConfig {
  std::uint8_t transmits = 1;   // DupAddrDetectTransmits; 0: IPv6 addresses are not tested
  Duration retrans_timer = 1s;  // between them, and after the last
  std::uint8_t arp_probes = 0;  // PROBE_NUM of RFC 5227 is 3; 0: IPv4 addresses are not tested
  std::uint64_t seed = 0;       // of the random delays
};

// What to put on the wire for `addr`: a question whether it is free, or (IPv4) that it is taken.
struct DadMessage {
  IpAddr addr;
  bool announcement = false;
};

struct DadWork {  // filled by advance, emptied by its caller
  Batch<DadMessage, 32> messages;
  Batch<IpAddr, 32> passed;  // these may be used from now on
};

class Dad {
 public:
  explicit Dad(const DadConfig& config);

  // False when addresses of its family are not tested: use it at once.
  [[nodiscard]] bool add(const IpAddr& addr);
  void start(Instant now);  // once, after the last add

  [[nodiscard]] bool is_tentative(const IpAddr& addr) const;
  // Somebody else has it, or wants it: it is not tested any further, and does not pass. False when
  // it was not tentative.
  bool fail(const IpAddr& addr);

  // Stops when `out` is full: next_deadline then says "at once".
  void advance(Instant now, DadWork& out);
  [[nodiscard]] Instant next_deadline() const;
  [[nodiscard]] bool settled() const;  // no address is tentative

 private:
  struct Round {  // of one family
    std::vector<IpAddr> addrs;
    bool tentative = true;
    unsigned questions = 0, announcements = 0;  // yet to be sent, of each address
    std::size_t at = 0;                         // the next address of the step under way
    Instant deadline = kNever;
  };

  [[nodiscard]] Round& round_of(const IpAddr& addr) { return addr.is_v4() ? v4_ : v6_; }
  void advance(Round& r, bool v4, Instant now, DadWork& out);
  [[nodiscard]] bool step(Round& r, DadWork& out);
  void schedule(Round& r, bool v4, Instant now);
  [[nodiscard]] Duration between(Duration low, Duration high);

  DadConfig config_;
  Rng rng_;
  Round v4_, v6_;
};

}  // namespace weir::ip

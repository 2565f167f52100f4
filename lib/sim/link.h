// A wire with faults, each drawn from a seed: the same seed gives the same losses.
//
// Carries whole frames by value. Reads of them what `corrupt`, `ce` and `mtu` need.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "base/rng.h"
#include "base/time.h"
#include "sim/event_loop.h"

namespace weir::sim {

using Octets = std::vector<std::byte>;       // a frame
using Sink = std::function<void(Octets&&)>;  // where frames go

// Of one direction. Probabilities in parts per million.
struct Faults {
  std::uint32_t loss = 0;
  std::uint32_t duplicate = 0;
  std::uint32_t reorder = 0;     // held back by up to reorder_delay while later frames overtake
  std::uint32_t reorder_by = 0;  // ... but by this many at most; 0: by any number
  std::uint32_t ce = 0;          // a frame that says ECT is marked CE (RFC 3168 §5)
  // A burst of flipped bits, short enough that the Internet checksum must find it (below 16 bits),
  // behind the Ethernet header. A frame that has no such checksum (ARP) is lost instead, as the FCS
  // of a real wire would see to it.
  std::uint32_t corrupt = 0;
  Duration delay = 10us;
  Duration jitter = 0us;  // added to the delay; does not reorder by itself
  Duration reorder_delay = 1ms;
  std::uint64_t rate = 0;            // bits a second; 0: no limit
  std::uint32_t queue = 256 * 1024;  // octets that wait for a limited rate; what exceeds it is lost
  // IP octets that the path takes, 0: any number. What is longer is lost; with `too_big` its sender
  // is told so (RFC 1191, RFC 8201), else the path is a black hole.
  std::uint16_t mtu = 0;
  bool too_big = true;
};

struct ChannelStats {
  std::uint64_t sent = 0, delivered = 0, lost = 0, duplicated = 0, reordered = 0, corrupted = 0,
                queue_full = 0, marked = 0, too_big = 0;
};

// One direction.
class Channel {
 public:
  // `sink` gets each frame at the instant it arrives. Both outlive the channel's last event.
  Channel(EventLoop& loop, Sink sink, const Faults& faults, std::uint64_t seed)
      : loop_(loop), sink_(std::move(sink)), faults_(faults), rng_(seed) {}
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  void send(Octets&& frame);
  // Where the routers of this direction send their errors; none: they keep silent.
  void set_back(Sink back) { back_ = std::move(back); }
  void set_faults(const Faults& faults) { faults_ = faults; }  // for frames sent from now on
  [[nodiscard]] const Faults& faults() const { return faults_; }
  [[nodiscard]] const ChannelStats& stats() const { return stats_; }

 private:
  void corrupt(Octets& frame);
  [[nodiscard]] bool fits(const Octets& frame);
  void hold(Instant when, Octets&& frame);
  void release(std::uint64_t id);
  void overtake();
  void arrive(Instant when, Octets&& frame);
  [[nodiscard]] Duration up_to(Duration bound);

  EventLoop& loop_;
  Sink sink_;
  Faults faults_;
  Rng rng_;
  Instant free_at_{};  // when the transmitter has sent what it was given
  Instant last_{};     // the latest arrival of a frame in order
  struct Held {
    Octets frame;
    std::uint32_t left = 0;  // frames that may still overtake it
  };
  Sink back_;
  std::map<std::uint64_t, Held> held_;
  std::uint64_t holds_ = 0;
  ChannelStats stats_;
};

// Both directions between an end A and an end B.
class Link {
 public:
  Link(EventLoop& loop, Sink to_a, Sink to_b, const Faults& a_to_b, const Faults& b_to_a,
       std::uint64_t seed)
      : a_to_b_(loop, std::move(to_b), a_to_b, seed * 2),
        b_to_a_(loop, std::move(to_a), b_to_a, seed * 2 + 1) {}

  [[nodiscard]] Channel& a_to_b() { return a_to_b_; }
  [[nodiscard]] Channel& b_to_a() { return b_to_a_; }

 private:
  Channel a_to_b_, b_to_a_;
};

}  // namespace weir::sim

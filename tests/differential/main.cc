// The same program on the kernel's sockets and on Weir: what differs, and whether it is known why.
//
//   differential                        500 programs, from seed 1 on
//   differential --first N --seeds N    these
//   differential --seed N               one, call by call, with both answers
//
// A program that differs is played again, since the kernel's clock does not stand still for it; one
// that differs each time fails the test and is printed with the line that replays it.
#include <sys/utsname.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "known.h"
#include "player.h"

namespace weir::differential {
namespace {

constexpr unsigned kWorkers = 24;  // the most of a player's time is waiting for ACKs
constexpr int kAttempts = 3;
constexpr unsigned kPortsFrom = 12'000, kPortsTo = 32'000;  // below where the kernel chooses

struct Setting {
  bool ipv6 = false;
  std::uint32_t mtu = 65'535;
  std::uint64_t first_place = 0;  // where others use this loopback, too: another in each run
};

struct Verdict {
  std::string difference;  // empty: none that is not known
  std::string log;         // call by call
  std::size_t calls = 0;
  std::map<std::string, unsigned> known;
};

std::string ready_text(const Outcome& o) {
  std::string out;
  for (std::size_t i = 0; i < kSlots; ++i) {
    if (!o.ready[i].empty()) out += " s" + std::to_string(i) + ":" + o.ready[i];
  }
  return out;
}

// The rule that applies; where both agree, only one after which they part.
const Known* explain(const Met& m) {
  for (const Known& k : known_differences()) {
    if ((m.differ || !k.goes_on) && k.is(m)) return &k;
  }
  return nullptr;
}

std::uint16_t first_port_of(std::uint64_t seed, unsigned attempt, const Setting& setting) {
  const std::uint64_t places = (kPortsTo - kPortsFrom) / kFixedPorts;
  const std::uint64_t place = (setting.first_place + seed * kAttempts + attempt) % places;
  return static_cast<std::uint16_t>(kPortsFrom + place * kFixedPorts);
}

Verdict play(std::uint64_t seed, unsigned attempt, const Setting& setting) {
  const std::vector<Call> program = program_of(seed, setting.ipv6);
  const auto kernel = kernel_sockets();
  const auto weir = weir_sockets(seed, setting.mtu);
  const std::uint16_t port = first_port_of(seed, attempt, setting);
  Player on_kernel(*kernel, port), on_weir(*weir, port);
  Verdict v;
  std::vector<Call> before;
  for (const Call& c : program) {
    const int kernel_state = on_kernel.state_of(c.slot), weir_state = on_weir.state_of(c.slot);
    const Outcome k = on_kernel.play(c), w = on_weir.play(c);
    ++v.calls;
    const bool answer = k.text() == w.text(), ready = k.ready == w.ready;
    char line[512];
    std::snprintf(line, sizeof line, "%3zu %-70s kernel %s", v.calls, text_of(c).c_str(),
                  k.text().c_str());
    v.log += line + (answer ? std::string() : "   weir " + w.text());
    v.log += "\n      " + ready_text(k) + (ready ? "" : "\n  weir" + ready_text(w)) + "\n";
    const Known* known = explain({c, k, w, kernel_state, weir_state, !answer || !ready, before});
    if (!answer || !ready || known != nullptr) {
      if (known == nullptr) {
        v.difference = "call " + std::to_string(v.calls) + ", " + text_of(c) + " in state " +
                       std::to_string(kernel_state) +
                       (kernel_state == weir_state ? "" : " / " + std::to_string(weir_state)) +
                       "\n   kernel " + k.text() + "  |" + ready_text(k) + "\n   weir   " +
                       w.text() + "  |" + ready_text(w) + "\n";
        return v;
      }
      ++v.known[known->name];
      v.log += "     known: " + std::string(known->name) + "\n";
      if (!known->goes_on) return v;
    }
    before.push_back(c);
  }
  return v;
}

struct Totals {
  std::mutex lock;
  std::size_t programs = 0, calls = 0, again = 0, failed = 0;
  std::map<std::string, unsigned> known;
};

void judge(std::uint64_t seed, const Setting& setting, Totals& t) {
  Verdict v;
  int attempt = 0;
  for (; attempt < kAttempts; ++attempt) {
    v = play(seed, static_cast<unsigned>(attempt), setting);
    if (v.difference.empty()) break;
  }
  const std::lock_guard<std::mutex> hold(t.lock);
  ++t.programs;
  t.calls += v.calls;
  t.again += attempt > 0 ? 1 : 0;
  for (const auto& [name, n] : v.known) t.known[name] += n;
  if (v.difference.empty()) return;
  ++t.failed;
  std::printf("FAILED seed %llu (replay: differential --seed %llu): %s",
              static_cast<unsigned long long>(seed), static_cast<unsigned long long>(seed),
              v.difference.c_str());
}

int run(std::uint64_t first, std::uint64_t count, const Setting& setting) {
  Totals totals;
  std::atomic<std::uint64_t> next{first};
  std::vector<std::thread> workers;
  for (unsigned i = 0; i < kWorkers; ++i) {
    workers.emplace_back([&] {
      for (std::uint64_t seed = next++; seed < first + count; seed = next++) {
        judge(seed, setting, totals);
      }
    });
  }
  for (std::thread& w : workers) w.join();
  std::printf("%zu programs, %zu calls: %zu differ without a known reason; %zu were played again\n",
              totals.programs, totals.calls, totals.failed, totals.again);
  for (const Known& k : known_differences()) {
    std::printf("  %6u x %s: %s\n", totals.known[k.name], k.name, k.reason);
  }
  return totals.failed == 0 && totals.programs > 0 ? 0 : 1;
}

int replay(std::uint64_t seed, const Setting& setting) {
  const Verdict v = play(seed, 0, setting);
  std::printf("%s%s\n", v.log.c_str(),
              v.difference.empty() ? "no difference" : v.difference.c_str());
  return v.difference.empty() ? 0 : 1;
}

int usage() {
  std::fprintf(stderr, "differential [--seed N | --first N --seeds N]: numbers, from 0 on\n");
  return 2;
}

}  // namespace

int main_of(int argc, char** argv) {
  std::uint64_t first = 1, count = 500, one = 0;
  bool single = false;
  for (int i = 1; i < argc; i += 2) {
    char* end = nullptr;
    const std::uint64_t n = i + 1 < argc ? std::strtoull(argv[i + 1], &end, 10) : 0;
    if (end == nullptr || *end != '\0' || end == argv[i + 1]) return usage();
    if (std::strcmp(argv[i], "--seed") == 0) {
      one = n;
      single = true;
    } else if (std::strcmp(argv[i], "--first") == 0) {
      first = n;
    } else if (std::strcmp(argv[i], "--seeds") == 0) {
      count = n;
    } else {
      return usage();
    }
  }
  count_sigpipe();
  const bool own = own_namespace();
  const auto process = static_cast<std::uint64_t>(getpid());
  const Setting setting{has_ipv6(), loopback_mtu(), own ? 0 : process * 2'003};
  utsname kernel{};
  uname(&kernel);
  std::printf("kernel %s, loopback %s, MTU %u%s\n", kernel.release,
              own ? "in a namespace of its own" : "of this machine", setting.mtu,
              setting.ipv6 ? "" : ", no IPv6");
  return single ? replay(one, setting) : run(first, count, setting);
}

}  // namespace weir::differential

int main(int argc, char** argv) {
  return weir::differential::main_of(argc, argv);
}

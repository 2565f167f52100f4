// DPDK's rte_hash beside Weir's connection table: the same keys, hashes and bursts, one run.
//
// rte_hash keeps a copy of each key, so its lookup ends with that copy confirmed; Weir's ends with
// the control block's. Here both end with the control block read, as its user does next anyway.
//
// And what is hashed into: DPDK's rte_jhash and rte_hash_crc beside SipHash, over the 12 or 36
// octets of a 4-tuple. Neither is keyed: who knows the function chooses the bucket, so that they
// are no alternative here, and this is what that costs.
#include <benchmark/benchmark.h>
#include <rte_eal.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_jhash.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "meter.h"
#include "table_setup.h"

namespace weir::bench {
namespace {

// Keys are hashed beforehand, as for Weir's table, and handed in.
std::uint32_t no_hash(const void*, std::uint32_t, std::uint32_t) {
  std::abort();
}

struct Setup {
  explicit Setup(std::uint32_t n) : work(n), weir(work) {
    rte_hash_parameters p{};
    p.name = "bench";
    p.entries = n;
    p.key_len = sizeof(FlowKey);
    p.hash_func = no_hash;
    hash = rte_hash_create(&p);
    if (hash == nullptr) std::abort();
    for (std::uint32_t i = 0; i < n; ++i) {
      const FlowKey key = flow_of(i);
      const auto sig = static_cast<hash_sig_t>(siphash13(kKey, key));
      const auto value = reinterpret_cast<void*>(std::uintptr_t{i});
      // Buckets of 8 fill unevenly: without its extendable buckets rte_hash may refuse a few keys.
      if (rte_hash_add_key_with_hash_data(hash, &key, sig, value) != 0) ++refused;
    }
  }
  ~Setup() { rte_hash_free(hash); }
  Setup(const Setup&) = delete;
  Setup& operator=(const Setup&) = delete;

  FlowWorkload work;
  TableSetup weir;
  rte_hash* hash;
  unsigned refused = 0;
};

Setup& setup(benchmark::State& state) {
  return kept_setup<Setup>(static_cast<std::uint32_t>(state.range(0)));
}

void weir_find_one_by_one(benchmark::State& state) {
  const Setup& s = setup(state);
  FlowWorkload& work = s.weir.work;
  const Meter meter(state, kBurst);
  for (auto _ : state) {
    const Lookup* burst = work.burst();
    for (unsigned i = 0; i < kBurst; ++i) benchmark::DoNotOptimize(s.weir.find(burst[i]));
  }
}

void weir_find_burst(benchmark::State& state) {
  const Setup& s = setup(state);
  FlowWorkload& work = s.weir.work;
  const Meter meter(state, kBurst);
  for (auto _ : state) {
    s.weir.find_burst(work.burst(), [](std::uint32_t h) { benchmark::DoNotOptimize(h); });
  }
}

void rte_find_one_by_one(benchmark::State& state) {
  Setup& s = setup(state);
  const Meter meter(state, kBurst);
  for (auto _ : state) {
    const Lookup* burst = s.work.burst();
    for (unsigned i = 0; i < kBurst; ++i) {
      const FlowKey key = flow_of(burst[i].index);
      void* data = nullptr;
      rte_hash_lookup_with_hash_data(s.hash, &key, static_cast<hash_sig_t>(burst[i].hash), &data);
      // The control block is read next, as Weir's lookup has done already.
      benchmark::DoNotOptimize(
          s.work.records[reinterpret_cast<std::uintptr_t>(data)].flow.local_port);
    }
  }
  state.counters["refused"] = s.refused;
}

void rte_find_burst(benchmark::State& state) {
  Setup& s = setup(state);
  std::array<FlowKey, kBurst> keys;
  std::array<const void*, kBurst> pointers;
  std::array<hash_sig_t, kBurst> sigs;
  std::array<void*, kBurst> data{};
  const Meter meter(state, kBurst);
  for (auto _ : state) {
    const Lookup* burst = s.work.burst();
    for (unsigned i = 0; i < kBurst; ++i) {
      keys[i] = flow_of(burst[i].index);
      pointers[i] = &keys[i];
      sigs[i] = static_cast<hash_sig_t>(burst[i].hash);
    }
    std::uint64_t hits = 0;
    rte_hash_lookup_with_hash_bulk_data(s.hash, pointers.data(), sigs.data(), kBurst, &hits,
                                        data.data());
    for (void* d : data) __builtin_prefetch(&s.work.records[reinterpret_cast<std::uintptr_t>(d)]);
    for (void* d : data) {
      benchmark::DoNotOptimize(s.work.records[reinterpret_cast<std::uintptr_t>(d)].flow.local_port);
    }
  }
  state.counters["refused"] = s.refused;
}

// The octets of a 4-tuple as they stand in a packet, of which one varies.
template <class Hash>
void hash_of_a_key(benchmark::State& state, const Hash& hash) {
  const bool v4 = state.range(0) == 4;
  FlowKey flow = flow_of(7);
  if (!v4) {
    flow.local = IpAddr::v6({0x20, 1, 0xd, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
    flow.remote = IpAddr::v6({0x20, 1, 0xd, 0xb8, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1});
  }
  std::array<std::uint32_t, 9> octets{};
  const std::uint32_t words = v4 ? 3 : 9;
  const Meter meter(state);
  for (auto _ : state) {
    ++flow.remote_port;
    octets[words - 1] = flow.remote_port;
    benchmark::DoNotOptimize(hash(flow, octets.data(), words));
  }
  state.SetLabel("each frame pays one");
}
void weir_sip13(benchmark::State& state) {
  hash_of_a_key(state, [](const FlowKey& flow, const std::uint32_t*, std::uint32_t) {
    return siphash13(kKey, flow);
  });
}
void rte_jhash(benchmark::State& state) {
  hash_of_a_key(state, [](const FlowKey&, const std::uint32_t* octets, std::uint32_t words) {
    return ::rte_jhash_32b(octets, words, 1);
  });
}
void rte_hash_crc(benchmark::State& state) {
  hash_of_a_key(state, [](const FlowKey&, const std::uint32_t* octets, std::uint32_t words) {
    return ::rte_hash_crc(octets, words * 4, 1);
  });
}

BENCHMARK(weir_sip13)->Arg(4)->Arg(6);
BENCHMARK(rte_jhash)->Arg(4)->Arg(6);
BENCHMARK(rte_hash_crc)->Arg(4)->Arg(6);
BENCHMARK(weir_find_one_by_one)->Arg(10'000);
BENCHMARK(rte_find_one_by_one)->Arg(10'000);
BENCHMARK(weir_find_burst)->Arg(10'000);
BENCHMARK(rte_find_burst)->Arg(10'000);
BENCHMARK(weir_find_one_by_one)->Arg(10'000'000);
BENCHMARK(rte_find_one_by_one)->Arg(10'000'000);
BENCHMARK(weir_find_burst)->Arg(10'000'000);
BENCHMARK(rte_find_burst)->Arg(10'000'000);

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  const char* eal[] = {argv[0],          "--no-huge",     "-m", "4096", "--no-pci", "--no-shconf",
                       "--no-telemetry", "--log-level=3", "-l", "0"};
  if (rte_eal_init(sizeof eal / sizeof *eal, const_cast<char**>(eal)) < 0) {
    std::fputs("no EAL\n", stderr);
    return 1;
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

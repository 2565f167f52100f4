// lib/match beside Hyperscan's own streaming scan of the same text with the same database's
// patterns and flags, for 50 and 5,000 patterns.
//
//   stream_*  1 MB of requests as they follow each other on a connection: Hyperscan in one piece,
//             Hyperscan in pieces of a segment, Weir's Stream over a chain of those pieces
//   parts_*   path, host and the headers that rules look at, part by part, each a text of its own:
//             Hyperscan with one stream that is reset after each, Weir's Scan. All rules tag, so
//             that none ends the work early.
//   route     Weir's Scan as a front end uses it: the first pool rule in order decides
//   compile   a rule set, without and with a cache that holds it
#include <benchmark/benchmark.h>
#include <hs/hs.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>

#include "base/buf.h"
#include "match_workload.h"
#include "meter.h"

namespace weir::bench {
namespace {

constexpr std::size_t kSegment = 1'448;

// The same rules for text in which nothing begins at the stream's first octet.
std::vector<match::Pattern> stream_patterns(std::uint32_t n) {
  std::vector<match::Pattern> out;
  for (const match::Rule& r : make_rules(n, match::Action::kTag)) {
    std::string e = r.pattern;
    if (e.starts_with('^')) e = (e[1] == '/' ? " " : "Host: ") + e.substr(1);
    if (e.ends_with('$')) e = e.substr(0, e.size() - 1) + "[ \\r]";
    out.push_back({.expression = e,
                   .id = static_cast<std::uint32_t>(out.size()),
                   .caseless = r.caseless || r.subject == match::Subject::kHost,
                   .once = true});
  }
  return out;
}

// A folder of compiled sets for this run.
const std::string& cache() {
  struct Folder {
    Folder() : name(std::filesystem::temp_directory_path() / "weir-bench-XXXXXX") {
      if (mkdtemp(name.data()) == nullptr) std::abort();
    }
    ~Folder() { std::filesystem::remove_all(name); }
    std::string name;
  };
  static const Folder folder;
  return folder.name;
}

void check(hs_error_t e) {
  if (e != HS_SUCCESS) std::abort();
}

int count_match(unsigned, unsigned long long, unsigned long long, unsigned, void* n) {
  ++*static_cast<std::uint64_t*>(n);
  return 0;
}

// Hyperscan without lib/match, on the same database.
struct Raw {
  explicit Raw(const match::Database& same) {
    const std::string octets = same.serialize();
    check(hs_deserialize_database(octets.data(), octets.size(), &db));
    check(hs_alloc_scratch(db, &scratch));
    check(hs_open_stream(db, 0, &stream));
  }
  ~Raw() {
    hs_close_stream(stream, nullptr, nullptr, nullptr);
    hs_free_scratch(scratch);
    hs_free_database(db);
  }
  Raw(const Raw&) = delete;
  Raw& operator=(const Raw&) = delete;

  void scan(std::string_view text) {
    check(hs_scan_stream(stream, text.data(), static_cast<unsigned>(text.size()), 0, scratch,
                         count_match, &matches));
  }
  void end() { check(hs_reset_stream(stream, 0, scratch, count_match, &matches)); }

  hs_database_t* db = nullptr;
  hs_scratch_t* scratch = nullptr;
  hs_stream_t* stream = nullptr;
  std::uint64_t matches = 0;
};

// Items are requests.
Meter meter_of(benchmark::State& state, const MatchWorkload& work) {
  return Meter(state, static_cast<std::int64_t>(work.requests.size()));
}

void finish(benchmark::State& state, std::size_t bytes, std::uint64_t matches) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
  // Beside each other these must be equal: the same was found.
  state.counters["matches"] =
      static_cast<double>(matches) / static_cast<double>(state.iterations());
}

struct OnStream {
  explicit OnStream(std::uint32_t n)
      : db(std::move(*match::Database::compile(stream_patterns(n)))), scratch(db), raw(db) {}
  match::Database db;
  match::Scratch scratch;
  Raw raw;
};
template <match::Action kAction>
struct OnParts {
  explicit OnParts(std::uint32_t n)
      : set(std::move(*match::RuleSet::compile(make_rules(n, kAction), cache()))),
        scratch(set.database()),
        scan(set, scratch),
        raw(set.database()) {}
  match::RuleSet set;
  match::Scratch scratch;
  match::Scan scan;
  Raw raw;
};

// Made once for each count of patterns: thousands take seconds to compile.
template <class T>
T& made(const benchmark::State& state) {
  static std::map<std::int64_t, std::unique_ptr<T>> all;
  std::unique_ptr<T>& one = all[state.range(0)];
  if (one == nullptr) one = std::make_unique<T>(static_cast<std::uint32_t>(state.range(0)));
  return *one;
}

void stream_hs(benchmark::State& state, std::size_t piece) {
  const auto& work = made<MatchWorkload>(state);
  auto& raw = made<OnStream>(state).raw;
  raw.matches = 0;
  const std::string_view text = work.text;
  const Meter meter = meter_of(state, work);
  for (auto _ : state) {
    for (std::size_t at = 0; at < text.size(); at += piece) raw.scan(text.substr(at, piece));
    raw.end();
  }
  finish(state, text.size(), raw.matches);
}
void stream_hs_whole(benchmark::State& state) {
  stream_hs(state, SIZE_MAX / 2);
}
void stream_hs_pieces(benchmark::State& state) {
  stream_hs(state, kSegment);
}

void stream_weir(benchmark::State& state) {
  auto& work = made<MatchWorkload>(state);
  const auto& weir = made<OnStream>(state);
  std::vector<Buf> bufs((work.text.size() + kSegment - 1) / kSegment);
  BufChain chain;
  for (std::size_t i = 0; i < bufs.size(); ++i) {
    bufs[i].data = reinterpret_cast<std::byte*>(work.text.data()) + i * kSegment;
    bufs[i].len = static_cast<std::uint32_t>(std::min(kSegment, work.text.size() - i * kSegment));
    chain.push_back(&bufs[i]);
  }
  std::vector<match::Match> found;
  std::uint64_t matches = 0;
  const Meter meter = meter_of(state, work);
  for (auto _ : state) {
    match::Stream stream(weir.db, weir.scratch);
    found.clear();
    stream.scan(chain, found);
    matches += found.size();
  }
  finish(state, work.text.size(), matches);
}

// The parts of a request that rules look at, and their octets.
template <class OnPart>
std::size_t each_part(const Request& r, const OnPart& on_part) {
  on_part(match::Subject::kHost, std::string_view(), std::string_view(r.host));
  on_part(match::Subject::kPath, std::string_view(), std::string_view(r.path));
  std::size_t bytes = r.host.size() + r.path.size();
  for (const std::size_t i : {std::size_t{0}, r.fields.size() - 1}) {
    on_part(match::Subject::kHeader, std::string_view(r.fields[i].name),
            std::string_view(r.fields[i].value));
    bytes += r.fields[i].value.size();
  }
  return bytes;
}

void parts_hs(benchmark::State& state) {
  const auto& work = made<MatchWorkload>(state);
  auto& raw = made<OnParts<match::Action::kTag>>(state).raw;
  raw.matches = 0;
  std::size_t bytes = 0;
  const Meter meter = meter_of(state, work);
  for (auto _ : state) {
    bytes = 0;
    for (const Request& r : work.requests) {
      bytes += each_part(r, [&](match::Subject, std::string_view, std::string_view text) {
        raw.scan(text);
        raw.end();
      });
    }
  }
  finish(state, bytes, raw.matches);
}

template <match::Action kAction>
void scan_all(benchmark::State& state) {
  const auto& work = made<MatchWorkload>(state);
  match::Scan& scan = made<OnParts<kAction>>(state).scan;
  std::vector<std::uint32_t> tags;
  tags.reserve(static_cast<std::size_t>(state.range(0)));
  std::size_t bytes = 0;
  std::uint64_t matches = 0;
  const Meter meter = meter_of(state, work);
  for (auto _ : state) {
    bytes = 0;
    for (const Request& r : work.requests) {
      scan.restart();
      bytes +=
          each_part(r, [&](match::Subject subject, std::string_view name, std::string_view text) {
            scan.begin(subject, name);
            scan.feed(text.data(), text.size());
            scan.end();
          });
      tags.clear();
      scan.tags(tags);
      matches += tags.size() + (scan.verdict() ? 1 : 0);
    }
  }
  finish(state, bytes, matches);
}
void parts_weir(benchmark::State& state) {
  scan_all<match::Action::kTag>(state);
}
void route(benchmark::State& state) {
  scan_all<match::Action::kPool>(state);
}

void compile(benchmark::State& state, const std::string& cache) {
  const auto rules = make_rules(static_cast<std::uint32_t>(state.range(0)), match::Action::kPool);
  std::size_t bytes = 0, stream_bytes = 0;
  const Meter meter(state);
  for (auto _ : state) {
    const auto set = match::RuleSet::compile(rules, cache);
    bytes = set.value().database().bytes();
    stream_bytes = set.value().database().stream_bytes();
  }
  state.counters["database"] = static_cast<double>(bytes);
  state.counters["stream"] = static_cast<double>(stream_bytes);
}
void compile_anew(benchmark::State& state) {
  compile(state, "");
}
void compile_cached(benchmark::State& state) {
  (void)made<OnParts<match::Action::kPool>>(state);  // which fills the cache
  compile(state, cache());
}

BENCHMARK(stream_hs_whole)->Arg(50)->Arg(5'000);
BENCHMARK(stream_hs_pieces)->Arg(50)->Arg(5'000);
BENCHMARK(stream_weir)->Arg(50)->Arg(5'000);
BENCHMARK(parts_hs)->Arg(50)->Arg(5'000);
BENCHMARK(parts_weir)->Arg(50)->Arg(5'000);
BENCHMARK(route)->Arg(50)->Arg(5'000);
BENCHMARK(compile_anew)->Arg(50)->Arg(5'000)->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK(compile_cached)->Arg(50)->Arg(5'000)->Iterations(10)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace weir::bench

BENCHMARK_MAIN();

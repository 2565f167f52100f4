// Streaming pattern matching over buffer chains, by Hyperscan.
//
// Patterns are compiled once into a Database; a Stream is fed the text of one direction of a
// connection as it comes, in the buffers it came in, and finds matches across their boundaries.
// Never copies text, never keeps a reference to it. Not thread-safe: one Scratch for each core.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/buf.h"
#include "base/result.h"

struct hs_database;
struct hs_scratch;
struct hs_stream;

namespace weir::match {

struct Pattern {
  std::string expression;  // PCRE's syntax, as far as Hyperscan takes it
  std::uint32_t id = 0;    // what a match reports
  bool caseless = false;
  bool once = false;  // only its first match in a stream is of interest
};

struct CompileError {
  std::optional<std::size_t> pattern;  // index of the offender; none: the set as a whole
  std::string reason;                  // Hyperscan's words
};

// What is wrong with one pattern by itself, in Hyperscan's words; none: nothing. Quick, where a
// compilation of many may take seconds; what only a whole set can be (too large) it does not see.
[[nodiscard]] std::optional<std::string> check(const Pattern& pattern);

class Database {
 public:
  // Pre: at least one pattern. One that matches the empty string is as good as any.
  [[nodiscard]] static Result<Database, CompileError> compile(std::span<const Pattern> patterns);

  // The database as octets, for this version of Hyperscan on this kind of processor; and back, or
  // none if it is for another. Hyperscan trusts what it is given: `octets` must be what serialize()
  // returned. Empty: out of memory.
  [[nodiscard]] std::string serialize() const;
  [[nodiscard]] static std::optional<Database> deserialize(std::string_view octets);
  // What serialize() depends on besides the patterns.
  [[nodiscard]] static std::string platform();

  [[nodiscard]] std::size_t bytes() const;
  [[nodiscard]] std::size_t stream_bytes() const;  // of one open stream

 private:
  friend class Scan;
  friend class Scratch;
  friend class Stream;
  struct Free {
    void operator()(hs_database* db) const;
  };
  explicit Database(hs_database* db) : db_(db) {}
  std::unique_ptr<hs_database, Free> db_;
};

// Working memory of one core, for one database or several. Throws std::bad_alloc.
class Scratch {
 public:
  explicit Scratch(const Database& db);
  void fit(const Database& db);  // as well; before any stream is opened with it

 private:
  friend class Scan;
  friend class Stream;
  struct Free {
    void operator()(hs_scratch* s) const;
  };
  std::unique_ptr<hs_scratch, Free> scratch_;
};

struct Match {
  std::uint32_t id = 0;
  std::uint64_t end = 0;  // octets of the stream up to and including the match's last
};

// One stream. The database and the scratch outlive it. Throws std::bad_alloc when it opens.
class Stream {
 public:
  Stream(const Database& db, const Scratch& scratch);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Feeds what lies in `chain`, which stays as it is; appends what was found to `out`.
  void scan(const BufChain& chain, std::vector<Match>& out);

 private:
  hs_stream* stream_ = nullptr;
  hs_scratch* scratch_;
};

}  // namespace weir::match

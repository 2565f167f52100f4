// Streaming pattern matching over buffer chains, by Hyperscan.
//
// Patterns are compiled once into a Database; a Stream is fed the text of one direction of a
// connection as it comes, in the buffers it came in, and finds matches across their boundaries.
// Never copies text, never keeps a reference to it. Not thread-safe: one Scratch for each core.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
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
};

struct CompileError {
  std::size_t pattern = 0;  // index of the offender
  std::string reason;       // Hyperscan's words
};

class Database {
 public:
  // Pre: at least one pattern.
  [[nodiscard]] static Result<Database, CompileError> compile(std::span<const Pattern> patterns);

 private:
  friend class Scratch;
  friend class Stream;
  struct Free {
    void operator()(hs_database* db) const;
  };
  explicit Database(hs_database* db) : db_(db) {}
  std::unique_ptr<hs_database, Free> db_;
};

// Working memory of one core for one database. Throws std::bad_alloc.
class Scratch {
 public:
  explicit Scratch(const Database& db);

 private:
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

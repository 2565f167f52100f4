// Compiled databases on disk, under a name made from what they were compiled from.
//
// Compiling thousands of patterns takes seconds; reading the result takes milliseconds. A file
// holds the database and, whole, what it was compiled from (patterns, flags, ids, Hyperscan's
// version, the processor's features): it is used only if that is what is asked for and its checksum
// is right. Anything else in its place is left out of account and replaced. Hyperscan trusts what
// it is given to deserialise, so neither the folder nor a file in it is used unless it belongs to
// this process's user and nobody else may write to it. The folder is made with mode 0700, a file
// appears under its name only when it is complete, and the files used longest ago go when there are
// more than kMaxCached. For the control plane: it allocates and waits for the disk.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "match/match.h"

namespace weir::match {

inline constexpr std::size_t kMaxCached = 64;

class Cache {
 public:
  // `dir`: empty for a cache that holds nothing.
  Cache(const std::string& dir, std::span<const Pattern> patterns);

  // The database of these patterns, if there is one. `note` says why a file that is there, or a
  // folder, was not used; it is left alone when there is nothing to say. So with store().
  [[nodiscard]] std::optional<Database> load(std::string& note) const;
  void store(const Database& db, std::string& note) const;

  [[nodiscard]] const std::string& file() const { return file_; }  // its name in the folder

 private:
  std::string dir_;
  std::string key_;  // what the database is compiled from
  std::string file_;
};

}  // namespace weir::match

// The other half of a benchmark in two processes: this program again, as the server, with orders on
// its stdin and answers on its stdout, a line each.
//
// It ends with whoever started it, however that one ends: its stdin is closed then, and the kernel
// sends it a SIGTERM. The destructor waits for it, in the end with SIGKILL, by its process id.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace weir::app {

// Lines of a pipe.
class LineReader {
 public:
  enum class Got : std::uint8_t { kLine, kNothing, kEnd };
  explicit LineReader(int fd) : fd_(fd) {}
  [[nodiscard]] Got read(std::string& line, Duration wait);

 private:
  int fd_;
  std::string rest_;
};

class BenchPeer {
 public:
  // Before this process has threads. The error is one line.
  static Result<std::unique_ptr<BenchPeer>, std::string> start(
      const std::vector<std::string>& arguments);
  ~BenchPeer();
  BenchPeer(const BenchPeer&) = delete;
  BenchPeer& operator=(const BenchPeer&) = delete;

  void say(const std::string& line) const;
  [[nodiscard]] LineReader::Got hear(std::string& line, Duration wait) {
    return from_.read(line, wait);
  }

 private:
  BenchPeer(pid_t pid, int to, int from) : pid_(pid), to_(to), from_fd_(from), from_(from) {}
  [[nodiscard]] bool gone(Duration within) const;

  pid_t pid_;
  int to_;
  int from_fd_;
  LineReader from_;
};

// A directory of one's own for sockets, removed with what is in it.
class ScratchDir {
 public:
  ScratchDir();
  ~ScratchDir();
  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }  // empty: it could not be made

 private:
  std::string path_;
};

}  // namespace weir::app

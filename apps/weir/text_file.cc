#include "text_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace weir::app {
namespace {

class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

std::optional<std::string> read_text_file(const std::string& path, std::size_t max,
                                          Problem& problem) {
  // O_NONBLOCK: opening a FIFO must not hang.
  const File file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat st {};
  if (file.fd() < 0 || fstat(file.fd(), &st) != 0) {
    problem.report(std::string("cannot be read: ") + std::strerror(errno) +
                   "; check the path and its permissions");
    return std::nullopt;
  }
  if (!S_ISREG(st.st_mode)) {
    problem.report(S_ISDIR(st.st_mode) ? "is a directory; name the file in it"
                                       : "is not a regular file; name a TOML file");
    return std::nullopt;
  }
  std::string text(max + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t n = read(file.fd(), text.data() + size, text.size() - size);
    if (n < 0) {
      problem.report(std::string("cannot be read: ") + std::strerror(errno));
      return std::nullopt;
    }
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
  }
  text.resize(size);
  return text;
}

bool plausible_text(const std::string& text, std::size_t max, Problem& problem) {
  if (text.size() > max) {
    problem.report("larger than " + std::to_string(max >> 20U) +
                   " MiB; this is not a config of weir");
  } else if (text.find_first_not_of(" \t\r\n") == std::string::npos) {
    problem.report("empty; start from an example in config/");
  } else if (text.starts_with("\xef\xbb\xbf") || text.starts_with("\xff\xfe") ||
             text.starts_with("\xfe\xff")) {
    problem.report("begins with a byte-order mark; save it as UTF-8 without one");
  } else if (const std::size_t nul = text.find('\0'); nul != std::string::npos) {
    problem.report("holds a NUL at octet " + std::to_string(nul) + "; this is not a text file");
  }
  return !problem.any();
}

}  // namespace weir::app

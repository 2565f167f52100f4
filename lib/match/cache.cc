#include "match/cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

namespace weir::match {
namespace {

constexpr std::string_view kSuffix = ".hsdb";
constexpr std::string_view kTempSuffix = ".hsdb.tmp";
constexpr std::array<char, 8> kMagic = {'W', 'E', 'I', 'R', 'H', 'S', '0', '1'};
constexpr std::uint64_t kMaxFile = std::uint64_t{1} << 30U;

// At the head of a file; the database follows, then what it was compiled from. In the machine's own
// order: a file is for this machine.
struct Header {
  std::array<char, 8> magic = kMagic;
  std::uint64_t db_bytes = 0;
  std::uint64_t key_bytes = 0;
  std::uint64_t checksum = 0;  // of the two lengths and of all that follows
};
static_assert(sizeof(Header) == 32);

// FNV-1a, 64 bits: tells damage, not malice. A changed octet always changes it.
std::uint64_t fnv1a(std::string_view text, std::uint64_t h = 0xcbf29ce484222325U) {
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return h;
}

std::uint64_t checksum_of(const Header& h, std::string_view rest) {
  const std::array<std::uint64_t, 2> lengths{h.db_bytes, h.key_bytes};
  return fnv1a(rest, fnv1a({reinterpret_cast<const char*>(lengths.data()), sizeof lengths}));
}

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  [[nodiscard]] bool ok() const { return fd_ >= 0; }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

std::string failed(const std::string& what) {
  return what + ": " + std::strerror(errno);
}

bool ours_alone(const struct stat& st) {
  return st.st_uid == geteuid() && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

void make_dirs(const std::string& dir) {
  for (std::size_t at = dir.find('/', 1); at != std::string::npos; at = dir.find('/', at + 1)) {
    mkdir(dir.substr(0, at).c_str(), 0700);
  }
  mkdir(dir.c_str(), 0700);
}

// The folder, if it is fit to be used; else -1 and a note, but for one that is not there.
int open_dir(const std::string& dir, std::string& note) {
  const int fd = open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    if (errno != ENOENT) note = failed(dir);
    return -1;
  }
  struct stat st {};
  if (fstat(fd, &st) == 0 && ours_alone(st)) return fd;
  note = dir + ": not used, for it is another user's or others may write to it";
  close(fd);
  return -1;
}

bool read_all(int fd, std::string& out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t n = read(fd, out.data() + done, out.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<std::size_t>(n);
  }
  return true;
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

bool ends_with(const char* name, std::string_view suffix) {
  return std::string_view(name).ends_with(suffix);
}

// Removes the files used longest ago beyond kMaxCached, and unfinished ones of an hour ago.
void prune(int dir) {
  const int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* d = copy < 0 ? nullptr : fdopendir(copy);
  if (d == nullptr) {
    if (copy >= 0) close(copy);
    return;
  }
  struct stat newest {};
  std::vector<std::pair<std::int64_t, std::string>> files, unfinished;
  while (const dirent* entry = readdir(d)) {
    const bool temporary = ends_with(entry->d_name, kTempSuffix);
    struct stat st {};
    if ((!temporary && !ends_with(entry->d_name, kSuffix)) ||
        fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
      continue;
    }
    (temporary ? unfinished : files).emplace_back(st.st_mtime, entry->d_name);
    newest.st_mtime = std::max(newest.st_mtime, st.st_mtime);
  }
  closedir(d);
  for (const auto& [when, name] : unfinished) {
    if (when < newest.st_mtime - 3'600) unlinkat(dir, name.c_str(), 0);
  }
  std::sort(files.begin(), files.end());
  for (std::size_t i = 0; i + kMaxCached < files.size(); ++i) {
    unlinkat(dir, files[i].second.c_str(), 0);
  }
}

// Whether `text` is whole and made from `key`; `db` is then its database.
bool unpack(std::string_view text, std::string_view key, std::string_view& db) {
  Header h;
  if (text.size() < sizeof h) return false;
  std::memcpy(&h, text.data(), sizeof h);
  text.remove_prefix(sizeof h);
  if (h.magic != kMagic || h.key_bytes != key.size() || text.size() < key.size() ||
      h.db_bytes != text.size() - key.size() || h.checksum != checksum_of(h, text)) {
    return false;
  }
  db = text.substr(0, h.db_bytes);
  return text.substr(h.db_bytes) == key;
}

}  // namespace

Cache::Cache(const std::string& dir, std::span<const Pattern> patterns) : dir_(dir) {
  if (dir_.empty()) return;
  key_ = Database::platform();
  for (const Pattern& p : patterns) {
    key_ += '\n' + std::to_string(p.id) + (p.caseless ? " i" : " -") + (p.once ? "1 " : "- ") +
            std::to_string(p.expression.size()) + ' ' + p.expression;
  }
  std::array<char, 17> hex{};
  std::snprintf(hex.data(), hex.size(), "%016llx", static_cast<unsigned long long>(fnv1a(key_)));
  file_ = std::string(hex.data()) + std::string(kSuffix);
}

std::optional<Database> Cache::load(std::string& note) const {
  if (dir_.empty()) return std::nullopt;
  const Fd dir(open_dir(dir_, note));
  if (!dir.ok()) return std::nullopt;
  const std::string name = dir_ + "/" + file_;
  const Fd fd(openat(dir.get(), file_.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd.ok()) {
    if (errno != ENOENT) note = failed(name);
    return std::nullopt;
  }
  struct stat st {};
  if (fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode) || !ours_alone(st)) {
    note = name + ": not used, for it is another user's or others may write to it";
    return std::nullopt;
  }
  std::string text;
  std::string_view octets;
  if (static_cast<std::uint64_t>(st.st_size) <= kMaxFile) {
    text.resize(static_cast<std::size_t>(st.st_size));
  }
  std::optional<Database> db;
  if (read_all(fd.get(), text) && unpack(text, key_, octets)) db = Database::deserialize(octets);
  if (db) {
    futimens(fd.get(), nullptr);  // used now: prune() goes by it
  } else {
    note = name + ": damaged, compiled anew";
  }
  return db;
}

void Cache::store(const Database& db, std::string& note) const {
  if (dir_.empty()) return;
  make_dirs(dir_);
  const Fd dir(open_dir(dir_, note));
  if (!dir.ok()) {
    if (note.empty()) note = failed(dir_);
    return;
  }
  const std::string octets = db.serialize();
  if (octets.empty()) return;
  Header h;
  h.db_bytes = octets.size();
  h.key_bytes = key_.size();
  h.checksum = checksum_of(h, octets + key_);
  const std::string temp = file_ + "." + std::to_string(getpid()) + std::string(kTempSuffix);
  unlinkat(dir.get(), temp.c_str(), 0);  // of a process that is no more
  const Fd fd(
      openat(dir.get(), temp.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd.ok() || !write_all(fd.get(), {reinterpret_cast<const char*>(&h), sizeof h}) ||
      !write_all(fd.get(), octets) || !write_all(fd.get(), key_) ||
      renameat(dir.get(), temp.c_str(), dir.get(), file_.c_str()) != 0) {
    note = failed(dir_ + "/" + temp);
    unlinkat(dir.get(), temp.c_str(), 0);
    return;
  }
  prune(dir.get());
}

}  // namespace weir::match

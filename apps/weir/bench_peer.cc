#include "bench_peer.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>

namespace weir::app {
namespace {

constexpr Duration kLeave = 5s;  // what the other half has to end by itself, then by SIGTERM

void sleep_for(Duration d) {
  const timespec t{d.count() / 1'000'000, d.count() % 1'000'000 * 1'000};
  nanosleep(&t, nullptr);
}

}  // namespace

LineReader::Got LineReader::read(std::string& line, Duration wait) {
  for (;;) {
    if (const std::size_t end = rest_.find('\n'); end != std::string::npos) {
      line = rest_.substr(0, end);
      rest_.erase(0, end + 1);
      return Got::kLine;
    }
    pollfd p{fd_, POLLIN, 0};
    const int ready = poll(&p, 1, static_cast<int>(wait.count() / 1'000));
    if (ready == 0 || (ready < 0 && errno == EINTR)) return Got::kNothing;
    char text[4'096];
    const ssize_t n = ::read(fd_, text, sizeof text);
    if (n < 0 && errno == EINTR) return Got::kNothing;
    if (n <= 0) return Got::kEnd;
    rest_.append(text, static_cast<std::size_t>(n));
  }
}

Result<std::unique_ptr<BenchPeer>, std::string> BenchPeer::start(
    const std::vector<std::string>& arguments) {
  int to[2], from[2];
  if (pipe2(to, O_CLOEXEC) != 0) return std::string("pipe: ") + std::strerror(errno);
  if (pipe2(from, O_CLOEXEC) != 0) {
    close(to[0]);
    close(to[1]);
    return std::string("pipe: ") + std::strerror(errno);
  }
  std::vector<char*> argv;
  std::string name = "weir";
  argv.push_back(name.data());
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(1);
    if (dup2(to[0], STDIN_FILENO) < 0 || dup2(from[1], STDOUT_FILENO) < 0) _exit(1);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    execv("/proc/self/exe", argv.data());
    _exit(1);
  }
  const int error = errno;
  close(to[0]);
  close(from[1]);
  if (pid < 0) {
    close(to[1]);
    close(from[0]);
    return std::string("fork: ") + std::strerror(error);
  }
  return std::unique_ptr<BenchPeer>(new BenchPeer(pid, to[1], from[0]));
}

bool BenchPeer::gone(Duration within) const {
  constexpr Duration kLook = 10ms;
  for (Duration waited{}; waited <= within; waited += kLook) {
    if (waitpid(pid_, nullptr, WNOHANG) != 0) return true;
    sleep_for(kLook);
  }
  return false;
}

BenchPeer::~BenchPeer() {
  close(to_);  // it ends by itself
  if (!gone(kLeave)) {
    kill(pid_, SIGTERM);
    if (!gone(kLeave)) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }
  close(from_fd_);
}

// A peer that has gone is noticed where its answer is waited for.
void BenchPeer::say(const std::string& line) const {
  const std::string text = line + "\n";
  static_cast<void>(::write(to_, text.data(), text.size()) < 0);
}

ScratchDir::ScratchDir() {
  const char* const base = std::getenv("TMPDIR");
  std::string name =
      std::string(base == nullptr || *base == '\0' ? "/tmp" : base) + "/weir-bench-XXXXXX";
  if (mkdtemp(name.data()) != nullptr) path_ = name;
}

ScratchDir::~ScratchDir() {
  if (path_.empty()) return;
  std::error_code ec;
  std::filesystem::remove_all(path_, ec);
  rmdir(path_.c_str());  // a file that went by itself meanwhile makes remove_all give up
}

}  // namespace weir::app

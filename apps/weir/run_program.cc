#include "run_program.h"

#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>

#include "base/siphash.h"
#include "call_filter.h"
#include "dpdk/device.h"
#include "preload/settings.h"
#include "tcp/settings.h"
#include "toml_reader.h"

namespace weir::app {
namespace {

namespace fs = std::filesystem;

// A TAP interface goes by its name: every process of a program names the same two ends of it.
MacAddr mac_of(std::string_view name, std::uint8_t end) {
  const std::uint64_t hash = siphash24({}, std::as_bytes(std::span(name)));  // no secret
  MacAddr mac{{0x02}};
  for (unsigned i = 1; i < mac.octets.size(); ++i) {
    mac.octets[i] = static_cast<std::uint8_t>(hash >> 8U * i);
  }
  mac.octets[5] = static_cast<std::uint8_t>((mac.octets[5] & 0xfeU) | end);
  return mac;
}

std::string device_text(const PortConfig& port) {
  constexpr std::string_view kTap = "tap:";
  if (!port.device.starts_with(kTap)) return port.device;
  const std::string name = port.device.substr(kTap.size());
  return "net_tap0,iface=" + name + ",mac=" + to_string(mac_of(name, 0));
}

std::optional<MacAddr> mac_text(const PortConfig& port) {
  if (port.mac || !port.device.starts_with("tap:")) return port.mac;
  return mac_of(port.device.substr(4), 1);
}

// Where the two libraries lie: beside the build's binary, or where `meson install` put them.
std::optional<fs::path> library() {
  std::error_code ec;
  const fs::path self = fs::read_symlink("/proc/self/exe", ec);
  const fs::path dir = self.parent_path();
  for (const fs::path& p : {dir / "../../lib/preload", dir / ".." / WEIR_LIBDIR / "weir"}) {
    const fs::path file = p / "libweir-preload.so";
    if (fs::exists(file, ec)) return fs::canonical(file, ec);
  }
  return std::nullopt;
}

std::optional<fs::path> find_program(const std::string& word) {
  std::error_code ec;
  const auto good = [&ec](const fs::path& p) {
    return fs::is_regular_file(p, ec) && access(p.c_str(), X_OK) == 0;
  };
  if (word.find('/') != std::string::npos) {
    return good(word) ? std::optional<fs::path>(word) : std::nullopt;
  }
  const char* const path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "/usr/bin:/bin" : path;
  while (!rest.empty()) {
    const std::size_t colon = rest.find(':');
    const fs::path p = fs::path(rest.substr(0, colon)) / word;
    if (good(p)) return p;
    if (colon == std::string_view::npos) break;
    rest.remove_prefix(colon + 1);
  }
  return std::nullopt;
}

// Whether one of a segment's notes is of the Go linker.
bool notes_of_go(int fd, const Elf64_Phdr& p) {
  std::array<char, 1'024> text{};
  const ssize_t n = pread(fd, text.data(), std::min<std::size_t>(text.size(), p.p_filesz),
                          static_cast<off_t>(p.p_offset));
  const auto padded = [](std::size_t octets) { return (octets + 3U) & ~std::size_t{3}; };
  Elf64_Nhdr note{};
  for (std::size_t at = 0; n > 0 && at + sizeof note <= static_cast<std::size_t>(n);) {
    std::memcpy(&note, text.data() + at, sizeof note);
    at += sizeof note;
    if (note.n_namesz == 3 && at + 3 <= text.size() &&
        std::memcmp(text.data() + at, "Go", 3) == 0) {
      return true;
    }
    at += padded(note.n_namesz) + padded(note.n_descsz);
  }
  return false;
}

// A program without a loader would never hear of the library; nor would one that gains rights.
std::string deaf(const fs::path& program) {
  const int fd = open(program.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  Elf64_Ehdr head{};
  const bool elf = read(fd, &head, sizeof head) == sizeof head &&
                   std::memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 &&
                   head.e_ident[EI_CLASS] == ELFCLASS64;
  const bool other = !elf && std::memcmp(head.e_ident, ELFMAG, SELFMAG) == 0;
  bool loader = false, go = false;
  for (unsigned i = 0; elf && i < head.e_phnum; ++i) {
    Elf64_Phdr p{};
    const auto at = static_cast<off_t>(head.e_phoff + i * sizeof p);
    if (pread(fd, &p, sizeof p, at) != sizeof p) continue;
    if (p.p_type == PT_INTERP) loader = true;
    if (p.p_type == PT_NOTE && notes_of_go(fd, p)) go = true;
  }
  close(fd);
  if (other) {
    return program.string() + ": is not of 64 bits, as the library before its calls is";
  }
  if (elf && !loader) {
    return program.string() +
           ": is linked statically, so no library can be put before its calls; "
           "take a dynamically linked one";
  }
  if (go) {
    return program.string() +
           ": is written in Go, whose programs call the kernel past libc; no library hears of it";
  }
  std::error_code ec;
  const fs::perms mode = fs::status(program, ec).permissions();
  if ((mode & (fs::perms::set_uid | fs::perms::set_gid)) != fs::perms::none && geteuid() != 0) {
    return program.string() +
           ": is set-user-ID, and the loader ignores LD_PRELOAD there; run it as root";
  }
  return {};
}

// Stacks write it when they end, and cannot complain then.
std::string no_summary(const std::string& file) {
  if (file.empty()) return {};
  const int fd = open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0)
    return "--summary " + file + ": " + std::strerror(errno) + "; name a file that can be written";
  close(fd);
  return {};
}

}  // namespace

std::optional<std::string> refuse_for_program(const Config& config) {
  const auto not_here = [](const std::string& key, const std::string& cure) {
    return std::optional(key + ": not with `weir run`; " + cure);
  };
  if (config.eal.cores.size() > 1) {
    return not_here("eal.cores", "each process of the program has one stack: name one core");
  }
  if (config.port.gateway_mac || config.port.gateway6_mac) {
    return not_here("port.gateway_mac and gateway6_mac", "remove them: gateways are asked for");
  }
  if (config.port.arp_probes > 0) return not_here("port.arp_probes", "set it to 0");
  return std::nullopt;
}

std::string program_settings(const Config& config, const RunProgram& run) {
  std::string text;
  const auto say = [&text](std::string_view key, const std::string& value) {
    text += std::string(key) + "=" + value + "\n";
  };
  const PortConfig& port = config.port;
  say("device", device_text(port));
  if (port.device.starts_with("tap:")) {  // the one kind of port that several processes can open
    std::string key = port.device;
    for (const stack::IpPrefix& p : port.addresses) key += "," + to_string(p.addr);
    say("shared", key);
  }
  if (const auto mac = mac_text(port)) say("mac", to_string(*mac));
  say("mtu", std::to_string(port.mtu));
  say("rx_descriptors", std::to_string(port.rx_descriptors));
  say("tx_descriptors", std::to_string(port.tx_descriptors));
  for (const stack::IpPrefix& p : port.addresses) {
    say("address", to_string(p.addr) + "/" + std::to_string(p.prefix_len));
  }
  if (port.gateway) say("gateway", to_string(*port.gateway));
  if (port.gateway6) say("gateway6", to_string(*port.gateway6));
  say("dad_transmits", std::to_string(port.dad_transmits));
  say("memory_mb", std::to_string(config.eal.memory_mb));
  say("hugepages", config.eal.hugepages ? "1" : "0");
  say("verbose", run.verbose ? "1" : "0");
  say("max_connections", std::to_string(config.limits.max_connections));
  say("buffers", std::to_string(config.limits.mbufs));
  say("patience_us", std::to_string(config.drain_timeout.count()));
  if (!run.summary.empty()) {
    std::error_code ec;
    say("summary", fs::absolute(run.summary, ec).string());
  }
  const tcp::Config defaults;
  for (const tcp::Setting& s : tcp::settings()) {
    const std::string value = tcp::value_text(config.tcp, s);
    if (value != tcp::value_text(defaults, s)) say("tcp." + std::string(s.name), value);
  }
  return text;
}

std::string run_program(const Config& config, const RunProgram& run) {
  const auto device = dpdk::parse_device(config.port.device);
  if (!device) return "port.device = " + device.error();
  if (const std::string wrong = dpdk::check_device(device.value()); !wrong.empty()) {
    return "port.device = " + wrong;
  }
  const auto program = find_program(run.words.front());
  if (!program) {
    return run.words.front() + ": no such program; name one that is in PATH, or its path";
  }
  if (std::string wrong = deaf(*program); !wrong.empty()) return wrong;
  if (std::string wrong = refuse_calls(); !wrong.empty()) return wrong;
  const auto preload = library();
  if (!preload) {
    return "libweir-preload.so is neither in the build's lib/preload nor in " WEIR_LIBDIR
           "/weir; build or install Weir whole";
  }
  const char* const before = std::getenv("LD_PRELOAD");
  const std::string both =
      preload->string() + (before != nullptr && *before != '\0' ? std::string(":") + before : "");
  if (setenv(preload::kEnvironment, program_settings(config, run).c_str(), 1) != 0 ||
      setenv("LD_PRELOAD", both.c_str(), 1) != 0) {
    return std::string("the environment: ") + std::strerror(errno);
  }
  if (std::string wrong = no_summary(run.summary); !wrong.empty()) return wrong;
  std::vector<char*> words;
  std::vector<std::string> copy = run.words;
  words.reserve(copy.size() + 1);
  for (std::string& w : copy) words.push_back(w.data());
  words.push_back(nullptr);
  execv(program->c_str(), words.data());
  return program->string() + ": " + std::strerror(errno);
}

}  // namespace weir::app

#include "dpdk/device.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace weir::dpdk {
namespace {

namespace fs = std::filesystem;

struct Prefix {
  std::string_view word;
  DeviceKind kind;
  std::string_view driver;
  std::string_view example;
};

constexpr std::array kPrefixes = {
    Prefix{"tap", DeviceKind::kTap, "net_tap", "tap:weir0"},
    Prefix{"af_packet", DeviceKind::kAfPacket, "net_af_packet", "af_packet:eth0"},
    Prefix{"af_xdp", DeviceKind::kAfXdp, "net_af_xdp", "af_xdp:eth0"},
    Prefix{"pcap", DeviceKind::kPcap, "net_pcap", "pcap:eth0"},
    Prefix{"memif", DeviceKind::kMemif, "net_memif", "memif:socket=/run/weir.sock,role=server"},
    Prefix{"virtio-user", DeviceKind::kVirtioUser, "net_virtio_user",
           "virtio-user:path=/run/vhost.sock"},
    Prefix{"vhost", DeviceKind::kVhost, "net_vhost", "vhost:/run/vhost.sock"},
    Prefix{"ring", DeviceKind::kRing, "net_ring", "ring:pair/a"},
    Prefix{"null", DeviceKind::kNull, "net_null", "null"},
    Prefix{"vdev", DeviceKind::kRaw, "", "vdev:net_tap0,iface=weir0"},
};

constexpr std::size_t kMaxRingName = 12;
constexpr unsigned kPage = 4'096;
constexpr unsigned kPciNetwork = 0x02;  // the base class of network controllers

std::string known_forms() {
  std::string out =
      "a port is one of tap:NAME, af_packet:IFACE, af_xdp:IFACE, pcap:IFACE, "
      "memif:ARGS, virtio-user:ARGS, vhost:PATH, ring:NAME, null, "
      "a PCI address such as 0000:01:00.0, or vdev:net_xxx,ARGS";
  return out;
}

bool names_interface(DeviceKind kind) {
  return kind == DeviceKind::kTap || kind == DeviceKind::kAfPacket || kind == DeviceKind::kAfXdp ||
         kind == DeviceKind::kPcap;
}

// "key=value,key=value": the value of `key`, or empty.
std::string argument(std::string_view args, std::string_view key) {
  while (!args.empty()) {
    const std::size_t comma = args.find(',');
    const std::string_view one = args.substr(0, comma);
    if (one.size() > key.size() && one.starts_with(key) && one[key.size()] == '=') {
      return std::string(one.substr(key.size() + 1));
    }
    args = comma == std::string_view::npos ? std::string_view{} : args.substr(comma + 1);
  }
  return {};
}

bool has_capability(unsigned bit) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  if (syscall(SYS_capget, &header, data.data()) != 0) return true;  // let the kernel say it later
  return (data[bit / 32].effective >> (bit % 32) & 1U) != 0;
}

std::string check_tap(const Device& d) {
  const int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    return errno == ENOENT ? "/dev/net/tun is missing: modprobe tun, or give the container "
                             "--device /dev/net/tun"
                           : std::string("/dev/net/tun cannot be opened (") + std::strerror(errno) +
                                 "): run as root, or give the container --device /dev/net/tun";
  }
  close(fd);
  if (!has_capability(CAP_NET_ADMIN)) {
    return "CAP_NET_ADMIN is missing: run as root, or give the container --cap-add NET_ADMIN";
  }
  if (if_nametoindex(d.target.c_str()) != 0) {
    return "an interface of that name exists already: choose another, or ip link del " + d.target;
  }
  return {};
}

std::string check_interface(const Device& d) {
  if (if_nametoindex(d.target.c_str()) == 0) {
    return "no interface '" + d.target +
           "' in this network namespace: ip -br link shows those there are";
  }
  if (!has_capability(CAP_NET_RAW)) {
    return "CAP_NET_RAW is missing: run as root, or give the container --cap-add NET_RAW";
  }
  if (d.kind == DeviceKind::kAfXdp && !has_capability(CAP_NET_ADMIN)) {
    return "CAP_NET_ADMIN is missing: run as root, or give the container --cap-add NET_ADMIN";
  }
  return {};
}

// A Unix socket that DPDK creates there, or (must_exist) that somebody else has created.
std::string check_socket_path(const std::string& path, bool must_exist) {
  constexpr std::size_t kMaxUnixPath = 107;
  if (path.size() > kMaxUnixPath) return "the socket's path is longer than 107 characters";
  std::error_code ec;
  if (must_exist) {
    return fs::exists(path, ec)
               ? std::string{}
               : "nothing at '" + path + "': start the other side first, or add server=1";
  }
  const fs::path dir = fs::path(path).parent_path();
  if (dir.empty() || fs::is_directory(dir, ec)) return {};
  return "no directory '" + dir.string() + "' for the socket: mkdir -p it";
}

fs::path pci_directory(const Device& d) {
  return fs::path("/sys/bus/pci/devices") / d.target;
}

// The kernel's driver of it; empty when it has none.
std::string pci_driver(const Device& d) {
  std::error_code ec;
  return fs::read_symlink(pci_directory(d) / "driver", ec).filename().string();
}

std::string check_pci(const Device& d) {
  const fs::path dir = pci_directory(d);
  std::error_code ec;
  if (!fs::exists(dir, ec)) return "no such PCI device: lspci -D shows those there are";
  unsigned pci_class = 0;
  std::ifstream(dir / "class") >> std::hex >> pci_class;
  if (pci_class >> 16U != kPciNetwork) {
    return "not a network device: lspci -D | grep -i -E 'ethernet|network' shows those there are";
  }
  const std::string driver = pci_driver(d);
  // mlx4 and mlx5 share the device with the kernel's own driver.
  constexpr std::array<std::string_view, 5> kFit = {"vfio-pci", "uio_pci_generic", "igb_uio",
                                                    "mlx5_core", "mlx4_core"};
  if (std::find(kFit.begin(), kFit.end(), driver) != kFit.end()) return {};
  // Without an IOMMU, as in most virtual machines, vfio-pci does not take it.
  const std::string fit = fs::exists(dir / "iommu_group", ec) ? "vfio-pci" : "uio_pci_generic";
  return (driver.empty() ? std::string("bound to no driver") : "bound to the kernel's " + driver) +
         ": modprobe " + fit + " && dpdk-devbind.py --bind=" + fit + " " + d.target;
}

Result<Device, std::string> raw_device(Device d, const std::string& spec) {
  const std::size_t comma = spec.find(',');
  d.driver = spec.substr(0, comma);
  if (comma != std::string_view::npos) d.args = spec.substr(comma + 1);
  if (!d.driver.starts_with("net_")) {
    return d.refuse("a virtual device's name begins with net_, as in vdev:net_tap0,iface=weir0");
  }
  return d;
}

// Empty, or what is wrong with the part behind the colon.
std::string check_target(const Device& d, const Prefix& p) {
  if (d.target.empty() && d.kind != DeviceKind::kNull) {
    return "nothing behind the colon: write it as " + std::string(p.example);
  }
  if (names_interface(d.kind) &&
      (d.target.size() >= IFNAMSIZ || d.target.find_first_of(", /\t") != std::string::npos)) {
    return "not an interface's name: at most 15 characters, no space, comma or slash";
  }
  if (d.kind == DeviceKind::kRing) {
    const std::size_t slash = d.target.find('/');
    const std::string side = slash == std::string::npos ? "" : d.target.substr(slash + 1);
    if (slash == 0 || std::min(slash, d.target.size()) > kMaxRingName ||
        (slash != std::string::npos && side != "a" && side != "b")) {
      return "a ring is ring:NAME, or one end of a pair, ring:NAME/a or ring:NAME/b; NAME has 1 to "
             "12 characters";
    }
  }
  return {};
}

}  // namespace

std::string Device::refuse(std::string_view what) const {
  return text + ": " + std::string(what);
}

bool is_pci_address(std::string_view text) {
  const std::string_view form = text.size() == 12 ? "xxxx:xx:xx.x" : "xx:xx.x";
  return text.size() == form.size() &&
         std::equal(text.begin(), text.end(), form.begin(), [](char c, char f) {
           return f == 'x' ? std::isxdigit(static_cast<unsigned char>(c)) != 0 : c == f;
         });
}

Result<Device, std::string> parse_device(std::string_view text) {
  Device d;
  d.text = text;
  if (text.empty()) return "port: no device is named: " + known_forms();
  if (is_pci_address(text)) {
    d.kind = DeviceKind::kPci;
    d.target = text.size() == 7 ? "0000:" + std::string(text) : std::string(text);
    return d;
  }
  if (text.starts_with("net_")) return raw_device(d, d.text);
  const std::size_t colon = text.find(':');
  const std::string_view word = text.substr(0, colon);
  for (const Prefix& p : kPrefixes) {
    if (word != p.word) continue;
    d.target = colon == std::string_view::npos ? "" : text.substr(colon + 1);
    if (p.driver.empty()) return raw_device(d, d.target);
    d.kind = p.kind;
    d.driver = p.driver;
    if (std::string wrong = check_target(d, p); !wrong.empty()) return d.refuse(wrong);
    if (d.kind == DeviceKind::kMemif || d.kind == DeviceKind::kVirtioUser) d.args = d.target;
    if (d.kind == DeviceKind::kNull) d.args = d.target.empty() ? "no-rx=1" : d.target;
    return d;
  }
  return d.refuse("no such kind of port: " + known_forms());
}

std::string check_device(const Device& d) {
  std::string wrong;
  switch (d.kind) {
    case DeviceKind::kTap:
      wrong = check_tap(d);
      break;
    case DeviceKind::kAfPacket:
    case DeviceKind::kAfXdp:
    case DeviceKind::kPcap:
      wrong = check_interface(d);
      break;
    case DeviceKind::kPci:
      wrong = check_pci(d);
      break;
    case DeviceKind::kVhost:
      wrong = check_socket_path(d.target, false);
      break;
    case DeviceKind::kMemif:
      wrong = check_socket_path(argument(d.args, "socket"), false);
      break;
    case DeviceKind::kVirtioUser: {
      const std::string path = argument(d.args, "path");
      wrong = path.empty() ? "path= is missing: write it as virtio-user:path=/run/vhost.sock"
                           : check_socket_path(path, argument(d.args, "server") != "1");
      break;
    }
    case DeviceKind::kRing:
    case DeviceKind::kNull:
    case DeviceKind::kRaw:
      break;
  }
  return wrong.empty() ? wrong : d.refuse(wrong);
}

bool needs_hugepages(const Device& d) {
  return d.kind == DeviceKind::kPci && pci_driver(d).find("uio") != std::string::npos;
}

unsigned rx_buffer_size(const Device& d, unsigned frame) {
  if (d.kind != DeviceKind::kAfPacket && !d.driver.starts_with("net_af_packet")) {
    return std::max(frame, 2'048U);
  }
  // The PMD wants a receive buffer as large as a slot of the socket's ring, header of the slot
  // taken off; a slot is 2048 octets or whole pages, so that slots lie without gaps in a block.
  const unsigned slot = frame + static_cast<unsigned>(TPACKET2_HDRLEN);
  return slot <= 2'048 ? 2'048 : (slot + kPage - 1) / kPage * kPage;
}

std::string vdev_args(const Device& d, unsigned queues, unsigned frame) {
  const std::string n = std::to_string(queues);
  switch (d.kind) {
    case DeviceKind::kTap:
      return "iface=" + d.target;
    case DeviceKind::kAfPacket: {
      const unsigned slot = rx_buffer_size(d, frame);
      return "iface=" + d.target + ",qpairs=" + n + ",framesz=" + std::to_string(slot) +
             ",blocksz=" + std::to_string(std::max(slot, kPage));
    }
    case DeviceKind::kAfXdp:
      return "iface=" + d.target + ",start_queue=0,queue_count=" + n;
    case DeviceKind::kPcap:
      return "iface=" + d.target;
    case DeviceKind::kMemif:
      return d.args + (argument(d.args, "socket-abstract").empty() ? ",socket-abstract=no" : "");
    case DeviceKind::kVirtioUser:
      return d.args + (argument(d.args, "queues").empty() ? ",queues=" + n : "");
    case DeviceKind::kVhost:
      return "iface=" + d.target + ",queues=" + n;
    case DeviceKind::kRing:
    case DeviceKind::kNull:
    case DeviceKind::kPci:
    case DeviceKind::kRaw:
      break;
  }
  return d.args;
}

}  // namespace weir::dpdk

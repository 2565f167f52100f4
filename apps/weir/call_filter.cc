#include "call_filter.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace weir::app {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#endif

constexpr std::uint32_t kCall = offsetof(seccomp_data, nr);
constexpr std::uint32_t kArch = offsetof(seccomp_data, arch);

// The low half of an argument, on a machine with the low octets first.
constexpr std::uint32_t argument(unsigned i) {
  return static_cast<std::uint32_t>(offsetof(seccomp_data, args) + i * sizeof(std::uint64_t));
}

constexpr sock_filter load(std::uint32_t at) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at);
}
constexpr sock_filter jump(std::uint16_t how, std::uint32_t value, std::uint8_t then,
                           std::uint8_t otherwise) {
  return BPF_JUMP(static_cast<std::uint16_t>(BPF_JMP | how), value, then, otherwise);
}
constexpr sock_filter if_equal(std::uint32_t value, std::uint8_t then, std::uint8_t otherwise) {
  return jump(BPF_JEQ, value, then, otherwise);
}
constexpr sock_filter end(std::uint32_t action) {
  return BPF_STMT(BPF_RET | BPF_K, action);
}

// Jumps count the instructions that are left out.
constexpr std::array kFilter = {
    load(kArch),
    if_equal(kArchitecture, 0, 11),
    load(kCall),
    if_equal(SYS_io_uring_setup, 10, 0),
    if_equal(SYS_sendto, 3, 0),
    if_equal(SYS_sendmmsg, 2, 0),
    if_equal(SYS_sendmsg, 3, 6),
    end(SECCOMP_RET_ALLOW),
    load(argument(3)),
    jump(BPF_JA, 1, 0, 0),
    load(argument(2)),
    jump(BPF_JSET, MSG_FASTOPEN, 0, 1),
    end(SECCOMP_RET_ERRNO | EOPNOTSUPP),
    end(SECCOMP_RET_ALLOW),
    end(SECCOMP_RET_ERRNO | EPERM),
};

bool install() {
  sock_fprog program{};
  program.len = static_cast<unsigned short>(kFilter.size());
  program.filter = const_cast<sock_filter*>(kFilter.data());
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace

std::string refuse_calls() {
  if (install()) return {};
  if (errno == EACCES && prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) == 0 && install())
    return {};
  if (errno == EINVAL) return {};  // a kernel without filters
  return std::string("io_uring cannot be refused (seccomp): ") + std::strerror(errno);
}

}  // namespace weir::app

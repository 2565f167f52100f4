// What the functions of weir.h have in common: errnos, descriptors, vectors.
#pragma once

#include <sys/uio.h>

#include <cerrno>
#include <cstddef>

#include "socket/tcp_socket.h"
#include "socket/udp_socket.h"

namespace weir::posix {

// An errno, 0 for none, as these functions return it.
inline int answer(int error) {
  if (error == 0) return 0;
  errno = error;
  return -1;
}

// Octets, or an errno below 0.
inline ssize_t answer_octets(ssize_t n) {
  if (n >= 0) return n;
  errno = static_cast<int>(-n);
  return -1;
}

// The TCP socket `fd`, or null and errno: EBADF; ENOTSOCK; `otherwise` for a socket of another
// kind.
TcpSocket* tcp_socket(weir_stack* stack, int fd, int otherwise);

// The UDP socket `fd`; null, and errno as it was, for anything else.
UdpSocket* udp_socket(weir_stack* stack, int fd);

// False and errno where Linux would not take it: EMSGSIZE, EFAULT, EINVAL. Where its pieces lie is
// looked at when text goes there (nowhere_within).
[[nodiscard]] bool vector_ok(const iovec* iov, std::size_t count);

ssize_t send_pieces(weir_stack* stack, int fd, const iovec* iov, std::size_t count, int flags);
ssize_t receive_pieces(weir_stack* stack, int fd, const iovec* iov, std::size_t count, int flags);

}  // namespace weir::posix

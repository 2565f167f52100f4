// SEND and RECEIVE of a TCP socket (RFC 9293 §3.10.2-3), in the order in which Linux's
// net/ipv4/tcp.c looks at errors, ends and text.
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "socket/options.h"
#include "socket/tcp_socket.h"

namespace weir::posix {
namespace {

std::size_t total(std::span<const iovec> pieces) {
  std::size_t n = 0;
  for (const iovec& v : pieces) n += v.iov_len;
  return n;
}

std::span<const std::byte> octets_of(const iovec& v) {
  return {static_cast<const std::byte*>(v.iov_base), v.iov_len};
}

// Octets taken; the last piece urgent up to its end where MSG_OOB says so.
std::size_t queue(EmbeddedStack& e, stack::ConnId id, std::span<const iovec> from, bool urgent) {
  std::size_t done = 0;
  for (const iovec& v : from) {
    if (v.iov_len == 0) continue;
    const bool last = &v == &from.back();
    const std::size_t n = urgent && last ? e.tcp().send_urgent(id, octets_of(v))
                                         : e.tcp().send_copy(id, octets_of(v));
    done += n;
    if (n < v.iov_len) break;
  }
  return done;
}

void discard(EmbeddedStack& e, stack::ConnId id, std::size_t n) {
  std::array<std::byte, 4'096> nowhere;
  while (n > 0) {
    const std::size_t some = std::min(n, nowhere.size());
    (void)e.tcp().receive_copy(id, {nowhere.data(), some});
    n -= some;
  }
}

// `n` octets of what is there, into the pieces; nowhere with MSG_TRUNC. They stay with MSG_PEEK.
void copy_out(EmbeddedStack& e, stack::ConnId id, std::span<const iovec> to, std::size_t n,
              int flags) {
  if ((flags & MSG_TRUNC) != 0) {
    if ((flags & MSG_PEEK) == 0) discard(e, id, n);
    return;
  }
  std::size_t done = 0;
  for (const iovec& v : to) {
    const std::span<std::byte> into{static_cast<std::byte*>(v.iov_base),
                                    std::min(v.iov_len, n - done)};
    if (into.empty()) continue;
    done += (flags & MSG_PEEK) != 0 ? e.tcp().peek(id, done, into) : e.tcp().receive_copy(id, into);
  }
}

// Whether MSG_WAITALL has to wait: for no more than the buffer holds, or it would wait for ever.
bool waits_for_all(const EmbeddedStack& e, const TcpSocket& s, std::size_t have, std::size_t want,
                   int flags) {
  if ((flags & MSG_WAITALL) == 0 || (flags & MSG_DONTWAIT) != 0 || s.nonblock) return false;
  if (s.phase != Phase::kOpen || s.shut_read || s.error != 0) return false;
  return have < std::min<std::size_t>(want, static_cast<std::size_t>(receive_buffer_of(e, s)) / 4);
}

}  // namespace

ssize_t tcp_send(EmbeddedStack& e, TcpSocket& s, std::span<const iovec> from, int flags) {
  const bool opening = s.phase == Phase::kOpening;
  if (s.error != 0 && !s.shut_write) return -take_error(s);
  if (!opening && (s.phase != Phase::kOpen || s.shut_write)) {
    const int error = take_error(s);
    return -(error != 0 ? error : EPIPE);
  }
  if (opening) return -EAGAIN;
  if (total(from) == 0) return 0;
  if (nowhere_within(from, total(from))) return -EFAULT;
  const stack::ConnId id = *s.conn;
  const bool more = (flags & MSG_MORE) != 0;
  const std::size_t done = queue(e, id, from, (flags & MSG_OOB) != 0);
  // What was taken in part goes, whatever is to follow (tcp_sendmsg's wait_for_space).
  if (done > 0) e.tcp().set_more(id, more && done == total(from));
  if ((flags & MSG_EOR) != 0 && done == total(from)) e.tcp().end_record(id);
  // Room below a third of the buffer is told of when it has become that (sk_stream_is_writeable);
  // text that room was left for found no buffers, and these come back without a sign.
  if (done < total(from) && e.tcp().send_room(id) > 0) {
    e.tcp().want_writable(id);
  } else if ((ready_of(e, s) & EPOLLOUT) == 0 || done < total(from)) {
    e.tcp().want_room(id);
  }
  e.settle();
  return done == 0 ? -EAGAIN : static_cast<ssize_t>(done);
}

ssize_t tcp_receive(EmbeddedStack& e, TcpSocket& s, std::span<const iovec> to, int flags) {
  if ((flags & MSG_ERRQUEUE) != 0) return -EAGAIN;
  if (s.phase == Phase::kListening) return -ENOTCONN;
  if ((flags & MSG_OOB) != 0) return -EINVAL;  // urgent text is in line (RFC 6093 §3.2)
  const std::size_t want = total(to);
  const std::size_t have = unread(e, s);
  if (have == 0) {
    if (s.fin_seen) return 0;
    if (s.error != 0) return -take_error(s);
    if (s.shut_read) return 0;
    return s.phase == Phase::kClosed ? -ENOTCONN : -EAGAIN;
  }
  if (waits_for_all(e, s, have, want, flags)) return -EAGAIN;
  const std::size_t n = std::min(have, want);
  if ((flags & MSG_TRUNC) == 0 && nowhere_within(to, n)) return -EFAULT;
  copy_out(e, *s.conn, to, n, flags);
  if ((flags & MSG_PEEK) == 0) forget_if_over(e, s);
  e.settle();
  return static_cast<ssize_t>(n);
}

}  // namespace weir::posix

#include "known.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace weir::differential {
namespace {

bool is_option(const Call& c, int level, int name) {
  return (c.op == Op::kGetsockopt || c.op == Op::kSetsockopt) && c.a == level && c.b == name;
}

bool sends(const Call& c) {
  return c.op == Op::kSend || c.op == Op::kSendto || c.op == Op::kSendmsg || c.op == Op::kWrite ||
         c.op == Op::kWritev;
}

bool receives(const Call& c) {
  return c.op == Op::kRecv || c.op == Op::kRecvfrom || c.op == Op::kRecvmsg;
}

bool was_shut(const std::vector<Call>& before) {
  return std::any_of(before.begin(), before.end(), [](const Call& c) {
    return c.op == Op::kShutdown && (c.a == SHUT_WR || c.a == SHUT_RDWR);
  });
}

bool was_set(const std::vector<Call>& before, int level, int name) {
  return std::any_of(before.begin(), before.end(), [&](const Call& c) {
    return c.op == Op::kSetsockopt && is_option(c, level, name);
  });
}

bool was_connected(const std::vector<Call>& before, int slot) {
  return std::any_of(before.begin(), before.end(), [&](const Call& c) {
    return (c.op == Op::kDisconnect || c.op == Op::kConnect) && c.slot == slot;
  });
}

bool mapped_connects(const std::vector<Call>& before) {
  return std::any_of(before.begin(), before.end(), [](const Call& c) {
    return c.op == Op::kConnect && c.where != Where::kSelf && c.where != Where::kAny;
  });
}

bool held_back(const std::vector<Call>& before, int slot) {
  return std::any_of(before.begin(), before.end(), [&](const Call& c) {
    return sends(c) && (c.a & MSG_MORE) != 0 && c.slot == slot;
  });
}

bool has(const std::string& text, const char* what) {
  return text.find(what) != std::string::npos;
}

// Some slot's readiness differs, and wherever it does `how` says so.
bool ready_differs_by(const Met& m,
                      bool (*how)(const std::string& kernel, const std::string& weir)) {
  bool any = false;
  for (std::size_t i = 0; i < kSlots; ++i) {
    if (m.kernel.ready[i] == m.weir.ready[i]) continue;
    if (!how(m.kernel.ready[i], m.weir.ready[i])) return false;
    any = true;
  }
  return any;
}

constexpr int kClose = 7;

constexpr Known kKnown[] = {
    {"default sizes",
     "buffers grow by themselves in their own steps; a kernel's sysctls say where from",
     [](const Met& m) {
       return m.call.op == Op::kGetsockopt && m.kernel.result == 0 && m.weir.result == 0 &&
              (is_option(m.call, SOL_SOCKET, SO_SNDBUF) ||
               is_option(m.call, SOL_SOCKET, SO_RCVBUF));
     },
     true},
    {"congestion control", "the kernel's own default is a sysctl, and it may know more of them",
     [](const Met& m) {
       return m.call.op == Op::kGetsockopt &&
              ((is_option(m.call, IPPROTO_TCP, TCP_CONGESTION) && m.weir.result == 0) ||
               is_option(m.call, IPPROTO_TCP, TCP_CC_INFO));
     },
     true},
    {"TCP_MAXSEG", "a segment's size follows the MTU, the window and the options on it",
     [](const Met& m) {
       return m.call.op == Op::kGetsockopt && is_option(m.call, IPPROTO_TCP, TCP_MAXSEG) &&
              m.kernel.result == 0 && m.weir.result == 0 && m.kernel.ready == m.weir.ready;
     },
     true},
    {"TCP_WINDOW_CLAMP", "Linux tells the clamp it chose itself; here 0 until one is set",
     [](const Met& m) {
       return m.call.op == Op::kGetsockopt && is_option(m.call, IPPROTO_TCP, TCP_WINDOW_CLAMP) &&
              m.kernel.result == 0 && m.weir.result == 0 && m.kernel.ready == m.weir.ready;
     },
     true},
    {"urgent octet", "one octet out of line on Linux, all in line here (RFC 6093)",
     [](const Met& m) {
       const bool oob = sends(m.call) && (m.call.a & MSG_OOB) != 0;
       return oob && m.kernel.text() == m.weir.text();
     },
     false},
    {"MSG_OOB", "there is nothing out of line to be received",
     [](const Met& m) {
       return receives(m.call) && (m.call.a & MSG_OOB) != 0 && m.weir.error == EINVAL &&
              m.kernel.ready == m.weir.ready;
     },
     true},
    {"port given back", "a datagram socket that is disconnected keeps its port while text waits",
     [](const Met& m) {
       const std::string& ready = m.weir.ready[static_cast<std::size_t>(m.call.slot)];
       return m.call.op == Op::kDisconnect && m.weir_state == -1 &&
              (has(ready, "IN") || has(ready, "ERR"));
     },
     false},
    {"SIOCOUTQ of what is over", "Linux tells what it has added to the sequence number of old",
     [](const Met& m) {
       return m.call.op == Op::kIoctl && m.kernel_state == kClose && m.weir.detail == "0" &&
              (m.call.a == SIOCOUTQ || m.call.a == SIOCOUTQNSD) && m.kernel.ready == m.weir.ready;
     },
     true},
    {"SIOCOUTQ of datagrams", "what is held back counts with its buffers on Linux, here not at all",
     [](const Met& m) {
       return m.call.op == Op::kIoctl && m.kernel_state == -1 && m.call.a == SIOCOUTQ &&
              m.weir.detail == "0" && m.kernel.result == 0 && m.kernel.ready == m.weir.ready;
     },
     true},
    {"TCP_TIMESTAMP", "each has a clock and an offset of its own",
     [](const Met& m) {
       return m.call.op == Op::kGetsockopt && is_option(m.call, IPPROTO_TCP, TCP_TIMESTAMP) &&
              m.kernel.result == 0 && m.weir.result == 0 && m.kernel.ready == m.weir.ready;
     },
     true},
    {"text for nobody", "text that resets a socket shut both ways takes along what was unread",
     [](const Met& m) {
       return sends(m.call) && m.kernel.text() == m.weir.text() &&
              ready_differs_by(m, [](const std::string& kernel, const std::string& weir) {
                return has(weir, "ERR|HUP") && kernel.starts_with(weir + " inq ");
              });
     },
     false},
    {"TCP_QUICKACK", "both leave quick ACKs by themselves, each when it sees fit",
     [](const Met& m) {
       return m.call.op == Op::kGetsockopt && is_option(m.call, IPPROTO_TCP, TCP_QUICKACK) &&
              m.kernel.result == 0 && m.weir.result == 0 && m.kernel.ready == m.weir.ready;
     },
     true},
    {"port 0", "Linux sends to port 0 as to any other; here it is refused or not taken at once",
     [](const Met& m) {
       return m.call.op == Op::kConnect && m.call.port.kind == Port::kZero &&
              m.kernel.text() != m.weir.text() &&
              (m.weir.error == ECONNREFUSED || m.weir.error == EACCES);
     },
     false},
    {"FIN of a listener", "shut for writing before: Linux's FINs go before accept, here with it",
     [](const Met& m) {
       return m.call.op == Op::kConnect && m.kernel.text() == m.weir.text() && was_shut(m.before) &&
              ready_differs_by(m, [](const std::string& kernel, const std::string& weir) {
                return has(kernel, "RDHUP") && !has(weir, "RDHUP");
              });
     },
     false},
    {"TCP_DEFER_ACCEPT of who connects", "Linux delays the last ACK of its handshake, too",
     [](const Met& m) {
       return m.call.op == Op::kConnect && was_set(m.before, IPPROTO_TCP, TCP_DEFER_ACCEPT) &&
              m.kernel.text() == m.weir.text() &&
              ready_differs_by(m, [](const std::string& kernel, const std::string& weir) {
                return kernel == "0" && weir == "IN|RDNORM";
              });
     },
     false},
    {"UDP_CORK", "Linux keeps what it holds back when the peer is forgotten",
     [](const Met& m) {
       return sends(m.call) && m.kernel_state == -1 && m.weir.error == EDESTADDRREQ &&
              was_set(m.before, IPPROTO_UDP, UDP_CORK);
     },
     false},
    {"first family", "Linux: a datagram socket of both has the address of the one it spoke first",
     [](const Met& m) {
       const bool told = m.call.op == Op::kGetsockname && m.kernel.ready == m.weir.ready;
       const bool sent = sends(m.call) && m.kernel.text() == m.weir.text();
       return (told || sent) && m.differ && m.kernel_state == -1 && m.call.family == AF_INET6 &&
              mapped_connects(m.before);
     },
     false},
    {"second family", "Linux: a stream socket that has spoken IPv4 does not get IPv6's answers",
     [](const Met& m) {
       return m.call.op == Op::kConnect && m.call.family == AF_INET6 &&
              (m.call.where == Where::kSelf || m.call.where == Where::kAny) &&
              was_connected(m.before, m.call.slot) &&
              !has(m.kernel.ready[static_cast<std::size_t>(m.call.slot)], "OUT") &&
              m.kernel.text() == m.weir.text();
     },
     false},
    {"peer after MSG_MORE",
     "Linux: a connected datagram socket sends on to whom it held one back for",
     [](const Met& m) {
       const bool to_peer =
           sends(m.call) && m.call.op != Op::kSendto && (m.call.op != Op::kSendmsg || m.call.null);
       return to_peer && m.kernel_state == -1 && m.kernel.text() == m.weir.text() &&
              held_back(m.before, m.call.slot);
     },
     false},
    {"TCP_NOTSENT_LOWAT", "text is taken up to the mark; Linux fills the segment that it has begun",
     [](const Met& m) {
       return sends(m.call) && m.kernel_state > 0 && m.kernel.result > m.weir.result &&
              was_set(m.before, IPPROTO_TCP, TCP_NOTSENT_LOWAT);
     },
     false},
    {"SO_RCVLOWAT", "half of the largest buffer at most, which each has its own setting for",
     [](const Met& m) {
       return m.call.op == Op::kGetsockopt && is_option(m.call, SOL_SOCKET, SO_RCVLOWAT) &&
              m.kernel.ready == m.weir.ready && m.kernel.detail.size() > 6 &&
              m.weir.detail.size() > 6;
     },
     true},
    {"room after TCP_NOTSENT_LOWAT", "Linux counts what it added to the sequence number of old",
     [](const Met& m) {
       const bool now = is_option(m.call, IPPROTO_TCP, TCP_NOTSENT_LOWAT);
       return m.kernel.text() == m.weir.text() &&
              (now || was_set(m.before, IPPROTO_TCP, TCP_NOTSENT_LOWAT)) &&
              ready_differs_by(m, [](const std::string& kernel, const std::string& weir) {
                return has(weir, "OUT") && !has(kernel, "OUT") && has(kernel, "HUP");
              });
     },
     false},
    {"a source that is not here",
     "of IPv4, in a control message: kernels differ in what they call it",
     [](const Met& m) {
       return m.call.op == Op::kSendmsg && m.call.c == 7 && m.kernel.result < 0 &&
              m.weir.error == EINVAL;
     },
     true},
    {"SO_LINGER below 0", "Linux tells what its clock makes of it",
     [](const Met& m) {
       return m.call.op == Op::kGetsockopt && is_option(m.call, SOL_SOCKET, SO_LINGER) &&
              m.kernel.result == 0 && m.weir.result == 0 && m.kernel.ready == m.weir.ready &&
              has(m.weir.detail, "ff");
     },
     true},
    {"one family's address",
     "of a datagram socket that is for the other: Linux sends from an odd one",
     [](const Met& m) {
       const bool goes = sends(m.call) || m.call.op == Op::kConnect;
       const int k = m.kernel.error, w = m.weir.error;
       const bool later = k == 0 || k == EPIPE || k == ECONNREFUSED;  // Linux has not noticed
       const bool here = later && (w == ENETUNREACH || w == EAFNOSUPPORT);
       const bool there = k == EINVAL && w == 0 && m.call.where != Where::kSelf;
       return goes && m.kernel_state == -1 && m.call.family == AF_INET6 && (here || there);
     },
     false},
    {"SO_TIMESTAMP of a stream", "kept and told; no control message comes with the text",
     [](const Met& m) {
       return m.call.op == Op::kRecvmsg && m.kernel_state > 0 && m.kernel.result == m.weir.result &&
              m.kernel.ready == m.weir.ready && was_set(m.before, SOL_SOCKET, SO_TIMESTAMP);
     },
     true},
    {"unknown ioctl of an epoll", "kernels from 6.9 on know some and say EINVAL",
     [](const Met& m) {
       return m.call.op == Op::kIoctl && m.kernel.error == EINVAL && m.weir.error == ENOTTY;
     },
     true},
    {"epoll_wait of nothing into nothing", "kernels differ in which of two faults they say first",
     [](const Met& m) {
       return m.call.op == Op::kEpollWait && (m.call.a < 1 || m.call.null) && m.kernel.result < 0 &&
              m.weir.result < 0;
     },
     true},
};

}  // namespace

std::span<const Known> known_differences() {
  return kKnown;
}

}  // namespace weir::differential

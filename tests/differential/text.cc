// Calls and what they gave, to be read.
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cstring>

#include "call.h"

namespace weir::differential {
namespace {

const char* name_of(Op op) {
  static constexpr const char* kNames[] = {"socket",        "bind",          "listen",
                                           "accept4",       "connect",       "connect AF_UNSPEC",
                                           "read",          "readv",         "recv",
                                           "recvfrom",      "recvmsg",       "write",
                                           "writev",        "send",          "sendto",
                                           "sendmsg",       "shutdown",      "close",
                                           "getsockname",   "getpeername",   "getsockopt",
                                           "setsockopt",    "fcntl F_GETFL", "blocking",
                                           "ioctl",         "poll",          "select",
                                           "epoll_create1", "epoll_ctl",     "epoll_wait",
                                           "wait"};
  return kNames[static_cast<std::size_t>(op)];
}

struct Named {
  int level, name;
  const char* text;
};
#define NAMED(level, name) \
  { level, name, #name }
constexpr Named kOptionNames[] = {NAMED(SOL_SOCKET, SO_REUSEADDR),
                                  NAMED(SOL_SOCKET, SO_REUSEPORT),
                                  NAMED(SOL_SOCKET, SO_SNDBUF),
                                  NAMED(SOL_SOCKET, SO_RCVBUF),
                                  NAMED(SOL_SOCKET, SO_KEEPALIVE),
                                  NAMED(SOL_SOCKET, SO_LINGER),
                                  NAMED(SOL_SOCKET, SO_ERROR),
                                  NAMED(SOL_SOCKET, SO_ACCEPTCONN),
                                  NAMED(SOL_SOCKET, SO_TYPE),
                                  NAMED(SOL_SOCKET, SO_DOMAIN),
                                  NAMED(SOL_SOCKET, SO_PROTOCOL),
                                  NAMED(SOL_SOCKET, SO_MEMINFO),
                                  NAMED(SOL_SOCKET, SO_COOKIE),
                                  NAMED(SOL_SOCKET, SO_INCOMING_CPU),
                                  NAMED(SOL_SOCKET, SO_SNDLOWAT),
                                  NAMED(SOL_SOCKET, SO_RCVTIMEO),
                                  NAMED(SOL_SOCKET, SO_SNDTIMEO),
                                  NAMED(SOL_SOCKET, SO_RCVLOWAT),
                                  NAMED(SOL_SOCKET, SO_OOBINLINE),
                                  NAMED(SOL_SOCKET, SO_BROADCAST),
                                  NAMED(SOL_SOCKET, SO_TIMESTAMP),
                                  NAMED(SOL_SOCKET, SO_DONTROUTE),
                                  NAMED(SOL_SOCKET, SO_MAX_PACING_RATE),
                                  NAMED(IPPROTO_TCP, TCP_NODELAY),
                                  NAMED(IPPROTO_TCP, TCP_CORK),
                                  NAMED(IPPROTO_TCP, TCP_MAXSEG),
                                  NAMED(IPPROTO_TCP, TCP_KEEPIDLE),
                                  NAMED(IPPROTO_TCP, TCP_KEEPINTVL),
                                  NAMED(IPPROTO_TCP, TCP_KEEPCNT),
                                  NAMED(IPPROTO_TCP, TCP_USER_TIMEOUT),
                                  NAMED(IPPROTO_TCP, TCP_SYNCNT),
                                  NAMED(IPPROTO_TCP, TCP_LINGER2),
                                  NAMED(IPPROTO_TCP, TCP_DEFER_ACCEPT),
                                  NAMED(IPPROTO_TCP, TCP_WINDOW_CLAMP),
                                  NAMED(IPPROTO_TCP, TCP_CONGESTION),
                                  NAMED(IPPROTO_TCP, TCP_QUICKACK),
                                  NAMED(IPPROTO_TCP, TCP_NOTSENT_LOWAT),
                                  NAMED(IPPROTO_TCP, TCP_INFO),
                                  NAMED(IPPROTO_TCP, TCP_CC_INFO),
                                  NAMED(IPPROTO_TCP, TCP_INQ),
                                  NAMED(IPPROTO_TCP, TCP_TIMESTAMP),
                                  NAMED(IPPROTO_IP, IP_TOS),
                                  NAMED(IPPROTO_IP, IP_TTL),
                                  NAMED(IPPROTO_IP, IP_RECVTOS),
                                  NAMED(IPPROTO_IP, IP_RECVTTL),
                                  NAMED(IPPROTO_IP, IP_PKTINFO),
                                  NAMED(IPPROTO_IP, IP_MTU_DISCOVER),
                                  NAMED(IPPROTO_IPV6, IPV6_V6ONLY),
                                  NAMED(IPPROTO_IPV6, IPV6_TCLASS),
                                  NAMED(IPPROTO_IPV6, IPV6_UNICAST_HOPS),
                                  NAMED(IPPROTO_IPV6, IPV6_RECVPKTINFO),
                                  NAMED(IPPROTO_IPV6, IPV6_RECVHOPLIMIT),
                                  NAMED(IPPROTO_IPV6, IPV6_RECVTCLASS),
                                  NAMED(IPPROTO_UDP, UDP_CORK)};
#undef NAMED

struct Bit {
  std::uint32_t bit;
  const char* text;
};

std::string bits_text(std::uint32_t bits, const Bit* known, std::size_t n) {
  std::string out;
  for (std::size_t i = 0; i < n; ++i) {
    if ((bits & known[i].bit) == 0) continue;
    bits &= ~known[i].bit;
    out += (out.empty() ? "" : "|") + std::string(known[i].text);
  }
  if (bits != 0) out += (out.empty() ? "" : "|") + std::to_string(bits);
  return out.empty() ? "0" : out;
}

std::string message_flags(int flags) {
  static constexpr Bit kBits[] = {
      {MSG_OOB, "OOB"},           {MSG_PEEK, "PEEK"}, {MSG_TRUNC, "TRUNC"},
      {MSG_DONTWAIT, "DONTWAIT"}, {MSG_EOR, "EOR"},   {MSG_WAITALL, "WAITALL"},
      {MSG_NOSIGNAL, "NOSIGNAL"}, {MSG_MORE, "MORE"}, {MSG_ERRQUEUE, "ERRQUEUE"}};
  return bits_text(static_cast<std::uint32_t>(flags), kBits, std::size(kBits));
}

std::string address_text(const Call& c) {
  static constexpr const char* kWhere[] = {"self",        "any",        "foreign",
                                           "mapped self", "mapped any", "of the other family"};
  std::string out = kWhere[static_cast<std::size_t>(c.where)];
  out += c.port.kind == Port::kZero    ? ":0"
         : c.port.kind == Port::kFixed ? ":P" + std::to_string(c.port.index)
                                       : ":port of s" + std::to_string(c.port.index);
  if (c.length_off != 0) out += ", length off by " + std::to_string(c.length_off);
  return c.null ? "NULL, " + out : out;
}

std::string pieces_text(const Call& c) {
  std::string out = "{";
  for (const int n : c.lengths) {
    out += (out.size() > 1 ? "," : "") + (n < 0 ? std::string("NULL 16") : std::to_string(n));
  }
  return out + "}";
}

std::string value_text(const Call& c) {
  std::string out = c.null ? "NULL" : "";
  if (c.value.size() == sizeof(int)) {
    int v = 0;
    std::memcpy(&v, c.value.data(), sizeof v);
    out += std::to_string(v);
  } else if (c.b == TCP_CONGESTION && c.a == IPPROTO_TCP) {
    out += '"' + std::string(c.value.begin(), c.value.end()) + '"';
  } else {
    for (const unsigned char o : c.value) out += std::to_string(o) + " ";
  }
  return out + " len " + std::to_string(static_cast<int>(c.value.size()) + c.length_off);
}

std::string arguments_of(const Call& c) {
  switch (c.op) {
    case Op::kSocket:
      return std::to_string(c.family) + ", type " + std::to_string(c.a) + ", " +
             std::to_string(c.b);
    case Op::kBind:
    case Op::kConnect:
      return address_text(c);
    case Op::kListen:
    case Op::kShutdown:
    case Op::kWait:
    case Op::kEpollCreate:
    case Op::kBlocking:
    case Op::kEpollWait:
      return std::to_string(c.a);
    case Op::kAccept:
      return "-> s" + std::to_string(c.other) + ", flags " + std::to_string(c.a) +
             (c.null ? ", NULL" : ", length off by " + std::to_string(c.length_off));
    case Op::kSendto:
    case Op::kSendmsg:
      return pieces_text(c) + ", " + message_flags(c.a) + ", to " + address_text(c) +
             (c.c != 0 ? ", control " + std::to_string(c.c) : "");
    case Op::kRecvmsg:
      return pieces_text(c) + ", " + message_flags(c.a) + ", control " + std::to_string(c.b) +
             ", length off by " + std::to_string(c.length_off);
    case Op::kGetsockname:
    case Op::kGetpeername:
      return (c.null ? "NULL, " : "") + ("length off by " + std::to_string(c.length_off));
    case Op::kGetsockopt:
      return option_name(c.a, c.b) + ", len " + std::to_string(c.c) + (c.null ? ", NULL" : "");
    case Op::kSetsockopt:
      return option_name(c.a, c.b) + ", " + value_text(c);
    case Op::kIoctl:
      return std::to_string(c.a) + (c.null ? ", NULL" : "");
    case Op::kEpollCtl:
      return std::to_string(c.a) + ", s" + std::to_string(c.other) + ", " +
             (c.null ? "NULL" : event_bits(static_cast<std::uint32_t>(c.b)));
    default:
      return pieces_text(c) + ", " + message_flags(c.a);
  }
}

}  // namespace

std::string option_name(int level, int name) {
  for (const Named& n : kOptionNames) {
    if (n.level == level && n.name == name) return n.text;
  }
  return std::to_string(level) + "," + std::to_string(name);
}

std::string event_bits(std::uint32_t bits) {
  static constexpr Bit kBits[] = {
      {EPOLLIN, "IN"},           {EPOLLPRI, "PRI"},       {EPOLLOUT, "OUT"},
      {EPOLLERR, "ERR"},         {EPOLLHUP, "HUP"},       {0x20, "NVAL"},
      {EPOLLRDNORM, "RDNORM"},   {EPOLLRDBAND, "RDBAND"}, {EPOLLWRNORM, "WRNORM"},
      {EPOLLWRBAND, "WRBAND"},   {EPOLLRDHUP, "RDHUP"},   {EPOLLEXCLUSIVE, "EXCLUSIVE"},
      {EPOLLONESHOT, "ONESHOT"}, {EPOLLET, "ET"}};
  return bits_text(bits, kBits, std::size(kBits));
}

std::string text_of(const Call& c) {
  std::string out = name_of(c.op);
  if (c.op == Op::kPoll || c.op == Op::kSelect) {
    for (std::size_t i = 0; i < kSlots; ++i) {
      if (c.masks[i] < 0) continue;
      out += " s" + std::to_string(i) + ":";
      out += c.op == Op::kPoll ? event_bits(static_cast<std::uint32_t>(c.masks[i]))
                               : std::to_string(c.masks[i]);
    }
    return out;
  }
  return out + "(s" + std::to_string(c.slot) + ", " + arguments_of(c) + ")";
}

std::string Outcome::text() const {
  std::string out = std::to_string(result);
  if (error != 0) out += std::string(" ") + strerrorname_np(error);
  return detail.empty() ? out : out + " " + detail;
}

}  // namespace weir::differential

// setsockopt and getsockopt of a TCP socket: lengths, ranges and answers are Linux's.
#pragma once

#include "socket/tcp_socket.h"

namespace weir::posix {

// -- option_apply.cc: from what was set to the connection
// For the SYN or the SYN-ACK of a connection with peers of that family.
[[nodiscard]] stack::ConnOptions conn_options(const TcpSocket& s, bool v4);
// What these do not hold, to a connection that `s` has just got.
void apply_rest(EmbeddedStack& e, TcpSocket& s);
void apply_option(EmbeddedStack& e, TcpSocket& s, int level, int name);  // the one just set

// -- tcp_info.cc
// struct tcp_info of <linux/tcp.h>, cut to `length`.
int get_info(const EmbeddedStack& e, const TcpSocket& s, void* value, socklen_t& length);
// Octets of text in a segment, options subtracted; 0: no connection.
[[nodiscard]] int mss_of(const EmbeddedStack& e, const TcpSocket& s);
[[nodiscard]] int mtu_of(const EmbeddedStack& e, const TcpSocket& s);
// As SO_RCVBUF and SO_SNDBUF tell them.
[[nodiscard]] int receive_buffer_of(const EmbeddedStack& e, const TcpSocket& s);
[[nodiscard]] int send_buffer_of(const EmbeddedStack& e, const TcpSocket& s);
[[nodiscard]] std::size_t not_sent(const EmbeddedStack& e, const TcpSocket& s);  // octets queued

// What was set, an int; of IP options one octet will do. False: too short.
[[nodiscard]] bool read_int(int level, const void* value, socklen_t length, int& v);
// SO_MAX_PACING_RATE: four octets, or a word of the machine's; all ones are no rate.
int read_pacing_rate(const void* value, socklen_t length, std::uint64_t& rate);
int give_pacing_rate(std::uint64_t rate, void* value, socklen_t& length);
// getsockopt of what is not known: of a level of this socket's, or of no such level.
[[nodiscard]] int unknown_option(int level, bool v4);
// SO_COOKIE: a number that no other socket of the stack has.
int give_cookie(EmbeddedStack& e, Descriptor& d, void* value, socklen_t& length);
// errnos, 0 for none. `value` and `length` are not null.
int set_option(EmbeddedStack& e, TcpSocket& s, int level, int name, const void* value,
               socklen_t length);
int get_option(EmbeddedStack& e, TcpSocket& s, int level, int name, void* value, socklen_t& length);

}  // namespace weir::posix

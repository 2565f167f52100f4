// Names, addresses, routes, settings.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "harness.h"
#include "preload/protocol.h"
#include "preload/routes.h"
#include "preload/settings.h"

namespace weir::preload::test {
namespace {

sockaddr_storage address6(const char* ip, std::uint16_t port) {
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(port);
  in.sin6_scope_id = 3;
  EXPECT_EQ(1, inet_pton(AF_INET6, ip, &in.sin6_addr));
  sockaddr_storage out{};
  std::memcpy(&out, &in, sizeof in);
  return out;
}

TEST(Name, ComesBackFromTheKernelAsItWasGiven) {
  Name name;
  name.stack = 0x0123'4567'89ab'cdefU ^ static_cast<std::uint64_t>(getpid());
  name.id = 77;
  name.kind = Kind::kGate;
  name.local = shorten(address(kProgram, 80));
  name.peer = shorten(address6("2001:db8::7", 4'000));
  sockaddr_storage out;
  const socklen_t length = write_name(name, out);
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(0, bind(fd, reinterpret_cast<const sockaddr*>(&out), length)) << strerror(errno);
  const int copy = dup(fd);
  close(fd);
  Name read;
  ASSERT_TRUE(name_of(copy, read));
  close(copy);
  EXPECT_EQ(0, std::memcmp(&name, &read, sizeof name));
  sockaddr_storage peer;
  EXPECT_EQ(sizeof(sockaddr_in6), lengthen(read.peer, peer));
  const sockaddr_storage was = address6("2001:db8::7", 4'000);
  EXPECT_EQ(0, std::memcmp(&was, &peer, sizeof(sockaddr_in6)));
}

TEST(Name, OtherSocketsHaveNone) {
  Name name;
  const int ip = socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_FALSE(name_of(ip, name));
  close(ip);
  int ends[2];
  ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
  errno = 5;
  EXPECT_FALSE(name_of(ends[0], name));
  EXPECT_FALSE(name_of(-1, name));
  EXPECT_EQ(5, errno);
  close(ends[0]);
  close(ends[1]);
}

TEST(Settings, AreLinesOfKeyAndValue) {
  std::vector<std::string> said;
  for_each_setting("a=1\nb=x=y\nnonsense\n\nc=", [&](std::string_view key, std::string_view value) {
    said.push_back(std::string(key) + ":" + std::string(value));
  });
  EXPECT_EQ((std::vector<std::string>{"a:1", "b:x=y", "c:"}), said);
}

constexpr const char* kSettings =
    "address=10.99.0.2/24\naddress=2001:db8:99::2/64\ngateway=10.99.0.1\n";

TEST(Routes, WhatBindsWeirsAddressIsWeirs) {
  const Routes r(kSettings);
  EXPECT_EQ(Where::kWeir, r.of_local(address("10.99.0.2", 80)));
  EXPECT_EQ(Where::kWeir, r.of_local(address6("2001:db8:99::2", 80)));
  EXPECT_EQ(Where::kWeir, r.of_local(address6("::ffff:10.99.0.2", 80)));
  EXPECT_EQ(Where::kKernel, r.of_local(address("10.99.0.1", 80)));
  EXPECT_EQ(Where::kKernel, r.of_local(address("127.0.0.1", 80)));
  EXPECT_EQ(Where::kBoth, r.of_local(address("0.0.0.0", 80)));
  EXPECT_EQ(Where::kBoth, r.of_local(address6("::", 80)));
}

TEST(Routes, WhatIsOnALinkOfWeirsIsReachedByIt) {
  const Routes r(kSettings);
  EXPECT_EQ(Where::kWeir, r.of_peer(address("10.99.0.77", 80)));
  EXPECT_EQ(Where::kWeir, r.of_peer(address6("2001:db8:99::1", 80)));
  EXPECT_EQ(Where::kWeir, r.of_peer(address6("::ffff:10.99.0.1", 80)));
  EXPECT_EQ(Where::kKernel, r.of_peer(address("127.0.0.53", 53)));
  EXPECT_EQ(Where::kKernel, r.of_peer(address6("::1", 53)));
  EXPECT_EQ(Where::kKernel, r.of_peer(address("0.0.0.0", 53)));
  EXPECT_EQ(Where::kKernel, r.of_peer(address6("fe80::1", 53)));
}

TEST(Routes, AGatewayTakesTheRestOfItsFamily) {
  const Routes with(kSettings), without("address=10.99.0.2/24\n");
  EXPECT_EQ(Where::kWeir, with.of_peer(address("192.0.2.1", 80)));
  EXPECT_EQ(Where::kKernel, with.of_peer(address6("2001:db8::1", 80)));
  EXPECT_EQ(Where::kKernel, without.of_peer(address("192.0.2.1", 80)));
}

}  // namespace
}  // namespace weir::preload::test

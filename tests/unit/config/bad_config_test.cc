// Every kind of bad config: one line that names the place and the cure, and nothing else happens.
#include <gtest/gtest.h>

#include <ostream>

#include "fixture.h"

namespace weir::test {
namespace {

struct Bad {
  const char* name;
  void (*change)(Parts&);
  const char* says;  // a part of the message
};
// NOLINTNEXTLINE(readability-identifier-naming): the name that GoogleTest looks for
void PrintTo(const Bad& bad, std::ostream* out) {
  *out << bad.name;
}

class BadConfig : public testing::TestWithParam<Bad> {};

TEST_P(BadConfig, IsOneLineWithPlaceAndCure) {
  Parts parts;
  GetParam().change(parts);
  const auto c = parse(parts);
  ASSERT_FALSE(c.ok());
  EXPECT_NE(c.error().find(GetParam().says), std::string::npos) << c.error();
  EXPECT_EQ(c.error().rfind("x.toml:", 0), 0U) << c.error();
  EXPECT_EQ(c.error().find('\n'), std::string::npos) << c.error();
  EXPECT_LT(c.error().size(), 600U);
  RecordProperty("says", c.error());
}

#define BAD(name, statement, says)            \
  Bad {                                       \
#name, [](Parts & p) { statement; }, says \
  }

const Bad kBad[] = {
    // The text.
    BAD(Syntax, p.tail = "x = = 1\n", "x.toml:16: "),
    BAD(UnclosedString, p.tail = "x = \"abc\n", "x.toml:16: "),
    BAD(UnclosedTable, p.tail = "[pool\n", "x.toml:16: "),
    BAD(NoKeyInATableHeader, p.tail = "[!x]\n", "x.toml:16: "),
    BAD(NoKeyInAnInlineTable, p.tail = "x = {!}\n", "x.toml:16: "),
    BAD(InvalidUtf8, p.tail = "# \xff\xfe\n", "x.toml:16: "),
    BAD(ControlCharacter, p.tail = "# \x01\n", "x.toml:16: "),
    BAD(DuplicateKey, p.port += "mtu = 1500\nmtu = 1500\n", "mtu"),
    BAD(DuplicateTable, p.tail = "[port]\nmtu = 1500\n", "port"),
    BAD(IntegerOverflow, p.port += "mtu = 99999999999999999999\n", "x.toml:4: "),
    BAD(UnitSuffix, p.limits = "mbufs = 10k\n", "x.toml:7: "),
    // Keys and types.
    BAD(UnknownKey, p.port += "mtuu = 1500\n", "port.mtuu: unknown key; did you mean port.mtu?"),
    BAD(UnknownKeyFarOff, p.port += "colour = 1\n", "port.colour: unknown key; remove it"),
    BAD(UnknownTable, p.tail = "[prot]\n", "prot: unknown key; did you mean port?"),
    BAD(EmptyKey, p.port += "\"\" = 1\n", "port.\"\": unknown key"),
    BAD(ServeTable, p.tail = "[serve]\n", "belongs to `weir serve`"),
    BAD(ChallengeAckLimitZero, p.tcp = "challenge_ack_limit = 0\n", "tcp.challenge_ack_limit = 0:"),
    BAD(TwReuse, p.tcp = "tw_reuse = 3\n", "0 never, 1 by connect, 2 by connect to this host"),
    BAD(EcnUnknown, p.tcp = "ecn = 3\n",
        "tcp.ecn = 3: out of range 0..2; 0 off, 1 asked for and accepted, 2 accepted only"),
    BAD(TosWithEcnBits, p.tcp = "tos = 185\n", "tcp.tos = 185: its lower two bits are ECN's"),
    BAD(TosTooLarge, p.tcp = "tos = 256\n", "tcp.tos = 256: out of range 0..252"),
    BAD(StringForInteger, p.port += "mtu = \"1500\"\n",
        "x.toml:4: port.mtu = \"1500\": is a string, not an integer; write a number in 576..9216"),
    BAD(FractionForInteger, p.port += "mtu = 1.5\n", "port.mtu = 1.5: is a fraction"),
    BAD(IntegerForBoolean, p.eal = "hugepages = 1\n", "eal.hugepages = 1: is an integer"),
    BAD(IntegerForString, p.port = "device = 7\naddresses = [\"10.99.0.2/24\"]\n",
        "port.device = 7: is an integer, not a string"),
    BAD(TableForList, p.eal = "cores = {}\n", "eal.cores = {...}: is a table, not a list"),
    BAD(ValueForTable, p.tail = "put_aside_min = \"1s\"\n[run]\n[run.x]\n", "run.x: unknown key"),
    BAD(EmptyString, p.eal = "file_prefix = \"\"\n", "eal.file_prefix = \"\": empty"),
    // Ranges.
    BAD(MtuTooSmall, p.port += "mtu = 67\n",
        "x.toml:4: port.mtu = 67: out of range 576..9216; 1500 suits Ethernet"),
    BAD(MtuTooLarge, p.port += "mtu = 65536\n", "port.mtu = 65536: out of range"),
    BAD(MtuNegative, p.port += "mtu = -1\n", "port.mtu = -1: out of range"),
    BAD(MtuHex, p.port += "mtu = 0xffff\n", "port.mtu = 65535: out of range"),
    BAD(DescriptorsZero, p.port += "rx_descriptors = 0\n", "port.rx_descriptors = 0: out of"),
    BAD(MemoryHuge, p.eal = "memory_mb = 9223372036854775807\n", "out of range 32..1048576"),
    BAD(RetriesTooMany, p.tcp = "syn_retries = 256\n", "tcp.syn_retries = 256: out of range"),
    BAD(BacklogZero, p.listener += "backlog = 0\n", "listener[0].backlog = 0: out of range"),
    BAD(BacklogHuge, p.listener += "backlog = 2147483648\n", "out of range"),
    BAD(TimeNegative, p.tcp = "fin_timeout = -1\n", "tcp.fin_timeout = -1: out of range 1s..3600s"),
    BAD(TimeHuge, p.tcp = "fin_timeout = 9223372036854775807\n", "out of range 1s..3600s"),
    BAD(TimeWithoutUnit, p.tcp = "rto_min = \"200\"\n", "tcp.rto_min = \"200\": not a duration"),
    BAD(TimeWithWrongUnit, p.lb = "idle_timeout = \"5M\"\n", "lb.idle_timeout = \"5M\": not a"),
    BAD(DelayedAckMinAboveMax, p.tcp = "delack_min = 60\ndelack_max = 50\n", "above delack_max"),
    BAD(QuickacksTooMany, p.tcp = "quickacks = 17\n", "out of range 0..16; 0 never, 16 as Linux"),
    BAD(SlowStartLimitTooMuch, p.tcp = "slow_start_limit = 65\n", "out of range 0..64; 0 all"),
    BAD(UserTimeoutNegative, p.tcp = "user_timeout = -1\n", "out of range 0"),
    BAD(RmemDefaultTooSmall, p.tcp = "rmem_default = 4095\n", "out of range 4096..1073725440"),
    BAD(DelayedAckTooLate, p.tcp = "delack_max = 500\n", "out of range 1ms..499ms"),
    BAD(FragmentTime, p.tcp = "ipfrag_time = 121\n",
        "tcp.ipfrag_time = 121: out of range 1s..120s"),
    BAD(FragmentMemoryTooLittle, p.tcp = "ipfrag_high_thresh = 524287\n", "write 0 to drop"),
    BAD(FragmentMemoryTooMuch, p.tcp = "ipfrag_high_thresh = 1073741825\n",
        "tcp.ipfrag_high_thresh = 1073741825: out of range 0..1073741824"),
    BAD(UdpMemoryTooLittle, p.tcp = "udp_mem = 65535\n",
        "tcp.udp_mem = 65535: out of range 65536..1073741824"),
    BAD(R1TooSmall, p.tcp = "retries1 = 2\n", "tcp.retries1 = 2: out of range 3..127"),
    BAD(MtuProbing, p.tcp = "mtu_probing = 3\n", "tcp.mtu_probing = 3: out of range 0..2; 0 never"),
    BAD(BaseMss, p.tcp = "base_mss = 0\n", "tcp.base_mss = 0: out of range 88..65475"),
    BAD(MinPmtu, p.tcp = "min_pmtu = 67\n", "tcp.min_pmtu = 67: out of range 128..65535"),
    BAD(MtuExpires, p.tcp = "mtu_expires = 299\n", "out of range 300s..86400s"),
    BAD(RtoCrossed, p.tcp = "rto_min = 3000\nrto_max = 2000\n", "above rto_max = 2s"),
    BAD(RtoInitialOutside, p.tcp = "rto_initial = 100\n", "outside rto_min..rto_max"),
    BAD(CongestionControlUnknown, p.tcp = "congestion_control = \"bbr\"\n",
        "tcp.congestion_control = \"bbr\": not known; write \"reno\" or \"cubic\""),
    BAD(ReorderingTooSmall, p.tcp = "reordering = 2\n", "tcp.reordering = 2: out of range 3..127"),
    BAD(MinRttWindowZero, p.tcp = "min_rtt_wlen = 0\n", "out of range 1s..86400s"),
    BAD(PacingTooSlow, p.tcp = "pacing_ca_ratio = 50\n", "out of range 100..1000"),
    BAD(PortRangeReversed, p.tcp = "ip_local_port_range = [3000, 2000]\n", "low before high"),
    BAD(PortRangeShort, p.tcp = "ip_local_port_range = [3000]\n", "needs two ports"),
    BAD(StatsTooOften, p.stats = "interval = 0\n", "stats.interval = 0: out of range"),
    // Cores, buffers, limits.
    BAD(CoreAbsent, p.eal = "cores = [64]\n", "64: no such core for this process; choose from 0-3"),
    BAD(CoreTwice, p.eal = "cores = [1, 1]\n", "eal.cores: 1: named twice"),
    BAD(CoreNegative, p.eal = "cores = [-1]\n", "not a core number"),
    BAD(CoresNone, p.eal = "cores = []\n", "needs 1..64 cores"),
    BAD(BadIdle, p.eal = "idle = \"busy\"\n", "write \"poll\" or \"yield\" or \"sleep\""),
    BAD(PoolBelowDescriptors, p.limits = "mbufs = 1024\n", "too few for port.rx_descriptors"),
    BAD(PoolBeyondMemory, p.limits = "mbufs = 1000000\n", "eal.memory_mb is 512"),
    BAD(SessionsBeyondConnections, p.limits = "max_connections = 100\nmax_sessions = 51\n",
        "a session is two connections"),
    BAD(FilePrefix, p.eal = "file_prefix = \"a/b\"\n", "needs 1..32 letters"),
    // The port.
    BAD(NoPortTable, p.port = p.gateway = "[eal.x]\n", "x.toml:"),
    BAD(NoDevice, p.port = "addresses = [\"10.99.0.2/24\"]\n", "port.device: missing; write"),
    BAD(DeviceNameTooLong, p.port = "device = \"tap:abcdefghijklmnop\"\n", "1..15 characters"),
    BAD(DeviceWithoutName, p.port = "device = \"tap:\"\n", "1..15 characters"),
    BAD(NoAddress, p.port = "device = \"tap:weir0\"\n", "port.addresses: missing; write"),
    BAD(BadMac, p.port += "mac = \"02:00:00:00:00\"\n", "not a MAC address"),
    BAD(GroupMac, p.port += "mac = \"01:00:00:00:00:01\"\n", "is a group address"),
    BAD(GatewayElsewhere, p.gateway = "gateway = \"10.98.0.1\"\n",
        "port.gateway = \"10.98.0.1\": on no network of port.addresses"),
    BAD(GatewayIsSelf, p.gateway = "gateway = \"10.99.0.2\"\n", "this port's own address"),
    BAD(GatewayIsBroadcast, p.gateway = "gateway = \"10.99.0.255\"\n", "broadcast"),
    BAD(GatewayNoAddress, p.gateway = "gateway = \"10.99.0\"\n", "not an IP address"),
    // Listeners.
    BAD(NoListenerName, p.listener = "address = \"10.99.0.10:80\"\npool = \"web\"\n",
        "listener[0].name: missing"),
    BAD(NoListenerAddress, p.listener = "name = \"web\"\npool = \"web\"\n",
        "listener[0].address: missing"),
    BAD(VipLoopback6, p.listener = "name = \"a\"\naddress = \"[::1]:80\"\npool = \"web\"\n",
        "unspecified"),
    BAD(VipLoopback, p.listener = "name = \"a\"\naddress = \"127.0.0.1:80\"\npool = \"web\"\n",
        "loopback"),
    BAD(VipMulticast, p.listener = "name = \"a\"\naddress = \"224.0.0.1:80\"\npool = \"web\"\n",
        "multicast"),
    BAD(VipBroadcast, p.listener = "name = \"a\"\naddress = \"255.255.255.255:80\"\npool=\"web\"\n",
        "broadcast"),
    BAD(VipIsGateway, p.listener = "name = \"a\"\naddress = \"10.99.0.1:80\"\npool = \"web\"\n",
        "is the gateway's address"),
    BAD(VipZone, p.listener = "name = \"a\"\naddress = \"[fe80::1%eth0]:80\"\npool = \"web\"\n",
        "not an ADDRESS:PORT"),
    BAD(VipMulticast6, p.listener = "name = \"a\"\naddress = \"[ff02::1]:80\"\npool = \"web\"\n",
        "unspecified, loopback, multicast"),
    BAD(BackendOfTheOtherFamily, p.pool = "backends = [\"[2001:db8::1]:80\"]\n",
        "on no network of port.addresses"),
    BAD(BackendLinkLocalWithoutIpv6, p.pool = "backends = [\"[fe80::1]:80\"]\n",
        "on no network of port.addresses"),
    BAD(GatewayOfTheOtherFamily, p.gateway = "gateway = \"2001:db8::1\"\n",
        "of the other family; write it as port.gateway6"),
    BAD(Gateway6OfTheOtherFamily, p.gateway = "gateway6 = \"10.99.0.1\"\n",
        "of the other family; write it as port.gateway"),
    BAD(Gateway6WithoutIpv6, p.gateway = "gateway6 = \"fe80::1\"\n",
        "on no network of port.addresses"),
    BAD(GatewayMacAlone, p.gateway = "gateway_mac = \"02:00:00:00:00:01\"\n",
        "there is no port.gateway; set it"),
    BAD(Gateway6MacAlone, p.gateway = "gateway6_mac = \"02:00:00:00:00:01\"\n",
        "there is no port.gateway6; set it"),
    BAD(GatewayMacOfAGroup, p.gateway += "gateway_mac = \"33:33:00:00:00:01\"\n",
        "port.gateway_mac = \"33:33:00:00:00:01\": is a group address"),
    BAD(DadTransmitsTooMany, p.gateway += "dad_transmits = 11\n",
        "port.dad_transmits = 11: out of range 0..10"),
    BAD(ArpProbesNegative, p.gateway += "arp_probes = -1\n",
        "port.arp_probes = -1: out of range 0..10"),
    BAD(MtuBelowIpv6,
        p.port =
            "device = \"tap:a\"\naddresses = [\"10.99.0.2/24\", \"2001:db8::2/64\"]\nmtu = 1279\n",
        "port.mtu = 1279: below IPv6's least of 1280"),
    BAD(VipMapped, p.listener = "name = \"a\"\naddress = \"[::ffff:10.0.0.1]:80\"\npool=\"web\"\n",
        "IPv6's form"),
    BAD(PortZero, p.listener = "name = \"a\"\naddress = \"10.99.0.10:0\"\npool = \"web\"\n",
        "not an ADDRESS:PORT"),
    BAD(PortTooLarge, p.listener = "name = \"a\"\naddress = \"10.99.0.10:65536\"\npool = \"web\"\n",
        "not an ADDRESS:PORT"),
    BAD(BadMode, p.listener += "mode = \"udp\"\n", "not known; write \"tcp\" or \"http\""),
    BAD(DuplicateListener,
        p.tail = "[[listener]]\nname = \"b\"\naddress = \"10.99.0.10:80\"\npool = \"web\"\n",
        "listener \"web\" has it already"),
    BAD(DuplicateListenerName,
        p.tail = "[[listener]]\nname = \"web\"\naddress = \"10.99.0.10:81\"\npool = \"web\"\n",
        "two listeners bear it"),
    // Pools.
    BAD(NoSuchPool, p.listener = "name = \"a\"\naddress = \"10.99.0.10:80\"\npool = \"wev\"\n",
        "no such pool; did you mean \"web\"?"),
    BAD(UnusedPool, p.tail = "[pool.api]\nbackends = [\"10.99.0.1:1\"]\n", "no listener uses it"),
    BAD(NoBackends, p.pool = "balance = \"round_robin\"\n", "pool.web.backends: missing"),
    BAD(EmptyBackends, p.pool = "backends = []\n", "needs 1..256 entries"),
    BAD(BadBackend, p.pool = "backends = [\"10.99.0.1\"]\n", "not an ADDRESS:PORT"),
    BAD(BackendTwice, p.pool = "backends = [\"10.99.0.1:1\", \"10.99.0.1:1\"]\n", "twice"),
    BAD(BackendIsSelf, p.pool = "backends = [\"10.99.0.2:80\"]\n", "address of weir itself"),
    BAD(BackendIsVip, p.pool = "backends = [\"10.99.0.10:81\"]\n", "address of weir itself"),
    BAD(BackendNoRoute, p.gateway = ""; p.pool = "backends = [\"192.0.2.1:80\"]\n", "no network"),
    BAD(BadBalance, p.pool += "balance = \"random\"\n",
        "not known; write \"round_robin\" or \"least_connections\""),
    BAD(PutAsideCrossed, p.pool += "put_aside_min = \"5s\"\nput_aside_max = \"1s\"\n",
        "below put_aside_min"),
};

INSTANTIATE_TEST_SUITE_P(All, BadConfig, testing::ValuesIn(kBad),
                         [](const auto& info) { return std::string(info.param.name); });

class BadAddress : public testing::TestWithParam<const char*> {};

TEST_P(BadAddress, IsRefused) {
  Parts parts;
  parts.gateway = "";
  parts.port = std::string("device = \"tap:weir0\"\naddresses = [") + GetParam() + "]\n";
  const auto c = parse(parts);
  ASSERT_FALSE(c.ok());
  EXPECT_EQ(c.error().rfind("x.toml:3: port.addresses: ", 0), 0U) << c.error();
}

INSTANTIATE_TEST_SUITE_P(
    All, BadAddress,
    testing::Values("\"10.99.0.2\"", "\"10.99.0.2/0\"", "\"10.99.0.2/33\"", "\"10.99.0.2/024\"",
                    "\"10.99.0.2/-1\"", "\"10.99.0.2/ 24\"", "\"256.1.1.1/24\"", "\"1.2.3/24\"",
                    "\"01.02.03.04/24\"", "\"::ffff:1.2.3.4/96\"", "\"fe80::1%eth0/64\"",
                    "\"2001:db8::1/129\"", "\"::/64\"", "\"::1/128\"", "\"ff02::1/64\"",
                    "\"2001:db8::1\"", "\"2001:db8::1/064\"", "\"0.0.0.0/24\"", "\"127.0.0.1/8\"",
                    "\"224.0.0.1/4\"", "\"255.255.255.255/32\"", "\"240.0.0.1/8\"",
                    "\"10.99.0.0/24\"", "\"10.99.0.255/24\"", "7", "[]", "\"\"",
                    "\"10.99.0.2/24\", \"10.99.0.2/24\""));

TEST(BadText, IsRefused) {
  const auto error_of = [](const std::string& text) { return parse(text).error(); };
  EXPECT_EQ(error_of(""), "x.toml: empty; start from an example in config/");
  EXPECT_EQ(error_of(" \n\t\r\n"), "x.toml: empty; start from an example in config/");
  EXPECT_NE(error_of("\xef\xbb\xbf" + Parts{}.text()).find("byte-order mark"), std::string::npos);
  EXPECT_NE(error_of(Parts{}.text() + '\0').find("holds a NUL"), std::string::npos);
  EXPECT_NE(error_of(std::string(app::kMaxConfigBytes + 1, '#')).find("larger"), std::string::npos);
  std::string deep = "x = " + std::string(100'000, '[');
  EXPECT_FALSE(parse(deep).ok());
  EXPECT_NE(error_of("[lb]\n").find("[port]: missing"), std::string::npos);
  EXPECT_NE(error_of("[port]\ndevice = \"tap:a\"\naddresses = [\"10.0.0.1/8\"]\n")
                .find("[pool.NAME]: missing"),
            std::string::npos);
}

TEST(BadText, AnyPrefixOfAConfigIsRefusedOrRead) {
  const std::string text = Parts{}.text();
  for (std::size_t n = 0; n < text.size(); ++n) {
    const auto c = parse(text.substr(0, n));
    if (c.ok()) continue;
    EXPECT_EQ(c.error().find('\n'), std::string::npos) << n;
  }
}

TEST(BadFile, IsRefused) {
  const auto error_of = [](const char* path) {
    return app::load_config(path, {app::Command::kLb, {}}, kMachine).error();
  };
  EXPECT_NE(error_of("no/such/file").find("cannot be read: No such file"), std::string::npos);
  EXPECT_NE(error_of(".").find("is a directory"), std::string::npos);
  EXPECT_NE(error_of("/dev/zero").find("is not a regular file"), std::string::npos);
  EXPECT_EQ(error_of(""), "--config: empty; name a TOML file");
}

TEST(BadServe, IsRefused) {
  const std::string port = "[port]\ndevice = \"tap:a\"\naddresses = [\"10.99.0.2/24\"]\n";
  const auto error_of = [&](const std::string& text) {
    return parse(port + text, app::Command::kServe).error();
  };
  EXPECT_NE(error_of("").find("serve.listen: missing"), std::string::npos);
  EXPECT_NE(error_of("[lb]\n").find("belongs to `weir lb`"), std::string::npos);
  EXPECT_NE(error_of("[serve]\nlisten = [\"10.99.0.2:80\", \"10.99.0.2:80\"]\n").find("twice"),
            std::string::npos);
  EXPECT_NE(error_of("[serve]\nlisten = [\"10.99.0.2:80\"]\nbody_size = -1\n").find("out of range"),
            std::string::npos);
}

}  // namespace
}  // namespace weir::test

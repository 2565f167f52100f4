#include "config.h"

#include <gtest/gtest.h>

#include "fixture.h"
#include "toml_reader.h"

namespace weir::test {
namespace {

TEST(Config, TakesTheDefaults) {
  const auto c = parse(Parts{});
  ASSERT_TRUE(c.ok()) << c.error();
  const app::Config& v = c.value();
  EXPECT_EQ(v.port.device, "tap:weir0");
  ASSERT_EQ(v.port.addresses.size(), 1U);
  EXPECT_EQ(v.port.addresses[0].addr, IpAddr::v4(10, 99, 0, 2));
  EXPECT_EQ(v.port.addresses[0].prefix_len, 24);
  EXPECT_EQ(v.port.gateway, IpAddr::v4(10, 99, 0, 1));
  EXPECT_EQ(v.port.mtu, 1500);
  EXPECT_EQ(v.eal.cores, std::vector<unsigned>{0});
  EXPECT_EQ(v.limits.max_sessions, v.limits.max_connections / 2);
  EXPECT_EQ(v.lb.max_sessions, v.limits.max_sessions);
  ASSERT_EQ(v.lb.listeners.size(), 1U);
  EXPECT_EQ(v.lb.listeners[0].address, (Endpoint{IpAddr::v4(10, 99, 0, 10), 80}));
  ASSERT_EQ(v.lb.pools.size(), 1U);
  EXPECT_EQ(v.lb.pools[0].backends[0], (Endpoint{IpAddr::v4(10, 99, 0, 1), 8081}));
  const tcp::Config linux_like;
  EXPECT_EQ(v.tcp.rto_min, linux_like.rto_min);
}

TEST(Config, TakesEveryKnobInLinuxUnits) {
  Parts p;
  p.tcp =
      "syn_retries = 3\nsynack_retries = 2\norphan_retries = 4\nretries2 = 8\nfin_timeout = 5\n"
      "somaxconn = 100\nmax_syn_backlog = 200\nabort_on_overflow = true\nmsl = \"500ms\"\n"
      "max_tw_buckets = 10\ntimestamps = false\nwindow_scaling = true\nrfc1337 = false\n"
      "rmem = 65536\nwmem = 131072\ninitial_cwnd = 4\nrto_initial = 300\nrto_min = 100\n"
      "rto_max = \"60s\"\ndelack_max = 20\nslow_start_after_idle = false\n"
      "challenge_ack_interval = 250\nip_local_port_range = [2000, 3000]\nttl = 32\n"
      "tw_reuse = 1\nretries1 = 4\nmtu_probing = 1\nbase_mss = 1200\nmin_pmtu = 600\n"
      "mtu_expires = \"5m\"\nprobe_threshold = 16\n"
      "congestion_control = \"reno\"\nhystart = false\nfrto = false\nreordering = 5\n"
      "min_rtt_wlen = 60\npacing = true\npacing_ss_ratio = 150\npacing_ca_ratio = 110\n"
      "user_timeout = 90000\nrmem_default = 32768\nmoderate_rcvbuf = false\ndelack_min = 10\n"
      "quickacks = 4\nslow_start_limit = 8\ntimestamps_required = false\n"
      "tw_reuse_delay = 500\nmin_tso_segs = 4\n"
      "keepalive = true\nkeepalive_time = 60\nkeepalive_intvl = 7\nkeepalive_probes = 3\n"
      "ipfrag_time = 30\nipfrag_high_thresh = 1048576\nudp_mem = 65536\n";
  EXPECT_FALSE(parse(p).ok());  // msl has a floor of one second
  p.tcp.replace(p.tcp.find("\"500ms\""), 7, "\"2000ms\"");
  const auto c = parse(p);
  ASSERT_TRUE(c.ok()) << c.error();
  const tcp::Config& t = c.value().tcp;
  EXPECT_EQ(t.syn_retries, 3);
  EXPECT_EQ(t.synack_retries, 2);
  EXPECT_EQ(t.orphan_retries, 4);
  EXPECT_EQ(t.retries2, 8);
  EXPECT_EQ(t.fin_timeout, 5s);
  EXPECT_EQ(t.somaxconn, 100U);
  EXPECT_EQ(t.max_syn_backlog, 200U);
  EXPECT_TRUE(t.abort_on_overflow);
  EXPECT_EQ(t.msl, 2s);
  EXPECT_EQ(t.max_tw_buckets, 10U);
  EXPECT_FALSE(t.timestamps);
  EXPECT_TRUE(t.window_scaling);
  EXPECT_FALSE(t.rfc1337);
  EXPECT_EQ(t.rmem, 65'536U);
  EXPECT_EQ(t.wmem, 131'072U);
  EXPECT_EQ(t.initial_cwnd, 4);
  EXPECT_EQ(t.rto_initial, 300ms);
  EXPECT_EQ(t.rto_min, 100ms);
  EXPECT_EQ(t.rto_max, 60s);
  EXPECT_EQ(t.delack_max, 20ms);
  EXPECT_EQ(t.delack_min, 10ms);
  EXPECT_EQ(t.quickacks, 4);
  EXPECT_EQ(t.slow_start_limit, 8);
  EXPECT_FALSE(t.timestamps_required);
  EXPECT_EQ(t.tw_reuse_delay, 500ms);
  EXPECT_EQ(t.min_tso_segs, 4);
  EXPECT_EQ(t.user_timeout, 90s);
  EXPECT_EQ(t.rmem_default, 32'768U);
  EXPECT_FALSE(t.moderate_rcvbuf);
  EXPECT_FALSE(t.slow_start_after_idle);
  EXPECT_EQ(t.challenge_ack_interval, 250ms);
  EXPECT_EQ(t.tw_reuse, 1);
  EXPECT_EQ(t.retries1, 4);
  EXPECT_EQ(t.mtu_probing, 1);
  EXPECT_EQ(t.base_mss, 1'200);
  EXPECT_EQ(t.min_pmtu, 600);
  EXPECT_EQ(t.mtu_expires, 300s);
  EXPECT_EQ(t.probe_threshold, 16);
  EXPECT_EQ(t.port_low, 2'000);
  EXPECT_EQ(t.port_high, 3'000);
  EXPECT_EQ(t.ttl, 32);
  EXPECT_TRUE(t.keepalive);
  EXPECT_EQ(t.keepalive_time, 60s);
  EXPECT_EQ(t.keepalive_intvl, 7s);
  EXPECT_EQ(t.keepalive_probes, 3);
  EXPECT_EQ(t.congestion_control, tcp::CongestionControl::kReno);
  EXPECT_FALSE(t.hystart);
  EXPECT_FALSE(t.frto);
  EXPECT_EQ(t.reordering, 5);
  EXPECT_EQ(t.min_rtt_wlen, 60s);
  EXPECT_TRUE(t.pacing);
  EXPECT_EQ(t.pacing_ss_ratio, 150);
  EXPECT_EQ(t.pacing_ca_ratio, 110);
  EXPECT_EQ(t.ipfrag_time, 30s);
  EXPECT_EQ(t.ipfrag_high_thresh, 1'048'576U);
  EXPECT_EQ(t.udp_mem, 65'536U);
}

TEST(Config, FragmentsMayBeRefused) {
  Parts p;
  p.tcp = "ipfrag_high_thresh = 0\n";
  const auto c = parse(p);
  ASSERT_TRUE(c.ok()) << c.error();
  EXPECT_EQ(c.value().tcp.ipfrag_high_thresh, 0U);
}

// Linux's name, and N a second for one connection: its own 2147483647 means no limit here too.
//= RFC5961 7-b type=test
TEST(Config, ChallengeAckLimitIsOfOneConnectionInASecond) {
  for (const auto& [limit, interval] :
       {std::pair{"2", Duration(500ms)}, std::pair{"1", Duration(1s)},
        std::pair{"2147483647", Duration(0s)}}) {
    Parts p;
    p.tcp = "challenge_ack_limit = " + std::string(limit) + "\n";
    const auto c = parse(p);
    ASSERT_TRUE(c.ok()) << c.error();
    EXPECT_EQ(c.value().tcp.challenge_ack_interval, interval);
  }
}

TEST(Config, JoinsListenersWithTheirPools) {
  Parts p;
  p.tail =
      "balance = \"least_connections\"\nconnect_timeout = \"250ms\"\nretries = 2\n"
      "[[listener]]\nname = \"api\"\naddress = \"10.99.0.11:81\"\npool = \"api\"\n"
      "[pool.api]\nbackends = [\"10.99.0.3:1\", \"192.0.2.1:2\"]\n";
  const auto c = parse(p);
  ASSERT_TRUE(c.ok()) << c.error();
  const lb::Config& lb = c.value().lb;
  ASSERT_EQ(lb.listeners.size(), 2U);
  EXPECT_EQ(lb.pools[lb.listeners[0].pool].name, "web");
  EXPECT_EQ(lb.pools[lb.listeners[0].pool].balance, lb::Balance::kLeastConnections);
  EXPECT_EQ(lb.pools[lb.listeners[0].pool].connect_timeout, 250ms);
  EXPECT_EQ(lb.pools[lb.listeners[0].pool].retries, 2U);
  EXPECT_EQ(lb.pools[lb.listeners[1].pool].name, "api");
  EXPECT_EQ(lb.pools[lb.listeners[1].pool].backends.size(), 2U);
}

TEST(Config, TheExamplesWorkAsTheyAre) {
  const auto lb = app::load_config("config/lb.toml", {app::Command::kLb, {}}, kMachine);
  EXPECT_TRUE(lb.ok()) << lb.error();
  const auto serve = app::load_config("config/serve.toml", {app::Command::kServe, {}}, kMachine);
  EXPECT_TRUE(serve.ok()) << serve.error();
  const auto six = app::load_config("config/ipv6.toml", {app::Command::kServe, {}}, kMachine);
  EXPECT_TRUE(six.ok()) << six.error();
}

// Each line that an example comments out is right as well, or it would mislead.
TEST(Config, TheExamplesCommentsWorkToo) {
  const auto read = [](const char* path) {
    std::FILE* f = std::fopen(path, "r");
    std::string text(1U << 16U, '\0');
    text.resize(std::fread(text.data(), 1, text.size(), f));
    std::fclose(f);
    return text;
  };
  std::string text = read("config/lb.toml");
  unsigned enabled = 0;
  for (std::size_t at = 0; (at = text.find("\n# ", at)) != std::string::npos; ++at) {
    const std::size_t end = text.find('\n', at + 1);
    const std::string line = text.substr(at, end - at);
    const std::size_t equals = line.find(" = ");
    if (equals == std::string::npos || line.find(' ', 3) != equals) continue;
    text.erase(at + 1, 2);
    ++enabled;
  }
  EXPECT_GT(enabled, 25U);
  const auto c = parse(text);
  EXPECT_TRUE(c.ok()) << c.error();
}

TEST(Config, OverridesLieOverTheFile) {
  const auto with = [](std::vector<std::string> sets) {
    return app::parse_config(Parts{}.text(), "x.toml", {app::Command::kLb, std::move(sets)},
                             kMachine);
  };
  const auto c = with({"port.mtu=9000", "port.device=af_packet:veth1", "run.drain_timeout=5"});
  ASSERT_TRUE(c.ok()) << c.error();
  EXPECT_EQ(c.value().port.mtu, 9'000);
  EXPECT_EQ(c.value().port.device, "af_packet:veth1");
  EXPECT_EQ(c.value().port.addresses.size(), 1U);
  EXPECT_EQ(c.value().drain_timeout, 5s);
  EXPECT_EQ(with({"port.mtu=1"}).error(),
            "--set port.mtu=1: port.mtu = 1: out of range 576..9216; 1500 suits Ethernet");
  EXPECT_EQ(with({"port"}).error(), "--set port: not KEY=VALUE; write it like --set port.mtu=1500");
}

TEST(Config, CarriageReturnsAreFine) {
  std::string text = Parts{}.text();
  for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += 2) {
    text.replace(at, 1, "\r\n");
  }
  const auto c = parse(text);
  EXPECT_TRUE(c.ok()) << c.error();
}

TEST(Config, Ipv6) {
  Parts p;
  p.port = "device = \"tap:weir0\"\naddresses = [\"10.99.0.2/24\", \"2001:db8:99::2/64\"]\n";
  p.gateway +=
      "gateway6 = \"fe80::1\"\ngateway_mac = \"02:00:00:00:00:04\"\n"
      "gateway6_mac = \"02:00:00:00:00:06\"\ndad_transmits = 2\narp_probes = 3\n";
  p.tcp = "bindv6only = true\n";
  p.listener = "name = \"web\"\naddress = \"[2001:db8:99::10]:80\"\npool = \"web\"\n";
  p.pool = "backends = [\"[2001:db8:99::1]:8081\", \"[fe80::1]:8081\", \"[2001:db8:5::1]:80\"]\n";
  const auto c = parse(p);
  ASSERT_TRUE(c.ok()) << c.error();
  const app::PortConfig& port = c.value().port;
  EXPECT_EQ(to_string(port.addresses[1].addr), "2001:db8:99::2");
  EXPECT_EQ(port.addresses[1].prefix_len, 64);
  EXPECT_EQ(port.gateway, IpAddr::v4(10, 99, 0, 1));
  EXPECT_EQ(to_string(port.gateway6.value()), "fe80::1");
  EXPECT_EQ(to_string(port.gateway_mac.value()), "02:00:00:00:00:04");
  EXPECT_EQ(to_string(port.gateway6_mac.value()), "02:00:00:00:00:06");
  EXPECT_EQ(port.dad_transmits, 2);
  EXPECT_EQ(port.arp_probes, 3);
  EXPECT_TRUE(c.value().tcp.bindv6only);
  EXPECT_EQ(to_string(c.value().lb.listeners[0].address), "[2001:db8:99::10]:80");
  EXPECT_EQ(c.value().lb.pools[0].backends.size(), 3U);
}

TEST(Config, ListenersOnEveryAddress) {
  for (const char* any : {"[::]:80", "0.0.0.0:80"}) {
    Parts p;
    p.listener = "name = \"web\"\naddress = \"" + std::string(any) + "\"\npool = \"web\"\n";
    const auto c = parse(p);
    ASSERT_TRUE(c.ok()) << c.error();
    EXPECT_EQ(to_string(c.value().lb.listeners[0].address), any);
  }
}

TEST(Durations, HaveAUnit) {
  EXPECT_EQ(app::parse_duration("200ms"), 200ms);
  EXPECT_EQ(app::parse_duration("5 s"), 5s);
  EXPECT_EQ(app::parse_duration("2m"), 2min);
  EXPECT_EQ(app::parse_duration("1h"), 1h);
  EXPECT_EQ(app::parse_duration("7us"), 7us);
  for (const char* bad : {"", "5", "5M", "10kk", "ms", "-1s", "+1s", " 1s", "1.5s", "1s ", "0x1s",
                          "9223372036854775807h", "99999999999999999999s"}) {
    EXPECT_EQ(app::parse_duration(bad), std::nullopt) << bad;
  }
}

TEST(Endpoints, AreStrict) {
  EXPECT_EQ(app::parse_endpoint("10.0.0.1:80"), (Endpoint{IpAddr::v4(10, 0, 0, 1), 80}));
  EXPECT_TRUE(app::parse_endpoint("[2001:db8::1]:65535").has_value());
  for (const char* bad :
       {"", ":", "10.0.0.1", "10.0.0.1:", ":80", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:080",
        "10.0.0.1: 80", "10.0.0.1:+8", "10.0.0:80", "256.1.1.1:80", "01.2.3.4:80", "[10.0.0.1]:80",
        "2001:db8::1:80", "[2001:db8::1:80", "host:80", "10.0.0.1:80x", "fe80::1%eth0:80"}) {
    EXPECT_EQ(app::parse_endpoint(bad), std::nullopt) << bad;
  }
}

TEST(Suggestions, AreNear) {
  const std::vector<std::string> known{"mtu", "device", "gateway"};
  EXPECT_EQ(app::nearest("gatway", known), "gateway");
  EXPECT_EQ(app::nearest("mut", known), "mtu");
  EXPECT_EQ(app::nearest("backends", known), std::nullopt);
}

}  // namespace
}  // namespace weir::test

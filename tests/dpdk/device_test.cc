// Device strings, and what is refused before DPDK is asked.
#include "dpdk/device.h"

#include <fstream>

#include "harness.h"

namespace weir::dpdk::test {
namespace {

TEST(DeviceString, NamesDriverAndTarget) {
  struct Case {
    const char* text;
    const char* driver;
    const char* target;
  };
  for (const Case& c :
       {Case{"tap:weir0", "net_tap", "weir0"}, Case{"af_packet:eth0", "net_af_packet", "eth0"},
        Case{"af_xdp:eth0", "net_af_xdp", "eth0"}, Case{"pcap:eth0", "net_pcap", "eth0"},
        Case{"vhost:/run/v.sock", "net_vhost", "/run/v.sock"}, Case{"ring:x/a", "net_ring", "x/a"},
        Case{"null", "net_null", ""}, Case{"0000:01:00.0", "", "0000:01:00.0"},
        Case{"01:00.0", "", "0000:01:00.0"},
        Case{"vdev:net_tap7,iface=t", "net_tap7", "net_tap7,iface=t"},
        Case{"net_null3", "net_null3", ""}}) {
    auto d = parse_device(c.text);
    ASSERT_TRUE(d.ok()) << d.error();
    EXPECT_EQ(d->driver, c.driver) << c.text;
    EXPECT_EQ(d->target, c.target) << c.text;
  }
}

TEST(DeviceString, ArgumentsForTheDriver) {
  const auto args = [](const char* text, unsigned queues, unsigned frame) {
    return vdev_args(*parse_device(text), queues, frame);
  };
  EXPECT_EQ(args("tap:weir0", 4, 1518), "iface=weir0");
  EXPECT_EQ(args("af_packet:eth0", 2, 1518), "iface=eth0,qpairs=2,framesz=2048,blocksz=4096");
  EXPECT_EQ(args("af_packet:eth0", 1, 9018), "iface=eth0,qpairs=1,framesz=12288,blocksz=12288");
  EXPECT_EQ(args("af_xdp:eth0", 2, 1518), "iface=eth0,start_queue=0,queue_count=2");
  EXPECT_EQ(args("memif:socket=/tmp/m,role=server", 1, 1518),
            "socket=/tmp/m,role=server,socket-abstract=no");
  EXPECT_EQ(args("virtio-user:path=/tmp/v", 2, 1518), "path=/tmp/v,queues=2");
  EXPECT_EQ(args("net_null5,copy=1", 1, 1518), "copy=1");
}

std::string refusal(PortConfig config) {
  auto port = Port::open(eal(), config);
  if (port) return "it was opened";
  EXPECT_EQ(port.error().find('\n'), std::string::npos) << port.error();
  return port.error();
}

struct Refusal {
  const char* device;
  const char* says;
};

class Refused : public ::testing::TestWithParam<Refusal> {};

TEST_P(Refused, InOneLineThatNamesTheDevice) {
  const std::string line = refusal(small(GetParam().device));
  EXPECT_TRUE(line.starts_with(*GetParam().device == '\0' ? "port" : GetParam().device)) << line;
  EXPECT_NE(line.find(GetParam().says), std::string::npos) << line;
  if (std::getenv("WEIR_SHOW") != nullptr) std::printf("%s\n", line.c_str());
}

INSTANTIATE_TEST_SUITE_P(
    Devices, Refused,
    ::testing::Values(
        Refusal{"", "no device is named"}, Refusal{"eth0", "no such kind of port"},
        Refusal{"tap", "write it as tap:weir0"},
        Refusal{"tap:a-name-that-is-too-long", "at most 15 characters"},
        Refusal{"tap:lo", "exists already"}, Refusal{"af_packet:nosuch0", "no interface 'nosuch0'"},
        Refusal{"af_xdp:nosuch0", "no interface 'nosuch0'"},
        Refusal{"pcap:nosuch0", "no interface 'nosuch0'"},
        Refusal{"ring:", "write it as ring:pair/a"}, Refusal{"ring:x/c", "one end of a pair"},
        Refusal{"vhost:/no/such/dir/v.sock", "mkdir -p"},
        Refusal{"memif:socket=/no/such/dir/m.sock", "mkdir -p"},
        Refusal{"memif:role=nobody", "failed"}, Refusal{"virtio-user:queues=1", "path= is missing"},
        Refusal{"virtio-user:path=/no/such.sock", "start the other side first"},
        Refusal{"vdev:tap0", "begins with net_"}, Refusal{"vdev:net_nosuch0", "failed"},
        Refusal{"ffff:1f:1f.7", "no such PCI device"}));

TEST(RefusedNumbers, NameTheRange) {
  PortConfig c = small("null");
  c.mtu = 100;
  EXPECT_NE(refusal(c).find("576 to 9600"), std::string::npos);
  c = small("null");
  c.workers = 0;
  EXPECT_NE(refusal(c).find("at least 1"), std::string::npos);
  c = small("null");
  c.header_buffers = 1;
  EXPECT_NE(refusal(c).find("at least 64"), std::string::npos);
  c = small("null");
  c.rx_buffers = 300;
  EXPECT_NE(refusal(c).find("is too few for 1 queues"), std::string::npos) << refusal(c);
  c = small("null");
  c.payload_buffers = 4'000'000;
  EXPECT_NE(refusal(c).find("raise memory_mb"), std::string::npos) << refusal(c);
}

TEST(RefusedNumbers, AnMtuThatTheDeviceDoesNotTake) {
  if (!has_own_network_namespace()) GTEST_SKIP() << "no right to make a network namespace";
  PortConfig c = small("tap:jumbo0");
  c.mtu = 4'000;
  EXPECT_NE(refusal(c).find("576 to 1504"), std::string::npos) << refusal(c);
}

TEST(RefusedNumbers, MoreWorkersThanTransmitQueues) {
  if (!has_own_network_namespace()) GTEST_SKIP() << "no right to make a network namespace";
  PortConfig c = small("tap:many0");
  c.workers = 40;  // a TAP has 16 queues
  c.rx_buffers = 16'383;
  EXPECT_NE(refusal(c).find("name fewer cores"), std::string::npos) << refusal(c);
}

}  // namespace
}  // namespace weir::dpdk::test

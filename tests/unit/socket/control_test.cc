// Knobs and counters by name, through weir.h (lib/socket/weir_control.cc).
#include "harness.h"

namespace weir::posix::test {
namespace {

struct Control : testing::Test {
  Host host;
  char error[256] = "";

  int set(const char* name, const char* value) {
    error[0] = '\0';
    return weir_stack_set(host, name, value, error, sizeof error) == 0 ? 0 : errno;
  }
  std::string get(const char* name) {
    char value[64];
    const int n = weir_stack_get(host, name, value, sizeof value);
    return n < 0 ? "!" + std::to_string(errno) : std::string(value, static_cast<std::size_t>(n));
  }
};

TEST_F(Control, EveryKnobCanBeReadAndWrittenBack) {
  std::size_t n = 0;
  for (const char* name = nullptr; (name = weir_setting_name(n)) != nullptr; ++n) {
    const std::string value = get(name);
    EXPECT_NE('!', value[0]) << name;
    EXPECT_EQ(0, set(name, value.c_str())) << name << " = " << value << ": " << error;
    EXPECT_EQ(value, get(name));
  }
  EXPECT_GT(n, 36U);
  EXPECT_EQ(nullptr, weir_setting_name(n + 1));
}

TEST_F(Control, WhatIsWrongIsALineWithTheCure) {
  EXPECT_EQ(EINVAL, set("syn_retries", "300"));
  EXPECT_STREQ("syn_retries = \"300\": out of range 1..127; choose a value in it", error);
  EXPECT_EQ("5", get("syn_retries"));
  EXPECT_EQ(EINVAL, set("syn_retriez", "3"));
  EXPECT_STREQ("\"syn_retriez\": no such setting; weir_setting_name lists them", error);
  EXPECT_EQ(EBUSY, set("max_tw_buckets", "17"));
  EXPECT_NE(nullptr, std::strstr(error, "weir_config.settings"));
  EXPECT_EQ(EINVAL, set("rto_min", "2s"));  // above rto_initial, each within its own range
  EXPECT_NE(nullptr, std::strstr(error, "rto_initial"));
  EXPECT_EQ("200ms", get("rto_min"));
  EXPECT_EQ(EFAULT, set("syn_retries", nullptr));
  EXPECT_EQ("!22", get("syn_retriez"));
  char one[1];
  EXPECT_EQ(-1, weir_stack_get(host, "fin_timeout", one, sizeof one));
  EXPECT_EQ(ERANGE, errno);
  EXPECT_EQ(-1, weir_stack_set(host, "ecn", "9", nullptr, 0));
  EXPECT_EQ(EINVAL, errno);
  char little[8];
  EXPECT_EQ(-1, weir_stack_set(host, "ecn", "9", little, sizeof little));
  EXPECT_STREQ("ecn = \"", little);
}

TEST_F(Control, AKnobThatIsTurnedHoldsFromThenOn) {
  EXPECT_EQ(0, set("syn_retries", "1"));
  EXPECT_EQ(0, set("ip_local_port_range", "5000\t5001"));
  EXPECT_EQ("5000 5001", get("ip_local_port_range"));
  const int fd = host.tcp();
  (void)host.connect(fd, kPeer, 80);
  EXPECT_GE(host.local(fd).port, 5'000);
  EXPECT_LE(host.local(fd).port, 5'001);
  host.at(3 * kS - 1);
  EXPECT_EQ(0, host.error_of(fd));
  host.at(3 * kS);
  EXPECT_EQ(ETIMEDOUT, host.error_of(fd));
  EXPECT_EQ(2U, host.drain().size());
}

TEST_F(Control, SettingsOfAConfigHoldFromTheBeginning) {
  Host h({.settings = {{"max_tw_buckets", "16"}, {"rto_min", "2s"}, {"rto_initial", "3s"}}});
  char value[32];
  EXPECT_EQ(2, weir_stack_get(h, "max_tw_buckets", value, sizeof value));
  EXPECT_STREQ("16", value);
  const int fd = h.tcp();
  (void)h.connect(fd, kPeer, 80);
  EXPECT_EQ(1U, h.drain().size());
  h.at(3 * kS - 1);
  EXPECT_EQ(0U, h.drain().size());
  h.at(3 * kS);
  EXPECT_EQ(1U, h.drain().size());
}

TEST_F(Control, AConfigWithAWrongSettingMakesNoStack) {
  const char* address = "192.0.2.1/24";
  weir_setting settings[] = {{"ecn", "1"}, {"ecn", "7"}};
  weir_config c;
  weir_config_init(&c);
  c.addresses = &address;
  c.address_count = 1;
  c.settings = settings;
  c.setting_count = 2;
  EXPECT_EQ(nullptr, weir_stack_create(&c, error, sizeof error));
  EXPECT_EQ(EINVAL, errno);
  EXPECT_STREQ("ecn = \"7\": out of range 0..2; 0 off, 1 asked for and accepted, 2 accepted only",
               error);
  settings[1] = {"rto_initial", "100ms"};
  EXPECT_EQ(nullptr, weir_stack_create(&c, error, sizeof error));
  EXPECT_NE(nullptr, std::strstr(error, "rto_initial = \"100ms\": outside rto_min..rto_max"));
  c.settings = nullptr;
  EXPECT_EQ(nullptr, weir_stack_create(&c, error, sizeof error));
}

TEST_F(Control, CountersByTheirNames) {
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  EXPECT_EQ(0, weir_stack_counter(host, "active_opens", &before));
  (void)host.connect(host.tcp(), kPeer, 80);
  EXPECT_EQ(0, weir_stack_counter(host, "active_opens", &after));
  EXPECT_EQ(before + 1, after);
  EXPECT_EQ(-1, weir_stack_counter(host, "active_openz", &after));
  EXPECT_EQ(EINVAL, errno);
  std::size_t n = 0;
  for (; weir_counter_name(n) != nullptr; ++n) {
    EXPECT_EQ(0, weir_stack_counter(host, weir_counter_name(n), &after));
  }
  EXPECT_GT(n, 50U);
}

TEST_F(Control, AUserIsOfASocket) {
  EXPECT_EQ(0, weir_set_user(host, host.tcp(), 7));
  EXPECT_EQ(-1, weir_set_user(host, 60, 7));
  EXPECT_EQ(EBADF, errno);
}

}  // namespace
}  // namespace weir::posix::test

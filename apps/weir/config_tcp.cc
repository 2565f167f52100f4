// [tcp]: the protocol's knobs under Linux's names, in Linux's units: those of tcp/settings.h.
#include <string>
#include <vector>

#include "config_tables.h"
#include "tcp/settings.h"

namespace weir::app {
namespace {

void read_port_range(TableReader& t, const tcp::Setting& s, tcp::Config& c) {
  const std::string name(s.name);
  const toml::array* range = t.array(name, "32768, 60999");
  if (range == nullptr) return;
  std::int64_t ends[2] = {0, 0};
  for (std::size_t i = 0; i < 2 && range->size() == 2; ++i) {
    const auto* n = range->get(i)->as_integer();
    ends[i] = n == nullptr ? 0 : n->get();
  }
  if (range->size() != 2 || ends[0] < 1'024 || ends[1] > 65'535 || ends[0] >= ends[1]) {
    return t.report(name, "needs two ports in 1024..65535, low before high; write [32768, 60999]");
  }
  s.set(c, ends[0] << 16 | ends[1]);
}

void read_word(TableReader& t, const tcp::Setting& s, tcp::Config& c) {
  auto index = static_cast<unsigned>(s.get(c));
  if (t.word(s.name, index, std::vector<std::string>(s.words.begin(), s.words.end()))) {
    s.set(c, index);
  }
}

void read_setting(TableReader& t, const tcp::Setting& s, tcp::Config& c) {
  switch (s.kind) {
    case tcp::SettingKind::kBoolean: {
      bool on = false;
      if (t.boolean(s.name, on)) s.set(c, on ? 1 : 0);
      return;
    }
    case tcp::SettingKind::kInteger: {
      std::int64_t n = 0;
      if (t.integer(s.name, n, s.least, s.most, s.cure)) s.set(c, n);
      return;
    }
    case tcp::SettingKind::kTime: {
      Duration d{};
      if (t.duration(s.name, d, s.unit, Duration(s.least), Duration(s.most))) s.set(c, d.count());
      return;
    }
    case tcp::SettingKind::kWord:
      return read_word(t, s, c);
    case tcp::SettingKind::kPorts:
      return read_port_range(t, s, c);
  }
}

}  // namespace

void read_tcp(TableReader t, tcp::Config& c) {
  for (const tcp::Setting& s : tcp::settings()) read_setting(t, s, c);
  if (const auto bad = tcp::misfit(c)) t.report(bad->name, bad->what);
  if (!c.window_scaling && c.rmem > 65'535) c.rmem = 65'535;
  t.finish();
}

}  // namespace weir::app

// The knobs of tcp::Config by name: one table of what there is, its limits, and what may change
// while connections live. For the control plane: allocates, and throws what that throws.
//
// Reads neither TOML nor a sysctl; who does takes names, limits and cures from here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "tcp/config.h"

namespace weir::tcp {

enum class SettingKind : std::uint8_t {
  kBoolean,  // 0 or 1
  kInteger,
  kTime,   // microseconds
  kWord,   // the index of one of `words`
  kPorts,  // low << 16 | high
};

struct Setting {
  std::string_view name;  // as in [tcp], as Linux calls it
  SettingKind kind;
  bool live;                 // may change while there are connections
  std::int64_t least, most;  // both allowed
  Duration unit;             // kTime: what a bare number counts
  std::string_view cure;     // the end of "out of range"; empty: "choose a value in it"
  std::span<const std::string_view> words;
  std::int64_t (*get)(const Config&);
  void (*set)(Config&, std::int64_t);  // pre: least <= value <= most
};

// All, in the order in which a table of them is read: a later one may depend on one before it.
[[nodiscard]] std::span<const Setting> settings();
[[nodiscard]] const Setting* find_setting(std::string_view name);

// "6", "60s" or "60 s", "true", "cubic", "32768 60999" (or with a tab, a comma, a hyphen). Nothing
// done is nullopt; else the end of a line about it: "out of range 1..127; choose a value in it".
[[nodiscard]] std::optional<std::string> set_by_text(Config& config, const Setting& setting,
                                                     std::string_view text);
// Text that set_by_text takes and that means the same.
[[nodiscard]] std::string value_text(const Config& config, const Setting& setting);

// Two knobs, each within its limits, that do not fit together: `name` is the one to blame.
struct Misfit {
  std::string_view name;
  std::string what;
};
[[nodiscard]] std::optional<Misfit> misfit(const Config& config);

// Copies what is live.
void take_live(Config& running, const Config& wanted);

}  // namespace weir::tcp

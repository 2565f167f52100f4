// libFuzzer: config files. Whatever the text, it gives a config or one line that says what is
// wrong.
// ASCII only: Debian's toml++ declares some other characters unreachable that are not.
#include <algorithm>
#include <cstdint>
#include <string>

#include "base/assert.h"
#include "config.h"

using namespace weir;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  if (std::any_of(data, data + size, [](std::uint8_t c) { return c >= 0x80; })) return 0;
  const app::Machine machine{.cores = {0, 1, 2, 3}};
  const auto command = app::kCommands[data[0] % app::kCommands.size()].command;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto config =
      app::parse_config(text, "x.toml", {.command = command, .overrides = {}}, machine);
  if (config.ok()) return 0;
  WEIR_ASSERT(!config.error().empty());
  WEIR_ASSERT(config.error().find('\n') == std::string::npos);
  return 0;
}

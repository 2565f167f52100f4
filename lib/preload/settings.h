// What `weir run` tells the library in the program's environment: checked already, a line each,
// KEY=VALUE; keys may come again.
#pragma once

#include <cstddef>
#include <string_view>

namespace weir::preload {

inline constexpr const char* kEnvironment = "WEIR_RUN";

template <class F>
void for_each_setting(std::string_view text, F&& f) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    const std::size_t equals = line.find('=');
    if (equals != std::string_view::npos) f(line.substr(0, equals), line.substr(equals + 1));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

}  // namespace weir::preload

// From what a program asks for (struct weir_config) to a stack's configuration.
#pragma once

#include <string>

#include "socket/embedded_stack.h"

namespace weir::posix {

// False, and one line in `error` that names key, value, what is allowed and the cure.
[[nodiscard]] bool read_config(const weir_config& config, Setup& setup, std::string& error);

// One knob by name; false, and a line. Whether it fits with the others settings_fit says.
[[nodiscard]] bool read_setting(tcp::Config& config, const weir_setting& setting,
                                std::string& error);
[[nodiscard]] bool settings_fit(const tcp::Config& config, std::string& error);

}  // namespace weir::posix

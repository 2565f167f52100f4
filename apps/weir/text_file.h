// Reads a file that a person wrote, or says in one line why it is none.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "toml_reader.h"

namespace weir::app {

// The whole file, up to one octet more than `max`; reports what cannot be read.
[[nodiscard]] std::optional<std::string> read_text_file(const std::string& path, std::size_t max,
                                                        Problem& problem);
// Reports what a TOML parser either takes in silence or words badly: too much, nothing, binary.
bool plausible_text(const std::string& text, std::size_t max, Problem& problem);

}  // namespace weir::app

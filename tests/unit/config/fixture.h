// A config that is right, and what a test changes in it.
#pragma once

#include <string>

#include "config.h"

namespace weir::test {

inline const app::Machine kMachine{.cores = {0, 1, 2, 3}};

struct Parts {
  std::string port = "device = \"tap:weir0\"\naddresses = [\"10.99.0.2/24\"]\n";
  std::string gateway = "gateway = \"10.99.0.1\"\n";
  std::string eal, limits, tcp, lb, stats;
  std::string listener = "name = \"web\"\naddress = \"10.99.0.10:80\"\npool = \"web\"\n";
  std::string pool = "backends = [\"10.99.0.1:8081\"]\n";
  std::string tail;

  [[nodiscard]] std::string text() const {
    return "[port]\n" + port + gateway + "[eal]\n" + eal + "[limits]\n" + limits + "[tcp]\n" + tcp +
           "[lb]\n" + lb + "[stats]\n" + stats + "[[listener]]\n" + listener + "[pool.web]\n" +
           pool + tail;
  }
};

inline auto parse(const std::string& text, app::Command command = app::Command::kLb) {
  return app::parse_config(text, "x.toml", {.command = command, .overrides = {}}, kMachine);
}
inline auto parse(const Parts& parts) {
  return parse(parts.text());
}

}  // namespace weir::test

// Text for lines of statistics: printf into a string, and JSON objects on one line.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace weir::app {

template <class... Args>
std::string format(const char* pattern, Args... args) {
  char text[512];
  const int n = std::snprintf(text, sizeof text, pattern, args...);
  return {text, static_cast<std::size_t>(std::clamp<int>(n, 0, sizeof text - 1))};
}

[[nodiscard]] std::string json_string(std::string_view text);

class JsonObject {
 public:
  void number(std::string_view name, std::uint64_t v) { raw(name, std::to_string(v)); }
  void real(std::string_view name, double v) { raw(name, format("%.3f", v)); }
  void text(std::string_view name, std::string_view v) { raw(name, json_string(v)); }
  void raw(std::string_view name, const std::string& json) {
    body_ += (body_.empty() ? "" : ",") + json_string(name) + ":" + json;
  }
  [[nodiscard]] std::string str() const { return "{" + body_ + "}"; }

 private:
  std::string body_;
};

}  // namespace weir::app

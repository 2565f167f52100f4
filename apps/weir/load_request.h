// What a generator asks next: paths, sizes and bodies drawn by weight, and the text of a request's
// head. The same seed and core draw the same requests in the same order. Allocates nothing once it
// is made.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "load_config.h"

namespace weir::app {

struct LoadRequest {
  std::uint32_t path = 0;  // index of LoadConfig::paths
  std::uint32_t size = 0;  // N of /bytes/N, where sizes are drawn
  std::uint32_t body = 0;  // octets behind the head, of the pattern
};

class LoadRequests {
 public:
  // Throws std::bad_alloc. `config` is copied.
  LoadRequests(const LoadConfig& config, std::uint32_t core);

  [[nodiscard]] LoadRequest draw();
  // Good until the next call. `close`: the last of its connection, which the server ends.
  [[nodiscard]] std::string_view head(const LoadRequest& r, bool close) {
    if (!ready_.empty()) return ready_[2 * std::size_t{r.path} + (close ? 1U : 0U)];
    return write_head(r, close);
  }
  [[nodiscard]] bool draws_sizes() const { return !sizes_.empty(); }

 private:
  [[nodiscard]] std::string_view write_head(const LoadRequest& r, bool close);
  std::uint32_t draw(const std::vector<LoadSize>& sizes, std::uint32_t weights);

  std::vector<LoadPath> paths_;
  std::vector<LoadSize> sizes_, bodies_;
  std::uint32_t path_weights_, size_weights_, body_weights_;
  Rng rng_;
  std::array<std::string, 2> tail_;  // the head behind the path; [1]: with "Connection: close"
  std::string text_;
  std::vector<std::string> ready_;  // where nothing but the path is drawn: all heads there are
};

}  // namespace weir::app

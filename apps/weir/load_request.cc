#include "load_request.h"

#include <charconv>

namespace weir::app {
namespace {

constexpr std::size_t kDigits = 24;  // of a number, and more
constexpr std::string_view kLength = "Content-Length: ";

template <class T>
std::uint32_t weights_of(const std::vector<T>& list) {
  std::uint32_t sum = 0;
  for (const T& item : list) sum += item.weight;
  return sum;
}

// The item in whose share of the weights `at` falls.
template <class T>
std::uint32_t index_at(const std::vector<T>& list, std::uint32_t at) {
  std::uint32_t i = 0;
  for (; i + 1 < list.size() && at >= list[i].weight; ++i) at -= list[i].weight;
  return i;
}

void append(std::string& to, std::uint32_t number) {
  std::array<char, kDigits> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  to.append(digits.data(), end);
}

}  // namespace

LoadRequests::LoadRequests(const LoadConfig& c, std::uint32_t core)
    : paths_(c.paths),
      sizes_(c.sizes),
      bodies_(c.body_sizes),
      path_weights_(weights_of(paths_)),
      size_weights_(weights_of(sizes_)),
      body_weights_(weights_of(bodies_)),
      rng_(c.seed + (std::uint64_t{core} << 48U)) {
  const std::string host =
      !c.host.empty() ? c.host : (c.targets.empty() ? "weir" : to_string(c.targets.front()));
  const std::string tail = " HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: weir\r\n";
  tail_ = {tail, tail + "Connection: close\r\n"};
  std::size_t longest = 0;
  for (const LoadPath& p : paths_) longest = std::max(longest, p.path.size());
  text_.reserve(longest + tail_[1].size() + kLength.size() + 3 * kDigits);
  if (!sizes_.empty() || !bodies_.empty()) return;
  for (std::uint32_t i = 0; i < paths_.size(); ++i) {
    for (const bool close : {false, true}) ready_.emplace_back(write_head({.path = i}, close));
  }
}

std::uint32_t LoadRequests::draw(const std::vector<LoadSize>& sizes, std::uint32_t weights) {
  const LoadSize& s = sizes[sizes.size() == 1 ? 0 : index_at(sizes, rng_.below(weights))];
  return s.low == s.high ? s.low : s.low + rng_.below(s.high - s.low + 1);
}

LoadRequest LoadRequests::draw() {
  LoadRequest r;
  if (!sizes_.empty()) {
    r.size = draw(sizes_, size_weights_);
  } else if (paths_.size() > 1) {
    r.path = index_at(paths_, rng_.below(path_weights_));
  }
  if (!bodies_.empty()) r.body = draw(bodies_, body_weights_);
  return r;
}

std::string_view LoadRequests::write_head(const LoadRequest& r, bool close) {
  text_ = bodies_.empty() ? "GET " : "POST ";
  if (sizes_.empty()) {
    text_ += paths_[r.path].path;
  } else {
    text_ += "/bytes/";
    append(text_, r.size);
  }
  text_ += tail_[close ? 1 : 0];
  if (!bodies_.empty()) {
    text_ += kLength;
    append(text_, r.body);
    text_ += "\r\n";
  }
  text_ += "\r\n";
  return text_;
}

}  // namespace weir::app

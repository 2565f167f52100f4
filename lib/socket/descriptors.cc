#include "socket/descriptors.h"

#include <algorithm>
#include <utility>

namespace weir::posix {

Descriptor* Descriptors::add(std::unique_ptr<Descriptor>& d) {
  if (full()) return nullptr;
  while (lowest_ < slots_.size() && slots_[lowest_] != nullptr) ++lowest_;
  if (lowest_ == slots_.size()) slots_.emplace_back();
  d->fd = static_cast<int>(first_ + lowest_);
  slots_[lowest_] = std::move(d);
  ++count_;
  return slots_[lowest_].get();
}

std::unique_ptr<Descriptor> Descriptors::remove(int fd) {
  if (find(fd) == nullptr) return nullptr;
  const std::size_t at = static_cast<std::size_t>(fd) - first_;
  lowest_ = std::min(lowest_, at);
  --count_;
  return std::move(slots_[at]);
}

}  // namespace weir::posix

// The functions of weir.h that look at a stack and turn its knobs: settings and counters by name,
// all sockets.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <string>

#include "socket/include/weir/weir.h"
#include "socket/setup.h"
#include "socket/tcp_socket.h"
#include "tcp/settings.h"
#include "telemetry/counters.h"

namespace {

using namespace weir;         // NOLINT(google-build-using-namespace): C names none
using namespace weir::posix;  // NOLINT(google-build-using-namespace): C names none

int answer(int error) {
  if (error == 0) return 0;
  errno = error;
  return -1;
}

int refuse(int code, const std::string& line, char* error, std::size_t size) {
  if (error != nullptr && size > 0) {
    const std::size_t n = std::min(line.size(), size - 1);
    std::memcpy(error, line.data(), n);
    error[n] = '\0';
  }
  return answer(code);
}

const telemetry::CounterInfo* counter_of(const char* name) {
  const auto& all = telemetry::kCounterInfo;
  const auto found =
      std::find_if(all.begin(), all.end(), [name](const auto& info) { return info.name == name; });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace

extern "C" {

int weir_stack_set(weir_stack* stack, const char* name, const char* value, char* error,
                   size_t error_size) {
  if (stack == nullptr || name == nullptr || value == nullptr) return answer(EFAULT);
  try {
    tcp::Config wanted = stack->tcp().tcp_config();
    std::string line;
    if (!read_setting(wanted, {name, value}, line)) return refuse(EINVAL, line, error, error_size);
    const tcp::Setting& setting = *tcp::find_setting(name);
    const bool same = setting.get(wanted) == setting.get(stack->tcp().tcp_config());
    if (!setting.live && !same) {
      line =
          std::string(name) + ": may not change while a stack is; set it in weir_config.settings";
      return refuse(EBUSY, line, error, error_size);
    }
    if (!settings_fit(wanted, line)) return refuse(EINVAL, line, error, error_size);
    stack->tcp().configure(wanted);
    return 0;
  } catch (const std::bad_alloc&) {
    return answer(ENOMEM);
  }
}

int weir_stack_get(const weir_stack* stack, const char* name, char* value, size_t size) {
  if (stack == nullptr || name == nullptr || value == nullptr) return answer(EFAULT);
  const tcp::Setting* setting = tcp::find_setting(name);
  if (setting == nullptr) return answer(EINVAL);
  try {
    const std::string text = tcp::value_text(stack->tcp().tcp_config(), *setting);
    if (text.size() >= size) return answer(ERANGE);
    std::memcpy(value, text.c_str(), text.size() + 1);
    return static_cast<int>(text.size());
  } catch (const std::bad_alloc&) {
    return answer(ENOMEM);
  }
}

const char* weir_setting_name(size_t index) {
  const auto all = tcp::settings();
  return index < all.size() ? all[index].name.data() : nullptr;  // of literals: they end in a zero
}

int weir_set_user(weir_stack* stack, int fd, uint64_t user) {
  if (stack == nullptr) return answer(EFAULT);
  Descriptor* d = stack->descriptors().find(fd);
  if (d == nullptr) return answer(EBADF);
  d->user = user;
  return 0;
}

int weir_stack_counter(const weir_stack* stack, const char* name, uint64_t* value) {
  if (stack == nullptr || name == nullptr || value == nullptr) return answer(EFAULT);
  const telemetry::CounterInfo* info = counter_of(name);
  if (info == nullptr) return answer(EINVAL);
  *value = (stack->tcp().counters().*info->field).get();
  return 0;
}

const char* weir_counter_name(size_t index) {
  const auto& all = telemetry::kCounterInfo;
  return index < all.size() ? all[index].name.data() : nullptr;
}

}  // extern "C"

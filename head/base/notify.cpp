#include "head/base/notify.hpp"

#include <algorithm>
#include <climits>
#include <systemd/sd-daemon.h>

namespace head::notify {

void ready() noexcept {
  ::sd_notify(0, "READY=1");
}

void status(std::string_view line) noexcept {
  line = line.substr(0, line.find('\n'));
  const int size = static_cast<int>(std::min<std::size_t>(line.size(), INT_MAX));
  ::sd_notifyf(0, "STATUS=%.*s", size, line.data());
}

void stopping() noexcept {
  ::sd_notify(0, "STOPPING=1");
}

}  // namespace head::notify

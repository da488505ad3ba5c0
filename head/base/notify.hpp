// What the service manager is told (sd_notify(3)). Does nothing where there is none.
#pragma once

#include <string_view>

namespace head::notify {

// Everything that a client may ask for is up.
void ready() noexcept;
// One line for `systemctl status`.
void status(std::string_view line) noexcept;
void stopping() noexcept;

}  // namespace head::notify

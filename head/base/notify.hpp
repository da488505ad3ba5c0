// What the service manager is told (sd_notify(3)). Does nothing where there is none.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace head::notify {

// Everything that a client may ask for is up.
void ready() noexcept;
// One line for `systemctl status`.
void status(std::string_view line) noexcept;
void reloading() noexcept;  // ready() follows when that is done.
void stopping() noexcept;

// How often alive() is to be called at least (WatchdogSec=); nothing where nobody watches.
std::optional<std::chrono::microseconds> watchdog_period() noexcept;
void alive() noexcept;

}  // namespace head::notify

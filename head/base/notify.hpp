// What the service manager is told (sd_notify(3)). Does nothing where there is none.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <utility>
#include <vector>

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

// Another process is the service from here on; returns when the manager knows.
void main_process(pid_t pid) noexcept;

// The manager's file descriptor store: how many it keeps ($FDSTORE, which systemd sets from 254 on
// and the unit before); what is put there under a name, the next process of the service has.
std::size_t store_room() noexcept;
// Returns when the manager has them. False, with errno set, when it has not.
bool store(std::span<const int> descriptors, const char* name) noexcept;
// What this process was given, with their names. Once.
std::vector<std::pair<std::string, int>> stored();
void forget_stored(const char* name) noexcept;

}  // namespace head::notify

// Who may connect to a Unix socket of ours: what the configuration says, as the kernel wants it.
#pragma once

#include "head/control/config.hpp"
#include "iouring/socket.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>

namespace head::control {

// Throws std::runtime_error, with one sentence, when there is no such group; `key` is where the
// configuration names it.
std::optional<gid_t> group_of(const std::string& name, std::string_view key);  // "": none.
iouring::UnixAccess access_of(const Config::Socket& socket, std::string_view key);

}  // namespace head::control

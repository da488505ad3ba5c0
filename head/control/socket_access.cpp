#include "head/control/socket_access.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <grp.h>
#include <stdexcept>
#include <vector>

namespace head::control {

std::optional<gid_t> group_of(const std::string& name, std::string_view key) {
  if (name.empty()) return std::nullopt;
  std::vector<char> buffer(16 * 1024);
  struct group entry {};
  struct group* found = nullptr;
  while (::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) == ERANGE)
    buffer.resize(buffer.size() * 2);
  if (found == nullptr)
    throw std::runtime_error(fmt::format(
        "{}: there is no group \"{}\" on this system; create it, or name another", key, name));
  return found->gr_gid;
}

iouring::UnixAccess access_of(const Config::Socket& socket, std::string_view key) {
  iouring::UnixAccess access{.mode = socket.mode};
  if (const auto group = group_of(socket.group, key)) access.group = *group;
  return access;
}

}  // namespace head::control

#include "head/export/listener.hpp"

#include <system_error>

namespace head::exports {

namespace {

constexpr int backlog = 64;

std::filesystem::path folder_of(const std::filesystem::path& run_dir, std::string_view name) {
  return run_dir / "discs" / name;
}

}  // namespace

std::filesystem::path socket_path(const std::filesystem::path& run_dir, std::string_view name) {
  return folder_of(run_dir, name) / "nbd.sock";
}

iouring::UniqueFd open_listener(const std::filesystem::path& run_dir, std::string_view name,
                                const iouring::UnixAccess& access) {
  const auto folder = folder_of(run_dir, name);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error)
    throw std::system_error(error, "making the folder " + folder.string() +
                                       "; make its parent writable, or choose another --run-dir");
  return iouring::unix_listener(socket_path(run_dir, name).string(), access, backlog);
}

void remove_listener(const std::filesystem::path& run_dir, std::string_view name) noexcept {
  std::error_code ignored;
  std::filesystem::remove(socket_path(run_dir, name), ignored);
  std::filesystem::remove(folder_of(run_dir, name), ignored);
}

}  // namespace head::exports

#include "head/control/memory_here.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <unistd.h>

namespace head::control {

namespace {

std::string text_of(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

std::uint64_t page_size() {
  return static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

// Nothing for "max", and for what is not there.
std::optional<std::uint64_t> number_in(const std::filesystem::path& file) {
  std::ifstream stream(file);
  std::uint64_t value = 0;
  if (stream >> value) return value;
  return std::nullopt;
}

// The lowest limit of our group and of those around it.
void look_at_group(MemoryHere& here) {
  const ControlGroup group = memory_group(text_of("/proc/self/cgroup"));
  if (group.path.empty()) return;
  const std::filesystem::path root = group.unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
  const char* limit = group.unified ? "memory.max" : "memory.limit_in_bytes";
  const char* used = group.unified ? "memory.current" : "memory.usage_in_bytes";
  // Version 1 says so, nearly, where there is no limit.
  constexpr std::uint64_t no_limit = std::uint64_t{1} << 62;
  std::filesystem::path at = root / group.path.substr(1);
  for (int depth = 0; depth < 32; ++depth, at = at.parent_path()) {
    const auto here_limit = number_in(at / limit);
    if (here_limit && *here_limit < no_limit && *here_limit < here.group_limit.value_or(no_limit)) {
      here.group_limit = here_limit;
      here.group_used = number_in(at / used).value_or(0);
    }
    if (at == root || at == at.parent_path()) break;
  }
}

// "TCP: inuse 1 orphan 0 tw 0 alloc 1 mem 134", in pages.
std::uint64_t tcp_pages() {
  std::istringstream lines(text_of("/proc/net/sockstat"));
  for (std::string line; std::getline(lines, line);) {
    const std::size_t at = line.rfind(" mem ");
    if (line.compare(0, 4, "TCP:") == 0 && at != std::string::npos)
      return std::strtoull(line.c_str() + at + 5, nullptr, 10);
  }
  return 0;
}

}  // namespace

ControlGroup memory_group(std::string_view text) {
  ControlGroup unified;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == line.npos || second == line.npos || line.substr(second + 1, 1) != "/") continue;
    const std::string controllers =
        "," + std::string(line.substr(first + 1, second - first - 1)) + ",";
    const std::string path(line.substr(second + 1));
    if (controllers.find(",memory,") != std::string::npos) return {path, false};
    if (controllers == ",,") unified = {path, true};
  }
  return unified;
}

std::uint64_t meminfo_bytes(std::string_view meminfo, std::string_view name) {
  std::istringstream lines{std::string(meminfo)};
  for (std::string line; std::getline(lines, line);)
    if (line.size() > name.size() && line.compare(0, name.size(), name) == 0 &&
        line[name.size()] == ':')
      return std::strtoull(line.c_str() + name.size() + 1, nullptr, 10) * 1024;
  return 0;
}

std::uint64_t third_number(std::string_view text) {
  std::istringstream numbers{std::string(text)};
  std::uint64_t value = 0;
  for (int i = 0; i < 3; ++i)
    if (!(numbers >> value)) return 0;
  return value;
}

SocketCeilings socket_ceilings() {
  SocketCeilings ceilings;
  const std::uint64_t send = third_number(text_of("/proc/sys/net/ipv4/tcp_wmem"));
  const std::uint64_t receive = third_number(text_of("/proc/sys/net/ipv4/tcp_rmem"));
  if (send != 0) ceilings.tcp_send = send;
  if (receive != 0) ceilings.tcp_receive = receive;
  return ceilings;
}

MemoryHere memory_here() {
  MemoryHere here;
  std::uint64_t size = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  here.resident = resident * page_size();
  const std::string meminfo = text_of("/proc/meminfo");
  here.total = meminfo_bytes(meminfo, "MemTotal");
  here.available = meminfo_bytes(meminfo, "MemAvailable");
  look_at_group(here);
  here.tcp_limit = third_number(text_of("/proc/sys/net/ipv4/tcp_mem")) * page_size();
  here.tcp_used = tcp_pages() * page_size();
  return here;
}

}  // namespace head::control

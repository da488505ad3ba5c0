#include "tools/bench/qmp.hpp"

#include <cstring>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace bench {

Qmp::Qmp(const std::filesystem::path& socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket.c_str(), sizeof address.sun_path - 1);
  fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw std::runtime_error("no QMP socket at " + socket.string());
  line();  // The greeting.
  execute("qmp_capabilities", "{}");
}

Qmp::~Qmp() {
  ::close(fd_);
}

void Qmp::execute(const std::string& command, const std::string& arguments) {
  const std::string text = "{\"execute\": \"" + command + "\", \"arguments\": " + arguments + "}\n";
  if (::send(fd_, text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size()))
    throw std::runtime_error("QMP: " + command + " could not be sent");
  for (;;) {
    const std::string answer = line();
    if (answer.starts_with("{\"return\"")) return;
    if (answer.starts_with("{\"error\"")) throw std::runtime_error(command + ": " + answer);
  }
}

std::string Qmp::line() {
  for (;;) {
    if (const auto end = unread_.find('\n'); end != std::string::npos) {
      std::string first = unread_.substr(0, end);
      unread_.erase(0, end + 1);
      return first;
    }
    char buffer[4096];
    const ssize_t size = ::recv(fd_, buffer, sizeof buffer, 0);
    if (size <= 0) throw std::runtime_error("QMP: the connection ended");
    unread_.append(buffer, static_cast<std::size_t>(size));
  }
}

}  // namespace bench

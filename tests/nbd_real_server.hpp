// A real NBD server as a child process, and a socket to it. There is nothing to wait for: the
// socket exists before the server does, handed over as its standard input (inetd) or as a listening
// one (socket activation). The child is ended by its id, and dies with us in any case.
#pragma once

#include "iouring/unique_fd.hpp"
#include "tests/folder.hpp"

#include <cstddef>
#include <cstdlib>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <span>
#include <string>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace tests {

inline bool is_installed(const std::string& program) {
  for (const char* folder : {"/usr/bin", "/bin", "/usr/sbin", "/usr/local/bin"})
    if (::access((std::string(folder) + "/" + program).c_str(), X_OK) == 0) return true;
  return false;
}

using head::test::Folder;

class RealServer {
 public:
  enum class Start { inetd, socket_activation };

  RealServer(std::vector<std::string> command, Start how) {
    int ends[2] = {-1, -1};
    iouring::UniqueFd theirs;
    if (how == Start::inetd) {
      if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return;
      socket_ = iouring::UniqueFd(iouring::adopt, ends[0]);
      theirs = iouring::UniqueFd(iouring::adopt, ends[1]);
    } else {
      sockaddr_un name{};
      name.sun_family = AF_UNIX;
      const std::string path = folder_ / "nbd.sock";
      path.copy(name.sun_path, sizeof name.sun_path - 1);
      const auto* address = reinterpret_cast<const sockaddr*>(&name);
      theirs = iouring::UniqueFd(iouring::adopt, ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
      socket_ = iouring::UniqueFd(iouring::adopt, ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
      if (::bind(theirs.fd(), address, sizeof name) != 0 || ::listen(theirs.fd(), 8) != 0 ||
          ::connect(socket_.fd(), address, sizeof name) != 0)
        return;
    }
    std::vector<char*> arguments;
    for (std::string& word : command) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    child_ = ::fork();
    if (child_ == 0) run(arguments.data(), how, theirs.fd());
  }
  RealServer(const RealServer&) = delete;
  RealServer& operator=(const RealServer&) = delete;
  ~RealServer() {
    if (child_ <= 0) return;
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }

  bool send(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(socket_.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes = bytes.subspan(static_cast<std::size_t>(sent));
    }
    return true;
  }

  // Fewer bytes when the server closed, or said nothing for ten seconds.
  std::vector<std::byte> receive(std::size_t size) {
    std::vector<std::byte> bytes(size);
    std::size_t have = 0;
    while (have < size) {
      pollfd ready{.fd = socket_.fd(), .events = POLLIN, .revents = 0};
      if (::poll(&ready, 1, 10'000) <= 0) break;
      const auto got = ::recv(socket_.fd(), bytes.data() + have, size - have, 0);
      if (got <= 0) break;
      have += static_cast<std::size_t>(got);
    }
    bytes.resize(have);
    return bytes;
  }

 private:
  [[noreturn]] static void run(char** arguments, Start how, int socket) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (how == Start::inetd) {
      ::dup2(socket, 0);
      ::dup2(socket, 1);
    } else {
      ::dup2(socket, 3);  // SD_LISTEN_FDS_START; a copy of its own would keep FD_CLOEXEC.
      if (socket == 3) ::fcntl(3, F_SETFD, 0);
      ::setenv("LISTEN_FDS", "1", 1);
      ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    }
    ::execvp(arguments[0], arguments);
    ::_exit(127);
  }

  Folder folder_;
  iouring::UniqueFd socket_;
  pid_t child_ = -1;
};

}  // namespace tests

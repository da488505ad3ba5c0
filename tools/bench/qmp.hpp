// A connection to a QEMU machine protocol socket: one command at a time.
#pragma once

#include <filesystem>
#include <string>

namespace bench {

class Qmp {
 public:
  // Connects and negotiates. Throws std::runtime_error.
  explicit Qmp(const std::filesystem::path& socket);
  Qmp(const Qmp&) = delete;
  Qmp& operator=(const Qmp&) = delete;
  ~Qmp();

  // `arguments` is a JSON object. Throws with QEMU's words when the command fails.
  void execute(const std::string& command, const std::string& arguments);

 private:
  std::string line();

  int fd_ = -1;
  std::string unread_;
};

}  // namespace bench

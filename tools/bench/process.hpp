// The processes that a benchmark runs: each is ended with its owner, and with this process however
// that ends. What they print goes to a log that is quoted when they fail.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace bench {

using Arguments = std::vector<std::string>;

class Process {
 public:
  Process() = default;
  // Starts `arguments[0]`, looked up in PATH. Throws std::runtime_error when it cannot be started.
  Process(const Arguments& arguments, std::filesystem::path log);
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  ~Process();  // SIGTERM, and SIGKILL when it has not ended after five seconds.

  pid_t pid() const noexcept { return pid_; }
  bool running();
  // Waits for it to end. The exit status, or 128 + signal.
  int wait();
  // Waits until `ready` says yes; throws, with the end of the log, when it ends before or at the
  // deadline.
  void await(const std::string& what, const std::function<bool()>& ready,
             std::chrono::seconds deadline = std::chrono::seconds(20));

 private:
  [[noreturn]] void fail(const std::string& why) const;

  pid_t pid_ = -1;
  int status_ = 0;
  std::string name_;
  std::filesystem::path log_;
};

// Runs a command to its end and returns what it printed to standard output. Throws, with what it
// printed to standard error, when its status is not 0.
std::string output_of(const Arguments& arguments, const std::filesystem::path& scratch);

// Processor time of a process in seconds, threads that have ended included.
double cpu_seconds(pid_t pid);

struct Memory {
  double resident_kib = 0;   // VmRSS
  double anonymous_kib = 0;  // RssAnon
};
Memory memory_of(pid_t pid);

// A folder that is gone when its owner is.
class Scratch {
 public:
  Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch();

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace bench

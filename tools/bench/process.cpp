#include "tools/bench/process.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <signal.h>
#include <sstream>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>

namespace bench {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Between fork and exec only calls that are safe there: other threads may hold locks.
pid_t spawn(const Arguments& arguments, const fs::path& out, const fs::path& err) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (pid > 0) return pid;

  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(126);
  constexpr int flags = O_WRONLY | O_CREAT | O_APPEND;
  const int in_fd = ::open("/dev/null", O_RDONLY);
  const int out_fd = ::open(out.c_str(), flags, 0600);
  const int err_fd = ::open(err.c_str(), flags, 0600);
  if (in_fd < 0 || out_fd < 0 || err_fd < 0) ::_exit(126);
  ::dup2(in_fd, 0);
  ::dup2(out_fd, 1);
  ::dup2(err_fd, 2);
  ::execvp(argv[0], argv.data());
  ::_exit(127);
}

int exit_status(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

Process::Process(const Arguments& arguments, fs::path log)
    : name_(fs::path(arguments.at(0)).filename()), log_(std::move(log)) {
  pid_ = spawn(arguments, log_, log_);
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      status_(other.status_),
      name_(std::move(other.name_)),
      log_(std::move(other.log_)) {}

Process& Process::operator=(Process&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(status_, other.status_);
  std::swap(name_, other.name_);
  std::swap(log_, other.log_);
  return *this;
}

Process::~Process() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGTERM);
  for (int i = 0; i < 500 && running(); ++i) std::this_thread::sleep_for(10ms);
  if (!running()) return;
  ::kill(pid_, SIGKILL);
  wait();
}

bool Process::running() {
  if (pid_ < 0) return false;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) != pid_) return true;
  status_ = exit_status(status);
  pid_ = -1;
  return false;
}

int Process::wait() {
  int status = 0;
  while (pid_ >= 0) {
    if (::waitpid(pid_, &status, 0) == pid_) {
      status_ = exit_status(status);
      pid_ = -1;
    } else if (errno != EINTR) {
      throw std::system_error(errno, std::generic_category(), "waiting for " + name_);
    }
  }
  return status_;
}

void Process::await(const std::string& what, const std::function<bool()>& ready,
                    std::chrono::seconds deadline) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  while (!ready()) {
    if (!running()) fail("ended with status " + std::to_string(status_) + " before " + what);
    if (std::chrono::steady_clock::now() > end)
      fail("has run for " + std::to_string(deadline.count()) + " s without " + what);
    std::this_thread::sleep_for(2ms);
  }
}

void Process::fail(const std::string& why) const {
  std::string log = text_of(log_);
  if (log.size() > 2000) log.erase(0, log.size() - 2000);
  throw std::runtime_error(name_ + " " + why + ". It said:\n" + log);
}

std::string output_of(const Arguments& arguments, const fs::path& scratch) {
  const fs::path out = scratch / "command.out";
  const fs::path err = scratch / "command.err";
  fs::remove(out);
  fs::remove(err);
  const pid_t pid = spawn(arguments, out, err);
  int status = 0;
  while (::waitpid(pid, &status, 0) != pid)
    if (errno != EINTR) throw std::system_error(errno, std::generic_category(), arguments[0]);
  if (status != 0)
    throw std::runtime_error(fmt::format("{} failed with status {}: {}", fmt::join(arguments, " "),
                                         exit_status(status), text_of(err)));
  return text_of(out);
}

double cpu_seconds(pid_t pid) {
  clockid_t clock{};
  timespec spent{};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &spent) != 0)
    throw std::runtime_error("no processor time of process " + std::to_string(pid));
  return static_cast<double>(spent.tv_sec) + static_cast<double>(spent.tv_nsec) / 1e9;
}

Memory memory_of(pid_t pid) {
  Memory memory;
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string key; file >> key;) {
    if (key == "VmRSS:") file >> memory.resident_kib;
    if (key == "RssAnon:") file >> memory.anonymous_kib;
  }
  return memory;
}

Scratch::Scratch() {
  std::string name = (fs::temp_directory_path() / "head-bench.XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr)
    throw std::system_error(errno, std::generic_category(), "making a folder for the benchmark");
  path_ = name;
}

Scratch::~Scratch() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace bench

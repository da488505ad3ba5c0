#include "head/control/next_headd.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <spawn.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

extern char** environ;

namespace head::control {

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

// In the child.
constexpr int channel_number = 3;
constexpr int script_number = 4;

// What the service manager told this process alone.
bool is_ours_alone(std::string_view variable) {
  for (const std::string_view name :
       {"WATCHDOG_PID=", "LISTEN_PID=", "LISTEN_FDS=", "LISTEN_FDNAMES="})
    if (variable.substr(0, name.size()) == name) return true;
  return false;
}

std::vector<char*> environment() {
  std::vector<char*> kept;
  for (char** at = environ; *at != nullptr; ++at)
    if (!is_ours_alone(*at)) kept.push_back(*at);
  kept.push_back(nullptr);
  return kept;
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) return fmt::format("it was ended by signal {}", WTERMSIG(status));
  switch (WEXITSTATUS(status)) {
    case 2:
      return "it does not know this command line (status 2)";
    case 3:
      return "the configuration is wrong (status 3)";
    default:
      return fmt::format("it ended with status {}", WEXITSTATUS(status));
  }
}

// posix_spawn(3) with both its objects, which have to be given back.
class Spawn {
 public:
  Spawn() {
    posix_spawn_file_actions_init(&files_);
    posix_spawnattr_init(&how_);
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    sigaddset(&defaults, SIGXFSZ);
    posix_spawnattr_setsigmask(&how_, &none);
    posix_spawnattr_setsigdefault(&how_, &defaults);
    posix_spawnattr_setflags(&how_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  Spawn(const Spawn&) = delete;
  Spawn& operator=(const Spawn&) = delete;
  ~Spawn() {
    posix_spawnattr_destroy(&how_);
    posix_spawn_file_actions_destroy(&files_);
  }

  void give(int fd, int number) { posix_spawn_file_actions_adddup2(&files_, fd, number); }
  int run(pid_t& pid, const std::string& path, std::vector<std::string>& arguments) const {
    std::vector<char*> list;
    for (std::string& argument : arguments) list.push_back(argument.data());
    list.push_back(nullptr);
    auto variables = environment();
    return ::posix_spawn(&pid, path.c_str(), &files_, &how_, list.data(), variables.data());
  }

 private:
  posix_spawn_file_actions_t files_;
  posix_spawnattr_t how_;
};

}  // namespace

std::optional<std::string> NextHeadd::start(const TrustedProgram& program,
                                            std::vector<std::string> arguments) {
  std::erase_if(arguments,
                [](const std::string& argument) { return argument.rfind("--take-over", 0) == 0; });
  arguments.insert(arguments.begin(), program.path.string());
  arguments.push_back(fmt::format("--take-over={}", channel_number));
  Spawn spawn;
  spawn.give(theirs_.fd(), channel_number);
  int number = program.file.fd();
  if (program.script) spawn.give(program.file.fd(), number = script_number);
  pid_t pid = 0;
  const int error = spawn.run(pid, path_of(number).string(), arguments);
  if (error != 0)
    return fmt::format("{} cannot be started: {}", program.path.string(), std::strerror(error));
  pid_ = pid;
  theirs_ = {};
  return std::nullopt;
}

std::optional<std::string> NextHeadd::tell(std::string_view word, std::string_view sentence,
                                           std::span<const int> descriptors) {
  if (channel_.say(word, sentence, descriptors)) return std::nullopt;
  const int error = errno;
  const auto ended = error == EPIPE ? how_it_ended_soon() : std::nullopt;
  if (ended) return *ended;
  return fmt::format("the new headd cannot be told \"{}\": {}", word, std::strerror(error));
}

std::optional<std::string> NextHeadd::await(std::string_view word,
                                            std::chrono::milliseconds within) {
  const auto heard = channel_.hear(Clock::now() + within);
  if (heard && heard->word == word) return std::nullopt;
  if (heard && heard->word == "no") return "the new headd said no: " + heard->sentence;
  if (heard) return fmt::format("the new headd said \"{}\", not \"{}\"", heard->word, word);
  if (auto ended = how_it_ended_soon()) return ended;
  return fmt::format("the new headd did not say \"{}\" in time, and was ended", word);
}

// It is gone, or is about to be, or says nothing.
std::optional<std::string> NextHeadd::how_it_ended_soon() {
  for (int i = 0; i < 20 && pid_ != 0; ++i) {
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = 0;
      return "the new headd did not take over: " + how_it_ended(status);
    }
    std::this_thread::sleep_for(5ms);
  }
  return std::nullopt;
}

void NextHeadd::end() noexcept {
  if (pid_ == 0) return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = 0;
}

}  // namespace head::control

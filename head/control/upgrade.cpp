#include "head/control/upgrade.hpp"

#include "head/base/log.hpp"
#include "head/base/notify.hpp"
#include "head/control/handover.hpp"
#include "head/control/upgrade_channel.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <span>
#include <spawn.h>
#include <string_view>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

extern char** environ;

namespace head::control {

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr int channel_number = 3;  // In the child.

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

double ms(Clock::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
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

}  // namespace

std::optional<std::string> objection_to_binary(const std::filesystem::path& binary) {
  if (!binary.is_absolute())
    return fmt::format("{} is not an absolute path; give one", binary.string());
  std::error_code error;
  const auto real = std::filesystem::canonical(binary, error);
  if (error) return fmt::format("{}: {}; give another path", binary.string(), error.message());
  struct stat about {};
  if (::stat(real.c_str(), &about) != 0 || !S_ISREG(about.st_mode) ||
      ::access(real.c_str(), X_OK) != 0)
    return fmt::format("{} is not a program that can be run; give another path", real.string());
  for (auto at = real;; at = at.parent_path()) {
    if (::stat(at.c_str(), &about) != 0)
      return fmt::format("{}: {}; give another path", at.string(), std::strerror(errno));
    const bool trusted = about.st_uid == 0 || about.st_uid == ::geteuid();
    const bool shared =
        (about.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (about.st_mode & S_ISVTX) == 0;
    if (!trusted || shared)
      return fmt::format(
          "{} can be changed by others than root and headd; put the program where they cannot",
          at.string());
    if (at == at.root_path()) return std::nullopt;
  }
}

// The new headd, until it is let go. What is not let go is killed, and waited for: nothing of it is
// left when a guest is served again.
class Upgrader::Child {
 public:
  explicit Child(UpgradeChannel ours) : channel(std::move(ours)) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { end(); }

  int start(const std::string& binary, std::vector<std::string> arguments, int socket) {
    std::erase_if(arguments, [](const std::string& argument) {
      return argument.rfind("--take-over", 0) == 0;
    });
    arguments.insert(arguments.begin(), binary);
    arguments.push_back(fmt::format("--take-over={}", channel_number));
    std::vector<char*> list;
    for (std::string& argument : arguments) list.push_back(argument.data());
    list.push_back(nullptr);
    auto variables = environment();
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, socket, channel_number);
    posix_spawnattr_init(&how);
    posix_spawnattr_setsigmask(&how, &none);
    posix_spawnattr_setsigdefault(&how, &defaults);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    const int error =
        ::posix_spawn(&pid_, binary.c_str(), &files, &how, list.data(), variables.data());
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&files);
    if (error != 0) pid_ = 0;
    return error;
  }

  // Nothing when it said `word`; else a sentence.
  std::optional<std::string> await(std::string_view word, std::chrono::milliseconds within) {
    const auto heard = channel.hear(Clock::now() + within);
    if (heard && heard->word == word) return std::nullopt;
    if (heard && heard->word == "no") return "the new headd said no: " + heard->sentence;
    if (heard) return fmt::format("the new headd said \"{}\", not \"{}\"", heard->word, word);
    // It is gone, or is about to be, or says nothing.
    for (int i = 0; i < 20 && pid_ != 0; ++i) {
      int status = 0;
      if (::waitpid(pid_, &status, WNOHANG) == pid_) {
        pid_ = 0;
        return "the new headd did not take over: " + how_it_ended(status);
      }
      std::this_thread::sleep_for(5ms);
    }
    return fmt::format("the new headd did not say \"{}\" in time, and was ended", word);
  }

  void end() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
  }
  pid_t pid() const noexcept { return pid_; }
  void let_go() noexcept { pid_ = 0; }

  const UpgradeChannel channel;

 private:
  pid_t pid_ = 0;
};

Result<Upgraded, std::string> Upgrader::upgrade(const std::filesystem::path& wanted) {
  const std::unique_lock alone(one_at_a_time_, std::try_to_lock);
  if (!alone || handed_over_)
    return Failure{std::string("another headd is taking over already; ask that one")};
  const auto& binary = wanted.empty() ? options_.binary : wanted;
  if (auto objection = objection_to_binary(binary)) return Failure{std::move(*objection)};

  auto [ours, theirs] = UpgradeChannel::pair();
  Child child(std::move(ours));
  agent_.freeze(true);
  const auto fail = [&](std::string why) {
    child.end();
    agent_.freeze(false);
    log::error("headd: not upgraded: {}; this headd goes on", why);
    return Failure{std::move(why)};
  };
  if (const int error = child.start(binary.string(), options_.arguments, theirs.fd()); error != 0)
    return fail(fmt::format("{} cannot be started: {}", binary.string(), std::strerror(error)));
  theirs = {};
  log::info("headd: {} is to take over, as process {}", binary.string(), child.pid());
  const std::size_t ready = agent_.status().by_state[static_cast<std::size_t>(State::ready)];
  child.channel.say("begin", std::to_string(ready), options_.locks);
  if (auto why = child.await("ready", options_.ready_within)) return fail(std::move(*why));

  auto done = pass_on(child);
  if (!done) return fail(done.error());
  return done;
}

Result<Upgraded, std::string> Upgrader::pass_on(Child& child) {
  Upgraded upgraded{.pid = child.pid()};
  const auto began = Clock::now();
  auto discs = agent_.hand_over();
  const auto let_go = Clock::now();
  note_cookies(discs);
  const auto document = memory_file(to_document(discs));
  std::vector<int> first{document.fd()};
  first.insert(first.end(), listeners_.begin(), listeners_.end());
  bool said = document && child.channel.say("guests", {}, first);
  const auto descriptors = descriptors_of(discs);
  std::span<const int> rest(descriptors);
  while (said && !rest.empty()) {
    const auto some = rest.first(std::min(rest.size(), UpgradeChannel::descriptors_max));
    rest = rest.subspan(some.size());
    said = child.channel.say("more", {}, some);
  }
  if (said) child.channel.say("all");
  if (auto why = child.await("taken", options_.taken_within)) {
    child.end();
    take_back(std::move(discs));
    return Failure{std::move(*why)};
  }
  const auto taken = Clock::now();
  for (const auto& disc : discs) upgraded.guests += disc.sessions.size();
  upgraded.discs = discs.size();

  handed_over_ = true;
  child.channel.say("go");  // There is no way back from here for the guests.
  const auto why = child.await("serving", options_.taken_within);
  upgraded.pause = Clock::now() - began;
  if (why) {
    child.end();
    take_back_without_guests(std::move(discs));
    handed_over_ = false;
    return Failure{fmt::format("{}; {} guests have to connect again", *why, upgraded.guests)};
  }
  notify::main_process(child.pid());
  log::info(
      "headd: process {} has taken over {} discs with {} guests, who waited for {:.0f} ms: {:.0f} "
      "until they were let go, {:.0f} until they were passed on",
      child.pid(), upgraded.discs, upgraded.guests, ms(upgraded.pause), ms(let_go - began),
      ms(taken - let_go));
  child.let_go();
  ::kill(::getpid(), SIGTERM);
  return upgraded;
}

// The new one, which is gone, may have answered guests, and have written: what they were told is
// not known, nor what their discs hold. What was kept here for replay would undo that.
void Upgrader::take_back_without_guests(std::vector<exports::HandedDisc> discs) {
  const auto until =
      std::chrono::nanoseconds((Clock::now() + options_.quarantine).time_since_epoch());
  for (auto& disc : discs) {
    disc.sessions.clear();
    if (!disc.legacy.log.empty())
      log::error(
          "disc {}: {} bytes that were acknowledged and not flushed are lost if its tail "
          "has crashed",
          disc.name, disc.legacy.log.size());
    disc.legacy = {.doubts = {{.offset = 0, .length = UINT64_MAX, .until_ns = until.count()}}};
  }
  take_back(std::move(discs));
}

void Upgrader::take_back(std::vector<exports::HandedDisc> discs) {
  inheritance_->arrive(std::move(discs));
  agent_.take_back();
}

}  // namespace head::control

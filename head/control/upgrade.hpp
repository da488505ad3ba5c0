// `headctl upgrade`: another headd takes this one's place, and its guests notice a pause.
//
// The new one is started as a child, beside this one, with the same command line; it opens every
// disc to its tail while this one serves on. Only then are guests halted, for as long as it takes
// to let go of the tails and to pass the sockets on (upgrade_channel.hpp). Requests that are
// unanswered then are asked again by the new one; the connections on which they were asked are
// reset before. If it ends when it has the guests and does not serve yet, the discs are taken back,
// and their guests have to connect again. Else, if the new one says no, ends, or is silent for too
// long, it is killed, the guests are taken back, and this headd goes on as before. Meanwhile
// changes are refused: there is one state directory.
#pragma once

#include "head/base/result.hpp"
#include "head/control/agent.hpp"
#include "head/control/inheritance.hpp"

#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace head::control {

struct Upgraded {
  pid_t pid = 0;
  std::size_t discs = 0;
  std::size_t guests = 0;
  std::chrono::steady_clock::duration pause{};  // Of the guests.
};

// Why `binary` is not started, in a sentence: whoever may ask the API must not be able to run what
// he has written himself with this daemon's rights.
std::optional<std::string> objection_to_binary(const std::filesystem::path& binary);

class Upgrader {
 public:
  struct Options {
    std::filesystem::path binary;        // That runs now.
    std::vector<std::string> arguments;  // As it was started, without its name.
    std::vector<int> locks;              // Of its directories.
    std::chrono::milliseconds ready_within{15'000};
    std::chrono::milliseconds taken_within{3'000};
    std::chrono::milliseconds quarantine{1'000};  // Of what a new one that ended may have sent.
  };

  // `agent` outlives it.
  Upgrader(Agent& agent, std::shared_ptr<Inheritance> inheritance, Options options)
      : agent_(agent), inheritance_(std::move(inheritance)), options_(std::move(options)) {}

  // The API's, which go along: descriptors that stay open as long as this is there.
  void set_listeners(std::vector<int> listeners) { listeners_ = std::move(listeners); }

  // Any thread; empty: the binary that runs now, as it is on the disk. When it succeeds, this
  // process has no guests any more, and SIGTERM is on its way.
  Result<Upgraded, std::string> upgrade(const std::filesystem::path& binary);

  // To be asked when SIGTERM has come: everything is another's now, nothing is to be tidied up.
  bool handed_over() const noexcept { return handed_over_; }

 private:
  class Child;

  Result<Upgraded, std::string> pass_on(Child& child);
  void take_back(std::vector<exports::HandedDisc> discs);
  void take_back_without_guests(std::vector<exports::HandedDisc> discs);

  Agent& agent_;
  const std::shared_ptr<Inheritance> inheritance_;
  const Options options_;
  std::vector<int> listeners_;
  std::mutex one_at_a_time_;
  std::atomic<bool> handed_over_{false};
};

}  // namespace head::control

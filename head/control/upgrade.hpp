// `headctl upgrade`: another headd takes this one's place, and its guests notice a pause.
//
// The new one is started as a child, beside this one, with the same command line; it makes every
// disc while this one serves on, and connects to no tail. Only then are guests halted, for as long
// as it takes to pass the sockets on, those of guests and those to tails (upgrade_channel.hpp).
// Requests that are unanswered then are asked again by the new one; the connections on which they
// were asked are reset before, and the new one makes others. If it ends when it has the guests and
// does not serve yet, the discs are taken back, and their guests have to connect again. Else, if
// the new one says no, ends, or is silent for too long, or whatever else goes wrong, it is killed,
// the guests are taken back, and this headd goes on as before.
//
// One of them owns the state directory at any time (Ownership): this one lends it meanwhile,
// refuses every change, and gives it away once the new one serves. The new one refuses changes and
// upgrades until then.
#pragma once

#include "head/base/result.hpp"
#include "head/control/agent.hpp"
#include "head/control/inheritance.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace head::control {

class NextHeadd;

struct Upgraded {
  pid_t pid = 0;
  std::size_t discs = 0;
  std::size_t guests = 0;
  std::size_t connections = 0;                  // To tails, that went along.
  std::chrono::steady_clock::duration pause{};  // Of the guests.
};

struct NotUpgraded {
  // Nothing was begun: an upgrade is under way, or this headd is not the owner yet or any more.
  bool under_way = false;
  std::string sentence;
};

class Upgrader {
 public:
  struct Options {
    std::filesystem::path binary;        // That runs now.
    std::vector<std::string> arguments;  // As it was started, without its name.
    std::vector<int> locks;              // Of its directories.
    std::chrono::milliseconds ready_within{15'000};
    std::chrono::milliseconds answered_within{1'000};  // By data threads, before guests are halted.
    std::chrono::milliseconds let_go_within{2'000};
    std::chrono::milliseconds taken_within{3'000};
    std::chrono::milliseconds quarantine{30'000};  // Of what a new one that ended may have sent.
    // So long a headd takes changes after each upgrade before the next one begins: those that were
    // refused meanwhile get their turn.
    std::chrono::milliseconds changes_first{1'000};
  };

  // `agent` outlives it.
  Upgrader(Agent& agent, std::shared_ptr<Inheritance> inheritance, Options options)
      : agent_(agent), inheritance_(std::move(inheritance)), options_(std::move(options)) {}

  // The API's, which go along: descriptors that stay open as long as this is there. Before the API
  // serves.
  void set_listeners(std::vector<int> listeners) { listeners_ = std::move(listeners); }

  // Any thread; empty: the binary that runs now, as it is on the disk. When it succeeds, this
  // process has no guests any more, and SIGTERM is on its way.
  Result<Upgraded, NotUpgraded> upgrade(const std::filesystem::path& binary);

  // This process is to end. What is under way is given up where it still can be, and is over one
  // way or the other when this returns, within bounds; nothing begins any more.
  void cancel() noexcept;

  // To be asked then: everything is another's now, nothing is to be tidied up.
  bool handed_over() const noexcept { return handed_over_; }

 private:
  class Attempt;

  void set_next(const NextHeadd* next) noexcept;
  // False: this process is to end.
  bool begin_to_hand_over() noexcept;
  bool ending() const noexcept;
  void let_changes_pass();

  Agent& agent_;
  const std::shared_ptr<Inheritance> inheritance_;
  const Options options_;
  std::vector<int> listeners_;
  std::mutex one_at_a_time_;
  mutable std::mutex next_lock_;  // Of `next_` and `ending_`, and of what follows from them.
  const NextHeadd* next_ = nullptr;
  bool ending_ = false;
  std::condition_variable ends_;
  std::atomic<bool> handed_over_{false};  // The guests are the new one's, or may be.
};

}  // namespace head::control

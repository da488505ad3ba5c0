// The other side of an upgrade: a headd that takes over from the one that started it, or that finds
// in the service manager's file descriptor store what an earlier one left there. See upgrade.hpp.
#pragma once

#include "head/control/handover.hpp"
#include "head/control/upgrade_channel.hpp"

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace head::control {

struct Estate {
  std::vector<exports::HandedDisc> discs;
  std::vector<iouring::UniqueFd> listeners{};  // The API's: the local one, then TCP's, if any.
};

// Behind the number of discs that are ready, in what begins an upgrade. Earlier headds do not say
// it.
inline constexpr std::string_view connections_come_word = " connections";

class Heir {
 public:
  // `channel` is what --take-over names. Both directories' locks are this process's as well from
  // here on. Throws std::runtime_error with a sentence, as all of these do.
  explicit Heir(int channel);

  // How many discs were ready with the other headd when it began: tails of others may be away, and
  // are not waited for.
  std::size_t ready_before() const noexcept { return ready_before_; }
  // Whether that headd hands over its connections to tails as well.
  bool connections_come() const noexcept { return connections_come_; }
  // Everything is prepared. Comes back when the guests are ours.
  Estate take_over();
  void serving() const noexcept { channel_.say("serving"); }
  // After that: whether everything is ours, as the other one has said so or is gone; waits for it
  // until then.
  bool is_owner(std::chrono::steady_clock::time_point until) const;
  void say_no(const std::string& sentence) const noexcept { channel_.say("no", sentence); }

 private:
  UpgradeChannel::Message hear(std::chrono::seconds within) const;

  UpgradeChannel channel_;
  std::size_t ready_before_ = SIZE_MAX;  // It did not say.
  bool connections_come_ = false;
};

// The estate in the store: how many guests were put there. Guests that it has no room for are hung
// up on when this process ends, which is said in the log.
std::size_t put_in_store(std::vector<exports::HandedDisc> discs);
// What is there, if anything; it is out of the store then.
std::vector<exports::HandedDisc> take_from_store();

}  // namespace head::control

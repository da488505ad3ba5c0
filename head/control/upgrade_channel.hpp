// Between a headd and the one that takes over from it: short messages, each a word and perhaps a
// sentence, with descriptors. In this order, old to new (>) and new to old (<):
//
//   > begin     the locks: from here on both own the directories; how many discs are ready
//   < ready     the configuration is read, the discs are open; nothing of a guest was touched
//   > guests    the document (handover.hpp) and the API's listeners, then
//   > more      descriptors, as often as it takes, then
//   > all
//   < taken     everything is there and understood
//   > go        from here on the guests' sockets are the new one's
//   < serving
//   > yours     from here on the state directory is the new one's, as everything else
//
// Until it hears that, the new one changes nothing and is not upgraded, unless the old one is gone.
//
// Instead of ready or taken the new one may say no, with a sentence. Before `go` the old one can
// always take its guests back. Between `go` and `serving` it can take back the discs, and not the
// guests: an answer may have been given already, or a part of one. They connect again.
#pragma once

#include "iouring/unique_fd.hpp"

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace head::control {

class UpgradeChannel {
 public:
  struct Message {
    std::string word;
    std::string sentence{};
    std::vector<iouring::UniqueFd> descriptors{};
  };
  // Of a message: the kernel takes no more (SCM_MAX_FD).
  static constexpr std::size_t descriptors_max = 250;

  explicit UpgradeChannel(iouring::UniqueFd socket) : socket_(std::move(socket)) {}
  // Both ends; throws std::system_error.
  static std::pair<UpgradeChannel, iouring::UniqueFd> pair();

  // False when the other end is gone, or takes nothing.
  bool say(std::string_view word, std::string_view sentence = {},
           std::span<const int> descriptors = {}) const noexcept;
  // Nothing when it says nothing until then, or is gone.
  std::optional<Message> hear(std::chrono::steady_clock::time_point until) const;
  // The other end is gone, and everything that it said was heard.
  bool is_over() const noexcept;
  // Both ends hear from then on that the other is gone.
  void end() const noexcept;

 private:
  iouring::UniqueFd socket_;
};

}  // namespace head::control

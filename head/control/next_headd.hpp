// The headd that is to take over, as a child of this one until it is let go. What is not let go is
// killed, and waited for: nothing of it is left when a guest is served again.
#pragma once

#include "head/control/trusted_program.hpp"
#include "head/control/upgrade_channel.hpp"

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace head::control {

class NextHeadd {
 public:
  NextHeadd() : NextHeadd(UpgradeChannel::pair()) {}  // Throws std::system_error.
  NextHeadd(const NextHeadd&) = delete;
  NextHeadd& operator=(const NextHeadd&) = delete;
  ~NextHeadd() { end(); }

  // Each of these: nothing when it did; else why not, in a sentence. `arguments` are those of this
  // headd.
  std::optional<std::string> start(const TrustedProgram& program,
                                   std::vector<std::string> arguments);
  std::optional<std::string> tell(std::string_view word, std::string_view sentence = {},
                                  std::span<const int> descriptors = {});
  std::optional<std::string> await(std::string_view word, std::chrono::milliseconds within);

  // Nothing is heard of it any more, nor by it: whoever waits for it is through. Any thread.
  void abandon() const noexcept { channel_.end(); }
  void end() noexcept;
  void let_go() noexcept { pid_ = 0; }
  pid_t pid() const noexcept { return pid_; }

 private:
  explicit NextHeadd(std::pair<UpgradeChannel, iouring::UniqueFd> ends)
      : channel_(std::move(ends.first)), theirs_(std::move(ends.second)) {}
  std::optional<std::string> how_it_ended_soon();

  const UpgradeChannel channel_;
  iouring::UniqueFd theirs_;  // Until it is started.
  pid_t pid_ = 0;
};

}  // namespace head::control

// What is said of data threads that come to nothing: once when they do, and once when they run
// again, however often one looks; and with where they were, which costs a file, not too often.
#pragma once

#include <chrono>
#include <optional>

namespace head::control {

class HangWatch {
 public:
  using Instant = std::chrono::steady_clock::time_point;

  // Threads are asked this often, and have to come to it until the next time: guests of one that
  // does not wait for longer than any storage should take.
  static constexpr std::chrono::seconds look_period{1};
  static constexpr std::chrono::minutes reports_apart{1};

  enum class Say { nothing, hung, hung_and_report, over };

  // `answered`: all have come to what they were asked a period ago.
  Say look(bool answered, Instant now) noexcept {
    const bool was = hung_;
    hung_ = !answered;
    if (hung_ == was) return Say::nothing;
    if (!hung_) return Say::over;
    since_ = now - look_period;
    if (reported_ && now - *reported_ < reports_apart) return Say::hung;
    reported_ = now;
    return Say::hung_and_report;
  }
  // When it began, at the latest.
  Instant since() const noexcept { return since_; }

 private:
  bool hung_ = false;
  Instant since_{};
  std::optional<Instant> reported_;
};

}  // namespace head::control

// The discs as they go from one headd to the next.
#include "head/control/agent.hpp"

#include <algorithm>
#include <future>
#include <iterator>
#include <utility>

namespace head::control {

void Agent::freeze(bool yes) {
  frozen_ = yes;
  const std::unique_lock through(changes_lock_);
}

void Agent::await_ready(std::size_t ready, std::chrono::steady_clock::time_point until) {
  for (;;) {
    const std::uint64_t seen = bell_.rung();
    const auto all = discs();
    if (std::all_of(all.begin(), all.end(),
                    [](const DiscStatus& disc) { return is_settled(disc.state); }))
      return;
    const auto are = std::count_if(
        all.begin(), all.end(), [](const DiscStatus& disc) { return disc.state == State::ready; });
    if (static_cast<std::size_t>(are) >= ready) return;
    if (!bell_.wait(seen, until)) return;
  }
}

std::vector<exports::HandedDisc> Agent::hand_over() {
  using Handed = std::vector<exports::HandedDisc>;
  std::vector<std::shared_ptr<std::promise<Handed>>> answers;
  for (const auto& thread : threads_) {
    answers.push_back(std::make_shared<std::promise<Handed>>());
    thread->hand_over(
        [answer = answers.back()](Handed handed) { answer->set_value(std::move(handed)); });
  }
  Handed all;
  for (const auto& answer : answers) {
    Handed some = answer->get_future().get();
    std::move(some.begin(), some.end(), std::back_inserter(all));
  }
  return all;
}

void Agent::take_back() {
  for (const auto& thread : threads_) thread->take_back();
}

void Agent::take_up() {
  std::vector<std::shared_ptr<std::promise<void>>> answers;
  for (const auto& thread : threads_) {
    answers.push_back(std::make_shared<std::promise<void>>());
    thread->take_up([answer = answers.back()] { answer->set_value(); });
  }
  for (const auto& answer : answers) answer->get_future().get();
}

}  // namespace head::control

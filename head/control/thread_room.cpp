#include "head/control/thread_room.hpp"

#include "head/control/api_server.hpp"

#include <fmt/format.h>

#include <exception>
#include <latch>
#include <thread>
#include <vector>

namespace head::control {

namespace {

// The keeper's, the agent's two, and the one that explains crashes.
constexpr std::size_t single_threads = 4;

}  // namespace

std::size_t threads_needed(const Config& config) noexcept {
  return data_threads(config) + single_threads + api_threads +
         (config.metrics.listen ? tcp_threads : 0);
}

std::size_t threads_to_be_had(std::size_t wanted) {
  std::latch all(1);
  std::vector<std::jthread> threads;
  threads.reserve(wanted);
  try {
    while (threads.size() < wanted) threads.emplace_back([&all] { all.wait(); });
  } catch (const std::exception&) {
    // So many, then.
  }
  all.count_down();
  return threads.size();
}

void require_threads(const Config& config) {
  const std::size_t needed = threads_needed(config);
  const std::size_t there = threads_to_be_had(needed);
  if (there < needed)
    throw TooFewThreads(fmt::format(
        "headd needs {} threads beside its first, and the system lets it have {}: raise TasksMax= "
        "and LimitNPROC= of its unit, or the limits (`ulimit -u`) that it is started with",
        needed, there));
}

}  // namespace head::control

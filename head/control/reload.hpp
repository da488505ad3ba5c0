// Reading head.toml again while headd runs: what can take effect does, the rest is named. A file
// that is wrong changes nothing.
#pragma once

#include "head/base/result.hpp"
#include "head/control/agent.hpp"
#include "head/control/config.hpp"

#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace head::control {

// What came of it, by keys or whole sections ("stall.threshold_ms", "tcp"): what differs from
// before and took effect, and what differs from what headd was started with and waits for the next
// start.
struct Reloaded {
  std::vector<std::string> applied;
  std::vector<std::string> at_next_start;
};

// What of `wanted` a headd that runs with `running` can take: `config` is what it runs with then.
// Pure.
struct Change {
  Config config;
  Reloaded told;
};
Change change(const Config& running, const Config& wanted);

// What data threads are told of a configuration.
DataSettings data_settings(const Config& config);

// The keys and sections that change() knows: together they are all of head.toml.
std::span<const std::string_view> settings_known();

class Reloader {
 public:
  // Reads the configuration as it was read at the start, flags included; a sentence when it is
  // wrong.
  using Read = std::function<Result<Config, std::string>()>;

  // `agent` outlives it.
  Reloader(Agent& agent, Config running, Read read);

  // Any thread; one after the other. A sentence when nothing was changed because the file is wrong.
  Result<Reloaded, std::string> reload();

 private:
  Agent& agent_;
  const Read read_;
  std::mutex lock_;  // Held while a file is read and taken in.
  Config running_;
};

}  // namespace head::control

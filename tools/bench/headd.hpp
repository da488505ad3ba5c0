// A headd of the benchmark's own: its configuration, state and sockets in a scratch folder.
#pragma once

#include "tools/bench/bench.hpp"
#include "tools/bench/process.hpp"

#include <filesystem>
#include <string>

namespace bench {

class Headd {
 public:
  // `name` keeps several apart; `configuration` is the text of its head.toml; `within` are words
  // that a command goes behind, to run somewhere else, and `options` are headd's. Returns when its
  // API answers.
  Headd(const Common& common, const Scratch& scratch, const std::string& name,
        const std::string& configuration, Arguments within = {},
        const Arguments& options = {"--no-neigh"});

  // headctl with these arguments, to its end.
  std::string headctl(Arguments arguments) const;
  std::filesystem::path api() const { return folder_ / "run/api.sock"; }
  std::filesystem::path socket_of(const std::string& disc) const;
  pid_t pid() const noexcept { return process_.pid(); }

 private:
  std::filesystem::path bin_;
  std::filesystem::path folder_;
  Process process_;
};

}  // namespace bench

// What an earlier headd has left of each disc: between whoever receives it and the data threads,
// which ask for it when a disc begins. Any thread may call; a disc's part is given out once.
#pragma once

#include "head/export/handed.hpp"

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace head::control {

class Inheritance {
 public:
  // Discs that begin meanwhile wait for their listeners and guests; and for their connections to
  // the tail, where these come as well.
  void await(bool connections_come) {
    const std::lock_guard lock(lock_);
    awaited_ = true;
    connections_come_ = connections_come;
  }
  void arrive(std::vector<exports::HandedDisc> discs) {
    const std::lock_guard lock(lock_);
    awaited_ = false;
    for (exports::HandedDisc& disc : discs) {
      std::string name = disc.name;
      discs_[std::move(name)] = std::move(disc);
    }
  }
  bool awaited() const {
    const std::lock_guard lock(lock_);
    return awaited_;
  }
  bool awaited_without_connections() const {
    const std::lock_guard lock(lock_);
    return awaited_ && !connections_come_;
  }
  std::optional<exports::HandedDisc> take(const std::string& name) {
    const std::lock_guard lock(lock_);
    auto node = discs_.extract(name);
    if (!node) return std::nullopt;
    return std::move(node.mapped());
  }

 private:
  mutable std::mutex lock_;
  bool awaited_ = false;
  bool connections_come_ = true;
  std::map<std::string, exports::HandedDisc> discs_;
};

}  // namespace head::control

// What the agent asks of the keeper of neighbours; tests answer in its place.
#pragma once

#include "head/neigh/keeper.hpp"

#include <chrono>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace head::control {

class Neighbours {
 public:
  virtual ~Neighbours() = default;

  // As neigh::Keeper has them.
  virtual void want(std::vector<neigh::Want> discs, neigh::Keeper::Ready ready) = 0;
  virtual void forget(std::vector<std::string> discs) = 0;
  virtual std::vector<neigh::Keeper::Refused> refuse(std::span<const neigh::Want> discs) const = 0;
  virtual void tell_moves(neigh::Keeper::Moved moved) = 0;
  virtual void tell_conflicts(neigh::Keeper::Conflicted conflicted) = 0;
  virtual neigh::Snapshot snapshot(neigh::Detail detail) const = 0;
  virtual std::vector<neigh::PastChange> changes(
      std::chrono::system_clock::time_point since) const = 0;
};

// The keeper itself.
class KeptNeighbours final : public Neighbours {
 public:
  explicit KeptNeighbours(neigh::Options options) : keeper_(std::move(options)) {}

  // For data threads, which ask it to look at entries.
  neigh::Keeper& keeper() noexcept { return keeper_; }

  void want(std::vector<neigh::Want> discs, neigh::Keeper::Ready ready) override {
    keeper_.want(std::move(discs), std::move(ready));
  }
  void forget(std::vector<std::string> discs) override { keeper_.forget(std::move(discs)); }
  std::vector<neigh::Keeper::Refused> refuse(std::span<const neigh::Want> discs) const override {
    return keeper_.refuse(discs);
  }
  void tell_moves(neigh::Keeper::Moved moved) override { keeper_.tell_moves(std::move(moved)); }
  void tell_conflicts(neigh::Keeper::Conflicted conflicted) override {
    keeper_.tell_conflicts(std::move(conflicted));
  }
  neigh::Snapshot snapshot(neigh::Detail detail) const override { return keeper_.snapshot(detail); }
  std::vector<neigh::PastChange> changes(
      std::chrono::system_clock::time_point since) const override {
    return keeper_.changes(since);
  }

 private:
  neigh::Keeper keeper_;
};

}  // namespace head::control

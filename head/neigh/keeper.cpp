#include "head/neigh/keeper.hpp"

#include "head/neigh/keeper_work.hpp"

#include <utility>

namespace head::neigh {

Keeper::Keeper(Options options) : work_(std::make_unique<Work>(std::move(options))) {}
Keeper::~Keeper() = default;

void Keeper::want(std::vector<Want> discs, Ready ready) {
  work_->want(std::move(discs), std::move(ready));
}

void Keeper::forget(std::vector<std::string> discs) {
  work_->forget(std::move(discs));
}

void Keeper::tell_moves(Moved moved) {
  work_->tell_moves(std::move(moved));
}

void Keeper::tell_conflicts(Conflicted conflicted) {
  work_->tell_conflicts(std::move(conflicted));
}

std::vector<Keeper::Refused> Keeper::refuse(std::span<const Want> discs) const {
  return work_->refuse(discs);
}

void Keeper::look(const std::shared_ptr<stats::DiscStats>& stats) noexcept {
  work_->look(stats);
}

Snapshot Keeper::snapshot(Detail detail) const {
  return work_->snapshot(detail);
}

std::vector<PastChange> Keeper::changes(std::chrono::system_clock::time_point since) const {
  return work_->changes(since);
}

}  // namespace head::neigh

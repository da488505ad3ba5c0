// What changes of a disc that is attached, and stays where it is.
#include "head/control/agent_wants.hpp"

#include <chrono>
#include <future>

namespace head::control {

using catalogue::DiscSpec;

namespace {

constexpr std::chrono::seconds obeyed_within{2};

}  // namespace

Result<DiscSpec, Refusal> Agent::changed(const std::string& name, const DiscChange& change) const {
  const auto at = discs_.find(name);
  if (at == discs_.end()) return Failure{no_such_disc(name)};
  if (at->second.going)
    return Failure{
        Refusal{Refusal::Why::detaching,
                fmt::format("disc {} is being detached; nothing of it can be changed", name)}};
  DiscSpec spec = *at->second.spec;
  spec.order = change.order.value_or(spec.order);
  spec.grace = change.grace.value_or(spec.grace);
  return spec;
}

std::optional<Refusal> Agent::change(const std::string& name, const DiscChange& change) {
  const std::shared_lock through(changes_lock_);
  if (ownership_ != Ownership::owner) return upgrading();
  DiscSpec spec;
  bool accepted = false;
  {
    std::unique_lock lock(lock_);
    begun_.wait(lock, [&] { return !is_pending(name); });
    auto wanted = changed(name, change);
    if (!wanted) return wanted.error();
    spec = std::move(*wanted);
    // Nobody holds it but its tail's looks: told to go on, it is to take them.
    accepted =
        change.order == disc::Order::serve && discs_.at(name).spec->order == disc::Order::serve;
    discs_.at(name).changing = true;
  }
  std::optional<Refusal> refusal;
  try {
    store_.put(std::span(&spec, 1));
  } catch (const std::exception& error) {
    refusal = Refusal{Refusal::Why::not_stored, error.what()};
  }
  const auto obeyed = std::make_shared<std::promise<void>>();
  std::optional<std::size_t> thread;
  {
    const std::lock_guard lock(lock_);
    if (const auto at = discs_.find(name); at != discs_.end()) {
      at->second.changing = false;
      if (!refusal) at->second.spec = std::make_shared<const DiscSpec>(spec);
      if (!refusal) thread = at->second.thread;
    }
    // Under the lock, so that of two who change it the last one is obeyed last.
    if (thread && accepted) threads_[*thread]->accept(name);
    if (thread) threads_[*thread]->change(spec, [obeyed] { obeyed->set_value(); });
  }
  begun_.notify_all();
  if (thread) obeyed->get_future().wait_for(obeyed_within);
  bell_.ring();
  return refusal;
}

}  // namespace head::control

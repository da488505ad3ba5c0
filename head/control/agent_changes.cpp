// What changes of a disc that is attached, and stays where it is.
#include "head/control/agent_wants.hpp"

#include <chrono>
#include <future>

namespace head::control {

using catalogue::DiscSpec;

namespace {

constexpr std::chrono::seconds obeyed_within{2};
constexpr std::chrono::seconds looked_within{2};

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
    const bool is_held = thread && state_of(discs_.at(name)) == State::held;
    if (thread && accepted && is_held)
      threads_[*thread]->relocate(name);
    else if (thread && change.look)
      look(name, discs_.at(name));
  }
  begun_.notify_all();
  if (thread) obeyed->get_future().wait_for(obeyed_within);
  bell_.ring();
  if (!refusal && thread && change.order == disc::Order::serve) return still_held(name);
  return refusal;
}

void Agent::look(const std::string& name, const Disc& disc) {
  if (!disc.thread) return;
  if (state_of(disc) == State::ready)
    threads_[*disc.thread]->look({name});
  else
    threads_[*disc.thread]->relocate(name);
}

void Agent::look() {
  std::vector<std::vector<std::string>> names(threads_.size());
  const std::lock_guard lock(lock_);
  for (const auto& [name, disc] : discs_) {
    const State state = state_of(disc);
    if (disc.thread && (state == State::ready || state == State::held))
      names[*disc.thread].push_back(name);
  }
  for (std::size_t i = 0; i < threads_.size(); ++i)
    if (!names[i].empty()) threads_[i]->look(std::move(names[i]));
}

std::optional<Refusal> Agent::still_held(const std::string& name) {
  const auto until = std::chrono::steady_clock::now() + looked_within;
  for (;;) {
    const std::uint64_t seen = bell_.rung();
    const auto now = disc(name);
    if (!now || now->state != State::held || now->spec->order != disc::Order::serve) return {};
    if (bell_.wait(seen, until)) continue;
    // Where there is another way out the problem names it.
    const bool names_resume = now->problem.find("headctl resume") != std::string::npos;
    return Refusal{
        Refusal::Why::held,
        fmt::format("disc {} does not go on, and is held: {}{}", name,
                    now->problem.empty() ? "its tail offers another disc" : now->problem,
                    names_resume ? ""
                                 : "; have its tail offer it as it was, or detach it and attach it "
                                   "as it is")};
  }
}

}  // namespace head::control

// The agent's own thread: what follows from the answers of the keeper and the data threads.
#include "head/base/log.hpp"
#include "head/base/post_mortem.hpp"
#include "head/control/agent.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <pthread.h>
#include <thread>
#include <utility>

namespace head::control {

namespace {

// Events make and remove files; so many at most while nobody else can ask anything.
constexpr std::size_t batch_max = 64;
constexpr std::chrono::microseconds turn{50};

}  // namespace

void Agent::post(Event event) noexcept {
  {
    const std::lock_guard lock(events_lock_);
    events_.push_back(std::move(event));
  }
  events_came_.notify_one();
}

void Agent::work(const std::stop_token& stop) {
  ::pthread_setname_np(::pthread_self(), "agent");
  post_mortem::guard_thread();
  std::vector<Event> events;
  for (;;) {
    events.clear();
    {
      std::unique_lock lock(events_lock_);
      if (!events_came_.wait(lock, stop, [this] { return !events_.empty(); })) return;
      events.swap(events_);
    }
    for (std::size_t i = 0; i < events.size() && !stop.stop_requested(); i += batch_max) {
      // A mutex goes to whoever asks first, and that would be this thread again.
      if (i != 0) std::this_thread::sleep_for(turn);
      const std::lock_guard lock(lock_);
      const std::size_t end = std::min(i + batch_max, events.size());
      for (std::size_t j = i; j < end; ++j) on_event(events[j]);
    }
    bell_.ring();
  }
}

void Agent::on_event(const Event& event) {
  const auto at = discs_.find(event.disc);
  if (at == discs_.end()) return;
  if (event.what == Event::What::moved) return on_moved(at->second);
  if (at->second.batch != event.batch) return;
  switch (event.what) {
    case Event::What::moved:
      return;
    case Event::What::neighbour:
      return on_neighbour(at->second, event);
    case Event::What::opened:
      return on_opened(event.disc, at->second, event);
    case Event::What::unusable:
      return on_unusable(at->second, event);
    case Event::What::closed:
      return on_closed(event.disc, at->second);
  }
}

void Agent::on_neighbour(Disc& disc, const Event& event) {
  if (disc.stage != Stage::resolving) return;
  if (event.refused) return fail(disc, event.problem);
  disc.problem = event.problem;
  open(disc);
}

void Agent::on_moved(const Disc& disc) {
  if (disc.stage == Stage::open || disc.stage == Stage::opening)
    threads_[*disc.thread]->relocate(disc.spec->name);
}

void Agent::on_opened(const std::string& name, Disc& disc, const Event& event) {
  if (disc.stage != Stage::opening) return;
  if (event.problem.empty()) {
    disc.stage = Stage::open;
    if (disc.leave) close(disc);
    return;
  }
  --loads_[*std::exchange(disc.thread, std::nullopt)];
  if (disc.leave) return drop(name);
  neighbours_->forget({name});
  fail(disc, event.problem);
}

// It would be tried for ever.
void Agent::on_unusable(Disc& disc, const Event& event) {
  if (disc.stage != Stage::open) return;
  disc.problem = event.problem;
  close(disc, Stage::failing);
}

void Agent::on_closed(const std::string& name, Disc& disc) {
  if (disc.stage != Stage::failing || disc.leave) return drop(name);
  --loads_[*std::exchange(disc.thread, std::nullopt)];
  neighbours_->forget({name});
  fail(disc, disc.problem);
}

// Somebody wants it gone, and that is durable.
void Agent::leave(const std::string& name, Disc& disc) {
  switch (disc.stage) {
    case Stage::pending:
    case Stage::resolving:
    case Stage::failed:
      drop(name);
      bell_.ring();
      return;
    case Stage::opening:
    case Stage::failing:
      disc.leave = true;
      return;
    case Stage::open:
      return close(disc);
    case Stage::detaching:
      return;
  }
}

void Agent::open(Disc& disc) {
  const auto least = std::min_element(loads_.begin(), loads_.end());
  disc.thread = static_cast<std::size_t>(std::distance(loads_.begin(), least));
  ++loads_[*disc.thread];
  disc.stage = Stage::opening;
  const std::string& name = disc.spec->name;
  const auto post_of = [this, name, batch = disc.batch](Event::What what) {
    return [this, name, batch, what](std::string problem) {
      post({.what = what, .disc = name, .batch = batch, .problem = std::move(problem)});
    };
  };
  threads_[*disc.thread]->attach(
      *disc.spec,
      {.stats = disc.stats,
       .shape = store_.shape(name),
       .on_shape = [this, name, uri = disc.spec->uri](
                       const auto& info) { note({.name = name, .uri = uri, .info = info}); },
       .on_proven = [this, name] { note_proof(name); },
       .on_unusable = post_of(Event::What::unusable)},
      post_of(Event::What::opened));
}

void Agent::close(Disc& disc, Stage stage) {
  disc.stage = stage;
  threads_[*disc.thread]->detach(
      disc.spec->name, [this, name = disc.spec->name, batch = disc.batch] {
        post({.what = Event::What::closed, .disc = name, .batch = batch});
      });
}

void Agent::fail(Disc& disc, const std::string& problem) {
  disc.stage = Stage::failed;
  disc.problem = problem;
  static log::RateLimit limit;  // Thousands may fail for one reason.
  if (const auto pass = limit.pass(std::chrono::steady_clock::now()))
    log::error("disc {} could not be attached: {} ({} more like it)", disc.spec->name, problem,
               pass->held);
}

void Agent::drop(const std::string& name) {
  const auto at = discs_.find(name);
  if (at->second.thread) --loads_[*at->second.thread];
  neighbours_->forget({name});
  discs_.erase(at);
}

}  // namespace head::control

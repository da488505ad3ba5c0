// The discs as they go from one headd to the next.
#include "head/base/log.hpp"
#include "head/control/agent.hpp"

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <future>
#include <iterator>
#include <memory>
#include <mutex>
#include <utility>

namespace head::control {

void Agent::own() noexcept {
  owner_since_ = std::chrono::steady_clock::now();
  ownership_ = Ownership::owner;
}

bool Agent::lend() {
  Ownership expected = Ownership::owner;
  if (!ownership_.compare_exchange_strong(expected, Ownership::lending)) return false;
  const std::unique_lock through(changes_lock_);
  settle_proofs();  // The next headd reads them.
  try {
    store_.prepare_for_next();
  } catch (...) {
    own();
    throw;
  }
  return true;
}

void Agent::await(std::size_t count, bool (*wanted)(State),
                  std::chrono::steady_clock::time_point until) {
  for (;;) {
    const std::uint64_t seen = bell_.rung();
    const auto all = discs();
    if (std::all_of(all.begin(), all.end(), [&](const DiscStatus& disc) {
          return wanted(disc.state) || is_settled(disc.state);
        }))
      return;
    const auto are = std::count_if(all.begin(), all.end(),
                                   [&](const DiscStatus& disc) { return wanted(disc.state); });
    if (static_cast<std::size_t>(are) >= count) return;
    if (!bell_.wait(seen, until)) return;
  }
}

namespace {

// What data threads let go of, until the last of them has, or nobody waits any more. A thread that
// comes to it only then lets go of nothing.
class Handing {
 public:
  using Discs = std::vector<exports::HandedDisc>;

  explicit Handing(std::size_t threads) : came_from_(threads) {}

  bool over() {
    const std::lock_guard lock(lock_);
    return over_;
  }
  // False where nobody waits any more: they are the caller's then.
  bool take(std::size_t thread, Discs& discs) {
    const std::lock_guard lock(lock_);
    if (over_) return false;
    std::move(discs.begin(), discs.end(), std::back_inserter(discs_));
    came_from_[thread] = true;
    came_.notify_all();
    return true;
  }
  // Whether it came from all. It is over then.
  bool wait(std::chrono::milliseconds within) {
    std::unique_lock lock(lock_);
    const bool all = came_.wait_for(lock, within, [this] {
      return std::all_of(came_from_.begin(), came_from_.end(), [](bool yes) { return yes; });
    });
    over_ = true;
    return all;
  }

  // When it is over.
  Discs discs() { return std::move(discs_); }
  bool came_from(std::size_t thread) const { return came_from_[thread]; }

 private:
  std::mutex lock_;
  std::condition_variable came_;
  bool over_ = false;
  Discs discs_;
  std::vector<bool> came_from_;
};

// `late` has what a thread that had begun in time lets go of when it is over. Throws nothing: what
// could not be asked for does not come.
void ask_all(const std::vector<std::unique_ptr<DataThread>>& threads, std::size_t connections_most,
             const std::shared_ptr<Handing>& handing,
             const std::function<void(DataThread&, Handing::Discs)>& late) noexcept {
  try {
    const std::size_t share = connections_most / threads.size();
    for (std::size_t i = 0; i < threads.size(); ++i) {
      DataThread* const thread = threads[i].get();  // It is there whenever it runs this.
      thread->ask([handing, thread, i, share, late] {
        if (handing->over()) return;
        thread->hand_over(share, [handing, thread, i, late](Handing::Discs discs) {
          if (!handing->take(i, discs)) late(*thread, std::move(discs));
        });
      });
    }
  } catch (const std::exception& error) {
    log::error("headd: a data thread cannot be asked for its guests: {}", error.what());
  }
}

}  // namespace

std::optional<std::vector<exports::HandedDisc>> Agent::hand_over(std::size_t connections_most,
                                                                 std::chrono::milliseconds within,
                                                                 GiveBack give_back) {
  const auto handing = std::make_shared<Handing>(threads_.size());
  ask_all(threads_, connections_most, handing,
          [give_back](DataThread& thread, Handing::Discs discs) {
            give_back(std::move(discs));
            thread.take_back();
          });
  if (handing->wait(within)) return handing->discs();
  give_back(handing->discs());
  for (std::size_t i = 0; i < threads_.size(); ++i)
    if (handing->came_from(i)) threads_[i]->take_back();
  return std::nullopt;
}

std::vector<exports::HandedDisc> Agent::hand_over_what_comes(std::size_t connections_most,
                                                             std::chrono::milliseconds within) {
  const auto handing = std::make_shared<Handing>(threads_.size());
  ask_all(threads_, connections_most, handing, [](DataThread&, Handing::Discs) {});
  handing->wait(within);
  return handing->discs();
}

bool Agent::data_threads_answer_within(std::chrono::milliseconds limit) {
  const auto handing = std::make_shared<Handing>(threads_.size());
  for (std::size_t i = 0; i < threads_.size(); ++i)
    threads_[i]->ask([handing, i] {
      Handing::Discs none;
      handing->take(i, none);
    });
  return handing->wait(limit);
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

#include "head/control/loop_thread.hpp"

#include "head/base/log.hpp"
#include "head/base/post_mortem.hpp"
#include "head/control/served.hpp"
#include "iouring/timer.hpp"

#include <algorithm>
#include <deque>
#include <future>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace head::control {
namespace {

// Nothing answered for so long: the tail may have gone elsewhere, whatever its entry says.
constexpr std::chrono::milliseconds silent_after{500};
// Discs whose sockets could not be opened.
constexpr std::chrono::seconds listen_again_after{1};
// Discs whose tails are asked what they offer.
constexpr unsigned looks_at_once = 32;

}  // namespace

class LoopThread::Work final : disc::Patience::Owner {
 public:
  explicit Work(LoopThreadOptions options)
      : options_(std::move(options)),
        settings_(options_.settings),
        stalls_(settings_.stall_threshold, stall_log_),
        replay_memory_(options_.replay_memory) {
    std::promise<void> started;
    auto outcome = started.get_future();
    thread_ = std::thread([this, &started] { run(started); });
    try {
      outcome.get();
    } catch (...) {
      thread_.join();
      throw;
    }
  }
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;

  ~Work() {
    post([this] { stop(); });
    thread_.join();
  }

  const LoopThreadOptions& options() const noexcept { return options_; }
  const stats::StallLog& stalls() const noexcept { return stall_log_; }
  Reasons without_listener() const {
    const std::lock_guard hold(lock_);
    return deaf_;
  }

  void apply(const DataSettings& settings) {
    settings_ = settings;
    stalls_.set_threshold(settings.stall_threshold);
  }

  // Runs `command` on the thread, which may end with it: its loop is woken before it can know.
  void post(std::function<void()> command) {
    const std::lock_guard hold(lock_);
    commands_.push_back(std::move(command));
    loop_->wake();
  }

  void attach(const catalogue::DiscSpec& spec, const Attachment& with, exports::HandedDisc handed) {
    const nbd::Durability durability = spec.durability.value_or(settings_.durability);
    with.stats->durability.store(static_cast<std::uint8_t>(durability), std::memory_order_relaxed);
    const bool connects_first = options_.inheritance->awaited_without_connections();
    auto made =
        std::make_unique<Served>(Served::Context{.io = *loop_,
                                                 .patience = *patience_,
                                                 .pool = *pool_,
                                                 .stalls = stalls_,
                                                 .connection = settings_.connection,
                                                 .guard = {.durability = durability,
                                                           .quarantine = settings_.quarantine,
                                                           .memory = &replay_memory_,
                                                           .traces = options_.traces},
                                                 .identity = settings_.identity,
                                                 .tail_closes_last = settings_.tail_closes_last,
                                                 .connects_first = connects_first},
                                 spec, with, [this, name = spec.name] { forget(name); });
    Served& served = *made;
    served_[spec.name] = std::move(made);
    if (handed.listener || handed.listener_stays) return served.take_up(std::move(handed));
    if (!options_.inheritance->awaited()) take_up(served);  // It has come meanwhile.
  }

  // Where nothing was left for it, it begins as any disc does.
  void take_up(Served& served) {
    auto handed = options_.inheritance->take(served.spec().name);
    if (!handed) handed.emplace();
    try {
      if (!handed->listener && !handed->listener_stays)
        handed->listener =
            exports::open_listener(options_.run_dir, served.spec().name, options_.access);
    } catch (const std::system_error& error) {
      log::error("disc {}: no guest can connect: {}; trying again every second", served.spec().name,
                 error.what());
      note_deaf(served.spec().name, error.what());
    }
    served.take_up(std::move(*handed));
  }
  void take_up_all() {
    for (const auto& [name, served] : served_)
      if (!served->listens() && !served->closing()) take_up(*served);
  }

  void hand_over(std::size_t connections_most,
                 std::function<void(std::vector<exports::HandedDisc>)> done) {
    if (on_handed_) {  // One is under way that nobody waits for any more: after it.
      next_hand_over_ = [this, connections_most, done] { hand_over(connections_most, done); };
      return;
    }
    let_go_.clear();
    handed_.clear();
    forget_deaf([](const std::string&) { return true; });
    on_handed_ = std::move(done);
    to_hand_ = 0;
    for (auto& [name, served] : served_) {
      if (served->closing()) continue;
      let_go_.push_back({served->spec(), served->attachment()});
      ++to_hand_;
    }
    if (to_hand_ == 0) return std::exchange(on_handed_, nullptr)({});
    for (const auto& [spec, with] : let_go_) {
      auto served = std::move(served_.at(spec.name));
      served_.erase(spec.name);
      Served& parting = *served;
      parting_.push_back(std::move(served));
      const std::size_t share = std::min<std::size_t>(
          connections_most, with.stats->connections.load(std::memory_order_relaxed));
      connections_most -= share;
      parting.hand_over(share, [this](exports::HandedDisc handed) {
        if (is_let_go(handed.name))
          handed_.push_back(std::move(handed));
        else
          exports::close_staying(*loop_, handed);
        if (--to_hand_ == 0) on_all_handed();
      });
    }
  }

  void take_back() {
    for (const auto& [spec, with] : std::exchange(let_go_, {})) attach(spec, with, {});
  }

  void relocate(const std::string& name) {
    if (const auto found = served_.find(name); found != served_.end()) found->second->relocate();
  }

  void look(const std::vector<std::string>& names) {
    const std::unordered_set<std::string> asked(names.begin(), names.end());
    std::erase_if(to_look_, [&](const std::string& name) { return asked.count(name) != 0; });
    to_look_.insert(to_look_.begin(), names.begin(), names.end());
    look_on();
  }

  void accept(const std::string& name) {
    if (const auto found = served_.find(name); found != served_.end()) found->second->accept();
  }

  void change(const catalogue::DiscSpec& spec) {
    if (const auto found = served_.find(spec.name); found != served_.end())
      found->second->change(spec);
    for (LetGo& disc : let_go_)
      if (disc.spec.name == spec.name) disc.spec = spec;
  }

  void detach(const std::string& name, std::function<void()> done) {
    const auto found = served_.find(name);
    if (found != served_.end()) return found->second->close(std::move(done));
    // It may have been let go of, and would come back.
    std::erase_if(let_go_, [&](const LetGo& disc) { return disc.spec.name == name; });
    if (auto left = options_.inheritance->take(name)) exports::close_staying(*loop_, *left);
    done();
  }

 private:
  // The loop comes back to it: each takes a few round trips at least.
  void look_on() {
    while (looking_ < looks_at_once && !to_look_.empty()) {
      const auto found = served_.find(to_look_.front());
      to_look_.pop_front();
      if (found == served_.end()) continue;
      ++looking_;
      found->second->look([this] { post([this] { --looking_, look_on(); }); });
    }
  }

  bool is_let_go(const std::string& name) const {
    return std::any_of(let_go_.begin(), let_go_.end(),
                       [&](const LetGo& disc) { return disc.spec.name == name; });
  }

  void on_all_handed() {
    std::exchange(on_handed_, nullptr)(std::move(handed_));
    // What that one let go of may be taken back first.
    if (next_hand_over_) post(std::exchange(next_hand_over_, nullptr));
  }

  void note_deaf(const std::string& name, const char* why) {
    {
      const std::lock_guard hold(lock_);
      deaf_[name] = why;
    }
    loop_->arm(listen_again_, loop_->now() + listen_again_after);
  }
  template <class Is>
  void forget_deaf(Is is) {
    const std::lock_guard hold(lock_);
    std::erase_if(deaf_, [&](const auto& one) { return is(one.first); });
  }

  void on_listen_again() noexcept {
    for (const auto& [name, why] : without_listener()) {
      const auto found = served_.find(name);
      const bool wanted =
          found != served_.end() && !found->second->listens() && !found->second->closing();
      try {
        if (wanted)
          found->second->listen(exports::open_listener(options_.run_dir, name, options_.access));
        if (wanted) log::info("disc {}: guests can connect again", name);
        forget_deaf([&name = name](const std::string& deaf) { return deaf == name; });
      } catch (const std::exception& error) {
        note_deaf(name, error.what());
      }
    }
  }

  void run(std::promise<void>& started) {
    ::pthread_setname_np(::pthread_self(), "data");
    post_mortem::guard_thread();
    try {
      loop_ = options_.make_loop();
      pool_ = std::make_unique<exports::PayloadPool>(*loop_, options_.payload_memory,
                                                     options_.guests_max);
      patience_.emplace(*loop_, static_cast<disc::Patience::Owner&>(*this), stalls_.hold_ups());
    } catch (...) {
      loop_.reset();
      return started.set_exception(std::current_exception());
    }
    started.set_value();
    while (!stopping_ || !served_.empty() || !parting_.empty()) {
      loop_->run_once();
      obey();
    }
    loop_->disarm(listen_again_);
    patience_.reset();
    pool_.reset();
    loop_.reset();
  }

  void forget(const std::string& name) {
    // One that was handed over: its socket is another's now.
    const auto parted = std::find_if(parting_.begin(), parting_.end(), [&](const auto& served) {
      return served->spec().name == name && served->over();
    });
    if (parted != parting_.end()) {
      parting_.erase(parted);
      if (stopping_) loop_->wake();
      return;
    }
    const auto served = served_.find(name);
    if (served == served_.end() || served->second->has_listened())
      exports::remove_listener(options_.run_dir, name);
    served_.erase(name);
    if (stopping_) loop_->wake();  // It may have been the last.
  }

  void obey() {
    std::vector<std::function<void()>> commands;
    {
      const std::lock_guard hold(lock_);
      commands.swap(commands_);
    }
    for (const auto& command : commands) command();
  }

  void stop() {
    stopping_ = true;
    std::vector<std::string> names;
    for (const auto& [name, served] : served_) names.push_back(name);
    for (const std::string& name : names) detach(name, [] {});
  }

  void on_waiting(disc::Disc& disc) noexcept override {
    const auto now = loop_->now();
    const auto since = disc.waiting_since();
    const bool lost = disc.info() && !disc.stats()->connected();  // Perhaps it is elsewhere.
    if (lost || (since && now - *since >= silent_after)) disc.stats()->note_silent(now);
    options_.look(disc.stats());
  }

  const LoopThreadOptions options_;
  DataSettings settings_;  // The thread's.
  stats::StallLog stall_log_;
  stats::Stalls stalls_;
  disc::ReplayMemory replay_memory_;
  std::unique_ptr<iouring::Loop> loop_;
  std::unique_ptr<exports::PayloadPool> pool_;
  std::optional<disc::Patience> patience_;
  std::unordered_map<std::string, std::unique_ptr<Served>> served_;

  // Handed over: what they were, until their tails are let go, and what is to be handed on.
  struct LetGo {
    catalogue::DiscSpec spec;
    Attachment with;
  };
  std::vector<LetGo> let_go_;
  std::vector<std::unique_ptr<Served>> parting_;
  std::vector<exports::HandedDisc> handed_;
  std::function<void(std::vector<exports::HandedDisc>)> on_handed_;
  std::function<void()> next_hand_over_;
  std::size_t to_hand_ = 0;
  std::deque<std::string> to_look_;
  unsigned looking_ = 0;
  bool stopping_ = false;
  iouring::Alarm<&Work::on_listen_again> listen_again_{*this};

  mutable std::mutex lock_;  // Of these two; held for a move and a wake(), or a copy of few.
  Reasons deaf_;
  std::vector<std::function<void()>> commands_;
  std::thread thread_;
};

LoopThread::LoopThread(LoopThreadOptions options) {
  if (!options.inheritance) options.inheritance = std::make_shared<Inheritance>();
  work_ = std::make_unique<Work>(std::move(options));
}

LoopThread::~LoopThread() = default;

void LoopThread::attach(const catalogue::DiscSpec& spec, Attachment with,
                        std::function<void(std::string problem)> done) {
  auto left = std::make_shared<exports::HandedDisc>();
  try {
    const auto& options = work_->options();
    const bool awaited = options.inheritance->awaited();  // It may come in the next moment.
    if (auto handed = options.inheritance->take(spec.name)) *left = std::move(*handed);
    if (!left->listener && !left->listener_stays && !awaited)
      left->listener = exports::open_listener(options.run_dir, spec.name, options.access);
  } catch (const std::system_error& error) {
    return work_->post(
        [done = std::move(done), problem = std::string(error.what())] { done(problem); });
  }
  work_->post([this, spec, with = std::move(with), left, done = std::move(done)] {
    work_->attach(spec, with, std::move(*left));
    done("");
  });
}

void LoopThread::hand_over(std::size_t connections_most,
                           std::function<void(std::vector<exports::HandedDisc>)> done) {
  work_->post([this, connections_most, done = std::move(done)] {
    work_->hand_over(connections_most, done);
  });
}

void LoopThread::take_back() {
  work_->post([this] { work_->take_back(); });
}

void LoopThread::take_up(std::function<void()> done) {
  work_->post([this, done = std::move(done)] {
    work_->take_up_all();
    done();
  });
}

void LoopThread::relocate(const std::string& name) {
  work_->post([this, name] { work_->relocate(name); });
}

void LoopThread::look(std::vector<std::string> names) {
  work_->post([this, names = std::move(names)] { work_->look(names); });
}

void LoopThread::change(const catalogue::DiscSpec& spec, std::function<void()> done) {
  work_->post([this, spec, done = std::move(done)] {
    work_->change(spec);
    done();
  });
}

void LoopThread::accept(const std::string& name) {
  work_->post([this, name] { work_->accept(name); });
}

void LoopThread::apply(const DataSettings& settings) {
  work_->post([this, settings] { work_->apply(settings); });
}

void LoopThread::ask(std::function<void()> done) {
  work_->post(std::move(done));
}

LoopThread::Reasons LoopThread::without_listener() const {
  return work_->without_listener();
}

const stats::StallLog& LoopThread::stalls() const noexcept {
  return work_->stalls();
}

void LoopThread::detach(const std::string& name, std::function<void()> done) {
  work_->post([this, name, done = std::move(done)] { work_->detach(name, done); });
}

}  // namespace head::control

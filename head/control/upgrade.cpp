#include "head/control/upgrade.hpp"

#include "head/base/log.hpp"
#include "head/base/notify.hpp"
#include "head/control/descriptors.hpp"
#include "head/control/handover.hpp"
#include "head/control/heir.hpp"
#include "head/control/next_headd.hpp"
#include "head/control/trusted_program.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <span>
#include <unistd.h>
#include <utility>

namespace head::control {

namespace {

using Clock = std::chrono::steady_clock;

// Of listeners and guests, counted before anything is let go of.
std::optional<std::string> too_few_descriptors(const AgentStatus& status) {
  const Descriptors here = descriptors_here();
  const std::uint64_t needed = needed_to_hand_over(status.discs + status.guests, here);
  if (needed <= here.most) return std::nullopt;
  return fmt::format(
      "the sockets of {} discs and {} guests cannot be handed over with {} descriptors; {} are "
      "needed: `prlimit --pid {} --nofile={}:{}` for now, LimitNOFILE= in the unit of headd for "
      "good",
      status.discs, status.guests, here.most, needed, ::getpid(), 2 * needed, 2 * needed);
}

double ms(Clock::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

}  // namespace

// One upgrade. However it ends, by an exception too: where the new headd does not serve then, it is
// no more, and this one has its guests again, or its discs at least, and takes changes.
class Upgrader::Attempt {
 public:
  explicit Attempt(Upgrader& upgrader) : upgrader_(upgrader), lends_(upgrader.agent_.lend()) {
    if (lends_) upgrader_.set_next(&next_);
  }
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;
  ~Attempt();

  // False: this headd is not the owner of what it would hand over.
  bool lends() const noexcept { return lends_; }
  Result<Upgraded, std::string> make(const std::filesystem::path& wanted);

 private:
  std::optional<std::string> start(const std::filesystem::path& wanted);
  std::optional<std::string> pass_on();
  std::optional<std::string> tell_guests();
  void forget_guests();

  Upgrader& upgrader_;
  Agent& agent_ = upgrader_.agent_;
  const Options& options_ = upgrader_.options_;
  NextHeadd next_;
  std::optional<std::vector<exports::HandedDisc>> discs_;  // Once this headd has let go of them.
  bool serves_ = false;                                    // The new one.
  const bool lends_;                                       // The last member: nothing fails after.
};

// Where there is no memory even for this, headd ends, and whoever starts it again serves the discs.
Upgrader::Attempt::~Attempt() {
  if (!lends_) return;
  upgrader_.set_next(nullptr);
  if (serves_) return;
  next_.end();
  if (discs_) {
    if (upgrader_.handed_over_) forget_guests();
    upgrader_.inheritance_->arrive(std::move(*discs_));
    agent_.take_back();
  }
  upgrader_.handed_over_ = false;
  agent_.own();
}

// The new one, which is gone, may have answered guests, and have written: what they were told is
// not known, nor what their discs hold. What was kept here for replay would undo that.
void Upgrader::Attempt::forget_guests() {
  const auto until =
      std::chrono::nanoseconds((Clock::now() + options_.quarantine).time_since_epoch());
  for (auto& disc : *discs_) {
    disc.sessions.clear();
    disc.connections.clear();
    if (!disc.legacy.log.empty())
      log::error(
          "disc {}: {} bytes that were acknowledged and not flushed are lost if its tail "
          "has crashed",
          disc.name, disc.legacy.log.size());
    disc.legacy = {.doubts = {{.offset = 0, .length = UINT64_MAX, .until_ns = until.count()}}};
  }
}

std::optional<std::string> Upgrader::Attempt::start(const std::filesystem::path& wanted) {
  if (auto why = too_few_descriptors(agent_.status())) return why;
  const auto program = open_trusted(wanted.empty() ? options_.binary : wanted);
  if (!program) return program.error();
  // Guests of the other threads would be halted in vain.
  if (!agent_.data_threads_answer_within(options_.answered_within))
    return "a data thread hangs, whose guests cannot be handed over; GET /v1/crashes tells where "
           "it is, and a restart of headd ends it";
  if (auto why = next_.start(*program, options_.arguments)) return why;
  log::info("headd: {} is to take over, as process {}", program->path.string(), next_.pid());
  const std::size_t ready = agent_.status().by_state[static_cast<std::size_t>(State::ready)];
  const std::string sentence = std::to_string(ready) + std::string(connections_come_word);
  if (auto why = next_.tell("begin", sentence, options_.locks)) return why;
  return next_.await("ready", options_.ready_within);
}

std::optional<std::string> Upgrader::Attempt::tell_guests() {
  if (const std::size_t staying = count_staying(*discs_); staying != 0)
    return fmt::format(
        "{} sockets of discs and guests cannot be handed over: there are no descriptors left of "
        "the {} that headd may have; raise LimitNOFILE=, or end what uses them up",
        staying, descriptors_here().most);
  note_cookies(*discs_);
  const auto document = memory_file(to_document(*discs_));
  if (!document)
    return fmt::format("there is no memory for what is to be handed over: {}",
                       std::strerror(errno));
  std::vector<int> first{document.fd()};
  first.insert(first.end(), upgrader_.listeners_.begin(), upgrader_.listeners_.end());
  if (auto why = next_.tell("guests", {}, first)) return why;
  const auto descriptors = descriptors_of(*discs_);
  for (std::span<const int> rest(descriptors); !rest.empty();) {
    const auto some = rest.first(std::min(rest.size(), UpgradeChannel::descriptors_max));
    rest = rest.subspan(some.size());
    if (auto why = next_.tell("more", {}, some)) return why;
  }
  return next_.tell("all");
}

// Guests wait meanwhile: where it cannot be, it is given up at once.
std::optional<std::string> Upgrader::Attempt::pass_on() {
  const AgentStatus status = agent_.status();
  discs_ = agent_.hand_over(left_beside(status.discs + status.guests), options_.let_go_within,
                            [inheritance = upgrader_.inheritance_](auto discs) {
                              inheritance->arrive(std::move(discs));
                            });
  if (!discs_)
    return "a data thread hangs and does not let go of its guests; GET /v1/crashes tells where it "
           "is, and a restart of headd ends it";
  if (auto why = tell_guests()) return why;
  return next_.await("taken", options_.taken_within);
}

Result<Upgraded, std::string> Upgrader::Attempt::make(const std::filesystem::path& wanted) {
  if (auto why = start(wanted)) return Failure{std::move(*why)};
  const auto began = Clock::now();
  if (auto why = pass_on()) return Failure{std::move(*why)};
  const auto taken = Clock::now();
  Upgraded upgraded{.pid = next_.pid(), .discs = discs_->size()};
  for (const auto& disc : *discs_) {
    upgraded.guests += disc.sessions.size();
    upgraded.connections += disc.connections.size();
  }

  if (!upgrader_.begin_to_hand_over()) return Failure{std::string("this headd is to end")};
  if (auto why = next_.tell("go")) {
    upgrader_.handed_over_ = false;  // It does not know, and the guests are ours.
    return Failure{std::move(*why)};
  }
  // There is no way back from here for the guests.
  auto why = next_.await("serving", options_.taken_within);
  upgraded.pause = Clock::now() - began;
  if (!why) why = next_.tell("yours");
  if (why)
    return Failure{fmt::format("{}; {} guests have to connect again", *why, upgraded.guests)};
  agent_.give_away();
  serves_ = true;
  next_.let_go();
  ::kill(::getpid(), SIGTERM);
  notify::main_process(upgraded.pid);
  log::info(
      "headd: process {} has taken over {} discs with {} connections to tails and {} guests, who "
      "waited for {:.0f} ms, {:.0f} of them until the new one had all",
      upgraded.pid, upgraded.discs, upgraded.connections, upgraded.guests, ms(upgraded.pause),
      ms(taken - began));
  return upgraded;
}

Result<Upgraded, NotUpgraded> Upgrader::upgrade(const std::filesystem::path& wanted) {
  const NotUpgraded under_way{
      .under_way = true, .sentence = "an upgrade is under way already; ask again when it is over"};
  const std::unique_lock alone(one_at_a_time_, std::try_to_lock);
  if (!alone || agent_.ownership() != Ownership::owner) return Failure{under_way};
  let_changes_pass();
  if (ending()) return Failure{NotUpgraded{.sentence = "this headd is to end; ask the next one"}};
  std::string why;
  try {
    Attempt attempt(*this);
    if (!attempt.lends()) return Failure{under_way};
    auto done = attempt.make(wanted);
    if (done) return *done;
    why = done.error();
  } catch (const std::exception& error) {
    why = error.what();
  }
  log::error("headd: not upgraded: {}; this headd {}", why,
             ending() ? "was told to end" : "goes on");
  return Failure{NotUpgraded{.sentence = std::move(why)}};
}

void Upgrader::let_changes_pass() {
  std::unique_lock lock(next_lock_);
  ends_.wait_until(lock, agent_.owner_since() + options_.changes_first, [this] { return ending_; });
}

void Upgrader::set_next(const NextHeadd* next) noexcept {
  const std::lock_guard lock(next_lock_);
  next_ = next;
  if (next_ != nullptr && ending_) next_->abandon();
}

bool Upgrader::ending() const noexcept {
  const std::lock_guard lock(next_lock_);
  return ending_;
}

void Upgrader::cancel() noexcept {
  {
    const std::lock_guard lock(next_lock_);
    ending_ = true;
    ends_.notify_all();
    if (next_ != nullptr && !handed_over_) next_->abandon();
  }
  const std::lock_guard until_it_is_over(one_at_a_time_);
}

bool Upgrader::begin_to_hand_over() noexcept {
  const std::lock_guard lock(next_lock_);
  handed_over_ = !ending_;
  return handed_over_;
}

}  // namespace head::control

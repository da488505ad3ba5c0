// head-bench chaos: faults at random, by seed, while guests write, read and check. What is allowed
// is tests/check/'s to say; what the faults are is chaos_faults.cpp's.
#include "tools/bench/benchmarks.hpp"
#include "tools/bench/chaos_audit.hpp"
#include "tools/bench/chaos_faults.hpp"
#include "tools/bench/chaos_guest.hpp"
#include "tools/bench/chaos_stage.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <csignal>
#include <memory>
#include <stdexcept>
#include <thread>

namespace bench {
namespace {

using namespace std::chrono_literals;
using namespace chaos;
using Clock = std::chrono::steady_clock;

constexpr auto patience = answer_limit + 10s;  // At the end, for everything to be well again.
constexpr unsigned guests_of_disc = 2;
volatile std::sig_atomic_t interrupted = 0;

std::vector<Disc> all_discs() {
  return {{"replay-a", "fd00:ca05::a", "replay", 0, ""},
          {"replay-b", "fd00:ca05::b", "replay", 1, ""},
          {"through", "fd00:ca05::c", "writethrough", 0, ""},
          {"back", "fd00:ca05::d", "writeback", 1, ""}};
}

// Those of these names; none named: all.
std::vector<Disc> discs_named(const std::vector<std::string>& names) {
  std::vector<Disc> discs = all_discs();
  std::erase_if(discs, [&](const Disc& disc) {
    return !names.empty() && std::find(names.begin(), names.end(), disc.name) == names.end();
  });
  return discs;
}

class Run {
 public:
  Run(const Common& common, const ChaosOptions& options)
      : options_(options), stage_(common, discs_named(options.discs), options.seed) {
    std::vector<Audit*> audits;
    std::vector<Guest*> guests;
    for (std::size_t i = 0; i < stage_.discs().size(); ++i) {
      const Disc& disc = stage_.discs()[i];
      const auto number = static_cast<std::uint32_t>(i);
      const std::uint64_t sectors = disc_bytes / check::sector_bytes;
      audits_.push_back(std::make_unique<Audit>(number, sectors, promise_of(disc.durability)));
      audits.push_back(audits_.back().get());
      for (unsigned guest = 0; guest < guests_of_disc; ++guest) {
        const Guest::Setting setting{.disc = number,
                                     .socket = stage_.socket_of(disc),
                                     .sectors = sectors,
                                     .seed = options.seed * 1000ull + guests_.size(),
                                     .rate = options.rate};
        guests_.push_back(std::make_unique<Guest>(setting, *audits_.back()));
        guests.push_back(guests_.back().get());
      }
    }
    faults_ = std::make_unique<Faults>(stage_, audits, guests, options.seed, options.faults);
    for (const auto& guest : guests_) threads_.emplace_back([&guest = *guest] { guest.run(); });
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  ~Run() {
    for (const auto& guest : guests_) guest->stop();
  }

  // One sentence where the history does not check out; else empty.
  std::string play() {
    const auto seconds = std::chrono::duration_cast<Clock::duration>(
        std::chrono::duration<double>(options_.seconds));
    const auto end = Clock::now() + seconds;
    while (Clock::now() < end && interrupted == 0) {
      if (const std::string flaw = flaw_now(); !flaw.empty()) return flaw;
      faults_->step();
      std::this_thread::sleep_for(5ms);
    }
    faults_->end_all();
    return quiet();
  }

  std::string account() const {
    Audit::Account all;
    for (const auto& audit : audits_) all += audit->account();
    return fmt::format("{}; faults: {}", to_string(all), faults_->account());
  }

  std::string evidence() const { return stage_.headd_log(12'000); }

 private:
  std::string flaw_now() {
    for (const auto& audit : audits_)
      if (std::string flaw = audit->flaw(); !flaw.empty()) return flaw;
    if (!stage_.headd_runs() && !faults_->headd_is_away()) return "headd has ended by itself";
    return {};
  }

  // All faults have ended: everything is answered, every sector is read, every disc gets ready.
  std::string quiet() {
    std::this_thread::sleep_for(faults_->aftermath());
    for (const auto& guest : guests_) guest->finish();
    for (const auto until = Clock::now() + patience;; std::this_thread::sleep_for(20ms)) {
      if (std::string flaw = flaw_now(); !flaw.empty()) return flaw;
      const bool done = std::all_of(guests_.begin(), guests_.end(),
                                    [](const auto& guest) { return guest->done(); });
      const std::string waits = done ? waits_for() : "";
      if (done && waits.empty()) return {};
      if (Clock::now() < until) continue;
      for (std::size_t i = 0; i < audits_.size(); ++i)
        if (const auto waiting = audits_[i]->waiting(); waiting != 0)
          return fmt::format("{} s after the last fault {} requests of disc {} are not answered",
                             patience.count(), waiting, i);
      return done ? waits : "a guest cannot read its disc";
    }
  }

  // A disc that is not ready yet.
  std::string waits_for() {
    const auto all = nlohmann::json::parse(stage_.headctl({"discs", "--json"}));
    for (const auto& disc : all["discs"])
      if (disc["state"] != "ready" && !is_poisoned(disc["name"].get<std::string>()))
        return fmt::format("disc {} is {} though all faults have ended",
                           disc["name"].get<std::string>(), disc["state"].get<std::string>());
    return {};
  }

  bool is_poisoned(const std::string& name) const {
    const auto& all = stage_.discs();
    return std::any_of(all.begin(), all.end(), [&](const Disc& disc) {
      return disc.name == name && !disc.hangs_up_on.empty();
    });
  }

  const ChaosOptions& options_;
  Stage stage_;
  std::vector<std::unique_ptr<Audit>> audits_;  // By disc.
  std::vector<std::unique_ptr<Guest>> guests_;
  std::unique_ptr<Faults> faults_;
  std::vector<std::jthread> threads_;
};

}  // namespace

std::vector<std::string> chaos_discs() {
  std::vector<std::string> names;
  for (const Disc& disc : all_discs()) names.push_back(disc.name);
  return names;
}

void chaos_run(const Common& common, const ChaosOptions& options) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  std::signal(SIGTERM, [](int) { interrupted = 1; });
  std::signal(SIGINT, [](int) { interrupted = 1; });
  Run run(common, options);
  const std::string flaw = run.play();
  if (flaw.empty()) {
    fmt::print("seed {}: the history checks out: {}\n", options.seed, run.account());
    return;
  }
  fmt::print("the end of headd's log:\n{}\n{}\n", run.evidence(), run.account());
  const std::string verdict = fmt::format("seed {}: FAILED: {}", options.seed, flaw);
  fmt::print("{}\n", verdict);
  throw std::runtime_error(verdict);
}

}  // namespace bench

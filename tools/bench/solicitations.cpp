#include "tools/bench/solicitations.hpp"

#include <algorithm>
#include <cmath>
#include <random>

namespace bench {

namespace {

constexpr double bin_s = 0.01;
constexpr double delay_first_probe_s = 5, update_guard_s = 5;  // As the kernel comes.
constexpr std::size_t thresh2 = 512, thresh3 = 1024;
constexpr double kernel_asks_dead_per_s = 3 / 3.07, keeper_asks_dead_per_s = 3 / 5.0;

// Everything that is counted, by time.
class Tally {
 public:
  explicit Tally(const Fleet& fleet)
      : begin_(fleet.warm_s),
        end_(begin_ + fleet.counted_s),
        multicast_(static_cast<std::size_t>(std::lround(fleet.counted_s / bin_s))),
        unicast_(multicast_.size()) {}

  double end() const { return end_; }
  void multicast(double at, std::uint64_t count = 1) { note(multicast_, at, count); }
  void unicast(double at, std::uint64_t count = 1) { note(unicast_, at, count); }
  void request(double at, bool waited, bool refused) {
    if (at < begin_ || at >= end_) return;
    ++requests_;
    waited_ += waited;
    refused_ += refused;
  }

  Load load() const {
    Load load;
    const double seconds = end_ - begin_;
    for (const std::uint64_t count : multicast_) {
      load.multicast_per_s += static_cast<double>(count) / seconds;
      load.multicast_peak = std::max(load.multicast_peak, count);
    }
    for (const std::uint64_t count : unicast_) {
      load.unicast_per_s += static_cast<double>(count) / seconds;
      load.unicast_peak = std::max(load.unicast_peak, count);
    }
    const double all = std::max(1.0, static_cast<double>(requests_));
    load.waited_share = static_cast<double>(waited_) / all;
    load.refused_share = static_cast<double>(refused_) / all;
    load.after_restart = after_;
    return load;
  }

 private:
  void note(std::vector<std::uint64_t>& bins, double at, std::uint64_t count) {
    if (at >= end_ && at < end_ + 1) after_ += count;
    if (at < begin_ || at >= end_) return;
    const auto bin = static_cast<std::size_t>((at - begin_) / bin_s);
    bins[std::min(bin, bins.size() - 1)] += count;
  }

  double begin_, end_;
  std::vector<std::uint64_t> multicast_, unicast_;
  std::uint64_t requests_ = 0, waited_ = 0, refused_ = 0, after_ = 0;
};

// The table of one head where the kernel is left alone. A reply confirms the entry, as TCP's do, so
// that one in use is never asked for again; what is not there is asked for by multicast. Where
// there is a limit, entries that are not REACHABLE make room (neigh_forced_gc()).
class Discovered {
 public:
  Discovered(unsigned discs, bool limited, double reachable_s)
      : entries_(discs), limited_(limited), reachable_s_(reachable_s) {
    for (unsigned disc = 0; disc < (limited ? std::min<unsigned>(discs, thresh2) : discs); ++disc)
      use(disc, 0);  // Met long ago.
  }

  enum class Outcome : std::uint8_t { there, asked, refused };
  Outcome use(unsigned disc, double now) {
    Entry& entry = entries_[disc];
    if (!entry.there) {
      if (limited_ && present_.size() >= thresh3) collect(now);
      if (limited_ && present_.size() >= thresh3) return Outcome::refused;
      present_.push_back(disc);
      entry = {.there = true, .confirmed = now};
      return Outcome::asked;
    }
    entry.confirmed = now;
    return Outcome::there;
  }
  void lose_all() {
    for (const unsigned disc : present_) entries_[disc] = {};
    present_.clear();
    collect_at_ = 0;
  }
  std::size_t size() const { return present_.size(); }

 private:
  struct Entry {
    bool there = false;
    double confirmed = 0;
  };

  void collect(double now) {
    if (now < collect_at_) return;  // Confirmations only put it off: nothing can go before.
    double soonest = INFINITY;
    std::size_t most = present_.size() - thresh2;
    std::erase_if(present_, [&](unsigned disc) {
      Entry& entry = entries_[disc];
      const double idle_at = entry.confirmed + reachable_s_ + update_guard_s;
      if (idle_at > now || most == 0) {
        soonest = std::min(soonest, idle_at);
        return false;
      }
      --most;
      entry = {};
      return true;
    });
    collect_at_ = std::max(soonest, now);
  }

  std::vector<Entry> entries_;
  std::vector<unsigned> present_;
  bool limited_;
  double reachable_s_;
  double collect_at_ = 0;
};

using Random = std::mt19937_64;

// reachable_time, one for an interface: between half and one and a half times 30 s.
double reachable_time(Random& random) {
  return std::uniform_real_distribution(15.0, 45.0)(random);
}

void ask_for_the_dead(const Fleet& fleet, double per_s, bool multicast, Random& random,
                      Tally& tally) {
  for (unsigned i = 0; i < fleet.dead_discs; ++i)
    for (double at = std::uniform_real_distribution(0.0, 1 / per_s)(random); at < tally.end();
         at += 1 / per_s)
      multicast ? tally.multicast(at) : tally.unicast(at);
}

struct Requests {
  double per_s;
  std::bernoulli_distribution busy;
  std::uniform_int_distribution<unsigned> of_busy, of_quiet;

  explicit Requests(const Fleet& fleet) {
    const auto many = static_cast<unsigned>(fleet.busy_share * fleet.discs);
    const double quiet_per_s = (fleet.discs - many) / fleet.quiet_gap_s;
    per_s = many + quiet_per_s;
    busy = std::bernoulli_distribution(many / per_s);
    of_busy = decltype(of_busy)(0, std::max(many, 1u) - 1);
    of_quiet = decltype(of_quiet)(std::min(many, fleet.discs - 1), fleet.discs - 1);
  }
  unsigned disc(Random& random) { return busy(random) ? of_busy(random) : of_quiet(random); }
};

std::uint64_t discovery(const Fleet& fleet, bool limited, Random& random, Tally& tally) {
  Discovered table(fleet.discs, limited, reachable_time(random));
  Requests requests(fleet);
  std::exponential_distribution gap(requests.per_s);
  bool restarted = false;
  std::uint64_t entries = 0;
  for (double at = gap(random); at < tally.end() + 1; at += gap(random)) {
    if (!restarted && at >= tally.end()) {
      restarted = true;
      entries = table.size();
      table.lose_all();
    }
    using Outcome = Discovered::Outcome;
    const Outcome outcome = table.use(requests.disc(random), at);
    if (outcome == Outcome::asked) tally.multicast(at);
    tally.request(at, outcome == Outcome::asked, outcome == Outcome::refused);
  }
  ask_for_the_dead(fleet, kernel_asks_dead_per_s, true, random, tally);
  return entries;
}

// One burst whenever reachable_time is over and the entries' DELAY too, for all of them together.
std::uint64_t managed(const Fleet& fleet, Random& random, Tally& tally) {
  const double period = reachable_time(random) + delay_first_probe_s;
  for (double at = std::uniform_real_distribution(0.0, period)(random); at < tally.end();
       at += period)
    tally.unicast(at, fleet.discs);
  // Made again by whoever manages them, and resolved by the kernel at once.
  tally.multicast(tally.end(), fleet.discs);
  ask_for_the_dead(fleet, kernel_asks_dead_per_s, true, random, tally);
  return fleet.discs;
}

// STALE entries ask nobody until they are used and the reply takes long; the keeper puts them back
// with their addresses when they are gone.
std::uint64_t kept(const Fleet& fleet, std::uint64_t entries, Random& random, Tally& tally) {
  const Requests requests(fleet);
  std::exponential_distribution gap(std::max(requests.per_s * fleet.slow_share, 1e-9));
  for (double at = gap(random); at < tally.end() + 1; at += gap(random)) tally.unicast(at);
  // Its host first, which may live, and then everybody.
  for (const bool multicast : {false, true})
    ask_for_the_dead(fleet, keeper_asks_dead_per_s, multicast, random, tally);
  return entries;
}

}  // namespace

std::string_view to_string(Keeping keeping) noexcept {
  switch (keeping) {
    case Keeping::discovery:
      return "discovery, the kernel's limits";
    case Keeping::discovery_raised:
      return "discovery, limits raised";
    case Keeping::managed:
      return "MANAGED entries";
    case Keeping::stale:
      return "STALE entries (headd)";
    case Keeping::routes:
      return "routes, STALE tails";
  }
  return "?";
}

Load simulate(const Fleet& fleet, Keeping keeping) {
  Tally tally(fleet);
  std::uint64_t entries = 0;
  for (unsigned head = 0; head < fleet.heads; ++head) {
    Random random(fleet.seed * 1'000'003 + head);
    switch (keeping) {
      case Keeping::discovery:
      case Keeping::discovery_raised:
        entries = discovery(fleet, keeping == Keeping::discovery, random, tally);
        break;
      case Keeping::managed:
        entries = managed(fleet, random, tally);
        break;
      case Keeping::stale:
        entries = kept(fleet, fleet.discs, random, tally);
        break;
      case Keeping::routes:
        entries = kept(fleet, fleet.tails, random, tally);
        break;
    }
  }
  Load load = tally.load();
  load.entries = entries;
  return load;
}

}  // namespace bench

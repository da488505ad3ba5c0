// head-world: looks for histories of the simulated world that break a rule.
#include "head/base/log.hpp"
#include "tests/sim/world/known_faults.hpp"
#include "tests/sim/world/search.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

namespace {

constexpr const char* usage =
    R"(Usage: head-world search [--profile NAME] [--histories N | --seconds N] [--from SEED]
                         [--shrink] [--all]
       head-world show [--profile NAME] --from SEED [--shrink] [--log] [--trace]
       head-world enumerate [--pairs] [--histories N] [--from SEED] [--shrink]
       head-world known
       head-world profiles

Runs headd's data path in a simulated world, and holds it to what a disc promises.

  search    run one history for each seed until one breaks a rule
  show      run one history and print it
  enumerate place a misfortune before every event of calm histories in turn
  known     check that every known fault is still found (status 1: one is not)
  profiles  list the kinds of worlds

  --profile NAME   which kind of world (default: any)
  --histories N    how many at most (default: 1000)
  --seconds N      with search: as many as so many seconds of processor time are enough for
  --from SEED      the first seed (default: 0)
  --all            with search: go on behind a history that breaks a rule, and tell each
  --pairs          with enumerate: two misfortunes, the first before every 11th event
  --shrink         make a history that breaks a rule as small as possible, and tell it
  --log            with show: what headd logs as well
  --trace          with show or --shrink: every request and what the tail does, as it happens

The last line of search, show and enumerate says what came of it: `found: ...`, exit status 1, or
`clean: ...`, exit status 0. A wrong command line: exit status 2.
)";

struct Options {
  std::string command;
  std::string profile = "any";
  std::uint64_t histories = 1000, from = 0;
  std::optional<std::uint64_t> seconds;  // Then `histories` does not count.
  bool shrink = false, log = false, trace = false, all = false, pairs = false;
};

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Nothing where the command line is wrong; that has been said then.
std::optional<Options> parse(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string_view word = arguments[i];
    const std::string_view value = i + 1 < count ? arguments[i + 1] : "";
    if (i == 1) {
      options.command = word;
    } else if (word == "--shrink") {
      options.shrink = true;
    } else if (word == "--pairs") {
      options.pairs = true;
    } else if (word == "--all") {
      options.all = true;
    } else if (word == "--trace") {
      options.trace = true;
    } else if (word == "--log") {
      options.log = true;
    } else if (word == "--profile" && world::find_profile(value) != nullptr) {
      options.profile = value;
      ++i;
    } else if ((word == "--histories" || word == "--from") && number(value)) {
      (word == "--from" ? options.from : options.histories) = *number(value);
      ++i;
    } else if (word == "--seconds" && options.command == "search" && number(value)) {
      options.seconds = number(value);
      ++i;
    } else {
      fmt::print(stderr, "head-world: cannot make sense of {} {}; see head-world --help\n", word,
                 value);
      return std::nullopt;
    }
  }
  return options;
}

double cpu_seconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

int tell(const world::Find& find) {
  fmt::print("found: seed {} history {} cpu {:.2f} rule {}: {}\n", find.scenario.seed,
             find.histories, cpu_seconds(), check::to_string(find.violation.rule),
             find.violation.sentence);
  return 1;
}

// The next history that breaks a rule, from the seed behind those of `sum` on; nothing once as many
// have run as are asked for.
std::optional<world::Find> find_next(const Options& options, world::Sum& sum) {
  const world::Profile& profile = *world::find_profile(options.profile);
  const auto wants_more = [&] {
    return options.seconds ? cpu_seconds() < static_cast<double>(*options.seconds)
                           : sum.histories < options.histories;
  };
  while (wants_more())
    if (auto find = world::search(profile, options.from + sum.histories, 1, sum)) return find;
  return std::nullopt;
}

// All seeds, whatever they break.
int search_all(const Options& options) {
  world::Sum sum;
  std::uint64_t found = 0;
  for (auto find = find_next(options, sum); find; find = find_next(options, sum)) {
    ++found;
    tell(*find);
  }
  fmt::print("{} of {} histories break a rule, {:.1f} s\n", found, sum.histories, cpu_seconds());
  return found == 0 ? 0 : 1;
}

int conclude(const Options& options, const world::Sum& sum,
             const std::optional<world::Find>& find) {
  if (find && options.shrink) {
    world::Find small = world::shrink(*find);
    fmt::print("{}", to_string(small.scenario));
    if (options.trace) world::run(small.scenario, true);
    small.histories = find->histories;
    small.scenario.seed = find->scenario.seed;  // The one to repeat it with.
    return tell(small);
  }
  const double simulated = std::chrono::duration<double>(sum.simulated).count();
  fmt::print("{} requests and {} events in {:.0f} simulated seconds, {:.0f} of them a CPU second\n",
             sum.requests, sum.events, simulated, simulated / cpu_seconds());
  if (find) return tell(*find);
  fmt::print("clean: {} histories, {:.1f} s\n", sum.histories, cpu_seconds());
  return 0;
}

int search(const Options& options) {
  if (options.all) return search_all(options);
  world::Sum sum;
  return conclude(options, sum, find_next(options, sum));
}

// Here histories are the calm ones that others are made of.
int enumerate(const Options& options) {
  world::Sum sum;
  std::optional<world::Find> find;
  const std::uint64_t end = options.from + options.histories;
  for (std::uint64_t seed = options.from; seed < end && !find; ++seed)
    find = world::enumerate(seed, options.pairs, sum);
  return conclude(options, sum, find);
}

int known() {
  constexpr std::uint64_t histories = 20'000;
  bool all = true;
  fmt::print("{:<20} {:<10} {:>9} {:>10} {:>6}  {}\n", "profile", "rule", "seed", "histories",
             "CPU s", "what it is");
  for (const world::KnownFault& fault : world::known_faults) {
    const double before = cpu_seconds();
    world::Sum sum;
    std::optional<world::Find> find;
    for (std::uint64_t seed = 0; seed < histories && !find; ++seed) {
      find = world::search(*world::find_profile(fault.profile), seed, 1, sum);
      if (find && find->violation.rule != fault.rule) find.reset();
    }
    all = all && find;
    fmt::print("{:<20} {:<10} {:>9} {:>10} {:>6.2f}  {}\n", fault.profile,
               check::to_string(fault.rule),
               find ? fmt::to_string(find->scenario.seed) : "NOT FOUND", sum.histories,
               cpu_seconds() - before, fault.sentence);
  }
  return all ? 0 : 1;
}

int show(const Options& options) {
  const world::Profile& profile = *world::find_profile(options.profile);
  world::Scenario scenario = profile.draw(options.from);
  scenario.profile = profile.name;
  world::Outcome outcome = world::run(scenario);
  world::Find find{.scenario = scenario, .violation = outcome.violation, .histories = 1};
  if (outcome.violation && options.shrink) find = world::shrink(find);
  fmt::print("{}", to_string(find.scenario));
  if (options.trace) outcome = world::run(find.scenario, true);
  fmt::print("{} events, {:.3f} simulated seconds\n", outcome.events,
             std::chrono::duration<double>(outcome.simulated).count());
  find.scenario.seed = options.from;
  if (find.violation) return tell(find);
  fmt::print("clean: the history breaks no rule\n");
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  const auto options = parse(count, arguments);
  if (!options) return 2;
  head::log::set_level(options->log ? head::log::Level::debug : head::log::Level::error);
  if (options->command == "search") return search(*options);
  if (options->command == "show") return show(*options);
  if (options->command == "enumerate") return enumerate(*options);
  if (options->command == "known") return known();
  if (options->command == "profiles") {
    for (const world::Profile& profile : world::profiles())
      fmt::print("{:<16} {}\n", profile.name, profile.sentence);
    return 0;
  }
  fmt::print("{}", usage);
  return options->command == "--help" || options->command == "-h" ? 0 : 2;
}

#include "head/control/command_line.hpp"

#include "head/control/memory_here.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <filesystem>

namespace head::control {

namespace {

constexpr const char* default_file = "/etc/head/head.toml";

constexpr const char* footer =
    "Exit status:\n"
    "  0  it was told to end\n"
    "  1  it could not begin, or not go on\n"
    "  2  the command line is wrong\n"
    "  3  the configuration is wrong\n"
    "  4  the system lets it have too few threads";

struct Flags {
  std::string config, state_dir, run_dir, table_netns, strategy, log_level, crash;
  bool no_neigh = false;
  bool leave = false;
  bool check = false;
  int take_over = -1;
};

void declare(CLI::App& app, Flags& flags) {
  app.set_version_flag("--version", HEAD_VERSION);
  app.footer(footer);
  app.add_option("--config", flags.config,
                 fmt::format("The configuration, instead of {}", default_file));
  app.add_option("--state-dir", flags.state_dir, "Where attached discs are kept");
  app.add_option("--run-dir", flags.run_dir, "Where the sockets are");
  app.add_option("--table-netns", flags.table_netns,
                 "The network namespace that can write the neighbour table's limits, "
                 "/proc/1/ns/net say");
  app.add_option("--neigh-strategy", flags.strategy,
                 "How neighbour entries are written: auto, validated, learned or plain");
  app.add_option("--log-level", flags.log_level, "debug, info, warning or error");
  app.add_flag("--no-neigh", flags.no_neigh, "Leave the neighbour table to the kernel");
  app.add_flag("--leave", flags.leave,
               "At a clean end, let the interfaces' settings stay as they serve the entries");
  app.add_option("--explain-crash", flags.crash,
                 "Only makes names of the addresses in this report of a crash, as headd does by "
                 "itself at its next start");
  app.add_option("--take-over", flags.take_over, "")->group("");  // For headd itself: upgrade.hpp.
  app.add_flag("--check-config", flags.check, "Only say whether the configuration is right");
}

// False when the level is none.
bool apply(const Flags& flags, Config& config) {
  const auto absolute = [](const std::string& path) {
    return std::filesystem::absolute(path).lexically_normal();
  };
  if (!flags.state_dir.empty()) config.paths.state_dir = absolute(flags.state_dir);
  if (!flags.run_dir.empty()) config.paths.run_dir = absolute(flags.run_dir);
  if (!flags.table_netns.empty()) config.neighbours.table_netns = absolute(flags.table_netns);
  if (!flags.strategy.empty()) config.neighbours.strategy = neigh::parse_strategy(flags.strategy);
  if (flags.no_neigh) config.neighbours.enabled = false;
  if (flags.leave) config.neighbours.leave = true;
  if (flags.log_level.empty()) return true;
  const auto level = log::parse_level(flags.log_level);
  if (level) config.log_level = *level;
  return level.has_value();
}

}  // namespace

Result<Invocation, Ending> parse_command_line(int argc, const char* const* argv) {
  CLI::App app("Serves remote discs to the guests of this machine.", "headd");
  Flags flags;
  declare(app, flags);
  const auto usage = [](std::string_view why) {
    return Failure{
        Ending{.status = exit_usage, .sentence = fmt::format("{}; see headd --help", why)}};
  };
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return Failure{Ending{.text = app.help()}};
  } catch (const CLI::CallForVersion&) {
    return Failure{Ending{.text = HEAD_VERSION "\n"}};
  } catch (const CLI::ParseError& error) {
    return usage(error.what());
  }

  if (!flags.crash.empty()) return Invocation{.config = {}, .crash = flags.crash};
  const bool named = !flags.config.empty();
  const auto config = load_config(named ? flags.config : default_file, named);
  if (!config) return Failure{Ending{.status = exit_invalid, .sentence = config.error().sentence}};
  Invocation invocation{.config = *config,
                        .file = std::filesystem::absolute(named ? flags.config : default_file),
                        .take_over = flags.take_over,
                        .check_only = flags.check};
  if (!flags.strategy.empty() && flags.strategy != "auto" && !neigh::parse_strategy(flags.strategy))
    return usage("--neigh-strategy is auto, validated, learned or plain");
  if (!apply(flags, invocation.config))
    return usage("--log-level is debug, info, warning or error");
  const auto account = memory_account(invocation.config, socket_ceilings(), {});
  if (const auto objection = account.objection())
    return Failure{Ending{.status = exit_invalid,
                          .sentence = fmt::format("{}: {}", invocation.file.native(), *objection)}};
  return invocation;
}

}  // namespace head::control

// Read it as the help: one function per command, in the order in which --help lists them.
#include "tools/headctl/command_line.hpp"

#include "tools/headctl/command_line_parts.hpp"
#include "tools/headctl/output.hpp"

#include <string>

namespace headctl {

namespace {

void add_latency(CLI::App& app, Commands& commands) {
  const auto [command, options] = commands.add(app, "latency", "How long guests waited", latency);
  command.add_option("NAME", options.name, "Of this disc only");
  CLI::Option* const histogram =
      command.add_flag("--histogram", options.histogram, "As a picture: how many took how long");
  command.add_flag("--heatmap", options.heatmap, "As a picture over time, from now on")
      ->excludes(histogram);
  command.add_option("--seconds", options.seconds, "How long the heat map is")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  command
      .add_option("--operation", options.operations,
                  "In pictures only this operation; by default all together")
      ->check(CLI::IsMember(
          {"read", "write", "flush", "trim", "write_zeroes", "cache", "block_status"}))
      ->allow_extra_args(false);
  command.add_option("--svg", options.svg, "Writes the picture to this file as well");
}

void add_stalls(CLI::App& app, Commands& commands) {
  const auto [command, options] =
      commands.add(app, "stalls", "Requests that took too long, and why", stalls);
  command.add_option("NAME", options.name, "Of this disc only");
  command.add_option("--limit", options.limit, "At most so many, the newest first")
      ->capture_default_str();
}

void add_neigh_limits(CLI::App& neigh, Commands& commands) {
  const auto [command, options] =
      commands.add(neigh, "limits", "The table's limits, what they must be, and why", neigh_limits);
  command.add_flag("--kernel", options.kernel, "The kernel's word alone, without asking headd");
  command.add_option("--discs", options.discs, "For so many discs, instead of those there are")
      ->check(CLI::Range(0, 10'000'000));
}

void add_neigh_watch(CLI::App& neigh, Commands& commands) {
  const auto [command, options] =
      commands.add(neigh, "watch", "A line for each change of an entry", neigh_watch);
  command.add_option("--disc", options.discs, "Only of entries that this disc needs")
      ->allow_extra_args(false);
  command.add_option("--dev", options.devs, "Only of entries of this interface")
      ->allow_extra_args(false);
  command.add_option("--seconds", options.seconds, "How long; by default until it is ended");
  command.add_option("--since", options.since,
                     "Begins with what headd remembers: 10m, 2h, 12:30, 2026-01-31T12:30:00, say");
}

void add_neigh(CLI::App& app, Commands& commands) {
  const auto [command, options] = commands.add(
      app, "neigh", "The neighbour table; also without headd, and without root", neigh);
  NeighFilter& filter = options.filter;
  command.add_flag("--kernel", options.kernel, "The kernel's word alone, without asking headd");
  command.add_option("--disc", filter.discs, "Only entries that this disc needs")
      ->allow_extra_args(false);
  command.add_option("--dev", filter.devs, "Only entries of this interface")
      ->allow_extra_args(false);
  command.add_option("--lladdr", filter.lladdrs, "Only entries with this link-layer address")
      ->allow_extra_args(false);
  command.add_option("--state", filter.states, "Only entries in this state")
      ->check(CLI::IsMember({"ABSENT", "NONE", "INCOMPLETE", "REACHABLE", "STALE", "DELAY", "PROBE",
                             "FAILED", "NOARP", "PERMANENT"},
                            CLI::ignore_case))
      ->allow_extra_args(false);
  command.add_flag("--stale", filter.stale, "The same as --state stale");
  command.add_flag("--failed", filter.failed, "The same as --state failed");
  command.add_flag("--foreign", filter.foreign, "Only entries of other programs than headd");
  command.add_flag("--conflicts", filter.conflicts,
                   "Only entries whose link-layer address was contradicted, and by whom");
  command.add_flag("--all", filter.all, "Also NOARP and NONE, which are of no use to a disc");
  command.add_option("--sort", filter.sort, "By what")
      ->check(CLI::IsMember(
          std::vector<std::string>(std::begin(neigh_sort_keys), std::end(neigh_sort_keys))))
      ->capture_default_str();
  add_neigh_limits(command, commands);
  add_neigh_watch(command, commands);
}

void add_doctor(CLI::App& app, Commands& commands) {
  const auto [command, options] =
      commands.add(app, "doctor",
                   "Whether this head can stall, why, and what to do; also without headd", doctor);
  CLI::Option* const kernel =
      command.add_flag("--kernel", options.kernel, "The kernel's word alone, without asking headd");
  command
      .add_option("--discs", options.discs, "As if there were so many, instead of those there are")
      ->check(CLI::Range(0, 10'000'000))
      ->needs(kernel);
  command.add_option("--dev", options.devs, "An interface that leads, or is to lead, to discs")
      ->allow_extra_args(false)
      ->needs(kernel);
  command.footer(
      "Exit status:\n"
      "  0  nothing was found\n"
      "  1  there are warnings\n"
      "  2  this head can stall (or the command line is wrong)\n"
      "  7  neither headd nor the kernel can be asked");
}

void add_report(CLI::App& app, Commands& commands) {
  const auto [command, options] = commands.add(
      app, "report", "One archive for whoever has to help; nothing is sent anywhere", report);
  CLI::Option* const list =
      command.add_flag("--list", options.list, "Only says what would be in it");
  command.add_option("FILE", options.file, "A name for it, report.tar.gz say")->excludes(list);
  command.add_flag("--force", options.force, "Writes over a file that is there")->excludes(list);
}

void add_status(CLI::App& app, Commands& commands) {
  commands.add(app, "status", "The head as a whole", status);
}

void add_top(CLI::App& app, Commands& commands) {
  const auto [command, options] =
      commands.add(app, "top", "The head as it lives, in a terminal", top);
  command.add_option("--seconds", options.seconds, "Between two looks")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  command.footer(std::string("Keys:\n"
                             "  q       end\n"
                             "  s > <   sort by the next column, or by the one before\n"
                             "  r       the other way round\n"
                             "  /       show only what has this in its name, state, cause or tail\n"
                             "  Esc     show all again\n"
                             "  t       tails instead of discs, and back\n"
                             "  arrows, Page Up, Page Down, Home, End\n"
                             "\n") +
                 exit_statuses);
}

void add_upgrade(CLI::App& app, Commands& commands) {
  const auto [command, options] = commands.add(
      app, "upgrade", "Has another headd take over, while guests notice a pause", upgrade);
  command.add_option("--binary", options.binary,
                     "That headd, an absolute path; by default the one that runs, as it is now on "
                     "the disk");
}

void declare(CLI::App& app, Commands& commands) {
  app.require_subcommand(0, 1);  // Where there is none, below: that names what was said instead.
  app.footer(exit_statuses);
  app.set_version_flag("--version", HEAD_VERSION);
  app.add_option("--api", commands.context.api, "The API's socket")
      ->capture_default_str()
      ->take_last();
  commands.for_each = [](CLI::App& command, Context& context) {
    command.add_flag("--json", context.json, "For programs, as API.md has it");
  };
  add_disc_commands(app, commands);
  add_latency(app, commands);
  add_stalls(app, commands);
  add_neigh(app, commands);
  add_status(app, commands);
  add_doctor(app, commands);
  add_report(app, commands);
  commands.add(app, "reload", "Has headd read its configuration again", reload);
  add_top(app, commands);
  add_upgrade(app, commands);
}

}  // namespace

std::function<Exit()> parse_command_line(int argc, const char* const* argv) {
  CLI::App app("Asks headd for discs, and what became of them.", "headctl");
  Commands commands;
  declare(app, commands);
  const auto refuse = [&](const std::string& why) {
    std::string name = app.get_name();
    for (const CLI::App* said = &app; !said->get_subcommands().empty();) {
      said = said->get_subcommands().front();
      name += " " + said->get_name();
    }
    throw Failure(Exit::usage, why + "; see " + name + " --help");
  };
  if (const auto text = tools::parse(app, argc, argv, "command", refuse)) {
    return [text] {
      print(*text);
      return Exit::done;
    };
  }
  if (!commands.said) refuse("a command is needed, discs say");
  return [context = commands.context, said = commands.said] { return said(context); };
}

}  // namespace headctl

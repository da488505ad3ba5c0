// Read it as the help: one function per command, in the order in which --help lists them.
#include "tools/headctl/command_line.hpp"

#include "tools/command_line.hpp"
#include "tools/headctl/commands.hpp"
#include "tools/headctl/output.hpp"

#include <string>

namespace headctl {

namespace {

using Commands = tools::Commands<Context, Exit>;

const CLI::Range generations(std::int64_t{0}, std::int64_t{1} << 53);

void add_attach(CLI::App& app, Commands& commands) {
  const auto [command, options] = commands.add(app, "attach", "Attaches a disc", attach);
  command.add_option("NAME", options.name, "What it is to be called")->required();
  command.add_option("URI", options.uri, "Where it is: nbd://[ADDRESS]:PORT/EXPORT")->required();
  command.add_option("--lladdr", options.lladdr, "The link-layer address of the tail, if known");
  command.add_option("--generation", options.generation, "Of that: from 1 on, it is a pin")
      ->check(generations);
  command.add_option("--dev", options.dev, "The interface; by default as the route says");
  command.add_flag("--read-only", options.read_only, "Guests cannot write");
  command.add_option("--connections", options.connections, "To the tail, if that allows many")
      ->capture_default_str();
  command.add_option("--grade", options.grade,
                     "What kind of disc it is, a word that metrics are summed up by");
  command
      .add_option("--grace", options.grace_s,
                  "So many seconds guests wait for a tail that is away, then they get EIO until "
                  "it is back; by default they wait however long it takes")
      ->check(CLI::Range(0, 2'592'000));
  command
      .add_option("--durability", options.durability,
                  "Of acknowledged writes, should the tail crash; by default as head.toml has it")
      ->check(CLI::IsMember({"writeback", "writethrough", "replay"}));
  command
      .add_option("--identity", options.identity,
                  "How it is known again: by shape, also by what was written last, or also by its "
                  "first block; by default as head.toml has it")
      ->check(CLI::IsMember({"shape", "last-writes", "first-block"}));
  CLI::Option* const wait =
      command.add_flag("--wait", options.wait, "Wait until the disc is ready, or has failed");
  command
      .add_option("--timeout", options.timeout_s,
                  "Seconds after which --wait ends with status 13; the disc stays attached, and "
                  "headd goes on trying")
      ->needs(wait)
      ->check(CLI::Range(1, 86'400))
      ->capture_default_str();
}

// hold, resume, fail, look.
template <class Function>
void add_order(CLI::App& app, Commands& commands, const char* word, const char* what,
               Function function) {
  const auto [command, options] = commands.add(app, word, what, function);
  command.add_option("NAME", options.names, "Which")->required();
}

void add_detach(CLI::App& app, Commands& commands) {
  const auto [command, options] =
      commands.add(app, "detach", "Detaches discs, and waits until they are gone", detach);
  command.add_option("NAME", options.names, "Which")->required();
  command.add_flag("--no-wait", options.no_wait, "Only until it is accepted");
}

void add_import(CLI::App& app, Commands& commands) {
  const auto [command, options] =
      commands.add(app, "import", "Attaches all the discs of a list, or none of them", import);
  command.add_option("FILE", options.file, "The list; - for standard input")->required();
  CLI::Option* const wait =
      command.add_flag("--wait", options.wait, "Until every disc is ready, or has failed");
  command
      .add_option("--timeout", options.timeout_s,
                  "Seconds in which no other disc becomes ready, after which --wait ends with "
                  "status 13; headd goes on trying")
      ->needs(wait)
      ->check(CLI::Range(1, 86'400))
      ->capture_default_str();
  command.add_flag("--moves", options.moves, "The list is of moves: discs that are elsewhere now")
      ->excludes(wait);
  command.footer(
      std::string("The list is one of\n"
                  "  lines   NAME URI [lladdr=MAC] [generation=N] [dev=INTERFACE] "
                  "[read_only=true]\n          [connections=N] [grade=WORD] [grace_s=N]\n"
                  "          [durability=writeback|writethrough|replay] "
                  "[identity=shape|last-writes|first-block]\n"
                  "  TOML    [[disc]] tables with name, uri and the others\n"
                  "  JSON    {\"discs\": [{\"name\": ..., \"uri\": ...}, ...]}\n"
                  "and of moves\n"
                  "  lines   NAME lladdr=MAC|to=TAIL [generation=N]\n"
                  "  TOML    [[move]] tables\n"
                  "  JSON    {\"moves\": [{\"name\": ..., \"lladdr\": ...}, ...]}\n"
                  "\n") +
      exit_statuses);
}

void add_move(CLI::App& app, Commands& commands) {
  const auto [command, options] = commands.add(
      app, "move", "Says that a disc is with another tail now, and connects there", move);
  command.add_option("NAME", options.name, "Which")->required();
  CLI::Option_group* const where = command.add_option_group("Where", "one of these");
  where->add_option("--lladdr", options.lladdr, "The link-layer address of that tail");
  where->add_option("--to", options.to, "That tail's name, as [tails] in head.toml has it");
  where->require_option(1);
  command
      .add_option("--generation", options.generation,
                  "Of this knowledge: what is newer counts; by default one more than there is")
      ->check(generations);
}

void add_discs(CLI::App& app, Commands& commands) {
  const auto [command, options] = commands.add(app, "discs", "Lists discs, or shows one", discs);
  command.add_option("NAME", options.name, "Only this one, with all there is to know");
}

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
  add_attach(app, commands);
  add_detach(app, commands);
  add_import(app, commands);
  add_move(app, commands);
  add_order(app, commands, "hold", "Lets what guests ask wait, and asks their tails nothing", hold);
  add_order(app, commands, "fail", "Answers all that guests ask with EIO", fail);
  add_order(app, commands, "resume",
            "Ends that, and goes on; accepts what its tail has where a disc is held because of it, "
            "and has what is kept written again",
            resume);
  add_order(app, commands, "look",
            "Looks at what their tails offer now, for example because a disc has grown", look);
  add_discs(app, commands);
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

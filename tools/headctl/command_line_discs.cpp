// The commands for discs themselves, as command_line.cpp has the others.
#include "tools/headctl/command_line_parts.hpp"

#include <cstdint>
#include <string>

namespace headctl {

namespace {

void add_attach(CLI::App& app, Commands& commands) {
  const auto [command, options] = commands.add(app, "attach", "Attaches a disc", attach);
  command.add_option("NAME", options.name, "What it is to be called")->required();
  command.add_option("URI", options.uri, "Where it is: nbd://[ADDRESS]:PORT/EXPORT")->required();
  CLI::Option* const lladdr = command.add_option("--lladdr", options.lladdr,
                                                 "The link-layer address of the tail, if known");
  command
      .add_option("--generation", options.generation,
                  "Of that knowledge: told with one, from 1 on, it is a pin ([neighbours] trust)")
      ->needs(lladdr)
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 53));
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
  command.footer(std::string("The list is one of\n"
                             "  lines   NAME URI [lladdr=MAC] [generation=N] [dev=INTERFACE] "
                             "[read_only=true] [connections=N]\n"
                             "          [grade=WORD] [grace_s=N]\n"
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
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 53));
}

void add_discs(CLI::App& app, Commands& commands) {
  const auto [command, options] = commands.add(app, "discs", "Lists discs, or shows one", discs);
  command.add_option("NAME", options.name, "Only this one, with all there is to know");
}

}  // namespace

void add_disc_commands(CLI::App& app, Commands& commands) {
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
}

}  // namespace headctl

// Read it as the help: one function per benchmark, in the order in which --help lists them.
#include "tools/bench/command_line.hpp"

#include "tools/bench/benchmarks.hpp"
#include "tools/bench/chaos_faults.hpp"
#include "tools/command_line.hpp"

#include <fmt/format.h>

#include <string>

namespace bench {

namespace {

using Commands = tools::Commands<Common, void>;

CLI::Option* add_seconds(CLI::App& command, double& seconds, const std::string& description,
                         double most) {
  return command.add_option("--seconds", seconds, description)
      ->check(CLI::Range(0.1, most))
      ->capture_default_str();
}

void add_nbd(CLI::App& app, Commands& commands) {
  const auto [command, options] = commands.add(
      app, "nbd", "Requests to one disc through headd, qemu-storage-daemon, nbdkit, and directly",
      nbd);
  command.add_option("--tail", options.tail, "The server of the disc")
      ->check(CLI::IsMember({"nbdkit", "qemu-nbd"}))
      ->capture_default_str();
  add_seconds(command, options.seconds, "Length of one measurement", 600);
  command.add_option("--only", options.only, "Only these subjects, by name");
}

void add_discs(CLI::App& app, Commands& commands) {
  const auto [command, options] = commands.add(
      app, "discs",
      "Time and memory to attach many discs, beside qemu-storage-daemon (up to 1,000; needs root)",
      discs);
  command.add_option("--counts", options.counts, "How many discs, one measurement each")
      ->delimiter(',')
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  add_seconds(command, options.seconds, "Length of a measurement of requests", 600);
}

void add_scrape(CLI::App& app, Commands& commands) {
  const auto [command, options] = commands.add(
      app, "scrape",
      "Requests to one disc among many, with and without the metrics scraped (needs root)", scrape);
  command.add_option("--discs", options.discs, "How many discs are attached")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  add_seconds(command, options.seconds, "Length of one measurement", 600);
}

void add_load(CLI::App& app, Commands& commands) {
  const auto [command, options] = commands.add(
      app, "load", "Steady random 4 KiB requests to all the discs of a headd, timed", load);
  command.add_option("DISCS", options.discs, "The folder RUN/discs of the headd")
      ->required()
      ->check(CLI::ExistingDirectory);
  command.add_option("--rate", options.rate, "Requests per second, over all discs")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  add_seconds(command, options.seconds, "How long", 3600);
  command.add_option("--stall-ms", options.stall_ms, "What counts as a stall")
      ->check(CLI::Range(0.001, 100000.0))
      ->capture_default_str();
  command
      .add_option("--writes", options.write_percent,
                  "Share of writes, in percent; they overwrite what is there")
      ->check(CLI::Range(0, 100))
      ->capture_default_str();
  command.add_flag("--reconnect", options.reconnect,
                   "When headd goes away, wait for the next one, and ask it again");
}

void add_causes(CLI::App& app, Commands& commands) {
  const auto [command, options] = commands.add(
      app, "causes", "Faults of known kinds, and the causes that headd finds (needs root)", causes);
  command.add_option("--trials", options.trials, "Of each fault")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command.add_option("--only", options.only, "Only these causes")->delimiter(',');
}

void add_chaos(CLI::App& app, Commands& commands) {
  const auto [command, options] = commands.add(
      app, "chaos", "Faults at random while guests check every sector they read (needs root)",
      chaos_run);
  add_seconds(command, options.seconds, "How long faults go on", 7 * 86'400);
  command.add_option("--seed", options.seed, "Of the faults and of what the guests do")
      ->check(CLI::Range(0u, 1u << 31))
      ->capture_default_str();
  command.add_option("--rate", options.rate, "Requests per second of each guest")
      ->check(CLI::Range(1u, 100'000u))
      ->capture_default_str();
  command
      .add_option(
          "--faults", options.faults,
          "Kinds of faults, separated by commas (see below); \"default\" are all that headd "
          "survives today, \"all\" are all")
      ->delimiter(',')
      ->check(CLI::IsMember(chaos::Faults::kinds()).description(""))
      ->capture_default_str();
  command.add_option("--discs", options.discs, "Only these discs (default: all of them)")
      ->delimiter(',')
      ->check(CLI::IsMember(chaos_discs()));
  command.footer("Kinds of faults:\n" + chaos::Faults::help() + "\n" + app.get_footer());
}

void add_guests(CLI::App& app, Commands& commands) {
  const auto [command, options] = commands.add(
      app, "guests",
      "Guests that overwrite a blank disc and check every sector they read, while somebody else "
      "disturbs it",
      guests);
  command.footer("SIGUSR1 says that headd is about to be killed.\n\n" + app.get_footer());
  command.add_option("SOCKET", options.socket, "RUN/discs/NAME/nbd.sock")
      ->required()
      ->check(CLI::ExistingPath.description(""));
  command.add_option("--bytes", options.bytes, "Size of the disc, whole sectors, 64MiB say")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(std::uint64_t{1} << 20, std::uint64_t{1} << 30))
      ->capture_default_str();
  command.add_option("--durability", options.durability, "Of the disc")
      ->check(CLI::IsMember({"replay", "writethrough", "writeback"}))
      ->capture_default_str();
  command.add_option("--guests", options.guests, "How many")
      ->check(CLI::Range(1, 16))
      ->capture_default_str();
  command.add_option("--rate", options.rate, "Requests per second of each guest")
      ->check(CLI::Range(1u, 100'000u))
      ->capture_default_str();
  command
      .add_option("--largest", options.largest_bytes, "Bytes of the largest request, 512KiB say")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(std::uint64_t{512}, std::uint64_t{1} << 20))
      ->capture_default_str();
  add_seconds(command, options.seconds, "How long, if no SIGTERM comes before", 86'400);
  command.add_option("--seed", options.seed, "Of what they ask")
      ->check(CLI::Range(0u, 1u << 31))
      ->capture_default_str();
}

// What chaos starts; of no use to people.
void add_chaos_tail(CLI::App& app, Commands& commands) {
  const auto [command, options] =
      commands.add(app, "chaos-tail", "A tail that misbehaves as it is told", chaos_tail);
  command.group("");
  command.add_option("--address", options.address, "Where it listens")->required();
  command.add_option("--port", options.port, "And the port")->check(CLI::Range(1, 65535));
  command.add_option("--store", options.store, "What is flushed")->required();
  command.add_option("--bytes", options.bytes, "Of the disc");
  command.add_option("--control", options.control, "Where it is told what to do")->required();
  command.add_option("--hangs-up-on", options.hangs_up_on, "A command that ends its session");
  command.add_option("--seed", options.seed, "Of what it does");
}

void add_neigh(CLI::App& app, Commands& commands) {
  const auto [command, options] = commands.add(
      app, "neigh",
      "Neighbour entries installed, listed and reconciled, beside iproute2 (needs root)", neigh);
  command.add_option("--counts", options.counts, "How many entries, one measurement each")
      ->delimiter(',')
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 24));
  CLI::Option* const simulate =
      command.add_flag("--simulate", options.simulate,
                       "A model of the solicitations at one switch; touches nothing");
  const auto add = [&command = command, simulate](const char* name, unsigned& value,
                                                  const char* what, unsigned most) {
    command.add_option(name, value, what)
        ->needs(simulate)
        ->capture_default_str()
        ->check(CLI::Range(1u, most));
  };
  add("--heads", options.heads, "Of the model", 100'000);
  add("--discs", options.discs, "Of each head of the model", 1 << 20);
  add("--seed", options.seed, "Of the model", 1u << 31);
  CLI::Option* const storm =
      command
          .add_option("--storm", options.storm,
                      "Packets at an uninvolved port while a tail of so many idle discs is dead")
          ->check(CLI::Range(1, 100'000))
          ->excludes(simulate);
  command.add_option("--seconds", options.seconds, "For so long they are counted")
      ->needs(storm)
      ->capture_default_str()
      ->check(CLI::Range(1.0, 3600.0));
}

void declare(CLI::App& app, Commands& commands) {
  app.require_subcommand(0, 1);  // Where there is none, below: that names what was said instead.
  app.fallthrough();
  app.set_version_flag("--version", HEAD_VERSION);
  app.footer(
      "Exit status:\n"
      "  0  done\n"
      "  1  it could not be measured, or the history of chaos or guests does not check out\n"
      "  2  the command line is wrong");
  Common& common = commands.context;
  app.add_option("--bin", common.bin, "Folder of headd and headctl")->capture_default_str();
  app.add_option("--rounds", common.rounds, "Rounds; figures are their medians")
      ->capture_default_str()
      ->check(CLI::Range(1, 100));
  app.add_flag("--json", common.json, "Results as JSON");
  app.add_flag("--spin,!--no-spin", common.spin, "A SCHED_IDLE spinner per processor (default)");
  add_nbd(app, commands);
  add_discs(app, commands);
  add_scrape(app, commands);
  add_load(app, commands);
  add_neigh(app, commands);
  add_causes(app, commands);
  add_chaos(app, commands);
  add_guests(app, commands);
  add_chaos_tail(app, commands);
}

}  // namespace

std::function<void()> parse_command_line(int argc, const char* const* argv,
                                         const std::filesystem::path& bin) {
  CLI::App app("Benchmarks of Headstart beside its peers, in turns within one run.", "head-bench");
  Commands commands;
  commands.context.bin = bin;
  declare(app, commands);
  const auto refuse = [](const std::string& why) {
    throw UsageError(why + "; see head-bench --help");
  };
  if (const auto text = tools::parse(app, argc, argv, "benchmark", refuse))
    return [text] { fmt::print("{}", *text); };
  if (!commands.said) refuse("a benchmark is needed, nbd say");
  return [common = commands.context, said = commands.said] { said(common); };
}

}  // namespace bench

// headd: the composition. From the bottom up: the catalogue, the keeper of neighbours, the data
// threads, the agent that works on all of them, and the API that talks to the agent. They are made
// in this order and go in the opposite one.
#include "head/base/log.hpp"
#include "head/base/notify.hpp"
#include "head/catalogue/store.hpp"
#include "head/control/agent.hpp"
#include "head/control/api_server.hpp"
#include "head/control/config.hpp"
#include "head/control/loop_thread.hpp"
#include "head/control/neighbours.hpp"
#include "iouring/ring.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <grp.h>
#include <optional>
#include <string>
#include <vector>

namespace {

using namespace head;

constexpr int exit_usage = 2;
constexpr int exit_configuration = 3;
constexpr int exit_start = 4;

constexpr const char* footer =
    "Exit statuses: 0 ended when asked to; 2 the command line is wrong; 3 the configuration is "
    "wrong; 4 it could not start.\nheadctl(1) talks to it.";

struct Arguments {
  std::string config = "/etc/head/head.toml";
  bool config_given = false;
  std::string state_dir;
  std::string run_dir;
  std::string table_netns;
  bool no_neigh = false;
  bool check_config = false;
};

// A sentence for people, and the status to end with.
struct Ending {
  int status;
  std::string sentence;
};

control::Config configure(const Arguments& arguments) {
  auto parsed = control::load_config(arguments.config, arguments.config_given);
  if (!parsed) throw Ending{exit_configuration, parsed.error().sentence};
  control::Config config = *parsed;
  if (!arguments.state_dir.empty()) config.paths.state_dir = arguments.state_dir;
  if (!arguments.run_dir.empty()) config.paths.run_dir = arguments.run_dir;
  if (!arguments.table_netns.empty()) config.neighbours.table_netns = arguments.table_netns;
  if (arguments.no_neigh) config.neighbours.enabled = false;
  return config;
}

exports::SocketAccess access_of(const control::Config::Socket& socket) {
  exports::SocketAccess access{.mode = socket.mode};
  if (socket.group.empty()) return access;
  const group* found = getgrnam(socket.group.c_str());
  if (found == nullptr)
    throw Ending{exit_configuration,
                 fmt::format("export.socket_group: there is no group \"{}\" on this system: create "
                             "it, or name another",
                             socket.group)};
  access.group = found->gr_gid;
  return access;
}

neigh::Options keeper_options(const control::Config& config) {
  neigh::Options options;
  options.enabled = config.neighbours.enabled;
  options.table_netns = config.neighbours.table_netns;
  options.reconcile = config.neighbours.reconcile;
  options.recheck_limits = config.neighbours.recheck;
  options.resolutions_per_second = config.neighbours.resolve_per_second;
  options.table_max = config.neighbours.table_max;
  return options;
}

control::LoopThreadOptions thread_options(const control::Config& config, neigh::Keeper& keeper) {
  control::LoopThreadOptions options;
  options.make_loop = [] { return std::make_unique<iouring::Ring>(iouring::Ring::Options{}); };
  options.look = [&keeper](const auto& stats) { keeper.look(stats); };
  options.run_dir = config.paths.run_dir;
  options.access = access_of(config.exports);
  options.payload_memory = (std::size_t{config.data.memory_mib} << 20) / data_threads(config);
  options.stall_threshold = config.stall.threshold;
  options.connection.tcp = {.keepalive_idle = config.tcp.keepalive_idle,
                            .keepalive_interval = config.tcp.keepalive_interval,
                            .keepalive_probes = static_cast<int>(config.tcp.keepalive_probes),
                            .user_timeout = config.tcp.user_timeout};
  options.connection.quick_ack = config.tcp.quick_ack;
  return options;
}

std::vector<std::unique_ptr<control::DataThread>> start_threads(
    const control::LoopThreadOptions& options, unsigned count) {
  std::vector<std::unique_ptr<control::DataThread>> threads;
  for (unsigned i = 0; i < count; ++i)
    threads.push_back(std::make_unique<control::LoopThread>(options));
  return threads;
}

void make_run_dir(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error)
    throw Ending{exit_start, fmt::format("{} cannot be made: {}: choose another --run-dir",
                                         path.string(), error.message())};
}

// The signals that end the daemon, kept for sigwait() in every thread that is started after this.
sigset_t hold_signals() {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t ending;
  sigemptyset(&ending);
  for (const int signal : {SIGINT, SIGTERM}) sigaddset(&ending, signal);
  pthread_sigmask(SIG_BLOCK, &ending, nullptr);
  return ending;
}

void serve(const control::Config& config) {
  const sigset_t ending = hold_signals();
  make_run_dir(config.paths.run_dir);

  catalogue::Store store(config.paths.state_dir);
  auto neighbours = std::make_unique<control::KeptNeighbours>(keeper_options(config));
  const auto options = thread_options(config, neighbours->keeper());
  auto threads = start_threads(options, data_threads(config));
  control::Agent agent(store, std::move(neighbours), std::move(threads), config.data.discs_max);
  agent.restore();
  const control::ApiServer api(agent,
                               {.run_dir = config.paths.run_dir,
                                .version = HEADD_VERSION,
                                .neighbours = config.neighbours.enabled},
                               config.api);
  notify::ready();
  log::info("headd {}: serving {}, {} discs of the state directory {}", HEADD_VERSION,
            api.path().string(), store.discs().size(), config.paths.state_dir.string());

  int signal = 0;
  sigwait(&ending, &signal);
  notify::stopping();
  log::info("headd: ending, as signal {} asks", signal);
}

int run(const Arguments& arguments) {
  try {
    const control::Config config = configure(arguments);
    log::set_level(config.log_level);
    if (arguments.check_config) {
      fmt::print("{}: in order\n", arguments.config);
      return 0;
    }
    serve(config);
    return 0;
  } catch (const Ending& ending) {
    fmt::print(stderr, "headd: {}\n", ending.sentence);
    return ending.status;
  } catch (const std::exception& error) {
    fmt::print(stderr, "headd: {}\n", error.what());
    return exit_start;
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("headd, the head agent: remote discs for the guests of this host.", "headd");
  Arguments arguments;
  app.footer(footer);
  auto* config =
      app.add_option("--config", arguments.config, "The configuration file")->capture_default_str();
  app.add_option("--state-dir", arguments.state_dir, "Where attached discs are kept");
  app.add_option("--run-dir", arguments.run_dir,
                 "Where sockets are: api.sock, discs/NAME/nbd.sock");
  app.add_option("--table-netns", arguments.table_netns,
                 "The initial network namespace, where the neighbour table's limits can be set, "
                 "when headd runs in another one: /proc/1/ns/net");
  app.add_flag("--no-neigh", arguments.no_neigh,
               "Keep no neighbour entries and leave the table's limits alone");
  app.add_flag("--check-config", arguments.check_config,
               "Say whether the configuration is in order, and end");
  app.set_version_flag("--version", HEADD_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : exit_usage;
  }
  arguments.config_given = config->count() > 0;
  return run(arguments);
}

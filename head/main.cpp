// headd: the composition. From the bottom up: the catalogue, the keeper of neighbours, the data
// threads, the agent that works on all of them, and the API that talks to the agent. They are made
// in this order and go in the opposite one.
#include "head/base/directory_lock.hpp"
#include "head/base/log.hpp"
#include "head/base/notify.hpp"
#include "head/base/post_mortem.hpp"
#include "head/catalogue/store.hpp"
#include "head/control/agent.hpp"
#include "head/control/api_server.hpp"
#include "head/control/command_line.hpp"
#include "head/control/config.hpp"
#include "head/control/crash_reports.hpp"
#include "head/control/loop_thread.hpp"
#include "head/control/neighbours.hpp"
#include "head/control/reload.hpp"
#include "head/control/socket_access.hpp"
#include "iouring/ring.hpp"

#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <string>
#include <sys/resource.h>
#include <vector>

namespace {

using namespace head;
using namespace std::chrono_literals;

neigh::Options keeper_options(const control::Config& config) {
  neigh::Options options;
  options.enabled = config.neighbours.enabled;
  options.strategy = config.neighbours.strategy;
  options.table_netns = config.neighbours.table_netns;
  options.prefixes = config.neighbours.prefixes;
  options.responder = config.neighbours.responder;
  options.announcements = config.neighbours.announcements;
  options.leave = config.neighbours.leave;
  options.originals = config.paths.run_dir / "neighbour-settings";
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
  options.access = control::access_of(config.exports, "export.socket_group");
  options.payload_memory = (std::size_t{config.data.memory_mib} << 20) / data_threads(config);
  options.replay_memory =
      (std::size_t{config.discs.replay_memory_mib} << 20) / data_threads(config);
  options.settings = control::data_settings(config);
  return options;
}

std::vector<std::unique_ptr<control::DataThread>> start_threads(
    const control::LoopThreadOptions& options, unsigned count) {
  std::vector<std::unique_ptr<control::DataThread>> threads;
  for (unsigned i = 0; i < count; ++i)
    threads.push_back(std::make_unique<control::LoopThread>(options));
  return threads;
}

// The sockets in it are ours from here on.
iouring::UniqueFd own_run_dir(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error)
    throw std::runtime_error(fmt::format("{} cannot be made: {}: choose another --run-dir",
                                         path.string(), error.message()));
  return lock_directory(path, "--run-dir");
}

// The signals that are for the daemon, kept for sigtimedwait() in every thread that is started
// after this.
sigset_t hold_signals() {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t ours;
  sigemptyset(&ours);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&ours, signal);
  pthread_sigmask(SIG_BLOCK, &ours, nullptr);
  return ours;
}

// A descriptor per socket that a ring has no place for; most shells and services start with fewer
// than they may have.
void raise_file_limit() noexcept {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

void reload(control::Reloader& reloader) {
  notify::reloading();
  const auto text = [](const std::vector<std::string>& keys) {
    return keys.empty() ? "nothing" : fmt::format("{}", fmt::join(keys, ", "));
  };
  try {
    if (const auto told = reloader.reload())
      log::info("headd: the configuration is read again; changed now: {}; at the next start: {}",
                text(told->applied), text(told->at_next_start));
    else
      log::error("headd: {}; nothing was changed", told.error());
  } catch (const std::exception& error) {
    log::error("headd: the configuration cannot be read again now: {}; try it again", error.what());
  }
  notify::ready();
}

// --explain-crash.
int explain(const std::filesystem::path& raw) {
  ::nice(19);
  const auto told = control::explain_crash(raw);
  if (!told) {
    fmt::print(stderr, "headd: {}\n", told.error());
    return control::exit_failed;
  }
  fmt::print(stderr, "{}", *told);
  return 0;
}

// What a crash, or a thread that hangs, leaves behind: see post_mortem.hpp.
std::filesystem::path prepare_for_crashes(const std::filesystem::path& state_dir) {
  const auto folder = state_dir / "crashes";
  try {
    post_mortem::prepare(folder, HEAD_VERSION);
  } catch (const std::exception& error) {
    log::warning(
        "headd: a crash would leave no report behind: {}; make {} a folder that can be "
        "written to",
        error.what(), folder.string());
  }
  return folder;
}

// Until a signal ends it, which is returned. The service manager's watchdog is fed for as long as
// every data thread comes to what it is asked.
int run(control::Agent& agent, control::Reloader& reloader, control::CrashExplainer& explainer,
        const sigset_t& ours) {
  constexpr std::chrono::microseconds look = std::chrono::seconds(10);
  // A thread is given up on after three looks at least.
  const auto period = std::min(look, notify::watchdog_period().value_or(look * 6) / 6);
  auto next = std::chrono::steady_clock::now() + period;
  bool hung = false;
  for (;;) {
    const std::chrono::nanoseconds left =
        std::max<std::chrono::nanoseconds>(next - std::chrono::steady_clock::now(), 0ns);
    const timespec limit{.tv_sec = left / 1s, .tv_nsec = left % 1s / 1ns};
    const int signal = sigtimedwait(&ours, nullptr, &limit);
    if (signal == SIGINT || signal == SIGTERM) return signal;
    if (signal == SIGHUP) reload(reloader);
    if (std::chrono::steady_clock::now() < next) continue;
    next += period;
    const bool answered = agent.data_threads_answer();
    if (answered) notify::alive();
    if (!answered && !hung) {
      log::error("headd: a data thread has come to nothing for {:.1f} s; its guests wait",
                 std::chrono::duration<double>(period).count());
      post_mortem::write_stall();
      explainer.look();
    }
    if (answered && hung) log::info("headd: every data thread runs again");
    hung = !answered;
  }
}

void serve(const control::Config& config, const std::filesystem::path& file,
           control::Reloader::Read read) {
  const sigset_t ours = hold_signals();
  raise_file_limit();
  const auto run_dir = own_run_dir(config.paths.run_dir);

  catalogue::Store store(config.paths.state_dir);
  const auto crashes = prepare_for_crashes(config.paths.state_dir);
  auto neighbours = std::make_unique<control::KeptNeighbours>(keeper_options(config));
  const auto options = thread_options(config, neighbours->keeper());
  auto threads = start_threads(options, data_threads(config));
  control::Agent agent(store, std::move(neighbours), std::move(threads), config.data.discs_max);
  agent.set_tails(config.tails);
  agent.restore();
  control::Reloader reloader(agent, config, std::move(read));
  const control::ApiServer api(
      agent,
      {.run_dir = config.paths.run_dir,
       .version = HEAD_VERSION,
       .neighbours = config.neighbours.enabled,
       .config = file,
       .crashes = crashes,
       .operators = control::group_of(config.operator_group, "api.operator_group"),
       .reloader = &reloader},
      control::access_of(config.api, "api.socket_group"), config.metrics.listen);
  if (api.tcp()) log::info("metrics and the status page: http://{}/", to_string(*api.tcp()));
  notify::ready();
  log::info("headd {}: serving {}, {} discs of the state directory {}", HEAD_VERSION,
            api.path().string(), store.discs().size(), config.paths.state_dir.string());

  control::CrashExplainer explainer(crashes);
  const int signal = run(agent, reloader, explainer, ours);
  notify::stopping();
  log::info("headd: ending, as signal {} asks", signal);
}

}  // namespace

int main(int argc, char** argv) {
  const auto asked = control::parse_command_line(argc, argv);
  if (!asked) {
    const auto& ending = asked.error();
    if (ending.status == 0)
      fmt::print("{}", ending.text);
    else
      fmt::print(stderr, "headd: {}\n", ending.sentence);
    return ending.status;
  }
  if (asked->check_only) return 0;
  if (!asked->crash.empty()) return explain(asked->crash);
  try {
    log::set_level(asked->config.log_level);
    serve(asked->config, asked->file, [argc, argv]() -> Result<control::Config, std::string> {
      const auto again = control::parse_command_line(argc, argv);
      if (!again) return Failure{again.error().sentence};
      return again->config;
    });
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "headd: {}\n", error.what());
    return control::exit_failed;
  }
}

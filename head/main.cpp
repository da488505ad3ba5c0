// headd: the composition. From the bottom up: the catalogue, the keeper of neighbours, the data
// threads, the agent that works on all of them, and the API that talks to the agent. They are made
// in this order and go in the opposite one.
#include "head/base/locks.hpp"
#include "head/base/log.hpp"
#include "head/base/notify.hpp"
#include "head/base/post_mortem.hpp"
#include "head/catalogue/store.hpp"
#include "head/control/agent.hpp"
#include "head/control/api_server.hpp"
#include "head/control/command_line.hpp"
#include "head/control/config.hpp"
#include "head/control/crash_reports.hpp"
#include "head/control/descriptors.hpp"
#include "head/control/hang_watch.hpp"
#include "head/control/heir.hpp"
#include "head/control/loop_thread.hpp"
#include "head/control/memory_here.hpp"
#include "head/control/neighbours.hpp"
#include "head/control/options_of.hpp"
#include "head/control/reload.hpp"
#include "head/control/socket_access.hpp"
#include "head/control/thread_room.hpp"
#include "head/control/trace_file.hpp"
#include "head/control/upgrade.hpp"
#include "iouring/ring.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <malloc.h>
#include <optional>
#include <string>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <vector>

namespace {

using namespace head;
using namespace std::chrono_literals;

std::vector<std::unique_ptr<control::DataThread>> start_threads(control::LoopThreadOptions options,
                                                                control::TraceFile& traces,
                                                                unsigned count) {
  std::vector<std::unique_ptr<control::DataThread>> threads;
  options.make_loop = [] { return std::make_unique<iouring::Ring>(iouring::Ring::Options{}); };
  for (unsigned i = 0; i < count; ++i) {
    options.traces = &traces.of(i);
    threads.push_back(std::make_unique<control::LoopThread>(options));
  }
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
  std::signal(SIGXFSZ, SIG_IGN);
  sigset_t ours;
  sigemptyset(&ours);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&ours, signal);
  pthread_sigmask(SIG_BLOCK, &ours, nullptr);
  return ours;
}

// What was freed goes back to the system, or is used again by whoever needs some, rather than stay
// with the thread that had it: the ceiling counts all of it. Up to 4 MiB of a heap's end stay: a
// FLUSH frees what the log had, and the next writes take as much again.
void set_allocator() noexcept {
  ::mallopt(M_ARENA_MAX, 2);
  ::mallopt(M_MMAP_THRESHOLD, 128 << 10);
  ::mallopt(M_TRIM_THRESHOLD, 4 << 20);
}

// A descriptor per socket that a ring has no place for; most shells and services start with fewer
// than they may have.
void raise_file_limit() noexcept {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

// At the end: whoever restarts headd shall find its guests where the service manager keeps them.
void keep_guests(control::Agent& agent) {
  if (notify::store_room() == 0) return;
  agent.lend();
  constexpr auto let_go_within = 2s;  // Those of a thread that hangs connect again.
  const auto status = agent.status();
  const std::uint64_t sockets = status.discs + status.guests, document = 1;
  const std::uint64_t room = notify::store_room();
  const std::uint64_t left = room - std::min(room, sockets + document);
  const std::size_t guests = control::put_in_store(
      agent.hand_over_what_comes(std::min(left, control::left_beside(sockets)), let_go_within));
  if (guests != 0) log::info("headd: {} guests wait for the next headd", guests);
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
        control::TraceFile& traces, const iouring::UniqueFd& table, const sigset_t& ours) {
  constexpr auto period = control::HangWatch::look_period;
  auto next = std::chrono::steady_clock::now() + period;
  control::HangWatch watch;
  for (;;) {
    const std::chrono::nanoseconds left =
        std::max<std::chrono::nanoseconds>(next - std::chrono::steady_clock::now(), 0ns);
    const timespec limit{.tv_sec = left / 1s, .tv_nsec = left % 1s / 1ns};
    const int signal = sigtimedwait(&ours, nullptr, &limit);
    if (signal == SIGINT || signal == SIGTERM) return signal;
    if (signal == SIGHUP) reload(reloader);
    const auto now = std::chrono::steady_clock::now();
    if (now < next) continue;
    next = now + period;  // Whoever was stopped together with its threads asks them anew.
    traces.look();
    turn_away(table);
    const bool answered = agent.data_threads_answer();
    if (answered) notify::alive();
    using Say = control::HangWatch::Say;
    const Say say = watch.look(answered, now);
    if (say == Say::hung || say == Say::hung_and_report)
      log::error("headd: a data thread has come to nothing for {:.0f} s; its guests wait",
                 std::chrono::duration<double>(period).count());
    if (say == Say::hung_and_report) {
      log::error("headd: where it is is told in {}", post_mortem::write_stall().string());
      explainer.look();
    }
    if (say == Say::over)
      log::info("headd: every data thread runs again, after {:.0f} s",
                std::chrono::duration<double>(now - watch.since()).count());
  }
}

// How this process was started.
struct Start {
  control::Config config;
  std::filesystem::path file;
  std::filesystem::path binary;
  std::vector<std::string> arguments;
  control::Reloader::Read read;
};

// Discs of which nobody knows any more have no guests.
void receive(control::Inheritance& inheritance, std::vector<exports::HandedDisc> discs,
             const std::vector<catalogue::DiscSpec>& known) {
  std::erase_if(discs, [&](const exports::HandedDisc& disc) {
    return std::none_of(known.begin(), known.end(),
                        [&](const auto& spec) { return spec.name == disc.name; });
  });
  std::size_t guests = 0;
  for (const auto& disc : discs) guests += disc.sessions.size();
  if (guests != 0) log::info("headd: goes on with {} guests of the headd before it", guests);
  inheritance.arrive(std::move(discs));
}

// Discs that were attached are served, and guests of the headd before this one, whatever the
// configuration says now.
void warn_of_memory(const control::Agent& agent) {
  if (const auto objection = agent.memory()->objection())
    log::warning("headd: {}; no further disc is attached", *objection);
}

// What an upgrade that is under way comes to decides whose everything is.
void end(control::Agent& agent, control::Upgrader& upgrader, std::optional<control::ApiServer>& api,
         int signal) {
  upgrader.cancel();
  if (upgrader.handed_over()) {
    api->leave_path();
    api.reset();  // Whoever asked for it has the answer.
    log::info("headd: ending; everything is another headd's now");
    std::_Exit(0);  // Nothing is tidied up: it is in use.
  }
  notify::stopping();
  log::info("headd: ending, as signal {} asks", signal);
  keep_guests(agent);
}

// Until the other headd has given everything away, or this one is to end.
void await_ownership(control::Agent& agent, const control::Heir& heir) {
  sigset_t pending;
  sigemptyset(&pending);
  while (!heir.is_owner(std::chrono::steady_clock::now() + 200ms)) {
    sigpending(&pending);
    if (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1) return;
  }
  agent.own();
}

// Before the other headd lets go of its guests: until as many discs as it had are made, or serve
// where it hands over no connections. One whose tail is away does not hold that up for longer.
void await_discs(control::Agent& agent, const control::Heir& heir) {
  constexpr auto open_within = 5s;
  agent.await(heir.ready_before(),
              heir.connections_come() ? &control::is_attached : &control::is_ready,
              std::chrono::steady_clock::now() + open_within);
}

// What the headd after this one owns as well from the moment it begins.
std::vector<int> locks_of(const iouring::UniqueFd& run_dir, const catalogue::Store& store,
                          const iouring::UniqueFd& table) {
  std::vector<int> locks{run_dir.fd(), store.owner_lock()};
  if (table) locks.push_back(table.fd());
  return locks;
}

void serve(const Start& start, control::Heir* heir) {
  const control::Config& config = start.config;
  const sigset_t ours = hold_signals();
  set_allocator();
  raise_file_limit();
  control::require_threads(config);
  const auto run_dir = own_run_dir(config.paths.run_dir);

  catalogue::Store store(config.paths.state_dir);
  const auto crashes = prepare_for_crashes(config.paths.state_dir);
  const auto table = config.neighbours.enabled ? lock_neighbours() : iouring::UniqueFd();
  auto neighbours = std::make_unique<control::KeptNeighbours>(control::keeper_options(config));
  const auto inheritance = std::make_shared<control::Inheritance>();
  const auto options = control::thread_options(config, neighbours->keeper(), inheritance);
  control::TraceFile traces(config.paths.run_dir, data_threads(config), config.discs.quarantine);
  auto threads = start_threads(options, traces, data_threads(config));
  control::Agent agent(store, std::move(neighbours), std::move(threads), config.data.discs_max);
  agent.set_tails(config.tails);
  agent.set_memory({config, control::socket_ceilings()});
  if (heir != nullptr) {
    inheritance->await(heir->connections_come());
    agent.await_ownership();
  } else {
    receive(*inheritance, control::take_from_store(), store.discs());
  }
  agent.restore();
  // What can be wrong with the configuration is found before there is no way back.
  const auto api_access = control::access_of(config.api, "api.socket_group");
  const auto operators = control::group_of(config.operator_group, "api.operator_group");
  control::Estate estate;
  if (heir != nullptr) {
    await_discs(agent, *heir);
    estate = heir->take_over();
    traces.look_at_running();
    receive(*inheritance, std::move(estate.discs), store.discs());
    agent.take_up();
  }
  warn_of_memory(agent);
  control::Reloader reloader(agent, config, start.read);
  control::Upgrader upgrader(agent, inheritance,
                             {.binary = start.binary,
                              .arguments = start.arguments,
                              .locks = locks_of(run_dir, store, table),
                              .quarantine = config.discs.quarantine});
  std::optional<control::ApiServer> api(
      std::in_place, agent,
      control::Api::Options{.run_dir = config.paths.run_dir,
                            .version = HEAD_VERSION,
                            .neighbours = config.neighbours.enabled,
                            .config = start.file,
                            .crashes = crashes,
                            .operators = operators,
                            .reloader = &reloader,
                            .upgrader = &upgrader},
      api_access, config.metrics.listen, std::move(estate.listeners));
  if (api->tcp()) log::info("metrics and the status page: http://{}/", to_string(*api->tcp()));
  if (heir != nullptr) {
    heir->serving();
    await_ownership(agent, *heir);
  } else {
    notify::ready();
  }
  log::info("headd {}: serving {}, {} discs of the state directory {}", HEAD_VERSION,
            api->path().string(), store.discs().size(), config.paths.state_dir.string());

  control::CrashExplainer explainer(crashes);
  const int signal = run(agent, reloader, explainer, traces, table, ours);
  end(agent, upgrader, api, signal);
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
  std::optional<control::Heir> heir;
  try {
    log::set_level(asked->config.log_level);
    if (asked->take_over >= 0) {
      ::prctl(PR_SET_NAME, "headd");  // It was run as /proc/self/fd/N, and would be called N.
      heir.emplace(asked->take_over);
    }
    std::error_code ignored;
    serve({.config = asked->config,
           .file = asked->file,
           .binary = std::filesystem::read_symlink("/proc/self/exe", ignored),
           .arguments = {argv + 1, argv + argc},
           .read = [argc, argv]() -> Result<control::Config, std::string> {
             const auto again = control::parse_command_line(argc, argv);
             if (!again) return Failure{again.error().sentence};
             return again->config;
           }},
          heir ? &*heir : nullptr);
    return 0;
  } catch (const std::exception& error) {
    const bool lacks = dynamic_cast<const control::TooFewThreads*>(&error) != nullptr;
    if (heir) heir->say_no(error.what());
    fmt::print(stderr, "headd: {}\n", error.what());
    return lacks ? control::exit_lacking : control::exit_failed;
  }
}

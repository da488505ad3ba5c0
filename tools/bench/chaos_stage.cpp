#include "tools/bench/chaos_stage.hpp"

#include "iouring/unique_fd.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <csignal>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace bench::chaos {

using namespace std::chrono_literals;

Stage::Stage(const Common& common, std::vector<Disc> discs, unsigned seed)
    : bin_(common.bin),
      head_(fmt::format("hc{}h", ::getpid())),
      switch_(fmt::format("hc{}s", ::getpid())),
      tails_{fmt::format("hc{}t0", ::getpid()), fmt::format("hc{}t1", ::getpid())},
      discs_(std::move(discs)),
      seed_(seed),
      servers_(discs_.size()) {
  if (!std::filesystem::exists(bin_ / "headd"))
    throw std::runtime_error("there is no headd in " + bin_.string() +
                             ": build it, or name its folder with --bin");
  // A headd that was upgraded is the child of one that is gone.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  try {
    make_network();
    for (std::size_t i = 0; i < discs_.size(); ++i) start_tail(i);
    std::filesystem::create_directories(scratch_ / "run");
    // Time-outs short, and logs small, so that a run has many time-outs and FLUSHes of headd's own.
    std::ofstream(scratch_ / "head.toml") << "[metrics]\nlisten = \"off\"\n"
                                             "[discs]\nreplay_memory_mib = 2\n"
                                             "[tcp]\nuser_timeout_ms = 2000\n";
    start_headd();
    for (const Disc& disc : discs_)
      headctl({"attach", disc.name, fmt::format("nbd://[{}]:10809/", disc.address), "--lladdr",
               mac_of(disc.tail), "--durability", disc.durability, "--wait"});
  } catch (...) {
    headd_ = {};
    servers_.clear();
    remove_network();
    throw;
  }
}

Stage::~Stage() {
  if (heir_ > 0) ::kill(heir_, SIGKILL);
  if (headd_.pid() > 0) ::kill(headd_.pid(), SIGCONT);
  headd_ = {};
  for (Process& server : servers_)
    if (server.pid() > 0) ::kill(server.pid(), SIGKILL);
  servers_.clear();
  remove_network();
}

std::filesystem::path Stage::socket_of(const Disc& disc) const {
  return scratch_ / "run/discs" / disc.name / "nbd.sock";
}

std::string Stage::mac_of(unsigned tail) {
  return fmt::format("02:00:00:0c:a0:{:02x}", tail + 1);
}

void Stage::start_tail(std::size_t which) {
  const Disc& disc = discs_[which];
  const auto control = scratch_ / (disc.name + ".control");
  std::filesystem::remove(control);
  Arguments command{"ip",
                    "netns",
                    "exec",
                    tails_[disc.tail],
                    std::filesystem::canonical("/proc/self/exe"),
                    "chaos-tail",
                    "--address",
                    disc.address,
                    "--store",
                    scratch_ / (disc.name + ".disc"),
                    "--control",
                    control,
                    "--bytes",
                    std::to_string(disc_bytes),
                    "--seed",
                    std::to_string(++seed_)};
  if (!disc.hangs_up_on.empty()) command.insert(command.end(), {"--hangs-up-on", disc.hangs_up_on});
  servers_[which] = Process(std::move(command), scratch_ / (disc.name + ".log"));
  servers_[which].await("its control socket", [&] { return std::filesystem::exists(control); });
}

void Stage::kill_tail(std::size_t which) {
  if (servers_[which].running()) ::kill(servers_[which].pid(), SIGKILL);
  servers_[which].wait();
}

void Stage::signal_tail(std::size_t which, int signal) {
  if (servers_[which].running()) ::kill(servers_[which].pid(), signal);
}

void Stage::command_tail(std::size_t which, const std::string& words) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  (scratch_ / (discs_[which].name + ".control"))
      .string()
      .copy(name.sun_path, sizeof name.sun_path - 1);
  const iouring::UniqueFd fd(iouring::adopt,
                             ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // One that is dead or stopped does not hear it.
  ::sendto(fd.fd(), words.data(), words.size(), 0, reinterpret_cast<const sockaddr*>(&name),
           sizeof name);
}

std::string Stage::failures_of_tail(std::size_t which) const {
  std::ifstream file(scratch_ / (discs_[which].name + ".disc.failed"));
  return {std::istreambuf_iterator<char>(file), {}};
}

void Stage::poison_tail(std::size_t which, const std::string& command) {
  discs_[which].hangs_up_on = command;
}

void Stage::move_address(std::size_t which, bool announced) {
  Disc& disc = discs_[which];
  in_tail(disc.tail, {"ip", "addr", "del", disc.address + "/64", "dev", "t0"});
  disc.tail = 1 - disc.tail;
  in_tail(disc.tail,
          {"sysctl", "-q", fmt::format("net.ipv6.conf.t0.ndisc_notify={}", announced ? 1 : 0)});
  in_tail(disc.tail, {"ip", "addr", "add", disc.address + "/64", "dev", "t0", "nodad"});
}

void Stage::start_headd() {
  headd_ =
      Process({"ip", "netns", "exec", head_, bin_ / "headd", "--config", scratch_ / "head.toml",
               "--state-dir", scratch_ / "state", "--run-dir", scratch_ / "run"},
              scratch_ / "headd.log");
  headd_.await("its API answering", [this] { return listens(scratch_ / "run/api.sock"); });
}

void Stage::signal_headd(int signal) {
  ::kill(heir_ > 0 ? heir_ : headd_.pid(), signal);
}

void Stage::kill_headd() {
  signal_headd(SIGKILL);
  await_end_of_headd();
}

void Stage::await_end_of_headd() {
  if (heir_ < 0) {
    headd_.wait();
    return;
  }
  ::waitpid(heir_, nullptr, 0);
  heir_ = -1;
}

bool Stage::headd_runs() {
  if (heir_ < 0) return headd_.running();
  return ::waitpid(heir_, nullptr, WNOHANG) == 0;
}

std::string Stage::upgrade_headd() {
  const auto answer = nlohmann::json::parse(headctl({"upgrade", "--json"}));
  const auto heir = answer["pid"].get<pid_t>();
  for (const auto until = std::chrono::steady_clock::now() + 10s;
       heir_ < 0 ? headd_.running() : ::waitpid(heir_, nullptr, WNOHANG) == 0;) {
    if (std::chrono::steady_clock::now() > until)
      throw std::runtime_error("headd has handed over to another, and does not end");
    std::this_thread::sleep_for(2ms);
  }
  heir_ = heir;
  return fmt::format("{} guests waited for {:.0f} ms", answer["guests"].get<unsigned>(),
                     answer["pause_seconds"].get<double>() * 1e3);
}

std::string Stage::headctl(Arguments arguments) {
  Arguments command{"timeout", "30", bin_ / "headctl", "--api", scratch_ / "run/api.sock"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return output_of(command, scratch_.path());
}

std::string Stage::headd_log(std::size_t bytes_max) const {
  std::ifstream file(scratch_ / "headd.log");
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (text.size() > bytes_max) text.erase(0, text.size() - bytes_max);
  return text;
}

std::string Stage::in(const std::string& netns, Arguments command) {
  command.insert(command.begin(), {"timeout", "20", "ip", "netns", "exec", netns});
  return output_of(command, scratch_.path());
}

void Stage::make_network() {
  const auto ip = [&](const std::string& words) {
    output_of({"sh", "-c", "exec timeout 20 ip " + words}, scratch_.path());
  };
  for (const std::string& netns : {head_, switch_, tails_[0], tails_[1]}) ip("netns add " + netns);
  in_switch({"ip", "link", "add", "sw0", "type", "bridge"});
  in_switch({"ip", "link", "set", "sw0", "up"});
  const auto port = [&](const std::string& netns, const std::string& device, const std::string& mac,
                        const std::string& peer) {
    ip(fmt::format("link add name {} address {} netns {} type veth peer name {} netns {}", device,
                   mac, netns, peer, switch_));
    in_switch({"ip", "link", "set", peer, "master", "sw0", "up"});
    ip(fmt::format("-n {} link set lo up", netns));
    ip(fmt::format("-n {} link set {} up", netns, device));
  };
  port(head_, "h0", "02:00:00:0c:a0:00", "head");
  ip(fmt::format("-n {} addr add fd00:ca05::1/64 dev h0 nodad", head_));
  for (const unsigned tail : {0u, 1u}) {
    port(tails_[tail], "t0", mac_of(tail), fmt::format("tail{}", tail));
    for (const char* words :
         {"add table inet chaos", "add chain inet chaos in { type filter hook input priority 0; }",
          "add chain inet chaos out { type filter hook output priority 0; }"})
      in_tail(tail, {"nft", words});
  }
  for (const Disc& disc : discs_)
    in_tail(disc.tail, {"ip", "addr", "add", disc.address + "/64", "dev", "t0", "nodad"});
}

void Stage::remove_network() noexcept {
  for (const std::string& netns : {head_, switch_, tails_[0], tails_[1]}) try {
      output_of({"timeout", "20", "ip", "netns", "del", netns}, scratch_.path());
    } catch (const std::exception&) {
      // It was not made.
    }
}

}  // namespace bench::chaos

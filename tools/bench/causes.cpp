// head-bench causes: faults of a known kind, and the cause that headd gives for the requests that
// wait because of them. A head and a tail, network namespaces joined by a veth pair:
//
//   guests ─► headd (no keeper) ── veth ── nbdkit: at once, after 12 ms, after 40 ms
#include "tools/bench/bench.hpp"
#include "tools/bench/benchmarks.hpp"
#include "tools/bench/headd.hpp"
#include "tools/bench/load_client.hpp"
#include "tools/bench/process.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <map>
#include <poll.h>
#include <random>
#include <stdexcept>
#include <thread>
#include <unistd.h>

namespace bench {
namespace {

using namespace std::chrono_literals;

constexpr auto patience = 20s;

// A tail's disc, as the servers are started.
struct Disc {
  std::string name;
  unsigned short port;
  std::string delay;  // nbdkit's delay-read; empty: none.
};
const Disc prompt{"prompt", 10809, ""};
const Disc thoughtful{"thoughtful", 10810, "12ms"};
const Disc slow{"slow", 10811, "40ms"};

class Stage {
 public:
  explicit Stage(const Common& common)
      : head_(fmt::format("hb{}h", ::getpid())), tail_(fmt::format("hb{}t", ::getpid())) {
    try {
      make_network();
      for (const Disc& disc : {prompt, thoughtful, slow}) serve(disc);
      headd_ = std::make_unique<Headd>(common, scratch_, "head", "",
                                       Arguments{"ip", "netns", "exec", head_});
      for (const Disc& disc : {prompt, thoughtful, slow})
        headd_->headctl({"attach", disc.name, uri(disc), "--wait"});
    } catch (...) {
      remove_network();
      throw;
    }
  }
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  ~Stage() {
    headd_.reset();
    servers_.clear();
    remove_network();
  }

  const Headd& headd() const { return *headd_; }
  pid_t tail_of(const Disc& disc) const { return servers_.at(disc.name).pid(); }

  void serve(const Disc& disc) {
    Arguments command{"ip", "netns", "exec", tail_, "nbdkit", "-f", "-t", "256"};
    if (!disc.delay.empty()) command.push_back("--filter=delay");
    for (const char* word : {"-i", "fd00:bec::2", "-p"}) command.emplace_back(word);
    command.push_back(std::to_string(disc.port));
    command.emplace_back("memory");
    command.emplace_back("1G");
    if (!disc.delay.empty()) command.push_back("delay-read=" + disc.delay);
    servers_[disc.name] = Process(command, scratch_ / (disc.name + ".log"));
  }

  // In the tail's namespace, packets that match are dropped until let_pass().
  void drop(const std::string& chain, const std::string& match) {
    in(tail_, {"nft", "add rule inet bench " + chain + " " + match + " drop"});
  }
  void let_pass() { in(tail_, {"nft", "flush table inet bench"}); }
  void forget_neighbour() {
    in(head_, {"ip", "-6", "neigh", "flush", "to", "fd00:bec::2", "dev", "h0"});
  }

 private:
  static std::string uri(const Disc& disc) {
    return fmt::format("nbd://[fd00:bec::2]:{}/", disc.port);
  }

  void in(const std::string& netns, Arguments command) {
    command.insert(command.begin(), {"ip", "netns", "exec", netns});
    output_of(command, scratch_.path());
  }

  void make_network() {
    const auto ip = [&](const std::string& words) {
      output_of({"sh", "-c", "exec ip " + words}, scratch_.path());
    };
    ip("netns add " + head_);
    ip("netns add " + tail_);
    ip(fmt::format("link add h0 netns {} type veth peer name t0 netns {}", head_, tail_));
    const std::pair<std::string, std::string> ends[] = {{head_, "h0"}, {tail_, "t0"}};
    for (const auto& [netns, device] : ends) {
      ip(fmt::format("-n {} link set lo up", netns));
      ip(fmt::format("-n {} link set {} up", netns, device));
      ip(fmt::format("-n {} addr add fd00:bec::{}/64 dev {} nodad", netns, netns == head_ ? 1 : 2,
                     device));
    }
    // So that a trial ends soon after its fault.
    in(head_, {"sysctl", "-q", "net.ipv6.neigh.h0.retrans_time_ms=100"});
    for (const char* words :
         {"add table inet bench", "add chain inet bench in { type filter hook input priority 0; }",
          "add chain inet bench out { type filter hook output priority 0; }"})
      in(tail_, {"nft", words});
  }

  void remove_network() noexcept {
    for (const std::string& netns : {head_, tail_}) try {
        output_of({"ip", "netns", "del", netns}, scratch_.path());
      } catch (const std::exception&) {
        // It was not made.
      }
  }

  Scratch scratch_;
  std::string head_, tail_;
  std::map<std::string, Process> servers_;
  std::unique_ptr<Headd> headd_;
};

// One fault: what is asked, of which disc, and what happens meanwhile.
struct Fault {
  std::string cause;
  std::string what;
  Disc disc;
  unsigned guests;
  unsigned requests;  // Of each guest, at once.
  std::function<void(Stage&, unsigned trial)> begin = [](Stage&, unsigned) {};  // Before asking;
  std::function<void(Stage&)> then = [](Stage&) {};                             // after.
};

std::vector<Fault> faults() {
  const auto sleep = [](std::chrono::milliseconds time) { std::this_thread::sleep_for(time); };
  const auto pass_after = [=](std::chrono::milliseconds time) {
    return [=](Stage& stage) {
      sleep(time);
      stage.let_pass();
    };
  };
  std::vector<Fault> all;
  all.push_back({"neighbour", "entry removed, solicitations dropped", prompt, 1, 1,
                 [](Stage& stage, unsigned) {
                   stage.drop("in", "icmpv6 type nd-neighbor-solicit");
                   stage.forget_neighbour();
                 },
                 pass_after(60ms)});
  all.push_back({"reconnect", "tail killed, and started again", prompt, 1, 1,
                 [](Stage& stage, unsigned) { ::kill(stage.tail_of(prompt), SIGKILL); },
                 [=](Stage& stage) {
                   sleep(50ms);
                   stage.serve(prompt);
                 }});
  all.push_back({"queue", "384 requests where 128 are sent at once", thoughtful, 8, 48});
  all.push_back({"network", "packets to or from the tail dropped", prompt, 1, 1,
                 [](Stage& stage, unsigned trial) {
                   trial % 2 == 0 ? stage.drop("in", "tcp dport 10809")
                                  : stage.drop("out", "tcp sport 10809");
                 },
                 pass_after(30ms)});
  all.push_back({"tail", "nbdkit waits 40 ms", slow, 1, 1});
  all.push_back({"head", "headd stopped for 60 ms", thoughtful, 1, 1, [](Stage&, unsigned) {},
                 [=](Stage& stage) {
                   sleep(3ms);
                   ::kill(stage.headd().pid(), SIGSTOP);
                   sleep(60ms);
                   ::kill(stage.headd().pid(), SIGCONT);
                 }});
  return all;
}

// What came of a fault's trials.
struct Outcome {
  unsigned trials = 0, stalled = 0, right = 0;
  std::map<std::string, unsigned> wrong;
  std::vector<double> errors;  // Of the time headd gives, against the guest's own; a share of it.
};

class Guests {
 public:
  Guests(const Stage& stage, const Fault& fault) : disc_(fault.disc), requests_(fault.requests) {
    for (unsigned i = 0; i < fault.guests; ++i) {
      clients_.emplace_back(stage.headd().socket_of(disc_.name), requests_);
      if (!clients_.back().connect()) throw std::runtime_error("headd takes no more guests");
      // So that nothing but the fault is waited for.
      await([&] { return clients_.back().ready(); });
    }
  }

  void ask() {
    longest_ = {};
    for (LoadClient& client : clients_)
      for (unsigned i = 0; i < requests_; ++i) {
        ++open_;
        client.ask({.at = std::chrono::steady_clock::now(), .random = random_()});
      }
  }
  void await_answers() {
    await([this] { return open_ == 0; });
  }
  double longest_s() const { return std::chrono::duration<double>(longest_).count(); }

 private:
  void await(const std::function<bool()>& reached) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (!reached()) {
      if (std::chrono::steady_clock::now() > until)
        throw std::runtime_error("disc " + disc_.name + " does not answer");
      std::vector<pollfd> polls;
      for (const LoadClient& client : clients_) {
        const short out = client.wants_to_send() ? POLLOUT : 0;
        polls.push_back(
            {.fd = client.fd(), .events = static_cast<short>(POLLIN | out), .revents = 0});
      }
      ::poll(polls.data(), polls.size(), 100);
      std::vector<LoadClient::Answer> answers;
      for (LoadClient& client : clients_) client.on_event(answers);
      for (const auto& answer : answers) {
        --open_;
        longest_ = std::max(longest_, answer.latency);
        if (answer.error != 0) throw std::runtime_error("disc " + disc_.name + " failed a request");
      }
    }
  }

  const Disc disc_;
  const unsigned requests_;
  std::deque<LoadClient> clients_;
  std::mt19937_64 random_{1};
  std::size_t open_ = 0;
  Duration longest_{};
};

// The longest stall of a disc that ended after `since`; null when there is none.
nlohmann::json longest_since(const Headd& headd, const Disc& disc, double since) {
  const auto all =
      nlohmann::json::parse(headd.headctl({"stalls", disc.name, "--limit", "500", "--json"}));
  nlohmann::json longest;
  for (const auto& stall : all["stalls"])
    if (stall["ended"].get<double>() >= since &&
        (longest.is_null() || stall["seconds"] > longest["seconds"]))
      longest = stall;
  return longest;
}

double now_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

Outcome run(Stage& stage, const Fault& fault, unsigned trials) {
  Outcome outcome;
  Guests guests(stage, fault);
  // The first, without the fault: connections and neighbours are there.
  guests.ask();
  guests.await_answers();
  for (; outcome.trials < trials; ++outcome.trials) {
    const double since = now_s();
    fault.begin(stage, outcome.trials);
    guests.ask();
    fault.then(stage);
    guests.await_answers();
    const auto stall = longest_since(stage.headd(), fault.disc, since);
    if (!stall.is_null()) {
      ++outcome.stalled;
      const auto cause = stall["cause"].get<std::string>();
      cause == fault.cause ? ++outcome.right : ++outcome.wrong[cause];
      double split = 0;
      for (const char* part : {"head_s", "wire_s", "tail_s"}) split += stall[part].get<double>();
      outcome.errors.push_back(std::abs(split - guests.longest_s()) / guests.longest_s());
    }
    if (outcome.trials % 10 == 9)
      progress(fmt::format("{}: {} of {}", fault.cause, outcome.trials + 1, trials));
  }
  return outcome;
}

}  // namespace

void causes(const Common& common, const CausesOptions& options) {
  warn_if_busy();
  Stage stage(common);
  Table table(fmt::format("{} trials each, one fault a trial; stalls are requests over 20 ms",
                          options.trials),
              {"cause", "fault", "stalled", "right", "right, of stalled", "taken for",
               "split off by, median", "longest"});
  for (const Fault& fault : faults()) {
    if (!options.only.empty() &&
        std::find(options.only.begin(), options.only.end(), fault.cause) == options.only.end())
      continue;
    Outcome outcome = run(stage, fault, options.trials);
    std::string wrong;
    for (const auto& [cause, count] : outcome.wrong) wrong += fmt::format("{} {} ", cause, count);
    const double worst = outcome.errors.empty()
                             ? 0
                             : *std::max_element(outcome.errors.begin(), outcome.errors.end());
    table.add({fault.cause, fault.what, static_cast<double>(outcome.stalled),
               static_cast<double>(outcome.right),
               fmt::format("{:.1f} %",
                           outcome.stalled == 0 ? 0.0 : 100.0 * outcome.right / outcome.stalled),
               wrong, fmt::format("{:.2f} %", 100 * median(outcome.errors)),
               fmt::format("{:.2f} %", 100 * worst)});
  }
  table.print(common.json);
}

}  // namespace bench

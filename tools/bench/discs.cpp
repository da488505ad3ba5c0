// head-bench discs: the time it takes to attach many discs, the memory they take while idle, and
// what a request to one of them costs beside the others.
#include "tools/bench/bench.hpp"
#include "tools/bench/benchmarks.hpp"
#include "tools/bench/crowd.hpp"
#include "tools/bench/fio.hpp"
#include "tools/bench/headd.hpp"
#include "tools/bench/process.hpp"
#include "tools/bench/qmp.hpp"

#include <fmt/format.h>

#include <chrono>
#include <stdexcept>

namespace bench {
namespace {

constexpr unsigned peer_discs_max = 1000;

// What one number of discs costs in one daemon.
struct Cost {
  double attach_s = 0;
  double resident_kib = 0;  // per disc, over the daemon without discs
  double anonymous_kib = 0;
  FioResult depth_1, depth_32;  // of one disc, the others idle
};

class Clock {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

void add_memory(Cost& cost, const Memory& before, const Memory& after, unsigned discs) {
  cost.resident_kib = (after.resident_kib - before.resident_kib) / discs;
  cost.anonymous_kib = (after.anonymous_kib - before.anonymous_kib) / discs;
}

void add_requests(Cost& cost, const std::string& uri, double seconds,
                  const std::filesystem::path& scratch) {
  cost.depth_1 = run_fio(uri, {"", "randread", "4k", 1}, seconds, scratch);
  cost.depth_32 = run_fio(uri, {"", "randread", "4k", 32}, seconds, scratch);
}

Cost measure_headd(const Common& common, unsigned discs, double seconds, const Scratch& scratch,
                   const std::string& name) {
  const Headd headd(common, scratch, name, "");
  const Memory before = memory_of(headd.pid());
  Cost cost;
  const Clock clock;
  attach_crowd(headd, discs, scratch / (name + ".discs"));
  cost.attach_s = clock.seconds();
  add_memory(cost, before, memory_of(headd.pid()), discs);
  add_requests(cost, unix_uri(headd.socket_of("d0")), seconds, scratch.path());
  return cost;
}

Cost measure_peer(unsigned discs, double seconds, const Scratch& scratch, const std::string& name) {
  const std::filesystem::path control = scratch / (name + ".qmp");
  const std::filesystem::path socket = scratch / (name + ".sock");
  Process daemon(
      {"qemu-storage-daemon", "--chardev",
       "socket,id=c,server=on,wait=off,path=" + control.string(), "--monitor", "chardev=c",
       "--nbd-server", "addr.type=unix,max-connections=0,addr.path=" + socket.string()},
      scratch / (name + ".log"));
  daemon.await("listening", [&] { return listens(socket); });
  Qmp qmp(control);
  const Memory before = memory_of(daemon.pid());

  Cost cost;
  const Clock clock;
  for (unsigned disc = 0; disc < discs; ++disc) {
    qmp.execute("blockdev-add", fmt::format(R"({{"driver": "nbd", "node-name": "n{}", "server": )"
                                            R"({{"type": "inet", "host": "{}", "port": "{}"}}}})",
                                            disc, crowd_address(disc), crowd_port));
    qmp.execute("block-export-add",
                fmt::format(R"({{"type": "nbd", "id": "e{0}", "node-name": "n{0}", )"
                            R"("name": "d{0}", "writable": true}})",
                            disc));
  }
  cost.attach_s = clock.seconds();
  add_memory(cost, before, memory_of(daemon.pid()), discs);
  add_requests(cost, unix_uri(socket, "d0"), seconds, scratch.path());
  return cost;
}

double median_of(const std::vector<Cost>& costs, double (*value)(const Cost&)) {
  std::vector<double> values;
  for (const Cost& cost : costs) values.push_back(value(cost));
  return median(values);
}

void add_row(Table& table, unsigned discs, const std::string& daemon,
             const std::vector<Cost>& costs) {
  table.add({fmt::format("{}", discs), daemon,
             median_of(costs, [](const Cost& cost) { return cost.attach_s; }),
             median_of(costs, [](const Cost& cost) { return cost.resident_kib; }),
             median_of(costs, [](const Cost& cost) { return cost.anonymous_kib; }),
             median_of(costs, [](const Cost& cost) { return cost.depth_1.per_second; }),
             median_of(costs, [](const Cost& cost) { return cost.depth_1.p50_us; }),
             median_of(costs, [](const Cost& cost) { return cost.depth_32.per_second; })});
}

// How headd compares: the median of the rounds' ratios, in each of a row's columns.
void add_ratios(Table& table, unsigned discs, const std::vector<Cost>& ours,
                const std::vector<Cost>& theirs) {
  const auto ratio = [&](double (*value)(const Cost&)) -> Table::Cell {
    std::vector<double> ratios;
    for (std::size_t round = 0; round < ours.size(); ++round) {
      if (value(theirs[round]) <= 0) return {};
      ratios.push_back(value(ours[round]) / value(theirs[round]));
    }
    return median(ratios);
  };
  table.add({fmt::format("{}", discs), "ratio, headd to the other",
             ratio([](const Cost& cost) { return cost.attach_s; }),
             ratio([](const Cost& cost) { return cost.resident_kib; }),
             ratio([](const Cost& cost) { return cost.anonymous_kib; }),
             ratio([](const Cost& cost) { return cost.depth_1.per_second; }),
             ratio([](const Cost& cost) { return cost.depth_1.p50_us; }),
             ratio([](const Cost& cost) { return cost.depth_32.per_second; })});
}

}  // namespace

void discs(const Common& common, const DiscsOptions& options) {
  const Scratch scratch;
  warn_if_busy();
  enter_crowd(scratch.path());
  const Process tail = crowd_tail(scratch);

  const Spinners spinners(common.spin);
  Table table(fmt::format("idle discs, each at its own address, tail nbdkit null, headd without "
                          "its keeper (--no-neigh); medians of {}",
                          common.rounds),
              {"discs", "daemon", "attach s", "RSS KiB/disc", "anon KiB/disc",
               "one disc, depth 1: requests/s", "p50 us", "depth 32: requests/s"});
  for (const unsigned discs : options.counts) {
    std::vector<Cost> ours, theirs;
    for (unsigned round = 0; round < common.rounds; ++round) {
      const std::string name = fmt::format("{}-{}", discs, round);
      ours.push_back(measure_headd(common, discs, options.seconds, scratch, "head" + name));
      if (discs <= peer_discs_max)
        theirs.push_back(measure_peer(discs, options.seconds, scratch, "qsd" + name));
      progress(fmt::format("{} discs: round {} of {}", discs, round + 1, common.rounds));
    }
    add_row(table, discs, "headd", ours);
    if (theirs.empty()) continue;
    add_row(table, discs, "qemu-storage-daemon", theirs);
    add_ratios(table, discs, ours, theirs);
  }
  table.print(common.json);
}

}  // namespace bench

// The neighbour table, written and read: this project's netlink room and ledger beside
// iproute2 and libnl, in turns, in a network namespace of its own.
#include "netlink/format.hpp"
#include "netlink/link.hpp"
#include "netlink/peer.hpp"
#include "netlink/table.hpp"
#include "tools/bench/bench.hpp"
#include "tools/bench/benchmarks.hpp"
#include "tools/bench/neigh_keeper.hpp"
#include "tools/bench/neigh_listing.hpp"
#include "tools/bench/neigh_routes.hpp"
#include "tools/bench/process.hpp"

#include <fmt/format.h>

#include <chrono>
#include <fstream>
#include <stdexcept>

namespace bench {
namespace {

// Milliseconds of every round.
struct Times {
  std::vector<double> ours_install, ip_install;
  std::vector<double> ours_again, ip_again;
  std::vector<double> ours_dump, ip_dump, libnl_dump;
  std::vector<double> ours_prune, ip_prune;
  std::vector<double> reconcile;  // Of processor time.
};

double milliseconds(const std::function<void()>& work) {
  const auto began = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began)
      .count();
}

void expect(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(what);
}

// Entries as `ip -batch` takes them, of the same kind as ours: exempt from collection.
void write_batches(const Scratch& scratch, const std::vector<netlink::Entry>& wanted) {
  std::ofstream install(scratch / "install"), prune(scratch / "prune");
  for (const netlink::Entry& entry : wanted) {
    const std::string address = netlink::to_string(entry.key.address);
    install << fmt::format(
        "neigh replace {} lladdr {} nud stale extern_learn protocol {} dev head0\n", address,
        netlink::to_string(entry.lladdr), netlink::our_protocol);
    prune << fmt::format("neigh del {} dev head0\n", address);
  }
  expect(install.flush() && prune.flush(), "the batches for ip could not be written");
}

class Subject {
 public:
  Subject(unsigned count, const Scratch& scratch)
      : scratch_(scratch), ifindex_(make_interface(scratch)) {
    wanted_ = numbered_entries(ifindex_, count);
    for (const netlink::Entry& entry : wanted_) desired_.push_back({entry.key, entry.lladdr});
    write_batches(scratch_, wanted_);
  }

  void round(Times& times) {
    times.ours_install.push_back(milliseconds([&] { install(); }));
    check();
    times.ours_again.push_back(milliseconds([&] { install(); }));
    times.ours_prune.push_back(milliseconds([&] { prune(); }));
    times.ip_install.push_back(milliseconds([&] { ip_batch("install"); }));
    check();
    times.ip_again.push_back(milliseconds([&] { ip_batch("install"); }));

    times.ours_dump.push_back(milliseconds([&] { table_.dump(actual_, ifindex_); }));
    times.ip_dump.push_back(milliseconds([&] { shell("ip -6 neigh show dev head0"); }));
    times.libnl_dump.push_back(milliseconds([&] {
      expect(netlink::count_with_libnl_cache() >= wanted_.size(), "libnl misses entries");
    }));
    times.reconcile.push_back(reconcile_cpu_ms(table_, wanted_));
    times.ip_prune.push_back(milliseconds([&] { ip_batch("prune"); }));
    prune();
  }

 private:
  void install() { expect(table_.set(wanted_).empty(), "an entry was refused"); }
  void ip_batch(const char* name) { run({"ip", "-6", "-batch", scratch_ / name}); }
  // What a keeper does that wants nothing any more: looks what is there, and removes what is ours.
  void prune() {
    table_.dump(actual_);
    const netlink::Plan plan = netlink::plan({}, actual_);
    expect(table_.remove(plan.remove).empty(), "an entry could not be removed");
  }
  void check() {
    table_.dump(actual_, ifindex_);
    expect(netlink::plan(desired_, actual_).empty(), "not all entries are there");
  }
  void run(const Arguments& arguments) { output_of(arguments, scratch_.path()); }
  void shell(const std::string& command) { run({"sh", "-c", command + " >/dev/null"}); }

  const Scratch& scratch_;
  netlink::Table table_;
  int ifindex_;
  std::vector<netlink::Entry> wanted_;
  std::vector<netlink::Desired> desired_;
  std::vector<netlink::Neighbour> actual_;
};

struct Peer {
  std::string name;
  const std::vector<double>& times;
};

void add_rows(Table& table, unsigned count, const std::string& what, const std::string& who,
              const std::vector<double>& ours, const std::vector<Peer>& peers) {
  const double mine = median(ours);
  const auto row = [&](const std::string& name, double time, Table::Cell ratio) {
    table.add({what, name, static_cast<double>(count), time, 1000 * time / count, ratio});
  };
  row(who, mine, std::monostate());
  for (const Peer& peer : peers) {
    const double theirs = median(peer.times);
    row(peer.name, theirs, theirs / mine);
  }
}

void add_memory(Table& table, unsigned count, const Footprint& footprint) {
  const auto row = [&](const char* what, double bytes) {
    table.add({what, static_cast<double>(count), bytes});
  };
  row("ledger", footprint.ledger_bytes);
  row("keeper, with all it knows of discs", footprint.keeper_bytes);
  row("kernel's entry, before its allocator rounds it up", footprint.kernel_bytes);
}

void measure(const Common& common, unsigned count, Table& table) {
  Times times;
  const Spinners spinners(common.spin);
  netlink::run_in_namespace({}, [&] {
    const Scratch scratch;
    Subject subject(count, scratch);
    for (unsigned round = 1; round <= common.rounds; ++round) {
      progress(fmt::format("{} entries, round {} of {}", count, round, common.rounds));
      subject.round(times);
    }
  });
  const std::string us = "headstart";
  const auto add = [&](const char* what, const std::vector<double>& ours,
                       const std::vector<Peer>& peers) {
    add_rows(table, count, what, us, ours, peers);
  };
  add("install", times.ours_install, {{"ip -6 -batch", times.ip_install}});
  add("install again", times.ours_again, {{"ip -6 -batch", times.ip_again}});
  add("dump", times.ours_dump,
      {{"ip -6 neigh show", times.ip_dump}, {"rtnl_neigh_alloc_cache", times.libnl_dump}});
  add("reconcile, nothing to do (CPU)", times.reconcile, {});
  add("prune", times.ours_prune, {{"ip -6 -batch", times.ip_prune}});
}

}  // namespace

void neigh(const Common& common, const NeighOptions& options) {
  if (options.simulate) return neigh_simulate(common, options);
  if (options.storm != 0) return neigh_storm(common, options);
  Table memory("Memory: bytes for each binding", {"of", "entries", "bytes"});
  Table cpu("The keeper at rest: milliseconds of processor time",
            {"of", "entries", "ms of one core"});
  for (const unsigned count : options.counts) {
    progress(fmt::format("{} entries, memory", count));
    const Footprint footprint = footprint_of(count);
    add_memory(memory, count, footprint);
    cpu.add({std::string("a reconciliation by the keeper, nothing to do"),
             static_cast<double>(count), footprint.pass_cpu_ms});
  }
  Table table("The neighbour table: milliseconds, and microseconds per entry; medians",
              {"what", "by", "entries", "ms", "us/entry", "times ours"});
  for (const unsigned count : options.counts) measure(common, count, table);
  Table listing("To list the table: milliseconds, medians; some entries are of discs of headd's",
                {"by", "entries", "of discs", "ms", "times ip's"});
  for (const unsigned count : options.counts) {
    progress(fmt::format("{} entries, listed", count));
    measure_listing(common, count, listing);
  }
  Table routes("Route mode: milliseconds, and microseconds per route; medians",
               {"what", "by", "routes", "ms", "us/route", "times ours"});
  for (const unsigned count : options.counts) measure_routes(common, count, routes);
  table.print(common.json);
  listing.print(common.json);
  routes.print(common.json);
  memory.print(common.json);
  cpu.print(common.json);
}

}  // namespace bench

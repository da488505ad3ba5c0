// The neighbour table, written and read: this project's netlink room beside iproute2, in turns, in
// a network namespace of its own.
#include "netlink/format.hpp"
#include "netlink/link.hpp"
#include "netlink/table.hpp"
#include "tools/bench/bench.hpp"
#include "tools/bench/benchmarks.hpp"
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
  std::vector<double> ours_dump, ip_dump;
  std::vector<double> reconcile;
};

std::vector<netlink::Entry> entries(int ifindex, unsigned count) {
  std::vector<netlink::Entry> made(count);
  for (unsigned i = 0; i < count; ++i) {
    const auto byte = [i](unsigned shift) { return static_cast<std::uint8_t>(i >> shift); };
    made[i].key.ifindex = ifindex;
    made[i].key.address = {0x20, 0x01, 0x0d, 0xb8, 0, 0,        0,       0,
                           0,    0,    0,    1,    0, byte(16), byte(8), byte(0)};
    made[i].lladdr = {0x02, 0, 0, byte(16), byte(8), byte(0)};
  }
  return made;
}

double milliseconds(const std::function<void()>& work) {
  const auto began = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began)
      .count();
}

void expect(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(what);
}

// The entries as `ip -batch` takes them, of the same kind as ours: exempt from collection.
void write_batch(const std::filesystem::path& path, const std::vector<netlink::Entry>& wanted) {
  std::ofstream file(path);
  for (const netlink::Entry& entry : wanted)
    file << fmt::format("neigh replace {} lladdr {} nud stale extern_learn protocol {} dev head0\n",
                        netlink::to_string(entry.key.address), netlink::to_string(entry.lladdr),
                        netlink::our_protocol);
  expect(static_cast<bool>(file.flush()), "the batch for ip could not be written");
}

class Subject {
 public:
  Subject(unsigned count, const Scratch& scratch) : scratch_(scratch) {
    run({"ip", "link", "add", "head0", "type", "veth", "peer", "name", "tail0"});
    run({"ip", "link", "set", "head0", "up"});
    run({"ip", "link", "set", "tail0", "up"});
    std::vector<netlink::Link> links;
    netlink::dump_links(table_.socket(), links);
    for (const netlink::Link& link : links)
      if (link.name == "head0") ifindex_ = link.ifindex;
    expect(ifindex_ != 0, "head0 is missing");
    wanted_ = entries(ifindex_, count);
    for (const netlink::Entry& entry : wanted_) {
      keys_.push_back(entry.key);
      desired_.push_back({entry.key, entry.lladdr});
    }
    write_batch(scratch_ / "batch", wanted_);
  }

  void round(Times& times) {
    times.ours_install.push_back(milliseconds([&] { install(); }));
    check();
    times.ours_again.push_back(milliseconds([&] { install(); }));
    clear();
    times.ip_install.push_back(milliseconds([&] { install_by_ip(); }));
    check();
    times.ip_again.push_back(milliseconds([&] { install_by_ip(); }));

    times.ours_dump.push_back(milliseconds([&] { table_.dump(actual_, ifindex_); }));
    times.ip_dump.push_back(milliseconds([&] {
      run({"sh", "-c", "ip -6 neigh show dev head0 >/dev/null"});
    }));
    times.reconcile.push_back(milliseconds([&] {
      table_.dump(actual_);
      expect(netlink::plan(desired_, actual_).empty(), "a reconciliation found something to do");
    }));
    clear();
  }

 private:
  void install() { expect(table_.set(wanted_).empty(), "an entry was refused"); }
  void install_by_ip() { run({"ip", "-6", "-batch", scratch_ / "batch"}); }
  void clear() { expect(table_.remove(keys_).empty(), "an entry could not be removed"); }
  void check() {
    table_.dump(actual_, ifindex_);
    expect(netlink::plan(desired_, actual_).empty(), "not all entries are there");
  }
  void run(const Arguments& arguments) { output_of(arguments, scratch_.path()); }

  const Scratch& scratch_;
  netlink::Table table_;
  int ifindex_ = 0;
  std::vector<netlink::Entry> wanted_;
  std::vector<netlink::NeighbourKey> keys_;
  std::vector<netlink::Desired> desired_;
  std::vector<netlink::Neighbour> actual_;
};

void add_pair(Table& table, unsigned count, const std::string& what,
              const std::vector<double>& ours, const std::vector<double>& theirs,
              const std::string& peer) {
  const double mine = median(ours), other = median(theirs);
  const auto row = [&](const std::string& who, double time, Table::Cell ratio) {
    table.add({what, who, double{static_cast<double>(count)}, time, 1000 * time / count, ratio});
  };
  row("headstart", mine, std::monostate());
  if (!peer.empty()) row(peer, other, other / mine);
}

}  // namespace

void neigh(const Common& common, const NeighOptions& options) {
  Table table("The neighbour table: milliseconds, and microseconds per entry; medians",
              {"what", "by", "entries", "ms", "us/entry", "times ours"});
  const Spinners spinners(common.spin);
  for (const unsigned count : options.counts) {
    Times times;
    netlink::run_in_namespace({}, [&] {
      const Scratch scratch;
      Subject subject(count, scratch);
      for (unsigned round = 1; round <= common.rounds; ++round) {
        progress(fmt::format("{} entries, round {} of {}", count, round, common.rounds));
        subject.round(times);
      }
    });
    add_pair(table, count, "install", times.ours_install, times.ip_install, "ip -6 -batch");
    add_pair(table, count, "install again", times.ours_again, times.ip_again, "ip -6 -batch");
    add_pair(table, count, "dump", times.ours_dump, times.ip_dump, "ip -6 neigh show");
    add_pair(table, count, "reconcile, nothing to do", times.reconcile, {}, "");
  }
  table.print(common.json);
}

}  // namespace bench

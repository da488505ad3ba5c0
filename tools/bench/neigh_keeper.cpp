#include "tools/bench/neigh_keeper.hpp"

#include "head/neigh/keeper.hpp"
#include "head/neigh/ledger.hpp"
#include "netlink/link.hpp"
#include "netlink/thresholds.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <functional>
#include <malloc.h>
#include <memory>
#include <stdexcept>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace bench {

namespace {

using head::neigh::Binding;
using head::neigh::Keeper;
using head::neigh::Ledger;
using head::neigh::Source;
using head::neigh::Want;
using namespace std::chrono_literals;

constexpr auto pass_every = 6s;  // Long enough for every disc's route to be looked up in it.
constexpr auto held_within = 120s;

double cpu_ms(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return 1e3 * static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e6;
}

double resident_bytes() {
  ::malloc_trim(0);
  return 1024 * memory_of(::getpid()).resident_kib;
}

Binding claim_of(const netlink::Entry& entry) {
  return {.lladdr = entry.lladdr, .source = Source::catalogue, .generation = 0};
}

// As after a start: everything wanted, written, and held.
std::unique_ptr<Ledger> full_ledger(const std::vector<netlink::Entry>& entries) {
  const auto now = head::neigh::Instant::clock::now();
  const auto most = static_cast<std::uint32_t>(entries.size() + 1);
  auto ledger = std::make_unique<Ledger>(Ledger::Tuning{.repairs = {most, most}});
  for (const netlink::Entry& entry : entries) {
    ledger->add(entry.key, claim_of(entry), now);
    ledger->observe(entry.key, nullptr, now);
  }
  for (const netlink::Entry& entry : ledger->due(now).write) ledger->written(entry.key);
  ledger->take_settled();
  return ledger;
}

std::vector<Want> wants(const std::vector<netlink::Entry>& entries) {
  std::vector<Want> all;
  all.reserve(entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i)
    all.push_back({.disc = "disc" + std::to_string(i),
                   .address = entries[i].key.address,
                   .claim = claim_of(entries[i]),
                   .dev = "",
                   .stats = nullptr});
  return all;
}

void measure_keeper(unsigned count, int ifindex, Footprint& footprint) {
  head::neigh::Options options;
  options.reconcile = pass_every;
  options.recheck_limits =
      1h;  // They cannot be raised here, so that every look would be a long one.
  Keeper keeper(options);
  const double before = resident_bytes();
  std::atomic<unsigned> ready{0};
  keeper.want(wants(numbered_entries(ifindex, count)), [&](const auto&, const auto& status) {
    if (status.ready()) ready.fetch_add(1, std::memory_order_relaxed);
  });
  const auto deadline = std::chrono::steady_clock::now() + held_within;
  while (ready.load() < count) {
    if (std::chrono::steady_clock::now() > deadline)
      throw std::runtime_error("not all entries were held in time");
    std::this_thread::sleep_for(10ms);
  }
  std::this_thread::sleep_for(pass_every);  // Its first pass is behind it.
  footprint.keeper_bytes = (resident_bytes() - before) / count;

  const auto passes = [&] {
    return keeper.snapshot(head::neigh::Detail::counts).counters.reconciliations;
  };
  const auto first = passes();
  const double cpu = cpu_ms(CLOCK_PROCESS_CPUTIME_ID);
  std::this_thread::sleep_for(2 * pass_every);
  const double spent = cpu_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu;
  const auto made = passes() - first;
  if (made == 0) throw std::runtime_error("the keeper made no pass");
  footprint.pass_cpu_ms = spent / static_cast<double>(made);
}

Footprint measure_here(unsigned count) {
  // What is freed in great blocks is given back at once, wherever it was: it is nobody's memory.
  ::mallopt(M_MMAP_THRESHOLD, 128 * 1024);
  Footprint footprint;
  netlink::run_in_namespace({}, [&] {
    const Scratch scratch;
    const int ifindex = make_interface(scratch);
    netlink::TableState table;
    netlink::Socket socket;
    if (!netlink::read_table(socket, table)) footprint.kernel_bytes = table.entry_bytes;
    {
      const auto entries = numbered_entries(ifindex, count);
      const double before = resident_bytes();
      const auto ledger = full_ledger(entries);
      footprint.ledger_bytes = (resident_bytes() - before) / count;
    }
    measure_keeper(count, ifindex, footprint);
  });
  return footprint;
}

}  // namespace

std::vector<netlink::Entry> numbered_entries(int ifindex, unsigned count) {
  std::vector<netlink::Entry> made(count);
  for (unsigned i = 0; i < count; ++i) {
    const auto byte = [i](unsigned shift) { return static_cast<std::uint8_t>(i >> shift); };
    made[i].key.ifindex = ifindex;
    made[i].key.address = {0x20, 0x01, 0x0d, 0xb8, 0, 0,        0,       0,
                           0,    0,    0,    1,    0, byte(16), byte(8), byte(0)};
    made[i].lladdr = {0x02, 0, 1, byte(16), byte(8), byte(0)};
  }
  return made;
}

int make_interface(const Scratch& scratch) {
  const auto run = [&](const Arguments& arguments) { output_of(arguments, scratch.path()); };
  run({"ip", "link", "add", "head0", "type", "veth", "peer", "name", "tail0"});
  run({"ip", "link", "set", "head0", "up"});
  run({"ip", "link", "set", "tail0", "up"});
  run({"ip", "addr", "add", "2001:db8::ff/64", "dev", "head0", "nodad"});
  netlink::Socket socket;
  std::vector<netlink::Link> links;
  netlink::dump_links(socket, links);
  for (const netlink::Link& link : links)
    if (link.name == "head0") return link.ifindex;
  throw std::runtime_error("head0 is missing");
}

double reconcile_cpu_ms(netlink::Table& table, const std::vector<netlink::Entry>& there) {
  const auto ledger = full_ledger(there);
  std::vector<netlink::Neighbour> actual;
  const double began = cpu_ms(CLOCK_THREAD_CPUTIME_ID);
  table.dump(actual);
  const auto now = head::neigh::Instant::clock::now();
  const std::size_t wrong = ledger->settle(actual, now);
  const bool idle = ledger->due(now).empty();
  const double spent = cpu_ms(CLOCK_THREAD_CPUTIME_ID) - began;
  if (wrong != 0 || !idle) throw std::runtime_error("a reconciliation found something to do");
  return spent;
}

Footprint footprint_of(unsigned count) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) throw std::runtime_error("no pipe can be made");
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("no process can be made");
  if (child == 0) {
    try {
      const Footprint footprint = measure_here(count);
      const bool told = ::write(ends[1], &footprint, sizeof footprint) == sizeof footprint;
      ::_exit(told ? 0 : 1);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "head-bench: %s\n", error.what());
      ::_exit(1);
    }
  }
  ::close(ends[1]);
  Footprint footprint;
  const bool told = ::read(ends[0], &footprint, sizeof footprint) == sizeof footprint;
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!told) throw std::runtime_error("the memory of a keeper could not be measured");
  return footprint;
}

}  // namespace bench
